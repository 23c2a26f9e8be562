"""Operations of the synchronisation: manual runs, pause and resume, status, the log, shortages (WIRE.md, section 5)."""

import json
from typing import Any

import pytest

from holdfast.partners.planning import QUEUED_AT_MOST
from holdfast.partners.sheets import Sheets
from holdfast.platform import queues
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.items import ShortageItem
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import LimiterItem, SyncControlItem
from holdfast.platform.tables import OPERATOR_TENANT, Keys
from tests.handlers.account import Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import Answer, Api, LambdaContext, load

SYNC = "/api/v1/sync"
NOON = 1_774_929_600_000
"""2026-03-31T12:00 at the partner, a Tuesday."""

EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
ROUTES = (
    ("POST", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("GET", "/status"),
    ("GET", "/runs"),
    ("GET", "/runs/1774929600000-manual-00000000"),
    ("GET", "/shortages"),
)


@pytest.fixture(autouse=True)
def noon(clock: HandMovedClock) -> HandMovedClock:
    """The clock of every function, at noon."""
    clock.milliseconds = NOON
    return clock


@pytest.fixture
def sheets(sync_store: Store, clock: HandMovedClock) -> Sheets:
    """The sheets as a fetcher has them."""
    from holdfast.platform.clock import SystemClock

    return Sheets(sync_store, SystemClock(), Retries())


def put_up(api: Api, *ids: str, weekdays: list[int] = EVERY_DAY) -> None:
    """Put experiences up that run on those weekdays."""
    for each in ids:
        own = f"{each}-of-{api.tenant}"
        body = {"id": each, "name": "Walk", "partner": "tours", "partner_product_id": own, "weekdays": weekdays}
        assert api.post("/api/v1/experiences", body).status == 201


def started(api: Api, query: str = "", key: str | None = None) -> Any:
    """Start a manual run."""
    answer = api.post(f"{SYNC}{query}", key=key)
    assert answer.status == 202, answer.text
    return answer.json


def sent(aws: Aws) -> list[SyncMessage]:
    """Take what is in the queue."""
    return [SyncMessage.from_body(message["Body"]) for message in aws.messages(aws.sync_queue)]


def minute() -> Any:
    """Let a minute pass for the planner."""
    return load("sync_planner").handler({}, LambdaContext())


def answered(sheets: Sheets, messages: list[SyncMessage], changed: bool = False) -> None:
    """Be the fetcher whom the partner answers at once."""
    for message in messages:
        run_id = sheets.take(message, 1)
        assert run_id is not None
        sheets.done(message, run_id, NOON, changed)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_customers_neither_see_nor_run_the_synchronisation(api: Api, method: str, path: str) -> None:
    answer = api.as_user("alice").request(method, SYNC + path)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("roles", ["staff", "admin", "service"])
def test_everybody_who_sees_to_all_of_a_tenant_does(api: Api, method: str, path: str, roles: str) -> None:
    answer = api.with_roles(roles).request(method, SYNC + path)
    assert answer.status in (200, 202) or answer.code == "sync_run_not_found", answer.text


def test_a_key_needs_the_scope_of_the_area(api: Api) -> None:
    from dataclasses import replace

    assert replace(api, scopes="catalogue:write").get(f"{SYNC}/status").status == 403
    assert replace(api, scopes="sync:read").get(f"{SYNC}/status").status == 200
    assert replace(api, scopes="sync:read").post(f"{SYNC}/pause").status == 403


def test_a_manual_run_enqueues_what_products_run_on(api: Api, aws: Aws) -> None:
    put_up(api, "14", weekdays=[1, 2, 3])
    put_up(api, "15", weekdays=[7])
    run = started(api, "?days=7")
    assert (run["enqueued"], run["coalesced"]) == (4, 0)
    messages = {(message.experience_id, message.date) for message in sent(aws)}
    assert messages >= {("14", "2026-03-31"), ("14", "2026-04-01"), ("14", "2026-04-06"), ("15", "2026-04-05")}


def test_without_days_a_run_is_of_today(api: Api) -> None:
    put_up(api, "14")
    assert started(api)["enqueued"] == 1


@pytest.mark.parametrize("days", ["0", "31", "-1", "1.5", "", "seven", "1e1", "9999999999999999999999"])
def test_days_are_1_to_30(api: Api, aws: Aws, days: str) -> None:
    put_up(api, "14")
    answer = api.post(f"{SYNC}?days={days}")
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert "days" in answer.faults()
    assert sent(aws) == []
    assert api.get(f"{SYNC}/runs").json["items"] == []


@pytest.mark.parametrize("body", [{"days": 30}, {"days": 300}, [30], "30", 30])
def test_days_in_the_body_are_refused_and_not_passed_over(api: Api, aws: Aws, body: Any) -> None:
    put_up(api, "14")
    for query in ("", "?days=7"):
        answer = api.post(f"{SYNC}{query}", body)
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert answer.faults().keys() == {"body"}
    assert sent(aws) == []
    assert api.get(f"{SYNC}/runs").json["items"] == []
    assert api.post(SYNC, text="{days").status == 400
    assert api.post(SYNC, {}).status == 202, "a body that says nothing"


@pytest.mark.parametrize("days", [1, 30])
def test_the_fewest_and_the_most_days(api: Api, days: int) -> None:
    put_up(api, "14")
    assert started(api, f"?days={days}")["enqueued"] == days


def test_what_waits_already_is_coalesced(api: Api, aws: Aws) -> None:
    put_up(api, "14")
    started(api, "?days=3")
    first = sent(aws)
    again = started(api, "?days=5")
    assert (again["enqueued"], again["coalesced"]) == (0, 5), "the rest was overlooked, and is wanted since"
    assert sent(aws) == []
    assert len(first) == 31


def test_a_run_with_a_key_is_answered_with_the_same_run(api: Api, aws: Aws, sheets: Sheets) -> None:
    put_up(api, "14")
    first = started(api, "?days=3", key="nightly")
    answered(sheets, sent(aws))
    assert started(api, "?days=3", key="nightly") == first
    assert sent(aws) == []
    other = api.post(f"{SYNC}?days=4", key="nightly")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert started(Api(found_another(), headers=api.headers), "?days=3", key="nightly") != first


def found_another() -> str:
    """Return the id of another tenant."""
    found_tenant("t-another")
    return "t-another"


def test_a_run_shows_what_became_of_its_pairs_and_why_some_failed(
    api: Api, aws: Aws, sheets: Sheets, clock: HandMovedClock
) -> None:
    put_up(api, "14", "15")
    run = started(api, "?days=2")
    messages = {(message.experience_id, message.date): message for message in sent(aws)}
    answered(sheets, [messages["14", "2026-03-31"]], changed=True)
    answered(sheets, [messages["14", "2026-04-01"]])
    failing = messages["15", "2026-03-31"]
    run_id = sheets.take(failing, 1)
    assert run_id == run["run_id"]
    clock.advance(5)
    sheets.failed(failing, run_id, "timed_out", "The partner did not answer in 10 s.", NOON + 30_000, True)
    sheets.drop(messages["15", "2026-04-01"], run_id)
    shown = api.get(f"{SYNC}/runs/{run_id}").json
    assert shown == {
        "run_id": run_id,
        "kind": "manual",
        "days": 2,
        "started_at": "2026-03-31T04:00:00.000Z",
        "planned_at": "2026-03-31T04:00:00.000Z",
        "last_at": "2026-03-31T04:00:05.000Z",
        "planned": 4,
        "merged": 0,
        "fetched": 2,
        "changed": 1,
        "failed": 1,
        "dropped": 1,
        "waiting": 1,
        "failures": [
            {
                "experience_id": "15",
                "date": "2026-03-31",
                "slot_id": None,
                "code": "timed_out",
                "reason": "The partner did not answer in 10 s.",
                "at": "2026-03-31T04:00:05.000Z",
            }
        ],
    }
    assert [item for item in api.get(f"{SYNC}/runs").json["items"] if item["run_id"] == run_id] == [
        {name: value for name, value in shown.items() if name != "failures"}
    ]


def test_of_a_runs_failures_the_first_hundred_are_shown(
    api: Api, aws: Aws, sheets: Sheets, clock: HandMovedClock
) -> None:
    put_up(api, "14", weekdays=[2])
    run = started(api)
    message = next(message for message in sent(aws) if message.date == "2026-03-31")
    for number in range(101):
        sheets.failed(message, run["run_id"], "dropped", f"attempt {number}", 0, False)
        clock.advance(1)
        assert sheets.queue(sheets.get(api.tenant, "14"), [message.date], message.stamp)
    shown = api.get(f"{SYNC}/runs/{run['run_id']}").json
    assert (shown["failed"], len(shown["failures"]), shown["waiting"]) == (101, 100, 1)
    assert [shown["failures"][place]["reason"] for place in (0, 99)] == ["attempt 0", "attempt 99"]


def test_runs_are_listed_newest_first_in_pages(api: Api, clock: HandMovedClock) -> None:
    expected = []
    for days in range(1, 6):
        clock.advance(1)
        expected.append(started(api, f"?days={days}")["run_id"])
    found: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        page = api.get(f"{SYNC}/runs{query}").json
        found += [item["run_id"] for item in page["items"]]
        query = f"?limit=2&next={page['next']}"
    assert page["next"] is None
    assert found == expected[::-1]
    assert api.get(f"{SYNC}/runs?limit=0").status == 400
    assert api.get(f"{SYNC}/runs?limit=101").status == 400
    assert api.get(f"{SYNC}/runs?next=abc").faults().keys() == {"next"}


@pytest.mark.parametrize("run_id", ["1774929600000-manual-00000000", "1774929600000-manual-0000000g", "x"])
def test_a_run_that_is_not_there(api: Api, run_id: str) -> None:
    answer = api.get(f"{SYNC}/runs/{run_id}")
    assert answer.status in (400, 404)
    if answer.status == 404:
        assert answer.code == "sync_run_not_found"


def test_another_tenants_run_is_not_there(api: Api) -> None:
    run = started(api)
    assert Api(found_another()).get(f"{SYNC}/runs/{run['run_id']}").code == "sync_run_not_found"
    assert Api(found_another()).get(f"{SYNC}/runs").json["items"] == []


def test_pause_and_resume_say_since_when_and_by_whom(api: Api, clock: HandMovedClock, sync_store: Store) -> None:
    paused = api.post(f"{SYNC}/pause")
    said = {"paused": True, "paused_at": "2026-03-31T04:00:00.000Z", "paused_by": "key-0123456789ab"}
    assert (paused.status, paused.json) == (200, said)
    clock.advance(60)
    assert api.post(f"{SYNC}/pause").json == said, "it is since then"
    assert api.get(f"{SYNC}/status").json.items() >= said.items()
    control = sync_store.get(SyncControlItem, Keys(api.tenant).sync_control())
    assert control is not None
    assert control.is_paused
    resumed = {"paused": False, "paused_at": None, "paused_by": None}
    assert api.post(f"{SYNC}/resume").json == resumed
    assert api.post(f"{SYNC}/resume").json == resumed
    assert api.get(f"{SYNC}/status").json.items() >= resumed.items()


def test_pause_and_resume_with_keys_are_answered_the_same_again(api: Api, clock: HandMovedClock) -> None:
    paused = api.post(f"{SYNC}/pause", key="k1").json
    clock.advance(60)
    assert api.post(f"{SYNC}/resume", key="k1").json["paused"] is False
    assert api.post(f"{SYNC}/pause", key="k1").json == paused, "the same answer, and nothing is done"
    assert api.get(f"{SYNC}/status").json["paused"] is False
    assert api.post(f"{SYNC}/resume", key="k2").json["paused"] is False
    assert api.post(f"{SYNC}/pause", key="k3").json["paused_at"] == "2026-03-31T04:01:00.000Z"


def test_while_paused_nothing_is_sent_and_a_run_waits(api: Api, aws: Aws) -> None:
    put_up(api, "14")
    api.post(f"{SYNC}/pause")
    assert started(api, "?days=2")["enqueued"] == 2
    minute()
    load("sync_planner").handler({"horizon": "month"}, LambdaContext())
    assert sent(aws) == []
    assert [item["kind"] for item in api.get(f"{SYNC}/runs").json["items"]] == ["manual"]
    api.post(f"{SYNC}/resume")
    assert {message.date for message in sent(aws)} >= {"2026-03-31", "2026-04-01"}


def test_the_planner_plans_by_its_schedules(api: Api, aws: Aws) -> None:
    put_up(api, "14")
    put_up(Api(found_another()), "14", weekdays=[3])
    planned = [load("sync_planner").handler({"horizon": name}, LambdaContext()) for name in ("today", "week", "month")]
    assert planned == [{"planned": 1, "merged": 0}, {"planned": 0, "merged": 8}, {"planned": 0, "merged": 27}]
    assert len(sent(aws)) == 36, "each schedule fills the queue; the first finds the products new"
    done = minute()
    assert done == {"planned": 0, "dropped": 0, "waiting": 0, "queued": 0, "unsent": 0}
    assert [item["kind"] for item in api.get(f"{SYNC}/runs").json["items"]].count("month") == 2, (
        "what was overlooked, and the schedule"
    )


def test_what_is_overdue_of_today_is_a_metric_of_the_minute(
    api: Api, clock: HandMovedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    put_up(api, "14", "15")

    def told() -> list[int]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "SyncOverdue" in line]
        return [amount for line in lines for amount in line["SyncOverdue"]]

    minute()
    assert told() == []
    clock.advance(3_600)
    minute()
    assert told() == []
    clock.advance(1)
    minute()
    assert told() == [2]
    api.post(f"{SYNC}/pause")
    minute()
    assert told() == []


def test_a_schedule_stands_though_the_queue_does_not_answer(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_up(api, "14")
    client = queues.client()

    def silent(**_: Any) -> Any:
        raise ConnectionError

    monkeypatch.setattr(client, "send_message_batch", silent)
    handler = load("sync_planner").handler
    assert handler({"horizon": "today"}, LambdaContext()) == {"planned": 1, "merged": 0}
    assert api.post(f"{SYNC}/resume").status == 200
    assert sent(aws) == []


def test_a_schedule_that_nobody_has_is_a_fault(api: Api) -> None:
    with pytest.raises(ValueError, match="hourly"):
        load("sync_planner").handler({"horizon": "hourly"}, LambdaContext())


def test_failures_inside_the_answer_to_a_batch_are_sent_again(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_up(api, "14")
    client = queues.client()
    real = client.send_message_batch

    def some(**request: Any) -> Any:
        refused, taken = request["Entries"][::2], request["Entries"][1::2]
        answer = real(QueueUrl=request["QueueUrl"], Entries=taken) if taken else {}
        failed = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in refused]
        return {**answer, "Failed": failed}

    monkeypatch.setattr(client, "send_message_batch", some)
    done = minute()
    first = {message.date for message in sent(aws)}
    assert done["queued"] == 31
    assert 0 < len(first) == 31 - done["unsent"]
    monkeypatch.setattr(client, "send_message_batch", real)
    assert minute()["queued"] == done["unsent"]
    second = {message.date for message in sent(aws)}
    assert not first & second
    assert len(first | second) == 31


def test_status_of_a_tenant_that_has_nothing(api: Api) -> None:
    none = {"pairs": 0, "waiting": 0, "never_synced": 0, "worst_age_seconds": None, "median_age_seconds": None}
    assert api.get(f"{SYNC}/status").json == {
        "paused": False,
        "paused_at": None,
        "paused_by": None,
        "queue": {"waiting": 0, "queued": 0, "messages": 0},
        "partners": [],
        "horizons": {
            "today": {**none, "target_seconds": 900},
            "week": {**none, "target_seconds": 14_400},
            "month": {**none, "target_seconds": 86_400},
        },
        "held_back": [],
        "shortages": 0,
    }


def test_status_says_how_old_everything_is_and_what_waits(
    api: Api, aws: Aws, sheets: Sheets, clock: HandMovedClock, store: Store
) -> None:
    put_up(api, "14", "15", "16")
    minute()
    messages = sent(aws)
    todays = [message for message in messages if message.date == "2026-03-31"]
    answered(sheets, todays[:2])
    clock.advance(90)
    failing = todays[2]
    for _ in range(3):
        run_id = sheets.take(failing, 1)
        assert run_id is not None
        sheets.failed(failing, run_id, "server_error", "500", clock.milliseconds + 60_000, True)
        assert sheets.queue(sheets.get(api.tenant, failing.experience_id), [failing.date], failing.stamp)
    short = Keys(api.tenant).slot("14", "2026-04-02", "ab12")
    shortage = ShortageItem(
        *Keys(api.tenant).shortage(short),
        experience_id="14",
        date="2026-04-02",
        slot_id="ab12",
        missing=2,
        seen_at=NOON,
        ttl=1,
    )
    store.write(Put(shortage))
    shown = api.get(f"{SYNC}/status").json
    assert shown["horizons"]["today"] == {
        "pairs": 3,
        "waiting": 1,
        "never_synced": 1,
        "worst_age_seconds": 90,
        "median_age_seconds": 90,
        "target_seconds": 900,
    }
    assert shown["horizons"]["week"]["pairs"] == shown["horizons"]["week"]["waiting"] == 21
    assert shown["horizons"]["month"]["never_synced"] == 69
    assert shown["queue"] == {"waiting": 93 - QUEUED_AT_MOST, "queued": QUEUED_AT_MOST - 2, "messages": 0}
    assert shown["held_back"] == [
        {"experience_id": failing.experience_id, "failures": 3, "until": "2026-03-31T04:02:30.000Z"}
    ]
    assert shown["shortages"] == 1
    assert api.get(f"{SYNC}/shortages").json == {
        "items": [
            {
                "experience_id": "14",
                "date": "2026-04-02",
                "slot_id": "ab12",
                "missing": 2,
                "seen_at": "2026-03-31T04:00:00.000Z",
            }
        ],
        "next": None,
    }


def test_status_says_what_is_left_of_the_limit(api: Api, sync_store: Store) -> None:
    put_up(api, "14")
    at_rest = {"name": "tours", "tokens_left": 30, "next_grant_at": "2026-03-31T04:00:00.000Z", "closed_until": None}
    assert api.get(f"{SYNC}/status").json["partners"] == [at_rest]
    grants = [NOON - 10_000 + number * 2_000 for number in range(6)]
    key = Keys(OPERATOR_TENANT).partner_limiter("tours")
    sync_store.write(Put(LimiterItem(*key, grants=grants, version=1)))
    assert api.get(f"{SYNC}/status").json["partners"] == [
        {**at_rest, "tokens_left": 24, "next_grant_at": "2026-03-31T04:00:01.900Z"}
    ]
    sync_store.write(Put(LimiterItem(*key, grants=grants, version=1, closed_until=NOON + 60_000)))
    closed = "2026-03-31T04:01:00.000Z"
    assert api.get(f"{SYNC}/status").json["partners"] == [
        {"name": "tours", "tokens_left": 0, "next_grant_at": closed, "closed_until": closed}
    ]


def test_a_closed_partner_is_sent_nothing(api: Api, aws: Aws, sync_store: Store) -> None:
    put_up(api, "14")
    key = Keys(OPERATOR_TENANT).partner_limiter("tours")
    sync_store.write(Put(LimiterItem(*key, grants=[], version=1, closed_until=NOON + 120_000)))
    assert started(api)["enqueued"] == 1
    assert sent(aws) == []


def test_shortages_are_listed_in_pages(api: Api, store: Store) -> None:
    for number in range(3):
        slot = Keys(api.tenant).slot("14", f"2026-04-0{number + 1}", "ab12")
        store.write(
            Put(
                ShortageItem(
                    *Keys(api.tenant).shortage(slot),
                    experience_id="14",
                    date=f"2026-04-0{number + 1}",
                    slot_id="ab12",
                    missing=1,
                    seen_at=NOON,
                    ttl=1,
                )
            )
        )
    first: Answer = api.get(f"{SYNC}/shortages?limit=2")
    rest = api.get(f"{SYNC}/shortages?limit=2&next={first.json['next']}").json
    assert [item["date"] for item in first.json["items"] + rest["items"]] == ["2026-04-01", "2026-04-02", "2026-04-03"]
    assert rest["next"] is None
    assert Api(found_another()).get(f"{SYNC}/shortages").json == {"items": [], "next": None}
    assert Api(found_another()).get(f"{SYNC}/shortages?next={first.json['next']}").status == 400


def test_the_log_says_what_a_planner_did_and_no_keys(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    put_up(api, "14")
    minute()
    assert "api_key" not in json.dumps([str(vars(record)) for record in caplog.records])
