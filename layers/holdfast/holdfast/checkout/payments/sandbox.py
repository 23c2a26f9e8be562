"""The sandbox: a payment provider that is built in, keeps books, and moves no money.

What it does with a payment is said by the token (`sandbox_book.SandboxToken`), so that every way in which money goes
astray can be had on demand. A payment's id follows from the key that it is asked for with; another payment, or refund,
under the same key is a fault of whoever asks, and nothing is known then of the one that was asked for.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, ProviderEvent, Refund
from holdfast.checkout.payments.sandbox_book import Book, SandboxToken, opened
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Store
from holdfast.platform.errors import Busy, NotFound, ProviderUnavailable, SignatureRefused, Unavailable
from holdfast.platform.order_items import SandboxPaymentItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys

SANDBOX_WEBHOOK_SECRET = "sandbox-webhooks-are-signed-with-this-by-everybody"  # noqa: S105
"""What the sandbox's webhooks are signed with: public, since there is no money behind them."""

SIGNATURE_HEADER = "sandbox-signature"

_KEPT = 365 * 86_400_000
"""Milliseconds for which a payment is kept in the books."""

SandboxAction = Literal["pay", "decline", "fail_refunds"]
"""What may be done at the sandbox's page: what the buyer does, or at last the buyer's bank with what was paid back."""

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Minor = Annotated[int, Field(ge=0, le=10**15)]
_TOLD = ConfigDict(strict=True, extra="forbid", defer_build=True)


class _PaymentTold(BaseModel):
    """A payment as a webhook tells of it; since anybody can sign these, nothing is taken on trust."""

    model_config = _TOLD

    id: _Text
    state: PaymentState
    amount_minor: _Minor
    currency: str = Field(pattern="^[A-Z]{3}$")
    captured_minor: _Minor = 0
    refunded_minor: _Minor = 0
    order_id: str | None = Field(None, max_length=200)
    attempt: int | None = Field(None, ge=1, le=9_999)
    action: dict[str, Any] | None = None
    reason: str | None = Field(None, max_length=200)


class _EventTold(BaseModel):
    """What a webhook says."""

    model_config = _TOLD

    id: _Text
    type: _Text
    payment: _PaymentTold | None = None
    failed_refund: _Text | None = None


