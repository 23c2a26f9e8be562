"""One world for all tests of a file, on moto: what is refused leaves it as it was, and what is not is put back."""

import copy
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from holdfast.platform import queues, revocation, tenancy
from holdfast.platform.dynamodb import connect
from holdfast.platform.tables import IDENTITY_SCHEMA, SYNC_SCHEMA, TABLE_SCHEMA
from tests.access.world import World
from tests.handlers import tokens, user_pool
from tests.handlers.account import IDENTITY, SYNC, TABLE, Aws
from tests.handlers.conftest import ENVIRONMENT
from tests.handlers.gateway import FUNCTIONS, forget
from tests.workflow import installed


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The world, with functions that start cold in it."""
    with pytest.MonkeyPatch.context() as monkeypatch, mock_aws(), tokens.published() as keys:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("JWKS_URL", keys.url)
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        for name, schema in ((TABLE, TABLE_SCHEMA), (IDENTITY, IDENTITY_SCHEMA), (SYNC, SYNC_SCHEMA)):
            dynamodb.create_table(
                TableName=name, **{k: v for k, v in schema.items() if not k.endswith("Specification")}
            )
        queue = sqs.create_queue(QueueName="expiries")["QueueUrl"]
        for name in ("EXPIRY_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "SYNC_QUEUE_URL"):
            monkeypatch.setenv(name, queue)
        _start_cold()
        installed(monkeypatch)
        pool = user_pool.installed(monkeypatch)
        yield World(Aws(dynamodb, sqs, queue, queue, queue), connect(TABLE), connect(IDENTITY), pool)
    _start_cold()


def _start_cold() -> None:
    queues.client.cache_clear()
    revocation._store.cache_clear()
    tenancy.tenants.cache_clear()
    for folder in FUNCTIONS.iterdir():
        if (folder / "app.py").is_file():
            forget(folder.name)


@pytest.fixture
def put_back(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, which is as it was once the test is over; no workflow has run in it but those that made it."""
    installed(monkeypatch)
    tables: dict[str, Any] = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables
    kept = {name: copy.deepcopy(table.items) for name, table in tables.items()}
    users = copy.deepcopy(world.pool.users)
    yield world
    world.pool.users = users
    for name, items in kept.items():
        tables[name].items = items
