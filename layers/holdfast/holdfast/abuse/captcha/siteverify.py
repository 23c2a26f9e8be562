"""The call that most captcha providers have in common, and its answer: `siteverify`."""

from datetime import datetime
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.port import Misconfigured, NotSolved, ProviderOut
from holdfast.platform.provider_secrets import ProviderSecret

TOLD = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)
"""How answers are read: every field of its own type and none made up; fields that nobody asked for are left aside."""

_OURS = frozenset({"missing-input-secret", "invalid-input-secret"})
_PROVIDERS = frozenset({"internal-error"})
_TOKENS = frozenset(
    {
        "already-seen-response",
        "expired-input-response",
        "invalid-input-response",
        "invalid-or-already-seen-response",
        "missing-input-response",
        "timeout-or-duplicate",
    }
)
"""What is said of tokens that are forged, used or old; all else that is said of a token is odd."""

_MOST_SHOWN = 100


class SiteSecret(ProviderSecret):
    """A tenant's secret at such a provider, the counterpart of its site key."""

    secret: SecretStr = Field(min_length=1)


class Answer(BaseModel):
    """Every answer."""

    model_config = TOLD

    success: bool
    error_codes: list[str] | None = Field(None, alias="error-codes")


class SolvedAnswer(BaseModel):
    """The answer for a token that is good, as far as all providers tell it."""

    model_config = TOLD

    success: Literal[True]
    challenge_ts: AwareDatetime
    hostname: str


_S = TypeVar("_S", bound=SolvedAnswer)


def asked(calls: Calls, url: str, form: dict[str, str], model: type[_S]) -> _S | NotSolved:
    """Return what a provider says of a token; raises Unverified."""
    found = calls.post_form(url, form)
    if not found.is_done:
        return NotSolved("not taken", is_odd=True)
    try:
        answer = Answer.model_validate_json(found.text)
        if not answer.success or answer.error_codes:
            return _refused(frozenset(answer.error_codes or ()))
        return model.model_validate_json(found.text)
    except ValidationError as wrong:
        if any(error["type"] == "json_invalid" for error in wrong.errors()):
            raise ProviderOut("no JSON") from None
        return NotSolved("not understood", is_odd=True)


def form_of(secret: SiteSecret, token: str, address: str | None) -> dict[str, str]:
    """Return the form that says what is to be verified."""
    form = {"secret": secret.secret.get_secret_value(), "response": token}
    return form if address is None else form | {"remoteip": address}


def milliseconds(moment: datetime) -> int:
    """Return a moment as milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def _refused(codes: frozenset[str]) -> NotSolved:
    if codes & _OURS:
        raise Misconfigured(" ".join(sorted(codes & _OURS)))
    if codes & _PROVIDERS:
        raise ProviderOut(" ".join(sorted(codes & _PROVIDERS)))
    return NotSolved(" ".join(sorted(codes))[:_MOST_SHOWN] or "no reason", is_odd=not codes or not codes <= _TOKENS)
