"""A day's slots, kept as the partner says they are (PROTOCOL.md 18).

Whoever changes a day's slots first writes into the day's header when it asked, if nobody has who asked later, and reads
the slots after that. Each transaction that changes slots insists on the header still saying so: what was asked for
earlier, or before the experience was taken off sale, changes nothing any more. Everything else comes after
the slots, the header's digest last; whoever is killed in between has it done by the next answer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from secrets import token_hex
from zoneinfo import ZoneInfo

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from holdfast.catalogue.experiences import experiences, numbers, summaries
from holdfast.catalogue.experiences.numbers import Asked, kept_until
from holdfast.catalogue.experiences.summaries import read_day
from holdfast.claims.slot import OfferedSlot, Slot, read_slot
from holdfast.platform.clock import to_datetime
from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, RawItem, Update, read
from holdfast.platform.errors import Busy
from holdfast.platform.items import DaySummaryItem, ExperienceItem, SlotDayItem
from holdfast.platform.logs import logger
from holdfast.platform.tables import Key, Keys, tenant_of
from holdfast.reservations.engine import Engine

MOST_ASIDE = 2_000
"""Characters of JSON of fields that nobody here knows, and of what was rejected, each, that are kept of a day.

The header that they are in is paid for with each change of a slot.
"""

_MOST_REASON = 200
_DAYS_CLOSED = 33
"""The days from yesterday on that are closed, though nothing is known of them yet: an answer may be on its way."""

_MOST_AT_ONCE = MAX_ACTIONS - 1
"""Slots in one transaction: one write of it is of the header."""

_FURTHEST_DATE = "9999-12-31"
_MOST_DATES = 1_000

_logger = logger()


@dataclass(frozen=True)
class DayBefore:
    """A day's slots by id, as they were before the partner was asked."""

    slots: Mapping[str, Slot]


class _Superseded(Exception):
    """Somebody who asked later has begun to change the day."""


@dataclass(frozen=True)
class _Change:
    """What is to become of a slot: `of` works it out of the slot as it is, None where nothing is."""

    key: Key
    known: Slot | None
    of: Callable[[Slot | None], Update | None]


@dataclass(frozen=True)
class _Day:
    """A day that is being changed by `writer`, who asked at `asked_at` (ms)."""

    engine: Engine
    keys: Keys
    experience_id: str
    date: str
    asked_at: int
    writer: str = field(default_factory=lambda: token_hex(6))

    @property
    def header(self) -> Key:
        return self.keys.slot_day(self.experience_id, self.date)

    def read(self) -> summaries.Day:
        return read_day(self.engine.store, self.keys, self.experience_id, self.date)

    def is_still_ours(self) -> Update:
        """Return the write that changes nothing, and insists on nobody having begun who asked later."""
        actions = [SlotDayItem.written_by.set(self.writer)]
        return Update(self.header, actions, SlotDayItem.written_by == self.writer)

    def begun(self) -> list[Action]:
        """Return what whoever changes the day writes into its header first."""
        return [SlotDayItem.asked_at.set(self.asked_at), SlotDayItem.written_by.set(self.writer)]

    def may_begin(self) -> Condition:
        """Return the condition that nobody has begun who asked later, or at the same time; we may have ourselves."""
        condition: Condition = (SlotDayItem.asked_at < self.asked_at) | (SlotDayItem.written_by == self.writer)
        return condition


def look(engine: Engine, tenant: str, experience_id: str, date: str) -> DayBefore:
    """Return the day as it is before the partner is asked: what was sold by then, its numbers may have in them."""
    day = read_day(engine.store, Keys(tenant), experience_id, date)
    return DayBefore({slot.key.sk: slot for slot in day.slots})


