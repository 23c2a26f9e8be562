"""Accounts on DynamoDB Local and a pool that checks: whoever comes at once, one has the address, and out is out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from threading import Barrier
from typing import Any

import pytest

from holdfast.identity import sessions, sign_in, sign_up
from holdfast.identity.accounts import Accounts
from holdfast.identity.people import Directory
from holdfast.identity.sessions import Session
from holdfast.identity.sign_up import SigningUp
from holdfast.platform.credentials import signed_in
from holdfast.platform.dynamodb import Put, Store, connect, read
from holdfast.platform.errors import Busy, EmailInUse, HoldfastError, IdempotencyKeyReused, Unauthorized
from holdfast.platform.identity_items import EmailItem, PersonItem, TenantItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.platform.user_pool import AccountPool, CognitoAccountPool, _said_in
from tests.accounts.conftest import SIGN_UP_CODE

CLIENTS = 16
TENANT = "demo"
PASSWORD = "correct-Horse-7"


@pytest.fixture
def email() -> str:
    return f"{token_hex(6)}@example.com"


@pytest.fixture
def accounts(store: Store, pool: AccountPool) -> Accounts:
    return Accounts(Directory(store, retries=Retries(attempts=10 * CLIENTS)), pool)


def at_once(accounts: Accounts, *works: Callable[[Accounts], Any]) -> list[Any]:
    """Let a warm function of its own do each piece of work, all at the same moment; return what each got."""
    ready = Barrier(len(works))
    own = [
        Accounts(Directory(connect(accounts.directory.store._table), retries=accounts.directory.retries), accounts.pool)
        for _ in works
    ]

    def one(number: int) -> Any:
        ready.wait()
        try:
            return works[number](own[number])
        except HoldfastError as refusal:
            return refusal

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(one, range(len(works))))


def account(accounts: Accounts, email: str) -> str:
    user_id = sign_up.sign_up(accounts, TENANT, SigningUp(email, PASSWORD))
    sign_up.confirm(accounts, TENANT, user_id, SIGN_UP_CODE)
    return user_id


def session(accounts: Accounts, email: str) -> Session:
    found = sign_in.sign_in(accounts, TENANT, email, PASSWORD)
    assert isinstance(found, Session)
    return found


def people_of(store: Store) -> list[PersonItem]:
    return [read(PersonItem, raw) for raw in store.query(Keys(TENANT).people()).items]


def test_of_many_confirmations_at_once_all_find_the_one_account(accounts: Accounts, email: str) -> None:
    user_id = sign_up.sign_up(accounts, TENANT, SigningUp(email, PASSWORD))
    got = at_once(accounts, *[lambda own: sign_up.confirm(own, TENANT, user_id, SIGN_UP_CODE)] * CLIENTS)
    assert got == [None] * CLIENTS
    (person,) = people_of(accounts.directory.store)
    assert (person.user_id, person.version) == (user_id, 1)
    assert session(accounts, email).user_id == user_id


def test_of_many_sign_ups_with_one_address_one_is_confirmed(accounts: Accounts, email: str) -> None:
    ids = [sign_up.sign_up(accounts, TENANT, SigningUp(email, PASSWORD)) for _ in range(CLIENTS)]

    def confirming(user_id: str) -> Callable[[Accounts], Any]:
        return lambda own: sign_up.confirm(own, TENANT, user_id, SIGN_UP_CODE)

    got = at_once(accounts, *map(confirming, ids))
    (person,) = people_of(accounts.directory.store)
    won = [user_id for user_id, answer in zip(ids, got, strict=True) if answer is None]
    assert won == [person.user_id]
    assert sum(isinstance(answer, EmailInUse) for answer in got) == CLIENTS - 1
    pointer = accounts.directory.store.get(EmailItem, Keys(TENANT).email(email))
    assert pointer is not None
    assert pointer.user_id == person.user_id
    assert isinstance(accounts.pool, CognitoAccountPool)
    assert [user_id for user_id in ids if accounts.pool._status(TENANT, user_id)] == won


def test_of_many_sign_ups_under_one_key_there_is_one(accounts: Accounts, email: str) -> None:
    got = at_once(accounts, *[lambda own: sign_up.sign_up(own, TENANT, SigningUp(email, PASSWORD), "k")] * CLIENTS)
    assert len(set(got)) == 1
    other = SigningUp(email, PASSWORD, name="Ben")
    with pytest.raises(IdempotencyKeyReused):
        sign_up.sign_up(accounts, TENANT, other, "k")


def test_who_signs_in_and_refreshes_while_somebody_signs_out_is_either_in_or_out_for_good(
    accounts: Accounts, email: str
) -> None:
    store = accounts.directory.store
    said: dict[str, Any] = {
        "name": TENANT,
        "status": "open",
        "settings": "{}",
        "version": 1,
        "created_at": 0,
        "updated_at": 0,
    }
    store.write(Put(TenantItem(*Keys(TENANT).tenant_record(), **said)))
    user_id = account(accounts, email)
    given = [session(accounts, email) for _ in range(4)]

    def refreshing(refresh_token: str) -> Callable[[Accounts], Any]:
        return lambda own: sessions.refreshed(own, TENANT, refresh_token)

    works = [
        *[refreshing(one.refresh_token) for one in given],
        lambda own: sessions.end_all(own, TENANT, user_id),
        *[lambda own: session(own, email)] * 4,
    ]
    got = at_once(accounts, *works)
    assert got[4] is None
    assert all(isinstance(answer, Session | Unauthorized | Busy) for answer in (*got[:4], *got[5:]))
    for one in given:
        with pytest.raises(Unauthorized):
            sessions.refreshed(accounts, TENANT, one.refresh_token)
    for answer in got[:4]:
        if isinstance(answer, Session):
            with pytest.raises(Unauthorized):
                signed_in(store, TENANT, user_id, _said_in(answer.access_token)["iat"])
    last = session(accounts, email)
    assert signed_in(store, TENANT, user_id, _said_in(last.access_token)["iat"]).name == user_id
    assert sessions.refreshed(accounts, TENANT, last.refresh_token)
