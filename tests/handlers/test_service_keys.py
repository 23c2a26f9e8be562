"""Service keys over the API: issued, listed, rotated and revoked, shown once, and never stored."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from holdfast.identity import service_keys
from holdfast.identity.service_keys import roles_given_by
from holdfast.platform import secrets
from holdfast.platform.access import ADMIN, AREAS, STAFF
from holdfast.platform.clock import SystemClock
from holdfast.platform.credentials import digest_of
from holdfast.platform.dynamodb import Store
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.tables import Keys
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import Answer, Api, forget, load
from tests.handlers.tokens import bearer

KEYS = "/api/v1/keys"
BODY = {"label": "web shop", "roles": ["service", "staff"]}
DAY = 86_400_000
SSM = "/holdfast/keys"


@pytest.fixture(autouse=True)
def _cold() -> None:
    """Nobody has a client of an account that is gone."""
    secrets.client.cache_clear()
    forget("service_keys")


@pytest.fixture
def api(api: Api) -> Api:
    """The API as an admin of a tenant that is there reaches it."""
    found_tenant(api.tenant)
    return replace(api, roles="admin")


def limited(api: Api, *scopes: str) -> Api:
    """Return the API as a key of these scopes reaches it."""
    return replace(api, name="key-000000000000", scopes=" ".join(scopes))


def issued(api: Api, key: str | None = None, **other: Any) -> dict[str, Any]:
    answer = api.post(KEYS, BODY | other, key=key)
    assert answer.status == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def rotated(api: Api, key_id: str, key: str | None = None, **body: Any) -> Answer:
    return api.post(f"{KEYS}/{key_id}/rotate", body, key=key)


def listed(api: Api) -> dict[str, dict[str, Any]]:
    """Return all keys of the tenant by their ids."""
    answer = api.get(f"{KEYS}?limit=100")
    assert answer.status == 200, answer.text
    assert answer.json["next"] is None
    return {item["id"]: item for item in answer.json["items"]}


def is_good(key: str) -> bool:
    """Return whether the authorizer lets a key in."""
    return "name" in bearer(key)


def test_a_key_is_issued_and_lets_its_bearer_in(api: Api, clock: HandMovedClock) -> None:
    found = issued(api)
    assert re.fullmatch(rf"hk_{api.tenant}_[0-9a-f]{{64}}", found["key"])
    assert found["id"] == f"k-{digest_of(found['key'])[:16]}"
    assert {name: found[name] for name in found if name not in ("id", "key", "created_at")} == {
        "label": "web shop",
        "roles": ["service", "staff"],
        "scopes": None,
        "expires_at": None,
        "replaced_by": None,
    }
    context = bearer(found["key"])
    assert (context["tenant"], context["roles"], context["scopes"]) == (api.tenant, "service staff", "*")


def test_a_keys_scopes_are_what_its_bearer_has(api: Api) -> None:
    found = issued(api, scopes=["reservations:write", "catalogue:read", "catalogue:read"])
    assert found["scopes"] == ["catalogue:read", "reservations:write"]
    assert bearer(found["key"])["scopes"] == "catalogue:read reservations:write"


def test_a_key_is_over_when_its_days_are(api: Api, clock: HandMovedClock) -> None:
    found = issued(api, expires_in_days=2)
    clock.advance(2 * 86_400 - 1)
    assert is_good(found["key"])
    clock.advance(1)
    assert not is_good(found["key"])
    assert found["id"] in listed(api)


def test_a_key_is_nowhere_but_in_the_answer(api: Api, aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    for found in (issued(api), issued(api, key="once"), rotated(api, issued(api)["id"], key="twice").json):
        kept = aws.dump() + json.dumps(listed(api)) + " ".join(str(vars(record)) for record in caplog.records)
        assert found["key"].rpartition("_")[2] not in kept
    parameter = boto3.client("ssm").get_parameter(Name=f"{SSM}/{api.tenant}", WithDecryption=True)["Parameter"]
    assert parameter["Type"] == "SecureString"
    assert len(parameter["Value"]) == 64
    assert parameter["Value"] not in aws.dump()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"label": ""}, "label"),
        ({"label": " "}, "label"),
        ({"label": "x" * 81}, "label"),
        ({"label": 7}, "label"),
        ({"roles": []}, "roles"),
        ({"roles": ["root"]}, "roles.0"),
        ({"roles": ["customer"]}, "roles.0"),
        ({"roles": ["operator"]}, "roles"),
        ({"roles": ["staff", "operator"]}, "roles"),
        ({"roles": "admin"}, "roles"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["*"]}, "scopes.0"),
        ({"scopes": ["catalogue"]}, "scopes.0"),
        ({"scopes": ["kitchen:read"]}, "scopes.0"),
        ({"scopes": ["catalogue:read\n"]}, "scopes.0"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 3_651}, "expires_in_days"),
        ({"expires_in_days": "1"}, "expires_in_days"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_key_that_could_not_be_is_refused(api: Api, aws: Aws, wrong: dict[str, Any], field: str) -> None:
    before = aws.dump()
    answer = api.post(KEYS, BODY | wrong)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert field in answer.faults()
    assert aws.dump() == before


def test_every_area_can_be_a_scope(api: Api) -> None:
    scopes = sorted(f"{area}:{what}" for area in AREAS for what in ("read", "write"))
    assert issued(api, scopes=scopes)["scopes"] == scopes


@pytest.mark.parametrize("roles", ["staff", "service", "customer", "service staff", "operator-not", ""])
def test_only_admins_keep_keys(api: Api, aws: Aws, roles: str) -> None:
    key_id = issued(api)["id"]
    before, other = aws.dump(), replace(api, roles=roles)
    for answer in (
        other.post(KEYS, BODY),
        other.get(KEYS),
        rotated(other, key_id),
        other.delete(f"{KEYS}/{key_id}"),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before


def test_the_operators_tenant_gives_keys_for_operators_alone_and_by_operators_alone(api: Api) -> None:
    found_tenant("operator")
    operator = replace(api, tenant="operator", roles="operator")
    found = issued(operator, roles=["operator"])
    assert bearer(found["key"])["roles"] == "operator"
    for roles in (["admin"], ["operator", "admin"]):
        assert operator.post(KEYS, BODY | {"roles": roles}).faults() == {"roles": "role_not_given"}
    admin = replace(operator, roles="admin")
    for answer in (
        admin.post(KEYS, BODY | {"roles": ["operator"]}),
        rotated(admin, found["id"]),
        admin.delete(f"{KEYS}/{found['id']}"),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert is_good(found["key"])
    assert rotated(operator, found["id"]).status == 201


def test_a_key_gives_only_scopes_that_it_has_itself(api: Api, aws: Aws) -> None:
    own = limited(api, "keys:write", "keys:read", "catalogue:read")
    found = issued(own, roles=["admin"], scopes=["catalogue:read", "keys:write"])
    assert found["scopes"] == ["catalogue:read", "keys:write"]
    before = aws.dump()
    for scopes in (None, ["catalogue:write"], ["catalogue:read", "orders:write"]):
        answer = own.post(KEYS, BODY | {"roles": ["admin"], "scopes": scopes})
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before


@pytest.mark.parametrize("roles", [["service"], ["staff"], ["admin", "service"]])
def test_a_key_that_is_limited_gives_rotates_and_revokes_only_roles_that_it_has_itself(
    api: Api, aws: Aws, roles: list[str]
) -> None:
    """A service says what was paid elsewhere, which an admin may not: a limited admin makes no service of itself."""
    other = issued(api, roles=roles, scopes=["orders:write"])
    own = limited(api, "keys:write", "orders:write")
    before = aws.dump()
    for answer in (
        own.post(KEYS, {"label": "x", "roles": roles, "scopes": ["orders:write"]}),
        rotated(own, other["id"]),
        own.delete(f"{KEYS}/{other['id']}"),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert (aws.dump(), is_good(other["key"])) == (before, True)


def test_a_key_rotates_and_revokes_none_that_may_more_than_itself(api: Api, aws: Aws) -> None:
    wide, other = issued(api), issued(api, scopes=["orders:write"])
    own = limited(api, "keys:write", "catalogue:read")
    before = aws.dump()
    for found in (wide, other):
        for answer in (rotated(own, found["id"]), own.delete(f"{KEYS}/{found['id']}")):
            assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    narrow = issued(api, roles=["admin"], scopes=["catalogue:read"])
    renewed = rotated(own, narrow["id"])
    assert (renewed.status, renewed.json["scopes"]) == (201, ["catalogue:read"])
    assert own.delete(f"{KEYS}/{renewed.json['id']}").status == 200


@pytest.mark.parametrize(("scopes", "reads", "writes"), [("keys:read", 200, 403), ("keys:write", 403, 201)])
def test_keys_are_read_and_written_by_scopes_of_their_own(api: Api, scopes: str, reads: int, writes: int) -> None:
    own = limited(api, scopes)
    assert own.get(KEYS).status == reads
    assert own.post(KEYS, BODY | {"roles": ["admin"], "scopes": [scopes]}).status == writes


def test_keys_are_listed_a_page_at_a_time_and_without_what_makes_them_keys(api: Api) -> None:
    made = {found["id"]: found for found in (issued(api, label=f"till {number}") for number in range(7))}
    found: list[dict[str, Any]] = []
    target = f"{KEYS}?limit=3"
    for most in (3, 3, 1):
        page = api.get(target).json
        assert len(page["items"]) == most
        found += page["items"]
        target = f"{KEYS}?limit=3&next={page['next']}"
    assert page["next"] is None
    assert [item["id"] for item in found] == sorted(made)
    for item in found:
        assert item == {name: value for name, value in made[item["id"]].items() if name != "key"}


def test_a_page_that_is_full_and_the_last_has_nothing_after_it(api: Api) -> None:
    for _ in range(2):
        issued(api)
    assert api.get(f"{KEYS}?limit=2").json["next"] is None


def test_another_tenants_keys_are_neither_listed_nor_there(api: Api, aws: Aws) -> None:
    found = issued(api)
    found_tenant("other")
    other = replace(api, tenant="other")
    assert listed(other) == {}
    before = aws.dump()
    for key_id in (found["id"], "k-0123456789abcdef", "k-", "0123456789abcdef", found["id"][2:], found["id"] + "0"):
        for answer in (rotated(other, key_id), other.delete(f"{KEYS}/{key_id}")):
            assert (answer.status, answer.code) == (404, "key_not_found")
    assert aws.dump() == before
    issued(other)
    issued(other)
    token = other.get(f"{KEYS}?limit=1").json["next"]
    assert api.get(f"{KEYS}?limit=1&next={token}").faults() == {"next": "invalid"}


@pytest.mark.parametrize("key_id", ["k-", "k-012345678", "k-0123456789ABCDEF", "k-0123456789abcde", "x", "k" * 40])
def test_ids_of_no_key_are_not_there(api: Api, key_id: str) -> None:
    issued(api)
    for answer in (rotated(api, key_id), api.delete(f"{KEYS}/{key_id}")):
        assert (answer.status, answer.code) == (404, "key_not_found")


def test_a_revoked_key_is_dead_at_once(api: Api) -> None:
    found = issued(api)
    answer = api.delete(f"{KEYS}/{found['id']}")
    assert (answer.status, answer.json) == (200, {"id": found["id"], "revoked": True})
    assert not is_good(found["key"])
    assert listed(api) == {}
    assert api.delete(f"{KEYS}/{found['id']}").code == "key_not_found"


def test_a_rotated_key_is_good_until_its_grace_is_over(api: Api, clock: HandMovedClock) -> None:
    old = issued(api, scopes=["catalogue:read"])
    answer = rotated(api, old["id"], grace_seconds=60)
    new = answer.json
    assert answer.status == 201
    assert new["id"] != old["id"]
    same = ("label", "roles", "scopes", "expires_at", "replaced_by")
    assert [new[name] for name in same] == [old[name] for name in same]
    assert listed(api)[old["id"]]["replaced_by"] == new["id"]
    clock.advance(59.999)
    assert is_good(old["key"])
    clock.advance(0.001)
    assert not is_good(old["key"])
    assert is_good(new["key"])


def test_grace_is_a_day_unless_it_is_said_and_may_be_none(api: Api, clock: HandMovedClock) -> None:
    old = issued(api)
    rotated(api, old["id"])
    clock.advance(86_399)
    assert is_good(old["key"])
    clock.advance(1)
    assert not is_good(old["key"])
    other = issued(api)
    rotated(api, other["id"], grace_seconds=0)
    assert not is_good(other["key"])


def test_a_key_is_rotated_without_saying_how(api: Api) -> None:
    assert api.post(f"{KEYS}/{issued(api)['id']}/rotate").status == 201


@pytest.mark.parametrize("grace", [-1, 7 * 86_400 + 1, "60", 1.5, None])
def test_grace_is_at_most_a_week(api: Api, aws: Aws, grace: Any) -> None:
    old = issued(api)
    before = aws.dump()
    assert rotated(api, old["id"], grace_seconds=grace).faults().keys() == {"grace_seconds"}
    assert aws.dump() == before
    assert rotated(api, old["id"], grace_seconds=7 * 86_400).status == 201


def test_rotating_makes_no_key_last_longer_than_it_was_made_for(api: Api, clock: HandMovedClock) -> None:
    old = issued(api, expires_in_days=1)
    clock.advance(86_400 - 10)
    new = rotated(api, old["id"], grace_seconds=3_600).json
    assert listed(api)[old["id"]]["expires_at"] == old["expires_at"]
    clock.advance(10)
    assert not is_good(old["key"])
    clock.advance(86_400 - 10 - 1)
    assert is_good(new["key"])
    clock.advance(1)
    assert not is_good(new["key"])


def test_there_is_never_more_than_one_in_a_keys_place(api: Api, aws: Aws) -> None:
    old = issued(api)
    new = rotated(api, old["id"]).json
    before = aws.dump()
    for key in (None, "another"):
        answer = rotated(api, old["id"], key=key)
        assert (answer.status, answer.code) == (409, "key_rotated")
    assert aws.dump() == before
    assert rotated(api, new["id"]).status == 201


def test_a_key_that_is_over_is_not_rotated_but_may_be_revoked(api: Api, clock: HandMovedClock) -> None:
    old = issued(api, expires_in_days=1)
    clock.advance(86_400)
    assert rotated(api, old["id"]).code == "key_not_found"
    assert api.delete(f"{KEYS}/{old['id']}").status == 200


def test_keys_that_are_over_leave_the_table_a_month_later(
    api: Api, clock: HandMovedClock, identity_store: Store
) -> None:
    old = issued(api, expires_in_days=1)
    item = identity_store.get(ServiceKeyItem, Keys(api.tenant).service_key(digest_of(old["key"])))
    assert item is not None
    assert item.ttl == (clock.milliseconds + 31 * DAY) // 1000
    rotated(api, old["id"], grace_seconds=0)
    item = identity_store.get(ServiceKeyItem, item.key)
    assert item is not None
    assert item.ttl == (clock.milliseconds + 30 * DAY) // 1000


def issue_it(api: Api, key: str | None, label: str = "web shop") -> Answer:
    return api.post(KEYS, BODY | {"label": label}, key=key)


def rotate_one(api: Api, key: str | None, label: str = "web shop") -> Answer:
    """Rotate the one key that is in no other's place; another label is another body."""
    found = listed(api)
    (first,) = found.keys() - {item["replaced_by"] for item in found.values()}
    return rotated(api, first, key=key, grace_seconds=len(label))


