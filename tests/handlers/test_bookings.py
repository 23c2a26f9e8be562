"""Bookings of halls: booked, read, confirmed, cancelled (WIRE.md, section 4)."""

from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import CUSTOMER, EVENING, as_anybody, book, booked, check, new_hall, of, set_to

HOUR = 3600


@pytest.fixture(autouse=True)
def _monday(clock: HandMovedClock) -> None:
    set_to(clock)


def nested(levels: int) -> list[Any]:
    """Return lists within one another."""
    return [nested(levels - 1)] if levels > 1 else []


def act(api: Api, booking: dict[str, Any], step: str) -> Answer:
    return api.post(f"/api/v1/bookings/{booking['id']}/{step}")


def read(api: Api, booking: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"/api/v1/bookings/{booking['id']}")
    assert answer.status == 200, answer.text
    return dict(answer.json["booking"])


def test_book_answers_201_with_the_booking_and_what_comes_next(api: Api) -> None:
    venue = new_hall(api)
    more: dict[str, Any] = {
        "eventType": "wedding",
        "guestCount": 120,
        "specialRequests": "Ramp.",
        "totalAmountCents": 50_000,
    }
    answer = book(api, venue, customer=CUSTOMER, meta={"source": "web"}, **more)
    assert answer.status == 201
    booking = answer.json["booking"]
    assert answer.json == {
        "success": True,
        "booking": booking,
        "isNewCustomer": True,
        "paymentRequired": True,
        "holdExpiresIn": 15,
        "nextSteps": [
            {
                "action": "payment",
                "description": f"Pay by POST /api/v1/reservations/{booking['id']}/checkout to confirm the booking.",
                "deadline": "2027-03-01T10:15:00.000Z",
            }
        ],
    }
    assert booking == {
        "id": booking["id"],
        "bookingNumber": "PAR-2027-0001",
        "venueId": venue,
        "venueName": "Parkside",
        "customer": {"id": booking["customer"]["id"], **CUSTOMER},
        "startTs": "2027-03-10T18:00:00.000Z",
        "endTs": "2027-03-10T22:00:00.000Z",
        "duration": 4.0,
        "status": "temp_hold",
        "paymentStatus": "pending",
        **more,
        "currency": "EUR",
        "createdAt": "2027-03-01T10:00:00.000Z",
        "updatedAt": "2027-03-01T10:00:00.000Z",
        "isActive": True,
        "canBeCancelled": True,
        "holdExpiresAt": "2027-03-01T10:15:00.000Z",
    }
    assert read(api, booking) == booking


def test_a_free_hall_asks_for_no_payment(api: Api) -> None:
    answer = book(api, new_hall(api, basePriceCents=0))
    assert (answer.json["paymentRequired"], answer.json["nextSteps"]) == (False, [])


def test_the_venues_own_address_books_as_well(api: Api) -> None:
    venue = new_hall(api)
    answer = api.post(f"/api/v1/venues/{venue}/bookings", {**EVENING, "userId": "alice"}, key="k")
    assert (answer.status, answer.json["booking"]["venueId"]) == (201, venue)
    assert book(api, venue).json == answer.json, "the same booking, by either address"


def test_a_venue_that_is_not_the_addresss_is_400_and_named(api: Api, aws: Aws) -> None:
    venue, other = new_hall(api), new_hall(api)
    address = f"/api/v1/venues/{venue}/bookings"
    before = aws.dump()
    answer = api.post(address, {**EVENING, "userId": "alice", "venueId": other}, key="k")
    assert (answer.status, answer.faults()) == (400, {"venueId": "mismatch"})
    assert aws.dump() == before
    assert api.post(address, {**EVENING, "userId": "alice", "venueId": venue}, key="k").status == 201


def test_unknown_fields_are_ignored(api: Api) -> None:
    assert book(api, new_hall(api), colour="red").status == 201


def test_local_times_are_those_of_the_venue(api: Api) -> None:
    booking = booked(api, new_hall(api), startTs="2027-03-10T18:00", endTs="2027-03-10T22:00:00.5")
    assert (booking["startTs"], booking["endTs"]) == ("2027-03-10T17:00:00.000Z", "2027-03-10T21:00:00.500Z")


