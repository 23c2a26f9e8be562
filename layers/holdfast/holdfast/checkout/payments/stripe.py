"""Stripe: card payments as PaymentIntents with manual capture (docs.stripe.com/api/payment_intents).

A tenant's credentials are `{"api_key", "webhook_secret", "base_url"?}`. Without a token the buyer pays in the client,
with the intent's client secret. Cards are the only method, so that no page to return to is needed.

Stripe keeps what it answered to an idempotency key for 24 hours at least, server faults too: for so long a repeated
call has its effect once by its key alone. Captures and cancellations are told by the intent's own state besides, and a
refund carries its key as metadata and is looked for first, so that they stay so later. An intent whose answer was lost
is searched for by its metadata, which Stripe has within a minute as a rule; for the first hour it is then asked for
again under its key, and later never, so that nobody's card is charged days after.

Where the buyer pays in the client, another card may follow one that was declined: the intent is pending until its
deadline. One that was confirmed with a token has its one try.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.amounts import Amounts
from holdfast.checkout.payments.calls import ApiAnswer, Calls
from holdfast.checkout.payments.port import (
    Payment,
    PaymentRequest,
    PaymentState,
    ProviderEvent,
    Refund,
    RefundState,
)
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.errors import ProviderUnavailable, SignatureRefused
from holdfast.platform.provider_secrets import ProviderSecret, secret_of

VERSION = "2025-04-30.basil"
"""The version of Stripe's API that this is written for (docs.stripe.com/api/versioning)."""

_URL = "https://api.stripe.com"
_INTENTS = "/v1/payment_intents"
_REFUNDS = "/v1/refunds"
_MOST_LISTED = 100
_CHARGE = {"expand[]": "latest_charge"}
"""What was paid back stands on the charge, which comes as a bare id unless asked for."""

_AMOUNTS = Amounts({"ISK": 2, "MGA": 0, "UGX": 2})
"""docs.stripe.com/currencies: counted otherwise there than by ISO 4217."""

_NOT_CHARGEABLE = "amount_not_chargeable"
_MISUSED_KEY = "idempotency_error"

REPEATED_WITHIN = 3_600_000
"""Milliseconds for which an intent that is not found is asked for again under its key, which Stripe keeps for longer;
docs.stripe.com/search has new intents within a minute, and within an hour while it is disturbed."""

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

