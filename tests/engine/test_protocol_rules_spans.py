"""PROTOCOL.md's rules for stretches of time on a calendar: halls. Each test is an interleaving."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.write_units import counted
from holdfast.claims.span import MAX_ENTRIES, midnight
from holdfast.platform.dynamodb import MAX_ACTIONS, Put
from holdfast.platform.errors import HoldTaken, Malformed, ReservationOver, TooManyLines
from holdfast.platform.items import DayItem, ReservationItem
from holdfast.reservations.ending import cancel, confirm, withdraw
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle
from tests.engine.faults import Answer, Call, Calls, conflict, meanwhile, throttled
from tests.engine.shop import HALL, HOUR, ListQueue, ManualClock, Shop, hall, refusal, units

LENGTH = 600_000
FIRST, SECOND, THIRD, FOURTH = "2023-12-01", "2023-12-02", "2023-12-03", "2023-12-04"
MIDNIGHT = midnight(SECOND)
TAKEN = [("items.0", "time_conflict")]


def at(hours: float) -> int:
    """Return the time so many hours after the midnight between the first day and the second."""
    return MIDNIGHT + round(hours * HOUR)


def names(shop: Shop, date: str) -> set[str]:
    """Return the entries that stand on a day."""
    return set(shop.day(date).entries)


def entry(record: ReservationItem) -> str:
    """Return the name of the entry of a reservation of one span."""
    assert record.spans is not None
    return f"{record.id}~{record.spans[0].start}"


def fast(shop: Shop, ahead: int) -> Shop:
    """Return another warm function, whose clock is ahead by so many milliseconds."""
    return Shop(shop.store, ManualClock(shop.clock.now() + ahead), shop.tenant)


def test_rule_02_an_overlap_inside_a_cart_is_refused_before_writing(shop: Shop, calls: Calls) -> None:
    """Rule 2: two lines of one cart overlap, by their turnaround times only: the later one is named."""
    shop.hall.after = HOUR
    with pytest.raises(Malformed) as overlap:
        shop.cart("ann", hall(at(1), at(2)), hall(at(1), at(2), "2"), hall(at(2.5), at(4)))
    assert [(fault.field, fault.code) for fault in overlap.value.faults] == [("items.2", "duplicate")]
    assert calls.transactions == []


def test_rule_02_two_spans_that_meet_on_one_day_are_one_write_of_it(shop: Shop, calls: Calls) -> None:
    """Rule 2: two lines touch the same day: the day is named once, and holds both."""
    held = shop.cart("ann", hall(at(1), at(2)), hall(at(2), at(3)))
    assert [len(call.written) for call in calls.transactions] == [2]
    assert len(shop.day(SECOND).entries) == 2
    for step in (extend(shop.engine, held.key, None, "x"), confirm(shop.engine, held.key)):
        assert step.v > held.v
        assert len(calls.transactions[-1].written) == 2
    shop.audit()
    withdraw(shop.engine, held.key)
    assert shop.day(SECOND).entries == {}


def test_rule_02_over_a_hundred_days_are_refused_before_writing(shop: Shop, calls: Calls) -> None:
    """Rule 2: eleven halls for nine days each leave no room for an order beside them in a transaction; ten do."""
    lines = [hall(at(0), at(9 * 24), str(number)) for number in range(11)]
    with pytest.raises(TooManyLines):
        shop.cart("ann", *lines)
    assert calls.transactions == []
    assert shop.cart("ann", *lines[:10], hall(at(0), at(5 * 24), "10")).status == "held"
    assert len(calls.transactions[0].writes) == MAX_ACTIONS - 4


def test_rule_08_a_hold_that_was_made_without_an_answer_is_made_once(shop: Shop, calls: Calls) -> None:
    """Rule 8: the second attempt finds its own reservation, and does not take its own entry for another's."""

    def made_but_throttled(call: Call) -> Answer:
        call.make()
        return throttled(call)

    calls.trouble(made_but_throttled, "TransactWriteItems")
    held = shop.cart("ann", hall(at(1), at(2)))
    assert names(shop, SECOND) == {entry(held)}
    for step in (lambda: extend(shop.engine, held.key, None, "x"), lambda: confirm(shop.engine, held.key)):
        calls.trouble(made_but_throttled, "TransactWriteItems")
        step()
    calls.trouble(made_but_throttled, "TransactWriteItems")
    assert withdraw(shop.engine, held.key).status == "cancelled"
    assert names(shop, SECOND) == set()
    shop.audit()


