"""How a reservation leaves its state: confirmed, cancelled, expired or withdrawn, each in one transaction.

Every step checks the state and `v` that were read, never the status alone: an add in between would otherwise credit
stale shards (PROTOCOL.md 10). Confirm never looks at the clock (PROTOCOL.md 12); cancel and expire do. Expiry writes
pools only: a lapsed unit or span is the next taker's by the taker's own condition (PROTOCOL.md 11).
"""

from collections.abc import Callable, Iterable, Mapping

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from holdfast.claims import allocation, lapses, limits
from holdfast.claims.changes import Change, CounterChange, netted
from holdfast.platform.dynamodb import Cancelled, Contended, RawItem, Update, Write
from holdfast.platform.errors import Busy, InvariantBroken, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key, Keys, is_counter, limits_beside, tenant_of
from holdfast.reservations import single_claims
from holdfast.reservations.engine import Beside, Engine, nothing_beside
from holdfast.reservations.states import State, may_follow

RETENTION_SECONDS = 30 * 24 * 3600
"""How long a reservation that is over is kept before TTL deletes it; never less than its idempotency key lives."""

Seen = Mapping[Key, RawItem]
"""Claimed items that refused an earlier attempt of the same step, as their conditions saw them."""


def given_back(record: ReservationItem) -> Iterable[CounterChange]:
    """Return the changes that give back what a reservation holds of pools, and what limits count of it."""
    yield from allocation.released(Keys(tenant_of(record.key)), record.allocated())
    yield from uncounted(record)


def uncounted(record: ReservationItem) -> Iterable[CounterChange]:
    """Return the changes that take what a reservation has off its user's limits."""
    for line in record.lines:
        if line.counted:
            yield limits.give_back(limits_beside(record.key), line.limited_as, line.quantity)


def lapsed(record: ReservationItem, now: int) -> Iterable[CounterChange]:
    """Return the changes that give back what a reservation holds of pools as it expires at `now` (ms), unbought.

    Where it is watched, that counts against its user.
    """
    yield from given_back(record)
    if record.watched is not None:
        yield lapses.count(limits_beside(record.key), now)


def forgiven(record: ReservationItem) -> Iterable[CounterChange]:
    """Return the changes by which a user who buys after all is forgiven what lapsed before."""
    if record.watched is not None:
        yield lapses.forgive(limits_beside(record.key))


def unchanged(record: ReservationItem) -> Condition:
    """Return the condition that nobody wrote the reservation since it was read."""
    condition: Condition = (ReservationItem.status == record.status) & (ReservationItem.v == record.v)
    return condition


def confirming(record: ReservationItem, now: int, seen: Seen, checkout: int | None = None) -> list[Write]:
    """Return the writes that sell what a held reservation holds; whether it is past its time makes no difference.

    `seen` are what claimed items said to an earlier attempt; `checkout` is the order's attempt that buys it. Raises
    HoldTaken where another has one of them since.
    """
    actions: list[Action] = [
        ReservationItem.status.set(State.CONFIRMED.value),
        ReservationItem.v.add(1),
        ReservationItem.due.remove(),
        ReservationItem.due_bucket.remove(),
    ]
    actions.append(ReservationItem.checkout.remove() if checkout is None else ReservationItem.checkout.set(checkout))
    changes: list[Change] = [
        *allocation.confirmed(Keys(tenant_of(record.key)), record.allocated()),
        *single_claims.confirmed(record, now, seen),
        *forgiven(record),
    ]
    return [Update(record.key, actions, unchanged(record)), *(change.write() for change in netted(changes))]


def letting_go(record: ReservationItem, state: State, now: int) -> Update:
    """Return the write that ends a held reservation at `now` (ms) as `state`: CANCELLED before its time, else EXPIRED.

    What it holds is given back beside it (`given_back`, `lapsed`), in the same transaction.
    """
    in_time = ReservationItem.expires_at <= now if state == State.EXPIRED else ReservationItem.expires_at > now
    return Update(record.key, over(state, now), unchanged(record) & in_time)


def confirm(engine: Engine, key: Key, beside: Beside = nothing_beside, checkout: int | None = None) -> ReservationItem:
    """Sell what the reservation at `key` holds and return it confirmed; confirming twice changes nothing.

    `checkout` is the order's attempt that buys it, if one does: what something else confirmed, or another attempt is
    at, is then over.
    A deal hold is not confirmed but split (`splitting`): its item is the next hold's, and would not keep what was sold.
    Written in one transaction: the reservation, the shards it drew from, its units and days, where it is watched its
    user's limits, what is `beside` it. Raises ReservationNotFound, ReservationOver where its state does not allow it,
    HoldTaken where it ran out and another took some of it since, and Busy.
    """

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        if record.life is not None:
            raise ReservationNotFound
        if record.status == State.CONFIRMED and checkout in (None, record.checkout):
            return None
        if record.status == State.CHECKING_OUT and checkout not in (None, record.checkout):
            raise ReservationOver
        if record.status == State.EXPIRED or not may_follow(State(record.status), State.CONFIRMED):
            raise ReservationOver
        return State.CONFIRMED, [*confirming(record, engine.clock.now(), seen, checkout), *beside(record)]

    return advance(engine, key, step)


