"""What the synchronisation is about: pairs of an experience and a date, and how fresh each has to be.

Dates are the partner's own: what is today is a matter of its time zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from holdfast.platform.clock import to_datetime

MINUTE = 60_000
HOUR = 60 * MINUTE

WEEK_DAYS = 7
MONTH_DAYS = 30
"""How many days after today the two further horizons reach."""


class Horizon(StrEnum):
    """How near a date is, which says how fresh it has to be."""

    TODAY = "today"
    WEEK = "week"
    MONTH = "month"


TARGETS = {Horizon.TODAY: 15 * MINUTE, Horizon.WEEK: 4 * HOUR, Horizon.MONTH: 24 * HOUR}
"""The age in ms that an answer of each horizon is to have at most; each horizon's schedule comes that often."""


@dataclass(frozen=True)
class Product:
    """A partner's product that a tenant sells as an experience; `weekdays` are 1 for Monday to 7 for Sunday.

    At `changed_at` (ms) it was taken on, or when it is sold was last changed: what was asked before that may have been
    put on sale nowhere, and counts as not answered.
    """

    tenant: str
    experience_id: str
    partner: str
    partner_product_id: str
    weekdays: frozenset[int]
    enabled: bool
    changed_at: int = 0

    def runs_on(self, day: date) -> bool:
        """Return whether the product runs on that day at all."""
        return day.isoweekday() in self.weekdays


@dataclass(frozen=True, order=True)
class Pair:
    """An experience of a tenant, and a date (YYYY-MM-DD)."""

    tenant: str
    experience_id: str
    date: str


def today_in(zone: ZoneInfo, now: int) -> date:
    """Return the date that it is at `now` (ms) in a time zone."""
    moment: datetime = to_datetime(now).astimezone(zone)
    return moment.date()


def horizon_of(day: date, today: date) -> Horizon | None:
    """Return the horizon that a day is in; None for one that is past, or further off than any."""
    ahead = (day - today).days
    if ahead < 0 or ahead > MONTH_DAYS:
        return None
    if ahead == 0:
        return Horizon.TODAY
    return Horizon.WEEK if ahead <= WEEK_DAYS else Horizon.MONTH


def days_of(horizon: Horizon, today: date) -> Sequence[date]:
    """Return the days of a horizon, the nearest first."""
    ahead = range(MONTH_DAYS + 1)
    days = (today + timedelta(days=number) for number in ahead)
    return [day for day in days if horizon_of(day, today) is horizon]
