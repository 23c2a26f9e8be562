"""Accounts: what every one of their steps goes by, and how what they refuse is kept from telling who has one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from holdfast.identity.people import Directory
from holdfast.platform.errors import BadCredentials, CodeWrong
from holdfast.platform.identity_items import EmailItem
from holdfast.platform.tables import Keys
from holdfast.platform.user_pool import AccountPool


@dataclass(frozen=True)
class Accounts:
    """One warm function's view of accounts: who has them, in the store, and what lets them in, in the user pool."""

    directory: Directory
    pool: AccountPool
    sleep: Callable[[float], None] = time.sleep

    def wait_since(self, begun: int) -> None:
        """Wait for the next full second since `begun` (ms)."""
        self.sleep((1000 - (self.directory.clock.now() - begun) % 1000) / 1000)


@contextmanager
def refused_late(accounts: Accounts) -> Iterator[None]:
    """Let wrong passwords and codes be known only at the next full second since what is done here began.

    Whether there was an account to compare them with is then not to be read off the time.
    """
    begun = accounts.directory.clock.now()
    try:
        yield
    except (BadCredentials, CodeWrong):
        accounts.wait_since(begun)
        raise


def holder_of(accounts: Accounts, tenant: str, email: str) -> str:
    """Return whose account an e-mail address signs in to.

    For an address that is nobody's it is an id that nobody has, always the same for the address, so that what is then
    asked of the pool are the same calls.
    """
    found = accounts.directory.store.get(EmailItem, Keys(tenant).email(email))
    return nobody_of(email) if found is None else str(found.user_id)


def nobody_of(email: str) -> str:
    """Return the id that stands for an e-mail address where nobody has an account with it."""
    return f"nobody{sha256(email.encode()).hexdigest()[:24]}"
