"""The synchronisation's fetcher as Lambda calls it: a partner over HTTP, the queue's messages, and what goes back."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from holdfast.catalogue.experiences import experiences
from holdfast.catalogue.experiences.experiences import NewExperience
from holdfast.claims.slot import read_slot
from holdfast.partners.pairs import today_in
from holdfast.partners.sheets import Sheets
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncControlItem
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from tests.engine.faults import Answer, Call, Calls, conflict, silence_after, throttled
from tests.handlers.conftest import TOURS
from tests.handlers.gateway import LambdaContext, load
from tests.partner.server import PartnerServer

TENANT = "demo"
KEY = "key-of-the-tests"
"""The same for all tests: a warm function believes what it read for five minutes."""

RUN = "1772359200000-manual-00000000"
EVERY_DAY = tuple(range(1, 8))


@pytest.fixture
def partner(cold: Callable[..., None]) -> Iterator[PartnerServer]:
    """The partner, as the function's settings and the parameter store name it."""
    with PartnerServer(api_key=KEY) as server:
        cold("sync_fetcher", PARTNERS=json.dumps({"tours": TOURS | {"base_url": server.url}}))
        boto3.client("ssm").put_parameter(
            Name="/holdfast/partners/tours",
            Value=json.dumps({"api_key": KEY}),
            Type="SecureString",
            Overwrite=True,
        )
        yield server


@pytest.fixture
def day(partner: PartnerServer) -> str:
    """Tomorrow, by the partner's date, on which it has the sample's slot."""
    del partner
    return today_in(load("sync_fetcher")._definitions()["tours"].zone, SystemClock().now() + 86_400_000).isoformat()


@pytest.fixture
def message(store: Store, sync_store: Store, day: str) -> SyncMessage:
    """The current message of an experience's day."""
    new = NewExperience("walk", "Island walk", "tours", "14", EVERY_DAY, True)
    experiences.create(Engine(store), TENANT, new, None)
    return queued(sync_store, "walk", day)


def queued(sync_store: Store, experience_id: str, day: str) -> SyncMessage:
    """Have a pair wanted and queued, and return its message."""
    sheets = Sheets(sync_store, SystemClock(), Retries())
    assert sheets.want(RUN, [(sheets.get(TENANT, experience_id), [day])])
    stamp = SystemClock().now()
    assert sheets.queue(sheets.get(TENANT, experience_id), [day], stamp)
    return SyncMessage(TENANT, experience_id, day, stamp)


def batch(*bodies: str, receive_count: int = 1) -> dict[str, Any]:
    """Return the event of one batch, with ids m0, m1 and so on."""
    attributes = {"ApproximateReceiveCount": str(receive_count)}
    return {
        "Records": [
            {"messageId": f"m{number}", "body": body, "attributes": attributes} for number, body in enumerate(bodies)
        ]
    }


def fetch(*bodies: str, receive_count: int = 1, remaining: int = 60_000) -> list[str]:
    """Hand messages to the function; return the ids of those that it wants again."""
    answer = load("sync_fetcher").handler(
        batch(*bodies, receive_count=receive_count), LambdaContext(remaining=remaining)
    )
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def offered(day: str) -> dict[str, Any]:
    """Return a slot of 170 places as the partner says it, 150 of them for adults."""
    return {
        "startDate": day,
        "startTime": "10:00",
        "endTime": "11:00",
        "providerSlotId": "ab12",
        "remaining": 170,
        "currencyCode": "SGD",
        "paxAvailability": [
            {
                "type": "ADULT_12~99",
                "name": "Adult",
                "min": 1,
                "max": 20,
                "remaining": 150,
                "price": {"finalPrice": 341, "originalPrice": 441, "currencyCode": "SGD"},
            }
        ],
    }


def is_wanted(sync_store: Store, message: SyncMessage) -> bool:
    """Return whether a message's pair waits for an answer."""
    sheet = Sheets(sync_store, SystemClock(), Retries()).get(message.tenant, message.experience_id)
    return message.date in sheet.wanted


