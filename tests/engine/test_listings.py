"""Resale tickets on DynamoDB Local: edits, orders and late money that meet on one listing, and lost answers."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from holdfast.catalogue.listings import listings, lists, orders
from holdfast.catalogue.listings.lines import ListingRoom
from holdfast.catalogue.listings.listings import Listing, Offer
from holdfast.catalogue.listings.orders import Order, Purchase
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import Busy, HoldTaken, TicketLocked, TicketReserved
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import Room
from holdfast.reservations.idempotency import hash_of
from tests.engine.faults import Answer, Call, Calls, Crash, conflict, crash_after, crash_before, meanwhile, throttled
from tests.engine.shop import Shop

LENGTH = 600_000
SELLER = "ann"
_numbers = count()


def room(_: str) -> Room:
    return ListingRoom()


def listed(shop: Shop, price_minor: int = 500, key: str | None = None) -> Listing:
    offer = Offer("Row 3", price_minor, "USD")
    return listings.create(shop.engine, shop.tenant, SELLER, offer, shop.keyed(SELLER, "tickets", key, price_minor))


def now(shop: Shop, listing: Listing) -> Listing:
    return listings.get(shop.engine, shop.tenant, listing.id)


def edited(shop: Shop, listing: Listing, price_minor: int) -> Listing:
    return listings.edit(
        shop.engine, shop.tenant, listing.id, SELLER, lambda currency: Offer("Row 3", price_minor, currency)
    )


def ordered(shop: Shop, user: str, listing: Listing) -> Order:
    key = f"key-{next(_numbers)}"
    return orders.create(shop.engine, room, Purchase(shop.tenant, user, listing.id, key, hash_of(listing.id)))


def reservation(order: Order) -> Key:
    key = Keys("demo").by_view_id("o", order.id)
    assert key is not None
    return key


def test_an_edit_right_before_an_orders_write_is_what_the_order_buys_at(shop: Shop, calls: Calls) -> None:
    """The order has read the old price; the listing's revision refuses it, and it buys on the new terms."""
    listing = listed(shop)
    calls.trouble(meanwhile(lambda: edited(shop.another(), listing, 900)), "TransactWriteItems")
    assert ordered(shop, "bob", listing).price_minor == 900
    assert now(shop, listing).item.price_minor == 900


def test_an_order_right_before_an_edits_write_refuses_the_edit(shop: Shop, calls: Calls) -> None:
    """The edit has read a free listing; its own condition, not that read, is what decides."""
    listing = listed(shop)
    taken: list[Order] = []
    calls.trouble(meanwhile(lambda: taken.append(ordered(shop.another(), "bob", listing))), "UpdateItem")
    with pytest.raises(TicketLocked):
        edited(shop, listing, 900)
    assert (now(shop, listing).item.price_minor, taken[0].price_minor) == (500, 500)
    assert confirm(shop.engine, reservation(taken[0])).status == "confirmed"


def test_a_lock_that_is_let_go_right_before_an_edits_write_does_not_refuse_it(shop: Shop, calls: Calls) -> None:
    listing = listed(shop)
    held = ordered(shop, "bob", listing)
    calls.trouble(meanwhile(lambda: cancel(shop.another().engine, reservation(held))), "UpdateItem")
    assert edited(shop, listing, 900).item.price_minor == 900


def test_a_lock_that_lapses_while_an_edit_is_refused_frees_the_listing_for_the_next_edit(shop: Shop) -> None:
    listing = listed(shop)
    ordered(shop, "bob", listing)
    shop.clock.forward(LENGTH - 1)
    with pytest.raises(TicketLocked):
        edited(shop, listing, 900)
    shop.clock.forward(1)
    assert edited(shop, listing, 900).item.holder is None


def test_rule_12_an_edit_of_a_lapsed_lock_makes_the_late_confirm_fail(shop: Shop) -> None:
    """Rule 12: any write to a lapsed unit removes its holder, so that late money does not buy at the old price."""
    listing = listed(shop)
    late = ordered(shop, "bob", listing)
    shop.clock.forward(LENGTH)
    after = edited(shop, listing, 900).item
    assert after.holder is None
    assert after.held_until is None
    with pytest.raises(HoldTaken):
        confirm(shop.engine, reservation(late))
    assert cancel(shop.engine, reservation(late)).status == "expired"
    assert now(shop, listing).item.attribute_values == after.attribute_values
    assert ordered(shop, "carol", listing).price_minor == 900


