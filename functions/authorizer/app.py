"""The one authorizer: turns `Authorization: Bearer <access token or service key>` into a caller, for every function.

It never raises and never denies (PROTOCOL.md 25): a refusal travels in its context, and the wrapper around the function
behind it answers in the house's shape: 401, 403 for a suspended tenant, or 503 where the credential could not be looked
up, so that nobody throws a good one away. API Gateway caches what it says for 60 seconds a credential, also that: so a
look-up that failed is made again while there is time, rather than keep a tenant's one key out for a minute.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from collections.abc import Callable
from functools import cache
from typing import Any

from holdfast.identity.bearers import Bearers
from holdfast.platform.caller import Caller, refusal_context, to_context
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import Busy, TenantSuspended, Unauthorized, Unavailable
from holdfast.platform.logs import logger
from holdfast.platform.retries import Retries
from holdfast.platform.settings import AuthorizerSettings, settings

_logger = logger()

_LOOK_UPS = Retries(attempts=4, first=100, longest=400)
_ENOUGH = 9_000
"""Milliseconds of its own time that have to be left for another look-up: a store that is silent takes up to 7 s."""


@cache
def _bearers() -> Bearers:
    found = settings(AuthorizerSettings)
    return Bearers(connect(found.identity_table_name), found)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Allow the request, with the caller or the reason for refusing it in the context."""
    try:
        known = to_context(_caller(event, context.get_remaining_time_in_millis))
    except (Unauthorized, TenantSuspended, Unavailable) as refused:
        known = refusal_context(refused)
    except Busy:
        known = refusal_context(Unavailable())
    except Exception:
        _logger.exception("unexpected")
        known = refusal_context(Unavailable())
    _logger.info("authorized", extra={"tenant": known.get("tenant"), "refusal": known.get("refusal")})
    return {
        "principalId": known.get("name", "nobody"),
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": _stage(event.get("methodArn", ""))}
            ],
        },
        "context": known,
    }


def _caller(event: dict[str, Any], remaining: Callable[[], int]) -> Caller:
    """Return who calls; raises what the last of the look-ups did that `remaining` (ms) leaves time for."""
    authorization = _authorization(event)
    for attempt in _LOOK_UPS:
        try:
            return _bearers().caller_of(authorization)
        except (Busy, Unavailable):
            if remaining() < _ENOUGH:
                raise
            _LOOK_UPS.wait(attempt)
    raise Unavailable


def _authorization(event: dict[str, Any]) -> Any:
    """Return what the Authorization header says, of a TOKEN or a REQUEST authorizer's event."""
    given = event.get("authorizationToken")
    if given is not None:
        return given
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return headers.get("authorization")


def _stage(method_arn: str) -> str:
    """Return the resource of all methods of the stage: the answer is cached for whatever the credential calls next."""
    api, _, rest = method_arn.partition("/")
    return f"{api}/{rest.partition('/')[0]}/*"


cold_start.over()
