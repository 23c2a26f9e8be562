"""The older checkouts on the workflow: paid elsewhere or free, seen through, tried again, beside the unified one."""

from collections.abc import Callable

import pytest

from holdfast.catalogue.products import terms
from holdfast.checkout import deals, opening, purchases
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import PaymentChoice
from holdfast.platform.errors import (
    Busy,
    CheckoutUnderWay,
    HoldfastError,
    InsufficientReservation,
    PaymentFailed,
    PaymentRequired,
    ReservationOver,
    SeatsNotHeld,
    TooManyRequests,
    Unavailable,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.policy import Policy
from holdfast.platform.tables import Keys, limits_beside, order_of
from holdfast.reservations import deal_holds
from tests.engine.box_office import BoxOffice, row, standing
from tests.engine.expiring import handle
from tests.engine.faults import Calls, meanwhile
from tests.engine.shop import ListQueue, Shop

CUSTOMER = frozenset[str]()


def orders(shop: Shop, user: str = "ann") -> list[OrderItem]:
    return [OrderItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.user(user), "O#").items]


def charges(shop: Shop, user: str = "ann") -> list[ChargeItem]:
    return [ChargeItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.user(user), "C#").items]


def children(shop: Shop, user: str = "ann") -> list[ReservationItem]:
    return [ReservationItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.user(user), "R#").items]


def refusal_of(attempt: Callable[[], object], kind: type[HoldfastError]) -> HoldfastError:
    with pytest.raises(kind) as refused:
        attempt()
    return refused.value


@pytest.fixture
def office(shop: Shop) -> BoxOffice:
    """A box office of an event with two rows of seats, and counted tickets."""
    office = BoxOffice(shop)
    office.open()
    return office


@pytest.mark.parametrize("roles", [CUSTOMER, frozenset({"staff", "admin"})])
def test_rule_24_what_costs_something_is_bought_without_a_payment_by_a_service_key_alone(
    shop: Shop, office: BoxOffice, roles: frozenset[str]
) -> None:
    """Rule 24: nothing is written for anybody else, and what is held stays held as before."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    held = office.reserve("ann", *row("A", 1))
    before = shop.deal("ann", product)
    with pytest.raises(PaymentRequired):
        shop.buy("ann", product, 1, roles=roles)
    with pytest.raises(PaymentRequired):
        office.buy("ann", *row("A", 1), roles=roles)
    assert orders(shop) == []
    assert shop.deal("ann", product).serialize() == before.serialize()
    assert shop.stored(held.key).status == "held"
    shop.buy("ann", product, 1)
    assert shop.count(product) == (8, 1, 1)


def test_rule_24_a_service_keys_checkout_is_one_order_with_one_charge_that_is_taken(shop: Shop) -> None:
    """Rule 24: the order says that it was paid elsewhere, and its money adds up as any other's."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    bought = shop.buy("ann", product, 2)
    [order], [charge] = orders(shop), charges(shop)
    assert (order.id, order.status, order.provider) == (bought.id, "completed", "external")
    assert (order.captured_minor, order.refundable_minor, order.total_minor) == (2_000, 2_000, 2_000)
    assert (charge.status, charge.captured_minor, charge.attempt) == ("completed", 2_000, 1)
    assert (charge.payment_id or "").startswith("external-")
    shop.audit()


@pytest.mark.parametrize("roles", [CUSTOMER, frozenset({"service"})])
def test_what_costs_nothing_anybody_buys_and_there_is_no_charge(shop: Shop, roles: frozenset[str]) -> None:
    product = shop.product(price_minor=0)
    shop.reserve("ann", {product: 3})
    assert shop.buy("ann", product, 2, roles=roles).total_minor == 0
    [order] = orders(shop)
    assert (order.status, order.provider) == ("completed", "free")
    assert charges(shop) == []
    assert shop.count(product) == (7, 1, 2)
    shop.audit()


