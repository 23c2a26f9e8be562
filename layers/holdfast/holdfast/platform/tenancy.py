"""Whose a request is that comes without a credential, and whether that tenant is there and open.

What is public is asked for by anybody, so what is known of a tenant is remembered for a while.
"""

import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from functools import cache

from holdfast.platform.credentials import OPEN
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import TenantNotFound
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.settings import PublicSettings, settings
from holdfast.platform.tables import Keys

RESERVED_HOSTS = frozenset(
    ("admin api app assets auth docs health localhost mail sandbox static status support www").split()
)
"""Names of hosts under the domain that are no tenant's, such as that of the API itself."""

_KEPT_SECONDS = 30
_MOST_KEPT = 1_000
"""Tenants that are remembered: anybody may name some that do not exist."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KEY = re.compile(r"Bearer hk_([a-z0-9][a-z0-9-]{0,39})_[0-9a-f]{64}")
_TOKEN = re.compile(r"Bearer [A-Za-z0-9_-]+\.([A-Za-z0-9_-]{1,8000})\.[A-Za-z0-9_-]+")


class Tenants:
    """One warm function's view of which tenants are open."""

    def __init__(self, store: Store, seconds: Callable[[], float] = time.monotonic) -> None:
        """Take the store of the identity table, and what counts seconds."""
        self._store = store
        self._seconds = seconds
        self._known: dict[str, tuple[float, TenantItem | None]] = {}

    def opened(self, tenant: str) -> TenantItem:
        """Return a tenant that is open; raises TenantNotFound for one that is not there or suspended."""
        now = self._seconds()
        read_at, item = self._known.get(tenant, (now - _KEPT_SECONDS, None))
        if now - read_at >= _KEPT_SECONDS:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            item = self._store.get(TenantItem, Keys(tenant).tenant_record())
            self._known[tenant] = (now, item)
        if item is None or item.status != OPEN:
            raise TenantNotFound
        return item


def named(headers: Mapping[str, str], domain: str) -> str | None:
    """Return the tenant that a request's headers, by their names in small letters, name; None where they name none.

    That is `X-Tenant-Id`, which has to be a tenant's id where it is sent; else the host, under `domain`; else the text
    of a service key or an access token. Whether that is a good one is not asked, since nothing is shown that is not
    public.
    """
    if "x-tenant-id" in headers:
        match = _ID.fullmatch(headers["x-tenant-id"] or "")
        return match[0] if match else None
    if found := tenant_of_host(headers.get("host") or "", domain):
        return found
    authorization = headers.get("authorization") or ""
    if match := _KEY.fullmatch(authorization):
        return match[1]
    return _tenant_of_token(authorization)


def tenant_of_host(host: str, domain: str) -> str | None:
    """Return the tenant whose host under `domain` this is, `<tenant>.<domain>`; None for any other, or no domain.

    What is reserved is no tenant's: at the API's own host it is the service key that says whose things are meant.
    """
    name = host.lower().partition(":")[0].removesuffix(".")
    label, point, rest = name.partition(".")
    if not (domain and point and rest == domain) or label in RESERVED_HOSTS:
        return None
    return label if _ID.fullmatch(label) else None


def _tenant_of_token(authorization: str) -> str | None:
    """Return the tenant that an access token's username names, `<tenant>.<user>`; None where it names none."""
    token = _TOKEN.fullmatch(authorization)
    if token is None:
        return None
    try:
        claims = json.loads(urlsafe_b64decode(token[1] + "=" * (-len(token[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    tenant, point, _ = str(claims.get("username") if isinstance(claims, dict) else "").partition(".")
    return tenant if point and _ID.fullmatch(tenant) else None


def opened(tenant: str) -> TenantItem:
    """Return a tenant that is open, as this warm function knows it; raises TenantNotFound and Unavailable."""
    return tenants().opened(tenant)


def public_domain() -> str:
    """Return the domain whose hosts are the tenants', or "" where there is none."""
    return _settings().public_domain


@cache
def tenants() -> Tenants:
    """Return this warm function's view of which tenants are open."""
    return Tenants(connect(_settings().identity_table_name))


@cache
def _settings() -> PublicSettings:
    return settings(PublicSettings)
