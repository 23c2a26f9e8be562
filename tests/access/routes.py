"""A request for every route of the table that asks who is calling, such as its rightful caller makes it.

A route without a row here fails the tests.
"""

from dataclasses import dataclass
from typing import Any

from tests.access.world import HALL, PASSWORD, PHONE, RIVAL, SLOT_DATE, TENANT, Request, World, seat

Json = dict[str, Any]

CUSTOMER, STAFF, ADMIN, SERVICE = f"{TENANT}/alice", f"{TENANT}/sam", f"{TENANT}/ada", f"{TENANT}/key"
OPERATOR = "operator/olga"


@dataclass(frozen=True)
class Row:
    """A route's rightful request: by whom, with which body, answered how. `{name}` in either is one of the world's ids.

    What it names is not there for another tenant where it is `of_tenant`, nor for another customer if `of_user`.
    """

    method: str
    path: str
    who: str
    body: Json | None = None
    success: tuple[int, ...] = (200,)
    of_user: bool = False
    of_tenant: bool = False

    @property
    def name(self) -> str:
        """Return what tests call it."""
        return f"{self.method} {self.path}"

    def request(self, world: World, **ids: str) -> Request:
        """Return the request about the world's things, but for those `ids` that are said otherwise."""
        known = world.ids | {"totp": world.totp()} | ids
        body = None if self.body is None else _filled(self.body, known)
        headers = {
            "Idempotency-Key": f"key-of-{abs(hash((self.name, tuple(sorted(ids.items())))))}",
            "Prefer": "wait=0",
        }
        return Request(self.method, _named(self.path, known), body, headers)

    @property
    def ids(self) -> list[str]:
        """Return the names of the world's ids that the request is about."""
        return sorted({name for name in NOWHERE if f"{{{name}}}" in f"{self.path} {self.body}"})

    def known(self, world: World) -> dict[str, str]:
        """Return those ids by their names, as the world's things have them."""
        return {name: (COMMON | world.ids)[name] for name in self.ids}


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, ids) for inner in value]
    return _named(value, ids) if isinstance(value, str) else value


def _named(text: str, ids: dict[str, str]) -> str:
    for name, value in (COMMON | ids).items():
        text = text.replace(f"{{{name}}}", value)
    return text


COMMON = {
    "product": "1",
    "event": "1",
    "type": "1",
    "venue": "1",
    "experience": "14",
    "alice": "alice",
    "bob": "bob",
    "phone": PHONE,
    "tenant": TENANT,
}
"""Ids that the world's things are known to have."""

_HASH = "a" * 16
_DIGEST = "0" * 32
NOWHERE = {
    "product": "777",
    "event": "777",
    "type": "777",
    "venue": "777",
    "experience": "777",
    "run": f"{'0' * 13}-manual-{'0' * 8}",
    "blackout": "0" * 24,
    "ticket": "0" * 24,
    "carols ticket 2": "0" * 24,
    "marketplace order": f"o-{_HASH}-{_DIGEST}",
    "reservation": f"r-{_HASH}-{_DIGEST}",
    "order": f"o-{_HASH}-{_DIGEST}",
    "booking": f"b-{_HASH}-{_DIGEST}",
    "purchase": f"o-{_HASH}-{_DIGEST}",
    "person": "0" * 24,
    "alice": "0" * 24,
    "bob": "0" * 24,
    "payment": "0" * 24,
    "phone": "+919876500000",
    "key": f"k-{'0' * 16}",
    "tenant": "nobody-has-this",
    "code": "HF1.e30.e30",
}
"""An id of the same shape as each of the world's that nothing has."""

_EVENING = {"startTs": "2031-06-09T18:00:00Z", "endTs": "2031-06-09T22:00:00Z"}
_PAYMENT = {"payment": {"provider": "sandbox", "token": "tok_success"}}
_DEAL = {"user_id": "alice", "product_id": "{product}", "quantity": 1}
_LINE = [{"kind": "product", "product_id": "{product}", "quantity": 1}]


def _tickets(number: int) -> Json:
    details = seat(number)
    details[0]["ticketTypeId"] = "{type}"
    return {"userId": "alice", "eventId": "{event}", "seatDetails": details}