def test_a_customer_becomes_a_user_once_and_is_known_by_phone_ever_after(api: Api) -> None:
    venue = new_hall(api)
    first = book(api, venue, "k1", customer=CUSTOMER).json
    later = {"startTs": "2027-03-11T18:00:00Z", "endTs": "2027-03-11T22:00:00Z"}
    again = book(api, venue, "k2", user={"name": "Asha R.", "phone": "09876543210"}, **later).json
    assert (first["isNewCustomer"], again["isNewCustomer"]) == (True, False)
    assert first["booking"]["customer"]["id"] == again["booking"]["customer"]["id"]
    assert again["booking"]["customer"]["name"] == "Asha R."
    assert read(api, first["booking"])["customer"]["name"] == "Asha Rao", "as it was when it was booked"
    by_id = book(
        api,
        venue,
        "k3",
        userId=first["booking"]["customer"]["id"],
        startTs="2027-03-12T18:00:00Z",
        endTs="2027-03-12T22:00:00Z",
    ).json
    assert by_id["booking"]["customer"]["phone"] == "+919876543210"


@pytest.mark.parametrize("role", ["staff", "admin"])
@pytest.mark.parametrize("roles", ["staff", "service"])
def test_a_booking_for_one_who_is_no_customer_leaves_them_as_they_are(
    api: Api, aws: Aws, roles: str, role: str
) -> None:
    venue = new_hall(api)
    boss = api.post("/api/v1/users", CUSTOMER | {"role": role}).json["user"]
    before = aws.items("holdfast-identity")
    named = {"name": "Evil", "phone": "9876543210", "email": "evil@example.com"}
    answer = book(api.with_roles(roles), venue, customer=named)
    assert (answer.status, answer.json["isNewCustomer"]) == (201, False)
    assert answer.json["booking"]["customer"] == {"id": boss["id"], **CUSTOMER}
    assert aws.items("holdfast-identity") == before


def test_an_admins_booking_brings_anybody_up_to_date(api: Api) -> None:
    boss = api.post("/api/v1/users", CUSTOMER | {"role": "admin"}).json["user"]
    booking = booked(api.with_roles("admin"), new_hall(api), customer=CUSTOMER | {"name": "Boss"})
    assert booking["customer"] == {"id": boss["id"], **CUSTOMER, "name": "Boss"}


def test_a_user_that_nobody_knows_by_phone_can_book(api: Api) -> None:
    customer = booked(api, new_hall(api), userId="alice")["customer"]
    assert customer == {"id": "alice", "name": None, "phone": None, "email": None}


