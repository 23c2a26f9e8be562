"""The port behind which every payment provider sits, and what passes through it.

Money is authorised first and captured once the goods are confirmed. A provider answers with what its books say of a
payment; a business refusal is such an answer. ProviderUnavailable is raised where nothing is known of what was asked
(no answer in time, a server fault, a limit): every call may then be made again with the same `key`, and has its effect
once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

ANSWERED = frozenset({"razorpay"})
"""Providers whose page gives the client a signed token once the buyer has paid, which `authorise` checks."""


class PaymentState(StrEnum):
    """What a provider's books say of a payment."""

    PENDING = "pending"
    """The buyer has something to do, or the provider is at it."""
    AUTHORISED = "authorised"
    """The money is set aside, and not taken yet."""
    CAPTURED = "captured"
    """The money is taken; what was paid back of it is in `refunded_minor`."""
    DECLINED = "declined"
    VOIDED = "voided"


@dataclass(frozen=True)
class PaymentRequest:
    """A wish to be paid for an order's attempt.

    `token` is what the client was given by the provider for the buyer's means of payment; None where the buyer is to
    pay with what `Payment.action` says. `key` is the idempotency key, the same for the same attempt; `asked_at` is when
    (ms) the attempt's charge was written, which is before it was asked for first.
    """

    tenant: str
    order_id: str
    attempt: int
    amount_minor: int
    currency: str
    token: str | None
    key: str
    asked_at: int | None = None


@dataclass(frozen=True)
class Payment:
    """A payment as its provider has it; money in minor units of `currency`.

    `order_id` and `attempt` are the metadata that we sent with the request, None where the provider has none of ours.
    `action` is what the client needs so that the buyer can pay (shown to the buyer as it is), `reason` why it was
    declined, or while it is pending why the buyer's last try was: a stable word.
    """

    id: str
    state: PaymentState
    amount_minor: int
    currency: str
    captured_minor: int = 0
    refunded_minor: int = 0
    order_id: str | None = None
    attempt: int | None = None
    action: Mapping[str, Any] | None = None
    reason: str | None = None


class RefundState(StrEnum):
    """What a provider's books say of a refund."""

    PENDING = "pending"
    """The provider has taken it on; it is as good as paid unless a webhook says otherwise, perhaps weeks later."""
    PAID = "paid"
    FAILED = "failed"
    """Refused, or taken on and failed since: the money is the merchant's again."""


@dataclass(frozen=True)
class Refund:
    """A refund as its provider has it; `key` is what we asked for it with, None for one that is not of ours."""

    id: str | None
    state: RefundState
    amount_minor: int
    reason: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class ProviderEvent:
    """What a signed webhook says: `payment` as it is after it, where it is about one.

    `failed_refund` is the key of a refund of ours that failed. Both are None for anything else.
    """

    id: str
    type: str
    payment: Payment | None = None
    failed_refund: str | None = None


class Provider(Protocol):
    """A payment provider, with a tenant's own credentials."""

    name: str

    def authorise(self, request: PaymentRequest) -> Payment:
        """Set the money aside, or say what the buyer has to do first; the same key makes one payment."""
        ...

    def find(self, payment_id: str) -> Payment | None:
        """Return the payment as it is now; None for one that the provider does not know."""
        ...

    def find_by_order(self, request: PaymentRequest) -> Payment | None:
        """Return the payment that an earlier `authorise` of this request made, if it made one.

        One that was asked for so lately that it cannot be looked for yet may be made now.
        """
        ...

    def capture(self, payment: Payment, key: str) -> Payment:
        """Take the whole of what is set aside; one that is captured already is returned as it is.

        A payment that cannot be captured is returned as what it is: DECLINED, VOIDED or PENDING, with a reason.
        """
        ...

    def void(self, payment: Payment, key: str) -> Payment:
        """Give back what is set aside, or see to it that a pending payment is not made.

        One that was captured meanwhile is returned CAPTURED: it has to be refunded.
        """
        ...

    def refund(self, payment: Payment, amount_minor: int, key: str) -> Refund:
        """Pay `amount_minor` of a captured payment back; the same key pays once. A refusal is FAILED.

        Where the refund of this key failed after it was taken on, another is made.
        """
        ...

    def refunds_of(self, payment_id: str) -> Sequence[Refund]:
        """Return every refund of a payment as it is now, whoever asked for it; what was refused is none."""
        ...

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Return what a webhook says, once its signature over the raw body holds at `now` (ms).

        Header names are in lower case. Raises SignatureRefused for any other, and for one that is no event.
        """
        ...
