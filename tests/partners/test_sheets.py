"""Sheets and the counts of runs, against DynamoDB: what is wanted is lost by nobody, and counted once."""

import pytest

from holdfast.partners.pairs import Pair
from holdfast.partners.port import Rejected
from holdfast.partners.sheets import MOST_REJECTED, Sheet, Sheets, message_of
from holdfast.platform.dynamodb import Put, Store, read
from holdfast.platform.errors import Unavailable
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncFailureItem, SyncRunItem
from holdfast.platform.tables import Keys
from tests.engine.faults import Answer, Call, Calls, Trouble, conflict, meanwhile, silence_after, throttled

TENANT, RUN, OTHER_RUN = "t1", "1700000000000-today-00000001", "1700000000000-week-00000002"
DAY, NEXT = "2026-03-31", "2026-04-01"
NOW = 1_775_000_000_000


class Ticking:
    """A clock that goes on by a millisecond whenever it is looked at."""

    milliseconds = NOW

    def now(self) -> int:
        """Return the time."""
        self.milliseconds += 1
        return self.milliseconds


def retried(call: Call) -> Answer:
    """Lose the answer of a call that had its effect, and make it again, as botocore does."""
    call.make()
    return call.make()


@pytest.fixture
def sheets(store: Store) -> Sheets:
    """The sheets of an empty table with two runs."""
    for run_id, kind in ((RUN, "today"), (OTHER_RUN, "week")):
        store.write(Put(SyncRunItem(*Keys(TENANT).sync_run(run_id), kind=kind, started_at=NOW, ttl=1)))
    return Sheets(store, Ticking(), Retries(sleep=lambda _: None))


@pytest.fixture
def calls(store: Store) -> Calls:
    """The store's calls."""
    return Calls(store)


def run(store: Store, run_id: str = RUN) -> dict[str, int]:
    """Return the counts of a run that are not 0."""
    found = store.get(SyncRunItem, Keys(TENANT).sync_run(run_id))
    assert found is not None
    names = ("planned", "merged", "fetched", "changed", "failed", "dropped")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def failures(store: Store, run_id: str = RUN) -> list[SyncFailureItem]:
    """Return what failed in a run."""
    return [read(SyncFailureItem, raw) for raw in store.query(Keys(TENANT).sync_failures(run_id)).items]


def queued(sheets: Sheets, *dates: str, stamp: int = NOW, run_id: str = RUN) -> Sheet:
    """Have dates of experience 14 wanted and queued, and return the sheet."""
    assert sheets.want(run_id, [(sheets.get(TENANT, "14"), dates)])
    assert sheets.queue(sheets.get(TENANT, "14"), dates, stamp)
    return sheets.get(TENANT, "14")


def message(date: str = DAY, stamp: int = NOW) -> SyncMessage:
    """Return the message of experience 14 on a date."""
    return message_of(Pair(TENANT, "14", date), stamp)


def test_an_experience_without_a_sheet_has_an_empty_one(sheets: Sheets) -> None:
    assert sheets.get(TENANT, "14") == Sheet(TENANT, "14")
    assert sheets.of(TENANT) == {}
    assert sheets.again([Sheet(TENANT, "14", plan_version=3)]) == [Sheet(TENANT, "14")]


def test_a_pair_is_wanted_then_queued_then_answered_and_counted(sheets: Sheets, store: Store) -> None:
    sheet = queued(sheets, DAY, NEXT)
    assert (sheet.wanted, sheet.queued, sheet.plan_version) == ({DAY: RUN, NEXT: RUN}, {DAY: NOW, NEXT: NOW}, 1)
    assert sheets.take(message(), 1) == RUN
    assert sheets.get(TENANT, "14").taken == {DAY: 1}
    sheets.done(message(), RUN, NOW + 5, changed=True)
    sheet = sheets.get(TENANT, "14")
    assert (sheet.synced, sheet.wanted, sheet.queued, sheet.taken) == ({DAY: NOW + 5}, {NEXT: RUN}, {NEXT: NOW}, {})
    assert run(store) == {"planned": 2, "fetched": 1, "changed": 1}
    assert sheets.of(TENANT) == {"14": sheet}
    assert sheets.of("t2") == {}


