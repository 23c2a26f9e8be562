"""The user pool's adapter against an emulator that checks what AWS checks."""

import json
import time
import urllib.request
from secrets import token_hex
from typing import Any

import pytest

from holdfast.platform.errors import BadCredentials, CodeWrong, PasswordRefused, Unauthorized, Unavailable
from holdfast.platform.user_pool import AccountPool, Asked, Challenge, CognitoAccountPool, Tokens, Unconfirmed, connect
from tests.accounts.conftest import RESET_CODE, SIGN_UP_CODE, Emulated
from tests.handlers.user_pool import totp

TENANT = "demo"
PASSWORD, ANOTHER = "correct-Horse-7", "another-Horse-8"


@pytest.fixture
def user_id() -> str:
    return token_hex(12)


@pytest.fixture
def email(user_id: str) -> str:
    return f"{user_id}@example.com"


@pytest.fixture
def account(pool: AccountPool, user_id: str, email: str) -> str:
    """A confirmed account's id."""
    pool.sign_up(TENANT, user_id, email, PASSWORD)
    pool.confirm(TENANT, user_id, SIGN_UP_CODE)
    return user_id


def mails(emulated: Emulated, to: str) -> list[str]:
    with urllib.request.urlopen(f"{emulated.url}/_ministack/ses/messages", timeout=5) as answer:
        kept = json.load(answer)["messages"]
    return [mail["BodyText"] for of_account in kept.values() for mail in of_account if mail["To"] == [to]]


def users(emulated: Emulated) -> list[dict[str, Any]]:
    pages = emulated.cognito.get_paginator("list_users").paginate(UserPoolId=emulated.pool_id)
    return [user for page in pages for user in page["Users"]]


def signed_in(pool: AccountPool, user_id: str, password: str = PASSWORD) -> Tokens:
    found = pool.sign_in(TENANT, user_id, password)
    assert isinstance(found, Tokens)
    return found


def test_a_sign_up_is_confirmed_by_the_code_that_was_mailed(
    pool: AccountPool, emulated: Emulated, user_id: str, email: str
) -> None:
    pool.sign_up(TENANT, user_id, email, PASSWORD)
    assert emulated.user(TENANT, user_id)["UserStatus"] == "UNCONFIRMED"
    assert any(SIGN_UP_CODE in text for text in mails(emulated, email))
    with pytest.raises(BadCredentials):
        pool.sign_in(TENANT, user_id, PASSWORD)
    with pytest.raises(CodeWrong):
        pool.confirm(TENANT, user_id, "000000")
    pool.confirm(TENANT, user_id, SIGN_UP_CODE)
    assert emulated.user(TENANT, user_id)["UserStatus"] == "CONFIRMED"
    assert emulated.user(TENANT, user_id)["email"] == email
    pool.confirm(TENANT, user_id, "000000")
    assert signed_in(pool, user_id)


def test_who_has_not_confirmed_is_told_with_the_moment_of_their_sign_up(
    pool: AccountPool, account: str, emulated: Emulated
) -> None:
    before = time.time()
    waiting = [token_hex(12) for _ in range(61)]
    for user_id in waiting:
        pool.sign_up(TENANT, user_id, f"{user_id}@example.com", PASSWORD)
    found: list[Unconfirmed] = []
    after, more = None, True
    while more:
        page = pool.unconfirmed(after)
        assert len(page.users) <= 60
        found += page.users
        after, more = page.after, page.after is not None
    own = [user for user in found if user.user_id in waiting]
    assert {user.user_id for user in own} == set(waiting)
    assert {user.tenant for user in own} == {TENANT}
    assert account not in {user.user_id for user in found}
    assert all(before - 1 <= user.since / 1000 <= time.time() + 1 for user in own)
    for user in own:
        pool.remove(user.tenant, user.user_id)
    assert not set(waiting) & {user["Username"].partition(".")[2] for user in users(emulated)}


def test_a_sign_up_whose_answer_was_lost_is_the_same_sign_up(pool: AccountPool, user_id: str, email: str) -> None:
    pool.sign_up(TENANT, user_id, email, PASSWORD)
    pool.sign_up(TENANT, user_id, email, PASSWORD)
    pool.confirm(TENANT, user_id, SIGN_UP_CODE)