def test_rule_20_what_the_partner_says_is_kept_and_the_pair_is_done(
    partner: PartnerServer, store: Store, sync_store: Store, message: SyncMessage
) -> None:
    said = [offered(message.date), {"providerSlotId": "wrong"}]
    partner.say("14", message.date, said)
    assert fetch(message.to_body()) == []
    assert [(arrival.product, arrival.date) for arrival in partner.log] == [("14", message.date)]
    raw = store.get_raw(Keys(TENANT).slot("walk", message.date, "ab12"))
    assert raw is not None
    slot = read_slot(raw)
    assert (slot.whole.available, slot.left("ADULT_12~99")) == (170, 150)
    assert not is_wanted(sync_store, message)
    assert fetch(message.to_body(), receive_count=2) == []
    assert len(partner.log) == 1
    page = sync_store.query(Keys(TENANT).sync_failures(RUN))
    assert [(item["slot_id"]["S"], item["code"]["S"]) for item in page.items] == [("wrong", "slot_rejected")]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        '{"tenant": "demo"}',
        '{"tenant": "No Tenant", "experience_id": "walk", "date": "2026-03-01", "stamp": 1}',
        '{"tenant": "demo", "experience_id": "a#b", "date": "2026-03-01", "stamp": 1}',
        '{"tenant": "demo", "experience_id": "walk", "date": "2026-02-30", "stamp": 1}',
        '{"tenant": "demo", "experience_id": "walk", "date": "tomorrow", "stamp": 1}',
        '{"tenant": "demo", "experience_id": "walk", "date": "2026-03-01", "stamp": "1"}',
    ],
)
def test_rule_20_an_unreadable_message_is_handed_back_alone(
    partner: PartnerServer, message: SyncMessage, body: str
) -> None:
    """It ends among the dead letters; what came with it is fetched."""
    assert fetch(body, message.to_body()) == ["m0"]
    assert len(partner.log) == 1


def test_rule_20_an_unexpected_error_hands_the_message_back_and_the_pair_stays_wanted(
    partner: PartnerServer, sync_store: Store, message: SyncMessage
) -> None:
    """Delivered again, it goes its way."""
    calls = Calls(load("sync_fetcher").fetcher().store)
    calls.trouble(throttled, "BatchGetItem", times=10)
    assert fetch(message.to_body()) == ["m0"]
    calls.stop()
    assert partner.log == []
    assert is_wanted(sync_store, message)
    assert fetch(message.to_body(), receive_count=2) == []
    assert len(partner.log) == 1


