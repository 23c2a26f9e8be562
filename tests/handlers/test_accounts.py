"""Forgotten and changed passwords, second factors, and whose credential a request came with."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from holdfast.identity import account_emails, people
from holdfast.platform.credentials import digest_of
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.accounts import ANOTHER, ASHA, PASSWORD, Killed, Site, opened
from tests.handlers.gateway import Answer, Api, event, load, send
from tests.handlers.user_pool import refusal, totp

UNKNOWN = "nobody@example.com"


@pytest.fixture(scope="module")
def pool_keys() -> Iterator[tokens.JwksServer]:
    with tokens.published() as server:
        yield server


@pytest.fixture
def site(api: Api, clock: HandMovedClock, pool_keys: tokens.JwksServer, monkeypatch: pytest.MonkeyPatch) -> Site:
    return opened(monkeypatch, api.tenant, clock, pool_keys.url)


def told(answer: Answer) -> tuple[int, dict[str, Any]]:
    """Return all that an answer tells, but for the id that every request has of its own."""
    return answer.status, {name: value for name, value in answer.json.items() if name != "request_id"}


def reset(site: Site, user_id: str, **other: Any) -> Answer:
    """Choose another password by the code that was mailed."""
    body = {"email": ASHA, "code": site.pool.reset_code_of(site.tenant, user_id), "new_password": ANOTHER}
    return site.post("reset-password", body | other)


def current_user(site: Site, credential: str | None, **headers: str) -> Any:
    if credential is not None:
        headers["Authorization"] = f"Bearer {credential}"
    answer = send(event("GET", "/api/users/currentuser", headers=headers))
    assert answer.status == 200
    assert set(answer.json) == {"currentUser"}
    return answer.json["currentUser"]


# ---- Forgotten passwords


def test_a_forgotten_password_is_replaced_by_a_code_and_all_sign_ins_are_over(site: Site) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    answer = site.post("forgot-password", {"email": ASHA.upper(), "unknown": 1})
    assert (answer.status, answer.json) == (202, {})
    assert site.pool.mails[-1] == (ASHA, "reset")
    answer = reset(site, user_id, email=ASHA.title())
    assert (answer.status, answer.json) == (200, {})
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert "refusal" in tokens.bearer(session["access_token"])
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"
    assert "refusal" not in tokens.bearer(site.signed_in(password=ANOTHER)["access_token"])


def test_whether_there_is_an_account_is_not_told_by_asking_for_a_code(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.confirmed()
    invited = people.account_of(site.accounts.directory, site.tenant, "ben@example.com", None, people.Role.STAFF)
    site.accounts.pool.invite(site.tenant, invited.user_id, "ben@example.com")
    site.signed_up("cy@example.com")
    asked: list[str] = []
    original = Store._call

    def noted(store: Store, operation: str, arguments: dict[str, Any]) -> Any:
        asked.append(operation)
        return original(store, operation, arguments)

    monkeypatch.setattr(Store, "_call", noted)
    found = []
    for email in (ASHA, UNKNOWN, "ben@example.com", "cy@example.com"):
        asked.clear()
        site.pool.calls.clear()
        site.sleeps.waits.clear()
        answer = told(site.post("forgot-password", {"email": email}))
        found.append((answer, list(asked), list(site.pool.calls), list(site.sleeps.waits)))
    assert all(one == found[0] for one in found)
    assert found[0][0] == (202, {})
    assert found[0][3] == [1.0]
    assert [to for to, what in site.pool.mails if what == "reset"] == [ASHA]


@pytest.mark.parametrize(
    "word",
    ["LimitExceededException", "InvalidParameterException", "CodeDeliveryFailureException", "UserNotFoundException"],
)
def test_what_keeps_the_pool_from_sending_a_code_is_not_told(site: Site, word: str) -> None:
    site.confirmed()

    def refuse() -> None:
        raise refusal(word, "Attempt limit exceeded, please try after some time.")

    with site.pool.hooked("before", "forgot_password", refuse):
        assert told(site.post("forgot-password", {"email": ASHA})) == (202, {})
    assert site.sleeps.waits == [1.0]


def test_a_wrong_code_and_an_unknown_account_are_told_alike(site: Site) -> None:
    user_id = site.confirmed()
    site.post("forgot-password", {"email": ASHA})
    site.sleeps.waits.clear()
    wrong = told(reset(site, user_id, code="000000"))
    unknown = told(reset(site, user_id, email=UNKNOWN))

    def refuse() -> None:
        raise refusal("LimitExceededException", "Attempt limit exceeded, please try after some time.")

    with site.pool.hooked("before", "confirm_forgot_password", refuse):
        limited = told(reset(site, user_id))
    site.clock.advance(3_600)
    late = told(reset(site, user_id))
    assert wrong == unknown == limited == late
    assert (wrong[0], wrong[1]["code"]) == (400, "code_wrong")
    assert site.sleeps.waits == [1.0] * 4
    assert site.signed_in()


def test_a_code_is_good_once(site: Site) -> None:
    user_id = site.confirmed()
    site.post("forgot-password", {"email": ASHA})
    code = site.pool.reset_code_of(site.tenant, user_id)
    assert reset(site, user_id).status == 200
    again = site.post("reset-password", {"email": ASHA, "code": code, "new_password": PASSWORD})
    assert again.code == "code_wrong"
    assert site.signed_in(password=ANOTHER)


@pytest.mark.parametrize("password", ["Tiny-1", "all-small-letters-7", "correct horse 7A"])
def test_a_new_password_has_to_be_a_good_one(site: Site, password: str) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    calls = len(site.pool.calls)
    bodies: list[tuple[str, dict[str, Any], str | None]] = [
        ("reset-password", {"email": ASHA, "code": "123456", "new_password": password}, None),
        ("password", {"password": PASSWORD, "new_password": password}, token),
    ]
    for path, body, credential in bodies:
        answer = site.post(path, body, token=credential)
        assert answer.status == 400
        assert answer.code in ("validation_failed", "password_refused")
        assert "new_password" in answer.faults()
        assert password not in answer.text
    assert len(site.pool.calls) == calls


@pytest.mark.parametrize("verified", [False, True])
def test_codes_go_to_the_address_that_the_store_has(site: Site, verified: bool) -> None:
    """A change that was cut off, or somebody with a stolen token, may have left another in the pool, verified too."""
    user_id = site.confirmed()
    user = site.pool.of(site.tenant, user_id)
    user.email, user.email_verified = "thief@example.com", verified
    site.post("forgot-password", {"email": ASHA})
    assert site.pool.mails == [(ASHA, "sign-up"), (ASHA, "reset")]
    assert (user.email, user.email_verified) == (ASHA, True)


# ---- Repeated under a key


def test_a_code_is_sent_once_under_a_key(site: Site) -> None:
    waiting, user_id = site.signed_up("ben@example.com"), site.confirmed()
    for path, body, mailed in (
        ("forgot-password", {"email": ASHA}, (ASHA, "reset")),
        ("confirm/resend", {"id": waiting}, ("ben@example.com", "sign-up")),
    ):
        site.pool.mails.clear()
        assert [told(site.post(path, body, key="k")) for _ in range(3)] == [(202, {})] * 3
        assert site.pool.mails == [mailed]
        site.post(path, body, key="another")
        site.post(path, body)
        assert site.pool.mails == [mailed] * 3
    assert told(site.post("forgot-password", {"email": UNKNOWN}, key="k")) == (202, {})
    assert site.pool.of(site.tenant, user_id).reset_code


def test_a_password_is_chosen_once_under_a_key_whose_record_says_nothing_of_it(site: Site, aws: Aws) -> None:
    user_id = site.confirmed()
    site.post("forgot-password", {"email": ASHA})
    code = site.pool.reset_code_of(site.tenant, user_id)
    body = {"email": ASHA, "code": code, "new_password": ANOTHER}
    assert site.post("reset-password", body | {"code": "000000"}, key="k").code == "code_wrong"
    assert site.post("reset-password", body, key="k").status == 200
    session = site.signed_in(password=ANOTHER)
    site.pool.calls.clear()
    assert told(site.post("reset-password", body, key="k")) == (200, {})
    for other in ({"code": "000000"}, {"new_password": PASSWORD}):
        refused = site.post("reset-password", body | other, key="k")
        assert (refused.status, refused.code) == (422, "idempotency_key_reused")
    assert site.post("reset-password", body, key="another").code == "code_wrong"
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 200
    assert "admin_user_global_sign_out" not in site.pool.calls
    assert ANOTHER not in aws.dump()
    assert f'"{code}"' not in aws.dump()


def test_a_password_is_changed_once_under_a_key(site: Site, aws: Aws) -> None:
    site.confirmed()
    body = {"password": PASSWORD, "new_password": ANOTHER}
    assert site.post("password", body, key="k", token=site.signed_in()["access_token"]).status == 200
    token = site.signed_in(password=ANOTHER)["access_token"]
    assert told(site.post("password", body, key="k", token=token)) == (200, {})
    refused = site.post("password", body | {"password": ANOTHER}, key="k", token=token)
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")
    assert "refusal" not in tokens.bearer(token)
    assert PASSWORD not in aws.dump()
    assert ANOTHER not in aws.dump()


def test_a_confirmation_under_a_key_is_one_of_its_own_code(site: Site) -> None:
    user_id = site.signed_up()
    body = {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)}
    assert [site.post("confirm", body, key="k").status for _ in range(2)] == [200, 200]
    assert site.post("confirm", body | {"code": "000000"}, key="k").status == 422
    assert site.pool.calls.count("confirm_sign_up") == 1


def move(site: Site, user_id: str, email: str = "new@example.com") -> None:
    """Give an account another address, as an admin does."""
    directory = site.accounts.directory
    moved = people.change(directory, site.tenant, user_id, people.Changes(email=email))
    account_emails.tell(directory, site.accounts.pool, site.tenant, moved)


def test_a_code_that_went_to_another_mailbox_is_no_good_once_the_account_has_moved(site: Site) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    site.post("forgot-password", {"email": ASHA})
    move(site, user_id)
    assert "refusal" in tokens.bearer(session["access_token"])
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401
    for email in ("new@example.com", ASHA):
        assert reset(site, user_id, email=email).code == "code_wrong"
    move(site, user_id, ASHA)
    assert reset(site, user_id).code == "code_wrong"
    assert site.signed_in()
    site.post("forgot-password", {"email": ASHA})
    assert reset(site, user_id).status == 200


def test_a_change_of_the_letters_of_an_address_or_of_anything_else_ends_no_sign_in(site: Site) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    move(site, user_id, ASHA.upper())
    people.change(site.accounts.directory, site.tenant, user_id, people.Changes(name="Asha"))
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 200
    site.post("forgot-password", {"email": ASHA})
    assert reset(site, user_id).status == 200


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_account_that_moves_while_a_code_is_asked_for_keeps_its_new_address_and_is_sent_none(
    site: Site, when: str
) -> None:
    user_id = site.confirmed()
    moves = [True]

    def moving() -> None:
        if moves:
            moves.clear()
            move(site, user_id)

    with site.pool.hooked(when, "admin_update_user_attributes", moving):
        assert told(site.post("forgot-password", {"email": ASHA})) == (202, {})
    assert site.pool.of(site.tenant, user_id).email == "new@example.com"
    assert site.pool.mails == [(ASHA, "sign-up")]


def test_a_code_that_was_asked_for_as_the_account_moved_is_no_good(site: Site) -> None:
    """The last moment: the pool is told to send, and the account moves before it does."""
    user_id = site.confirmed()
    with site.pool.hooked("before", "forgot_password", lambda: move(site, user_id)):
        site.post("forgot-password", {"email": ASHA})
    for email in ("new@example.com", ASHA):
        assert reset(site, user_id, email=email).code == "code_wrong"


# ---- Changed passwords


def test_who_knows_the_present_password_replaces_it_and_everybody_is_out(site: Site) -> None:
    site.confirmed()
    here, there = site.signed_in(), site.signed_in()
    body = {"password": PASSWORD, "new_password": ANOTHER}
    answer = site.post("password", body, token=here["access_token"])
    assert (answer.status, answer.json) == (200, {})
    for session in (here, there):
        assert "refusal" in tokens.bearer(session["access_token"])
        assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert site.signed_in(password=ANOTHER)


def test_who_has_only_the_token_does_not_replace_the_password(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    answer = site.post("password", {"password": ANOTHER, "new_password": ANOTHER}, token=token)
    assert (answer.status, answer.code) == (400, "bad_credentials")
    assert "present password" in answer.json["error"]
    assert "refusal" not in tokens.bearer(token)
    assert site.signed_in()


def test_a_token_that_is_out_changes_nothing_while_its_authorization_is_remembered(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    context = tokens.bearer(token)
    site.post("signout", token=token)
    for method, path, text in (
        ("POST", "password", f'{{"password": "{PASSWORD}", "new_password": "{ANOTHER}"}}'),
        ("POST", "totp", None),
        ("POST", "totp/confirm", '{"code": "123456"}'),
        ("DELETE", "totp", None),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        answer = send(event(method, f"/api/users/{path}", text=text, headers=headers, authorizer=context))
        assert (answer.status, answer.code) == (401, "unauthorized")
    assert site.signed_in()


def test_present_passwords_are_not_to_be_tried_without_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    function = load("accounts")
    monkeypatch.setitem(function.MOST, "password", function.Most(address=9, account=6, both=3))
    site.confirmed()
    token = site.signed_in()["access_token"]
    body = {"password": ANOTHER, "new_password": ANOTHER}
    assert [site.post("password", body, token=token).status for _ in range(4)] == [400, 400, 400, 429]


# ---- Second factors


def test_an_authenticator_counts_once_it_is_confirmed_and_no_more_once_it_is_taken_off(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    answer = site.post("totp", token=token)
    assert answer.status == 200
    assert set(answer.json) == {"secret", "uri"}
    assert "access_token" in site.signed_in()
    code = totp(answer.json["secret"], site.clock.milliseconds // 1000)
    assert told(site.post("totp/confirm", {"code": code}, token=token)) == (200, {})
    assert site.signed_in()["challenge"] == "code"
    for _ in range(2):
        assert told(site.request("DELETE", "totp", token=token)) == (200, {})
    assert "access_token" in site.signed_in()


def test_the_text_of_the_qr_code_is_one_that_authenticators_read(site: Site) -> None:
    site.confirmed()
    found = site.post("totp", token=site.signed_in()["access_token"]).json
    uri = urlsplit(found["uri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == f"/Parkside Halls:{ASHA}"
    assert parse_qs(uri.query) == {"secret": [found["secret"]], "issuer": ["Parkside Halls"]}
    assert " " not in found["uri"]
    assert "+" not in found["uri"]


def test_a_wrong_code_confirms_no_authenticator(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    unasked = site.post("totp/confirm", {"code": "123456"}, token=token)
    assert (unasked.status, unasked.code) == (400, "code_wrong")
    secret = site.post("totp", token=token).json["secret"]
    right = int(totp(secret, site.clock.milliseconds // 1000))
    wrong = site.post("totp/confirm", {"code": f"{(right + 1) % 10**6:06d}"}, token=token)
    assert wrong.code == "code_wrong"
    assert "access_token" in site.signed_in()


def test_a_confirmation_that_was_cut_off_between_its_two_calls_is_repeated_with_a_new_secret(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    secret = site.post("totp", token=token).json["secret"]

    def die() -> None:
        raise Killed

    code = {"code": totp(secret, site.clock.milliseconds // 1000)}
    with site.pool.hooked("before", "set_user_mfa_preference", die), pytest.raises(Killed):
        site.post("totp/confirm", code, token=token)
    assert "access_token" in site.signed_in()
    secret = site.post("totp", token=token).json["secret"]
    code = {"code": totp(secret, site.clock.milliseconds // 1000)}
    assert site.post("totp/confirm", code, token=token).status == 200
    assert site.signed_in()["challenge"] == "code"


# ---- Whose credential it is


def test_the_current_user_is_whose_token_it_is(site: Site) -> None:
    user_id = site.confirmed(name="Asha Rao")
    token = site.signed_in()["access_token"]
    expected = {"id": user_id, "email": ASHA, "name": "Asha Rao", "roles": ["customer"], "tenant": site.tenant}
    assert current_user(site, token) == expected | {"phone": None}
    phone = "+919876543210"
    people.change(site.accounts.directory, site.tenant, user_id, people.Changes(phone=phone))
    expected["phone"] = phone
    assert current_user(site, token) == expected
    assert current_user(site, token, **{"X-Tenant-Id": "elsewhere"}) == expected


def test_the_current_user_of_a_key_is_the_key(site: Site, identity_store: Store) -> None:
    key = f"hk_{site.tenant}_{'7' * 64}"
    item = ServiceKeyItem(
        *Keys(site.tenant).service_key(digest_of(key)), label="tests", roles={"service"}, created_at=0
    )
    identity_store.write(Put(item))
    found = current_user(site, key)
    assert (found["email"], found["name"], found["phone"], found["roles"]) == (None, None, None, ["service"])
    assert found["tenant"] == site.tenant


@pytest.mark.parametrize("bad", tokens.BAD, ids=lambda make: make.__name__)
def test_a_bad_token_is_nobodys(site: Site, bad: Any) -> None:
    assert current_user(site, bad(site.tenant, site.confirmed())) is None


def test_no_credential_and_nonsense_are_nobodys(site: Site) -> None:
    for credential in (None, "x", "hk_", f"hk_{site.tenant}_{'0' * 64}", "a.b.c", "é"):
        assert current_user(site, credential) is None
    answer = send(event("GET", "/api/users/currentuser", headers={"Authorization": "Basic eDp5"}))
    assert answer.json == {"currentUser": None}


def test_who_signed_out_or_whose_tenant_is_suspended_is_nobody(site: Site) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    assert current_user(site, token) is not None
    found_tenant(site.tenant, status="suspended")
    assert current_user(site, token) is None
    found_tenant(site.tenant)
    assert current_user(site, token) is not None
    site.post("signout", token=token)
    assert current_user(site, token) is None


def test_that_the_keys_cannot_be_asked_for_is_told_and_nobody_is_called_nobody(
    site: Site, pool_keys: tokens.JwksServer
) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    load("accounts").bearers.cache_clear()
    pool_keys.status = 500
    try:
        answer = send(event("GET", "/api/users/currentuser", headers={"Authorization": f"Bearer {token}"}))
    finally:
        pool_keys.status = 200
    assert (answer.status, answer.code) == (503, "unavailable")


# ---- What all have in common


def test_no_log_line_has_anything_personal_in_it(site: Site, capsys: pytest.CaptureFixture[str], aws: Aws) -> None:
    user_id = site.confirmed(name="Asha Rao")
    session = site.signed_in()
    site.post("signin", {"email": ASHA, "password": ANOTHER})
    site.post("forgot-password", {"email": ASHA})
    code = site.pool.reset_code_of(site.tenant, user_id)
    site.post("totp", token=session["access_token"])
    site.post("reset-password", {"email": ASHA, "code": code, "new_password": ANOTHER})
    logged = capsys.readouterr().out
    assert logged.count('"message":"request"') >= 7
    for personal in (ASHA, "Asha", PASSWORD, ANOTHER, code, session["access_token"], session["refresh_token"]):
        assert personal not in logged


@pytest.mark.parametrize(
    "path",
    ["signup", "confirm", "confirm/resend", "signin", "signin/answer", "refresh", "forgot-password", "reset-password"],
)
def test_a_public_route_has_to_know_whose_it_is(site: Site, path: str) -> None:
    nobody = Site("", site.pool, site.sleeps, site.clock)
    body = {
        "id": "a",
        "email": ASHA,
        "password": PASSWORD,
        "new_password": PASSWORD,
        "code": "123456",
        "session": "x" * 20,
        "refresh_token": "a.b",
    }
    if path == "signin/answer":
        del body["code"]
    answer = nobody.post(path, body)
    assert (answer.status, answer.code) == (400, "tenant_required")
    assert not site.pool.calls
