"""A captcha provider's server for each test."""

from collections.abc import Iterator

import pytest

from tests.abuse.outside import Outside


@pytest.fixture
def outside() -> Iterator[Outside]:
    """The server, which has nothing to say yet."""
    running = Outside()
    yield running
    running.stop()
