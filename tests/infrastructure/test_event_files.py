"""Every file in events/ handed to the function it is for, as built: first what succeeds, in the order of a sale."""

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from typing import Any, cast

import boto3
import pytest

from holdfast.catalogue.products.facts import ProductFacts
from holdfast.platform.dynamodb import Put, Store, connect
from holdfast.platform.items import PoolShardItem, ReservationItem, ServiceKeyItem
from holdfast.platform.tables import IDENTITY_SCHEMA, TABLE_SCHEMA, Keys
from holdfast.reservations.engine import Engine, LineRequest
from holdfast.reservations.holding import HoldRequest, hold
from local.build import ROOT
from local.lambda_runtime import BuiltFunction
from local.stack import Stack, free_port

EVENTS = ROOT / "events"
LAPSED_AT = 1_700_000_000_000
"""When the hold ran out that events/expiry-due.json speaks of, ms since the epoch."""

ANSWERED = {
    "products-create": 201,
    "products-create-malformed": 400,
    "products-create-by-a-customer": 403,
    "products-list": 200,
    "products-list-without-a-caller": 401,
    "products-read": 200,
    "products-read-unknown": 404,
    "reservations-create": 201,
    "reservations-create-another-body": 422,
    "reservations-create-malformed": 400,
    "reservations-create-bad-json": 400,
    "reservations-create-sold-out": 409,
    "reservations-create-unknown-product": 409,
    "reservations-create-without-a-caller": 401,
    "reservations-create-without-a-key": 400,
    "reservations-list": 200,
    "reservations-list-of-nobody": 400,
    "reservations-read": 200,
    "reservations-read-by-another": 404,
    "reservations-extend": 200,
    "reservations-extend-again": 409,
    "flash_deals-reserve": 200,
    "flash_deals-reserve-too-many": 400,
    "flash_deals-reserve-bulk": 200,
    "flash_deals-reserve-bulk-unknown-product": 400,
    "flash_deals-check-out": 200,
    "flash_deals-check-out-more-than-held": 400,
    "flash_deals-let-go": 200,
    "flash_deals-let-go-of-nothing": 400,
    "flash_deals-list": 200,
    "flash_deals-list-of-another": 403,
    "reservations-cancel": 200,
    "reservations-cancel-unknown": 404,
    "products-change-below-what-is-held": 409,
    "products-change": 200,
    "products-status": 200,
    "products-status-unknown": 404,
    "health-read": 200,
    "documentation-document": 200,
    "documentation-page": 200,
    "unknown_route-unknown-address": 404,
    "unknown_route-other-method": 405,
    "unknown_route-options": 204,
}
"""The status that each API event is answered with, where they come in this order."""

AUTHORIZED = {"authorizer-known-key": True, "authorizer-unknown-key": False, "authorizer-other-scheme": False}

CONSUMED: dict[str, dict[str, Any]] = {
    "expiry_scheduler-new-hold": {"batchItemFailures": []},
    "expiry_scheduler-confirmed": {"batchItemFailures": []},
    "expiry_scheduler-unreadable": {"batchItemFailures": []},
    "expiry-due": {"batchItemFailures": []},
    "expiry-of-nothing": {"batchItemFailures": []},
    "expiry-unreadable": {"batchItemFailures": [{"itemIdentifier": "059f36b4-87a3-44ab-83d2-661970000001"}]},
    "sweeper-every-minute": {"holds": 1, "products": 0},
}
"""What each message is answered with, where they come in this order."""

ALL = [*ANSWERED, *AUTHORIZED, *CONSUMED]
Answers = dict[str, Any]


