"""Tenants: made, listed, renamed, suspended and opened by operators, and by nobody else."""

import json
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from holdfast.platform import tables
from holdfast.platform.dynamodb import Store
from holdfast.platform.identity_items import EmailItem, PersonItem, TenantItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import Aws
from tests.handlers.gateway import Answer, Api, event, forget, load, send
from tests.handlers.user_pool import InMemoryCognito, installed

ROUTE = "/api/v1/tenants"
ACME = {"id": "acme", "name": "Acme Halls"}
ADMIN = {"email": "asha@example.com", "name": "Asha Rao"}


@pytest.fixture
def operator() -> Api:
    """The API as an operator's key reaches it."""
    return Api(tenant=tables.OPERATOR_TENANT, roles="operator")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The user pool of all functions, with nobody in it."""
    return installed(monkeypatch)


def made(operator: Api, tenant: str = "acme", **more: Any) -> Answer:
    return operator.post(ROUTE, {"id": tenant, "name": "Acme Halls"} | more)


def out() -> None:
    """Not answer, as a pool does whose connection is lost."""
    raise ReadTimeoutError(endpoint_url="cognito")


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [tenant["id"] for tenant in answer.json["items"]]


def test_a_tenant_is_made_open_and_with_nothing_set(operator: Api, identity_store: Store) -> None:
    answer = operator.post(ROUTE, ACME)
    assert answer.status == 201
    shown = answer.json
    assert {name: shown[name] for name in ("id", "name", "status", "admin")} == ACME | {"status": "open", "admin": None}
    assert shown["created_at"] == shown["updated_at"]
    stored = identity_store.get(TenantItem, Keys("acme").tenant_record())
    assert stored is not None
    assert (stored.settings, stored.version) == ("{}", 1)
    assert operator.get(f"{ROUTE}/acme").json == {name: shown[name] for name in shown if name != "admin"}


def test_an_id_is_taken_once(operator: Api, aws: Aws) -> None:
    assert made(operator).status == 201
    before = aws.dump()
    answer = made(operator, name="Another", admin=ADMIN)
    assert (answer.status, answer.code) == (409, "tenant_exists")
    assert aws.dump() == before


@pytest.mark.parametrize("tenant", ["operator", "health", "www", "api", "admin"])
def test_ids_of_the_house_are_given_to_nobody(operator: Api, aws: Aws, tenant: str) -> None:
    before = aws.dump()
    answer = made(operator, tenant)
    assert (answer.status, answer.faults()) == (400, {"id": "reserved"})
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(
            ({"id": wrong}, "id")
            for wrong in ("", "Acme", "a_b", "-a", "a-", "a" * 41, "a#b", "ä", "a\n", 5, None, "a.b")
        ),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": None}, "name"),
        ({"admin": {"email": "asha@example.com"}}, "admin.name"),
        ({"admin": {"email": "asha", "name": "Asha"}}, "admin.email"),
        ({"admin": ADMIN | {"role": "operator"}}, "admin.role"),
        ({"status": "open"}, "status"),
        ({"settings": {}}, "settings"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(
    operator: Api, aws: Aws, change: dict[str, Any], field: str
) -> None:
    before = aws.dump()
    answer = operator.post(ROUTE, ACME | change)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert set(answer.faults()) == {field}
    assert aws.dump() == before


def test_the_longest_and_the_shortest_id(operator: Api) -> None:
    for tenant in ("a", "0", "a-b", "9" * 40, "a" + "-" * 38 + "z"):
        assert made(operator, tenant).status == 201


def test_the_same_key_gives_the_same_tenant_and_another_body_is_refused(operator: Api) -> None:
    first = operator.post(ROUTE, ACME, key="k")
    operator.patch(f"{ROUTE}/acme", {"name": "Renamed", "status": "suspended"})
    assert operator.post(ROUTE, ACME, key="k").json == first.json
    assert operator.post(ROUTE, ACME | {"name": "Other"}, key="k").status == 422
    assert operator.post(ROUTE, ACME, key="another").code == "tenant_exists"
    assert operator.get(f"{ROUTE}/acme").json["name"] == "Renamed"


def test_the_first_admin_is_known_and_invited(operator: Api, pool: InMemoryCognito, identity_store: Store) -> None:
    answer = made(operator, admin=ADMIN)
    assert answer.status == 201, answer.text
    admin = answer.json["admin"]
    person = identity_store.get(PersonItem, Keys("acme").person(admin["id"]))
    assert person is not None
    assert (person.name, person.email, person.role, person.has_account) == ("Asha Rao", ADMIN["email"], "admin", True)
    assert admin["email"] == ADMIN["email"]
    pointer = identity_store.get(EmailItem, Keys("acme").email(ADMIN["email"]))
    assert pointer is not None
    assert pointer.user_id == admin["id"]
    assert list(pool.users) == [("acme", admin["id"])]
    assert pool.mails == [(ADMIN["email"], "invitation")]


def test_one_address_is_an_admin_of_several_tenants(operator: Api, pool: InMemoryCognito) -> None:
    for tenant in ("acme", "other"):
        assert made(operator, tenant, admin=ADMIN).status == 201
    assert sorted(tenant for tenant, _ in pool.users) == ["acme", "other"]


def test_a_repeat_finishes_what_broke_off_before_the_admin_was_invited(
    operator: Api, pool: InMemoryCognito, aws: Aws
) -> None:
    body = ACME | {"admin": ADMIN}
    with pool.hooked("before", "admin_create_user", out):
        assert operator.post(ROUTE, body, key="k").code == "unavailable"
    assert pool.users == {}
    assert operator.get(f"{ROUTE}/acme").json["status"] == "open"
    finished = operator.post(ROUTE, body, key="k")
    assert finished.status == 201
    assert list(pool.users) == [("acme", finished.json["admin"]["id"])]
    before = aws.dump()
    assert operator.post(ROUTE, body, key="k").json == finished.json
    assert pool.mails == [(ADMIN["email"], "invitation")]
    assert aws.dump() == before


def test_a_repeat_makes_nobody_an_admin_who_is_none_any_more(operator: Api, pool: InMemoryCognito, aws: Aws) -> None:
    body = ACME | {"admin": ADMIN}
    first = operator.post(ROUTE, body, key="k")
    admin = first.json["admin"]["id"]
    other = Api("acme", name="another-admin", roles="admin")
    assert other.patch(f"/api/v1/users/{admin}", {"role": "customer"}).status == 200
    for gone in (False, True):
        if gone:
            assert other.delete(f"/api/v1/users/{admin}").status == 200
        before = aws.dump()
        assert operator.post(ROUTE, body, key="k").json == first.json
        assert aws.dump() == before
    assert pool.mails == [(ADMIN["email"], "invitation")]
    assert pool.users == {}


def test_an_admin_who_has_come_is_not_invited_again(operator: Api, pool: InMemoryCognito) -> None:
    body = ACME | {"admin": ADMIN}
    admin = operator.post(ROUTE, body, key="k").json["admin"]
    pool.of("acme", admin["id"]).status = "CONFIRMED"
    pool.mails.clear()
    assert operator.post(ROUTE, body, key="k").json["admin"] == admin
    assert pool.mails == []


def test_the_first_admin_is_let_in_as_one(
    operator: Api, pool: InMemoryCognito, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = made(operator, admin=ADMIN).json["admin"]
    with tokens.published() as server:
        monkeypatch.setenv("JWKS_URL", server.url)
        forget("authorizer")
        context = tokens.bearer(tokens.good("acme", admin["id"]))
    forget("authorizer")
    assert (context["tenant"], context["name"], context["roles"]) == ("acme", admin["id"], "admin")
    assert send(event("GET", "/api/v1/settings", authorizer=context)).status == 200


def test_tenants_are_listed_page_by_page_in_the_order_of_their_ids(operator: Api) -> None:
    assert ids(operator.get(ROUTE)) == []
    for tenant in ("b", "a-b", "c", "a", "a0"):
        made(operator, tenant)
    operator.patch(f"{ROUTE}/b", {"status": "suspended"})
    first = operator.get(f"{ROUTE}?limit=2")
    second = operator.get(f"{ROUTE}?limit=2&next={first.json['next']}")
    third = operator.get(f"{ROUTE}?limit=2&next={second.json['next']}")
    assert ids(first) + ids(second) + ids(third) == ["a", "a-b", "a0", "b", "c"]
    assert third.json["next"] is None
    assert [tenant["status"] for tenant in second.json["items"]] == ["open", "suspended"]
    assert operator.get(f"{ROUTE}?next=x{first.json['next'][1:]}").status == 400
    assert operator.get(f"{ROUTE}?limit=0").status == 400


def test_a_tenant_is_renamed_suspended_and_opened_again(operator: Api) -> None:
    before = made(operator).json
    for change in ({"name": "Acme Theatres"}, {"status": "suspended"}, {"status": "open"}, {}):
        shown = operator.patch(f"{ROUTE}/acme", change).json
        assert {name: shown[name] for name in change} == change
        assert shown == operator.get(f"{ROUTE}/acme").json
    assert (shown["name"], shown["status"], shown["created_at"]) == ("Acme Theatres", "open", before["created_at"])


def test_a_change_that_changes_nothing_writes_nothing(operator: Api, aws: Aws) -> None:
    made(operator)
    before = aws.dump()
    for change in ({}, {"name": "Acme Halls"}, {"status": "open"}, {"name": None, "status": None}):
        assert operator.patch(f"{ROUTE}/acme", change).status == 200
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"status": "closed"}, "status"),
        ({"status": True}, "status"),
        ({"id": "other"}, "id"),
        ({"settings": {}}, "settings"),
    ],
)
def test_a_wrong_change_is_refused_by_its_field(operator: Api, change: dict[str, Any], field: str) -> None:
    made(operator)
    answer = operator.patch(f"{ROUTE}/acme", change)
    assert (answer.status, set(answer.faults())) == (400, {field})


@pytest.mark.parametrize("tenant", ["nobody", "operator"])
def test_what_is_no_tenant_is_neither_read_nor_changed(operator: Api, aws: Aws, tenant: str) -> None:
    """The operators' own is none: they cannot shut themselves out."""
    load("tenants").tenants.establish_operators(load("tenants").directory())
    before = aws.dump()
    for answer in (operator.get(f"{ROUTE}/{tenant}"), operator.patch(f"{ROUTE}/{tenant}", {"status": "suspended"})):
        assert (answer.status, answer.code) == (404, "tenant_not_found")
    assert aws.dump() == before


