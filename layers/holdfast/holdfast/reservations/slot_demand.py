"""A wish for places of a partner's slot, of one pax type or several, through all attempts to take them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from holdfast.claims.changes import CounterChange
from holdfast.claims.slot import PaxTerms, Slot, acquire
from holdfast.claims.terms import Terms
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import Fault
from holdfast.platform.items import LineMap, SpanMap
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Demand, Holding, LineRequest, Opening

Refresh = Callable[[], Slot | None]
"""Returns the slot as it is now; None where there is none."""

Learn = Callable[[RawItem, int], Slot]
"""Returns the slot that an item says, as it was at a time (ms), and remembers it for who asks next."""


class SlotDemand:
    """The terms believed in. Slot and pax types are one item, and so is the proof that they have too few places."""

    def __init__(self, opening: Opening, line: LineRequest, slot: Slot, refresh: Refresh, learn: Learn) -> None:
        self.line = line
        self.unsettled = False
        self._engine = opening.engine
        self._pax = dict(line.pax)
        self._slot = slot
        self._refresh = refresh
        self._learn = learn

    @classmethod
    def of(
        cls, opening: Opening, line: LineRequest, slot: Slot, refresh: Refresh, learn: Learn
    ) -> "SlotDemand | Fault":
        """Return the demand, or why it is impossible even after another look at the slot."""
        demand = cls(opening, line, slot, refresh, learn)
        fault = demand._impossible(slot, opening.now)
        return demand if fault is None else demand.look_again() or demand

    @property
    def terms(self) -> Sequence[Terms]:
        slot = self._slot
        return [Terms(slot.revision, terms.final_minor, slot.currency, slot.on_sale, None) for terms in self._chosen()]

    def draw_anew(self) -> None:
        """Stay: there is no other item that has these places."""

    def claimed(self) -> list[Key]:
        return [self._slot.key]

    def changes(self, _: Holding) -> Iterable[CounterChange]:
        yield acquire(self._slot.key, self._pax, self._slot.revision)

    def learn(self, seen: Mapping[Key, RawItem], asked_at: int) -> Fault | None:
        """Learn from the item that the condition saw: other terms than believed, or too few places."""
        raw = seen[self._slot.key]
        if not raw:
            return self._unknown()
        self._slot = self._learn(raw, asked_at)
        return self._impossible(self._slot, asked_at) or self._short(self._slot, asked_at)

    def look_again(self) -> Fault | None:
        now = self._engine.clock.now()
        slot = self._refresh()
        if slot is None:
            return self._unknown()
        self._slot = slot
        return self._impossible(slot, now)

    def watched(self) -> list[Key]:
        return self.claimed()

    def missing(self, items: Mapping[Key, RawItem], now: int) -> Fault | None:
        raw = items.get(self._slot.key)
        if raw is None:
            return self._unknown()
        slot = self._learn(raw, now)
        return self._impossible(slot, now) or self._short(slot, now)

    def known_missing(self, now: int) -> Fault | None:
        memory = self._engine.memory
        refused = memory.refuses(self._remembered_as(""), self.line.quantity, now) or any(
            memory.refuses(self._remembered_as(pax_type), places, now) for pax_type, places in self._pax.items()
        )
        return self._not_that_many() if refused else None

    def clashes(self, _: Demand) -> bool:
        """Return that it never does: lines of one slot are one line."""
        return False

    def make_room(self, _: Sequence[Demand]) -> None:
        """Do nothing: places of a slot are all alike."""

    def over_limit(self, most: int) -> Fault:
        return Fault(self.line.field, f"One user may have at most {most} of these.", "limit_exceeded")

    def counted(self) -> int:
        return 0

    def counted_back(self) -> int:
        return 0

    def stored(self) -> list[LineMap]:
        return [
            LineMap(
                kind=self.line.kind,
                experience_id=self.line.experience_id,
                date=self.line.date,
                slot_id=self.line.slot_id,
                pax_type=terms.type,
                quantity=self._pax[terms.type],
                unit_price_minor=terms.final_minor,
                currency=self._slot.currency,
                counted=False,
            )
            for terms in self._chosen()
        ]

    def allocation(self) -> dict[str, int]:
        return {pool: line.quantity for line in self.stored() if (pool := line.pool) is not None}

    def units(self) -> list[str]:
        return []

    def spans(self) -> list[SpanMap]:
        return []

    def _chosen(self) -> list[PaxTerms]:
        found = (self._slot.terms_of(pax_type) for pax_type in self._pax)
        return [terms for terms in found if terms is not None]

    def _impossible(self, slot: Slot, now: int) -> Fault | None:
        """Return why the line cannot be had of a slot on these terms at `now` (ms), however many places there are."""
        if not slot.on_sale:
            return self._fault("not_on_sale", "This is not on sale.")
        if slot.starts_at <= now:
            return self._fault("slot_begun", "This has begun already.")
        for pax_type, places in self._pax.items():
            terms = slot.terms_of(pax_type)
            if terms is None:
                return self._fault("pax_type_unknown", "There is no such pax type here.")
            if places < terms.minimum:
                return self._fault("pax_below_minimum", f"At least {terms.minimum} of {terms.name} are taken at once.")
            if places > terms.maximum:
                return self._fault("pax_above_maximum", f"At most {terms.maximum} of {terms.name} are taken at once.")
        return None

    def _short(self, slot: Slot, seen_at: int) -> Fault | None:
        """Return that slot or pax types had too few places at `seen_at` (ms), and remember how many; None if enough."""
        left = {"": max(0, slot.whole.available)} | {pax_type: slot.left(pax_type) for pax_type in self._pax}
        wanted = {"": self.line.quantity} | self._pax
        lacking = [name for name, places in wanted.items() if places > left[name]]
        for name in lacking:
            self._engine.memory.remember(self._remembered_as(name), left[name], seen_at)
        return self._not_that_many() if lacking else None

    def _remembered_as(self, pax_type: str) -> str:
        return f"{self._slot.key.pk}/{self._slot.key.sk}/{pax_type}"

    def _not_that_many(self) -> Fault:
        return self._fault("insufficient_stock", "There are not that many places left.")

    def _unknown(self) -> Fault:
        return self._fault("slot_not_found", "There is no such slot.")

    def _fault(self, code: str, message: str) -> Fault:
        return Fault(self.line.field, message, code)
