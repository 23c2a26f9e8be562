"""Taking up what broke off: orders and refunds whose workflow was never started, or ended without closing them.

The sweeper finds them by the index of what is due; what a workflow left to people comes back by the queue that its dead
letters are sent back to. Both start a further run, under a name of its own, that goes on from what the items say.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from holdfast.checkout import opening
from holdfast.checkout.orders import change, writing
from holdfast.checkout.outcomes import is_under_way, was_bought
from holdfast.checkout.states import UNDER_WAY, RefundStatus
from holdfast.platform.dynamodb import Cancelled, Contended, Update, Write
from holdfast.platform.errors import Busy
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem, RefundItem
from holdfast.platform.tables import Key, execution_name, order_beside, reservation_of
from holdfast.platform.workflows import RunState, Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State

LOOK_AGAIN = 300_000
"""Milliseconds after which the sweeper looks again at a run that goes on."""

_OPEN_REFUNDS = (RefundStatus.PENDING, RefundStatus.PAID)


def resume_order(engine: Engine, workflows: Workflows, key: Key) -> bool:
    """Start the workflow of the order at `key` if nobody did, or a run that undoes or finishes what another left.

    Returns whether a run was started. One that goes on is looked at again later; one that was taken up before, and
    ended all the same, is left to people. Raises OrderNotFound, Busy and Unavailable.
    """
    order = opening.read_order(engine, key)
    if order.status not in UNDER_WAY:
        return False
    found = workflows.state(opening.run_name(order))
    if found is None:
        opening.start(workflows, order)
    again = f"{opening.run_name(order)}-again"
    if found is RunState.OVER:
        found = workflows.state(again)
        if found is None:
            workflows.start(again, _run(engine, order))
    change(engine, key, lambda order: _looked_at(engine, order, found))
    return found is None


def resume_refund(engine: Engine, workflows: Workflows, key: Key) -> bool:
    """Start the workflow of the refund at `key` if nobody did, or another run of it; see `resume_order`."""
    refund = engine.store.get(RefundItem, key)
    if refund is None or refund.status not in _OPEN_REFUNDS:
        return False
    name, again = execution_name(key), execution_name(key, "again")
    found = workflows.state(name)
    if found is RunState.OVER:
        name, found = again, workflows.state(again)
    if found is None:
        workflows.start(name, refund_run(key))
    due = _due(engine.clock.now(), found)
    action = RefundItem.due.remove() if due is None else RefundItem.due.set(due)
    # One that was written meanwhile says itself when it is to be looked at.
    with suppress(Contended, Cancelled):
        engine.store.write(Update(key, [action], RefundItem.version == refund.version))
    return found is None


def take_up(engine: Engine, machines: Mapping[str, Workflows], message: Mapping[str, Any], message_id: str) -> None:
    """Start a run for what another run left to people, once a message; raises ValueError for a message that is none.

    An order that is closed meanwhile has nothing left but a payment to void, and one that was bought not even that.
    Raises OrderNotFound, Busy and Unavailable.
    """
    try:
        machine, run = message["machine"], message["run"]
        workflows, order = machines[machine], Key(**run["order"])
        further = f"r{sha256(message_id.encode()).hexdigest()[:10]}"
        if machine == "refund":
            key = Key(**run["refund"])
            workflows.start(execution_name(key, further), refund_run(key))
            return
        attempt = int(run["attempt"])
    except (KeyError, TypeError) as wrong:
        raise ValueError("not what a workflow leaves") from wrong
    known = opening.read_order(engine, order)
    if was_bought(known, attempt):
        return
    if is_under_way(known, attempt) and workflows.state(opening.run_name(known)) is RunState.RUNNING:
        raise Busy
    further_run = _run(engine, known) if is_under_way(known, attempt) else {**run, "mode": "walk_back", "outcomes": {}}
    workflows.start(execution_name(order, attempt, further), further_run)


def refund_run(key: Key) -> dict[str, Any]:
    """Return the input of a run of the refund at `key`."""
    return {"order": order_beside(key)._asdict(), "refund": key._asdict(), "outcomes": {}}


def _run(engine: Engine, order: OrderItem) -> dict[str, Any]:
    """Return the input of a run that finishes an order whose goods are sold and paid, and else undoes it."""
    record = engine.store.get(ReservationItem, reservation_of(order.key))
    sold = record is not None and record.status == State.CONFIRMED and record.checkout == order.attempt
    paid = order.captured_minor == order.total_minor and not order.undoing
    mode = "complete" if sold and paid else "walk_back"
    return {"order": order.key._asdict(), "attempt": order.attempt, "mode": mode, "outcomes": {}}


def _looked_at(engine: Engine, order: OrderItem, found: RunState | None) -> Sequence[Write] | None:
    if order.status not in UNDER_WAY:
        return None
    now = engine.clock.now()
    due = _due(now, found)
    return [writing(order, now, [OrderItem.due.remove() if due is None else OrderItem.due.set(due)])]


def _due(now: int, found: RunState | None) -> int | None:
    """Return when to look again at something whose last run is in this state; None for never."""
    return None if found is RunState.OVER else now + LOOK_AGAIN
