"""How a tenant's synchronisation stands: how old what is known is, what waits, and which products are left alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_high
from zoneinfo import ZoneInfo

from holdfast.partners.breaker import OPENS_AT
from holdfast.partners.pairs import Horizon, Product, days_of, today_in
from holdfast.partners.planning import is_queued
from holdfast.partners.sheets import Sheet


@dataclass(frozen=True)
class HorizonState:
    """The pairs of one horizon: how many wait, and how old (ms) the others' answers are; None where there are none.

    Those never answered have no age, and are counted apart.
    """

    pairs: int
    waiting: int
    never_synced: int
    worst_age: int | None
    median_age: int | None


@dataclass(frozen=True)
class HeldBack:
    """A product that failed so often in a row: left alone `until` then (ms), or tried with one pair at a time."""

    experience_id: str
    failures: int
    until: int


def horizons(
    products: Iterable[Product], sheets: Mapping[str, Sheet], zones: Mapping[str, ZoneInfo], now: int
) -> dict[Horizon, HorizonState]:
    """Return how each horizon of one tenant stands at `now` (ms): the days on which products run that are sold."""
    waiting = dict.fromkeys(Horizon, 0)
    never = dict.fromkeys(Horizon, 0)
    ages: dict[Horizon, list[int]] = {horizon: [] for horizon in Horizon}
    days = {
        name: [(day, horizon) for horizon in Horizon for day in days_of(horizon, today_in(zone, now))]
        for name, zone in zones.items()
    }
    for product in products:
        sheet = sheets.get(product.experience_id) or Sheet(product.tenant, product.experience_id)
        for day, horizon in days.get(product.partner, ()) if product.enabled else ():
            if product.runs_on(day):
                date = day.isoformat()
                waiting[horizon] += date in sheet.wanted
                if date in sheet.synced:
                    ages[horizon].append(max(0, now - sheet.synced[date]))
                else:
                    never[horizon] += 1
    return {
        horizon: HorizonState(
            pairs=len(ages[horizon]) + never[horizon],
            waiting=waiting[horizon],
            never_synced=never[horizon],
            worst_age=max(ages[horizon], default=None),
            median_age=median_high(ages[horizon]) if ages[horizon] else None,
        )
        for horizon in Horizon
    }


def waiting_and_queued(sheets: Iterable[Sheet], now: int) -> tuple[int, int]:
    """Return how many pairs are wanted and wait to be queued, and how many are queued."""
    every = [is_queued(sheet, date, now) for sheet in sheets for date in sheet.wanted]
    return len(every) - sum(every), sum(every)


def held_back(sheets: Iterable[Sheet], now: int) -> Sequence[HeldBack]:
    """Return the products that are left alone at `now` (ms), or that are not known to be well again."""
    return [
        HeldBack(sheet.experience_id, sheet.failures, sheet.not_before)
        for sheet in sheets
        if sheet.not_before > now or sheet.failures >= OPENS_AT
    ]
