"""A Stripe server that is not ours, for all tests that ask one."""

from collections.abc import Iterator

import pytest

from tests.payments.local_stripe import LocalStripe


@pytest.fixture(scope="session")
def local_stripe() -> Iterator[LocalStripe]:
    """One localstripe for all tests."""
    with LocalStripe() as running:
        yield running