ROWS = [
    Row("GET", "/api/products", CUSTOMER),
    Row("POST", "/api/products", ADMIN, {"name": "Desk", "total_stock": 3, "price": 5}, (201,)),
    Row("GET", "/api/products/{product}", CUSTOMER, of_tenant=True),
    Row("PATCH", "/api/products/{product}", ADMIN, {"name": "Lamp"}, of_tenant=True),
    Row("GET", "/api/products/{product}/status", CUSTOMER, of_tenant=True),
    Row("GET", "/api/events", CUSTOMER),
    Row("POST", "/api/events", ADMIN, {"name": "Final", "date": "2031-06-01", "venue": "Stadium"}, (201,)),
    Row("GET", "/api/events/{event}", CUSTOMER, of_tenant=True),
    Row(
        "POST",
        "/api/events/{event}/ticket-types",
        ADMIN,
        {"ticketType": "Box", "price": 20, "numbered": False, "quantity": 5},
        (201,),
        of_tenant=True,
    ),
    Row(
        "POST",
        "/api/events/{event}/seats",
        ADMIN,
        {"ticketTypeId": "{type}", "rows": [{"rowNumber": 2, "seatNumbers": [1, 2]}]},
        of_tenant=True,
    ),
    Row("GET", "/api/initial-call/{event}", CUSTOMER, of_tenant=True),
    Row("GET", "/api/v1/events/{event}/seats?ticket_type_id={type}", CUSTOMER, of_tenant=True),
    Row(
        "POST", "/api/reserve", CUSTOMER, {"user_id": "alice", "product_id": "{product}", "quantity": 1}, of_tenant=True
    ),
    Row(
        "POST",
        "/api/reserve/bulk",
        CUSTOMER,
        {"user_id": "alice", "items": [{"product_id": "{product}", "quantity": 1}]},
        of_tenant=True,
    ),
    Row("DELETE", "/api/reserve/{alice}/{product}", CUSTOMER, of_user=True, of_tenant=True),
    Row("GET", "/api/users/{alice}/reservations", CUSTOMER, of_user=True),
    Row(
        "POST", "/api/checkout", SERVICE, {"user_id": "alice", "product_id": "{product}", "quantity": 1}, of_tenant=True
    ),
    Row("PUT", "/api/checkout", SERVICE, _tickets(2), of_tenant=True),
    Row("GET", "/api/purchases/{purchase}", CUSTOMER, of_user=True, of_tenant=True),
    Row("GET", "/api/tickets", CUSTOMER),
    Row("POST", "/api/tickets", CUSTOMER, {"title": "Row 9", "price": 5}, (201,)),
    Row("GET", "/api/tickets/{ticket}", CUSTOMER, of_tenant=True),
    Row("PUT", "/api/tickets/{ticket}", CUSTOMER, {"title": "Row 3", "price": 6}, of_user=True, of_tenant=True),
    Row("GET", "/api/orders", CUSTOMER),
    Row("POST", "/api/orders", CUSTOMER, {"ticketId": "{carols ticket 2}"}, (201,), of_tenant=True),
    Row("GET", "/api/orders/{marketplace order}", CUSTOMER, of_user=True, of_tenant=True),
    Row(
        "POST",
        "/api/payments",
        CUSTOMER,
        {"token": "tok_success", "orderId": "{marketplace order}"},
        (201,),
        of_user=True,
        of_tenant=True,
    ),
    Row("PATCH", "/api/orders/{marketplace order}", CUSTOMER, {}, of_user=True, of_tenant=True),
    Row("GET", "/api/v1/reservations", CUSTOMER),
    Row("POST", "/api/v1/reservations", CUSTOMER, {"items": _LINE}, (201,), of_tenant=True),
    Row("GET", "/api/v1/reservations/{reservation}", CUSTOMER, of_user=True, of_tenant=True),
    Row("POST", "/api/v1/reservations/{reservation}/extend", CUSTOMER, {}, of_user=True, of_tenant=True),
    Row(
        "POST",
        "/api/v1/reservations/{reservation}/checkout",
        CUSTOMER,
        _PAYMENT,
        (200, 202),
        of_user=True,
        of_tenant=True,
    ),
    Row("DELETE", "/api/v1/reservations/{reservation}", CUSTOMER, of_user=True, of_tenant=True),
    Row("GET", "/api/v1/orders", CUSTOMER),
    Row("GET", "/api/v1/orders/{order}", CUSTOMER, of_user=True, of_tenant=True),
    Row("GET", "/api/v1/orders/{order}/tickets", CUSTOMER, of_user=True, of_tenant=True),
    Row("POST", "/api/v1/orders/{order}/refund", STAFF, {}, (200, 202), of_tenant=True),
    Row("POST", "/api/v1/orders/{order}/cancel", STAFF, {}, (200, 202), of_user=True, of_tenant=True),
    Row("POST", "/api/v1/check-in", STAFF, {"code": "{code}"}, of_tenant=True),
    Row("GET", "/api/v1/settings", ADMIN),
    Row("PATCH", "/api/v1/settings", ADMIN, {"branding_name": "Acme"}),
    Row("GET", "/api/v1/settings/payments", ADMIN),
    Row("PUT", "/api/v1/settings/payments", ADMIN, {"providers": ["sandbox"]}),
    Row("GET", "/api/v1/keys", ADMIN),
    Row("POST", "/api/v1/keys", ADMIN, {"label": "gate", "roles": ["staff"]}, (201,)),
    Row("POST", "/api/v1/keys/{key}/rotate", ADMIN, {}, (200, 201), of_tenant=True),
    Row("DELETE", "/api/v1/keys/{key}", ADMIN, of_tenant=True),
    Row("GET", "/api/v1/tenants", OPERATOR),
    Row("POST", "/api/v1/tenants", OPERATOR, {"id": "new-one", "name": "New"}, (201,)),
    Row("GET", "/api/v1/tenants/{tenant}", OPERATOR),
    Row("PATCH", "/api/v1/tenants/{tenant}", OPERATOR, {"name": "Acme"}),
    Row("GET", "/api/v1/users", STAFF),
    Row("POST", "/api/v1/users", STAFF, {"name": "Ben", "phone": "+919876543211"}),
    Row("GET", "/api/v1/users/{person}", STAFF, of_user=True, of_tenant=True),
    Row("PATCH", "/api/v1/users/{person}", STAFF, {"name": "Asha"}, of_user=True, of_tenant=True),
    Row("GET", "/api/v1/users/phone/{phone}", STAFF, of_user=True, of_tenant=True),
    Row("POST", "/api/v1/users/{person}/invite", ADMIN, {}, (200, 202), of_tenant=True),
    Row("GET", "/api/v1/users/{person}/export", ADMIN, of_user=True, of_tenant=True),
    Row("DELETE", "/api/v1/users/{person}", ADMIN, of_user=True, of_tenant=True),
    Row("POST", "/api/v1/venues", ADMIN, HALL, (201,)),
    Row("PATCH", "/api/v1/venues/{venue}", ADMIN, {"capacity": 100}, of_tenant=True),
    Row(
        "POST",
        "/api/v1/venues/{venue}/blackouts",
        ADMIN,
        {"startTs": "2031-08-01T00:00:00Z", "endTs": "2031-08-03T00:00:00Z", "reason": "Paint"},
        (201,),
        of_tenant=True,
    ),
    Row("DELETE", "/api/v1/venues/{venue}/blackouts/{blackout}", ADMIN, of_tenant=True),
    Row("GET", "/api/v1/bookings", CUSTOMER),
    Row("POST", "/api/v1/bookings", CUSTOMER, {"venueId": "{venue}", **_EVENING}, (201,), of_tenant=True),
    Row(
        "POST",
        "/api/v1/venues/{venue}/bookings",
        CUSTOMER,
        {"startTs": "2031-06-11T18:00:00Z", "endTs": "2031-06-11T22:00:00Z"},
        (201,),
        of_tenant=True,
    ),
    Row("GET", "/api/v1/bookings/{booking}", CUSTOMER, of_user=True, of_tenant=True),
    Row("POST", "/api/v1/bookings/{booking}/confirm", STAFF, {}, of_tenant=True),
    Row("POST", "/api/v1/bookings/{booking}/cancel", CUSTOMER, {}, of_user=True, of_tenant=True),
    Row("GET", "/api/v1/experiences", CUSTOMER),
    Row(
        "POST",
        "/api/v1/experiences",
        ADMIN,
        {"id": "15", "name": "Safari", "partner": "tours", "partner_product_id": "15", "weekdays": ["sun"]},
        (201,),
    ),
    Row("GET", "/api/v1/experiences/{experience}", CUSTOMER, of_tenant=True),
    Row("PATCH", "/api/v1/experiences/{experience}", ADMIN, {"name": "Walk"}, of_tenant=True),
    Row("GET", f"/api/v1/experiences/{{experience}}/slots?date={SLOT_DATE}", CUSTOMER, of_tenant=True),
    Row("GET", f"/api/v1/experience/{{experience}}/slots?date={SLOT_DATE}", CUSTOMER, of_tenant=True),
    Row("GET", "/api/v1/experience/{experience}/dates", CUSTOMER, of_tenant=True),
    Row("POST", "/api/v1/sync?days=2", STAFF, None, (202,)),
    Row("POST", "/api/v1/sync/pause", STAFF),
    Row("POST", "/api/v1/sync/resume", STAFF),
    Row("GET", "/api/v1/sync/runs", STAFF),
    Row("GET", "/api/v1/sync/runs/{run}", STAFF, of_tenant=True),
    Row("GET", "/api/v1/sync/shortages", STAFF),
    Row("GET", "/api/v1/sync/status", STAFF),
    Row("POST", "/api/users/totp", CUSTOMER, {}),
    Row("POST", "/api/users/totp/confirm", CUSTOMER, {"code": "{totp}"}),
    Row("DELETE", "/api/users/totp", CUSTOMER),
    Row("POST", "/api/users/password", CUSTOMER, {"password": PASSWORD, "new_password": "Another-horse-8"}),
    Row("POST", "/api/users/signout", CUSTOMER, {}),
]
"""The rightful request of each route."""


