"""Blackouts on DynamoDB Local: written day by day, never half of one left for good (PROTOCOL.md 17)."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from holdfast.catalogue.halls import blackout_steps, blackouts, venues
from holdfast.catalogue.halls.blackout_steps import Blackout
from holdfast.catalogue.halls.calendar import blackout_entry, read_days
from holdfast.catalogue.halls.lines import VenueRoom
from holdfast.catalogue.halls.settings import DAY, HOUR, VenueSettings
from holdfast.catalogue.halls.venues import NewVenue
from holdfast.claims.span import MAX_ENTRIES, DayChange, Entry, Span, days_of, read_day
from holdfast.platform.errors import BlackoutNotFound, Busy, HoldfastError, IdempotencyKeyReused, Refused, TimeConflict
from holdfast.platform.items import BlackoutItem, ReservationItem
from holdfast.reservations import ending
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.holding import HoldRequest, hold
from tests.engine.faults import (
    Call,
    Calls,
    Crash,
    conflict,
    crash_after,
    crash_before,
    meanwhile,
    silence_after,
    throttled,
)
from tests.engine.shop import START, Shop

DAYS = 5
BLACKOUT = Blackout(START + 30 * DAY, START + (30 + DAYS) * DAY, "New floor", is_maintenance=False)
SPAN = Span(BLACKOUT.start, BLACKOUT.end)
LATE = BLACKOUT.start + 4 * DAY
"""On the days of the last step."""

CRASHES = pytest.mark.parametrize("crash", [crash_before, crash_after])


@pytest.fixture(autouse=True)
def _two_days_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackout_steps, "CHUNK", 2)


@pytest.fixture(autouse=True)
def _hall(shop: Shop) -> None:
    settings = VenueSettings(turnaround_after_minutes=60)
    venues.create(shop.engine, shop.tenant, NewVenue("Hall", "Here", 9, 100, "EUR", "UTC", None, settings), None)


def impose(shop: Shop, wanted: Blackout = BLACKOUT, key: str | None = "k") -> BlackoutItem:
    return blackouts.impose(shop.engine, shop.tenant, "1", wanted, "key-1", key)


def book(shop: Shop, start: int, user: str = "alice", key: str | None = None) -> ReservationItem:
    line = LineRequest("venue", "items.0", venue_id="1", start=start, end=start + 2 * HOUR)
    request = HoldRequest(shop.tenant, user, "reservations", key or f"{user}/{start}", "hash", [line])
    return hold(shop.engine, lambda _: VenueRoom(), request)


def entries(shop: Shop) -> dict[str, set[str]]:
    """Return the ids of the entries of each day that has any."""
    days = read_days(shop.store, shop.keys, "1", Span(START, START + 500 * DAY))
    return {day.key.sk: set(day.entries) for day in days if day.entries}


def items(shop: Shop) -> list[BlackoutItem]:
    return [BlackoutItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.blackouts("1")).items]


def finish(shop: Shop) -> None:
    """Do what the sweeper does about every blackout that is due."""
    shop.clock.forward(60_000)
    for bucket in range(16):
        keys, _ = shop.store.query_due(bucket, shop.clock.now())
        for key in keys:
            if key.pk == shop.keys.blackouts("1"):
                blackouts.resume(shop.engine, key)


def assert_whole(shop: Shop, item: BlackoutItem) -> None:
    assert item.status == "standing"
    assert item.due is None
    assert item.due_bucket is None
    assert [date for date, names in entries(shop).items() if blackout_entry(item.key.sk) in names] == days_of(SPAN)


def assert_stands(shop: Shop) -> None:
    """Check that there is one blackout, on all of its days, and nothing beside it."""
    [item] = items(shop)
    assert_whole(shop, item)
    assert entries(shop) == {date: {blackout_entry(item.key.sk)} for date in days_of(SPAN)}


def assert_no_blackout(shop: Shop) -> None:
    """Check that no blackout, and no day of one, is left."""
    assert items(shop) == []
    assert not any(name.startswith("b-") for names in entries(shop).values() for name in names)


def calls_of(shop: Shop, calls: Calls, act: Callable[[], object]) -> int:
    """Return how many calls something makes that goes well."""
    calls.clear()
    act()
    return len(calls.made)


def test_rule_17_a_blackout_of_a_year_is_whole_on_each_of_its_days(
    shop: Shop, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    year = Blackout(START + 7 * HOUR, START + 7 * HOUR + 366 * DAY, "Closed", is_maintenance=True)
    item = impose(shop, year)
    assert item.status == "standing"
    assert set(entries(shop)) == set(days_of(Span(year.start, year.end)))
    assert len(calls.transactions) == 15, "25 days at a time"
    day = read_day(shop.keys.day("1", "2024-06-01"), shop.store.get_raw(shop.keys.day("1", "2024-06-01")))
    assert set(day.entries.values()) == {Entry(year.start, year.end, None)}
    with pytest.raises(Refused):
        book(shop, START + 200 * DAY)


@CRASHES
def test_rule_17_a_crash_at_any_step_is_finished_by_the_same_request(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, object]]
) -> None:
    steps = calls_of(shop, calls, lambda: impose(shop))
    for step in range(steps):
        blackouts.lift(shop.engine, shop.tenant, "1", items(shop)[0].key.sk)
        calls.trouble(crash, skip=step)
        with pytest.raises(Crash):
            impose(shop, key=f"k{step}")
        calls.clear()
        made = impose(shop, key=f"k{step}")
        assert_stands(shop)
        assert impose(shop, key=f"k{step}").key == made.key


@CRASHES
def test_rule_17_a_crash_at_any_step_is_finished_by_the_sweeper(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, object]]
) -> None:
    """With no key to repeat it under: then there is all of it, or, before anything was written, nothing."""
    steps = calls_of(shop, calls, lambda: impose(shop, key=None))
    seen = set()
    for step in range(steps):
        for item in items(shop):
            blackouts.lift(shop.engine, shop.tenant, "1", item.key.sk)
        calls.trouble(crash, skip=step)
        with pytest.raises(Crash):
            impose(shop, key=None)
        calls.clear()
        finish(shop)
        seen.add(len(items(shop)))
        assert_stands(shop) if items(shop) else assert_no_blackout(shop)
    assert seen == {0, 1}


@CRASHES
def test_rule_17_a_crash_at_any_step_of_lifting_is_finished_by_the_sweeper(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, object]]
) -> None:
    first = impose(shop)
    steps = calls_of(shop, calls, lambda: blackouts.lift(shop.engine, shop.tenant, "1", first.key.sk))
    for step in range(steps):
        item = impose(shop, key=f"k{step}")
        calls.clear()
        calls.trouble(crash, skip=step)
        with pytest.raises(Crash):
            blackouts.lift(shop.engine, shop.tenant, "1", item.key.sk)
        calls.clear()
        finish(shop)
        if items(shop):
            assert_stands(shop)
            blackouts.lift(shop.engine, shop.tenant, "1", item.key.sk)
        assert_no_blackout(shop)


def test_rule_17_a_booking_that_was_faster_on_a_later_day_turns_the_blackout_back(shop: Shop, calls: Calls) -> None:
    taken: list[ReservationItem] = []
    calls.trouble(meanwhile(lambda: taken.append(book(shop, LATE))), "TransactWriteItems", skip=1)
    with pytest.raises(TimeConflict):
        impose(shop)
    assert len(taken) == 1
    assert items(shop) == []
    assert {name[:2] for names in entries(shop).values() for name in names} == {"r-"}
    ending.cancel(shop.engine, taken[0].key)
    assert impose(shop).status == "standing", "a refusal is not remembered"
    assert_stands(shop)


@CRASHES
def test_rule_17_a_crash_at_any_step_of_turning_back_leaves_no_half_blackout(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, object]]
) -> None:
    """Whoever finishes it, the calendar has the booking and nothing else."""

    def race(key: str, user: str, broken_at: int | None) -> None:
        """Book before the second transaction, and break off at a call."""
        numbers, transactions = count(), count()

        def happens(call: Call) -> dict[str, object]:
            if call.operation == "TransactWriteItems" and next(transactions) == 1:
                book(shop, LATE, user)
            return crash(call) if next(numbers) == broken_at else call.make()

        calls.clear()
        calls.trouble(happens, times=100)
        try:
            impose(shop, key=key)
        finally:
            steps.append(next(numbers))
            calls.clear()

    steps: list[int] = []
    with pytest.raises(TimeConflict):
        race("k", "alice", None)
    assert_no_blackout(shop)
    assert steps[0] > 10
    for step in range(steps[0]):
        shop.clock.forward(3_600_000)
        with pytest.raises(Crash):
            race(f"k{step}", f"user{step}", step)
        finish(shop)
        for item in items(shop):
            assert_whole(shop, item)
            blackouts.lift(shop.engine, shop.tenant, "1", item.key.sk)
        assert_no_blackout(shop)


def test_rule_17_a_blackout_that_was_faster_refuses_the_booking(shop: Shop, calls: Calls) -> None:
    calls.trouble(meanwhile(lambda: impose(shop)), "TransactWriteItems")
    with pytest.raises(Refused) as refused:
        book(shop, LATE)
    assert [fault.code for fault in refused.value.faults] == ["time_conflict"]
    assert_stands(shop)


@pytest.mark.parametrize("seed", range(3))
def test_rule_17_a_blackout_and_bookings_at_once_are_never_both_there(shop: Shop, seed: int) -> None:
    """Whoever wins: a blackout stands over no live booking, and one that was refused has left nothing."""
    chance = random.Random(seed)
    starts = [BLACKOUT.start + chance.randrange(DAYS) * DAY for _ in range(12)]

    def take(number: int) -> bool:
        try:
            if number == 6:
                impose(shop.another())
            else:
                book(shop.another(), starts[number], f"user{number}")
        except (TimeConflict, Refused, Busy):
            return False
        return True

    order = chance.sample(range(12), 12)
    with ThreadPoolExecutor(12) as pool:
        taken = dict(zip(order, pool.map(take, order), strict=True))
    finish(shop)
    booked = {name for names in entries(shop).values() for name in names if not name.startswith("b-")}
    if items(shop):
        assert_stands(shop)
        assert not booked
    else:
        assert booked
        assert_no_blackout(shop)
    assert any(taken.values())


@pytest.mark.parametrize("step", [1, 2])
def test_a_blackout_that_is_lifted_while_it_is_written_leaves_nothing(shop: Shop, calls: Calls, step: int) -> None:
    """Rule 17: its writer, who read it before, adds no day, does not bring it back, and blames no booking for it."""

    def lift() -> None:
        blackouts.lift(shop.engine, shop.tenant, "1", items(shop)[0].key.sk)

    calls.trouble(meanwhile(lift), "TransactWriteItems", skip=step)
    with pytest.raises(Busy):
        impose(shop)
    assert_no_blackout(shop)
    assert impose(shop).status == "standing"
    assert_stands(shop)


def test_two_who_take_up_the_same_blackout_bring_it_to_its_end_once(shop: Shop, calls: Calls) -> None:
    """Rule 17: a request and the sweeper, step by step in each other's way."""
    for step in range(3):
        calls.trouble(meanwhile(lambda: finish(shop)), "TransactWriteItems", skip=step)
        made = impose(shop, key=f"k{step}")
        assert_stands(shop)
        calls.clear()
        calls.trouble(meanwhile(lambda: finish(shop)), "TransactWriteItems", skip=step)
        blackouts.lift(shop.engine, shop.tenant, "1", made.key.sk)
        assert_no_blackout(shop)
        calls.clear()


