"""The users of the halls' API: upserted by phone, read, listed, changed (WIRE.md, section 4)."""

from dataclasses import replace
from itertools import chain
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.identity import people_pages
from holdfast.platform import numbered_pages, page_tokens
from holdfast.platform.dynamodb import Store
from tests.handlers.account import IDENTITY, Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api

ROUTE = "/api/v1/users"
ASHA = {"name": "Asha Rao", "phone": "+919876543210", "email": "asha@example.com"}
UNKNOWN = "0" * 24


def phone_of(number: int) -> str:
    return f"+9198765{number:05d}"


def new(api: Api, number: int = 0, /, **more: Any) -> dict[str, Any]:
    """Make a user and return it as it is shown."""
    answer = api.post(ROUTE, {"name": f"User {number}", "phone": phone_of(number)} | more)
    assert answer.status == 200, answer.text
    user: dict[str, Any] = answer.json["user"]
    return user


def kinds(aws: Aws) -> list[str]:
    """Return the kinds of everything in the identity table but the tenant."""
    return [kind for item in aws.items(IDENTITY) if (kind := item["pk"]["S"].split("#")[1]) != "TENANT"]


def pages(api: Api, target: str) -> list[list[str]]:
    """Return the names on every page, following `next` from the first."""
    found: list[list[str]] = []
    token = ""
    while True:
        answer = api.get(f"{target}{'&next=' * bool(token)}{token}").json
        found.append([user["name"] for user in answer["users"]])
        token = answer["next"]
        if token is None:
            return found


def test_a_new_phone_makes_a_customer(api: Api, clock: HandMovedClock) -> None:
    answer = api.post(ROUTE, ASHA)
    assert answer.status == 200
    assert set(answer.json) == {"success", "user"}
    assert answer.json["success"] is True
    user = answer.json["user"]
    assert set(user) == {"id", "name", "phone", "email", "role", "createdAt", "updatedAt"}
    assert {name: user[name] for name in ASHA} == ASHA
    assert user["role"] == "customer"
    assert user["createdAt"] == user["updatedAt"]
    assert user["createdAt"].endswith("Z")
    assert int(user["id"][:11], 16) == clock.milliseconds
    assert api.get(f"{ROUTE}/{user['id']}").json == answer.json


