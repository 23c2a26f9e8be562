"""Suggested alternatives: as long, free, near, never too soon."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.alternatives import DAYS_AHEAD, MOST, Turnaround, suggest
from holdfast.catalogue.halls.settings import HOUR, MINUTE
from holdfast.claims.span import Span

BERLIN = ZoneInfo("Europe/Berlin")
NONE = Turnaround()


def local(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=BERLIN)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def span(day: str, start: str, end: str) -> Span:
    return Span(local(f"{day}T{start}"), local(f"{day}T{end}"))


def starts(busy: list[Span], wanted: Span, turnaround: Turnaround = NONE, earliest: int = 0) -> list[str]:
    found = suggest(busy, wanted, turnaround, earliest, BERLIN)
    zoned = (datetime.fromtimestamp(one.span.start / 1000, BERLIN) for one in found)
    return [f"{moment:%m-%d %H:%M}" for moment in zoned]


def test_the_nearest_before_and_after_on_the_same_day_then_the_same_time_on_the_next() -> None:
    taken = span("2027-03-01", "18:00", "22:00")
    assert starts([taken], span("2027-03-01", "19:00", "21:00")) == [
        "03-01 16:00",
        "03-01 22:00",
        "03-02 19:00",
        "03-03 19:00",
        "03-04 19:00",
        "03-05 19:00",
    ]


def test_a_next_day_that_is_taken_too_offers_what_is_nearest_on_it() -> None:
    busy = [span("2027-03-01", "00:00", "23:59"), span("2027-03-02", "19:30", "20:00")]
    assert starts(busy, span("2027-03-01", "19:00", "21:00"))[:3] == ["03-01 23:59", "03-02 20:00", "03-02 17:30"]


def test_turnaround_is_kept_before_and_after() -> None:
    taken = span("2027-03-01", "18:00", "22:00")
    turnaround = Turnaround(before=HOUR, after=30 * MINUTE)
    assert starts([taken], span("2027-03-01", "19:00", "21:00"), turnaround)[:2] == ["03-01 15:30", "03-01 23:00"]


def test_a_gap_that_fits_exactly_is_offered() -> None:
    busy = [span("2027-03-01", "08:00", "10:00"), span("2027-03-01", "12:00", "23:00")]
    assert starts(busy, span("2027-03-01", "11:00", "13:00"))[0] == "03-01 10:00"


def test_nothing_is_offered_before_the_lead_time_and_from_then_on_by_full_quarters() -> None:
    wanted = span("2027-03-01", "09:00", "11:00")
    assert starts([], wanted, earliest=local("2027-03-01T10:01"))[:2] == ["03-01 10:15", "03-02 09:00"]


def test_whole_calendar_days_are_said_to_be_full() -> None:
    wanted = Span(local("2027-03-01T00:00"), local("2027-03-02T00:00"))
    found = suggest([wanted], wanted, NONE, 0, BERLIN)
    assert [(moments.local_day(one.span.start, BERLIN).day, one.is_full_day) for one in found] == [
        (day, True) for day in range(2, 8)
    ]
    assert not suggest([wanted], Span(wanted.start, wanted.end - 1), NONE, 0, BERLIN)[0].is_full_day


def test_the_same_time_of_day_stays_so_when_clocks_are_moved() -> None:
    taken = span("2027-03-27", "18:00", "22:00")
    assert starts([taken], span("2027-03-27", "18:00", "22:00"))[2:4] == ["03-28 18:00", "03-29 18:00"]


def test_a_venue_that_is_taken_throughout_has_no_alternative() -> None:
    busy = [Span(0, local("2028-01-01T00:00"))]
    assert starts(busy, span("2027-03-01", "19:00", "21:00")) == []


TIMES = st.integers(0, 20 * 24 * 12).map(lambda number: local("2027-03-20T00:00") + number * 5 * MINUTE)
SPANS = st.builds(lambda start, minutes: Span(start, start + minutes * MINUTE), TIMES, st.integers(1, 30 * 60))
TURNAROUNDS = st.builds(Turnaround, st.integers(0, 12 * HOUR), st.integers(0, 12 * HOUR))


@given(st.lists(SPANS, max_size=12), SPANS, TURNAROUNDS, TIMES)
def test_what_is_suggested_can_be_had(busy: list[Span], wanted: Span, turnaround: Turnaround, earliest: int) -> None:
    """As long, free with its turnaround, never too soon, on the day or after it, no more than six."""
    found = suggest(busy, wanted, turnaround, earliest, BERLIN)
    first = moments.local_day(wanted.start, BERLIN)
    assert len(found) <= MOST
    assert len({one.span for one in found}) == len(found)
    for one in found:
        assert one.span.end - one.span.start == wanted.end - wanted.start
        assert one.span != wanted
        assert not any(turnaround.around(one.span).overlaps(taken) for taken in busy)
        assert one.span.start >= earliest
        assert timedelta(0) <= moments.local_day(one.span.start, BERLIN) - first <= timedelta(days=DAYS_AHEAD)


@given(st.lists(SPANS, max_size=6), SPANS, TURNAROUNDS)
def test_no_nearer_time_of_the_same_day_was_overlooked(busy: list[Span], wanted: Span, turnaround: Turnaround) -> None:
    """Against a plain search over every five minutes of the day."""
    if not any(turnaround.around(wanted).overlaps(taken) for taken in busy):
        return
    day = moments.local_day(wanted.start, BERLIN)
    found = [one.span.start for one in suggest(busy, wanted, turnaround, 0, BERLIN)]
    here = [start for start in found if moments.local_day(start, BERLIN) == day]
    length = wanted.end - wanted.start
    for start in range(moments.starts(day, BERLIN), moments.starts(day + timedelta(days=1), BERLIN), 5 * MINUTE):
        if any(turnaround.around(Span(start, start + length)).overlaps(taken) for taken in busy):
            continue
        side = [other for other in here if (other < wanted.start) == (start < wanted.start)]
        assert side, "one is free on this side"
        assert abs(side[0] - wanted.start) <= abs(start - wanted.start)