class Sandbox:
    """The sandbox as one tenant uses it; its books are in the main table, each payment an item of its own.

    Where the table does not answer, or is written by others all the time, calls raise ProviderUnavailable.
    """

    name = "sandbox"

    def __init__(self, store: Store, tenant: str, clock: Clock | None = None, retries: Retries | None = None) -> None:
        """Take the tenant's store, and the clock by which books are kept."""
        self._store = store
        self._keys = Keys(tenant)
        self._clock = clock or SystemClock()
        self._retries = retries or Retries()

    def authorise(self, request: PaymentRequest) -> Payment:
        """Make the payment of this key, or find it made; its item is written if there is none."""
        if request.token == SandboxToken.TIMEOUT:
            raise ProviderUnavailable
        wanted = opened(self._id_of(request), request)
        book, is_new = self._opened(wanted)
        if book.asked != wanted.asked:
            raise ProviderUnavailable("The key was used for another payment.")
        if is_new and book.token == SandboxToken.LOST_ANSWER:
            raise ProviderUnavailable
        return self._shown(book)

    def find(self, payment_id: str) -> Payment | None:
        """Return the payment as the books have it."""
        item = self._item(payment_id)
        return None if item is None else self._shown(Book.from_text(item.book))

    def find_by_order(self, request: PaymentRequest) -> Payment | None:
        """Return the payment that was made of this key; none is made now."""
        return self.find(self._id_of(request))

    def capture(self, payment: Payment, key: str) -> Payment:
        """Take what is set aside; a payment that is not in the books is none any more."""
        book = self._changed(payment.id, Book.captured)
        return _unknown(payment) if book is None else self._shown(book)

    def void(self, payment: Payment, key: str) -> Payment:
        """Give back what is set aside, or see to it that it is not paid."""
        book = self._changed(payment.id, Book.voided)
        return _unknown(payment) if book is None else self._shown(book)

    def refund(self, payment: Payment, amount_minor: int, key: str) -> Refund:
        """Pay back, once a key; what is not captured, or paid back already, is refused."""
        book = self._changed(payment.id, lambda known: known.refunded(amount_minor, key))
        if book is None:
            raise ProviderUnavailable("The sandbox has no such payment.")
        if book.refunds[key].amount_minor != amount_minor:
            raise ProviderUnavailable("The key was used for another refund.")
        return book.refunds[key].shown()

    def refunds_of(self, payment_id: str) -> Sequence[Refund]:
        """Return every refund of a payment that was paid, if only for a while."""
        item = self._item(payment_id)
        return [] if item is None else Book.from_text(item.book).refunds_taken_on()

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Return what a webhook of `webhook`, or of `webhook_of_refund`, says."""
        signatures.check_timed(headers.get(SIGNATURE_HEADER, ""), body, [SANDBOX_WEBHOOK_SECRET], now)
        try:
            told = _EventTold.model_validate_json(body)
        except ValidationError as wrong:
            raise SignatureRefused from wrong
        if (told.payment is None) == (told.failed_refund is None):
            raise SignatureRefused
        payment = None if told.payment is None else Payment(**vars(told.payment))
        return ProviderEvent(told.id, told.type, payment, told.failed_refund)

    def act(self, payment_id: str, action: Literal["pay", "decline"]) -> list[Payment]:
        """Do what the buyer does at the sandbox's page; return the payments that webhooks are to tell of.

        A repeat changes nothing. Raises NotFound for a payment that is not in the books.
        """
        book = self._changed(payment_id, Book.paid if action == "pay" else Book.declined)
        if book is None:
            raise NotFound
        if book.token == SandboxToken.NEVER:
            return []
        second = book.second() if action == "pay" else None
        books = [book] if second is None else [book, self._opened(second)[0]]
        return [self._shown(each) for each in books]

    def fail_refunds(self, payment_id: str) -> list[Refund]:
        """Let every refund of a payment fail that was paid; return those that webhooks are to tell of.

        A repeat changes nothing. Raises NotFound for a payment that is not in the books.
        """
        book = self._changed(payment_id, Book.refunds_failed)
        if book is None:
            raise NotFound
        return book.refunds_taken_on()

    def webhook(self, payment: Payment, now: int, event_id: str) -> tuple[bytes, dict[str, str]]:
        """Return the body and the headers of a webhook that tells of `payment`, signed at `now` (ms)."""
        return _signed({"id": event_id, "type": f"payment.{payment.state}", "payment": asdict(payment)}, now)

    def webhook_of_refund(self, refund: Refund, now: int, event_id: str) -> tuple[bytes, dict[str, str]]:
        """Return the body and the headers of a webhook that tells that `refund` failed, signed at `now` (ms)."""
        return _signed({"id": event_id, "type": "refund.failed", "failed_refund": refund.key}, now)

    def _opened(self, book: Book) -> tuple[Book, bool]:
        """Return the book, written unless its payment is in the books already, and whether it was written now."""
        for attempt in self._retries:
            known = self._item(book.id)
            if known is not None:
                return Book.from_text(known.book), False
            if self._written(book, 1, attempt):
                return book, True
        raise ProviderUnavailable

    def _changed(self, payment_id: str, transition: Callable[[Book], Book]) -> Book | None:
        """Return the payment's book after a transition; it is written where it differs. None for no such payment."""
        for attempt in self._retries:
            known = self._item(payment_id)
            if known is None:
                return None
            old = Book.from_text(known.book)
            new = transition(old)
            if new == old or self._written(new, known.version + 1, attempt):
                return new
        raise ProviderUnavailable

    def _written(self, book: Book, version: int, attempt: int) -> bool:
        """Return whether a book was written as this version of it; else another writer was there before."""
        ttl = (self._clock.now() + _KEPT) // 1000
        item = SandboxPaymentItem(*self._keys.sandbox_payment(book.id), book=book.to_text(), version=version, ttl=ttl)
        condition = (
            SandboxPaymentItem.pk.does_not_exist() if version == 1 else SandboxPaymentItem.version == version - 1
        )
        try:
            self._store.write(Put(item, condition))
        except (Cancelled, Contended):
            self._retries.wait(attempt)
            return False
        except Unavailable as lost:
            raise ProviderUnavailable from lost
        return True

    def _item(self, payment_id: str) -> SandboxPaymentItem | None:
        try:
            return self._store.get(SandboxPaymentItem, self._keys.sandbox_payment(payment_id))
        except (Busy, Unavailable) as lost:
            raise ProviderUnavailable from lost

    def _id_of(self, request: PaymentRequest) -> str:
        return f"sandbox_{sha256(request.key.encode()).hexdigest()[:24]}"

    def _shown(self, book: Book) -> Payment:
        return book.shown(_action(self._keys.tenant, book.id))


def _signed(said: Mapping[str, Any], now: int) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(said).encode()
    return body, {SIGNATURE_HEADER: signatures.timed_header(body, SANDBOX_WEBHOOK_SECRET, now)}


def _action(tenant: str, payment_id: str) -> dict[str, Any]:
    return {"type": "sandbox", "url": f"/sandbox/{tenant}/payments/{payment_id}"}


def _unknown(payment: Payment) -> Payment:
    return Payment(payment.id, PaymentState.VOIDED, payment.amount_minor, payment.currency, reason="unknown_payment")
