"""Experiences: partners' products that a tenant sells, put up, read, listed, changed.

What is asked of partners follows them within seconds: the planner and the fetcher read them anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.platform.dynamodb import Cancelled, Contended, Put, Store, Write, read
from holdfast.platform.errors import Busy, ExperienceExists, ExperienceNotFound
from holdfast.platform.items import ExperienceItem, ExperienceSellerItem, PartnerProductItem
from holdfast.platform.tables import OPERATOR_TENANT, Key, Keys, tenant_of
from holdfast.reservations import creation
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest

_TAKEN = "This product of the partner is sold as another experience already."


@dataclass(frozen=True)
class NewExperience:
    """An experience to be put up; `weekdays` are 1 for Monday to 7 for Sunday, in order."""

    id: str
    name: str
    partner: str
    partner_product_id: str
    weekdays: tuple[int, ...]
    enabled: bool


def create(engine: Engine, tenant: str, experience: NewExperience, keyed: KeyedRequest | None) -> ExperienceItem:
    """Put an experience up and return it; the same idempotency key returns it as it was then.

    First it is written that the tenant has experiences, so that the planner misses none; then, in one transaction, the
    experience, the idempotency record, and that the partner's product is taken: two who sold it would each count all of
    its places. Raises ExperienceExists, for a product that is taken too, IdempotencyKeyReused and Busy.
    """
    known = creation.replayed(engine, ExperienceItem, keyed)
    if known is not None:
        return known
    now = engine.clock.now()
    item = _new(Keys(tenant).experience(experience.id), experience, now)
    seller = ExperienceSellerItem(*Keys(OPERATOR_TENANT).experience_seller(tenant), tenant_id=tenant)
    product = Keys(OPERATOR_TENANT).partner_product(experience.partner, experience.partner_product_id)
    taken = PartnerProductItem(*product, tenant_id=tenant, experience_id=experience.id)
    writes: list[Write] = [keyed.record(item.attribute_values, now)] if keyed else []
    writes.append(Put(item, ExperienceItem.pk.does_not_exist()))
    writes.append(Put(taken, PartnerProductItem.pk.does_not_exist()))
    for attempt in engine.retries:
        try:
            engine.store.write(Put(seller))
            engine.store.transact(writes)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed else None
            if known is not None:
                return ExperienceItem(**known)
            seen = refusal.seen(writes)
            if item.key in seen:
                there = read(ExperienceItem, seen[item.key])
                if there.attribute_values != item.attribute_values:
                    raise ExperienceExists from refusal
                # An earlier attempt made it, and the answer was lost (PROTOCOL.md 8).
                return there
            if product in seen:
                raise ExperienceExists(_TAKEN) from refusal
            engine.retries.wait(attempt)
        else:
            return item
    raise Busy


def find(store: Store, tenant: str, experience_id: str) -> ExperienceItem | None:
    """Return an experience, or None."""
    return store.get(ExperienceItem, Keys(tenant).experience(experience_id))


def get(store: Store, tenant: str, experience_id: str) -> ExperienceItem:
    """Return an experience; raises ExperienceNotFound."""
    item = find(store, tenant, experience_id)
    if item is None:
        raise ExperienceNotFound
    return item


def list_all(store: Store, tenant: str, limit: int, after: str | None) -> tuple[list[ExperienceItem], str | None]:
    """Return up to `limit` experiences in the order of their ids, after experience `after`, and the id to go on after.

    Numbers stand in their own order.
    """
    keys = Keys(tenant)
    page = store.query(keys.experiences(), limit=limit, after=keys.experience(after) if after else None)
    found = [read(ExperienceItem, raw) for raw in page.items]
    return found, found[-1].experience_id if page.after and found else None


def all_of_all(store: Store) -> list[ExperienceItem]:
    """Return the experiences of all tenants."""
    sellers = Keys(OPERATOR_TENANT).experience_sellers()
    tenants = [read(ExperienceSellerItem, raw).tenant_id for raw in store.query_all(sellers)]
    return [item for tenant in tenants for item in all_of(store, tenant)]


def all_of(store: Store, tenant: str) -> list[ExperienceItem]:
    """Return all experiences of a tenant."""
    return [read(ExperienceItem, raw) for raw in store.query_all(Keys(tenant).experiences())]


def facts_of(item: ExperienceItem) -> dict[str, Any]:
    """Return what the synchronisation has to know of an experience, by the names that it has there."""
    return {
        "tenant": tenant_of(item.key),
        "experience_id": item.experience_id,
        "partner": item.partner,
        "partner_product_id": item.partner_product_id,
        "weekdays": frozenset(item.weekdays),
        "enabled": item.enabled,
        "changed_at": item.changed_at,
    }


def change(engine: Engine, tenant: str, experience_id: str, changes: Mapping[str, Any]) -> ExperienceItem:
    """Change attributes of an experience, by name, and return it as it then is.

    One write, if nobody changed it since it was read; else what the other left is changed. Raises ExperienceNotFound
    and Busy.
    """
    for attempt in engine.retries:
        item = get(engine.store, tenant, experience_id)
        if all(getattr(item, name) == value for name, value in changes.items()):
            return item
        version = item.version
        now = engine.clock.now()
        stamped = {"version": version + 1, "updated_at": now}
        if any(getattr(item, name) != changes[name] for name in ("enabled", "weekdays") if name in changes):
            stamped["changed_at"] = now
        changed = ExperienceItem(**{**item.attribute_values, **changes, **stamped})
        try:
            engine.store.write(Put(changed, ExperienceItem.version == version))
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
        else:
            return changed
    raise Busy


def _new(key: Key, experience: NewExperience, now: int) -> ExperienceItem:
    return ExperienceItem(
        *key,
        experience_id=experience.id,
        name=experience.name,
        partner=experience.partner,
        partner_product_id=experience.partner_product_id,
        weekdays=list(experience.weekdays),
        enabled=experience.enabled,
        version=1,
        created_at=now,
        updated_at=now,
        changed_at=now,
    )