def test_rule_12_an_edit_right_before_the_late_confirms_write_makes_it_fail(shop: Shop, calls: Calls) -> None:
    """Rule 12: the confirm has read its reservation; the edit takes its holder off before the write."""
    listing = listed(shop)
    late = ordered(shop, "bob", listing)
    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(lambda: edited(shop.another(), listing, 900)), "TransactWriteItems")
    with pytest.raises(HoldTaken):
        confirm(shop.engine, reservation(late))
    assert now(shop, listing).item.holder is None


def test_rule_12_a_late_confirm_right_before_an_edits_write_refuses_the_edit(shop: Shop, calls: Calls) -> None:
    """Rule 12: confirm never looks at the clock; what it sold is sold, though the edit saw a lapsed lock."""
    listing = listed(shop)
    late = ordered(shop, "bob", listing)
    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(lambda: confirm(shop.another().engine, reservation(late))), "UpdateItem")
    with pytest.raises(TicketLocked):
        edited(shop, listing, 900)
    assert now(shop, listing).state_at(shop.clock.now()) == "sold"


def test_a_lapsed_lock_is_taken_over_without_clean_up_and_its_loser_cannot_confirm(shop: Shop) -> None:
    """Rules 11 and 12: the next taker's own condition takes the unit; the loser neither confirms nor frees it."""
    listing = listed(shop)
    lost = ordered(shop, "bob", listing)
    shop.clock.forward(LENGTH - 1)
    with pytest.raises(TicketReserved):
        ordered(shop, "carol", listing)
    shop.clock.forward(1)
    taken = ordered(shop, "carol", listing)
    with pytest.raises(HoldTaken):
        confirm(shop.engine, reservation(lost))
    assert cancel(shop.engine, reservation(lost)).status == "expired"
    assert now(shop, listing).state_at(shop.clock.now()) == "reserved"
    assert confirm(shop.engine, reservation(taken)).status == "confirmed"


def test_the_version_rises_with_every_change_and_the_revision_with_edits_alone(shop: Shop) -> None:
    listing = listed(shop)
    seen = [(listing.item.version, listing.item.revision)]

    def then(act: Callable[[], object]) -> None:
        act()
        item = now(shop, listing).item
        seen.append((item.version, item.revision))

    then(lambda: cancel(shop.engine, reservation(ordered(shop, "bob", listing))))
    then(lambda: edited(shop, listing, 900))
    then(lambda: ordered(shop, "bob", listing))
    shop.clock.forward(LENGTH)
    then(lambda: confirm(shop.engine, reservation(ordered(shop, "carol", listing))))
    assert seen == [(1, 1), (3, 1), (4, 2), (5, 2), (7, 2)]


def asked_again(between: Callable[[], object] = lambda: None) -> Callable[[Call], Answer]:
    """Lose the answer of a call that had its effect, and let the SDK ask again after `between`."""

    def twice(call: Call) -> Answer:
        call.make()
        between()
        return call.make()

    return twice


@pytest.mark.parametrize("between", ["nothing", "an order", "another edit"])
def test_rule_08_an_edit_whose_answer_was_lost_is_made_once(shop: Shop, calls: Calls, between: str) -> None:
    """Rule 8: the retry's condition fails on the edit's own effect, and its writer's id says so."""
    listing, other = listed(shop), shop.another()
    acts: dict[str, tuple[Callable[[], object], int, int]] = {
        "nothing": (lambda: None, 2, 900),
        "an order": (lambda: ordered(other, "bob", listing), 3, 900),
        "another edit": (lambda: edited(other, listing, 700), 3, 700),
    }
    act, version, price_minor = acts[between]
    calls.trouble(asked_again(act), "UpdateItem")
    for answer in (edited(shop, listing, 900), now(shop, listing)):
        assert (answer.item.version, answer.item.price_minor) == (version, price_minor)


def made_then_throttled(call: Call) -> Answer:
    """Lose the answer of a call that had its effect, and throttle what the SDK asks again."""
    call.make()
    return throttled(call)


def test_rule_08_an_edit_whose_answer_was_lost_and_whose_retry_was_throttled_is_made_once(
    shop: Shop, calls: Calls
) -> None:
    """Rule 8: nothing is known after the throttle; the next look at the listing finds the writer's id."""
    listing = listed(shop)
    calls.trouble(made_then_throttled, "UpdateItem")
    assert edited(shop, listing, 900).item.version == 2
    assert now(shop, listing).item.version == 2


@pytest.mark.parametrize("key", [None, "k"])
def test_rule_08_a_listing_whose_answer_was_lost_is_made_once(shop: Shop, calls: Calls, key: str | None) -> None:
    """Rule 8: the next attempt's condition fails on the listing's own effect, and nobody else has its id."""
    calls.trouble(made_then_throttled, "TransactWriteItems")
    made = listed(shop, key=key)
    found = lists.unsold(shop.engine, "demo", 10, None).items
    assert [listing.item.attribute_values for listing in found] == [made.item.attribute_values]
    assert [call.operation for call in calls.made].count("TransactWriteItems") == 2


