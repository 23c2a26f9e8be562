"""Other times for a wish that cannot be had: as long, and as near as there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.settings import MINUTE
from holdfast.claims.span import Span

DAYS_AHEAD = 30
"""How many calendar days after the one wished for are looked at."""

MOST = 6
"""Suggestions in one answer."""

_QUARTER = 15 * MINUTE


class Alternative(NamedTuple):
    """A time that is free; `is_full_day` where it is whole calendar days of the venue."""

    span: Span
    is_full_day: bool


@dataclass(frozen=True)
class Turnaround:
    """Time that is kept free `before` and `after` each booking, in ms."""

    before: int = 0
    after: int = 0

    def around(self, span: Span) -> Span:
        """Return the span with its turnaround times."""
        return Span(span.start - self.before, span.end + self.after)


def suggest(
    busy: Sequence[Span], wanted: Span, turnaround: Turnaround, earliest: int, zone: ZoneInfo
) -> list[Alternative]:
    """Return spans as long as `wanted`, free of `busy` with their turnaround, none starting before `earliest` (ms).

    On the calendar day that was wished for, the nearest before and the nearest after; on each day that follows, the
    same time of the day or, where that is taken, the nearest before and after it. At most six, the nearest first.
    `busy` has to be complete from that day's start until `DAYS_AHEAD` days, the length and the turnaround later.
    """
    length = wanted.end - wanted.start
    taken = _forbidden(busy, length, turnaround)
    earliest = -(-earliest // _QUARTER) * _QUARTER
    first = moments.local_day(wanted.start, zone)
    clock = moments.local_time(wanted.start, zone)
    found: list[Alternative] = []
    for number in range(DAYS_AHEAD + 1):
        day = first + timedelta(days=number)
        bounds = Span(max(moments.starts(day, zone), earliest), moments.starts(day + timedelta(days=1), zone))
        near = wanted.start if number == 0 else moments.at(day, clock, zone)
        starts = _nearest(taken, near, bounds)
        found += [_alternative(Span(start, start + length), zone) for start in starts if start != wanted.start]
        if len(found) >= MOST:
            break
    return found[:MOST]


def whole_days(span: Span, zone: ZoneInfo) -> bool:
    """Return whether a span is whole calendar days of `zone`."""
    return all(moments.starts(moments.local_day(moment, zone), zone) == moment for moment in span)


def _forbidden(busy: Iterable[Span], length: int, turnaround: Turnaround) -> list[Span]:
    """Return, in order and apart, the stretches in which no booking of `length` can start; both ends are free."""
    merged: list[Span] = []
    for span in sorted(busy):
        stretch = Span(span.start - turnaround.after - length, span.end + turnaround.before)
        if merged and stretch.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, stretch.end))
        else:
            merged.append(stretch)
    return merged


def _nearest(taken: Sequence[Span], near: int, bounds: Span) -> list[int]:
    """Return the starts within `bounds` that are nearest to `near`: itself, or one on either side of it."""
    inside = next((stretch for stretch in taken if stretch.start < near < stretch.end), Span(near, near))
    starts = dict.fromkeys((inside.start, _later(taken, max(inside.end, bounds.start))))
    allowed = [start for start in starts if bounds.start <= start < bounds.end]
    return sorted(allowed, key=lambda start: abs(start - near))


def _later(taken: Sequence[Span], start: int) -> int:
    """Return the first start that is free, at or after `start`."""
    for stretch in taken:
        if stretch.start < start < stretch.end:
            start = stretch.end
    return start


def _alternative(span: Span, zone: ZoneInfo) -> Alternative:
    return Alternative(span, whole_days(span, zone))
