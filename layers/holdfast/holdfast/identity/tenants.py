"""The tenants: made, listed, renamed, suspended and opened again by operators, each found by its id.

A tenant and its place among all are written in one transaction. What changes a tenant is guarded by its `version`, so
that of two changes at once the later is made of what the earlier left; one whose answer was lost is known again,
because what it wanted is there already (PROTOCOL.md 8).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from holdfast.identity.people import Directory
from holdfast.platform import credentials
from holdfast.platform.dynamodb import Cancelled, Contended, Put, RawItem, Write, read
from holdfast.platform.errors import Busy, Fault, Malformed, TenantExists, TenantNotFound
from holdfast.platform.identity_items import TenantEntryItem, TenantItem
from holdfast.platform.tables import OPERATOR_TENANT, Keys
from holdfast.platform.tenancy import RESERVED_HOSTS
from holdfast.reservations.idempotency import KeyedRequest

RESERVED = RESERVED_HOSTS | {OPERATOR_TENANT}
"""Ids that no tenant gets: the operators', and names of hosts that are taken for other than a tenant's."""

NOTHING_SET = "{}"
"""The settings of a tenant that has set nothing."""


class TenantStatus(StrEnum):
    """Whether a tenant is served. Of one that is suspended, payments and expiry still run to their ends."""

    OPEN = credentials.OPEN
    SUSPENDED = credentials.SUSPENDED


class TenantChanges(TypedDict, total=False):
    """What to change of a tenant; what is left out stays."""

    name: str
    status: TenantStatus


@dataclass(frozen=True)
class TenantPage:
    """Some tenants in the order of their ids, and the id to go on after; None at the end."""

    tenants: list[TenantItem]
    after: str | None


def create(directory: Directory, tenant: str, name: str, keyed: KeyedRequest | None = None) -> TenantItem:
    """Make a tenant and return it; the same idempotency key returns it as it was made.

    Raises Malformed for an id that is reserved, TenantExists, IdempotencyKeyReused and Busy.
    """
    if tenant in RESERVED:
        raise Malformed(faults=[Fault("id", "This id is reserved.", "reserved")])
    known = keyed.replay(directory.store) if keyed is not None else None
    if known is not None:
        return TenantItem(**known)
    new = _new(tenant, name, directory.clock.now())
    entry = TenantEntryItem(*Keys(OPERATOR_TENANT).tenant_entry(tenant), tenant_id=tenant)
    own: list[Write] = [
        Put(new, TenantItem.pk.does_not_exist()),
        Put(entry, TenantEntryItem.pk.does_not_exist()),
    ]
    record = [keyed.record(new.attribute_values, new.created_at)] if keyed is not None else []
    for attempt in directory.retries:
        try:
            directory.store.transact([*record, *own])
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None:
                return TenantItem(**known)
            there = refusal.seen([*record, *own]).get(new.key)
            if there is not None:
                return _made_before(new, there)
            directory.retries.wait(attempt)
        else:
            return new
    raise Busy


def establish_operators(directory: Directory) -> None:
    """Make the tenant whose people and keys are the operators, if it is not there yet; raises Busy.

    It stands in no list, and nobody renames or suspends it.
    """
    new = _new(OPERATOR_TENANT, "Operators", directory.clock.now())
    for attempt in directory.retries:
        try:
            directory.store.write(Put(new, TenantItem.pk.does_not_exist()))
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.seen([Put(new)]):
                return
            directory.retries.wait(attempt)
        else:
            return
    raise Busy


def get(directory: Directory, tenant: str) -> TenantItem:
    """Return a tenant, suspended or not; raises TenantNotFound, for that of the operators as well."""
    found = None if tenant == OPERATOR_TENANT else directory.store.get(TenantItem, Keys(tenant).tenant_record())
    if found is None:
        raise TenantNotFound
    return found


def list_of(directory: Directory, limit: int, after: str | None) -> TenantPage:
    """Return up to `limit` tenants in the order of their ids, after tenant `after`."""
    keys = Keys(OPERATOR_TENANT)
    start = keys.tenant_entry(after) if after is not None else None
    page = directory.store.query(keys.tenants(), limit=limit, after=start)
    ids = [raw["sk"]["S"] for raw in page.items]
    found = directory.store.batch_get(Keys(tenant).tenant_record() for tenant in ids)
    listed = [read(TenantItem, found[Keys(tenant).tenant_record()]) for tenant in ids]
    return TenantPage(listed, ids[-1] if page.after is not None and ids else None)


def change(directory: Directory, tenant: str, wanted: TenantChanges) -> TenantItem:
    """Change what is given of a tenant, and return it as it then is; raises TenantNotFound and Busy.

    Money routes heed a suspension from their next request on, all others within the minute for which the authorizer's
    answers are kept.
    """
    return rewrite(directory, tenant, lambda _: wanted)


def rewrite(directory: Directory, tenant: str, changed: Callable[[TenantItem], Mapping[str, object]]) -> TenantItem:
    """Change what `changed` says of the tenant as it is (attributes by name), and return it as it then is.

    It is asked anew whenever somebody else was first. Raises TenantNotFound, Busy, and what `changed` raises.
    """
    for attempt in directory.retries:
        found = get(directory, tenant)
        wanted = {name: value for name, value in changed(found).items() if getattr(found, name) != value}
        if not wanted:
            return found
        values = {**found.attribute_values, **wanted}
        values |= {"version": found.version + 1, "updated_at": directory.clock.now()}
        tenant_item = TenantItem(**values)
        try:
            directory.store.write(Put(tenant_item, TenantItem.version == found.version))
        except (Contended, Cancelled):
            directory.retries.wait(attempt)
        else:
            return tenant_item
    raise Busy


def _new(tenant: str, name: str, now: int) -> TenantItem:
    return TenantItem(
        *Keys(tenant).tenant_record(),
        name=name,
        status=TenantStatus.OPEN.value,
        settings=NOTHING_SET,
        version=1,
        created_at=now,
        updated_at=now,
    )


def _made_before(new: TenantItem, there: RawItem) -> TenantItem:
    """Return the tenant if an earlier attempt, whose answer was lost, made it; raises TenantExists if another did."""
    if read(TenantItem, there).attribute_values != new.attribute_values:
        raise TenantExists
    return new