def test_rule_10_a_span_is_its_holders_until_the_very_millisecond(shop: Shop) -> None:
    """Rule 10: a millisecond before its time it is in the way; at its time the next taker's write leaves it out."""
    held = shop.cart("ann", hall(at(1), at(5)))
    shop.clock.forward(LENGTH - 1)
    assert refusal(lambda: shop.cart("bob", hall(at(2), at(3)))) == TAKEN
    shop.clock.forward(1)
    taken = shop.cart("bob", hall(at(2), at(3)))
    assert names(shop, SECOND) == {entry(taken)}
    assert shop.stored(held.key).status == "held"
    shop.audit()


def test_rule_11_expiry_never_writes_a_day(shop: Shop, calls: Calls) -> None:
    """Rule 11: a lapsed span needs no write, whether another has the time since or not."""
    held = [shop.cart("ann", hall(at(1), at(2))), shop.cart("ann", hall(at(-1), at(1)))]
    shop.clock.forward(LENGTH)
    shop.cart("bob", hall(at(1), at(2)))
    calls.clear()
    assert handle(shop.engine, ListQueue(), [shop.message(record) for record in held]) == set()
    assert [sorted(call.written) for call in calls.transactions] == [sorted(record.key for record in held)]
    assert cancel(shop.engine, held[0].key).status == "expired"
    shop.audit()


def test_rule_11_cancel_frees_what_is_left_where_another_took_a_day(shop: Shop) -> None:
    """Rule 11: a clock that is ahead gave the middle day away: the other two days are freed, that one is left."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    taken = fast(shop, LENGTH).cart("bob", hall(at(10), at(12)))
    assert cancel(shop.engine, held.key).status == "cancelled"
    assert [names(shop, date) for date in (FIRST, SECOND, THIRD)] == [set(), {entry(taken)}, set()]
    shop.audit()


def test_rule_12_a_late_confirm_sells_a_span_that_nobody_took(shop: Shop) -> None:
    """Rule 12: long past its time, on three days, with nobody there since."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    shop.clock.forward(LENGTH * 2)
    assert confirm(shop.engine, held.key).status == "confirmed"
    shop.clock.forward(LENGTH * 1_000)
    for start in (-1, 10, 25):
        assert refusal(lambda start=start: shop.cart("bob", hall(at(start), at(start + 0.5)))) == TAKEN
    shop.audit()


def test_rule_12_of_a_late_confirm_and_a_taker_the_first_wins(shop: Shop, calls: Calls) -> None:
    """Rule 12: the confirm comes between the taker's read and write: its version is another, the taker looks again."""
    held = shop.cart("ann", hall(at(1), at(2)))
    shop.clock.forward(LENGTH)
    other = shop.another()
    calls.trouble(meanwhile(lambda: confirm(other.engine, held.key)), "TransactWriteItems")
    assert refusal(lambda: shop.cart("bob", hall(at(1), at(2)))) == TAKEN
    assert names(shop, SECOND) == {entry(held)}
    shop.audit()


def test_rule_12_confirm_never_looks_at_the_clock(shop: Shop, calls: Calls) -> None:
    """Rule 12: the time is neither in the condition on the reservation nor in that on a day."""
    held = shop.cart("ann", hall(at(-1), at(1)))
    calls.clear()
    confirm(shop.engine, held.key)
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert str(shop.clock.now()) not in str(calls.transactions[-1].writes)


def test_rule_13_an_extension_reaches_every_day(shop: Shop) -> None:
    """Rule 13: the entry is held as long as the reservation on each of three days; at the old time nobody gets it."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    longer = extend(shop.engine, held.key, None, "request")
    for date in (FIRST, SECOND, THIRD):
        assert {found.held_until for found in shop.day(date).entries.values()} == {longer.expires_at}
    shop.clock.forward(LENGTH)
    for start in (-1, 10, 25):
        assert refusal(lambda start=start: shop.cart("bob", hall(at(start), at(start + 0.5)))) == TAKEN
    shop.audit()


def test_rule_13_an_extension_is_refused_where_one_day_was_taken(shop: Shop) -> None:
    """Rule 13: a clock that is ahead wrote one of the days without the entry: the others stay as long as they were."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    fast(shop, LENGTH).cart("bob", hall(at(10), at(12)))
    with pytest.raises(ReservationOver):
        extend(shop.engine, held.key, None, "request")
    assert shop.stored(held.key).expires_at == held.expires_at
    assert shop.day(FIRST).entries[entry(held)].held_until == held.expires_at