def test_a_known_phone_brings_its_user_up_to_date(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    first = new(api, **ASHA)
    clock.advance(1)
    second = api.post(ROUTE, {"name": "Asha R.", "phone": "98765 43210"}).json["user"]
    assert second == first | {"name": "Asha R.", "updatedAt": second["updatedAt"]}
    assert second["updatedAt"] > first["updatedAt"]
    assert kinds(aws) == ["PEOPLE", "PHONES"], "one person, one phone"


def test_everything_is_kept_in_the_identity_table(api: Api, aws: Aws) -> None:
    api.post(ROUTE, ASHA, key="k")
    assert aws.items() == []
    assert kinds(aws) == ["PEOPLE", "PHONES", "U"]


@pytest.mark.parametrize("written", ["9876543210", "09876543210", "+91 98765 43210", "+91 (0) 98765-43210"])
def test_a_phone_is_the_same_however_it_is_written(api: Api, written: str) -> None:
    """WIRE 4: phones in E.164; Indian numbers accepted bare."""
    user = new(api, **ASHA | {"phone": written})
    assert user["phone"] == "+919876543210"
    assert new(api, **ASHA)["id"] == user["id"]
    assert api.get(f"{ROUTE}/phone/{quote(written, safe='')}").json["user"] == user
    assert api.get(f"{ROUTE}/phone/{quote(written)}").json["user"] == user


def test_the_same_key_and_body_give_the_same_answer_whatever_became_of_the_user_since(api: Api, aws: Aws) -> None:
    """PROTOCOL 3: a replay is computed from the record."""
    first = api.post(ROUTE, ASHA, key="k")
    api.patch(f"{ROUTE}/{first.json['user']['id']}", {"name": "Asha R.", "phone": phone_of(1)})
    after = aws.dump()
    assert api.post(ROUTE, ASHA | {"phone": "9876543210"}, key="k").json == first.json
    assert aws.dump() == after
    other = api.post(ROUTE, ASHA | {"name": "Ravi"}, key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_unknown_fields_are_ignored(api: Api) -> None:
    assert "colour" not in new(api, colour="red")
    assert api.patch(f"{ROUTE}/{new(api)['id']}", {"colour": "red"}).json["user"] == new(api)


BAD = [
    ({"phone": ""}, "phone"),
    ({"phone": "12345"}, "phone"),
    ({"phone": "not a phone"}, "phone"),
    ({"phone": "+1 555 555 5555"}, "phone"),
    ({"phone": "0000000000"}, "phone"),
    ({"phone": "919876543210"}, "phone"),
    ({"phone": "+919876543210123456789"}, "phone"),
    ({"phone": "9876543210\n"}, "phone"),
    ({"phone": "٩٨٧٦٥٤٣٢١٠"}, "phone"),
    ({"phone": "9" * 10_000}, "phone"),
    ({"phone": 9876543210}, "phone"),
    ({"phone": True}, "phone"),
    ({"phone": ["+919876543210"]}, "phone"),
    ({"name": ""}, "name"),
    ({"name": "   "}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"name": 5}, "name"),
    ({"email": "asha"}, "email"),
    ({"email": "asha@example.com\n"}, "email"),
    ({"email": f"{'x' * 250}@example.com"}, "email"),
    ({"email": 5}, "email"),
    ({"role": "owner"}, "role"),
    ({"role": ""}, "role"),
    ({"role": ["admin"]}, "role"),
]


@pytest.mark.parametrize(("change", "fault"), BAD)
def test_what_is_no_user_is_refused_and_the_field_named(api: Api, aws: Aws, change: dict[str, Any], fault: str) -> None:
    user = new(api, 1)
    before = aws.dump()
    for answer in (api.post(ROUTE, ASHA | change, key="k"), api.patch(f"{ROUTE}/{user['id']}", change)):
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert list(answer.faults()) == [fault]
    assert aws.dump() == before


def test_a_phone_that_is_none_has_a_code_of_its_own(api: Api) -> None:
    assert api.post(ROUTE, ASHA | {"phone": "0000000000"}).faults() == {"phone": "phone_malformed"}


def test_every_field_at_fault_is_named(api: Api) -> None:
    assert set(api.post(ROUTE, {"email": "x", "role": "y"}).faults()) == {"name", "phone", "email", "role"}


@pytest.mark.parametrize(
    "written", ["123", "0000000000", "+1%20555%20555%205555", "abcdefgh", "%2B%2B919876543210", "9" * 33, "%D9%A9" * 10]
)
def test_a_phone_in_the_path_that_is_none_is_400(api: Api, written: str) -> None:
    answer = api.get(f"{ROUTE}/phone/{written}")
    assert (answer.status, list(answer.faults())) == (400, ["phone"])


@pytest.mark.parametrize("user_id", [UNKNOWN, "1", "alice", "phone", "x" * 128])
def test_an_unknown_user_is_404(api: Api, user_id: str) -> None:
    new(api)
    for answer in (api.get(f"{ROUTE}/{user_id}"), api.patch(f"{ROUTE}/{user_id}", {"name": "x"})):
        assert (answer.status, answer.code) == (404, "user_not_found")
    assert api.get(f"{ROUTE}/phone/{phone_of(1)}").code == "user_not_found"


@pytest.mark.parametrize("user_id", ["a%2Fb", "a%23b", "%00", "x" * 129, "-", "%F0%9F%92%BB", "<script>"])
def test_a_user_id_of_odd_characters_is_refused(api: Api, user_id: str) -> None:
    assert api.get(f"{ROUTE}/{user_id}").status in (400, 404)
    assert api.patch(f"{ROUTE}/{user_id}", {"name": "x"}).status in (400, 404)


def test_a_customer_does_not_learn_from_how_much_is_looked_up_whether_a_phone_is_known(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = new(api), new(api, 1)
    made: list[str] = []
    real = Store._call

    def written_down(store: Store, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        made.append(operation)
        return real(store, operation, arguments)

    monkeypatch.setattr(Store, "_call", written_down)
    asked = {phone_of(0): 200, phone_of(1): 404, phone_of(2): 404}
    for user, statuses in ((own["id"], asked), (UNKNOWN, dict.fromkeys(asked, 404))):
        for phone, status in statuses.items():
            made.clear()
            assert api.as_user(user).get(f"{ROUTE}/phone/{phone}").status == status
            assert made == ["GetItem"]
    assert api.get(f"{ROUTE}/phone/{phone_of(1)}").json["user"] == other


def test_another_tenants_users_are_unknown(api: Api, aws: Aws) -> None:
    user = new(api)
    other = Api(f"{api.tenant}x")
    before = aws.dump()
    assert other.get(f"{ROUTE}/{user['id']}").status == 404
    assert other.get(f"{ROUTE}/phone/{user['phone']}").status == 404
    assert other.patch(f"{ROUTE}/{user['id']}", {"name": "Mine"}).status == 404
    assert other.get(ROUTE).json["users"] == []
    assert aws.dump() == before
    assert new(other)["id"] != user["id"]


def test_a_patch_changes_what_it_gives(api: Api, clock: HandMovedClock) -> None:
    user = new(api, **ASHA)
    clock.advance(1)
    renamed = api.patch(f"{ROUTE}/{user['id']}", {"name": "Asha R."}).json["user"]
    assert renamed == user | {"name": "Asha R.", "updatedAt": renamed["updatedAt"]}
    assert renamed["updatedAt"] > user["updatedAt"]
    assert api.patch(f"{ROUTE}/{user['id']}", {"email": None}).json["user"]["email"] is None
    assert api.get(f"{ROUTE}/{user['id']}").json["user"]["email"] is None
    same = api.patch(f"{ROUTE}/{user['id']}", {"name": None, "phone": None, "role": None}).json["user"]
    assert (same["name"], same["phone"], same["role"]) == ("Asha R.", user["phone"], "customer")


def test_a_new_phone_is_taken_and_the_old_one_free_again(api: Api, aws: Aws) -> None:
    user = new(api, 1)
    moved = api.patch(f"{ROUTE}/{user['id']}", {"phone": "9876500002"}).json["user"]
    assert moved["phone"] == phone_of(2)
    assert api.get(f"{ROUTE}/phone/{phone_of(2)}").json["user"]["id"] == user["id"]
    assert api.get(f"{ROUTE}/phone/{phone_of(1)}").status == 404
    assert new(api, 1)["id"] != user["id"]
    assert kinds(aws) == ["PEOPLE", "PEOPLE", "PHONES", "PHONES"], "two people, two phones"


def test_anothers_phone_is_refused_and_nothing_of_the_patch_is_done(api: Api, aws: Aws) -> None:
    user, other = new(api, 1), new(api, 2)
    before = aws.dump()
    answer = api.patch(f"{ROUTE}/{user['id']}", {"name": "Mine", "phone": other["phone"]})
    assert (answer.status, answer.code, answer.faults()) == (409, "phone_in_use", {"phone": "phone_in_use"})
    assert aws.dump() == before


@pytest.mark.parametrize("role", ["staff", "admin"])
@pytest.mark.parametrize("roles", ["staff", "service", "service staff"])
def test_nobody_but_an_admin_gives_a_role(api: Api, aws: Aws, roles: str, role: str) -> None:
    user = new(api)
    limited = api.with_roles(roles)
    before = aws.dump()
    for answer in (
        limited.post(ROUTE, ASHA | {"role": role}),
        limited.post(ROUTE, {"name": "x", "phone": user["phone"], "role": role}, key="k"),
        limited.patch(f"{ROUTE}/{user['id']}", {"name": "x", "role": role}),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    assert api.patch(f"{ROUTE}/{user['id']}", {"role": role}).json["user"]["role"] == role
    assert new(api, 1, role=role)["role"] == role


def test_nobody_but_an_admin_takes_a_role_away(api: Api) -> None:
    boss = new(api, role="admin")
    staff = api.with_roles("staff")
    assert staff.post(ROUTE, {"name": "Boss", "phone": boss["phone"], "role": "customer"}).status == 403
    assert staff.patch(f"{ROUTE}/{boss['id']}", {"role": "customer"}).status == 403
    assert new(api)["role"] == "admin", "an upsert that names no role leaves it"
    assert new(api, role="customer")["role"] == "customer"


@pytest.mark.parametrize("role", ["staff", "admin"])
@pytest.mark.parametrize("roles", ["staff", "service", "service staff"])
def test_nobody_but_an_admin_changes_one_who_is_no_customer(api: Api, aws: Aws, roles: str, role: str) -> None:
    """Who has a role is known by phone and e-mail address: whoever could change those could take their place."""
    boss = new(api, 1, role=role)
    address = f"{ROUTE}/{boss['id']}"
    limited = api.with_roles(roles)
    before = aws.dump()
    for answer in (
        limited.post(ROUTE, {"name": "Evil", "phone": boss["phone"]}, key="k"),
        limited.post(ROUTE, {"name": boss["name"], "phone": boss["phone"], "email": "evil@example.com"}),
        *(limited.patch(address, change) for change in ({"phone": phone_of(2)}, {"email": None}, {"name": "Evil"}, {})),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    assert limited.get(address).json["user"] == boss
    changed = api.with_roles("admin").patch(address, {"phone": phone_of(2), "name": "Boss"}).json["user"]
    assert (changed["phone"], changed["name"]) == (phone_of(2), "Boss")


def test_one_who_is_no_customer_changes_themselves(api: Api) -> None:
    boss = new(api, 1, role="staff")
    own = api.as_user(boss["id"]).with_roles("staff")
    assert own.patch(f"{ROUTE}/{boss['id']}", {"phone": phone_of(2)}).json["user"]["phone"] == phone_of(2)
    assert own.post(ROUTE, {"name": "Boss", "phone": phone_of(2)}).json["user"]["name"] == "Boss"
    assert own.post(ROUTE, {"name": "Boss", "phone": new(api, 3, role="staff")["phone"]}).status == 403


def test_a_service_key_is_nobody_that_it_is_named_after(api: Api) -> None:
    boss = new(api, 1, role="admin")
    named = api.as_user(boss["id"]).with_roles("service")
    assert named.patch(f"{ROUTE}/{boss['id']}", {"name": "Evil"}).status == 403


def test_an_admin_does_not_take_their_own_role_away(api: Api, aws: Aws) -> None:
    """A tenant would be left without; another admin can."""
    boss, other = new(api, 1, role="admin"), new(api, 2, role="admin")
    own = api.as_user(boss["id"]).with_roles("admin")
    before = aws.dump()
    for answer in (
        own.patch(f"{ROUTE}/{boss['id']}", {"role": "staff", "name": "x"}),
        own.post(ROUTE, {"name": "x", "phone": boss["phone"], "role": "customer"}),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    assert own.patch(f"{ROUTE}/{boss['id']}", {"role": "admin", "name": "Boss"}).json["user"]["name"] == "Boss"
    assert own.patch(f"{ROUTE}/{other['id']}", {"role": "staff"}).json["user"]["role"] == "staff"


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_an_admins_key_for_users_alone_leads_to_no_more_than_customers(api: Api, aws: Aws, role: str) -> None:
    """Whoever may change an admin's address, and invite them, could sign in as one."""
    boss, user = new(api, 1, role=role), new(api, 2)
    key = replace(api.with_roles("admin"), scopes="users:read users:write")
    before = aws.dump()
    for answer in (
        key.patch(f"{ROUTE}/{user['id']}", {"role": role}),
        key.post(ROUTE, ASHA | {"role": role}),
        key.patch(f"{ROUTE}/{boss['id']}", {"email": "evil@example.com"}),
        key.post(ROUTE, {"name": "x", "phone": boss["phone"], "email": "evil@example.com"}),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    assert key.patch(f"{ROUTE}/{user['id']}", {"email": "asha@example.com"}).status == 200


@pytest.mark.parametrize("scopes", ["users:read", "catalogue:write orders:write"])
def test_a_key_of_other_scopes_changes_nobody(api: Api, aws: Aws, scopes: str) -> None:
    user = new(api)
    key = replace(api, scopes=scopes)
    before = aws.dump()
    for answer in (key.post(ROUTE, ASHA), key.patch(f"{ROUTE}/{user['id']}", {"name": "x"})):
        assert answer.status == 403
    assert key.get(f"{ROUTE}/{user['id']}").status == (200 if "read" in scopes else 403)
    assert aws.dump() == before


@pytest.mark.parametrize("roles", ["staff", "service", "admin"])
def test_staff_services_and_admins_know_everybody(api: Api, roles: str) -> None:
    limited = api.with_roles(roles)
    user = new(limited)
    assert limited.get(f"{ROUTE}/{user['id']}").status == 200
    assert limited.get(f"{ROUTE}/phone/{user['phone']}").status == 200
    assert len(limited.get(ROUTE).json["users"]) == 1
    assert limited.patch(f"{ROUTE}/{user['id']}", {"phone": phone_of(1)}).status == 200


def test_a_customer_sees_and_changes_nobody_but_themselves(api: Api, aws: Aws) -> None:
    own, other = new(api, 1), new(api, 2)
    customer = api.as_user(own["id"])
    assert customer.get(f"{ROUTE}/{own['id']}").json["user"] == own
    assert customer.get(f"{ROUTE}/phone/{own['phone']}").json["user"] == own
    before = aws.dump()
    hidden = [
        customer.get(f"{ROUTE}/{other['id']}"),
        customer.get(f"{ROUTE}/phone/{other['phone']}"),
        customer.patch(f"{ROUTE}/{other['id']}", {"name": "x"}),
    ]
    unknown = [customer.get(f"{ROUTE}/{UNKNOWN}"), customer.get(f"{ROUTE}/phone/{phone_of(3)}")]
    for answer in hidden + unknown:
        assert (answer.status, answer.code) == (404, "user_not_found")
    refused = [
        customer.get(ROUTE),
        customer.post(ROUTE, ASHA),
        customer.post(ROUTE, {"name": "x", "phone": own["phone"]}),
        customer.patch(f"{ROUTE}/{own['id']}", {"phone": phone_of(3)}),
        customer.patch(f"{ROUTE}/{own['id']}", {"role": "admin"}),
        customer.patch(f"{ROUTE}/{own['id']}", {"name": "x", "role": "customer"}),
    ]
    for answer in refused:
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    changed = customer.patch(f"{ROUTE}/{own['id']}", {"name": "Asha", "email": "asha@example.com"}).json["user"]
    assert (changed["name"], changed["email"]) == ("Asha", "asha@example.com")


def test_a_request_without_a_caller_is_401(api: Api) -> None:
    nobody = Api("")
    for answer in (nobody.post(ROUTE, ASHA), nobody.get(ROUTE), nobody.get(f"{ROUTE}/phone/{ASHA['phone']}")):
        assert answer.status == 401


def test_the_list_is_in_the_order_in_which_users_became_known(api: Api, clock: HandMovedClock) -> None:
    made = []
    for number in range(5):
        made.append(new(api, number))
        clock.advance(0.001)
    new(api, 0, name="User 0")
    answer = api.get(ROUTE).json
    assert answer == {"success": True, "users": made, "page": 1, "limit": 20, "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_by_number_and_by_token_are_the_same(api: Api, clock: HandMovedClock, limit: int) -> None:
    for number in range(6):
        new(api, number)
        clock.advance(0.001)
    by_token = pages(api, f"{ROUTE}?limit={limit}")
    by_number = [
        [user["name"] for user in api.get(f"{ROUTE}?limit={limit}&page={page}").json["users"]]
        for page in range(1, len(by_token) + 1)
    ]
    assert by_token == by_number
    assert list(chain(*by_token)) == [f"User {number}" for number in range(6)]
    assert all(len(page) == limit for page in by_token[:-1])
    beyond = api.get(f"{ROUTE}?limit={limit}&page={len(by_token) + 1}").json
    assert (beyond["users"], beyond["next"]) == ([], None)


def test_pages_have_no_duplicates_and_no_gaps_while_others_are_added(api: Api, clock: HandMovedClock) -> None:
    for number in range(4):
        new(api, number)
        clock.advance(0.001)
    seen: list[str] = []
    token: str | None = ""
    number = 4
    while token is not None:
        answer = api.get(f"{ROUTE}?limit=2{'&next=' * bool(token)}{token}").json
        seen += [user["name"] for user in answer["users"]]
        token = answer["next"]
        for added in range(number, min(number + 2, 8)):
            new(api, added)
            clock.advance(0.001)
            number += 1
    assert seen == [f"User {number}" for number in range(8)]


def test_a_list_by_role_has_nobody_else(api: Api, clock: HandMovedClock) -> None:
    for number in range(9):
        new(api, number, role=("customer", "staff", "admin")[number % 3])
        clock.advance(0.001)
    assert pages(api, f"{ROUTE}?role=staff&limit=2") == [["User 1", "User 4"], ["User 7"]]
    second = api.get(f"{ROUTE}?role=admin&limit=2&page=2").json
    assert ([user["name"] for user in second["users"]], second["page"]) == (["User 8"], 2)
    api.patch(f"{ROUTE}/{second['users'][0]['id']}", {"role": "staff"})
    assert pages(api, f"{ROUTE}?role=staff") == [["User 1", "User 4", "User 7", "User 8"]]


def test_a_page_that_looked_at_enough_people_comes_short_and_goes_on(
    api: Api, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_pages, "MOST_READ", 3)
    monkeypatch.setattr(people_pages, "_CHUNK", 2)
    for number in range(12):
        new(api, number, role="staff" if number in (1, 5, 10, 11) else "customer")
        clock.advance(0.001)
    assert list(chain(*pages(api, f"{ROUTE}?role=staff&limit=2"))) == ["User 1", "User 5", "User 10", "User 11"]
    first = api.get(f"{ROUTE}?role=staff&limit=2").json
    assert ([user["name"] for user in first["users"]], first["page"]) == (["User 1"], 1)
    assert first["next"] is not None


def test_a_page_by_number_that_is_too_far_is_400_and_never_empty_with_more_to_come(
    api: Api, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        new(api, number, role="staff" if number == 7 else "customer")
        clock.advance(0.001)
    assert api.get(f"{ROUTE}?limit=100&page=101").json["users"] == []
    assert refusals(api, [f"{ROUTE}?limit=100&page=102"]) == {(400, "validation_failed", "page")}
    monkeypatch.setattr(numbered_pages, "MOST_PASSED", 4)
    assert [user["name"] for user in api.get(f"{ROUTE}?limit=2&page=3").json["users"]] == ["User 4", "User 5"]
    monkeypatch.setattr(people_pages, "MOST_READ", 4)
    too_far = refusals(api, [f"{ROUTE}?limit=2&page=4", f"{ROUTE}?role=staff", f"{ROUTE}?limit=2&page=3"])
    assert too_far == {(400, "validation_failed", "page")}


def tampered(token: str) -> list[str]:
    """Return the token with each of its characters changed in turn, one shorter and one longer."""
    swapped = [token[:at] + ("A" if letter != "A" else "B") + token[at + 1 :] for at, letter in enumerate(token)]
    return [*swapped, token[:-1], f"{token}A"]


def refusals(api: Api, targets: list[str]) -> set[tuple[int, str, str]]:
    answers: list[Answer] = [api.get(target) for target in targets]
    return {(answer.status, answer.code, *answer.faults()) for answer in answers}  # type: ignore[misc]


def test_a_token_that_was_tampered_with_is_400_and_names_next(api: Api) -> None:
    for number in range(3):
        new(api, number)
    token = api.get(f"{ROUTE}?limit=1").json["next"]
    assert api.get(f"{ROUTE}?limit=1&next={token}").status == 200
    refused = refusals(api, [f"{ROUTE}?next={bent}" for bent in tampered(token)])
    assert refused == {(400, "validation_failed", "next")}


def test_a_token_of_another_list_is_400(api: Api) -> None:
    for number in range(3):
        new(api, number, role="staff")
    other = Api(f"{api.tenant}x")
    for number in range(3):
        new(other, number)
    token = api.get(f"{ROUTE}?limit=1").json["next"]
    foreign = other.get(f"{ROUTE}?limit=1").json["next"]
    of_another_kind = page_tokens.issue(f"{api.tenant}/venues", f"2.0.{UNKNOWN}")
    targets = [f"{ROUTE}?role=staff&next={token}", f"{ROUTE}?next={foreign}", f"{ROUTE}?next={of_another_kind}"]
    assert refusals(api, targets) == {(400, "validation_failed", "next")}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=10001", "page"),
        ("page=x", "page"),
        ("page=", "page"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1.5", "limit"),
        ("role=owner", "role"),
        ("role=", "role"),
        ("next=", "next"),
        ("next=a.b", "next"),
        ("next=" + "A" * 201, "next"),
    ],
)
def test_a_list_refuses_a_query_that_is_none(api: Api, query: str, fault: str) -> None:
    assert refusals(api, [f"{ROUTE}?{query}"]) == {(400, "validation_failed", fault)}


@pytest.mark.parametrize("body", [[{"name": "Ben"}], [], [[]], "Ben", 1, True])
def test_a_body_that_is_no_object_changes_nobody(api: Api, body: Any) -> None:
    made = api.post("/api/v1/users", {"name": "Asha", "phone": "+919876543210"}).json["user"]
    answer = api.patch(f"/api/v1/users/{made['id']}", body)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert api.get(f"/api/v1/users/{made['id']}").json["user"] == made
