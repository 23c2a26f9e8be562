"""PROTOCOL.md 20: whatever messages do, wherever a fetcher dies, no pair is lost, and at most one request repeated."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import TypeVar

import pytest

from holdfast.catalogue.experiences import experiences, slots
from holdfast.catalogue.experiences.experiences import NewExperience
from holdfast.partners.breaker import FIRST_WAIT
from holdfast.partners.fetching import Outcome, Unanswered
from holdfast.partners.limiter import CLOSED_WAITED_FOR, Limiter
from holdfast.partners.pairs import Product
from holdfast.partners.port import Inventory, Partner, PartnerFailed
from holdfast.partners.registry import Definition
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, Unavailable
from holdfast.platform.queues import SyncMessage
from holdfast.reservations.engine import Engine
from tests.engine.faults import Answer, Call, Calls, error, throttled
from tests.engine.shop import ManualClock
from tests.engine.syncing import ENOUGH, RUN, TENANT, Syncing, all_done
from tests.partner.arrivals import most_in_window
from tests.partner.server import PartnerServer

_R = TypeVar("_R")


class Killed(BaseException):
    """The function died: nobody catches that."""


@pytest.fixture
def clock() -> ManualClock:
    """The clock of fetchers and of the partner."""
    return ManualClock()


@pytest.fixture
def syncing(store: Store, clock: ManualClock) -> Iterator[Syncing]:
    """A partner to be asked, and nothing wanted yet."""
    with PartnerServer(clock=clock.now) as server:
        syncing = Syncing(store, server, clock)
        server.say("16", syncing.today, [])
        yield syncing


def test_rule_20_a_pair_is_asked_for_once_and_kept_with_the_grants_time(syncing: Syncing, clock: ManualClock) -> None:
    message = syncing.queue("14")
    started = clock.now()
    assert syncing.work(message) is Outcome.FETCHED
    assert syncing.asked() == [("14", syncing.today)]
    assert syncing.kept == [("14", syncing.today, started)]
    assert syncing.sheet(message).synced == {message.date: started}
    assert not syncing.is_wanted(message)
    assert syncing.counts() == {"planned": 1, "fetched": 1, "changed": 1}


def test_rule_20_a_duplicated_message_is_dropped(syncing: Syncing) -> None:
    """SQS delivers at least once: at the same time, after, and once more after that."""
    message = syncing.queue("14")
    outcomes = [syncing.work(message, receive_count) for receive_count in (1, 1, 2, 3)]
    assert outcomes == [Outcome.FETCHED, Outcome.STALE, Outcome.STALE, Outcome.STALE]
    assert len(syncing.asked()) == 1
    assert syncing.counts()["fetched"] == 1


def test_rule_20_a_duplicate_that_comes_while_the_first_waits_takes_no_grant_of_its_own(
    syncing: Syncing, clock: ManualClock
) -> None:
    """Both are the same delivery: the second is dropped before anything is reserved."""
    syncing.work(syncing.queue("15"))
    message = syncing.queue("14")
    outcomes: list[Outcome] = []

    def sleep(seconds: float) -> None:
        outcomes.append(syncing.work(message))
        clock.sleep(seconds)

    assert syncing.fetcher(sleep=sleep).work(message, 1, clock.now() + ENOUGH) is Outcome.FETCHED
    assert outcomes == [Outcome.STALE]
    assert (len(syncing.asked()), len(syncing.grants())) == (2, 2)


def test_rule_20_a_delivery_that_another_overtook_stops_before_its_request(
    syncing: Syncing, clock: ManualClock
) -> None:
    """It was shown to others again while it waited, and they were faster: one request is enough."""
    syncing.work(syncing.queue("15"))
    message = syncing.queue("14")
    outcomes: list[Outcome] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if not outcomes:
            outcomes.append(syncing.work(message, 2))

    overtaken = syncing.fetcher(sleep=sleep)
    assert overtaken.work(message, 1, clock.now() + ENOUGH) is Outcome.STALE
    assert outcomes == [Outcome.FETCHED]
    assert [product for product, _ in syncing.asked()] == ["15", "14"]


def test_rule_20_a_delivery_leaves_its_pair_to_a_later_one_that_has_only_begun(
    syncing: Syncing, clock: ManualClock
) -> None:
    """The later one asks, be it the only one that lives: both would be one request too many."""
    syncing.work(syncing.queue("15"))
    message = syncing.queue("14")

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        syncing.sheets.take(message, 2)

    assert syncing.fetcher(sleep=sleep).work(message, 1, clock.now() + ENOUGH) is Outcome.STALE
    assert syncing.asked() == [("15", message.date)]
    assert syncing.work(message, 3) is Outcome.FETCHED


def test_rule_20_messages_may_come_in_any_order(syncing: Syncing, clock: ManualClock) -> None:
    """Each is of its own pair; the last one queued may be the first one asked for."""
    messages = [*syncing.queued("14", "15"), syncing.queue("15", syncing.day(3))]
    fetcher = syncing.fetcher()
    for message in reversed(messages):
        assert fetcher.work(message, 1, clock.now() + ENOUGH) is Outcome.FETCHED
    assert all_done(syncing, messages)
    assert sorted(syncing.asked()) == sorted((message.experience_id, message.date) for message in messages)


def test_rule_20_a_stale_message_is_dropped(syncing: Syncing, clock: ManualClock) -> None:
    """A message of before, when the pair was queued anew since, or answered, or never wanted at all."""
    old = syncing.queue("14")
    clock.forward(5 * 60_000)
    new = syncing.queue("14")
    never = SyncMessage(TENANT, "15", syncing.today, clock.now())
    assert [syncing.work(message) for message in (old, never)] == [Outcome.STALE, Outcome.STALE]
    assert syncing.grants() == []
    assert syncing.work(new) is Outcome.FETCHED
    assert [syncing.work(message, 2) for message in (old, new)] == [Outcome.STALE, Outcome.STALE]
    assert len(syncing.asked()) == 1


def test_rule_20_a_pair_that_is_not_wanted_any_more_is_dropped_before_a_grant_is_spent(
    syncing: Syncing, clock: ManualClock
) -> None:
    """Its product is gone or disabled, does not run that day, or its day is past or too far off."""
    past, far = syncing.day(-1), syncing.day(31)
    messages = [
        *syncing.queued("none", "14"),
        syncing.queue("15", past),
        syncing.queue("15", far),
    ]
    syncing.disabled.add("14")
    assert [syncing.work(message) for message in messages] == [Outcome.DROPPED] * 4
    syncing.weekdays = frozenset({1})
    not_running = syncing.queue("15", syncing.day(1))
    assert syncing.work(not_running) is Outcome.DROPPED
    assert (syncing.asked(), syncing.grants()) == ([], [])
    assert syncing.counts() == {"planned": 5, "dropped": 5}
    assert all_done(syncing, [*messages, not_running])


def test_rule_20_a_product_of_a_partner_that_nobody_knows_fails_and_is_not_lost(syncing: Syncing) -> None:
    """It may be set up again tomorrow; the run says why it was not asked for."""
    message = syncing.queue("lost")
    assert syncing.work(message) is Outcome.FAILED
    assert syncing.failures() == ["unknown_partner"]
    assert syncing.is_wanted(message)
    assert not syncing.is_queued(message)


def test_rule_20_lack_of_time_is_no_failure_the_pair_is_given_back(syncing: Syncing, clock: ManualClock) -> None:
    """Nobody asks at a time when the answer could not be kept any more; nothing is reserved for it."""
    syncing.work(syncing.queue("15"))
    message = syncing.queue("14")
    assert syncing.work(message, enough=1_800) is Outcome.GIVEN_BACK
    assert (len(syncing.asked()), len(syncing.grants())) == (1, 1)
    assert syncing.is_wanted(message)
    assert not syncing.is_queued(message)
    assert syncing.counts() == {"planned": 2, "fetched": 1, "changed": 1}
    clock.forward(60_000)
    again = syncing.queue("14")
    assert syncing.work(again) is Outcome.FETCHED
    assert syncing.work(message) is Outcome.STALE


def test_rule_20_paused_means_no_request_by_the_partners_log(syncing: Syncing, clock: ManualClock) -> None:
    """Nor is a grant reserved; all is still wanted, and asked for once it goes on."""
    messages = syncing.queued("14", "15")
    syncing.pause()
    fetcher = syncing.fetcher()
    outcomes = [fetcher.work(message, 1, clock.now() + ENOUGH) for message in messages]
    assert outcomes == [Outcome.GIVEN_BACK] * 2
    assert (syncing.asked(), syncing.grants()) == ([], [])
    syncing.pause(False)
    assert [syncing.work(message) for message in syncing.queued("14", "15")] == [Outcome.FETCHED] * 2


def test_rule_20_a_pause_takes_effect_within_one_message(syncing: Syncing, clock: ManualClock) -> None:
    """Whoever waits for a grant looks again before the request, and the next message is not asked for either."""
    syncing.work(syncing.queue("16"))
    messages = syncing.queued("14", "15")

    def sleep(seconds: float) -> None:
        syncing.pause()
        clock.sleep(seconds)

    fetcher = syncing.fetcher(sleep=sleep)
    outcomes = [fetcher.work(message, 1, clock.now() + ENOUGH) for message in messages]
    assert outcomes == [Outcome.GIVEN_BACK] * 2
    assert [product for product, _ in syncing.asked()] == ["16"]
    assert all(syncing.is_wanted(message) for message in messages)


def test_rule_20_another_tenants_pause_is_none_and_takes_over_the_grant_that_was_waited_for(
    syncing: Syncing, clock: ManualClock
) -> None:
    """A grant that is not used is lost to everybody: the next message of the worker uses it, if it is in time."""
    syncing.work(syncing.queue("16"))
    paused = syncing.queue("14")
    other = syncing.queue("14", tenant="other")

    def sleep(seconds: float) -> None:
        syncing.pause()
        clock.sleep(seconds)

    fetcher = syncing.fetcher(sleep=sleep)
    assert fetcher.work(paused, 1, clock.now() + ENOUGH) is Outcome.GIVEN_BACK
    assert fetcher.work(other, 1, clock.now() + ENOUGH) is Outcome.FETCHED
    assert len(syncing.grants()) == 2
    assert syncing.kept[-1][2] == syncing.grants()[-1]


def test_rule_20_a_grant_that_was_left_is_not_used_late(syncing: Syncing, clock: ManualClock) -> None:
    """More than a second after its time it is dropped, and another is reserved."""
    syncing.work(syncing.queue("16"))
    paused = syncing.queue("14")
    other = syncing.queue("14", tenant="other")

    def sleep(seconds: float) -> None:
        syncing.pause()
        clock.sleep(seconds)

    fetcher = syncing.fetcher(sleep=sleep)
    fetcher.work(paused, 1, clock.now() + ENOUGH)
    clock.forward(1_001)
    assert fetcher.work(other, 1, clock.now() + ENOUGH) is Outcome.FETCHED
    assert len(syncing.grants()) == 3


def test_rule_20_a_grant_that_was_left_is_not_used_where_there_is_no_time_to_answer(
    syncing: Syncing, clock: ManualClock
) -> None:
    """It is in time, but whoever would use it could not keep the answer any more."""
    syncing.work(syncing.queue("16"))
    paused = syncing.queue("14")
    other = syncing.queue("14", tenant="other")

    def sleep(seconds: float) -> None:
        syncing.pause()
        clock.sleep(seconds)

    fetcher = syncing.fetcher(sleep=sleep)
    fetcher.work(paused, 1, clock.now() + ENOUGH)
    assert fetcher.work(other, 1, clock.now() - 1) is Outcome.GIVEN_BACK
    assert len(syncing.asked()) == 1


@pytest.mark.parametrize("late", [0, 900, 1_001, 20_000])
def test_rule_20_a_grant_is_used_within_a_second_or_dropped(syncing: Syncing, clock: ManualClock, late: int) -> None:
    """A function that stood still past its grant reserves another; the partner sees requests at granted times only."""
    syncing.work(syncing.queue("15"))
    message = syncing.queue("14")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock.sleep(seconds)
        if len(naps) == 1:
            clock.forward(late)

    assert syncing.fetcher(sleep=sleep).work(message, 1, clock.now() + ENOUGH) is Outcome.FETCHED
    arrived = syncing.server.log[-1].at
    used = [grant for grant in syncing.grants() if grant <= arrived <= grant + 1_000]
    assert used
    assert len(syncing.grants()) == (2 if late <= 1_000 else 3)


@pytest.mark.parametrize(("fault", "code"), [("fail", "server_error"), ("drop", "dropped"), ("bad_json", "bad_answer")])
def test_rule_20_a_product_that_fails_is_left_alone_for_longer_each_time_and_others_are_not(
    syncing: Syncing, clock: ManualClock, fault: str, code: str
) -> None:
    """Its breaker is its own; what is still in the queue of it is given back unasked, and nothing is lost."""
    syncing.server.misbehave(fault, product="14")
    waits = []
    for _ in range(4):
        message = syncing.queue("14")
        assert syncing.work(message) is Outcome.FAILED
        waits.append(syncing.sheet(message).not_before - clock.now())
        asked = len(syncing.asked())
        meanwhile = syncing.queue("14")
        assert syncing.work(meanwhile) is Outcome.GIVEN_BACK
        assert len(syncing.asked()) == asked
        clock.forward(waits[-1])
    assert waits == [FIRST_WAIT // 2 * factor for factor in (1, 2, 4, 8)]
    assert syncing.sheet(message).failures == 4
    assert syncing.failures() == [code] * 4
    assert syncing.work(syncing.queue("15")) is Outcome.FETCHED
    syncing.server.behave()
    message = syncing.queue("14")
    assert syncing.work(message) is Outcome.FETCHED
    assert (syncing.sheet(message).failures, syncing.sheet(message).not_before) == (0, 0)


def test_rule_20_what_was_not_sent_does_not_count_against_the_product(syncing: Syncing, clock: ManualClock) -> None:
    """The fault is ours, be it for a while: its pairs go on being asked for, and no breaker opens."""
    for number in range(1, 6):
        message = syncing.queue("14")
        fetcher = syncing.fetcher(wrap=lambda _: Silent())
        assert fetcher.work(message, 1, clock.now() + ENOUGH) is Outcome.FAILED
        sheet = syncing.sheet(message)
        assert (sheet.failures, sheet.not_before) == (0, 0)
        assert (syncing.is_wanted(message), syncing.is_queued(message)) == (True, False)
        assert syncing.counts()["failed"] == number
        clock.forward(2_000)
    assert syncing.failures() == ["not_sent"] * 5
    assert syncing.asked() == []
    assert syncing.work(syncing.queue("14")) is Outcome.FETCHED


class Silent:
    """A partner that nothing ever reaches, since nothing is sent."""

    def inventory(self, product_id: str, date: str, send_within: float) -> Inventory:
        """Send nothing."""
        raise PartnerFailed("not_sent", "no connection was free")


@pytest.mark.parametrize("wrong", [Busy(), Unavailable(), KeyError("a bug")], ids=["busy", "unavailable", "bug"])
def test_rule_20_an_answer_that_cannot_be_kept_is_counted_and_its_product_left_alone_for_longer_each_time(
    syncing: Syncing, clock: ManualClock, wrong: Exception
) -> None:
    """Its message raises, so that somebody learns of it; others are kept, and so is this once it can be."""
    waits = []
    for _ in range(4):
        message = syncing.queue("14")
        with pytest.raises(type(wrong)):
            syncing.fetcher(keep=failing(wrong)).work(message, 1, clock.now() + ENOUGH)
        assert (syncing.is_wanted(message), syncing.is_queued(message)) == (True, False)
        waits.append(syncing.sheet(message).not_before - clock.now())
        clock.forward(waits[-1])
    assert waits == [FIRST_WAIT // 2 * factor for factor in (1, 2, 4, 8)]
    assert syncing.failures() == ["not_kept"] * 4
    assert syncing.counts() == {"planned": 1, "failed": 4}
    assert len(syncing.asked()) == 4
    assert syncing.work(syncing.queue("15")) is Outcome.FETCHED
    message = syncing.queue("14")
    assert syncing.work(message) is Outcome.FETCHED
    assert (syncing.sheet(message).failures, syncing.sheet(message).not_before) == (0, 0)


def test_rule_20_a_message_whose_answer_cannot_be_kept_for_good_reaches_the_dead_letters(
    syncing: Syncing, clock: ManualClock
) -> None:
    """Its pair has other messages long before it comes again; it raises five times, and asks the partner no more."""
    first = syncing.queue("14")
    for receive_count in range(1, 6):
        anew = first if receive_count == 1 else syncing.queue("14")
        with pytest.raises(KeyError):
            syncing.fetcher(keep=failing(KeyError())).work(anew, 1, clock.now() + ENOUGH)
        clock.forward(6 * 60_000)
        with pytest.raises(Unanswered):
            syncing.work(first, receive_count + 1)
    assert len(syncing.asked()) == len(syncing.grants()) == 5


def test_rule_20_a_message_whose_answer_could_not_be_kept_is_dropped_once_another_of_its_pair_was(
    syncing: Syncing, clock: ManualClock
) -> None:
    """Or once its pair is not wanted any more; not because another date of its product was answered."""
    syncing.server.say("16", syncing.day(2), [])
    messages = *_, of_another_date = [*syncing.queued("14", "15"), syncing.queue("16", syncing.day(2))]
    for message in messages:
        with pytest.raises(KeyError):
            syncing.fetcher(keep=failing(KeyError())).work(message, 1, clock.now() + ENOUGH)
    clock.forward(6 * 60_000)
    for message in messages:
        with pytest.raises(Unanswered):
            syncing.work(message, 2)
    assert syncing.work(syncing.queue("14")) is Outcome.FETCHED
    syncing.sheets.drop(syncing.queue("15"), RUN)
    assert syncing.work(syncing.queue("16")) is Outcome.FETCHED
    assert [syncing.work(message, 3) for message in messages[:2]] == [Outcome.STALE] * 2
    with pytest.raises(Unanswered):
        syncing.work(of_another_date, 3)
    assert syncing.work(syncing.queue("16", of_another_date.date)) is Outcome.FETCHED
    assert syncing.work(of_another_date, 4) is Outcome.STALE
    assert syncing.work(SyncMessage(TENANT, "17", syncing.today, clock.now()), 2) is Outcome.STALE


def test_rule_20_a_duplicate_of_a_message_that_is_done_with_is_none_that_failed(syncing: Syncing) -> None:
    """It was given back, and its product is well: should it come again all the same, nobody has to see to it."""
    message = syncing.queue("14")
    syncing.pause()
    assert syncing.work(message) is Outcome.GIVEN_BACK
    assert syncing.work(message, 2) is Outcome.STALE


def failing(wrong: Exception) -> Callable[[str, str, int], None]:
    """Return what keeps no answer."""

    def keep(*_: object) -> None:
        raise wrong

    return keep


@pytest.mark.parametrize("is_left", [False, True], ids=["of its own", "left by another"])
def test_rule_19_looking_at_the_day_before_takes_nothing_of_the_grants_second(
    syncing: Syncing, clock: ManualClock, is_left: bool
) -> None:
    """However long that takes: it is done before a grant is waited for, and so before the request (rule 18)."""
    syncing.work(syncing.queue("16"))
    looked: list[int] = []

    def sleep(seconds: float) -> None:
        if is_left and not syncing.kept[1:]:
            syncing.pause()
        clock.sleep(seconds)

    def look(*_: object) -> None:
        clock.forward(1_500)
        looked.append(clock.now())

    fetcher = syncing.fetcher(sleep=sleep)
    if is_left:
        assert fetcher.work(syncing.queue("15"), 1, clock.now() + ENOUGH) is Outcome.GIVEN_BACK
    fetcher.look = look
    outcome = fetcher.work(syncing.queue("14", tenant="other"), 1, clock.now() + 60_000)
    assert outcome is Outcome.FETCHED
    assert len(looked) == 1
    arrived = syncing.server.log[-1].at
    assert looked[0] <= arrived
    assert arrived == syncing.kept[-1][2]


def test_rule_20_each_attempt_has_a_grant_of_its_own_and_nothing_is_repeated(
    syncing: Syncing, clock: ManualClock
) -> None:
    """The client repeats nothing by itself: one message, one grant, one arrival, whatever goes wrong."""
    for number, fault in enumerate(("fail", "drop", "bad_json", "cut"), start=1):
        syncing.server.behave()
        syncing.server.misbehave(fault)
        message = syncing.queue(str(100 + number))
        assert syncing.work(message) is Outcome.FAILED
        assert len(syncing.asked()) == len(syncing.grants()) == number
        clock.forward(60_000)


def test_rule_20_a_429_closes_the_limiter_until_the_partners_reset(syncing: Syncing, clock: ManualClock) -> None:
    """Not a request comes before it, by whatever worker; it is nobody's fault, and no pair is lost."""
    reset = clock.now() + 40_000
    syncing.server.misbehave("limited", times=1, reset=reset)
    first, second = syncing.queued("14", "15")
    assert syncing.work(first) is Outcome.LIMITED
    assert (syncing.failures(), syncing.sheet(first).failures, syncing.sheet(first).not_before) == (["limited"], 0, 0)
    now = clock.now()
    assert syncing.work(second) is Outcome.GIVEN_BACK
    assert clock.now() == now
    clock.forward(reset - CLOSED_WAITED_FOR - now)
    second = syncing.queue("15")
    assert syncing.work(second) is Outcome.FETCHED
    assert [arrival.status for arrival in syncing.server.log] == [429, 200]
    assert syncing.server.log[-1].at >= reset
    assert syncing.is_wanted(first)
    first = syncing.queue("14")
    assert syncing.work(first) is Outcome.FETCHED


