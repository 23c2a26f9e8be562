"""Expiry: the condition expression decides; streams, queues and schedules only see to it that it is asked in time.

The table's stream tells of every hold that has a new expiry; one delayed message a hold comes back at that time; the
sweeper finds, by the index of what is due, whatever slipped through. Any message may come twice, early or late.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from holdfast.claims.changes import netted
from holdfast.platform.clock import wait_until
from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, RawItem, Write, read
from holdfast.platform.errors import Busy, HoldfastError, InvariantBroken, ReservationNotFound
from holdfast.platform.items import ReservationItem
from holdfast.platform.logs import logger
from holdfast.platform.queues import ExpiryMessage, ExpiryQueue
from holdfast.platform.tables import Key, is_hold, key_of
from holdfast.reservations.ending import lapse, lapsed, letting_go
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State

_logger = logger()

SHORT_WAIT = 1_000
"""Milliseconds: a message earlier than its hold's expiry by less waits; one earlier by more goes round again."""

_TIMED = (State.HELD, State.CHECKING_OUT)
"""The states in which a reservation has a time that can run out."""

Overdue = Callable[[ReservationItem], object]
"""Is told of a reservation in checkout whose deadline to pay by is past: its workflow decides what becomes of it."""


def due_of(record: dict[str, Any]) -> ExpiryMessage | None:
    """Return the message that a DynamoDB stream record calls for: a hold has an expiry that it did not have before."""
    images = record["dynamodb"]
    new: RawItem = images.get("NewImage") or {}
    if "due" not in new or not is_hold(key_of(new)):
        return None
    old: RawItem = images.get("OldImage") or {}
    if old.get("due") == new["due"]:
        return None
    return ExpiryMessage(key_of(new), int(new["due"]["N"]))


@dataclass(frozen=True)
class Sorted:
    """Expiry messages by what is to be done: holds to expire now or in a moment, and messages to send again.

    `overdue` are in checkout, and their time to pay is over now or in a moment.
    """

    expiring: list[ReservationItem]
    overdue: list[ReservationItem]
    early: list[ExpiryMessage]


def sort(engine: Engine, messages: Sequence[ExpiryMessage]) -> Sorted:
    """Read the holds that messages speak of; a message for an expiry that is not the current one is dropped."""
    found = engine.store.batch_get(message.key for message in messages)
    now = engine.clock.now()
    due: dict[Key, ReservationItem] = {}
    early: list[ExpiryMessage] = []
    for message in messages:
        if message.key not in found:
            continue
        record = read(ReservationItem, found[message.key])
        if record.status not in _TIMED or record.expires_at != message.expires_at:
            continue
        if record.expires_at - now >= SHORT_WAIT:
            early.append(message)
        else:
            due[record.key] = record
    return Sorted(*_parted(due.values()), early)


def handle(engine: Engine, queue: ExpiryQueue, messages: Sequence[ExpiryMessage], tell_overdue: Overdue) -> set[Key]:
    """Expire the holds that the messages speak of, wait for those due within a second, send earlier ones round again.

    Of those in checkout `tell_overdue` is told. A hold that others were writing all the while goes round again at once,
    rather than to wait until its message shows again. Returns the keys for which neither could be done: they are to be
    delivered once more, and to lie in the dead letters in the end.
    """
    todo = sort(engine, messages)
    unsent = queue.send(todo.early, engine.clock.now()) if todo.early else []
    due = [*todo.expiring, *todo.overdue]
    if not due:
        return {message.key for message in unsent}
    wait_until(max(record.expires_at for record in due), engine.clock, engine.retries.sleep)
    left = expire(engine, todo.expiring)
    busy = [message for message in dict.fromkeys(messages) if message.key in left.busy]
    unsent += queue.send(busy, engine.clock.now()) if busy else []
    return left.broken | _untold(todo.overdue, tell_overdue) | {message.key for message in unsent}


class Unexpired(NamedTuple):
    """Holds that are not expired: others were writing them, or a counter does not hold what they say."""

    busy: set[Key]
    broken: set[Key]


def expire(engine: Engine, records: Sequence[ReservationItem]) -> Unexpired:
    """Give back what lapsed holds hold, many in one transaction; return those that were not.

    The changes of shards that several holds drew from, and of users who had several, are netted. Where one hold of a
    batch was changed meanwhile, the batch is done one by one, each read anew.
    """
    left = Unexpired(set(), set())
    for batch in _batches(records):
        for attempt in engine.retries:
            try:
                engine.store.transact(_expiring(batch, engine.clock.now()))
                break
            except Contended:
                engine.retries.wait(attempt)
            except Cancelled as refusal:
                if not refusal.contended:
                    _expire_each(engine, batch, left)
                    break
                engine.retries.wait(attempt)
        else:
            left.busy.update(record.key for record in batch)
    return left


def sweep(engine: Engine, keys: Iterable[Key], tell_overdue: Overdue) -> int:
    """Expire those of the holds at `keys` whose time is past, and tell of those in checkout; return how many were."""
    found = engine.store.batch_get(keys)
    now = engine.clock.now()
    records = [read(ReservationItem, item) for item in found.values()]
    expiring, overdue = _parted(record for record in records if record.expires_at <= now)
    left = expire(engine, expiring)
    untold = _untold(overdue, tell_overdue)
    return len(expiring) - len(left.busy) - len(left.broken) + len(overdue) - len(untold)


def _parted(records: Iterable[ReservationItem]) -> tuple[list[ReservationItem], list[ReservationItem]]:
    """Return those of the records that are held, and those that are in checkout."""
    timed = list(records)
    held = [record for record in timed if record.status == State.HELD]
    return held, [record for record in timed if record.status == State.CHECKING_OUT]


def _untold(records: Iterable[ReservationItem], tell_overdue: Overdue) -> set[Key]:
    """Tell of each reservation that its time to pay is over; return the keys of those of whom it could not be told."""
    untold = set()
    for record in records:
        try:
            tell_overdue(record)
        except HoldfastError:
            _logger.exception("the deadline of a checkout could not be told", extra={"reservation": record.id})
            untold.add(record.key)
    return untold


def _expire_each(engine: Engine, records: Sequence[ReservationItem], left: Unexpired) -> None:
    """Expire holds one by one, each read anew; those that cannot be are added to `left`."""
    for record in records:
        try:
            found = lapse(engine, record.key, record.expires_at)
            if found.status == State.HELD and found.expires_at == record.expires_at:
                left.busy.add(record.key)
        except ReservationNotFound:
            continue
        except Busy:
            left.busy.add(record.key)
        except InvariantBroken:
            _logger.exception("a hold cannot be given back", extra={"reservation": record.id})
            left.broken.add(record.key)


def _expiring(records: Sequence[ReservationItem], now: int) -> list[Write]:
    changes = netted(change for record in records for change in lapsed(record, now))
    return [*(letting_go(record, State.EXPIRED, now) for record in records), *(change.write() for change in changes)]


def _batches(records: Sequence[ReservationItem]) -> Iterable[list[ReservationItem]]:
    """Yield the records in batches whose writes are sure to fit one transaction."""
    batch: list[ReservationItem] = []
    room = MAX_ACTIONS
    for record in records:
        needed = 2 + len(record.allocated())
        if batch and needed > room:
            yield batch
            batch, room = [], MAX_ACTIONS
        batch.append(record)
        room -= needed
    if batch:
        yield batch
