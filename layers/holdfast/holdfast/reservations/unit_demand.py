"""A wish for things that exist once, named or to be chosen, through all attempts to take them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.claims.terms import Terms, terms_of
from holdfast.claims.unit import UnitChange, acquire, is_free
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.errors import Fault
from holdfast.platform.items import LineMap, SpanMap, UnitItem
from holdfast.platform.tables import Key, claim_name
from holdfast.reservations.engine import Demand, Holding, LineRequest, Opening


@dataclass(frozen=True)
class Wanted:
    """A unit that is wanted, the terms believed in, and the line that names it."""

    key: Key
    terms: Terms
    line: LineRequest


@dataclass(frozen=True)
class Wording:
    """What a room calls its units being taken and not being there: codes, and sentences for people."""

    taken: str
    taken_sentence: str
    unknown: str
    unknown_sentence: str


Choose = Callable[[frozenset[Key]], Sequence[Wanted] | Fault]
"""Returns units that are free as read after the call, none of those given, or the proof that there are not enough."""


class UnitDemand:
    """The units wanted. With `choose` there is a choice, and what was lost to another is chosen anew."""

    def __init__(
        self,
        opening: Opening,
        line: LineRequest,
        units: Sequence[Wanted],
        wording: Wording,
        choose: Choose | None = None,
    ) -> None:
        self.line = line
        self.unsettled = False
        self._opening = opening
        self._units = list(units)
        self._wording = wording
        self._choose = choose
        self._avoided: frozenset[Key] = frozenset()

    @property
    def terms(self) -> Sequence[Terms]:
        return [unit.terms for unit in self._units]

    def draw_anew(self) -> None:
        """Stay: a unit that another is just writing shows whose it is once that is done."""

    def claimed(self) -> list[Key]:
        return [unit.key for unit in self._units]

    def changes(self, holding: Holding) -> Iterable[UnitChange]:
        for unit in self._units:
            yield acquire(unit.key, holding.holder, holding.now, holding.until, unit.terms.revision)

    def learn(self, seen: Mapping[Key, RawItem], asked_at: int) -> Fault | None:
        """Learn from the units that conditions saw: other terms than believed, another holder, nothing there."""
        is_lost = False
        fault = None
        for place, unit in enumerate(self._units):
            if unit.key not in seen:
                continue
            found = read(UnitItem, seen[unit.key]) if seen[unit.key] else None
            if found is None or not is_free(found, asked_at):
                is_lost = True
                fault = fault or (self._unknown() if found is None else self._taken())
            else:
                self._units[place] = replace(unit, terms=terms_of(found), line=replace(unit.line, title=found.title))
                fault = fault or (None if found.on_sale else self._not_on_sale())
        return fault if self._choose is None or not is_lost else self._choose_anew()

    def look_again(self) -> Fault | None:
        """Believe what the units themselves say now."""
        items = self._opening.engine.store.batch_get(self.claimed())
        return self.learn({key: items.get(key, {}) for key in self.claimed()}, self._opening.engine.clock.now())

    def watched(self) -> list[Key]:
        return self.claimed() if self._choose is None else []

    def missing(self, items: Mapping[Key, RawItem], now: int) -> Fault | None:
        for key in self.watched():
            if key not in items:
                return self._unknown()
            unit = read(UnitItem, items[key])
            if not is_free(unit, now):
                return self._taken()
            if not unit.on_sale:
                return self._not_on_sale()
        return None

    def known_missing(self, _: int) -> Fault | None:
        """Return that units are not on sale, if they say so themselves; no other memory is kept of them."""
        return None if all(unit.terms.on_sale for unit in self._units) else self.look_again()

    def clashes(self, earlier: Demand) -> bool:
        """Return whether both name the same unit; one that was only chosen gives way."""
        named = isinstance(earlier, UnitDemand) and self._choose is None and earlier._choose is None
        return named and not set(self.claimed()).isdisjoint(earlier.claimed())

    def make_room(self, others: Sequence[Demand]) -> Fault | None:
        """Choose none of the units that other lines name, now and ever after."""
        self._avoided = frozenset(key for other in others for key in other.claimed())
        if self._choose is None or self._avoided.isdisjoint(self.claimed()):
            return None
        return self._choose_anew()

    def over_limit(self, most: int) -> Fault:
        return Fault(self.line.field, f"One user may have at most {most} of these.", "limit_exceeded")

    def counted(self) -> int:
        return sum(unit.terms.max_per_user is not None for unit in self._units)

    def counted_back(self) -> int:
        return 0

    def stored(self) -> list[LineMap]:
        return [unit.line.stored(unit.terms) for unit in self._units]

    def allocation(self) -> dict[str, int]:
        return {}

    def units(self) -> list[str]:
        return [claim_name(unit.key) for unit in self._units]

    def spans(self) -> list[SpanMap]:
        return []

    def _choose_anew(self) -> Fault | None:
        assert self._choose is not None
        chosen = self._choose(self._avoided)
        if isinstance(chosen, Fault):
            return chosen
        self._units = list(chosen)
        return None

    def _taken(self) -> Fault:
        return Fault(self.line.field, self._wording.taken_sentence, self._wording.taken)

    def _unknown(self) -> Fault:
        return Fault(self.line.field, self._wording.unknown_sentence, self._wording.unknown)

    def _not_on_sale(self) -> Fault:
        return Fault(self.line.field, "This is not on sale.", "not_on_sale")
