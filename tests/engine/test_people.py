"""People and their phones on DynamoDB Local: one person a phone, whoever comes at once and whatever gets lost."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from holdfast.identity import people, rights
from holdfast.identity.people import Changes, Directory, Role
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import Busy, Forbidden, IdempotencyKeyReused, PhoneInUse, UserNotFound
from holdfast.platform.identity_items import PersonItem, PhoneItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Answer, Call, Calls, conflict, error, meanwhile, throttled

TENANT = "demo"
KEYS = Keys(TENANT)
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
        except (Busy, PhoneInUse) as refusal:
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
    directory: Directory, calls: Calls, rule: Callable[[Caller, PersonItem], bool]
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
