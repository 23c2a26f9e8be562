"""What the partner can be told to do wrong."""

import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """How an answer is wrong."""

    SLOW = "slow"
    """It comes after `seconds`."""
    FAIL = "fail"
    """It is an error of `status`."""
    LIMITED = "limited"
    """It is a 429 although there is room, with `reset` as it stands (no matter what that is)."""
    BAD_JSON = "bad_json"
    """It ends in the middle, as a whole HTTP answer."""
    NOT_AN_ARRAY = "not_an_array"
    """It is an object."""
    MISSING_FIELDS = "missing_fields"
    """Its first slot says nothing of how many are left."""
    NEGATIVE = "negative"
    """Its first slot has less than nothing left."""
    HUGE = "huge"
    """It goes on for `megabytes`."""
    DROP = "drop"
    """There is none: the connection ends."""
    CUT = "cut"
    """The connection ends in the middle of it."""


@dataclass
class Fault:
    """A fault for one product, or for all; `times` counts down, and None is until it is cleared."""

    kind: FaultKind
    product: str | None = None
    times: int | None = None
    seconds: float = 10.0
    status: int = 503
    reset: Any = None
    megabytes: int = 6

    def is_for(self, product: str) -> bool:
        """Return whether a request for this product meets it."""
        return self.times != 0 and self.product in (None, product)

    def met(self) -> None:
        """Count a request that met it."""
        if self.times is not None:
            self.times -= 1


def lied(kind: FaultKind, answer: Any) -> Any:
    """Return an answer with its first slot told wrong; one that has no slot is as it was."""
    if not (isinstance(answer, list) and answer and isinstance(answer[0], dict)):
        return answer
    wrong = copy.deepcopy(answer)
    if kind is FaultKind.MISSING_FIELDS:
        del wrong[0]["remaining"]
    else:
        wrong[0]["remaining"] = -1
    return wrong
