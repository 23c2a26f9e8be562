"""Interleavings that once broke an invariant, or would without a line that is easy to take for superfluous."""

import pytest

from holdfast.catalogue.products import stock, terms
from holdfast.platform.dynamodb import Update
from holdfast.platform.errors import Refused, ReservationNotFound, StockBelowCommitted
from holdfast.platform.items import PoolShardItem, ReservationItem
from holdfast.platform.tables import Key, id_of
from holdfast.reservations import deal_holds, reading
from holdfast.reservations.ending import confirm
from holdfast.reservations.extension import extend
from tests.engine.box_office import BoxOffice, row
from tests.engine.expiring import handle
from tests.engine.faults import Answer, Call, Calls, conflict, meanwhile, throttled
from tests.engine.shop import ListQueue, ManualClock, Shop, best, seat


def made_but_throttled(call: Call) -> Answer:
    """Make the call, lose its answer, and have what botocore tries next turned away."""
    call.make()
    return throttled(call)


@pytest.mark.parametrize("conflicts", [1, 3])
def test_an_add_that_meets_conflicts_is_counted_once(shop: Shop, calls: Calls, conflicts: int) -> None:
    """The second attempt learns the hold, the next ones conflict: each builds on the hold as it was read."""
    product = shop.product(max_per_user=5)
    shop.reserve("ann", {product: 1})
    calls.trouble(conflict, "TransactWriteItems", skip=1, times=conflicts)
    assert [held.quantity for held in shop.reserve("ann", {product: 1})] == [2]
    record = shop.deal("ann", product)
    assert sum(line.quantity for line in record.lines) == sum(record.allocated().values()) == 2
    deal_holds.let_go(shop.engine, "demo", "ann", product)
    assert shop.count(product) == (10, 0, 0)
    shop.audit({product: 5})


@pytest.mark.parametrize("held", [0, 1])
def test_a_reserve_that_was_made_without_an_answer_is_not_made_again(shop: Shop, calls: Calls, held: int) -> None:
    """DynamoDB made it, its answer was lost, and the repetition was throttled: the writer knows its own work."""
    product = shop.product()
    if held:
        shop.reserve("ann", {product: held})
    calls.trouble(made_but_throttled, "TransactWriteItems", skip=held)
    assert [found.quantity for found in shop.reserve("ann", {product: 2})] == [held + 2]
    assert shop.count(product) == (8 - held, held + 2, 0)


def test_a_reserve_that_was_made_without_an_answer_is_found_behind_another_add(shop: Shop, calls: Calls) -> None:
    """Made, its answer lost, then another hand adds to the hold before the repetition: both count once."""
    product = shop.product()
    other = shop.another()

    def overtaken(call: Call) -> Answer:
        call.make()
        other.reserve("ann", {product: 1})
        return throttled(call)

    calls.trouble(overtaken, "TransactWriteItems")
    assert [found.quantity for found in shop.reserve("ann", {product: 2})] == [3]
    assert shop.count(product) == (7, 3, 0)


@pytest.mark.parametrize("act", ["buy a part", "let go"])
def test_a_reserve_that_was_made_without_an_answer_is_not_made_anew(shop: Shop, calls: Calls, act: str) -> None:
    """Made, its answer lost, then bought from or let go before the repetition: it is not made a second time."""
    product = shop.product()
    other = shop.another()

    def overtaken(call: Call) -> Answer:
        call.make()
        if act == "let go":
            deal_holds.let_go(other.engine, "demo", "ann", product)
        else:
            other.buy("ann", product, 1)
        return throttled(call)

    calls.trouble(overtaken, "TransactWriteItems")
    shop.reserve("ann", {product: 2})
    assert shop.count(product) == ((10, 0, 0) if act == "let go" else (8, 1, 1))


