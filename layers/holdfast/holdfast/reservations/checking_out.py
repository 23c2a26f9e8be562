"""Into checkout and out of it again: what is held is kept until the deadline to pay by (PROTOCOL.md 13, 14).

Units and days are kept 30 s longer than the deadline, so that the payment provider can be asked before the goods are
takeable. A payment that was declined leaves the hold and its clock as they were.
"""

from pynamodb.expressions.update import Action

from holdfast.claims.changes import Change, netted
from holdfast.platform.dynamodb import Update, Write
from holdfast.platform.errors import ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key
from holdfast.reservations import single_claims
from holdfast.reservations.ending import Seen, Step, advance, given_back, lapsed, over, unchanged
from holdfast.reservations.engine import Beside, Engine, nothing_beside
from holdfast.reservations.states import State

GRACE = 30_000
"""Milliseconds that units and days are kept beyond the deadline to pay by."""


def begin(engine: Engine, key: Key, attempt: int, seconds: int, beside: Beside = nothing_beside) -> ReservationItem:
    """Keep what is held for an order's `attempt` to pay for, and return the reservation; twice changes nothing.

    The deadline is `seconds` from now, or the hold's own time where that is later; further attempts have no later one.
    `beside` is shown the reservation as it will be. Written in one transaction: the reservation, its units and days,
    what is `beside` it. Raises ReservationNotFound, ReservationOver where it is not held any more, and Busy.
    """
    begun: list[ReservationItem] = []

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        begun[:] = [record]
        if record.life is not None:
            raise ReservationNotFound
        if record.status == State.CHECKING_OUT and record.checkout == attempt:
            return None
        now = engine.clock.now()
        if record.status != State.HELD or record.expires_at <= now:
            raise ReservationOver
        until = max(record.expires_at, record.checkout_until or now + seconds * 1000)
        begun[:] = [_begun(record, attempt, until)]
        changes = netted(single_claims.retimed(record, until + GRACE, seen))
        actions: list[Action] = [
            ReservationItem.status.set(State.CHECKING_OUT.value),
            ReservationItem.v.add(1),
            ReservationItem.checkout.set(attempt),
            ReservationItem.checkout_until.set(until),
            ReservationItem.hold_expires_at.set(record.expires_at),
            ReservationItem.expires_at.set(until),
            ReservationItem.due.set(until),
        ]
        condition = unchanged(record) & (ReservationItem.expires_at > now)
        writes = [Update(key, actions, condition), *(change.write() for change in changes), *beside(begun[0])]
        return State.CHECKING_OUT, writes

    advance(engine, key, step)
    return begun[0]


def go_back(engine: Engine, key: Key, attempt: int) -> ReservationItem:
    """Leave the checkout of an order's `attempt`, and return the reservation: held, with its own clock, as before.

    Where that clock has run out meanwhile it is expired, and everything is given back at once. A reservation that is
    not in the checkout of this attempt is returned as it is. Written in one transaction: the reservation, its units and
    days, and where it is expired its shards and its user's limits. Raises ReservationNotFound and Busy.
    """

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        if not _is_of(record, attempt):
            return None
        now = engine.clock.now()
        back_at = record.hold_expires_at or record.expires_at
        if back_at <= now or any(map(single_claims.is_single, seen)):
            return State.EXPIRED, _given_up(record, State.EXPIRED, now, seen)
        actions: list[Action] = [
            ReservationItem.status.set(State.HELD.value),
            ReservationItem.v.add(1),
            ReservationItem.expires_at.set(back_at),
            ReservationItem.due.set(back_at),
            ReservationItem.hold_expires_at.remove(),
        ]
        changes = netted(single_claims.retimed(record, back_at, seen))
        return State.HELD, [Update(key, actions, unchanged(record)), *(change.write() for change in changes)]

    return advance(engine, key, step)


def abandon(engine: Engine, key: Key, attempt: int) -> ReservationItem:
    """Cancel a reservation in the checkout of an order's `attempt`, and return it; any other is returned as it is.

    Written in one transaction: the reservation, its shards, units and days, its user's limits. Raises
    ReservationNotFound and Busy.
    """

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        if not _is_of(record, attempt):
            return None
        return State.CANCELLED, _given_up(record, State.CANCELLED, engine.clock.now(), seen)

    return advance(engine, key, step)


def _is_of(record: ReservationItem, attempt: int) -> bool:
    return record.status == State.CHECKING_OUT and record.checkout == attempt


def _begun(record: ReservationItem, attempt: int, until: int) -> ReservationItem:
    """Return the reservation as it will be in the checkout of `attempt`."""
    begun = ReservationItem(**record.attribute_values)
    begun.status, begun.v = State.CHECKING_OUT.value, record.v + 1
    begun.checkout, begun.hold_expires_at = attempt, record.expires_at
    begun.checkout_until = begun.expires_at = begun.due = until
    return begun


def _given_up(record: ReservationItem, state: State, now: int, seen: Seen) -> list[Write]:
    """Return the writes that end a reservation in checkout, and give back what it still has."""
    back = lapsed(record, now) if state is State.EXPIRED else given_back(record)
    changes: list[Change] = [*back, *single_claims.released(record, now, seen)]
    ended = Update(record.key, over(state, now), unchanged(record))
    return [ended, *(change.write() for change in netted(changes))]
