"""How often something is tried, on AWS's own DynamoDB Local: exact, however many try at once."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

from holdfast.abuse.attempts import Attempts, Counter, Somebody, network_of
from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import Busy, TooManyRequests, Unavailable
from holdfast.platform.identity_items import AttemptsItem
from holdfast.platform.tables import Keys
from tests.engine.faults import Calls, silence_after, throttled

CLIENTS = 32
NOON = 1_767_268_800_000
BY_ADDRESS = Counter("sign-in", 5, 600, address="192.0.2.7")
BY_BOTH = Counter("sign-in", 3, 600, address="192.0.2.7", account="ann@example.com")
BY_ACCOUNT = Counter("sign-in", 4, 60, account="ann@example.com")
ANN = Somebody("192.0.2.7", "ann@example.com")


class HandMoved:
    """A clock in the hand of the test."""

    milliseconds = NOON

    def now(self) -> int:
        """Return when the test says it is."""
        return self.milliseconds


@pytest.fixture
def clock() -> HandMoved:
    """Noon, until the test moves it."""
    return HandMoved()


@pytest.fixture
def attempts(store: Store, clock: HandMoved) -> Attempts:
    """The counts, on a table of their own."""
    return Attempts(store, clock)


def tried(store: Store, counter: Counter, milliseconds: int = NOON) -> int:
    """Return how many tries a counter has in a window."""
    window = milliseconds // 1000 // counter.seconds
    item = store.get(AttemptsItem, Keys("demo").attempts(counter.what, counter.by_whom, window))
    return 0 if item is None else item.tried


def test_what_is_above_the_limit_is_refused_with_what_is_left_of_the_window(
    attempts: Attempts, clock: HandMoved
) -> None:
    clock.milliseconds = NOON + 45_678
    for _ in range(5):
        attempts.count("demo", [BY_ADDRESS])
    with pytest.raises(TooManyRequests) as refusal:
        attempts.count("demo", [BY_ADDRESS])
    assert (refusal.value.limit, refusal.value.window, refusal.value.retry_after) == (5, 600, 555)


@pytest.mark.parametrize(("moment", "left"), [(0, 600), (999, 600), (599_000, 1), (599_999, 1)])
def test_there_is_a_second_to_wait_at_least_and_a_window_at_most(
    attempts: Attempts, clock: HandMoved, moment: int, left: int
) -> None:
    clock.milliseconds = NOON + moment
    with pytest.raises(TooManyRequests) as refusal:
        attempts.count("demo", [replace(BY_ADDRESS, most=0)])
    assert refusal.value.retry_after == left


def test_the_next_window_begins_at_nothing(attempts: Attempts, clock: HandMoved, store: Store) -> None:
    for _ in range(5):
        attempts.count("demo", [BY_ADDRESS])
    clock.milliseconds = NOON + 600_000
    attempts.count("demo", [BY_ADDRESS])
    assert (tried(store, BY_ADDRESS), tried(store, BY_ADDRESS, clock.milliseconds)) == (5, 1)


def test_refused_tries_count_too(attempts: Attempts, store: Store) -> None:
    for _ in range(9):
        with pytest.raises(TooManyRequests):
            attempts.count("demo", [replace(BY_ADDRESS, most=0)])
    assert tried(store, BY_ADDRESS) == 9


def test_every_counter_counts_for_itself(attempts: Attempts, store: Store) -> None:
    for _ in range(3):
        attempts.count("demo", [BY_ADDRESS, BY_BOTH, BY_ACCOUNT])
    attempts.count("demo", [replace(BY_ADDRESS, address="192.0.2.8"), BY_ACCOUNT])
    attempts.count("demo", [replace(BY_ADDRESS, what="sign-up")])
    attempts.count("other", [BY_ADDRESS])
    assert (tried(store, BY_ADDRESS), tried(store, BY_BOTH), tried(store, BY_ACCOUNT)) == (3, 3, 4)


def test_who_is_refused_for_an_address_uses_up_no_account(attempts: Attempts, store: Store) -> None:
    for _ in range(40):
        with pytest.raises(TooManyRequests):
            attempts.count("demo", [replace(BY_ADDRESS, most=0), BY_BOTH, BY_ACCOUNT])
    assert (tried(store, BY_ADDRESS), tried(store, BY_BOTH), tried(store, BY_ACCOUNT)) == (40, 0, 0)


def test_many_addresses_at_one_account_are_stopped_by_the_account(attempts: Attempts) -> None:
    for number in range(4):
        attempts.count("demo", [replace(BY_ADDRESS, address=f"192.0.2.{number}"), BY_ACCOUNT])
    with pytest.raises(TooManyRequests) as refusal:
        attempts.count("demo", [replace(BY_ADDRESS, address="192.0.2.4"), BY_ACCOUNT])
    assert (refusal.value.limit, refusal.value.window) == (4, 60)


def test_letters_case_is_no_other_account(attempts: Attempts) -> None:
    for account in ("ann@example.com", "Ann@Example.com", "ANN@EXAMPLE.COM", "ann@example.COM"):
        attempts.count("demo", [replace(BY_ACCOUNT, account=account)])
    with pytest.raises(TooManyRequests):
        attempts.count("demo", [BY_ACCOUNT])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("unknown", "unknown"),
        ("2001:db8::/64", "2001:db8::/64"),
    ],
)
def test_an_address_stands_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_one_household_of_addresses_is_one(attempts: Attempts) -> None:
    for number in range(5):
        attempts.count("demo", [replace(BY_ADDRESS, address=f"2001:db8:1:2:{number:x}::{number:x}")])
    with pytest.raises(TooManyRequests):
        attempts.count("demo", [replace(BY_ADDRESS, address="2001:db8:1:2:ffff::1")])
    attempts.count("demo", [replace(BY_ADDRESS, address="2001:db8:1:3::1")])


def test_an_address_is_no_account(attempts: Attempts) -> None:
    attempts.count("demo", [Counter("x", 1, 60, address="ann")])
    attempts.count("demo", [Counter("x", 1, 60, account="ann")])
    attempts.count("demo", [Counter("x", 1, 60, address="ann", account="ann")])


def test_keys_name_nobody_and_items_hold_a_number(attempts: Attempts, store: Store) -> None:
    attempts.count("demo", [BY_BOTH])
    key = Keys("demo").attempts(BY_BOTH.what, BY_BOTH.by_whom, NOON // 600_000)
    assert re.fullmatch(r"demo#ATTEMPTS#sign-in#[0-9a-f]{32}", key.pk)
    raw = store.get_raw(key)
    assert raw is not None
    assert set(raw) == {"pk", "sk", "tried", "ttl"}
    ttl = read(AttemptsItem, raw).ttl
    assert NOON // 1000 + 600 <= ttl <= NOON // 1000 + 600 + 86_400


def test_a_try_is_one_write_a_counter_and_nothing_else(attempts: Attempts, store: Store) -> None:
    calls = Calls(store)
    attempts.count("demo", [BY_ADDRESS, BY_BOTH, BY_ACCOUNT])
    assert calls.operations == ["UpdateItem"] * 3
    assert not any("ConditionExpression" in call.arguments for call in calls.made)


def test_a_try_that_was_right_is_taken_back_once_however_often_that_is_sent(
    attempts: Attempts, store: Store, lossy: list[int]
) -> None:
    """Every fifth answer is lost, so that the SDK sends the request again."""
    attempts.count("demo", [BY_ACCOUNT])
    for _ in range(20):
        before = tried(store, BY_ACCOUNT)
        guess = attempts.count_guess("demo", replace(BY_ACCOUNT, most=100), ANN)
        counted = tried(store, BY_ACCOUNT)
        attempts.take_back(guess)
        assert counted > before
        assert tried(store, BY_ACCOUNT) == counted - 1
    assert len(lossy) > 10


def test_a_guess_is_taken_back_from_the_window_that_it_was_counted_in(
    attempts: Attempts, clock: HandMoved, store: Store
) -> None:
    guess = attempts.count_guess("demo", BY_ACCOUNT, ANN)
    clock.milliseconds = NOON + 60_000
    attempts.count_guess("demo", BY_ACCOUNT, ANN)
    attempts.take_back(guess)
    assert (tried(store, BY_ACCOUNT), tried(store, BY_ACCOUNT, clock.milliseconds)) == (0, 1)


def test_who_is_known_is_counted_but_not_refused_and_others_are(attempts: Attempts, store: Store) -> None:
    attempts.know("demo", ANN)
    nobody = replace(BY_ACCOUNT, most=0)
    attempts.count_guess("demo", nobody, Somebody("192.0.2.7", "ANN@example.com"))
    for tenant, other in (
        ("other", ANN),
        ("demo", replace(ANN, address="192.0.2.8")),
        ("demo", replace(ANN, account="ben@example.com")),
    ):
        with pytest.raises(TooManyRequests):
            attempts.count_guess(tenant, nobody, other)
    assert tried(store, BY_ACCOUNT) == 3


def test_who_is_known_is_so_for_thirty_days(attempts: Attempts, clock: HandMoved) -> None:
    attempts.know("demo", ANN)
    clock.milliseconds = NOON + 30 * 86_400_000 - 1
    attempts.count_guess("demo", replace(BY_ACCOUNT, most=0), ANN)
    clock.milliseconds += 1
    with pytest.raises(TooManyRequests):
        attempts.count_guess("demo", replace(BY_ACCOUNT, most=0), ANN)


@pytest.mark.parametrize("trouble", [silence_after, throttled])
def test_what_is_done_for_who_was_right_refuses_them_nothing(attempts: Attempts, store: Store, trouble: Any) -> None:
    guess = attempts.count_guess("demo", BY_ACCOUNT, ANN)
    calls = Calls(store)
    calls.trouble(trouble)
    attempts.take_back(guess)
    attempts.know("demo", ANN)
    calls.stop()
    assert tried(store, BY_ACCOUNT) in (0, 1)


def test_of_right_and_wrong_tries_at_once_no_more_are_wrong_than_the_limit(
    crowd: Callable[[Callable[[int, Attempts], bool]], list[bool]], store: Store
) -> None:
    """A quarter of the clients know the password: what they take back lets nobody else guess once more."""
    counter = replace(BY_ACCOUNT, most=20)

    def act(number: int, attempts: Attempts) -> bool:
        try:
            guess = attempts.count_guess("demo", counter, replace(ANN, address=f"192.0.2.{number}"))
        except (TooManyRequests, Busy):
            return False
        if number % 4 == 0:
            attempts.take_back(guess)
            return False
        return True

    wrong = sum(crowd(act))
    assert 0 < wrong <= 20
    assert tried(store, counter) >= wrong


def test_a_lost_answer_lets_nobody_in_and_counts(attempts: Attempts, store: Store) -> None:
    calls = Calls(store)
    calls.trouble(silence_after)
    with pytest.raises(Unavailable):
        attempts.count("demo", [BY_ADDRESS, BY_ACCOUNT])
    calls.stop()
    assert (tried(store, BY_ADDRESS), tried(store, BY_ACCOUNT)) == (1, 0)


def test_a_throttle_lets_nobody_in(attempts: Attempts, store: Store) -> None:
    Calls(store).trouble(throttled)
    with pytest.raises(Busy):
        attempts.count("demo", [BY_ADDRESS])


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lose the answer to every fifth request that is sent for the first time; returns those that were lost."""
    lost: list[int] = []
    sent = count()
    send = URLLib3Session.send

    def losing(session: URLLib3Session, request: Any) -> Any:
        answer = send(session, request)
        if b"attempt=1" in request.headers["amz-sdk-request"] and (number := next(sent)) % 5 == 2:
            lost.append(number)
            raise ReadTimeoutError(endpoint_url="lost")
        return answer

    monkeypatch.setattr(URLLib3Session, "send", losing)
    return lost


