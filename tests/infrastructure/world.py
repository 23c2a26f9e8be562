"""All functions in this process over an emulated AWS, and every call to AWS that each of them makes."""

import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from holdfast.abuse.captcha import gate
from holdfast.partners.limiter import Limiter, Pace
from holdfast.platform import http, queues, revocation, secrets, tenancy
from holdfast.platform import user_pool as accounts
from holdfast.platform.clock import SystemClock
from holdfast.platform.retries import Retries
from holdfast.platform.tables import IDENTITY_SCHEMA, SYNC_SCHEMA, TABLE_SCHEMA
from holdfast.platform.workflows import RunState
from local import build
from tests.handlers import tokens
from tests.handlers.gateway import resource_of
from tests.handlers.user_pool import InMemoryCognito
from tests.partner.server import PartnerServer
from tests.workflow import Machines

TENANT = "some-shop"
KEY = "key"
"""The tenant's own key, of all roles, which asks for everything unless somebody else is named."""
PREFIX = "/holdfast"
MACHINES = "arn:aws:states:us-east-1:123456789012:stateMachine:holdfast-"
PAIRS = "pairs"
"""The queue of the synchronisation."""
PARTNER = "tours"
"""The partner whose slots are sold."""
RESOURCES = {
    "table": "Table",
    "identity": "IdentityTable",
    "sync": "SyncTable",
    "expiry": "ExpiryQueue",
    "dead": "DeadLetterQueue",
    PAIRS: "SyncQueue",
}


