"""Waiting for what a workflow does: looking again and again, ever more rarely, until it is done or time is up."""

from collections.abc import Callable
from typing import TypeVar

from holdfast.reservations.engine import Engine

_FIRST = 0.05
_LONGEST = 0.4
"""Seconds between two looks: the first, doubling to the longest."""

_T = TypeVar("_T")


def until(engine: Engine, seconds: float, look: Callable[[], _T], done: Callable[[_T], bool]) -> _T:
    """Return what `look` sees once it is `done`, or else when `seconds` are over, those that looking takes included."""
    started, paused, pause = engine.clock.now(), 0.0, _FIRST
    while True:
        seen = look()
        left = seconds - max(paused, (engine.clock.now() - started) / 1000)
        if done(seen) or left <= 0:
            return seen
        engine.retries.sleep(min(pause, left))
        paused += pause
        pause = min(2 * pause, _LONGEST)
