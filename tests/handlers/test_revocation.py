"""Where money moves or rights are given, a credential is looked at anew, whatever the gateway still remembers of it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.identity.service_keys import issue
from holdfast.platform import revocation
from holdfast.platform.access import ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.credentials import digest_of
from holdfast.platform.dynamodb import Contended, Delete, Store, Update
from holdfast.platform.errors import Unavailable
from holdfast.platform.identity_items import PersonItem, ServiceKeyItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import IDENTITY, Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import Answer, event, forget, send
from tests.handlers.tokens import bearer

REAL = revocation.looked_at_anew
TENANT = "acme"
USER, OTHER = "018f3a2b4c50123456789abc", "018f3a2b4c50123456789abd"
LOOKED_AT = [
    (method, route) for route in ROUTES for method, access in ROUTES[route].items() if access.is_looked_at_anew
]
CHECKOUT = ("POST", "/api/checkout")
RESERVE = ("POST", "/api/reserve")

Happens = Callable[[Store, dict[str, Any]], None]


@pytest.fixture(autouse=True)
def standing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Callers are looked at by what really does it."""
    revocation._store.cache_clear()
    monkeypatch.setattr(revocation, "looked_at_anew", REAL)
    with tokens.published() as pool:
        monkeypatch.setenv("JWKS_URL", pool.url)
        forget("authorizer")
        yield
    forget("authorizer")
    revocation._store.cache_clear()


@pytest.fixture
def admin(identity_store: Store) -> dict[str, Any]:
    """What the gateway remembers of an admin who signed in a minute ago."""
    found_tenant(TENANT)
    tokens.account(identity_store, TENANT, USER, role="admin")
    return bearer(tokens.good(TENANT, USER, int(time.time()) - 60))


@pytest.fixture
def server(identity_store: Store) -> dict[str, Any]:
    """What the gateway remembers of a service key."""
    found_tenant(TENANT)
    return bearer(issue(identity_store, SystemClock(), TENANT, ("admin", "service", "staff"), "tests"))


def ask(context: dict[str, Any], route: tuple[str, str], **body: Any) -> Answer:
    method, path = route
    return send(event(method, path, text=json.dumps(body), authorizer=dict(context)))


def buy(context: dict[str, Any], user: str, route: tuple[str, str] = CHECKOUT) -> Answer:
    """Ask to buy, or to hold, a thing that is not there: let in, the answer is 400 or 404."""
    return ask(context, route, user_id=user, product_id="1", quantity=1)


def signed_out(store: Store, _: dict[str, Any]) -> None:
    store.write(Update(Keys(TENANT).person(USER), [PersonItem.signed_out_at.set(SystemClock().now())]))


def account_closed(store: Store, _: dict[str, Any]) -> None:
    store.write(Update(Keys(TENANT).person(USER), [PersonItem.has_account.remove()]))


def person_gone(store: Store, _: dict[str, Any]) -> None:
    store.write(Delete(Keys(TENANT).person(USER)))


def key_revoked(store: Store, context: dict[str, Any]) -> None:
    store.write(Delete(Keys(TENANT).service_key(context["credential"].removeprefix("key:"))))


def key_over(store: Store, context: dict[str, Any]) -> None:
    key = Keys(TENANT).service_key(context["credential"].removeprefix("key:"))
    store.write(Update(key, [ServiceKeyItem.expires_at.set(SystemClock().now())]))


def tenant_gone(store: Store, _: dict[str, Any]) -> None:
    store.write(Delete(Keys(TENANT).tenant_record()))


def suspended(_: Store, __: dict[str, Any]) -> None:
    found_tenant(TENANT, status="suspended")


OF_USERS = [
    (signed_out, 401, "unauthorized"),
    (account_closed, 401, "unauthorized"),
    (person_gone, 401, "unauthorized"),
    (tenant_gone, 401, "unauthorized"),
    (suspended, 403, "tenant_suspended"),
]
OF_KEYS = [
    (key_revoked, 401, "unauthorized"),
    (key_over, 401, "unauthorized"),
    (tenant_gone, 401, "unauthorized"),
    (suspended, 403, "tenant_suspended"),
]


