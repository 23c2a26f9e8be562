"""Orders of the older checkout: what a user holds of a deal is bought, free or paid elsewhere.

The part that is bought is split off the hold in the transaction that writes its order; the workflow confirms it.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from holdfast.checkout import opening, sales
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.sales import CHECKOUT, Seen, Step, Wish
from holdfast.platform.dynamodb import Put
from holdfast.platform.errors import AmountMismatch, InsufficientReservation, NoReservation, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.money import from_minor
from holdfast.platform.order_items import OrderItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Keys, tenant_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations import deal_holds
from holdfast.reservations.engine import Engine
from holdfast.reservations.gate import Gate
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import line_price, state_at, total_of
from holdfast.reservations.splitting import Part, child_of, oldest, splitting
from holdfast.reservations.states import State

SOURCE = "deals"
"""The source of the reservations that were split off a deal hold."""

Pay = Callable[[int], PaymentChoice]
"""Returns how a price, in minor units, is paid; raises where there is no way."""


@dataclass(frozen=True)
class Purchase:
    """A wish to buy `quantity` of what a user holds of a product, by a caller with these `roles`.

    `total_amount` is what the client believes that to cost, as a decimal; None where it does not say. `policy` is
    what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    tenant: str
    user: str
    roles: Collection[str]
    product_id: str
    quantity: int
    total_amount: Decimal | None = None
    keyed: KeyedRequest | None = None
    policy: Policy = UNSET
    gate: Gate | None = None


@dataclass(frozen=True)
class Order:
    """What was bought, as its buyer sees it; `total_minor` is in minor units of `currency`, `created_at` in ms."""

    id: str
    user_id: str
    product_id: str
    quantity: int
    total_minor: int
    currency: str
    created_at: int


def check_out(engine: Engine, workflows: Workflows, purchase: Purchase) -> Order:
    """Buy from the user's deal hold and return the order; the rest of the hold stays held until its own time.

    Written in one transaction: the bought part as a reservation of its own, the smaller hold, the order, the
    idempotency record; then the workflow does its part. Raises InsufficientReservation, AmountMismatch,
    PaymentRequired, PaymentFailed, IdempotencyKeyReused, Unavailable and Busy.
    """
    return _shown(sales.see_through(engine, workflows, open_order(engine, purchase)), purchase.product_id)


def open_order(engine: Engine, purchase: Purchase) -> OrderItem:
    """Write the order of a purchase with what it buys, or find the one that the same request wrote; return it."""
    wish = Wish(purchase.tenant, purchase.user, purchase.roles, SOURCE, purchase.keyed, purchase.policy, purchase.gate)

    def prepare(_: Seen) -> list[Part]:
        parts = _parts(engine, wish, purchase)
        lines = [line for part in parts for line in part.lines]
        total, currency = sum(map(line_price, lines)), lines[0].currency
        if purchase.total_amount is not None and purchase.total_amount != from_minor(total, currency):
            raise AmountMismatch
        return parts

    return sales.open_order(engine, wish, prepare)


def open_whole(
    engine: Engine, hold: ReservationItem, pay: Pay, keyed: KeyedRequest | None, clearance: Clearance
) -> OrderItem:
    """Write the order of all of a deal hold, with the reservation that it becomes for that; return it.

    That is always the same reservation; once it is there its orders are like those of any other (`opening.open_order`).
    The hold is over then, and the user's next one takes its place. `pay` is asked how its price is paid, in minor
    units. Written in one transaction: both reservations, the order, the idempotency record, what the clearance takes.
    Raises what refuses that, what `pay` and `opening.open_order` do, ReservationOver where nothing is held any more.
    """
    key = Keys(tenant_of(hold.key)).reservation(hold.user_id, CHECKOUT, hold.id)

    def known(_: int) -> OrderItem | None:
        answer = keyed.replay(engine.store) if keyed else None
        if answer is not None:
            found = Keys(tenant_of(hold.key)).by_order_id(answer["order_id"])
            return None if found is None else opening.read_order(engine, found)
        became = engine.store.get(ReservationItem, key)
        if became is None:
            return None
        return opening.open_order(engine, became, pay(total_of(became)), keyed, clearance)

    def step(_: Seen) -> Step[OrderItem]:
        clearance.let_in()
        held = engine.store.get(ReservationItem, hold.key)
        now = engine.clock.now()
        if held is None or held.life != hold.life or state_at(held, now) != State.HELD:
            raise ReservationOver
        parts = [Part(held, [line.quantity for line in held.lines])]
        child = child_of(parts, key, SOURCE)
        order = opening.order_for(child, pay(total_of(child)), now)
        remembered = [keyed.record({"order_id": order.id}, now)] if keyed else []
        own = [*remembered, *splitting(parts, child, now), Put(order, OrderItem.pk.does_not_exist())]
        return order, own, ()

    return sales.make(engine, known, step, clearance)


def became(engine: Engine, tenant: str, hold_id: str) -> ReservationItem | None:
    """Return the reservation that the deal hold of this id became (see `open_whole`), if it did."""
    key = Keys(tenant).became(hold_id, CHECKOUT)
    return None if key is None else engine.store.get(ReservationItem, key)


def _parts(engine: Engine, wish: Wish, purchase: Purchase) -> list[Part]:
    """Return from what to take how much: the deal hold, and then what orders that were not paid hold still."""
    parts: list[Part] = []
    left = purchase.quantity
    for held in _held(engine, wish, purchase.product_id):
        parts.append(oldest(held, left))
        left -= sum(parts[-1].quantities)
        if left == 0:
            return parts
    raise InsufficientReservation


def _held(engine: Engine, wish: Wish, product_id: str) -> Iterator[ReservationItem]:
    with suppress(NoReservation):
        yield deal_holds.find(engine, wish.tenant, wish.user, product_id)
    for record in sales.held_by(engine, wish):
        if record.lines[0].product_id == product_id:
            yield record


def _shown(item: OrderItem, product_id: str) -> Order:
    return Order(
        id=item.id,
        user_id=item.user_id,
        product_id=product_id,
        quantity=sum(line.quantity for line in item.lines),
        total_minor=item.total_minor,
        currency=item.currency,
        created_at=item.created_at,
    )
