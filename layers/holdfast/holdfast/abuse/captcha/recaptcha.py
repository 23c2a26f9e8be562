"""reCAPTCHA v3: a score for each token, and the action that the page asked it for."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.port import NotSolved, Solved, Verdict
from holdfast.abuse.captcha.siteverify import SiteSecret, SolvedAnswer, asked, form_of, milliseconds
from holdfast.platform.provider_secrets import secret_of

_BASE_URL = "https://www.google.com/recaptcha"


class _Answer(SolvedAnswer):
    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    action: str


class Recaptcha:
    """reCAPTCHA with one tenant's secret."""

    name = "recaptcha"
    life_seconds = 120

    def __init__(self, secret: Mapping[str, Any], calls: Calls) -> None:
        """Take the tenant's secret; raises SecretUnreadable."""
        self._secret = secret_of(SiteSecret, self.name, secret)
        self._url = f"{self._secret.base_url or _BASE_URL}/api/siteverify"
        self._calls = calls

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what reCAPTCHA says of a token, of which it says so once."""
        answer = asked(self._calls, self._url, form_of(self._secret, token, address), _Answer)
        if isinstance(answer, NotSolved):
            return answer
        return Solved(answer.hostname, milliseconds(answer.challenge_ts), answer.action, answer.score)
