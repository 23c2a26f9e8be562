"""A suspended tenant: nobody of it is served, what runs by itself runs on, and all is as it was once it is open."""

from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.identity import service_keys, tenants
from holdfast.identity.tenants import TenantStatus
from holdfast.platform import revocation
from holdfast.platform.access import ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store
from tests.handlers import tokens
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import Answer, Api, LambdaContext, event, forget, load, send
from tests.handlers.paying import BOUGHT, Buyer
from tests.workflow import Machines

REAL = revocation.looked_at_anew
USER = "018f3a2b4c50123456789abc"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where money moves the store is asked, as it is."""
    monkeypatch.setattr(revocation, "looked_at_anew", REAL)
    revocation._store.cache_clear()
    yield
    revocation._store.cache_clear()


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Access tokens are good."""
    with tokens.published() as server:
        monkeypatch.setenv("JWKS_URL", server.url)
        forget("authorizer")
        yield
    forget("authorizer")


@pytest.fixture
def credentials(api: Api, identity_store: Store, issuer: None) -> dict[str, str]:
    """A key of the tenant, and a token of one of its users, an admin."""
    tokens.account(identity_store, api.tenant, USER, "admin")
    key = service_keys.issue(identity_store, SystemClock(), api.tenant, ("admin", "service"), "tests")
    return {"key": key, "token": tokens.good(api.tenant, USER)}


def suspend(tenant: str, status: TenantStatus = TenantStatus.SUSPENDED) -> None:
    """Suspend a tenant, or open it again."""
    tenants.change(load("tenants").directory(), tenant, {"status": status})


def request(context: dict[str, Any], method: str, target: str, text: str | None = None) -> Answer:
    headers = {"Content-Type": "application/json"} if text else {}
    return send(event(method, target, text=text, headers=headers, authorizer=context))


@pytest.mark.parametrize("kind", ["key", "token"])
def test_the_authorizer_lets_nobody_of_a_suspended_tenant_in(
    api: Api, credentials: dict[str, str], aws: Aws, kind: str
) -> None:
    create = ("POST", "/api/products", '{"name": "Laptop", "total_stock": 1}')
    assert request(tokens.bearer(credentials[kind]), *create).status == 201
    suspend(api.tenant)
    before = aws.dump()
    context = tokens.bearer(credentials[kind])
    assert context == {"refusal": "tenant_suspended"}
    for answer in (request(context, *create), request(context, "GET", "/api/products")):
        assert (answer.status, answer.code) == (403, "tenant_suspended")
    assert aws.dump() == before
    suspend(api.tenant, TenantStatus.OPEN)
    assert request(tokens.bearer(credentials[kind]), *create).data["id"] == "2"


@pytest.mark.parametrize("kind", ["key", "token"])
def test_where_money_moves_a_suspension_is_heeded_at_once(
    api: Api, credentials: dict[str, str], looked_at: None, aws: Aws, kind: str
) -> None:
    """Though API Gateway still goes by what the authorizer said a moment ago."""
    api.new_product(5, price=5)
    api.reserve(USER, "1", 2)
    kept = tokens.bearer(credentials[kind])
    suspend(api.tenant)
    before = aws.dump()
    answers = [
        request(kept, "POST", "/api/checkout", f'{{"user_id": "{USER}", "product_id": "1", "quantity": 1}}'),
        request(kept, "POST", "/api/payments", '{"token": "tok", "orderId": "o-1"}'),
        request(kept, "POST", "/api/v1/orders/o-1/cancel"),
        request(kept, "POST", "/api/v1/orders/o-1/refund", "{}"),
        request(kept, "POST", "/api/v1/reservations/r-1/checkout", "{}"),
        request(kept, "POST", "/api/v1/bookings/b-1/cancel"),
        request(kept, "PATCH", "/api/v1/settings", '{"hold_seconds": 60}'),
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(403, "tenant_suspended")}
    assert aws.dump() == before


def test_what_moves_money_is_asked_of_the_store_by_the_table_of_routes() -> None:
    """What the requests above are examples of; a route that moves money and is not looked at anew stands out here."""
    looked_at_anew = {
        address for address, methods in ROUTES.items() for access in methods.values() if access.is_looked_at_anew
    }
    assert looked_at_anew >= {
        "/api/checkout",
        "/api/payments",
        "/api/v1/bookings/{booking_id}/cancel",
        "/api/v1/bookings/{booking_id}/confirm",
        "/api/v1/orders/{order_id}/cancel",
        "/api/v1/orders/{order_id}/refund",
        "/api/v1/reservations/{reservation_id}/checkout",
    }


def test_a_payment_under_way_is_still_taken_in(
    api: Api, store: Store, clock: HandMovedClock, machines: Machines
) -> None:
    """Whoever pays while the tenant is suspended gets what they paid for."""
    buyer = Buyer(api, store, clock, machines)
    buyer.check_out()
    suspend(api.tenant)
    assert buyer.tell(buyer.paid_at_provider()).status == 200
    assert buyer.ending() == BOUGHT


def test_holds_of_a_suspended_tenant_still_expire(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5)
    api.reserve("alice", product, 2)
    suspend(api.tenant)
    clock.advance(606)
    assert load("sweeper").handler({}, LambdaContext())["holds"] == 1
    assert api.units(product) == (5, 5, 0, 0)


def test_a_suspension_is_of_one_tenant(api: Api, credentials: dict[str, str]) -> None:
    other = f"{api.tenant}x"
    found_tenant(other)
    suspend(other)
    assert request(tokens.bearer(credentials["key"]), "GET", "/api/products").status == 200
