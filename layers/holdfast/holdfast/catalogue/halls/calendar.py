"""A venue's calendar as it is read: the days that exist, and what lies on them."""

from collections.abc import Iterable, Sequence

from holdfast.claims.span import Day, Entry, Span, days_of, read_day
from holdfast.platform.dynamodb import Store
from holdfast.platform.tables import Keys, key_of

_BLACKOUT = "b-"


def blackout_entry(blackout_id: str) -> str:
    """Return the id of the entries that a blackout has on its days."""
    return f"{_BLACKOUT}{blackout_id}"


def blackout_of(entry: str) -> str | None:
    """Return the id of the blackout whose entry this is; None for a booking's."""
    return entry.removeprefix(_BLACKOUT) if entry.startswith(_BLACKOUT) else None


def read_days(store: Store, keys: Keys, venue_id: str, span: Span) -> list[Day]:
    """Return the days of `span` on which anything was ever written, each read consistently."""
    dates = days_of(span)
    days: list[Day] = []
    after = None
    while True:
        page = store.query_between(keys.days(venue_id), dates[0], dates[-1], after=after)
        days += [read_day(key_of(raw), raw) for raw in page.items]
        after = page.after
        if after is None:
            return days


def entries_on(days: Iterable[Day], span: Span, now: int) -> dict[str, Entry]:
    """Return what is live on `days` at `now` (ms) and overlaps `span`, by id, in the order of time."""
    found = {name: entry for day in days for name, entry in day.live(now).items() if entry.span.overlaps(span)}
    return dict(sorted(found.items(), key=lambda item: (item[1].start, item[0])))


def is_booked(days: Sequence[Day], span: Span, now: int) -> bool:
    """Return whether a live booking, its turnaround included, overlaps `span`."""
    return any(blackout_of(name) is None for name in entries_on(days, span, now))
