"""What a credential stands for as the store has it now: for the authorizer, and again where money moves.

API Gateway goes by an authorizer's answer for a minute, so that what was revoked since still passes it; a route that
moves money therefore looks again (PROTOCOL.md 25).
"""

import re
from collections.abc import Iterable
from hashlib import sha256

from holdfast.platform.access import ALL_SCOPES, CUSTOMER, OPERATOR
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.errors import TenantSuspended, Unauthorized
from holdfast.platform.identity_items import PersonItem, ServiceKeyItem, TenantItem
from holdfast.platform.tables import OPERATOR_TENANT, Keys

OPEN = "open"
SUSPENDED = "suspended"

KEY_PREFIX = "hk_"
"""What every service key begins with, and no access token."""

_KEY = re.compile(KEY_PREFIX + r"([a-z0-9][a-z0-9-]{0,39})_[0-9a-f]{64}")
_SKEW_SECONDS = 1
"""By how much the clock that dates tokens may be ahead of the one that dates signing out."""


def digest_of(key: str) -> str:
    """Return the hash that a service key is kept by: its secret is 256 random bits, so one SHA-256 is enough."""
    return sha256(key.encode()).hexdigest()


def read_key(text: str) -> tuple[str, str]:
    """Return the tenant and the hash of a service key, `hk_<tenant>_<secret>`; raises Unauthorized for other texts."""
    match = _KEY.fullmatch(text)
    if match is None:
        raise Unauthorized
    return match[1], digest_of(text)


def holder_of_key(store: Store, tenant: str, digest: str, now: int) -> Caller:
    """Return the caller that a tenant's service key, by its hash, is at `now` (ms).

    Raises Unauthorized where it is not known, revoked or over, and TenantSuspended.
    """
    keys = Keys(tenant)
    found = store.batch_get([keys.service_key(digest), keys.tenant_record()])
    if keys.service_key(digest) not in found or keys.tenant_record() not in found:
        raise Unauthorized
    key = read(ServiceKeyItem, found[keys.service_key(digest)])
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthorized
    return Caller(
        tenant=tenant,
        name=f"key-{digest[:12]}",
        roles=_roles_of(tenant, key.roles),
        scopes=frozenset(key.scopes or ALL_SCOPES),
        credential=f"key:{digest}",
        settings=_settings_of(read(TenantItem, found[keys.tenant_record()])),
    )


def signed_in(store: Store, tenant: str, user_id: str, since: int) -> Caller:
    """Return the caller that a user is whose token was given at `since` (seconds since the epoch, its `iat`).

    Raises Unauthorized where there is no such account, or the user signed out everywhere since (a token that was given
    up to a second after that is dead too); and TenantSuspended.
    """
    keys = Keys(tenant)
    found = store.batch_get([keys.person(user_id), keys.tenant_record()])
    if keys.person(user_id) not in found or keys.tenant_record() not in found:
        raise Unauthorized
    person = read(PersonItem, found[keys.person(user_id)])
    if not person.has_account or since < good_from(person.signed_out_at):
        raise Unauthorized
    return Caller(
        tenant=tenant,
        name=user_id,
        roles=_roles_of(tenant, [person.role or CUSTOMER]),
        credential=f"session:{user_id}:{since}",
        settings=_settings_of(read(TenantItem, found[keys.tenant_record()])),
    )


def good_from(signed_out_at: int | None) -> int:
    """Return from which second on tokens are good of a user who last signed out everywhere at that time (ms)."""
    return 0 if signed_out_at is None else signed_out_at // 1000 + _SKEW_SECONDS + 1


def looked_at_anew(store: Store, caller: Caller, now: int) -> Caller:
    """Return the caller as its credential has it at `now` (ms); raises Unauthorized and TenantSuspended."""
    kind, _, rest = caller.credential.partition(":")
    if kind == "key":
        return holder_of_key(store, caller.tenant, rest, now)
    user_id, _, since = rest.rpartition(":")
    if kind == "session" and since.isdecimal():
        return signed_in(store, caller.tenant, user_id, int(since))
    raise Unauthorized


def _roles_of(tenant: str, roles: Iterable[str]) -> frozenset[str]:
    """Return the roles that are stored; whatever is, there are no operators but in the tenant that is theirs."""
    return frozenset(roles) - (frozenset() if tenant == OPERATOR_TENANT else {OPERATOR})


def _settings_of(tenant: TenantItem) -> str:
    """Return the settings of a tenant that is open; raises TenantSuspended."""
    if tenant.status != OPEN:
        raise TenantSuspended
    return str(tenant.settings)
