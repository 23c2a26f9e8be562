"""Blackouts: stretches of time in which a venue cannot be booked, up to a year long (PROTOCOL.md 17).

A blackout is an entry on each of its days, as a booking is; blackouts may overlap one another, a live booking never.
The days do not fit one transaction, so they are written some at a time (`blackout_steps`); whoever finds a blackout
broken off, a repeated request or the sweeper, goes on from there. A booking that was faster on a day not yet written
turns the blackout back: its days are freed again, and it is gone.
"""

from dataclasses import asdict
from secrets import token_hex

from holdfast.catalogue.halls.blackout_steps import (
    RESUMED_AFTER,
    Blackout,
    Status,
    is_in_the_way,
    next_step,
    record_of,
    said,
    turning_back,
)
from holdfast.catalogue.halls.calendar import read_days
from holdfast.claims.span import Span, days_of
from holdfast.platform.dynamodb import Cancelled, Contended, Put
from holdfast.platform.errors import BlackoutNotFound, Busy, IdempotencyKeyReused, TimeConflict
from holdfast.platform.items import BlackoutItem
from holdfast.platform.tables import Key, Keys, due_bucket, tenant_of, venue_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import hash_of

MOST_DAYS = 366
"""How long a blackout may be."""


def impose(
    engine: Engine, tenant: str, venue_id: str, wanted: Blackout, caller: str, idempotency_key: str | None
) -> BlackoutItem:
    """Close a venue for a time and return the blackout once it stands on every day.

    The same key of the same caller returns the same blackout, also one that broke off before. Raises TimeConflict, with
    nothing left behind, where a live booking is in the way; IdempotencyKeyReused; and Busy, also where it was lifted
    while it was written, or what was in its way is gone by now.
    """
    blackout_id = token_hex(16) if idempotency_key is None else hash_of([caller, idempotency_key])
    item = _new(engine, Keys(tenant).blackout(venue_id, blackout_id), wanted)
    known = record_of(item).replay(engine.store)
    if known is not None:
        return BlackoutItem(**known)
    for attempt in engine.retries:
        found = engine.store.get(BlackoutItem, item.key)
        if found is None:
            _refuse_over_bookings(engine, item)
            if not _begin(engine, item):
                engine.retries.wait(attempt)
                continue
        elif said(found) != wanted:
            raise IdempotencyKeyReused
        was_lifting = found is not None and found.status == Status.LIFTING
        finished = resume(engine, item.key)
        if finished is not None:
            return finished
        if not was_lifting:
            _refuse_over_bookings(engine, item)
            break
    raise Busy


def lift(engine: Engine, tenant: str, venue_id: str, blackout_id: str) -> None:
    """Open a venue again for the time of a blackout; raises BlackoutNotFound and Busy."""
    key = Keys(tenant).blackout(venue_id, blackout_id)
    for attempt in engine.retries:
        item = engine.store.get(BlackoutItem, key)
        if item is None:
            raise BlackoutNotFound
        try:
            if item.status != Status.LIFTING:
                engine.store.write(turning_back(engine, item))
            resume(engine, key)
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
        else:
            return
    raise Busy


def resume(engine: Engine, key: Key) -> BlackoutItem | None:
    """Bring the blackout at `key` to its end, and return it standing, or None where it is gone.

    Each step writes up to 25 days and how far it is now, in one transaction. Raises Busy.
    """
    attempt = 0
    while attempt < engine.retries.attempts:
        item = engine.store.get(BlackoutItem, key)
        if item is None or item.status == Status.STANDING:
            return item
        try:
            engine.store.make(next_step(engine, item))
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
            attempt += 1
        else:
            attempt = 0
    raise Busy


def _new(engine: Engine, key: Key, wanted: Blackout) -> BlackoutItem:
    now = engine.clock.now()
    return BlackoutItem(
        *key,
        **asdict(wanted),
        status=Status.WRITING.value,
        written_until=days_of(Span(wanted.start, wanted.end))[0],
        created_at=now,
        due=now + RESUMED_AFTER,
        due_bucket=due_bucket(key),
    )


def _begin(engine: Engine, item: BlackoutItem) -> bool:
    """Write that a blackout is being written; return whether it is now, by this call, a twin or a lost answer."""
    try:
        engine.store.write(Put(item, BlackoutItem.pk.does_not_exist()))
    except Contended:
        return False
    except Cancelled as refusal:
        return not refusal.contended
    return True


def _refuse_over_bookings(engine: Engine, item: BlackoutItem) -> None:
    """Raise TimeConflict before anything is written, where a booking is seen to be in the way."""
    span = Span(item.start, item.end)
    days = read_days(engine.store, Keys(tenant_of(item.key)), venue_of(item.key), span)
    if is_in_the_way(days, span, engine.clock.now()):
        raise TimeConflict
