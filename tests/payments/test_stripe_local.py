"""Stripe's adapter against localstripe: an intent's whole life, cards that are declined or to be confirmed, webhooks.

localstripe knows no idempotency keys, so what is asked twice here is told by its own state.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue

import pytest

from holdfast.checkout.payments.port import Payment, PaymentState, RefundState
from holdfast.checkout.payments.stripe import Stripe
from holdfast.platform.clock import SystemClock
from holdfast.platform.errors import ProviderUnavailable, SignatureRefused
from tests.payments.local_stripe import KEY, LocalStripe
from tests.payments.wire import ORDER, TENANT, payment, request

GOOD = "pm_card_visa"
FAILING = "4000000000000341"
TO_CONFIRM = "4000002500003155"
WEBHOOK_SECRET = "whsec_of_the_tests"


@pytest.fixture
def stripe(local_stripe: LocalStripe) -> Stripe:
    """Stripe as a tenant's secret sets it up."""
    secret = {"api_key": KEY, "webhook_secret": WEBHOOK_SECRET, "base_url": local_stripe.url}
    return Stripe.with_secret(TENANT, secret)


def test_a_good_card_is_authorised_and_carries_whose_order_it_is(stripe: Stripe) -> None:
    made = stripe.authorise(request(GOOD))
    assert made == Payment(made.id, PaymentState.AUTHORISED, 5_000, "USD", order_id=ORDER, attempt=1)
    assert stripe.find(made.id) == made


def test_what_is_authorised_is_captured_once_and_whole(stripe: Stripe) -> None:
    made = stripe.authorise(request(GOOD))
    taken = stripe.capture(made, "capture")
    assert taken == replace(made, state=PaymentState.CAPTURED, captured_minor=5_000)
    assert stripe.capture(made, "capture-again") == taken
    assert stripe.find(made.id) == taken


def test_what_is_authorised_is_voided_and_then_not_captured(stripe: Stripe) -> None:
    made = stripe.authorise(request(GOOD))
    assert stripe.void(made, "void").state is PaymentState.VOIDED
    assert stripe.void(made, "void-again").state is PaymentState.VOIDED
    assert stripe.capture(made, "capture").state is PaymentState.VOIDED


def test_what_was_captured_meanwhile_is_not_voided(stripe: Stripe) -> None:
    made = stripe.authorise(request(GOOD))
    stripe.capture(made, "capture")
    found = stripe.void(made, "void")
    assert (found.state, found.captured_minor) == (PaymentState.CAPTURED, 5_000)


def test_without_a_token_the_buyer_gets_the_secret_to_pay_with(stripe: Stripe) -> None:
    made = stripe.authorise(request())
    assert made.state is PaymentState.PENDING
    assert made.action is not None
    assert made.action["type"] == "stripe"
    assert str(made.action["client_secret"]).startswith(made.id)
    assert stripe.void(made, "void").state is PaymentState.VOIDED


def test_a_card_that_the_bank_refuses_is_declined_with_its_reason(stripe: Stripe, local_stripe: LocalStripe) -> None:
    made = stripe.authorise(request(local_stripe.card(FAILING)))
    assert (made.state, made.reason) == (PaymentState.DECLINED, "card_declined")
    assert (made.order_id, made.attempt) == (ORDER, 1)


def test_a_card_that_nobody_knows_is_declined(stripe: Stripe) -> None:
    assert stripe.authorise(request("pm_card_of_nobody")).state is PaymentState.DECLINED


def test_a_card_to_be_confirmed_is_authorised_once_the_buyer_has(stripe: Stripe, local_stripe: LocalStripe) -> None:
    made = stripe.authorise(request(local_stripe.card(TO_CONFIRM)))
    assert made.state is PaymentState.PENDING
    assert made.action is not None
    local_stripe.authenticate(made.id, made.action["client_secret"], success=True)
    assert stripe.find(made.id) == replace(made, state=PaymentState.AUTHORISED, action=None)
    assert stripe.capture(made, "capture").captured_minor == 5_000


def test_a_buyer_who_fails_to_confirm_is_declined(stripe: Stripe, local_stripe: LocalStripe) -> None:
    made = stripe.authorise(request(local_stripe.card(TO_CONFIRM)))
    assert made.action is not None
    local_stripe.authenticate(made.id, made.action["client_secret"], success=False)
    found = stripe.find(made.id)
    assert found is not None
    assert (found.state, found.reason) == (PaymentState.DECLINED, "payment_intent_authentication_failure")


def test_a_refund_is_paid_once_a_key_and_the_rest_under_another(stripe: Stripe) -> None:
    taken = stripe.capture(stripe.authorise(request(GOOD)), "capture")
    first = stripe.refund(taken, 1_500, "refund-1")
    assert (first.state, first.amount_minor) == (RefundState.PAID, 1_500)
    assert stripe.refund(taken, 1_500, "refund-1") == first
    second = stripe.refund(taken, 3_500, "refund-2")
    assert second.id != first.id
    found = stripe.find(taken.id)
    assert found is not None
    assert (found.captured_minor, found.refunded_minor) == (5_000, 5_000)


def test_yen_are_charged_as_whole_yen(stripe: Stripe) -> None:
    made = stripe.authorise(request(GOOD, amount=700, currency="JPY"))
    assert (made.amount_minor, made.currency) == (700, "JPY")


def test_a_payment_that_is_not_there_is_not_found(stripe: Stripe) -> None:
    assert stripe.find("pi_none") is None


def test_a_payment_that_is_not_there_is_neither_taken_nor_given_back(stripe: Stripe) -> None:
    """The account may be the wrong one, so nothing is concluded from it."""
    with pytest.raises(ProviderUnavailable):
        stripe.capture(payment("pi_none"), "capture")
    with pytest.raises(ProviderUnavailable):
        stripe.void(payment("pi_none"), "void")


def test_refused_credentials_say_nothing_of_the_payment(local_stripe: LocalStripe) -> None:
    secret = {"api_key": "no_key_at_all", "webhook_secret": WEBHOOK_SECRET, "base_url": local_stripe.url}
    with pytest.raises(ProviderUnavailable):
        Stripe.with_secret(TENANT, secret).authorise(request(GOOD))


@pytest.fixture
def delivered(local_stripe: LocalStripe) -> Iterator["Queue[tuple[bytes, dict[str, str]]]"]:
    """The webhooks that localstripe sends, as they arrive."""
    arrived: Queue[tuple[bytes, dict[str, str]]] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.put((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    local_stripe.send_webhooks(f"http://127.0.0.1:{server.server_port}/", WEBHOOK_SECRET)
    yield arrived
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_as_sent_tells_of_the_payment_and_bears_no_change(
    stripe: Stripe, delivered: "Queue[tuple[bytes, dict[str, str]]]"
) -> None:
    made = stripe.authorise(request(GOOD))
    stripe.capture(made, "capture")
    while True:
        body, headers = delivered.get(timeout=10)
        event = stripe.read_event(body, headers, SystemClock().now())
        if event.payment is not None and event.payment.id == made.id:
            break
    assert event.type == "payment_intent.succeeded"
    assert (event.payment.state, event.payment.captured_minor) == (PaymentState.CAPTURED, 5_000)
    assert (event.payment.order_id, event.payment.attempt) == (ORDER, 1)
    with pytest.raises(SignatureRefused):
        stripe.read_event(body.replace(b"5000", b"5001"), headers, SystemClock().now())
