"""The steps of a checkout on the goods, forward and back; each may run twice, and die before it has answered.

A step returns a business outcome for the workflow to branch on, and raises only for faults, which it retries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pynamodb.expressions.update import Action

from holdfast.checkout.charges import key_of_attempt
from holdfast.checkout.desk import Desk
from holdfast.checkout.opening import LATE, START_WITHIN, read_order
from holdfast.checkout.orders import change, writing
from holdfast.checkout.outcomes import is_under_way, may_go_forward, outcome_said, reason_said, undo, was_bought
from holdfast.checkout.states import OrderState
from holdfast.platform.dynamodb import Update, Write
from holdfast.platform.errors import HoldTaken, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.tables import Key, reservation_of
from holdfast.reservations import checking_out, ending
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.states import State

Outcomes = Mapping[str, Any]
"""What the steps of a run before this one answered, and which of them failed for good (`<step>_fault`)."""


@dataclass(frozen=True)
class Run:
    """What a workflow tells a step: which attempt of which order, and what came before."""

    order: Key
    attempt: int
    outcomes: Outcomes = field(default_factory=dict)

    @property
    def reservation(self) -> Key:
        """Return the key of the reservation that the order buys."""
        return reservation_of(self.order)

    def said(self, step: str) -> str | None:
        """Return what a step before this one answered, if it did."""
        outcome: str | None = (self.outcomes.get(step) or {}).get("outcome")
        return outcome


def begin(desk: Desk, run: Run) -> str:
    """Keep what is held until the deadline to pay by: "begun", or "free" for what costs nothing.

    "late" where the money is there already and the time was over, "lapsed" where nothing is held any more, "over" where
    the order is not under way in this attempt. Undone by `release`.
    """
    order = read_order(desk.engine, run.order)
    if not may_go_forward(order, run.attempt):
        return "over"
    if order.mode == LATE:
        return "late"

    def beside(record: ReservationItem) -> Sequence[Write]:
        return [_forward(desk, run, record, _payable_until(record.expires_at))]

    try:
        checking_out.begin(desk.engine, run.reservation, run.attempt, desk.checkout_seconds, beside)
    except (ReservationOver, ReservationNotFound):
        return "lapsed"
    return "free" if order.total_minor == 0 else "begun"


def confirm(desk: Desk, run: Run) -> str:
    """Sell what is held, or where its time was over take the same things again: "confirmed", or "taken".

    Undone by `withdraw`.
    """
    try:
        _confirm(desk, run)
    except (HoldTaken, ReservationOver, ReservationNotFound):
        return "taken"
    return "confirmed"


def complete(desk: Desk, run: Run) -> str:
    """Close the order as bought: "completed"."""

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        if not may_go_forward(order, run.attempt):
            return None
        now = desk.engine.clock.now()
        closing = _closing(OrderState.COMPLETED)
        return [writing(order, now, [*closing, OrderItem.completed_at.set(now), OrderItem.reason.remove()])]

    change(desk.engine, run.order, prepare)
    return "completed"


def release(desk: Desk, run: Run) -> str:
    """Undo `begin`: back to the hold as it was, or given back where its time is over or the buyer cancelled.

    Returns the reservation's state then; "confirmed" only where this checkout confirmed it, and `withdraw` is needed.
    What was bought after all stays so: "over".
    """
    order = undo(desk.engine, run.order, run.attempt)
    if was_bought(order, run.attempt):
        return "over"
    try:
        cancelled = outcome_said(order) == "cancelled"
        record = _reservation(desk, run)
        if record.status == State.CHECKING_OUT:
            leave = checking_out.abandon if cancelled else checking_out.go_back
            record = leave(desk.engine, run.reservation, run.attempt)
        elif record.status == State.HELD and cancelled and is_under_way(order, run.attempt):
            record = ending.cancel(desk.engine, run.reservation)
    except (ReservationNotFound, ReservationOver):
        return "over"
    if record.status == State.CONFIRMED and (record.checkout, order.attempt) != (run.attempt, run.attempt):
        return "over"
    return record.status


def withdraw(desk: Desk, run: Run) -> str:
    """Undo `confirm`: everything is on sale again, and the reservation is cancelled: "withdrawn"."""
    record = _reservation(desk, run)
    if record.status == State.CONFIRMED and record.checkout == run.attempt:
        ending.withdraw(desk.engine, run.reservation)
    return "withdrawn"


def close(desk: Desk, run: Run) -> str:
    """Close the order as not bought, in the state that follows from what became of its reservation: "closed"."""
    charge = desk.engine.store.get(ChargeItem, key_of_attempt(run.order, run.attempt))

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        if not is_under_way(order, run.attempt):
            return None
        record = desk.engine.store.get(ReservationItem, run.reservation)
        reason = reason_of(run, order, charge)
        state = state_of(run, record)
        closing = _closing(state)
        if record is not None and state is OrderState.PAYMENT_FAILED:
            closing.append(OrderItem.deadline.set(record.expires_at))
        return [writing(order, desk.engine.clock.now(), [*closing, OrderItem.reason.set(reason)])]

    change(desk.engine, run.order, prepare)
    return "closed"


def state_of(run: Run, record: ReservationItem | None) -> OrderState:
    """Return the state in which an order is closed that was not bought."""
    if record is None or record.status == State.EXPIRED:
        return OrderState.EXPIRED
    if record.status == State.HELD:
        return OrderState.PAYMENT_FAILED
    if record.status == State.CANCELLED and run.said("withdraw") is None:
        return OrderState.CANCELLED
    return OrderState.FAILED


def reason_of(run: Run, order: OrderItem, charge: ChargeItem | None) -> str:
    """Return why an order was not bought, as a stable word: the provider's own where it declined."""
    if run.said("begin") == "lapsed":
        return "hold_lapsed"
    if run.said("confirm") == "taken":
        return "paid_too_late" if order.mode == LATE else "hold_lapsed"
    if run.said("capture") == "failed":
        return "capture_failed"
    declined = (charge.reason if charge else None) or "declined"
    match run.said("authorise"):
        case "declined":
            return declined
        case "mismatch":
            return "amount_mismatch"
    match outcome_said(order):
        case "failed":
            return reason_said(order) or declined
        case "cancelled":
            return "cancelled"
        case "deadline":
            return "not_paid_in_time"
    if run.said("ask") == "unpaid":
        return "not_paid_in_time"
    return "provider_unavailable" if "authorise_fault" in run.outcomes else "internal_error"


