"""Service keys on DynamoDB Local: one key in another's place, whoever comes at once and whatever gets lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Barrier, Lock
from typing import Any

import pytest

from holdfast.identity import service_keys
from holdfast.identity.service_keys import Issued, KeyRing, Wanted, id_of
from holdfast.platform.caller import Caller
from holdfast.platform.credentials import digest_of
from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import Busy, HoldfastError, IdempotencyKeyReused, KeyNotFound, KeyRotated
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Answer, Call, Calls, Crash, conflict, crash_after, crash_before, error, meanwhile

TENANT = "demo"
ADMIN = Caller(TENANT, "ada", frozenset({"admin"}))
CLIENTS = 20
GRACE = 3_600


@dataclass
class OwnKeys:
    """The tenants' own keys, as whoever made them first has them."""

    kept: dict[str, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def of(self, tenant: str, make: Callable[[], str]) -> str:
        with self.lock:
            return self.kept.setdefault(tenant, make())


@pytest.fixture
def own_keys() -> OwnKeys:
    return OwnKeys()


def ring_of(store: Store, own_keys: OwnKeys) -> KeyRing:
    return KeyRing(store, own_keys, retries=Retries(sleep=lambda _: None))


@pytest.fixture
def ring(store: Store, own_keys: OwnKeys) -> KeyRing:
    return ring_of(store, own_keys)


@pytest.fixture
def calls(store: Store) -> Calls:
    """What the ring asks of DynamoDB."""
    return Calls(store)


def issue(ring: KeyRing, keyed: KeyedRequest | None = None) -> Issued:
    return service_keys.issue_for(ring, ADMIN, Wanted("till", frozenset({"staff"})), keyed)


def keyed(key: str = "k", body_hash: str = "a", route: str = "keys/rotate") -> KeyedRequest:
    return KeyedRequest(TENANT, ADMIN.name, route, key, body_hash)


def known(store: Store) -> dict[str, ServiceKeyItem]:
    """Return all keys by their ids."""
    items = [read(ServiceKeyItem, raw) for raw in store.query(Keys(TENANT).service_keys(), limit=1000).items]
    return {id_of(item): item for item in items}


def replaced(store: Store, old: Issued) -> str:
    """Return the key that is in another's place: it is there, and there are no more than these two."""
    found = known(store)
    successor = found[id_of(old.item)].replaced_by
    assert successor is not None
    assert found.keys() == {id_of(old.item), successor}
    return str(found[successor].sk)


def lost(call: Call) -> Answer:
    """Have the effect, lose the answer, and be throttled when the SDK asks again."""
    call.make()
    raise error("ThrottlingException", call.operation)


def at_once(store: Store, own_keys: OwnKeys, work: Callable[[KeyRing, int], Any]) -> list[Any]:
    """Let as many warm functions as there are clients work at the same moment; return what each got."""
    ready = Barrier(CLIENTS)
    rings = [ring_of(connect(store._table), own_keys) for _ in range(CLIENTS)]

    def one(number: int) -> Any:
        ready.wait()
        try:
            return work(rings[number], number)
        except HoldfastError as refusal:
            return refusal

    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(one, range(CLIENTS)))


@pytest.mark.parametrize("grace", [0, GRACE])
def test_of_many_rotations_at_once_one_puts_a_key_in_the_place(
    store: Store, own_keys: OwnKeys, ring: KeyRing, grace: int
) -> None:
    old = issue(ring)
    got = at_once(store, own_keys, lambda own, _: service_keys.rotate(own, ADMIN, id_of(old.item), grace))
    (winner,) = [answer for answer in got if isinstance(answer, Issued)]
    assert {type(answer) for answer in got if answer is not winner} <= {KeyRotated, Busy}
    assert replaced(store, old) == digest_of(winner.key)


def test_of_many_rotations_at_once_of_one_request_all_get_the_one_key(
    store: Store, own_keys: OwnKeys, ring: KeyRing
) -> None:
    old = issue(ring)
    rotate = partial(service_keys.rotate, caller=ADMIN, key_id=id_of(old.item), grace_seconds=0, keyed=keyed())
    got = at_once(store, own_keys, lambda own, _: rotate(own))
    assert {type(answer) for answer in got} == {Issued}
    assert {answer.key for answer in got} == {got[0].key}
    assert replaced(store, old) == digest_of(got[0].key)


def test_of_many_at_once_with_one_request_for_a_key_all_get_the_one(store: Store, own_keys: OwnKeys) -> None:
    got = at_once(store, own_keys, lambda own, _: issue(own, keyed(route="keys")))
    assert {(answer.key, answer.item.created_at) for answer in got} == {(got[0].key, got[0].item.created_at)}
    assert [item.sk for item in known(store).values()] == [digest_of(got[0].key)]


def test_of_rotations_and_revocations_at_once_a_revoked_key_is_never_there_again(
    store: Store, own_keys: OwnKeys, ring: KeyRing
) -> None:
    old = issue(ring)
    key_id = id_of(old.item)

    def work(own: KeyRing, number: int) -> Any:
        if number % 2:
            return service_keys.revoke(own, ADMIN, key_id)
        return service_keys.rotate(own, ADMIN, key_id, GRACE)

    got = at_once(store, own_keys, work)
    made = [answer for answer in got if isinstance(answer, Issued)]
    assert len(made) <= 1
    assert known(store).keys() == {id_of(answer.item) for answer in made}
    assert {type(answer) for answer in got} <= {Issued, type(None), KeyNotFound, KeyRotated, Busy}


