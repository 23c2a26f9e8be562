"""Signing in and out: who is refused learns nothing, who signed out is out, who signs in again is in."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from holdfast.identity import passwords, people, sessions
from holdfast.identity.accounts import holder_of
from holdfast.platform.credentials import good_from
from holdfast.platform.dynamodb import Contended, Delete, Put, Store
from holdfast.platform.errors import Busy, Unauthorized
from holdfast.platform.identity_items import SessionItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.accounts import ANOTHER, ASHA, PASSWORD, Site, opened
from tests.handlers.gateway import Answer, Api, event, load, send
from tests.handlers.user_pool import INVITED, UNCONFIRMED, refusal, totp

UNKNOWN = "nobody@example.com"


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    with tokens.published() as server:
        yield server.url


@pytest.fixture
def site(api: Api, clock: HandMovedClock, jwks_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    return opened(monkeypatch, api.tenant, clock, jwks_url)


def told(answer: Answer) -> tuple[int, dict[str, Any], list[str]]:
    """Return all that an answer tells, but for the id that every request has of its own."""
    body = {name: value for name, value in answer.json.items() if name != "request_id"}
    return answer.status, body, sorted(name for name in answer.headers if name != "X-Request-Id")


def is_let_in(token: str) -> bool:
    return "refusal" not in tokens.bearer(token)


def test_who_signs_in_is_given_tokens_that_the_authorizer_knows(site: Site) -> None:
    user_id = site.confirmed()
    answer = site.post("signin", {"email": ASHA, "password": PASSWORD, "unknown": 1})
    assert answer.status == 200
    assert set(answer.json) == {"id", "email", "access_token", "refresh_token", "expires_in"}
    assert (answer.json["id"], answer.json["email"], answer.json["expires_in"]) == (user_id, ASHA, 900)
    context = tokens.bearer(answer.json["access_token"])
    assert (context["tenant"], context["name"], context["roles"]) == (site.tenant, user_id, "customer")
    assert site.sleeps.waits == []


def test_an_unknown_account_and_a_wrong_password_are_told_alike_after_the_same_calls(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.confirmed()
    asked: list[str] = []
    original = Store._call

    def noted(store: Store, operation: str, arguments: dict[str, Any]) -> Any:
        asked.append(operation)
        return original(store, operation, arguments)

    monkeypatch.setattr(Store, "_call", noted)
    found = []
    for body in ({"email": ASHA, "password": ANOTHER}, {"email": UNKNOWN, "password": ANOTHER}):
        asked.clear()
        site.pool.calls.clear()
        site.sleeps.waits.clear()
        answer = site.post("signin", body)
        found.append((told(answer), list(asked), list(site.pool.calls), list(site.sleeps.waits)))
    assert found[0] == found[1]
    assert found[0][0][:2] == (400, {"success": False, "code": "bad_credentials", "error": found[0][0][1]["error"]})
    assert found[0][3] == [1.0]


def test_an_address_that_is_nobodys_is_asked_for_by_an_id_of_its_own_that_nobody_has(site: Site) -> None:
    user_id = site.confirmed()
    asked = [holder_of(site.accounts, site.tenant, email) for email in (UNKNOWN, UNKNOWN, "another@example.com", ASHA)]
    assert asked[0] == asked[1]
    assert len(set(asked)) == 3
    assert asked[3] == user_id
    assert all(re.fullmatch("[a-z0-9]{1,64}", name) for name in asked)
    assert not re.fullmatch("[0-9a-f]{24}", asked[0])


@pytest.mark.parametrize(("slow", "waited"), [(0.0, 1.0), (0.3, 0.7), (0.999, 0.001), (1.0, 1.0), (1.25, 0.75)])
@pytest.mark.parametrize("email", [ASHA, UNKNOWN])
def test_a_refusal_is_told_at_a_full_second_however_long_it_took(
    site: Site, slow: float, waited: float, email: str
) -> None:
    site.confirmed()
    before = site.clock.milliseconds
    with site.pool.hooked("before", "initiate_auth", lambda: site.clock.advance(slow)):
        assert site.post("signin", {"email": email, "password": ANOTHER}).code == "bad_credentials"
    assert site.sleeps.waits == [pytest.approx(waited)]
    assert (site.clock.milliseconds - before) % 1000 == 0


def test_whatever_is_wrong_with_an_account_it_is_told_alike(site: Site) -> None:
    unconfirmed, locked, reset, closed = (f"{name}@example.com" for name in ("a", "b", "c", "d"))
    site.signed_up(unconfirmed)
    ids = {email: site.confirmed(email) for email in (locked, reset, closed)}
    people.close_account(site.accounts.directory, site.tenant, ids[closed])
    found = [told(site.post("signin", {"email": locked, "password": ANOTHER}))]
    site.pool.of(site.tenant, ids[locked]).locked_until = site.clock.milliseconds // 1000 + 900
    found += [told(site.post("signin", {"email": email, "password": PASSWORD})) for email in (unconfirmed, closed)]
    found.append(told(site.post("signin", {"email": locked, "password": PASSWORD})))

    def refuse() -> None:
        raise refusal("PasswordResetRequiredException", "Password reset required for the user")

    with site.pool.hooked("before", "initiate_auth", refuse):
        found.append(told(site.post("signin", {"email": reset, "password": PASSWORD})))
    assert all(one == found[0] for one in found)


def test_an_account_is_let_in_again_once_its_lock_is_over(site: Site) -> None:
    site.confirmed()
    for _ in range(5):
        site.post("signin", {"email": ASHA, "password": ANOTHER})
    site.clock.advance(2)
    assert site.signed_in()


def test_who_confirmed_at_the_pool_but_is_not_known_yet_is_not_let_in(site: Site) -> None:
    user_id = site.signed_up()
    site.pool.of(site.tenant, user_id).status = "CONFIRMED"
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"


def test_who_signed_out_is_out_everywhere_and_who_signs_in_at_once_is_in(site: Site) -> None:
    site.confirmed()
    here, there = site.signed_in(), site.signed_in()
    assert is_let_in(here["access_token"])
    answer = site.post("signout", token=here["access_token"])
    assert (answer.status, answer.json) == (200, {})
    assert not any(is_let_in(session["access_token"]) for session in (here, there))
    for session in (here, there):
        refused = site.post("refresh", {"refresh_token": session["refresh_token"]})
        assert (refused.status, refused.code) == (401, "unauthorized")
    again = site.signed_in()
    assert is_let_in(again["access_token"])
    assert 0 < sum(site.sleeps.waits) <= 2.1
    assert site.post("refresh", {"refresh_token": again["refresh_token"]}).status == 200
    assert not any(is_let_in(session["access_token"]) for session in (here, there))


def test_a_refresh_is_refused_by_the_store_even_where_the_pool_would_not(site: Site) -> None:
    """The emulator's sign-out does nothing, and one that was cut off has not reached the pool."""
    user_id = site.confirmed()
    session = site.signed_in()
    people.sign_out(site.accounts.directory, site.tenant, user_id)
    assert site.pool.of(site.tenant, user_id).sign_ins
    before = list(site.pool.calls)
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert site.pool.calls == before


