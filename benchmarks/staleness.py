"""How old what is known of 450 products gets in a week of virtual time, as planned and by a naive plan.

Both have the same products, schedules, queue and limiter. As planned, everything goes by the functions that the planner
goes by: what schedules want and what the minute does, what is chosen, two minutes of work in the queue. The naive plan
enqueues all pairs of a schedule each time that it comes, and asks for them first come, first served. Every pair is new
when it starts; the first day is not measured. Nothing fails, and each answer takes no time beyond its request's.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Protocol
from zoneinfo import ZoneInfo

from holdfast.partners import planning
from holdfast.partners.limiter import PACE, next_grant
from holdfast.partners.pairs import HOUR, MINUTE, MONTH_DAYS, Horizon, Pair, Product, days_of, today_in
from holdfast.partners.planning import Reach, Waiting
from holdfast.partners.sheets import Sheet

DAY = 24 * HOUR
ZONE = ZoneInfo("Asia/Singapore")
PRODUCTS = 450
NOT_RUNNING = {1: 0.50, 2: 0.44, 3: 0.38, 4: 0.30, 5: 0.22, 6: 0.14, 7: 0.18}
"""The part of the products that does not run on a weekday, 1 for Monday to 7 for Sunday."""

EVERY = {Horizon.TODAY: 15 * MINUTE, Horizon.WEEK: 4 * HOUR, Horizon.MONTH: DAY}
"""How often the schedules come; they count from midnight UTC."""

OVERLOOKED_EVERY = 15 * MINUTE
"""How often it is looked for what was overlooked: the planner does each minute, which would take long here."""

LOOKED_AT_EVERY = {Horizon.TODAY: 5 * MINUTE, Horizon.WEEK: HOUR, Horizon.MONTH: 2 * HOUR}
"""How often the ages of a horizon's pairs are taken down."""

PARTNERS_LIMIT = 30
"""Requests a minute: the budget, of which a part is used."""

TODAY_AT_MOST = 20 * MINUTE
"""What the 95th percentile of the ages of today's pairs has to stay under."""

STARVED = {Horizon.WEEK: 24 * HOUR, Horizon.MONTH: 96 * HOUR}
"""The ages that no pair of these horizons may reach."""

STARTED_ON = date(2026, 2, 26)
"""The day, at the partner, at whose beginning the simulation begins: the end of a month is in the measured week."""

_TENANT = "simulated"


class Plan(Protocol):
    """Who decides what is asked for next."""

    def schedule(self, horizon: Horizon, now: int) -> None:
        """A schedule comes at `now` (ms)."""
        ...

    def minute(self, now: int) -> None:
        """A minute is over at `now` (ms)."""
        ...

    def next(self, now: int) -> tuple[int, str] | None:
        """Take the next message out of the queue: the product's number and the date; None where there is none."""
        ...

    def answered(self, number: int, day: str, now: int) -> None:
        """The partner answered for that product and date, asked at `now` (ms)."""
        ...


