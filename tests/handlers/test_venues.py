"""Venues: opened, read, listed, changed; blackouts and availability (WIRE.md, section 4)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.platform import tenancy
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import Api
from tests.handlers.halls import HALL, as_anybody, black_out, book, booked, check, new_hall, of, on_days, set_to


@pytest.fixture(autouse=True)
def _monday(clock: HandMovedClock) -> None:
    set_to(clock)


def test_create_answers_201_with_the_venue_and_its_id(api: Api) -> None:
    answer = api.post("/api/v1/venues", HALL)
    assert answer.status == 201
    assert {name: answer.json[name] for name in HALL} == HALL
    assert (answer.json["id"], answer.json["prefix"], answer.json["isActive"]) == ("1", "PAR", True)
    assert answer.json["createdAt"] == answer.json["updatedAt"] == "2027-03-01T10:00:00.000Z"
    assert answer.json["settings"]["leadTimeMinutes"] == 120


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("Parkside", "PAR"), ("Été 12 salle", "ETE"), ("Q", "QVE"), ("大厅", "VEN"), ("7 St. x", "STX")],
)
def test_a_prefix_is_derived_from_the_letters_of_the_name(api: Api, name: str, prefix: str) -> None:
    assert api.post("/api/v1/venues", HALL | {"name": name}).json["prefix"] == prefix


def test_create_is_idempotent_under_a_key_and_compares_bodies(api: Api) -> None:
    first = api.post("/api/v1/venues", HALL, key="v")
    again = api.post("/api/v1/venues", HALL, headers={"X-Idempotency-Key": "v"})
    assert again.json == first.json
    assert api.post("/api/v1/venues", HALL | {"capacity": 1}, key="v").status == 422
    assert len(api.get("/api/v1/venues", headers=of(api)).json["venues"]) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"address": None}, "address"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"capacity": "5"}, "capacity"),
        ({"basePriceCents": -1}, "basePriceCents"),
        ({"basePriceCents": 1.5}, "basePriceCents"),
        ({"basePriceCents": 10**10 + 1}, "basePriceCents"),
        ({"currency": "eur"}, "currency"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../../etc/passwd"}, "timeZone"),
        ({"timeZone": ""}, "timeZone"),
        ({"timeZone": None}, "timeZone"),
        ({"prefix": "par"}, "prefix"),
        ({"prefix": "P"}, "prefix"),
        ({"settings": {"wifi": True}}, "settings.wifi"),
        ({"settings": {"turnaroundBeforeMinutes": 1_000, "turnaroundAfterMinutes": 1_000}}, "settings"),
        ({"settings": {"pricing": {"unit": "week"}}}, "settings.pricing.unit"),
        ({"settings": {"pricing": {"rules": [{"kind": "<b>"}]}}}, "settings.pricing.rules.0"),
        ({"settings": {"pricing": {"rules": [{"kind": "weekend"}]}}}, "settings.pricing.rules.0.percent"),
        ({"settings": {"pricing": {"rules": [{"kind": "surge", "percent": 5}]}}}, "settings.pricing.rules.0"),
    ],
)
def test_a_malformed_venue_names_its_field(api: Api, aws: Aws, change: dict[str, Any], fault: str) -> None:
    before = aws.dump()
    answer = api.post("/api/v1/venues", HALL | change)
    assert (answer.status, list(answer.faults())) == (400, [fault])
    assert "<b>" not in answer.text
    assert aws.dump() == before


def test_change_changes_what_is_given_and_keeps_the_rest(api: Api, clock: HandMovedClock) -> None:
    settings = {
        "turnaroundAfterMinutes": 60,
        "pricing": {"unit": "hour", "rules": [{"kind": "weekend", "percent": 25}]},
    }
    venue = new_hall(api, settings=settings)
    clock.advance(1)
    answer = api.patch(f"/api/v1/venues/{venue}", {"capacity": 250, "settings": {"turnaroundBeforeMinutes": 30}})
    assert answer.status == 200
    assert (answer.json["capacity"], answer.json["name"]) == (250, "Parkside")
    kept = answer.json["settings"]
    assert (kept["turnaroundBeforeMinutes"], kept["turnaroundAfterMinutes"]) == (30, 60)
    assert kept["pricing"]["unit"] == "hour"
    assert answer.json["updatedAt"] > answer.json["createdAt"]
    assert api.get(f"/api/v1/venues/{venue}", headers=of(api)).json == answer.json


@pytest.mark.parametrize(
    "day", [0, 1_700_006_400, True, 1.0, "0", "1700006400", "2027-02-12T00:00:00", "2027-02-30", ""]
)
def test_a_surges_day_that_is_not_written_as_one_names_its_field(api: Api, day: Any) -> None:
    """The document says: text, of format date."""
    surge = {"kind": "surge", "firstDay": day, "lastDay": "2030-01-01", "percent": 10}
    settings = {"settings": {"pricing": {"rules": [surge]}}}
    venue = new_hall(api)
    for answer in (api.post("/api/v1/venues", HALL | settings), api.patch(f"/api/v1/venues/{venue}", settings)):
        assert (answer.status, list(answer.faults())) == (400, ["settings.pricing.rules.0.firstDay"])


def test_a_surges_days_come_back_as_they_were_written_whatever_else_is_changed(api: Api) -> None:
    surge = {"kind": "surge", "firstDay": "2027-02-12", "lastDay": "2027-02-14", "percent": 10}
    venue = new_hall(api, settings={"pricing": {"rules": [surge]}})
    changed = api.patch(f"/api/v1/venues/{venue}", {"settings": {"leadTimeMinutes": 5}}).json["settings"]
    assert changed["pricing"]["rules"] == [surge | {"bookedWithinHours": None}]


def test_a_change_of_some_settings_keeps_the_others_at_any_depth(api: Api) -> None:
    settings: dict[str, Any] = {
        "pricing": {"unit": "hour", "rules": [{"kind": "weekend", "percent": 25}]},
        "refunds": {"fullOverHours": 200, "partFromHours": 100, "partPercent": 30},
        "minDurationMinutes": 30,
    }
    address = f"/api/v1/venues/{new_hall(api, settings=settings)}"

    def changed(change: dict[str, Any]) -> Any:
        answer = api.patch(address, {"settings": change})
        assert answer.status == 200, answer.json
        return answer.json["settings"]

    assert changed({"pricing": {"rules": []}})["pricing"] == {"unit": "hour", "rules": []}
    assert changed({"refunds": {"partPercent": 20}})["refunds"] == settings["refunds"] | {"partPercent": 20}
    assert changed({"refunds": {"partFromHours": 150}})["refunds"]["partFromHours"] == 150
    assert changed({"maxDurationMinutes": 45})["minDurationMinutes"] == 30
    refused = api.patch(address, {"settings": {"maxDurationMinutes": 29}})
    assert (refused.status, refused.faults()) == (400, {"settings": "settings_disagree"})


def test_a_change_of_nothing_writes_nothing(api: Api, aws: Aws) -> None:
    venue = new_hall(api)
    before = aws.dump()
    assert api.patch(f"/api/v1/venues/{venue}", {"capacity": 200}).status == 200
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"timeZone": "Nowhere"}, "timeZone"),
        ({"capacity": 0}, "capacity"),
        ({"settings": {"turnaroundBeforeMinutes": 1_400}}, "settings"),
    ],
)
def test_a_malformed_change_names_its_field(api: Api, change: dict[str, Any], fault: str) -> None:
    venue = new_hall(api, settings={"turnaroundAfterMinutes": 60})
    answer = api.patch(f"/api/v1/venues/{venue}", change)
    assert (answer.status, list(answer.faults())) == (400, [fault])


def test_only_an_admin_opens_changes_and_closes_venues(api: Api) -> None:
    venue = new_hall(api)
    for caller in (api.as_user("alice"), api.with_roles("service staff")):
        assert caller.post("/api/v1/venues", HALL).code == "forbidden"
        assert caller.patch(f"/api/v1/venues/{venue}", {"capacity": 1}).code == "forbidden"
        assert black_out(caller, venue, "2027-03-02T00:00:00Z", "2027-03-03T00:00:00Z").code == "forbidden"
        assert caller.delete(f"/api/v1/venues/{venue}/blackouts/{'0' * 32}").code == "forbidden"


def test_venues_are_listed_by_page_in_the_order_of_their_numbers(api: Api) -> None:
    for _ in range(11):
        new_hall(api)
    first = api.get("/api/v1/venues?limit=9", headers=of(api)).json
    assert [venue["id"] for venue in first["venues"]] == [str(number) for number in range(1, 10)]
    second = api.get(f"/api/v1/venues?limit=9&next={first['next']}", headers=of(api)).json
    assert ([venue["id"] for venue in second["venues"]], second["next"]) == (["10", "11"], None)


def test_a_page_token_of_venues_that_was_tampered_with_or_is_anothers_names_its_field(api: Api) -> None:
    other = Api(f"{api.tenant}x")
    found_tenant(other.tenant)
    for _ in range(2):
        new_hall(api)
        new_hall(other)
    token = api.get("/api/v1/venues?limit=1", headers=of(api)).json["next"]
    foreign = other.get("/api/v1/venues?limit=1", headers=of(other)).json["next"]
    assert len(api.get(f"/api/v1/venues?next={token}", headers=of(api)).json["venues"]) == 1
    for bent in (token[:-1], f"{'A' if token[0] != 'A' else 'B'}{token[1:]}", "1", "zzz", "a.b", foreign):
        answer = api.get(f"/api/v1/venues?next={bent}", headers=of(api))
        assert (answer.status, list(answer.faults())) == (400, ["next"]), bent


def test_reads_are_public_and_say_whose_they_are_by_header(api: Api) -> None:
    venue = new_hall(api)
    route = "/api/v1/venues/{venue_id}"
    assert as_anybody("GET", f"/api/v1/venues/{venue}", route, of(api)).status == 200
    assert as_anybody("GET", f"/api/v1/venues/{venue}", route, {}).code == "tenant_required"
    assert as_anybody("GET", f"/api/v1/venues/{venue}", route, {"X-Tenant-Id": "Other!"}).code == "tenant_required"
    assert as_anybody("GET", f"/api/v1/venues/{venue}", route, {"X-Tenant-Id": "other"}).code == "tenant_not_found"
    found_tenant("other")
    tenancy.tenants.cache_clear()
    assert as_anybody("GET", f"/api/v1/venues/{venue}", route, {"X-Tenant-Id": "other"}).code == "venue_not_found"
    assert as_anybody("GET", "/api/v1/venues", "/api/v1/venues", of(api)).json["venues"][0]["id"] == venue
    for target in (f"/api/v1/venues/{venue}", f"/api/v1/bookings/venue/{venue}"):
        place = f"{target.rpartition('/')[0]}/{{venue_id}}/availability"
        assert as_anybody("GET", f"{target}/availability?date=2027-03-10", place, of(api)).status == 200
    body = {"venueId": venue, "startTs": "2027-03-10T10:00", "endTs": "2027-03-10T12:00"}
    address = "/api/v1/bookings/check-availability"
    assert as_anybody("POST", address, address, of(api), json.dumps(body)).json["isAvailable"] is True


def test_writes_are_not_public(api: Api) -> None:
    venue = new_hall(api)
    for method, target, route in (
        ("POST", "/api/v1/venues", "/api/v1/venues"),
        ("PATCH", f"/api/v1/venues/{venue}", "/api/v1/venues/{venue_id}"),
        ("POST", f"/api/v1/venues/{venue}/blackouts", "/api/v1/venues/{venue_id}/blackouts"),
    ):
        assert as_anybody(method, target, route, of(api), "{}").status == 401


def test_the_calendar_of_a_venue_that_nobody_wants_is_free(api: Api) -> None:
    nothing = {"isAvailable": True, "conflictingBookings": [], "blackoutPeriods": [], "suggestedAlternatives": []}
    venue = new_hall(api)
    assert check(api, venue).json == nothing
    assert on_days(api, venue, "2027-03-10", 90).json == nothing


def test_a_booking_is_in_the_way_and_nobody_is_named(api: Api) -> None:
    venue = new_hall(api, settings={"turnaroundAfterMinutes": 60})
    book(api, venue, customer={"name": "Asha Rao", "phone": "+919876543210"}, specialRequests="Secret.")
    answer = check(api, venue)
    assert answer.json["isAvailable"] is False
    taken = {"startTs": "2027-03-10T18:00:00.000Z", "endTs": "2027-03-10T23:00:00.000Z", "status": "temp_hold"}
    assert answer.json["conflictingBookings"] == [taken]
    assert [set(one) for one in answer.json["suggestedAlternatives"]] == [{"startTs", "endTs", "isFullDay"}] * 6
    assert not any(word in answer.text for word in ("Asha", "9876543210", "Secret", "b-", "r-"))
    assert on_days(api, venue, "2027-03-10").json["conflictingBookings"] == [taken]
    assert on_days(api, venue, "2027-03-09").json["isAvailable"] is True


def test_a_hold_that_lapsed_is_not_in_the_way(api: Api, clock: HandMovedClock) -> None:
    venue = new_hall(api)
    booked(api, venue)
    assert check(api, venue).json["isAvailable"] is False
    clock.advance(900)
    assert check(api, venue).json["isAvailable"] is True


def test_turnaround_is_in_the_way_on_both_sides(api: Api) -> None:
    """PROTOCOL.md 17: 23:30 with an hour's turnaround meets 00:00."""
    venue = new_hall(api, timeZone="UTC", settings={"turnaroundAfterMinutes": 60})
    booked(api, venue, startTs="2027-03-10T20:00:00Z", endTs="2027-03-10T23:30:00Z")
    midnight = {"startTs": "2027-03-11T00:00:00Z", "endTs": "2027-03-11T02:00:00Z"}
    assert check(api, venue, **midnight).json["isAvailable"] is False
    assert book(api, venue, "k2", **midnight).code == "booking_time_conflict"
    assert book(api, venue, "k3", startTs="2027-03-11T00:30:00Z", endTs="2027-03-11T02:00:00Z").status == 201


