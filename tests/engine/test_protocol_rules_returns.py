"""PROTOCOL.md's rules for giving parts of what was bought back: once, whatever goes wrong."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from pynamodb.connection import Connection

from holdfast.platform.dynamodb import Put, Store, Update
from holdfast.platform.errors import (
    Busy,
    HoldfastError,
    InvariantBroken,
    ReservationNotFound,
    ReservationOver,
)
from holdfast.platform.items import LineMap, PoolShardItem, ReservationItem
from holdfast.platform.tables import product_pool
from holdfast.reservations.ending import RETENTION_SECONDS, cancel, confirm, withdraw
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from tests.engine.fair import (
    EVERY_TROUBLE,
    SINGLES,
    Fair,
    Marker,
    counts,
    expired,
    single,
)
from tests.engine.faults import Calls, Crash, conflict, meanwhile, throttled
from tests.engine.shop import Shop, refusal, units

ORDERS: dict[str, Callable[[Sequence[LineMap]], Sequence[LineMap]]] = {
    "first to last": lambda lines: lines,
    "last to first": lambda lines: lines[::-1],
    "in between": lambda lines: [*lines[1::2], *lines[::2]],
}


@pytest.mark.parametrize("last", [State.REFUNDED, State.CANCELLED])
@pytest.mark.parametrize("order", ORDERS)
def test_rule_14_lines_are_given_back_one_by_one_until_nothing_is_left(fair: Fair, order: str, last: State) -> None:
    """A unit at a time: what is returned is on sale again, the rest stays sold; at the end all is as before anybody."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    steps = [line.of(1) for line in ORDERS[order](sold.lines) for _ in range(line.quantity)]
    for number, line in enumerate(steps[:-1]):
        left = give_back(shop.engine, sold.key, [line], lambda: False, last)
        assert (left.status, left.v, left.ttl) == ("confirmed", sold.v + 1 + number, None)
        assert sum(line.quantity for line in left.lines) == len(steps) - 1 - number
        assert shop.stored(sold.key).serialize() == left.serialize()
        shop.audit()
    at_the_end = shop.stored(sold.key)
    over = give_back(shop.engine, sold.key, [steps[-1]], lambda: False, last)
    assert (over.status, over.ttl) == (last, shop.clock.now() // 1_000 + RETENTION_SECONDS)
    assert [line.attribute_values for line in over.lines] == [line.attribute_values for line in at_the_end.lines]
    assert shop.stored(sold.key).serialize() == over.serialize()
    assert fair.is_untouched()
    shop.audit()
    assert shop.cart("bob", *fair.lines).status == "held"


def test_rule_14_everything_is_given_back_in_one_transaction(fair: Fair, calls: Calls) -> None:
    """A read and a write of ten lines, each item once."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    calls.clear()
    over = give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED)
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert len(calls.transactions[0].written) == 1 + 4 + 5 + 4 + 1
    assert [line.attribute_values for line in over.lines] == [line.attribute_values for line in sold.lines]
    assert fair.is_untouched()
    shop.audit()


def test_rule_14_part_of_a_line_is_given_back_and_its_limit_with_it(fair: Fair) -> None:
    """One of two, three of four: the others stay sold, and the user may have one more."""
    shop = fair.shop
    _, limited, scattered = fair.products
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    lines = {line.product_id: line for line in sold.lines if line.product_id}
    left = give_back(
        shop.engine, sold.key, [lines[limited].of(1), lines[scattered].of(3)], lambda: False, State.REFUNDED
    )
    assert {line.product_id: line.quantity for line in left.lines if line.product_id} == {
        fair.products[0]: 2,
        limited: 1,
        scattered: 1,
    }
    assert counts(fair) == [(8, 0, 2), (2, 0, 1), (5, 0, 1)]
    assert shop.cart("ann", units(limited, 1)).status == "held"
    assert refusal(lambda: shop.cart("ann", units(limited, 1))) == [("items.0", "limit_exceeded")]
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_14_a_thing_given_back_is_the_next_buyers(fair: Fair, kind: str) -> None:
    """A seat, a resale ticket, an evening over midnight: another buys it; the rest is given back without it."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    place = {"seat": 9, "listing": 3, "day": 2}[kind]
    give_back(shop.engine, sold.key, [sold.lines[place]], lambda: False, State.REFUNDED)
    other = confirm(shop.engine, shop.cart("bob", single(fair, kind)).key)
    shop.audit()
    rest = shop.stored(sold.key).lines
    assert give_back(shop.engine, sold.key, rest, lambda: False, State.REFUNDED).status == "refunded"
    shop.audit()
    withdraw(shop.engine, other.key)
    assert fair.is_untouched()


def test_rule_14_lines_that_are_alike_are_one_to_give_back_from(shop: Shop) -> None:
    """A purchase put together of two holds has the same line twice: three of four are taken from both."""
    product = shop.product()
    sold = confirm(shop.engine, shop.cart("ann", units(product, 4)).key)
    stored = shop.stored(sold.key)
    (line,) = stored.lines
    stored.lines = [line.of(2), line.of(2)]
    shop.store.write(Put(stored))
    left = give_back(shop.engine, sold.key, [line.of(1), line.of(2)], lambda: False, State.REFUNDED)
    assert [line.quantity for line in left.lines] == [1]
    assert shop.count(product) == (9, 0, 1)
    shop.audit()


def test_rule_14_more_than_there_is_is_not_given_back(fair: Fair) -> None:
    """One more than was bought, another price, another seat: a defect, and nothing is changed."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    before = shop.stored(sold.key)
    plain = sold.lines[1]
    dearer = LineMap(**{**plain.attribute_values, "unit_price_minor": 1})
    elsewhere = LineMap(**{**sold.lines[0].attribute_values, "seat": "2"})
    for wrong in ([plain.of(3)], [plain, plain.of(1)], [dearer], [elsewhere]):
        with pytest.raises(InvariantBroken):
            give_back(shop.engine, sold.key, wrong, lambda: False, State.REFUNDED)
    assert shop.stored(sold.key).serialize() == before.serialize()
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    shop.audit()


def test_rule_14_only_what_is_confirmed_is_given_back(fair: Fair) -> None:
    """Held, cancelled, expired, given back: over; nothing at all: not found."""
    shop = fair.shop
    held = shop.cart("ann", units(fair.products[0], 1))
    cancelled = cancel(shop.engine, shop.cart("ann", units(fair.products[0], 1)).key)
    late = expired(shop, units(fair.products[0], 1))
    sold = confirm(shop.engine, shop.cart("ann", units(fair.products[0], 1)).key)
    refunded = give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED)
    for record in (held, cancelled, late, refunded):
        with pytest.raises(ReservationOver):
            give_back(shop.engine, record.key, record.lines, lambda: False, State.REFUNDED)
    with pytest.raises(ReservationNotFound):
        give_back(shop.engine, shop.keys.reservation("ann", "x", "y"), [], lambda: False, State.REFUNDED)


def test_rule_14_late_money_is_given_back_from_where_it_was_drawn(shop: Shop) -> None:
    """What was taken again from other shards goes back to those; what stays sold stays where it is."""
    product = shop.product(units=[3, 2, 2])
    late = expired(shop, units(product, 3))
    confirm(shop.engine, shop.cart("bob", units(product, 2)).key)
    bought = reacquire(shop.engine, late.key, 1)
    give_back(shop.engine, late.key, [bought.lines[0].of(2)], lambda: False, State.REFUNDED)
    assert shop.count(product) == (4, 0, 3)
    shop.audit()
    withdraw(shop.engine, late.key)
    assert shop.count(product) == (5, 0, 2)
    shop.audit()


def test_rule_08_done_before_is_not_done_again(fair: Fair, calls: Calls) -> None:
    """Rule 8: nothing is written once it was; also where the last thing was given back, or the rest was since."""
    shop, marker = fair.shop, Marker(fair.shop)
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    part = [sold.lines[1].of(1), sold.lines[0]]
    left = give_back(shop.engine, sold.key, part, marker.is_there, State.REFUNDED, marker.beside)
    calls.clear()
    again = give_back(shop.engine, sold.key, part, marker.is_there, State.REFUNDED, marker.beside)
    assert again.serialize() == left.serialize()
    rest = Marker(shop, "rest")
    over = give_back(shop.engine, sold.key, left.lines, rest.is_there, State.REFUNDED, rest.beside)
    for lines, mark in ((part, marker), (left.lines, rest)):
        found = give_back(shop.engine, sold.key, lines, mark.is_there, State.REFUNDED, mark.beside)
        assert found.serialize() == over.serialize()
    assert len(calls.transactions) == 1
    assert fair.is_untouched()
    shop.audit()


@pytest.mark.parametrize("call", range(3))
def test_rule_08_a_twin_gives_the_same_part_back_meanwhile(fair: Fair, calls: Calls, call: int) -> None:
    """Rule 8: before the read, before the question, before the write: it is given back once."""
    shop, marker = fair.shop, Marker(fair.shop)
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    part = [sold.lines[1].of(1), sold.lines[0], sold.lines[2], sold.lines[5].of(1)]

    def refund() -> ReservationItem:
        return give_back(shop.engine, sold.key, part, marker.is_there, State.REFUNDED, marker.beside)

    calls.trouble(meanwhile(refund), skip=call)
    left = refund()
    assert (left.status, left.v) == ("confirmed", sold.v + 1)
    assert left.serialize() == shop.stored(sold.key).serialize()
    assert counts(fair) == [(9, 0, 1), (2, 0, 1), (2, 0, 4)]
    shop.audit()


def test_rule_08_eight_twins_of_four_refunds_at_once(fair: Fair, store: Store, connections: list[Connection]) -> None:
    """Rule 8: 32 threads give four parts of one reservation back, each of them again and again: each once."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    lines = sold.lines
    parts = [[lines[1].of(1), lines[6].of(1)], [lines[1].of(1), lines[0]], [lines[6].of(3), lines[2]], lines[3:6]]
    shops = [shop.another(Store(connection, store._table), attempts=50) for connection in connections[:32]]

    def refund(number: int) -> ReservationItem:
        marker = Marker(shops[number], f"refund {number % 4}")
        engine = shops[number].engine
        return give_back(engine, sold.key, parts[number % 4], marker.is_there, State.REFUNDED, marker.beside)

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(refund, range(32)))
    left = shop.stored(sold.key)
    assert (left.v, len(left.lines)) == (sold.v + 4, 3)
    assert counts(fair) == [(10, 0, 0), (3, 0, 0), (6, 0, 0)]
    shop.audit()


