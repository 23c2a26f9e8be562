"""Every route of the API document against everybody who may not call it: refused, and nothing is changed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.platform.access import ROUTES, Access, scope_of
from tests.access.routes import ROWS, Row
from tests.access.world import RIVAL, SUSPENDED, TENANT, Request, World
from tests.handlers import tokens
from tests.handlers.gateway import resource_of

DOCUMENT = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())
ROLES = ("customer", "staff", "admin", "service", "operator")
PEOPLE = {"customer": f"{TENANT}/bob", "staff": f"{TENANT}/sam", "admin": f"{TENANT}/ada", "operator": "operator/olga"}


def _access(row: Row) -> Access:
    return ROUTES[_address(row)][row.method]


def _address(row: Row) -> str:
    return resource_of(row.path.partition("?")[0].replace("{", "").replace("}", "").replace(" ", "-"))


of_rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
LOOKED_AT_ANEW = [row for row in ROWS if _access(row).is_looked_at_anew]
OF_A_ROLE = [row for row in LOOKED_AT_ANEW if "customer" not in _access(row).roles]


def test_every_route_of_the_document_is_in_the_table_and_has_a_row_here() -> None:
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    listed = {(method, path) for path, methods in ROUTES.items() for method in methods}
    assert documented == listed
    asking = {(method, path) for method, path in listed if not ROUTES[path][method].is_public}
    assert {(row.method, _address(row)) for row in ROWS} == asking


def test_the_document_asks_for_a_credential_where_the_table_does() -> None:
    for path, methods in ROUTES.items():
        for method, access in methods.items():
            security = DOCUMENT["paths"][path][method.lower()]["security"]
            assert access.is_public == (not security or {} in security), f"{method} {path}"


@of_rows
def test_nobody_without_a_good_credential_is_let_in(world: World, row: Row) -> None:
    before = world.aws.dump()
    request = row.request(world)
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "bearer x y",
        "Basic YTpi",
        world.credentials[f"{TENANT}/ada"],
        "Bearer hk_acme_zz",
        f"Bearer hk_Acme_{'0' * 64}",
        f"Bearer {world.credentials[f'{TENANT}/key'].upper()}",
        f"Bearer {world.credentials[f'{TENANT}/key'][:-1]}",
        f"Bearer {world.credentials[f'{TENANT}/key'].replace(TENANT, RIVAL)}",
        f"Bearer {world.credentials[f'{TENANT}/ada']}x",
        *(f"Bearer {bad(TENANT, user)}" for bad in tokens.BAD for user in ("alice", "ada")),
        *(f"Bearer {bad('operator', 'olga')}" for bad in tokens.BAD),
        *(f"Bearer {world.credentials[f'signed out {role}']}" for role in ("customer", "staff", "admin")),
        *(
            f"Bearer {world.credentials[who]}"
            for who in ("without an account", "known by phone only", "expired key", "unknown key")
        ),
    ):
        answer = world.ask_with(request, authorization)
        assert (answer.status, answer.code) == (401, "unauthorized"), authorization
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert world.aws.dump() == before


@of_rows
def test_nobody_of_a_suspended_tenant_is_let_in(world: World, row: Row) -> None:
    before = world.aws.dump()
    for who in (f"{SUSPENDED}/gina", f"{SUSPENDED}/key"):
        answer = world.ask_as(row.request(world), who)
        assert (answer.status, answer.code) == (403, "tenant_suspended"), who
    assert world.aws.dump() == before


@of_rows
def test_nobody_of_too_low_a_role_is_let_in(world: World, row: Row) -> None:
    before = world.aws.dump()
    credentials = {role: world.credentials[who] for role, who in PEOPLE.items()}
    for role in set(ROLES) - _access(row).roles:
        credential = credentials.get(role) or world.credentials[f"{TENANT}/service"]
        answer = world.ask(row.request(world), credential)
        assert (answer.status, answer.code) == (403, "forbidden"), role
    assert world.aws.dump() == before


@of_rows
def test_no_key_is_let_in_whose_scopes_leave_the_route_out(put_back: World, row: Row) -> None:
    world, access = put_back, _access(row)
    needed = scope_of(row.method, access.area)
    other = {scope_of(method, area) for area in {"catalogue", access.area} for method in ("GET", "POST")} - {needed}
    key = world.limited_to(*other)
    before = world.aws.dump()
    answer = world.ask(row.request(world), key)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert world.aws.dump() == before
    # Keys have no accounts, give no more than they have themselves, and those of tenants see to no tenants.
    if not access.for_people and access.area not in ("keys", "tenants"):
        assert world.ask(row.request(world), world.limited_to(needed)).status not in (401, 403)


@pytest.mark.parametrize("row", [row for row in ROWS if _access(row).for_people], ids=lambda row: row.name)
def test_no_key_is_let_in_where_an_account_is_meant(world: World, row: Row) -> None:
    before = world.aws.dump()
    answer = world.ask_as(row.request(world), f"{TENANT}/key")
    assert (answer.status, answer.code) == (403, "forbidden")
    assert world.aws.dump() == before


@of_rows
def test_its_rightful_caller_is_let_in(put_back: World, row: Row) -> None:
    answer = put_back.ask_as(row.request(put_back), row.who)
    assert answer.status in row.success, answer.text


def test_the_routes_that_move_money_or_give_access_are_looked_at_anew() -> None:
    assert {f"{row.method} {_address(row)}" for row in LOOKED_AT_ANEW} == {
        "DELETE /api/users/totp",
        "DELETE /api/v1/keys/{key_id}",
        "DELETE /api/v1/users/{user_id}",
        "GET /api/v1/users/{user_id}/export",
        "PATCH /api/v1/settings",
        "PATCH /api/v1/tenants/{tenant_id}",
        "PATCH /api/v1/users/{user_id}",
        "POST /api/checkout",
        "POST /api/payments",
        "POST /api/users/password",
        "POST /api/users/totp",
        "POST /api/users/totp/confirm",
        "POST /api/v1/bookings/{booking_id}/cancel",
        "POST /api/v1/bookings/{booking_id}/confirm",
        "POST /api/v1/keys",
        "POST /api/v1/keys/{key_id}/rotate",
        "POST /api/v1/orders/{order_id}/cancel",
        "POST /api/v1/orders/{order_id}/refund",
        "POST /api/v1/reservations/{reservation_id}/checkout",
        "POST /api/v1/tenants",
        "POST /api/v1/users",
        "POST /api/v1/users/{user_id}/invite",
        "PUT /api/checkout",
        "PUT /api/v1/settings/payments",
    }


@pytest.mark.parametrize("row", LOOKED_AT_ANEW, ids=lambda row: row.name)
def test_who_signed_out_or_was_revoked_a_moment_ago_is_not_let_in_where_money_or_access_moves(
    put_back: World, row: Row
) -> None:
    """API Gateway goes by what the authorizer said for a minute; the world remembers it for good."""
    world = put_back
    world.revoke(row.who)
    before = world.aws.dump()
    answer = world.ask_as(row.request(world), row.who)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert world.aws.dump() == before


@pytest.mark.parametrize(
    "row", [row for row in LOOKED_AT_ANEW if "customer" not in _access(row).roles], ids=lambda row: row.name
)
def test_who_lost_a_role_a_moment_ago_has_it_no_more_where_money_or_access_moves(put_back: World, row: Row) -> None:
    world = put_back
    world.demote(row.who)
    before = world.aws.dump()
    answer = world.ask_as(row.request(world), row.who)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert world.aws.dump() == before


def test_public_routes_of_a_suspended_tenant_and_of_none_show_nothing(world: World) -> None:
    for address, methods in ROUTES.items():
        for method, access in methods.items():
            if not access.is_public or not _names_a_tenant(method, address):
                continue
            request = _public_request(method, address)
            answers = [world.ask_with(request.of(tenant), None) for tenant in (SUSPENDED, "nobody-has-this")]
            assert [answer.status for answer in answers] == [404, 404], (method, address, answers[0].text)
            assert {answer.code for answer in answers} == {"tenant_not_found"}, (method, address)


def _public_request(method: str, address: str) -> Request:
    """Return a request of a public route as the document shows it."""
    operation = DOCUMENT["paths"][address][method.lower()]
    required = {parameter["name"]: _example(parameter) for parameter in operation.get("parameters", [])}
    path = re.sub(r"\{(\w+)\}", lambda match: str(required[match[1]]), address)
    query = "&".join(f"{p['name']}={_example(p)}" for p in operation.get("parameters", []) if p["in"] == "query")
    body = operation["requestBody"]["content"]["application/json"]["example"] if "requestBody" in operation else None
    return Request(method, f"{path}?{query}" if query else path, body)


def _example(parameter: Any) -> Any:
    return parameter["schema"].get("examples", ["1"])[0]


def _names_a_tenant(method: str, address: str) -> bool:
    operation = DOCUMENT["paths"][address][method.lower()]
    return any(parameter["name"] == "X-Tenant-Id" for parameter in operation.get("parameters", []))
