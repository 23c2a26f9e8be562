"""What a reservation claims one by one, units and spans: the changes that sell, free and extend it.

The first attempt of a step needs no read. What refused it was returned with the refusal, `seen`, and says whether
another has the thing since (PROTOCOL.md 11, 12, 13, 17).
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from holdfast.claims import span, unit
from holdfast.claims.changes import Change
from holdfast.claims.span import DayChange, Entry, Span, days_of, full, read_day
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.errors import HoldTaken, ReservationOver
from holdfast.platform.items import ReservationItem, SpanMap, UnitItem
from holdfast.platform.tables import Key, Keys, is_day, is_unit, tenant_of
from holdfast.reservations.span_demand import entry_name

Seen = Mapping[Key, RawItem]


def is_single(key: Key) -> bool:
    """Return whether the item at `key` is claimed one by one: a unit, or a day of a calendar."""
    return is_unit(key) or is_day(key)


def confirmed(record: ReservationItem, now: int, seen: Seen) -> Iterator[Change]:
    """Yield the changes that sell the units and spans of a reservation, whatever the clock says.

    An entry that another's write left out of a day since is written anew if its time is still free. Raises HoldTaken
    where another has a unit or a span.
    """
    for key in _units(record):
        if key in seen and not _is_held_by(seen[key], record):
            raise HoldTaken
        yield unit.confirm(key, record.id)
    yield from _kept(record, now, seen)


def bought(record: ReservationItem, now: int, seen: Seen) -> Iterator[Change]:
    """Yield the changes that sell a reservation the units and spans that it once held, if nobody else has them since.

    Raises HoldTaken where another has one of them, or it is gone.
    """
    for key in _units(record):
        if key in seen and not _is_free(seen[key], now):
            raise HoldTaken
        yield unit.buy(key, record.id, now)
    yield from _kept(record, now, seen)


def released(record: ReservationItem, now: int, seen: Seen) -> Iterator[Change]:
    """Yield the changes that free the units and spans of a reservation; what another has since is left out."""
    for key in _units(record):
        if key not in seen or _has(seen[key], record):
            yield unit.release(key, record.id)
    for claimed, key in _days(record):
        name = entry_name(record.id, claimed.start)
        if key not in seen:
            yield span.release(key, name)
            continue
        day = read_day(key, seen[key])
        if name in day.entries:
            yield DayChange(day, now, dropped=frozenset({name}))


def retimed(record: ReservationItem, until: int, seen: Seen) -> Iterator[Change]:
    """Yield the changes by which a live reservation goes on holding its units and spans until `until` (ms).

    Raises ReservationOver where it turns out that one of them is another's, or nobody's, by now.
    """
    if any(is_single(key) for key in seen):
        raise ReservationOver
    for key in _units(record):
        yield unit.retime(key, record.id, until)
    for claimed, key in _days(record):
        yield span.retime(key, entry_name(record.id, claimed.start), until)


def _kept(record: ReservationItem, now: int, seen: Seen) -> Iterator[Change]:
    """Yield the changes that keep the spans of a reservation for good; raises HoldTaken where one is another's."""
    adding = Counter[Key]()
    for claimed, key in _days(record):
        name = entry_name(record.id, claimed.start)
        if key not in seen:
            yield span.confirm(key, name)
            continue
        day = read_day(key, seen[key])
        wanted = Span(claimed.start, claimed.end)
        if name not in day.entries:
            adding[key] += 1
            if day.clashes(wanted, now) or full(day, now, adding[key]):
                raise HoldTaken
        yield DayChange(day, now, {name: Entry(*wanted, None)})


def _units(record: ReservationItem) -> list[Key]:
    keys = Keys(tenant_of(record.key))
    return [keys.claimed(name) for name in record.units or ()]


def _days(record: ReservationItem) -> Iterator[tuple[SpanMap, Key]]:
    keys = Keys(tenant_of(record.key))
    for claimed in record.spans or ():
        for date in days_of(Span(claimed.start, claimed.end)):
            yield claimed, keys.day(claimed.calendar, date)


def _has(raw: RawItem, record: ReservationItem) -> bool:
    return bool(raw) and read(UnitItem, raw).holder == record.id


def _is_held_by(raw: RawItem, record: ReservationItem) -> bool:
    return _has(raw, record) and read(UnitItem, raw).held_until is not None


def _is_free(raw: RawItem, now: int) -> bool:
    return bool(raw) and unit.is_free(read(UnitItem, raw), now)
