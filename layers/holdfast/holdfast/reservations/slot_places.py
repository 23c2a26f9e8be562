"""The places that reservations have of partners' slots: whether they can still be had, and which slots fall short."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from holdfast.claims.changes import CounterChange
from holdfast.claims.slot import Slot, on_terms, read_slot
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import HoldTaken
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key, Keys, pax_type_allocated, tenant_of
from holdfast.reservations.states import OVER, State

_GONE = OVER - {State.CONFIRMED}
"""The states in which a reservation has no places."""


def still_offered(store: Store, record: ReservationItem, now: int) -> Sequence[CounterChange]:
    """Return the changes that insist on the slots of a reservation being sold as they are when read now, `now` in ms.

    Raises HoldTaken where a slot is closed or has begun, does not have a pax type on sale any more, or has too few
    places left: one item says all of it, so that reading it is proof.
    """
    wanted = _places(record)
    found = store.batch_get(wanted)
    slots = [read_slot(found[key]) for key in wanted if key in found]
    if len(slots) < len(wanted) or not all(_has(slot, wanted[slot.key], now) for slot in slots):
        raise HoldTaken
    return [on_terms(slot.key, slot.revision) for slot in slots]


def short(store: Store, records: Iterable[ReservationItem]) -> frozenset[str]:
    """Return the pools of places that reservations of a tenant have, of which more is held and sold than there is.

    All slots are looked at in one request; none is made where the `records` have no places.
    """
    places = {
        name: (Keys(tenant_of(record.key)).allocated(name), pax_type)
        for record in records
        if record.status not in _GONE
        for name in record.allocated()
        if (pax_type := pax_type_allocated(name)) is not None
    }
    slots = {key: read_slot(raw) for key, raw in store.batch_get(key for key, _ in places.values()).items()}
    return frozenset(
        name for name, (key, pax_type) in places.items() if key in slots and slots[key].is_short_of(pax_type)
    )


def _has(slot: Slot, wanted: Mapping[str, int], now: int) -> bool:
    """Return whether so many places of each pax type can be had of a slot at `now` (ms)."""
    return (
        slot.on_sale
        and slot.starts_at > now
        and sum(wanted.values()) <= slot.whole.available
        and all(slot.terms_of(pax_type) and places <= slot.left(pax_type) for pax_type, places in wanted.items())
    )


def _places(record: ReservationItem) -> dict[Key, dict[str, int]]:
    """Return how many places of each pax type a reservation says it has of each slot."""
    keys = Keys(tenant_of(record.key))
    found: dict[Key, dict[str, int]] = defaultdict(dict)
    for name, places in record.allocated().items():
        pax_type = pax_type_allocated(name)
        if pax_type is not None:
            found[keys.allocated(name)][pax_type] = places
    return found
