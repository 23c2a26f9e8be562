"""The planner against DynamoDB: what becomes wanted, what is queued next, and that nothing is lost on the way."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from holdfast.partners import planning
from holdfast.partners.pairs import HOUR, MINUTE, Horizon, Product
from holdfast.partners.planning import QUEUED_AT_MOST, QUEUED_FOR
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, IdempotencyKeyReused, Unavailable
from holdfast.platform.queues import SyncMessage
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Answer, Call, Calls, Trouble, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import ManualClock
from tests.partners.planning_desk import PARTNER, TENANT, Desk, moment, product, without

TUESDAY_NOON = "2026-03-31T12:00"


class Killed(BaseException):
    """The function died: nothing that it would have done of an exception happens."""


def killed_before(_: Call) -> Answer:
    """Die before the call."""
    raise Killed


def killed_after(call: Call) -> Answer:
    """Die once the call has had its effect, if it has one."""
    call.make()
    raise Killed


@pytest.fixture
def desk(store: Store) -> Desk:
    """A desk with nothing on it, on the last day of a month, a Tuesday, at the partner's noon."""
    return Desk(store, ManualClock(moment(TUESDAY_NOON)))


@pytest.fixture
def calls(store: Store) -> Calls:
    """The store's calls."""
    return Calls(store)


def keyed(days: int = 1, key: str = "k1") -> KeyedRequest:
    """Return a manual run's request with an idempotency key."""
    return KeyedRequest(TENANT, "staff-1", "sync", key, f"hash of {days}")


def test_a_schedule_wants_the_weekdays_that_a_product_runs_and_no_others(desk: Desk) -> None:
    desk.products = [product("tuesdays", {2}), product("sundays", {7}), product("daily")]
    desk.planner.schedule(Horizon.TODAY, desk.products)
    assert desk.sheet("tuesdays").wanted.keys() == desk.sheet("daily").wanted.keys() == {"2026-03-31"}
    assert desk.sheet("sundays").wanted == {}
    desk.planner.schedule(Horizon.WEEK, desk.products)
    assert desk.sheet("sundays").wanted.keys() == {"2026-04-05"}
    assert desk.sheet("tuesdays").wanted.keys() == {"2026-03-31", "2026-04-07"}
    desk.planner.schedule(Horizon.MONTH, desk.products)
    assert desk.sheet("sundays").wanted.keys() == {"2026-04-05", "2026-04-12", "2026-04-19", "2026-04-26"}
    assert len(desk.sheet("daily").wanted) == 31
    desk.audit()


def test_a_schedule_passes_over_what_is_fresh_and_merges_what_waits(desk: Desk) -> None:
    desk.products = [product("14"), product("15"), product("16")]
    desk.synced(2 * MINUTE, desk.products[0])
    desk.synced(10 * MINUTE, desk.products[1])
    first, second = (desk.planner.schedule(Horizon.TODAY, desk.products)[0] for _ in range(2))
    assert (first.planned, first.merged) == (2, 0)
    assert (second.planned, second.merged) == (0, 2)
    assert desk.sheet("14").wanted == {}
    assert desk.sheet("15").wanted == desk.sheet("16").wanted == {"2026-03-31": first.sk}
    assert first.planned_at is not None
    desk.audit()


def test_pairs_that_wait_are_merged_across_schedules_and_manual_runs(desk: Desk) -> None:
    desk.products = [product("14")]
    desk.planner.schedule(Horizon.WEEK, desk.products)
    run = desk.planner.run(TENANT, 9, desk.products)
    assert (run.kind, run.days, run.planned, run.merged) == ("manual", 9, 2, 7)
    desk.planner.schedule(Horizon.TODAY, desk.products)
    assert desk.counts()["today"] == {"merged": 1}
    assert len(desk.queue.sent) == 31, "one message a pair, those that were overlooked too"
    desk.answer(desk.queue.taken())
    assert desk.sheet("14").wanted == {}
    assert desk.counts()["manual"] == {"planned": 2, "merged": 7, "fetched": 2}
    desk.audit()


