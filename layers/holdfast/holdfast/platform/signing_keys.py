"""Keys that the house makes for itself, one a tenant and use: encrypted in the Parameter Store (AWS SSM)."""

from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.platform import secrets
from holdfast.platform.errors import Busy, Unavailable

TICKETS = "tickets"
"""The use of the private keys that ticket codes are signed with."""

SERVICE_KEYS = "keys"
"""The use of the keys that service keys are made of which a repeated request has to give again."""

_NO_SUCH = "ParameterNotFound"
_EXISTS = "ParameterAlreadyExists"
_THROTTLES = frozenset({"ThrottlingException", "TooManyUpdates"})
_ATTEMPTS = 3
"""How often a key is asked for that was just written by another: readers may see it late."""


class SigningKeys(Protocol):
    """Where the keys of one use are kept."""

    def of(self, tenant: str, make: Callable[[], str]) -> str:
        """Return the tenant's key as it was stored, which is what `make` returns where there was none."""
        ...


class ParameterStore:
    """Keys of one use as SecureString parameters `<prefix>/<use>/<tenant>`."""

    def __init__(self, prefix: str, use: str = TICKETS) -> None:
        """Take the prefix of all of the stack's parameters, such as `/holdfast-prod`, and what the keys are for."""
        self._prefix = prefix
        self._use = use

    def of(self, tenant: str, make: Callable[[], str]) -> str:
        """Return the tenant's key; of several who find none at once the first one's is everybody's.

        Raises Busy for a throttle, Unavailable for no answer.
        """
        name = f"{self._prefix}/{self._use}/{tenant}"
        for _ in range(_ATTEMPTS):
            found = _call("get_parameter", _NO_SUCH, Name=name, WithDecryption=True)
            if found is not None:
                return str(found["Parameter"]["Value"])
            made = make()
            if _call("put_parameter", _EXISTS, Name=name, Value=made, Type="SecureString", Overwrite=False) is not None:
                return made
        raise Busy


def _call(operation: str, accepted: str, **arguments: Any) -> dict[str, Any] | None:
    """Make a call; None for the error that is `accepted`. Raises Busy and Unavailable."""
    try:
        answer: dict[str, Any] = getattr(secrets.client(), operation)(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == accepted:
            return None
        if code in _THROTTLES:
            raise Busy from error
        raise
    except BotoCoreError as error:
        raise Unavailable from error
    return answer
