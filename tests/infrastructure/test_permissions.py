"""Every function does what it is there for, in this process, and each of its calls to AWS is held against its role.

An emulator without IAM lets any call pass; here a call that the built template does not allow fails the test.
"""

import importlib.util
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

import boto3
import botocore.client
import pytest
from moto import mock_aws

from holdfast.identity import service_keys
from holdfast.platform.caller import Caller, to_context
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import connect
from holdfast.platform.tables import IDENTITY_SCHEMA, TABLE_SCHEMA
from local import build

TENANT = "some-shop"
CONTEXT = to_context(Caller(TENANT, "key-1", frozenset(service_keys.ROLES)))
RESOURCES = {"table": "Table", "identity": "IdentityTable", "expiry": "ExpiryQueue", "dead": "DeadLetterQueue"}


class LambdaContext:
    """As much of Lambda's context as the functions look at."""

    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    aws_request_id = "0"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


@dataclass(frozen=True)
class Call:
    """One action on one resource, and the partition keys it touches."""

    action: str
    resource: str
    leading_keys: frozenset[str] = frozenset()


@dataclass
class World:
    """The functions, and every call to AWS that each has made."""

    folders: dict[str, ModuleType]
    calls: dict[str, set[Call]] = field(default_factory=dict)
    running: str = ""

    @contextmanager
    def as_function(self, folder: str) -> Iterator[ModuleType]:
        self.running = folder
        try:
            yield self.folders[folder]
        finally:
            self.running = ""

    def invoke(self, folder: str, event: dict[str, Any]) -> Any:
        with self.as_function(folder) as function:
            return function.handler(event, LambdaContext())

    def request(
        self,
        folder: str,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        key: str = "",
        refused: bool = False,
    ) -> Any:
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        answer = self.invoke(
            folder,
            {
                "resource": path,
                "path": path,
                "httpMethod": method,
                "headers": headers,
                "multiValueHeaders": {name: [value] for name, value in headers.items()},
                "queryStringParameters": query,
                "multiValueQueryStringParameters": {name: [value] for name, value in (query or {}).items()} or None,
                "pathParameters": None,
                "stageVariables": None,
                "requestContext": {"requestId": "r", "authorizer": CONTEXT, "stage": "local", "path": path},
                "body": None if body is None else json.dumps(body),
                "isBase64Encoded": False,
            },
        )
        expected = range(400, 500) if refused else range(200, 300)
        assert answer["statusCode"] in expected, f"{method} {path}: {answer['body']}"
        return json.loads(answer["body"]) if answer.get("body") else None


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """All functions after the first sale and everything around it, with every call that each of them made."""
    with pytest.MonkeyPatch.context() as monkeypatch, _recording(monkeypatch) as made:
        _sell_everything(made)
        yield made


