"""How often a user does something: counted by the minute on the user's own item (PROTOCOL.md 26).

A minute's counter is one of 16 attributes that take turns, so that nobody has to know which old ones there are. Its
value says which minute it counts, `minute * 10_000 + count`, so that one of 16 minutes ago is not taken for this one.
Each write takes the old ones away, but for the minutes before and after its own: a write of the minute before may
still be on its way, and another function's clock may be ahead.
"""

from holdfast.claims.changes import CounterChange
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.tables import Key

WINDOW_SECONDS = 60
MOST = 9_999
"""The highest limit a minute that can be counted."""

_SLOTS = 16
_WINDOW = WINDOW_SECONDS * 1000


def count(key: Key, what: str, now: int, most: int, seen: RawItem) -> CounterChange:
    """Return the change that counts one more of `what` in the minute of `now` (ms), if it then has no more than `most`.

    `seen` is the item as it was last seen: what it says of an older minute is overwritten.
    """
    name, base = _slot(what, now), _base(now)
    old = frozenset(_slot(what, now + away * _WINDOW) for away in range(2, _SLOTS - 1))
    said = _said(seen, what, now)
    if 0 < said < base:
        return CounterChange(key, {name: 1}, equal={name: said}, put={name: base}, removed=old)
    return CounterChange(key, {name: 1}, ceilings={name: base + most}, bases={name: base}, removed=old)


def counted(limits: RawItem, what: str, now: int) -> int:
    """Return how often a user's item says that `what` was done in the minute of `now` (ms)."""
    return max(0, _said(limits, what, now) - _base(now))


def seconds_left(now: int) -> int:
    """Return in how many seconds, at least 1, the minute of `now` (ms) is over."""
    return -(-(_WINDOW - now % _WINDOW) // 1000)


def _said(limits: RawItem, what: str, now: int) -> int:
    return int(limits.get(_slot(what, now), {"N": "0"})["N"])


def _base(now: int) -> int:
    return now // _WINDOW * (MOST + 1)


def _slot(what: str, now: int) -> str:
    return f"{what}#{now // _WINDOW % _SLOTS}"