def test_an_add_never_shortens_a_hold_that_was_extended(shop: Shop) -> None:
    """Extended to fifteen minutes, a hold that is added to a second later still runs out no sooner."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    held = shop.deal("ann", product)
    extended = extend(shop.engine, held.key, held.life, "request")
    shop.clock.forward(1_000)
    shop.reserve("ann", {product: 1})
    assert shop.deal("ann", product).expires_at == extended.expires_at


def test_a_throttled_batch_of_expiries_is_tried_as_one(shop: Shop, calls: Calls) -> None:
    """The table is throttled: ten holds are not tried one by one, each as often as the batch."""
    product = shop.product()
    held = [shop.hold(f"user{number}", {product: 1}) for number in range(10)]
    shop.clock.forward(600_000)
    calls.clear()
    calls.trouble(throttled, "TransactWriteItems", times=100)
    queue = ListQueue()
    assert handle(shop.engine, queue, [shop.message(record) for record in held]) == set()
    assert len(queue.sent) == 10
    assert len(calls.transactions) == 8


@pytest.mark.parametrize("units", [1, 3])
def test_a_check_out_that_was_made_without_an_answer_answers_its_order(shop: Shop, calls: Calls, units: int) -> None:
    """A lost answer to buying all, or a part: the order that was made is the answer, and nothing is bought twice."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    calls.trouble(made_but_throttled, "TransactWriteItems")
    assert shop.buy("ann", product, units).quantity == units
    assert shop.count(product) == (7, 3 - units, units)


def test_a_product_that_was_made_without_an_answer_is_made_once(shop: Shop, calls: Calls) -> None:
    """A lost answer to putting a product on sale: there is one product."""
    calls.trouble(made_but_throttled, "TransactWriteItems")
    new = stock.NewProduct("Lamp", None, 3, 100, "USD", None)
    made = stock.create(shop.engine, "demo", new, None)
    assert [id_of(found.key) for found in stock.list_all(shop.engine, "demo", 10, None)[0]] == [id_of(made.key)]


def test_a_line_that_is_looked_at_again_is_refused_if_it_must_be(shop: Shop) -> None:
    """A warm function remembers two currencies; the second look finds one currency, and one product off sale."""
    dollars, euros = shop.product(), shop.product(currency="EUR")
    shop.warm(dollars, euros)
    other = shop.another()
    terms.change(other.engine, "demo", euros, lambda old: old._replace(currency="USD", on_sale=False))
    with pytest.raises(Refused) as refused:
        shop.hold("ann", {dollars: 1, euros: 1})
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [("items.1", "not_on_sale")]
    assert shop.count(dollars) == (10, 0, 0)


def test_a_draw_from_several_shards_survives_a_price_that_is_being_changed(shop: Shop, calls: Calls) -> None:
    """One of two shards is repriced between the look and the write: the draw is made anew, on one price."""
    product = shop.product([5, 5])

    def reprice_first() -> None:
        key = shop.keys.pool_shard(f"product.{product}", 0)
        actions = [PoolShardItem.revision.set(2), PoolShardItem.price_minor.set(2_000)]
        shop.store.write(Update(key, actions))

    shop.hold("bob", {product: 3})
    calls.trouble(meanwhile(reprice_first), "TransactWriteItems", skip=1)
    held = shop.hold("ann", {product: 4})
    assert len({line.unit_price_minor for line in held.lines}) == 1
    assert sum(held.allocated().values()) == 4


def test_a_price_change_that_broke_off_keeps_no_stock_from_being_taken_away(shop: Shop) -> None:
    """Shards are on different terms: surplus is taken from both, since taking it away has no price."""
    product = shop.product([3, 3])
    key = shop.keys.pool_shard(f"product.{product}", 0)
    shop.store.write(Update(key, [PoolShardItem.revision.set(2)]))
    stock.set_total(shop.engine, "demo", product, 2)
    assert shop.count(product) == (2, 0, 0)
    shop.hold("ann", {product: 1})
    with pytest.raises(StockBelowCommitted):
        stock.set_total(shop.engine, "demo", product, 0)


