"""Making what the catalogue's rooms say: a new item, what belongs to it and its idempotency record, all or none."""

from collections.abc import Sequence
from typing import TypeVar

from holdfast.platform.dynamodb import Cancelled, Contended, Put, Write
from holdfast.platform.errors import Busy
from holdfast.platform.items import Item
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest

_I = TypeVar("_I", bound=Item)


def replayed(engine: Engine, model: type[_I], keyed: KeyedRequest | None) -> _I | None:
    """Return what the same request made before, as it was then; raises IdempotencyKeyReused for another body."""
    known = keyed.replay(engine.store) if keyed else None
    return None if known is None else model(**known)


def make(engine: Engine, item: _I, further: Sequence[Write], keyed: KeyedRequest | None) -> _I:
    """Write `item`, at a key that nothing else is given, and return it, or what the same request has made by now.

    Written in one transaction: the idempotency record, the item, what `further` says. Raises IdempotencyKeyReused and
    Busy.
    """
    own: list[Write] = [Put(item, type(item).pk.does_not_exist()), *further]
    record = [keyed.record(item.attribute_values, engine.clock.now())] if keyed else []
    for attempt in engine.retries:
        try:
            engine.store.make([*record, *own])
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed else None
            if known is not None:
                return type(item)(**known)
            if not refusal.contended and refusal.reasons[len(record)] is not None:
                # Its number is nobody else's: an earlier attempt made it, and the answer was lost (PROTOCOL.md 8).
                return item
            engine.retries.wait(attempt)
        else:
            return item
    raise Busy
