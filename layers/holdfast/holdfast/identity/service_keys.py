"""Service keys: the credential of a tenant's own servers. Only a key's hash is kept.

A key is `hk_<tenant>_<secret>`: the secret is 256 random bits, so one SHA-256 is enough to keep it by.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex

from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.tables import Keys

ROLES = ("service", "staff", "admin")
"""What a key may be issued for: act for users, see the tenant's things, change the catalogue."""

_KEY = re.compile(r"hk_([a-z0-9][a-z0-9-]{0,39})_([0-9a-f]{64})")


@dataclass(frozen=True)
class KeyHolder:
    """Whom a service key stands for."""

    tenant: str
    name: str
    roles: tuple[str, ...]


def issue(store: Store, clock: Clock, tenant: str, roles: tuple[str, ...], label: str) -> str:
    """Make a service key for a tenant and return it; it cannot be read again. `label` says what it is for."""
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise ValueError(f"roles are {', '.join(ROLES)}")
    key = f"hk_{tenant}_{token_hex(32)}"
    item = ServiceKeyItem(*Keys(tenant).service_key(_hash(key)), label=label, roles=set(roles), created_at=clock.now())
    store.write(Put(item))
    return key


def holder_of(store: Store, key: str) -> KeyHolder | None:
    """Return whom `key` stands for, or None where it is no key or not known."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    digest = _hash(key)
    known = store.get(ServiceKeyItem, Keys(match[1]).service_key(digest))
    return None if known is None else KeyHolder(match[1], f"key-{digest[:12]}", tuple(sorted(known.roles)))


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()
