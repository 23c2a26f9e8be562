"""reCAPTCHA Enterprise: tokens are assessed by a project of Google Cloud, with an API key."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, ValidationError

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.port import Misconfigured, NotSolved, ProviderOut, Solved, Verdict
from holdfast.abuse.captcha.siteverify import TOLD, milliseconds
from holdfast.platform.provider_secrets import ProviderSecret, secret_of

_BASE_URL = "https://recaptchaenterprise.googleapis.com"

_ORDINARY = frozenset({"MALFORMED", "EXPIRED", "DUPE", "MISSING", "BROWSER_ERROR", "UNEXPECTED_ACTION"})
"""What is said of tokens that are forged, used or old, or come from a browser that is none."""

_MOST_SHOWN = 100


class ApiKeySecret(ProviderSecret):
    """A tenant's API key."""

    api_key: SecretStr = Field(min_length=1)


class _TokenProperties(BaseModel):
    model_config = TOLD

    valid: bool = False
    invalid_reason: str = Field("", alias="invalidReason")


class _Assessment(BaseModel):
    model_config = TOLD

    token: _TokenProperties = Field(alias="tokenProperties")


class _SolvedProperties(BaseModel):
    model_config = TOLD

    hostname: str
    action: str
    created_at: AwareDatetime = Field(alias="createTime")


class _Risk(BaseModel):
    model_config = TOLD

    score: float = Field(ge=0, le=1, allow_inf_nan=False)


class _SolvedAssessment(BaseModel):
    model_config = TOLD

    token: _SolvedProperties = Field(alias="tokenProperties")
    risk: _Risk = Field(alias="riskAnalysis")


class RecaptchaEnterprise:
    """reCAPTCHA Enterprise with one tenant's project, site key and API key."""

    name = "recaptcha_enterprise"
    life_seconds = 120

    def __init__(self, secret: Mapping[str, Any], project: str, site_key: str, calls: Calls) -> None:
        """Take whose tokens are assessed; raises SecretUnreadable."""
        self._secret = secret_of(ApiKeySecret, self.name, secret)
        self._url = f"{self._secret.base_url or _BASE_URL}/v1/projects/{quote(project, safe='')}/assessments"
        self._site_key = site_key
        self._calls = calls

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what the assessment of a token says, which can be had once."""
        event = {"token": token, "siteKey": self._site_key, "expectedAction": action}
        if address is not None:
            event["userIpAddress"] = address
        headers = {"X-Goog-Api-Key": self._secret.api_key.get_secret_value()}
        found = self._calls.post_json(self._url, {"event": event}, headers)
        if not found.is_done:
            if _is_key_refused(found.text):
                raise Misconfigured("the API key is not valid")
            return NotSolved("not taken", is_odd=True)
        try:
            return _read(found.text)
        except ValidationError as wrong:
            if any(error["type"] == "json_invalid" for error in wrong.errors()):
                raise ProviderOut("no JSON") from None
            return NotSolved("not understood", is_odd=True)


def _read(text: bytes) -> Verdict:
    """Return what an assessment says; raises ValidationError."""
    token = _Assessment.model_validate_json(text).token
    if not token.valid:
        reason = token.invalid_reason
        return NotSolved(reason[:_MOST_SHOWN] or "no reason", is_odd=reason not in _ORDINARY)
    known = _SolvedAssessment.model_validate_json(text)
    solved_at = milliseconds(known.token.created_at)
    return Solved(known.token.hostname, solved_at, known.token.action, known.risk.score)


def _is_key_refused(text: bytes) -> bool:
    """Return whether a request was refused for its API key, which Google says with the status of a bad request."""
    try:
        details = json.loads(text)["error"]["details"]
        return any(detail.get("reason") == "API_KEY_INVALID" for detail in details)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return False
