"""The steps of a blackout: the writes that bring it further, each one transaction of up to 25 days and how far it is.

From `writing` it goes on to `standing`, or turns back where a booking is in the way; `lifting`, it ends as nothing.
Every step is conditional on the blackout being where it was read, so that two who take it up at once do no harm.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from holdfast.catalogue.halls.calendar import blackout_entry, is_booked
from holdfast.claims.span import Day, DayChange, Entry, Span, days_of, full, read_day
from holdfast.platform.dynamodb import Delete, Put, Update, Write
from holdfast.platform.items import BlackoutItem
from holdfast.platform.tables import Key, Keys, due_bucket, tenant_of, venue_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

CHUNK = 25
"""Days in one transaction."""

RESUMED_AFTER = 30_000
"""Milliseconds after which the sweeper takes a blackout for broken off."""

_PAST_ALL = "9999-12-31"
"""How far a blackout is written that stands on every day."""


class Status(StrEnum):
    """How far a blackout is."""

    WRITING = "writing"
    STANDING = "standing"
    LIFTING = "lifting"


@dataclass(frozen=True)
class Blackout:
    """A blackout to be imposed; `start` and `end` are ms."""

    start: int
    end: int
    reason: str
    is_maintenance: bool


def next_step(engine: Engine, item: BlackoutItem) -> Sequence[Write]:
    """Return the writes of the next step of a blackout that is not standing."""
    return _writing(engine, item) if item.status == Status.WRITING else _lifting(engine, item)


def turning_back(engine: Engine, item: BlackoutItem) -> Update:
    """Return the write that lets a blackout be lifted from now on, however far it is."""
    actions: list[Action] = [
        BlackoutItem.status.set(Status.LIFTING.value),
        BlackoutItem.due.set(engine.clock.now() + RESUMED_AFTER),
        BlackoutItem.due_bucket.set(due_bucket(item.key)),
    ]
    return Update(item.key, actions, _unchanged(item))


def is_in_the_way(days: Sequence[Day], span: Span, now: int) -> bool:
    """Return whether a live booking, or a day that has no room for an entry more, is in a blackout's way."""
    return is_booked(days, span, now) or any(full(day, now, 1) for day in days)


def said(item: BlackoutItem) -> Blackout:
    """Return what was asked for when the blackout was made."""
    return Blackout(item.start, item.end, item.reason, item.is_maintenance)


def record_of(item: BlackoutItem) -> KeyedRequest:
    """Return under what a blackout that stands is remembered: by its own id, so that whoever finishes it can."""
    owner = f"blackouts.{venue_of(item.key)}"
    return KeyedRequest(tenant_of(item.key), owner, "blackouts", item.key.sk, hash_of(asdict(said(item))))


def _writing(engine: Engine, item: BlackoutItem) -> Sequence[Write]:
    """Return the next step of writing, the last of which makes it standing; or of turning back, if it cannot be."""
    span = Span(item.start, item.end)
    remaining = [date for date in days_of(span) if date >= item.written_until]
    days = _days(engine, item.key, remaining[:CHUNK])
    now = engine.clock.now()
    if is_in_the_way(days, span, now):
        return [turning_back(engine, item)]
    entry = {blackout_entry(item.key.sk): Entry(*span, None)}
    changes = [DayChange(day, now, entry).write() for day in days]
    if remaining[CHUNK:]:
        actions = [BlackoutItem.written_until.set(remaining[CHUNK]), BlackoutItem.due.set(now + RESUMED_AFTER)]
        return [Update(item.key, actions, _unchanged(item)), *changes]
    standing = BlackoutItem(**{**item.attribute_values, "status": Status.STANDING.value, "written_until": _PAST_ALL})
    standing.due = standing.due_bucket = None
    record = Put(record_of(item).record(standing.attribute_values, now).item)
    return [Put(standing, _unchanged(item)), *changes, record]


def _lifting(engine: Engine, item: BlackoutItem) -> Sequence[Write]:
    """Return the next step of lifting, from the last day that is written backwards."""
    written = [date for date in days_of(Span(item.start, item.end)) if date < item.written_until]
    if not written:
        return [Delete(item.key, _unchanged(item))]
    name = blackout_entry(item.key.sk)
    chunk = written[-CHUNK:]
    now = engine.clock.now()
    changes = [
        DayChange(day, now, dropped=frozenset({name})).write()
        for day in _days(engine, item.key, chunk)
        if name in day.entries
    ]
    actions = [BlackoutItem.written_until.set(chunk[0]), BlackoutItem.due.set(now + RESUMED_AFTER)]
    return [Update(item.key, actions, _unchanged(item)), *changes]


def _unchanged(item: BlackoutItem) -> Condition:
    """Return the condition that nobody took the blackout a step further since it was read."""
    condition: Condition = (BlackoutItem.status == item.status) & (BlackoutItem.written_until == item.written_until)
    return condition


def _days(engine: Engine, blackout: Key, dates: Sequence[str]) -> list[Day]:
    keys = Keys(tenant_of(blackout))
    wanted = [keys.day(venue_of(blackout), date) for date in dates]
    found = engine.store.batch_get(wanted)
    return [read_day(key, found.get(key)) for key in wanted]
