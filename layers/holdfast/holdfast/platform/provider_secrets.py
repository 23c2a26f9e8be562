"""What is kept of a tenant's credentials at somebody outside: payment providers, captcha providers."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from holdfast.platform.secrets import SecretUnreadable

_HERE = ("localhost", "127.0.0.1")


class ProviderSecret(BaseModel):
    """What a tenant's credentials at any provider may say; errors do not repeat them.

    `base_url` is where the provider is, if not where it is for everybody.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    base_url: str | None = None

    @field_validator("base_url")
    @classmethod
    def _safe(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE)):
            raise ValueError("a provider is reached over https")
        return url


_Secret = TypeVar("_Secret", bound=ProviderSecret)


def secret_of(model: type[_Secret], provider: str, secret: Mapping[str, Any]) -> _Secret:
    """Return a tenant's credentials; raises SecretUnreadable, naming the fields that are wrong."""
    try:
        return model.model_validate(secret)
    except ValidationError as wrong:
        fields = ", ".join(".".join(map(str, error["loc"])) for error in wrong.errors())
        raise SecretUnreadable(f"the credentials for {provider} are not as they have to be: {fields}") from None
