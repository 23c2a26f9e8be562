"""Tenants on the deployed stack: made, set, limited, suspended; and what browsers ask beforehand."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from holdfast.platform.access import ROUTES
from local import demo
from local.stack import Stack
from tests.e2e.people import public
from tests.e2e.wire import answered, keyed, refused

Clients = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[httpx.Client]:
    """A client of those who make tenants."""
    key = demo.issue_operator_key(stack)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=stack.base_url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def _tenant() -> str:
    return f"t-{uuid.uuid4().hex[:16]}"


def _cart(product: str, user: str) -> dict[str, object]:
    return {"user_id": user, "items": [{"kind": "product", "product_id": product, "quantity": 1}]}


def _product(client: httpx.Client) -> str:
    return str(answered(client.post("/api/products", json={"name": "Lamp", "total_stock": 500}), 201)["data"]["id"])


def _wait_for_settings(client: httpx.Client, **settings: object) -> None:
    """Set what is to hold for keys that are used for the first time only now: no answer is remembered for those."""
    answered(client.patch("/api/v1/settings", json=settings), 200)


def test_a_tenant_is_made_suspended_and_opened_again(
    operator: httpx.Client, client_of_tenant: Clients, stack: Stack
) -> None:
    tenant = _tenant()
    refused(public(stack.base_url, tenant).get("/api/v1/venues"), 404, "tenant_not_found")
    made = answered(operator.post("/api/v1/tenants", json={"id": tenant, "name": "Acme"}), 201)
    assert (made["id"], made["status"]) == (tenant, "open")
    refused(operator.post("/api/v1/tenants", json={"id": tenant, "name": "Acme"}), 409, "tenant_exists")
    refused(operator.get("/api/products"), 403, "forbidden")
    client = client_of_tenant(tenant)
    product = _product(client)
    refused(client.get("/api/v1/tenants"), 403, "forbidden")
    answered(operator.patch(f"/api/v1/tenants/{tenant}", json={"status": "suspended"}), 200)
    refused(
        client_of_tenant(tenant).post("/api/v1/reservations", json=_cart(product, "a"), headers=keyed()),
        403,
        "tenant_suspended",
    )
    refund = f"/api/v1/orders/o-{'a' * 16}-{'0' * 32}/refund"
    refused(client.post(refund, json={}, headers=keyed()), 403, "tenant_suspended")
    answered(operator.patch(f"/api/v1/tenants/{tenant}", json={"status": "open"}), 200)
    answered(client_of_tenant(tenant).post("/api/v1/reservations", json=_cart(product, "a"), headers=keyed()), 201)


def test_what_a_tenant_sets_holds_for_its_requests(client_of_tenant: Clients, stack: Stack) -> None:
    tenant = _tenant()
    product = _product(client_of_tenant(tenant))
    admin = client_of_tenant(tenant)
    _wait_for_settings(admin, reserves_per_minute=3, hold_seconds=120, currencies=["EUR"], branding_name="Acme Hall")
    shown = answered(public(stack.base_url, tenant).get("/api/v1/branding"), 200)
    assert shown["name"] == "Acme Hall"
    client = client_of_tenant(tenant)
    refused(
        client.post("/api/products", json={"name": "x", "total_stock": 1, "currency": "USD"}), 400, "currency_not_used"
    )
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: client.post("/api/v1/reservations", json=_cart(product, "ann"), headers=keyed()), range(16)
            )
        )
    taken = [answer for answer in answers if answer.status_code == 201]
    late = [answer for answer in answers if answer.status_code == 429]
    assert len(taken) + len(late) == 16
    assert len(taken) in (3, 6), "three a minute of the clock, which may have turned meanwhile"
    assert late[0].headers["RateLimit-Limit"] == "3"
    assert 1 <= int(late[0].headers["Retry-After"]) <= 60
    assert answered(client.post("/api/v1/reservations", json=_cart(product, "bea"), headers=keyed()), 201)
    refused(client.patch("/api/v1/settings", json={"hold_seconds": 10**6}), 400, "validation_failed")


def test_a_captcha_is_asked_for_where_the_tenant_wants_one(client_of_tenant: Clients) -> None:
    tenant = _tenant()
    product = _product(client_of_tenant(tenant))
    captcha = {"provider": "sandbox", "site_key": "key", "hosts": ["shop.example.com"]}
    _wait_for_settings(client_of_tenant(tenant), captcha=captcha)
    client = client_of_tenant(tenant)
    refused(client.post("/api/v1/reservations", json=_cart(product, "ann"), headers=keyed()), 400, "captcha_required")
    headers = keyed() | {"X-Captcha-Token": "no-such-token"}
    refused(client.post("/api/v1/reservations", json=_cart(product, "ann"), headers=headers), 403, "captcha_failed")


@pytest.mark.parametrize("address", ROUTES)
def test_what_browsers_ask_beforehand_is_answered_on_every_route(anonymous: httpx.Client, address: str) -> None:
    path = address.replace("{", "").replace("}", "")
    headers = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": next(iter(ROUTES[address]))}
    answer = anonymous.options(path, headers=headers)
    assert answer.status_code == 204, answer.text
    assert set(ROUTES[address]) <= set(answer.headers["Allow"].split(", "))
    assert "Access-Control-Allow-Origin" not in answer.headers, "no origin is configured on this stack"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
