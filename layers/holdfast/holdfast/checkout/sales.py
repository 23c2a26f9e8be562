"""Sales: what a user holds is bought, as an order, in one transaction that is made once (PROTOCOL.md 8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put, RawItem, Write
from holdfast.platform.errors import Busy, Conflict, InvariantBroken, TooManyLines
from holdfast.platform.items import OrderItem, ReservationItem
from holdfast.platform.tables import Key, is_unit
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import total_of

Answer = dict[str, Any]

Seen = Mapping[Key, RawItem]
"""Units that refused a sale, as its conditions saw them."""


@dataclass(frozen=True)
class Sale:
    """An order, and what is written with it: to the reservations (`own`), and to what they claim."""

    order: OrderItem
    own: Sequence[Write]
    claims: Sequence[Write]


def completed(key: Key, sold: ReservationItem, now: int) -> OrderItem:
    """Return the order at `key`, free or paid elsewhere, of all that a reservation sells at `now` (ms)."""
    return OrderItem(
        *key,
        user_id=sold.user_id,
        reservation_id=sold.id,
        status="completed",
        attempt=1,
        lines=sold.lines,
        returned=[0] * len(sold.lines),
        currency=sold.lines[0].currency,
        total_minor=total_of(sold),
        provider="external",
        version=1,
        created_at=now,
        updated_at=now,
    )


def make(
    engine: Engine,
    order: Key,
    keyed: KeyedRequest | None,
    prepare: Callable[[Seen], Sale],
    shown: Callable[[OrderItem], Answer],
) -> Answer:
    """Make the sale that `prepare` finds to be possible, under the new key `order`, and return how it is `shown`.

    `prepare` is told of units that refused the attempt before, beside reservations that did not change: as they were
    seen, they are another's. Written in one transaction: the sale, its order, the idempotency record. Raises what
    `prepare` does, IdempotencyKeyReused, TooManyLines where it would be over 100 writes, and Busy.
    """

    def known(attempt: int) -> Answer | None:
        """Return what this request answered before, or what an attempt of its own made without an answer."""
        replayed: Answer | None = keyed.replay(engine.store) if keyed else None
        made = engine.store.get(OrderItem, order) if replayed is None and attempt else None
        return replayed if made is None else shown(made)

    seen: Seen = {}
    for attempt in engine.retries:
        answer = known(attempt)
        if answer is not None:
            return answer
        try:
            sale = prepare(seen)
        except Conflict:
            answer = known(attempt)
            if answer is None:
                raise
            return answer
        answer = shown(sale.order)
        remembered = [keyed.record(answer, engine.clock.now())] if keyed else []
        own = [*remembered, *sale.own, Put(sale.order, OrderItem.pk.does_not_exist())]
        if len(own) + len(sale.claims) > MAX_ACTIONS:
            raise TooManyLines("This is spread too widely to be bought at once; buy fewer lines.")
        try:
            engine.store.transact([*own, *sale.claims])
            return answer
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
                continue
            changed = any(reason and reason.condition_failed for reason in refusal.reasons[: len(own)])
            units = {key: item for key, item in refusal.seen([*own, *sale.claims]).items() if is_unit(key)}
            if not changed and not units:
                raise InvariantBroken(str(refusal)) from refusal
            seen = {} if changed else units
    raise Busy
