"""Letting people in: each ticket once, by one conditional write of its order."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from pynamodb.expressions.operand import Path

from holdfast.checkout import ticket_keys, tickets
from holdfast.checkout.states import BOUGHT
from holdfast.checkout.tickets import Place
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import Cancelled, Contended, Update
from holdfast.platform.errors import AlreadyAdmitted, Busy, CodeRefused, Conflict, TicketNotValid
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest


@dataclass(frozen=True)
class Admission:
    """Who was let in with which ticket, for what, and when (ms)."""

    order_id: str
    line: int
    number: int
    user_id: str
    kind: str
    event_id: str | None
    ticket_type_id: str | None
    row: str | None
    seat: str | None
    ticket_id: str | None
    title: str | None
    admitted_at: int


def admit(engine: Engine, tenant: str, code: str, keyed: KeyedRequest | None) -> Admission:
    """Let in who shows the code, and return what it is for; the same request again is answered as at first.

    Written in one transaction: the order, and the idempotency record if the request came with a key. Without one too
    it is a transaction, since a lost answer to it is safe to ask for again (PROTOCOL.md 8). Raises CodeRefused,
    AlreadyAdmitted, TicketNotValid where the ticket was given back or its order is not paid, IdempotencyKeyReused and
    Busy.
    """
    place = tickets.read(code, tenant, partial(ticket_keys.find, engine.store, tenant))
    key = Keys(tenant).by_order_id(place.order_id)
    for attempt in engine.retries:
        order = None if key is None else engine.store.get(OrderItem, key)
        if order is None:
            raise CodeRefused
        refusal = _refusal(order, place)
        if refusal is not None:
            return _replayed(engine, keyed, refusal)
        admission = _admission(order, place, engine.clock.now())
        record = [keyed.record(asdict(admission), admission.admitted_at)] if keyed else []
        try:
            engine.store.transact([*record, _admitting(order, place, admission.admitted_at)])
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as cancelled:
            known = keyed.settle(cancelled.reasons) if keyed else None
            if known is not None:
                return Admission(**known)
            engine.retries.wait(attempt)
        else:
            return admission
    raise Busy


def _refusal(order: OrderItem, place: Place) -> Conflict | None:
    """Return why nobody is let in with this ticket now, or None."""
    admitted_at = order.admissions().get(place.name)
    if admitted_at is not None:
        refusal = AlreadyAdmitted()
        refusal.extra = {"admitted_at": to_text(admitted_at)}
        return refusal
    left = order.lines[place.line].quantity - order.returned[place.line]
    return None if order.status in BOUGHT and place.number < left else TicketNotValid()


def _replayed(engine: Engine, keyed: KeyedRequest | None, refusal: Conflict) -> Admission:
    """Return what the same request was answered, if it was it that let somebody in; else raise the refusal."""
    known: Any = keyed.replay(engine.store) if keyed else None
    if known is None:
        raise refusal
    return Admission(**known)


def _admitting(order: OrderItem, place: Place, now: int) -> Update:
    """Return the write that lets a ticket in, unless it was, or was given back, or is no longer paid for.

    The order's other tickets may come in meanwhile. Its version rises, so that a refund meets the admission.
    """
    most_returned = order.lines[place.line].quantity - place.number - 1
    entry = Path(["admitted", place.name])
    condition = (
        entry.does_not_exist()
        & (OrderItem.returned[place.line] <= most_returned)
        & OrderItem.status.is_in(*(state.value for state in sorted(BOUGHT)))
    )
    actions = [
        entry.set(now),
        OrderItem.version.add(1),
        OrderItem.updated_at.set(now),
    ]
    return Update(order.key, actions, condition)


def _admission(order: OrderItem, place: Place, now: int) -> Admission:
    thing = order.lines[place.line]
    return Admission(
        order_id=place.order_id,
        line=place.line,
        number=place.number,
        user_id=order.user_id,
        kind=thing.kind,
        event_id=thing.event_id,
        ticket_type_id=thing.ticket_type_id,
        row=thing.row,
        seat=thing.seat,
        ticket_id=thing.ticket_id,
        title=thing.title,
        admitted_at=now,
    )