def keep(
    engine: Engine,
    tenant: str,
    experience_id: str,
    date: str,
    before: DayBefore,
    slots: Sequence[OfferedSlot],
    *,
    may_close: bool,
    digest: str,
    rejected: Sequence[tuple[str | None, str]],
    asked_at: int,
    zone: ZoneInfo,
    contains_our_sales: bool,
) -> bool:
    """Take in what a partner answered when asked at `asked_at` (ms); return whether any slot changed.

    `digest` is that of the answer, whose `slots` could be read and whose `rejected` ones (id and reason) stay as they
    are. Slots that are not in it are closed if they `may_close`. Nothing is taken in of an answer that is older than
    one that was, nor of an experience that is not sold on that day (any more). Raises Busy and Unavailable: whatever
    is left is done by the next answer, or by the same one once more.
    """
    day = _Day(engine, Keys(tenant), experience_id, date, asked_at)
    said = None if contains_our_sales else f"{digest}/{zone.key}"
    if said is not None and _said_before(day, said):
        summaries.seen_again(engine, day.keys, experience_id, date, asked_at)
        return False
    if not _is_sold_now(day) or _begin(day) is not None:
        return False
    changed = 0
    try:
        if not _is_sold_now(day):
            # Whoever took it off sale may have been kept from closing the day by us.
            return _close_all(day, is_told=True) > 0
        asked = Asked(asked_at, date, zone, engine.clock.now())
        known = {slot.key.sk: slot for slot in day.read().slots}
        crowded = [slot.slot_id for slot in slots if not numbers.has_room(known.get(slot.slot_id), slot)]
        rejected = [*rejected, *((slot_id, "it has had too many pax types") for slot_id in crowded)]
        changes = [
            _offer(day, offered, known.get(offered.slot_id), before, asked, contains_our_sales)
            for offered in slots
            if offered.slot_id not in crowded
        ]
        stays = {slot.slot_id for slot in slots} | {slot_id for slot_id, _ in rejected}
        if may_close:
            changes += [_closing(day, slot) for slot_id, slot in known.items() if slot_id not in stays]
        changed = _make(day, changes)
        summaries.refresh(engine, day.keys, experience_id, date, synced_at=asked_at, zone=zone.key)
        _finish(day, said, slots, rejected)
    except _Superseded:
        _logger.info("a newer answer came first", extra={"tenant": tenant, "experience_id": experience_id})
    return changed > 0


def close(engine: Engine, item: ExperienceItem) -> None:
    """Take an experience's slots off sale, from yesterday on, on all days on which it is not sold (any more).

    Answers that are on their way are not taken in any more. It can be repeated, and goes on where it ended. Raises Busy
    and Unavailable.
    """
    keys = Keys(tenant_of(item.key))
    first = to_datetime(engine.clock.now()).date() - timedelta(days=1)
    dates = {(first + timedelta(days=number)).isoformat(): False for number in range(_DAYS_CLOSED + 1)}
    dates |= _dates_told(engine, keys, item.experience_id, first)
    for each, is_told in sorted(dates.items()):
        if not _is_sold(item, each):
            _close_day(engine, keys, item.experience_id, each, is_told)


def _close_day(engine: Engine, keys: Keys, experience_id: str, date: str, is_told: bool) -> None:
    """Take all slots of a day off sale, and let no answer put them on again that was asked for until now.

    Somebody who began later has either seen that it is not sold, or is kept from going on by our beginning anew.
    Where it `is_told` that the day can be had, its summary is made anew though all are closed. Raises Busy.
    """
    seen = read_day(engine.store, keys, experience_id, date)
    if seen.header is None and not seen.slots:
        # Whoever begins with the day looks after that whether it is sold.
        return
    asked_at = engine.clock.now()
    for attempt in engine.retries:
        day = _Day(engine, keys, experience_id, date, asked_at)
        later = _begin(day)
        if later is not None:
            asked_at = max(asked_at, int(later["asked_at"]["N"])) + 1
            continue
        try:
            _close_all(day, is_told)
        except _Superseded:
            if _is_sold_now(day):
                return
            engine.retries.wait(attempt)
        else:
            return
    raise Busy


def _close_all(day: _Day, is_told: bool) -> int:
    """Take all slots of the day off sale; return how many were on it. Raises _Superseded and Busy."""
    closed = _make(day, [_closing(day, slot) for slot in day.read().slots])
    if closed or is_told:
        summaries.refresh(day.engine, day.keys, day.experience_id, day.date)
    return closed


def _dates_told(engine: Engine, keys: Keys, experience_id: str, first: date) -> Mapping[str, bool]:
    """Return the dates from `first` on of which anything is known, and whether it is told that they can be had."""
    partition = keys.day_summaries(experience_id)
    page = engine.store.query_between(partition, first.isoformat(), _FURTHEST_DATE, limit=_MOST_DATES)
    summaries_read = [read(DaySummaryItem, raw) for raw in page.items]
    return {each.sk: each.final_minor is not None for each in summaries_read}


def _is_sold_now(day: _Day) -> bool:
    return _is_sold(experiences.find(day.engine.store, day.keys.tenant, day.experience_id), day.date)


def _is_sold(item: ExperienceItem | None, day: str) -> bool:
    return item is not None and item.enabled and date.fromisoformat(day).isoweekday() in item.weekdays


def _said_before(day: _Day, said: str) -> bool:
    """Return whether the partner said the same before, and nothing became of the day since; then that is stamped."""
    actions = [*day.begun(), SlotDayItem.synced_at.set(day.asked_at)]
    return _refusal(day, Update(day.header, actions, (SlotDayItem.digest == said) & day.may_begin())) is None


def _begin(day: _Day) -> RawItem | None:
    """Write that the day is being changed by what was asked for then; return the header of who asked later, or None."""
    actions = [*day.begun(), SlotDayItem.digest.remove(), SlotDayItem.ttl.set(_day_kept_until(day))]
    return _refusal(day, Update(day.header, actions, SlotDayItem.pk.does_not_exist() | day.may_begin()))


