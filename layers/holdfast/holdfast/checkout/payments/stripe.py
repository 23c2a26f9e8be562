"""Stripe: card payments as PaymentIntents with manual capture (docs.stripe.com/api/payment_intents).

A tenant's credentials are `{"api_key", "webhook_secret", "base_url"?}`. Without a token the buyer pays in the client,
with the intent's client secret. Cards are the only method, so that no page to return to is needed.

Stripe keeps what it answered to an idempotency key for 24 hours at least: for so long a repeated call has its effect
once by its key alone. Captures and cancellations are told by the intent's own state besides, and a refund carries its
key as metadata and is looked for first, so that they stay so later.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.amounts import Amounts
from holdfast.checkout.payments.calls import ApiAnswer, Calls, ProviderSecret, secret_of
from holdfast.checkout.payments.port import (
    Payment,
    PaymentRequest,
    PaymentState,
    ProviderEvent,
    Refund,
    RefundState,
)
from holdfast.platform.errors import ProviderUnavailable, SignatureRefused

VERSION = "2025-04-30.basil"
"""The version of Stripe's API that this is written for (docs.stripe.com/api/versioning)."""

_URL = "https://api.stripe.com"
_INTENTS = "/v1/payment_intents"
_CHARGE = {"expand[]": "latest_charge"}
"""What was paid back stands on the charge, which comes as a bare id unless asked for."""

_AMOUNTS = Amounts({"ISK": 2, "MGA": 0, "UGX": 2})
"""docs.stripe.com/currencies: counted otherwise there than by ISO 4217."""

_NOT_CHARGEABLE = "amount_not_chargeable"
_MISUSED_KEY = "idempotency_error"

_STATES = {
    "requires_payment_method": PaymentState.PENDING,
    "requires_confirmation": PaymentState.PENDING,
    "requires_action": PaymentState.PENDING,
    "processing": PaymentState.PENDING,
    "requires_capture": PaymentState.AUTHORISED,
    "succeeded": PaymentState.CAPTURED,
    "canceled": PaymentState.VOIDED,
}
"""docs.stripe.com/payments/paymentintents/lifecycle; an intent that a card was declined for needs another method."""

