"""Orders of the older checkout: what a user holds of a deal is bought, as a free or externally paid order.

The part that is bought is split off the hold, confirmed and written into an order, all in one transaction.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from secrets import token_hex

from holdfast.checkout import sales
from holdfast.checkout.sales import Sale, completed
from holdfast.platform.errors import AmountMismatch, InsufficientReservation, NoReservation
from holdfast.platform.items import OrderItem, ReservationItem
from holdfast.platform.money import from_minor
from holdfast.platform.tables import Keys
from holdfast.reservations import deal_holds
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import total_of
from holdfast.reservations.splitting import bought, oldest, selling, splitting


@dataclass(frozen=True)
class Purchase:
    """A wish to buy `quantity` of what a user holds of a product.

    `total_amount` is what the client believes that to cost, as a decimal; None where it does not say.
    """

    tenant: str
    user: str
    product_id: str
    quantity: int
    total_amount: Decimal | None = None
    keyed: KeyedRequest | None = None


@dataclass(frozen=True)
class Order:
    """An order as its buyer sees it; `total_minor` is in minor units of `currency`, `created_at` in ms."""

    id: str
    user_id: str
    product_id: str
    quantity: int
    total_minor: int
    currency: str
    status: str
    created_at: int


def check_out(engine: Engine, purchase: Purchase) -> Order:
    """Buy from the user's deal hold and return the order; the rest of the hold stays held until its own time.

    Written in one transaction: the bought part as a confirmed reservation, the smaller hold, the shards, the order, the
    idempotency record. Raises InsufficientReservation, AmountMismatch, IdempotencyKeyReused and Busy.
    """
    number = token_hex(16)
    key = Keys(purchase.tenant).order(purchase.user, number)
    answer = sales.make(
        engine,
        key,
        purchase.keyed,
        lambda _: _buying(engine, purchase, number),
        lambda item: asdict(_order(item, purchase.product_id)),
    )
    return Order(**answer)


def _buying(engine: Engine, purchase: Purchase, number: str) -> Sale:
    keys = Keys(purchase.tenant)
    parts = [oldest(_held(engine, purchase), purchase.quantity)]
    part = bought(parts, keys.reservation(purchase.user, "checkout", number))
    total, currency = total_of(part), part.lines[0].currency
    if purchase.total_amount is not None and purchase.total_amount != from_minor(total, currency):
        raise AmountMismatch
    now = engine.clock.now()
    order = completed(keys.order(purchase.user, number), part, now)
    return Sale(order, splitting(parts, part, now), selling(parts, part))


def _held(engine: Engine, purchase: Purchase) -> ReservationItem:
    try:
        held = deal_holds.find(engine, purchase.tenant, purchase.user, purchase.product_id)
    except NoReservation as nothing:
        raise InsufficientReservation from nothing
    if sum(line.quantity for line in held.lines) < purchase.quantity:
        raise InsufficientReservation
    return held


def _order(item: OrderItem, product_id: str) -> Order:
    return Order(
        id=item.id,
        user_id=item.user_id,
        product_id=product_id,
        quantity=sum(line.quantity for line in item.lines),
        total_minor=item.total_minor,
        currency=item.currency,
        status=item.status,
        created_at=item.created_at,
    )
