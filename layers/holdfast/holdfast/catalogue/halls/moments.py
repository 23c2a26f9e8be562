"""Moments: what clients write about time, as milliseconds, and the local calendar days of a venue.

A text with an offset means what it says; one without is the local time of the venue. Inside, and in the calendar, there
are only milliseconds and UTC days: time zones and daylight-saving shifts end here.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holdfast.claims.span import Span
from holdfast.platform.clock import to_datetime
from holdfast.platform.errors import Fault, Malformed

DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = rf"^{DATE}[Tt ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,9}})?)?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?$"
"""RFC 3339, and the same without an offset, and without seconds."""

_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_NO_PLACES = frozenset({"Factory"})
UTC_ZONE = ZoneInfo("UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def zone_of(name: str, field: str) -> ZoneInfo:
    """Return the IANA time zone called `name`; raises Malformed, naming `field`, where there is none."""
    try:
        if _ZONE.fullmatch(name) and name not in _NO_PLACES:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise Malformed(faults=[Fault(field, "Not a time zone of the IANA database.", "time_zone_unknown")])


def read_moment(text: str, zone: ZoneInfo, field: str) -> int:
    """Return the moment that `text` means, in ms, in `zone` where it has no offset.

    Of a local time that comes twice, when clocks are put back, the first is meant. Raises Malformed, naming `field`,
    for what is no moment, is finer than a millisecond, or is a local time that is skipped when clocks are put forward.
    """
    found = _parsed(text)
    if found is None:
        raise Malformed(faults=[Fault(field, "Not an RFC 3339 moment, exact to the millisecond.", "moment_malformed")])
    if found.tzinfo is not None:
        return _milliseconds(found)
    local = found.replace(tzinfo=zone)
    moment = _milliseconds(local)
    if to_datetime(moment).astimezone(zone).replace(tzinfo=None) != found:
        raise Malformed(
            faults=[Fault(field, "The clocks of the venue skip this time on that day.", "local_time_skipped")]
        )
    return moment


def read_span(start: str, end: str, zone: ZoneInfo) -> Span:
    """Return the span between two moments as clients of halls name them, `startTs` and `endTs`; see `read_moment`.

    Which of them is later is not looked at.
    """
    return Span(read_moment(start, zone, "startTs"), read_moment(end, zone, "endTs"))


def read_date(text: str, field: str) -> date:
    """Return the day that `text` (YYYY-MM-DD) names; raises Malformed, naming `field`, where it names none."""
    try:
        if re.fullmatch(DATE, text, re.ASCII):
            day = date.fromisoformat(text)
            if _FIRST_YEAR <= day.year <= _LAST_YEAR:
                return day
    except ValueError:
        pass
    raise Malformed(faults=[Fault(field, "Not a day, as YYYY-MM-DD.", "date_malformed")])


def read_bound(text: str, zone: ZoneInfo, field: str, is_last: bool = False) -> int:
    """Return the moment, in ms, that a list is bounded by: a moment, or a day's begin, or with `is_last` a day's end.

    Raises Malformed, naming `field`, for what is neither.
    """
    if "T" in text.upper() or " " in text:
        return read_moment(text, zone, field)
    return starts(read_date(text, field) + timedelta(days=is_last), zone)


def local_day(moment: int, zone: ZoneInfo) -> date:
    """Return the calendar day of `zone` in which a moment (ms) lies."""
    return to_datetime(moment).astimezone(zone).date()


def local_time(moment: int, zone: ZoneInfo) -> time:
    """Return what clocks of `zone` show at a moment (ms)."""
    return to_datetime(moment).astimezone(zone).time()


def at(day: date, clock: time, zone: ZoneInfo) -> int:
    """Return when the clocks of `zone` show `clock` on `day`, in ms; where they skip it, as long after the skip."""
    return _milliseconds(datetime.combine(day, clock.replace(fold=0), tzinfo=zone))


def starts(day: date, zone: ZoneInfo) -> int:
    """Return when a calendar day of `zone` begins, in ms; with it the day before ends."""
    return at(day, time(), zone)


def local_days(start: int, end: int, zone: ZoneInfo) -> Iterator[tuple[date, int]]:
    """Yield the calendar days of `zone` that the span from `start` to `end` (ms) touches, and how much of each, in ms.

    A day has 24 hours, or 23 or 25 where clocks are moved.
    """
    day = local_day(start, zone)
    while start < end:
        following = day + timedelta(days=1)
        until = min(end, starts(following, zone))
        if until > start:
            yield day, until - start
            start = until
        day = following


def _parsed(text: str) -> datetime | None:
    if not re.fullmatch(MOMENT, text, re.ASCII):
        return None
    stamp, fraction, offset = _parts(text)
    if fraction[3:].strip("0"):
        return None
    try:
        found = datetime.fromisoformat(stamp).replace(microsecond=int(fraction[:3].ljust(3, "0")) * 1000)
        if offset:
            found = found.replace(tzinfo=_offset(offset))
    except ValueError:
        return None
    return found if _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def _parts(text: str) -> tuple[str, str, str]:
    """Return date and time up to the second, the digits after it, and the offset."""
    offset = re.search(r"([Zz]|[+-][0-9]{2}:[0-9]{2})$", text[10:])
    stamp, _, fraction = (text[: -len(offset[0])] if offset else text).upper().partition(".")
    return stamp, fraction, offset[0] if offset else ""


def _offset(text: str) -> timezone:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:])
    if minutes > 59:
        raise ValueError("an hour has 60 minutes")
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1))


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
