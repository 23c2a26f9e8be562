"""Whether a tenant is there and open, for requests that come without a credential; remembered for a while."""

import time

from holdfast.platform.credentials import OPEN
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import TenantNotFound
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.tables import Keys

_KEPT_SECONDS = 30
_MOST_KEPT = 1_000
"""Tenants that are remembered: anybody may name some that do not exist."""


class Tenants:
    """One warm function's view of which tenants are open."""

    def __init__(self, store: Store) -> None:
        """Take the store of the identity table."""
        self._store = store
        self._known: dict[str, tuple[float, TenantItem | None]] = {}

    def opened(self, tenant: str) -> TenantItem:
        """Return a tenant that is open; raises TenantNotFound for one that is not there or suspended."""
        now = time.monotonic()
        read_at, item = self._known.get(tenant, (now - _KEPT_SECONDS, None))
        if now - read_at >= _KEPT_SECONDS:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            item = self._store.get(TenantItem, Keys(tenant).tenant_record())
            self._known[tenant] = (now, item)
        if item is None or item.status != OPEN:
            raise TenantNotFound
        return item
