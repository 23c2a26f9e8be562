"""Purchases of tickets to events: what a user holds is bought, free or paid elsewhere.

What is bought is named seat by seat, and may be part of a reservation or of several. Exactly one whole reservation is
bought as it is; anything else is split off, and bought as a reservation of its own (PROTOCOL.md 15). Unlike a
confirmation that money calls for, a purchase looks at the clock: a client buys what it holds.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.checkout import orders, sales
from holdfast.checkout.sales import Seen, Wish, is_whole
from holdfast.checkout.states import OrderState
from holdfast.platform.dynamodb import read
from holdfast.platform.errors import (
    Fault,
    HoldTaken,
    OrderNotFound,
    PaymentFailed,
    PurchaseNotFound,
    ReservationOver,
    SeatsNotHeld,
    TooManyLines,
)
from holdfast.platform.items import LineMap, ReservationItem, UnitItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key, Keys, reservation_of, tenant_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.basket import MAX_LINES
from holdfast.reservations.engine import Engine, LineRequest, merged
from holdfast.reservations.gate import Gate
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.splitting import Part

SOURCE = "tickets"
"""The source of the reservations from which tickets are bought."""


class PurchaseState(StrEnum):
    """The states of a purchase, as older clients know it."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


_STATES = {
    OrderState.PENDING: PurchaseState.PENDING,
    OrderState.AWAITING_PAYMENT: PurchaseState.PENDING,
    OrderState.COMPLETED: PurchaseState.COMPLETED,
    OrderState.PARTIALLY_REFUNDED: PurchaseState.COMPLETED,
    OrderState.PAYMENT_FAILED: PurchaseState.FAILED,
    OrderState.EXPIRED: PurchaseState.FAILED,
    OrderState.FAILED: PurchaseState.FAILED,
    OrderState.CANCELLED: PurchaseState.CANCELLED,
    OrderState.REFUNDED: PurchaseState.REFUNDED,
}

_Thing = tuple[str, str | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class TicketPurchase:
    """A wish to buy of what a user holds, by a caller with these `roles`: lines of the kinds `seat` and `ticket`.

    No seat is named twice. `policy` is what the tenant has set for its users; `gate` is what the request has to pass,
    if anything.
    """

    tenant: str
    user: str
    roles: Collection[str]
    lines: Sequence[LineRequest]
    keyed: KeyedRequest | None = None
    policy: Policy = UNSET
    gate: Gate | None = None


def check_out(engine: Engine, workflows: Workflows, purchase: TicketPurchase) -> OrderItem:
    """Buy exactly what the lines name and return the order; what else the user holds stays held.

    Written in one transaction: what is bought as a reservation of its own, the reservations that it was part of, the
    seats, the order, the idempotency record; then the workflow does its part. Raises SeatsNotHeld naming every line
    that the user does not hold, MixedCurrencies, TooManyLines, PaymentRequired, PaymentFailed, IdempotencyKeyReused,
    Unavailable and Busy.
    """
    order = open_order(engine, purchase)
    try:
        return sales.see_through(engine, workflows, order)
    except PaymentFailed as failed:
        if failed.extra["reason"] == HoldTaken.code:
            _still_held(engine, purchase, order)
        raise


def open_order(engine: Engine, purchase: TicketPurchase) -> OrderItem:
    """Write the order of a purchase with what it buys, or find the one that the same request wrote; return it."""
    lines = merged(purchase.lines)
    if len(lines) > MAX_LINES:
        raise TooManyLines
    wish = _wish(purchase)

    def prepare(seen: Seen) -> list[Part]:
        held = sales.held_by(engine, wish)
        parts = _parts(held, lines, seen)
        return parts if seen or not is_whole(parts) else _parts(held, lines, _units(engine, parts[0].parent))

    try:
        return sales.open_order(engine, wish, prepare)
    except ReservationOver as over:
        raise SeatsNotHeld from over


def find(engine: Engine, tenant: str, purchase_id: str, viewer: str | None) -> OrderItem:
    """Return an order with tickets to events in it; `viewer`, where given, must be its own. Raises PurchaseNotFound."""
    try:
        order = orders.find(engine, tenant, purchase_id, viewer)
    except OrderNotFound as none:
        raise PurchaseNotFound from none
    if not tickets_of(order):
        raise PurchaseNotFound
    return order


def tickets_of(order: OrderItem) -> list[LineMap]:
    """Return those lines of an order that are tickets to events."""
    return [line for line in order.lines if line.event_id is not None]


def state_of(order: OrderItem) -> PurchaseState:
    """Return the state of the purchase that an order is."""
    return _STATES[OrderState(order.status)]


def _still_held(engine: Engine, purchase: TicketPurchase, order: OrderItem) -> None:
    """Raise SeatsNotHeld naming what is not held any more of a purchase that came to nothing, if that is something."""
    record = engine.store.get(ReservationItem, reservation_of(order.key))
    seen = _units(engine, record) if record else {}
    _parts(sales.held_by(engine, _wish(purchase)), merged(purchase.lines), seen)


def _wish(purchase: TicketPurchase) -> Wish:
    return Wish(purchase.tenant, purchase.user, purchase.roles, SOURCE, purchase.keyed, purchase.policy, purchase.gate)


def _units(engine: Engine, record: ReservationItem) -> Seen:
    """Return the units that a reservation says it has, as they are: opening its order makes no write to them."""
    keys = [Keys(tenant_of(record.key)).claimed(name) for name in record.units or ()]
    return engine.store.batch_get(keys) if keys else {}


def _parts(held: Sequence[ReservationItem], lines: Sequence[LineRequest], seen: Seen) -> list[Part]:
    """Return from which of the reservations to take what; from one whole reservation, where that is all of it.

    Raises SeatsNotHeld naming every line of which they have too little.
    """
    wanted = Counter({_thing(line): line.quantity for line in lines})
    left = Counter(wanted)
    holders = _holders(held, seen)
    parts = []
    for record in sorted(held, key=lambda record: _has(record) != wanted):
        quantities = [
            min(line.quantity, left[_thing(line)]) if holders.get(_thing(line), record.key) == record.key else 0
            for line in record.lines
        ]
        left.subtract({_thing(line): here for line, here in zip(record.lines, quantities, strict=True)})
        if any(quantities):
            parts.append(Part(record, quantities))
    missing = [line.field for line in lines if left[_thing(line)]]
    if missing:
        raise SeatsNotHeld(faults=[Fault(name, "The user does not hold this.", SeatsNotHeld.code) for name in missing])
    return parts


def _holders(held: Sequence[ReservationItem], seen: Seen) -> dict[_Thing, Key | None]:
    """Return by seat which of the reservations holds it, None for one that was seen to be another's.

    Two may say that they do where clocks differ: the newer one took over what the older one had lost.
    """
    holders: dict[_Thing, Key | None] = {}
    for record in held:
        seats = [line for line in record.lines if line.kind == "seat"]
        for line, name in zip(seats, record.units or (), strict=True):
            key = Keys(tenant_of(record.key)).claimed(name)
            if key not in seen or (seen[key] and read(UnitItem, seen[key]).holder == record.id):
                holders[_thing(line)] = record.key
            else:
                holders.setdefault(_thing(line), None)
    return holders


def _has(record: ReservationItem) -> Counter[_Thing]:
    return Counter({_thing(line): line.quantity for line in record.lines})


def _thing(line: LineMap | LineRequest) -> _Thing:
    """Return what tells the thing of a line from all others."""
    return line.kind, line.event_id, line.ticket_type_id, line.row, line.seat
