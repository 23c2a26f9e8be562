"""Tickets to events on DynamoDB Local: purchases that meet others, run out, break off, and are made in parts."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from holdfast.platform.dynamodb import Put, Update, connect
from holdfast.platform.errors import (
    Busy,
    CheckoutUnderWay,
    MixedCurrencies,
    PaymentFailed,
    Refused,
    ReservationOver,
    SeatsNotHeld,
    Unavailable,
)
from holdfast.platform.items import ReservationItem, UnitItem
from holdfast.reservations.ending import cancel, confirm, lapse
from holdfast.reservations.engine import LineRequest
from tests.engine.box_office import STANDING, BoxOffice, row, standing
from tests.engine.expiring import handle
from tests.engine.faults import Answer, Call, Calls, Crash, conflict, crash_after, crash_before, meanwhile, throttled
from tests.engine.shop import ListQueue, Shop, seat

LENGTH = 600_000
WHOLE = (*row("A", 1, 2, 3), standing(4))
PART = (*row("A", 2), standing(3))
REST = (*row("A", 1, 3), standing(1))

buying_all_or_a_part = pytest.mark.parametrize("wanted", [WHOLE, PART], ids=["all", "a part"])


def made_but_throttled(call: Call) -> Answer:
    """Make the call, lose its answer, and have what botocore tries next turned away."""
    call.make()
    return throttled(call)


@pytest.fixture
def office(shop: Shop) -> BoxOffice:
    """A box office of an event with two rows of seats, and counted tickets on two shards."""
    office = BoxOffice(shop)
    office.open(shards=2)
    return office


def not_held(office: BoxOffice, user: str, *lines: LineRequest) -> list[str]:
    """Return which lines a purchase that must be refused names."""
    with pytest.raises(SeatsNotHeld) as refused:
        office.buy(user, *lines)
    return [fault.field for fault in refused.value.faults]


def unit(office: BoxOffice, name: str, number: int) -> UnitItem:
    return office.shop.unit(office.shop.seat_key(name, number))


def test_a_whole_reservation_is_confirmed_as_it_is(office: BoxOffice, calls: Calls) -> None:
    held = office.reserve("ann", *WHOLE)
    calls.clear()
    order = office.buy("ann", *WHOLE)
    opening = ["Query", "BatchGetItem", "BatchGetItem", "GetItem", "PutItem"]
    assert calls.operations[:5] == opening, "found, not being bought, all there, not ordered yet, ordered"
    assert order.reservation_id == held.id
    assert (order.status, order.provider, order.captured_minor) == ("completed", "external", order.total_minor)
    assert order.total_minor == 3 * 500 + 4 * STANDING
    assert office.shop.stored(held.key).status == "confirmed"
    assert office.standing() == (16, 0, 4)
    office.shop.audit()


def test_rule_15_a_part_bought_is_a_split_that_touches_no_counter(office: BoxOffice, calls: Calls) -> None:
    """Rule 15: seats and counted units of the part are the child's, in one transaction, the rest is the parent's."""
    held = office.reserve("ann", *WHOLE)
    calls.clear()
    office.shop.machines.holding_back = True
    with pytest.raises(Unavailable):
        office.buy("ann", *PART)
    (splitting,) = calls.transactions
    assert not any("#POOL#" in pk for pk, _ in splitting.written)
    (split,) = [record for record in office.records("ann") if record.key != held.key]
    handed = unit(office, "A", 2)
    assert (split.status, split.source, split.expires_at) == ("held", "tickets", held.expires_at)
    assert (handed.holder, handed.held_until) == (split.id, held.expires_at)
    assert office.standing() == (16, 4, 0)
    office.shop.audit()
    office.shop.machines.go()
    (order,) = office.purchases_of("ann")
    child, parent = office.child(order), office.shop.stored(held.key)
    assert (child.key, child.status, parent.status) == (split.key, "confirmed", "held")
    assert (parent.expires_at, parent.source, parent.body_hash) == (held.expires_at, held.source, held.body_hash)
    assert sorted([*child.units, *parent.units]) == sorted(held.units)
    sold, left = unit(office, "A", 2), unit(office, "A", 1)
    assert sold.holder == child.id
    assert sold.held_until is None
    assert (left.holder, left.held_until) == (held.id, held.expires_at)
    assert office.standing() == (16, 1, 3)
    office.shop.audit()


def test_a_part_and_then_the_rest_are_two_purchases_of_everything(office: BoxOffice) -> None:
    held = office.reserve("ann", *WHOLE)
    office.buy("ann", *PART)
    office.buy("ann", *REST)
    assert sum(order.total_minor for order in office.purchases_of("ann")) == 3 * 500 + 4 * STANDING
    assert office.shop.stored(held.key).status == "confirmed"
    assert office.standing() == (16, 0, 4)
    office.shop.audit()


def test_what_is_left_of_a_reservation_runs_out_at_its_own_time(office: BoxOffice) -> None:
    held = office.reserve("ann", *WHOLE)
    office.clock.forward(LENGTH - 1)
    office.buy("ann", *PART)
    assert office.shop.stored(held.key).status == "held"
    office.clock.forward(1)
    assert handle(office.shop.engine, ListQueue(), [office.shop.message(held)]) == set()
    assert office.shop.stored(held.key).status == "expired"
    assert office.standing() == (17, 0, 3)
    office.another().reserve("bob", *row("A", 1, 3))
    office.shop.audit()


def test_parts_of_several_reservations_are_one_purchase_and_emptied_ones_are_over(office: BoxOffice) -> None:
    first = office.reserve("ann", *row("A", 1, 2), standing(2))
    office.clock.forward(1)
    second = office.reserve("ann", *row("B", 1), standing(1))
    office.clock.forward(1)
    third = office.reserve("ann", standing(5))
    order = office.buy("ann", *row("B", 1), *row("A", 2), standing(6))
    states = [office.shop.stored(record.key).status for record in (first, second, third)]
    assert states == ["held", "cancelled", "held"]
    assert sum(line.quantity for line in office.child(order).lines if line.kind == "ticket") == 6
    assert office.standing() == (12, 2, 6)
    office.shop.audit()
    assert cancel(office.shop.engine, second.key).status == "cancelled"
    with pytest.raises(ReservationOver):
        confirm(office.shop.engine, second.key)
    assert office.standing() == (12, 2, 6)
    office.shop.audit()


def test_a_reservation_that_is_all_that_is_wanted_is_taken_before_older_ones(office: BoxOffice) -> None:
    older = office.reserve("ann", standing(3))
    office.clock.forward(1)
    exact = office.reserve("ann", standing(2))
    assert office.buy("ann", standing(2)).reservation_id == exact.id
    assert office.shop.stored(older.key).status == "held"
    office.buy("ann", standing(1))
    assert office.standing() == (15, 2, 3)
    office.shop.audit()


def test_a_limit_per_user_counts_what_was_bought_in_parts_once(shop: Shop) -> None:
    office = BoxOffice(shop)
    office.open(max_per_user=4)
    office.reserve("ann", *row("A", 1, 2), standing(2))
    office.reserve("ann", *row("A", 3), standing(2))
    office.buy("ann", *row("A", 1, 3), standing(3))
    office.clock.forward(LENGTH)
    lapsed = [record for record in office.records("ann") if record.status == "held"]
    assert handle(shop.engine, ListQueue(), [shop.message(record) for record in lapsed]) == set()
    office.reserve("ann", *row("B", 1, 2), standing(1))
    for line in (*row("B", 3), standing(1)):
        with pytest.raises(Refused):
            office.reserve("ann", line)
    shop.audit()


@buying_all_or_a_part
def test_a_purchase_looks_at_the_clock(office: BoxOffice, wanted: tuple[LineRequest, ...]) -> None:
    """Nobody else has come, nothing was released yet: what ran out is not bought all the same."""
    office.reserve("ann", *WHOLE)
    office.clock.forward(LENGTH)
    assert not_held(office, "ann", *wanted) == [f"items.{place}" for place in range(len(wanted))]
    assert office.purchases_of("ann") == []
    office.shop.audit()


@buying_all_or_a_part
@pytest.mark.parametrize("end", ["lapse", "cancel"])
def test_a_purchase_of_what_ends_right_before_its_write(
    office: BoxOffice, calls: Calls, wanted: tuple[LineRequest, ...], end: str
) -> None:
    """The reservation was read in time; it runs out and is released, or is let go, before the purchase is written."""
    held = office.reserve("ann", *WHOLE)
    other = office.another()

    def ended() -> None:
        if end == "cancel":
            cancel(other.shop.engine, held.key)
            return
        office.clock.forward(LENGTH)
        lapse(other.shop.engine, held.key, held.expires_at)

    calls.trouble(meanwhile(ended), "TransactWriteItems")
    not_held(office, "ann", *wanted)
    assert office.purchases_of("ann") == []
    assert office.standing() == (20, 0, 0)
    office.shop.audit()


@buying_all_or_a_part
def test_a_purchase_that_comes_before_the_release_keeps_what_it_bought(
    office: BoxOffice, calls: Calls, wanted: tuple[LineRequest, ...]
) -> None:
    """The release has read the hold; the purchase comes in between: only what was not bought is released."""
    held = office.reserve("ann", *WHOLE)
    other = office.another()
    office.clock.forward(LENGTH)

    def bought() -> None:
        office.clock.forward(-1)
        other.buy("ann", *wanted)
        office.clock.forward(1)

    calls.trouble(meanwhile(bought), "TransactWriteItems")
    assert handle(office.shop.engine, ListQueue(), [office.shop.message(held)]) == set()
    sold = sum(line.quantity for line in wanted if line.kind == "ticket")
    assert office.standing() == (20 - sold, 0, sold)
    office.shop.audit()


@buying_all_or_a_part
def test_a_seat_that_is_taken_over_right_before_the_purchase_is_written(
    office: BoxOffice, calls: Calls, wanted: tuple[LineRequest, ...]
) -> None:
    """Rule 11: the taker's clock says that the hold is over; the reservation still says held, the seat another name."""
    office.reserve("ann", *WHOLE)
    taker = office.another()

    def taken() -> None:
        office.clock.forward(LENGTH)
        taker.reserve("bob", *row("A", 2))
        office.clock.forward(-LENGTH)

    calls.trouble(meanwhile(taken), "TransactWriteItems")
    (lost,) = not_held(office, "ann", *wanted)
    assert lost == f"items.{wanted.index(seat('A', 2))}"
    assert office.purchases_of("ann") == []
    assert office.standing() == (16, 4, 0)
    office.clock.forward(LENGTH)
    taken_over = unit(office, "A", 2).holder
    assert taken_over == office.records("bob")[0].id
    assert office.buy("bob", *row("A", 2)).reservation_id == taken_over
    office.shop.audit()


