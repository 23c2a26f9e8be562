"""Lines of kind `slot`: places of a partner's slot, by pax type, at what the partner asked when it was last asked."""

from collections.abc import Mapping, Sequence

from holdfast.claims.slot import Slot, read_slot
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import RawItem, Store
from holdfast.platform.errors import Fault
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Demand, LineRequest, Opening
from holdfast.reservations.slot_demand import SlotDemand

KNOWN_FOR = 10_000
"""Milliseconds; how stale is of no matter to correctness, since a slot is guarded by its own revision."""

_MOST_SLOTS = 1_000


class SlotRoom:
    """The experiences room, as the engine asks it: slots as they were within the last seconds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[Key, tuple[Slot, int]] = {}

    def wants(self, tenant: str, line: LineRequest, now: int) -> Sequence[Key]:
        """Return the slot's key, unless memory knows it."""
        key = _key(Keys(tenant), line)
        return [] if self._remembered(key, now) else [key]

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return a demand for the places, on the terms that memory or `items` have, or why there can be none."""
        key = _key(opening.keys, line)
        slot = self._remembered(key, opening.now)
        if slot is None and key in items:
            slot = self._learn(items[key], opening.now)
        if slot is None:
            return Fault(line.field, "There is no such slot.", "slot_not_found")
        return SlotDemand.of(opening, line, slot, lambda: self._now(key), self._learn)

    def _remembered(self, key: Key, now: int) -> Slot | None:
        known = self._known.get(key)
        return known[0] if known is not None and 0 <= now - known[1] < KNOWN_FOR else None

    def _now(self, key: Key) -> Slot | None:
        """Return a slot as it is now, or None."""
        read_at = self._clock.now()
        raw = self._store.get_raw(key)
        return None if raw is None else self._learn(raw, read_at)

    def _learn(self, raw: RawItem, read_at: int) -> Slot:
        if len(self._known) >= _MOST_SLOTS:
            self._known.clear()
        slot = read_slot(raw)
        self._known[slot.key] = (slot, read_at)
        return slot


def _key(keys: Keys, line: LineRequest) -> Key:
    assert line.experience_id is not None
    assert line.date is not None
    assert line.slot_id is not None
    return keys.slot(line.experience_id, line.date, line.slot_id)
