"""Invitations: an account, and a password by mail, for somebody who is known (WIRE.md, section 4)."""

from itertools import count
from typing import Any

import pytest

from holdfast.identity import invitations
from holdfast.identity.people import Directory, Role
from holdfast.platform import user_pool
from holdfast.platform.dynamodb import Store
from tests.handlers.account import IDENTITY, Aws, HandMovedClock
from tests.handlers.dying import die_everywhere
from tests.handlers.gateway import Answer, Api
from tests.handlers.user_pool import CONFIRMED, InMemoryCognito, installed

ROUTE = "/api/v1/users"
ASHA = "asha@example.com"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The pool that accounts are in."""
    return installed(monkeypatch)


def known(api: Api, number: int = 0, /, **more: Any) -> str:
    """Know somebody by phone, and by an e-mail address; return the user's id."""
    body = {"name": f"User {number}", "phone": f"+9198765{number:05d}", "email": ASHA} | more
    answer = api.post(ROUTE, body)
    assert answer.status == 200, answer.text
    return str(answer.json["user"]["id"])


def invite(api: Api, user_id: str, **options: Any) -> Answer:
    return api.post(f"{ROUTE}/{user_id}/invite", **options)


def pointers(aws: Aws) -> list[str]:
    """Return whose accounts the e-mail addresses that are taken sign in to."""
    return [item["user_id"]["S"] for item in aws.items(IDENTITY) if item["pk"]["S"].endswith("#EMAILS")]


def test_one_who_is_known_gets_an_account_and_a_mail(api: Api, aws: Aws, pool: InMemoryCognito) -> None:
    user_id = known(api)
    answer = invite(api, user_id)
    assert (answer.status, answer.json) == (202, {"success": True, "sent": True})
    assert pool.users[api.tenant, user_id].email == ASHA
    assert [to for to, _ in pool.mails] == [ASHA]
    assert pointers(aws) == [user_id]


def test_one_who_is_invited_again_is_mailed_again(api: Api, aws: Aws, pool: InMemoryCognito) -> None:
    user_id = known(api)
    invite(api, user_id)
    after = aws.dump()
    assert invite(api, user_id).json["sent"] is True
    assert [to for to, _ in pool.mails] == [ASHA, ASHA]
    assert aws.dump() == after


def test_one_who_has_signed_in_is_not_mailed_again(api: Api, pool: InMemoryCognito) -> None:
    user_id = known(api)
    invite(api, user_id)
    pool.users[api.tenant, user_id].status = CONFIRMED
    answer = invite(api, user_id)
    assert (answer.status, answer.json["sent"]) == (202, False)
    assert len(pool.mails) == 1


def test_the_same_key_mails_once(api: Api, pool: InMemoryCognito) -> None:
    user_id = known(api)
    first = invite(api, user_id, key="k")
    pool.users[api.tenant, user_id].status = CONFIRMED
    assert invite(api, user_id, key="k").json == first.json
    assert len(pool.mails) == 1


def test_one_key_for_two_users_invites_both(api: Api, pool: InMemoryCognito) -> None:
    one, other = known(api), known(api, 1, email="ravi@example.com")
    assert invite(api, one, key="k").json["sent"] is invite(api, other, key="k").json["sent"] is True
    assert [to for to, _ in pool.mails] == [ASHA, "ravi@example.com"]


def test_one_without_an_address_has_none_to_sign_in_with(api: Api, aws: Aws, pool: InMemoryCognito) -> None:
    user_id = known(api, email=None)
    before = aws.dump()
    answer = invite(api, user_id)
    assert (answer.status, answer.code) == (409, "no_account")
    assert (aws.dump(), pool.users, pool.mails) == (before, {}, [])


