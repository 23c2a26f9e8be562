"""Time as the engine sees it: whole milliseconds since 1970-01-01T00:00:00Z, from an injected clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

_SLEEPS = 3


class Clock(Protocol):
    """Anything that tells the time; tests bring one that they move by hand."""

    def now(self) -> int:
        """Return the milliseconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """Return the milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000


def wait_until(due: int, clock: Clock, sleep: Callable[[float], None]) -> None:
    """Sleep until the clock says `due` (ms); a sleep may end a little before the clock that conditions go by."""
    for _ in range(_SLEEPS):
        ahead = due - clock.now()
        if ahead <= 0:
            return
        sleep(ahead / 1000)


def to_datetime(milliseconds: int) -> datetime:
    """Return the aware UTC time of `milliseconds` since the epoch, exact to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def to_text(milliseconds: int) -> str:
    """Return the RFC 3339 text of `milliseconds` since the epoch, such as `2026-03-01T10:00:00.250Z`."""
    return to_datetime(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
