"""PROTOCOL.md 19 on the engine: whoever writes meanwhile, whatever the store does, no two requests have one grant."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from botocore.exceptions import ConnectTimeoutError
from pynamodb.connection import Connection

from holdfast.partners.limiter import CLOSED_WAITED_FOR, PACE, Limiter, Pace
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, Unavailable
from holdfast.platform.retries import Retries
from tests.engine.faults import (
    Answer,
    Call,
    Calls,
    Crash,
    conflict,
    crash_after,
    error,
    meanwhile,
    silence_after,
    throttled,
)
from tests.engine.shop import START, ManualClock
from tests.engine.storm import SharedClock

WORKERS = 8
FAR = START + 10**9


@pytest.fixture
def clock() -> ManualClock:
    """The one clock of all workers; sleeping moves it."""
    return ManualClock()


@pytest.fixture
def limiter(store: Store, clock: ManualClock) -> Limiter:
    """A worker's limiter."""
    return limiter_of(store, clock)


@pytest.fixture
def other(store: Store, clock: ManualClock) -> Limiter:
    """Another worker's."""
    return limiter_of(store, clock)


def limiter_of(store: Store, clock: ManualClock) -> Limiter:
    """Return a limiter as a worker has it, by a clock that is moved by hand."""
    return Limiter(store, "tours", clock, Retries(sleep=clock.sleep, chance=lambda: 0.0))


def grants_of(limiter: Limiter) -> list[int]:
    """Return the grants that the store knows."""
    found = limiter.state()
    return [] if found is None else list(found.grants)


def taken(limiter: Limiter, number: int) -> list[int]:
    """Reserve so many grants."""
    reserved = [limiter.reserve(FAR) for _ in range(number)]
    return [grant for grant in reserved if grant is not None]


def test_rule_19_grants_are_1_9_s_apart_and_the_31st_is_62_s_after_the_first(
    limiter: Limiter, clock: ManualClock
) -> None:
    """The first is now; what is too far ahead is waited for; the item remembers the last 30."""
    reserved = taken(limiter, 61)
    assert reserved[:30] == [START + 1_900 * number for number in range(30)]
    assert [later - earlier for earlier, later in zip(reserved, reserved[30:], strict=False)] == [62_000] * 31
    assert grants_of(limiter) == reserved[-30:]
    assert reserved[-1] - clock.now() <= PACE.ahead


def test_rule_19_a_grant_is_reserved_25_s_ahead_at_most_and_waited_for_until_then(
    limiter: Limiter, clock: ManualClock
) -> None:
    """Fourteen are reserved at once; the next one waits until it is as near as they were."""
    taken(limiter, 14)
    assert clock.now() == START
    assert limiter.reserve(FAR) == START + 14 * 1_900
    assert clock.now() == START + 14 * 1_900 - PACE.ahead


def test_rule_19_there_is_no_grant_where_there_is_not_enough_time_for_it(limiter: Limiter, clock: ManualClock) -> None:
    """Nothing is written, and nobody waits, for a time that is too late for its holder."""
    first = limiter.reserve(START)
    assert first == START
    assert limiter.reserve(START + 1_899) is None
    assert (grants_of(limiter), clock.now()) == ([first], START)
    assert limiter.reserve(START + 1_900) == START + 1_900


def test_rule_19_a_worker_whose_clock_is_behind_or_ahead_gets_no_grant_of_anothers_time(store: Store) -> None:
    """Grants stand apart by what is written, not by anybody's clock."""
    clocks = [ManualClock(START), ManualClock(START - 3_000), ManualClock(START + 3_000)]
    limiters = [limiter_of(store, clock) for clock in clocks]
    reserved = [limiter.reserve(FAR) for _ in range(5) for limiter in limiters]
    times = [grant for grant in reserved if grant is not None]
    assert all(later - earlier >= 1_900 for earlier, later in pairwise(times))


def test_rule_19_of_two_that_write_at_once_the_second_reads_again(
    limiter: Limiter, other: Limiter, calls: Calls
) -> None:
    """The condition on the version is what decides."""
    others: list[int | None] = []
    calls.trouble(meanwhile(lambda: others.append(other.reserve(FAR))), "UpdateItem")
    assert limiter.reserve(FAR) == START + 1_900
    assert others == [START]
    assert grants_of(limiter) == [START, START + 1_900]


def twice(call: Call) -> Answer:
    """Make the call, lose its answer, and make it once more, as botocore does by itself."""
    call.make()
    return call.make()


