"""Steps of a state machine in which a call goes wrong: it conflicts, is throttled, or the function dies at it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, HoldfastError
from tests.engine.faults import Calls, Crash, Trouble, conflict, crash_after, crash_before, throttled

TROUBLES: dict[str, Trouble] = {
    "conflict": conflict,
    "throttled": throttled,
    "crash before": crash_before,
    "crash after": crash_after,
}


@dataclass(frozen=True)
class Mishap:
    """What goes wrong in a step, at which of its calls."""

    kind: str
    call: int


MISHAPS = st.none() | st.builds(Mishap, st.sampled_from(sorted(TROUBLES)), st.integers(0, 3))


class MeetsMishaps:
    """A state machine whose calls to DynamoDB may go wrong."""

    calls: Calls
    mishap_met: bool

    def expect_mishaps(self, store: Store) -> None:
        """Meet every call that the store makes from now on."""
        self.calls = Calls(store)
        self.mishap_met = False

    def attempt(self, mishap: Mishap | None, act: Callable[[], Any]) -> Any:
        """Do it, with a mishap; return its answer, or the exception that came instead."""
        self.calls.clear()
        if mishap is not None:
            self.calls.trouble(TROUBLES[mishap.kind], skip=mishap.call)
        made = len(self.calls.made)
        try:
            return act()
        except (HoldfastError, Crash) as instead:
            return instead
        finally:
            self.mishap_met = mishap is not None and len(self.calls.made) - made > mishap.call
            self.calls.clear()

    def may_fail(self, answer: Any) -> bool:
        """Return whether the answer is no answer, which only a mishap excuses."""
        if isinstance(answer, Busy | Crash):
            assert self.mishap_met, f"{answer!r} out of nothing"
            return True
        return False
