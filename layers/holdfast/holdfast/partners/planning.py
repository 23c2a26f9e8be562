"""Planning by rules alone: which pairs are wanted anew, and which of those wanted are asked for next.

A partner answers 30 requests a minute, fewer than all schedules together would like to make. So nothing is asked for
that a product does not run on, or that was answered a moment ago, or that is waiting already; whatever is furthest past
its target goes first; and each horizon has a share of the requests that no other can take from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from holdfast.partners.breaker import LONGEST_WAIT, OPENS_AT
from holdfast.partners.pairs import HOUR, MINUTE, MONTH_DAYS, TARGETS, WEEK_DAYS, Horizon, Pair, Product, today_in
from holdfast.partners.runs import MANUAL, read_run_id
from holdfast.partners.sheets import Sheet

SHARES = {Horizon.TODAY: 0.70, Horizon.WEEK: 0.18, Horizon.MONTH: 0.08}
"""The part of a partner's requests that each horizon has for itself while anything of it waits.

What they leave, and what a horizon has no use for, goes to whatever is furthest past its target.
"""

QUEUED_AT_MOST = 60
"""Pairs of one partner that are queued at a time: two minutes of requests (PROTOCOL.md 20)."""

QUEUED_FOR = 4 * MINUTE
"""Milliseconds after which a message is taken for lost whose pair is still queued: twice what it may have to wait."""

MANUALLY_FRESH_FOR = 2 * MINUTE
"""The age in ms up to which an answer is fresh enough for a manual run."""

_AHEAD = {Horizon.TODAY: 30 * MINUTE, Horizon.WEEK: 6 * HOUR}
"""How long before midnight the date that comes into a horizon then is looked after as if it were in it.

Otherwise all of a date's pairs would be as old at midnight as those of the further horizon may get, and all at once.
"""

_FRESH_FOR = {Horizon.TODAY: 1 / 5, Horizon.WEEK: 1 / 3, Horizon.MONTH: 1 / 3}
"""The part of a horizon's target up to which its schedule takes an answer for fresh.

What it passes over has to wait for the next one, and is older then by a whole target.
"""

_FORGOTTEN_AFTER = 3 / 2
"""The part of a horizon's target from which on a pair is wanted whether or not its schedule came.

Schedules come once a target, and pass over what is fresh: no pair that they look after is as old as that and not
wanted. A pair whose date has come into a nearer horizon may be, one whose schedule broke off, and one of a new product.
"""

_NEW = 2
"""How many times its target a pair that was never answered is taken to be old when it comes to be wanted.

That is older than most, so that a new product is known soon; and not older than all, so that however many come at once,
what is known already does not grow old behind them.
"""

_OVERDUE_AFTER = 4
"""How many times its target a pair of today is old when it is overdue: far older than any gets while all is well."""

_BY_HAND = 3
"""How many times its target a pair that a manual run wants is taken to be older than it is: somebody waits for it."""

_RESTS_AT_LEAST = HOUR
"""The least ms that a date may come to be left alone which fails each time; at most it is its horizon's target."""

_DOUBLINGS = 7


class Reach(NamedTuple):
    """Which dates are looked after at a moment: from today on, up to the last one of each horizon."""

    today: date
    last_of_today: date
    last_of_week: date
    last: date

    def horizon_of(self, day: date) -> Horizon | None:
        """Return the horizon that a day is looked after as; None for one that is past, or further off than any."""
        if day < self.today or day > self.last:
            return None
        if day <= self.last_of_today:
            return Horizon.TODAY
        return Horizon.WEEK if day <= self.last_of_week else Horizon.MONTH


@dataclass(frozen=True)
class Plan:
    """The dates that a run wants of a product, and those that were waiting for an earlier run already.

    Of these, the ones `hurried` come before others from now on.
    """

    wanted: Sequence[str]
    merged: Sequence[str]
    hurried: Sequence[str] = ()


class Waiting(NamedTuple):
    """A pair that may be queued, and since when (ms) it is taken to be unanswered.

    Those unanswered for longest come first, and of several for which that is alike, those of the nearest date.
    """

    since: int
    date: str
    pair: Pair


