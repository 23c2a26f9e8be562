"""Holding: the one loop that takes a basket, and the keyed reservation of the unified API on top of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put, Reason, Write, read
from holdfast.platform.errors import Busy, IdempotencyKeyReused, Malformed, Refused, TooManyLines
from holdfast.platform.items import ReservationItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key, Keys, due_bucket, public_id
from holdfast.reservations.basket import Basket
from holdfast.reservations.engine import Beside, Engine, Holding, LineRequest, Rooms, merged, nothing_beside
from holdfast.reservations.gate import Gate, answered
from holdfast.reservations.states import State

_Answer = TypeVar("_Answer")

_BESIDE = 4
"""Writes for which a reserve leaves room: those that checking out and giving back make beside what is claimed."""


@dataclass(frozen=True)
class HoldRequest:
    """A wish to hold lines for a user. `route`, `idempotency_key` and the user make the reservation's id.

    `body_hash` is that of the validated body; `hold_seconds` None means as long as the shortest of the kinds in it.
    `policy` is what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    tenant: str
    user: str
    route: str
    idempotency_key: str
    body_hash: str
    lines: Sequence[LineRequest]
    hold_seconds: int | None = None
    policy: Policy = UNSET
    gate: Gate | None = None


def take(
    engine: Engine,
    basket: Basket,
    holding: Callable[[], Holding],
    own_writes: Callable[[Holding], Sequence[Write]],
    settle: Callable[[Sequence[Reason | None]], _Answer | None],
    gate: Gate | None = None,
) -> _Answer | None:
    """Take the basket in one transaction with the caller's own writes; return what `settle` answers, None if taken.

    `holding()` is asked anew for each attempt, and `own_writes` of it are written first, then those of the `gate`. When
    an attempt is refused, `settle` is shown the reasons of those own writes before anything else is looked at: it
    returns an answer (a replay), or None to go on, having learnt what it needs (PROTOCOL.md 7). Raises what the gate
    says of what was used before, TooManyRequests where the user has to wait, Refused once a shortage is proved,
    TooManyLines where it would be over 100 writes, and Busy when the attempts are used up: never a shortage that was
    not proved.
    """
    passed = gate.let_in() if gate is not None else ()
    for attempt in engine.retries:
        held = holding()
        own = own_writes(held)
        claimed_from = len(own) + len(passed)
        changes = basket.changes(held)
        if claimed_from + len(changes) > MAX_ACTIONS - _BESIDE:
            raise TooManyLines("These quantities are spread too widely to be taken at once; ask for fewer lines.")
        try:
            engine.store.transact([*own, *passed, *(change.write() for change in changes)])
            return None
        except Contended:
            wait = True
            basket.draw_anew()
        except Cancelled as refusal:
            answer = settle(refusal.reasons[: len(own)])
            if answer is not None:
                return answer
            wait = refusal.contended
            if wait:
                basket.draw_anew()
            else:
                refused = gate.refusal(refusal.reasons[len(own) : claimed_from]) if gate is not None else None
                if refused is not None:
                    raise refused from refusal
                overtaken = attempt > 0 and any(reason is not None for reason in refusal.reasons[: len(own)])
                wait = basket.learn(changes, refusal.reasons[claimed_from:], held.now) or overtaken
        if wait:
            engine.retries.wait(attempt)
    raise Busy


def hold(
    engine: Engine,
    rooms: Rooms,
    request: HoldRequest,
    beside: Beside = nothing_beside,
) -> ReservationItem:
    """Hold all lines or none, and return the reservation; the same key and body return the same one.

    One transaction writes the reservation, what it claims, the user's limits, what the gate wants and whatever the
    caller wants `beside` it; the put's condition is the idempotency lock (PROTOCOL.md 3). Raises what the gate does,
    TooManyRequests where the user is over the tenant's limit a minute, Refused naming every line that stood in the way,
    Malformed where two lines want the same, IdempotencyKeyReused where the key came with another body before,
    TooManyLines, MixedCurrencies and Busy.
    """
    key = Keys(request.tenant).reservation(request.user, request.route, request.idempotency_key)
    lengths = engine.lengths.under(request.policy)
    length = lengths.of((line.kind for line in request.lines), request.hold_seconds)
    written: list[ReservationItem] = []

    def holding() -> Holding:
        now = engine.clock.now()
        return Holding(public_id(key, None), now, now + basket.pace.shortened(length) * 1000)

    def own_writes(held: Holding) -> list[Write]:
        record = ReservationItem(
            *key,
            user_id=request.user,
            status=State.HELD.value,
            v=1,
            lines=basket.lines(),
            allocation=basket.allocation(),
            source=request.route,
            created_at=held.now,
            expires_at=held.until,
            first_expires_at=held.until,
            body_hash=request.body_hash,
            watched=basket.pace.halvings,
            due=held.until,
            due_bucket=due_bucket(key),
        )
        if units := basket.units():
            record.units = units
        if spans := basket.spans():
            record.spans = spans
        written.append(record)
        return [Put(record, ReservationItem.pk.does_not_exist()), *beside(record)]

    def settle(reasons: Sequence[Reason | None]) -> ReservationItem | None:
        reason = reasons[0]
        if reason is None or not reason.condition_failed or reason.item is None:
            return None
        return _replayed(read(ReservationItem, reason.item), request)

    if request.gate is not None:
        known = answered(request.gate, lambda: _known(engine, key, request))
        if known is not None:
            return known
    try:
        basket = Basket(engine, rooms, request.tenant, request.user, merged(request.lines), request.policy)
        return take(engine, basket, holding, own_writes, settle, request.gate) or written[-1]
    except (Refused, Malformed):
        known = _known(engine, key, request)
        if known is None:
            raise
        return known


def _known(engine: Engine, key: Key, request: HoldRequest) -> ReservationItem | None:
    record = engine.store.get(ReservationItem, key)
    return None if record is None else _replayed(record, request)


def _replayed(record: ReservationItem, request: HoldRequest) -> ReservationItem:
    """Return the reservation as it was first answered, whatever became of it since."""
    if record.body_hash != request.body_hash:
        raise IdempotencyKeyReused
    record.status = State.HELD.value
    record.expires_at = record.first_expires_at
    return record