def test_rule_8_a_grant_whose_answer_was_lost_is_known_again_by_its_writers_id(limiter: Limiter, calls: Calls) -> None:
    """The repeated update meets its own effect: the grant is had once, and not lost."""
    calls.trouble(twice, "UpdateItem", times=3)
    assert taken(limiter, 3) == [START, START + 1_900, START + 3_800]
    assert len(grants_of(limiter)) == 3


def test_rule_8_a_grant_whose_answer_was_lost_is_dropped_if_another_wrote_since(
    limiter: Limiter, other: Limiter, calls: Calls
) -> None:
    """It cannot be known again, so it is nobody's."""

    def overtaken(call: Call) -> Answer:
        call.make()
        assert other.reserve(FAR) == START + 1_900
        return call.make()

    calls.trouble(overtaken, "UpdateItem")
    assert limiter.reserve(FAR) == START + 3_800
    assert grants_of(limiter) == [START, START + 1_900, START + 3_800]


@pytest.mark.parametrize(
    ("trouble", "operation"), [(conflict, "UpdateItem"), (throttled, "UpdateItem"), (throttled, "GetItem")]
)
def test_rule_19_what_is_turned_away_is_tried_again_and_in_the_end_no_grant(
    limiter: Limiter, calls: Calls, trouble: Callable[[Call], Answer], operation: str
) -> None:
    """Contention is lack of a grant, no fault: the pair can be given back."""
    calls.trouble(trouble, operation, times=3)
    assert limiter.reserve(FAR) == START
    calls.trouble(trouble, operation, times=8)
    assert limiter.reserve(FAR) is None
    assert len(grants_of(limiter)) == 1


def unreachable(_: Call) -> Answer:
    """Let the store not be reached."""
    raise ConnectTimeoutError(endpoint_url="away")


def out_of_order(call: Call) -> Answer:
    """Let the store not know what it did."""
    raise error("InternalServerError", call.operation)


def refused(call: Call) -> Answer:
    """Let the store refuse for a reason that nobody foresaw."""
    raise error("AccessDeniedException", call.operation)


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
@pytest.mark.parametrize("trouble", [unreachable, out_of_order, refused, silence_after, crash_after])
def test_rule_19_every_fault_of_the_store_is_no_grant(
    limiter: Limiter, calls: Calls, operation: str, trouble: Callable[[Call], Answer]
) -> None:
    """Fail closed: whatever is raised, no time is returned, and what may be written is used by nobody."""
    first = limiter.reserve(FAR)
    calls.trouble(trouble, operation)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any of them, as long as it is no grant
        limiter.reserve(FAR)
    assert isinstance(raised.value, Unavailable | Crash) or "AccessDenied" in str(raised.value)
    following = limiter.reserve(FAR)
    assert first is not None
    assert following is not None
    assert following not in grants_of(limiter)[:-1]
    assert following - first >= 1_900


def test_rule_19_a_grant_is_good_from_its_time_on_for_a_second(limiter: Limiter, clock: ManualClock) -> None:
    """Before it, and later, it is not to be used."""
    taken(limiter, 1)
    grant = limiter.reserve(FAR)
    assert grant == START + 1_900
    found = limiter.state()
    times = {START: 0, grant - 1: 0, grant: 1_000, grant + 1: 999, grant + 999: 1, grant + 1_000: 0, grant + 90_000: 0}
    for now, left in times.items():
        clock.forward(now - clock.now())
        assert limiter.time_left(grant, found) == left


def test_rule_19_a_grant_that_the_store_does_not_know_is_not_used(limiter: Limiter, clock: ManualClock) -> None:
    """Were the item lost or put back to what it was, what others granted since would not be known."""
    grant = limiter.reserve(FAR)
    assert grant == clock.now()
    assert limiter.time_left(grant, limiter.state()) == 1_000
    assert limiter.time_left(grant, None) == 0
    clock.forward(1)
    assert limiter.time_left(grant + 1, limiter.state()) == 0


def test_rule_19_a_429_closes_it_to_everybody_and_drops_what_was_reserved(
    limiter: Limiter, other: Limiter, clock: ManualClock
) -> None:
    """Nobody uses a grant of before, or gets one, until the partner's reset; nor waits for that from afar."""
    reset = START + 40_000
    grants = [limiter.reserve(FAR), other.reserve(FAR)]
    other.close(reset)
    assert [limiter.time_left(grant or 0, limiter.state()) for grant in grants] == [0, 0]
    assert limiter.reserve(reset - 1) is None
    assert limiter.reserve(FAR) is None
    assert clock.now() == START
    clock.forward(reset - CLOSED_WAITED_FOR - clock.now())
    after = limiter.reserve(FAR)
    assert after == reset
    clock.forward(reset - clock.now())
    assert limiter.time_left(after, limiter.state()) == 1_000


