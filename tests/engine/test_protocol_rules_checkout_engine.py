"""PROTOCOL.md's rules for what a checkout does to a reservation: into it, out of it, late money, parts given back."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest
from pynamodb.connection import Connection

from holdfast.catalogue.listings import listings
from holdfast.catalogue.products import terms
from holdfast.claims.span import midnight
from holdfast.platform.dynamodb import Delete, Put, Store, Update, Write
from holdfast.platform.errors import (
    AlreadyExtended,
    Busy,
    HoldfastError,
    HoldTaken,
    InvariantBroken,
    ReservationNotFound,
    ReservationOver,
)
from holdfast.platform.items import CounterItem, LineMap, PoolShardItem, ReservationItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.tables import Key, product_pool
from holdfast.reservations.checking_out import GRACE, abandon, begin, go_back
from holdfast.reservations.ending import RETENTION_SECONDS, cancel, confirm, lapse, withdraw
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.extension import extend
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from tests.engine.box_office import BoxOffice, standing
from tests.engine.expiring import handle, sweep
from tests.engine.fair import EVENING, LENGTH, TROUBLES, Fair
from tests.engine.faults import Calls, Crash, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import HOUR, ListQueue, ManualClock, Shop, hall, refusal, resale, seat, units

TO_PAY = 900
"""Seconds to pay in, longer than a hold lasts."""

EVERY_TROUBLE = TROUBLES | {"lost answer": silence_after}
SINGLES = ("seat", "listing", "day")


def single(fair: Fair, kind: str) -> LineRequest:
    """Return a line that wants one thing, or some hours, of the fair's cart."""
    late = hall(EVENING + 4 * HOUR, EVENING + 6 * HOUR)
    return {"seat": seat("B", 8), "listing": resale(fair.tickets[0]), "day": late}[kind]


def later(shop: Shop, milliseconds: int) -> Shop:
    """Return another warm function, whose clock is ahead."""
    return Shop(shop.store, ManualClock(shop.clock.now() + milliseconds), shop.tenant)


def counts(fair: Fair) -> list[tuple[int, int, int]]:
    """Return what is available, held and sold of each product."""
    return [fair.shop.count(product) for product in fair.products]


def times(fair: Fair, record: ReservationItem) -> set[int | None]:
    """Return until when the units and days of a reservation are held."""
    shop = fair.shop
    keys = [shop.keys.claimed(name) for name in record.units or ()]
    days = [shop.day(date, venue) for date in ("2023-12-02", "2023-12-03") for venue in ("1", "2")]
    entries = [entry for day in days for name, entry in day.entries.items() if name.startswith(record.id)]
    assert len(entries) == 4
    return {*(shop.unit(key).held_until for key in keys), *(entry.held_until for entry in entries)}


def in_checkout(fair: Fair, attempt: int = 1) -> ReservationItem:
    """Return the cart of ten lines in checkout."""
    return begin(fair.shop.engine, fair.shop.cart("ann", *fair.lines).key, attempt, TO_PAY)


def expired(shop: Shop, *lines: LineRequest, user: str = "ann") -> ReservationItem:
    """Return a reservation whose time is over, and which has given everything back."""
    held = shop.cart(user, *lines)
    shop.clock.forward(LENGTH)
    assert lapse(shop.engine, held.key, held.expires_at).status == "expired"
    return shop.stored(held.key)


@dataclass(frozen=True)
class Marker:
    """Something that a step writes beside itself, once, and that tells whether it was made."""

    shop: Shop
    name: str = "marker"

    def is_there(self) -> bool:
        """Return whether it was written."""
        return self.shop.store.get(CounterItem, self.shop.keys.counter(self.name)) is not None

    def beside(self, _: ReservationItem) -> Sequence[Write]:
        """Return the write of it."""
        key = self.shop.keys.counter(self.name)
        return [Put(CounterItem(*key, last=1), CounterItem.pk.does_not_exist())]


