"""Orders of the marketplace: each is a view of a reservation of one listing that came by this route.

Such an order has no item of its own, so there is nothing that could disagree with the reservation: its id names the
reservation, its state is the reservation's as the clock has it, its version the reservation's. Once it is being paid
there is an order of the checkout under the same id, which says how.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.catalogue.listings.lists import MOST_LOOKS
from holdfast.platform.errors import (
    CheckoutUnderWay,
    OrderNotFound,
    OrderOver,
    Refused,
    ReservationOver,
    TicketNotFound,
    TicketReserved,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Keys, view_id
from holdfast.reservations import ending, reading
from holdfast.reservations.engine import Engine, LineRequest, Rooms
from holdfast.reservations.gate import Gate
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.states import State

SOURCE = "orders"
"""The source of the reservations that are orders."""


class ResaleOrderState(StrEnum):
    """The states of an order, as its clients know them."""

    CREATED = "created"
    AWAITING_PAYMENT = "awaiting:payment"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


_STATES = {
    State.HELD: ResaleOrderState.CREATED,
    State.CHECKING_OUT: ResaleOrderState.AWAITING_PAYMENT,
    State.CONFIRMED: ResaleOrderState.COMPLETE,
    State.COMPLETED: ResaleOrderState.COMPLETE,
    State.CANCELLED: ResaleOrderState.CANCELLED,
    State.EXPIRED: ResaleOrderState.CANCELLED,
    State.REFUNDED: ResaleOrderState.CANCELLED,
}


@dataclass(frozen=True)
class Order:
    """An order as its buyer sees it: title and price are as when the ticket was locked; `expires_at` in ms."""

    id: str
    user_id: str
    state: ResaleOrderState
    version: int
    expires_at: int
    ticket_id: str
    title: str
    price_minor: int
    currency: str


@dataclass(frozen=True)
class OrderPage:
    """Some of a user's orders, and the token that goes on from there; None at the end."""

    items: list[Order]
    next: str | None


@dataclass(frozen=True)
class Purchase:
    """A wish to buy a ticket. `idempotency_key` and the user make the order's id; `body_hash` is the body's.

    `policy` is what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    tenant: str
    user: str
    ticket_id: str
    idempotency_key: str
    body_hash: str
    policy: Policy = UNSET
    gate: Gate | None = None


def create(engine: Engine, rooms: Rooms, purchase: Purchase) -> Order:
    """Lock a ticket for its buyer and return the order; the same idempotency key and body return the same one.

    One transaction writes the reservation, the listing, what the gate wants and what the user's limit counts. Raises
    what the gate does, TooManyRequests, TicketNotFound, TicketReserved where another has it, Refused with the code
    `own_listing` where it is the buyer's own, IdempotencyKeyReused and Busy.
    """
    line = LineRequest("listing", "ticketId", ticket_id=purchase.ticket_id)
    request = HoldRequest(
        tenant=purchase.tenant,
        user=purchase.user,
        route=SOURCE,
        idempotency_key=purchase.idempotency_key,
        body_hash=purchase.body_hash,
        lines=[line],
        policy=purchase.policy,
        gate=purchase.gate,
    )
    try:
        record = hold(engine, rooms, request)
    except Refused as refused:
        if refused.code == TicketNotFound.code:
            raise TicketNotFound(faults=refused.faults) from refused
        if refused.code == TicketReserved.code:
            raise TicketReserved(faults=refused.faults) from refused
        raise
    return _view(record, State.HELD, version=1)


def find(engine: Engine, tenant: str, order_id: str, viewer: str | None) -> Order:
    """Return an order; `viewer`, where given, must be its own. Raises OrderNotFound, also for another's."""
    return _now(engine, [_record(engine, tenant, order_id, viewer)])[0]


def list_of(engine: Engine, tenant: str, user: str, limit: int, token: str | None) -> OrderPage:
    """Return up to `limit` orders of a user, in the stable order of their ids.

    A page may come short, even empty, and still have a `next`. Raises Malformed for a token that is not of this list.
    """
    found: list[ReservationItem] = []
    for _ in range(MOST_LOOKS):
        page = reading.list_of(engine, tenant, user, None, limit - len(found), token, SOURCE)
        found += page.items
        token = page.next
        if token is None or len(found) == limit:
            break
    return OrderPage(_now(engine, found), token)


Stop = Callable[[ReservationItem], None]
"""Stops what pays for a reservation, in another room, unless it is paid by then."""


def cancel(engine: Engine, tenant: str, order_id: str, buyer: str | None, stop: Stop) -> Order:
    """Free the ticket that an order locks, and return the order; one that is cancelled already is returned as it is.

    `buyer`, where given, must be its own. What is being paid is stopped first. Written in one transaction: the
    reservation and the listing. Raises OrderNotFound, OrderOver where it was paid, and Busy.
    """
    known = _record(engine, tenant, order_id, buyer)
    try:
        if known.status in (State.HELD, State.CHECKING_OUT):
            stop(known)
        record = ending.cancel(engine, known.key)
    except (ReservationOver, CheckoutUnderWay) as over:
        raise OrderOver from over
    return _now(engine, [record])[0]


def _record(engine: Engine, tenant: str, order_id: str, user: str | None) -> ReservationItem:
    key = Keys(tenant).by_view_id("o", order_id)
    record = None if key is None else engine.store.get(ReservationItem, key)
    if record is None or record.source != SOURCE or user not in (None, record.user_id):
        raise OrderNotFound
    return record


def _now(engine: Engine, records: Sequence[ReservationItem]) -> list[Order]:
    """Return the orders that reservations are, as the clock has them."""
    now = engine.clock.now()
    return [_view(record, reading.state_at(record, now), record.v) for record in records]


def _view(record: ReservationItem, state: State, version: int) -> Order:
    (line,) = record.lines
    assert line.ticket_id is not None
    assert line.title is not None
    return Order(
        id=view_id("o", record.key),
        user_id=record.user_id,
        state=_STATES[state],
        version=version,
        expires_at=record.expires_at,
        ticket_id=line.ticket_id,
        title=line.title,
        price_minor=line.unit_price_minor,
        currency=line.currency,
    )