@pytest.mark.parametrize("trouble", [crash_before, crash_after])
def test_a_listing_is_made_whole_or_not_at_all_and_once_under_its_key(
    shop: Shop, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    """The function dies right before, or right after, the one write; the client sends its request again."""
    calls.trouble(trouble, "TransactWriteItems")
    with pytest.raises(Crash):
        listed(shop, key="k")
    made = listed(shop, key="k")
    for page in (
        lists.unsold(shop.engine, "demo", 10, None),
        lists.of_seller(shop.engine, "demo", SELLER, 10, None),
    ):
        assert [listing.id for listing in page.items] == [made.id]


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_conflicts_are_tried_again_and_never_told_as_a_lock(
    shop: Shop, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    calls.trouble(trouble, "TransactWriteItems", times=3)
    listing = listed(shop)
    calls.trouble(trouble, "UpdateItem", times=3)
    assert edited(shop, listing, 900).item.version == 2
    calls.trouble(trouble, "UpdateItem", times=8)
    with pytest.raises(Busy):
        edited(shop, listing, 700)
    assert now(shop, listing).item.price_minor == 900


def test_a_page_looks_for_unsold_tickets_a_bounded_number_of_times(shop: Shop, calls: Calls) -> None:
    old = listed(shop)
    for _ in range(2 * lists.MOST_LOOKS):
        shop.clock.forward(1)
        confirm(shop.engine, reservation(ordered(shop, "bob", listed(shop))))
    calls.clear()
    page = lists.unsold(shop.engine, "demo", 1, None)
    assert page.items == []
    assert calls.operations == ["Query", "BatchGetItem"] * lists.MOST_LOOKS
    assert page.next is not None
    rest = lists.unsold(shop.engine, "demo", 100, page.next)
    assert ([listing.id for listing in rest.items], rest.next) == ([old.id], None)


def test_an_order_takes_two_requests_and_keeps_its_title(shop: Shop, calls: Calls) -> None:
    """The listing is read and locked; a replay says the title of then, whatever the ticket is called since."""
    listing = listed(shop)
    calls.clear()
    order = ordered(shop, "bob", listing)
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
    orders.cancel(shop.engine, "demo", order.id, "bob", lambda _: None)
    listings.edit(shop.engine, "demo", listing.id, "ann", lambda _: Offer("Another", 1, "USD"))
    assert orders.find(shop.engine, "demo", order.id, "bob").title == listing.item.title


def test_a_ticket_that_another_has_is_refused_without_a_write(shop: Shop, calls: Calls) -> None:
    """The crowd behind the one buyer costs the listing reads only."""
    listing = listed(shop)
    ordered(shop, "bob", listing)
    calls.clear()
    with pytest.raises(TicketReserved):
        ordered(shop, "carol", listing)
    assert calls.transactions == []


@pytest.fixture
def shops(shop: Shop, store: Store) -> list[Shop]:
    """Warm functions on the same table and clock, each with a connection of its own."""
    return [shop.another(connect(store._table)) for _ in range(5)]


def crowd(shops: list[Shop], listing: Listing) -> tuple[int, list[Order]]:
    """Let the first function edit the price until it may not; from the third edit on the others order.

    Returns how many edits were made, and the orders.
    """
    opened = threading.Event()

    def edit() -> int:
        for made in range(100):
            if made == 3:
                opened.set()
            try:
                edited(shops[0], listing, 501 + made)
            except TicketLocked:
                return made
        raise AssertionError("nobody ordered")

    def order(buyer: int) -> Order | None:
        opened.wait(10)
        while True:
            try:
                return ordered(shops[buyer], f"buyer-{buyer}", listing)
            except Busy:
                continue
            except TicketReserved:
                return None

    with ThreadPoolExecutor(len(shops)) as threads:
        edits = threads.submit(edit)
        found = list(threads.map(order, range(1, len(shops))))
    return edits.result(), [order for order in found if order is not None]


def test_edits_and_orders_at_once_leave_one_holder_at_the_price_that_it_was_shown(
    shop: Shop, shops: list[Shop]
) -> None:
    for _ in range(5):
        listing = listed(shop)
        edits, (only,) = crowd(shops, listing)
        item = now(shop, listing).item
        assert (item.price_minor, item.version) == (only.price_minor, 2 + edits)
        assert confirm(shop.engine, reservation(only)).status == "confirmed"
