"""Charges: what an order's payments are, as their provider has them, and how that is written down."""

import json
from collections.abc import Sequence

from pynamodb.expressions.update import Action

from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState
from holdfast.checkout.states import ChargeState
from holdfast.platform.dynamodb import Update
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.tables import Key, charge_of, execution_name, tenant_of

_STATES = {
    PaymentState.PENDING: ChargeState.CREATED,
    PaymentState.AUTHORISED: ChargeState.AUTHORISED,
    PaymentState.CAPTURED: ChargeState.COMPLETED,
    PaymentState.DECLINED: ChargeState.FAILED,
    PaymentState.VOIDED: ChargeState.VOIDED,
}


def name_of_attempt(attempt: int) -> str:
    """Return the name of the charge of an order's attempt."""
    return f"{attempt:02d}"


def key_of_attempt(order: Key, attempt: int) -> Key:
    """Return the key of the charge of an order's attempt."""
    return charge_of(order, name_of_attempt(attempt))


def charge_for(order: OrderItem, now: int) -> ChargeItem:
    """Return the charge of an order's present attempt, as it is to be written at `now` (ms)."""
    return ChargeItem(
        *key_of_attempt(order.key, order.attempt),
        user_id=order.user_id,
        status=ChargeState.CREATED.value,
        attempt=order.attempt,
        provider=order.provider,
        payment_token=order.payment_token,
        amount_minor=order.total_minor,
        currency=order.currency,
        version=1,
        created_at=now,
        updated_at=now,
    )


def request_of(charge: ChargeItem, order: OrderItem) -> PaymentRequest:
    """Return what the provider is asked for."""
    return PaymentRequest(
        tenant=tenant_of(charge.key),
        order_id=order.id,
        attempt=charge.attempt,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        token=charge.payment_token,
        key=key_for(charge, "authorise"),
        asked_at=charge.created_at,
    )


def key_for(charge: ChargeItem, call: str) -> str:
    """Return the idempotency key of a call to the provider about a charge: always the same."""
    return execution_name(charge.key, call)


def agrees(charge: ChargeItem, payment: Payment) -> bool:
    """Return whether a payment is of what the charge asks for, and all of it is here still where it was taken."""
    here = payment.captured_minor - payment.refunded_minor if payment.state is PaymentState.CAPTURED else None
    wanted = (charge.amount_minor, charge.currency)
    return wanted == (payment.amount_minor, payment.currency) and here in (None, charge.amount_minor)


def booked(charge: ChargeItem, payment: Payment, now: int) -> Update:
    """Return the write that makes a charge what its provider's books say, if nobody wrote it since it was read."""
    actions: list[Action] = [
        ChargeItem.status.set(state_of(payment).value),
        ChargeItem.payment_id.set(payment.id),
        ChargeItem.payment_token.remove(),
        ChargeItem.captured_minor.set(payment.captured_minor),
        ChargeItem.refunded_minor.set(payment.refunded_minor),
        ChargeItem.version.add(1),
        ChargeItem.updated_at.set(now),
    ]
    if payment.reason is not None:
        actions.append(ChargeItem.reason.set(payment.reason))
    actions.append(
        ChargeItem.action.remove()
        if payment.action is None
        else ChargeItem.action.set(json.dumps(dict(payment.action)))
    )
    return Update(charge.key, actions, ChargeItem.version == charge.version)


def state_of(payment: Payment) -> ChargeState:
    """Return the state of a charge whose payment is this; one that was wholly paid back is refunded."""
    paid_back = payment.state is PaymentState.CAPTURED and payment.refunded_minor >= payment.captured_minor > 0
    return ChargeState.REFUNDED if paid_back else _STATES[payment.state]


def totals(captured_minor: int, refunded_minor: int, refundable_minor: int) -> Sequence[Action]:
    """Return what makes an order say how its money stands."""
    return [
        OrderItem.captured_minor.set(captured_minor),
        OrderItem.refunded_minor.set(refunded_minor),
        OrderItem.refundable_minor.set(refundable_minor),
    ]