def test_rule_13_an_extension_survives_writers_of_the_same_days(shop: Shop, calls: Calls) -> None:
    """Rule 13: another books a free hour of one of the days right before: both are there, both as they should be."""
    held = shop.cart("ann", hall(at(-2), at(2)))
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", hall(at(5), at(6)))), "TransactWriteItems")
    extend(shop.engine, held.key, None, "request")
    assert len(names(shop, SECOND)) == 2
    shop.audit()


def test_rule_13_a_taker_that_read_before_an_extension_is_refused(shop: Shop, calls: Calls) -> None:
    """Rule 13: it read the day as the hold was about to lapse, and writes after the extension and the old time."""
    held = shop.cart("ann", hall(at(1), at(2)))
    shop.clock.forward(LENGTH - 1)
    other = shop.another()
    reader = Shop(shop.store, ManualClock(shop.clock.now() + 1), shop.tenant)
    calls.trouble(meanwhile(lambda: extend(other.engine, held.key, None, "x")), "TransactWriteItems")
    assert refusal(lambda: reader.cart("bob", hall(at(1), at(2)))) == TAKEN
    shop.audit()


def test_rule_14_a_withdrawn_booking_frees_all_its_days(shop: Shop) -> None:
    """Rule 14: `confirmed -> cancelled`: the same time can be booked again at once."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    confirm(shop.engine, held.key)
    assert withdraw(shop.engine, held.key).status == "cancelled"
    again = shop.cart("bob", hall(at(-2), at(26)))
    assert withdraw(shop.engine, held.key).status == "cancelled"
    assert [names(shop, date) for date in (FIRST, SECOND, THIRD)] == [{entry(again)}] * 3
    shop.audit()


def test_rule_17_turnaround_across_midnight_meets_the_next_day(shop: Shop) -> None:
    """Rule 17: until 23:30 with an hour's turnaround meets 00:00 and 00:29:59.999, and leaves 00:30 free."""
    shop.hall.after = HOUR
    held = shop.cart("ann", hall(at(-4), at(-0.5)))
    assert names(shop, FIRST) == names(shop, SECOND) == {entry(held)}
    for start in (at(0), at(0.5) - 1):
        assert refusal(lambda start=start: shop.cart("bob", hall(start, at(2)))) == TAKEN
    assert shop.cart("bob", hall(at(0.5), at(2))).status == "held"
    shop.audit()


def test_rule_17_turnaround_before_a_booking_reaches_back_over_midnight(shop: Shop) -> None:
    """Rule 17: the time before is part of the span as well, on the day before."""
    held = shop.cart("ann", hall(at(-3), at(-0.5)))
    shop.hall.before = HOUR
    assert refusal(lambda: shop.cart("bob", hall(at(0), at(2)))) == TAKEN
    taken = shop.cart("bob", hall(at(0.5), at(2)))
    assert names(shop, FIRST) == {entry(held), entry(taken)}
    assert (taken.lines[0].start, taken.lines[0].end) == (at(0.5), at(2))
    shop.audit()


def test_rule_17_spans_are_half_open_to_the_millisecond(shop: Shop) -> None:
    """Rule 17: what ends where another begins is free; a millisecond more is not."""
    shop.cart("ann", hall(at(4), at(6)))
    for start, end in ((at(3), at(4) + 1), (at(6) - 1, at(7)), (at(5), at(5) + 1), (at(3), at(7))):
        assert refusal(lambda start=start, end=end: shop.cart("bob", hall(start, end))) == TAKEN
    assert shop.cart("bob", hall(at(3), at(4)), hall(at(6), at(6) + 1), hall(at(6) + 1, at(7))).status == "held"
    shop.audit()


def test_rule_17_at_most_nine_days_turnaround_included(shop: Shop) -> None:
    """Rule 17: nine whole days are taken; a millisecond of turnaround on a tenth is too long."""
    assert shop.cart("ann", hall(at(0), at(9 * 24))).status == "held"
    shop.hall.after = 1
    assert refusal(lambda: shop.cart("bob", hall(at(0), at(9 * 24), "2"))) == [("items.0", "too_long")]
    shop.audit()


