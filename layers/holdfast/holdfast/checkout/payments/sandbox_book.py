"""The sandbox's books: what becomes of a payment there, by rules alone.

Nothing is ever captured or paid back beyond what the payment is of. Every transition leaves a book that it does not
apply to as it was, so that making it twice is making it once; refunds, of which there may be several, are kept by key.
One that fails after it was paid is kept beside the one that is made of its key then.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, Refund, RefundState


class SandboxToken(StrEnum):
    """What the sandbox does with a payment, by the token that it is asked for with."""

    SUCCESS = "tok_success"
    """Authorised at once."""
    DECLINE = "tok_decline"
    CONFIRM = "tok_confirm"
    """Pending until the buyer has paid; so too without a token."""
    TIMEOUT = "tok_timeout"
    """No answer, ever, and no payment."""
    LOST_ANSWER = "tok_lost_answer"
    """Authorised, but the first answer is lost."""
    NEVER = "tok_never"
    """Pending until the buyer has paid, of which no webhook ever tells."""
    PAY_LATE = "tok_pay_late"
    """Pending, and can still be paid, and captured with that, once it was voided."""
    PAY_TWICE = "tok_pay_twice"
    """Pending; when the buyer pays, a second payment is captured."""
    CAPTURE_FAILS = "tok_capture_fails"
    REFUND_FAILS = "tok_refund_fails"
    WRONG_AMOUNT = "tok_wrong_amount"
    """Pending; the buyer pays one minor unit more."""


_PENDING = frozenset(
    {
        SandboxToken.CONFIRM,
        SandboxToken.NEVER,
        SandboxToken.PAY_LATE,
        SandboxToken.PAY_TWICE,
        SandboxToken.WRONG_AMOUNT,
    }
)
_SETTLED = frozenset({PaymentState.DECLINED, PaymentState.VOIDED})
_REJECTED = "rejected_by_bank"
_FAILED = "#"
"""What a refund's key, which has none of these, is followed by once the refund failed after it was paid."""


@dataclass(frozen=True)
class SandboxRefund:
    """A refund in the books; `failed` says why it was refused, or failed later, None for one that was paid."""

    id: str
    amount_minor: int
    failed: str | None = None

    def shown(self, key: str | None = None) -> Refund:
        """Return the refund as the port knows it."""
        state = RefundState.PAID if self.failed is None else RefundState.FAILED
        return Refund(self.id, state, self.amount_minor, self.failed, key)


