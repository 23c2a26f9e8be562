"""People on DynamoDB Local: one a phone, one account an address, whoever comes at once and whatever gets lost."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from threading import Barrier, RLock
from typing import Any

import pytest

from holdfast.identity import account_emails, invitations, people, personal_data, rights, sign_up
from holdfast.identity.accounts import Accounts
from holdfast.identity.people import Changes, Directory, Role
from holdfast.platform import user_pool
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import (
    AccountNeedsEmail,
    Busy,
    EmailInUse,
    Forbidden,
    IdempotencyKeyReused,
    NoAccount,
    PhoneInUse,
    UserNotFound,
)
from holdfast.platform.identity_items import EmailItem, PersonItem, PhoneItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Answer, Call, Calls, conflict, error, meanwhile, throttled
from tests.handlers.user_pool import CONFIRMED, InMemoryCognito

TENANT = "demo"
KEYS = Keys(TENANT)
EMAIL, OTHER_EMAIL = "asha@example.com", "asha@example.org"
PHONE, OTHER_PHONE, THIRD_PHONE = "+919876543210", "+919876543211", "+14155552671"
CLIENTS = 20


def directory_of(store: Store) -> Directory:
    return Directory(store, retries=Retries(sleep=lambda _: None))


@pytest.fixture
def directory(store: Store) -> Directory:
    return directory_of(store)


@pytest.fixture
def calls(store: Store) -> Calls:
    """What the directory asks of DynamoDB."""
    return Calls(store)


def owners(store: Store) -> dict[str, str]:
    """Return whose each phone is, once that is seen to be what the people say themselves."""
    everybody = [read(PersonItem, raw) for raw in store.query(KEYS.people(), limit=1000).items]
    pointers = store.query(KEYS.phone("").pk, limit=1000).items
    pointed = {raw["sk"]["S"]: read(PhoneItem, raw).user_id for raw in pointers}
    assert pointed == {person.phone: person.user_id for person in everybody}
    assert len(pointed) == len(everybody)
    return pointed


def at_once(store: Store, work: Callable[[Directory, int], Any]) -> list[Any]:
    """Let as many warm functions as there are clients work at the same moment; return what each got."""
    ready = Barrier(CLIENTS)
    directories = [directory_of(connect(store._table)) for _ in range(CLIENTS)]

    def one(number: int) -> Any:
        ready.wait()
        try:
            return work(directories[number], number)
        except (Busy, EmailInUse, NoAccount, PhoneInUse, UserNotFound) as refusal:
            return refusal

    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(one, range(CLIENTS)))


def lost(call: Call) -> Answer:
    """Have the effect, lose the answer, and be throttled when the SDK asks again."""
    call.make()
    raise error("ThrottlingException", call.operation)


def keyed(body_hash: str = "a") -> KeyedRequest:
    return KeyedRequest(TENANT, "key-1", "users", "k", body_hash)


def test_of_many_at_once_with_one_new_phone_one_makes_the_person_and_all_get_it(store: Store) -> None:
    got = at_once(store, lambda directory, _: people.upsert(directory, TENANT, "Asha", PHONE))
    assert not [answer for answer in got if isinstance(answer, Exception)]
    assert {(person.user_id, person.version) for person, _ in got} == {(got[0][0].user_id, 1)}
    assert [is_new for _, is_new in got].count(True) == 1
    assert owners(store) == {PHONE: got[0][0].user_id}


def test_of_many_names_at_once_for_one_new_phone_each_is_written_once_or_refused_as_busy(store: Store) -> None:
    got = at_once(store, lambda directory, number: people.upsert(directory, TENANT, f"Asha {number}", PHONE))
    done = [answer for answer in got if not isinstance(answer, Busy)]
    assert len({person.user_id for person, _ in done}) == 1
    assert [is_new for _, is_new in done].count(True) == 1
    assert sorted(person.version for person, _ in done) == list(range(1, len(done) + 1))
    last = max((person for person, _ in done), key=lambda person: int(person.version))
    known = people.find_by_phone(directory_of(store), TENANT, PHONE)
    assert (known.name, known.version) == (last.name, len(done))
    assert list(owners(store)) == [PHONE]


def test_of_many_at_once_with_one_key_all_get_the_one_answer(store: Store) -> None:
    """PROTOCOL 3: the record is written with the person, so a twin in flight is retried and then replays."""
    got = at_once(store, lambda directory, _: people.upsert(directory, TENANT, "Asha", PHONE, keyed=keyed()))
    assert {(person.user_id, person.version, is_new) for person, is_new in got} == {(got[0][0].user_id, 1, True)}
    assert list(owners(store)) == [PHONE]


def test_of_many_at_once_who_want_one_phone_one_gets_it_and_the_others_keep_theirs(store: Store) -> None:
    directory = directory_of(store)
    everybody = [people.upsert(directory, TENANT, "x", f"+9198765400{n:02d}")[0] for n in range(CLIENTS)]
    got = at_once(store, lambda own, n: people.change(own, TENANT, everybody[n].user_id, Changes(phone=PHONE)))
    winners = [answer for answer in got if isinstance(answer, PersonItem)]
    assert len(winners) == 1
    assert all(isinstance(answer, PhoneInUse) for answer in got if answer is not winners[0])
    found = owners(store)
    assert found[PHONE] == winners[0].user_id
    kept = {person.phone: person.user_id for person in everybody if person.user_id != winners[0].user_id}
    assert found == kept | {PHONE: winners[0].user_id}


def test_a_storm_of_upserts_and_changed_phones_leaves_every_phone_with_the_one_who_says_so(store: Store) -> None:
    phones = [f"+9198765400{number:02d}" for number in range(6)]

    def work(directory: Directory, number: int) -> int:
        chance = random.Random(number)
        done = 0
        for _ in range(10):
            phone, other = chance.choice(phones), chance.choice(phones)
            try:
                person, _ = people.upsert(directory, TENANT, f"Client {number}", phone)
                done += people.change(directory, TENANT, person.user_id, Changes(phone=other)).phone == other
            except (Busy, PhoneInUse):
                continue
        return done

    assert sum(at_once(store, work)) > 0
    assert set(owners(store)) <= set(phones)


def test_a_new_person_whose_answer_was_lost_is_known_again_as_new(directory: Directory, calls: Calls) -> None:
    """PROTOCOL 8: its id is nobody else's."""
    calls.trouble(lost, "TransactWriteItems")
    person, is_new = people.upsert(directory, TENANT, "Asha", PHONE)
    assert is_new
    assert owners(directory.store) == {PHONE: person.user_id}
    assert len(calls.transactions) == 1