def refused(context: dict[str, Any], store: Store, happens: Happens, status: int, code: str) -> None:
    """See that a caller is let in, and once something happens no more, but where nothing moves."""
    for route in (CHECKOUT, RESERVE):
        assert buy(context, USER, route).status in (400, 404)
    happens(store, context)
    answer = buy(context, USER)
    assert (answer.status, answer.code) == (status, code)
    assert buy(context, USER, RESERVE).status in (400, 404)


@pytest.mark.parametrize(("happens", "status", "code"), OF_USERS)
def test_rule_25_a_user_is_refused_at_once(
    admin: dict[str, Any], identity_store: Store, happens: Happens, status: int, code: str
) -> None:
    refused(admin, identity_store, happens, status, code)


@pytest.mark.parametrize(("happens", "status", "code"), OF_KEYS)
def test_rule_25_a_key_is_refused_at_once(
    server: dict[str, Any], identity_store: Store, happens: Happens, status: int, code: str
) -> None:
    refused(server, identity_store, happens, status, code)


@pytest.mark.parametrize(("method", "route"), LOOKED_AT)
def test_rule_25_every_route_that_looks_anew_refuses_before_anything_else(
    server: dict[str, Any], admin: dict[str, Any], identity_store: Store, aws: Aws, method: str, route: str
) -> None:
    """The body is no JSON at all, and nobody is told so."""
    key_revoked(identity_store, server)
    signed_out(identity_store, admin)
    before = aws.dump()
    path = "/".join("x" if part.startswith("{") else part for part in route.split("/"))
    caller = admin if ROUTES[route][method].for_people else server
    context = caller | {"roles": "admin customer operator service staff"}
    answer = send(event(method, path, text="{not json", authorizer=context))
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert aws.dump() == before


def test_money_and_rights_are_what_is_looked_at_anew() -> None:
    """What a stolen credential could do lasting harm with, in the minute for which the gateway still lets it in."""
    assert set(LOOKED_AT) >= {
        CHECKOUT,
        ("PUT", "/api/checkout"),
        ("POST", "/api/payments"),
        ("POST", "/api/v1/reservations/{reservation_id}/checkout"),
        ("POST", "/api/v1/orders/{order_id}/refund"),
        ("POST", "/api/v1/keys"),
        ("POST", "/api/v1/keys/{key_id}/rotate"),
        ("DELETE", "/api/v1/keys/{key_id}"),
        ("PATCH", "/api/v1/users/{user_id}"),
        ("POST", "/api/v1/users/{user_id}/invite"),
        ("PUT", "/api/v1/settings/payments"),
        ("POST", "/api/v1/tenants"),
        ("PATCH", "/api/v1/tenants/{tenant_id}"),
    }


def test_who_lost_a_role_has_it_no_more(admin: dict[str, Any], identity_store: Store) -> None:
    refund = ("POST", "/api/v1/orders/o-none/refund")
    assert ask(admin, refund).status not in (401, 403)
    tokens.account(identity_store, TENANT, USER, role="customer")
    answer = ask(admin, refund)
    assert (answer.status, answer.code) == (403, "forbidden")


def test_who_lost_a_role_acts_for_nobody_else_where_the_route_is_for_all(
    admin: dict[str, Any], identity_store: Store
) -> None:
    """The function itself knows the caller as it is now."""
    assert buy(admin, OTHER).status in (400, 404)
    tokens.account(identity_store, TENANT, USER, role="customer")
    answer = buy(admin, OTHER)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert buy(admin, USER).status in (400, 402, 404)


