"""A till for the tests of checkouts."""

import pytest

from holdfast.platform.dynamodb import Store
from tests.checkout.till import Till


@pytest.fixture
def till(store: Store, monkeypatch: pytest.MonkeyPatch) -> Till:
    """A till at which everything is on sale, and nothing is held."""
    return Till(store, monkeypatch)