def _cart(**line: Any) -> Row:
    return Row("POST", "/api/v1/reservations", CUSTOMER, {"items": [line]}, (201,), of_tenant=True)


_HOURS = "date=2031-06-07&days=3"

OF_NOBODY = [
    Row("GET", "/api/v1/venues/{venue}", ""),
    Row("GET", f"/api/v1/venues/{{venue}}/availability?{_HOURS}", ""),
    Row("GET", f"/api/v1/bookings/venue/{{venue}}/availability?{_HOURS}", ""),
    Row("POST", "/api/v1/bookings/check-availability", "", {"venueId": "{venue}", **_EVENING}),
    Row("POST", "/api/users/confirm", "", {"id": "{bob}", "code": "000000"}),
    Row("POST", "/api/users/confirm/resend", "", {"id": "{bob}"}),
    Row("POST", "/api/users/signin/answer", "", {"id": "{bob}", "session": "s" * 40, "code": "000000"}),
    Row("POST", "/api/users/refresh", "", {"refresh_token": "{bob}.abcdefghijklmnop"}),
    Row("POST", f"/sandbox/{RIVAL}/payments/{{payment}}", "", {"action": "pay"}),
    Row("POST", f"/webhooks/sandbox/{RIVAL}", "", {"id": "event", "payment": "{payment}", "order": "{order}"}),
]
"""Requests of public routes that name something, asked of the rival."""

