"""When a venue is free: what is in the way of a time, and which others could be had. Nobody's name is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.alternatives import DAYS_AHEAD, Alternative, suggest
from holdfast.catalogue.halls.calendar import blackout_of, entries_on, read_days
from holdfast.catalogue.halls.settings import DAY, HOUR, MINUTE
from holdfast.catalogue.halls.venues import Venue
from holdfast.claims.span import Entry, Span
from holdfast.platform.dynamodb import read
from holdfast.platform.items import BlackoutItem
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine

MOST_DAYS = 90
"""Calendar days that one answer is about."""

_LONGEST_DAY = DAY + 3 * HOUR
"""No local calendar day is longer, however clocks are moved."""


@dataclass(frozen=True)
class Availability:
    """Whether a time is free; what is in its way, bookings with their turnaround; other times that could be had."""

    is_available: bool
    bookings: Sequence[Entry]
    blackouts: Sequence[BlackoutItem]
    alternatives: Sequence[Alternative]


def on_days(engine: Engine, tenant: str, venue: Venue, first: date, days: int) -> Availability:
    """Return whether nothing is in the way on so many calendar days of the venue, from `first`.

    Of days that have begun, only what may still be booked is looked at; days that are over are not available.
    """
    now = engine.clock.now()
    until = moments.starts(first + timedelta(days=days), venue.zone)
    wanted = Span(moments.starts(first, venue.zone), until)
    return _look(engine, tenant, venue, wanted, Span(max(wanted.start, _earliest(venue, now)), until), now)


def of(engine: Engine, tenant: str, venue: Venue, wanted: Span) -> Availability:
    """Return whether a time can be booked now, as far as the calendar says; what the rules say is not looked at."""
    return _look(engine, tenant, venue, wanted, wanted, engine.clock.now())


def _look(engine: Engine, tenant: str, venue: Venue, wanted: Span, bookable: Span, now: int) -> Availability:
    keys = Keys(tenant)
    around = venue.turnaround.around(wanted)
    entries = entries_on(read_days(engine.store, keys, venue.id, around), around, now)
    bookings = [entry for name, entry in entries.items() if blackout_of(name) is None]
    named = [blackout_id for name in entries if (blackout_id := blackout_of(name)) is not None]
    found = engine.store.batch_get(keys.blackout(venue.id, blackout_id) for blackout_id in named)
    blackouts = sorted((read(BlackoutItem, raw) for raw in found.values()), key=lambda item: (item.start, item.key))
    is_free = bookable.start < bookable.end and not any(
        entry.span.overlaps(venue.turnaround.around(bookable)) for entry in entries.values()
    )
    is_available = venue.item.active and is_free
    return Availability(
        is_available, bookings, blackouts, [] if is_available else _alternatives(engine, keys, venue, wanted, now)
    )


def _alternatives(engine: Engine, keys: Keys, venue: Venue, wanted: Span, now: int) -> list[Alternative]:
    settings = venue.settings
    least, most = settings.min_duration_minutes * MINUTE, settings.max_duration_minutes * MINUTE
    if not venue.item.active or not least <= wanted.end - wanted.start <= most:
        return []
    around = venue.turnaround.around(wanted)
    window = Span(around.start - _LONGEST_DAY, around.end + DAYS_AHEAD * DAY + _LONGEST_DAY)
    days = read_days(engine.store, keys, venue.id, window)
    busy = [entry.span for entry in entries_on(days, window, now).values()]
    return suggest(busy, wanted, venue.turnaround, _earliest(venue, now), venue.zone)


def _earliest(venue: Venue, now: int) -> int:
    """Return the first moment at which a booking made now may start, in ms."""
    return now + max(1, venue.settings.lead_time_minutes * MINUTE)