def test_a_customer_books_for_nobody_else_and_changes_nobody(api: Api, aws: Aws) -> None:
    venue = new_hall(api)
    before = aws.items("holdfast-identity")
    alice = api.as_user("alice")
    assert book(alice, venue, userId="bob").code == "forbidden"
    booking = booked(alice, venue, customer=CUSTOMER)
    assert booking["customer"] == {"id": "alice", **CUSTOMER}
    assert aws.items("holdfast-identity") == before, "no user is made, or changed, in another's name"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"endTs": "2027-03-10T18:00:00Z"}, {"endTs": "end_not_after_start"}),
        ({"endTs": "2027-03-10T17:00:00Z"}, {"endTs": "end_not_after_start"}),
        ({"endTs": "2027-03-10T18:59:59.999Z"}, {"endTs": "too_short"}),
        ({"endTs": "2027-03-17T18:00:00.001Z"}, {"endTs": "too_long"}),
        ({"startTs": "2027-03-01T09:00:00Z", "endTs": "2027-03-01T12:00:00Z"}, {"startTs": "too_soon"}),
        ({"startTs": "2027-03-01T11:59:59.999Z", "endTs": "2027-03-01T14:00:00Z"}, {"startTs": "too_soon"}),
        ({"startTs": "2027-03-28T02:30:00", "endTs": "2027-03-28T05:00:00"}, {"startTs": "local_time_skipped"}),
        ({"startTs": "2027-03-10T18:00:00.0001Z"}, {"startTs": "moment_malformed"}),
        ({"startTs": "2027-02-30T18:00:00Z"}, {"startTs": "moment_malformed"}),
        ({"startTs": "tomorrow"}, {"startTs": "string_pattern_mismatch"}),
        ({"startTs": 1804701600000}, {"startTs": "string_type"}),
        ({"guestCount": 201}, {"guestCount": "over_capacity"}),
        ({"guestCount": 0}, {"guestCount": "greater_than_equal"}),
        ({"guestCount": "12"}, {"guestCount": "int_type"}),
        ({"customer": {"name": "Asha", "phone": "12345678"}}, {"customer.phone": "phone_malformed"}),
        ({"customer": {"name": "Asha", "phone": "none at all"}}, {"customer.phone": "string_pattern_mismatch"}),
        ({"customer": {"name": "", "phone": "+919876543210"}}, {"customer.name": "string_too_short"}),
        ({"customer": CUSTOMER | {"email": "x"}}, {"customer.email": "string_pattern_mismatch"}),
        ({"customer": CUSTOMER, "user": CUSTOMER}, {"user": "duplicate"}),
        ({"userId": None}, {"userId": "missing"}),
        ({"userId": "a b"}, {"userId": "string_pattern_mismatch"}),
        ({"totalAmountCents": -1}, {"totalAmountCents": "greater_than_equal"}),
        ({"totalAmountCents": 1.5}, {"totalAmountCents": "int_type"}),
        ({"eventType": "x" * 101}, {"eventType": "string_too_long"}),
        ({"specialRequests": "x" * 2001}, {"specialRequests": "string_too_long"}),
        ({"meta": {"x": "y" * 4000}}, {"meta": "too_long"}),
        ({"meta": []}, {"meta": "dict_type"}),
        ({"meta": {"x": nested(20)}}, {"meta": "too_deep"}),
        ({"meta": {"x": nested(300)}}, {"meta": "too_deep"}),
        ({"venueId": None}, {"venueId": "string_type"}),
    ],
)
def test_a_malformed_booking_names_its_field_and_changes_nothing(
    api: Api, aws: Aws, change: dict[str, Any], fault: dict[str, str]
) -> None:
    venue = new_hall(api)
    before = aws.dump()
    answer = book(api, venue, **change)
    assert (answer.status, answer.faults()) == (400, fault)
    assert aws.dump() == before


@pytest.mark.parametrize(
    "wrong", [True, 17, -1, 1.5, "", "<script>", [], [1], {}, {"$": 1}, 10**30, "\u0000", "x" * 5000]
)
def test_no_field_takes_a_value_of_a_wrong_type_nor_repeats_it(api: Api, wrong: Any) -> None:
    venue = new_hall(api)
    body = {"venueId": venue, "userId": "alice", **EVENING, "customer": CUSTOMER, "user": None, "guestCount": 5}
    body |= {"eventType": "x", "specialRequests": "y", "totalAmountCents": 50_000, "meta": {}}
    for number, name in enumerate(body):
        answer = book(api, venue, f"k{number}", **body | {name: wrong})
        assert answer.status in (201, 400, 404, 409), name
        assert answer.status == 201 or "u003c" not in answer.text, name
        if answer.status == 201:
            assert act(api, answer.json["booking"], "cancel").status == 200


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_nobody_books_or_lists_without_a_credential(api: Api, method: str) -> None:
    answer = as_anybody(method, "/api/v1/bookings", "/api/v1/bookings", of(api), "{}" if method == "POST" else None)
    assert answer.status == 401


def test_every_bound_of_time_can_be_booked(api: Api) -> None:
    venue = new_hall(api)
    booked(api, venue, "k1", startTs="2027-03-01T12:00:00Z", endTs="2027-03-01T13:00:00Z")
    booked(api, venue, "k2", startTs="2027-03-01T13:00:00Z", endTs="2027-03-08T13:00:00Z")
    booked(api, venue, "k3", startTs="2027-03-08T13:00:00Z", endTs="2027-03-08T14:00:00.001Z", guestCount=200)


