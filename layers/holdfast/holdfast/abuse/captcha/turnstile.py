"""Turnstile: it tells host and action, and gives no scores."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.port import NotSolved, ProviderOut, Solved, Verdict
from holdfast.abuse.captcha.siteverify import SiteSecret, SolvedAnswer, asked, form_of, milliseconds
from holdfast.platform.provider_secrets import secret_of

_BASE_URL = "https://challenges.cloudflare.com/turnstile"
_LONGEST_TOKEN = 2_048


class _Answer(SolvedAnswer):
    action: str


class Turnstile:
    """Turnstile with one tenant's secret."""

    name = "turnstile"
    life_seconds = 300

    def __init__(self, secret: Mapping[str, Any], calls: Calls) -> None:
        """Take the tenant's secret; raises SecretUnreadable."""
        self._secret = secret_of(SiteSecret, self.name, secret)
        self._url = f"{self._secret.base_url or _BASE_URL}/v0/siteverify"
        self._calls = calls

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what Turnstile says of a token; under one key it may be asked again, and is, where it did not answer.

        Each call of this has a key of its own, so that a token is still good once.
        """
        if len(token) > _LONGEST_TOKEN:
            return NotSolved("too long")
        form = form_of(self._secret, token, address) | {"idempotency_key": str(uuid4())}
        try:
            answer = asked(self._calls, self._url, form, _Answer)
        except ProviderOut:
            answer = asked(self._calls, self._url, form, _Answer)
        if isinstance(answer, NotSolved):
            return answer
        return Solved(answer.hostname, milliseconds(answer.challenge_ts), answer.action)