def test_an_account_that_is_not_there_is_told_as_one_that_is(pool: AccountPool, account: str) -> None:
    nobody = token_hex(12)
    for user_id in (account, nobody):
        with pytest.raises(BadCredentials):
            pool.sign_in(TENANT, user_id, ANOTHER)
        with pytest.raises(CodeWrong):
            pool.reset_password(TENANT, user_id, "000000", ANOTHER)
        pool.send_reset_code(TENANT, user_id)
        pool.send_code_again(TENANT, user_id)
        with pytest.raises(Unauthorized):
            pool.refresh(TENANT, user_id, "garbage")
    with pytest.raises(CodeWrong):
        pool.confirm(TENANT, nobody, SIGN_UP_CODE)


def test_the_pools_policy_refuses_what_ours_refuses(pool: AccountPool, user_id: str, email: str) -> None:
    for weak in ("short-Ho-7", "correct-horse-7", "CORRECT-HORSE-7", "correct-Horse-x"):
        with pytest.raises(PasswordRefused):
            pool.sign_up(TENANT, user_id, email, weak)


def test_tokens_say_when_they_were_made_and_whose_they_are(pool: AccountPool, account: str) -> None:
    given = signed_in(pool, account)
    assert abs(given.issued_at - time.time()) < 5
    assert given.expires_in == 900
    assert given.access_token not in repr(given)
    assert given.refresh_token not in repr(given)


def test_a_refresh_goes_on_under_the_same_token(pool: AccountPool, account: str) -> None:
    given = signed_in(pool, account)
    fresh = pool.refresh(TENANT, account, given.refresh_token)
    assert fresh.refresh_token == given.refresh_token
    assert fresh.access_token != given.access_token
    assert fresh.issued_at >= given.issued_at


def test_a_refresh_token_is_its_own_users_alone(pool: AccountPool, account: str) -> None:
    given, other = signed_in(pool, account), token_hex(12)
    pool.sign_up(TENANT, other, f"{other}@example.com", PASSWORD)
    with pytest.raises((Unauthorized, Unavailable)):
        pool.refresh(TENANT, other, given.refresh_token)


def test_who_is_signed_out_is_out(pool: AccountPool, account: str) -> None:
    given = signed_in(pool, account)
    pool.sign_out(TENANT, account)
    with pytest.raises(Unauthorized):
        pool.refresh(TENANT, account, given.refresh_token)
    with pytest.raises(Unauthorized):
        pool.change_password(given.access_token, PASSWORD, ANOTHER)
    with pytest.raises(Unauthorized):
        pool.begin_totp(given.access_token)
    pool.sign_out(TENANT, account)
    assert signed_in(pool, account)


def test_a_forgotten_password_is_replaced_by_the_code_that_was_mailed(
    pool: AccountPool, emulated: Emulated, account: str, email: str
) -> None:
    pool.send_reset_code(TENANT, account)
    assert any(RESET_CODE in text for text in mails(emulated, email))
    with pytest.raises(CodeWrong):
        pool.reset_password(TENANT, account, "000000", ANOTHER)
    with pytest.raises(PasswordRefused):
        pool.reset_password(TENANT, account, RESET_CODE, "weak")
    pool.reset_password(TENANT, account, RESET_CODE, ANOTHER)
    with pytest.raises(CodeWrong):
        pool.reset_password(TENANT, account, RESET_CODE, PASSWORD)
    with pytest.raises(BadCredentials):
        pool.sign_in(TENANT, account, PASSWORD)
    assert signed_in(pool, account, ANOTHER)


def test_a_password_is_replaced_by_who_knows_it(pool: AccountPool, account: str) -> None:
    token = signed_in(pool, account).access_token
    with pytest.raises(BadCredentials):
        pool.change_password(token, ANOTHER, ANOTHER)
    with pytest.raises(PasswordRefused):
        pool.change_password(token, PASSWORD, "weak")
    with pytest.raises(Unauthorized):
        pool.change_password("garbage", PASSWORD, ANOTHER)
    pool.change_password(token, PASSWORD, ANOTHER)
    assert signed_in(pool, account, ANOTHER)