class AsPlanned:
    """The planner, on sheets in memory: what it reads anew each minute is kept in order here, for speed alone."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = products
        self._numbers = {product.experience_id: number for number, product in enumerate(products)}
        self._synced: list[dict[str, int]] = [{} for _ in products]
        self._wanted: list[dict[str, str]] = [{} for _ in products]
        self._queued: list[dict[str, int]] = [{} for _ in products]
        self._sheets = [
            Sheet(_TENANT, product.experience_id, self._synced[number], self._wanted[number], self._queued[number])
            for number, product in enumerate(products)
        ]
        self._dates: Reach | None = None
        self._lines: dict[Horizon, list[Waiting]] = {}
        self._messages: deque[tuple[int, str]] = deque()

    def schedule(self, horizon: Horizon, now: int) -> None:
        """Have what the schedule wants wanted."""
        dates = self._dates_at(now)
        for number, product in enumerate(self._products):
            wanted = planning.wanted_by(horizon, product, self._sheets[number], dates, now).wanted
            self._want(number, horizon, wanted, now)

    def minute(self, now: int) -> None:
        """Fill the queue."""
        dates = self._dates_at(now)
        if now % OVERLOOKED_EVERY == 0:
            self._find_overlooked(dates, now)
        busy: Counter[Horizon] = Counter()
        for number in {number for number, _ in self._messages}:
            busy.update(planning.in_flight(self._sheets[number], dates, now))
        lines = {horizon: self._line(horizon) for horizon in Horizon}
        for _, _, pair in planning.choose(lines, busy, now):
            number = self._numbers[pair.experience_id]
            self._queued[number][pair.date] = now
            self._messages.append((number, pair.date))

    def next(self, now: int) -> tuple[int, str] | None:
        """Take the next message whose pair is still queued."""
        while self._messages:
            number, day = self._messages.popleft()
            if day in self._queued[number]:
                return number, day
        return None

    def answered(self, number: int, day: str, now: int) -> None:
        """Note the answer."""
        self._synced[number][day] = now
        del self._wanted[number][day], self._queued[number][day]

    def _dates_at(self, now: int) -> Reach:
        """Return the dates that are looked after; where they change, do what the first minute does that sees it."""
        dates = planning.reach(ZONE, now)
        if dates != self._dates:
            self._dates = dates
            for number, product in enumerate(self._products):
                for day in planning.over(product, self._sheets[number], dates):
                    for known in (self._synced, self._wanted, self._queued):
                        known[number].pop(day, None)
            self._lines = {horizon: [] for horizon in Horizon}
            for product, sheet in zip(self._products, self._sheets, strict=True):
                for horizon, found in planning.waiting(product, sheet, dates, now).items():
                    self._lines[horizon] += found
            for line in self._lines.values():
                heapify(line)
            self._find_overlooked(dates, now)
        return dates

    def _find_overlooked(self, dates: Reach, now: int) -> None:
        for number, product in enumerate(self._products):
            for horizon, days in planning.overlooked(product, self._sheets[number], dates, now).items():
                self._want(number, horizon, days, now)

    def _want(self, number: int, horizon: Horizon, dates: Sequence[str], now: int) -> None:
        for day in dates:
            run_id = f"{now:013d}-{horizon.value}-simulated"
            self._wanted[number][day] = run_id
            pair = Pair(_TENANT, self._products[number].experience_id, day)
            heappush(self._lines[horizon], planning.waits(horizon, pair, run_id, self._synced[number].get(day)))

    def _line(self, horizon: Horizon) -> Iterator[Waiting]:
        """Yield what waits of a horizon, the oldest first; what was yielded stays until the next is asked for."""
        line = self._lines[horizon]
        while line:
            yield line[0]
            heappop(line)


class Naive:
    """Each schedule enqueues every pair there is, which is asked for when its turn comes, if the day is not past."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = products
        self._messages: deque[tuple[int, str]] = deque()

    def schedule(self, horizon: Horizon, now: int) -> None:
        """Enqueue everything."""
        days = [day.isoformat() for day in days_of(horizon, today_in(ZONE, now))]
        self._messages.extend((number, day) for number in range(len(self._products)) for day in days)

    def minute(self, now: int) -> None:
        """Do nothing."""

    def next(self, now: int) -> tuple[int, str] | None:
        """Take the next message, whatever it is of; one of a day that is past is dropped unasked."""
        today = today_in(ZONE, now).isoformat()
        while self._messages:
            number, day = self._messages.popleft()
            if day >= today:
                return number, day
        return None

    def answered(self, number: int, day: str, now: int) -> None:
        """Learn nothing from it."""


@dataclass(frozen=True)
class Measured:
    """The ages that were seen of each horizon's pairs, in ms, in order, and the part of the budget that was used."""

    ages: Mapping[Horizon, Sequence[int]]
    used: float

    def at(self, horizon: Horizon, part: float) -> int:
        """Return the age (ms) that this part of those seen did not exceed."""
        ages = self.ages[horizon]
        return ages[min(len(ages) - 1, int(part * len(ages)))]


