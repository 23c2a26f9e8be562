"""Razorpay: orders that are paid in Razorpay's checkout, their payments captured by us (razorpay.com/docs/api).

A tenant's credentials are `{"key_id", "key_secret", "webhook_secret", "previous_webhook_secret"?, "base_url"?}`; after
a webhook's secret was replaced, events are still sent again under the old one.

What the port calls a payment is one of Razorpay's orders, for all of its life: `Payment.id` is the order's id
(`order_…`). It is there before the buyer has paid, it carries what we sent of our order, and it is paid at most once,
whichever of several tries of the buyer succeeds. The payment in it (`pay_…`) is looked up where it is needed; `find`
takes either id.

- An order has no idempotency key. It is found by its receipt, which follows from our order and attempt.
- A payment that failed may still succeed, and the order may be paid by another: until then it is PENDING, with the
  reason of the last failure.
- Nothing can be voided: a payment that is not captured pays itself back when its time to be captured is over.
- A token is what Razorpay's checkout gave the client: `<razorpay_payment_id>|<razorpay_signature>`. The signature is
  over the order that we made, and shows that the payment is for that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.amounts import Amounts
from holdfast.checkout.payments.calls import ApiAnswer, Calls
from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, ProviderEvent, Refund, RefundState
from holdfast.platform.errors import SignatureRefused
from holdfast.platform.provider_secrets import ProviderSecret, secret_of

CAPTURED_WITHIN_MINUTES = 4_320
"""Three days, within which a payment is captured or pays itself back: time to mend a capture that failed by hand."""

_URL = "https://api.razorpay.com"
_ORDERS = "/v1/orders"
_PAYMENTS = "/v1/payments"
_AMOUNTS = Amounts()
_NOT_CHARGEABLE = "amount_not_chargeable"
_MOST_LISTED = 100

_STATES = {
    "created": PaymentState.PENDING,
    "failed": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORISED,
    "captured": PaymentState.CAPTURED,
}
_FURTHEST = ["created", "failed", "authorized", "refunded", "captured"]
"""A payment's states; of several payments of an order, the one that is furthest counts."""

_REFUND_STATES = {
    "processed": RefundState.PAID,
    "pending": RefundState.PENDING,
    "failed": RefundState.FAILED,
}

_Entity = Mapping[str, Any]


class RazorpaySecret(ProviderSecret):
    """A tenant's credentials at Razorpay."""

    key_id: SecretStr = Field(min_length=4)
    key_secret: SecretStr = Field(min_length=4)
    webhook_secret: SecretStr = Field(min_length=4)
    previous_webhook_secret: SecretStr | None = Field(None, min_length=4)

    def webhook_secrets(self) -> list[str]:
        """Return the secrets that a webhook may be signed with."""
        known = [self.webhook_secret, self.previous_webhook_secret]
        return [secret.get_secret_value() for secret in known if secret is not None]


