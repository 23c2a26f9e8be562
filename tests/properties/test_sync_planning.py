"""Properties of what is planned to be asked of partners, and virtual days of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import staleness
from benchmarks.staleness import NOT_RUNNING, PRODUCTS, TODAY_AT_MOST, AsPlanned, Naive, broken, simulate
from holdfast.partners.breaker import not_before
from holdfast.partners.limiter import next_grant
from holdfast.partners.pairs import HOUR, MINUTE, MONTH_DAYS, TARGETS, Horizon, Pair, Product, horizon_of, today_in
from holdfast.partners.planning import (
    QUEUED_AT_MOST,
    QUEUED_FOR,
    SHARES,
    Waiting,
    choose,
    in_flight,
    over,
    overlooked,
    reach,
    waiting,
    waits,
    wanted_at_once,
    wanted_by,
)
from holdfast.partners.sheets import Sheet

ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in ("Asia/Singapore", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu", "UTC")
    ]
)
MOMENTS = st.integers(1_704_067_200_000, 1_988_150_400_000)
"""From 2024 to 2032."""

KINDS = st.sampled_from(["today", "week", "month", "manual", "onboarding"])
EVERY_DAY = frozenset(range(1, 8))
WEEKDAYS = st.frozensets(st.integers(1, 7), min_size=1)


@st.composite
def sheets(draw: st.DrawFn) -> tuple[Product, Sheet, ZoneInfo, int]:
    """Draw a product and what is known of it, in a partner's time zone at a moment."""
    zone, now = draw(ZONES), draw(MOMENTS)
    today = today_in(zone, now)
    days = [(today + timedelta(days=number)).isoformat() for number in range(-3, 36)]
    some = st.sets(st.sampled_from(days), max_size=12)
    ages = st.integers(0, 60 * HOUR)
    wanted = draw(some)
    queued = {day for day in wanted if draw(st.booleans())}
    failed = {day for day in wanted if draw(st.booleans())}
    sheet = Sheet(
        "t1",
        "14",
        synced={day: now - draw(ages) for day in draw(some)},
        wanted={day: f"{now - draw(ages):013d}-{draw(KINDS)}-00000000" for day in sorted(wanted)},
        queued={day: now - draw(st.integers(0, 2 * QUEUED_FOR)) for day in queued},
        failures=draw(st.integers(0, 4)),
        not_before=draw(st.sampled_from([0, now - 1, now, now + 1])),
        failed={day: draw(st.integers(1, 30)) for day in sorted(failed)},
        tried={day: now - draw(ages) for day in sorted(failed)},
    )
    product = Product("t1", "14", "tours", "p14", draw(WEEKDAYS), draw(st.booleans()))
    return product, sheet, zone, now


@given(ZONES, MOMENTS)
def test_each_date_in_reach_is_looked_after_as_one_horizon_and_never_as_a_further_one(zone: ZoneInfo, now: int) -> None:
    dates, today = reach(zone, now), today_in(zone, now)
    nearest_first = list(Horizon)
    before = 0
    for number in range(MONTH_DAYS + 1):
        day = today + timedelta(days=number)
        horizon, real = dates.horizon_of(day), horizon_of(day, today)
        assert horizon is not None
        assert real is not None
        assert nearest_first.index(horizon) <= nearest_first.index(real)
        assert nearest_first.index(horizon) >= before
        before = nearest_first.index(horizon)
    assert dates.horizon_of(today) is Horizon.TODAY
    assert dates.horizon_of(today - timedelta(days=1)) is None
    assert dates.horizon_of(today + timedelta(days=MONTH_DAYS + 1)) is None


@given(sheets())
def test_a_schedule_wants_what_runs_is_stale_and_does_not_wait_and_nothing_else(
    drawn: tuple[Product, Sheet, ZoneInfo, int],
) -> None:
    product, sheet, zone, now = drawn
    dates = reach(zone, now)
    for horizon in Horizon:
        plan = wanted_by(horizon, product, sheet, dates, now)
        both = {*plan.wanted, *plan.merged}
        assert len(both) == len(plan.wanted) + len(plan.merged)
        assert set(plan.merged) == {day for day in both if day in sheet.wanted}
        for number in range(-3, 40):
            day = dates.today + timedelta(days=number)
            text = day.isoformat()
            is_its = product.enabled and product.runs_on(day) and dates.horizon_of(day) is horizon
            assert (text in plan.merged) == (is_its and text in sheet.wanted)
            if text in plan.wanted:
                assert is_its
            age = now - sheet.synced.get(text, 0)
            if is_its and text not in sheet.wanted:
                assert (text in plan.wanted) or age < TARGETS[horizon]
                assert not (text in plan.wanted and age < TARGETS[horizon] / 10)


