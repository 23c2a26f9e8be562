"""What can be had of an experience, as it is read: a day's slots, and the days of the next two months.

Each is one query. Only where that finds nothing is it asked whether there is such an experience at all.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences import experiences
from holdfast.catalogue.experiences.summaries import in_time, price_to_show, read_day
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
    """The slots of a day that are on sale, in the order in which they begin, as the partner said at `synced_at` (ms).

    That is None where it was never asked.
    """

    slots: Sequence[Slot]
    synced_at: int | None


@dataclass(frozen=True)
class Days:
    """Days of which anything can be had, in order; `synced_at` (ms) is when the partner was last asked, if ever."""

    days: Sequence[DaySummaryItem]
    synced_at: int | None


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
        on_sale = [slot for slot in known.slots if slot.on_sale and price_to_show(slot) is not None]
        return SlotsOfDay(sorted(on_sale, key=in_time), known.header.synced_at if known.header else None)

    def days(self, tenant: str, experience_id: str) -> Days:
        """Return the days from today, where the experience is, to the same day two months on.

        Days of which nothing can be had are left out. Raises ExperienceNotFound.
        """
        now = to_datetime(self._clock.now())
        first, last = now.date() - timedelta(days=1), months_on(now.date() + timedelta(days=1), MONTHS)
        partition = Keys(tenant).day_summaries(experience_id)
        page = self._store.query_between(partition, first.isoformat(), last.isoformat(), limit=_MOST_DAYS)
        summaries = [read(DaySummaryItem, raw) for raw in page.items]
        if not summaries:
            self._must_exist(tenant, experience_id)
        shown = []
        for each in summaries:
            today = now.astimezone(ZoneInfo(each.zone or "UTC")).date()
            is_near = today <= date.fromisoformat(each.sk) <= months_on(today, MONTHS)
            if is_near and each.zone is not None and each.final_minor is not None:
                shown.append(each)
        return Days(shown, max((each.synced_at for each in summaries if each.synced_at is not None), default=None))

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
