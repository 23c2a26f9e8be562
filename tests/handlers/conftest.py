"""The tables and queues of the functions on moto, which is good for one request at a time and no more."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from holdfast.platform import http, queues, revocation, tenancy
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.tables import IDENTITY_SCHEMA, SYNC_SCHEMA, TABLE_SCHEMA
from tests.handlers.account import IDENTITY, SYNC, TABLE, Aws, HandMovedClock, found_tenant
from tests.handlers.gateway import FUNCTIONS, Api, forget
from tests.handlers.user_pool import InMemoryCognito
from tests.handlers.user_pool import installed as installed_pool
from tests.workflow import Machines, installed

TOURS = {"adapter": "inventory", "base_url": "https://tours.example", "time_zone": "Asia/Singapore"}
"""The partner of the tests."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "CHECKOUT_SECONDS": "600",
    "CHECKOUT_WORKFLOW_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:holdfast-checkout",
    "DEFAULT_CURRENCY": "USD",
    "DEFAULT_PAYMENT_PROVIDERS": "sandbox",
    "EXTEND_SECONDS": "300",
    "HOLD_SECONDS": "600",
    "HOLD_SECONDS_MAX": "3600",
    "IDENTITY_TABLE_NAME": IDENTITY,
    "JWKS_URL": "http://localhost:1/jwks.json",
    "LISTING_HOLD_SECONDS": "900",
    "LOG_LEVEL": "INFO",
    "PARTNERS": json.dumps({"tours": TOURS}),
    "POWERTOOLS_METRICS_NAMESPACE": "Holdfast",
    "POWERTOOLS_SERVICE_NAME": "holdfast",
    "PUBLIC_DOMAIN": "tickets.example",
    "REFUND_WORKFLOW_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:holdfast-refund",
    "SECRETS_PREFIX": "/holdfast",
    "SYNC_TABLE_NAME": SYNC,
    "TABLE_NAME": TABLE,
    "TOKEN_CLIENT_ID": "client-of-the-tests",
    "TOKEN_ISSUER": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_tests",
    "USER_POOL_ID": "us-east-1_tests",
    "VENUE_HOLD_SECONDS": "900",
}

_OF_QUEUES = ("event_recorder", "expiry", "expiry_scheduler", "sync", "sync_fetcher", "sync_planner")
"""The functions that know a queue, of which each test has its own."""


@pytest.fixture(scope="module")
def _account() -> Iterator[tuple[Any, Any]]:
    """An account with all tables for the tests of a file, as its clients; the functions start cold in it."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_PROFILE"):
            environment.delenv(name, raising=False)
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        for name, schema in ((TABLE, TABLE_SCHEMA), (IDENTITY, IDENTITY_SCHEMA), (SYNC, SYNC_SCHEMA)):
            wanted = {key: value for key, value in schema.items() if not key.endswith("Specification")}
            dynamodb.create_table(TableName=name, **wanted)
        _forget_what_functions_share()
        _forget(folder.name for folder in FUNCTIONS.iterdir() if (folder / "app.py").is_file())
        yield dynamodb, sqs
        _forget_what_functions_share()


def _forget_what_functions_share() -> None:
    """Have what all functions share in this one process connected and read anew."""
    for kept in (queues.client, tenancy.tenants, tenancy._settings, http._origins):
        kept.cache_clear()


def _forget(names: Iterable[str]) -> None:
    for name in names:
        forget(name)


@pytest.fixture(autouse=True)
def aws(_account: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The account with empty tables and queues."""
    dynamodb, sqs = _account
    urls = {
        name: sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        for name in ("EXPIRY_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "SYNC_QUEUE_URL")
    }
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    _forget(name for name in _OF_QUEUES if (FUNCTIONS / name / "app.py").is_file())
    tenancy.tenants.cache_clear()
    account = Aws(dynamodb, sqs, *urls.values())
    account.empty()
    return account


@pytest.fixture(autouse=True)
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The workflows that functions start, run in this process."""
    return installed(monkeypatch)


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The pool in which accounts are, in memory."""
    return installed_pool(monkeypatch)


@pytest.fixture(autouse=True)
def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers stand as the authorizer passed them on; what becomes of revoked ones has tests of its own."""
    monkeypatch.setattr(revocation, "looked_at_anew", lambda caller: caller)


@pytest.fixture
def api() -> Api:
    """The API as a service key with every role reaches it, of an open tenant that no warm function knows."""
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    found_tenant(tenant)
    return Api(tenant)


@pytest.fixture
def store() -> Store:
    """The main table, as the library sees it."""
    return connect(TABLE)


@pytest.fixture
def identity_store() -> Store:
    """The identity table, as the library sees it."""
    return connect(IDENTITY)


@pytest.fixture
def sync_store() -> Store:
    """The synchronisation's table, as the library sees it."""
    return connect(SYNC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandMovedClock:
    """The clock of every function, in the hand of the test."""
    moved = HandMovedClock(SystemClock().now())
    monkeypatch.setattr(SystemClock, "now", lambda _: moved.milliseconds)
    return moved


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Start a function anew under other settings, until the end of the test."""
    started: list[str] = []

    def start(function: str, **settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        forget(function)
        started.append(function)

    yield start
    for function in started:
        forget(function)