def test_a_manual_run_wants_everything_that_was_not_just_answered(desk: Desk) -> None:
    desk.products = [product("14"), product("15", {3}), product("16"), product("other", tenant="t2")]
    desk.synced(2 * MINUTE, desk.products[0])
    desk.synced(2 * MINUTE + 1, desk.products[2])
    run = desk.planner.run(TENANT, 2, desk.products)
    assert (run.planned, run.merged) == (3, 0)
    assert desk.sheet("15").wanted.keys() >= {"2026-04-01"}
    assert desk.sheet("14").wanted == {}
    assert desk.counts("t2").keys() == {"onboarding"}, "another tenant's is no part of it"


@pytest.mark.parametrize(
    ("now", "days", "last"),
    [
        ("2026-01-31T23:59", 2, "2026-02-01"),
        ("2026-02-28T12:00", 2, "2026-03-01"),
        ("2028-02-28T12:00", 2, "2028-02-29"),
        ("2028-02-29T12:00", 2, "2028-03-01"),
        ("2026-12-31T00:00", 2, "2027-01-01"),
        ("2028-02-05T12:00", 30, "2028-03-05"),
        ("2026-02-05T12:00", 30, "2026-03-06"),
    ],
)
def test_days_go_over_the_ends_of_months_and_leap_days(store: Store, now: str, days: int, last: str) -> None:
    desk = Desk(store, ManualClock(moment(now)), [product("14")])
    run = desk.planner.run(TENANT, days, desk.products)
    wanted = sorted(day for day, by in desk.sheet("14").wanted.items() if by == run.sk)
    assert (len(wanted), wanted[0], wanted[-1]) == (days, now[:10], last)


def test_dates_are_those_of_each_partners_time_zone(store: Store) -> None:
    zones = {"auckland": ZoneInfo("Pacific/Auckland"), "honolulu": ZoneInfo("Pacific/Honolulu")}
    products = [replace(product(name), partner=name) for name in zones]
    desk = Desk(store, ManualClock(moment("2026-03-31T20:00", ZoneInfo("UTC"))), products, zones)
    desk.planner.schedule(Horizon.TODAY, desk.products)
    assert desk.sheet("auckland").wanted.keys() == {"2026-04-01"}
    assert desk.sheet("honolulu").wanted.keys() == {"2026-03-31"}


@pytest.mark.parametrize(("zone", "night"), [("Europe/Berlin", "2026-03-29"), ("America/New_York", "2026-11-01")])
def test_a_day_of_23_or_25_hours_is_one_day(store: Store, zone: str, night: str) -> None:
    desk = Desk(
        store, ManualClock(moment(f"{night}T00:05", ZoneInfo(zone))), [product("14")], {PARTNER: ZoneInfo(zone)}
    )
    run = desk.planner.run(TENANT, 3, desk.products)
    wanted = [day for day, by in desk.sheet("14").wanted.items() if by == run.sk]
    assert len(wanted) == 3
    assert min(wanted) == night


def test_past_dates_are_cleaned_off_the_sheets_and_counted_as_dropped(desk: Desk) -> None:
    desk.products = [product("14")]
    desk.planner.schedule(Horizon.TODAY, desk.products)
    first = desk.refill()
    assert "2026-03-31" in {message.date for message in first}
    desk.answer(message for message in first if message.date == "2026-04-01")
    desk.clock.forward(12 * HOUR)
    done = desk.planner.refill(desk.products)
    sheet = desk.sheet("14")
    assert "2026-03-31" not in sheet.dates
    assert done.dropped == 1
    assert desk.counts()["today"] == {"planned": 2, "dropped": 1}, "the day that began is wanted now"
    late = [message for message in first if message.date == "2026-03-31"]
    assert [desk.sheets.take(message, 1) for message in late] == [None], "its message is dropped"
    assert "2026-05-01" in sheet.wanted, "the day that came into reach is wanted at once"
    desk.clock.forward(24 * HOUR)
    desk.planner.refill(desk.products)
    assert min(desk.sheet("14").dates) == "2026-04-02"
    desk.audit()


