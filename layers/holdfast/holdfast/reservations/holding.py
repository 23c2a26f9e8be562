"""Holding: the one loop that takes a basket, and the keyed reservation of the unified API on top of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put, Reason, Write, read
from holdfast.platform.errors import Busy, IdempotencyKeyReused, MixedCurrencies, Refused, TooManyLines
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Keys, due_bucket
from holdfast.reservations.basket import Basket
from holdfast.reservations.engine import Catalogue, Engine, LineRequest, merged
from holdfast.reservations.states import State

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class HoldRequest:
    """A wish to hold lines for a user. `route`, `idempotency_key` and the user make the reservation's id.

    `body_hash` is that of the validated body; `hold_seconds` None means the standard length.
    """

    tenant: str
    user: str
    route: str
    idempotency_key: str
    body_hash: str
    lines: Sequence[LineRequest]
    hold_seconds: int | None = None


def take(
    engine: Engine,
    basket: Basket,
    own_writes: Callable[[int], Sequence[Write]],
    settle: Callable[[Sequence[Reason | None]], _Answer | None],
) -> _Answer | None:
    """Take the basket in one transaction with the caller's own writes; return what `settle` answers, None if taken.

    `own_writes(now)` are written first. When an attempt is refused, `settle` is shown the reasons of those own writes
    before anything else is looked at: it returns an answer (a replay), or None to go on, having learnt what it needs
    (PROTOCOL.md 7). Raises Refused once a shortage is proved, TooManyLines where it would be over 100 writes, and Busy
    when the attempts are used up: never a shortage that was not proved.
    """
    for attempt in engine.retries:
        now = engine.clock.now()
        own = own_writes(now)
        changes = basket.changes()
        if len(own) + len(changes) > MAX_ACTIONS:
            raise TooManyLines("These quantities are spread too widely to be taken at once; ask for fewer lines.")
        try:
            engine.store.transact([*own, *(change.write() for change in changes)])
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
                overtaken = attempt > 0 and any(reason is not None for reason in refusal.reasons[: len(own)])
                wait = basket.learn(changes, refusal.reasons[len(own) :], now) or overtaken
        if wait:
            engine.retries.wait(attempt)
    raise Busy


def hold(engine: Engine, catalogue: Catalogue, request: HoldRequest) -> ReservationItem:
    """Hold all lines or none, and return the reservation; the same key and body return the same one.

    One transaction writes the reservation, the shards drawn from and the user's limits; the put's condition is the
    idempotency lock (PROTOCOL.md 3). Raises Refused naming every line that stood in the way, IdempotencyKeyReused where
    the key came with another body before, TooManyLines, MixedCurrencies and Busy.
    """
    key = Keys(request.tenant).reservation(request.user, request.route, request.idempotency_key)

    def own_writes(now: int) -> list[Write]:
        record = ReservationItem(
            *key,
            user_id=request.user,
            status=State.HELD.value,
            v=1,
            lines=[demand.stored() for demand in basket.demands],
            allocation={name: units for demand in basket.demands for name, units in basket.allocation(demand).items()},
            created_at=now,
            expires_at=now + length * 1000,
            first_expires_at=now + length * 1000,
            body_hash=request.body_hash,
            due=now + length * 1000,
            due_bucket=due_bucket(key),
        )
        written.append(record)
        return [Put(record, ReservationItem.pk.does_not_exist())]

    def settle(reasons: Sequence[Reason | None]) -> ReservationItem | None:
        reason = reasons[0]
        if reason is None or not reason.condition_failed or reason.item is None:
            return None
        return _replayed(read(ReservationItem, reason.item), request)

    length = min(request.hold_seconds or engine.lengths.standard, engine.lengths.longest)
    written: list[ReservationItem] = []
    try:
        basket = Basket(engine, catalogue, request.tenant, request.user, merged(request.lines))
        return take(engine, basket, own_writes, settle) or written[-1]
    except (Refused, MixedCurrencies):
        known = engine.store.get(ReservationItem, key)
        if known is None:
            raise
        return _replayed(known, request)


def _replayed(record: ReservationItem, request: HoldRequest) -> ReservationItem:
    """Return the reservation as it was first answered, whatever became of it since."""
    if record.body_hash != request.body_hash:
        raise IdempotencyKeyReused
    record.status = State.HELD.value
    record.expires_at = record.first_expires_at
    return record
