"""What can be had of an experience, as it is read: a day's slots, and the days of the next two months.

Each is one query. Only where that finds nothing is it asked whether there is such an experience at all.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences import experiences
from holdfast.catalogue.experiences.summaries import Price, in_time, price_at, price_to_show, read_day
from holdfast.claims.slot import Slot
from holdfast.platform.clock import Clock, to_datetime
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import DaySummaryItem
from holdfast.platform.tables import Keys

MONTHS = 2
"""How far ahead days are shown."""

_YEAR = 12
_MOST_DAYS = 100
_MOST_KNOWN = 10_000


@dataclass(frozen=True)
class SlotsOfDay:
    """The slots of a day that are on sale and have not begun, in the order in which they do.

    They are as the partner said at `synced_at` (ms). That is None where it was never asked.
    """

    slots: Sequence[Slot]
    synced_at: int | None


@dataclass(frozen=True)
class DayToHave:
    """A day (YYYY-MM-DD) of which something can be had, and from which price."""

    date: str
    price: Price


@dataclass(frozen=True)
class Days:
    """Days of which anything can be had, in order; `synced_at` (ms) are the moments that the partner was asked at.

    They are those of these days; where there are none of these, of all days that are known and left out.
    """

    days: Sequence[DayToHave]
    synced_at: Sequence[int]


class Reading:
    """A warm function's reading; it remembers which experiences there are, since none is ever taken away."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: set[tuple[str, str]] = set()

    def slots(self, tenant: str, experience_id: str, day: str) -> SlotsOfDay:
        """Return the slots of a day (YYYY-MM-DD); raises ExperienceNotFound."""
        known = read_day(self._store, Keys(tenant), experience_id, day)
        if known.header is None and not known.slots:
            self._must_exist(tenant, experience_id)
        now = self._clock.now()
        to_begin = [slot for slot in known.slots if now < slot.starts_at]
        on_sale = [slot for slot in to_begin if slot.on_sale and price_to_show(slot) is not None]
        return SlotsOfDay(sorted(on_sale, key=in_time), known.header.synced_at if known.header else None)

    def days(self, tenant: str, experience_id: str) -> Days:
        """Return the days from today, where the experience is, to the same day two months on.

        Days of which nothing can be had, or nothing any more, are left out. Raises ExperienceNotFound.
        """
        moment = self._clock.now()
        now = to_datetime(moment)
        first, last = now.date() - timedelta(days=1), months_on(now.date() + timedelta(days=1), MONTHS)
        partition = Keys(tenant).day_summaries(experience_id)
        page = self._store.query_between(partition, first.isoformat(), last.isoformat(), limit=_MOST_DAYS)
        items = list(page.items)
        while page.after is not None:
            page = self._store.query_between(partition, first.isoformat(), last.isoformat(), _MOST_DAYS, page.after)
            items += page.items
        summaries = [read(DaySummaryItem, raw) for raw in items]
        if not summaries:
            self._must_exist(tenant, experience_id)
        shown: list[DayToHave] = []
        asked_at: list[int | None] = []
        for each in summaries:
            today = now.astimezone(ZoneInfo(each.zone or "UTC")).date()
            is_near = today <= date.fromisoformat(each.sk) <= months_on(today, MONTHS)
            price = price_at(each, moment)
            if is_near and each.zone is not None and price is not None:
                shown.append(DayToHave(each.sk, price))
                asked_at.append(each.synced_at)
        known = asked_at or [each.synced_at for each in summaries]
        return Days(shown, [asked for asked in known if asked is not None])

    def _must_exist(self, tenant: str, experience_id: str) -> None:
        if (tenant, experience_id) in self._known:
            return
        experiences.get(self._store, tenant, experience_id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add((tenant, experience_id))


def months_on(day: date, months: int) -> date:
    """Return the same day of a later month, or that month's last day where it has no such day."""
    year, month = divmod(day.year * _YEAR + day.month - 1 + months, _YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