def test_rule_20_a_429_drops_what_others_have_reserved(syncing: Syncing, clock: ManualClock) -> None:
    """A worker that waits for its grant learns of it after the wait; the pair is asked for after the reset."""
    syncing.work(syncing.queue("16"))
    reset = clock.now() + 30_000
    message, limited = syncing.queued("14", "15")

    def sleep(seconds: float) -> None:
        if syncing.server.log[-1].status == 200:
            syncing.server.misbehave("limited", times=1, reset=reset)
            assert syncing.work(limited) is Outcome.LIMITED
        clock.sleep(seconds)

    assert syncing.fetcher(sleep=sleep).work(message, 1, clock.now() + ENOUGH) is Outcome.GIVEN_BACK
    assert [arrival.status for arrival in syncing.server.log] == [200, 429]
    clock.forward(reset - CLOSED_WAITED_FOR - clock.now())
    assert syncing.work(syncing.queue("14")) is Outcome.FETCHED
    assert [arrival.status for arrival in syncing.server.log] == [200, 429, 200]
    assert syncing.server.log[-1].at >= reset


@pytest.mark.parametrize("shares_a_limiter", [True, False])
def test_each_schedule_limits_itself_so_together_they_break_the_limit(
    syncing: Syncing, clock: ManualClock, shares_a_limiter: bool
) -> None:
    """WIRE.md, section 5: three schedules and a manual run in turn, each in functions of its own.

    With one limiter for all they keep to 30 in 60 s by the partner's log, however many there are; were it one for each,
    they would not, and the partner would refuse them.
    """
    schedules = ("today", "week", "month", "manual")
    fetchers = {schedule: syncing.fetcher() for schedule in schedules}
    if not shares_a_limiter:
        for schedule, fetcher in fetchers.items():
            own = Limiter(syncing.store, schedule, clock, syncing.retries)
            fetcher.limiters = lambda _, own=own: own  # type: ignore[misc]
    for number in range(16):
        for schedule, fetcher in fetchers.items():
            experience = f"{schedule}-{number}"
            syncing.server.say(experience, syncing.today, [])
            fetcher.work(syncing.queue(experience), 1, clock.now() + ENOUGH)
    statuses = [arrival.status for arrival in syncing.server.log]
    most = most_in_window(syncing.server.log, 60)
    assert (most <= 30, 429 not in statuses) == (shares_a_limiter, shares_a_limiter)
    if shares_a_limiter:
        assert len(statuses) == len(schedules) * 16