def moment(hours: int) -> str:
    """Return the full hour so many hours from now."""
    full = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return (full + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


class LambdaContext:
    """As much of Lambda's context as the functions look at."""

    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    aws_request_id = "0"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


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
    queues: dict[str, str]
    partner: PartnerServer
    calls: dict[str, set[Call]] = field(default_factory=dict)
    running: str = ""
    pool: InMemoryCognito = field(default_factory=InMemoryCognito)
    contexts: dict[str, dict[str, str]] = field(default_factory=dict)
    """What the authorizer says of everybody who was let in, by a name of theirs."""
    credentials: dict[str, str] = field(default_factory=dict)
    loses_starts: bool = False
    """Whether nothing comes of a workflow's start."""

    def __post_init__(self) -> None:
        """Let the workflows call the functions of their tasks, each under its own name."""
        self.machines = Machines(partial(self.invoke, "checkout_claims"), partial(self.invoke, "checkout_payments"))

    def hurry(self, pace: Pace) -> None:
        """Have the fetcher ask its partner at another pace than a real one stands."""
        fetcher = self.folders["sync_fetcher"]
        fetcher._limiter = lambda store, name: Limiter(store, name, SystemClock(), Retries(), pace)

    @contextmanager
    def as_function(self, folder: str) -> Iterator[ModuleType]:
        before, self.running = self.running, folder
        try:
            yield self.folders[folder]
        finally:
            self.running = before

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """Do something that is no function's doing."""
        before, self.running = self.running, ""
        try:
            yield
        finally:
            self.running = before

    def workflow(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do what Step Functions is asked for, by the definitions themselves."""
        if operation == "SendTaskSuccess":
            self.machines.answer(arguments["taskToken"], json.loads(arguments["output"]))
            return {}
        machine = _machine_of(arguments)
        if operation == "StartExecution":
            if not self.loses_starts:
                self.machines.start(machine, arguments["name"], json.loads(arguments["input"]))
            return {}
        found = self.machines.state(machine, arguments["executionArn"].rpartition(":")[2])
        if found is None:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, operation)
        return {"status": "RUNNING" if found is RunState.RUNNING else "SUCCEEDED"}

    def invoke(self, folder: str, event: dict[str, Any]) -> Any:
        # Functions share this process, but not what each remembers of tenants and of their secrets.
        for remembered in (tenancy.tenants, gate._captchas, secrets.of_this_stack):
            remembered.cache_clear()
        with self.as_function(folder) as function:
            return function.handler(event, LambdaContext())

    def let_in(self, who: str, credential: str) -> None:
        """Have the authorizer say whose a credential is, to be called `who` from now on."""
        authorized = self.invoke("authorizer", tokens.token_event(f"Bearer {credential}"))
        assert "refusal" not in authorized["context"], authorized
        self.contexts[who] = authorized["context"]
        self.credentials[who] = credential

    def request(
        self,
        folder: str,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        key: str = "",
        refused: bool = False,
        who: str = KEY,
        wait: bool = False,
        captcha: str = "",
    ) -> Any:
        answer = self.invoke(folder, self.event(method, path, body, query, key, who, wait, captcha))
        expected = range(400, 600) if refused else range(200, 300)
        assert answer["statusCode"] in expected, f"{method} {path}: {answer['body']}"
        return json.loads(answer["body"]) if answer.get("body") else None

    def event(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
        key: str = "",
        who: str = KEY,
        wait: bool = False,
        captcha: str = "",
    ) -> dict[str, Any]:
        headers = {
            "authorization": f"Bearer {self.credentials[who]}",
            "content-type": "application/json",
            "x-tenant-id": TENANT,
        }
        headers |= {"idempotency-key": key} if key else {}
        headers |= {"prefer": "wait=5"} if wait else {}
        headers |= {"x-captcha-token": captcha} if captcha else {}
        return {
            "resource": resource_of(path),
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in (query or {}).items()} or None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "requestId": "r",
                "authorizer": self.contexts[who],
                "identity": {"sourceIp": "192.0.2.1"},
                "stage": "local",
                "path": path,
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """All functions over empty tables and queues, their calls written down."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "holdfast")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Holdfast")
    _forget_connections()
    with mock_aws(), tokens.published() as jwks, PartnerServer(limit=1_000) as partner:
        dynamodb = boto3.client("dynamodb")
        for name, schema in (("table", TABLE_SCHEMA), ("identity", IDENTITY_SCHEMA), ("sync", SYNC_SCHEMA)):
            declared = {key: value for key, value in schema.items() if key not in _NOT_OF_CREATE_TABLE}
            dynamodb.create_table(TableName=name, **declared)
        sqs = boto3.client("sqs")
        queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("expiry", "dead", PAIRS)}
        secret = {"Name": f"{PREFIX}/partners/{PARTNER}", "Value": json.dumps({"api_key": partner.api_key})}
        boto3.client("ssm").put_parameter(**secret, Type="SecureString")
        for name, value in {
            "TABLE_NAME": "table",
            "IDENTITY_TABLE_NAME": "identity",
            "EXPIRY_QUEUE_URL": queues["expiry"],
            "DEAD_LETTER_QUEUE_URL": queues["dead"],
            "SYNC_TABLE_NAME": "sync",
            "SYNC_QUEUE_URL": queues[PAIRS],
            "PARTNERS": json.dumps({PARTNER: {"adapter": "inventory", "base_url": partner.url}}),
            "HOLD_SECONDS": "600",
            "LISTING_HOLD_SECONDS": "900",
            "VENUE_HOLD_SECONDS": "900",
            "HOLD_SECONDS_MAX": "3600",
            "EXTEND_SECONDS": "60",
            "DEFAULT_CURRENCY": "USD",
            "CHECKOUT_SECONDS": "1",
            "CHECKOUT_WORKFLOW_ARN": f"{MACHINES}checkout",
            "REFUND_WORKFLOW_ARN": f"{MACHINES}refund",
            "SECRETS_PREFIX": PREFIX,
            "DEFAULT_PAYMENT_PROVIDERS": "sandbox",
            "JWKS_URL": jwks.url,
            "TOKEN_CLIENT_ID": tokens.CLIENT_ID,
            "TOKEN_ISSUER": tokens.ISSUER,
            "USER_POOL_ID": "us-east-1_tests",
        }.items():
            monkeypatch.setenv(name, value)
        folders = {path.parent.name: _module(path.parent.name) for path in build.ROOT.glob("functions/*/app.py")}
        made = World(folders, queues, partner)
        original = botocore.client.BaseClient._make_api_call

        def noted(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            if made.running:
                made.calls.setdefault(made.running, set()).update(_calls(service, operation, arguments))
            if service == "stepfunctions":
                return made.workflow(operation, arguments)
            return original(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        monkeypatch.setattr(accounts, "client", lambda: _NotedPool(made))
        yield made
    _forget_connections()


def _forget_connections() -> None:
    """Have what functions share in this one process connect anew."""
    for kept in (
        http._origins,
        queues.client,
        revocation._store,
        secrets._parameters,
        secrets.client,
        tenancy._settings,
        tenancy.tenants,
    ):
        kept.cache_clear()


@dataclass
class _NotedPool:
    """The client of the user pool, every call of which is written down."""

    world: World

    def __getattr__(self, operation: str) -> Any:
        action = "".join(word.capitalize() for word in operation.split("_"))
        # What people do themselves is not IAM's to allow.
        if action.startswith("Admin") or action in ("DescribeUserPoolClient", "ListUsers"):
            self.world.calls.setdefault(self.world.running, set()).add(Call(f"cognito-idp:{action}", "UserPool"))
        return getattr(self.world.pool, operation)


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
    if service == "ssm":
        return {Call(f"ssm:{operation}", f"parameters of {arguments['Name'].removeprefix(f'{PREFIX}/').split('/')[0]}")}
    if service == "stepfunctions":
        # A token names no machine; it is only ever the checkout that waits.
        machine = "checkout" if operation == "SendTaskSuccess" else _machine_of(arguments)
        of = "runs of " if operation == "DescribeExecution" else ""
        return {Call(f"states:{operation}", f"{of}{machine}")}
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


def _machine_of(arguments: dict[str, Any]) -> str:
    """Return which machine an ARN is of: "checkout" or "refund"."""
    arn: str = arguments.get("stateMachineArn") or arguments["executionArn"].rpartition(":")[0]
    return arn.rpartition("-")[2]


def _partition(item: dict[str, Any]) -> str:
    return str((item.get("Key") or item["Item"])["pk"]["S"])
