"""The gate of tenants that ask for captchas: passed with a token that its provider calls good, for this, here and now.

Nothing of it is imported before a captcha is really asked for, so that reserving costs others nothing. What providers
say is logged without the token; whoever sent it is told nothing but that it was no good.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from holdfast.platform.access import SERVICE
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Write
from holdfast.platform.errors import CaptchaFailed, CaptchaRequired, CaptchaUnavailable
from holdfast.platform.logs import logger
from holdfast.platform.policy import CaptchaPolicy
from holdfast.reservations.gate import Gate

if TYPE_CHECKING:
    from holdfast.abuse.captcha.port import Verdict
    from holdfast.abuse.captcha.registry import Captchas

RESERVE = "reserve"
CHECK_OUT = "checkout"
"""What pages ask captchas for; providers call it the action."""

REFUSALS = (CaptchaRequired, CaptchaFailed, CaptchaUnavailable)
"""What the gate refuses with, for what routes declare of their answers."""

_TOKEN = re.compile(r"[A-Za-z0-9._~:|=+/-]{1,8192}")
"""What providers make tokens of; the longest that is known of is half as long, and headers carry little more.

Nothing else is sent to them: whatever guards them might take it for an attack, and its answer for an outage.
"""

_logger = logger()


def gate_of(caller: Caller, token: str | None, action: str, address: str) -> Gate | None:
    """Return the gate that a request has to pass with the token that it brings, or None where its tenant asks for none.

    `address` is that which the request came from. A tenant's own servers may be spared. The gate raises
    CaptchaRequired, CaptchaFailed and CaptchaUnavailable, and is passed with one write to the main table.
    """
    policy = caller.policy.captcha
    is_server = SERVICE in caller.roles
    if policy is None or (is_server and not policy.asks_service_keys):
        return None
    buyers_address = None if is_server else address
    return Gate(lambda: _let_in(caller.tenant, policy, token, action, buyers_address), CaptchaFailed)


@cache
def _captchas() -> "Captchas":
    from holdfast.abuse.captcha.registry import Captchas
    from holdfast.platform import secrets

    return Captchas(secrets.of_this_stack())


def _let_in(tenant: str, policy: CaptchaPolicy, token: str | None, action: str, address: str | None) -> Sequence[Write]:
    from holdfast.abuse.captcha.spent import spend

    if not token:
        raise CaptchaRequired
    if not _TOKEN.fullmatch(token):
        raise CaptchaFailed
    _must_pass(tenant, policy, token, action, _as_sent(address))
    return [spend(tenant, token, _captchas().clock.now())]


def _must_pass(tenant: str, policy: CaptchaPolicy, token: str, action: str, address: str | None) -> None:
    """Let a token pass that its provider calls good, or any while that is out, if the tenant wants it so."""
    from holdfast.abuse.captcha.judging import objection
    from holdfast.abuse.captcha.port import NotSolved, ProviderOut, Unverified

    known = {"tenant": tenant, "provider": policy.provider, "action": action}
    try:
        captcha = _captchas().of(tenant, policy)
        verdict: Verdict = captcha.verify(token, action, address)
    except Unverified as out:
        admitted = policy.admits_in_outage and isinstance(out, ProviderOut)
        more = {"why": str(out), "kind": type(out).__name__, "admitted": admitted}
        _logger.error("a captcha cannot be verified", extra={**known, **more})
        if not admitted:
            raise CaptchaUnavailable from None
        return
    if isinstance(verdict, NotSolved):
        note = _logger.error if verdict.is_odd else _logger.info
        note("a captcha was refused", extra={**known, "why": verdict.reason})
        raise CaptchaFailed
    why = objection(verdict, policy, action, captcha.life_seconds, _captchas().clock.now())
    if why is not None:
        _logger.info("a captcha was refused", extra={**known, "why": why})
        raise CaptchaFailed


def _as_sent(address: str | None) -> str | None:
    """Return an address as providers take it; None for what is none."""
    from ipaddress import ip_address

    try:
        return None if address is None else str(ip_address(address))
    except ValueError:
        return None
