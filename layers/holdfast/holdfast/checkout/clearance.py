"""What a checkout has to pass before its order is written; the writes that this takes go into its transaction."""

from collections.abc import Sequence

from holdfast.platform.dynamodb import Reason, Write
from holdfast.platform.errors import HoldfastError
from holdfast.reservations.gate import Gate


class Clearance:
    """One request's way through its gate, if there is one, through all attempts to write its order."""

    def __init__(self, gate: Gate | None = None) -> None:
        self._gate = gate

    def writes(self) -> Sequence[Write]:
        """Return the writes that belong in the order's transaction; raises what refuses the request."""
        return self._gate.let_in() if self._gate is not None else ()

    def refusal(self, reasons: Sequence[Reason | None]) -> HoldfastError | None:
        """Return what refuses the request, where that is why those writes, for these reasons, were not made."""
        return self._gate.refusal(reasons) if self._gate is not None else None
