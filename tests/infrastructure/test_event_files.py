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
from holdfast.platform.items import (
    LineMap,
    ListedItem,
    ListingItem,
    PersonItem,
    PhoneItem,
    PoolShardItem,
    ReservationItem,
    ServiceKeyItem,
)
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import IDENTITY_SCHEMA, TABLE_SCHEMA, Keys
from holdfast.reservations.engine import Engine, LineRequest
from holdfast.reservations.holding import HoldRequest, hold
from local import openapi
from local.build import ROOT
from local.lambda_runtime import BuiltFunction
from local.stack import Stack, free_port
from tests.infrastructure import emulated_workflows
from tests.infrastructure.event_cases import (
    ALL,
    ANOTHER_TICKET,
    ANSWERED,
    AUTHORIZED,
    CONSUMED,
    LAPSED_AT,
    PERSON,
    PURCHASE,
    RAZORPAY,
    SIGNING_KEY,
    TICKET,
)

EVENTS = ROOT / "events"
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
        for name, value in {"payments/demo/razorpay": RAZORPAY, "tickets/demo": SIGNING_KEY}.items():
            stack.client("ssm").put_parameter(Name=f"/holdfast/{name}", Value=json.dumps(value), Type="SecureString")
        emulated_workflows.make(stack, **named)
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
    identity_store = connect(aws["IdentityTable"])
    identity_store.write(
        Put(ServiceKeyItem(*Keys("demo").service_key(key), label="events", roles={"service"}, created_at=0))
    )
    _know_what_no_event_can_name(store, identity_store)
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
    room = ProductFacts(store, engine.clock)
    lines = [LineRequest("product", "items.0", 2, product_id="1")]
    hold(engine, lambda _: room, HoldRequest("demo", user, "reservations", "order-1", "0", lines))


def _know_what_no_event_can_name(store: Store, identity_store: Store) -> None:
    """Put there what gets an id by chance, under the ids that the events speak of."""
    keys = Keys("demo")
    terms = {"revision": 1, "price_minor": 2500, "currency": "USD", "on_sale": True}
    times = {"created_at": 1_772_359_200_000, "updated_at": 1_772_359_200_000}
    for ticket in (TICKET, ANOTHER_TICKET):
        listing = ListingItem(
            *keys.listing(ticket), title="Opening night, row 3", seller_id="alice", version=1, **terms, **times
        )
        store.write(Put(listing))
        for place in (keys.listed(ticket), keys.listed_by("alice", ticket)):
            store.write(Put(ListedItem(*place, ticket_id=ticket)))
    line = LineMap(
        kind="seat",
        event_id="1",
        ticket_type_id="1",
        row="1",
        seat="9",
        quantity=1,
        unit_price_minor=8000,
        currency="USD",
        counted=False,
    )
    order = OrderItem(
        *keys.order("7", PURCHASE),
        user_id="7",
        reservation_id="r-none",
        status="completed",
        attempt=1,
        lines=[line],
        returned=[0],
        currency="USD",
        total_minor=8000,
        provider="external",
        version=1,
        **times,
    )
    store.write(Put(order))
    grace = {"user_id": PERSON, "name": "Grace", "phone": "+4915112345678", "role": "customer", "version": 1}
    identity_store.write(Put(PersonItem(*keys.person(PERSON), **grace, **times)))
    identity_store.write(Put(PhoneItem(*keys.phone(grace["phone"]), user_id=PERSON)))


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
    public = {(path, method.lower()) for method, path in (route.split() for route in openapi.PUBLIC)}
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
    assert (shard.held, shard.sold) == (3, 1)


@pytest.mark.usefixtures("answers")
def test_the_stream_sent_its_messages_and_set_the_unreadable_record_aside(aws: dict[str, str]) -> None:
    sqs = boto3.client("sqs")
    counted = {}
    for name in ("ExpiryQueue", "DeadLetterQueue"):
        attributes = sqs.get_queue_attributes(QueueUrl=aws[name], AttributeNames=["All"])["Attributes"]
        waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
        counted[name] = sum(int(attributes[kind]) for kind in waiting)
    assert counted == {"ExpiryQueue": 2, "DeadLetterQueue": 2}