class _LongAgo:
    """A clock that stands ten minutes before a moment long past."""

    def now(self) -> int:
        return LAPSED_AT - 600_000


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[dict[str, str]]:
    """An emulated AWS with the tables and queues; yields what the template's references name, and its endpoint."""
    stack = Stack(free_port())
    try:
        stack.start()
        named = {"endpoint": stack.endpoint_url}
        dynamodb, sqs = stack.client("dynamodb"), stack.client("sqs")
        for name, schema in (("Table", TABLE_SCHEMA), ("IdentityTable", IDENTITY_SCHEMA)):
            named[name] = f"holdfast-{name}"
            declared = {key: value for key, value in schema.items() if not key.endswith("Specification")}
            dynamodb.create_table(TableName=named[name], **declared)
        for name in ("ExpiryQueue", "DeadLetterQueue"):
            named[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
        with stack.environment():
            yield named
    finally:
        stack.stop()
        stack.forget()


@pytest.fixture(scope="module", name="store")
def _store(aws: dict[str, str]) -> Store:
    return connect(aws["Table"])


@pytest.fixture(scope="module", name="answers")
def _answers(aws: dict[str, str], store: Store) -> Answers:
    """What the functions answered to all events, each function started cold wherever it is another's turn."""
    key = sha256(f"hk_demo_{'0' * 64}".encode()).hexdigest()
    connect(aws["IdentityTable"]).write(
        Put(ServiceKeyItem(*Keys("demo").service_key(key), label="events", roles={"service"}, created_at=0))
    )
    answers: Answers = {}
    for function, cases in groupby(ALL, lambda case: case.partition("-")[0]):
        if function == "expiry":
            _hold_long_ago(store, "late")
        names = list(cases)
        events = [json.loads((EVENTS / f"{name}.json").read_text()) for name in names]
        named = {name: value for name, value in aws.items() if name != "endpoint"}
        answers |= dict(zip(names, BuiltFunction(function).invoke(events, aws["endpoint"], **named), strict=True))
        if function == "expiry":
            _hold_long_ago(store, "forgotten")
    return answers


def _hold_long_ago(store: Store, user: str) -> None:
    engine = Engine(store, clock=_LongAgo())
    lines = [LineRequest("product", "items.0", 2, product_id="1")]
    hold(engine, ProductFacts(store, engine.clock), HoldRequest("demo", user, "reservations", "order-1", "0", lines))


def test_every_event_file_is_invoked_here() -> None:
    assert {path.name for path in EVENTS.iterdir()} == {f"{name}.json" for name in ALL}


def test_every_function_has_an_event_of_each_kind() -> None:
    functions = {path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").is_file()}
    assert functions == {name.partition("-")[0] for name in ALL}


def test_every_route_has_an_event_that_succeeds_and_every_private_one_an_event_that_is_refused() -> None:
    document = json.loads((ROOT / "openapi.json").read_text())
    routes = {(path, method) for path, methods in document["paths"].items() for method in methods}
    seen: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for name, status in ANSWERED.items():
        event = json.loads((EVENTS / f"{name}.json").read_text())
        seen[status < 400].add((event["resource"], event["httpMethod"].lower()))
    public = {("/api/v1/health", "get"), ("/api/v1/docs", "get"), ("/api/v1/openapi.json", "get")}
    assert routes <= seen[True]
    assert routes - public <= seen[False]


@pytest.mark.parametrize("name", ANSWERED)
def test_the_api_answers(name: str, answers: Answers) -> None:
    answer = answers[name]
    assert answer["statusCode"] == ANSWERED[name], answer["body"]
    assert set(answer) == {"statusCode", "body", "isBase64Encoded", "multiValueHeaders"}


@pytest.mark.parametrize("name", AUTHORIZED)
def test_the_authorizer_answers(name: str, answers: Answers) -> None:
    answer = answers[name]
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert (answer["context"].get("tenant") == "demo") is AUTHORIZED[name]
    assert ("refusal" in answer["context"]) is not AUTHORIZED[name]


@pytest.mark.parametrize("name", CONSUMED)
def test_messages_are_consumed(name: str, answers: Answers) -> None:
    assert answers[name] == CONSUMED[name]


@pytest.mark.usefixtures("answers")
def test_lapsed_holds_gave_back_what_they_held(store: Store) -> None:
    for user in ("late", "forgotten"):
        held = store.get(ReservationItem, Keys("demo").reservation(user, "reservations", "order-1"))
        assert held is not None
        assert held.status == "expired"
    shard = cast(PoolShardItem, store.get(PoolShardItem, Keys("demo").pool_shard("product.1", 0)))
    assert shard.available + shard.held + shard.sold == shard.total == 60
    assert (shard.held, shard.sold) == (2, 1)


@pytest.mark.usefixtures("answers")
def test_the_stream_sent_its_messages_and_set_the_unreadable_record_aside(aws: dict[str, str]) -> None:
    sqs = boto3.client("sqs")
    counted = {}
    for name in ("ExpiryQueue", "DeadLetterQueue"):
        attributes = sqs.get_queue_attributes(QueueUrl=aws[name], AttributeNames=["All"])["Attributes"]
        waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
        counted[name] = sum(int(attributes[kind]) for kind in waiting)
    assert counted == {"ExpiryQueue": 2, "DeadLetterQueue": 1}