@given(sheets(), st.integers(1, 30))
def test_a_manual_run_wants_all_its_days_but_for_those_just_answered(
    drawn: tuple[Product, Sheet, ZoneInfo, int], days: int
) -> None:
    product, sheet, zone, now = drawn
    plan = wanted_at_once(days, product, sheet, reach(zone, now), now)
    today = today_in(zone, now)
    all_days = [today + timedelta(days=number) for number in range(days)]
    running = {day.isoformat() for day in all_days if product.enabled and product.runs_on(day)}
    fresh = {day for day, answered in sheet.synced.items() if now - answered <= 2 * MINUTE}
    assert set(plan.wanted) == running - fresh - sheet.wanted.keys()
    assert set(plan.merged) == running & sheet.wanted.keys()


@given(sheets())
def test_what_is_over_is_never_wanted_again_and_all_else_is_kept(drawn: tuple[Product, Sheet, ZoneInfo, int]) -> None:
    product, sheet, zone, now = drawn
    dates = reach(zone, now)
    gone = over(product, sheet, dates)
    assert gone <= sheet.dates
    plans = [wanted_by(horizon, product, sheet, dates, now) for horizon in Horizon]
    assert not gone & {day for plan in plans for day in (*plan.wanted, *plan.merged)}
    kept = sheet.dates - gone
    assert all(product.enabled and product.runs_on(date.fromisoformat(day)) for day in kept)


@given(sheets())
def test_what_is_overlooked_would_be_wanted_by_its_schedule_too(drawn: tuple[Product, Sheet, ZoneInfo, int]) -> None:
    product, sheet, zone, now = drawn
    dates = reach(zone, now)
    for horizon, days in overlooked(product, sheet, dates, now).items():
        assert days
        assert set(days) <= set(wanted_by(horizon, product, sheet, dates, now).wanted)


@given(sheets())
def test_rule_20_a_wanted_pair_waits_or_is_in_flight_unless_its_product_is_held_back(
    drawn: tuple[Product, Sheet, ZoneInfo, int],
) -> None:
    product, sheet, zone, now = drawn
    dates = reach(zone, now)
    lines = waiting(product, sheet, dates, now)
    found = [each.pair.date for line in lines.values() for each in line]
    in_reach = [day for day in sheet.wanted if dates.horizon_of(date.fromisoformat(day)) is not None]
    assert set(found) <= set(in_reach)
    resting = {day for day in in_reach if sheet.failed.get(day, 0) >= 3 and now - sheet.tried[day] < 24 * HOUR}
    ready = set(in_reach) - resting
    if sheet.not_before > now:
        assert found == []
    elif sheet.failures >= 3:
        assert len(found) <= 1
        is_tried = any(now - at <= QUEUED_FOR for at in sheet.queued.values())
        assert bool(found) <= (bool(in_reach) and not is_tried)
        assert bool(found) or not ready or is_tried
    else:
        in_flight_now = {day for day in in_reach if now - sheet.queued.get(day, 0) <= QUEUED_FOR}
        assert len(in_flight_now) == len(in_flight(sheet, dates, now))
        assert ready - in_flight_now <= set(found) <= set(in_reach) - in_flight_now


AGES = st.lists(st.integers(0, 100 * HOUR), max_size=80)
BUSY = st.fixed_dictionaries({horizon: st.integers(0, 30) for horizon in Horizon})
NOW = 1_800_000_000_000


def lines_of(ages: Mapping[Horizon, list[int]]) -> dict[Horizon, list[Waiting]]:
    """Return lines of pairs that are so old."""
    return {
        horizon: [
            Waiting(NOW - age, "2027-01-15", Pair("t1", f"{horizon}{number}", "2027-01-15"))
            for number, age in enumerate(sorted(of_horizon, reverse=True))
        ]
        for horizon, of_horizon in ages.items()
    }