@pytest.mark.parametrize("written", [ASHA, ASHA.upper()])
def test_an_address_signs_in_to_one_account(api: Api, aws: Aws, pool: InMemoryCognito, written: str) -> None:
    """To know somebody's address is free to all, to sign in with it is not; letters' case makes no difference."""
    invite(api, known(api))
    other = known(api, 1, email=written)
    before = aws.dump()
    answer = invite(api, other)
    assert (answer.status, answer.code, answer.faults()) == (400, "email_in_use", {"email": "email_in_use"})
    assert aws.dump() == before
    assert len(pool.users) == 1


def test_an_address_has_an_account_at_every_tenant(api: Api, pool: InMemoryCognito) -> None:
    other = Api(f"{api.tenant}x")
    assert invite(api, known(api)).status == invite(other, known(other)).status == 202
    assert len(pool.users) == 2


@pytest.mark.parametrize("user_id", ["0" * 24, "alice", "x" * 128])
def test_nobody_is_not_invited(api: Api, pool: InMemoryCognito, user_id: str) -> None:
    answer = invite(api, user_id)
    assert (answer.status, answer.code) == (404, "user_not_found")


def test_another_tenants_user_is_nobody(api: Api, aws: Aws, pool: InMemoryCognito) -> None:
    user_id = known(api)
    before = aws.dump()
    assert invite(Api(f"{api.tenant}x"), user_id).code == "user_not_found"
    assert (aws.dump(), pool.users) == (before, {})


@pytest.mark.parametrize("roles", ["customer", "staff", "service", "staff service", "operator"])
def test_only_an_admin_invites(api: Api, aws: Aws, pool: InMemoryCognito, roles: str) -> None:
    user_id = known(api)
    before = aws.dump()
    assert invite(api.with_roles(roles), user_id).status == 403
    assert invite(api.as_user(user_id).with_roles(roles), user_id).status == 403
    assert (aws.dump(), pool.users) == (before, {})
    assert invite(api.with_roles("admin"), user_id).status == 202


def test_an_invitation_that_is_cut_off_is_finished_by_the_same_one(api: Api, aws: Aws, pool: InMemoryCognito) -> None:
    numbers = count()

    def somebody() -> str:
        number = next(numbers)
        return known(api, number, email=f"user{number}@example.com")

    def is_invited(user_id: str, answer: Answer) -> None:
        assert (answer.status, answer.json) == (202, {"success": True, "sent": True})
        assert user_id in pointers(aws)
        email = api.get(f"{ROUTE}/{user_id}").json["user"]["email"]
        assert pool.users[api.tenant, user_id].email == email
        assert email in [to for to, _ in pool.mails]

    died = die_everywhere(somebody, lambda user_id: invite(api, user_id, key=user_id), is_invited)
    assert died > 5


def test_whoever_is_invited_by_an_address_alone_has_no_phone(
    api: Api, identity_store: Store, pool: InMemoryCognito
) -> None:
    directory = Directory(identity_store)
    made = invitations.invite_new(directory, user_pool.connect("pool"), api.tenant, ASHA, "Asha Rao", Role.ADMIN)
    shown = api.get(f"{ROUTE}/{made.user_id}").json["user"]
    assert (shown["name"], shown["phone"], shown["email"], shown["role"]) == ("Asha Rao", None, ASHA, "admin")
    assert api.get(ROUTE).json["users"] == [shown]
    assert list(pool.users) == [(api.tenant, made.user_id)]


def test_whoever_is_invited_by_an_address_twice_is_one(
    api: Api, identity_store: Store, pool: InMemoryCognito, clock: HandMovedClock
) -> None:
    directory, accounts = Directory(identity_store), user_pool.connect("pool")
    first = invitations.invite_new(directory, accounts, api.tenant, ASHA, "Asha", Role.CUSTOMER)
    clock.advance(1)
    second = invitations.invite_new(directory, accounts, api.tenant, ASHA.upper(), None, Role.ADMIN)
    assert (second.user_id, second.name, second.role, second.email) == (first.user_id, "Asha", "admin", ASHA)
    assert [to for to, _ in pool.mails] == [ASHA, ASHA]