def unanswered(_: Call) -> Answer:
    """Let the store be out of order."""
    raise error("InternalServerError", "any")


OF_ONE_MESSAGE = [
    "UpdateItem",
    "BatchGetItem",
    "look",
    "GetItem",
    "UpdateItem",
    "BatchGetItem",
    "inventory",
    "keep",
    "TransactWriteItems",
]
"""What a fetcher calls for one message, in order."""

BEFORE_THE_REQUEST = [name for name in OF_ONE_MESSAGE[: OF_ONE_MESSAGE.index("inventory")] if name != "look"]
"""Those of them that the store is asked for before the partner is."""


@pytest.mark.parametrize("at", range(len(BEFORE_THE_REQUEST)))
def test_rule_19_any_fault_of_the_store_before_the_request_means_no_request(syncing: Syncing, at: int) -> None:
    """Fail closed: the message is delivered again, and all goes its way then."""
    message = syncing.queue("14")
    calls = Calls(syncing.store)
    calls.trouble(unanswered, skip=at)
    with pytest.raises(Unavailable):
        syncing.work(message)
    calls.stop()
    assert syncing.asked() == []
    assert syncing.is_wanted(message)
    assert syncing.work(message, 2) is Outcome.FETCHED
    assert len(syncing.asked()) == 1