def test_a_total_that_is_not_the_price_is_refused_with_nothing_held(api: Api, aws: Aws) -> None:
    venue = new_hall(api)
    answer = book(api, venue, totalAmountCents=49_999)
    assert (answer.status, answer.code, answer.faults()) == (
        409,
        "amount_mismatch",
        {"totalAmountCents": "amount_mismatch"},
    )
    assert check(api, venue).json["isAvailable"] is True
    assert not any("#BOOKINGS" in item["pk"]["S"] for item in aws.items())
    assert book(api, venue, totalAmountCents=50_000).status == 201, "the same key may be tried again"


def test_the_price_is_that_of_the_venues_rules(api: Api) -> None:
    rules = [
        {"kind": "weekend", "percent": 25},
        {"kind": "season", "firstDay": "03-01", "lastDay": "03-31", "percent": 10},
        {"kind": "surge", "bookedWithinHours": 240, "percent": 5},
    ]
    venue = new_hall(api, basePriceCents=1_000, settings={"pricing": {"unit": "hour", "rules": rules}})
    over_midnight = {"startTs": "2027-03-05T22:00:00Z", "endTs": "2027-03-06T00:00:00Z"}
    assert booked(api, venue, "k1", **over_midnight)["totalAmountCents"] == 1_150 + 1_400
    later = {"startTs": "2027-03-22T18:00:00Z", "endTs": "2027-03-22T19:30:00Z"}
    assert booked(api, venue, "k2", **later)["totalAmountCents"] == 1_650
    line = {"kind": "venue", "venue_id": venue, "start": "2027-03-23T18:00:00Z", "end": "2027-03-23T19:30:00Z"}
    cart = api.post("/api/v1/reservations", {"items": [line], "user_id": "alice"}, key="r").json
    assert cart["totals"] == [{"currency": "EUR", "amount_minor": 1_650}]


def test_a_new_price_is_in_force_at_once_and_what_is_booked_keeps_its_own(api: Api) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    api.patch(f"/api/v1/venues/{venue}", {"basePriceCents": 60_000})
    later = {"startTs": "2027-03-11T18:00:00Z", "endTs": "2027-03-11T22:00:00Z"}
    assert booked(api, venue, "k2", **later)["totalAmountCents"] == 60_000
    assert read(api, booking)["totalAmountCents"] == 50_000


def test_numbers_count_the_bookings_of_a_tenant_and_a_year(api: Api, clock: HandMovedClock) -> None:
    parkside, hall = new_hall(api), new_hall(api, name="Hall of Mirrors")
    first = booked(api, parkside, "k1")["bookingNumber"]
    second = booked(api, hall, "k2")["bookingNumber"]
    assert (first, second) == ("PAR-2027-0001", "HAL-2027-0002")
    other = Api(f"{api.tenant}x")
    assert booked(other, new_hall(other))["bookingNumber"] == "PAR-2027-0001"
    set_to(clock, "2027-12-31T23:30:00+00:00")
    new_year = {"startTs": "2028-02-01T18:00:00Z", "endTs": "2028-02-01T22:00:00Z"}
    assert booked(api, parkside, "k3", **new_year)["bookingNumber"] == "PAR-2028-0001", "it is 2028 in Berlin"


def test_back_to_back_bookings_do_not_conflict(api: Api) -> None:
    venue = new_hall(api)
    booked(api, venue, "k1")
    booked(api, venue, "k2", startTs="2027-03-10T22:00:00Z", endTs="2027-03-10T23:00:00Z")
    booked(api, venue, "k3", startTs="2027-03-10T17:00:00Z", endTs="2027-03-10T18:00:00Z")
    one_more = {"startTs": "2027-03-10T22:59:59.999Z", "endTs": "2027-03-11T00:00:00Z"}
    assert book(api, venue, "k4", **one_more).status == 409


