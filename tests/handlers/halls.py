"""A hall to test with, and short words for what is asked of it."""

from datetime import UTC, datetime
from typing import Any

from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api, event, send

NOW = "2027-03-01T10:00:00+00:00"
"""A Monday."""

HALL: dict[str, Any] = {
    "name": "Parkside",
    "address": "1 High Street",
    "capacity": 200,
    "basePriceCents": 50_000,
    "currency": "EUR",
    "timeZone": "Europe/Berlin",
}
EVENING = {"startTs": "2027-03-10T18:00:00Z", "endTs": "2027-03-10T22:00:00Z"}
CUSTOMER = {"name": "Asha Rao", "phone": "+919876543210", "email": "asha@example.com"}


def set_to(clock: HandMovedClock, text: str = NOW) -> None:
    """Set the functions' clock."""
    clock.milliseconds = round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def new_hall(api: Api, **more: Any) -> str:
    """Open a venue and return its id."""
    answer = api.post("/api/v1/venues", HALL | more)
    assert answer.status == 201, answer.text
    return str(answer.json["id"])


def book(api: Api, venue: str, key: str = "k", **more: Any) -> Answer:
    """Book the evening for alice, unless told otherwise."""
    body = {"venueId": venue, **EVENING, **more}
    who = {} if {"userId", "customer", "user"} & set(more) else {"userId": "alice"}
    return api.post("/api/v1/bookings", body | who, key=key)


def booked(api: Api, venue: str, key: str = "k", **more: Any) -> dict[str, Any]:
    """Book and return the booking."""
    answer = book(api, venue, key, **more)
    assert answer.status == 201, answer.text
    return dict(answer.json["booking"])


def black_out(api: Api, venue: str, start: str, end: str, **more: Any) -> Answer:
    """Close a venue for a time."""
    key = more.pop("key", None)
    body = {"startTs": start, "endTs": end, "reason": "New floor", **more}
    return api.post(f"/api/v1/venues/{venue}/blackouts", body, key=key)


def check(api: Api, venue: str, **more: Any) -> Answer:
    """Ask whether the evening can be booked."""
    return api.post("/api/v1/bookings/check-availability", {"venueId": venue, **EVENING, **more}, headers=of(api))


def on_days(api: Api, venue: str, date: str, days: int = 1) -> Answer:
    """Ask what is free on days."""
    return api.get(f"/api/v1/venues/{venue}/availability?date={date}&days={days}", headers=of(api))


def of(api: Api) -> dict[str, str]:
    """Return the header by which public requests say whose halls they mean."""
    return {"X-Tenant-Id": api.tenant}


def as_anybody(method: str, target: str, route: str, headers: dict[str, str], text: str | None = None) -> Answer:
    """Send a request without any credential; `route` is the address as API Gateway declares it."""
    return send(event(method, target, text=text, headers=headers) | {"resource": route})
