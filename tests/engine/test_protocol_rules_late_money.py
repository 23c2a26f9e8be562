"""PROTOCOL.md's rules for late money: an expired reservation takes the same things again, whole or not at all."""

from itertools import chain
from typing import Any

import pytest

from holdfast.catalogue.listings import listings
from holdfast.catalogue.products import terms
from holdfast.claims.span import midnight
from holdfast.platform.dynamodb import Delete, Update
from holdfast.platform.errors import (
    Busy,
    HoldfastError,
    HoldTaken,
    ReservationNotFound,
    ReservationOver,
)
from holdfast.platform.items import PoolShardItem
from holdfast.platform.tables import product_pool
from holdfast.reservations.checking_out import go_back
from holdfast.reservations.ending import cancel, confirm, lapse, withdraw
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from tests.engine.box_office import BoxOffice, standing
from tests.engine.fair import (
    EVENING,
    EVERY_TROUBLE,
    LENGTH,
    SINGLES,
    TO_PAY,
    Fair,
    Marker,
    counts,
    expired,
    in_checkout,
    later,
    single,
    times,
)
from tests.engine.faults import Calls, Crash, conflict, meanwhile, throttled
from tests.engine.shop import HOUR, Shop, hall, refusal, seat, units


def test_rule_14_late_money_takes_the_same_things_again(fair: Fair, calls: Calls) -> None:
    """Rule 14: a read and a transaction: ten lines, from the shards they came from, at the price that was paid."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    assert late.ttl is not None
    calls.clear()
    bought = reacquire(shop.engine, late.key, 1)
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert len(calls.transactions[0].written) == 1 + 4 + 5 + 4 + 1
    assert (bought.status, bought.checkout, bought.ttl, bought.v) == ("confirmed", 1, None, late.v + 1)
    assert bought.allocated() == late.allocated()
    assert [line.attribute_values for line in bought.lines] == [line.attribute_values for line in late.lines]
    assert shop.stored(late.key).serialize() == bought.serialize()
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    assert times(fair, bought) == {None}
    shop.audit()


def test_rule_14_late_money_for_a_checkout_that_ran_out(fair: Fair) -> None:
    """Rule 14: in checkout, not paid in time, given back; the same attempt's money comes after all."""
    shop = fair.shop
    begun = in_checkout(fair, attempt=3)
    shop.clock.forward(TO_PAY * 1_000)
    go_back(shop.engine, begun.key, 3)
    assert fair.is_untouched()
    assert reacquire(shop.engine, begun.key, 3).status == "confirmed"
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    shop.audit()


def test_rule_14_taken_again_twice_is_taken_once(fair: Fair, calls: Calls) -> None:
    """Rule 8: the same attempt again finds its own work; another attempt, or none, finds it sold to somebody."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    bought = reacquire(shop.engine, late.key, 1)
    calls.clear()
    assert reacquire(shop.engine, late.key, 1).serialize() == bought.serialize()
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, late.key, 2)
    assert calls.transactions == []
    confirmed = confirm(shop.engine, shop.cart("bob", seat("A", 2)).key)
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, confirmed.key, 1)
    shop.audit()


@pytest.mark.parametrize("line", range(10))
def test_rule_14_another_has_one_of_ten_things_since(fair: Fair, line: int) -> None:
    """Rule 14: held or sold to another, whichever it is: HoldTaken, and nothing is changed; once free it is taken."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    wanted = fair.lines[line]
    if wanted.product_id is not None:
        wanted = units(wanted.product_id, {0: 9, 1: 2, 2: 3}[fair.products.index(wanted.product_id)])
    other = shop.cart("bob", wanted)
    before = counts(fair)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    confirm(shop.engine, other.key)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    assert shop.stored(late.key).serialize() == late.serialize()
    assert [available for available, _, _ in counts(fair)] == [available for available, _, _ in before]
    shop.audit()
    withdraw(shop.engine, other.key)
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    shop.audit()