@pytest.fixture(params=[issue_it, rotate_one], name="making")
def _making(request: pytest.FixtureRequest, api: Api) -> Callable[..., Answer]:
    """A way of making a key."""
    if request.param is rotate_one:
        issued(api)
    made: Callable[..., Answer] = request.param
    return made


def test_the_same_request_gets_the_same_key(api: Api, aws: Aws, making: Callable[..., Answer]) -> None:
    first = making(api, "k1")
    assert first.status == 201
    before = aws.dump()
    again = making(api, "k1")
    assert (again.status, again.json) == (201, first.json)
    assert aws.dump() == before
    forget("service_keys")
    assert making(api, "k1").json == first.json
    assert is_good(first.json["key"])


def test_another_body_under_the_same_idempotency_key_is_refused(
    api: Api, aws: Aws, making: Callable[..., Answer]
) -> None:
    making(api, "k1")
    before = aws.dump()
    answer = making(api, "k1", "another shop")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert aws.dump() == before


def test_other_idempotency_keys_get_other_keys(api: Api) -> None:
    made = {issue_it(api, key).json["key"] for key in ("a", "b", None, None)}
    assert len(made) == 4


def test_another_callers_idempotency_key_is_another(api: Api) -> None:
    first = issue_it(api, "k1").json
    assert issue_it(replace(api, name="zoe"), "k1").json["key"] != first["key"]
    found_tenant("other")
    assert issue_it(replace(api, tenant="other"), "k1").json["key"].startswith("hk_other_")