_FURTHEST = [
    PaymentState.VOIDED,
    PaymentState.DECLINED,
    PaymentState.PENDING,
    PaymentState.AUTHORISED,
    PaymentState.CAPTURED,
]
"""Of several intents for an attempt, of which there should be one, the one that is furthest counts."""

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

    def __init__(
        self,
        tenant: str,
        secret: StripeSecret,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take whose account it is, its credentials, and by what clock a request is old; tests bring a transport."""
        self._tenant = tenant
        self._secret = secret
        self._clock = clock or SystemClock()
        self._calls = Calls(
            self.name,
            secret.base_url or _URL,
            secret.api_key,
            headers={"Stripe-Version": VERSION},
            transport=transport,
        )

    @classmethod
    def with_secret(cls, tenant: str, secret: Mapping[str, Any], clock: Clock | None = None) -> "Stripe":
        """Return Stripe with a secret's credentials; raises SecretUnreadable."""
        return cls(tenant, secret_of(StripeSecret, cls.name, secret), clock=clock)

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
            form |= {"confirm": "true", "metadata[holdfast_confirmed]": "true"} | _method(request.token)
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
        """Return the intent of this order's attempt, searched for; of one that is not there see REPEATED_WITHIN.

        Raises ProviderUnavailable where it is old and the account cannot search.
        """
        named = {
            "holdfast_tenant": self._tenant,
            "holdfast_order": request.order_id,
            "holdfast_attempt": request.attempt,
        }
        query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in named.items())
        answer = self._calls.get(f"{_INTENTS}/search", {"query": query, "limit": _MOST_LISTED})
        # What a search says of an intent may be old; what its id leads to is not.
        made = answer.body.get("data") or [] if answer.is_done else []
        found = [payment for payment in (self.find(str(each["id"])) for each in made) if payment is not None]
        if found:
            return max(found, key=lambda payment: _FURTHEST.index(payment.state))
        if request.asked_at is not None and self._clock.now() - request.asked_at < REPEATED_WITHIN:
            return self.authorise(request)
        if not answer.is_done:
            raise self._calls.puzzled("search", answer.status)
        return None

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
        made = [each for each in self._refunds(payment.id) if _key_of(each) == key]
        for known in made:
            if not _has_failed(known):
                return _refund(known, amount_minor)
        form: dict[str, str | int] = {"payment_intent": payment.id, "amount": amount, "metadata[holdfast_refund]": key}
        answer = self._calls.post_form(_REFUNDS, form, f"{key}-{len(made)}" if made else key)
        if answer.is_done:
            return _refund(answer.body, amount_minor)
        self._must_be_refusal(answer, "refund")
        return Refund(None, RefundState.FAILED, amount_minor, _reason_in(answer))

    def refunds_of(self, payment_id: str) -> Sequence[Refund]:
        """Return every refund of an intent."""
        return [
            replace(_refund(each, _AMOUNTS.ours(each["amount"], str(each["currency"]).upper())), key=_key_of(each))
            for each in self._refunds(payment_id)
        ]

    def read_event(self, body: bytes, headers: Mapping[str, str], now: int) -> ProviderEvent:
        """Return what a webhook says: events about intents are about a payment, and there are refunds that failed."""
        header = headers.get("stripe-signature", "")
        signatures.check_timed(header, body, [self._secret.webhook_secret.get_secret_value()], now)
        try:
            said = json.loads(body)
            event_id, kind, about = str(said["id"]), str(said["type"]), said["data"]["object"]
            of = about["object"]
            failed_refund = _key_of(about) if of == "refund" and _has_failed(about) else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
            raise SignatureRefused from wrong
        return ProviderEvent(event_id, kind, self._payment(about) if of == "payment_intent" else None, failed_refund)

    def _payment(self, intent: Mapping[str, Any]) -> Payment:
        """Return an intent as the port knows it; raises ProviderUnavailable where it cannot be read."""
        try:
            return self._read(intent)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._calls.puzzled("an intent", 200) from None

    def _read(self, intent: Mapping[str, Any]) -> Payment:
        currency = str(intent["currency"]).upper()
        state = _STATES[intent["status"]]
        metadata = intent.get("metadata") or {}
        failure = intent.get("last_payment_error") if intent["status"] == "requires_payment_method" else None
        if failure and "holdfast_confirmed" in metadata:
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
            reason=_reason(failure) if failure else intent.get("cancellation_reason"),
            **self._order_in(metadata),
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

    def _refunds(self, payment_id: str) -> list[Mapping[str, Any]]:
        """Return an intent's refunds, page by page; raises ProviderUnavailable."""
        made: list[Mapping[str, Any]] = []
        query: dict[str, str | int] = {"payment_intent": payment_id, "limit": _MOST_LISTED}
        while True:
            answer = self._calls.get(_REFUNDS, query)
            if not answer.is_done:
                raise self._calls.puzzled("refunds", answer.status)
            page = answer.body.get("data") or []
            made += page
            if not (page and answer.body.get("has_more")):
                return made
            query["starting_after"] = str(page[-1]["id"])


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


def _key_of(refund: Mapping[str, Any]) -> str | None:
    """Return what we asked for a refund with; None for one of the dashboard's, say."""
    key = (refund.get("metadata") or {}).get("holdfast_refund")
    return None if key is None else str(key)


def _has_failed(refund: Mapping[str, Any]) -> bool:
    return _REFUND_STATES.get(str(refund.get("status"))) is RefundState.FAILED


def _id_in(answer: ApiAnswer) -> str | None:
    """Return the id of the intent that an error tells of."""
    intent = answer.error.get("payment_intent")
    return intent.get("id") if isinstance(intent, dict) else None


def _reason_in(answer: ApiAnswer) -> str:
    return _reason(answer.error)


def _reason(error: Mapping[str, Any]) -> str:
    """Return the word that Stripe has for why something was refused."""
    return str(error.get("decline_code") or error.get("code") or "refused")