def test_a_sign_out_between_the_pools_answer_and_ours_ends_the_refresh(site: Site) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    site.clock.advance(5)

    def sign_out() -> None:
        people.sign_out(site.accounts.directory, site.tenant, user_id)

    with site.pool.hooked("after", "initiate_auth", sign_out):
        assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401


def test_a_sign_out_by_a_clock_that_is_behind_ends_sessions_too(site: Site) -> None:
    user_id = site.confirmed()
    site.clock.advance(10)
    people.sign_out(site.accounts.directory, site.tenant, user_id)
    session = site.signed_in()
    site.clock.advance(-60)
    people.sign_out(site.accounts.directory, site.tenant, user_id)
    site.clock.advance(60)
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401


def test_signing_out_again_changes_nothing_that_anybody_sees(site: Site, identity_store: Store) -> None:
    site.confirmed()
    token = site.signed_in()["access_token"]
    context = tokens.bearer(token)
    for _ in range(2):
        made = event("POST", "/api/users/signout", headers={"Authorization": f"Bearer {token}"}, authorizer=context)
        assert send(made).status == 200
    assert site.post("signout", token=token).status == 401
    assert site.signed_in()


def test_a_sign_out_that_was_cut_off_before_the_pool_heard_of_it_holds(site: Site) -> None:
    site.confirmed()
    session = site.signed_in()

    def refuse() -> None:
        raise refusal("InternalErrorException", "…", status=500)

    with site.pool.hooked("before", "admin_user_global_sign_out", refuse):
        assert site.post("signout", token=session["access_token"]).status == 503
    assert not is_let_in(session["access_token"])
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401


