"""Orders of the older checkout: what a user holds of a deal is bought, as a free or externally paid order.

The part that is bought is split off the hold, confirmed and written into an order, all in one transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from secrets import token_hex

from holdfast.claims import pool
from holdfast.claims.changes import netted
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Write
from holdfast.platform.errors import AmountMismatch, Busy, InsufficientReservation, InvariantBroken, NoReservation
from holdfast.platform.items import OrderItem, ReservationItem
from holdfast.platform.money import from_minor
from holdfast.platform.tables import Keys
from holdfast.reservations import deal_holds
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import total_of
from holdfast.reservations.splitting import part_of, splitting
from holdfast.reservations.states import State


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
    idempotency record. Raises NoReservation, InsufficientReservation, AmountMismatch, IdempotencyKeyReused and Busy.
    """
    number = token_hex(16)
    for attempt in engine.retries:
        known = _answered(engine, purchase) or (_made(engine, purchase, number) if attempt else None)
        if known is not None:
            return known
        try:
            part, order, writes = _buying(engine, purchase, number)
        except (InsufficientReservation, AmountMismatch):
            known = _answered(engine, purchase) or _made(engine, purchase, number)
            if known is None:
                raise
            return known
        try:
            engine.store.transact(writes)
            return _order(order, purchase.product_id)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
            elif not any(reason and reason.condition_failed for reason in refusal.reasons[: -len(part.allocated())]):
                raise InvariantBroken(str(refusal)) from refusal
    raise Busy


def _answered(engine: Engine, purchase: Purchase) -> Order | None:
    known = purchase.keyed.replay(engine.store) if purchase.keyed else None
    return None if known is None else Order(**known)


def _made(engine: Engine, purchase: Purchase, number: str) -> Order | None:
    """Return the order that an earlier attempt made although its answer was lost (PROTOCOL.md 8)."""
    known = engine.store.get(OrderItem, Keys(purchase.tenant).order(purchase.user, number))
    return None if known is None else _order(known, purchase.product_id)


def _buying(engine: Engine, purchase: Purchase, number: str) -> tuple[ReservationItem, OrderItem, Sequence[Write]]:
    keys = Keys(purchase.tenant)
    held = _held(engine, purchase)
    part = part_of(held, purchase.quantity, keys.reservation(purchase.user, "checkout", number))
    total, currency = total_of(part), part.lines[0].currency
    if purchase.total_amount is not None and purchase.total_amount != from_minor(total, currency):
        raise AmountMismatch
    now = engine.clock.now()
    order = OrderItem(
        *keys.order(purchase.user, number),
        user_id=purchase.user,
        reservation_id=part.id,
        status="completed",
        lines=part.lines,
        currency=currency,
        total_minor=total,
        created_at=now,
    )
    split = splitting(held, part, now)
    part.status, part.due, part.due_bucket = State.CONFIRMED.value, None, None
    sold = netted(pool.confirmed(keys, part.allocated()))
    keyed = purchase.keyed
    remembered = [keyed.record(asdict(_order(order, purchase.product_id)), now)] if keyed else []
    return part, order, [*remembered, *split, Put(order, OrderItem.pk.does_not_exist()), *(c.write() for c in sold)]


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
