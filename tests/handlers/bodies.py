"""Every route that takes a body, with a body that it takes."""

from dataclasses import dataclass, replace
from typing import Any

from holdfast.platform.http import MAX_BODY_BYTES
from holdfast.platform.tables import OPERATOR_TENANT
from tests.handlers.gateway import Answer, Api


@dataclass(frozen=True)
class Sending:
    """A request with a body of at most `most_bytes`.

    It is `strict` where unknown fields are refused, `keyed` where a key is honoured and the answer said again. One that
    is `public` names the tenant, and one of the `operators` is sent by them.
    """

    method: str
    path: str
    body: dict[str, Any]
    success: int
    strict: bool = False
    keyed: bool = True
    public: bool = False
    operators: bool = False
    most_bytes: int = MAX_BODY_BYTES

    @property
    def name(self) -> str:
        """Return what tests call it."""
        return f"{self.method} {self.path}"

    def send(self, api: Api, body: Any = None, **options: Any) -> Answer:
        """Send it with its own body or another, under the key `k` unless told otherwise."""
        return self._request(api, options, body=self.body if body is None else body)

    def send_text(self, api: Api, text: str, **options: Any) -> Answer:
        """Send it with a body as it stands."""
        return self._request(api, options, text=text)

    def _request(self, api: Api, options: dict[str, Any], **sent: Any) -> Answer:
        return self.sender(api).request(self.method, self.path, **({"key": "k"} | options | sent))

    def sender(self, api: Api) -> Api:
        """Return the API as those reach it who may send this."""
        if self.operators:
            return replace(api, tenant=OPERATOR_TENANT, roles="operator")
        return replace(api, headers=api.headers | {"X-Tenant-Id": api.tenant}) if self.public else api


_OF_A_SEAT_MAP = 1_048_576
_LINE = {"product_id": "1", "quantity": 1}
_HALL = {
    "name": "Parkside",
    "address": "1 High Street",
    "capacity": 200,
    "basePriceCents": 5_000,
    "currency": "EUR",
    "timeZone": "Europe/Berlin",
}

SENDINGS = [
    Sending("POST", "/api/products", {"name": "Tablet", "description": "Thin.", "total_stock": 3, "price": 5}, 201),
    Sending("PATCH", "/api/products/1", {"name": "Desk", "total_stock": 20, "price": "7.5"}, 200, keyed=False),
    Sending("POST", "/api/reserve", {"user_id": "alice", **_LINE}, 200),
    Sending("POST", "/api/reserve/bulk", {"user_id": "alice", "items": [_LINE]}, 200),
    Sending("POST", "/api/checkout", {"user_id": "alice", **_LINE, "total_amount": 5}, 200),
    Sending(
        "POST",
        "/api/v1/reservations",
        {"user_id": "alice", "hold_seconds": 60, "items": [{"kind": "product", **_LINE}]},
        201,
        strict=True,
    ),
    Sending(
        "POST",
        "/api/events",
        {"name": "Cup final", "date": "2031-06-01", "venue": "Stadium"},
        201,
        most_bytes=_OF_A_SEAT_MAP,
    ),
    Sending(
        "POST",
        "/api/events/1/ticket-types",
        {"ticketType": "Standing", "price": 20, "numbered": False, "quantity": 5},
        201,
        most_bytes=_OF_A_SEAT_MAP,
    ),
    Sending(
        "POST",
        "/api/events/1/seats",
        {"ticketTypeId": 1, "rows": [{"rowNumber": 1, "seatNumbers": [1, 2]}]},
        200,
        most_bytes=_OF_A_SEAT_MAP,
    ),
    Sending("POST", "/api/v1/venues", _HALL | {"settings": {"turnaroundAfterMinutes": 60}}, 201),
    Sending("PATCH", "/api/v1/venues/1", {"capacity": 300, "timeZone": "Asia/Kolkata"}, 200, keyed=False),
    Sending(
        "POST",
        "/api/v1/venues/1/blackouts",
        {"startTs": "2031-07-01T00:00:00Z", "endTs": "2031-07-03T00:00:00Z", "reason": "New floor"},
        201,
    ),
    Sending(
        "POST",
        "/api/v1/experiences",
        {"id": "15", "name": "Safari", "partner": "tours", "partner_product_id": "15", "weekdays": ["sun"]},
        201,
        strict=True,
    ),
    Sending("PATCH", "/api/v1/experiences/14", {"name": "Walk", "enabled": True}, 200, strict=True, keyed=False),
    Sending("POST", "/api/v1/users", {"name": "Asha", "phone": "9876543210", "email": "asha@example.com"}, 200),
    Sending(
        "POST",
        "/api/users/signup",
        {"email": "bina@example.com", "password": "correct-Horse-7", "name": "Bina Rao"},
        201,
        keyed=False,
        public=True,
    ),
    Sending("POST", "/api/users/forgot-password", {"email": "bina@example.com"}, 202, keyed=False, public=True),
    Sending("POST", "/api/v1/keys", {"label": "web shop", "roles": ["service"]}, 201, strict=True, keyed=False),
    Sending("PATCH", "/api/v1/settings", {"hold_seconds": 300}, 200, strict=True, keyed=False),
    Sending("PUT", "/api/v1/settings/payments", {"providers": ["sandbox"]}, 200, keyed=False),
    Sending(
        "POST",
        "/api/v1/tenants",
        {"id": "parkside", "name": "Parkside Halls"},
        201,
        strict=True,
        keyed=False,
        operators=True,
    ),
]
"""Sent in this order after `prepare`, each is answered with its success."""


def prepare(api: Api) -> None:
    """Put product 1, event 1, venue 1 and experience 14 on sale, and let alice hold two of the product.

    Then every sending succeeds.
    """
    assert api.new_product(10, price=5) == "1"
    assert api.reserve("alice", "1", 2).status == 200
    event = {"name": "Opening night", "date": "2031-06-01", "venue": "Theatre"}
    assert api.post("/api/events", event).json["id"] == "1"
    assert api.post("/api/events/1/ticket-types", {"ticketType": "VIP", "price": 80, "numbered": True}).status == 201
    assert api.post("/api/v1/venues", _HALL).json["id"] == "1"
    walk = {"id": "14", "name": "Walk", "partner": "tours", "partner_product_id": api.tenant, "weekdays": [1, 2, 3]}
    assert api.post("/api/v1/experiences", walk).status == 201