def test_what_the_function_knows_is_what_the_store_has(admin: dict[str, Any], identity_store: Store) -> None:
    found_tenant(TENANT, '{"hold_seconds": 77}')
    tokens.account(identity_store, TENANT, USER, role="staff")
    request = event(*CHECKOUT, text="{}", authorizer=dict(admin))
    send(request)
    assert request["requestContext"]["authorizer"] == admin | {"roles": "staff", "settings": '{"hold_seconds": 77}'}


def test_a_new_role_comes_with_the_gateways_next_question(admin: dict[str, Any], identity_store: Store) -> None:
    """What a context does not allow is not looked at anew, so that refusals cost nothing."""
    tokens.account(identity_store, TENANT, USER, role="admin")
    assert ask(admin | {"roles": "customer"}, ("POST", "/api/v1/orders/o-none/refund")).code == "forbidden"


def test_a_sign_in_after_signing_out_is_good(admin: dict[str, Any], identity_store: Store) -> None:
    now = int(time.time())
    tokens.account(identity_store, TENANT, USER, role="admin", signed_out_at=(now - 10) * 1000)
    assert buy(admin, USER).code == "unauthorized"
    assert buy(bearer(tokens.good(TENANT, USER, now - 8)), USER).status in (400, 404)


def test_a_key_in_its_grace_is_good_until_that_is_over(
    server: dict[str, Any], identity_store: Store, clock: HandMovedClock
) -> None:
    key = Keys(TENANT).service_key(server["credential"].removeprefix("key:"))
    identity_store.write(Update(key, [ServiceKeyItem.expires_at.set(clock.milliseconds + 1000)]))
    assert buy(server, USER).status in (400, 404)
    clock.advance(1)
    assert buy(server, USER).code == "unauthorized"


@pytest.mark.parametrize("credential", ["", "key:", "session:", f"session:{USER}", "cookie:1", "key:" + "0" * 64])
def test_a_context_that_names_no_credential_moves_nothing(admin: dict[str, Any], credential: str) -> None:
    assert buy(admin | {"credential": credential}, USER).code == "unauthorized"


def test_another_tenants_credential_is_none(admin: dict[str, Any], server: dict[str, Any]) -> None:
    found_tenant("other")
    for context in (admin, server):
        assert buy(context | {"tenant": "other"}, USER).code == "unauthorized"


@pytest.mark.parametrize(("trouble", "code"), [(Contended, "busy"), (Unavailable, "unavailable")])
def test_where_it_cannot_be_looked_at_nothing_moves(
    admin: dict[str, Any], monkeypatch: pytest.MonkeyPatch, aws: Aws, trouble: type[Exception], code: str
) -> None:
    def troubled(*_: Any) -> None:
        raise trouble

    before = aws.dump()
    monkeypatch.setattr(Store, "batch_get", troubled)
    answer = buy(admin, USER)
    assert (answer.status, answer.code) == (503, code)
    assert aws.dump() == before


def test_looking_anew_is_one_request_and_other_routes_make_none(
    admin: dict[str, Any], server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = Store._call

    def written_down(store: Store, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if store._table == IDENTITY:
            made.append(operation)
        return real(store, operation, arguments)

    monkeypatch.setattr(Store, "_call", written_down)
    for context in (admin, server):
        buy(context, USER)
        assert made == ["BatchGetItem"]
        made.clear()
        buy(context, USER, RESERVE)
        assert made == []


def test_a_rotated_away_key_issues_itself_no_other(server: dict[str, Any], identity_store: Store, aws: Aws) -> None:
    key_revoked(identity_store, server)
    before = aws.dump()
    assert ask(server, ("POST", "/api/v1/keys"), label="mine", roles=["admin"]).code == "unauthorized"
    assert aws.dump() == before


def test_a_hash_is_what_a_key_is_known_by(identity_store: Store) -> None:
    found_tenant(TENANT)
    key = issue(identity_store, SystemClock(), TENANT, ("service",), "tests")
    assert bearer(key)["credential"] == f"key:{digest_of(key)}"