def test_twins_make_one_blackout(shop: Shop) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: impose(shop.another()).key, range(4)))
    assert len(set(made)) == 1
    assert_stands(shop)


def test_a_key_is_the_callers_own_and_another_blackout_is_422(shop: Shop) -> None:
    first = impose(shop)
    other = Blackout(BLACKOUT.start, BLACKOUT.end, "Another reason", is_maintenance=False)
    with pytest.raises(IdempotencyKeyReused):
        impose(shop, other)
    second = blackouts.impose(shop.engine, shop.tenant, "1", other, "key-2", "k")
    assert second.key != first.key


def test_another_body_under_the_key_of_one_that_broke_off_is_422(shop: Shop, calls: Calls) -> None:
    calls.trouble(crash_before, "TransactWriteItems")
    with pytest.raises(Crash):
        impose(shop)
    with pytest.raises(IdempotencyKeyReused):
        impose(shop, Blackout(BLACKOUT.start, BLACKOUT.end, "Another reason", is_maintenance=False))


def test_a_lapsed_hold_is_in_nobodys_way_and_a_live_ones_turnaround_is(shop: Shop) -> None:
    record = book(shop, BLACKOUT.start - 3 * HOUR + 1)
    with pytest.raises(TimeConflict):
        impose(shop)
    shop.clock.forward(record.expires_at - shop.clock.now() - 1)
    with pytest.raises(TimeConflict):
        impose(shop)
    shop.clock.forward(1)
    assert impose(shop).status == "standing"
    assert_stands(shop)