def test_rule_13_into_checkout_every_unit_and_day_is_kept_beyond_the_deadline(fair: Fair, calls: Calls) -> None:
    """Rule 13: one transaction of the reservation, five units and four days: 30 s past the deadline; no pool."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    calls.clear()
    begun = begin(shop.engine, held.key, 1, TO_PAY)
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert len(calls.transactions[0].written) == 1 + 5 + 4
    deadline = shop.clock.now() + TO_PAY * 1_000
    assert times(fair, begun) == {deadline + 30_000}
    assert shop.stored(held.key).serialize() == begun.serialize()
    assert (begun.status, begun.expires_at, begun.due, begun.hold_expires_at) == (
        "checking_out",
        deadline,
        deadline,
        held.expires_at,
    )
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_13_goods_are_takeable_30_seconds_past_the_deadline(fair: Fair, kind: str) -> None:
    """Rule 13: a millisecond before it another is refused; at it they are anybody's."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000 + GRACE - 1)
    code = {"seat": "seat_taken", "listing": "already_reserved", "day": "time_conflict"}[kind]
    assert refusal(lambda: shop.cart("bob", single(fair, kind))) == [("items.0", code)]
    shop.audit()
    shop.clock.forward(1)
    assert shop.cart("bob", single(fair, kind)).status == "held"
    assert [held for _, held, _ in counts(fair)] == [2, 2, 4]
    assert shop.stored(begun.key).status == "checking_out"
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_13_what_another_took_by_a_clock_ahead_cannot_be_checked_out(fair: Fair, kind: str) -> None:
    """Rule 13: a lapsed unit or hour was lost since: the reservation is over, nothing is written; expiry gives back."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH - 1)
    later(shop, 1).cart("bob", single(fair, kind))
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    assert shop.stored(held.key).serialize() == held.serialize()
    shop.clock.forward(1)
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert [held for _, held, _ in counts(fair)] == [0, 0, 0]
    shop.audit()


def test_rule_13_begun_twice_is_begun_once(fair: Fair, calls: Calls) -> None:
    """Rule 13: the same attempt again changes nothing, however late; another attempt finds it in checkout."""
    begun = in_checkout(fair)
    fair.shop.clock.forward(TO_PAY * 1_000)
    calls.clear()
    assert begin(fair.shop.engine, begun.key, 1, TO_PAY).serialize() == begun.serialize()
    with pytest.raises(ReservationOver):
        begin(fair.shop.engine, begun.key, 2, TO_PAY)
    assert calls.transactions == []


def test_rule_13_checkout_takes_no_time_from_a_hold(shop: Shop) -> None:
    """Rule 13: where the hold lasts longer than there is to pay in, its own time is the deadline."""
    held = shop.hold("ann", {shop.product(): 1})
    assert begin(shop.engine, held.key, 1, 60).expires_at == held.expires_at
    shop.audit()


@pytest.mark.parametrize("late", [0, 1, LENGTH])
def test_rule_13_a_hold_past_its_time_is_not_checked_out(fair: Fair, late: int) -> None:
    """Rule 10: at its time and after, released or not, a hold is over; a deal hold is not checked out as it is."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH + late)
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    lapse(shop.engine, held.key, held.expires_at)
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    shop.reserve("ann", {fair.products[0]: 1})
    for key in (shop.keys.deal_hold("ann", fair.products[0]), shop.keys.reservation("ann", "reservations", "none")):
        with pytest.raises(ReservationNotFound):
            begin(shop.engine, key, 1, TO_PAY)
    shop.audit()


def test_rule_13_the_hold_lapses_right_before_checkout_begins(fair: Fair, calls: Calls) -> None:
    """Rule 10: the clock is in the condition: live when it was read, given back before the write."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)

    def lapses() -> None:
        shop.clock.forward(LENGTH)
        lapse(shop.engine, held.key, held.expires_at)

    calls.trouble(meanwhile(lapses), "TransactWriteItems")
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    assert shop.stored(held.key).status == "expired"
    shop.audit()


def test_rule_13_nothing_else_happens_to_what_is_being_paid_for(fair: Fair) -> None:
    """Rule 14: in checkout it is neither cancelled, extended, nor given back for a while, and no price is changed."""
    shop = fair.shop
    begun = in_checkout(fair)
    for act in (
        lambda: cancel(shop.engine, begun.key),
        lambda: extend(shop.engine, begun.key, None, "request"),
        lambda: withdraw(shop.engine, begun.key),
        lambda: give_back(shop.engine, begun.key, begun.lines, lambda: False, State.REFUNDED),
        lambda: reacquire(shop.engine, begun.key, 1),
    ):
        with pytest.raises(ReservationOver):
            act()
    assert lapse(shop.engine, begun.key, begun.expires_at).status == "checking_out"
    shop.audit()


def test_rule_14_a_declined_payment_leaves_the_hold_and_its_clock(fair: Fair) -> None:
    """Rule 14: back to held, until when it was held before, on every unit and day; then its own time gives it back."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(LENGTH - 1)
    back = go_back(shop.engine, begun.key, 1)
    stored = shop.stored(begun.key)
    assert (back.status, stored.status, stored.v) == ("held", "held", begun.v + 1)
    assert (stored.expires_at, stored.due, stored.hold_expires_at) == (
        begun.hold_expires_at,
        begun.hold_expires_at,
        None,
    )
    assert times(fair, stored) == {stored.expires_at}
    shop.audit()
    shop.clock.forward(1)
    assert handle(shop.engine, ListQueue(), [shop.message(stored)]) == set()
    assert fair.is_untouched()
    shop.audit()


