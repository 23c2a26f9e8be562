"""Moments: offsets, time zones, clocks put forward and back."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.catalogue.halls import moments
from holdfast.platform.clock import to_datetime, to_text
from holdfast.platform.errors import Malformed

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut")
]
HOUR = 3_600_000


def ms(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def fault_of(text: str) -> tuple[str, str]:
    with pytest.raises(Malformed) as refused:
        moments.read_moment(text, BERLIN, "startTs")
    [fault] = refused.value.faults
    return fault.field, fault.code


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-03-01T10:00:00Z", "2027-03-01T10:00:00+00:00"),
        ("2027-03-01t10:00:00z", "2027-03-01T10:00:00+00:00"),
        ("2027-03-01 10:00:00.250Z", "2027-03-01T10:00:00.250+00:00"),
        ("2027-03-01T10:00:00.2500000Z", "2027-03-01T10:00:00.250+00:00"),
        ("2027-03-01T10:00:00.1Z", "2027-03-01T10:00:00.100+00:00"),
        ("2027-03-01T10:00:00+05:30", "2027-03-01T04:30:00+00:00"),
        ("2027-03-01T10:00:00-05:30", "2027-03-01T15:30:00+00:00"),
        ("2027-03-01T10:00:00-00:00", "2027-03-01T10:00:00+00:00"),
        ("2027-03-01T10:00:00", "2027-03-01T10:00:00+01:00"),
        ("2027-03-01T10:00", "2027-03-01T10:00:00+01:00"),
        ("2027-07-01T10:00:00.001", "2027-07-01T10:00:00.001+02:00"),
    ],
)
def test_an_offset_means_what_it_says_and_no_offset_the_venues_time(text: str, moment: str) -> None:
    assert moments.read_moment(text, BERLIN, "startTs") == ms(moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-03-01",
        "2027-3-1T10:00:00Z",
        "2027-02-29T10:00:00Z",
        "2027-03-01T24:00:00Z",
        "2027-03-01T10:60:00Z",
        "2027-03-01T23:59:60Z",
        "2027-03-01T10:00:00.0001Z",
        "2027-03-01T10:00:00.Z",
        "2027-03-01T10:00:00,5Z",
        "2027-03-01T10:00:00+25:00",
        "2027-03-01T10:00:00+01:60",
        "2027-03-01T10:00:00+0100",
        "2027-03-01T10:00:00Z ",
        "2027-03-01T10:00:00Z\n",
        "2027-03-01T１0:00:00Z",
        "1970-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "20270301T100000Z",
        "2027-W09-1T10:00:00Z",
    ],
)
def test_what_is_no_moment_names_its_field(text: str) -> None:
    assert fault_of(text) == ("startTs", "moment_malformed")


@pytest.mark.parametrize("text", ["2027-03-28T02:00:00", "2027-03-28T02:30:00.000", "2027-03-28T02:59:59.999"])
def test_a_local_time_that_does_not_exist_is_refused_naming_the_field(text: str) -> None:
    assert fault_of(text) == ("startTs", "local_time_skipped")


def test_the_hour_around_a_skipped_one_exists() -> None:
    before = moments.read_moment("2027-03-28T01:59:59.999", BERLIN, "x")
    after = moments.read_moment("2027-03-28T03:00:00", BERLIN, "x")
    assert after - before == 1


def test_an_ambiguous_local_time_is_the_first() -> None:
    assert moments.read_moment("2027-10-31T02:30:00", BERLIN, "x") == ms("2027-10-31T02:30:00+02:00")
    assert moments.read_moment("2027-10-31T02:30:00+01:00", BERLIN, "x") == ms("2027-10-31T02:30:00+02:00") + HOUR


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Mars/Olympus",
            "",
            " ",
            "europe/berlin",
            "Europe",
            "../etc/passwd",
            "/etc/localtime",
            "right/UTC",
            "Factory",
        ),
        *("Europe/Berlin\n", "x" * 5000, "Europe//Berlin", "CET+1", "localtime", "posixrules"),
    ],
)
def test_an_unknown_time_zone_names_its_field(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        moments.zone_of(name, "timeZone")
    [fault] = refused.value.faults
    assert (fault.field, fault.code) == ("timeZone", "time_zone_unknown")


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT-14"]
)
def test_time_zones_of_the_database_are_known(name: str) -> None:
    assert moments.zone_of(name, "timeZone").key == name


@pytest.mark.parametrize(
    "text", ["", "2027-02-29", "2027-3-1", "20270301", "2027-03-01T00:00:00", "0000-01-01", "１999-01-01"]
)
def test_what_is_no_day_names_its_field(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        moments.read_date(text, "date")
    assert [fault.field for fault in refused.value.faults] == ["date"]


@given(st.integers(10**11, 7 * 10**12), st.sampled_from(ZONES))
def test_every_millisecond_comes_back_from_its_text(moment: int, zone: ZoneInfo) -> None:
    """Exact in UTC, with any zone's own offset, and in local time unless that comes twice."""
    assert moments.read_moment(to_text(moment), zone, "x") == moment
    local = to_datetime(moment).astimezone(zone)
    assert moments.read_moment(local.isoformat(timespec="milliseconds"), zone, "x") == moment
    if local.fold == 0:
        assert moments.read_moment(local.replace(tzinfo=None).isoformat(), zone, "x") == moment


@given(st.integers(0, 7 * 10**12), st.integers(1, 400 * HOUR), st.sampled_from(ZONES))
def test_local_days_cover_a_span_exactly_and_in_order(start: int, length: int, zone: ZoneInfo) -> None:
    found = list(moments.local_days(start, start + length, zone))
    assert sum(part for _, part in found) == length
    assert all(part > 0 for _, part in found)
    days = [day for day, _ in found]
    assert days[0] == moments.local_day(start, zone)
    assert days[-1] == moments.local_day(start + length - 1, zone)
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]


@pytest.mark.parametrize(("day", "hours"), [("2027-03-28", 23), ("2027-03-29", 24), ("2027-10-31", 25)])
def test_a_day_on_which_clocks_are_moved_has_23_or_25_hours(day: str, hours: int) -> None:
    start = moments.starts(date.fromisoformat(day), BERLIN)
    assert moments.starts(date.fromisoformat(day) + timedelta(days=1), BERLIN) - start == hours * HOUR


def test_a_day_whose_midnight_is_skipped_starts_when_clocks_go_on() -> None:
    """Beirut puts clocks forward at midnight: the day starts at one o'clock."""
    beirut = ZoneInfo("Asia/Beirut")
    start = moments.starts(date(2025, 3, 30), beirut)
    assert to_datetime(start).astimezone(beirut).isoformat() == "2025-03-30T01:00:00+03:00"
    assert moments.local_day(start - 1, beirut) == date(2025, 3, 29)


def test_a_time_of_day_that_is_skipped_comes_as_long_after() -> None:
    assert moments.at(date(2027, 3, 28), time(2, 30), BERLIN) == ms("2027-03-28T03:30:00+02:00")
