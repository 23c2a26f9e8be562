"""The requests of WIRE.md, section 4, in sequence, as a client of the older halls sends them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.wire import answered, faults, in_hours, keyed, moment, refused

HALL: dict[str, Any] = {
    "name": "Paradise Hall",
    "address": "1 High Street",
    "capacity": 200,
    "basePriceCents": 50_000,
    "currency": "EUR",
    "timeZone": "Europe/Berlin",
    "prefix": "PAR",
}
GUEST = {"name": "Asha Rao", "phone": "9876543210", "email": "asha@example.com"}
ROUTE = "/api/v1/bookings"


def new_hall(client: httpx.Client, **more: Any) -> str:
    made = answered(client.post("/api/v1/venues", json=HALL | more, headers=keyed()), 201)
    assert {name: made[name] for name in HALL} == HALL | more
    return str(made["id"])


def book(client: httpx.Client, venue: str, first: float, last: float, key: str | None = None, **more: Any) -> Any:
    body = {"venueId": venue, "startTs": in_hours(first), "endTs": in_hours(last), "customer": GUEST, **more}
    return client.post(ROUTE, json=body, headers=keyed(key))


def is_free(client: httpx.Client, venue: str, first: float, last: float) -> Any:
    body = {"venueId": venue, "startTs": in_hours(first), "endTs": in_hours(last)}
    found = answered(client.post(f"{ROUTE}/check-availability", json=body), 200)
    assert found.keys() >= {"isAvailable", "conflictingBookings", "blackoutPeriods", "suggestedAlternatives"}
    return found


def test_the_requests_of_the_older_client_work_in_sequence(client: httpx.Client) -> None:
    venue = new_hall(client)
    assert answered(client.get(f"/api/v1/venues/{venue}"), 200)["name"] == "Paradise Hall"
    assert answered(client.patch(f"/api/v1/venues/{venue}", json={"capacity": 250}), 200)["capacity"] == 250
    refused(client.get("/api/v1/venues/999"), 404, "venue_not_found")
    assert is_free(client, venue, 100, 104)["isAvailable"] is True

    refused(client.post(ROUTE, json={"venueId": venue}), 400, "idempotency_key_required")
    before = datetime.now(UTC)
    answer = answered(book(client, venue, 100, 104, "b1", guestCount=120, totalAmountCents=50_000), 201)
    assert answer.keys() >= {"success", "booking", "isNewCustomer", "paymentRequired", "holdExpiresIn", "nextSteps"}
    assert (answer["success"], answer["isNewCustomer"], answer["holdExpiresIn"]) == (True, True, 15)
    assert answer["nextSteps"][0].keys() >= {"action", "description", "deadline"}
    assert answer["nextSteps"][0]["action"] == "payment"
    booking = answer["booking"]
    assert re.fullmatch(r"PAR-\d{4}-\d{4}", booking["bookingNumber"])
    assert (booking["venueId"], booking["venueName"]) == (venue, "Paradise Hall")
    assert booking["customer"]["phone"] == "+919876543210"
    assert (booking["status"], booking["paymentStatus"]) == ("temp_hold", "pending")
    assert (booking["totalAmountCents"], booking["currency"], booking["guestCount"]) == (50_000, "EUR", 120)
    assert (booking["isActive"], booking["canBeCancelled"]) == (True, True)
    assert moment(booking["startTs"]) == moment(in_hours(100))
    assert moment(booking["holdExpiresAt"]) >= before + timedelta(seconds=899.9)
    assert book(client, venue, 100, 104, "b1", guestCount=120, totalAmountCents=50_000).json() == answer
    assert is_free(client, venue, 103, 105)["isAvailable"] is False
    assert is_free(client, venue, 104, 106)["isAvailable"] is True, "ranges are half-open"

    conflict = refused(book(client, venue, 102, 106), 409, "booking_time_conflict")
    assert conflict["alternatives"]
    for found in conflict["alternatives"]:
        assert found.keys() == {"startTs", "endTs", "isFullDay"}
        start, end = moment(found["startTs"]), moment(found["endTs"])
        assert end - start == timedelta(hours=4)
        assert end <= moment(in_hours(100)) or start >= moment(in_hours(104))
    another = answered(book(client, venue, 104, 106, customer=GUEST | {"name": "Asha R."}), 201)
    assert another["isNewCustomer"] is False
    assert another["booking"]["bookingNumber"] != booking["bookingNumber"]

    path = f"{ROUTE}/{booking['id']}"
    assert answered(client.get(path), 200)["booking"] == booking
    assert [found["id"] for found in answered(client.get(ROUTE), 200)["bookings"]] == [
        booking["id"],
        another["booking"]["id"],
    ]
    assert answered(client.get(f"{ROUTE}?status=confirmed"), 200)["bookings"] == []
    confirmed = answered(client.post(f"{path}/confirm", headers=keyed()), 200)
    assert (confirmed["booking"]["status"], confirmed["booking"]["holdExpiresAt"]) == ("confirmed", None)
    cancelled = answered(client.post(f"{path}/cancel", headers=keyed()), 200)
    assert cancelled["booking"]["status"] == "cancelled"
    assert (cancelled["refundPercent"], cancelled["refundAmountCents"]) == (100, 50_000), "over 72 hours' notice"
    refused(client.post(f"{path}/confirm", headers=keyed()), 409, "booking_state")
    assert is_free(client, venue, 100, 104)["isAvailable"] is True
    refused(client.get(f"{ROUTE}/b-abcdefghijklmnop-00000000000000000000000000000000"), 404, "booking_not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endTs": in_hours(90)}, "endTs"),
        ({"endTs": in_hours(100)}, "endTs"),
        ({"startTs": in_hours(-1)}, "startTs"),
        ({"startTs": in_hours(1)}, "startTs"),
        ({"endTs": in_hours(300)}, "endTs"),
        ({"guestCount": 201}, "guestCount"),
        ({"customer": GUEST | {"phone": "12"}}, "customer.phone"),
    ],
    ids=["end-before-start", "no-length", "past", "lead-time", "too-long", "guests", "phone"],
)
def test_a_booking_that_cannot_be_is_refused_by_its_field(
    client: httpx.Client, change: dict[str, Any], field: str
) -> None:
    venue = new_hall(client)
    body = {"venueId": venue, "startTs": in_hours(100), "endTs": in_hours(104), "customer": GUEST} | change
    answer = client.post(ROUTE, json=body, headers=keyed())
    assert answer.status_code in (400, 409, 422), answer.text
    assert field in faults(answer.json())


def test_blackouts_close_a_hall_and_show_in_its_availability(client: httpx.Client) -> None:
    venue = new_hall(client)
    path = f"/api/v1/venues/{venue}"
    closed = {"startTs": in_hours(100), "endTs": in_hours(100 + 24 * 20), "reason": "New floor", "isMaintenance": True}
    made = answered(client.post(f"{path}/blackouts", json=closed, headers=keyed()), 201)
    found = is_free(client, venue, 110, 114)
    assert found["isAvailable"] is False
    assert [period["reason"] for period in found["blackoutPeriods"]] == ["New floor"]
    refused(book(client, venue, 110, 114), 409, "booking_time_conflict")
    query = {"date": in_hours(100)[:10], "days": 30}
    shown = answered(client.get(f"{path}/availability", params=query), 200)
    assert "New floor" in str(shown)
    assert answered(client.get(f"{ROUTE}/venue/{venue}/availability", params=query), 200) == shown
    assert client.delete(f"{path}/blackouts/{made['id']}").status_code == 200
    assert is_free(client, venue, 110, 114)["isAvailable"] is True
    refused(client.delete(f"{path}/blackouts/{made['id']}"), 404, "blackout_not_found")


def test_anybody_may_ask_when_a_hall_is_free_by_naming_its_tenant(
    client_of_tenant: Callable[[str], httpx.Client], anonymous: httpx.Client
) -> None:
    tenant = f"t-{datetime.now(UTC):%H%M%S%f}"
    venue = new_hall(client_of_tenant(tenant))
    named = {"X-Tenant-Id": tenant}
    body = {"venueId": venue, "startTs": in_hours(100), "endTs": in_hours(104)}
    day = {"date": in_hours(100)[:10], "days": 1}
    for method, path, sent in (
        ("GET", "/api/v1/venues", {}),
        ("GET", f"/api/v1/venues/{venue}", {}),
        ("GET", f"/api/v1/venues/{venue}/availability", {"params": day}),
        ("GET", f"{ROUTE}/venue/{venue}/availability", {"params": day}),
        ("POST", f"{ROUTE}/check-availability", {"json": body}),
    ):
        assert anonymous.request(method, path, headers=named, **sent).status_code == 200, path
        refused(anonymous.request(method, path, **sent), 400, "tenant_required")
    refused(anonymous.post(ROUTE, json=body, headers=named | keyed()), 401, "unauthorized")


def test_users_are_known_by_phone(client: httpx.Client) -> None:
    made = answered(client.post("/api/v1/users", json=GUEST), 200)["user"]
    assert made["phone"] == "+919876543210"
    again = answered(client.post("/api/v1/users", json=GUEST | {"name": "Asha R."}), 200)["user"]
    assert (again["id"], again["name"]) == (made["id"], "Asha R.")
    assert answered(client.get("/api/v1/users/phone/9876543210"), 200)["user"]["id"] == made["id"]
    changed = client.patch(f"/api/v1/users/{made['id']}", json={"email": "a@example.com"})
    assert answered(changed, 200)["user"]["email"] == "a@example.com"
    assert answered(client.get(f"/api/v1/users/{made['id']}"), 200)["user"]["email"] == "a@example.com"
    assert [user["id"] for user in answered(client.get("/api/v1/users?role=customer"), 200)["users"]] == [made["id"]]
    refused(client.get("/api/v1/users/nobody"), 404, "user_not_found")
    refused(client.post("/api/v1/users", json=GUEST | {"phone": "12"}), 400, "validation_failed")