def test_rule_20_a_read_that_is_throttled_for_good_means_no_request(syncing: Syncing) -> None:
    """Whether it is paused, or closed, is not known then."""
    message = syncing.queue("14")
    calls = Calls(syncing.store)
    calls.trouble(throttled, "BatchGetItem", times=100)
    with pytest.raises(Busy):
        syncing.work(message)
    calls.stop()
    assert syncing.asked() == []


@dataclass
class Mortal:
    """A function that dies at one of its calls, before the call has its effect or after; never, where `dies_at` is -1.

    It notes what it called. With an `engine` it keeps answers as the store of experiences does.
    """

    syncing: Syncing
    dies_at: int = -1
    is_after: bool = False
    engine: Engine | None = None
    called: list[str] = field(default_factory=list)

    def work(self, message: SyncMessage, receive_count: int = 1) -> Outcome:
        """Work on a message; raises Killed where it dies."""
        fetcher = self.syncing.fetcher(wrap=lambda partner: _MortalPartner(self, partner))
        if self.engine is not None:
            fetcher.keep = _keeping(self.engine)
        look, keep = fetcher.look, fetcher.keep
        fetcher.look = lambda *of: self.call("look", lambda: look(*of))
        fetcher.keep = lambda *of: self.call("keep", lambda: keep(*of))
        calls = Calls(self.syncing.store)
        calls.always(lambda call: self.call(call.operation, call.make))
        try:
            return fetcher.work(message, receive_count, self.syncing.clock.now() + ENOUGH)
        finally:
            calls.stop()

    def call(self, name: str, make: Callable[[], _R]) -> _R:
        """Make a call, unless this is where it dies."""
        self.called.append(name)
        is_last = len(self.called) - 1 == self.dies_at
        if is_last and not self.is_after:
            raise Killed
        made = make()
        if is_last:
            raise Killed
        return made


