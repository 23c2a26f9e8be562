"""What a buyer brings back from the provider's page: that the order which awaits payment is paid, signed by them.

The webhook says the same; whichever comes first is taken.
"""

from dataclasses import replace

from holdfast.checkout import outcomes
from holdfast.checkout.charges import agrees, booked, key_of_attempt, request_of
from holdfast.checkout.desk import PaymentDesk
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.payments.port import ANSWERED, PaymentState
from holdfast.checkout.states import OrderState
from holdfast.platform.errors import PaymentFailed
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.tables import tenant_of


def awaits(order: OrderItem, choice: PaymentChoice) -> bool:
    """Return whether an order awaits the payment that this choice answers: asked without a token, answered with one."""
    asked = order.status == OrderState.AWAITING_PAYMENT and order.provider == choice.provider
    return asked and order.payment_token is None and choice.token is not None and choice.provider in ANSWERED


def take(desk: PaymentDesk, order: OrderItem, choice: PaymentChoice) -> OrderItem:
    """Take the buyer's answer to what the order asked for, and return the order; its workflow goes on if it is paid.

    Written in one transaction: the charge, the order's outcome. Raises PaymentFailed where the answer is not the
    provider's, ProviderUnavailable, and Busy.
    """
    charge = desk.engine.store.get(ChargeItem, key_of_attempt(order.key, order.attempt))
    if charge is None or order.outcome is not None:
        return order
    provider = desk.providers.provider(tenant_of(order.key), order.provider)
    payment = provider.authorise(replace(request_of(charge, order), token=choice.token))
    if payment.state is PaymentState.DECLINED:
        refusal = PaymentFailed()
        refusal.extra = {"order_id": order.id, "reason": payment.reason or "declined"}
        raise refusal
    if payment.state is PaymentState.PENDING or not agrees(charge, payment):
        return order
    beside = [booked(charge, payment, desk.engine.clock.now())]
    return outcomes.settle(desk.engine, desk.workflows, order.key, order.attempt, "paid", beside=beside)
