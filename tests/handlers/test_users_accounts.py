"""Users who have an account: their e-mail address is the name that they sign in by, and the pool is told of it."""

from itertools import count
from typing import Any

import pytest

from holdfast.identity import people
from holdfast.identity.people import Changes, Directory, Role
from holdfast.platform import revocation, user_pool
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import EmailInUse, Unavailable
from holdfast.platform.revocation import looked_at_anew
from tests.handlers.account import IDENTITY, Aws
from tests.handlers.dying import die_everywhere
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import EVENING, new_hall
from tests.handlers.user_pool import CONFIRMED, InMemoryCognito, installed

ROUTE = "/api/v1/users"
ASHA, OTHER, THIRD = "asha@example.com", "asha@example.org", "asha@example.net"
PHONE = "+919876543210"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The pool that accounts are in."""
    return installed(monkeypatch)


@pytest.fixture
def directory(identity_store: Store) -> Directory:
    """Who is known."""
    return Directory(identity_store)


@pytest.fixture
def asha(api: Api, directory: Directory, pool: InMemoryCognito) -> str:
    """Somebody who signed up by e-mail and signs in."""
    return signed_up(api, directory, pool, ASHA)


def signed_up(
    api: Api,
    directory: Directory,
    pool: InMemoryCognito,
    email: str,
    name: str | None = None,
    role: Role = Role.CUSTOMER,
) -> str:
    """Make an account that signs in, and return the user's id."""
    user_id: str = people.account_of(directory, api.tenant, email, name, role).user_id
    user_pool.connect("pool").invite(api.tenant, user_id, email)
    pool.users[api.tenant, user_id].status = CONFIRMED
    return user_id


def shown(api: Api, user_id: str) -> dict[str, Any]:
    return dict(api.get(f"{ROUTE}/{user_id}").json["user"])


def patched(api: Api, user_id: str, body: dict[str, Any]) -> Answer:
    return api.patch(f"{ROUTE}/{user_id}", body)


def taken(aws: Aws) -> int:
    """Return how many addresses are taken by accounts."""
    return sum(item["pk"]["S"].endswith("#EMAILS") for item in aws.items(IDENTITY))


def test_one_who_is_known_by_an_account_only_has_neither_name_nor_phone(api: Api, asha: str) -> None:
    user = shown(api, asha)
    assert set(user) == {"id", "name", "phone", "email", "role", "createdAt", "updatedAt"}
    assert (user["name"], user["phone"], user["email"], user["role"]) == (None, None, ASHA, "customer")
    assert api.get(f"{ROUTE}?role=customer").json["users"] == [user]


def test_they_are_given_a_phone_and_are_then_found_by_it(api: Api, asha: str) -> None:
    user = patched(api, asha, {"phone": PHONE, "name": "Asha Rao"}).json["user"]
    assert (user["phone"], user["name"], user["email"]) == (PHONE, "Asha Rao", ASHA)
    assert api.get(f"{ROUTE}/phone/{PHONE}").json["user"] == user
    assert api.post(ROUTE, {"name": "Asha", "phone": PHONE}).json["user"]["id"] == asha


@pytest.mark.parametrize("email", [OTHER, ASHA.upper()])
def test_an_admin_moves_an_account_to_another_address(
    api: Api, directory: Directory, pool: InMemoryCognito, aws: Aws, asha: str, email: str
) -> None:
    assert patched(api.with_roles("admin"), asha, {"email": email}).json["user"]["email"] == email
    assert pool.users[api.tenant, asha].email == email
    assert taken(aws) == 1
    with pytest.raises(EmailInUse):
        people.open_account(directory, api.tenant, somebody_at(api, email))


def somebody_at(api: Api, email: str) -> str:
    """Know somebody else by phone at an address."""
    body = {"name": "Ravi", "phone": "+919876500000", "email": email}
    return str(api.post(ROUTE, body).json["user"]["id"])


def test_the_address_that_was_left_is_free_again(
    api: Api, directory: Directory, pool: InMemoryCognito, asha: str
) -> None:
    patched(api, asha, {"email": OTHER})
    assert signed_up(api, directory, pool, ASHA) != asha


def test_the_address_of_anothers_account_is_refused_and_nothing_of_the_patch_is_done(
    api: Api, directory: Directory, pool: InMemoryCognito, aws: Aws, asha: str
) -> None:
    other = signed_up(api, directory, pool, OTHER)
    before = aws.dump()
    answer = patched(api, asha, {"email": OTHER.upper(), "name": "Asha", "phone": PHONE})
    assert (answer.status, answer.code, answer.faults()) == (400, "email_in_use", {"email": "email_in_use"})
    assert aws.dump() == before
    assert (pool.users[api.tenant, asha].email, pool.users[api.tenant, other].email) == (ASHA, OTHER)