def _keeping(engine: Engine) -> Callable[[Product, str, None, Inventory, int, Definition], bool]:
    def keep(product: Product, day: str, _before: None, said: Inventory, asked_at: int, definition: Definition) -> bool:
        return slots.keep(
            engine,
            product.tenant,
            product.experience_id,
            day,
            slots.DayBefore({}),
            said.slots,
            may_close=said.is_whole,
            digest=said.digest,
            rejected=[],
            asked_at=asked_at,
            zone=definition.zone,
            contains_our_sales=False,
        )

    return keep


@dataclass(frozen=True)
class _MortalPartner:
    mortal: Mortal
    partner: Partner

    def inventory(self, product_id: str, date: str, send_within: float) -> Inventory:
        """Ask the partner, unless this is where the function dies."""
        return self.mortal.call("inventory", lambda: self.partner.inventory(product_id, date, send_within))


def test_rule_20_these_are_all_the_calls_that_a_function_can_die_at(syncing: Syncing) -> None:
    """What is not in the list would not be tested below."""
    message = syncing.queue("14")
    mortal = Mortal(syncing)
    assert mortal.work(message) is Outcome.FETCHED
    assert mortal.called == OF_ONE_MESSAGE


DEATHS = [
    pytest.param(at, is_after, id=f"{'after' if is_after else 'before'} {name} ({at})")
    for at, name in enumerate(OF_ONE_MESSAGE)
    for is_after in (False, True)
]


