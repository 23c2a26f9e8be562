"""A halls room without a catalogue: any calendar is a hall, any time will do, and it always costs the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.claims.span import Span, days_of
from holdfast.claims.terms import Terms
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import Fault
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import LineRequest, Opening
from holdfast.reservations.span_demand import SpanDemand

HALL_TERMS = Terms(1, 9_000, "USD", True, None)


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
