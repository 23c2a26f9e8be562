"""Whether a caller is still let in, for the routes that move money: asked of the identity table with each request."""

from functools import cache

from holdfast.platform import credentials
from holdfast.platform.caller import Caller
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.settings import IdentitySettings, settings


@cache
def _store() -> Store:
    return connect(settings(IdentitySettings).identity_table_name)


def looked_at_anew(caller: Caller) -> Caller:
    """Return the caller as the store has it now; raises Unauthorized, TenantSuspended and Unavailable."""
    return credentials.looked_at_anew(_store(), caller, SystemClock().now())
