"""Rooms without a catalogue: any calendar is a hall that costs the same at any time, and seats are known by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.claims.span import Span, days_of
from holdfast.claims.terms import Terms
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import Fault
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import LineRequest, Opening
from holdfast.reservations.span_demand import SpanDemand
from holdfast.reservations.unit_demand import UnitDemand, Wanted, Wording

HALL_TERMS = Terms(1, 9_000, "USD", True, None)
SEAT_TERMS = Terms(1, 500, "USD", True, None)


@dataclass
class AnyHall:
    """Lines of kind `venue`; `before` and `after` are the turnaround times, in ms."""

    before: int = 0
    after: int = 0

    def wants(self, tenant: str, line: LineRequest, _: int) -> Sequence[Key]:
        """Return the days that the line touches."""
        assert line.venue_id is not None
        return [Keys(tenant).day(line.venue_id, date) for date in days_of(self._blocked(line))]

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> SpanDemand | Fault:
        """Return the line as a demand, turnaround times included."""
        assert line.venue_id is not None
        return SpanDemand.of(opening, line, line.venue_id, self._blocked(line), HALL_TERMS, items)

    def _blocked(self, line: LineRequest) -> Span:
        assert line.start is not None
        assert line.end is not None
        return Span(line.start - self.before, line.end + self.after)


@dataclass
class AnySeat:
    """Lines of kind `seat`, whose terms are believed to be these until the seat itself says otherwise."""

    terms: Terms = SEAT_TERMS

    def wants(self, tenant: str, line: LineRequest, _: int) -> Sequence[Key]:
        """Return nothing: what is to be known of seats is known."""
        return []

    def demand(self, opening: Opening, line: LineRequest, _: Mapping[Key, RawItem]) -> UnitDemand:
        """Return the seat as a demand, whether it exists or not."""
        key = opening.keys.seat(line.event_id or "", line.ticket_type_id or "", 0, line.row or "", line.seat or "")
        words = Wording("seat_taken", "This seat is taken.", "seat_not_found", "There is no such seat.")
        return UnitDemand(opening, line, [Wanted(key, self.terms, line)], words)