@pytest.mark.parametrize("line", range(10))
def test_rule_14_another_takes_one_of_ten_things_right_before_the_write(fair: Fair, calls: Calls, line: int) -> None:
    """Rule 14: the first look finds everything free; the transaction fails whole, and the proof is found then."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    wanted = fair.lines[line]
    if wanted.product_id is not None:
        wanted = units(wanted.product_id, {0: 9, 1: 2, 2: 3}[fair.products.index(wanted.product_id)])
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", wanted)), "TransactWriteItems")
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    assert shop.stored(late.key).serialize() == late.serialize()
    shop.audit()


def test_rule_14_a_unit_whose_other_hold_has_lapsed_is_taken(fair: Fair) -> None:
    """Rule 11: another held the seat, the ticket and the hour since, and lost them: late money takes them over."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    other = shop.cart("bob", *(single(fair, kind) for kind in SINGLES))
    shop.clock.forward(LENGTH - 1)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    shop.clock.forward(1)
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    with pytest.raises(HoldTaken):
        confirm(shop.engine, other.key)
    shop.audit()


def test_rule_14_a_clock_that_is_behind_finds_its_own_units(fair: Fair) -> None:
    """Rule 14: by its own clock they are still held, and by nobody but the reservation itself: they are taken."""
    late = expired(fair.shop, *fair.lines)
    assert reacquire(later(fair.shop, -1_000).engine, late.key, 1).status == "confirmed"
    fair.shop.audit()


def test_rule_14_price_sale_and_limit_make_no_difference_to_what_was_paid(fair: Fair) -> None:
    """Rule 14: dearer, not on sale any more, and another two taken by the same user since: sold as it was paid."""
    shop = fair.shop
    plain, limited, scattered = fair.products
    shop.store.write(Update(shop.keys.pool_shard(product_pool(limited), 0), [PoolShardItem.total.add(5)]))
    shop.store.write(Update(shop.keys.pool_shard(product_pool(limited), 0), [PoolShardItem.available.add(5)]))
    late = expired(shop, *fair.lines)
    shop.cart("ann", units(limited, 2))
    for product in (plain, scattered):
        terms.change(shop.engine, shop.tenant, product, lambda known: known._replace(price_minor=7, on_sale=False))
    listings.edit(shop.engine, shop.tenant, fair.tickets[0], None, lambda currency: listings.Offer("X", 1, currency))
    bought = reacquire(shop.engine, late.key, 1)
    assert [line.unit_price_minor for line in bought.lines] == [line.unit_price_minor for line in late.lines]
    assert refusal(lambda: shop.cart("ann", units(limited, 1))) == [("items.0", "limit_exceeded")]
    shop.audit()
    give_back(shop.engine, late.key, bought.lines, lambda: False, State.REFUNDED)
    assert refusal(lambda: shop.cart("ann", units(limited, 1))) == [("items.0", "limit_exceeded")]
    shop.audit()


def test_rule_14_a_price_that_is_just_being_written_is_in_nobodys_way(shop: Shop) -> None:
    """Rule 14: two shards are on different terms: what was paid already may be drawn from both."""
    product = shop.product(units=[2, 2])
    late = expired(shop, units(product, 3))
    shop.cart("bob", units(product, 1))
    shard = shop.keys.pool_shard(product_pool(product), 1)
    shop.store.write(Update(shard, [PoolShardItem.revision.add(1), PoolShardItem.price_minor.set(7)]))
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    assert shop.count(product) == (0, 1, 3)
    shop.audit()