def waits(horizon: Horizon, pair: Pair, run_id: str, synced: int | None, is_hurried: bool = False) -> Waiting:
    """Return how a pair waits that a run wants, and that was answered at `synced` (ms), or never was."""
    run = read_run_id(run_id)
    since = run.began_at - int(_NEW * TARGETS[horizon]) if synced is None else synced
    if is_hurried or run.kind == MANUAL:
        since -= int(_BY_HAND * TARGETS[horizon])
    return Waiting(since, pair.date, pair)


def reach(zone: ZoneInfo, now: int) -> Reach:
    """Return which dates of a partner in that time zone are looked after at `now` (ms)."""
    today = today_in(zone, now)
    return Reach(
        today,
        today_in(zone, now + _AHEAD[Horizon.TODAY]),
        today_in(zone, now + _AHEAD[Horizon.WEEK]) + timedelta(days=WEEK_DAYS),
        today + timedelta(days=MONTH_DAYS),
    )


def wanted_by(horizon: Horizon, product: Product, sheet: Sheet, dates: Reach, now: int) -> Plan:
    """Return what a horizon's schedule wants of a product at `now` (ms)."""
    return _plan(_days_of(horizon, dates), int(TARGETS[horizon] * _FRESH_FOR[horizon]), product, sheet, now)


def wanted_at_once(days: int, product: Product, sheet: Sheet, dates: Reach, now: int) -> Plan:
    """Return what a manual run of so many days, from today on, wants of a product."""
    plan = _plan(_days_from(dates.today, days), MANUALLY_FRESH_FOR, product, sheet, now)
    slow = [known for known in plan.merged if _wanted_by_hand(sheet, known) <= sheet.tried.get(known, 0)]
    return replace(plan, hurried=slow)


def overlooked(product: Product, sheet: Sheet, dates: Reach, now: int) -> Mapping[Horizon, Sequence[str]]:
    """Return what nobody wants of a product though it is long past its target, or was never answered."""
    found = {
        horizon: _plan(_days_of(horizon, dates), int(TARGETS[horizon] * _FORGOTTEN_AFTER), product, sheet, now).wanted
        for horizon in Horizon
    }
    return {horizon: wanted for horizon, wanted in found.items() if wanted}


def over(product: Product, sheet: Sheet, dates: Reach) -> set[str]:
    """Return the dates of a sheet that are not to be asked for any more.

    Those are past, or too far off; or the product does not run on them any more, or is not sold any more.
    """
    return {
        known
        for known in sheet.dates
        if not product.enabled or dates.horizon_of(day := date.fromisoformat(known)) is None or not product.runs_on(day)
    }


def is_overdue(product: Product, sheet: Sheet, dates: Reach, since: int, now: int) -> bool:
    """Return whether today is so long without an answer, of a product that runs, that somebody has to see to it.

    Nothing was to be asked before `since` (ms), nor before the product was sold.
    """
    if not product.enabled or not product.runs_on(dates.today):
        return False
    known_at = max(sheet.synced.get(dates.today.isoformat(), 0), product.changed_at, since)
    return now - known_at > _OVERDUE_AFTER * TARGETS[Horizon.TODAY]


def is_queued(sheet: Sheet, known: str, now: int) -> bool:
    """Return whether the message of a wanted pair is on its way, or being worked on, and not taken for lost."""
    return known in sheet.queued and now - sheet.queued[known] <= QUEUED_FOR


def in_flight(sheet: Sheet, dates: Reach, now: int) -> list[Horizon]:
    """Return the horizon of each pair whose message is on its way, or being worked on."""
    found = (dates.horizon_of(date.fromisoformat(known)) for known in sheet.wanted if is_queued(sheet, known, now))
    return [horizon for horizon in found if horizon is not None]


def waiting(product: Product, sheet: Sheet, dates: Reach, now: int) -> Mapping[Horizon, Sequence[Waiting]]:
    """Return the pairs of a product that may be queued now, by their horizons.

    None while the product is left alone after failures; and one at a time while it is not known to be well again. A
    date that failed several times in a row is left alone by itself, so that it keeps no other from being tried.
    """
    if sheet.not_before > now:
        return {}
    found: dict[Horizon, list[Waiting]] = {}
    for known in sheet.wanted:
        horizon = dates.horizon_of(date.fromisoformat(known))
        if horizon is not None and not is_queued(sheet, known, now) and not _rests(horizon, sheet, known, now):
            pair, answered = Pair(sheet.tenant, sheet.experience_id, known), _answered(product, sheet, known)
            waits_so = waits(horizon, pair, sheet.wanted[known], answered, known in sheet.hurried)
            found.setdefault(horizon, []).append(waits_so)
    return _one_of(sheet, found, now) if sheet.failures >= OPENS_AT else found