@pytest.mark.parametrize("date", ["", "2027-02-30", "10.03.2027", "2027-3-1"])
def test_a_day_that_is_none_names_its_field(api: Api, date: str) -> None:
    answer = on_days(api, new_hall(api), date)
    assert (answer.status, list(answer.faults())) == (400, ["date"])


@pytest.mark.parametrize("days", [0, 91, -1])
def test_days_are_1_to_90(api: Api, days: int) -> None:
    answer = on_days(api, new_hall(api), "2027-03-10", days)
    assert (answer.status, list(answer.faults())) == (400, ["days"])


def test_of_today_what_is_left_is_looked_at_and_yesterday_is_over(api: Api) -> None:
    venue = new_hall(api)
    assert on_days(api, venue, "2027-03-01").json["isAvailable"] is True
    assert on_days(api, venue, "2027-02-28").json["isAvailable"] is False


def test_90_days_are_looked_at_to_their_last_moment(api: Api) -> None:
    """From 10 March, the 90th day in Berlin is 7 June."""
    venue = new_hall(api)
    booked(api, venue, startTs="2027-06-07T22:00", endTs="2027-06-08T02:00")
    assert on_days(api, venue, "2027-03-10", 89).json["isAvailable"] is True
    found = on_days(api, venue, "2027-03-10", 90).json
    assert (found["isAvailable"], len(found["conflictingBookings"])) == (False, 1)
    assert found["suggestedAlternatives"] == [], "nothing as long as ninety days can be booked"
    booked(api, venue, "k2", startTs="2027-06-08T02:00", endTs="2027-06-08T04:00")
    assert len(on_days(api, venue, "2027-06-08", 1).json["conflictingBookings"]) == 2