@pytest.mark.parametrize("more", [(), row("A", 2)], ids=["all that it holds", "a part"])
def test_of_two_holds_of_a_seat_the_newer_one_is_bought(office: BoxOffice, more: tuple[LineRequest, ...]) -> None:
    """The older one lapsed by the clock of who took the seat anew, and is still in time by that of the checkout."""
    older = office.reserve("ann", *row("A", 1), standing(1))
    office.clock.forward(LENGTH)
    newer = office.reserve("ann", *row("A", 1), *more)
    office.clock.forward(-1_000)
    order = office.buy("ann", *row("A", 1))
    assert office.shop.stored(older.key).status == "held"
    assert office.shop.stored(newer.key).status == ("held" if more else "confirmed")
    assert unit(office, "A", 1).holder == order.reservation_id


def test_of_two_holds_of_a_seat_the_one_is_bought_that_has_it(office: BoxOffice) -> None:
    """The newer one, however it came to say so, does not have the seat: its refusal tells who does."""
    older = office.reserve("ann", *row("A", 1))
    office.clock.forward(1)
    newer = office.reserve("ann", *row("A", 2))
    office.store.write(
        Update(newer.key, [ReservationItem.units.set(older.units), ReservationItem.lines.set(older.lines)])
    )
    assert office.buy("ann", *row("A", 1)).reservation_id == older.id


