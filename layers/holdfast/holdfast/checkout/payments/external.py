"""The provider of what is paid elsewhere: it believes whoever may name it, moves no money and keeps no books.

Only a service key may name it (PROTOCOL.md 24), so every answer is the one that was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, ProviderEvent, Refund, RefundState
from holdfast.platform.errors import SignatureRefused


class External:
    """Payments that somebody else makes, and tells us of by checking out."""

    name = "external"

    def authorise(self, request: PaymentRequest) -> Payment:
        """Return the payment as authorised; its id follows from the order and the attempt."""
        return Payment(
            id=f"external-{request.order_id}-{request.attempt}",
            state=PaymentState.AUTHORISED,
            amount_minor=request.amount_minor,
            currency=request.currency,
            order_id=request.order_id,
            attempt=request.attempt,
        )

    def find(self, payment_id: str) -> Payment | None:
        """Return None: without books, nothing is known of a payment by its id alone."""
        return None

    def find_by_order(self, request: PaymentRequest) -> Payment | None:
        """Return the payment as authorised, as `authorise` does."""
        return self.authorise(request)

    def capture(self, payment: Payment, key: str) -> Payment:
        """Return the payment as captured."""
        return replace(payment, state=PaymentState.CAPTURED, captured_minor=payment.amount_minor)

    def void(self, payment: Payment, key: str) -> Payment:
        """Return the payment as voided."""
        return replace(payment, state=PaymentState.VOIDED)

    def refund(self, payment: Payment, amount_minor: int, key: str) -> Refund:
        """Return the refund as paid; whoever took the money pays it back."""
        return Refund(f"external-{key}", RefundState.PAID, amount_minor)

    def refunds_of(self, payment_id: str) -> Sequence[Refund]:
        """Return none: nothing is known here of what was paid back."""
        return []

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Raise SignatureRefused: nobody sends events of these."""
        raise SignatureRefused