def test_rule_14_what_was_learnt_of_one_thing_is_kept_while_another_is_looked_for(fair: Fair, calls: Calls) -> None:
    """Rule 14: pruned hours are found at the first attempt, a shard sold since at the second: the third has both."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    shop.cart("bob", hall(EVENING - HOUR, EVENING))
    other, sold = shop.another(), units(fair.products[2], 1)
    calls.clear()
    calls.trouble(meanwhile(lambda: confirm(shop.engine, other.cart("bob", sold).key)), "TransactWriteItems", skip=1)
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    assert len(calls.transactions) == 3
    shop.audit()


def test_rule_14_other_shards_do_as_well(shop: Shop) -> None:
    """Rule 14: the shard it came from is sold: the units are drawn from wherever they are, and kept as drawn there."""
    product = shop.product(units=[3, 2, 2])
    late = expired(shop, units(product, 3))
    assert list(late.allocated().values()) == [3]
    confirm(shop.engine, shop.cart("bob", units(product, 2)).key)
    bought = reacquire(shop.engine, late.key, 1)
    assert sorted(bought.allocated().values()) == [1, 2]
    assert shop.stored(late.key).allocated() == bought.allocated()
    assert shop.count(product) == (2, 0, 5)
    shop.audit()
    withdraw(shop.engine, late.key)
    assert shop.count(product) == (5, 0, 2)
    shop.audit()


def test_rule_14_counted_tickets_are_found_by_their_type(shop: Shop) -> None:
    """Rule 14: so are tickets of a counted type, whose shards its own item tells."""
    office = BoxOffice(shop)
    office.open(standing=20, shards=4)
    held = office.reserve("ann", standing(5))
    shop.clock.forward(LENGTH)
    lapse(shop.engine, held.key, held.expires_at)
    confirm(shop.engine, office.reserve("bob", standing(13)).key)
    bought = reacquire(shop.engine, held.key, 1)
    assert sum(bought.allocated().values()) == 5
    assert office.standing() == (2, 0, 18)
    other = office.reserve("eva", standing(2))
    shop.clock.forward(LENGTH)
    lapse(shop.engine, other.key, other.expires_at)
    confirm(shop.engine, office.reserve("bob", standing(1)).key)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, other.key, 1)
    shop.audit()


def test_rule_05_a_shortage_is_proved_by_two_reads(shop: Shop, calls: Calls) -> None:
    """Rule 5: two reads between which nothing came back; one unit short of what was paid is a shortage."""
    product = shop.product(units=[2, 2])
    late = expired(shop, units(product, 4))
    shop.cart("bob", units(product, 1))
    calls.clear()
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    assert calls.operations == ["GetItem", "TransactWriteItems", "GetItem", *["BatchGetItem"] * 3]
    assert shop.count(product) == (3, 1, 0)


def test_rule_05_a_unit_that_comes_back_between_the_reads_is_no_shortage(shop: Shop, calls: Calls) -> None:
    """Rule 5: the first read is short, then a hold is cancelled: `released` tells, and the next attempt succeeds."""
    product = shop.product(units=[2, 2])
    late = expired(shop, units(product, 4))
    other = shop.cart("bob", units(product, 1))
    calls.trouble(meanwhile(lambda: cancel(shop.engine, other.key)), "BatchGetItem", skip=2)
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    assert shop.count(product) == (0, 0, 4)
    shop.audit()


def test_rule_05_units_that_come_and_go_between_all_reads_are_busy(shop: Shop, calls: Calls) -> None:
    """Rule 5: attempts used up are never a shortage."""
    product = shop.product(units=[2, 2])
    late = expired(shop, units(product, 4))
    shop.cart("bob", units(product, 1))

    def come_and_go() -> None:
        cancel(shop.engine, shop.cart("eva", units(product, 1)).key)

    calls.trouble(meanwhile(come_and_go), "BatchGetItem", times=100)
    with pytest.raises(Busy):
        reacquire(shop.engine, late.key, 1)
    calls.clear()
    assert shop.stored(late.key).serialize() == late.serialize()
    shop.audit()


def test_rule_05_one_pool_proved_short_is_enough(shop: Shop, calls: Calls) -> None:
    """Rule 5: of one pool nothing is sure, the other has too few: that is proof for both."""
    moving, short = shop.product(units=[2, 2]), shop.product(units=1)
    late = expired(shop, units(moving, 4), units(short, 1))
    shop.cart("bob", units(moving, 1), units(short, 1))

    def come_and_go() -> None:
        cancel(shop.engine, shop.cart("eva", units(moving, 1)).key)

    calls.trouble(meanwhile(come_and_go), "BatchGetItem", skip=2)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    shop.audit()


def test_rule_02_what_is_spread_too_widely_is_refunded(shop: Shop) -> None:
    """Rule 2: what is left is one unit here and there: more writes than one transaction has: nothing is changed."""
    products = [shop.product(units=[60, *[1] * 60]) for _ in range(2)]
    late = expired(shop, *(units(product, 60) for product in products))
    confirm(shop.engine, shop.cart("bob", *(units(product, 60) for product in products)).key)
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    assert [shop.count(product) for product in products] == [(60, 0, 60)] * 2
    shop.audit()


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_rule_07_late_money_meets_conflicts_for_a_while(fair: Fair, calls: Calls, trouble: Any) -> None:
    """Rule 7: other writers and throttles say nothing of the stock; with their end it is taken, else it is busy."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    calls.trouble(trouble, "TransactWriteItems", times=5)
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    withdraw(shop.engine, late.key)
    again = expired(shop, *fair.lines)
    calls.trouble(trouble, "TransactWriteItems", times=50)
    with pytest.raises(Busy):
        reacquire(shop.engine, again.key, 1)
    calls.clear()
    assert fair.is_untouched()
    shop.audit()


