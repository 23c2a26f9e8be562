"""What a checkout has to pass before its order is written; the writes that this takes go into its transaction."""

from collections.abc import Sequence

from holdfast.platform.dynamodb import Reason, Write
from holdfast.platform.errors import HoldfastError
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key
from holdfast.reservations.gate import Gate
from holdfast.reservations.pace import CHECKOUTS, Pace


class Clearance:
    """One request's way through its gate and its user's limit a minute, through all attempts to write its order.

    `limits` is the key of the user's limits; `policy` is what the tenant has set, and there may be no `gate`.
    """

    def __init__(self, limits: Key, policy: Policy = UNSET, gate: Gate | None = None) -> None:
        self._pace = Pace(limits, CHECKOUTS, policy.checkouts_per_minute)
        self._gate = gate
        self._asked_at = 0

    def let_in(self) -> Sequence[Write]:
        """Pass the gate, if there is one, and return the writes that this takes; raises what refuses the request."""
        return self._gate.let_in() if self._gate is not None else ()

    def writes(self, now: int) -> list[Write]:
        """Return the writes for an attempt made at `now` (ms); raises what refuses the request."""
        self._asked_at = now
        return [*self.let_in(), *(change.write() for change in self._pace.changes(now))]

    def refusal(self, reasons: Sequence[Reason | None]) -> HoldfastError | None:
        """Return what refuses the request, where the last attempt's writes were not made for these reasons.

        None where another attempt may do, with what was learnt of the user's pace.
        """
        of_gate = len(self.let_in())
        used = self._gate.refusal(reasons[:of_gate]) if self._gate is not None else None
        if used is not None:
            return used
        for reason in reasons[of_gate:]:
            if reason is not None and reason.condition_failed:
                return self._pace.learn(reason.item or {}, self._asked_at)
        return None
