"""The span claim: a half-open stretch of time on a calendar, which is one item a UTC day, with a version.

A day keeps the spans that touch it as entries. Whoever adds one has read the day, checked that nothing overlaps, and
writes it back whole if its version is unchanged; entries past their time are not in the way, and are left out of what
is written. Confirming, releasing and extending touch one's own entry only and need no read; they raise the version
like every write, so that nobody writes back what they changed. Rules: PROTOCOL.md 17.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from holdfast.platform.clock import to_datetime
from holdfast.platform.dynamodb import Put, RawItem, Update, Write, read
from holdfast.platform.items import DayItem
from holdfast.platform.tables import Key

MAX_DAYS = 9
"""UTC days that one reservation's span may touch."""

MAX_ENTRIES = 100
"""Entries of one day: each is under 100 bytes, and a write is paid by the KB."""

_KEPT_DAYS = 60
"""Days after which a day that is over is deleted by TTL."""


class Span(NamedTuple):
    """A stretch of time from `start` up to, not including, `end`, in ms."""

    start: int
    end: int

    def overlaps(self, other: "Span") -> bool:
        """Return whether the two have a moment in common; spans that only meet do not."""
        return self.start < other.end and other.start < self.end


class Entry(NamedTuple):
    """A span as a day keeps it: held until `held_until` (ms), or for good where that is None."""

    start: int
    end: int
    held_until: int | None

    @property
    def span(self) -> Span:
        """Return the entry's span."""
        return Span(self.start, self.end)


@dataclass(frozen=True)
class Day:
    """A day as a consistent read saw it; version 0 where it was never written."""

    key: Key
    version: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def live(self, now: int) -> dict[str, Entry]:
        """Return the entries by id that are in anybody's way at `now` (ms)."""
        return {
            name: entry for name, entry in self.entries.items() if entry.held_until is None or entry.held_until > now
        }

    def clashes(self, span: Span, now: int) -> list[str]:
        """Return the ids of the live entries that overlap `span`."""
        return [name for name, entry in self.live(now).items() if entry.span.overlaps(span)]


def days_of(span: Span) -> list[str]:
    """Return the UTC days (YYYY-MM-DD) that a span touches, in order; its end is not part of it."""
    day = to_datetime(span.start).date()
    last = to_datetime(span.end - 1).date()
    return [(day + timedelta(days=number)).isoformat() for number in range((last - day).days + 1)]


def read_day(key: Key, raw: RawItem | None) -> Day:
    """Return the day that a read of `key` found."""
    if not raw:
        return Day(key)
    item = read(DayItem, raw)
    entries = {
        name: Entry(int(entry["s"]), int(entry["e"]), int(entry["u"]) if "u" in entry else None)
        for name, entry in item.entries.attribute_values.items()
    }
    return Day(key, item.version, entries)


@dataclass(frozen=True)
class DayChange:
    """A day written back whole, if it is still as `day` says: `added` entries more, `dropped` ones less.

    What is past its time at `now` (ms) is left out, whoever's it was.
    """

    day: Day
    now: int
    added: Mapping[str, Entry] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    is_nothing = False

    @property
    def key(self) -> Key:
        """Return the key of the day."""
        return self.day.key

    def merged(self, other: "DayChange") -> "DayChange":
        """Return the one change that does both to the same day."""
        return DayChange(self.day, self.now, {**self.added, **other.added}, self.dropped | other.dropped)

    def write(self) -> Write:
        """Return the change as one conditional put."""
        kept = {name: entry for name, entry in self.day.live(self.now).items() if name not in self.dropped}
        item = DayItem(
            *self.key,
            version=self.day.version + 1,
            entries={name: _stored(entry) for name, entry in {**kept, **self.added}.items()},
            ttl=_ttl(self.key.sk),
        )
        return Put(item, DayItem.version == self.day.version if self.day.version else DayItem.pk.does_not_exist())


@dataclass(frozen=True)
class EntryChange:
    """What holders of entries want of them, on a day that need not be read: `actions`, if the `entries` are there."""

    key: Key
    entries: tuple[str, ...]
    actions: tuple[Action, ...]

    is_nothing = False

    def merged(self, other: "EntryChange") -> "EntryChange":
        """Return the one change that does both to the same day."""
        return EntryChange(self.key, self.entries + other.entries, self.actions + other.actions)

    def write(self) -> Update:
        """Return the change as one conditional update."""
        condition: Condition | None = None
        for name in self.entries:
            condition &= Path(["entries", name]).exists()
        return Update(self.key, [*self.actions, DayItem.version.add(1)], condition)


def confirm(key: Key, entry: str) -> EntryChange:
    """Return the change that keeps an entry of a day for good, whatever the clock says (PROTOCOL.md 12)."""
    return EntryChange(key, (entry,), (Path(["entries", entry, "u"]).remove(),))


def release(key: Key, entry: str) -> EntryChange:
    """Return the change that takes an entry off a day."""
    return EntryChange(key, (entry,), (Path(["entries", entry]).remove(),))


def retime(key: Key, entry: str, until: int) -> EntryChange:
    """Return the change that holds an entry of a day until `until` (ms)."""
    return EntryChange(key, (entry,), (Path(["entries", entry, "u"]).set(until),))


def full(day: Day, now: int, adding: int) -> bool:
    """Return whether a day has no room for so many entries more."""
    return len(day.live(now)) + adding > MAX_ENTRIES


def midnight(date: str) -> int:
    """Return when a UTC day (YYYY-MM-DD) begins, in ms."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1000


def _stored(entry: Entry) -> dict[str, int]:
    held = {} if entry.held_until is None else {"u": entry.held_until}
    return {"s": entry.start, "e": entry.end, **held}


def _ttl(date: str) -> int:
    return midnight(date) // 1000 + (1 + _KEPT_DAYS) * 86_400