def test_rule_07_contention_on_a_shard_draws_from_where_most_is(shop: Shop, calls: Calls) -> None:
    """Rule 7: another transaction is at the shard it came from: the next attempt looks where there are more."""
    product = shop.product(units=[2, 4])
    late = expired(shop, units(product, 1))
    calls.trouble(conflict, "TransactWriteItems")
    bought = reacquire(shop.engine, late.key, 1)
    assert bought.allocated().keys() != late.allocated().keys()
    shop.audit()


def test_rule_17_late_money_finds_its_hours_pruned_and_free(fair: Fair) -> None:
    """Rule 17: bookings beside it pruned the lapsed entries from a day of each hall: they are written anew."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    for venue in ("1", "2"):
        shop.cart("bob", hall(EVENING - HOUR, EVENING, venue))
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    assert times(fair, late) == {None}
    shop.audit()


def test_rule_17_a_blackout_since_stands_in_late_moneys_way(fair: Fair) -> None:
    """Rule 17: the hall was closed once the hold had lapsed."""
    late = expired(fair.shop, *fair.lines)
    fair.shop.black_out(midnight("2023-12-03"), midnight("2023-12-03") + HOUR)
    with pytest.raises(HoldTaken):
        reacquire(fair.shop.engine, late.key, 1)
    fair.shop.audit()


def test_rule_14_what_is_not_there_any_more_is_not_made_by_late_money(shop: Shop) -> None:
    """Rule 14: a seat, or a product, that is gone is nobody's to sell; no item comes of it."""
    shop.seats({"A": 1})
    product = shop.product()
    seated, stocked = expired(shop, seat("A", 1)), expired(shop, units(product))
    pools = shop.keys.pool_shard(product_pool(product), 0)
    for key in (shop.seat_key("A", 1), pools, shop.keys.product(product)):
        shop.store.write(Delete(key))
    for late in (seated, stocked):
        with pytest.raises(HoldTaken):
            reacquire(shop.engine, late.key, 1)
    assert shop.store.get_raw(shop.seat_key("A", 1)) is None
    assert shop.store.get_raw(pools) is None


