"""Waiting for what a workflow does: looking again and again, ever more rarely, until it is done or time is up."""

from collections.abc import Callable
from typing import TypeVar

from holdfast.reservations.engine import Engine

_FIRST = 0.05
_LONGEST = 0.4
"""Seconds between two looks: the first, doubling to the longest."""

_T = TypeVar("_T")


def until(engine: Engine, seconds: float, look: Callable[[], _T], done: Callable[[_T], bool]) -> _T:
    """Return what `look` sees once it is `done`, or else when `seconds` are over."""
    pause = _FIRST
    while True:
        seen = look()
        if done(seen) or seconds <= 0:
            return seen
        engine.retries.sleep(min(pause, seconds))
        seconds -= pause
        pause = min(2 * pause, _LONGEST)
