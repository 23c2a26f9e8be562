"""Secrets: SecureString parameters of AWS Systems Manager, each a JSON object, all under one prefix.

They are kept for five minutes, so that is how long a replaced one goes on being used; that one is not there is believed
for a minute. Where the store does not answer, or not so many, what it answered last is used for another minute, and so
on. Nothing here says, logs or raises what a secret holds.
"""

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.platform.logs import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters.ssm import SSMProvider

_KEPT_SECONDS = 300
_MISSING_SECONDS = 60
_STALE_SECONDS = 60
_MOST_MISSING = 1_000
"""Secrets that are remembered not to be there: anybody may ask for those of tenants that do not exist."""


_logger = logger()


class SecretUnreadable(Exception):
    """A secret is not there, is no JSON object, or could not be asked for; its text names it and says no more."""


class SecretMissing(SecretUnreadable):
    """A secret is not there."""


class Secrets(Protocol):
    """Where secrets are kept; tests bring their own."""

    def read(self, name: str) -> Mapping[str, Any]:
        """Return the secret of this name; raises SecretMissing and SecretUnreadable."""
        ...


class SecretParameters:
    """The secrets under `prefix` in Systems Manager's parameter store."""

    def __init__(self, prefix: str) -> None:
        """Take the prefix, such as `/holdfast`."""
        self._prefix = prefix
        self._missing: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self._unasked: dict[str, float] = {}

    def read(self, name: str) -> Mapping[str, Any]:
        """Return the secret at `<prefix>/<name>`; raises SecretMissing and SecretUnreadable."""
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        path = f"{self._prefix}/{name}"
        now = time.monotonic()
        if self._missing.get(path, 0) > now:
            raise SecretMissing(f"{path} is not there")
        if self._unasked.get(path, 0) > now:
            return _read(path, self._last[path])
        try:
            text = str(_parameters().get(path, max_age=_KEPT_SECONDS, decrypt=True))
        except GetParameterError as wrong:
            if _is_missing(wrong):
                self._last.pop(path, None)
                self._remember_missing(path, now)
                raise SecretMissing(f"{path} is not there") from wrong
            if path not in self._last:
                raise SecretUnreadable(f"{path} cannot be read: {wrong}") from wrong
            _logger.warning("a secret is used as it was", extra={"parameter": path, "why": str(wrong)})
            self._unasked[path] = now + _STALE_SECONDS
            text = self._last[path]
        found = _read(path, text)
        self._last[path] = text
        return found

    def _remember_missing(self, path: str, now: float) -> None:
        if len(self._missing) >= _MOST_MISSING:
            self._missing.clear()
        self._missing[path] = now + _MISSING_SECONDS


@cache
def of_this_stack() -> SecretParameters:
    """Return the secrets of this deployment, which the environment names; they are kept for all who ask."""
    from holdfast.platform.settings import SecretSettings, settings

    return SecretParameters(settings(SecretSettings).secrets_prefix)


def _read(path: str, text: str) -> Mapping[str, Any]:
    """Return the JSON object that a secret is; raises SecretUnreadable."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise SecretUnreadable(f"{path} is not JSON") from None
    if not isinstance(found, dict):
        raise SecretUnreadable(f"{path} is not a JSON object")
    return found


def _is_missing(wrong: Exception) -> bool:
    """Return whether the store has no such parameter; Powertools raises an error of its own in place of that."""
    response = getattr(wrong.__context__, "response", {})
    return bool(response.get("Error", {}).get("Code") == "ParameterNotFound")


@cache
def client() -> Any:
    """Return the Systems Manager client, made once, with time-outs far inside a function's own.

    Parameters are given out 40 a second to a whole account, unless it pays for more: it slows down where that is met.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        "ssm", config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "adaptive", "total_max_attempts": 5})
    )


@cache
def _parameters() -> "SSMProvider":
    from aws_lambda_powertools.utilities.parameters.ssm import SSMProvider

    return SSMProvider(boto3_client=client())
