"""Extending a hold: once, by a configured time, never beyond the longest hold."""

from holdfast.platform.dynamodb import Cancelled, Contended, Update
from holdfast.platform.errors import AlreadyExtended, Busy, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key
from holdfast.reservations.ending import unchanged
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State


def extend(engine: Engine, key: Key, life: int | None, request_id: str) -> ReservationItem:
    """Move the expiry of a live hold later and return it; the same `request_id` again returns it as it is.

    One conditional update of the reservation alone. Raises ReservationNotFound, ReservationOver where it is not held or
    past its time, AlreadyExtended, and Busy.
    """
    for attempt in engine.retries:
        record = engine.store.get(ReservationItem, key)
        if record is None or record.life != life:
            raise ReservationNotFound
        if record.extended_by == request_id:
            return record
        now = engine.clock.now()
        if record.status != State.HELD or record.expires_at <= now:
            raise ReservationOver
        if record.extended_by is not None:
            raise AlreadyExtended
        longest = record.created_at + engine.lengths.longest * 1000
        until = min(record.expires_at + engine.lengths.extension * 1000, longest)
        if until <= record.expires_at:
            raise AlreadyExtended("The reservation lasts as long as a hold may.")
        actions = [
            ReservationItem.expires_at.set(until),
            ReservationItem.due.set(until),
            ReservationItem.extended_by.set(request_id),
            ReservationItem.v.add(1),
        ]
        condition = unchanged(record) & (ReservationItem.expires_at > now)
        try:
            engine.store.write(Update(key, actions, condition))
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled:
            continue
        else:
            record.expires_at, record.extended_by, record.v = until, request_id, record.v + 1
            return record
    raise Busy