def cancel(engine: Engine, key: Key, life: int | None = None, beside: Beside = nothing_beside) -> ReservationItem:
    """Give back what the reservation at `key` holds and return it; one that is over already is returned as it is.

    `life` is that of the deal hold meant. Written in one transaction: the reservation, its shards, units and days, its
    user's limits, what is `beside` it. Raises ReservationNotFound, ReservationOver where it is being bought or was, and
    Busy.
    """

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        if record.life != life:
            raise ReservationNotFound
        if record.status in (State.CANCELLED, State.EXPIRED):
            return None
        if record.status != State.HELD:
            raise ReservationOver
        now = engine.clock.now()
        if record.expires_at <= now:
            return State.EXPIRED, _lapsing(record, now)
        changes: list[Change] = [*given_back(record), *single_claims.released(record, now, seen)]
        ended = letting_go(record, State.CANCELLED, now)
        return State.CANCELLED, [ended, *(change.write() for change in netted(changes)), *beside(record)]

    return advance(engine, key, step)


def withdraw(engine: Engine, key: Key, beside: Beside = nothing_beside) -> ReservationItem:
    """Put what the confirmed reservation at `key` bought on sale again and return it cancelled; twice changes nothing.

    Written in one transaction: the reservation, its shards, units and days, its user's limits, what is `beside` it.
    Raises ReservationNotFound, ReservationOver where it is not confirmed, and Busy.
    """

    def step(record: ReservationItem, seen: Seen) -> Step | None:
        if record.status == State.CANCELLED:
            return None
        if record.life is not None or record.status != State.CONFIRMED:
            raise ReservationOver
        now = engine.clock.now()
        changes: list[Change] = [
            *allocation.taken_back(Keys(tenant_of(record.key)), record.allocated()),
            *uncounted(record),
            *single_claims.released(record, now, seen),
        ]
        ended = Update(record.key, over(State.CANCELLED, now), unchanged(record))
        return State.CANCELLED, [ended, *(change.write() for change in netted(changes)), *beside(record)]

    return advance(engine, key, step)


def lapse(engine: Engine, key: Key, expires_at: int) -> ReservationItem:
    """Give back what the reservation at `key` holds, if its time is still `expires_at` (ms) and past; return it.

    A hold that was extended or added to meanwhile has another time, and stays. Raises ReservationNotFound and Busy.
    """

    def step(record: ReservationItem, _: Seen) -> Step | None:
        now = engine.clock.now()
        if record.status != State.HELD or record.expires_at != expires_at or expires_at > now:
            return None
        return State.EXPIRED, _lapsing(record, now)

    return advance(engine, key, step)


Step = tuple[State, list[Write]]


def _lapsing(record: ReservationItem, now: int) -> list[Write]:
    return [letting_go(record, State.EXPIRED, now), *(change.write() for change in netted(lapsed(record, now)))]


def over(state: State, now: int) -> list[Action]:
    return [
        ReservationItem.status.set(state.value),
        ReservationItem.v.add(1),
        ReservationItem.ttl.set(now // 1000 + RETENTION_SECONDS),
        ReservationItem.due.remove(),
        ReservationItem.due_bucket.remove(),
    ]


def advance(engine: Engine, key: Key, step: Callable[[ReservationItem, Seen], Step | None]) -> ReservationItem:
    """Read the reservation and make the writes of `step`, unless it wants none; return it as it then is.

    What claimed items said to an attempt that they refused is shown to the next. Raises InvariantBroken where a counter
    refuses twice what the reservation, unchanged, says it holds.
    """
    refused_at = 0
    seen: dict[Key, RawItem] = {}
    for attempt in engine.retries:
        record = engine.store.get(ReservationItem, key)
        if record is None:
            raise ReservationNotFound
        wanted = step(record, seen)
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
            refused = refusal.seen(writes)
            broken = key not in refused and any(map(is_counter, refused))
            if broken and record.v == refused_at:
                raise InvariantBroken(str(refusal)) from refusal
            refused_at = record.v if broken else refused_at
            # What was seen beside a reservation that was written since says nothing of what it claims now.
            seen = {} if key in refused else seen | refused
        else:
            record.status, record.v = state.value, record.v + 1
            return record
    raise Busy
