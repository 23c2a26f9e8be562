"""The faults of the older halls API that must not come back, each a test of its own name (WIRE.md, section 4)."""

from typing import Any

import pytest

from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Api
from tests.handlers.halls import CUSTOMER, EVENING, black_out, book, booked, new_hall, set_to


@pytest.fixture(autouse=True)
def _monday(clock: HandMovedClock) -> None:
    set_to(clock)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2027-03-10T18:00:00Z", "2027-03-10T22:00:00Z"),
        ("2027-03-10T17:00:00Z", "2027-03-10T18:00:00.001Z"),
        ("2027-03-10T21:59:59.999Z", "2027-03-10T23:00:00Z"),
        ("2027-03-10T19:00:00Z", "2027-03-10T20:00:00Z"),
        ("2027-03-09T18:00:00Z", "2027-03-12T22:00:00Z"),
    ],
)
def test_an_overlap_constraint_that_was_dropped(api: Api, clock: HandMovedClock, start: str, end: str) -> None:
    """Held, confirmed or blacked out: whatever overlaps is refused, by every route, before and after confirmation."""
    venue = new_hall(api)
    booking = booked(api, venue)
    line = {"kind": "venue", "venue_id": venue, "start": start, "end": end}

    def refused(key: str) -> None:
        assert book(api, venue, key, startTs=start, endTs=end, userId="bob").code == "booking_time_conflict"
        cart = api.post("/api/v1/reservations", {"items": [line], "user_id": "bob"}, key=key)
        assert (cart.status, cart.faults()) == (409, {"items.0": "time_conflict"})
        assert black_out(api, venue, start, end).code == "booking_time_conflict"

    refused("held")
    assert api.post(f"/api/v1/bookings/{booking['id']}/confirm").status == 200
    clock.advance(24 * 3600)
    refused("confirmed")


def test_two_different_hold_lengths_in_two_places(api: Api, clock: HandMovedClock) -> None:
    """A quarter of an hour, whichever route holds it, as it is answered, and as it is kept from others."""
    venue = new_hall(api)
    answer = book(api, venue).json
    line = {"kind": "venue", "venue_id": venue, "start": "2027-03-11T18:00:00Z", "end": "2027-03-11T22:00:00Z"}
    cart = api.post("/api/v1/reservations", {"items": [line], "user_id": "bob"}, key="r").json
    until = "2027-03-01T10:15:00.000Z"
    assert answer["holdExpiresIn"] == 15
    assert answer["booking"]["holdExpiresAt"] == answer["nextSteps"][0]["deadline"] == cart["expires_at"] == until
    next_day = {"startTs": line["start"], "endTs": line["end"]}
    clock.advance(899.999)
    assert book(api, venue, "k2", userId="bob").status == book(api, venue, "k3", **next_day).status == 409
    clock.advance(0.001)
    assert book(api, venue, "k2", userId="bob").status == book(api, venue, "k3", **next_day).status == 201


def test_a_hold_length_is_the_stages_setting(api: Api, cold: Any, clock: HandMovedClock) -> None:
    cold("bookings", VENUE_HOLD_SECONDS="300")
    answer = book(api, new_hall(api)).json
    assert (answer["holdExpiresIn"], answer["booking"]["holdExpiresAt"]) == (5, "2027-03-01T10:05:00.000Z")


def test_idempotency_that_is_not_scoped_to_the_tenant(api: Api) -> None:
    other = Api(f"{api.tenant}x")
    first = book(api, new_hall(api), "same", customer=CUSTOMER).json
    second = book(other, new_hall(other), "same", customer=CUSTOMER).json
    assert first["booking"]["id"] != second["booking"]["id"]
    assert second["isNewCustomer"] is True


def test_idempotency_is_scoped_to_whom_a_booking_is_for(api: Api) -> None:
    """As on every other route: whoever acts for users may use one key for each of them; theirs are one another's."""
    venue = new_hall(api)
    mine = booked(api.as_user("alice"), venue, "same")
    days = [{"startTs": f"2027-03-{day}T18:00:00Z", "endTs": f"2027-03-{day}T22:00:00Z"} for day in (11, 12, 13)]
    assert booked(api.as_user("bob"), venue, "same", **days[0], userId="bob")["customer"]["id"] == "bob"
    assert booked(api, venue, "same", **days[1], userId="carol")["customer"]["id"] == "carol"
    assert booked(api, venue, "same", **days[2], customer=CUSTOMER)["customer"]["phone"] == CUSTOMER["phone"]
    assert booked(api.as_user("key-2").with_roles("staff"), venue, "same", userId="alice") == mine
    assert book(api, venue, "same", **days[0], userId="alice").code == "idempotency_key_reused"


