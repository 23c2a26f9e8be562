"""Extending a hold: once, by a configured time, never beyond the longest hold (PROTOCOL.md 13)."""

from holdfast.claims.changes import netted
from holdfast.platform.dynamodb import Cancelled, Contended, RawItem, Update
from holdfast.platform.errors import AlreadyExtended, Busy, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key
from holdfast.reservations import single_claims
from holdfast.reservations.ending import unchanged
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State


def extend(engine: Engine, key: Key, life: int | None, request_id: str, policy: Policy = UNSET) -> ReservationItem:
    """Move the expiry of a live hold later and return it; the same `request_id` again returns it as it is.

    `policy` is what the tenant has set; where holds of the user were halved, so is what they are extended by.
    Written in one transaction: the reservation, its units and days; one of pools only is one update. Raises
    ReservationNotFound, ReservationOver where it is not held, past its time, or found past it by another who took
    of it, AlreadyExtended, and Busy.
    """
    lengths = engine.lengths.under(policy)
    seen: dict[Key, RawItem] = {}
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
        longest = record.created_at + lengths.longest * 1000
        until = min(record.expires_at + (lengths.extension >> (record.watched or 0)) * 1000, longest)
        if until <= record.expires_at:
            raise AlreadyExtended("The reservation lasts as long as a hold may.")
        actions = [
            ReservationItem.expires_at.set(until),
            ReservationItem.due.set(until),
            ReservationItem.extended_by.set(request_id),
            ReservationItem.v.add(1),
        ]
        condition = unchanged(record) & (ReservationItem.expires_at > now)
        changes = netted(single_claims.retimed(record, until, seen))
        writes = [Update(key, actions, condition), *(change.write() for change in changes)]
        try:
            engine.store.make(writes)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
                continue
            refused = refusal.seen(writes)
            seen = {} if key in refused else seen | refused
        else:
            record.expires_at, record.extended_by, record.v = until, request_id, record.v + 1
            return record
    raise Busy