def test_the_address_of_an_account_is_not_taken_away(api: Api, aws: Aws, pool: InMemoryCognito, asha: str) -> None:
    before = aws.dump()
    answer = patched(api, asha, {"email": None})
    assert (answer.status, answer.code) == (409, "account_needs_email")
    assert aws.dump() == before


@pytest.mark.parametrize("roles", ["customer", "staff", "service", "staff service"])
def test_nobody_but_an_admin_changes_the_address_of_an_account(
    api: Api, aws: Aws, pool: InMemoryCognito, asha: str, roles: str
) -> None:
    before = aws.dump()
    for caller in (api.with_roles(roles), api.as_user(asha).with_roles(roles)):
        for body in ({"email": OTHER}, {"email": None}, {"email": OTHER, "name": "Asha"}):
            assert patched(caller, asha, body).status in (403, 404)
    assert aws.dump() == before
    assert pool.users[api.tenant, asha].email == ASHA
    own = patched(api.as_user(asha), asha, {"email": ASHA, "name": "Asha"})
    assert (own.status, own.json["user"]["name"]) == (200, "Asha"), "what stays as it is is no change"


def test_an_upsert_by_phone_and_a_booking_leave_the_address_of_an_account(
    api: Api, pool: InMemoryCognito, asha: str
) -> None:
    patched(api, asha, {"phone": PHONE, "name": "Asha"})
    user = api.post(ROUTE, {"name": "Asha Rao", "phone": PHONE, "email": OTHER}).json["user"]
    assert (user["id"], user["name"], user["email"]) == (asha, "Asha Rao", ASHA)
    customer = {"name": "Asha R.", "phone": PHONE, "email": OTHER}
    booked = api.post("/api/v1/bookings", {"venueId": new_hall(api), "customer": customer, **EVENING}, key="k")
    assert booked.status == 201, booked.text
    assert shown(api, asha)["email"] == ASHA
    assert pool.users[api.tenant, asha].email == ASHA


def test_what_the_pool_was_not_told_is_told_by_the_same_call(
    api: Api, pool: InMemoryCognito, asha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(user_pool.CognitoUserPool, "change_email", unreachable)
        answer = patched(api, asha, {"email": OTHER})
        assert (answer.status, answer.code) == (503, "unavailable")
    assert (shown(api, asha)["email"], pool.users[api.tenant, asha].email) == (OTHER, ASHA)
    assert patched(api, asha, {"email": OTHER}).status == 200
    assert pool.users[api.tenant, asha].email == OTHER


def test_a_change_that_is_cut_off_is_finished_by_the_same_one(
    api: Api, directory: Directory, pool: InMemoryCognito, aws: Aws
) -> None:
    numbers = count()

    def somebody() -> str:
        return signed_up(api, directory, pool, f"user{next(numbers)}@example.com")

    def is_moved(user_id: str, answer: Answer) -> None:
        email = f"{user_id}@example.org"
        assert (answer.status, answer.json["user"]["email"]) == (200, email)
        assert shown(api, user_id)["email"] == pool.users[api.tenant, user_id].email == email

    died = die_everywhere(somebody, lambda it: patched(api, it, {"email": f"{it}@example.org"}), is_moved)
    assert died >= 4
    assert taken(aws) == next(numbers)


def test_a_contact_address_of_one_without_an_account_is_nobodys_business(
    api: Api, aws: Aws, pool: InMemoryCognito, asha: str
) -> None:
    """Two may be written to at one address; only one of them signs in by it."""
    other = somebody_at(api, ASHA)
    assert patched(api, other, {"email": THIRD}).json["user"]["email"] == THIRD
    assert patched(api, other, {"email": ASHA}).status == 200
    assert patched(api, other, {"email": None}).status == 200
    assert (taken(aws), list(pool.users)) == (1, [(api.tenant, asha)])


def test_a_role_that_is_taken_away_is_gone_at_once_where_credentials_are_looked_at_anew(
    api: Api, directory: Directory, pool: InMemoryCognito, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API Gateway still passes on for a minute that they are staff; giving money back asks the store."""
    stan = signed_up(api, directory, pool, OTHER, role=Role.STAFF)
    monkeypatch.setattr(revocation, "looked_at_anew", looked_at_anew)
    staff = api.as_user(stan).with_roles("staff")
    unknown = "/api/v1/orders/o-abcdefghijklmnop-0123456789abcdef0123456789abcdef/refund"
    assert staff.post(unknown, {}, key="k").code == "order_not_found"
    people.change(directory, api.tenant, stan, Changes(role=Role.CUSTOMER))
    assert staff.post(unknown, {}, key="k").code == "forbidden"
    assert patched(staff, somebody_known(directory, api), {"name": "x"}).code == "user_not_found", "as a customer"
    assert staff.get(ROUTE).status == 200, "elsewhere within the minute"


def somebody_known(directory: Directory, api: Api) -> str:
    """Know somebody by phone, in the store itself."""
    user_id: str = people.upsert(directory, api.tenant, "Ravi", PHONE)[0].user_id
    return user_id