def test_a_date_that_comes_into_a_nearer_horizon_is_wanted_at_once(desk: Desk) -> None:
    desk.products = [product("14")]
    desk.synced(3 * HOUR)
    desk.clock.forward(12 * HOUR - 31 * MINUTE)
    desk.synced(20 * MINUTE, only=lambda day: day == "2026-03-31")
    desk.synced(3 * HOUR, only=lambda day: day == "2026-04-01")
    desk.refill()
    assert not desk.sheet("14").wanted.keys() & {"2026-03-31", "2026-04-01"}
    desk.clock.forward(MINUTE)
    messages = desk.refill()
    assert "2026-04-01" in {message.date for message in messages}, "half an hour before its day begins"
    assert desk.counts()["today"] == {"planned": 1}
    desk.audit()


def test_a_disabled_product_and_a_weekday_taken_away_are_dropped(desk: Desk) -> None:
    desk.products = [product("14", {2, 3, 4}), product("15", {2, 3, 4}), product("16", {2, 3, 4})]
    run = desk.planner.run(TENANT, 3, desk.products)
    messages = desk.queue.taken()
    desk.products = without(desk.products, "14")
    desk.products[1] = replace(desk.products[1], weekdays=frozenset({2, 4}))
    desk.planner.refill(desk.products)
    assert desk.sheet("14").dates == set()
    assert not desk.sheet("15").dates & {"2026-04-01", "2026-04-08"}
    again = desk.runs.get(TENANT, run.sk)
    assert (again.planned, again.dropped) == (9, 4)
    desk.answer(messages)
    assert desk.runs.get(TENANT, run.sk).fetched == 5
    desk.audit()
    assert desk.refill() == []
    assert desk.planner.schedule(Horizon.WEEK, [desk.products[0]])[0].planned == 0


def test_what_was_answered_before_a_product_was_sold_again_counts_as_not_answered(desk: Desk) -> None:
    """While it was not sold its slots were closed, and no answer opened any."""
    desk.products = [product("14", {2, 3}), product("15", {2, 3})]
    desk.synced(MINUTE)
    assert desk.refill() == []
    desk.products[0] = replace(desk.products[0], changed_at=desk.clock.now() - MINUTE)
    messages = desk.refill()
    assert {message.experience_id for message in messages} == {"14"}
    assert len(messages) == 10
    desk.answer(messages)
    assert desk.refill() == []
    desk.products[1] = replace(desk.products[1], changed_at=desk.clock.now())
    assert desk.planner.schedule(Horizon.TODAY, desk.products)[0].planned == 1
    assert desk.planner.run(TENANT, 2, desk.products[1:]).planned == 1
    desk.audit()


def test_rule_20_at_most_two_minutes_of_work_are_queued_of_each_partner(desk: Desk) -> None:
    desk.zones["trains"] = ZoneInfo("Europe/Berlin")
    tours = [product(f"{number:03d}") for number in range(70)]
    desk.products = [
        *tours,
        *(replace(each, partner="trains", experience_id=f"r{each.experience_id}") for each in tours),
    ]
    first = desk.refill()
    by_partner = Counter(message.experience_id.startswith("r") for message in first)
    assert by_partner == {True: QUEUED_AT_MOST, False: QUEUED_AT_MOST}
    assert desk.refill() == [], "as long as nothing is answered"
    desk.answer([message for message in first if message.experience_id.startswith("r")][:7])
    again = desk.refill()
    assert len(again) == 7
    assert all(message.experience_id.startswith("r") for message in again)
    desk.audit()


def test_what_is_furthest_past_its_target_goes_first_and_each_horizon_has_its_share(desk: Desk) -> None:
    desk.products = [product(f"{number:03d}", {2, 3}) for number in range(60)]
    for number, each in enumerate(desk.products):
        desk.synced(30 * HOUR + number * MINUTE, each)
    for horizon in Horizon:
        desk.planner.schedule(horizon, desk.products)
    messages = desk.refill()
    horizons = Counter(
        "today" if m.date == "2026-03-31" else "week" if m.date <= "2026-04-07" else "month" for m in messages
    )
    assert horizons["today"] >= 0.7 * QUEUED_AT_MOST
    assert horizons["week"] >= 10
    assert horizons["month"] >= 4
    todays = {message.experience_id for message in messages if message.date == "2026-03-31"}
    assert todays == {f"{number:03d}" for number in range(60 - len(todays), 60)}, "the oldest"