def test_rule_14_cancelled_is_final(fair: Fair) -> None:
    """Rule 14: cancelled, withdrawn or given back: late money is for none of them, nor for what is not there."""
    shop = fair.shop
    cancelled = cancel(shop.engine, shop.cart("ann", *fair.lines).key)
    withdrawn = withdraw(shop.engine, confirm(shop.engine, shop.cart("ann", *fair.lines).key).key)
    sold = confirm(shop.engine, shop.cart("ann", *fair.lines).key)
    refunded = give_back(shop.engine, sold.key, sold.lines, lambda: False, State.REFUNDED)
    for record in (cancelled, withdrawn, refunded):
        with pytest.raises(ReservationOver):
            reacquire(shop.engine, record.key, 1)
    shop.reserve("ann", {fair.products[0]: 1})
    deal = shop.deal("ann", fair.products[0])
    shop.clock.forward(LENGTH)
    lapse(shop.engine, deal.key, deal.expires_at)
    for key in (deal.key, shop.keys.reservation("ann", "reservations", "none")):
        with pytest.raises(ReservationNotFound):
            reacquire(shop.engine, key, 1)
    assert fair.is_untouched()
    shop.audit()


def test_rule_14_what_could_not_be_captured_is_on_sale_again(fair: Fair) -> None:
    """Rule 14: taken again by late money that cannot be captured: withdrawn from where it was drawn, and final."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    reacquire(shop.engine, late.key, 1)
    assert withdraw(shop.engine, late.key).status == "cancelled"
    assert fair.is_untouched()
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, late.key, 1)
    shop.audit()


def test_late_money_writes_beside_itself_or_not_at_all(fair: Fair) -> None:
    """What is beside it is in its transaction: while that is refused nothing is sold, and all is read again."""
    shop, marker = fair.shop, Marker(fair.shop)
    late = expired(shop, *fair.lines)
    shop.store.write(marker.beside(late)[0])
    with pytest.raises(Busy):
        reacquire(shop.engine, late.key, 1, marker.beside)
    assert fair.is_untouched()
    other = Marker(shop, "other")
    markers = chain([marker], [other] * 9)
    assert reacquire(shop.engine, late.key, 1, lambda record: next(markers).beside(record)).status == "confirmed"
    assert other.is_there()
    shop.audit()


@pytest.mark.parametrize("twin", [1, 2])
def test_rule_08_twins_take_late_moneys_things_once(fair: Fair, calls: Calls, twin: int) -> None:
    """Rule 8: a twin is faster by a write: the same attempt's work is found, another's is another's."""
    shop = fair.shop
    late = expired(shop, *fair.lines)
    calls.trouble(meanwhile(lambda: reacquire(shop.engine, late.key, twin)), "TransactWriteItems")
    if twin == 1:
        assert reacquire(shop.engine, late.key, 1).v == late.v + 1
    else:
        with pytest.raises(ReservationOver):
            reacquire(shop.engine, late.key, 1)
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    shop.audit()


@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("call", range(7))
def test_ten_lines_are_taken_again_whole_or_not_at_all(fair: Fair, calls: Calls, call: int, trouble: str) -> None:
    """Any call of an acquisition that has to look for other shards goes wrong; the next one completes it, once."""
    shop, marker = fair.shop, Marker(fair.shop)
    late = expired(shop, *fair.lines)
    confirm(shop.engine, shop.cart("bob", units(fair.products[2], 1)).key)
    confirm(shop.engine, shop.cart("bob", units(fair.products[2], 1)).key)
    calls.clear()
    calls.trouble(EVERY_TROUBLE[trouble], skip=call)
    try:
        reacquire(shop.engine, late.key, 1, marker.beside)
    except (Crash, HoldfastError):
        after = shop.stored(late.key)
        assert (after.status, after.v) in [("expired", late.v), ("confirmed", late.v + 1)]
        assert marker.is_there() == (after.status == "confirmed")
        shop.audit()
    calls.clear()
    bought = reacquire(shop.engine, late.key, 1, marker.beside)
    assert (bought.status, bought.v) == ("confirmed", late.v + 1)
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (0, 0, 6)]
    shop.audit()
