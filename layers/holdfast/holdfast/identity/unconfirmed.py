"""Sign-ups that nobody confirmed in time: they are taken out of the user pool too, which would keep them for good.

What is left behind by a sign-up that broke off between the pool and the store goes the same way.
"""

from collections import Counter
from collections.abc import Callable

from holdfast.identity import people
from holdfast.identity.people import Directory
from holdfast.identity.sign_up import WAITS_SECONDS
from holdfast.platform.dynamodb import Delete
from holdfast.platform.logs import logger
from holdfast.platform.tables import Keys
from holdfast.platform.user_pool import Unconfirmed, UserPool

MOST = 1_000
"""How many are removed in one run at most; the next one goes on."""

_LEFT = "left"

_logger = logger()


def remove(directory: Directory, pool: UserPool, has_time: Callable[[], bool]) -> dict[str, int]:
    """Remove those whose time is over, while `has_time`; return how many were removed, and how many left by a fault.

    Raises Busy and Unavailable where the pool does not say who they are.
    """
    until = directory.clock.now() - WAITS_SECONDS * 1000
    done = Counter({"removed": 0, _LEFT: 0})
    after, more = None, True
    while more and has_time():
        page = pool.unconfirmed(after)
        for user in page.users:
            if user.since > until:
                continue
            if done.total() >= MOST or not has_time():
                return dict(done)
            done.update(filter(None, [_outcome(directory, pool, user)]))
        after, more = page.after, page.after is not None
    return dict(done)


def _outcome(directory: Directory, pool: UserPool, user: Unconfirmed) -> str | None:
    """Remove one of them; return what became of it, or None for somebody who is known after all.

    The sign-up goes first: without it no confirmation makes anybody of it, so that who is not known then never is.
    """
    try:
        directory.store.write(Delete(Keys(user.tenant).sign_up(user.user_id)))
        if people.look_up(directory, user.tenant, user.user_id) is not None:
            return None
        pool.remove(user.tenant, user.user_id)
    except Exception:
        # Whatever is wrong with one of them, the others are removed.
        _logger.exception("a sign-up is left for the next run", extra={"tenant": user.tenant, "user": user.user_id})
        return _LEFT
    return "removed"
