"""Accounts that nobody confirmed: gone from the pool once their time is over, whatever else goes on; others stay."""

from collections.abc import Iterator

import pytest

from holdfast.identity import unconfirmed
from holdfast.identity.sign_up import WAITS_SECONDS
from holdfast.platform.dynamodb import Delete, Put, Store
from holdfast.platform.errors import Busy
from holdfast.platform.identity_items import PersonItem, SignUpItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import HandMovedClock
from tests.handlers.accounts import ASHA, PASSWORD, Site, opened
from tests.handlers.gateway import LOG, Api, LambdaContext, forget, load
from tests.handlers.user_pool import CONFIRMED, UNCONFIRMED, User, refusal


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    with tokens.published() as server:
        yield server.url


@pytest.fixture
def site(api: Api, clock: HandMovedClock, jwks_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    forget("unconfirmed_accounts")
    return opened(monkeypatch, api.tenant, clock, jwks_url)


@pytest.fixture
def store(site: Site) -> Store:
    return site.accounts.directory.store


def run(remaining: int = 120_000) -> dict[str, int]:
    """Run the function once, with so many milliseconds of time."""
    answer: dict[str, int] = load("unconfirmed_accounts").handler({}, LambdaContext(remaining=remaining))
    return answer


def some(site: Site, count: int, status: str = UNCONFIRMED) -> list[str]:
    """Have the pool know so many, made just now, and return their ids."""
    ids = [f"{status.lower()}{number:04d}" for number in range(count)]
    for user_id in ids:
        site.pool.users[site.tenant, user_id] = User(f"{user_id}@example.com", PASSWORD, status)
    return ids


def test_a_sign_up_is_gone_a_week_later_from_the_pool_and_the_store(site: Site, store: Store) -> None:
    user_id = site.signed_up()
    site.clock.advance(WAITS_SECONDS - 1)
    assert run() == {"removed": 0, "left": 0}
    assert store.get(SignUpItem, Keys(site.tenant).sign_up(user_id)) is not None
    site.clock.advance(1)
    assert run() == {"removed": 1, "left": 0}
    assert site.pool.users == {}
    assert store.get(SignUpItem, Keys(site.tenant).sign_up(user_id)) is None
    assert run() == {"removed": 0, "left": 0}


def test_what_a_sign_up_that_broke_off_left_in_the_pool_goes_too(site: Site) -> None:
    some(site, 1)
    site.clock.advance(WAITS_SECONDS)
    assert run() == {"removed": 1, "left": 0}


def test_accounts_that_are_confirmed_or_invited_stay_however_old_they_are(site: Site) -> None:
    user_id = site.confirmed()
    some(site, 1, "FORCE_CHANGE_PASSWORD")
    before = set(site.pool.users)
    site.clock.advance(2 * WAITS_SECONDS)
    assert run() == {"removed": 0, "left": 0}
    assert set(site.pool.users) == before
    assert site.pool.of(site.tenant, user_id).status == CONFIRMED
    site.signed_in()


def test_the_pools_word_for_a_status_is_looked_at_even_if_it_does_not_sort_by_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator, and an answer of a moment ago, may name those who are confirmed."""
    some(site, 1, CONFIRMED)
    listed = site.pool.list_users
    everybody = {"Filter": f'cognito:user_status = "{CONFIRMED}"'}
    monkeypatch.setattr(site.pool, "list_users", lambda **arguments: listed(**{**arguments, **everybody}))
    site.clock.advance(WAITS_SECONDS)
    assert run() == {"removed": 0, "left": 0}
    assert len(site.pool.users) == 1


def test_somebody_who_is_known_stays_whatever_the_pool_says(site: Site, store: Store) -> None:
    (user_id,) = some(site, 1)
    key = Keys(site.tenant).person(user_id)
    store.write(Put(PersonItem(*key, user_id=user_id, role="customer", version=1, created_at=1, updated_at=1)))
    site.clock.advance(WAITS_SECONDS)
    assert run() == {"removed": 0, "left": 0}
    assert len(site.pool.users) == 1


def test_whoever_confirms_while_they_are_looked_for_has_an_account(site: Site) -> None:
    user_id = site.signed_up()
    site.clock.advance(WAITS_SECONDS)
    site.pool._mail_sign_up(site.pool.of(site.tenant, user_id))
    code = site.pool.code_of(site.tenant, user_id)

    def confirm() -> None:
        assert site.post("confirm", {"id": user_id, "code": code}).status == 200

    with site.pool.hooked("after", "list_users", confirm):
        assert run() == {"removed": 0, "left": 0}
    site.signed_in()


def test_a_confirmation_that_the_removal_overtakes_makes_nobody(site: Site, store: Store) -> None:
    """The pool took the code, but the sign-up is gone before somebody is made of it: no account without a user."""
    user_id = site.signed_up()
    site.clock.advance(WAITS_SECONDS)
    site.pool._mail_sign_up(site.pool.of(site.tenant, user_id))
    code = site.pool.code_of(site.tenant, user_id)
    first, answers = iter([True]), []

    def confirm() -> None:
        """Confirm as the removal, which has taken the sign-up away, is about to remove the user."""
        if next(first, False):
            answers.append(site.post("confirm", {"id": user_id, "code": code}))

    with site.pool.hooked("before", "admin_delete_user", confirm):
        assert run() == {"removed": 1, "left": 0}
    (answer,) = answers
    assert (answer.status, answer.code) == (400, "code_wrong")
    assert site.pool.users == {}
    assert store.get(PersonItem, Keys(site.tenant).person(user_id)) is None


def test_a_code_that_is_entered_once_the_sign_up_is_forgotten_leaves_nobody_in_the_pool(
    site: Site, store: Store
) -> None:
    """The pool has them confirmed then, where nobody would look for them any more."""
    user_id = site.signed_up()
    store.write(Delete(Keys(site.tenant).sign_up(user_id)))
    answer = site.post("confirm", {"id": user_id, "code": site.pool.code_of(site.tenant, user_id)})
    assert (answer.status, answer.code) == (400, "code_wrong")
    assert site.pool.users == {}


def test_one_that_cannot_be_removed_stands_in_no_others_way(site: Site) -> None:
    some(site, 5)
    site.clock.advance(WAITS_SECONDS)
    outcomes = iter(["TooManyRequestsException", None, "InternalErrorException", "InvalidParameterException", None])

    def refuse() -> None:
        word = next(outcomes, None)
        if word is not None:
            raise refusal(word, f"Value '{ASHA}' failed")

    LOG.taken()
    with site.pool.hooked("before", "admin_delete_user", refuse):
        assert run() == {"removed": 2, "left": 3}
        assert len(site.pool.users) == 3
        assert "@" not in LOG.taken()
        assert run() == {"removed": 3, "left": 0}


def test_somebody_who_is_gone_already_is_no_fault(site: Site) -> None:
    some(site, 1)
    site.clock.advance(WAITS_SECONDS)
    with site.pool.hooked("after", "list_users", site.pool.users.clear):
        assert run() == {"removed": 1, "left": 0}


def test_a_pool_that_does_not_answer_fails_the_run_and_the_next_one_goes_on(site: Site) -> None:
    some(site, 1)
    site.clock.advance(WAITS_SECONDS)

    def refuse() -> None:
        raise refusal("TooManyRequestsException", "Rate exceeded")

    with site.pool.hooked("before", "list_users", refuse), pytest.raises(Busy):
        run()
    assert run() == {"removed": 1, "left": 0}


def test_all_pages_are_gone_through_and_a_run_ends_at_its_bound(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    some(site, 150)
    site.clock.advance(WAITS_SECONDS)
    young = site.signed_up()
    monkeypatch.setattr(unconfirmed, "MOST", 140)
    assert run() == {"removed": 140, "left": 0}
    assert run() == {"removed": 10, "left": 0}
    assert set(site.pool.users) == {(site.tenant, young)}


def test_a_run_without_time_begins_nothing(site: Site) -> None:
    some(site, 1)
    site.clock.advance(WAITS_SECONDS)
    assert run(remaining=15_000) == {"removed": 0, "left": 0}
    assert "list_users" not in site.pool.calls


def test_users_that_were_made_by_hand_are_left_alone(site: Site) -> None:
    site.pool.users["somebody", ""] = User(ASHA, PASSWORD, UNCONFIRMED)
    site.clock.advance(WAITS_SECONDS)
    assert run() == {"removed": 0, "left": 0}
    assert len(site.pool.users) == 1
