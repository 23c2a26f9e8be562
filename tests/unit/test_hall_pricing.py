"""What bookings of halls cost, and what is paid back of it."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.catalogue.halls import refunds
from holdfast.catalogue.halls.pricing import price_of
from holdfast.catalogue.halls.settings import HOUR, MINUTE, VenuePricing, VenueRefunds, VenueSettings

BERLIN = ZoneInfo("Europe/Berlin")
EARLY = 0
"""Booked long before."""


def local(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=BERLIN)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def price(pricing: dict[str, Any], start: str, end: str, base: int = 1_000, booked_at: int = EARLY) -> int:
    return price_of(VenuePricing.model_validate(pricing), base, BERLIN, local(start), local(end), booked_at)


WEEKEND = {"kind": "weekend", "percent": 25}
SEASON = {"kind": "season", "firstDay": "12-20", "lastDay": "01-05", "percent": 50}
LATE = {"kind": "surge", "bookedWithinHours": 48, "percent": 30}
CARNIVAL = {"kind": "surge", "firstDay": "2027-02-04", "lastDay": "2027-02-10", "percent": 100}


@pytest.mark.parametrize(
    ("unit", "start", "end", "expected"),
    [
        ("booking", "2027-03-01T10:00", "2027-03-03T11:00", 1_000),
        ("hour", "2027-03-01T10:00", "2027-03-01T12:00", 2_000),
        ("hour", "2027-03-01T10:00", "2027-03-01T11:30", 1_500),
        ("hour", "2027-03-01T10:00", "2027-03-01T10:01", 17),
        ("day", "2027-03-01T10:00", "2027-03-01T11:00", 1_000),
        ("day", "2027-03-01T00:00", "2027-03-02T00:00", 1_000),
        ("day", "2027-03-01T23:00", "2027-03-02T00:01", 2_000),
    ],
)
def test_what_the_base_price_buys(unit: str, start: str, end: str, expected: int) -> None:
    assert price({"unit": unit}, start, end) == expected


@pytest.mark.parametrize(
    ("unit", "day", "following", "expected"),
    [
        ("hour", "2027-03-28", "2027-03-29", 23_000),
        ("hour", "2027-10-31", "2027-11-01", 25_000),
        ("day", "2027-03-28", "2027-03-29", 1_000),
        ("day", "2027-10-31", "2027-11-01", 1_000),
    ],
)
def test_days_on_which_clocks_are_moved_count_right(unit: str, day: str, following: str, expected: int) -> None:
    """Hours as they pass: 23 and 25 of them; a day is a day."""
    assert price({"unit": unit}, f"{day}T00:00", f"{following}T00:00") == expected


def test_half_a_unit_is_rounded_up_once_at_the_end() -> None:
    """30 minutes at 1 are half a unit; twice 30 minutes on either side of midnight are one, not two."""
    assert price({"unit": "hour"}, "2027-03-01T10:00", "2027-03-01T10:30", base=1) == 1
    assert price({"unit": "hour"}, "2027-03-01T10:00", "2027-03-01T10:29", base=1) == 0
    assert price({"unit": "hour"}, "2027-03-01T23:30", "2027-03-02T00:30", base=1) == 1


def test_rules_apply_by_the_local_day_of_the_venue() -> None:
    """Berlin's Saturday begins at 23:00 UTC: of two hours around it one has the weekend's price."""
    hourly = {"unit": "hour", "rules": [WEEKEND]}
    assert price(hourly, "2027-03-05T23:00", "2027-03-06T01:00") == 1_000 + 1_250
    assert price({"unit": "day", "rules": [WEEKEND]}, "2027-03-05T23:00", "2027-03-06T01:00") == 1_000 + 1_250
    assert price({"unit": "booking", "rules": [WEEKEND]}, "2027-03-05T23:00", "2027-03-06T01:00") == 1_000
    assert price({"unit": "booking", "rules": [WEEKEND]}, "2027-03-06T00:00", "2027-03-06T01:00") == 1_250


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2027-12-19", 1_000), ("2027-12-20", 1_500), ("2027-12-31", 1_500), ("2028-01-05", 1_500), ("2028-01-06", 1_000)],
)
def test_a_season_returns_every_year_and_may_span_its_turn(day: str, expected: int) -> None:
    assert price({"rules": [SEASON]}, f"{day}T10:00", f"{day}T12:00") == expected


@pytest.mark.parametrize(("day", "expected"), [("02-03", 1_000), ("02-04", 2_000), ("02-10", 2_000), ("02-11", 1_000)])
def test_a_surge_on_the_days_of_a_range(day: str, expected: int) -> None:
    assert price({"rules": [CARNIVAL]}, f"2027-{day}T10:00", f"2027-{day}T12:00") == expected


def test_a_surge_for_late_bookings() -> None:
    """Less than 48 hours before: exactly 48 hours are not late."""
    start = local("2027-03-01T10:00")
    late = {"rules": [LATE]}
    assert price(late, "2027-03-01T10:00", "2027-03-01T12:00", booked_at=start - 48 * HOUR) == 1_000
    assert price(late, "2027-03-01T10:00", "2027-03-01T12:00", booked_at=start - 48 * HOUR + 1) == 1_300


def test_a_surge_with_both_needs_both() -> None:
    both = {"rules": [{**CARNIVAL, "bookedWithinHours": 48}]}
    start = local("2027-02-04T10:00")
    assert price(both, "2027-02-04T10:00", "2027-02-04T12:00") == 1_000
    assert price(both, "2027-02-04T10:00", "2027-02-04T12:00", booked_at=start - HOUR) == 2_000
    assert price(both, "2027-02-03T10:00", "2027-02-03T12:00", booked_at=local("2027-02-03T09:00")) == 1_000


def test_shares_of_several_rules_add_up_and_never_go_below_nothing() -> None:
    saturday = ("2027-12-25T10:00", "2027-12-25T12:00")
    assert price({"rules": [WEEKEND, SEASON]}, *saturday) == 1_750
    assert price({"rules": [SEASON, WEEKEND]}, *saturday) == 1_750
    assert price({"rules": [{"kind": "weekend", "percent": -80}, {**SEASON, "percent": -80}]}, *saturday) == 0


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "weekend", "percent": -101},
        {"kind": "weekend", "percent": 901},
        {"kind": "weekend", "percent": 1.5},
        {"kind": "weekend", "percent": 5, "days": []},
        {"kind": "weekend", "percent": 5, "days": ["Samstag"]},
        {"kind": "season", "percent": 5, "firstDay": "13-01", "lastDay": "01-05"},
        {"kind": "season", "percent": 5, "firstDay": "01-01"},
        {"kind": "surge", "percent": 5},
        {"kind": "surge", "percent": 5, "bookedWithinHours": 0},
        {"kind": "surge", "percent": 5, "firstDay": "2027-01-01"},
        {"kind": "surge", "percent": 5, "firstDay": "2027-01-02", "lastDay": "2027-01-01"},
        {"kind": "holiday", "percent": 5},
        {"percent": 5},
        {"kind": "weekend", "percent": 5, "colour": "red"},
    ],
)
def test_a_rule_that_is_none(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VenuePricing.model_validate({"rules": [rule]})


@pytest.mark.parametrize(
    "settings",
    [
        {"turnaroundBeforeMinutes": 1_000, "turnaroundAfterMinutes": 441},
        {"turnaroundAfterMinutes": -1},
        {"minDurationMinutes": 120, "maxDurationMinutes": 60},
        {"maxDurationMinutes": 10_081},
        {"minDurationMinutes": 0},
        {"leadTimeMinutes": -1},
        {"refunds": {"fullOverHours": 10, "partFromHours": 11}},
        {"refunds": {"partPercent": 101}},
        {"pricing": {"rules": [WEEKEND] * 21}},
        {"wifi": True},
    ],
)
def test_settings_that_are_none(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VenueSettings.model_validate(settings)


def test_settings_left_out_are_those_of_the_wire() -> None:
    settings = VenueSettings()
    assert (settings.lead_time_minutes, settings.min_duration_minutes, settings.max_duration_minutes) == (
        120,
        60,
        10_080,
    )
    assert (settings.before, settings.after) == (0, 0)
    assert VenueSettings(turnaround_before_minutes=30, turnaround_after_minutes=90).after == 90 * MINUTE


SPANS = st.tuples(st.integers(0, 3 * 10**12), st.integers(1, 168 * HOUR))


@given(SPANS, st.integers(0, 10**10))
def test_hours_are_paid_pro_rata_to_within_half_a_unit(span: tuple[int, int], base: int) -> None:
    start, length = span
    found = price_of(VenuePricing.model_validate({"unit": "hour"}), base, BERLIN, start, start + length, EARLY)
    exact = Fraction(base * length, HOUR)
    assert Fraction(-1, 2) < found - exact <= Fraction(1, 2)


@given(
    SPANS,
    st.integers(0, 10**10),
    st.lists(st.integers(-100, 900), max_size=20),
    st.sampled_from(["booking", "hour", "day"]),
)
def test_no_price_is_below_nothing_or_beyond_a_json_number(
    span: tuple[int, int], base: int, percents: list[int], unit: str
) -> None:
    rules = [{"kind": "weekend", "days": ["monday", "sunday"], "percent": percent} for percent in percents]
    pricing = VenuePricing.model_validate({"unit": unit, "rules": rules})
    assert 0 <= price_of(pricing, base, BERLIN, span[0], span[0] + span[1], EARLY) < 2**53


@pytest.mark.parametrize(
    ("notice", "percent"),
    [
        (72 * HOUR + 1, 100),
        (72 * HOUR, 50),
        (72 * HOUR - 1, 50),
        (24 * HOUR, 50),
        (24 * HOUR - 1, 0),
        (0, 0),
        (-HOUR, 0),
    ],
)
def test_the_share_paid_back_at_each_bound(notice: int, percent: int) -> None:
    """Over 72 hours all, from 72 down to 24 half, under 24 nothing."""
    assert refunds.percent_at(VenueRefunds(), 10 * HOUR + notice, 10 * HOUR) == percent


def test_a_venue_may_pay_back_by_its_own_bounds() -> None:
    own = VenueRefunds(full_over_hours=10, part_from_hours=0, part_percent=30)
    assert [refunds.percent_at(own, hours * HOUR, 0) for hours in (11, 10, 1)] == [100, 30, 30]
    assert refunds.percent_at(own, 0, 0) == 0
