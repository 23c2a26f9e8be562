"""A shop on a table of its own, its calls to DynamoDB, and storms of buyers."""

from collections.abc import Callable, Iterator

import pytest
from botocore.session import get_session
from pynamodb.connection import Connection

from holdfast.platform.dynamodb import Store, connect
from local.dynamodb_local import DynamoDBLocal
from tests.engine.fair import Fair, opened
from tests.engine.faults import Calls
from tests.engine.shop import Shop
from tests.engine.storm import CLIENTS, Storm


@pytest.fixture
def shop(store: Store) -> Shop:
    """A shop with nothing on sale yet."""
    return Shop(store)


@pytest.fixture
def fair(shop: Shop) -> Fair:
    """The shop with something of every kind on sale."""
    return opened(shop)


@pytest.fixture
def calls(shop: Shop) -> Calls:
    """The shop's calls to DynamoDB."""
    return Calls(shop.store)


@pytest.fixture(scope="session")
def connections(dynamodb_local: DynamoDBLocal) -> list[Connection]:
    """One connection a client, each with a botocore client of its own, used by all storms."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dynamodb_local.environment.items():
            patch.setenv(name, value)
        made = [connect("storm")._connection for _ in range(CLIENTS)]
        models = get_session()
        for connection in made:
            connection._local.session = models
            assert connection.client
    return made


@pytest.fixture
def start(store: Store, connections: list[Connection]) -> Iterator[Callable[[int], Storm]]:
    """Make a storm ready, its chances drawn from a seed."""
    started: list[Storm] = []

    def make(seed: int) -> Storm:
        started.append(Storm(store, connections, seed))
        return started[-1]

    yield make
    for storm in started:
        storm.stop()