def test_rule_19_it_is_never_opened_sooner_by_another_429(limiter: Limiter, other: Limiter) -> None:
    """The latest time counts, in whatever order they come."""
    limiter.close(START + 50_000)
    other.close(START + 20_000)
    found = other.state()
    assert found is not None
    assert (found.closed_until, list(found.grants)) == (START + 50_000, [])
    assert other.reserve(START + 49_999) is None


def test_rule_19_a_reserve_that_was_under_way_when_it_closed_is_tried_again(
    limiter: Limiter, other: Limiter, calls: Calls
) -> None:
    """Closing changes the version, so that a grant from before cannot be written after."""
    calls.trouble(meanwhile(lambda: other.close(START + 5_000)), "UpdateItem")
    assert limiter.reserve(FAR) == START + 5_000


@pytest.mark.parametrize("closed_for", [CLOSED_WAITED_FOR + 1, 20_000, 3_600_000])
def test_rule_19_nobody_sleeps_through_what_the_store_does_not_know_to_be_closed(
    limiter: Limiter, calls: Calls, clock: ManualClock, closed_for: int
) -> None:
    """A worker that got the 429 itself, and could not write it down, works for another partner meanwhile."""
    calls.trouble(throttled, "UpdateItem", times=8)
    with pytest.raises(Busy):
        limiter.close(clock.now() + closed_for)
    calls.clear()
    closed_at = clock.now()
    clock.forward(max(0, START + closed_for - CLOSED_WAITED_FOR - 1 - closed_at))
    before = clock.now()
    assert limiter.reserve(FAR) is None
    assert clock.now() == before


@pytest.mark.parametrize("trouble", [conflict, throttled, twice], ids=["conflict", "throttle", "lost answer"])
def test_rule_19_closing_gets_through_conflicts_throttles_and_lost_answers(
    limiter: Limiter, calls: Calls, trouble: Callable[[Call], Answer]
) -> None:
    """A 429 that is forgotten would be answered by more requests."""
    calls.trouble(trouble, "UpdateItem", times=3)
    limiter.close(START + 5_000)
    found = limiter.state()
    assert found is not None
    assert found.closed_until == START + 5_000


@pytest.mark.parametrize(("trouble", "raised"), [(unreachable, Unavailable), (throttled, Busy)])
def test_rule_19_a_worker_that_cannot_say_that_it_is_closed_keeps_to_it_itself(
    limiter: Limiter, calls: Calls, clock: ManualClock, trouble: Callable[[Call], Answer], raised: type[Exception]
) -> None:
    """What the store did not take is known to whoever got the 429."""
    grant = limiter.reserve(FAR)
    assert grant is not None
    calls.trouble(trouble, "UpdateItem", times=8)
    with pytest.raises(raised):
        limiter.close(clock.now() + 5_000)
    calls.clear()
    assert limiter.time_left(grant, limiter.state()) == 0
    assert limiter.reserve(START + 4_000) is None


@pytest.mark.parametrize("seed", range(3))
def test_rule_19_eight_workers_in_bad_weather_never_share_a_grant(
    store: Store, connections: Sequence[Connection], seed: int
) -> None:
    """Conflicts, throttles and lost answers on every third call: what anybody holds obeys the rule all the same."""
    clock = SharedClock()
    endless = Pace(ahead=10**9)
    retries = Retries(sleep=lambda _: None, attempts=60)

    def work(worker: int) -> list[int]:
        own = Store(connections[worker], store._table)
        weather = Calls(own)
        weather.always(_weather(random.Random(seed * WORKERS + worker)))
        limiter = Limiter(own, "tours", clock, retries, endless)
        held: list[int] = []
        try:
            while len(held) < 25:
                try:
                    grant = limiter.reserve(START + 10**9)
                except Unavailable:
                    continue
                if grant is not None:
                    held.append(grant)
        finally:
            weather.stop()
        return held

    with ThreadPoolExecutor(WORKERS) as pool:
        held = sorted(grant for grants in pool.map(work, range(WORKERS)) for grant in grants)
    assert len(held) == WORKERS * 25
    assert all(later - earlier >= 1_900 for earlier, later in pairwise(held))
    assert all(later - earlier >= 62_000 for earlier, later in zip(held, held[30:], strict=False))


def _weather(chances: random.Random) -> Callable[[Call], Answer]:
    kinds = (conflict, throttled, silence_after, unreachable, twice)

    def weather(call: Call) -> Answer:
        if chances.random() < 1 / 3:
            return chances.choice(kinds)(call)
        return call.make()

    return weather