@pytest.mark.parametrize(("at", "is_after"), DEATHS)
def test_rule_20_killed_at_any_point_and_delivered_again_no_pair_is_lost(
    syncing: Syncing, at: int, is_after: bool
) -> None:
    """SQS shows the message again: its pair is answered and counted once, and asked for twice at most."""
    message, other = syncing.queued("14", "15")
    with pytest.raises(Killed):
        Mortal(syncing, at, is_after).work(message)
    is_answered = not syncing.is_wanted(message)
    assert syncing.work(message, 2) is (Outcome.STALE if is_answered else Outcome.FETCHED)
    assert syncing.work(message, 3) is Outcome.STALE
    _assert_nothing_was_lost(syncing, message, other)


@pytest.mark.parametrize(("at", "is_after"), DEATHS)
def test_rule_20_killed_at_any_point_and_its_message_lost_the_pair_is_queued_anew(
    syncing: Syncing, clock: ManualClock, at: int, is_after: bool
) -> None:
    """Nothing but the sheet has to last; the lost message is dropped, should it come after all."""
    message, other = syncing.queued("14", "15")
    with pytest.raises(Killed):
        Mortal(syncing, at, is_after).work(message)
    clock.forward(5 * 60_000)
    if syncing.is_wanted(message):
        anew = syncing.queue("14")
        assert syncing.work(anew) is Outcome.FETCHED
    assert syncing.work(message, 2) is Outcome.STALE
    _assert_nothing_was_lost(syncing, message, other)


