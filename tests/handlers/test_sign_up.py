"""Signing up: a mail with a code, and an account once it is entered; crashes, twins, and others' addresses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.identity import sign_up as signing_up
from holdfast.identity.sign_up import SigningUp
from holdfast.platform.dynamodb import Delete, Store
from holdfast.platform.errors import Busy, EmailInUse
from holdfast.platform.identity_items import EmailItem, PersonItem, SignUpItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.accounts import ANOTHER, ASHA, PASSWORD, Killed, Site, opened
from tests.handlers.gateway import Api, load
from tests.handlers.user_pool import CONFIRMED, UNCONFIRMED, refusal


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    with tokens.published() as server:
        yield server.url


@pytest.fixture
def site(api: Api, clock: HandMovedClock, jwks_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    return opened(monkeypatch, api.tenant, clock, jwks_url)


def person_of(store: Store, site: Site, user_id: str) -> PersonItem | None:
    return store.get(PersonItem, Keys(site.tenant).person(user_id))


def killed(monkeypatch: pytest.MonkeyPatch, method: str, after: bool) -> Callable[[], None]:
    """Have the store end the function before or after its next writes; returns what lets it live again."""
    original = getattr(Store, method)

    def dies(store: Store, *arguments: Any) -> Any:
        if after:
            original(store, *arguments)
        raise Killed

    monkeypatch.setattr(Store, method, dies)
    return lambda: monkeypatch.setattr(Store, method, original)


def test_a_sign_up_becomes_an_account_by_its_code(site: Site, identity_store: Store) -> None:
    answer = site.post("signup", {"email": ASHA, "password": PASSWORD, "name": "Asha Rao", "unknown": 1})
    assert answer.status == 201
    assert set(answer.json) == {"id", "email"}
    assert answer.json["email"] == ASHA
    user_id = answer.json["id"]
    assert site.pool.mails == [(ASHA, "sign-up")]
    assert person_of(identity_store, site, user_id) is None
    assert site.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"
    code = site.pool.code_of(site.tenant, user_id)
    assert (site.post("confirm", {"id": user_id, "code": code}).json) == {}
    person = person_of(identity_store, site, user_id)
    assert person is not None
    assert (person.user_id, person.email, person.name, person.role) == (user_id, ASHA, "Asha Rao", "customer")
    assert (person.has_account, person.version) == (True, 1)
    assert person.signed_out_at is None
    pointer = identity_store.get(EmailItem, Keys(site.tenant).email(ASHA))
    assert pointer is not None
    assert pointer.user_id == user_id
    assert identity_store.get(SignUpItem, Keys(site.tenant).sign_up(user_id)) is None
    assert site.signed_in()["id"] == user_id


def test_an_account_has_its_address_for_itself_in_whatever_letters(site: Site) -> None:
    user_id = site.confirmed("Asha@Example.COM")
    assert site.pool.of(site.tenant, user_id).email == ASHA
    before = list(site.pool.calls)
    answer = site.post("signup", {"email": "ASHA@example.com", "password": ANOTHER})
    assert (answer.status, answer.code, answer.faults()) == (400, "email_in_use", {"email": "email_in_use"})
    assert site.pool.calls == before
    assert site.signed_in("aSHA@eXample.com")["email"] == ASHA


def test_the_same_address_has_an_account_at_each_tenant(site: Site) -> None:
    found_tenant("elsewhere")
    elsewhere = Site("elsewhere", site.pool, site.sleeps, site.clock)
    assert site.confirmed() != elsewhere.confirmed(password=ANOTHER)
    assert elsewhere.post("signin", {"email": ASHA, "password": PASSWORD}).code == "bad_credentials"
    assert elsewhere.signed_in(password=ANOTHER)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("Short-Horse7", None),
        ("Short-Horse", "validation_failed"),
        ("correct-horse-7", "password_refused"),
        ("CORRECT-HORSE-7", "password_refused"),
        ("correct-Horse-x", "password_refused"),
        ("correct Horse 7", "validation_failed"),
        ("correct-Horse-7" + "x" * 242, "validation_failed"),
        (123456789012, "validation_failed"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused_before_the_pool_is_asked(
    site: Site, aws: Aws, password: Any, code: str | None
) -> None:
    answer = site.post("signup", {"email": ASHA, "password": password})
    if code is None:
        assert answer.status == 201
        return
    assert (answer.status, answer.code) == (400, code)
    assert "password" in answer.faults()
    assert not site.pool.users
    assert str(password) not in answer.text


@pytest.mark.parametrize(
    "email", ["", "asha", "asha@", "@example.com", "a b@example.com", "asha@example.com\n", 7, None]
)
def test_what_is_no_address_signs_nobody_up(site: Site, email: Any) -> None:
    answer = site.post("signup", {"email": email, "password": PASSWORD})
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert not site.pool.users


def test_a_wrong_code_confirms_nothing_and_the_right_one_still_does(site: Site, identity_store: Store) -> None:
    user_id = site.signed_up()
    answer = site.post("confirm", {"id": user_id, "code": "000000"})
    assert (answer.status, answer.code) == (400, "code_wrong")
    assert person_of(identity_store, site, user_id) is None
    assert site.pool.of(site.tenant, user_id).status == UNCONFIRMED
    assert site.post("confirm", {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)}).status == 200


def test_a_code_that_is_too_old_is_sent_again(site: Site) -> None:
    user_id = site.signed_up()
    old = site.pool.code_of(site.tenant, user_id)
    site.clock.advance(86_400)
    assert site.post("confirm", {"id": user_id, "code": old}).code == "code_wrong"
    assert (site.post("confirm/resend", {"id": user_id}).status) == 202
    assert site.pool.mails == [(ASHA, "sign-up")] * 2
    assert site.post("confirm", {"id": user_id, "code": old}).code == "code_wrong"
    assert site.post("confirm", {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)}).status == 200


def test_who_waits_for_a_code_is_not_told(site: Site) -> None:
    waiting, account = site.signed_up(), site.confirmed("ben@example.com")
    site.sleeps.waits.clear()
    answers = [site.post("confirm/resend", {"id": user_id}) for user_id in (waiting, account, "0" * 24)]
    assert {(answer.status, answer.text) for answer in answers} == {(202, "{}")}
    assert site.sleeps.waits == [1.0] * 3
    known, unknown = (site.post("confirm", {"id": user_id, "code": "000000"}) for user_id in (waiting, "0" * 24))
    assert _but_for_its_id(known.json) == _but_for_its_id(unknown.json)


def test_an_address_gets_no_more_mails_than_sign_ups_however_many_wait_with_it(site: Site) -> None:
    """The owner of the address is mailed by whoever signs up with it, from as many addresses as they have."""
    most = load("accounts").MOST["sign-up"]
    site.clock.milliseconds = site.clock.milliseconds // 3_600_000 * 3_600_000
    waiting = [site.at(f"198.51.100.{number}").signed_up() for number in range(3)]
    answers = [
        site.at(f"203.0.113.{number}").post("confirm/resend", {"id": waiting[number % 3]})
        for number in range(2 * most.account)
    ]
    assert {(answer.status, answer.text) for answer in answers} == {(202, "{}")}
    assert site.sleeps.waits == [1.0] * len(answers)
    assert site.pool.mails == [(ASHA, "sign-up")] * most.account
    site.clock.advance(3600)
    assert site.post("confirm/resend", {"id": waiting[0]}).status == 202
    assert site.pool.mails == [(ASHA, "sign-up")] * (most.account + 1)


def test_no_code_is_sent_again_where_no_sign_up_waits(site: Site, identity_store: Store) -> None:
    waiting, account = site.signed_up(), site.confirmed("ben@example.com")
    identity_store.write(Delete(Keys(site.tenant).sign_up(waiting)))
    site.pool.calls.clear()
    for user_id in (waiting, account, "0" * 24):
        assert site.post("confirm/resend", {"id": user_id}).status == 202
    assert site.pool.calls == []


def _but_for_its_id(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "request_id"}


def test_confirming_again_changes_nothing(site: Site, aws: Aws) -> None:
    user_id = site.signed_up()
    code = site.pool.code_of(site.tenant, user_id)
    assert site.post("confirm", {"id": user_id, "code": code}).status == 200
    before = [item for item in aws.items("holdfast-identity") if "ATTEMPTS" not in item["pk"]["S"]]
    assert site.post("confirm", {"id": user_id, "code": code}).status == 200
    assert [item for item in aws.items("holdfast-identity") if "ATTEMPTS" not in item["pk"]["S"]] == before


def test_who_signs_up_with_anothers_address_gets_nothing_by_it(site: Site) -> None:
    squatter = site.signed_up(password=ANOTHER)
    owner = site.signed_up()
    assert squatter != owner
    code = site.pool.code_of(site.tenant, owner)
    assert site.post("confirm", {"id": squatter, "code": code}).code == "code_wrong"
    assert site.post("confirm", {"id": owner, "code": code}).status == 200
    assert site.post("signin", {"email": ASHA, "password": ANOTHER}).code == "bad_credentials"
    assert site.signed_in()["id"] == owner


def test_of_two_sign_ups_the_one_confirmed_first_has_the_address_and_the_other_is_gone(
    site: Site, identity_store: Store
) -> None:
    late, first = site.signed_up(password=ANOTHER), site.signed_up()
    assert site.post("confirm", {"id": first, "code": site.pool.code_of(site.tenant, first)}).status == 200
    answer = site.post("confirm", {"id": late, "code": site.pool.code_of(site.tenant, late)})
    assert (answer.status, answer.code) == (400, "email_in_use")
    assert (site.tenant, late) not in site.pool.users
    assert identity_store.get(SignUpItem, Keys(site.tenant).sign_up(late)) is None
    assert person_of(identity_store, site, late) is None
    assert site.signed_in()["id"] == first


def test_of_two_confirmations_at_once_both_find_one_account(site: Site, aws: Aws) -> None:
    user_id = site.signed_up()
    code = site.pool.code_of(site.tenant, user_id)

    def twin() -> None:
        hooks.clear()
        signing_up.confirm(site.accounts, site.tenant, user_id, code)

    hooks = site.pool.after.setdefault("confirm_sign_up", [])
    hooks.append(twin)
    assert site.post("confirm", {"id": user_id, "code": code}).status == 200
    assert site.signed_in()["id"] == user_id
    assert sum("#PEOPLE" in item["pk"]["S"] for item in aws.items("holdfast-identity")) == 1


def test_of_two_confirmations_at_once_neither_is_refused_by_the_others_write(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = site.signed_up()
    code = site.pool.code_of(site.tenant, user_id)
    original, twins = Store.transact, [1]

    def transact(store: Store, writes: Any) -> None:
        if twins.pop() if twins else 0:
            signing_up.confirm(site.accounts, site.tenant, user_id, code)
        original(store, writes)

    monkeypatch.setattr(Store, "transact", transact)
    signing_up.confirm(site.accounts, site.tenant, user_id, code)
    assert site.signed_in()["id"] == user_id


def test_of_two_sign_ups_confirmed_at_once_one_has_the_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = site.signed_up(), site.signed_up(password=ANOTHER)
    codes = {user_id: site.pool.code_of(site.tenant, user_id) for user_id in (one, two)}
    original, twins = Store.transact, [1]

    def transact(store: Store, writes: Any) -> None:
        if twins.pop() if twins else 0:
            signing_up.confirm(site.accounts, site.tenant, two, codes[two])
        original(store, writes)

    monkeypatch.setattr(Store, "transact", transact)
    with pytest.raises(EmailInUse):
        signing_up.confirm(site.accounts, site.tenant, one, codes[one])
    assert site.signed_in(password=ANOTHER)["id"] == two
    assert (site.tenant, one) not in site.pool.users


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["the pool", "the store"])
def test_a_sign_up_that_was_cut_off_may_be_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str, step: str
) -> None:
    def die() -> None:
        raise Killed

    if step == "the pool":
        with site.pool.hooked(when, "sign_up", die), pytest.raises(Killed):
            site.post("signup", {"email": ASHA, "password": PASSWORD}, key="k")
    else:
        live = killed(monkeypatch, "make", after=when == "after")
        with pytest.raises(Killed):
            site.post("signup", {"email": ASHA, "password": PASSWORD}, key="k")
        live()
    answer = site.post("signup", {"email": ASHA, "password": PASSWORD}, key="k")
    assert answer.status == 201
    user_id = answer.json["id"]
    assert site.post("confirm", {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)}).status == 200
    assert site.signed_in()["id"] == user_id


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["the pool", "the store"])
def test_a_confirmation_that_was_cut_off_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str, step: str
) -> None:
    user_id = site.signed_up()
    body = {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)}

    def die() -> None:
        raise Killed

    if step == "the pool":
        with site.pool.hooked(when, "confirm_sign_up", die), pytest.raises(Killed):
            site.post("confirm", body)
    else:
        live = killed(monkeypatch, "transact", after=when == "after")
        with pytest.raises(Killed):
            site.post("confirm", body)
        live()
    assert site.post("confirm", body).status == 200
    assert site.signed_in()["id"] == user_id


def test_the_same_sign_up_under_one_key_is_answered_the_same_and_mailed_once(site: Site) -> None:
    body = {"email": ASHA, "password": PASSWORD, "name": "Asha"}
    first, again = (site.post("signup", body, key="k-1") for _ in range(2))
    assert (first.status, first.json) == (again.status, again.json)
    assert site.pool.mails == [(ASHA, "sign-up")]
    assert site.post("signup", body, key="k-2").json["id"] != first.json["id"]
    found = {site.post("signup", body | other, key="k-1").code for other in ({"name": "Ben"}, {"password": ANOTHER})}
    assert found == {"idempotency_key_reused"}


def test_nobody_has_anothers_sign_up_answered_with_theirs_by_guessing_the_key(site: Site) -> None:
    squatter = site.post("signup", {"email": ASHA, "password": ANOTHER}, key="1")
    owner = site.post("signup", {"email": ASHA, "password": PASSWORD}, key="1")
    assert (squatter.status, owner.status, owner.code) == (201, 422, "idempotency_key_reused")
    assert site.post("signup", {"email": "ben@example.com", "password": PASSWORD}, key="1").status == 201


def test_a_twin_under_the_same_key_leaves_one_sign_up(site: Site) -> None:
    wanted, found = SigningUp(ASHA, PASSWORD), []
    hooks = site.pool.after.setdefault("sign_up", [])

    def twin() -> None:
        hooks.clear()
        found.append(signing_up.sign_up(site.accounts, site.tenant, wanted, "k"))

    hooks.append(twin)
    found.append(signing_up.sign_up(site.accounts, site.tenant, wanted, "k"))
    assert found[0] == found[1]
    assert set(site.pool.users) == {(site.tenant, found[0])}


def test_neither_password_nor_code_is_kept_in_the_store(site: Site, aws: Aws) -> None:
    user_id = site.post("signup", {"email": ASHA, "password": PASSWORD}, key="k").json["id"]
    code = site.pool.code_of(site.tenant, user_id)
    site.post("confirm", {"id": user_id, "code": code})
    session = site.signed_in()
    kept = aws.dump()
    assert PASSWORD not in kept
    assert session["refresh_token"].partition(".")[2] not in kept
    assert session["access_token"] not in kept


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_mail_that_cannot_be_sent_is_a_sign_up_to_send_again_and_leaves_nobody(site: Site, when: str) -> None:
    def refuse() -> None:
        raise refusal("CodeDeliveryFailureException", f"could not send to {ASHA}")

    with site.pool.hooked(when, "sign_up", refuse):
        answer = site.post("signup", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code, answer.json["retry_after"]) == (503, "code_not_sent", 60)
    assert not site.pool.users
    assert site.confirmed()


def test_a_sign_up_that_is_taken_away_while_it_is_confirmed_makes_nobody(
    site: Site, identity_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = site.signed_up()
    transact = Store.transact

    def taken_away(store: Store, writes: Any) -> None:
        identity_store.write(Delete(Keys(site.tenant).sign_up(user_id)))
        transact(store, writes)

    monkeypatch.setattr(Store, "transact", taken_away)
    answer = site.post("confirm", {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)})
    assert answer.code == "code_wrong"
    assert person_of(identity_store, site, user_id) is None


def test_operators_are_not_made_by_signing_up(site: Site) -> None:
    found_tenant("operator")
    operators = Site("operator", site.pool, site.sleeps, site.clock)
    answer = operators.post("signup", {"email": ASHA, "password": PASSWORD})
    assert (answer.status, answer.code) == (404, "tenant_not_found")
    assert not site.pool.users


@pytest.mark.parametrize("status", [None, "suspended"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("signup", {"email": ASHA, "password": PASSWORD}),
        ("confirm", {"id": "a", "code": "123456"}),
        ("confirm/resend", {"id": "a"}),
        ("signin", {"email": ASHA, "password": PASSWORD}),
        ("signin/answer", {"id": "a", "session": "x" * 20, "code": "123456"}),
        ("refresh", {"refresh_token": "a.b"}),
        ("forgot-password", {"email": ASHA}),
        ("reset-password", {"email": ASHA, "code": "123456", "new_password": PASSWORD}),
    ],
)
def test_a_tenant_that_is_not_open_has_no_accounts(
    site: Site, aws: Aws, path: str, body: dict[str, Any], status: str | None
) -> None:
    if status is not None:
        found_tenant("closed", status=status)
    before = aws.dump()
    closed = Site("closed", site.pool, site.sleeps, site.clock)
    answer = closed.post(path, body)
    assert (answer.status, answer.code) == (404, "tenant_not_found")
    assert not site.pool.calls
    assert aws.dump() == before


def test_a_sign_up_is_forgotten_after_a_week(site: Site, identity_store: Store) -> None:
    user_id = site.signed_up()
    item = identity_store.get(SignUpItem, Keys(site.tenant).sign_up(user_id))
    assert item is not None
    assert item.ttl == site.clock.milliseconds // 1000 + 7 * 86_400
    assert site.pool.of(site.tenant, user_id).status != CONFIRMED


def test_contention_is_answered_as_such_and_nothing_is_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.platform.dynamodb import Contended

    user_id = site.signed_up()
    code = site.pool.code_of(site.tenant, user_id)
    original, left = Store.transact, [3]

    def transact(store: Store, writes: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise Contended
        original(store, writes)

    monkeypatch.setattr(Store, "transact", transact)
    signing_up.confirm(site.accounts, site.tenant, user_id, code)
    assert site.signed_in()["id"] == user_id
    left[0] = 10**6
    other = site.signed_up("ben@example.com")
    with pytest.raises(Busy):
        signing_up.confirm(site.accounts, site.tenant, other, site.pool.code_of(site.tenant, other))
    left[0] = 0
    signing_up.confirm(site.accounts, site.tenant, other, "000000")
    assert site.signed_in("ben@example.com")["id"] == other
