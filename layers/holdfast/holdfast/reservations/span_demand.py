"""A wish for a span of a calendar, through all attempts to take it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from holdfast.claims.span import MAX_DAYS, Day, DayChange, Entry, Span, days_of, full, read_day
from holdfast.claims.terms import Terms
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import Fault
from holdfast.platform.items import LineMap, SpanMap
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Demand, Holding, LineRequest, Opening


class SpanDemand:
    """The days that the span touches, as last seen; turnaround times are part of the span (PROTOCOL.md 17)."""

    def __init__(
        self, opening: Opening, line: LineRequest, calendar: str, span: Span, terms: Terms, days: Sequence[Day]
    ) -> None:
        self.line = line
        self.unsettled = False
        self._terms = terms
        self._calendar = calendar
        self._span = span
        self._now = opening.now
        self._days = {day.key: day for day in days}
        self._adding = dict.fromkeys(self._days, 1)

    @classmethod
    def of(
        cls,
        opening: Opening,
        line: LineRequest,
        calendar: str,
        span: Span,
        terms: Terms,
        items: Mapping[Key, RawItem],
    ) -> "SpanDemand | Fault":
        """Return the demand, or why it cannot be met as `items`, what was read of the calendar, stand."""
        dates = days_of(span)
        if len(dates) > MAX_DAYS:
            return Fault(line.field, f"At most {MAX_DAYS} days, turnaround included, can be taken at once.", "too_long")
        keys = [opening.keys.day(calendar, date) for date in dates]
        demand = cls(opening, line, calendar, span, terms, [read_day(key, items.get(key)) for key in keys])
        return demand.missing(items, opening.now) or demand

    @property
    def terms(self) -> Sequence[Terms]:
        return [self._terms]

    def draw_anew(self) -> None:
        """Stay: there is no other time that would do as well."""

    def claimed(self) -> list[Key]:
        return list(self._days)

    def changes(self, holding: Holding) -> Iterable[DayChange]:
        entry = Entry(*self._span, holding.until)
        name = entry_name(holding.holder, self._span.start)
        for day in self._days.values():
            yield DayChange(day, holding.now, {name: entry})

    def learn(self, seen: Mapping[Key, RawItem], asked_at: int) -> Fault | None:
        """Look at the days again that others wrote meanwhile: what does not overlap is not in the way."""
        return self.missing(seen, asked_at)

    def look_again(self) -> None:
        """Do nothing: what a venue costs was read with its days, moments ago."""

    def watched(self) -> list[Key]:
        return self.claimed()

    def missing(self, items: Mapping[Key, RawItem], now: int) -> Fault | None:
        for key in self._days:
            if key in items:
                self._days[key] = read_day(key, items[key])
        if any(day.clashes(self._span, now) for day in self._days.values()):
            return Fault(self.line.field, "That time is not free.", "time_conflict")
        return self._full(now)

    def known_missing(self, _: int) -> None:
        """Return nothing: no memory is kept of calendars."""

    def clashes(self, earlier: Demand) -> bool:
        return isinstance(earlier, SpanDemand) and (
            earlier._calendar == self._calendar and earlier._span.overlaps(self._span)
        )

    def make_room(self, others: Sequence[Demand]) -> Fault | None:
        """Count the other lines that add to the same days."""
        claimed = Counter(key for other in others for key in other.claimed())
        self._adding = {key: 1 + claimed[key] for key in self._days}
        return self._full(self._now)

    def over_limit(self, most: int) -> Fault:
        return Fault(self.line.field, f"One user may have at most {most} of these.", "limit_exceeded")

    def counted(self) -> int:
        return 0

    def counted_back(self) -> int:
        return 0

    def stored(self) -> list[LineMap]:
        return [self.line.stored(self._terms)]

    def allocation(self) -> dict[str, int]:
        return {}

    def units(self) -> list[str]:
        return []

    def spans(self) -> list[SpanMap]:
        return [SpanMap(calendar=self._calendar, start=self._span.start, end=self._span.end)]

    def _full(self, now: int) -> Fault | None:
        if any(full(day, now, self._adding[key]) for key, day in self._days.items()):
            return Fault(self.line.field, "That day has as many bookings as a calendar keeps.", "calendar_full")
        return None


def entry_name(holder: str, start: int) -> str:
    """Return the id of the entry that a reservation has of its span from `start` (ms): no two of its spans overlap."""
    return f"{holder}~{start}"