@dataclass(frozen=True)
class Book:
    """What the sandbox knows of one payment; `token` is how it behaves, `refunds` are kept by their keys.

    `asked` is all that it was asked for with: its key is good for nothing else.
    """

    id: str
    token: SandboxToken
    state: PaymentState
    amount_minor: int
    currency: str
    order_id: str
    attempt: int
    captured_minor: int = 0
    refunded_minor: int = 0
    reason: str | None = None
    refunds: Mapping[str, SandboxRefund] = field(default_factory=dict)
    asked: str = ""

    def paid(self) -> "Book":
        """Return the book once the buyer has paid."""
        if self.state == PaymentState.VOIDED and self.token == SandboxToken.PAY_LATE:
            return replace(self, state=PaymentState.CAPTURED, captured_minor=self.amount_minor)
        if self.state != PaymentState.PENDING:
            return self
        more = 1 if self.token == SandboxToken.WRONG_AMOUNT else 0
        return replace(self, state=PaymentState.AUTHORISED, amount_minor=self.amount_minor + more)

    def second(self) -> "Book | None":
        """Return the book of the payment that is made besides when the buyer pays; None where none is."""
        if self.token != SandboxToken.PAY_TWICE or self.state in _SETTLED:
            return None
        return replace(
            self,
            id=f"{self.id}_2",
            token=SandboxToken.SUCCESS,
            state=PaymentState.CAPTURED,
            captured_minor=self.amount_minor,
            refunded_minor=0,
            refunds={},
        )

    def declined(self) -> "Book":
        """Return the book once the buyer was refused."""
        if self.state != PaymentState.PENDING:
            return self
        return replace(self, state=PaymentState.DECLINED, reason="card_declined")

    def captured(self) -> "Book":
        """Return the book once what is set aside is taken."""
        if self.state != PaymentState.AUTHORISED:
            return self
        if self.token == SandboxToken.CAPTURE_FAILS:
            return replace(self, state=PaymentState.DECLINED, reason="capture_failed")
        return replace(self, state=PaymentState.CAPTURED, captured_minor=self.amount_minor)

    def voided(self) -> "Book":
        """Return the book once what is set aside is given back, or is not to be paid any more."""
        if self.state not in (PaymentState.PENDING, PaymentState.AUTHORISED):
            return self
        return replace(self, state=PaymentState.VOIDED)

    def refunded(self, amount_minor: int, key: str) -> "Book":
        """Return the book with the refund of this key in it, paid or refused; the first of a key stands."""
        if key in self.refunds:
            return self
        failed = self._refused(amount_minor)
        refund = SandboxRefund(f"{self.id}_refund_{len(self.refunds) + 1}", amount_minor, failed)
        return replace(
            self,
            refunded_minor=self.refunded_minor + (amount_minor if failed is None else 0),
            refunds={**self.refunds, key: refund},
        )

    def refunds_failed(self) -> "Book":
        """Return the book once every refund that was paid has failed since: its key may be asked for another."""
        if all(refund.failed is not None for refund in self.refunds.values()):
            return self
        refunds = {}
        for place, (key, refund) in enumerate(self.refunds.items()):
            failed = refund.failed is None
            refunds[f"{key}{_FAILED}{place}" if failed else key] = (
                replace(refund, failed=_REJECTED) if failed else refund
            )
        return replace(self, refunded_minor=0, refunds=refunds)

    def refunds_taken_on(self) -> list[Refund]:
        """Return every refund that was paid, those too that failed since, with the keys that they were asked for by."""
        known = self.refunds.items()
        return [refund.shown(key.partition(_FAILED)[0]) for key, refund in known if refund.failed in (None, _REJECTED)]

    def _refused(self, amount_minor: int) -> str | None:
        if self.state != PaymentState.CAPTURED:
            return "not_captured"
        if self.token == SandboxToken.REFUND_FAILS:
            return "refund_refused"
        if not 0 < amount_minor <= self.captured_minor - self.refunded_minor:
            return "amount_not_refundable"
        return None

    def shown(self, action: Mapping[str, Any]) -> Payment:
        """Return the payment as the port knows it; `action` is what the buyer has to do while it is pending."""
        return Payment(
            id=self.id,
            state=self.state,
            amount_minor=self.amount_minor,
            currency=self.currency,
            captured_minor=self.captured_minor,
            refunded_minor=self.refunded_minor,
            order_id=self.order_id,
            attempt=self.attempt,
            action=action if self.state == PaymentState.PENDING else None,
            reason=self.reason,
        )

    def to_text(self) -> str:
        """Return the book as its item keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Book":
        """Return the book that an item keeps."""
        read = json.loads(text)
        refunds = {key: SandboxRefund(**refund) for key, refund in read.pop("refunds").items()}
        token, state = SandboxToken(read.pop("token")), PaymentState(read.pop("state"))
        return cls(token=token, state=state, refunds=refunds, **read)


def opened(payment_id: str, request: PaymentRequest) -> Book:
    """Return the book of a payment that is asked for; a token that is none of the sandbox's is declined."""
    try:
        token, reason = SandboxToken(request.token or SandboxToken.CONFIRM), None
    except ValueError:
        token, reason = SandboxToken.DECLINE, "unknown_token"
    if token == SandboxToken.DECLINE:
        state, reason = PaymentState.DECLINED, reason or "card_declined"
    else:
        state = PaymentState.PENDING if token in _PENDING else PaymentState.AUTHORISED
    return Book(
        id=payment_id,
        token=token,
        state=state,
        amount_minor=request.amount_minor,
        currency=request.currency,
        order_id=request.order_id,
        attempt=request.attempt,
        reason=reason,
        asked=json.dumps(
            [request.amount_minor, request.currency, request.order_id, request.attempt, request.token],
        ),
    )