def products(count: int = PRODUCTS, seed: int = 1) -> list[Product]:
    """Return so many products: each weekday has just the part of them not running that it has to have."""
    chance = random.Random(seed)
    weekdays: list[set[int]] = [set(NOT_RUNNING) for _ in range(count)]
    for weekday, part in NOT_RUNNING.items():
        others = [number for number in range(count) if len(weekdays[number]) > 1]
        for number in chance.sample(others, round(part * count)):
            weekdays[number].remove(weekday)
    return [
        Product(_TENANT, f"{number:04d}", "partner", str(number), frozenset(running), enabled=True)
        for number, running in enumerate(weekdays)
    ]


def simulate(
    make: Callable[[Sequence[Product]], Plan],
    sold: Sequence[Product],
    days: int = 7,
    unmeasured: int = 1,
    started_on: date = STARTED_ON,
) -> Measured:
    """Return what so many days were like under a plan, after some that were not measured."""
    plan = make(sold)
    start = _midnight(started_on)
    measured_from, end = start + unmeasured * DAY, start + (unmeasured + days) * DAY
    synced: list[dict[str, int]] = [{} for _ in sold]
    ages: dict[Horizon, list[int]] = {horizon: [] for horizon in Horizon}
    grants: list[int] = []
    asked = 0
    for now in range(start, end, MINUTE):
        for horizon, every in EVERY.items():
            if now % every == 0 or now == start:
                plan.schedule(horizon, now)
        plan.minute(now)
        if now >= measured_from:
            for horizon, every in LOOKED_AT_EVERY.items():
                if now % every == 0:
                    ages[horizon] += _ages(horizon, sold, synced, started_on, now)
        while (granted := next_grant(grants, now)) < now + MINUTE:
            message = plan.next(granted)
            if message is None:
                break
            number, day = message
            grants = [*grants[1 - PACE.limit :], granted]
            asked += granted >= measured_from
            synced[number][day] = granted
            plan.answered(number, day, granted)
    return Measured(
        {horizon: sorted(seen) for horizon, seen in ages.items()}, asked / (PARTNERS_LIMIT * days * DAY / MINUTE)
    )


def table(planned: Measured, naive: Measured) -> str:
    """Return both plans side by side."""
    lines = [
        f"A simulated week of {PRODUCTS} products of a partner that answers {PARTNERS_LIMIT} requests a minute",
        f"{'':36}{'as planned':>14}{'naive':>14}",
    ]
    shown = (
        ("today", Horizon.TODAY, (("median", 0.5), ("95th percentile", 0.95), ("worst", 1.0))),
        ("next 7 days", Horizon.WEEK, (("median", 0.5), ("worst", 1.0))),
        ("next 30 days", Horizon.MONTH, (("median", 0.5), ("worst", 1.0))),
    )
    for name, horizon, parts in shown:
        for what, part in parts:
            values = "".join(f"{_shown(found.at(horizon, part)):>14}" for found in (planned, naive))
            lines.append(f"{f'staleness, {name}, {what}':36}{values}")
    used = "".join(f"{found.used:>14.1%}" for found in (planned, naive))
    return "\n".join([*lines, f"{'share of the budget used':36}{used}"])


def broken(planned: Measured) -> list[str]:
    """Return which of its promises the plan does not keep."""
    faults = []
    if planned.at(Horizon.TODAY, 0.95) >= TODAY_AT_MOST:
        faults.append(f"today's staleness at the 95th percentile is not under {_shown(TODAY_AT_MOST)}")
    for horizon, most in STARVED.items():
        if planned.at(horizon, 1.0) > most:
            faults.append(f"the horizon {horizon.value} starves: its worst staleness is over {_shown(most)}")
    return faults


def _ages(
    horizon: Horizon, sold: Sequence[Product], synced: Sequence[Mapping[str, int]], started_on: date, now: int
) -> Iterator[int]:
    """Yield the ages in ms of a horizon's pairs; what was never answered is as old as its date has been in reach."""
    for day in days_of(horizon, today_in(ZONE, now)):
        text = day.isoformat()
        in_reach = _midnight(max(started_on, day - timedelta(days=MONTH_DAYS)))
        for number, product in enumerate(sold):
            if product.runs_on(day):
                yield now - synced[number].get(text, in_reach)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * 1000


def _shown(milliseconds: int) -> str:
    minutes = milliseconds / MINUTE
    return f"{minutes:.1f} min" if milliseconds < 2 * HOUR else f"{minutes / 60:.1f} h"
