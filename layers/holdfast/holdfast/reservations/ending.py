"""How a reservation leaves its state: confirmed, cancelled or expired, each in one transaction.

Every step checks the state and `v` that were read, never the status alone: an add in between would otherwise credit
stale shards (PROTOCOL.md 10). Confirm never looks at the clock (PROTOCOL.md 12); cancel and expire do.
"""

from collections.abc import Callable, Iterable

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from holdfast.claims import limits, pool
from holdfast.claims.changes import Change, netted
from holdfast.platform.dynamodb import Cancelled, Contended, Update, Write
from holdfast.platform.errors import Busy, InvariantBroken, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key, Keys, limits_beside, tenant_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State, may_follow

RETENTION_SECONDS = 30 * 24 * 3600
"""How long a reservation that is over is kept before TTL deletes it; never less than its idempotency key lives."""


def given_back(record: ReservationItem) -> Iterable[Change]:
    """Return the changes that give back all that a reservation holds, and what limits count of it."""
    yield from pool.released(Keys(tenant_of(record.key)), record.allocated())
    for line in record.lines:
        if line.counted:
            yield limits.give_back(limits_beside(record.key), line.product_id, line.quantity)


def unchanged(record: ReservationItem) -> Condition:
    """Return the condition that nobody wrote the reservation since it was read."""
    condition: Condition = (ReservationItem.status == record.status) & (ReservationItem.v == record.v)
    return condition


def confirming(record: ReservationItem) -> list[Write]:
    """Return the writes that sell what a held reservation holds; whether it is past its time makes no difference."""
    actions: list[Action] = [
        ReservationItem.status.set(State.CONFIRMED.value),
        ReservationItem.v.add(1),
        ReservationItem.due.remove(),
        ReservationItem.due_bucket.remove(),
    ]
    changes = pool.confirmed(Keys(tenant_of(record.key)), record.allocated())
    return [Update(record.key, actions, unchanged(record)), *(change.write() for change in netted(changes))]


def letting_go(record: ReservationItem, state: State, now: int) -> Update:
    """Return the write that ends a held reservation at `now` (ms) as `state`: CANCELLED before its time, else EXPIRED.

    What it holds is given back beside it (`given_back`), in the same transaction.
    """
    in_time = ReservationItem.expires_at <= now if state == State.EXPIRED else ReservationItem.expires_at > now
    actions: list[Action] = [
        ReservationItem.status.set(state.value),
        ReservationItem.v.add(1),
        ReservationItem.ttl.set(now // 1000 + RETENTION_SECONDS),
        ReservationItem.due.remove(),
        ReservationItem.due_bucket.remove(),
    ]
    return Update(record.key, actions, unchanged(record) & in_time)


def confirm(engine: Engine, key: Key) -> ReservationItem:
    """Sell what the reservation at `key` holds and return it confirmed; confirming twice changes nothing.

    A deal hold is not confirmed but split (`splitting`): its item is the next hold's, and would not keep what was sold.
    Written in one transaction: the reservation and the shards it drew from. Raises ReservationNotFound, ReservationOver
    where its state does not allow it, and Busy.
    """

    def step(record: ReservationItem) -> Step | None:
        if record.life is not None:
            raise ReservationNotFound
        if record.status == State.CONFIRMED:
            return None
        if record.status == State.EXPIRED or not may_follow(State(record.status), State.CONFIRMED):
            raise ReservationOver
        return State.CONFIRMED, confirming(record)

    return _advance(engine, key, step)


def cancel(engine: Engine, key: Key, life: int | None = None) -> ReservationItem:
    """Give back what the reservation at `key` holds and return it; one that is over already is returned as it is.

    `life` is that of the deal hold meant. Written in one transaction: the reservation, its shards, its user's limits.
    Raises ReservationNotFound, ReservationOver where it is being bought or was, and Busy.
    """

    def step(record: ReservationItem) -> Step | None:
        if record.life != life:
            raise ReservationNotFound
        if record.status in (State.CANCELLED, State.EXPIRED):
            return None
        if record.status != State.HELD:
            raise ReservationOver
        now = engine.clock.now()
        state = State.EXPIRED if record.expires_at <= now else State.CANCELLED
        return state, [letting_go(record, state, now), *(change.write() for change in netted(given_back(record)))]

    return _advance(engine, key, step)


def lapse(engine: Engine, key: Key, expires_at: int) -> ReservationItem:
    """Give back what the reservation at `key` holds, if its time is still `expires_at` (ms) and past; return it.

    A hold that was extended or added to meanwhile has another time, and stays. Raises ReservationNotFound and Busy.
    """

    def step(record: ReservationItem) -> Step | None:
        now = engine.clock.now()
        if record.status != State.HELD or record.expires_at != expires_at or expires_at > now:
            return None
        given = netted(given_back(record))
        return State.EXPIRED, [letting_go(record, State.EXPIRED, now), *(change.write() for change in given)]

    return _advance(engine, key, step)


Step = tuple[State, list[Write]]


def _advance(engine: Engine, key: Key, step: Callable[[ReservationItem], Step | None]) -> ReservationItem:
    """Read the reservation and make the writes of `step`, unless it wants none; return it as it then is.

    Raises InvariantBroken where a counter refuses twice what the reservation, unchanged, says it holds.
    """
    refused_at = 0
    for attempt in engine.retries:
        record = engine.store.get(ReservationItem, key)
        if record is None:
            raise ReservationNotFound
        wanted = step(record)
        if wanted is None:
            return record
        state, writes = wanted
        try:
            engine.store.transact(writes)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
                continue
            if refusal.reasons[0] is None and record.v == refused_at:
                raise InvariantBroken(str(refusal)) from refusal
            refused_at = record.v
        else:
            record.status, record.v = state.value, record.v + 1
            return record
    raise Busy