def test_the_operators_own_tenant_is_made_once_and_stands_in_no_list(operator: Api, aws: Aws) -> None:
    tenants = load("tenants")
    tenants.tenants.establish_operators(tenants.directory())
    before = aws.dump()
    tenants.tenants.establish_operators(tenants.directory())
    assert aws.dump() == before
    assert ids(operator.get(ROUTE)) == []


@pytest.mark.parametrize("roles", ["", "customer", "staff", "admin", "service", "admin service staff"])
def test_nobody_but_an_operator_keeps_tenants(operator: Api, api: Api, aws: Aws, roles: str) -> None:
    """Not even with every other role, and not the admin of the tenant that is asked about."""
    made(operator, api.tenant + "x")
    other = Api(tenant=api.tenant + "x", roles=roles)
    before = aws.dump()
    for answer in (
        other.get(ROUTE),
        other.post(ROUTE, ACME),
        other.get(f"{ROUTE}/{other.tenant}"),
        other.patch(f"{ROUTE}/{other.tenant}", {"status": "suspended"}),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before


def test_an_operators_key_of_other_scopes_keeps_no_tenants(operator: Api) -> None:
    reads = Api(tenant=operator.tenant, roles="operator", scopes="tenants:read")
    assert (reads.get(ROUTE).status, reads.post(ROUTE, ACME).status) == (200, 403)
    keys = Api(tenant=operator.tenant, roles="operator", scopes="keys:read keys:write")
    assert (keys.get(ROUTE).status, keys.post(ROUTE, ACME).status) == (403, 403)


def test_what_is_written_of_a_tenant_is_its_own_and_the_operators(operator: Api, aws: Aws) -> None:
    operator.post(ROUTE, ACME, key="k")
    owners = {item["pk"]["S"].partition("#")[0] for item in aws.items("holdfast-identity")}
    assert owners == {"acme", "operator"}
    assert json.loads(aws.dump())[0] == []