def test_rule_20_what_failed_is_said_by_its_pair(
    partner: PartnerServer, message: SyncMessage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads the log knows which product to look at; of what cannot be read, nothing is known."""
    calls = Calls(load("sync_fetcher").fetcher().store)
    calls.trouble(throttled, "BatchGetItem", times=10)
    fetch(message.to_body(), "no message")
    calls.stop()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    told = [line for line in lines if line.get("message") == "a message of the synchronisation failed"]
    assert [(line.get("tenant"), line.get("experience"), line.get("date")) for line in told] == [
        (TENANT, "walk", message.date),
        (None, None, None),
    ]


def test_rule_20_an_answer_that_cannot_be_kept_is_counted_and_its_message_handed_back_until_another_is_kept(
    partner: PartnerServer, sync_store: Store, message: SyncMessage
) -> None:
    """Its product is left alone for a while; the message comes again to tell somebody, and asks for nothing."""
    partner.say("14", message.date, [offered(message.date)])
    calls = Calls(load("sync_fetcher").engine().store)
    calls.trouble(silence_after, "TransactWriteItems")
    assert fetch(message.to_body()) == ["m0"]
    calls.stop()
    sheet = Sheets(sync_store, SystemClock(), Retries()).get(TENANT, "walk")
    assert (message.date in sheet.wanted, message.date in sheet.queued, sheet.failures) == (True, False, 1)
    assert sheet.not_before > SystemClock().now()
    items = sync_store.query(Keys(TENANT).sync_failures(RUN)).items
    assert [item["code"]["S"] for item in items] == ["not_kept"]
    assert fetch(message.to_body(), receive_count=2) == ["m0"]
    assert len(partner.log) == 1


def test_rule_18_a_slot_that_many_want_at_once_is_kept_all_the_same(
    partner: PartnerServer, store: Store, sync_store: Store, message: SyncMessage
) -> None:
    """Holds come in the way more often than a request of a customer would be tried; there are seconds to try in."""
    partner.say("14", message.date, [offered(message.date)])
    calls = Calls(load("sync_fetcher").engine().store)
    calls.trouble(conflict, "TransactWriteItems", times=10)
    assert fetch(message.to_body()) == []
    calls.stop()
    assert not is_wanted(sync_store, message)
    assert store.get_raw(Keys(TENANT).slot("walk", message.date, "ab12")) is not None


@pytest.mark.parametrize("contains_our_sales", [False, True])
def test_rule_18_a_day_is_looked_at_before_the_request_only_where_its_answer_has_our_sales_in_it(
    partner: PartnerServer, cold: Callable[..., None], sync_store: Store, message: SyncMessage, contains_our_sales: bool
) -> None:
    """It is a query of a whole day, and of no use to any other answer."""
    told = TOURS | {"base_url": partner.url, "contains_our_sales": contains_our_sales}
    cold("sync_fetcher", PARTNERS=json.dumps({"tours": told}))
    queries: list[int] = []
    calls = Calls(load("sync_fetcher").engine().store)

    def count(call: Call) -> Answer:
        if call.operation == "Query":
            queries.append(len(partner.log))
        return call.make()

    calls.always(count)
    assert fetch(message.to_body()) == []
    calls.stop()
    assert queries.count(0) == int(contains_our_sales)
    assert not is_wanted(sync_store, message)


def test_rule_20_lack_of_time_hands_nothing_back(
    partner: PartnerServer, sync_store: Store, message: SyncMessage
) -> None:
    """What could not be answered in the time that is left is the planner's again, and reaches no dead letters."""
    assert fetch(message.to_body(), remaining=19_999) == []
    assert partner.log == []
    assert is_wanted(sync_store, message)


def test_rule_20_a_paused_tenants_message_is_not_handed_back(
    partner: PartnerServer, sync_store: Store, message: SyncMessage
) -> None:
    """Its pair waits in its sheet."""
    control = SyncControlItem(*Keys(TENANT).sync_control(), is_paused=True, changed_at=1, changed_by="ann")
    sync_store.write(Put(control))
    assert fetch(message.to_body()) == []
    assert partner.log == []
    assert is_wanted(sync_store, message)


def test_rule_20_what_nobody_sells_any_more_is_dropped(partner: PartnerServer, sync_store: Store, day: str) -> None:
    """An experience that is not there is asked for no more."""
    gone = queued(sync_store, "gone", day)
    assert fetch(gone.to_body()) == []
    assert partner.log == []
    assert not is_wanted(sync_store, gone)


@pytest.mark.parametrize(
    ("fault", "status", "code"), [("fail", 503, "server_error"), ("limited", 429, "limited"), ("drop", 0, "dropped")]
)
def test_rule_20_what_the_partner_does_wrong_hands_nothing_back(
    partner: PartnerServer, sync_store: Store, message: SyncMessage, fault: str, status: int, code: str
) -> None:
    """It is written down with its reason, and the pair stays wanted."""
    partner.misbehave(fault, times=1)
    assert fetch(message.to_body()) == []
    assert is_wanted(sync_store, message)
    assert [arrival.status for arrival in partner.log] == [status]
    items = sync_store.query(Keys(TENANT).sync_failures(RUN)).items
    assert [item["code"]["S"] for item in items] == [code]