def test_a_day_that_has_as_many_entries_as_a_calendar_keeps_refuses_a_blackout(shop: Shop) -> None:
    key = shop.keys.day("1", days_of(SPAN)[3])
    many = {f"b-{number}": Entry(BLACKOUT.start, BLACKOUT.end, None) for number in range(MAX_ENTRIES)}
    shop.store.write(DayChange(read_day(key, None), START, many).write())
    with pytest.raises(TimeConflict):
        impose(shop)
    assert items(shop) == []


@pytest.mark.parametrize("weather", [conflict, throttled, silence_after])
def test_trouble_at_any_step_is_got_over(
    shop: Shop, calls: Calls, weather: Callable[[Call], dict[str, object]]
) -> None:
    """A conflict, a throttle, a lost answer (which a client answers by asking again)."""
    steps = calls_of(shop, calls, lambda: impose(shop))
    for step in range(steps):
        blackouts.lift(shop.engine, shop.tenant, "1", items(shop)[0].key.sk)
        calls.clear()
        calls.trouble(weather, skip=step)
        try:
            impose(shop, key=f"k{step}")
        except HoldfastError:
            impose(shop, key=f"k{step}")
        assert_stands(shop)


def test_a_conflict_that_does_not_end_is_busy_and_the_sweeper_finishes(shop: Shop, calls: Calls) -> None:
    calls.trouble(conflict, "TransactWriteItems", times=8)
    with pytest.raises(Busy):
        impose(shop)
    finish(shop)
    assert_stands(shop)


def test_lifting_what_is_not_there_and_resuming_what_is_gone(shop: Shop) -> None:
    item = impose(shop)
    with pytest.raises(BlackoutNotFound):
        blackouts.lift(shop.engine, shop.tenant, "1", "0" * 32)
    with pytest.raises(BlackoutNotFound):
        blackouts.lift(shop.engine, shop.tenant, "2", item.key.sk)
    assert blackouts.resume(shop.engine, item.key) is not None
    blackouts.lift(shop.engine, shop.tenant, "1", item.key.sk)
    assert blackouts.resume(shop.engine, item.key) is None
    assert_no_blackout(shop)


def test_a_blackout_is_due_while_it_is_written_and_not_after(shop: Shop, calls: Calls) -> None:
    calls.trouble(crash_before, "TransactWriteItems", skip=1)
    with pytest.raises(Crash):
        impose(shop)
    [item] = items(shop)
    assert (item.status, item.due) == ("writing", START + 30_000)
    assert item.written_until == days_of(SPAN)[2]
    assert list(entries(shop)) == days_of(SPAN)[:2]
