"""Holds that ran out unbought: how many a user has had, and when the last one was, on the user's own item.

Only those are counted that were made under a tenant's patience (`ReservationItem.watched`).
"""

from holdfast.claims.changes import CounterChange
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.tables import Key

LAPSES = "lapses"
LAPSED_AT = "lapsed_at"


def count(key: Key, now: int) -> CounterChange:
    """Return the change that counts one more, at `now` (ms); it needs nothing, so that no expiry can fail by it."""
    return CounterChange(key, {LAPSES: 1}, put={LAPSED_AT: now})


def forgive(key: Key) -> CounterChange:
    """Return the change that forgets them all; it needs nothing, so that no confirmation can fail by it."""
    return CounterChange(key, {}, removed=frozenset({LAPSES, LAPSED_AT}))


def at_most(key: Key, most: int, since: int) -> CounterChange:
    """Return the change that counts none, if there are at most `most`, and the last was not before `since` (ms)."""
    return CounterChange(key, {LAPSES: 0}, ceilings={LAPSES: most}, bases={LAPSED_AT: since})


def forget(key: Key, last: int) -> CounterChange:
    """Return the change that starts to count anew, if the last of them is still the one at `last` (ms)."""
    return CounterChange(key, {LAPSES: 0}, equal={LAPSED_AT: last}, put={LAPSES: 0}, removed=frozenset({LAPSED_AT}))


def lapses(limits: RawItem) -> tuple[int, int | None]:
    """Return how many there were, by a user's item, and when (ms) the last of them was."""
    last = limits.get(LAPSED_AT)
    return int(limits.get(LAPSES, {"N": "0"})["N"]), None if last is None else int(last["N"])