def test_whole_days_are_suggested_for_a_whole_day(api: Api) -> None:
    venue = new_hall(api)
    booked(api, venue)
    found = on_days(api, venue, "2027-03-10").json["suggestedAlternatives"]
    assert [(one["startTs"], one["isFullDay"]) for one in found if one["isFullDay"]] == [
        (f"2027-03-{day}T23:00:00.000Z", True) for day in (10, 11, 12, 13, 14)
    ]


@pytest.mark.parametrize(
    ("bound", "is_suggested"),
    [
        ({"minDurationMinutes": 1_441}, False),
        ({"minDurationMinutes": 1_440}, True),
        ({"maxDurationMinutes": 1_440}, True),
        ({"maxDurationMinutes": 1_439}, False),
    ],
)
def test_nothing_is_suggested_that_is_too_short_or_too_long_to_be_booked(
    api: Api, bound: dict[str, int], is_suggested: bool
) -> None:
    venue = new_hall(api)
    booked(api, venue)
    api.patch(f"/api/v1/venues/{venue}", {"settings": bound})
    found = on_days(api, venue, "2027-03-10").json
    assert found["isAvailable"] is False
    assert bool(found["suggestedAlternatives"]) is is_suggested


@pytest.mark.parametrize("hours", [1, 30, 168])
def test_every_suggestion_is_free_however_long_and_far_it_is(api: Api, hours: int) -> None:
    """Three weeks with a booking on every other day: what is suggested is available when it is asked for."""
    venue = new_hall(api, settings={"turnaroundBeforeMinutes": 600, "turnaroundAfterMinutes": 600})
    for day in (10, 12, 15, 18, 22, 24, 26):
        times = {"startTs": f"2027-03-{day}T06:00:00Z", "endTs": f"2027-03-{day}T16:00:00Z"}
        booked(api, venue, f"k{day}", **times)
    black_out(api, venue, "2027-04-05T00:00:00Z", "2027-04-06T00:00:00Z")
    wished = datetime(2027, 3, 10, 7, tzinfo=UTC)
    wish = {"startTs": wished.isoformat(), "endTs": (wished + timedelta(hours=hours)).isoformat()}
    found = check(api, venue, **wish).json["suggestedAlternatives"]
    assert found
    for one in found:
        assert check(api, venue, startTs=one["startTs"], endTs=one["endTs"]).json["isAvailable"] is True