def test_a_refresh_gives_another_token_of_the_same_session(site: Site) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    site.clock.advance(3)
    answer = site.post("refresh", {"refresh_token": session["refresh_token"]})
    assert answer.status == 200
    assert answer.json["access_token"] != session["access_token"]
    assert {**answer.json, "access_token": 0} == {**session, "access_token": 0}
    assert is_let_in(answer.json["access_token"])
    assert answer.json["id"] == user_id


@pytest.mark.parametrize(
    "changed",
    [
        lambda token: f"{'0' * 24}.{token.partition('.')[2]}",
        lambda token: f"{token}x",
        lambda token: token.partition(".")[0] + ".garbage",
    ],
)
def test_a_refresh_token_is_good_as_it_was_given_only(site: Site, changed: Any) -> None:
    site.confirmed()
    session = site.signed_in()
    answer = site.post("refresh", {"refresh_token": changed(session["refresh_token"])})
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert "Sign in again" in answer.json["error"]


def test_a_refresh_token_is_no_good_at_another_tenant(site: Site) -> None:
    site.confirmed()
    session = site.signed_in()
    found_tenant("elsewhere")
    elsewhere = Site("elsewhere", site.pool, site.sleeps, site.clock)
    assert elsewhere.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401


def test_a_session_lasts_thirty_days(site: Site, identity_store: Store) -> None:
    user_id = site.confirmed()
    refresh_token = site.signed_in()["refresh_token"]
    kept = identity_store.get(SessionItem, Keys(site.tenant).session(user_id, refresh_token.partition(".")[2]))
    assert kept is not None
    assert kept.ttl == site.clock.milliseconds // 1000 + 30 * 86_400
    site.clock.advance(30 * 86_400 - 1)
    assert site.post("refresh", {"refresh_token": refresh_token}).status == 200
    for known in site.pool._refreshes.values():
        known.until += 10
    site.clock.advance(1)
    assert site.post("refresh", {"refresh_token": refresh_token}).status == 401


def test_who_is_gone_is_not_let_in_by_what_they_had(site: Site, identity_store: Store) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    identity_store.write(Delete(Keys(site.tenant).person(user_id)))
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"
    assert site.post("signout", token=session["access_token"]).status == 401


def test_a_password_that_is_right_lets_nobody_in_whose_account_was_taken_away(
    site: Site, identity_store: Store
) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    person = people.find(site.accounts.directory, site.tenant, user_id)
    person.has_account = None
    identity_store.write(Put(person))
    assert told(site.post("signin", {"email": ASHA, "password": PASSWORD}))[1]["code"] == "bad_credentials"
    assert site.post("refresh", {"refresh_token": session["refresh_token"]}).status == 401


