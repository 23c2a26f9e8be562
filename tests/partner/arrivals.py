"""The partner's own limit, and the log by which it is judged: every request's arrival, by the partner's clock."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

DROPPED = 0
"""The status in the log of a request whose connection was dropped."""


@dataclass(frozen=True)
class Arrival:
    """A request that came at `at` (epoch ms), refused ones too; `status` is what it was answered, or DROPPED."""

    at: int
    product: str
    date: str
    status: int


def most_in_window(log: Iterable[Arrival], window: float) -> int:
    """Return how many requests came in the fullest window of so many seconds, whatever they were answered."""
    times = sorted(arrival.at for arrival in log)
    return max((bisect_left(times, start + window * 1000) - index for index, start in enumerate(times)), default=0)


class Limit:
    """At most so many requests in any window of so many seconds; those that it refuses do not count."""

    def __init__(self, requests: int, window: float) -> None:
        self._window = window * 1000
        self._taken: deque[int] = deque(maxlen=requests)

    def take(self, now: int) -> int | None:
        """Take one of the requests; where there is none left, return when (ms) there is one again."""
        if len(self._taken) == self._taken.maxlen and now < self._taken[0] + self._window:
            return round(self._taken[0] + self._window)
        self._taken.append(now)
        return None