def test_rule_20_messages_that_are_not_current_are_dropped(sheets: Sheets) -> None:
    queued(sheets, DAY)
    assert sheets.take(message(stamp=NOW - 1), 1) is None
    assert sheets.take(message(NEXT), 1) is None
    assert sheets.take(message(), 1) == RUN
    assert sheets.take(message(), 1) is None, "a duplicate"
    assert sheets.take(message(), 2) == RUN, "whoever had it died"
    assert sheets.take(message(), 1) is None, "a duplicate that came late"
    sheets.done(message(), RUN, NOW, changed=False)
    assert sheets.take(message(), 3) is None


def test_rule_08_a_taking_whose_answer_was_lost_is_known_again(sheets: Sheets, calls: Calls) -> None:
    queued(sheets, DAY)
    calls.trouble(retried, "UpdateItem")
    assert sheets.take(message(), 1) == RUN
    calls.trouble(silence_after, "UpdateItem")
    with pytest.raises(Unavailable):
        sheets.take(message(), 2)
    assert sheets.take(message(), 3) == RUN, "the message comes back"


def test_a_pair_that_is_given_back_is_wanted_and_not_queued(sheets: Sheets, store: Store) -> None:
    queued(sheets, DAY)
    assert sheets.take(message(), 1) == RUN
    sheets.give_back(message(stamp=NOW - 1))
    assert sheets.get(TENANT, "14").queued == {DAY: NOW}
    sheets.give_back(message())
    sheets.give_back(message())
    sheet = sheets.get(TENANT, "14")
    assert (sheet.wanted, sheet.queued, sheet.taken) == ({DAY: RUN}, {}, {})
    assert run(store) == {"planned": 1}
    assert sheets.queue(sheet, [DAY], NOW + 1)
    assert sheets.take(message(stamp=NOW + 1), 1) == RUN


def test_a_pair_is_answered_once_however_often_that_is_said(sheets: Sheets, store: Store) -> None:
    queued(sheets, DAY)
    for _ in range(2):
        sheets.done(message(), RUN, NOW, changed=True)
    sheets.drop(message(), RUN)
    sheets.failed(message(), RUN, "timed_out", "no answer", NOW, True)
    assert run(store) == {"planned": 1, "fetched": 1, "changed": 1}
    assert failures(store) == []
    assert sheets.want(OTHER_RUN, [(sheets.get(TENANT, "14"), [DAY])])
    sheets.done(message(), RUN, NOW + 1, changed=True)
    assert sheets.get(TENANT, "14").wanted == {DAY: OTHER_RUN}, "another run's is not answered by the first one's"
    assert run(store, OTHER_RUN) == {"planned": 1}


def test_an_attempt_that_failed_is_counted_and_the_pair_still_wanted(sheets: Sheets, store: Store) -> None:
    queued(sheets, DAY)
    sheets.failed(message(), RUN, "timed_out", "no answer in 5 s", NOW + 60_000, True)
    sheet = sheets.get(TENANT, "14")
    assert (sheet.wanted, sheet.queued, sheet.failures, sheet.not_before) == ({DAY: RUN}, {}, 1, NOW + 60_000)
    assert sheets.queue(sheet, [DAY], NOW + 60_000)
    sheets.failed(message(stamp=NOW + 60_000), RUN, "limited", "the limit is reached", 0, False)
    sheet = sheets.get(TENANT, "14")
    assert (sheet.failures, sheet.not_before) == (1, NOW + 60_000), "the product is not to blame for a 429"
    assert run(store) == {"planned": 1, "failed": 2}
    assert [(failure.code, failure.date, failure.reason) for failure in failures(store)] == [
        ("timed_out", DAY, "no answer in 5 s"),
        ("limited", DAY, "the limit is reached"),
    ]
    assert sheets.queue(sheet, [DAY], NOW + 1)
    sheets.done(message(stamp=NOW + 1), RUN, NOW, changed=False)
    sheet = sheets.get(TENANT, "14")
    assert (sheet.failures, sheet.not_before) == (0, 0)


def test_slots_that_were_rejected_are_reported_beside_the_answer(sheets: Sheets, store: Store) -> None:
    queued(sheets, DAY)
    rejected = [Rejected(None if number == 3 else f"s{number}", "remaining is negative") for number in range(30)]
    sheets.done(message(), RUN, NOW, True, rejected)
    found = failures(store)
    assert len(found) == MOST_REJECTED
    assert [failure.slot_id for failure in found[:4]] == ["s0", "s1", "s2", None]
    assert {failure.code for failure in found} == {"slot_rejected"}
    assert run(store) == {"planned": 1, "fetched": 1, "changed": 1}