def test_several_tenants_share_a_partner_and_one_that_pauses_is_left_out(desk: Desk) -> None:
    desk.products = [product("14", {2}, tenant) for tenant in ("t1", "t2", "t3")]
    desk.controls.switch("t2", True, "staff-1")
    runs = desk.planner.schedule(Horizon.TODAY, desk.products)
    assert [run.pk.partition("#")[0] for run in runs] == ["t1", "t3"]
    assert {message.tenant for message in desk.refill()} == {"t1", "t3"}
    assert desk.sheets.of("t2") == {}
    desk.planner.run("t2", 1, desk.products)
    assert not [message for message in desk.queue.taken() if message.tenant == "t2"], "wanted, but not asked for"
    desk.controls.switch("t2", False, "staff-1")
    desk.clock.forward(QUEUED_FOR + 1)
    assert {message.tenant for message in desk.refill()} == {"t1", "t2", "t3"}
    desk.audit()


def test_what_fails_for_one_tenant_is_raised_after_the_others_were_planned(desk: Desk, calls: Calls) -> None:
    desk.products = [product("14", tenant=tenant) for tenant in ("t1", "t2", "t3")]
    calls.trouble(silence_after, "GetItem", skip=1)
    with pytest.raises(Unavailable):
        desk.planner.schedule(Horizon.TODAY, desk.products)
    assert [bool(desk.sheets.of(tenant)) for tenant in ("t1", "t2", "t3")] == [True, False, True]
    calls.trouble(silence_after, "Query", skip=1)
    with pytest.raises(Unavailable):
        desk.planner.refill(desk.products)
    assert {message.tenant for message in desk.queue.taken()} == {"t1", "t3"}
    desk.audit()


def test_a_partner_that_nobody_knows_is_left_out(desk: Desk) -> None:
    desk.products = [product("14"), replace(product("15"), partner="gone")]
    desk.planner.schedule(Horizon.WEEK, desk.products)
    assert {message.experience_id for message in desk.refill()} == {"14"}
    assert desk.sheets.of(TENANT).keys() == {"14"}