def test_a_token_of_the_dead_seconds_is_never_given(site: Site, identity_store: Store) -> None:
    user_id = site.confirmed()
    for moved in range(0, 2000, 250):
        here = site.at(f"198.51.100.{moved // 250}")
        session = here.signed_in()
        here.post("signout", token=session["access_token"])
        site.clock.milliseconds += moved
        given = here.signed_in()
        person = people.find(site.accounts.directory, site.tenant, user_id)
        assert person.signed_out_at is not None
        assert is_let_in(given["access_token"])
        assert is_let_in(site.post("refresh", {"refresh_token": given["refresh_token"]}).json["access_token"])
        assert site.clock.milliseconds // 1000 >= good_from(person.signed_out_at)
        site.clock.advance(1)


def test_a_pool_whose_clock_is_far_behind_lets_nobody_in_with_a_dead_token(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.confirmed()
    site.post("signout", token=site.signed_in()["access_token"])
    monkeypatch.setattr("tests.handlers.user_pool._now", lambda: site.clock.milliseconds // 1000 - 4)
    answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (503, "busy")
    assert site.sleeps.waits[-1] <= 3


def test_a_sign_out_at_the_moment_of_a_sign_in_is_a_sign_in_to_repeat(site: Site) -> None:
    user_id = site.confirmed()

    def sign_out() -> None:
        sessions.end_all(site.accounts, site.tenant, user_id)

    with site.pool.hooked("after", "initiate_auth", sign_out):
        answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (503, "busy")
    assert site.signed_in()


def throttle() -> None:
    raise refusal("TooManyRequestsException", "Too many requests")


@pytest.mark.parametrize("ended", ["reset", "password"])
def test_a_sign_in_with_a_password_that_is_replaced_meanwhile_lasts_no_longer_than_those_before(
    site: Site, ended: str
) -> None:
    """Also where the pool does not hear of the sign-out that the new password brings with it."""
    user_id = site.confirmed()
    owners = site.signed_in()["access_token"]
    site.post("forgot-password", {"email": ASHA})
    code = site.pool.reset_code_of(site.tenant, user_id)
    replaced = {
        "reset": partial(passwords.reset, site.accounts, site.tenant, ASHA, code, ANOTHER),
        "password": partial(passwords.change, site.accounts, site.tenant, user_id, owners, PASSWORD, ANOTHER),
    }

    def replace_password() -> None:
        if site.pool.of(site.tenant, user_id).password != PASSWORD:
            return
        with site.pool.hooked("before", "admin_user_global_sign_out", throttle), pytest.raises(Busy):
            replaced[ended]()

    with site.pool.hooked("after", "initiate_auth", replace_password):
        answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (503, "busy")
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"
    assert site.signed_in(password=ANOTHER)


def test_an_answer_to_a_challenge_does_not_outlast_a_sign_out_at_the_same_moment(site: Site) -> None:
    person = people.account_of(site.accounts.directory, site.tenant, ASHA, None, people.Role.CUSTOMER)
    site.accounts.pool.invite(site.tenant, person.user_id, ASHA)
    asked = site.post("signin", {"email": ASHA, "password": site.pool.of(site.tenant, person.user_id).password}).json
    body = {"id": person.user_id, "session": asked["session"], "new_password": PASSWORD}

    def sign_out() -> None:
        people.sign_out(site.accounts.directory, site.tenant, person.user_id)

    with site.pool.hooked("after", "respond_to_auth_challenge", sign_out):
        answer = site.post("signin/answer", body)
    assert (answer.status, answer.code) == (503, "busy")
    assert site.signed_in()


def test_a_sign_out_asks_a_throttled_pool_again(site: Site) -> None:
    user_id = site.confirmed()
    token, throttled = site.signed_in()["access_token"], [throttle] * 2

    def sometimes() -> None:
        if throttled:
            throttled.pop()()

    with site.pool.hooked("before", "admin_user_global_sign_out", sometimes):
        assert site.post("signout", token=token).status == 200
    assert not site.pool.of(site.tenant, user_id).sign_ins


def test_an_invited_user_chooses_a_password(site: Site, identity_store: Store) -> None:
    person = people.account_of(site.accounts.directory, site.tenant, ASHA, "Asha", people.Role.STAFF)
    assert site.accounts.pool.invite(site.tenant, person.user_id, ASHA)
    temporary = site.pool.of(site.tenant, person.user_id).password
    asked = site.post("signin", {"email": ASHA, "password": temporary})
    assert asked.status == 200
    assert set(asked.json) == {"challenge", "session", "id"}
    assert (asked.json["challenge"], asked.json["id"]) == ("new_password", person.user_id)
    body = {"id": person.user_id, "session": asked.json["session"]}
    for weak, code in (("short", "validation_failed"), ("all-small-letters", "password_refused")):
        refused = site.post("signin/answer", body | {"new_password": weak})
        assert (refused.status, refused.code) == (400, code)
        assert "new_password" in refused.faults()
    assert site.pool.of(site.tenant, person.user_id).status == INVITED
    answer = site.post("signin/answer", body | {"new_password": PASSWORD})
    assert answer.status == 200
    assert set(answer.json) == {"id", "email", "access_token", "refresh_token", "expires_in"}
    assert tokens.bearer(answer.json["access_token"])["roles"] == "staff"
    assert site.post("signin/answer", body | {"new_password": ANOTHER}).code == "bad_credentials"
    assert site.signed_in()


def test_who_has_an_authenticator_is_asked_for_its_code(site: Site) -> None:
    user_id = site.confirmed()
    token = site.signed_in()["access_token"]
    secret = site.post("totp", token=token).json["secret"]
    assert site.post("totp/confirm", {"code": totp(secret, site.clock.milliseconds // 1000)}, token=token).status == 200
    asked = site.post("signin", {"email": ASHA, "password": PASSWORD}).json
    assert (asked["challenge"], asked["id"]) == ("code", user_id)
    body = {"id": user_id, "session": asked["session"]}
    right = totp(secret, site.clock.milliseconds // 1000)
    wrong = site.post("signin/answer", body | {"code": f"{(int(right) + 1) % 10**6:06d}"})
    assert (wrong.status, wrong.code) == (400, "code_wrong")
    answer = site.post("signin/answer", body | {"code": right})
    assert answer.status == 200
    assert is_let_in(answer.json["access_token"])
    assert site.post("signin/answer", body | {"code": right}).code == "bad_credentials"


def test_a_session_of_a_challenge_is_good_for_its_own_user_answer_and_time(site: Site) -> None:
    person = people.account_of(site.accounts.directory, site.tenant, ASHA, None, people.Role.CUSTOMER)
    site.accounts.pool.invite(site.tenant, person.user_id, ASHA)
    other = site.confirmed("ben@example.com")
    asked = site.post("signin", {"email": ASHA, "password": site.pool.of(site.tenant, person.user_id).password}).json
    good = {"id": person.user_id, "session": asked["session"], "new_password": PASSWORD}
    code = {"id": person.user_id, "session": asked["session"], "code": "123456"}
    site.sleeps.waits.clear()
    bad = [good | {"id": other}, good | {"id": "0" * 24}, good | {"session": "x" * 40}, code]
    answers = [told(site.post("signin/answer", body)) for body in bad]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][1]["code"] == "bad_credentials"
    assert site.sleeps.waits == [1.0] * 4
    site.clock.advance(301)
    assert told(site.post("signin/answer", good)) == answers[0]


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a", "session": "x" * 20},
        {"id": "a", "session": "x" * 20, "code": "123456", "new_password": PASSWORD},
        {"id": "a", "session": "x" * 19, "code": "123456"},
        {"id": "a", "session": "x" * 2049, "code": "123456"},
        {"id": "a", "session": "x" * 20, "code": "12345"},
        {"id": "a", "session": "x" * 20, "code": 123456},
        {"id": "a.b", "session": "x" * 20, "code": "123456"},
        {"id": "A", "session": "x" * 20, "code": "123456"},
    ],
)
def test_an_answer_that_is_none_is_refused_before_the_pool_is_asked(site: Site, body: dict[str, Any]) -> None:
    answer = site.post("signin/answer", body)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert not site.pool.calls


def test_the_pools_throttle_and_silence_are_told_as_such(site: Site) -> None:
    site.confirmed()
    for word, status, code in (
        ("TooManyRequestsException", 400, "busy"),
        ("InternalErrorException", 500, "unavailable"),
        ("SomethingNew", 503, "unavailable"),
    ):

        def refuse(word: str = word, status: int = status) -> None:
            raise refusal(word, f"of {ASHA}", status)

        with site.pool.hooked("before", "initiate_auth", refuse):
            answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
        assert (answer.status, answer.code) == (503, code)
        assert answer.headers["Retry-After"]


def test_a_refusal_that_nobody_expected_is_a_fault_that_repeats_nothing_of_it(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise refusal("UnsupportedOperationException", f"Value '{PASSWORD}' of {ASHA} failed")

    with site.pool.hooked("before", "initiate_auth", refuse):
        answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (500, "internal_error")
    logged = capsys.readouterr().out
    assert "UnsupportedOperationException" in logged
    assert PASSWORD not in logged + answer.text
    assert ASHA not in logged + answer.text


def test_tokens_that_are_anothers_let_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool never gives them; an emulator, or a change of the pool's, might."""
    site.confirmed()
    other = site.confirmed("ben@example.com")
    session = site.signed_in()
    made = site.pool._refreshed
    monkeypatch.setattr(site.pool, "_let_in", lambda key, user: site.pool._tokens((site.tenant, other), "origin"))
    answer = site.post("signin", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (500, "internal_error")
    others = site.pool._tokens((site.tenant, other), "origin")["AuthenticationResult"]["RefreshToken"]
    monkeypatch.setattr(site.pool, "_refreshed", lambda _token: made(others))
    answer = site.post("refresh", {"refresh_token": session["refresh_token"]})
    assert (answer.status, answer.code) == (500, "internal_error")


def test_a_client_secret_that_was_replaced_is_read_anew(site: Site) -> None:
    site.confirmed()
    site.pool.client_secret = "another"
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "unavailable"
    assert site.signed_in()


def test_the_store_going_away_lets_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.confirmed()

    def contended(*_: Any) -> None:
        raise Contended

    monkeypatch.setattr(Store, "write", contended)
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).status == 503


@pytest.mark.parametrize("what", ["account", "address", "both"])
def test_sign_ins_are_counted_refused_ones_too(site: Site, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    site.confirmed()
    function = load("accounts")
    most = function.Most(address=12, account=9, both=5)
    monkeypatch.setitem(function.MOST, "sign-in", most)
    limit, seconds = {
        "account": (most.account, 3600),
        "address": (most.address, 3600),
        "both": (most.both, 600),
    }[what]
    passed = 0
    for number in range(limit + 2):
        address = "198.51.100.7" if what != "account" else f"198.51.100.{number}"
        email = f"user{number}@example.com" if what == "address" else ASHA.upper() if number % 2 else ASHA
        site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000 + 1000
        answer = site.at(address).post("signin", {"email": email, "password": ANOTHER})
        if answer.status == 429:
            break
        passed += 1
    assert passed == limit
    assert answer.code == "too_many_requests"
    assert int(answer.headers["Retry-After"]) == seconds - 1
    assert answer.headers["RateLimit-Limit"] == str(limit)
    calls = list(site.pool.calls)
    right = site.at(address if what != "account" else "203.0.113.9")
    refused = right.post("signin", {"email": ASHA, "password": PASSWORD})
    assert refused.status == 429
    assert site.pool.calls == calls
    site.clock.advance(seconds)
    assert right.post("signin", {"email": ASHA, "password": PASSWORD}).status in (200, 400)


@pytest.mark.parametrize(
    ("path", "what", "body"),
    [
        ("signup", "sign-up", {"email": ASHA, "password": PASSWORD}),
        ("confirm", "confirm", {"id": "a", "code": "123456"}),
        ("confirm/resend", "resend", {"id": "a"}),
        ("signin/answer", "answer", {"id": "a", "session": "x" * 20, "code": "123456"}),
        ("reset-password", "reset", {"email": ASHA, "code": "123456", "new_password": PASSWORD}),
    ],
)
def test_every_other_way_to_try_is_counted(site: Site, path: str, what: str, body: dict[str, Any]) -> None:
    most = load("accounts").MOST[what]
    site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000
    here = [site.post(path, body).status for _ in range(most.both + 1)]
    assert 429 not in here[:-1]
    assert here[-1] == 429
    there = []
    for number in range(most.account - most.both + 1):
        there.append(site.at(f"198.51.100.{number}").post(path, body).status)
    assert 429 not in there[:-1]
    assert there[-1] == 429


def locked(site: Site, path: str, what: str, body: dict[str, Any]) -> None:
    """Have strangers try at an account what they may, and more; the pool's own lock is not what is looked at."""
    most = load("accounts").MOST[what]
    for user in site.pool.users.values():
        user.failures = -1_000
    site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000
    for number in range(most.account + 1):
        site.at(f"198.51.100.{number}").post(path, body)


def test_who_signed_in_where_they_are_is_not_locked_out_by_strangers(site: Site) -> None:
    """Nor kept from a code for another password, nor from using it; elsewhere they are, as the strangers are."""
    user_id = site.confirmed()
    home, abroad = site.at("203.0.113.9"), site.at("203.0.113.10")
    home.signed_in()
    right = {"email": ASHA.upper(), "password": PASSWORD}
    locked(site, "signin", "sign-in", {"email": ASHA, "password": ANOTHER})
    assert (home.post("signin", right).status, abroad.post("signin", right).status) == (200, 429)
    assert home.post("signin", {"email": ASHA, "password": ANOTHER}).code == "bad_credentials"
    locked(site, "forgot-password", "forgot", {"email": ASHA})
    mails = len(site.pool.mails)
    assert home.post("forgot-password", {"email": ASHA}).status == 202
    assert len(site.pool.mails) == mails + 1
    reset = {"email": ASHA, "new_password": ANOTHER}
    locked(site, "reset-password", "reset", reset | {"code": "000000"})
    good = reset | {"code": site.pool.reset_code_of(site.tenant, user_id)}
    assert (abroad.post("reset-password", good).status, home.post("reset-password", good).status) == (429, 200)


def test_who_is_known_somewhere_is_so_for_a_month_at_their_own_account_and_not_to_guess_without_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = load("accounts")
    monkeypatch.setitem(function.MOST, "sign-in", function.Most(address=900, account=6, both=5))
    home = site.at("203.0.113.9")
    for email in (ASHA, "ben@example.com"):
        site.at("192.0.2.99").confirmed(email)
    home.signed_in()
    site.clock.advance(3_600)
    wrong = {"email": ASHA, "password": ANOTHER}
    locked(site, "signin", "sign-in", wrong)
    assert [home.post("signin", wrong).status for _ in range(6)] == [400] * 5 + [429]
    locked(site, "signin", "sign-in", wrong | {"email": "ben@example.com"})
    assert home.post("signin", {"email": "ben@example.com", "password": PASSWORD}).status == 429
    for days, status in ((29, 200), (31, 429)):
        site.clock.advance(days * 86_400)
        locked(site, "signin", "sign-in", wrong)
        assert home.post("signin", {"email": ASHA, "password": PASSWORD}).status == status


def test_who_knows_the_password_signs_in_as_often_as_they_like_and_leaves_guesses_as_many_as_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = load("accounts")
    most = function.Most(address=900, account=6, both=5)
    monkeypatch.setitem(function.MOST, "sign-in", most)
    user_id = site.confirmed()
    site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000
    for number in range(2 * most.account):
        site.at(f"203.0.113.{number}").signed_in()
    site.pool.users[site.tenant, user_id].failures = -1_000
    wrong = {"email": ASHA, "password": ANOTHER}
    guesses = [site.at(f"198.51.100.{number}").post("signin", wrong).status for number in range(most.account + 1)]
    assert guesses == [400] * most.account + [429]


def test_codes_that_strangers_ask_for_are_so_many_and_then_none_without_a_word(site: Site) -> None:
    site.confirmed()
    site.pool.mails.clear()
    most = load("accounts").MOST["forgot"]
    site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000
    site.sleeps.waits.clear()
    answers = [
        site.at(f"198.51.100.{number}").post("forgot-password", {"email": ASHA}) for number in range(most.account + 3)
    ]
    assert {(answer.status, answer.text) for answer in answers} == {(202, "{}")}
    assert site.sleeps.waits == [1.0] * len(answers)
    assert site.pool.mails == [(ASHA, "reset")] * most.account
    here = [site.post("forgot-password", {"email": ASHA}).status for _ in range(most.both + 1)]
    assert here == [202] * most.both + [429]


def test_an_office_behind_one_address_signs_in_within_minutes(site: Site) -> None:
    most = load("accounts").MOST
    assert most["sign-in"].address >= 1_000
    assert most["sign-up"].address >= 500
    assert all(limits.both < limits.account < limits.address for limits in most.values())


def test_a_service_key_has_no_account_to_sign_out_of(site: Site, api: Api) -> None:
    context = {
        "tenant": site.tenant,
        "name": "key-0123456789ab",
        "roles": "service",
        "scopes": "*",
        "settings": "{}",
        "credential": "key:" + "0" * 64,
    }
    for method, path, text in (
        ("POST", "signout", None),
        ("POST", "password", f'{{"password": "{PASSWORD}", "new_password": "{ANOTHER}"}}'),
        ("POST", "totp", None),
        ("POST", "totp/confirm", '{"code": "123456"}'),
        ("DELETE", "totp", None),
    ):
        answer = send(event(method, f"/api/users/{path}", text=text, authorizer=context))
        assert (answer.status, answer.code) == (403, "forbidden")
    assert not site.pool.calls


def test_only_digests_of_refresh_tokens_are_kept_and_each_user_has_their_own(site: Site, aws: Aws) -> None:
    site.confirmed()
    site.confirmed("ben@example.com")
    given = [site.signed_in(), site.signed_in(), site.signed_in("ben@example.com")]
    kept = [item["pk"]["S"] for item in aws.items("holdfast-identity") if "#SESSIONS#" in item["pk"]["S"]]
    assert sorted(kept) == sorted(f"{site.tenant}#SESSIONS#{session['id']}" for session in given)
    assert not any(session["refresh_token"].partition(".")[2] in aws.dump() for session in given)


def test_no_session_means_no_refresh_even_with_a_token_of_the_pool(site: Site, identity_store: Store) -> None:
    user_id = site.confirmed()
    session = site.signed_in()
    of_the_pool = session["refresh_token"].partition(".")[2]
    identity_store.write(Delete(Keys(site.tenant).session(user_id, of_the_pool)))
    with pytest.raises(Unauthorized):
        sessions.refreshed(site.accounts, site.tenant, session["refresh_token"])
    assert site.accounts.pool.refresh(site.tenant, user_id, of_the_pool)


def test_who_waits_for_a_code_is_not_signed_in_by_asking_for_another_password(site: Site) -> None:
    user_id = site.signed_up()
    assert site.post("forgot-password", {"email": ASHA}).status == 202
    assert site.pool.of(site.tenant, user_id).status == UNCONFIRMED
    assert site.pool.mails == [(ASHA, "sign-up")]
