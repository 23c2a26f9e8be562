"""What a booking costs, from what the venue's owner set; the model is told in `settings`."""

from datetime import date
from zoneinfo import ZoneInfo

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.settings import HOUR, VenuePricing, VenueUnit

_WHOLE = 100


def price_of(pricing: VenuePricing, base_minor: int, zone: ZoneInfo, start: int, end: int, booked_at: int) -> int:
    """Return the price, in minor units, of the span from `start` to `end` (ms), booked at `booked_at` (ms).

    A price per booking is that of the local day on which it starts. One per hour is paid for every minute, and any part
    of one, on the day that it falls on: an hour that clocks skip is not paid, one that comes twice is, twice. One per
    day is paid for every local day that the booking touches. Half a minor unit is rounded up, once, at the end.
    """
    days = list(moments.local_days(start, end, zone))
    shares = [_share(pricing, day, start - booked_at) for day, _ in days]
    match pricing.unit:
        case VenueUnit.BOOKING:
            return _half_up(base_minor * shares[0], _WHOLE)
        case VenueUnit.DAY:
            return _half_up(base_minor * sum(shares), _WHOLE)
        case VenueUnit.HOUR:
            weighed = sum(share * length for share, (_, length) in zip(shares, days, strict=True))
            return _half_up(base_minor * weighed, _WHOLE * HOUR)


def _share(pricing: VenuePricing, day: date, notice: int) -> int:
    """Return what is paid on a local day, in per cent of the base price."""
    return max(0, _WHOLE + sum(rule.percent for rule in pricing.rules if rule.applies(day, notice)))


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
