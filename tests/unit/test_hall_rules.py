"""What a booking must keep to: each fault names its field."""

import pytest

from holdfast.catalogue.halls.rules import Fields, faults_of, guest_faults
from holdfast.catalogue.halls.settings import HOUR, MINUTE, VenueSettings

NOW = 1_800_000_000_000
SOON = NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (SOON, SOON + HOUR, []),
        (SOON, SOON + 168 * HOUR, []),
        (SOON - 1, SOON + HOUR, [("startTs", "too_soon")]),
        (NOW, NOW + HOUR, [("startTs", "too_soon")]),
        (NOW - HOUR, NOW + HOUR, [("startTs", "too_soon")]),
        (SOON, SOON, [("endTs", "end_not_after_start")]),
        (SOON, SOON - 1, [("endTs", "end_not_after_start")]),
        (SOON, SOON + HOUR - 1, [("endTs", "too_short")]),
        (SOON, SOON + 168 * HOUR + 1, [("endTs", "too_long")]),
        (NOW - 2, NOW - 3, [("startTs", "too_soon"), ("endTs", "end_not_after_start")]),
    ],
)
def test_lead_time_and_length_at_each_bound(start: int, end: int, expected: list[tuple[str, str]]) -> None:
    assert [(fault.field, fault.code) for fault in faults_of(VenueSettings(), start, end, NOW, Fields())] == expected


def test_a_venue_may_set_its_own_bounds() -> None:
    own = VenueSettings(lead_time_minutes=0, min_duration_minutes=1, max_duration_minutes=30)
    fields = Fields("start", "end")
    assert faults_of(own, NOW + 1, NOW + 1 + MINUTE, NOW, fields) == []
    assert [fault.field for fault in faults_of(own, NOW + 1, NOW + 2 + 30 * MINUTE, NOW, fields)] == ["end"]
    assert [fault.field for fault in faults_of(own, NOW, NOW + MINUTE, NOW, fields)] == ["start"]


@pytest.mark.parametrize(("guests", "faults"), [(None, 0), (1, 0), (100, 0), (101, 1)])
def test_guests_over_capacity_name_their_field(guests: int | None, faults: int) -> None:
    found = guest_faults(100, guests, Fields())
    assert [(fault.field, fault.code) for fault in found] == [("guestCount", "over_capacity")] * faults
