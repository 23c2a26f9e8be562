"""hCaptcha: it tells the host; there are no actions, and its score is of another kind, so that none is looked at."""

from collections.abc import Mapping
from typing import Any

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.port import NotSolved, Solved, Verdict
from holdfast.abuse.captcha.siteverify import SiteSecret, SolvedAnswer, asked, form_of, milliseconds
from holdfast.platform.provider_secrets import secret_of

_BASE_URL = "https://api.hcaptcha.com"


class HCaptcha:
    """hCaptcha with one tenant's secret."""

    name = "hcaptcha"
    life_seconds = 300
    """A token is good for 120 s from when it was solved; the time that is told may be when that was begun."""

    def __init__(self, secret: Mapping[str, Any], site_key: str, calls: Calls) -> None:
        """Take the tenant's secret and site key, of which tokens must be; raises SecretUnreadable."""
        self._secret = secret_of(SiteSecret, self.name, secret)
        self._url = f"{self._secret.base_url or _BASE_URL}/siteverify"
        self._site_key = site_key
        self._calls = calls

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what hCaptcha says of a token, of which it says so once."""
        form = form_of(self._secret, token, address) | {"sitekey": self._site_key}
        answer = asked(self._calls, self._url, form, SolvedAnswer)
        if isinstance(answer, NotSolved):
            return answer
        return Solved(answer.hostname, milliseconds(answer.challenge_ts))