def test_of_two_planners_one_wants(sheets: Sheets, store: Store) -> None:
    first, second = sheets.get(TENANT, "14"), sheets.get(TENANT, "14")
    other = sheets.get(TENANT, "15")
    assert sheets.want(RUN, [(first, [DAY])])
    assert not sheets.want(OTHER_RUN, [(other, [DAY]), (second, [DAY])])
    assert sheets.of(TENANT).keys() == {"14"}, "all or none"
    assert run(store, OTHER_RUN) == {}
    again = sheets.again([other, second])
    assert sheets.want(OTHER_RUN, [(again[0], [DAY]), (again[1], [NEXT])])
    assert sheets.get(TENANT, "14").wanted == {DAY: RUN, NEXT: OTHER_RUN}
    assert (run(store), run(store, OTHER_RUN)) == ({"planned": 1}, {"planned": 2})


def test_of_two_planners_one_queues(sheets: Sheets) -> None:
    assert sheets.want(RUN, [(sheets.get(TENANT, "14"), [DAY, NEXT])])
    read_by_both = sheets.get(TENANT, "14")
    assert sheets.queue(read_by_both, [DAY], NOW)
    assert not sheets.queue(read_by_both, [NEXT, DAY], NOW + 1)
    assert sheets.get(TENANT, "14").queued == {DAY: NOW}
    sheets.done(message(), RUN, NOW, changed=False)
    assert not sheets.queue(read_by_both, [DAY], NOW + 1), "it was answered meanwhile"
    assert sheets.queue(read_by_both, [NEXT], NOW + 1)


def test_rule_08_a_queueing_whose_answer_was_lost_is_known_again(sheets: Sheets, calls: Calls) -> None:
    assert sheets.want(RUN, [(sheets.get(TENANT, "14"), [DAY])])
    sheet = sheets.get(TENANT, "14")
    calls.trouble(retried, "UpdateItem")
    assert sheets.queue(sheet, [DAY], NOW)
    assert not sheets.queue(sheet, [DAY], NOW + 1)


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_others_in_the_way_are_waited_for(sheets: Sheets, store: Store, calls: Calls, trouble: Trouble) -> None:
    queued(sheets, DAY)
    calls.trouble(trouble)
    assert sheets.take(message(), 1) == RUN
    calls.trouble(trouble, times=3)
    sheets.failed(message(), RUN, "dropped", "hung up", NOW, False)
    queued_again = sheets.get(TENANT, "14")
    assert sheets.queue(queued_again, [DAY], NOW + 1)
    calls.trouble(trouble, times=3)
    sheets.done(message(stamp=NOW + 1), RUN, NOW, True)
    assert run(store) == {"planned": 1, "failed": 1, "fetched": 1, "changed": 1}
    sheet = sheets.get(TENANT, "14")
    calls.trouble(trouble)
    assert not sheets.want(RUN, [(sheet, [DAY])])


def test_what_is_forgotten_is_counted_as_dropped(sheets: Sheets, store: Store) -> None:
    queued(sheets, DAY, NEXT)
    sheets.done(message(NEXT), RUN, NOW, changed=False)
    assert sheets.want(OTHER_RUN, [(sheets.get(TENANT, "14"), ["2026-04-02", "2026-04-03"])])
    assert sheets.forget(sheets.get(TENANT, "14"), [DAY, NEXT, "2026-04-02"]) == 2
    sheet = sheets.get(TENANT, "14")
    assert (sheet.dates, sheet.wanted) == ({"2026-04-03"}, {"2026-04-03": OTHER_RUN})
    assert run(store) == {"planned": 2, "fetched": 1, "dropped": 1}
    assert run(store, OTHER_RUN) == {"planned": 2, "dropped": 1}
    sheets.done(message(), RUN, NOW, changed=True)
    assert run(store) == {"planned": 2, "fetched": 1, "dropped": 1}, "whoever was at work on it comes too late"


def test_what_was_answered_while_it_was_to_be_forgotten_is_counted_once(
    sheets: Sheets, store: Store, calls: Calls
) -> None:
    sheet = queued(sheets, DAY)
    calls.trouble(meanwhile(lambda: sheets.done(message(), RUN, NOW, changed=True)), "TransactWriteItems")
    assert sheets.forget(sheet, [DAY]) == 0
    assert run(store) == {"planned": 1, "fetched": 1, "changed": 1}
