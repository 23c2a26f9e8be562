"""Secrets: SecureString parameters of AWS Systems Manager, each a JSON object, all under one prefix.

They are kept for five minutes, so that is how long a replaced one goes on being used. Nothing here says, logs or raises
what a secret holds.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters.ssm import SSMProvider

_KEPT_SECONDS = 300


class SecretUnreadable(Exception):
    """A secret is not there, is no JSON object, or could not be asked for; its text names it and says no more."""


class Secrets(Protocol):
    """Where secrets are kept; tests bring their own."""

    def read(self, name: str) -> Mapping[str, Any]:
        """Return the secret of this name; raises SecretUnreadable."""
        ...


class SecretParameters:
    """The secrets under `prefix` in Systems Manager's parameter store."""

    def __init__(self, prefix: str) -> None:
        """Take the prefix, such as `/holdfast`."""
        self._prefix = prefix

    def read(self, name: str) -> Mapping[str, Any]:
        """Return the secret at `<prefix>/<name>`, at most five minutes old; raises SecretUnreadable."""
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        path = f"{self._prefix}/{name}"
        try:
            text = _parameters().get(path, max_age=_KEPT_SECONDS, decrypt=True)
        except GetParameterError as wrong:
            raise SecretUnreadable(f"{path} cannot be read: {wrong}") from wrong
        try:
            found = json.loads(str(text))
        except (ValueError, RecursionError):
            raise SecretUnreadable(f"{path} is not JSON") from None
        if not isinstance(found, dict):
            raise SecretUnreadable(f"{path} is not a JSON object")
        return found


@cache
def client() -> Any:
    """Return the Systems Manager client, made once, with time-outs far inside a function's own."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "ssm", config=Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
    )


@cache
def _parameters() -> "SSMProvider":
    from aws_lambda_powertools.utilities.parameters.ssm import SSMProvider

    return SSMProvider(boto3_client=client())
