"""What rooms whose older clients confirm and cancel by routes of their own ask of the checkout, which they do not know.

What is confirmed is paid elsewhere; what is being paid is stopped; what was bought is given back. Whoever asks waits
until that is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.checkout import opening, refunds, stopping
from holdfast.checkout.charges import charge_for, key_for, request_of, state_of
from holdfast.checkout.looking import until
from holdfast.checkout.opening import EXTERNAL, FREE, PaymentChoice
from holdfast.checkout.payments.external import External
from holdfast.checkout.states import UNDER_WAY, OrderState, RefundStatus
from holdfast.platform.dynamodb import Put, Write, read
from holdfast.platform.errors import CheckoutUnderWay, NotRefundable, ReservationOver, Unavailable
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.tables import order_of, refund_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import total_of
from holdfast.reservations.states import State

PATIENCE = 10
"""Seconds for which a client is kept waiting, at most twice; the functions' own time is 28 s."""


@dataclass(frozen=True)
class Cashier:
    """Takes note of payments, stops checkouts and gives back, for a caller called `name`."""

    engine: Engine
    checkouts: Workflows
    refunds: Workflows
    name: str

    def paid_elsewhere(self, record: ReservationItem) -> tuple[OrderItem, Sequence[Write]]:
        """Return the order by which a held reservation is bought and paid elsewhere, or for nothing.

        With it come the writes that make it, to be made in the transaction of the confirmation. Raises CheckoutUnderWay
        where it is being paid here, and ReservationOver where there is nothing left to buy.
        """
        known = self.engine.store.get(OrderItem, order_of(record.key))
        if known is not None and known.status in UNDER_WAY:
            raise CheckoutUnderWay
        if known is not None and known.status != OrderState.PAYMENT_FAILED:
            raise ReservationOver
        order = _bought(record, known, self.engine.clock.now())
        put = Put(order, OrderItem.pk.does_not_exist() if known is None else OrderItem.version == known.version)
        if order.total_minor == 0:
            return order, [put]
        return order, [put, Put(_charge(order), ChargeItem.pk.does_not_exist())]

    def stop(self, record: ReservationItem) -> None:
        """Stop the checkout that a reservation is in, unless it is bought by then (see `stop`)."""
        stop(self.engine, self.checkouts, record)

    def give_back(self, record: ReservationItem, percent: int, keyed: KeyedRequest | None) -> None:
        """Give back all that a confirmed reservation bought, paying `percent` of its price back; twice is once.

        Raises NotRefundable where the money cannot be paid back, Unavailable where that is not known in time, and Busy.
        """
        order = opening.read_order(self.engine, order_of(record.key))
        refund = self._asked(order, percent, keyed)

        def over(now: ReservationItem | None) -> bool:
            return now is None or now.status != State.CONFIRMED or self._is_refused(refund)

        left = until(self.engine, PATIENCE, lambda: self.engine.store.get(ReservationItem, record.key), over)
        if not over(left):
            raise _still_at_it(order)
        if self._is_refused(refund):
            raise NotRefundable("The money could not be paid back; nothing was given back.")

    def _asked(self, order: OrderItem, percent: int, keyed: KeyedRequest | None) -> RefundItem | None:
        """Return the refund of all that is left of an order, or the one that is at it already; None if that is over."""
        name = refunds.name_for(order, keyed)
        wish = (order, None, lambda _: percent, self.name, stopping.CANCELLED, None, name)
        try:
            return refunds.request(self.engine, self.refunds, *wish)
        except NotRefundable:
            if any(refunds.left_of(opening.read_order(self.engine, order.key))):
                raise
        page = self.engine.store.query(order.pk, refund_of(order.key, "").sk)
        for refund in (read(RefundItem, raw) for raw in page.items):
            if refund.status not in refunds.OVER:
                refunds.start(self.refunds, refund)
                return refund
        return None

    def _is_refused(self, refund: RefundItem | None) -> bool:
        return refund is not None and refunds.read_refund(self.engine, refund.key).status == RefundStatus.FAILED


def stop(engine: Engine, checkouts: Workflows, record: ReservationItem) -> None:
    """Stop the order that buys a reservation, if there is one, unless it is bought by then.

    Raises Unavailable where that is not known in time, CheckoutUnderWay, and Busy.
    """
    order = engine.store.get(OrderItem, order_of(record.key))
    if order is not None and stopping.stop(engine, checkouts, order, PATIENCE).status in UNDER_WAY:
        raise _still_at_it(order)


def _bought(record: ReservationItem, known: OrderItem | None, now: int) -> OrderItem:
    """Return the order that says that a reservation is bought, following the failed attempt that is `known`."""
    choice = PaymentChoice(EXTERNAL if total_of(record) else FREE)
    order = opening.order_for(record, choice, now, 1 if known is None else known.attempt + 1)
    if known is not None:
        order.created_at, order.version = known.created_at, known.version + 1
    order.status = OrderState.COMPLETED.value
    order.captured_minor = order.refundable_minor = order.total_minor
    order.completed_at = now
    order.due = order.due_bucket = None
    return order


def _charge(order: OrderItem) -> ChargeItem:
    """Return the charge of an order that was paid elsewhere."""
    charge = charge_for(order, order.updated_at)
    provider = External()
    payment = provider.capture(provider.authorise(request_of(charge, order)), key_for(charge, "capture"))
    charge.status = state_of(payment).value
    charge.payment_id = payment.id
    charge.captured_minor = payment.captured_minor
    return charge


def _still_at_it(order: OrderItem) -> Unavailable:
    refusal = Unavailable("This is still being worked on. Repeat the request with the same Idempotency-Key.")
    refusal.extra = {"order_id": order.id}
    return refusal
