"""The table's stream: one delayed message for every hold with a new expiry (PROTOCOL.md 16)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.platform import queues
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import changed, holds, message_of, record, without_images


def schedule(*records: Any) -> list[str]:
    """Hand the records to the function; return from which sequence numbers it wants to be asked again."""
    answer = load("expiry_scheduler").handler({"Records": list(records)}, LambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """What is sent to the expiry queue, entry by entry."""
    entries: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        entries.extend(params["Entries"])

    queues.client.cache_clear()
    queues.client().meta.events.register("provide-client-params.sqs.SendMessageBatch", note)
    yield entries
    queues.client.cache_clear()


@pytest.fixture
def hold(api: Api, aws: Aws, clock: HandMovedClock) -> dict[str, Any]:
    """One hold of 600 s, as the table keeps it."""
    api.hold("alice", api.new_product())
    (item,) = holds(aws)
    return item


def test_a_new_hold_sends_itself_one_message_delayed_to_its_expiry(
    hold: dict[str, Any], sent: list[dict[str, Any]]
) -> None:
    assert schedule(record(1, hold)) == []
    assert [(entry["MessageBody"], entry["DelaySeconds"]) for entry in sent] == [(message_of(hold), 600)]


def test_a_deal_hold_sends_itself_one_too(
    api: Api, aws: Aws, clock: HandMovedClock, sent: list[dict[str, Any]]
) -> None:
    api.reserve("alice", api.new_product())
    schedule(record(1, *holds(aws)))
    assert [entry["DelaySeconds"] for entry in sent] == [600]


@pytest.mark.parametrize(("ahead", "delay"), [(-5_000, 0), (0, 0), (999, 0), (1_999, 1), (900_999, 900), (9**9, 900)])
def test_the_delay_is_never_past_the_expiry_nor_over_what_sqs_takes(
    hold: dict[str, Any], clock: HandMovedClock, sent: list[dict[str, Any]], ahead: int, delay: int
) -> None:
    schedule(record(1, changed(hold, due=clock.milliseconds + ahead)))
    assert [entry["DelaySeconds"] for entry in sent] == [delay]


def test_an_extension_sends_a_second_message_for_the_new_expiry(
    hold: dict[str, Any], sent: list[dict[str, Any]]
) -> None:
    later = int(hold["due"]["N"]) + 60_000
    schedule(record(1, hold), record(2, changed(hold, due=later, v=2), hold))
    assert [json.loads(entry["MessageBody"])["expires_at"] for entry in sent] == [later - 60_000, later]


def test_what_leaves_the_expiry_as_it_was_sends_nothing(hold: dict[str, Any], sent: list[dict[str, Any]]) -> None:
    over = {name: value for name, value in hold.items() if name not in ("due", "due_bucket")}
    assert schedule(record(1, changed(hold, v=2), hold), record(2, over, hold), record(3, None, hold)) == []
    assert sent == []


def test_items_that_are_no_holds_send_nothing(api: Api, aws: Aws, sent: list[dict[str, Any]]) -> None:
    product = api.new_product(price=5, max_per_user=2)
    api.patch(f"/api/products/{product}", {"price": 6})
    api.reserve("alice", product, key="k")
    others = [item for item in aws.items() if not item["sk"]["S"].startswith("H#")]
    due_product = next(changed(item, due=1, due_bucket=1) for item in others if "#PRODUCTS" in item["pk"]["S"])
    assert schedule(*(record(number, item) for number, item in enumerate([*others, due_product]))) == []
    assert sent == []


MALFORMED: list[Any] = [
    None,
    17,
    "record",
    [],
    {},
    {"dynamodb": None},
    {"dynamodb": {"SequenceNumber": "7", "NewImage": {"due": {"N": "1"}}}},
    {"dynamodb": {"SequenceNumber": "7", "NewImage": {"due": {"N": "soon"}, "pk": {"S": "t#U#x"}, "sk": {"S": "R#1"}}}},
    {"dynamodb": {"SequenceNumber": "7", "NewImage": {"due": {"S": "1"}, "pk": {"S": "t#U#x"}, "sk": {"S": "R#1"}}}},
    {"dynamodb": {"NewImage": {"due": {"N": "1"}, "pk": {"S": "t#U#x"}, "sk": {"S": "R#1"}}}},
]


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_record_is_quarantined_and_stands_in_no_others_way(
    hold: dict[str, Any], aws: Aws, sent: list[dict[str, Any]], malformed: Any
) -> None:
    assert schedule(malformed, record(8, hold)) == []
    assert len(sent) == 1
    (quarantined,) = aws.messages(aws.dead_letters)
    assert json.loads(quarantined["Body"]) == without_images(malformed)


def test_what_is_quarantined_shows_no_image(hold: dict[str, Any], aws: Aws, sent: list[dict[str, Any]]) -> None:
    odd = record(7, hold)
    odd["dynamodb"]["NewImage"]["due"] = {"N": "none"}
    assert schedule(odd) == []
    (quarantined,) = aws.messages(aws.dead_letters)
    assert json.loads(quarantined["Body"])["dynamodb"]["SequenceNumber"] == "7"
    assert "Image" not in quarantined["Body"]


def test_more_than_ten_are_sent_in_batches_of_ten(hold: dict[str, Any], sent: list[dict[str, Any]]) -> None:
    records = [record(number, changed(hold, due=number)) for number in range(25)]
    assert schedule(*records) == []
    assert [json.loads(entry["MessageBody"])["expires_at"] for entry in sent] == list(range(25))
    assert max(int(entry["Id"]) for entry in sent) == 9


def test_what_sqs_did_not_take_out_of_a_batch_is_handed_back(
    hold: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def partly(QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's own names
        failed = [entry["Id"] for entry in Entries if json.loads(entry["MessageBody"])["expires_at"] in (3, 14)]
        return {"Failed": [{"Id": number, "SenderFault": False, "Code": "InternalError"} for number in failed]}

    monkeypatch.setattr(queues.client(), "send_message_batch", partly)
    records = [record(100 + number, changed(hold, due=number)) for number in range(20)]
    assert schedule(*records) == ["103", "114"]


def test_an_empty_batch_is_no_fault() -> None:
    assert schedule() == []
