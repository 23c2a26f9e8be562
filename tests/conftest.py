"""DynamoDB Local for the tests of the engine and its properties, and a fresh table for each of them."""

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.tables import TABLE_SCHEMA
from local.dynamodb_local import DynamoDBLocal, unavailable


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBLocal]:
    """One DynamoDB Local for all tests; skipped with the reason where it cannot run, unless it is demanded."""
    reason = unavailable()
    if reason is not None:
        if os.environ.get("HOLDFAST_REQUIRE_ENGINE") == "1":
            pytest.fail(f"{reason}, and HOLDFAST_REQUIRE_ENGINE demands it")
        pytest.skip(reason)
    with DynamoDBLocal() as running:
        yield running


@pytest.fixture(scope="session")
def new_table(dynamodb_local: DynamoDBLocal) -> Callable[[], str]:
    """Make an empty main table, as the template declares it but for its stream; returns its name.

    Nothing here reads a stream, and DynamoDB Local grows slower with each that it keeps.
    """
    client = dynamodb_local.client()
    left_out = ("TimeToLiveSpecification", "StreamSpecification")
    declared = {key: value for key, value in TABLE_SCHEMA.items() if key not in left_out}

    def make() -> str:
        name = f"holdfast-{uuid.uuid4().hex}"
        client.create_table(TableName=name, **declared)
        return name

    return make


@pytest.fixture
def store(dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store over an empty table of its own."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    return connect(new_table())