@pytest.mark.parametrize("other", [WHOLE, PART, REST], ids=["all", "the same part", "another part"])
def test_a_twin_that_buys_right_before_the_purchase_is_written(
    office: BoxOffice, calls: Calls, other: tuple[LineRequest, ...]
) -> None:
    """Two hands of one user at one reservation: what the first bought the second does not, the rest it does."""
    office.reserve("ann", *WHOLE)
    twin = office.another()
    calls.trouble(meanwhile(lambda: twin.buy("ann", *other)), "TransactWriteItems")
    if other == REST:
        office.buy("ann", *PART)
    else:
        not_held(office, "ann", *PART)
    sold = sum(order.total_minor for order in office.purchases_of("ann"))
    assert sold == sum(500 if line.kind == "seat" else line.quantity * STANDING for line in other) + (
        500 + 3 * STANDING if other == REST else 0
    )
    office.shop.audit()


@buying_all_or_a_part
@pytest.mark.parametrize("key", [None, "k"])
def test_rule_08_a_purchase_that_was_made_without_an_answer_answers_its_order(
    office: BoxOffice, calls: Calls, wanted: tuple[LineRequest, ...], key: str | None
) -> None:
    """Rule 8: made, the answer lost, the repetition throttled: what was made is the answer, and nothing more is."""
    office.reserve("ann", *WHOLE)
    calls.trouble(made_but_throttled, "TransactWriteItems")
    order = office.buy("ann", *wanted, key=key)
    assert [found.id for found in office.purchases_of("ann")] == [order.id]
    office.shop.audit()