def test_rule_14_a_payment_declined_after_the_holds_time_gives_everything_back_at_once(fair: Fair) -> None:
    """Rule 14: its own clock has run out during the payment: expired, units and days free for the next taker."""
    begun = in_checkout(fair)
    fair.shop.clock.forward(LENGTH)
    assert go_back(fair.shop.engine, begun.key, 1).status == "expired"
    assert fair.is_untouched()
    assert fair.shop.cart("bob", *fair.lines).status == "held"
    fair.shop.audit()


def test_rule_14_only_the_attempt_that_is_in_checkout_leaves_it(fair: Fair, calls: Calls) -> None:
    """Rule 14: an attempt that is over changes nothing for the next one, nor one that is not there for a hold."""
    shop = fair.shop
    begun = in_checkout(fair)
    go_back(shop.engine, begun.key, 1)
    again = begin(shop.engine, begun.key, 2, TO_PAY)
    calls.clear()
    for leave in (go_back, abandon):
        assert leave(shop.engine, begun.key, 1).serialize() == again.serialize()
    go_back(shop.engine, begun.key, 2)
    made = len(calls.transactions)
    for leave in (go_back, abandon):
        assert leave(shop.engine, begun.key, 2).status == "held"
    assert len(calls.transactions) == made
    shop.audit()


def test_rule_14_further_attempts_have_no_later_deadline(fair: Fair) -> None:
    """Rule 14: whatever number of cards is tried, the deadline is the first one; the hold's clock goes on as it was."""
    shop = fair.shop
    first = in_checkout(fair)
    for attempt in (2, 3):
        shop.clock.forward(LENGTH // 4)
        go_back(shop.engine, first.key, attempt - 1)
        begun = begin(shop.engine, first.key, attempt, TO_PAY)
        assert (begun.expires_at, begun.checkout_until) == (first.expires_at, first.expires_at)
        assert (begun.hold_expires_at, begun.checkout) == (first.hold_expires_at, attempt)
        assert times(fair, begun) == {first.expires_at + GRACE}
        shop.audit()


@pytest.mark.parametrize("late", [0, TO_PAY * 1_000 + GRACE])
def test_rule_14_abandoned_is_cancelled_for_good(fair: Fair, late: int) -> None:
    """Rule 14: a buyer cancels during checkout: all is free, and late money is not let in."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(late)
    assert abandon(shop.engine, begun.key, 1).status == "cancelled"
    assert fair.is_untouched()
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, begun.key, 1)
    with pytest.raises(ReservationOver):
        confirm(shop.engine, begun.key, checkout=1)
    assert fair.is_untouched()
    shop.audit()


def test_rule_16_at_the_deadline_the_workflow_is_told_and_decides(fair: Fair) -> None:
    """Rules 13, 16: the hold's message is dropped, an early one goes round, at the deadline nothing is given back."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    begun = begin(shop.engine, held.key, 1, TO_PAY)
    queue = ListQueue()
    told: list[ReservationItem] = []
    shop.clock.forward(LENGTH)
    messages = [shop.message(held), shop.message(begun)]
    assert handle(shop.engine, queue, messages, told.append) == set()
    assert (queue.sent, told) == ([ExpiryMessage(held.key, begun.expires_at)], [])
    assert sweep(shop.engine, [held.key], told.append) == 0
    shop.clock.forward((TO_PAY * 1_000 - LENGTH) - 500)
    assert handle(shop.engine, queue, [shop.message(begun)], told.append) == set()
    assert shop.clock.now() == begun.expires_at, "less than a second is waited for"
    assert sweep(shop.engine, [held.key], told.append) == 1
    assert [record.key for record in told] == [held.key, held.key]
    assert shop.stored(held.key).serialize() == begun.serialize()
    shop.audit()


def test_rule_16_what_cannot_be_told_is_delivered_again(fair: Fair) -> None:
    """Rule 16: the workflow cannot be asked just now, beside a hold that can be given back: only one comes again."""
    shop = fair.shop
    held = shop.hold("bob", {fair.products[0]: 1})
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000)

    def busy(_: ReservationItem) -> None:
        raise Busy

    messages = [shop.message(held), shop.message(begun)]
    assert handle(shop.engine, ListQueue(), messages, busy) == {begun.key}
    assert shop.stored(held.key).status == "expired"
    assert sweep(shop.engine, [held.key, begun.key], busy) == 0
    shop.audit()


