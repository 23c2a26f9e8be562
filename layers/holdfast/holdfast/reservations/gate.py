"""The gate that a request passes before it takes anything: what it finds good is kept in the same transaction.

A gate may ask somebody outside (a captcha's provider), so it is passed once a request, and only by one that is no
replay: what was answered before is answered again without it (PROTOCOL.md 3).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from holdfast.platform.dynamodb import Reason, Write
from holdfast.platform.errors import HoldfastError

_Answer = TypeVar("_Answer")


class Gate:
    """What one request has to pass, once, however many attempts it takes to serve it; made anew for each request.

    `look` returns the writes that keep what let the request pass from being used twice, each with a condition, and
    raises what refuses it. `used` makes what refuses it where such a write is not made: it was used before.
    """

    def __init__(self, look: Callable[[], Sequence[Write]], used: Callable[[], HoldfastError]) -> None:
        self._look = look
        self._used = used
        self._writes: Sequence[Write] | None = None

    def let_in(self) -> Sequence[Write]:
        """Return the writes that belong in the transaction of what is let in; the first time, the gate is passed."""
        if self._writes is None:
            self._writes = self._look()
        return self._writes

    def refusal(self, reasons: Sequence[Reason | None]) -> HoldfastError | None:
        """Return what refuses the request, where those writes were not made for these reasons: it was used before."""
        failed = any(reason is not None and reason.condition_failed for reason in reasons)
        return self._used() if failed else None


def answered(gate: Gate, replay: Callable[[], _Answer | None]) -> _Answer | None:
    """Return what the same request was answered before, as `replay` finds it, or None once it has passed the gate.

    A request that is refused there may be a twin, whose other half passed by the same means and was served meanwhile.
    """
    known = replay()
    if known is not None:
        return known
    try:
        gate.let_in()
    except HoldfastError:
        known = replay()
        if known is None:
            raise
    return known
