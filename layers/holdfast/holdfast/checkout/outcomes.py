"""Where the token of a waiting task and what it waits for meet: in one item, whichever comes first (PROTOCOL.md 22)."""

import json
from collections.abc import Sequence
from typing import Literal

from pynamodb.expressions.update import Action

from holdfast.checkout.orders import change, writing
from holdfast.checkout.states import UNDER_WAY
from holdfast.platform.dynamodb import Write
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine

Outcome = Literal["paid", "failed", "deadline", "cancelled"]


def settle(
    engine: Engine,
    workflows: Workflows,
    key: Key,
    attempt: int,
    outcome: Outcome,
    reason: str | None = None,
    beside: Sequence[Write] = (),
) -> OrderItem:
    """Say what became of the payment that an order's `attempt` waits for; the first that is said counts.

    The waiting task is answered, if there is one; else the one that comes finds the outcome. Written in one
    transaction: the order's outcome, unless it has one or is not under way in this attempt, and what is `beside` it
    (conditional writes: one that fails is tried again). Returns the order; raises OrderNotFound and Busy.
    """

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        if not is_under_way(order, attempt) or order.outcome is not None:
            return beside or None
        return [writing(order, engine.clock.now(), [saying(outcome, reason)]), *beside]

    order = change(engine, key, prepare)
    return answer_again(engine, workflows, order.key, attempt)


def saying(outcome: Outcome, reason: str | None = None) -> Action:
    """Return what makes an order say what became of the payment that it waits for."""
    action: Action = OrderItem.outcome.set(json.dumps({"outcome": outcome, "reason": reason}))
    return action


def answer_again(engine: Engine, workflows: Workflows, key: Key, attempt: int) -> OrderItem:
    """Answer the task that waits for what is said of an order's `attempt`, if both are there; return the order."""
    order = change(engine, key, lambda _: None)
    if is_under_way(order, attempt) and order.outcome is not None and order.task_token is not None:
        workflows.answer(order.task_token, json.loads(order.outcome))
    return order


def wait(engine: Engine, workflows: Workflows, key: Key, attempt: int, task_token: str, task_try: int = 0) -> None:
    """Let the task with this token wait for what becomes of an order's `attempt`; what is known answers it at once.

    The task's own tries are counted from 0, and the token of a later one stays: what an earlier one says too late is of
    no use to anybody. Written: the order's token. An order that is not under way in this attempt any more is answered
    "cancelled". Raises OrderNotFound and Busy.
    """

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        if not is_under_way(order, attempt) or order.task_token == task_token:
            return None
        if order.task_token is not None and order.task_try > task_try:
            return None
        token = [OrderItem.task_token.set(task_token), OrderItem.task_try.set(task_try)]
        return [writing(order, engine.clock.now(), token)]

    change(engine, key, prepare)
    if not is_under_way(answer_again(engine, workflows, key, attempt), attempt):
        workflows.answer(task_token, {"outcome": "cancelled"})


def outcome_said(order: OrderItem) -> str | None:
    """Return what was said of the order's payment, if anything was."""
    outcome: str | None = json.loads(order.outcome)["outcome"] if order.outcome is not None else None
    return outcome


def reason_said(order: OrderItem) -> str | None:
    """Return the reason that came with what was said of the order's payment, if one did."""
    reason: str | None = json.loads(order.outcome)["reason"] if order.outcome is not None else None
    return reason


def may_be_paid(order: OrderItem) -> bool:
    """Return whether nothing else was said of the order's payment than that it is made."""
    return outcome_said(order) in (None, "paid")


def may_go_forward(order: OrderItem, attempt: int) -> bool:
    """Return whether steps of this attempt may still go forward: a run that undoes it shuts out all others."""
    return is_under_way(order, attempt) and not order.undoing


def undo(engine: Engine, key: Key, attempt: int) -> OrderItem:
    """See to it that no step of an order's `attempt` goes forward any more, whichever run takes it; return the order.

    One that was bought, or is closed, stays as it is. Written: the order. Raises OrderNotFound and Busy.
    """

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        if not may_go_forward(order, attempt):
            return None
        return [writing(order, engine.clock.now(), [OrderItem.undoing.set(True)])]

    return change(engine, key, prepare)


def was_bought(order: OrderItem, attempt: int) -> bool:
    """Return whether this attempt bought the order, if only for a while: nothing of it is undone but by a refund."""
    return order.attempt == attempt and order.completed_at is not None


def is_under_way(order: OrderItem, attempt: int) -> bool:
    """Return whether a workflow is at this attempt of the order."""
    return order.attempt == attempt and order.status in UNDER_WAY
