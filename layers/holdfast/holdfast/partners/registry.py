"""The partners of a deployment, by name, and the kinds of partner that there are: one module each.

They are the setting PARTNERS, a JSON object: `{"tours": {"adapter": "inventory", "base_url": "https://…", "time_zone":
"Asia/Singapore", "contains_our_sales": false, "requests_a_minute": 30}}`, of which `adapter` and `base_url` have to be
there. A partner's key is the secret `partners/<name>` and stands nowhere else: a setting that holds one is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from holdfast.partners.port import Partner
from holdfast.platform.secrets import Secrets

_ADAPTERS = {"inventory": "holdfast.partners.inventory"}
"""The module of each kind of partner, imported once it is needed; its `made(base_url, secret)` is the partner."""

_HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Definition:
    """A partner: how it is asked, in which time zone its dates are, and whether its numbers contain what we sold."""

    name: str
    adapter: str
    base_url: str
    zone: ZoneInfo
    contains_our_sales: bool


def _known_adapter(adapter: str) -> str:
    if adapter not in _ADAPTERS:
        raise ValueError(f"there are these: {', '.join(_ADAPTERS)}")
    return adapter


def _safe(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE)):
        raise ValueError("a partner is reached over https")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address and nothing else")
    return url


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError("no time zone has this name") from None
    return name


class _Setting(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    adapter: Annotated[str, AfterValidator(_known_adapter)]
    base_url: Annotated[str, AfterValidator(_safe)]
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    contains_our_sales: bool = False
    requests_a_minute: Literal[30] = 30


_Name = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$")]


def _apart(named: dict[str, _Setting]) -> dict[str, _Setting]:
    if len({_place(setting.base_url) for setting in named.values()}) < len(named):
        raise ValueError("two partners have one address, and each would be asked up to its limit")
    return named


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """Return where an address leads, however it is written."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


_ADAPTER: TypeAdapter[dict[str, _Setting]] = TypeAdapter(
    Annotated[dict[_Name, _Setting], AfterValidator(_apart)], config=ConfigDict(hide_input_in_errors=True)
)


def definitions(text: str) -> Mapping[str, Definition]:
    """Return the partners that the setting defines; raises pydantic's ValidationError, which repeats none of it."""
    return {
        name: Definition(name, said.adapter, said.base_url, ZoneInfo(said.time_zone), said.contains_our_sales)
        for name, said in _ADAPTER.validate_json(text).items()
    }


def partner_of(definition: Definition, secrets: Secrets) -> Partner:
    """Return the partner, which reads its key for each request and shares its connections with all others."""

    def secret() -> Mapping[str, Any]:
        return secrets.read(f"partners/{definition.name}")

    partner: Partner = import_module(_ADAPTERS[definition.adapter]).made(definition.base_url, secret)
    return partner