@pytest.mark.parametrize("late", [0, TO_PAY * 1_000, TO_PAY * 1_000 + GRACE, 30 * 24 * HOUR])
def test_rule_12_confirm_in_checkout_never_looks_at_the_clock(fair: Fair, late: int) -> None:
    """Rule 12: nobody took any of it: sold, a month after the deadline as well."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(late)
    confirmed = confirm(shop.engine, begun.key, checkout=1)
    assert (confirmed.status, shop.stored(begun.key).checkout) == ("confirmed", 1)
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    assert times(fair, confirmed) == {None}
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_12_what_was_lost_past_the_deadline_is_not_sold(fair: Fair, kind: str) -> None:
    """Rule 12: one of ten lines is another's since: the confirm fails whole; going back gives the others back."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000 + GRACE)
    other = shop.cart("bob", single(fair, kind))
    with pytest.raises(HoldTaken):
        confirm(shop.engine, begun.key, checkout=1)
    assert shop.stored(begun.key).serialize() == begun.serialize()
    assert go_back(shop.engine, begun.key, 1).status == "expired"
    assert counts(fair) == [(10, 0, 0), (3, 0, 0), (6, 0, 0)]
    assert confirm(shop.engine, other.key).status == "confirmed"
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, begun.key, 1)
    shop.audit()


def test_rule_12_late_money_does_not_draw_what_still_counts_as_held(fair: Fair) -> None:
    """Rule 12: lapsed, and not given back yet: it is confirmed as it is; taking it again would be a double draw."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH)
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, held.key, 1)
    assert confirm(shop.engine, held.key, checkout=1).status == "confirmed"
    assert reacquire(shop.engine, held.key, 1).status == "confirmed"
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    shop.audit()


def test_rule_12_given_back_right_before_late_money_confirms_it(fair: Fair, calls: Calls) -> None:
    """Rule 12: expiry was faster than the confirm, which sells nothing; then everything is taken again."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(lambda: lapse(shop.engine, held.key, held.expires_at)), "TransactWriteItems")
    with pytest.raises(ReservationOver):
        confirm(shop.engine, held.key, checkout=1)
    assert fair.is_untouched()
    assert reacquire(shop.engine, held.key, 1).status == "confirmed"
    shop.audit()


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
    """Two reads fewer than two steps would take: ten lines, each item once."""
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
    plain = sold.lines[1]
    dearer = LineMap(**{**plain.attribute_values, "unit_price_minor": 1})
    elsewhere = LineMap(**{**sold.lines[0].attribute_values, "seat": "2"})
    for wrong in ([plain.of(3)], [plain, plain.of(1)], [dearer], [elsewhere]):
        with pytest.raises(InvariantBroken):
            give_back(shop.engine, sold.key, wrong, lambda: False, State.REFUNDED)
    assert shop.stored(sold.key).serialize() == shop.stored(sold.key).serialize()
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


def _leave(shop: Shop, key: Key) -> ReservationItem:
    return go_back(shop.engine, key, 1)


STEPS: dict[str, Callable[[Shop, Key], ReservationItem]] = {
    "begin": lambda shop, key: begin(shop.engine, key, 1, TO_PAY, Marker(shop).beside),
    "go back": _leave,
    "go back late": _leave,
    "abandon": lambda shop, key: abandon(shop.engine, key, 1),
    "confirm": lambda shop, key: confirm(shop.engine, key, Marker(shop).beside, checkout=1),
}
BECOMES = {
    "begin": "checking_out",
    "go back": "held",
    "go back late": "expired",
    "abandon": "cancelled",
    "confirm": "confirmed",
}


@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_ten_lines_go_through_checkout_whole_or_not_at_all(
    fair: Fair, calls: Calls, step: str, call: int, trouble: str
) -> None:
    """Any call of a step goes wrong; the step once more completes it, and does nothing twice."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    before = held if step == "begin" else begin(shop.engine, held.key, 1, TO_PAY)
    if step == "go back late":
        shop.clock.forward(LENGTH)
    calls.clear()
    calls.trouble(EVERY_TROUBLE[trouble], skip=call)
    try:
        STEPS[step](shop, held.key)
    except (Crash, HoldfastError):
        after = shop.stored(held.key)
        assert (after.status, after.v) in [(before.status, before.v), (BECOMES[step], before.v + 1)]
        shop.audit()
    calls.clear()
    STEPS[step](shop, held.key)
    record = shop.stored(held.key)
    assert (record.status, record.v) == (BECOMES[step], before.v + 1)
    assert fair.is_untouched() == (step in ("go back late", "abandon"))
    assert Marker(shop).is_there() == (step in ("begin", "confirm"))
    shop.audit()


def test_an_extension_outlasts_the_checkout_of_its_hold(fair: Fair) -> None:
    """Rules 13, 14: extended, checked out, declined: the hold goes on for as long as it was extended, once."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    longer = extend(shop.engine, held.key, None, "request")
    begun = begin(shop.engine, held.key, 1, 60)
    assert begun.expires_at == longer.expires_at
    assert go_back(shop.engine, held.key, 1).status == "held"
    assert shop.stored(held.key).expires_at == longer.expires_at
    with pytest.raises(AlreadyExtended):
        extend(shop.engine, held.key, None, "another")
    shop.audit()