@pytest.mark.parametrize("units", [1, 3])
def test_an_order_that_is_not_over_in_time_is_named_and_found_again_by_its_key(shop: Shop, units: int) -> None:
    product = shop.product()
    shop.reserve("ann", {product: 3})
    shop.machines.holding_back = True
    started = shop.clock.now()
    for _ in range(2):
        late = refusal_of(lambda: shop.buy("ann", product, units, key="k"), Unavailable)
        [order] = orders(shop)
        assert late.extra["order_id"] == order.id
    assert 30_000 <= shop.clock.now() - started < 32_000, "15 s each, inside the function's 20"
    assert shop.count(product) == (7, 3, 0)
    shop.machines.go()
    assert shop.buy("ann", product, units, key="k").id == order.id
    assert shop.another().buy("ann", product, units, key="k").id == order.id
    assert shop.count(product) == (7, 3 - units, units)
    assert len(orders(shop)) == len(charges(shop)) == 1
    shop.audit()


def test_what_an_order_is_about_to_buy_is_not_bought_by_another(shop: Shop, office: BoxOffice) -> None:
    """Between its opening and its begin an order's reservation is held as any other; no other hand takes of it."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    held = office.reserve("ann", *row("A", 1, 2), standing(2))
    shop.machines.holding_back = True
    for buying in (lambda: shop.buy("ann", product, 3), lambda: office.buy("ann", *row("A", 1, 2), standing(2))):
        refusal_of(buying, Unavailable)
    for units in (1, 3):
        refusal_of(lambda units=units: shop.buy("ann", product, units), InsufficientReservation)  # type: ignore[misc]
    refusal_of(lambda: office.buy("ann", *row("A", 1)), SeatsNotHeld)
    refusal_of(lambda: office.buy("ann", *row("A", 1, 2), standing(2)), SeatsNotHeld)
    shop.machines.go()
    assert shop.count(product) == (7, 0, 3)
    assert shop.stored(held.key).status == "confirmed"
    assert len(orders(shop)) == 2
    shop.audit()


@pytest.mark.parametrize("state", ["BeginCheckout", "AuthorisePayment", "ConfirmClaims", "CapturePayment"])
def test_a_checkout_that_fails_is_said_so_and_sells_nothing(shop: Shop, office: BoxOffice, state: str) -> None:
    """Whatever step cannot be taken: no money, no goods; what is held still can be bought again."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    office.reserve("ann", *row("A", 1, 2))
    shop.machines.fail(state)
    failed = refusal_of(lambda: shop.buy("ann", product, 2), PaymentFailed)
    assert failed.extra["order_id"] in {order.id for order in orders(shop)}
    assert failed.extra["reason"]
    refusal_of(lambda: office.buy("ann", *row("A", 1)), PaymentFailed)
    assert shop.count(product)[2] == 0
    assert not any(charge.captured_minor - charge.refunded_minor for charge in charges(shop))
    shop.audit()
    shop.machines.mend(state)
    if state in ("BeginCheckout", "AuthorisePayment"):
        assert shop.buy("ann", product, 3).quantity == 3, "of the hold, and of what the failed order held"
        office.buy("ann", *row("A", 1, 2))
        assert shop.count(product) == (7, 0, 3)
    shop.audit()


def test_a_failed_order_of_a_whole_reservation_is_followed_by_its_next_attempt(shop: Shop, office: BoxOffice) -> None:
    office.reserve("ann", *row("A", 1, 2))
    shop.machines.fail("AuthorisePayment")
    refusal_of(lambda: office.buy("ann", *row("A", 1, 2), key="k"), PaymentFailed)
    shop.machines.mend("AuthorisePayment")
    refusal_of(lambda: office.buy("ann", *row("A", 1, 2), key="k"), PaymentFailed)
    bought = office.buy("ann", *row("A", 1, 2), key="k2")
    [order] = orders(shop)
    assert (order.id, order.attempt, order.status) == (bought.id, 2, "completed")
    assert [charge.attempt for charge in charges(shop)][-1] == 2
    shop.audit()