def test_products_of_a_partner_that_nobody_knows_are_told_of_once_and_are_overdue(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    gone = [replace(product(f"{number:03d}"), partner="gone") for number in range(40)]
    desk.products = without(gone, "007")
    assert desk.planner.refill(desk.products) == planning_refilled(overdue=39)
    told = [record for record in caplog.records if "not known" in record.getMessage()]
    assert [(vars(record)["partner"], vars(record)["experiences"]) for record in told] == [("gone", 39)]


def test_overdue_is_todays_that_runs_is_sold_and_not_paused(desk: Desk) -> None:
    desk.products = [product("old"), product("fresh"), product("wednesdays", {3}), product("never")]
    desk.products += [product("off"), product("just"), product("14", tenant="paused"), product("14", tenant="resumed")]
    desk.products = without(desk.products, "off")
    desk.synced(HOUR + 1, desk.products[0])
    desk.synced(HOUR, desk.products[1])
    desk.products[5] = replace(desk.products[5], changed_at=desk.clock.now() - HOUR)
    for tenant in ("paused", "resumed"):
        desk.controls.switch(tenant, True, "staff-1")
    desk.controls.switch("resumed", False, "staff-1")
    assert desk.planner.refill(desk.products).overdue == 2, "old, and never"
    desk.clock.forward(1)
    assert desk.planner.refill(desk.products).overdue == 4, "fresh and just, too"
    desk.clock.forward(HOUR)
    assert desk.planner.refill(desk.products).overdue == 5, "the one that went on an hour ago, too"


def test_a_closed_partner_is_sent_nothing_until_it_opens(desk: Desk) -> None:
    desk.products = [replace(product("14"), changed_at=desk.clock.now())]
    desk.closed[PARTNER] = desk.clock.now() + 10 * MINUTE
    assert desk.planner.refill(desk.products) == planning_refilled(planned=31, waiting=31)
    desk.clock.forward(9 * MINUTE)
    assert desk.refill() == [], "nobody waits for a minute that it opens"
    desk.clock.forward(MINUTE)
    assert len(desk.refill()) == 31


def planning_refilled(**counts: int) -> object:
    """Return what a minute did."""
    from holdfast.partners.planner import Refilled

    return Refilled(**counts)


def test_a_product_that_fails_is_left_alone_then_tried_with_one_pair(desk: Desk) -> None:
    desk.products = [product("14", {2, 5, 6}), product("15", {2})]
    messages = desk.refill()
    desk.answer(message for message in messages if message.experience_id == "15")
    failing = [message for message in messages if message.experience_id == "14"]
    back = desk.clock.now() + 5 * MINUTE
    for message in failing:
        run_id = desk.sheets.take(message, 1)
        assert run_id is not None
        desk.sheets.failed(message, run_id, "timed_out", "no answer", back, counts_against_product=True)
    assert desk.sheet("14").failures == 13
    assert desk.refill() == []
    desk.clock.forward(5 * MINUTE)
    tried = desk.refill()
    assert [message.date for message in tried] == ["2026-03-31"], "one pair tries whether it works again"
    assert desk.refill() == []
    desk.clock.forward(QUEUED_FOR + 1)
    assert len(desk.refill()) == 1, "and another, if its message was lost"
    desk.answer(desk.queue.taken())
    desk.answer([SyncMessage(TENANT, "14", "2026-03-31", desk.sheet("14").queued["2026-03-31"])])
    assert desk.sheet("14").failures == 0
    assert len(desk.refill()) == 12
    desk.audit()


def test_what_sqs_does_not_take_is_given_back_and_sent_the_next_minute(desk: Desk) -> None:
    desk.products = [product(f"{number:02d}", {2}) for number in range(20)]
    desk.queue.unsent = lambda messages: list(messages[::3])
    done = desk.planner.refill(desk.products)
    assert done.unsent == sum(-(-size // 3) for size in desk.queue.batches)
    sent = desk.queue.taken()
    assert len(sent) == done.queued - done.unsent
    desk.queue.unsent = lambda _: []
    rest = desk.refill()
    assert len(rest) >= done.unsent
    assert not {(message.experience_id, message.date) for message in sent} & {
        (message.experience_id, message.date) for message in rest
    }, "what was sent is not sent twice"
    desk.audit()


def test_when_sqs_does_not_answer_the_batch_is_given_back(desk: Desk) -> None:
    desk.products = [product("14")]

    def silent(_: Sequence[SyncMessage]) -> list[SyncMessage]:
        raise ConnectionError

    desk.queue.unsent = silent
    with pytest.raises(ConnectionError):
        desk.planner.refill(desk.products)
    assert desk.sheet("14").queued == {}
    run = desk.planner.run(TENANT, 1, desk.products)
    assert (run.planned, run.merged) == (0, 1), "a manual run stands, whatever becomes of the queue"
    desk.queue.unsent = lambda _: []
    assert len(desk.refill()) == 31


def test_a_message_that_was_lost_is_sent_again_after_a_while(desk: Desk) -> None:
    desk.products = [product("14", {2})]
    lost = desk.refill()
    desk.clock.forward(QUEUED_FOR)
    assert desk.refill() == []
    desk.clock.forward(1)
    again = desk.refill()
    assert sorted(message.date for message in again) == sorted(message.date for message in lost)
    desk.answer([*again, *lost, *again])
    assert desk.counts()["onboarding"] == {"planned": 5, "fetched": 5}
    desk.audit()


def test_of_two_planners_at_once_one_has_each_pair_wanted(desk: Desk, calls: Calls) -> None:
    desk.products = [product(f"{number:02d}") for number in range(30)]
    calls.trouble(meanwhile(lambda: desk.planner.schedule(Horizon.TODAY, desk.products)), "TransactWriteItems")
    run = desk.planner.run(TENANT, 2, desk.products)
    assert (run.planned, run.merged) == (30, 30)
    assert desk.counts()["today"] == {"planned": 30}
    desk.audit()


def test_of_two_planners_at_once_one_queues_each_pair(desk: Desk, calls: Calls) -> None:
    desk.products = [product(f"{number:02d}", {2}) for number in range(30)]
    desk.planner.schedule(Horizon.TODAY, desk.products)
    desk.synced(MINUTE, only=lambda day: day != "2026-03-31")
    for skip in (0, 5, 11):
        calls.clear()
        calls.trouble(meanwhile(lambda: desk.planner.refill(desk.products)), "UpdateItem", skip=skip)
        desk.planner.refill(desk.products)
        sent = Counter((message.experience_id, message.date) for message in desk.queue.taken())
        assert set(sent.values()) == {1}
        assert len(sent) == 30
        desk.clock.forward(QUEUED_FOR + 1)
    desk.audit()


def test_many_planners_at_once_lose_nothing_and_count_everything_once(store: Store) -> None:
    desk = Desk(store, ManualClock(moment(TUESDAY_NOON)), attempts=60)
    desk.products = [product(f"{number:02d}") for number in range(40)]
    with ThreadPoolExecutor(6) as pool:
        horizons = [*Horizon, *Horizon]
        list(pool.map(lambda horizon: desk.planner.schedule(horizon, desk.products), horizons))
        list(pool.map(lambda _: desk.planner.refill(desk.products), range(6)))
    assert all(len(sheet.wanted) == 31 for sheet in desk.sheets.of(TENANT).values())
    assert sum(counts["planned"] for counts in desk.counts().values()) == 40 * 31
    assert sum(counts["merged"] for counts in desk.counts().values()) == 40 * 31
    answered = desk.queue.taken()
    assert len({(message.experience_id, message.date) for message in answered}) <= 2 * QUEUED_AT_MOST
    desk.answer(answered)
    desk.audit()


@pytest.mark.parametrize("kill", [killed_before, killed_after])
def test_a_planner_killed_at_any_point_loses_nothing_and_sends_little_twice(
    store: Store, calls: Calls, kill: Trouble
) -> None:
    """Killed at every call to the store, one after the other, in turns with others that are not."""
    for number in range(200):
        desk = Desk(store, ManualClock(moment(TUESDAY_NOON)))
        desk.products = [product(f"{each:02d}", {2}, tenant=f"t{number}") for each in range(26)]
        calls.clear()
        calls.trouble(kill, skip=number)
        try:
            desk.planner.schedule(Horizon.TODAY, desk.products)
            desk.planner.refill(desk.products)
        except Killed:
            desk.audit()
        else:
            break
        calls.clear()
        desk.clock.forward(MINUTE)
        desk.refill_and_keep()
        sheets = desk.sheets.of(f"t{number}")
        assert len(sheets) == 26
        assert all(len(sheet.wanted) == 5 for sheet in sheets.values())
        messages = [(message.experience_id, message.date) for message in desk.queue.sent]
        assert len(messages) == len(set(messages)), "nothing is sent twice"
        queued = sum(len(sheet.queued) for sheet in sheets.values())
        assert queued == QUEUED_AT_MOST
        assert len(messages) >= queued - 19, "one batch, and the rest of one sheet, may have gone unsent"
        desk.audit()
    assert number > 30


def test_a_planner_killed_between_two_batches_has_sent_what_it_queued_but_for_one_batch(desk: Desk) -> None:
    desk.products = [product(f"{number:02d}", {2}) for number in range(40)]
    sent: list[SyncMessage] = []

    def killed(messages: Sequence[SyncMessage]) -> list[SyncMessage]:
        if len(sent) >= 20:
            raise Killed
        sent.extend(messages)
        return []

    desk.queue.unsent = killed
    with pytest.raises(Killed):
        desk.planner.refill(desk.products)
    queued = sum(len(sheet.queued) for sheet in desk.sheets.of(TENANT).values())
    assert 0 < queued - len(sent) <= 14
    desk.queue.unsent = lambda _: []
    desk.queue.taken()
    now = {(message.experience_id, message.date) for message in desk.refill()}
    assert not now & {(message.experience_id, message.date) for message in sent}
    desk.audit()


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_others_in_the_way_are_waited_for(desk: Desk, calls: Calls, trouble: Trouble) -> None:
    desk.products = [product("14")]
    calls.trouble(trouble, "TransactWriteItems", times=3)
    calls.trouble(trouble, "PutItem", times=2)
    calls.trouble(trouble, "UpdateItem")
    run = desk.planner.schedule(Horizon.WEEK, desk.products)[0]
    assert run.planned == 7
    calls.trouble(trouble, "TransactWriteItems", times=8)
    desk.clock.forward(1)
    with pytest.raises(Busy):
        desk.planner.schedule(Horizon.MONTH, desk.products)
    desk.audit()


def test_a_manual_run_with_a_key_is_the_same_run_again(desk: Desk) -> None:
    desk.products = [product("14")]
    first = desk.planner.run(TENANT, 3, desk.products, keyed(3))
    desk.answer(desk.queue.taken())
    desk.clock.forward(HOUR)
    again = desk.planner.run(TENANT, 3, desk.products, keyed(3))
    assert (again.sk, again.planned, again.merged) == (first.sk, 3, 0)
    assert desk.sheet("14").wanted == {}
    with pytest.raises(IdempotencyKeyReused):
        desk.planner.run(TENANT, 4, desk.products, keyed(4))
    other = desk.planner.run(TENANT, 3, desk.products, keyed(3, "k2"))
    assert (other.planned, other.sk != first.sk) == (3, True)


def test_a_manual_run_that_broke_off_is_gone_on_with_under_its_key(desk: Desk, calls: Calls) -> None:
    desk.products = [product(f"{number:02d}") for number in range(60)]
    desk.planner.schedule(Horizon.TODAY, desk.products[:3])
    for _ in range(4):
        calls.clear()
        calls.trouble(killed_after, "TransactWriteItems")
        with pytest.raises(Killed):
            desk.planner.run(TENANT, 2, desk.products, keyed(2))
        desk.audit()
    calls.clear()
    run = desk.planner.run(TENANT, 2, desk.products, keyed(2))
    assert (run.planned, run.merged) == (117, 3)
    assert sum(kind == "manual" for kind in (each.kind for each in desk.all_runs())) == 1
    desk.audit()


def test_what_a_run_planned_is_said_once(desk: Desk) -> None:
    run = desk.runs.begin(TENANT, "manual", 1)
    first = desk.runs.planned(run, 7)
    desk.clock.forward(1)
    again = desk.runs.planned(run, 9)
    assert (again.merged, again.planned_at) == (first.merged, first.planned_at) == (7, desk.clock.now() - 1)


def test_new_products_are_asked_for_from_today_on_and_behind_what_is_wanted_by_hand(desk: Desk) -> None:
    desk.products = [product("old", {2})]
    desk.synced(3 * MINUTE)
    run = desk.runs.begin(TENANT, "manual", 30)
    days = sorted(desk.sheet("old").synced)
    assert desk.sheets.want(run.sk, [(desk.sheet("old"), days)])
    desk.products += [product(f"{number:03d}") for number in range(100)]
    messages = desk.refill()
    assert {message.date for message in messages if message.experience_id == "old"} == set(days)
    others = [message for message in messages if message.experience_id != "old"]
    assert {message.date for message in others if message.date < "2026-04-08"} == {"2026-03-31", "2026-04-01"}
    assert {message.date for message in others if message.date >= "2026-04-08"} <= {"2026-04-08"}


def test_a_manual_run_hurries_what_a_schedule_wants_already(desk: Desk) -> None:
    desk.products = [product(f"{number:03d}") for number in range(30)]
    desk.synced(25 * HOUR)
    for horizon in Horizon:
        desk.planner.schedule(horizon, desk.products)
    before = desk.counts()
    desk.clock.forward(MINUTE)
    asked = replace(desk.products[7], tenant="t2")
    desk.products.append(asked)
    desk.synced(25 * HOUR, asked)
    desk.planner.schedule(Horizon.MONTH, [asked])
    run = desk.planner.run("t2", 30, desk.products)
    assert run.merged >= 20
    assert desk.sheets.get("t2", asked.experience_id).hurried.keys() >= {"2026-04-20", "2026-04-28"}
    sent = Counter(message.tenant for message in desk.queue.taken() if message.date > "2026-04-08")
    assert sent["t2"] >= 3, "of the month's share, before those that waited for longer"
    assert sent["t1"] == 0
    assert desk.counts() == before, "the run that wants a pair goes on wanting it"
    messages = desk.refill()
    desk.answer(messages)
    desk.audit()


def test_what_is_hurried_while_it_is_answered_is_planned_anew(desk: Desk, calls: Calls) -> None:
    desk.products = [product("14", {2})]
    desk.synced(4 * HOUR)
    desk.planner.schedule(Horizon.TODAY, desk.products)
    messages = desk.refill()
    desk.clock.forward(MINUTE)
    calls.trouble(meanwhile(lambda: desk.answer(messages)), "TransactWriteItems")
    run = desk.planner.run(TENANT, 1, desk.products)
    assert (run.planned, run.merged) == (0, 0)
    assert desk.sheet("14").hurried == {}
    desk.audit()


def test_an_answer_ends_what_is_known_of_failures_and_of_hurry(desk: Desk) -> None:
    desk.products = [product("14", {2})]
    message = next(each for each in desk.refill() if each.date == "2026-03-31")
    run_id = desk.sheets.take(message, 1)
    assert run_id is not None
    desk.sheets.failed(message, run_id, "timed_out", "no answer", 0, counts_against_product=True)
    desk.planner.run(TENANT, 1, desk.products)
    sheet = desk.sheet("14")
    assert (sheet.failed, sheet.tried, sheet.hurried.keys()) == (
        {"2026-03-31": 1},
        {"2026-03-31": desk.clock.now()},
        {"2026-03-31"},
    )
    desk.answer(desk.queue.taken())
    sheet = desk.sheet("14")
    assert (sheet.failed, sheet.tried, sheet.hurried) == ({}, {}, {})
    desk.audit()


def test_twins_of_a_keyed_manual_run_are_one_run(desk: Desk, calls: Calls) -> None:
    desk.products = [product(f"{number:02d}") for number in range(30)]
    twin = []
    calls.trouble(
        meanwhile(lambda: twin.append(desk.planner.run(TENANT, 2, desk.products, keyed(2)))), "TransactWriteItems"
    )
    run = desk.planner.run(TENANT, 2, desk.products, keyed(2))
    assert [run.sk] == [each.sk for each in twin]
    assert (run.planned, run.merged) == (60, 0)
    desk.audit()


def test_a_manual_run_reaches_all_dates_of_one_sheet_at_once(desk: Desk) -> None:
    """31 dates in one condition and one update are within what DynamoDB takes."""
    desk.products = [product("x" * 40)]
    run = desk.planner.run(TENANT, 30, desk.products)
    assert run.planned == 30
    assert len(desk.queue.sent) == 31
    desk.products = without(desk.products, "x" * 40)
    assert desk.planner.refill(desk.products).dropped == 31


def test_nothing_is_planned_without_products(desk: Desk) -> None:
    assert desk.planner.schedule(Horizon.TODAY, []) == []
    assert desk.refill() == []
    run = desk.planner.run(TENANT, 30, [])
    assert (run.planned, run.merged) == (0, 0)
    assert planning.SHARES.keys() == set(Horizon)


def test_a_product_that_never_was_enabled_makes_no_runs(desk: Desk) -> None:
    off: list[Product] = without([product("14")], "14")
    assert desk.planner.refill(off) == planning_refilled()
    assert list(desk.all_runs()) == []