def test_what_is_beside_a_return_may_be_refused_and_is_asked_anew(fair: Fair) -> None:
    """Another was faster at what is beside it: no invariant is broken, it is read again; without end it is busy."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    taken, free = Marker(shop, "taken"), Marker(shop, "free")
    shop.store.write(taken.beside(sold)[0])
    markers = chain([taken, taken, taken], [free] * 9)
    part = [sold.lines[0]]
    left = give_back(
        shop.engine, sold.key, part, free.is_there, State.REFUNDED, lambda record: next(markers).beside(record)
    )
    assert (len(left.lines), free.is_there()) == (9, True)
    with pytest.raises(Busy):
        give_back(shop.engine, sold.key, [sold.lines[1]], lambda: False, State.REFUNDED, taken.beside)
    assert shop.stored(sold.key).serialize() == left.serialize()
    shop.audit()


def test_a_shard_that_did_not_sell_what_is_returned_is_an_alarm(shop: Shop) -> None:
    """A counter does not have what the reservation, unchanged, says it bought: never the caller's fault."""
    product = shop.product()
    sold = confirm(shop.engine, shop.cart("ann", units(product, 2)).key)
    shop.store.write(Update(shop.keys.pool_shard(product_pool(product), 0), [PoolShardItem.sold.set(1)]))
    with pytest.raises(InvariantBroken):
        give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED)
    assert shop.stored(sold.key).status == "confirmed"


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_rule_07_a_return_meets_conflicts_for_a_while(fair: Fair, calls: Calls, trouble: Any) -> None:
    """Rule 7: given back once they end, else busy, and nothing is changed."""
    shop = fair.shop
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    calls.trouble(trouble, "TransactWriteItems", times=50)
    with pytest.raises(Busy):
        give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED)
    calls.clear()
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    calls.trouble(trouble, "TransactWriteItems", times=5)
    assert give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED).status == "refunded"
    assert fair.is_untouched()
    shop.audit()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("call", range(5))
def test_parts_are_given_back_whole_or_not_at_all(
    fair: Fair, calls: Calls, call: int, trouble: str, whole: bool
) -> None:
    """Any call of a return goes wrong; the next one completes it, and gives nothing back twice."""
    shop, marker = fair.shop, Marker(fair.shop)
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    part = sold.lines if whole else [sold.lines[6].of(3), *sold.lines[:6:2]]
    calls.clear()
    calls.trouble(EVERY_TROUBLE[trouble], skip=call)
    try:
        give_back(shop.engine, sold.key, part, marker.is_there, State.REFUNDED, marker.beside)
    except (Crash, HoldfastError):
        assert shop.stored(sold.key).v - sold.v == marker.is_there()
        shop.audit()
    calls.clear()
    left = give_back(shop.engine, sold.key, part, marker.is_there, State.REFUNDED, marker.beside)
    assert (left.v, left.status) == (sold.v + 1, "refunded" if whole else "confirmed")
    assert fair.is_untouched() == whole
    shop.audit()