_REFUND_STATES = {
    "succeeded": RefundState.PAID,
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


class StripeSecret(ProviderSecret):
    """A tenant's credentials at Stripe; while a webhook's secret is replaced, Stripe signs with both."""

    api_key: SecretStr = Field(min_length=8)
    webhook_secret: SecretStr = Field(min_length=8)


class Stripe:
    """Stripe, with one tenant's account."""

    name = "stripe"

    def __init__(self, tenant: str, secret: StripeSecret, transport: httpx.BaseTransport | None = None) -> None:
        """Take whose account it is, and its credentials; tests bring a transport."""
        self._tenant = tenant
        self._secret = secret
        self._calls = Calls(
            self.name,
            secret.base_url or _URL,
            secret.api_key,
            headers={"Stripe-Version": VERSION},
            transport=transport,
        )

    @classmethod
    def with_secret(cls, tenant: str, secret: Mapping[str, Any]) -> "Stripe":
        """Return Stripe with a secret's credentials; raises SecretUnreadable."""
        return cls(tenant, secret_of(StripeSecret, cls.name, secret))

    def authorise(self, request: PaymentRequest) -> Payment:
        """Make an intent, confirmed at once where there is a token; a card that is declined is DECLINED."""
        amount = _AMOUNTS.sent(request.amount_minor, request.currency)
        if amount is None:
            return _declined(request, request.key, _NOT_CHARGEABLE)
        form: dict[str, str | int] = {
            "amount": amount,
            "currency": request.currency.lower(),
            "capture_method": "manual",
            "payment_method_types[]": "card",
            "metadata[holdfast_tenant]": self._tenant,
            "metadata[holdfast_order]": request.order_id,
            "metadata[holdfast_attempt]": request.attempt,
            **_CHARGE,
        }
        if request.token is not None:
            form |= {"confirm": "true"} | _method(request.token)
        answer = self._calls.post_form(_INTENTS, form, request.key)
        if answer.is_done:
            return self._payment(answer.body)
        self._must_be_refusal(answer, "authorise")
        return _declined(request, _id_in(answer) or request.key, _reason_in(answer))

    def find(self, payment_id: str) -> Payment | None:
        """Return the intent as it is now."""
        answer = self._calls.get(_path(payment_id), _CHARGE)
        if answer.is_done:
            return self._payment(answer.body)
        if answer.status == 404:
            return None
        raise self._calls.puzzled("find", answer.status)

    def find_by_order(self, request: PaymentRequest) -> Payment | None:
        """Ask again under the same key, which for 24 hours at least is answered as the first time."""
        return self.authorise(request)

    def capture(self, payment: Payment, key: str) -> Payment:
        """Capture the whole intent; where Stripe refuses, its state says why."""
        answer = self._calls.post_form(f"{_path(payment.id)}/capture", _CHARGE, key)
        return self._payment(answer.body) if answer.is_done else self._as_it_is(payment, answer, "capture")

    def void(self, payment: Payment, key: str) -> Payment:
        """Cancel the intent; one that was captured meanwhile is returned as that."""
        answer = self._calls.post_form(f"{_path(payment.id)}/cancel", _CHARGE, key)
        return self._payment(answer.body) if answer.is_done else self._as_it_is(payment, answer, "void")

    def refund(self, payment: Payment, amount_minor: int, key: str) -> Refund:
        """Refund some of a captured intent, unless the refund of this key is there."""
        amount = _AMOUNTS.sent(amount_minor, payment.currency)
        if amount is None:
            return Refund(None, RefundState.FAILED, amount_minor, _NOT_CHARGEABLE)
        known = self._refund_of(payment, key)
        if known is not None:
            return _refund(known, amount_minor)
        form: dict[str, str | int] = {"payment_intent": payment.id, "amount": amount, "metadata[holdfast_refund]": key}
        answer = self._calls.post_form("/v1/refunds", form, key)
        if answer.is_done:
            return _refund(answer.body, amount_minor)
        self._must_be_refusal(answer, "refund")
        return Refund(None, RefundState.FAILED, amount_minor, _reason_in(answer))

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Return what a webhook says; only events about intents are about a payment."""
        header = headers.get("stripe-signature", "")
        signatures.check_timed(header, body, [self._secret.webhook_secret.get_secret_value()], now)
        try:
            said = json.loads(body)
            event_id, kind, about = str(said["id"]), str(said["type"]), said["data"]["object"]
            is_intent = about["object"] == "payment_intent"
        except (ValueError, TypeError, KeyError, RecursionError) as wrong:
            raise SignatureRefused from wrong
        return ProviderEvent(event_id, kind, self._payment(about) if is_intent else None)

    def _payment(self, intent: Mapping[str, Any]) -> Payment:
        """Return an intent as the port knows it; raises ProviderUnavailable where it cannot be read."""
        try:
            return self._read(intent)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._calls.puzzled("an intent", 200) from None

    def _read(self, intent: Mapping[str, Any]) -> Payment:
        currency = str(intent["currency"]).upper()
        state = _STATES[intent["status"]]
        failure = intent.get("last_payment_error") or {}
        if intent["status"] == "requires_payment_method" and failure:
            state = PaymentState.DECLINED
        captured = intent.get("amount_received", intent["amount"]) if state is PaymentState.CAPTURED else 0
        charge = intent.get("latest_charge")
        refunded = charge.get("amount_refunded", 0) if isinstance(charge, dict) else 0
        return Payment(
            id=str(intent["id"]),
            state=state,
            amount_minor=_AMOUNTS.ours(intent["amount"], currency),
            currency=currency,
            captured_minor=_AMOUNTS.ours(captured, currency),
            refunded_minor=_AMOUNTS.ours(refunded, currency),
            action=_action(intent) if state is PaymentState.PENDING else None,
            reason=_reason(failure) if state is PaymentState.DECLINED else intent.get("cancellation_reason"),
            **self._order_in(intent.get("metadata") or {}),
        )

    def _order_in(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return what we sent of the order; nothing where another sent it, or another tenant of the same account."""
        attempt = str(metadata.get("holdfast_attempt", ""))
        if metadata.get("holdfast_tenant") != self._tenant or not (attempt.isascii() and attempt.isdigit()):
            return {}
        return {"order_id": metadata.get("holdfast_order"), "attempt": int(attempt)}

    def _as_it_is(self, payment: Payment, answer: ApiAnswer, step: str) -> Payment:
        """Return the payment that a step was refused for, as it is now, with the reason.

        Raises ProviderUnavailable where it is such that the step should have been made.
        """
        self._must_be_refusal(answer, step)
        found = self.find(payment.id)
        if found is None or found.state is PaymentState.AUTHORISED:
            raise self._calls.puzzled(step, answer.status)
        return found if found.state is PaymentState.CAPTURED else replace(found, reason=_reason_in(answer))

    def _must_be_refusal(self, answer: ApiAnswer, step: str) -> None:
        """Raise ProviderUnavailable for what is a fault of ours: a key used for two things, an intent not there."""
        unknown = answer.status == 404 and step != "authorise"
        if unknown or answer.error.get("type") == _MISUSED_KEY:
            raise self._calls.puzzled(step, answer.status)

    def _refund_of(self, payment: Payment, key: str) -> Mapping[str, Any] | None:
        """Return the refund of this key, if it was made."""
        answer = self._calls.get("/v1/refunds", {"payment_intent": payment.id, "limit": 100})
        if not answer.is_done:
            raise self._calls.puzzled("refunds", answer.status)
        made = answer.body.get("data") or []
        return next((each for each in made if (each.get("metadata") or {}).get("holdfast_refund") == key), None)


def _path(payment_id: str) -> str:
    return f"{_INTENTS}/{quote(payment_id, safe='')}"


def _method(token: str) -> dict[str, str | int]:
    """Return how the form names the means of payment: Stripe's clients make tokens of cards, or payment methods."""
    if token.startswith("tok_"):
        return {"payment_method_data[type]": "card", "payment_method_data[card][token]": token}
    return {"payment_method": token}


def _action(intent: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the client needs for the buyer to go on; nothing where Stripe is at it."""
    if intent["status"] == "processing":
        return None
    action: dict[str, Any] = {"type": "stripe", "client_secret": intent.get("client_secret")}
    redirect = (intent.get("next_action") or {}).get("redirect_to_url") or {}
    return action | ({"redirect_url": redirect["url"]} if redirect.get("url") else {})


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


def _refund(refund: Mapping[str, Any], amount_minor: int) -> Refund:
    state = _REFUND_STATES.get(str(refund.get("status")))
    if state is None:
        raise ProviderUnavailable
    return Refund(str(refund.get("id")), state, amount_minor, refund.get("failure_reason"))


def _id_in(answer: ApiAnswer) -> str | None:
    """Return the id of the intent that an error tells of."""
    intent = answer.error.get("payment_intent")
    return intent.get("id") if isinstance(intent, dict) else None


def _reason_in(answer: ApiAnswer) -> str:
    return _reason(answer.error)


def _reason(error: Mapping[str, Any]) -> str:
    """Return the word that Stripe has for why something was refused."""
    return str(error.get("decline_code") or error.get("code") or "refused")