@given(st.fixed_dictionaries(dict.fromkeys(Horizon, AGES)), BUSY)
def test_rule_20_two_minutes_of_work_are_chosen_and_no_horizon_starves(
    ages: dict[Horizon, list[int]], busy: dict[Horizon, int]
) -> None:
    lines = lines_of(ages)
    chosen = choose(lines, busy, NOW)
    counts = {horizon: sum(each in lines[horizon] for each in chosen) for horizon in Horizon}
    room = max(0, QUEUED_AT_MOST - sum(busy.values()))
    assert len(chosen) == len(set(chosen)) == min(room, sum(map(len, lines.values())))
    for horizon, line in lines.items():
        assert [each for each in chosen if each in line] == line[: counts[horizon]], "the oldest, in order"
    left = [horizon for horizon in Horizon if counts[horizon] < len(lines[horizon])]
    for horizon in left:
        if busy[horizon] + counts[horizon] + 1 <= SHARES[horizon] * QUEUED_AT_MOST:
            others = [each for each in Horizon if each is not horizon and counts[each]]
            for each in others:
                assert busy[each] + counts[each] <= SHARES[each] * QUEUED_AT_MOST, "no other takes what is its"


@given(st.fixed_dictionaries(dict.fromkeys(Horizon, AGES)))
def test_beyond_the_shares_the_one_furthest_past_its_target_goes_first(ages: dict[Horizon, list[int]]) -> None:
    lines = lines_of(ages)
    counts = dict.fromkeys(Horizon, 0)
    for each in choose(lines, {}, NOW):
        horizon = next(horizon for horizon in Horizon if each in lines[horizon])
        open_lines = [other for other in Horizon if counts[other] < len(lines[other])]
        short = [other for other in open_lines if counts[other] + 1 <= SHARES[other] * QUEUED_AT_MOST]
        if not short:
            late = {other: (NOW - lines[other][counts[other]].since) / TARGETS[other] for other in open_lines}
            assert late[horizon] == max(late.values())
        counts[horizon] += 1


def test_lines_are_read_no_further_than_they_are_taken_from() -> None:
    read: list[Waiting] = []

    def line() -> Iterator[Waiting]:
        for each in lines_of({Horizon.TODAY: [MINUTE] * 1_000})[Horizon.TODAY]:
            read.append(each)
            yield each

    assert len(choose({Horizon.TODAY: line()}, {}, NOW)) == QUEUED_AT_MOST
    assert len(read) <= QUEUED_AT_MOST + 1
    assert choose({Horizon.TODAY: line()}, {Horizon.WEEK: QUEUED_AT_MOST + 7}, NOW) == []


def at(day: str, synced: int | None, run_id: str, horizon: Horizon = Horizon.MONTH) -> Waiting:
    """Return how a pair waits that a run wants."""
    return waits(horizon, Pair("t1", "14", day), run_id, synced)


def run_of(kind: str, began_at: int = NOW) -> str:
    """Return the id of a run."""
    return f"{began_at:013d}-{kind}-00000000"


