"""How much of a booking's price is paid back when it is cancelled."""

from holdfast.catalogue.halls.settings import HOUR, VenueRefunds


def percent_at(refunds: VenueRefunds, start: int, cancelled_at: int) -> int:
    """Return the share, in per cent, that is paid back of a booking that starts at `start`; both are ms.

    With exactly the hours of the upper bound to go it is the part; with exactly those of the lower one still the part.
    """
    notice = start - cancelled_at
    if notice > refunds.full_over_hours * HOUR:
        return 100
    return refunds.part_percent if notice >= refunds.part_from_hours * HOUR and notice > 0 else 0