@contextmanager
def _recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """All functions over empty tables and queues, their calls written down."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "holdfast")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Holdfast")
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        for name, schema in (("table", TABLE_SCHEMA), ("identity", IDENTITY_SCHEMA)):
            declared = {key: value for key, value in schema.items() if key not in _NOT_OF_CREATE_TABLE}
            dynamodb.create_table(TableName=name, **declared)
        sqs = boto3.client("sqs")
        queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("expiry", "dead")}
        for name, value in {
            "TABLE_NAME": "table",
            "IDENTITY_TABLE_NAME": "identity",
            "EXPIRY_QUEUE_URL": queues["expiry"],
            "DEAD_LETTER_QUEUE_URL": queues["dead"],
            "HOLD_SECONDS": "1",
            "HOLD_SECONDS_MAX": "600",
            "EXTEND_SECONDS": "60",
            "DEFAULT_CURRENCY": "USD",
        }.items():
            monkeypatch.setenv(name, value)
        made = World({path.parent.name: _module(path.parent.name) for path in build.ROOT.glob("functions/*/app.py")})
        original = botocore.client.BaseClient._make_api_call

        def recorded(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if made.running:
                service = client.meta.service_model.service_name
                made.calls.setdefault(made.running, set()).update(_calls(service, operation, arguments))
            return original(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
        yield made


def test_every_call_of_every_function_is_allowed_by_its_role(world: World, production: dict[str, Any]) -> None:
    for folder, calls in sorted(world.calls.items()):
        statements = _statements(production, folder)
        denied = {call for call in calls if not any(_allows(statement, call) for statement in statements)}
        assert denied == set(), folder


# Asked for by Lambda itself in the function's name, or only where a batch broke up and is done hold by hold.
UNSEEN = {
    "expiry": {
        ("dynamodb:GetItem", "Table"),
        ("sqs:DeleteMessage", "ExpiryQueue"),
        ("sqs:GetQueueAttributes", "ExpiryQueue"),
        ("sqs:ReceiveMessage", "ExpiryQueue"),
    },
    "expiry_scheduler": {
        ("dynamodb:DescribeStream", "Table"),
        ("dynamodb:GetRecords", "Table"),
        ("dynamodb:GetShardIterator", "Table"),
        ("dynamodb:ListStreams", "Table"),
    },
    "sweeper": {("dynamodb:GetItem", "Table")},
}


def test_no_role_allows_what_its_function_never_does(world: World, production: dict[str, Any]) -> None:
    idle: dict[str, set[tuple[str, str]]] = {}
    for folder in world.folders:
        allowed = {
            (action, _name(resource))
            for statement in _statements(production, folder)
            for action in statement["Action"]
            for resource in _listed(statement["Resource"])
            if not action.startswith("logs:")
        }
        done = {(call.action, call.resource) for call in world.calls.get(folder, set())}
        if unused := allowed - done - UNSEEN.get(folder, set()):
            idle[folder] = unused
    assert idle == {}


def _sell_everything(world: World) -> None:
    """The first sale and everything around it, each function at least once."""
    key = service_keys.issue(connect("identity"), SystemClock(), TENANT, service_keys.ROLES, "test")
    authorized = world.invoke(
        "authorizer",
        {
            "type": "TOKEN",
            "authorizationToken": f"Bearer {key}",
            "methodArn": "arn:aws:execute-api:us-east-1:000000000000:api/local/GET/api/products",
        },
    )
    assert authorized["context"]["tenant"] == TENANT
    small = {"name": "Lamp", "total_stock": 5, "price": "9.90", "max_per_user": 3}
    product = world.request("products", "POST", "/api/products", small, key="p1")["data"]["id"]
    other = world.request("products", "POST", "/api/products", {"name": "Chair", "total_stock": 9})["data"]["id"]
    world.request("products", "GET", "/api/products")
    world.request("products", "PATCH", f"/api/products/{product}", {"total_stock": 50, "price": "8.90"}, key="p2")
    world.request("products", "GET", f"/api/products/{product}")
    world.request("products", "GET", f"/api/products/{product}/status")

    items = [{"kind": "product", "product_id": product, "quantity": 1}]
    first = {"items": items, "user_id": "ada", "hold_seconds": 300}
    route = "/api/v1/reservations"
    reserved = world.request("reservations", "POST", route, first, key="r1")
    world.request("reservations", "POST", route, first, key="r1")
    short = [{"kind": "product", "product_id": number, "quantity": 60} for number in (product, other)]
    world.request("reservations", "POST", route, {"items": short, "user_id": "ada"}, key="r0", refused=True)
    world.request("reservations", "GET", route, query={"user_id": "ada"})
    world.request("reservations", "GET", f"{route}/{reserved['id']}")
    world.request("reservations", "POST", f"{route}/{reserved['id']}/extend", key="r2")
    world.request("reservations", "DELETE", f"{route}/{reserved['id']}")

    deal = {"user_id": "grace", "product_id": product, "quantity": 1}
    world.request("flash_deals", "POST", "/api/reserve/bulk", {"user_id": "grace", "items": short}, refused=True)
    world.request("flash_deals", "POST", "/api/reserve", deal)
    world.request("flash_deals", "POST", "/api/reserve", deal, key="d1")
    lines = [{"product_id": product, "quantity": 1}, {"product_id": other, "quantity": 2}]
    world.request("flash_deals", "POST", "/api/reserve/bulk", {"user_id": "grace", "items": lines})
    world.request("flash_deals", "GET", "/api/users/grace/reservations")
    world.request("flash_deals", "POST", "/api/checkout", deal, key="d2")
    world.request("flash_deals", "POST", "/api/checkout", deal | {"quantity": 2})
    world.request("flash_deals", "DELETE", f"/api/reserve/grace/{other}")

    # Two short holds: one runs out by its message, one is left for the sweeper.
    for user in ("linus", "margaret"):
        world.request("reservations", "POST", route, {"items": items, "user_id": user, "hold_seconds": 1}, key="short")
    held = [
        item
        for item in boto3.client("dynamodb").scan(TableName="table")["Items"]
        if item.get("status") == {"S": "held"} and "due" in item
    ]
    assert len(held) == 2
    records = [{"dynamodb": {"NewImage": item, "SequenceNumber": "1"}} for item in held]
    world.invoke("expiry_scheduler", {"Records": [*records, {"dynamodb": {"NewImage": {"due": {"N": "1"}}}}]})
    time.sleep(1.1)
    messages = [_message(held[0], int(held[0]["due"]["N"])), _message(held[1], int(held[1]["due"]["N"]) + 1)]
    assert world.invoke("expiry", {"Records": messages}) == {"batchItemFailures": []}
    with world.as_function("expiry") as expiry:
        # A message that comes early goes round again.
        expiry._queue().send([expiry.ExpiryMessage.from_body(messages[0]["body"])], 0)
    with world.as_function("sweeper") as sweeper:
        sweeper.GRACE = 0
        assert sweeper.handler({}, LambdaContext())["holds"] == 1

    assert world.request("health", "GET", "/api/v1/health")["status"] == "ok"


def _message(item: dict[str, Any], expires_at: int) -> dict[str, Any]:
    body = {"pk": item["pk"]["S"], "sk": item["sk"]["S"], "expires_at": expires_at}
    return {"messageId": item["pk"]["S"], "body": json.dumps(body)}


_NOT_OF_CREATE_TABLE = {"TimeToLiveSpecification", "StreamSpecification"}
_IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def _module(folder: str) -> ModuleType:
    path = build.ROOT / "functions" / folder / "app.py"
    spec = importlib.util.spec_from_file_location(f"permissions_of_{folder}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _calls(service: str, operation: str, arguments: dict[str, Any]) -> set[Call]:
    """What IAM is asked for one request: a transaction needs the action of each item in it."""
    if service == "sqs":
        queue = RESOURCES[arguments["QueueUrl"].rpartition("/")[2]]
        return {Call("sqs:SendMessage" if operation.startswith("SendMessage") else f"sqs:{operation}", queue)}
    assert service == "dynamodb", service
    match operation:
        case "TransactWriteItems" | "TransactGetItems":
            return {
                Call(f"dynamodb:{_IN_TRANSACTION[kind]}", RESOURCES[item["TableName"]], frozenset({_partition(item)}))
                for action in arguments["TransactItems"]
                for kind, item in action.items()
            }
        case "BatchGetItem":
            return {
                Call("dynamodb:BatchGetItem", RESOURCES[table], frozenset(key["pk"]["S"] for key in wanted["Keys"]))
                for table, wanted in arguments["RequestItems"].items()
            }
        case "Query" if "IndexName" in arguments:
            return {Call("dynamodb:Query", f"{RESOURCES[arguments['TableName']]}/index/{arguments['IndexName']}")}
        case "Query":
            placeholder = re.match(r"\(*#?\w+ = (:\w+)", arguments["KeyConditionExpression"])
            assert placeholder, arguments["KeyConditionExpression"]
            keys = frozenset({arguments["ExpressionAttributeValues"][placeholder[1]]["S"]})
            return {Call("dynamodb:Query", RESOURCES[arguments["TableName"]], keys)}
    return {Call(f"dynamodb:{operation}", RESOURCES[arguments["TableName"]], frozenset({_partition(arguments)}))}


def _partition(item: dict[str, Any]) -> str:
    return str((item.get("Key") or item["Item"])["pk"]["S"])


def _statements(production: dict[str, Any], folder: str) -> list[dict[str, Any]]:
    role = "".join(word.capitalize() for word in folder.split("_")) + "FunctionRole"
    (policy,) = production["Resources"][role]["Properties"]["Policies"]
    statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return statements


def _allows(statement: dict[str, Any], call: Call) -> bool:
    if call.action not in statement["Action"] or call.resource not in set(map(_name, _listed(statement["Resource"]))):
        return False
    patterns = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
    return patterns is None or all(any(fnmatchcase(key, like) for like in patterns) for key in call.leading_keys)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(resource: Any) -> str:
    if isinstance(resource, dict):
        name: str = resource["Fn::GetAtt"][0]
        return name
    return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", resource)


def test_the_evaluation_itself_denies_other_kinds_of_item() -> None:
    statement = {
        "Action": ["dynamodb:GetItem"],
        "Resource": {"Fn::GetAtt": ["Table", "Arn"]},
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#POOL#*"]}},
    }
    check: Callable[..., bool] = lambda *call: _allows(statement, Call(*call))  # noqa: E731
    assert check("dynamodb:GetItem", "Table", frozenset({"t#POOL#1#00"}))
    assert not check("dynamodb:GetItem", "Table", frozenset({"t#U#1"}))
    assert not check("dynamodb:PutItem", "Table", frozenset({"t#POOL#1#00"}))
    assert not check("dynamodb:GetItem", "IdentityTable", frozenset({"t#POOL#1#00"}))
