"""API Gateway and Lambda as the handlers meet them: events in AWS's shape, functions loaded from their folders."""

import base64
import importlib.util
import io
import json
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from holdfast.platform.access import ROUTES
from holdfast.platform.logs import logger

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"

_PATHS = (
    (re.compile(r"/api/products(/[^/]+(/status)?)?"), "products"),
    (re.compile(r"/api/users/([^/]+|(confirm/resend|signin/answer|totp/confirm))"), "accounts"),
    (re.compile(r"/api/(reserve/(bulk|[^/]+/[^/]+)|users/[^/]+/reservations)"), "flash_deals"),
    (re.compile(r"/api/(reserve|checkout|purchases/[^/]+)"), "reserve_and_checkout"),
    (re.compile(r"/api/(events(/[^/]+(/(ticket-types|seats))?)?|initial-call/[^/]+|v1/events/[^/]+/seats)"), "events"),
    (re.compile(r"/api/(tickets|orders)(/[^/]+)?"), "marketplace"),
    (re.compile(r"/api/v1/reservations(/[^/]+(/extend)?)?"), "reservations"),
    (re.compile(r"/api/v1/venues(/[^/]+(/blackouts(/[^/]+)?|/availability)?)?"), "venues"),
    (re.compile(r"/api/v1/bookings/(check-availability|venue/[^/]+/availability)"), "venues"),
    (re.compile(r"/api/v1/(bookings(/[^/]+(/(confirm|cancel))?)?|venues/[^/]+/bookings)"), "bookings"),
    (re.compile(r"DELETE /api/v1/users/[^/]+|/api/v1/users/[^/]+/export"), "personal_data"),
    (re.compile(r"/api/v1/users(/[^/]+(/invite)?|/phone/[^/]+)?"), "users"),
    (re.compile(r"/api/v1/keys(/[^/]+(/rotate)?)?"), "service_keys"),
    (re.compile(r"/api/v1/check-in(/keys)?"), "check_in"),
    (re.compile(r"/webhooks/[^/]+/[^/]+|/sandbox/[^/]+/payments/[^/]+"), "webhooks"),
    (re.compile(r"/api/v1/orders(/[^/]+(/(cancel|refund|tickets))?)?"), "orders"),
    (re.compile(r"/api/v1/reservations/[^/]+/checkout|/api/payments"), "checkout"),
    (re.compile(r"/api/v1/(settings(/payments)?|branding)"), "settings"),
    (re.compile(r"/api/v1/tenants(/[^/]+)?"), "tenants"),
    (re.compile(r"/api/v1/(experiences(/[^/]+(/slots)?)?|experience/[^/]+/(dates|slots))"), "experiences"),
    (re.compile(r"/api/v1/sync(/(pause|resume|runs(/[^/]+)?|shortages|status))?"), "sync"),
    (re.compile(r"/api/v1/health"), "health"),
)
_ERROR_KEYS = {"success", "error", "code", "request_id"}
_SECURITY = {
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PERSONAL = re.compile(r"(?i)name|mail|phone|password|token|customer|^user$")
"""What fields are called whose values no log may have."""


class _Log(io.StringIO):
    """What functions log: still shown, and kept to be looked through; `last` is what was taken last."""

    last = ""

    def write(self, text: str) -> int:
        """Take a piece of a line."""
        sys.stdout.write(text)
        return super().write(text)

    def taken(self) -> str:
        """Return what was logged since it was taken last."""
        self.last = self.getvalue()
        self.seek(0)
        self.truncate()
        return self.last


LOG = _Log()
logger().logger_handler.setStream(LOG)


@cache
def load(name: str) -> ModuleType:
    """Import functions/<name>/app.py by its path, as Lambda does, once: a warm function."""
    spec = importlib.util.spec_from_file_location(f"functions.{name}.app", FUNCTIONS / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forget(name: str) -> None:
    """Make a function cold again: what it kept of its settings and connections is gone."""
    for kept in vars(load(name)).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()


@dataclass(frozen=True)
class LambdaContext:
    """The context of one invocation."""

    aws_request_id: str = "5f0c7c5e-0000-4000-8000-000000000001"
    remaining: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""
        return self.remaining


@dataclass(frozen=True)
class Answer:
    """What a handler answered: status, headers, the text and the JSON in it."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Return the error's stable code."""
        return str(self.json["code"])

    @property
    def data(self) -> Any:
        """Return what the older envelope holds."""
        return self.json["data"]

    def faults(self) -> dict[str, str]:
        """Return the code of the fault of each field."""
        return {fault["field"]: fault["code"] for fault in self.json.get("errors", [])}


def event(
    method: str,
    target: str,
    *,
    text: str | None = None,
    headers: dict[str, str] | None = None,
    authorizer: dict[str, str] | None = None,
    encoded: bool = False,
) -> dict[str, Any]:
    """Return the event of a REST API's proxy integration for a request of `target`, a path with its query."""
    parts = urlsplit(target)
    query: dict[str, list[str]] = {}
    for pair in filter(None, parts.query.split("&")):
        name, _, value = pair.partition("=")
        query.setdefault(name, []).append(value)
    if text is not None and encoded:
        text = base64.b64encode(text.encode()).decode()
    sent = headers or {}
    return {
        "resource": resource_of(parts.path),
        "path": parts.path,
        "httpMethod": method,
        "headers": sent or None,
        "multiValueHeaders": {name: [value] for name, value in sent.items()} or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "authorizer": authorizer,
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1"},
            "path": parts.path,
            "resourcePath": resource_of(parts.path),
            "stage": "local",
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


@dataclass(frozen=True)
class Api:
    """The API as one caller reaches it. Every answer is held against what all answers have in common."""

    tenant: str
    name: str = "key-0123456789ab"
    roles: str = "admin service staff"
    scopes: str = "*"
    settings: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def as_user(self, user: str) -> "Api":
        """Return the API as a customer of the same tenant reaches it."""
        return replace(self, name=user, roles="customer")

    def with_roles(self, roles: str) -> "Api":
        """Return the API as a service key with other roles reaches it."""
        return replace(self, roles=roles)

    def get(self, target: str, **options: Any) -> Answer:
        """Read."""
        return self.request("GET", target, **options)

    def post(self, target: str, body: Any = None, **options: Any) -> Answer:
        """Send a JSON body."""
        return self.request("POST", target, body, **options)

    def put(self, target: str, body: Any = None, **options: Any) -> Answer:
        """Send a JSON body in place of what is there."""
        return self.request("PUT", target, body, **options)

    def patch(self, target: str, body: Any = None, **options: Any) -> Answer:
        """Send a JSON body that changes something."""
        return self.request("PATCH", target, body, **options)

    def delete(self, target: str, **options: Any) -> Answer:
        """Take away."""
        return self.request("DELETE", target, **options)

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key: str | None = None,
        text: str | None = None,
        headers: dict[str, str] | None = None,
        encoded: bool = False,
    ) -> Answer:
        """Send a request to the function that has the path; `text` is a body as it stands, `key` an idempotency key."""
        if text is None and body is not None:
            text = json.dumps(body)
        sent = {"Content-Type": "application/json"} if text is not None else {}
        sent |= self.headers | (headers or {}) | ({"Idempotency-Key": key} if key is not None else {})
        context = {
            "tenant": self.tenant,
            "name": self.name,
            "roles": self.roles,
            "scopes": self.scopes,
            "settings": self.settings,
            "credential": f"session:{self.name}:1700000000",
            "principalId": self.name,
        }
        return send(event(method, target, text=text, headers=sent, authorizer=context, encoded=encoded))

    def new_product(self, total_stock: int = 10, **more: Any) -> str:
        """Put a product on sale and return its id."""
        answer = self.post("/api/products", {"name": "Laptop", "total_stock": total_stock, **more})
        assert answer.status == 201, answer.text
        return str(answer.data["id"])

    def reserve(self, user: str | int, product: str | int, quantity: int = 1, **options: Any) -> Answer:
        """Hold more of a product through the older route."""
        body = {"user_id": user, "product_id": product, "quantity": quantity}
        return self.post("/api/reserve", body, **options)

    def hold(self, user: str, product: str, quantity: int = 1, *, key: str | None = None, **more: Any) -> Answer:
        """Hold one line through the unified route, under a key of its own unless one is given."""
        items = [{"kind": "product", "product_id": product, "quantity": quantity}]
        body = {"items": items, "user_id": user, **more}
        return self.post("/api/v1/reservations", body, key=key or uuid.uuid4().hex)

    def units(self, product: str) -> tuple[int, int, int, int]:
        """Return a product's units: total, available, reserved and sold."""
        data = self.get(f"/api/products/{product}/status").data
        return data["total_stock"], data["available_stock"], data["reserved_stock"], data["sold_stock"]


@cache
def resource_of(path: str) -> str:
    """Return the address in the table of routes that a path is of, the most particular one, as API Gateway does."""
    fitting = [known for known in ROUTES if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path)]
    return min(fitting, key=lambda known: [part.startswith("{") for part in known.split("/")], default="/{proxy+}")


def function_of(path: str, method: str = "GET") -> str:
    """Return which function has a path; the catch-all has those that no other has. One path is two functions'."""
    asked = (path, f"{method} {path}")
    return next((name for pattern, name in _PATHS if any(map(pattern.fullmatch, asked))), "unknown_route")


def send(request: dict[str, Any], function: str | None = None) -> Answer:
    """Hand an event to its function and return what it answers, once that is seen to be fit to leave the house."""
    handler = load(function or function_of(request["path"], request["httpMethod"])).handler
    LOG.taken()
    returned = handler(request, LambdaContext())
    assert_not_logged(LOG.taken(), request)
    json.dumps(returned).encode()
    headers = {name: ", ".join(values) for name, values in returned["multiValueHeaders"].items()}
    answer = Answer(returned["statusCode"], headers, returned["body"] or "")
    assert answer.headers.items() >= _SECURITY.items()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Traceback" not in answer.text
    if answer.text and answer.headers["Content-Type"].startswith("application/json"):
        assert not set("<>&") & set(answer.text), "unescaped"
    if answer.status >= 400 and not request["path"].endswith("/health"):
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.json) >= _ERROR_KEYS, answer.text
        assert answer.json["success"] is False
        assert answer.json["request_id"] == answer.headers["X-Request-Id"] == request["requestContext"]["requestId"]
        assert re.fullmatch("[a-z_]+", answer.code), answer.code
        for fault in answer.json.get("errors", []):
            assert set(fault) == {"field", "code", "message"}
    return answer


def assert_not_logged(text: str, request: dict[str, Any]) -> None:
    """Hold what was logged against what a request brought that names a person or opens a door."""
    for value in _personal(request):
        assert value not in text, "personal"
        assert json.dumps(value, ensure_ascii=False)[1:-1] not in text, "personal"


def _personal(request: dict[str, Any]) -> Iterator[str]:
    headers = {name.lower(): value for name, value in (request["headers"] or {}).items()}
    found = [headers.get("authorization", "").partition(" ")[2], headers.get("x-captcha-token", "")]
    if "/phone/" in request["path"]:
        found.append(request["path"].rpartition("/")[2])
    with suppress(ValueError, RecursionError):
        found += _named_persons(json.loads(request["body"] or "null"), named=False)
    yield from (value for value in found if len(value) > 3)


def _named_persons(value: Any, *, named: bool) -> Iterator[str]:
    match value:
        case str() if named or "@" in value:
            yield value
        case list():
            for part in value:
                yield from _named_persons(part, named=named)
        case dict():
            for name, part in value.items():
                yield from _named_persons(part, named=named or bool(_PERSONAL.search(name)))