def test_a_keyed_upsert_whose_answer_was_lost_answers_from_its_record(directory: Directory, calls: Calls) -> None:
    calls.trouble(lost, "TransactWriteItems")
    person, is_new = people.upsert(directory, TENANT, "Asha", PHONE, "a@example.com", keyed=keyed())
    assert is_new
    again, still_new = people.upsert(directory, TENANT, "Asha", PHONE, "a@example.com", keyed=keyed())
    assert (again.attribute_values, still_new) == (person.attribute_values, True)
    with pytest.raises(IdempotencyKeyReused):
        people.upsert(directory, TENANT, "Asha", OTHER_PHONE, keyed=keyed("b"))
    assert list(owners(directory.store)) == [PHONE]


def test_an_update_whose_answer_was_lost_is_made_once(directory: Directory, calls: Calls) -> None:
    people.upsert(directory, TENANT, "Asha", PHONE)
    calls.trouble(lost, "TransactWriteItems")
    person, is_new = people.upsert(directory, TENANT, "Asha Rao", PHONE)
    assert (person.name, person.version, is_new) == ("Asha Rao", 2, False)


def test_a_moved_phone_whose_answer_was_lost_is_not_in_use_by_another(directory: Directory, calls: Calls) -> None:
    person, _ = people.upsert(directory, TENANT, "Asha", PHONE)
    calls.trouble(lost, "TransactWriteItems")
    moved = people.change(directory, TENANT, person.user_id, Changes(phone=OTHER_PHONE))
    assert (moved.phone, moved.version) == (OTHER_PHONE, 2)
    assert owners(directory.store) == {OTHER_PHONE: person.user_id}


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_conflicts_and_throttles_are_tried_again_and_end_in_busy(
    directory: Directory, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    """PROTOCOL 7: another writer says nothing about whether the phone is taken."""
    calls.trouble(trouble, "TransactWriteItems", times=7)
    person, is_new = people.upsert(directory, TENANT, "Asha", PHONE)
    assert is_new
    calls.trouble(trouble, "TransactWriteItems", times=7)
    assert people.change(directory, TENANT, person.user_id, Changes(phone=OTHER_PHONE)).version == 2
    for work in (
        lambda: people.upsert(directory, TENANT, "Ravi", THIRD_PHONE),
        lambda: people.upsert(directory, TENANT, "Ravi", OTHER_PHONE),
        lambda: people.change(directory, TENANT, person.user_id, Changes(phone=THIRD_PHONE)),
    ):
        calls.trouble(trouble, "TransactWriteItems", times=8)
        with pytest.raises(Busy):
            work()
    assert owners(directory.store) == {OTHER_PHONE: person.user_id}
    assert people.find(directory, TENANT, person.user_id).name == "Asha"


def test_an_upsert_of_a_phone_that_is_let_go_meanwhile_makes_a_new_person(directory: Directory, calls: Calls) -> None:
    """Between the read of whose the phone is and the read of the person, the person takes another."""
    first, _ = people.upsert(directory, TENANT, "Asha", PHONE)
    moves = meanwhile(lambda: people.change(directory, TENANT, first.user_id, Changes(phone=OTHER_PHONE)))
    calls.trouble(moves, "GetItem", skip=1)
    second, is_new = people.upsert(directory, TENANT, "Ravi", PHONE)
    assert is_new
    assert owners(directory.store) == {PHONE: second.user_id, OTHER_PHONE: first.user_id}
    assert people.find(directory, TENANT, first.user_id).name == "Asha"


def test_an_upsert_does_not_rename_one_who_took_another_phone_meanwhile(directory: Directory, calls: Calls) -> None:
    """The write is guarded by the version that was read."""
    first, _ = people.upsert(directory, TENANT, "Asha", PHONE)
    moves = meanwhile(lambda: people.change(directory, TENANT, first.user_id, Changes(phone=OTHER_PHONE)))
    calls.trouble(moves, "TransactWriteItems")
    second, is_new = people.upsert(directory, TENANT, "Ravi", PHONE)
    assert is_new
    assert owners(directory.store) == {PHONE: second.user_id, OTHER_PHONE: first.user_id}
    assert people.find(directory, TENANT, first.user_id).name == "Asha"


def test_two_changes_at_once_both_count(directory: Directory, calls: Calls) -> None:
    person, _ = people.upsert(directory, TENANT, "Asha", PHONE)
    mails = meanwhile(lambda: people.change(directory, TENANT, person.user_id, Changes(email="a@example.com")))
    calls.trouble(mails, "TransactWriteItems")
    changed = people.change(directory, TENANT, person.user_id, Changes(name="Asha Rao"))
    assert (changed.name, changed.email, changed.version) == ("Asha Rao", "a@example.com", 3)


@pytest.mark.parametrize("rule", [rights.may_change, rights.must_be_let_change])
def test_one_who_is_given_a_role_meanwhile_is_left_alone(
    directory: Directory, calls: Calls, rule: Callable[[Caller, PersonItem, Changes], bool]
) -> None:
    """What may be changed is asked of the person whose version guards the write, each time it is read."""
    staff = partial(rule, Caller(TENANT, "stan", frozenset({"staff"})))
    for phone, work in (
        (PHONE, lambda _: people.upsert(directory, TENANT, "Evil", PHONE, rule=staff)),
        (OTHER_PHONE, lambda user: people.change(directory, TENANT, user, Changes(phone=THIRD_PHONE), staff)),
    ):
        person, _ = people.upsert(directory, TENANT, "Asha", phone)
        promoted = partial(people.change, directory, TENANT, person.user_id, Changes(role=Role.ADMIN))
        calls.trouble(meanwhile(promoted), "TransactWriteItems")
        with pytest.raises(Forbidden) if rule is rights.must_be_let_change else nullcontext():
            work(person.user_id)
        found = people.find_by_phone(directory, TENANT, phone)
        assert (found.name, found.role, found.version) == ("Asha", "admin", 2)


def test_nothing_is_written_where_nothing_is_different(directory: Directory, calls: Calls) -> None:
    person, _ = people.upsert(directory, TENANT, "Asha", PHONE, "a@example.com")
    calls.clear()
    same, is_new = people.upsert(directory, TENANT, "Asha", PHONE, "a@example.com")
    assert (same.version, is_new) == (1, False)
    assert people.change(directory, TENANT, person.user_id, Changes(name="Asha", phone=PHONE)).version == 1
    assert people.change(directory, TENANT, person.user_id, Changes()).version == 1
    assert calls.transactions == []


def test_a_new_person_costs_one_read_and_one_transaction(directory: Directory, calls: Calls) -> None:
    people.upsert(directory, TENANT, "Asha", PHONE)
    assert calls.operations == ["GetItem", "TransactWriteItems"]


def test_each_tenant_has_people_of_its_own(directory: Directory) -> None:
    person, _ = people.upsert(directory, TENANT, "Asha", PHONE)
    other, is_new = people.upsert(directory, "other", "Ravi", PHONE)
    assert is_new
    assert other.user_id != person.user_id
    with pytest.raises(UserNotFound):
        people.find(directory, "other", person.user_id)
    with pytest.raises(UserNotFound):
        people.find_by_phone(directory, "third", PHONE)
    with pytest.raises(UserNotFound):
        people.change(directory, "other", person.user_id, Changes(name="x"))


class OneAtATime:
    """The pool in memory, of which one call is made at a time, with whatever a test lets happen within it."""

    def __init__(self) -> None:
        self.memory, self._lock = InMemoryCognito(), RLock()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with self._lock:
                return getattr(self.memory, operation)(**arguments)

        return call


@pytest.fixture
def cognito(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The users of the pool that all functions reach."""
    client = OneAtATime()
    monkeypatch.setattr(user_pool, "client", lambda: client)
    return client.memory


POOL = user_pool.connect("pool")


def account_holders(store: Store, cognito: InMemoryCognito) -> dict[str, str]:
    """Return the addresses of all accounts by their users, once store, pointers and pool are seen to agree on them."""
    everybody = [read(PersonItem, raw) for raw in store.query(KEYS.people(), limit=1000).items]
    accounts = {person.user_id: person.email for person in everybody if person.has_account}
    pointed = {raw["sk"]["S"]: read(EmailItem, raw).user_id for raw in store.query(KEYS.email("").pk, limit=1000).items}
    assert pointed == {KEYS.email(email).sk: user_id for user_id, email in accounts.items()}
    assert {user_id: user.email for (_, user_id), user in cognito.users.items()} == accounts
    return accounts


def by_phone(directory: Directory, phone: str = PHONE, email: str | None = EMAIL) -> str:
    """Know somebody by phone, and return their id."""
    user_id: str = people.upsert(directory, TENANT, "Asha", phone, email)[0].user_id
    return user_id


def insisting(act: Callable[[], Any]) -> Any:
    """Do something again until it is not turned away as busy."""
    for _ in range(100):
        try:
            return act()
        except Busy:
            continue
    raise AssertionError("busy for ever")


def test_of_many_invitations_at_once_all_invite_the_one(store: Store, cognito: InMemoryCognito) -> None:
    user_id = by_phone(directory_of(store))
    got = at_once(store, lambda own, _: insisting(lambda: invitations.invite(own, POOL, TENANT, user_id)))
    assert {(invited.person.user_id, invited.person.version, invited.is_sent) for invited in got} == {
        (user_id, 2, True)
    }
    assert account_holders(store, cognito) == {user_id: EMAIL}


def test_of_many_at_once_who_are_invited_by_one_address_one_gets_it(store: Store, cognito: InMemoryCognito) -> None:
    directory = directory_of(store)
    ids = [by_phone(directory, f"+9198765400{number:02d}") for number in range(CLIENTS)]
    got = at_once(store, lambda own, number: insisting(lambda: invitations.invite(own, POOL, TENANT, ids[number])))
    assert [type(answer) for answer in got].count(EmailInUse) == CLIENTS - 1
    [winner] = [answer.person.user_id for answer in got if not isinstance(answer, Exception)]
    assert account_holders(store, cognito) == {winner: EMAIL}


def test_of_many_first_invitations_of_one_address_at_once_one_makes_the_person(
    store: Store, cognito: InMemoryCognito
) -> None:
    def work(own: Directory, _: int) -> Any:
        return insisting(lambda: invitations.invite_new(own, POOL, TENANT, EMAIL, "Asha", Role.ADMIN))

    got = at_once(store, work)
    assert len({person.user_id for person in got}) == 1
    assert account_holders(store, cognito) == {got[0].user_id: EMAIL}


def test_a_sign_up_and_an_invitation_of_one_address_make_one_account(store: Store, cognito: InMemoryCognito) -> None:
    """Whichever comes first has it; the other is told, and leaves nothing in the pool."""
    pool = user_pool.connect_client("pool", "client-of-the-tests")
    directory = directory_of(store)
    for number in range(12):
        email = f"user{number}@example.com"
        invited = by_phone(directory, f"+9198765400{number:02d}", email)
        accounts = Accounts(directory_of(connect(store._table)), pool, lambda _: None)
        waiting = sign_up.sign_up(accounts, TENANT, sign_up.SigningUp(email, "Correct-Horse-7"))
        code = cognito.code_of(TENANT, waiting)
        ready = Barrier(2)

        def together(act: Callable[[], Any], ready: Barrier = ready) -> Any:
            ready.wait()
            try:
                return act()
            except EmailInUse as refusal:
                return refusal

        with ThreadPoolExecutor(2) as threads:
            got = list(
                threads.map(
                    together,
                    [
                        partial(sign_up.confirm, accounts, TENANT, waiting, code),
                        partial(invitations.invite, directory, POOL, TENANT, invited),
                    ],
                )
            )
        assert [isinstance(answer, EmailInUse) for answer in got].count(True) == 1
        winner = waiting if isinstance(got[1], EmailInUse) else invited
        assert account_holders(store, cognito)[winner] == email
    assert len(account_holders(store, cognito)) == 12


def test_of_many_new_addresses_at_once_the_pool_has_the_one_that_the_store_has(
    store: Store, cognito: InMemoryCognito
) -> None:
    directory = directory_of(store)
    user_id = by_phone(directory)
    invitations.invite(directory, POOL, TENANT, user_id)

    def work(own: Directory, number: int) -> PersonItem:
        email = f"asha{number}@example.com"
        person = insisting(lambda: people.change(own, TENANT, user_id, Changes(email=email)))
        told: PersonItem = insisting(lambda: account_emails.tell(own, POOL, TENANT, person))
        return told

    got = at_once(store, work)
    assert not [answer for answer in got if isinstance(answer, Exception)]
    assert list(account_holders(store, cognito)) == [user_id]


def test_an_address_that_is_told_late_is_told_over_by_the_one_that_is_stored(
    directory: Directory, cognito: InMemoryCognito
) -> None:
    """Another change comes between a change's own write and its word to the pool."""
    user_id = by_phone(directory)
    invitations.invite(directory, POOL, TENANT, user_id)
    late = people.change(directory, TENANT, user_id, Changes(email="late@example.com"))
    overtaken: list[PersonItem] = []

    def overtake() -> None:
        if not overtaken:
            overtaken.append(people.change(directory, TENANT, user_id, Changes(email=OTHER_EMAIL)))
            account_emails.tell(directory, POOL, TENANT, overtaken[0])

    with cognito.hooked("before", "admin_update_user_attributes", overtake):
        assert account_emails.tell(directory, POOL, TENANT, late).email == OTHER_EMAIL
    assert account_holders(directory.store, cognito) == {user_id: OTHER_EMAIL}


def test_an_address_that_changes_while_its_account_is_made_is_the_one_that_is_mailed(
    directory: Directory, cognito: InMemoryCognito
) -> None:
    """The pool has no such user yet that could be told."""
    user_id = by_phone(directory)

    def move() -> None:
        person = people.change(directory, TENANT, user_id, Changes(email=OTHER_EMAIL))
        account_emails.tell(directory, POOL, TENANT, person)

    with cognito.hooked("before", "admin_create_user", move):
        assert invitations.invite(directory, POOL, TENANT, user_id).person.email == OTHER_EMAIL
    assert cognito.mails[-1][0] == OTHER_EMAIL
    assert account_holders(directory.store, cognito) == {user_id: OTHER_EMAIL}


def test_a_storm_of_everything_leaves_store_and_pool_agreed(store: Store, cognito: InMemoryCognito) -> None:
    """People are known, invited, moved to other addresses and phones, and deleted, all at once."""
    phones = [f"+9198765400{number:02d}" for number in range(4)]
    emails = [f"user{number}@example.com" for number in range(4)]

    def work(own: Directory, number: int) -> int:
        chance, done = random.Random(number), 0
        for _ in range(8):
            person = insisting(
                lambda: people.upsert(own, TENANT, "Asha", chance.choice(phones), chance.choice(emails))
            )[0]
            user_id = person.user_id

            def move(user_id: str = user_id) -> None:
                changes = Changes(email=chance.choice(emails), phone=chance.choice(phones))
                account_emails.tell(own, POOL, TENANT, people.change(own, TENANT, user_id, changes))

            acts: list[Callable[[], Any]] = [
                partial(invitations.invite, own, POOL, TENANT, user_id),
                partial(personal_data.delete, own, POOL, TENANT, user_id, lambda: None),
                move,
            ]
            for act in chance.sample(acts, 2):
                try:
                    insisting(act)
                    done += 1
                except (EmailInUse, PhoneInUse, UserNotFound):
                    continue
        return done

    assert sum(at_once(store, work)) > CLIENTS
    account_holders(store, cognito)
    owners(store)


def test_an_account_whose_answer_was_lost_is_opened_once(
    directory: Directory, calls: Calls, cognito: InMemoryCognito
) -> None:
    user_id = by_phone(directory)
    calls.trouble(lost, "TransactWriteItems")
    assert invitations.invite(directory, POOL, TENANT, user_id).person.version == 2
    assert account_holders(directory.store, cognito) == {user_id: EMAIL}


def test_a_moved_address_whose_answer_was_lost_is_not_in_use_by_another(
    directory: Directory, calls: Calls, cognito: InMemoryCognito
) -> None:
    user_id = by_phone(directory)
    invitations.invite(directory, POOL, TENANT, user_id)
    calls.trouble(lost, "TransactWriteItems")
    moved = people.change(directory, TENANT, user_id, Changes(email=OTHER_EMAIL))
    assert (moved.email, moved.version) == (OTHER_EMAIL, 3)
    account_emails.tell(directory, POOL, TENANT, moved)
    assert account_holders(directory.store, cognito) == {user_id: OTHER_EMAIL}


def test_a_deletion_whose_answer_was_lost_is_done(directory: Directory, calls: Calls, cognito: InMemoryCognito) -> None:
    """The close of the account, and the last step."""
    for skip in (0, 1):
        user_id = by_phone(directory)
        invitations.invite(directory, POOL, TENANT, user_id)
        calls.trouble(lost, "TransactWriteItems", skip=skip)
        personal_data.delete(directory, POOL, TENANT, user_id, lambda: None)
        assert people.look_up(directory, TENANT, user_id) is None
        assert account_holders(directory.store, cognito) == owners(directory.store) == {}
        calls.clear()


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_accounts_meet_conflicts_and_throttles_alike(
    directory: Directory, calls: Calls, cognito: InMemoryCognito, trouble: Callable[[Call], Answer]
) -> None:
    user_id = by_phone(directory)
    works: list[Callable[[], Any]] = [
        partial(invitations.invite, directory, POOL, TENANT, user_id),
        partial(people.sign_out, directory, TENANT, user_id),
        partial(people.change, directory, TENANT, user_id, Changes(name="Asha Rao")),
        partial(personal_data.delete, directory, POOL, TENANT, user_id, lambda: None),
    ]
    for work in works:
        calls.trouble(trouble, "TransactWriteItems", times=8)
        with pytest.raises(Busy):
            work()
        calls.trouble(trouble, "TransactWriteItems", times=7)
        work()
        calls.clear()
    assert people.look_up(directory, TENANT, user_id) is None


def test_each_sign_out_is_later_than_the_one_before_whatever_the_clock_says(directory: Directory) -> None:
    user_id = by_phone(directory)
    first = people.sign_out(directory, TENANT, user_id).signed_out_at
    clock = type("Stopped", (), {"now": staticmethod(lambda: first - 60_000)})()
    assert people.sign_out(Directory(directory.store, clock), TENANT, user_id).signed_out_at == first + 1


def test_an_account_needs_its_address_and_another_its_own(directory: Directory, cognito: InMemoryCognito) -> None:
    user_id = by_phone(directory)
    invitations.invite(directory, POOL, TENANT, user_id)
    with pytest.raises(AccountNeedsEmail):
        people.change(directory, TENANT, user_id, Changes(email=None))
    without = by_phone(directory, OTHER_PHONE, None)
    with pytest.raises(NoAccount):
        invitations.invite(directory, POOL, TENANT, without)
    cognito.users[TENANT, user_id].status = CONFIRMED
    assert invitations.invite(directory, POOL, TENANT, user_id).is_sent is False
    assert account_holders(directory.store, cognito) == {user_id: EMAIL}
