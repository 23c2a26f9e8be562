"""The expiry queue: duplicate, early, stale, late and unreadable messages (PROTOCOL.md 11 and 16)."""

import json
from typing import Any

import pytest

from holdfast.platform import queues
from holdfast.platform.dynamodb import Contended, Store, connect
from holdfast.platform.retries import Retries
from holdfast.reservations.engine import Engine
from tests.handlers.account import TABLE, Aws, HandMovedClock
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import changed, holds, message_of, queued


@pytest.fixture(autouse=True)
def naps(clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the function slept, which moves the clock and costs no time."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    warm = Engine(connect(TABLE), retries=Retries(sleep=sleep))
    monkeypatch.setattr(load("expiry"), "engine", lambda: warm)
    return slept


@pytest.fixture
def product(api: Api) -> str:
    """A product of ten."""
    return api.new_product(10)


def expire(*bodies: str) -> list[str]:
    """Hand the messages to the function; return the ids of those that it wants again."""
    answer = load("expiry").handler(queued(*bodies), LambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_hold_whose_time_is_past_gives_everything_back(
    api: Api, aws: Aws, clock: HandMovedClock, product: str
) -> None:
    held = api.hold("alice", product, 3).json
    clock.advance(600)
    assert expire(*map(message_of, holds(aws))) == []
    assert api.units(product) == (10, 10, 0, 0)
    assert api.get(f"/api/v1/reservations/{held['id']}").json["status"] == "expired"
    (stored,) = holds(aws)
    assert int(stored["ttl"]["N"]) > clock.milliseconds // 1000 + 24 * 3600
    assert "due" not in stored


def test_a_message_that_comes_twice_gives_back_once(api: Api, aws: Aws, clock: HandMovedClock, product: str) -> None:
    api.hold("alice", product, 3)
    api.hold("bob", product, 3)
    messages = [message_of(item) for item in holds(aws)]
    clock.advance(600)
    assert expire(messages[0], messages[0]) == []
    assert expire(*messages, *messages) == []
    assert api.units(product) == (10, 10, 0, 0)


def test_a_message_early_by_under_a_second_waits(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, naps: list[float]
) -> None:
    api.hold("alice", product, 3)
    clock.milliseconds += 599_001
    assert expire(*map(message_of, holds(aws))) == []
    assert naps == [0.999]
    assert api.units(product) == (10, 10, 0, 0)


def test_an_earlier_message_goes_round_again(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.hold("alice", product, 3)
    sent: list[dict[str, Any]] = []

    def note(QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's own names
        sent.extend(Entries)
        return {"Successful": []}

    monkeypatch.setattr(queues.client(), "send_message_batch", note)
    (message,) = map(message_of, holds(aws))
    for early, delay in ((900_000, 900), (599_000, 599), (1_000, 1)):
        clock.milliseconds = json.loads(message)["expires_at"] - early
        assert expire(message) == []
        assert (sent[-1]["MessageBody"], sent[-1]["DelaySeconds"]) == (message, delay)
    assert naps == []
    assert api.units(product) == (10, 7, 3, 0)


def test_an_earlier_message_that_could_not_be_sent_again_is_wanted_again(
    api: Api, aws: Aws, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.hold("alice", product, 3)
    monkeypatch.setattr(queues.client(), "send_message_batch", lambda **_: {"Failed": [{"Id": "0"}]})
    assert expire(*map(message_of, holds(aws))) == ["m0"]


def test_a_message_for_an_expiry_that_has_changed_is_dropped(
    api: Api, aws: Aws, clock: HandMovedClock, product: str
) -> None:
    held = api.hold("alice", product, 3).json
    (before,) = holds(aws)
    api.post(f"/api/v1/reservations/{held['id']}/extend")
    clock.advance(601)
    assert expire(message_of(before)) == []
    assert aws.messages(aws.expiry_queue) == []
    assert api.units(product) == (10, 7, 3, 0)


def test_a_message_for_a_deal_hold_that_was_renewed_is_dropped(
    api: Api, aws: Aws, clock: HandMovedClock, product: str
) -> None:
    api.reserve("alice", product, 3)
    (before,) = holds(aws)
    clock.advance(300)
    api.reserve("alice", product, 1)
    clock.advance(301)
    assert expire(message_of(before)) == []
    assert api.units(product) == (10, 6, 4, 0)


def test_a_message_for_what_is_over_is_dropped(api: Api, aws: Aws, clock: HandMovedClock, product: str) -> None:
    bought, gone = api.reserve("alice", product, 3), api.hold("bob", product, 3).json
    assert bought.status == 200
    messages = [message_of(item) for item in holds(aws)]
    api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 3})
    api.delete(f"/api/v1/reservations/{gone['id']}")
    clock.advance(601)
    assert expire(*messages) == []
    assert api.units(product) == (10, 7, 0, 3)


def test_a_message_for_what_never_was_is_dropped() -> None:
    assert expire('{"pk": "t#U#abcdefghijklmnop", "sk": "R#0", "expires_at": 1}') == []


UNREADABLE = [
    "",
    "null",
    "[]",
    "17",
    '"text"',
    "{",
    "{}",
    '{"pk": "a", "sk": "R#1"}',
    '{"pk": "a", "sk": "R#1", "expires_at": "soon"}',
    '{"pk": "a", "sk": "R#1", "expires_at": 1e999}',
    '{"pk": "a", "sk": "R#1", "expires_at": null}',
    '{"pk": "", "sk": "R#1", "expires_at": 1}',
    '{"pk": "a", "sk": "", "expires_at": 1}',
    '{"pk": null, "sk": null, "expires_at": 1}',
    '{"pk": "a", "sk": "R#\\ud800", "expires_at": 1}',
    '{"pk": "a", "sk": "R#' + "x" * 2000 + '", "expires_at": 1}',
    '{"pk": "t#PRODUCTS", "sk": "01.1", "expires_at": 1}',
    '{"pk": "a", "sk": "R#1", "expires_at": ' + "9" * 10_000 + "}",
    "[" * 10_000,
]


@pytest.mark.parametrize("body", UNREADABLE, ids=[body[:45] for body in UNREADABLE])
def test_a_message_that_cannot_be_read_fails_alone(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, body: str
) -> None:
    api.hold("alice", product, 3)
    clock.advance(600)
    (message,) = map(message_of, holds(aws))
    assert expire(body, message) == ["m0"]
    assert api.units(product) == (10, 10, 0, 0)


def test_a_batch_of_holds_is_one_transaction(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in range(10):
        api.hold(f"user{user}", product, 1)
    clock.advance(600)
    transactions: list[int] = []
    transact = Store.transact

    def counted(store: Store, writes: Any) -> None:
        transactions.append(len(writes))
        transact(store, writes)

    monkeypatch.setattr(Store, "transact", counted)
    assert expire(*map(message_of, holds(aws))) == []
    assert transactions == [11]
    assert api.units(product) == (10, 10, 0, 0)


def test_a_batch_that_met_another_writer_is_done_one_by_one(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in range(4):
        api.hold(f"user{user}", product, 1)
    clock.advance(600)
    transact, attempts = Store.transact, iter([True])

    def contended_once(store: Store, writes: Any) -> None:
        if next(attempts, False):
            raise Contended("TransactionConflictException")
        transact(store, writes)

    monkeypatch.setattr(Store, "transact", contended_once)
    assert expire(*map(message_of, holds(aws))) == []
    assert api.units(product) == (10, 10, 0, 0)


def test_what_stays_contended_goes_round_again_at_once(
    api: Api, aws: Aws, clock: HandMovedClock, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.hold("alice", product, 1)
    clock.advance(600)

    def contended(*_: Any) -> None:
        raise Contended("TransactionConflictException")

    monkeypatch.setattr(Store, "transact", contended)
    message, *_ = map(message_of, holds(aws))
    assert expire('{"pk": "t#U#a", "sk": "R#0", "expires_at": 1}', message, message) == []
    assert [sent["Body"] for sent in aws.messages(aws.expiry_queue)] == [message]


def test_one_hold_whose_counters_are_broken_stands_in_no_others_way(
    api: Api, aws: Aws, clock: HandMovedClock, product: str
) -> None:
    broken = api.new_product(5)
    api.hold("alice", broken, 3)
    api.hold("bob", product, 3)
    clock.advance(600)
    shard = next(item for item in aws.items() if f"#POOL#product.{broken}#" in item["pk"]["S"])
    aws.dynamodb.put_item(TableName=TABLE, Item=changed(shard, held=0, available=5))
    items = sorted(holds(aws), key=lambda item: item["user_id"]["S"])
    assert expire(*map(message_of, items)) == ["m0"]
    assert api.units(product) == (10, 10, 0, 0)