@pytest.mark.parametrize(("at", "is_after"), DEATHS)
def test_rule_20_killed_twice_at_the_same_point_no_pair_is_lost(syncing: Syncing, at: int, is_after: bool) -> None:
    """Each death repeats at most the one request that was under way."""
    message, other = syncing.queued("14", "15")
    for receive_count in (1, 2):
        if syncing.is_wanted(message):
            with pytest.raises(Killed):
                Mortal(syncing, at, is_after).work(message, receive_count)
    syncing.work(message, 3)
    _assert_nothing_was_lost(syncing, message, other, repeated=2)


def _assert_nothing_was_lost(syncing: Syncing, message: SyncMessage, other: SyncMessage, repeated: int = 1) -> None:
    asked = [product for product, _ in syncing.asked()]
    assert 1 <= asked.count("14") <= 1 + repeated
    assert syncing.work(other) is Outcome.FETCHED
    assert all_done(syncing, [message, other])
    assert syncing.counts() == {"planned": 2, "fetched": 2, "changed": 2}
    assert syncing.sheet(message).synced[message.date] in syncing.grants()
    assert {kept[:2] for kept in syncing.kept} == {("14", message.date), ("15", other.date)}


def test_rule_20_killed_at_any_point_of_keeping_an_answer_it_is_kept_whole_the_next_time(
    syncing: Syncing, clock: ManualClock
) -> None:
    """Every call to the store is a point to die at, before and after; each death is of a product of its own."""
    engine = Engine(syncing.store, clock=clock)
    weekday = date.fromisoformat(syncing.today).isoweekday()
    products = iter([product for product in syncing.server.generate(150) if weekday in product.weekdays])
    deaths = 0
    for at in count(OF_ONE_MESSAGE.index("keep")):
        for is_after in (False, True):
            product = next(products)
            new = NewExperience(product.id, product.name, "tours", product.id, (1, 2, 3, 4, 5, 6, 7), True)
            experiences.create(engine, TENANT, new, None)
            message = syncing.queue(product.id)
            mortal = Mortal(syncing, at, is_after, engine)
            try:
                mortal.work(message)
            except Killed:
                deaths += 1
            Mortal(syncing, engine=engine).work(message, 2)
            assert not syncing.is_wanted(message)
            kept = slots.look(engine, TENANT, product.id, message.date).slots
            said = syncing.server.inventory(product.id, message.date)
            assert {slot_id: slot.whole.partner for slot_id, slot in kept.items()} == {
                slot["providerSlotId"]: slot["remaining"] for slot in said
            }
            assert syncing.asked().count((product.id, message.date)) <= 2
        if at >= len(mortal.called):
            break
    assert deaths > 2 * len(OF_ONE_MESSAGE)