FURTHER = [
    _cart(kind="ticket", event_id="{event}", ticket_type_id="2", quantity=1),
    _cart(kind="seat", event_id="{event}", ticket_type_id="{type}", row="1", seat="9"),
    _cart(kind="best_available", event_id="{event}", ticket_type_id="{type}", quantity=1),
    _cart(kind="listing", ticket_id="{carols ticket 2}"),
    _cart(kind="slot", experience_id="{experience}", date=SLOT_DATE, slot_id="ab12", pax={"ADULT_12~99": 1}),
    _cart(kind="venue", venue_id="{venue}", start="2031-06-15T18:00:00Z", end="2031-06-15T22:00:00Z"),
    Row("GET", "/api/v1/reservations?user_id={alice}", STAFF, of_user=True),
    Row("GET", "/api/v1/orders?user_id={alice}", STAFF, of_user=True),
    Row("GET", "/api/orders?userId={alice}", STAFF, of_user=True),
    Row("GET", "/api/tickets?userId={alice}", STAFF, of_user=True),
    Row("GET", "/api/v1/bookings?venueId={venue}", STAFF, of_tenant=True),
    Row("POST", "/api/reserve", STAFF, {"user_id": "{alice}", "product_id": "1", "quantity": 1}, of_user=True),
    Row("POST", "/api/reserve", STAFF, _tickets(5) | {"userId": "{alice}"}, of_tenant=True),
    Row("POST", "/api/checkout", SERVICE, {"user_id": "{alice}", "product_id": "1", "quantity": 1}, of_user=True),
    Row("POST", "/api/orders", STAFF, {"ticketId": "{carols ticket 2}", "userId": "{alice}"}, (201,), of_user=True),
    Row("POST", "/api/tickets", STAFF, {"title": "Row 9", "price": 5, "userId": "{alice}"}, (201,), of_user=True),
    Row(
        "POST",
        "/api/v1/bookings",
        STAFF,
        {"venueId": "1", "userId": "{alice}", "startTs": "2031-06-17T18:00:00Z", "endTs": "2031-06-17T22:00:00Z"},
        (201,),
        of_user=True,
    ),
    Row(
        "POST", "/api/v1/reservations/{booking}/checkout", CUSTOMER, _PAYMENT, (200, 202), of_user=True, of_tenant=True
    ),
    Row("GET", "/api/purchases/{purchase}", SERVICE, of_user=True, of_tenant=True),
]
"""Further requests that name things, in a query or in a body, or in another way than the rightful ones above."""