@pytest.mark.parametrize("days", [[SECOND], [FIRST, THIRD], [FIRST, SECOND, THIRD]])
def test_rule_17_confirm_finds_the_entry_pruned_and_still_free(shop: Shop, days: list[str]) -> None:
    """Rule 17: bookings beside it pruned the lapsed entry from some or all of its days; it is written anew there."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    shop.clock.forward(LENGTH)
    free = {FIRST: hall(at(-5), at(-2)), SECOND: hall(at(26), at(27)), THIRD: hall(at(26), at(27))}
    shop.clock.forward(1)
    for date in days:
        if date != SECOND:
            shop.cart("bob", free[date])
        else:
            _prune(shop, SECOND)
    confirmed = confirm(shop.engine, held.key)
    assert confirmed.status == "confirmed"
    assert all(entry(held) in names(shop, date) for date in (FIRST, SECOND, THIRD))
    shop.audit()


def _prune(shop: Shop, date: str) -> None:
    """Take what has lapsed off a day, as any write of it does."""
    cancel(shop.engine, shop.cart("eve", hall(midnight(date) + 5, midnight(date) + 6)).key)


@pytest.mark.parametrize("taken", [FIRST, SECOND, THIRD])
def test_rule_17_confirm_fails_whole_if_one_of_several_days_was_taken(shop: Shop, taken: str) -> None:
    """Rule 17: an hour of one day is another's since: nothing is sold on any day."""
    held = shop.cart("ann", hall(at(-2), at(26)))
    shop.clock.forward(LENGTH)
    start = {FIRST: -1.5, SECOND: 12, THIRD: 25}[taken]
    other = shop.cart("bob", hall(at(start), at(start + 0.5)))
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    for date in (FIRST, SECOND, THIRD):
        lapsed = {name: found.held_until for name, found in shop.day(date).entries.items()}
        assert lapsed == {entry(other): other.expires_at} if date == taken else {entry(held): held.expires_at}
    assert shop.stored(held.key).status == "held"
    shop.audit()


def test_rule_17_a_blackout_since_stands_in_a_late_confirms_way(shop: Shop) -> None:
    """Rule 17: the hall was closed once the hold had lapsed."""
    held = shop.cart("ann", hall(at(-2), at(2)))
    shop.clock.forward(LENGTH)
    shop.black_out(at(1), at(3))
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    shop.audit()


def test_rule_17_confirm_meets_takers_again_and_again(shop: Shop, calls: Calls) -> None:
    """Rule 17: pruned, and written again by others between each look and each write: it still gets its free time."""
    held = shop.cart("ann", hall(at(1), at(2)))
    shop.clock.forward(LENGTH)
    other = shop.another()
    starts = iter(range(3, 20))

    def book() -> None:
        start = next(starts)
        other.cart("bob", hall(at(start), at(start + 1)))

    calls.trouble(meanwhile(book), "TransactWriteItems", times=4)
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert len(names(shop, SECOND)) == 5
    shop.audit()


def test_rule_17_what_was_pruned_is_not_confirmed_over_a_taker(shop: Shop, calls: Calls) -> None:
    """Rule 17: pruned and free at the first look, taken right before the write that puts it back."""
    held = shop.cart("ann", hall(at(1), at(2)))
    shop.clock.forward(LENGTH)
    _prune(shop, SECOND)
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", hall(at(1), at(2)))), "TransactWriteItems", skip=1)
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    shop.audit()


def test_rule_17_blackouts_may_overlap_one_another_and_never_lapse(shop: Shop) -> None:
    """Rule 17: two stand on the same day; a year later the hall still cannot be booked then."""
    shop.black_out(at(1), at(5))
    shop.black_out(at(3), at(30), "2")
    shop.clock.forward(365 * 24 * HOUR)
    for start in (1, 4, 6, 29):
        assert refusal(lambda start=start: shop.cart("ann", hall(at(start), at(start + 0.5)))) == TAKEN
    assert shop.cart("ann", hall(at(0), at(1))).status == "held"
    shop.audit()