def test_the_two_addresses_of_availability_say_the_same(api: Api) -> None:
    venue = new_hall(api)
    booked(api, venue)
    there = api.get(f"/api/v1/bookings/venue/{venue}/availability?date=2027-03-10", headers=of(api))
    assert there.json == on_days(api, venue, "2027-03-10").json


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"endTs": "2027-03-10T18:00:00Z"}, ["endTs"]),
        ({"endTs": "2027-03-10T17:00:00Z"}, ["endTs"]),
        ({"endTs": "2027-03-18T18:00:00Z"}, ["endTs"]),
        ({"startTs": "2027-03-01T11:00:00Z", "endTs": "2027-03-01T13:00:00Z"}, ["startTs"]),
        ({"startTs": "2026-03-01T11:00:00Z", "endTs": "2026-03-01T13:00:00Z"}, ["startTs"]),
        ({"startTs": "soon"}, ["startTs"]),
        ({"startTs": "2027-03-28T02:30:00", "endTs": "2027-03-28T12:30:00"}, ["startTs"]),
        ({"guestCount": 201}, ["guestCount"]),
        ({"guestCount": 0}, ["guestCount"]),
        ({"venueId": "a b"}, ["venueId"]),
    ],
)
def test_a_malformed_question_names_its_field(api: Api, change: dict[str, Any], faults: list[str]) -> None:
    answer = check(api, new_hall(api), **change)
    assert (answer.status, list(answer.faults())) == (400, faults)