def tried_in_days(
    days: int, weekdays: frozenset[int], fails: Callable[[str], bool]
) -> tuple[Mapping[str, list[int]], Mapping[str, list[int]]]:
    """Ask for one product each minute that something of it may be asked, and return when each date failed or answered.

    Only dates that are `fails` do fail.
    """
    zone, start = ZoneInfo("UTC"), 1_772_409_600_000
    product, sheet = Product("t1", "14", "tours", "p14", weekdays, enabled=True), Sheet("t1", "14")
    failed: dict[str, list[int]] = {}
    answered: dict[str, list[int]] = {}
    for now in range(start, start + days * 24 * HOUR, MINUTE):
        dates = reach(zone, now)
        gone = over(product, sheet, dates)
        of_pairs = {
            name: {day: value for day, value in getattr(sheet, name).items() if day not in gone}
            for name in ("synced", "wanted", "failed", "tried")
        }
        sheet = replace(sheet, **of_pairs)
        plans = [wanted_by(h, product, sheet, dates, now).wanted for h in Horizon if now % TARGETS[h] == 0]
        plans += overlooked(product, sheet, dates, now).values()
        wanted = {day: f"{now:013d}-week-00000000" for plan in plans for day in plan}
        sheet = replace(sheet, wanted={**wanted, **sheet.wanted})
        for line in waiting(product, sheet, dates, now).values():
            for day in (each.pair.date for each in line):
                if fails(day):
                    failed.setdefault(day, []).append(now)
                    often = sheet.failures + 1
                    sheet = replace(
                        sheet,
                        failures=often,
                        not_before=not_before(often, now, 0.5),
                        failed={**sheet.failed, day: sheet.failed.get(day, 0) + 1},
                        tried={**sheet.tried, day: now},
                    )
                else:
                    answered.setdefault(day, []).append(now)
                    sheet = replace(
                        sheet,
                        failures=0,
                        not_before=0,
                        synced={**sheet.synced, day: now},
                        wanted={known: run for known, run in sheet.wanted.items() if known != day},
                        failed={known: often for known, often in sheet.failed.items() if known != day},
                    )
    return failed, answered


def longest_between(moments: list[int]) -> int:
    """Return the longest time (ms) between two of them."""
    return max(later - earlier for earlier, later in pairwise(moments))


def test_fault_one_date_that_always_fails_starves_no_other_and_is_not_asked_for_all_the_time() -> None:
    sunday = "2026-03-08"
    failed, answered = tried_in_days(7, frozenset({7}), lambda day: day == sunday)
    assert failed.keys() == {sunday}
    assert len(failed[sunday]) <= 70, "each four hours, and on the day each hour"
    assert answered.keys() == {"2026-03-15", "2026-03-22", "2026-03-29", "2026-04-05"}
    assert all(longest_between(moments) <= 36 * HOUR for moments in answered.values())
    assert longest_between(failed[sunday]) <= 5 * HOUR, "and it is tried again all the same"


def test_fault_a_today_that_always_fails_starves_neither_the_week_nor_the_month() -> None:
    failed, answered = tried_in_days(1, EVERY_DAY, lambda day: day == "2026-03-02")
    assert len(failed["2026-03-02"]) <= 30
    assert longest_between(failed["2026-03-02"]) <= HOUR + MINUTE
    assert len(answered) == 30
    assert longest_between(answered["2026-03-05"]) <= 6 * HOUR


def test_fault_a_week_that_always_fails_starves_neither_today_nor_the_month() -> None:
    failed, answered = tried_in_days(2, EVERY_DAY, lambda day: "2026-03-03" <= day <= "2026-03-12")
    assert longest_between(answered["2026-03-02"]) <= HOUR
    assert all(longest_between(answered[f"2026-03-{day}"]) <= 36 * HOUR for day in range(14, 29))
    assert all(len(moments) <= 48 for moments in failed.values())


def test_fault_a_product_that_fails_for_a_day_is_tried_each_hour_at_least() -> None:
    failed, answered = tried_in_days(1, EVERY_DAY, lambda _: True)
    assert not answered
    assert longest_between(sorted(moment for moments in failed.values() for moment in moments)) <= 20 * MINUTE
    assert longest_between(failed["2026-03-02"]) <= HOUR + 20 * MINUTE


def test_what_a_manual_run_finds_wanted_is_hurried_and_a_date_that_rests_is_tried_once_more() -> None:
    product = Product("t1", "14", "tours", "p14", EVERY_DAY, enabled=True)
    dates = reach(ZoneInfo("UTC"), NOW)
    day = dates.today.isoformat()
    sheet = Sheet("t1", "14", wanted={day: run_of("today", NOW - HOUR)}, failed={day: 9}, tried={day: NOW - MINUTE})
    assert waiting(product, sheet, dates, NOW) == {}
    assert wanted_at_once(1, product, sheet, dates, NOW).hurried == [day]
    hurried = replace(sheet, hurried={day: NOW})
    assert [each.pair.date for each in waiting(product, hurried, dates, NOW)[Horizon.TODAY]] == [day]
    assert wanted_at_once(1, product, hurried, dates, NOW).hurried == []
    again = replace(hurried, tried={day: NOW + 1})
    assert waiting(product, again, dates, NOW + 2) == {}
    assert wanted_at_once(1, product, again, dates, NOW + 2).hurried == [day]
    by_hand = replace(again, hurried={}, wanted={day: run_of("manual", NOW + 2)})
    assert wanted_at_once(1, product, by_hand, dates, NOW + 2).hurried == []