def test_without_an_idempotency_key_nothing_is_asked_of_the_parameter_store(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "client", None)
    found = issued(api)
    assert rotated(api, found["id"]).status == 201


def test_the_answer_stays_though_the_key_was_rotated_and_revoked_since(api: Api) -> None:
    first = issue_it(api, "k1").json
    rotated(api, first["id"])
    assert issue_it(api, "k1").json == first
    api.delete(f"{KEYS}/{first['id']}")
    assert issue_it(api, "k1").json == first
    assert not is_good(first["key"])


def test_a_key_that_cannot_be_made_again_is_not_answered_with_another(api: Api, making: Callable[..., Answer]) -> None:
    making(api, "k1")
    boto3.client("ssm").put_parameter(Name=f"{SSM}/{api.tenant}", Value="x" * 64, Type="SecureString", Overwrite=True)
    answer = making(api, "k1")
    assert (answer.status, answer.code) == (409, "key_shown_before")


def test_two_who_need_the_tenants_own_at_once_get_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made once; who comes second reads the first one's."""
    ring = load("service_keys").ring()
    ring.tenants_own.of(api.tenant, lambda: "first" * 10)
    assert ring.tenants_own.of(api.tenant, lambda: "second" * 10) == "first" * 10


def test_what_a_script_issues_is_of_roles_that_the_tenant_gives(identity_store: Store, clock: HandMovedClock) -> None:
    found_tenant("acme")
    assert roles_given_by("acme") == service_keys.ROLES
    for tenant, roles in (("acme", ("operator",)), ("acme", ()), ("operator", (ADMIN,)), ("acme", ("customer",))):
        with pytest.raises(ValueError, match="roles of this tenant are"):
            service_keys.issue(identity_store, SystemClock(), tenant, roles, "x")
    assert is_good(service_keys.issue(identity_store, SystemClock(), "acme", (STAFF,), "x"))
