"""What a credential stands for as the store has it now: for the authorizer, and again where money moves.

API Gateway goes by an authorizer's answer for a minute, so that what was revoked since still passes it; a route that
moves money therefore looks again (PROTOCOL.md 25).
"""

from holdfast.platform.access import ALL_SCOPES, CUSTOMER
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.errors import TenantSuspended, Unauthorized
from holdfast.platform.identity_items import PersonItem, ServiceKeyItem, TenantItem
from holdfast.platform.tables import Keys

OPEN = "open"
SUSPENDED = "suspended"


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
        roles=frozenset(key.roles),
        scopes=frozenset(key.scopes or ALL_SCOPES),
        credential=f"key:{digest}",
        settings=_settings_of(read(TenantItem, found[keys.tenant_record()])),
    )


def signed_in(store: Store, tenant: str, user_id: str, since: int) -> Caller:
    """Return the caller that a user is who signed in at `since` (seconds since the epoch, as a token's `auth_time`).

    Raises Unauthorized where there is no such account, or the user signed out everywhere in that second or later, and
    TenantSuspended.
    """
    keys = Keys(tenant)
    found = store.batch_get([keys.person(user_id), keys.tenant_record()])
    if keys.person(user_id) not in found or keys.tenant_record() not in found:
        raise Unauthorized
    person = read(PersonItem, found[keys.person(user_id)])
    if not person.has_account or since <= (person.signed_out_at or 0) // 1000:
        raise Unauthorized
    return Caller(
        tenant=tenant,
        name=user_id,
        roles=frozenset({person.role or CUSTOMER}),
        credential=f"session:{user_id}:{since}",
        settings=_settings_of(read(TenantItem, found[keys.tenant_record()])),
    )


def looked_at_anew(store: Store, caller: Caller, now: int) -> Caller:
    """Return the caller as its credential has it at `now` (ms); raises Unauthorized and TenantSuspended."""
    kind, _, rest = caller.credential.partition(":")
    if kind == "key":
        return holder_of_key(store, caller.tenant, rest, now)
    if kind == "session":
        user_id, _, since = rest.rpartition(":")
        return signed_in(store, caller.tenant, user_id, int(since))
    raise Unauthorized


def _settings_of(tenant: TenantItem) -> str:
    """Return the settings of a tenant that is open; raises TenantSuspended."""
    if tenant.status != OPEN:
        raise TenantSuspended
    return str(tenant.settings)