@pytest.mark.parametrize("target", ["9", "9/availability?date=2027-03-10"])
def test_an_unknown_venue_is_404(api: Api, target: str) -> None:
    assert api.get(f"/api/v1/venues/{target}", headers=of(api)).code == "venue_not_found"


def test_an_unknown_venue_is_404_for_whoever_writes(api: Api) -> None:
    assert api.patch("/api/v1/venues/9", {"capacity": 1}).code == "venue_not_found"
    assert black_out(api, "9", "2027-03-02T00:00:00Z", "2027-03-03T00:00:00Z").code == "venue_not_found"
    assert check(api, "9").code == "venue_not_found"
    assert book(api, "9").code == "venue_not_found"


def test_a_venue_that_is_not_active_cannot_be_booked(api: Api) -> None:
    venue = new_hall(api)
    api.patch(f"/api/v1/venues/{venue}", {"isActive": False})
    assert check(api, venue).json["isAvailable"] is False
    assert book(api, venue).code == "venue_not_found"
    line = {"kind": "venue", "venue_id": venue, "start": "2027-03-10T18:00:00Z", "end": "2027-03-10T22:00:00Z"}
    answer = api.post("/api/v1/reservations", {"items": [line], "user_id": "alice"}, key="r")
    assert answer.faults() == {"items.0": "venue_not_found"}


def test_a_blackout_closes_the_venue_and_lifting_opens_it(api: Api) -> None:
    venue = new_hall(api)
    answer = black_out(api, venue, "2027-03-09T00:00:00", "2027-03-12T00:00:00", isMaintenance=True)
    assert answer.status == 201
    shown = {
        "id": answer.json["id"],
        "reason": "New floor",
        "startTs": "2027-03-08T23:00:00.000Z",
        "endTs": "2027-03-11T23:00:00.000Z",
        "isMaintenance": True,
    }
    assert answer.json == shown
    found = check(api, venue).json
    assert (found["isAvailable"], found["blackoutPeriods"], found["conflictingBookings"]) == (False, [shown], [])
    refused = book(api, venue)
    assert (refused.status, refused.code) == (409, "booking_time_conflict")
    lifted = api.delete(f"/api/v1/venues/{venue}/blackouts/{shown['id']}")
    assert (lifted.status, lifted.json) == (200, {"success": True})
    assert check(api, venue).json["isAvailable"] is True
    assert book(api, venue, "k2").status == 201
    assert api.delete(f"/api/v1/venues/{venue}/blackouts/{shown['id']}").code == "blackout_not_found"


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_blackout_over_a_live_booking_is_409_and_leaves_nothing(api: Api, aws: Aws, is_confirmed: bool) -> None:
    """PROTOCOL.md 17: held or confirmed, its turnaround included."""
    venue = new_hall(api, settings={"turnaroundAfterMinutes": 60})
    booking = booked(api, venue)
    if is_confirmed:
        assert api.post(f"/api/v1/bookings/{booking['id']}/confirm").status == 200
    before = aws.dump()
    assert black_out(api, venue, "2027-03-10T22:30:00Z", "2027-12-10T22:30:00Z").code == "booking_time_conflict"
    assert aws.dump() == before
    assert black_out(api, venue, "2027-03-10T23:00:00Z", "2027-12-10T22:30:00Z").status == 201


