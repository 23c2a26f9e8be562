"""A shop on a table of its own, and its calls to DynamoDB."""

import pytest

from holdfast.platform.dynamodb import Store
from tests.engine.faults import Calls
from tests.engine.shop import Shop


@pytest.fixture
def shop(store: Store) -> Shop:
    """A shop with nothing on sale yet."""
    return Shop(store)


@pytest.fixture
def calls(shop: Shop) -> Calls:
    """The shop's calls to DynamoDB."""
    return Calls(shop.store)