def test_what_is_hurried_comes_first_whichever_run_wants_it() -> None:
    pair = Pair("t1", "14", "2027-02-01")
    plain, hurried = (
        waits(Horizon.MONTH, pair, run_of("month"), NOW - HOUR, is_hurried) for is_hurried in (False, True)
    )
    assert hurried < plain
    assert hurried == waits(Horizon.MONTH, pair, run_of("manual"), NOW - HOUR)


def test_of_pairs_never_answered_the_nearest_date_goes_first() -> None:
    far, near = (at(day, None, run_of("onboarding")) for day in ("2027-02-01", "2027-01-31"))
    other = waits(Horizon.MONTH, Pair("t1", "00", "2027-02-01"), run_of("onboarding"), None)
    assert sorted([far, other, near]) == [near, other, far]


def test_a_new_product_comes_before_most_and_not_before_what_is_older_still() -> None:
    new = at("2027-02-01", None, run_of("onboarding"))
    usual = at("2027-02-01", NOW - 40 * HOUR, run_of("month"))
    old = at("2027-02-01", NOW - 49 * HOUR, run_of("month"))
    assert sorted([new, usual, old]) == [old, new, usual]
    assert at("2027-02-01", None, run_of("onboarding", NOW - HOUR)) < new, "and those that came before it"


def test_a_manual_run_does_not_stand_behind_the_far_dates_of_an_onboarding() -> None:
    by_hand = at("2027-02-01", NOW - 3 * MINUTE, run_of("manual"))
    new = [at("2027-01-25", None, run_of("onboarding", NOW - began * HOUR)) for began in (0, 12, 23)]
    assert all(by_hand < each for each in new)
    assert at("2027-02-01", None, run_of("manual")) < by_hand, "what nothing is known of first of all"
    assert by_hand > at("2027-02-01", NOW - 73 * HOUR, run_of("month")), "nothing is kept waiting for ever by hand"


def test_the_shares_leave_something_to_whatever_is_latest() -> None:
    assert 0.9 < sum(SHARES.values()) < 1
    assert min(SHARES.values()) * QUEUED_AT_MOST >= 1


def test_fault_a_pass_over_450_products_takes_longer_than_its_15_minute_slot() -> None:
    """All 450 in turn are not done when the next pass begins; as planned, the worst weekday is kept up with."""
    grants: list[int] = []
    for _ in range(PRODUCTS):
        grants.append(next_grant(grants[-30:], NOW))
    assert grants[-1] - grants[0] > 15 * MINUTE
    worst = min(NOT_RUNNING, key=lambda weekday: NOT_RUNNING[weekday])
    before = date(2026, 2, 27)
    assert (before + timedelta(days=1)).isoweekday() == worst
    sold = staleness.products()
    planned, naive = (simulate(plan, sold, days=1, started_on=before) for plan in (AsPlanned, Naive))
    assert broken(planned) == []
    assert planned.at(Horizon.TODAY, 0.95) < TODAY_AT_MOST < naive.at(Horizon.TODAY, 0.95)
    assert planned.at(Horizon.TODAY, 1.0) < HOUR
    assert planned.used > 28 / 30
    assert len([product for product in sold if worst not in product.weekdays]) == round(0.14 * PRODUCTS)


@pytest.mark.parametrize("started_on", [date(2028, 2, 27), date(2026, 12, 30)])
def test_leap_days_and_ends_of_years_pass_like_any_other(started_on: date) -> None:
    sold = staleness.products(count=120)
    planned = simulate(AsPlanned, sold, days=3, started_on=started_on)
    assert broken(planned) == []
    assert planned.at(Horizon.TODAY, 1.0) < HOUR
    assert planned.at(Horizon.MONTH, 1.0) < 40 * HOUR