def choose(
    lines: Mapping[Horizon, Iterable[Waiting]],
    busy: Mapping[Horizon, int],
    now: int,
) -> list[Waiting]:
    """Return what is queued next of a partner's `lines`, each of which is read only as far as it is taken from.

    A line has what waits of a horizon, in order, and `busy` is how many of each are queued already. A horizon that has
    less than its share is served first, in proportion; what is then left goes to whatever is furthest past its target.
    """
    rest = {horizon: iter(lines.get(horizon, ())) for horizon in Horizon}
    heads = dict(_heads(rest))
    counts = {horizon: busy.get(horizon, 0) for horizon in Horizon}
    chosen: list[Waiting] = []
    for _ in range(QUEUED_AT_MOST - sum(counts.values())):
        if not heads:
            break
        short = [horizon for horizon in heads if counts[horizon] + 1 <= SHARES[horizon] * QUEUED_AT_MOST]
        if short:
            horizon = min(short, key=lambda each: counts[each] / SHARES[each])
        else:
            horizon = max(heads, key=lambda each: (now - heads[each].since) / TARGETS[each])
        chosen.append(heads.pop(horizon))
        counts[horizon] += 1
        heads.update(_heads({horizon: rest[horizon]}))
    return chosen


def _plan(days: Iterable[tuple[str, date]], fresh_for: int, product: Product, sheet: Sheet, now: int) -> Plan:
    """Return the plan for those of the days on which the product runs, and whose answers are not fresh (ms)."""
    wanted: list[str] = []
    merged: list[str] = []
    if product.enabled:
        for text, day in days:
            if product.runs_on(day):
                if text in sheet.wanted:
                    merged.append(text)
                elif now - (_answered(product, sheet, text) or 0) > fresh_for:
                    wanted.append(text)
    return Plan(wanted, merged)


def _answered(product: Product, sheet: Sheet, known: str) -> int | None:
    """Return when (ms) the partner was asked whose answer is kept and still counts; None where there is none."""
    synced = sheet.synced.get(known)
    return synced if synced is not None and synced > product.changed_at else None


def _wanted_by_hand(sheet: Sheet, known: str) -> int:
    """Return when (ms) a manual run last wanted a pair that is wanted; 0 where none did."""
    run = read_run_id(sheet.wanted[known])
    return max(sheet.hurried.get(known, 0), run.began_at if run.kind == MANUAL else 0)


def _rests(horizon: Horizon, sheet: Sheet, known: str, now: int) -> bool:
    """Return whether a wanted pair is left alone since its date failed, for twice as long after each failure.

    Until its third failure in a row the product's own wait is enough, and by hand it may be tried once more at once.
    """
    further, tried = sheet.failed.get(known, 0) - OPENS_AT, sheet.tried.get(known, 0)
    if further < 0 or _wanted_by_hand(sheet, known) > tried:
        return False
    longest = max(_RESTS_AT_LEAST, TARGETS[horizon])
    return now < tried + min(longest, LONGEST_WAIT << min(further, _DOUBLINGS))


@lru_cache(maxsize=64)
def _days_of(horizon: Horizon, dates: Reach) -> Sequence[tuple[str, date]]:
    days = _days_from(dates.today, (dates.last - dates.today).days + 1)
    return [(text, day) for text, day in days if dates.horizon_of(day) is horizon]


def _days_from(first: date, days: int) -> Sequence[tuple[str, date]]:
    return [(day.isoformat(), day) for day in (first + timedelta(days=number) for number in range(days))]


def _one_of(sheet: Sheet, found: Mapping[Horizon, Sequence[Waiting]], now: int) -> Mapping[Horizon, Sequence[Waiting]]:
    """Return the one pair to ask next for of a product that failed; none while one is being asked for."""
    if any(is_queued(sheet, known, now) for known in sheet.wanted):
        return {}
    nearest = next((horizon for horizon in Horizon if horizon in found), None)
    return {} if nearest is None else {nearest: [min(found[nearest])]}


def _heads(rest: Mapping[Horizon, Iterator[Waiting]]) -> Iterator[tuple[Horizon, Waiting]]:
    for horizon, line in rest.items():
        for head in line:
            yield horizon, head
            break
