"""The log of runs, and pause and resume, against DynamoDB: with others in the way, and answers that get lost."""

import pytest

from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, IdempotencyKeyReused, Malformed, SyncRunNotFound, Unavailable
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Answer, Call, Calls, Trouble, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import ManualClock
from tests.partners.planning_desk import TENANT, Desk, moment


def retried(call: Call) -> Answer:
    """Lose the answer of a call that had its effect, and make it again, as botocore does."""
    call.make()
    return call.make()


def keyed(route: str, body: str = "same") -> KeyedRequest:
    """Return a request with an idempotency key."""
    return KeyedRequest(TENANT, "staff-1", route, "k1", body)


@pytest.fixture
def desk(store: Store) -> Desk:
    """A desk with nothing on it."""
    return Desk(store, ManualClock(moment("2026-03-31T12:00")))


@pytest.fixture
def calls(store: Store) -> Calls:
    """The store's calls."""
    return Calls(store)


def test_runs_stand_in_the_order_in_which_they_began(desk: Desk) -> None:
    begun = []
    for kind in ("week", "manual", "today"):
        begun.append(desk.runs.begin(TENANT, kind).sk)
        desk.clock.forward(1)
    assert [run.sk for run in desk.all_runs()] == begun[::-1]
    assert list(desk.all_runs("t2")) == []
    page = desk.runs.page(TENANT, 2)
    assert page.next is not None
    assert [run.sk for run in desk.runs.page(TENANT, 2, page.next).runs] == begun[:1]
    with pytest.raises(Malformed):
        desk.runs.page("t2", 2, page.next)
    with pytest.raises(SyncRunNotFound):
        desk.runs.get("t2", begun[0])


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_a_run_begins_whoever_is_in_the_way(desk: Desk, calls: Calls, trouble: Trouble) -> None:
    calls.trouble(trouble, "TransactWriteItems", times=3)
    run = desk.runs.begin(TENANT, "manual", 3, keyed("sync"))
    calls.trouble(trouble, "UpdateItem", times=3)
    assert desk.runs.planned(run, 4).merged == 4
    assert desk.runs.begin(TENANT, "manual", 3, keyed("sync")).merged == 4
    calls.trouble(trouble, times=20)
    with pytest.raises(Busy):
        desk.runs.begin(TENANT, "today")


def test_rule_08_a_run_whose_beginning_was_not_answered_is_the_same_run_again(desk: Desk, calls: Calls) -> None:
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises(Unavailable):
        desk.runs.begin(TENANT, "manual", 3, keyed("sync"))
    run = desk.runs.begin(TENANT, "manual", 3, keyed("sync"))
    assert [each.sk for each in desk.all_runs()] == [run.sk]
    calls.trouble(retried, "UpdateItem")
    assert desk.runs.planned(run, 4).merged == 4
    with pytest.raises(IdempotencyKeyReused):
        desk.runs.begin(TENANT, "manual", 4, keyed("sync", "another"))


def test_of_twins_that_begin_at_once_there_is_one_run(desk: Desk, calls: Calls) -> None:
    calls.trouble(meanwhile(lambda: desk.runs.begin(TENANT, "manual", 3, keyed("sync"))), "TransactWriteItems")
    run = desk.runs.begin(TENANT, "manual", 3, keyed("sync"))
    assert [each.sk for each in desk.all_runs()] == [run.sk]


@pytest.mark.parametrize(
    ("trouble", "request_with_key"),
    [
        (conflict, None),
        (throttled, None),
        (retried, None),
        (conflict, keyed("sync/pause")),
        (throttled, keyed("sync/pause")),
    ],
)
def test_a_pause_is_made_whoever_is_in_the_way(
    desk: Desk, calls: Calls, trouble: Trouble, request_with_key: KeyedRequest | None
) -> None:
    calls.trouble(trouble, "PutItem" if request_with_key is None else "TransactWriteItems")
    said = desk.controls.switch(TENANT, True, "staff-1", request_with_key)
    assert (said.is_paused, said.changed_by) == (True, "staff-1")
    assert desk.controls.is_paused(TENANT)
    assert not desk.controls.is_paused("t2")


def test_of_two_who_pause_at_once_the_first_is_named(desk: Desk, calls: Calls) -> None:
    calls.trouble(meanwhile(lambda: desk.controls.switch(TENANT, True, "staff-2")), "PutItem")
    assert desk.controls.switch(TENANT, True, "staff-1").changed_by == "staff-2"


def test_a_resume_that_meets_a_pause_comes_after_it(desk: Desk, calls: Calls) -> None:
    desk.controls.switch(TENANT, True, "staff-1")
    desk.clock.forward(1)

    def again() -> None:
        desk.controls.switch(TENANT, False, "staff-2")
        desk.clock.forward(1)
        desk.controls.switch(TENANT, True, "staff-2")

    calls.trouble(meanwhile(again), "PutItem")
    assert desk.controls.switch(TENANT, False, "staff-3").changed_by == "staff-3"
    assert not desk.controls.is_paused(TENANT)


def test_twins_of_a_keyed_pause_are_answered_alike(desk: Desk, calls: Calls) -> None:
    twin = []

    def paused_and_resumed() -> None:
        twin.append(desk.controls.switch(TENANT, True, "staff-1", keyed("sync/pause")).changed_at)
        desk.clock.forward(1)
        desk.controls.switch(TENANT, False, "staff-2")

    calls.trouble(meanwhile(paused_and_resumed), "TransactWriteItems")
    said = desk.controls.switch(TENANT, True, "staff-1", keyed("sync/pause"))
    assert (said.is_paused, [said.changed_at]) == (True, twin)
    assert not desk.controls.is_paused(TENANT), "answered, and not done again"


def test_a_pause_that_cannot_be_written_is_no_pause(desk: Desk, calls: Calls) -> None:
    calls.trouble(throttled, "PutItem", times=8)
    with pytest.raises(Busy):
        desk.controls.switch(TENANT, True, "staff-1")
    assert not desk.controls.is_paused(TENANT)