@pytest.mark.parametrize("request_key", [None, keyed()])
@pytest.mark.parametrize("trouble", [crash_before, crash_after])
def test_a_crash_leaves_both_writes_or_none(
    ring: KeyRing, calls: Calls, trouble: Callable[[Call], Answer], request_key: KeyedRequest | None
) -> None:
    old = issue(ring)
    before = ring.store.get_raw(old.item.key)
    calls.trouble(trouble, "TransactWriteItems")
    with pytest.raises(Crash):
        service_keys.rotate(ring, ADMIN, id_of(old.item), GRACE, request_key)
    if trouble is crash_before:
        assert known(ring.store).keys() == {id_of(old.item)}
        assert ring.store.get_raw(old.item.key) == before
    else:
        replaced(ring.store, old)
    if request_key is not None:
        again = service_keys.rotate(ring, ADMIN, id_of(old.item), GRACE, request_key)
        assert replaced(ring.store, old) == digest_of(again.key)
        with pytest.raises(IdempotencyKeyReused):
            service_keys.rotate(ring, ADMIN, id_of(old.item), GRACE, keyed(body_hash="b"))


@pytest.mark.parametrize("request_key", [None, keyed()])
@pytest.mark.parametrize("grace", [0, GRACE])
def test_a_rotation_whose_answer_was_lost_is_known_again(
    ring: KeyRing, calls: Calls, request_key: KeyedRequest | None, grace: int
) -> None:
    """PROTOCOL 8: nobody else can have made this key."""
    old = issue(ring)
    calls.trouble(lost, "TransactWriteItems")
    new = service_keys.rotate(ring, ADMIN, id_of(old.item), grace, request_key)
    assert replaced(ring.store, old) == digest_of(new.key)
    assert known(ring.store)[id_of(new.item)].serialize() == new.item.serialize()


@pytest.mark.parametrize("request_key", [None, keyed(route="keys")])
def test_a_key_whose_answer_was_lost_is_issued_once(
    ring: KeyRing, calls: Calls, request_key: KeyedRequest | None
) -> None:
    calls.trouble(lost, "PutItem" if request_key is None else "TransactWriteItems")
    new = issue(ring, request_key)
    assert [item.sk for item in known(ring.store).values()] == [digest_of(new.key)]


def test_a_revocation_whose_answer_was_lost_is_made(ring: KeyRing, calls: Calls) -> None:
    old = issue(ring)
    calls.trouble(lost, "DeleteItem")
    service_keys.revoke(ring, ADMIN, id_of(old.item))
    assert known(ring.store) == {}


def test_a_key_that_is_revoked_meanwhile_is_not_rotated(ring: KeyRing, calls: Calls) -> None:
    old = issue(ring)
    revoked = partial(service_keys.revoke, ring, ADMIN, id_of(old.item))
    calls.trouble(meanwhile(revoked), "TransactWriteItems")
    with pytest.raises(KeyNotFound):
        service_keys.rotate(ring, ADMIN, id_of(old.item), GRACE)
    assert known(ring.store) == {}


def test_a_twin_that_is_done_between_the_looks_is_answered_the_same(ring: KeyRing, calls: Calls) -> None:
    """The record is looked for before the key, so that the twin may be done in between."""
    old = issue(ring)
    twin: list[Issued] = []
    rotate = partial(service_keys.rotate, ring, ADMIN, id_of(old.item), 0, keyed())
    calls.trouble(meanwhile(lambda: twin.append(rotate())), "Query")
    again = rotate()
    assert again.key == twin[0].key
    assert replaced(ring.store, old) == digest_of(again.key)


@pytest.mark.parametrize("request_key", [None, keyed()])
def test_conflicts_are_tried_again_and_end_in_busy(
    ring: KeyRing, calls: Calls, request_key: KeyedRequest | None
) -> None:
    old = issue(ring)
    rotate = partial(service_keys.rotate, ring, ADMIN, id_of(old.item), GRACE, request_key)
    calls.trouble(conflict, "TransactWriteItems", times=8)
    with pytest.raises(Busy):
        rotate()
    assert known(ring.store).keys() == {id_of(old.item)}
    calls.trouble(conflict, "TransactWriteItems", times=7)
    new = rotate()
    assert replaced(ring.store, old) == digest_of(new.key)
    calls.trouble(conflict, "DeleteItem", times=8)
    with pytest.raises(Busy):
        service_keys.revoke(ring, ADMIN, id_of(old.item))
    assert id_of(old.item) in known(ring.store)


def test_what_it_costs(ring: KeyRing, calls: Calls) -> None:
    old = issue(ring)
    service_keys.rotate(ring, ADMIN, id_of(old.item), GRACE, keyed())
    service_keys.revoke(ring, ADMIN, id_of(old.item))
    assert calls.operations == ["PutItem", "GetItem", "Query", "TransactWriteItems", "Query", "DeleteItem"]


def test_keys_have_nothing_of_one_another(ring: KeyRing) -> None:
    """Two made of the same tenant's own key, or of the same number, have different secrets."""
    found = {issue(ring, keyed(str(number), route="keys")).key for number in range(20)}
    assert len({key.rpartition("_")[2] for key in found}) == 20
    assert service_keys._made_of(ring, "a", "0" * 32) != service_keys._made_of(ring, "b", "0" * 32)