class Razorpay:
    """Razorpay, with one tenant's account."""

    name = "razorpay"

    def __init__(self, tenant: str, secret: RazorpaySecret, transport: httpx.BaseTransport | None = None) -> None:
        """Take whose account it is, and its credentials; tests bring a transport."""
        self._tenant = tenant
        self._secret = secret
        self._calls = Calls(self.name, secret.base_url or _URL, secret.key_id, secret.key_secret, transport=transport)

    @classmethod
    def with_secret(cls, tenant: str, secret: Mapping[str, Any]) -> "Razorpay":
        """Return Razorpay with a secret's credentials; raises SecretUnreadable."""
        return cls(tenant, secret_of(RazorpaySecret, cls.name, secret))

    def authorise(self, request: PaymentRequest) -> Payment:
        """Make the order that the buyer is to pay, or find it made.

        With a token it has to be made before: the payment is returned as it is, or DECLINED where the token is not
        signed for that order.
        """
        made = self._order_of(request)
        if request.token is not None:
            order_id = request.key if made is None else str(made["id"])
            if made is None or not self._is_signed(request.token, order_id):
                return _declined(request, order_id, "signature_invalid")
            return self._payment(made)
        if made is not None:
            return self._payment(made)
        amount = _AMOUNTS.sent(request.amount_minor, request.currency)
        if amount is None:
            return _declined(request, request.key, _NOT_CHARGEABLE)
        answer = self._calls.post_json(_ORDERS, self._wanted(request, amount))
        if answer.is_done:
            return self._read(answer.body, [])
        return _declined(request, request.key, _reason_in(answer))

    def find(self, payment_id: str) -> Payment | None:
        """Return the order, or the order of the payment, of this id as it is now."""
        if not payment_id.startswith("pay_"):
            order = self._entity(f"{_ORDERS}/{quote(payment_id, safe='')}")
            return None if order is None else self._payment(order)
        payment = self._entity(f"{_PAYMENTS}/{quote(payment_id, safe='')}")
        if payment is None or not payment.get("order_id"):
            return None
        return self.find(str(payment["order_id"]))

    def find_by_order(self, request: PaymentRequest) -> Payment | None:
        """Return the order that was made with the request's receipt; none is made now."""
        made = self._order_of(request)
        return None if made is None else self._payment(made)

    def capture(self, payment: Payment, key: str) -> Payment:
        """Capture what the order was paid with; there is no key, but what is captured is not captured again."""
        paid = _furthest(self._paid_with(payment.id))
        if paid is None or paid["status"] != "authorized":
            return self._as_it_is(payment)
        wanted = {"amount": paid["amount"], "currency": paid["currency"]}
        self._calls.post_json(f"{_PAYMENTS}/{paid['id']}/capture", wanted)
        found = self._as_it_is(payment)
        if found.state is PaymentState.AUTHORISED:
            raise self._calls.puzzled("capture", 400)
        return found

    def void(self, payment: Payment, key: str) -> Payment:
        """Return the payment as voided unless it was captured: it is left to pay itself back."""
        found = self._as_it_is(payment)
        if found.state is PaymentState.CAPTURED:
            return found
        return Payment(
            id=found.id,
            state=PaymentState.VOIDED,
            amount_minor=found.amount_minor,
            currency=found.currency,
            order_id=found.order_id,
            attempt=found.attempt,
            reason=found.reason,
        )

    def refund(self, payment: Payment, amount_minor: int, key: str) -> Refund:
        """Refund some of what was captured, unless the refund of this key is there."""
        amount = _AMOUNTS.sent(amount_minor, payment.currency)
        if amount is None:
            return Refund(None, RefundState.FAILED, amount_minor, _NOT_CHARGEABLE)
        paid = _furthest(self._paid_with(payment.id))
        if paid is None or paid["status"] not in ("captured", "refunded"):
            return Refund(None, RefundState.FAILED, amount_minor, "not_captured")
        made = [each for each in self._refunds(paid) if _key_of(each) == key]
        for known in made:
            if not _has_failed(known):
                return self._refund(known, amount_minor)
        wanted = {"amount": amount, "speed": "normal", "notes": {"holdfast_refund": key}}
        mark = _mark(f"{key}-{len(made)}" if made else key)
        answer = self._calls.post_json(f"{_PAYMENTS}/{paid['id']}/refund", wanted, {"X-Refund-Idempotency": mark})
        if answer.is_done:
            return self._refund(answer.body, amount_minor)
        return Refund(None, RefundState.FAILED, amount_minor, _reason_in(answer))

    def refunds_of(self, payment_id: str) -> Sequence[Refund]:
        """Return every refund of what an order was paid with."""
        paid = _furthest(self._paid_with(payment_id))
        return [
            replace(self._refund(each, _AMOUNTS.ours(each["amount"], str(each["currency"]))), key=_key_of(each))
            for each in (self._refunds(paid) if paid else [])
        ]

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Return what a webhook says; the order that it is about is asked for, as events come in any order.

        Razorpay signs no time: whoever takes events in tells a repeat by its id. Raises ProviderUnavailable.
        """
        signatures.check(headers.get("x-razorpay-signature", ""), body, self._secret.webhook_secrets())
        try:
            said = json.loads(body)
            kind = str(said["event"])
            about = said["payload"].get("payment", {}).get("entity", {})
            order_id = about.get("order_id") if kind.startswith(("payment.", "order.")) else None
            refund = said["payload"].get("refund", {}).get("entity", {}) if kind.startswith("refund.") else {}
            failed_refund = _key_of(refund) if _has_failed(refund) else None
            event_id = headers.get("x-razorpay-event-id") or sha256(body).hexdigest()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
            raise SignatureRefused from wrong
        return ProviderEvent(event_id, kind, self.find(str(order_id)) if order_id else None, failed_refund)

    def _wanted(self, request: PaymentRequest, amount: int) -> dict[str, Any]:
        """Return the order to make."""
        capture_options = {"manual_expiry_period": CAPTURED_WITHIN_MINUTES, "refund_speed": "normal"}
        return {
            "amount": amount,
            "currency": request.currency,
            "receipt": self._receipt(request),
            "notes": {
                "holdfast_tenant": self._tenant,
                "holdfast_order": request.order_id,
                "holdfast_attempt": str(request.attempt),
            },
            "payment": {"capture": "manual", "capture_options": capture_options},
        }

    def _receipt(self, request: PaymentRequest) -> str:
        """Return the receipt of an attempt's order: 40 characters, too few for our order's id itself."""
        named = f"{self._tenant}/{request.order_id}/{request.attempt}"
        return f"holdfast{sha256(named.encode()).hexdigest()[:32]}"

    def _order_of(self, request: PaymentRequest) -> _Entity | None:
        """Return the order that was made for an attempt: the first, should there be several."""
        made = self._listed(_ORDERS, {"receipt": self._receipt(request)})
        return min(made, key=lambda order: (order["created_at"], order["id"]), default=None)

    def _is_signed(self, token: str, order_id: str) -> bool:
        payment_id, _, signature = token.partition("|")
        try:
            secrets = [self._secret.key_secret.get_secret_value()]
            signatures.check(signature, f"{order_id}|{payment_id}".encode(), secrets)
        except SignatureRefused:
            return False
        return True

    def _as_it_is(self, payment: Payment) -> Payment:
        found = self.find(payment.id)
        if found is None:
            raise self._calls.puzzled("an order", 400)
        return found

    def _payment(self, order: _Entity) -> Payment:
        """Return an order as the port knows it, with what it was paid with."""
        return self._read(order, self._paid_with(str(order["id"])))

    def _paid_with(self, order_id: str) -> list[_Entity]:
        return self._listed(f"{_ORDERS}/{order_id}/payments", {})

    def _read(self, order: _Entity, payments: Sequence[_Entity]) -> Payment:
        """Return an order and its payments as the port knows them; raises ProviderUnavailable for unreadable ones."""
        try:
            paid = _furthest(payments)
            currency = str((paid or order)["currency"])
            state = _state_of(paid)
            captured = paid["amount"] if paid and state is PaymentState.CAPTURED else 0
            refunded = paid["amount_refunded"] or 0 if captured and paid else 0
            return Payment(
                id=str(order["id"]),
                state=state,
                amount_minor=_AMOUNTS.ours((paid or order)["amount"], currency),
                currency=currency,
                captured_minor=_AMOUNTS.ours(captured, currency),
                refunded_minor=_AMOUNTS.ours(refunded, currency),
                action=self._action(order) if state is PaymentState.PENDING else None,
                reason=_reason(paid) if paid and paid["status"] == "failed" else None,
                **self._order_in(_notes(order)),
            )
        except (KeyError, TypeError, ValueError):
            raise self._calls.puzzled("an order", 200) from None

    def _action(self, order: _Entity) -> dict[str, Any]:
        """Return what Razorpay's checkout needs in the client."""
        return {
            "type": self.name,
            "key_id": self._secret.key_id.get_secret_value(),
            "order_id": order["id"],
            "amount": order["amount"],
            "currency": order["currency"],
        }

    def _order_in(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what we sent of our order; nothing where another sent it, or another tenant of the same account."""
        attempt = str(notes.get("holdfast_attempt", ""))
        if notes.get("holdfast_tenant") != self._tenant or not (attempt.isascii() and attempt.isdigit()):
            return {}
        return {"order_id": notes.get("holdfast_order"), "attempt": int(attempt)}

    def _entity(self, path: str) -> _Entity | None:
        """Return what is at `path`; None for an id that is not known, which is answered as a bad request."""
        answer = self._calls.get(path)
        return answer.body if answer.is_done else None

    def _listed(self, path: str, query: Mapping[str, str | int]) -> list[_Entity]:
        answer = self._calls.get(path, query)
        items = answer.body.get("items")
        if not answer.is_done or not isinstance(items, list):
            raise self._calls.puzzled("a list", answer.status)
        return items

    def _refunds(self, paid: _Entity) -> list[_Entity]:
        """Return a payment's refunds, page by page."""
        made: list[_Entity] = []
        while True:
            query = {"count": _MOST_LISTED, "skip": len(made)}
            page = self._listed(f"{_PAYMENTS}/{paid['id']}/refunds", query)
            made += page
            if len(page) < _MOST_LISTED:
                return made

    def _refund(self, refund: _Entity, amount_minor: int) -> Refund:
        state = _REFUND_STATES.get(str(refund.get("status")))
        if state is None:
            raise self._calls.puzzled("a refund", 200)
        return Refund(str(refund.get("id")), state, amount_minor)


def _furthest(payments: Sequence[_Entity]) -> _Entity | None:
    """Return the payment by which an order stands: of equals the newest."""
    known = [payment for payment in payments if payment.get("status") in _FURTHEST]
    return max(known, key=lambda each: (_FURTHEST.index(each["status"]), each.get("created_at") or 0), default=None)


def _state_of(payment: _Entity | None) -> PaymentState:
    """Return what an order's payment makes of it; refunded without having been captured is given back by itself."""
    if payment is None:
        return PaymentState.PENDING
    if payment["status"] == "refunded":
        return PaymentState.CAPTURED if payment.get("captured") else PaymentState.VOIDED
    return _STATES[payment["status"]]


def _notes(entity: _Entity) -> Mapping[str, Any]:
    """Return an entity's notes, which are an empty list where there are none."""
    notes = entity.get("notes")
    return notes if isinstance(notes, dict) else {}


def _key_of(refund: _Entity) -> str | None:
    """Return what we asked for a refund with; None for one of the dashboard's, say."""
    key = _notes(refund).get("holdfast_refund")
    return None if key is None else str(key)


def _has_failed(refund: _Entity) -> bool:
    return _REFUND_STATES.get(str(refund.get("status"))) is RefundState.FAILED


def _mark(key: str) -> str:
    """Return a refund's key in the letters and the length that Razorpay takes."""
    return sha256(key.encode()).hexdigest()


def _declined(request: PaymentRequest, payment_id: str, reason: str) -> Payment:
    return Payment(
        id=payment_id,
        state=PaymentState.DECLINED,
        amount_minor=request.amount_minor,
        currency=request.currency,
        order_id=request.order_id,
        attempt=request.attempt,
        reason=reason,
    )


def _reason(payment: _Entity) -> str:
    return str(payment.get("error_reason") or payment.get("error_code") or "failed").lower()


def _reason_in(answer: ApiAnswer) -> str:
    """Return Razorpay's word for why it refused; it writes NA for none."""
    words = (answer.error.get("reason"), answer.error.get("code"))
    return next((str(word).lower() for word in words if word and word != "NA"), "refused")