class LaggingClock(ManualClock):
    """A clock that every sleep ends a millisecond short of."""

    def sleep(self, seconds: float) -> None:
        """Move on by a little less than was asked for."""
        self.forward(max(0, round(seconds * 1000) - 1))


def test_an_expiry_that_wakes_too_early_never_cancels(shop: Shop) -> None:
    """The wait ends short of the hold's time by the clock: the message comes again, the hold is not ended early."""
    early = Shop(shop.store, LaggingClock())
    product = early.product()
    held = early.hold("ann", {product: 1})
    early.clock.forward(held.expires_at - early.clock.now() - 1)
    queue = ListQueue()
    assert handle(early.engine, queue, [early.message(held)]) == set()
    assert queue.sent == [early.message(held)]
    assert early.stored(held.key).status == "held"
    early.clock.forward(1)
    assert handle(early.engine, ListQueue(), queue.sent) == set()
    assert early.stored(held.key).status == "expired"


def test_a_user_who_adds_with_many_hands_waits_between_attempts(shop: Shop, calls: Calls) -> None:
    """Others add to the same hold right before each attempt: from the second time on there is a wait."""
    product = shop.product(100)
    shop.reserve("ann", {product: 1})
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.reserve("ann", {product: 1})), "TransactWriteItems", times=3)
    assert shop.reserve("ann", {product: 1})[0].quantity == 5
    assert len(shop.waits) >= 2


def test_what_was_bought_is_listed_once(shop: Shop) -> None:
    """A hold bought in two parts is two confirmed reservations; the hold itself is not listed beside them."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    shop.buy("ann", product, 1)
    shop.buy("ann", product, 2)
    page = reading.list_of(shop.engine, "demo", "ann", None, 10, None)
    assert sorted(sum(line.quantity for line in item.lines) for item in page.items) == [1, 2]


def test_a_deal_hold_that_is_just_being_bought_is_neither_added_to_nor_replaced(shop: Shop) -> None:
    """In checkout a hold keeps its units: a reserve is refused, and does not write over it."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    key: Key = shop.keys.deal_hold("ann", product)
    shop.store.write(Update(key, [ReservationItem.status.set("checking_out"), ReservationItem.v.add(1)]))
    with pytest.raises(Exception, match="just being bought"):
        shop.reserve("ann", {product: 1})
    assert shop.count(product) == (8, 2, 0)
    assert shop.deal("ann", product).allocated() == {f"product.{product}#00": 2}


def test_a_deal_hold_is_bought_by_splitting_and_never_confirmed_itself(shop: Shop) -> None:
    """Confirmed, the item would be overwritten by the user's next hold, and the record of what was sold be lost."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    with pytest.raises(ReservationNotFound):
        confirm(shop.engine, shop.keys.deal_hold("ann", product))
    assert shop.count(product) == (8, 2, 0)


@pytest.mark.parametrize("trouble", ["conflict", "lost"])
def test_seats_chosen_anew_are_none_that_the_cart_names(shop: Shop, calls: Calls, trouble: str) -> None:
    """The first choice leaves the named seat alone by itself; the one made after a loss has to know of it."""
    shop.seats({"A": 3})
    lost = meanwhile(lambda: shop.another().cart("bob", seat("A", 2)))
    calls.trouble(conflict if trouble == "conflict" else lost, "TransactWriteItems")
    held = shop.cart("ann", seat("A", 1), best(1))
    assert len({(line.row, line.seat) for line in held.lines}) == 2
    shop.audit()


def test_a_hold_whose_part_is_just_being_bought_is_extended(shop: Shop, calls: Calls) -> None:
    """The split moves a seat to the purchase; that the seat is another's now says nothing of the smaller hold."""
    office = BoxOffice(shop)
    office.open()
    held = office.reserve("ann", *row("A", 1, 2))
    other = office.another()
    calls.trouble(meanwhile(lambda: other.buy("ann", *row("A", 1))), "TransactWriteItems")
    assert extend(shop.engine, held.key, None, "request").expires_at == held.expires_at + 300_000
    shop.audit()