def test_rule_17_on_a_lost_race_the_day_is_read_again(shop: Shop, calls: Calls) -> None:
    """Rule 17: another writes the day between read and write: beside it both stand, over it there is a conflict."""
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", hall(at(3), at(4)))), "TransactWriteItems")
    assert shop.cart("ann", hall(at(1), at(2))).status == "held"
    calls.trouble(meanwhile(lambda: other.cart("bob", hall(at(5), at(6)))), "TransactWriteItems")
    assert refusal(lambda: shop.cart("ann", hall(at(4), at(5.5)))) == TAKEN
    assert len(names(shop, SECOND)) == 3
    shop.audit()


def test_rule_17_entries_a_day_are_capped(shop: Shop) -> None:
    """Rule 17: a full day takes no more; lapsed entries do not count, and the next write leaves them out."""
    minute = HOUR // 60
    held = [
        shop.cart("ann", *(hall(at(0) + number * minute, at(0) + (number + 1) * minute) for number in cart))
        for cart in (range(first, first + 20) for first in range(0, MAX_ENTRIES, 20))
    ]
    assert refusal(lambda: shop.cart("bob", hall(at(5), at(6)))) == [("items.0", "calendar_full")]
    cancel(shop.engine, held[0].key)
    bought = confirm(shop.engine, shop.cart("bob", hall(at(5), at(6))).key)
    shop.clock.forward(LENGTH)
    assert len(shop.day(SECOND).entries) == MAX_ENTRIES - 19
    shop.cart("bob", hall(at(7), at(8)))
    assert names(shop, SECOND) >= {entry(bought)}
    assert len(names(shop, SECOND)) == 2
    shop.audit()


def test_rule_17_a_cart_does_not_fill_a_day_beyond_its_cap(shop: Shop) -> None:
    """Rule 17: two lines of one cart for a day with room for one entry: both together are too many."""
    minute = HOUR // 60
    entries = {
        f"b-{number}": {"s": at(0) + number * minute, "e": at(0) + (number + 1) * minute}
        for number in range(MAX_ENTRIES - 1)
    }
    shop.store.write(Put(DayItem(*shop.keys.day(HALL, SECOND), version=1, entries=entries, ttl=MIDNIGHT)))
    wanted = [hall(at(5), at(6)), hall(at(6), at(7))]
    assert ("items.1", "calendar_full") in refusal(lambda: shop.cart("ann", *wanted))
    assert shop.cart("ann", wanted[0]).status == "held"
    shop.audit()


def test_rule_17_a_day_is_deleted_long_after_it_is_over(shop: Shop) -> None:
    """Rule 17: TTL takes a day off the table weeks after it, whoever writes it last."""
    shop.cart("ann", hall(at(1), at(2)))
    stored = shop.store.get(DayItem, shop.keys.day(HALL, SECOND))
    assert stored is not None
    assert stored.ttl > midnight(THIRD) // 1_000 + 30 * 86_400


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_a_span_that_meets_conflicts_is_taken_or_busy_never_refused(
    shop: Shop, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    """Rule 7: the day is contended for a while; the time is free, so it is taken in the end."""
    calls.trouble(trouble, "TransactWriteItems", times=5)
    held: Any = shop.cart("ann", hall(at(-1), at(1)))
    assert names(shop, FIRST) == names(shop, SECOND) == {entry(held)}


def test_a_span_within_a_day_is_held_in_two_requests_of_seven_units(shop: Shop) -> None:
    """The budget: a read of the day and one transaction."""
    shop.cart("ann", hall(at(1), at(2)))
    with counted(shop.store._connection) as cost:
        shop.cart("ann", hall(at(2), at(3)))
    assert cost.total == 2
    assert cost.write_units <= 7


def test_a_cart_lasts_as_long_as_the_shortest_kind_in_it(shop: Shop) -> None:
    """A hall's own time, a product's, and of both in one cart the shorter."""
    lengths = HoldLengths(standard=600, by_kind={"venue": 900, "listing": 300})
    short = shop.another(lengths=lengths)
    assert short.cart("ann", hall(at(1), at(2))).expires_at == shop.clock.now() + 900_000
    product = short.product()
    assert lengths.of(["venue", "product"], 3_600) == 900, "no longer than a hall is ever held"
    assert lengths.of(["product"], 3_600) == 3_600
    assert lengths.of(["venue", "listing"], 60) == 60
    mixed = short.cart("ann", hall(at(2), at(3)), units(product))
    assert mixed.expires_at == shop.clock.now() + 600_000
    assert {found.held_until for found in shop.day(SECOND).entries.values()} == {
        shop.clock.now() + 900_000,
        shop.clock.now() + 600_000,
    }