STEPS: dict[str, Callable[[Desk, Run], str]] = {
    "begin": begin,
    "confirm": confirm,
    "complete": complete,
    "release": release,
    "withdraw": withdraw,
    "close": close,
}
"""The steps by the names that the workflow's definition calls them by."""


def _confirm(desk: Desk, run: Run) -> None:
    """Sell what is held; what runs out at this very moment is taken again, as what had run out before.

    Written with it: that the order is still under way, and nothing of it is being undone.
    """

    def beside(record: ReservationItem) -> Sequence[Write]:
        return [_forward(desk, run, record)]

    if _reservation(desk, run).status != State.EXPIRED:
        try:
            ending.confirm(desk.engine, run.reservation, beside, run.attempt)
        except ReservationOver:
            if _reservation(desk, run).status != State.EXPIRED:
                raise
        else:
            return
    reacquire(desk.engine, run.reservation, run.attempt, beside)


def _forward(desk: Desk, run: Run, record: ReservationItem, actions: Sequence[Action] = ()) -> Update:
    """Return the write that lets a step forward beside what it does to the order's reservation.

    Raises ReservationOver where the order is over, or being undone, or for something else than what is held.
    """
    order = read_order(desk.engine, run.order)
    if not may_go_forward(order, run.attempt) or not _is_of(order, record):
        raise ReservationOver
    return writing(order, desk.engine.clock.now(), actions)


def _reservation(desk: Desk, run: Run) -> ReservationItem:
    record = desk.engine.store.get(ReservationItem, run.reservation)
    if record is None:
        raise ReservationNotFound
    return record


def _is_of(order: OrderItem, record: ReservationItem) -> bool:
    """Return whether a reservation is what the order is for: an older client may have bought a part of it since."""
    return [line.attribute_values for line in order.lines] == [line.attribute_values for line in record.lines]


def _payable_until(deadline: int) -> list[Action]:
    """Return what makes an order say until when it has to be paid, and the sweeper look at it no sooner."""
    return [OrderItem.deadline.set(deadline), OrderItem.due.set(deadline + START_WITHIN)]


def _closing(state: OrderState) -> list[Action]:
    return [
        OrderItem.status.set(state.value),
        OrderItem.task_token.remove(),
        OrderItem.outcome.remove(),
        OrderItem.undoing.remove(),
        OrderItem.action.remove(),
        OrderItem.payment_token.remove(),
        OrderItem.due.remove(),
        OrderItem.due_bucket.remove(),
    ]