def test_a_booking_holds_its_time_until_it_lapses(api: Api, clock: HandMovedClock) -> None:
    venue = new_hall(api)
    booking = booked(api, venue, "k1")
    clock.advance(899.999)
    assert book(api, venue, "k2", userId="bob").status == 409
    clock.advance(0.001)
    lapsed = read(api, booking)
    assert (lapsed["status"], lapsed["isActive"], lapsed["canBeCancelled"]) == ("expired", False, False)
    assert lapsed["holdExpiresAt"] is None
    assert book(api, venue, "k3", userId="bob").status == 201
    assert act(api, booking, "confirm").code == "booking_state"
    assert act(api, booking, "cancel").code == "booking_state"


def test_staff_confirm_and_confirming_twice_changes_nothing(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    clock.advance(60)
    answer = act(api, booking, "confirm")
    assert answer.status == 200
    confirmed = answer.json["booking"]
    assert (confirmed["status"], confirmed["holdExpiresAt"], confirmed["isActive"]) == ("confirmed", None, True)
    assert confirmed["updatedAt"] == "2027-03-01T10:01:00.000Z"
    before = aws.dump()
    assert act(api, booking, "confirm").json == answer.json
    assert aws.dump() == before
    clock.advance(20 * 60)
    assert book(api, venue, "k2").status == 409


def test_a_confirmed_booking_is_completed_at_its_end(api: Api, clock: HandMovedClock) -> None:
    booking = booked(api, new_hall(api))
    act(api, booking, "confirm")
    set_to(clock, "2027-03-10T21:59:59.999+00:00")
    assert read(api, booking)["status"] == "confirmed"
    clock.advance(0.001)
    over = read(api, booking)
    assert (over["status"], over["isActive"], over["canBeCancelled"]) == ("completed", False, False)
    assert act(api, booking, "cancel").code == "booking_state"
    assert act(api, booking, "confirm").json["booking"]["status"] == "completed"


@pytest.mark.parametrize("roles", ["staff", "admin"])
def test_staff_and_admins_confirm(api: Api, roles: str) -> None:
    booking = booked(api, new_hall(api))
    assert act(api.with_roles(roles), booking, "confirm").json["booking"]["status"] == "confirmed"


def test_steps_with_a_key_are_answered_as_at_first_whatever_became_of_the_booking(
    api: Api, clock: HandMovedClock
) -> None:
    """WIRE 0: a key is honoured on every POST; it is each step's own."""
    venue = new_hall(api)
    booking = booked(api, venue)
    target = f"/api/v1/bookings/{booking['id']}"
    confirmed = api.post(f"{target}/confirm", key="c")
    assert confirmed.json["booking"]["status"] == "confirmed"
    clock.advance(60)
    assert api.post(f"{target}/confirm", key="d").json == confirmed.json, "nothing to do, and remembered"
    cancelled = api.post(f"{target}/cancel", key="c")
    assert (cancelled.json["booking"]["status"], cancelled.json["refundAmountCents"]) == ("cancelled", 50_000)
    clock.advance(60)
    for key in "cd":
        again = api.post(f"{target}/confirm", key=key)
        assert (again.status, again.json) == (200, confirmed.json)
    assert api.post(f"{target}/cancel", key="c").json == cancelled.json
    assert api.post(f"{target}/confirm", key="e").code == "booking_state"
    other = booked(api, venue, "k2")
    assert api.post(f"/api/v1/bookings/{other['id']}/confirm", key="c").json["booking"]["id"] == other["id"]


def test_a_key_shows_nobody_anothers_booking(api: Api) -> None:
    booking = booked(api, new_hall(api))
    target = f"/api/v1/bookings/{booking['id']}/cancel"
    assert api.as_user("alice").post(target, key="c").status == 200
    for other in (api.as_user("bob"), Api(f"{api.tenant}x")):
        assert other.post(target, key="c").code == "booking_not_found"


def test_customers_and_services_do_not_confirm(api: Api) -> None:
    booking = booked(api, new_hall(api))
    for limited in (api.as_user("alice"), api.with_roles("service")):
        assert act(limited, booking, "confirm").code == "forbidden"
    assert read(api, booking)["status"] == "temp_hold"


def test_a_cancelled_hold_is_free_again_and_nothing_is_to_be_paid_back(api: Api, clock: HandMovedClock) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    clock.advance(60)
    answer = act(api.as_user("alice"), booking, "cancel")
    assert answer.status == 200
    assert (answer.json["booking"]["status"], answer.json["refundPercent"]) == ("cancelled", None)
    assert answer.json["booking"]["updatedAt"] == "2027-03-01T10:01:00.000Z"
    assert check(api, venue).json["isAvailable"] is True
    assert act(api, booking, "cancel").json == answer.json
    assert act(api, booking, "confirm").code == "booking_state"


@pytest.mark.parametrize(
    ("hours", "percent", "cents"),
    [(72.001, 100, 50_001), (72, 50, 25_001), (24, 50, 25_001), (23.999, 0, 0), (-1, 0, 0)],
)
def test_what_is_paid_back_depends_on_the_notice(
    api: Api, clock: HandMovedClock, hours: float, percent: int, cents: int
) -> None:
    """Over 72 hours all, 24 to 72 half, under 24 nothing; and the time is free again."""
    venue = new_hall(api, basePriceCents=50_001)
    booking = booked(api, venue)
    act(api, booking, "confirm")
    set_to(clock, "2027-03-10T18:00:00+00:00")
    clock.advance(-hours * HOUR)
    answer = act(api.as_user("alice"), booking, "cancel")
    assert answer.status == 200
    assert (answer.json["refundPercent"], answer.json["refundAmountCents"]) == (percent, cents)
    assert answer.json["booking"]["status"] == "cancelled"
    clock.advance(48 * HOUR)
    assert act(api, booking, "cancel").json == answer.json, "settled once, at the first moment"
    assert api.get(f"/api/v1/bookings/{booking['id']}").json == answer.json


def test_a_venue_pays_back_by_its_own_bounds(api: Api) -> None:
    own = {"refunds": {"fullOverHours": 1_000, "partFromHours": 100, "partPercent": 30}}
    booking = booked(api, new_hall(api, settings=own))
    act(api, booking, "confirm")
    assert act(api, booking, "cancel").json["refundAmountCents"] == 15_000


def test_a_cancelled_booking_gives_its_time_to_others(api: Api) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    act(api, booking, "confirm")
    assert book(api, venue, "k2", userId="bob").status == 409
    act(api, booking, "cancel")
    assert book(api, venue, "k2", userId="bob").status == 201


def test_customers_see_and_cancel_their_own_and_staff_everybodys(api: Api) -> None:
    booking = booked(api, new_hall(api))
    target = f"/api/v1/bookings/{booking['id']}"
    for stranger in (api.as_user("bob"), Api(f"{api.tenant}x")):
        assert stranger.get(target).code == "booking_not_found"
        assert stranger.post(f"{target}/cancel").code == "booking_not_found"
    assert api.as_user("alice").get(target).status == 200
    assert api.with_roles("staff").get(target).status == 200
    assert api.with_roles("staff").post(f"{target}/cancel").status == 200


@pytest.mark.parametrize("named", ["b-x", "b-abcdefghijklmnop-0123456789abcdef0123456789abcdef"])
def test_an_unknown_booking_is_404(api: Api, named: str) -> None:
    assert api.get(f"/api/v1/bookings/{named}").code == "booking_not_found"
    assert api.post(f"/api/v1/bookings/{named}/confirm").code == "booking_not_found"
    assert api.post(f"/api/v1/bookings/{named}/cancel").code == "booking_not_found"


def test_a_reservation_of_a_hall_by_the_unified_route_is_no_booking(api: Api) -> None:
    venue = new_hall(api)
    line = {"kind": "venue", "venue_id": venue, "start": "2027-03-10T18:00:00Z", "end": "2027-03-10T22:00:00Z"}
    held = api.post("/api/v1/reservations", {"items": [line], "user_id": "alice"}, key="r")
    assert held.status == 201
    assert api.get(f"/api/v1/bookings/b{held.json['id'][1:]}").code == "booking_not_found"
    assert api.get("/api/v1/bookings").json["bookings"] == []
    assert book(api, venue).code == "booking_time_conflict"