def test_an_authenticator_is_asked_for_once_its_code_was_right(pool: AccountPool, account: str) -> None:
    token = signed_in(pool, account).access_token
    secret = pool.begin_totp(token)
    assert signed_in(pool, account)
    right = totp(secret, int(time.time()))
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    with pytest.raises(CodeWrong):
        pool.confirm_totp(token, wrong)
    pool.confirm_totp(token, totp(secret, int(time.time())))
    asked = pool.sign_in(TENANT, account, PASSWORD)
    assert isinstance(asked, Challenge)
    assert asked.asked is Asked.CODE
    assert asked.session not in repr(asked)
    with pytest.raises(CodeWrong):
        pool.answer_code(TENANT, account, asked.session, wrong)
    assert isinstance(pool.answer_code(TENANT, account, asked.session, totp(secret, int(time.time()))), Tokens)
    pool.end_totp(token)
    assert signed_in(pool, account)


def test_an_invited_user_chooses_a_password(pool: AccountPool, emulated: Emulated, user_id: str, email: str) -> None:
    keeper = connect(emulated.pool_id)
    assert keeper.invite(TENANT, user_id, email)
    assert emulated.user(TENANT, user_id)["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert emulated.user(TENANT, user_id)["email_verified"] == "true"
    invitations = len(mails(emulated, email))
    assert invitations >= 1
    assert keeper.invite(TENANT, user_id, f"new-{email}")
    assert len(mails(emulated, f"new-{email}")) == 1
    assert emulated.user(TENANT, user_id)["email"] == f"new-{email}"
    temporary = "Temporary-pass-1"
    emulated.cognito.admin_set_user_password(
        UserPoolId=emulated.pool_id, Username=f"{TENANT}.{user_id}", Password=temporary, Permanent=False
    )
    asked = pool.sign_in(TENANT, user_id, temporary)
    assert isinstance(asked, Challenge)
    assert asked.asked is Asked.NEW_PASSWORD
    assert isinstance(pool.answer_new_password(TENANT, user_id, asked.session, PASSWORD), Tokens)
    assert keeper.invite(TENANT, user_id, email) is False
    assert emulated.user(TENANT, user_id)["email"] == f"new-{email}"
    assert signed_in(pool, user_id)


def test_an_address_is_changed_as_one_that_codes_go_to(pool: AccountPool, emulated: Emulated, account: str) -> None:
    pool.change_email(TENANT, account, "moved@example.com")
    found = emulated.user(TENANT, account)
    assert (found["email"], found["email_verified"]) == ("moved@example.com", "true")
    pool.send_reset_code(TENANT, account)
    assert any(RESET_CODE in text for text in mails(emulated, "moved@example.com"))


def test_who_is_removed_is_gone_and_what_is_not_there_is_left_alone(pool: AccountPool, account: str) -> None:
    given = signed_in(pool, account)
    for _ in range(2):
        pool.remove(TENANT, account)
    with pytest.raises(BadCredentials):
        pool.sign_in(TENANT, account, PASSWORD)
    with pytest.raises(Unauthorized):
        pool.refresh(TENANT, account, given.refresh_token)
    pool.change_email(TENANT, account, "moved@example.com")
    pool.sign_out(TENANT, account)


def test_the_same_user_of_two_tenants_is_two_accounts(pool: AccountPool, account: str) -> None:
    with pytest.raises(BadCredentials):
        pool.sign_in("elsewhere", account, PASSWORD)


def test_a_secret_that_is_not_the_clients_is_read_anew(emulated: Emulated, pool: AccountPool, account: str) -> None:
    assert isinstance(pool, CognitoAccountPool)
    pool._secret = "another"
    with pytest.raises(Unavailable):
        pool.sign_in(TENANT, account, PASSWORD)
    assert signed_in(pool, account)


def test_the_emulator_holds_to_what_these_tests_lean_on(emulated: Emulated, account: str) -> None:
    """Without AUTH it would let any code and hash pass, and the tests above would show nothing."""
    unsigned: dict[str, Any] = {"USERNAME": f"{TENANT}.{account}", "PASSWORD": PASSWORD}
    with pytest.raises(emulated.cognito.exceptions.NotAuthorizedException):
        emulated.cognito.initiate_auth(
            ClientId=emulated.client_id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=unsigned
        )
