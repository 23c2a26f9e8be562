"""The one authorizer: turns `Authorization: Bearer <service key>` into a caller, for every function alike.

It never raises and never denies (PROTOCOL.md 25): a refusal travels in its context, and the wrapper around the function
behind it answers in the house's shape: 401, or 503 where the credential could not be looked up, so that nobody throws
a good one away. API Gateway caches what it says for 60 seconds a credential.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger

from holdfast.identity.service_keys import holder_of
from holdfast.platform.caller import Caller, refusal_context, to_context
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import Unauthorized, Unavailable
from holdfast.platform.settings import AuthorizerSettings, settings

_logger = Logger()


@cache
def _store() -> Store:
    return connect(settings(AuthorizerSettings).identity_table_name)


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Allow the request, with the caller or the reason for refusing it in the context."""
    try:
        context = to_context(_caller(_credential(event)))
    except Unauthorized as refused:
        context = refusal_context(refused)
    except Exception:
        _logger.exception("unexpected")
        context = refusal_context(Unavailable())
    _logger.info("authorized", extra={"tenant": context.get("tenant"), "refusal": context.get("refusal")})
    return {
        "principalId": context.get("name", "nobody"),
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": _stage(event.get("methodArn", ""))}
            ],
        },
        "context": context,
    }


def _caller(credential: str) -> Caller:
    holder = holder_of(_store(), credential)
    if holder is None:
        raise Unauthorized
    return Caller(holder.tenant, holder.name, frozenset(holder.roles))


def _credential(event: dict[str, Any]) -> str:
    """Return the bearer credential of a TOKEN or a REQUEST authorizer's event."""
    given = event.get("authorizationToken")
    if given is None:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        given = headers.get("authorization")
    scheme, _, credential = str(given or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    return credential.strip()


def _stage(method_arn: str) -> str:
    """Return the resource of all methods of the stage: the answer is cached for whatever the credential calls next."""
    api, _, rest = method_arn.partition("/")
    return f"{api}/{rest.partition('/')[0]}/*"


cold_start.over()
