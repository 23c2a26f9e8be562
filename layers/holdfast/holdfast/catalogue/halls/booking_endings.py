"""How bookings are confirmed and cancelled: their reservation's steps, and what is written beside them.

A request that came with an idempotency key is answered as it was at first, whatever became of the booking since: the
answer is written in the transaction of the step.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pynamodb.expressions.update import Action

from holdfast.catalogue.halls import refunds, states
from holdfast.catalogue.halls.booking_views import Booking, from_json, shown, to_json
from holdfast.catalogue.halls.bookings import booking_of, record_of, replayed
from holdfast.catalogue.halls.states import BookingState
from holdfast.catalogue.halls.venues import get
from holdfast.platform.dynamodb import Update, Write
from holdfast.platform.errors import BookingOver, ReservationOver
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.tables import tenant_of
from holdfast.reservations import ending
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.states import State


def confirm(engine: Engine, tenant: str, booking_id: str, keyed: KeyedRequest | None = None) -> Booking:
    """Keep a booking for good and return it; twice changes nothing.

    Written in one transaction: the reservation, its days, the booking, the idempotency record. Raises BookingNotFound,
    BookingOver where it is not held any more, HoldTaken, and Busy.
    """
    record = record_of(engine, tenant, booking_id, None)

    def act() -> ReservationItem:
        item = booking_of(engine, record)
        found = shown(item, record, engine.clock.now())
        if found.state in (BookingState.CONFIRMED, BookingState.COMPLETED):
            return record
        if not states.may_confirm(found.state):
            raise BookingOver

        def beside(current: ReservationItem) -> Sequence[Write]:
            now = engine.clock.now()
            state = states.shown(State.CONFIRMED, item.end, now)
            return _written(item, keyed, replace(shown(item, current, now), state=state, updated_at=now))

        return ending.confirm(engine, record.key, beside)

    return _answered(engine, keyed, act)


def cancel(
    engine: Engine, tenant: str, booking_id: str, user: str | None, keyed: KeyedRequest | None = None
) -> Booking:
    """Give a booking's time back and return it; twice changes nothing.

    Which share of a confirmed one is paid back is settled by the notice at this moment, and kept with the booking.
    Written in one transaction: the reservation, its days, the booking, the idempotency record. Raises BookingNotFound,
    BookingOver and Busy.
    """
    record = record_of(engine, tenant, booking_id, user)

    def act() -> ReservationItem:
        item = booking_of(engine, record)
        found = shown(item, record, engine.clock.now())
        if found.state is BookingState.CANCELLED:
            return record
        if not states.may_cancel(found.state):
            raise BookingOver
        ended = _cancelled(engine, record, item, keyed)
        if ended.status == State.EXPIRED:
            raise BookingOver
        return ended

    return _answered(engine, keyed, act)


def _cancelled(
    engine: Engine, record: ReservationItem, item: BookingItem, keyed: KeyedRequest | None
) -> ReservationItem:
    """End a reservation that is held, or is confirmed by now."""

    def cancelling(current: ReservationItem, percent: int | None) -> Sequence[Write]:
        now = engine.clock.now()
        actions: list[Action] = [BookingItem.cancelled_at.set(now)]
        if percent is not None:
            actions.append(BookingItem.refund_percent.set(percent))
        booking = replace(shown(item, current, now), state=BookingState.CANCELLED, updated_at=now)
        return _written(item, keyed, replace(booking, refund_percent=percent), actions)

    if record.status == State.HELD:
        try:
            return ending.cancel(engine, record.key, beside=lambda current: cancelling(current, None))
        except ReservationOver:
            pass
    policy = get(engine, tenant_of(record.key), item.venue_id).settings.refunds

    def beside(current: ReservationItem) -> Sequence[Write]:
        return cancelling(current, refunds.percent_at(policy, item.start, engine.clock.now()))

    return ending.withdraw(engine, record.key, beside)


def _written(
    item: BookingItem, keyed: KeyedRequest | None, booking: Booking, actions: Sequence[Action] = ()
) -> Sequence[Write]:
    """Return the writes that bring what is kept of a booking to what `booking` shows, and remember it as the answer."""
    touched = Update(item.key, [BookingItem.updated_at.set(booking.updated_at), *actions])
    return [touched] if keyed is None else [touched, keyed.record(to_json(booking), booking.updated_at)]


def _answered(engine: Engine, keyed: KeyedRequest | None, act: Callable[[], ReservationItem]) -> Booking:
    """Return the answer that the same request got before, or the booking once `act` is done, and remember that."""
    known = None if keyed is None else replayed(engine, keyed)
    if known is not None:
        return known
    try:
        record = act()
    except (BookingOver, ReservationOver) as over:
        known = None if keyed is None else replayed(engine, keyed)
        if known is None:
            raise BookingOver from over
        return known
    found = shown(booking_of(engine, record), record, engine.clock.now())
    if keyed is None:
        return found
    known = replayed(engine, keyed)
    if known is not None:
        return known
    return from_json(keyed.remember(engine.store, engine.retries, to_json(found), engine.clock.now()))