def test_what_a_failed_order_holds_is_given_back_in_time(shop: Shop) -> None:
    product = shop.product()
    shop.reserve("ann", {product: 3})
    shop.machines.fail("AuthorisePayment")
    refusal_of(lambda: shop.buy("ann", product, 2), PaymentFailed)
    [child] = children(shop)
    hold = shop.deal("ann", product)
    assert (child.status, child.expires_at) == ("held", hold.expires_at)
    shop.clock.forward(hold.expires_at - shop.clock.now())
    assert handle(shop.engine, ListQueue(), [shop.message(child), shop.message(hold)]) == set()
    assert shop.count(product) == (10, 0, 0)
    shop.audit()


def test_a_throttled_start_names_the_order_which_is_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 21: the order is there, and the same request starts it."""
    product = shop.product()
    shop.reserve("ann", {product: 3})

    def throttled(*_: object) -> None:
        raise Busy

    with monkeypatch.context() as patch:
        patch.setattr(type(shop.machines), "start", throttled)
        busy = refusal_of(lambda: shop.buy("ann", product, 2, key="k"), Busy)
    [order] = orders(shop)
    assert (busy.extra["order_id"], order.status) == (order.id, "pending")
    assert shop.buy("ann", product, 2, key="k").id == order.id
    assert shop.count(product) == (7, 1, 2)


def whole(shop: Shop, hold: ReservationItem, card: str = "tok_success", key: str | None = None) -> OrderItem:
    """Open the order of all of a deal hold."""
    keyed = shop.keyed("ann", "check-out-reservation", key, hold.id)
    clearance = Clearance(limits_beside(hold.key), shop.policy, shop.gates())
    return deals.open_whole(shop.engine, hold, lambda _: PaymentChoice("sandbox", card), keyed, clearance)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_whole_deal_hold_becomes_one_reservation_and_order_however_often_it_is_asked_for(
    shop: Shop, calls: Calls, key: str | None
) -> None:
    product = shop.product(max_per_user=5)
    shop.reserve("ann", {product: 2})
    hold = shop.deal("ann", product)
    calls.clear()
    made = whole(shop, hold, key=key)
    assert len(calls.transactions) == 1, "all of it, or nothing"
    [child] = children(shop)
    assert (child.status, child.expires_at, child.source) == ("held", hold.expires_at, "deals")
    assert whole(shop.another(), hold, key=key).serialize() == made.serialize()
    assert shop.count(product) == (8, 2, 0)
    shop.audit({product: 5})
    shop.reserve("ann", {product: 3})
    assert whole(shop, hold, key=key).key == made.key, "the hold of that life, not the next one's"
    assert whole(shop, shop.deal("ann", product)).key != made.key
    shop.audit({product: 5})


def test_a_whole_deal_hold_is_bought_by_a_card_and_after_a_declined_one_by_another(shop: Shop) -> None:
    product = shop.product()
    shop.reserve("ann", {product: 2})
    hold = shop.deal("ann", product)
    for token, status in (("tok_decline", "payment_failed"), ("tok_success", "completed")):
        order = whole(shop, hold, token)
        opening.start(shop.machines.checkout, order)
        assert opening.read_order(shop.engine, order.key).status == status
        shop.audit()
    assert shop.count(product) == (8, 0, 2)
    assert [charge.status for charge in charges(shop)] == ["failed", "completed"]


@pytest.mark.parametrize("first", ["add", "twin", "rival", "let go", "lapse"])
def test_a_deal_hold_that_changes_right_before_it_is_bought_whole(shop: Shop, calls: Calls, first: str) -> None:
    product = shop.product()
    shop.reserve("ann", {product: 2})
    hold, other = shop.deal("ann", product), shop.another()
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: other.reserve("ann", {product: 1}),
        "twin": lambda: whole(other, hold),
        "rival": lambda: whole(other, hold, "tok_decline"),
        "let go": lambda: deal_holds.let_go(other.engine, "demo", "ann", product),
        "lapse": lambda: shop.clock.forward(600_000),
    }
    refusals = {"rival": CheckoutUnderWay, "let go": ReservationOver}
    calls.trouble(meanwhile(acts[first]), "TransactWriteItems")
    if first in refusals:
        refusal_of(lambda: whole(shop, hold), refusals[first])
        assert len(orders(shop)) == (first == "rival")
    else:
        made = whole(shop, hold)
        assert sum(line.quantity for line in made.lines) == (3 if first == "add" else 2)
        assert len(children(shop)) == len(orders(shop)) == 1
    shop.audit()


def test_a_deal_hold_that_is_over_is_not_bought_whole(shop: Shop) -> None:
    product = shop.product()
    shop.reserve("ann", {product: 2})
    hold = shop.deal("ann", product)
    shop.clock.forward(600_000)
    refusal_of(lambda: whole(shop, hold), ReservationOver)
    assert (children(shop), orders(shop)) == ([], [])


def test_a_refused_checkout_of_a_deal_hold_leaves_the_hold_as_it_was(shop: Shop) -> None:
    """Whoever has to wait still holds what they held, and finds it where they left it."""
    one, two = shop.product(), shop.product()
    shop.reserve("ann", {one: 1, two: 1})
    shop.policy = Policy(checkouts_per_minute=1)
    whole(shop, shop.deal("ann", one))
    before = shop.deal("ann", two)
    refusal_of(lambda: whole(shop, before), TooManyRequests)
    assert shop.deal("ann", two).serialize() == before.serialize()
    assert len(children(shop)) == len(orders(shop)) == 1
    deal_holds.let_go(shop.engine, "demo", "ann", two)
    shop.audit()


def test_what_a_deal_hold_costs_is_asked_of_what_is_bought_of_it(shop: Shop) -> None:
    """Free when it was looked at, and added to at a price right before it was bought: it is not free any more."""
    product = shop.product(price_minor=0)
    shop.reserve("ann", {product: 1})
    hold = shop.deal("ann", product)
    terms.change(shop.another().engine, "demo", product, lambda now: now._replace(price_minor=500))
    shop.reserve("ann", {product: 1})

    def pay(price_minor: int) -> PaymentChoice:
        return opening.choose((), ("sandbox",), None, price_minor)

    clearance = Clearance(limits_beside(hold.key))
    refusal_of(lambda: deals.open_whole(shop.engine, hold, pay, None, clearance), PaymentRequired)
    assert orders(shop) == []


def test_a_part_bought_of_what_a_failed_payment_holds_is_not_sold_by_late_money(shop: Shop, office: BoxOffice) -> None:
    """The order that was not paid asked for more than its reservation has since: its money buys nothing of it."""
    held = office.reserve("ann", *row("A", 1, 2))
    order = opening.open_order(shop.engine, held, PaymentChoice("sandbox", "tok_decline"))
    opening.start(shop.machines.checkout, order)
    part = office.buy("ann", *row("A", 1))
    assert part.reservation_id != held.id
    again = opening.open_order(shop.engine, shop.stored(held.key), PaymentChoice("sandbox", "tok_success"))
    assert (again.attempt, again.total_minor) == (2, 500)
    opening.start(shop.machines.checkout, again)
    assert opening.read_order(shop.engine, order.key).status == "completed"
    shop.audit()


def test_orders_of_every_state_are_purchases_of_their_tickets(shop: Shop, office: BoxOffice) -> None:
    held = office.reserve("ann", *row("A", 1, 2))
    shop.machines.fail("AuthorisePayment")
    refusal_of(lambda: office.buy("ann", *row("A", 1, 2)), PaymentFailed)
    [order] = orders(shop)
    found = purchases.find(shop.engine, "demo", order.id, "ann")
    assert (purchases.state_of(found), len(purchases.tickets_of(found))) == ("failed", 2)
    assert Keys("demo").by_order_id(order.id) == order_of(held.key)