@pytest.fixture
def crowd(store: Store) -> Callable[[Callable[[int, Attempts], bool]], list[bool]]:
    """Let 32 clients, each with a connection of its own, do something at the same moment."""
    stores = [connect(store._table) for _ in range(CLIENTS)]
    for one in stores:
        assert one._connection.client
    ready = Barrier(CLIENTS)

    def storm(act: Callable[[int, Attempts], bool]) -> list[bool]:
        def client(number: int) -> list[bool]:
            ready.wait()
            attempts = Attempts(stores[number], HandMoved())
            return [act(number, attempts) for _ in range(4)]

        with ThreadPoolExecutor(CLIENTS) as pool:
            return [passed for passes in pool.map(client, range(CLIENTS)) for passed in passes]

    return storm


def _passes(attempts: Attempts, *counters: Counter) -> bool:
    try:
        attempts.count("demo", counters)
    except TooManyRequests:
        return False
    return True


@pytest.mark.parametrize("most", [1, 7, 50])
def test_exactly_so_many_pass_at_once(
    crowd: Callable[[Callable[[int, Attempts], bool]], list[bool]], store: Store, most: int
) -> None:
    counter = replace(BY_ACCOUNT, most=most)
    passed = crowd(lambda number, attempts: _passes(attempts, counter))
    assert (len(passed), sum(passed)) == (CLIENTS * 4, most)
    assert tried(store, counter) == CLIENTS * 4


def test_exactly_so_many_pass_two_counters_at_once(
    crowd: Callable[[Callable[[int, Attempts], bool]], list[bool]], store: Store
) -> None:
    """Each of eight addresses has three tries, the account sixteen: no more than those pass, and all of them."""

    def act(number: int, attempts: Attempts) -> bool:
        address = replace(BY_ADDRESS, most=3, address=f"2001:db8:0:{number % 8}::{number:x}")
        return _passes(attempts, address, replace(BY_ACCOUNT, most=16))

    assert sum(crowd(act)) == 16
    assert tried(store, BY_ACCOUNT) == 24


def test_lost_answers_let_nobody_in_too_often(
    crowd: Callable[[Callable[[int, Attempts], bool]], list[bool]], store: Store, lossy: list[int]
) -> None:
    """Some writes are made but not answered, so that the SDK sends them again: those count twice."""
    counter = replace(BY_ACCOUNT, most=50)
    passed = sum(crowd(lambda number, attempts: _passes(attempts, counter)))
    assert tried(store, counter) == CLIENTS * 4 + len(lossy)
    assert len(lossy) > 10
    assert 50 - len(lossy) <= passed <= 50
