"""What follows from a payment that a provider tells of: one pure table over the states of order, charge and payment.

A payment belongs to the charge of the attempt that its metadata name; another payment beside that nobody asked for.
What was learnt is never unlearnt: once the money of a charge is known to be there, or to be back, no event takes that
back, in whichever order events come. Money in an order that is closed as not paid is never left there, but for what
could not be paid back: that is its fee (`failed_refunds`), and for people.
"""

from enum import StrEnum
from hashlib import sha256

from holdfast.checkout.charges import agrees, state_of
from holdfast.checkout.opening import LATE
from holdfast.checkout.payments.port import Payment, PaymentState
from holdfast.checkout.states import BOUGHT, UNDER_WAY, ChargeState, OrderState
from holdfast.platform.order_items import ChargeItem, OrderItem


class Transition(StrEnum):
    """The one thing that is to happen."""

    KEEP = "nothing_new"
    """Nothing: it is known, or changes nothing."""
    PAID = "paid"
    """The order's workflow is told that its payment is made."""
    MISMATCHED = "amount_mismatch"
    """The workflow is told that another amount, or currency, was paid than was asked for: it gives it back."""
    FAILED = "failed"
    """The workflow is told that the payment will not be made."""
    LATE = "late"
    """The money came when the order was closed as not paid: what it was for is bought after all, if it can be.

    That is tried once: what cannot be bought with late money is not tried again.
    """
    RETURN = "returned"
    """The money of the charge came too late for anything: it is paid back."""
    STRAY = "stray"
    """Nobody asked for this payment: it becomes a charge of its own, and is paid back."""
    NOT_YET = "not_yet"
    """The order's workflow is undoing this very payment; what is to happen shows once it is through."""


PAYING_BACK = frozenset({Transition.RETURN, Transition.STRAY})
"""The transitions that end in a refund."""

ABOUT_CLOSED_ORDERS = PAYING_BACK | {Transition.LATE}
"""The transitions that no workflow checks: the provider is asked before them, since an event may be old."""

_WITH_MONEY = frozenset({ChargeState.AUTHORISED, ChargeState.COMPLETED})
_KNOWN = _WITH_MONEY | {ChargeState.REFUNDED}
_MAY_BE_LATE = frozenset({OrderState.PAYMENT_FAILED, OrderState.EXPIRED})
_NEVER_MADE = frozenset({PaymentState.DECLINED, PaymentState.VOIDED})


def decide(order: OrderItem, charge: ChargeItem | None, payment: Payment, attempt: int) -> Transition:
    """Return what is to happen once `payment`, for the `attempt` that its metadata name, is as it is.

    `charge` is that attempt's with the same provider, None where it has none.
    """
    if charge is None or charge.payment_id not in (None, payment.id):
        return Transition.STRAY if has_money(payment) else Transition.KEEP
    if order.attempt == attempt and order.status in UNDER_WAY:
        return _decide_under_way(order, charge, payment)
    if charge.status == ChargeState.REFUNDED or not has_money(payment):
        return Transition.KEEP
    if order.attempt != attempt:
        return Transition.RETURN
    if order.status in _MAY_BE_LATE:
        if order.fee_minor:
            return Transition.KEEP
        buys = agrees(charge, payment) and order.mode != LATE
        return Transition.LATE if buys else Transition.RETURN
    return Transition.KEEP if order.status in BOUGHT or knows(charge, payment) else Transition.RETURN


def has_money(payment: Payment) -> bool:
    """Return whether there is money in a payment: set aside, or taken and not paid back whole."""
    return state_of(payment) in _WITH_MONEY


def knows(charge: ChargeItem, payment: Payment) -> bool:
    """Return whether a charge that is to be paid back says all of the money in its payment already."""
    return charge.status in (ChargeState.COMPLETED, state_of(payment))


def stray_name(payment_id: str) -> str:
    """Return the name of the charge that a payment becomes which nobody asked for: always the same."""
    return f"s{sha256(payment_id.encode()).hexdigest()[:16]}"


def _decide_under_way(order: OrderItem, charge: ChargeItem, payment: Payment) -> Transition:
    """Return what is to happen while a workflow is at the attempt.

    The workflow can be told only while it has heard nothing and undone nothing yet; later it finds the money itself, or
    the order will be closed by the time that the provider tells of it again.
    """
    if charge.status in _KNOWN:
        return Transition.KEEP
    open_still = charge.status == ChargeState.CREATED and order.outcome is None and not order.undoing
    if has_money(payment):
        if not open_still:
            return Transition.NOT_YET
        return Transition.PAID if agrees(charge, payment) else Transition.MISMATCHED
    return Transition.FAILED if open_still and payment.state in _NEVER_MADE else Transition.KEEP