@pytest.mark.parametrize(
    "change",
    [
        {"startTs": "2027-03-10T17:00:00Z"},
        {"customer": CUSTOMER | {"name": "Bob"}},
        {"guestCount": 5},
        {"specialRequests": "Ramp."},
        {"meta": {"a": 1}},
    ],
)
def test_idempotency_that_compares_no_bodies(api: Api, change: dict[str, Any]) -> None:
    venue = new_hall(api)
    first = book(api, venue, customer=CUSTOMER)
    again = book(api, venue, **{"customer": CUSTOMER, **change})
    assert (again.status, again.code) == (422, "idempotency_key_reused")
    assert book(api, venue, customer=CUSTOMER).json == first.json


def test_idempotency_compares_venues(api: Api) -> None:
    venue, other = new_hall(api), new_hall(api)
    assert book(api, venue).status == 201
    assert book(api, other).status == 422


@pytest.mark.parametrize("address", ["bookings", "venues/1/bookings"])
def test_idempotency_that_can_be_left_out(api: Api, address: str) -> None:
    venue = new_hall(api)
    answer = api.post(f"/api/v1/{address}", {"venueId": venue, **EVENING, "userId": "alice"})
    assert (answer.status, answer.code) == (400, "idempotency_key_required")


@pytest.mark.parametrize("name", ["X-Idempotency-Key", "x-idempotency-key", "Idempotency-Key"])
def test_either_name_of_the_key_is_the_same_key(api: Api, name: str) -> None:
    venue = new_hall(api)
    body = {"venueId": venue, **EVENING, "userId": "alice"}
    first = api.post("/api/v1/bookings", body, headers={name: "k"})
    assert first.status == 201
    assert book(api, venue).json == first.json


def test_the_same_request_gets_the_same_answer_whatever_became_of_it(api: Api, clock: HandMovedClock) -> None:
    """Confirmed, cancelled, repriced, too late to book by now: the answer is the first one."""
    venue = new_hall(api)
    first = book(api, venue, customer=CUSTOMER, totalAmountCents=50_000)
    again = [book(api, venue, customer=CUSTOMER, totalAmountCents=50_000)]
    target = f"/api/v1/bookings/{first.json['booking']['id']}"
    api.patch(f"/api/v1/venues/{venue}", {"basePriceCents": 1})
    api.post(f"{target}/confirm")
    again.append(book(api, venue, customer=CUSTOMER, totalAmountCents=50_000))
    api.post(f"{target}/cancel")
    set_to(clock, "2027-03-11T09:00:00+00:00")
    again.append(book(api, venue, customer=CUSTOMER, totalAmountCents=50_000))
    assert [(answer.status, answer.json) for answer in again] == [(201, first.json)] * 3


def test_a_refusal_is_not_remembered(api: Api) -> None:
    venue = new_hall(api)
    booking = booked(api, venue, "k1")
    assert book(api, venue, "k2", userId="bob").status == 409
    api.post(f"/api/v1/bookings/{booking['id']}/cancel")
    assert book(api, venue, "k2", userId="bob").status == 201


def test_a_409_whose_code_and_alternatives_never_reach_the_client(api: Api) -> None:
    venue = new_hall(api)
    booked(api, venue, "k1")
    answer = book(api, venue, "k2", userId="bob", startTs="2027-03-10T19:00:00Z", endTs="2027-03-10T21:00:00Z")
    assert (answer.status, answer.code) == (409, "booking_time_conflict")
    assert answer.faults() == {"startTs": "time_conflict"}
    starts = ["10T16:00", "10T22:00", "11T19:00", "12T19:00", "13T19:00", "14T19:00"]
    ends = ["10T18:00", "11T00:00", "11T21:00", "12T21:00", "13T21:00", "14T21:00"]
    assert answer.json["alternatives"] == [
        {"startTs": f"2027-03-{start}:00.000Z", "endTs": f"2027-03-{end}:00.000Z", "isFullDay": False}
        for start, end in zip(starts, ends, strict=True)
    ]


def test_every_alternative_can_be_booked(api: Api) -> None:
    venue = new_hall(api, settings={"turnaroundBeforeMinutes": 30, "turnaroundAfterMinutes": 60})
    booked(api, venue, "k1")
    for key in map(str, range(4)):
        answer = book(api, venue, f"no{key}", userId="bob")
        first = answer.json["alternatives"][0]
        booked(api, venue, f"yes{key}", userId="bob", startTs=first["startTs"], endTs=first["endTs"])