@buying_all_or_a_part
@pytest.mark.parametrize("trouble", [crash_before, crash_after])
@pytest.mark.parametrize("skip", range(8))
def test_rule_03_a_purchase_that_breaks_off_at_any_call_is_made_once(
    office: BoxOffice,
    calls: Calls,
    wanted: tuple[LineRequest, ...],
    trouble: Callable[[Call], Answer],
    skip: int,
) -> None:
    """Rule 3: the function dies around one of its calls, the client sends the same again: exactly one purchase."""
    office.reserve("ann", *WHOLE)
    calls.clear()
    calls.trouble(trouble, skip=skip)
    with suppress(Crash):
        office.buy("ann", *wanted, key="k")
    calls.clear()
    order = office.another().buy("ann", *wanted, key="k")
    assert [found.id for found in office.purchases_of("ann")] == [order.id]
    assert office.another().buy("ann", *wanted, key="k").id == order.id
    sold = sum(line.quantity for line in wanted if line.kind == "ticket")
    assert office.standing() == (16, 4 - sold, sold)
    office.shop.audit()


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_conflicts_are_tried_again_and_never_told_as_seats_that_are_not_held(
    office: BoxOffice, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    office.reserve("ann", *WHOLE)
    calls.trouble(trouble, "TransactWriteItems", times=3)
    office.buy("ann", *PART)
    for wanted, operation in ((row("A", 1), "TransactWriteItems"), (REST, "PutItem")):
        calls.trouble(trouble, operation, times=8)
        with pytest.raises(Busy):
            office.buy("ann", *wanted)
    assert office.standing() == (16, 1, 3)
    office.shop.audit()


def test_tickets_in_two_currencies_are_not_one_purchase(office: BoxOffice) -> None:
    office.reserve("ann", *row("A", 1))
    in_euros = [UnitItem.currency.set("EUR"), UnitItem.revision.add(1)]
    office.store.write(Update(office.shop.seat_key("B", 1), in_euros))
    office.reserve("ann", *row("B", 1))
    with pytest.raises(MixedCurrencies):
        office.buy("ann", *row("A", 1), *row("B", 1))
    assert office.purchases_of("ann") == []


def test_what_is_held_is_found_behind_a_page_of_other_reservations(office: BoxOffice) -> None:
    old = office.reserve("ann", standing(1))
    cancel(office.shop.engine, old.key)
    for number in range(110):
        copy = office.shop.stored(old.key)
        copy.sk = f"R#{number:032x}"
        office.store.write(Put(copy))
    office.shop.cart("ann", seat("A", 1), route="tickets", key="k")
    office.buy("ann", *row("A", 1))


@pytest.fixture
def offices(office: BoxOffice) -> list[BoxOffice]:
    """Warm functions at the same event, each with a connection of its own."""
    return [office.another(connect(office.store._table)) for _ in range(6)]


def test_users_who_race_for_overlapping_seats_get_all_of_theirs_or_none(offices: list[BoxOffice]) -> None:
    """Each wants three seats of six that stand in a ring, and buys at once; nobody buys what another holds."""

    def patiently(attempt: Callable[[], object]) -> None:
        while True:
            try:
                attempt()
            except Busy:
                continue
            return

    def race(place: int, name: str) -> int:
        office, user = offices[place], f"user{place}"
        wanted = row(name, *(1 + (place + step) % 6 for step in range(3)))
        try:
            patiently(lambda: office.reserve(user, *wanted))
        except Refused:
            not_held(office, user, wanted[0])
            return 0
        patiently(lambda: office.buy(user, *wanted))
        return 3

    with ThreadPoolExecutor(len(offices)) as threads:
        for name in "AB":
            sold = sum(threads.map(race, range(len(offices)), name * len(offices)))
            assert sold == 6, "one, and the one whose seats are the others"
            offices[0].shop.audit()


def test_a_crowd_that_reserves_buys_in_parts_lets_go_and_runs_out_of_time(offices: list[BoxOffice]) -> None:
    """Six functions, four users, seats and counted tickets, some of whose time runs out: everything adds up."""

    def customer(place: int) -> None:
        office, chance = offices[place], random.Random(place)
        for _ in range(12):
            user = f"user{chance.randrange(4)}"
            wanted = [*row("A", *chance.sample(range(1, 7), chance.randrange(3))), standing(chance.randint(1, 3))]
            try:
                match chance.randrange(4):
                    case 0 | 1:
                        office.reserve(user, *wanted)
                    case 2:
                        office.buy(user, *wanted[: chance.randint(1, len(wanted))])
                    case _:
                        for record in office.records(user)[:2]:
                            cancel(office.shop.engine, record.key)
            except (Refused, SeatsNotHeld, PaymentFailed, CheckoutUnderWay, ReservationOver, Busy):
                pass

    with ThreadPoolExecutor(len(offices)) as threads:
        list(threads.map(customer, range(len(offices))))
    offices[0].shop.audit()
    orders = offices[0].purchases_of(*(f"user{number}" for number in range(4)))
    seats = [(line.row, line.seat) for order in orders for line in order.lines if line.kind == "seat"]
    assert len(seats) == len(set(seats))
    counted = sum(line.quantity for order in orders for line in order.lines if line.kind == "ticket")
    assert offices[0].standing()[2] == counted > 0