def test_blackouts_may_overlap_one_another_and_lifting_one_keeps_the_other(api: Api) -> None:
    venue = new_hall(api)
    first = black_out(api, venue, "2027-03-09T00:00:00Z", "2027-03-12T00:00:00Z").json["id"]
    second = black_out(api, venue, "2027-03-10T00:00:00Z", "2027-03-14T00:00:00Z").json["id"]
    assert [one["id"] for one in check(api, venue).json["blackoutPeriods"]] == [first, second]
    api.delete(f"/api/v1/venues/{venue}/blackouts/{first}")
    found = check(api, venue).json
    assert (found["isAvailable"], [one["id"] for one in found["blackoutPeriods"]]) == (False, [second])


def test_a_blackout_is_idempotent_under_a_key_and_compares_bodies(api: Api) -> None:
    venue = new_hall(api)
    first = black_out(api, venue, "2027-03-09T00:00:00Z", "2027-03-12T00:00:00Z", key="b")
    assert black_out(api, venue, "2027-03-09T00:00:00Z", "2027-03-12T00:00:00Z", key="b").json == first.json
    assert black_out(api, venue, "2027-03-09T00:00:00Z", "2027-03-13T00:00:00Z", key="b").status == 422
    api.delete(f"/api/v1/venues/{venue}/blackouts/{first.json['id']}")
    assert black_out(api, venue, "2027-03-09T00:00:00Z", "2027-03-12T00:00:00Z", key="b").json == first.json
    assert check(api, venue).json["isAvailable"] is True, "an answer that is repeated closes nothing anew"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"endTs": "2027-03-09T00:00:00Z"}, "endTs"),
        ({"endTs": "2027-03-08T00:00:00Z"}, "endTs"),
        ({"endTs": "2028-03-10T00:00:01Z"}, "endTs"),
        ({"startTs": "2026-03-09T00:00:00Z", "endTs": "2027-03-01T10:00:00Z"}, "endTs"),
        ({"startTs": "2027-03-28T02:30:00"}, "startTs"),
        ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"),
        ({"isMaintenance": "yes"}, "isMaintenance"),
    ],
)
def test_a_malformed_blackout_names_its_field(api: Api, change: dict[str, Any], fault: str) -> None:
    body = {"startTs": "2027-03-09T00:00:00Z", "endTs": "2027-03-29T00:00:00Z", "reason": "x"} | change
    answer = api.post(f"/api/v1/venues/{new_hall(api)}/blackouts", body)
    assert (answer.status, list(answer.faults())) == (400, [fault])


def test_a_venue_is_in_a_currency_that_its_tenant_uses(api: Api, aws: Aws) -> None:
    nameless = {name: value for name, value in HALL.items() if name != "currency"}
    europe = replace(api, settings=json.dumps({"currencies": ["GBP", "EUR"]}))
    assert api.post("/api/v1/venues", nameless).json["currency"] == "USD"
    assert europe.post("/api/v1/venues", nameless).json["currency"] == "GBP"
    venue = new_hall(europe)
    assert europe.patch(f"/api/v1/venues/{venue}", {"currency": "GBP"}).json["currency"] == "GBP"
    before = aws.dump()
    for answer in (
        europe.post("/api/v1/venues", HALL | {"currency": "USD"}),
        europe.patch(f"/api/v1/venues/{venue}", {"currency": "USD"}),
    ):
        assert (answer.status, answer.faults()) == (400, {"currency": "currency_not_used"})
    assert aws.dump() == before
