"""How bookings are confirmed and cancelled by their own routes: their reservation's steps, and what is written beside.

What is paid, being paid or paid back is the till's, another room's to know. A request that came with an idempotency key
is answered as it was at first, whatever became of the booking since: the answer is written in the transaction of the
step, but for one that waits for a payment to be stopped or paid back, where it is written as soon as that is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from pynamodb.expressions.update import Action

from holdfast.catalogue.halls import refunds, states
from holdfast.catalogue.halls.booking_views import Booking, shown, to_json
from holdfast.catalogue.halls.bookings import as_it_is, booking_of, recalled, record_of, replayed
from holdfast.catalogue.halls.states import BookingState
from holdfast.catalogue.halls.venues import get
from holdfast.platform.dynamodb import Update, Write
from holdfast.platform.errors import BookingOver, CheckoutUnderWay, ReservationNotFound, ReservationOver
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import tenant_of
from holdfast.reservations import ending
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.states import State


class Till(Protocol):
    """What bookings ask of the checkout."""

    def paid_elsewhere(self, record: ReservationItem) -> tuple[OrderItem, Sequence[Write]]:
        """Return the order by which a held reservation is bought, and what makes it beside the confirmation.

        Raises CheckoutUnderWay where it is being paid here, ReservationOver where there is nothing left to buy.
        """
        ...

    def stop(self, record: ReservationItem) -> None:
        """Stop the checkout that a reservation is in, unless it is bought by then."""
        ...

    def give_back(self, record: ReservationItem, percent: int, keyed: KeyedRequest | None) -> None:
        """Give back all that a confirmed reservation bought, paying `percent` of its price back."""
        ...


def confirm(engine: Engine, tenant: str, booking_id: str, till: Till, keyed: KeyedRequest | None = None) -> Booking:
    """Keep a booking that is paid elsewhere for good, and return it; twice changes nothing.

    Written in one transaction: the reservation, its days, the booking, its order and charge, the idempotency record.
    Raises BookingNotFound, BookingOver where it is not held any more or is being paid here, HoldTaken, and Busy.
    """
    record = record_of(engine, tenant, booking_id, None)

    def act() -> None:
        item = booking_of(engine, record)
        found = shown(item, record, None, engine.clock.now())
        if found.state in (BookingState.CONFIRMED, BookingState.COMPLETED):
            return
        if not states.may_confirm(found.state):
            raise BookingOver

        def beside(current: ReservationItem) -> Sequence[Write]:
            now = engine.clock.now()
            order, paid = till.paid_elsewhere(current)
            booking = replace(shown(item, current, order, now), state=states.shown(State.CONFIRMED, item.end, now))
            return [*paid, *_written(item, keyed, replace(booking, updated_at=now))]

        ending.confirm(engine, record.key, beside)

    return _answered(engine, record, keyed, act)


def cancel(
    engine: Engine, tenant: str, booking_id: str, user: str | None, till: Till, keyed: KeyedRequest | None = None
) -> Booking:
    """Give a booking's time back and return it; twice changes nothing.

    One that is held is let go, one that is being paid is stopped first. Of a confirmed one the share that is paid back
    is settled by the notice at this moment, and kept with the booking once it is paid back. Raises BookingNotFound,
    BookingOver, NotRefundable where the money cannot be paid back, Unavailable where that takes too long, and Busy.
    """
    record = record_of(engine, tenant, booking_id, user)

    def act() -> None:
        item = booking_of(engine, record)
        found = shown(item, record, None, engine.clock.now())
        if found.state is BookingState.CANCELLED:
            return
        if not states.may_cancel(found.state):
            raise BookingOver
        if record.status == State.HELD and _let_go(engine, record, item, keyed):
            return
        current = _again(engine, record)
        if current.status == State.CHECKING_OUT:
            till.stop(current)
            current = _again(engine, record)
        if current.status == State.CONFIRMED:
            _give_back(engine, current, item, till, keyed)
            current = _again(engine, record)
        if states.shown(State(current.status), item.end, engine.clock.now()) is not BookingState.CANCELLED:
            raise BookingOver

    return _answered(engine, record, keyed, act)


def _let_go(engine: Engine, record: ReservationItem, item: BookingItem, keyed: KeyedRequest | None) -> bool:
    """Cancel a reservation that is held; return whether it is cancelled, or is being bought or was by now."""

    def beside(current: ReservationItem) -> Sequence[Write]:
        now = engine.clock.now()
        booking = replace(shown(item, current, None, now), state=BookingState.CANCELLED, updated_at=now)
        return _written(item, keyed, booking, [BookingItem.cancelled_at.set(now)])

    try:
        ended = ending.cancel(engine, record.key, beside=beside)
    except ReservationOver:
        return False
    if ended.status == State.EXPIRED:
        raise BookingOver
    return True


def _give_back(
    engine: Engine, record: ReservationItem, item: BookingItem, till: Till, keyed: KeyedRequest | None
) -> None:
    """Have a confirmed booking given back, by the notice at this moment, and keep which share of its price that was."""
    now = engine.clock.now()
    policy = get(engine, tenant_of(record.key), item.venue_id).settings.refunds
    percent = refunds.percent_at(policy, item.start, now)
    till.give_back(record, percent, keyed)
    actions = [BookingItem.cancelled_at.set(now), BookingItem.refund_percent.set(percent)]
    engine.store.write(Update(item.key, [BookingItem.updated_at.set(now), *actions]))


def _again(engine: Engine, record: ReservationItem) -> ReservationItem:
    current = engine.store.get(ReservationItem, record.key)
    if current is None:
        raise ReservationNotFound
    return current


def _written(
    item: BookingItem, keyed: KeyedRequest | None, booking: Booking, actions: Sequence[Action] = ()
) -> Sequence[Write]:
    """Return the writes that bring what is kept of a booking to what `booking` shows, and remember it as the answer."""
    touched = Update(item.key, [BookingItem.updated_at.set(booking.updated_at), *actions])
    return [touched] if keyed is None else [touched, keyed.record(to_json(booking), booking.updated_at)]


def _answered(engine: Engine, record: ReservationItem, keyed: KeyedRequest | None, act: Callable[[], None]) -> Booking:
    """Return the answer that the same request got before, or the booking once `act` is done, and remember that."""
    known = None if keyed is None else replayed(engine, keyed)
    if known is not None:
        return known
    try:
        act()
    except (BookingOver, ReservationOver, CheckoutUnderWay) as over:
        known = None if keyed is None else replayed(engine, keyed)
        if known is None:
            raise BookingOver from over
        return known
    known = None if keyed is None else replayed(engine, keyed)
    if known is not None:
        return known
    found = as_it_is(engine, _again(engine, record))
    if keyed is None:
        return found
    known = keyed.remember(engine.store, engine.retries, to_json(found), engine.clock.now())
    return recalled(engine, keyed.tenant, known)
