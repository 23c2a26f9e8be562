"""The limiter's rule by itself: never more than 30 requests in 60 s by the partner's clock, and hardly fewer."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.partners.limiter import (
    CLOSED_FOR,
    CLOSED_FOR_AT_MOST,
    PACE,
    closing_time,
    left,
    next_grant,
)

NOW = 1_700_000_000_000
PARTNERS_LIMIT = 30
PARTNERS_WINDOW = 60_000
ON_THE_WAY = 999
"""Milliseconds for the way to the partner, and for clocks that differ: what is left of the limiter's two seconds."""


class Ask(NamedTuple):
    """Somebody asks for a grant `after` the one before, by a clock that is `wrong`; `late` is how late it is used."""

    after: int
    wrong: int
    late: int
    is_dropped: bool


ASKS = st.lists(
    st.builds(
        Ask,
        after=st.one_of(st.just(0), st.integers(0, 2_500), st.integers(0, 90_000)),
        wrong=st.integers(-300, 300),
        late=st.one_of(st.just(0), st.integers(0, PACE.usable + ON_THE_WAY)),
        is_dropped=st.booleans(),
    ),
    max_size=160,
)


def arrivals(asks: Iterable[Ask]) -> list[int]:
    """Return when the requests arrive at the partner that these asks lead to."""
    grants: list[int] = []
    arrived: list[int] = []
    now = NOW
    for ask in asks:
        now += ask.after
        due = next_grant(grants, now + ask.wrong)
        if due - now > PACE.ahead:
            continue
        grants = [*grants, due][-PACE.limit :]
        if not ask.is_dropped:
            arrived.append(due + ask.late)
    return sorted(arrived)


FIRST_LATE_THEN_PROMPT = [Ask(2_100, 0, PACE.usable + ON_THE_WAY, False), *[Ask(2_100, 0, 0, False)] * 60]
BURSTS_AT_THE_EDGE = [*[Ask(0, 0, 1_000, False)] * 13, Ask(60_000, 0, 0, False), *[Ask(1_900, 0, 0, False)] * 60]


@settings(max_examples=400, deadline=None)
@given(asks=ASKS)
@example(asks=FIRST_LATE_THEN_PROMPT)
@example(asks=BURSTS_AT_THE_EDGE)
def test_rule_19_at_most_30_requests_arrive_in_any_60_seconds(asks: list[Ask]) -> None:
    """Whoever asks whenever, uses a grant up to a second late or not at all, and is a while on the way."""
    arrived = arrivals(asks)
    for first, thirty_later in zip(arrived, arrived[PARTNERS_LIMIT:], strict=False):
        assert thirty_later - first > PARTNERS_WINDOW


@settings(max_examples=200, deadline=None)
@given(asks=ASKS)
def test_rule_19_grants_are_apart_and_never_in_the_past(asks: list[Ask]) -> None:
    """Each is at least 1.9 s after the last and 62 s after the 30th last, and never before it was asked for."""
    granted: list[int] = []
    now = NOW
    for ask in asks:
        now += ask.after
        granted.append(next_grant(granted[-PACE.limit :], now))
        assert granted[-1] >= now
    assert all(later - earlier >= 1_900 for earlier, later in pairwise(granted))
    assert all(later - earlier >= 62_000 for earlier, later in zip(granted, granted[30:], strict=False))


@pytest.mark.parametrize("minutes", [1, 2, 10, 24 * 60])
def test_rule_19_at_least_28_requests_a_minute_while_work_waits(minutes: int) -> None:
    """Of grants that are all used, 30 go into 62 s: 29.03 a minute, and no minute has fewer than 28."""
    grants: list[int] = []
    times: list[int] = []
    while not times or times[-1] < NOW + minutes * 60_000:
        times.append(next_grant(grants, NOW))
        grants = [*grants, times[-1]][-PACE.limit :]
    within = times[:-1]
    assert len(within) >= 28 * minutes
    assert len(within) <= 30 * minutes
    for minute in range(minutes):
        start = NOW + minute * 60_000
        assert sum(start <= time < start + 60_000 for time in within) >= 28


def test_rule_19_one_grant_in_thirty_may_be_dropped_and_28_a_minute_remain() -> None:
    """What the limiter keeps below the partner's limit leaves room for a holder that dies, but not for many."""
    used = PACE.limit - 1
    assert used / PACE.window * 60_000 >= 28
    assert (used - 1) / PACE.window * 60_000 < 28


def test_what_is_left_of_a_window_counts_grants_to_come_as_had() -> None:
    """A grant leaves the window 62 s after its time."""
    assert left([], NOW) == 30
    grants = [NOW - 62_000, NOW - 61_999, NOW, NOW + 5_000]
    assert left(grants, NOW) == 27
    assert left([NOW + 1_900 * number for number in range(30)], NOW) == 0


@pytest.mark.parametrize(
    ("reset_at", "until"),
    [
        (NOW + 1, NOW + 1),
        (NOW + 45_000, NOW + 45_000),
        (NOW + 10 * CLOSED_FOR_AT_MOST, NOW + CLOSED_FOR_AT_MOST),
        (None, NOW + CLOSED_FOR),
        (NOW, NOW + CLOSED_FOR),
        (NOW // 1000, NOW + CLOSED_FOR),
    ],
)
def test_a_429_closes_until_the_partners_reset_or_for_a_whole_window(reset_at: int | None, until: int) -> None:
    """What it does not say, or says of a time that is past, is a window; what it says of next year is an hour."""
    assert closing_time(reset_at, NOW) == until