def _finish(
    day: _Day, said: str | None, slots: Sequence[OfferedSlot], rejected: Sequence[tuple[str | None, str]]
) -> None:
    """Write what was said beside, and that all of it is taken in; raises _Superseded."""
    asides = [[slot.slot_id, slot.aside] for slot in slots if slot.aside]
    reasons = [[slot_id, reason[:_MOST_REASON]] for slot_id, reason in rejected]
    actions: list[Action] = [
        SlotDayItem.synced_at.set(day.asked_at),
        SlotDayItem.first_seen_at.set(SlotDayItem.first_seen_at | day.engine.clock.now()),
        SlotDayItem.digest.remove() if said is None else SlotDayItem.digest.set(said),
        SlotDayItem.aside.set(_what_fits(asides)) if asides else SlotDayItem.aside.remove(),
        SlotDayItem.rejected.set(_what_fits(reasons)) if reasons else SlotDayItem.rejected.remove(),
    ]
    if _refusal(day, Update(day.header, actions, SlotDayItem.written_by == day.writer)) is not None:
        raise _Superseded


def _refusal(day: _Day, update: Update) -> RawItem | None:
    """Write into the day's header; return None, or the header of which the condition did not hold. Raises Busy."""
    for attempt in day.engine.retries:
        try:
            day.engine.store.write(update)
        except Contended:
            day.engine.retries.wait(attempt)
        except Cancelled as refusal:
            return refusal.seen([update]).get(day.header, {})
        else:
            return None
    raise Busy


def _offer(
    day: _Day, offered: OfferedSlot, known: Slot | None, before: DayBefore, asked: Asked, contains_our_sales: bool
) -> _Change:
    """Return the change that has a slot say what the partner says of it."""
    key = day.keys.slot(day.experience_id, day.date, offered.slot_id)

    def of(slot: Slot | None) -> Update | None:
        if slot is None:
            return numbers.added(key, offered, asked)
        counted = numbers.counted_of(before.slots.get(offered.slot_id), slot) if contains_our_sales else {}
        return numbers.renewed(slot, offered, asked, counted)

    return _Change(key, known, of)


def _closing(day: _Day, known: Slot) -> _Change:
    """Return the change that takes a slot off sale."""
    now = day.engine.clock.now()
    return _Change(known.key, known, lambda slot: None if slot is None else numbers.closed(slot, day.asked_at, now))


def _make(day: _Day, changes: Sequence[_Change]) -> int:
    """Make changes of slots, as many as go into a transaction at once; return how many there were to make.

    Where others are in the way, each is made by itself. Raises _Superseded and Busy.
    """
    waiting = [(change, update) for change in changes if (update := change.of(change.known)) is not None]
    made = 0
    for first in range(0, len(waiting), _MOST_AT_ONCE):
        batch = waiting[first : first + _MOST_AT_ONCE]
        writes = [day.is_still_ours(), *(update for _, update in batch)]
        try:
            day.engine.store.transact(writes)
        except (Contended, Cancelled) as refusal:
            if isinstance(refusal, Cancelled) and day.header in refusal.seen(writes):
                raise _Superseded from refusal
            made += sum(_changed(day, change) for change, _ in batch)
        else:
            made += len(batch)
    return made


def _changed(day: _Day, change: _Change) -> bool:
    """Make a change of a slot, worked out anew of whatever another writer left; return whether it was there to make.

    A change that was made though its answer was lost is known by when it was asked for (PROTOCOL.md 8).
    """
    known = change.known
    for attempt in day.engine.retries:
        update = change.of(known)
        if update is None:
            return known is not None and known.asked_at == day.asked_at
        writes = [day.is_still_ours(), update]
        try:
            day.engine.store.transact(writes)
        except Contended:
            day.engine.retries.wait(attempt)
        except Cancelled as refusal:
            seen = refusal.seen(writes)
            if day.header in seen:
                raise _Superseded from refusal
            if change.key in seen:
                known = read_slot(seen[change.key]) if seen[change.key] else None
            day.engine.retries.wait(attempt)
        else:
            return True
    raise Busy


def _day_kept_until(day: _Day) -> int:
    begins = round(datetime.fromisoformat(day.date).replace(tzinfo=UTC).timestamp() * 1000)
    return kept_until(day.engine.clock.now(), begins)


def _what_fits(listed: Sequence[object]) -> str:
    """Return a list's JSON text, without those entries that would make it too long."""
    texts: list[str] = []
    left = MOST_ASIDE
    for entry in listed:
        text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False)
        if len(text) < left:
            texts.append(text)
            left -= len(text) + 1
    return f"[{','.join(texts)}]"
