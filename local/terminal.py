"""What a person at a terminal sees: numbered steps, and one clear sentence when something fails."""

import signal
import sys
import time
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    """Something that stops the command; the message is one clear sentence for a person."""


class Stopped(Exception):
    """Somebody asked the process to end."""


def stop_when_asked() -> None:
    """Raise Stopped when Ctrl-C or a signal asks the process to end."""
    for handled in _ASKING:
        signal.signal(handled, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not interrupt the stopping.
    for handled in _ASKING:
        signal.signal(handled, signal.SIG_IGN)
    raise Stopped(number)


class Steps:
    """Prints each step as it starts and how long it took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._started = time.monotonic()

    def begin(self, sentence: str) -> None:
        """Announce the next step."""
        self._number += 1
        print(f"[{self._number}/{self._total}] {sentence} ...", flush=True)

    def seconds(self) -> float:
        """Seconds since the first step."""
        return time.monotonic() - self._started


def fail(failure: Failure) -> int:
    """Print a failure on stderr; returns the exit code that says so."""
    print(f"\nHoldfast could not go on: {failure}", file=sys.stderr, flush=True)
    return 1


def said_last(printed: str, lines: int = 15) -> str:
    """The end of what a failed program printed: from its own line of error on, where it has one."""
    found = printed.strip().splitlines()
    errors = [number for number, line in enumerate(found) if line.startswith("Error")]
    return "\n".join(found[errors[-1] :] if errors else found[-lines:])
