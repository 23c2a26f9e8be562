"""What a booking must keep to, whoever takes it by whichever route: lead time, length, guests."""

from dataclasses import dataclass

from holdfast.catalogue.halls.settings import MINUTE, VenueSettings
from holdfast.platform.errors import Fault


@dataclass(frozen=True)
class Fields:
    """What the client's body calls the things that can be wrong."""

    start: str = "startTs"
    end: str = "endTs"
    guests: str = "guestCount"


def faults_of(settings: VenueSettings, start: int, end: int, now: int, fields: Fields) -> list[Fault]:
    """Return what is wrong with booking from `start` to `end` at `now` (all ms); nothing where it may be booked."""
    faults = []
    if start <= now:
        faults.append(Fault(fields.start, "The start is past.", "too_soon"))
    elif start - now < settings.lead_time_minutes * MINUTE:
        lead = settings.lead_time_minutes
        faults.append(Fault(fields.start, f"Bookings are made at least {lead} minutes before they start.", "too_soon"))
    if end <= start:
        faults.append(Fault(fields.end, "The end is not after the start.", "end_not_after_start"))
    elif end - start < settings.min_duration_minutes * MINUTE:
        least = settings.min_duration_minutes
        faults.append(Fault(fields.end, f"Bookings last at least {least} minutes.", "too_short"))
    elif end - start > settings.max_duration_minutes * MINUTE:
        most = settings.max_duration_minutes
        faults.append(Fault(fields.end, f"Bookings last at most {most} minutes.", "too_long"))
    return faults


def guest_faults(capacity: int, guests: int | None, fields: Fields) -> list[Fault]:
    """Return what is wrong with so many guests in a venue of `capacity`."""
    if guests is None or guests <= capacity:
        return []
    return [Fault(fields.guests, f"The venue takes at most {capacity} guests.", "over_capacity")]
