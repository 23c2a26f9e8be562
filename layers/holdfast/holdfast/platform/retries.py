"""Bounded attempts with full jitter, for writes that met another writer (PROTOCOL.md 7)."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """How often a contended write is tried, and how long it waits in between.

    `attempts` is the number of tries in all; the wait before try n + 1 is random below `min(longest, first * 2 ** n)`
    milliseconds. The waits of eight attempts stay under a second in all; what the SDK waits inside an attempt that is
    throttled comes on top.
    """

    attempts: int = 8
    first: int = 10
    longest: int = 200
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __iter__(self) -> Iterator[int]:
        """Yield the attempts' numbers from 0, without waiting."""
        return iter(range(self.attempts))

    def wait(self, attempt: int) -> None:
        """Wait after attempt number `attempt` met another writer."""
        self.sleep(self.chance() * min(self.longest, self.first * 2**attempt) / 1000)
