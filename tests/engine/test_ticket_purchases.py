"""Tickets to events on DynamoDB Local: purchases that meet others, run out, break off, and are made in parts."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import Busy, HoldfastError, MixedCurrencies, Refused, SeatsNotHeld
from holdfast.platform.items import UnitItem
from holdfast.reservations.ending import cancel, confirm, lapse
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.expiry import handle
from tests.engine.box_office import STANDING, BoxOffice, row, standing
from tests.engine.faults import Answer, Call, Calls, Crash, conflict, crash_after, crash_before, meanwhile, throttled
from tests.engine.shop import ListQueue, Shop

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
    assert order.reservation_id == held.id
    assert order.total_minor == 3 * 500 + 4 * STANDING
    assert office.shop.stored(held.key).status == "confirmed"
    assert calls.operations == ["Query", "TransactWriteItems", "GetItem"]
    assert office.standing() == (16, 0, 4)
    office.shop.audit()


def test_rule_15_a_part_bought_is_a_split_that_touches_no_counter(office: BoxOffice, calls: Calls) -> None:
    """Rule 15: seats and counted units of the part are the child's, in one transaction, the rest is the parent's."""
    held = office.reserve("ann", *WHOLE)
    calls.clear()
    order = office.buy("ann", *PART)
    (buying,) = calls.transactions
    assert not any("available" in str(action.get("ExpressionAttributeNames")) for _, action in buying.writes)
    child, parent = office.child(order), office.shop.stored(held.key)
    assert (child.status, parent.status) == ("confirmed", "held")
    assert (parent.expires_at, parent.source, parent.body_hash) == (held.expires_at, held.source, held.body_hash)
    assert sorted([*child.units, *parent.units]) == sorted(held.units)
    assert (unit(office, "A", 2).holder, unit(office, "A", 2).held_until) == (child.id, None)
    assert (unit(office, "A", 1).holder, unit(office, "A", 1).held_until) == (held.id, held.expires_at)
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
    first, second = office.reserve("ann", *row("A", 1, 2), standing(2)), office.reserve("ann", *row("B", 1), standing(1))
    third = office.reserve("ann", standing(5))
    order = office.buy("ann", *row("B", 1), *row("A", 2), standing(6))
    states = [office.shop.stored(record.key).status for record in (first, second, third)]
    assert states == ["held", "cancelled", "held"]
    assert sum(line.quantity for line in office.child(order).lines if line.kind == "ticket") == 6
    assert office.standing() == (12, 2, 6)
    office.shop.audit()
    for emptied in (cancel, confirm):
        with pytest.raises(HoldfastError) if emptied is confirm else does_nothing():
            emptied(office.shop.engine, second.key)
    assert office.standing() == (12, 2, 6)
    office.shop.audit()
