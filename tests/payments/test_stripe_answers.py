"""Stripe's adapter where localstripe cannot stand for Stripe: against answers of the documented shapes."""

import json
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, Refund, RefundState
from holdfast.checkout.payments.stripe import VERSION, Stripe, StripeSecret
from holdfast.platform.errors import ProviderUnavailable, SignatureRefused
from holdfast.platform.secrets import SecretUnreadable
from tests.engine.shop import ManualClock
from tests.payments.wire import ORDER, TENANT, Answer, Script, payment, request

API_KEY = "sk_live_secret_1"
WEBHOOK_SECRET = "whsec_of_the_tests"
NOW = 1_700_000_000_000
SIX_MINUTES = 360_000
HOUR = 3_600_000


def intent(status: str = "requires_capture", **more: Any) -> dict[str, Any]:
    """An intent as Stripe shows it, as far as that is of interest."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 5_000,
        "amount_received": 5_000 if status == "succeeded" else 0,
        "cancellation_reason": None,
        "client_secret": "pi_1_secret_2",
        "currency": "usd",
        "last_payment_error": None,
        "latest_charge": "ch_1",
        "metadata": {"holdfast_tenant": TENANT, "holdfast_order": ORDER, "holdfast_attempt": "1"},
        "next_action": None,
        "status": status,
    } | more


CONFIRMED = intent()["metadata"] | {"holdfast_confirmed": "true"}
"""The metadata of an intent that was confirmed with a token, and has its one try."""

LOST_CARD = {"code": "card_declined", "decline_code": "lost_card"}


def failure(kind: str, **more: Any) -> dict[str, Any]:
    """An error as Stripe shows it."""
    return {"error": {"type": kind, "message": "For people.", **more}}


def refund(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """A refund as Stripe shows it, as far as that is of interest."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 1_500,
        "currency": "usd",
        "failure_reason": "expired_or_canceled_card" if status == "failed" else None,
        "metadata": {"holdfast_refund": "refund-1"},
        "payment_intent": "pi_1",
        "status": status,
    } | more


def stripe_of(*answers: Answer) -> tuple[Stripe, Script]:
    """Stripe with a script instead of a server, at a time that stands still."""
    script = Script(*answers)
    secret = StripeSecret.model_validate({"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET})
    return Stripe(TENANT, secret, script, ManualClock(NOW)), script


def test_a_payment_is_asked_for_with_manual_capture_a_key_and_whose_order_it_is() -> None:
    stripe, script = stripe_of((200, intent()))
    stripe.authorise(request("pm_1"))
    sent = script.asked[0]
    assert str(sent.url) == "https://api.stripe.com/v1/payment_intents"
    assert sent.headers["idempotency-key"] == "charge-1"
    assert sent.headers["stripe-version"] == VERSION
    assert script.form() == {
        "amount": "5000",
        "currency": "usd",
        "capture_method": "manual",
        "payment_method_types[]": "card",
        "metadata[holdfast_tenant]": TENANT,
        "metadata[holdfast_order]": ORDER,
        "metadata[holdfast_attempt]": "1",
        "expand[]": "latest_charge",
        "confirm": "true",
        "metadata[holdfast_confirmed]": "true",
        "payment_method": "pm_1",
    }


def test_a_card_token_becomes_the_card_of_a_payment_method() -> None:
    stripe, script = stripe_of((200, intent()))
    stripe.authorise(request("tok_visa"))
    form = script.form()
    assert "payment_method" not in form
    assert form["payment_method_data[type]"] == "card"
    assert form["payment_method_data[card][token]"] == "tok_visa"


def test_every_call_waits_two_seconds_to_connect_and_eight_for_an_answer() -> None:
    stripe, script = stripe_of((200, intent()))
    stripe.find("pi_1")
    assert script.asked[0].extensions["timeout"] == {"connect": 2.0, "read": 8.0, "write": 8.0, "pool": 8.0}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "card_declined", "decline_code": "insufficient_funds"}, "insufficient_funds"),
        ({"code": "expired_card"}, "expired_card"),
        ({"code": "authentication_required"}, "authentication_required"),
    ],
)
def test_a_declined_card_says_why(error: dict[str, str], reason: str) -> None:
    failed = failure("card_error", payment_intent=intent("requires_payment_method"), **error)
    stripe, _ = stripe_of((402, failed))
    made = stripe.authorise(request("pm_1"))
    assert made == payment("pi_1", PaymentState.DECLINED, order_id=ORDER, attempt=1, reason=reason)


@pytest.mark.parametrize("code", ["resource_missing", "token_already_used", "amount_too_small"])
def test_what_stripe_cannot_charge_is_declined(code: str) -> None:
    stripe, _ = stripe_of((400, failure("invalid_request_error", code=code)))
    made = stripe.authorise(request("pm_1"))
    assert (made.state, made.reason) == (PaymentState.DECLINED, code)


@pytest.mark.parametrize(
    "answer",
    [
        (409, failure("invalid_request_error", code="idempotency_key_in_use")),
        (429, failure("invalid_request_error", code="lock_timeout")),
        (429, failure("invalid_request_error", code="rate_limit")),
        (500, failure("api_error")),
        (503, b"<html>Somewhere else</html>"),
        (200, b"cut off in the mid"),
        (200, []),
        (302, {}),
        (401, failure("invalid_request_error")),
        (403, failure("invalid_request_error")),
        (400, failure("idempotency_error")),
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.ConnectError,
        httpx.RemoteProtocolError,
    ],
)
def test_what_says_nothing_of_the_payment_is_never_taken_for_a_refusal(answer: Answer) -> None:
    stripe, _ = stripe_of(answer)
    with pytest.raises(ProviderUnavailable):
        stripe.authorise(request("pm_1"))
    stripe, _ = stripe_of(answer)
    with pytest.raises(ProviderUnavailable):
        stripe.capture(payment("pi_1"), "capture")
    stripe, _ = stripe_of((200, {"data": []}), answer)
    with pytest.raises(ProviderUnavailable):
        stripe.refund(payment("pi_1", PaymentState.CAPTURED), 100, "refund")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_logged_without_them_or_the_token(
    status: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stripe, _ = stripe_of((status, failure("invalid_request_error", code="api_key_expired")))
    with pytest.raises(ProviderUnavailable):
        stripe.authorise(request("pm_token_of_a_card"))
    printed = capsys.readouterr()
    logged = printed.out + printed.err + caplog.text
    assert "a payment provider refuses the credentials" in logged
    assert not any(secret in logged for secret in (API_KEY, WEBHOOK_SECRET, "pm_token_of_a_card", "api_key_expired"))


def asked_before(milliseconds: int) -> PaymentRequest:
    """A wish to be paid of so long ago."""
    return replace(request("pm_1"), asked_at=NOW - milliseconds)


NOTHING_FOUND: Answer = (200, {"object": "search_result", "data": [], "has_more": False})
CANNOT_SEARCH: Answer = (400, failure("invalid_request_error", code="search_not_available"))


def test_a_payment_whose_answer_was_lost_is_searched_for_and_then_looked_at_as_it_is_now() -> None:
    stale = (200, {"object": "search_result", "data": [intent()]})
    stripe, script = stripe_of(stale, (200, intent("succeeded")))
    found = stripe.find_by_order(asked_before(3 * HOUR))
    assert found is not None
    assert (found.id, found.state) == ("pi_1", PaymentState.CAPTURED)
    assert script.calls == ["GET /v1/payment_intents/search", "GET /v1/payment_intents/pi_1"]
    named = f"metadata['holdfast_tenant']:'{TENANT}' AND metadata['holdfast_order']:'{ORDER}'"
    assert script.asked[0].url.params["query"] == f"{named} AND metadata['holdfast_attempt']:'1'"


@pytest.mark.parametrize("ago", [HOUR, 30 * HOUR])
def test_a_payment_that_is_not_found_after_an_hour_was_never_made_and_is_not_made_now(ago: int) -> None:
    stripe, script = stripe_of(NOTHING_FOUND)
    assert stripe.find_by_order(asked_before(ago)) is None
    assert [asked.method for asked in script.asked] == ["GET"]


def test_a_payment_that_nobody_says_the_age_of_is_not_made_by_looking_for_it() -> None:
    stripe, script = stripe_of(NOTHING_FOUND)
    assert stripe.find_by_order(request("pm_1")) is None
    assert [asked.method for asked in script.asked] == ["GET"]


@pytest.mark.parametrize("unfound", [NOTHING_FOUND, CANNOT_SEARCH])
def test_a_payment_that_is_too_new_to_be_found_is_asked_for_again_by_the_same_key_and_form(unfound: Answer) -> None:
    stripe, script = stripe_of(httpx.ReadTimeout, unfound, (200, intent()))
    with pytest.raises(ProviderUnavailable):
        stripe.authorise(asked_before(0))
    found = stripe.find_by_order(asked_before(HOUR - 1))
    assert found is not None
    assert found.id == "pi_1"
    first, _, second = script.asked
    assert (first.content, first.headers["idempotency-key"]) == (second.content, second.headers["idempotency-key"])


def test_an_old_payment_is_not_taken_for_none_where_it_cannot_be_searched_for() -> None:
    stripe, script = stripe_of(CANNOT_SEARCH)
    with pytest.raises(ProviderUnavailable):
        stripe.find_by_order(asked_before(HOUR))
    assert [asked.method for asked in script.asked] == ["GET"]


def test_of_several_payments_of_an_attempt_the_furthest_counts() -> None:
    two = (200, {"data": [{"id": "pi_1"}, {"id": "pi_2"}]})
    stripe, _ = stripe_of(two, (200, intent("canceled")), (200, intent(id="pi_2")))
    found = stripe.find_by_order(asked_before(0))
    assert found is not None
    assert (found.id, found.state) == ("pi_2", PaymentState.AUTHORISED)


def test_a_payment_to_be_confirmed_elsewhere_says_where() -> None:
    step = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds", "return_url": None}}
    stripe, _ = stripe_of((200, intent("requires_action", next_action=step)))
    made = stripe.authorise(request("pm_1"))
    assert made.state is PaymentState.PENDING
    assert made.action == {
        "type": "stripe",
        "client_secret": "pi_1_secret_2",
        "redirect_url": "https://bank.example/3ds",
    }


@pytest.mark.parametrize(
    ("status", "more", "state", "reason"),
    [
        ("requires_payment_method", {}, PaymentState.PENDING, None),
        ("requires_confirmation", {}, PaymentState.PENDING, None),
        ("requires_action", {}, PaymentState.PENDING, None),
        ("processing", {}, PaymentState.PENDING, None),
        ("requires_capture", {}, PaymentState.AUTHORISED, None),
        ("succeeded", {}, PaymentState.CAPTURED, None),
        ("canceled", {"cancellation_reason": "automatic"}, PaymentState.VOIDED, "automatic"),
        (
            "requires_payment_method",
            {"last_payment_error": LOST_CARD, "metadata": CONFIRMED},
            PaymentState.DECLINED,
            "lost_card",
        ),
        ("requires_payment_method", {"last_payment_error": LOST_CARD}, PaymentState.PENDING, "lost_card"),
        ("requires_action", {"last_payment_error": LOST_CARD, "metadata": CONFIRMED}, PaymentState.PENDING, None),
        ("requires_capture", {"last_payment_error": LOST_CARD}, PaymentState.AUTHORISED, None),
    ],
)
def test_every_status_of_an_intent_is_understood(
    status: str, more: dict[str, Any], state: PaymentState, reason: str | None
) -> None:
    stripe, _ = stripe_of((200, intent(status, **more)))
    found = stripe.find("pi_1")
    assert found is not None
    assert (found.state, found.reason) == (state, reason)
    assert (found.action is not None) == (state is PaymentState.PENDING and status != "processing")


def test_a_status_that_is_new_to_us_is_not_guessed_at() -> None:
    stripe, _ = stripe_of((200, intent("requires_patience")))
    with pytest.raises(ProviderUnavailable):
        stripe.find("pi_1")


def test_what_is_captured_already_is_captured() -> None:
    refused = failure("invalid_request_error", code="payment_intent_unexpected_state")
    stripe, script = stripe_of((400, refused), (200, intent("succeeded")))
    found = stripe.capture(payment("pi_1"), "capture")
    assert (found.state, found.captured_minor, found.reason) == (PaymentState.CAPTURED, 5_000, None)
    assert script.calls == ["POST /v1/payment_intents/pi_1/capture", "GET /v1/payment_intents/pi_1"]


def test_what_can_no_more_be_captured_is_what_it_is_with_the_reason() -> None:
    refused = failure("invalid_request_error", code="charge_expired_for_capture")
    stripe, _ = stripe_of((400, refused), (200, intent("canceled")))
    found = stripe.capture(payment("pi_1"), "capture")
    assert (found.state, found.reason) == (PaymentState.VOIDED, "charge_expired_for_capture")


def test_a_refused_capture_of_what_is_still_set_aside_is_left_to_people() -> None:
    stripe, _ = stripe_of((400, failure("invalid_request_error")), (200, intent()))
    with pytest.raises(ProviderUnavailable):
        stripe.capture(payment("pi_1"), "capture")


def test_what_is_captured_is_not_voided() -> None:
    refused = failure("invalid_request_error", code="payment_intent_unexpected_state")
    stripe, _ = stripe_of((400, refused), (200, intent("succeeded")))
    assert stripe.void(payment("pi_1"), "void").state is PaymentState.CAPTURED


def test_what_was_paid_back_is_read_from_the_charge() -> None:
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 1_500}
    stripe, script = stripe_of((200, intent("succeeded", latest_charge=charge)))
    found = stripe.find("pi_1")
    assert found is not None
    assert (found.captured_minor, found.refunded_minor) == (5_000, 1_500)
    assert script.asked[0].url.params["expand[]"] == "latest_charge"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("succeeded", RefundState.PAID),
        ("pending", RefundState.PENDING),
        ("requires_action", RefundState.PENDING),
        ("failed", RefundState.FAILED),
        ("canceled", RefundState.FAILED),
    ],
)
def test_every_status_of_a_refund_is_understood(status: str, state: RefundState) -> None:
    stripe, script = stripe_of((200, {"data": []}), (200, {"id": "re_1", "status": status, "failure_reason": None}))
    made = stripe.refund(payment("pi_1", PaymentState.CAPTURED), 1_500, "refund-1")
    assert (made.id, made.state, made.amount_minor) == ("re_1", state, 1_500)
    assert script.asked[1].headers["idempotency-key"] == "refund-1"
    assert script.form(1) == {"payment_intent": "pi_1", "amount": "1500", "metadata[holdfast_refund]": "refund-1"}


def test_a_refund_is_not_paid_again_even_when_its_key_is_forgotten() -> None:
    """Stripe forgets keys after a day or more; the refund itself says whose it is."""
    stripe, script = stripe_of((200, {"data": [refund("failed", id="re_0"), refund(metadata={}), refund(id="re_2")]}))
    assert stripe.refund(payment("pi_1", PaymentState.CAPTURED), 1_500, "refund-1").id == "re_2"
    assert script.calls == ["GET /v1/refunds"]


def test_a_refund_that_stands_on_a_later_page_is_found() -> None:
    first = {"data": [refund(id="re_0", metadata={})], "has_more": True}
    stripe, script = stripe_of((200, first), (200, {"data": [refund()], "has_more": False}))
    assert stripe.refund(payment("pi_1", PaymentState.CAPTURED), 1_500, "refund-1").id == "re_1"
    assert script.asked[1].url.params["starting_after"] == "re_0"


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_failed_is_made_again_by_a_further_key(status: str) -> None:
    gone = [refund(status, id="re_0"), refund(status, id="re_1")]
    stripe, script = stripe_of((200, {"data": gone}), (200, refund("pending", id="re_2")))
    made = stripe.refund(payment("pi_1", PaymentState.CAPTURED), 1_500, "refund-1")
    assert (made.id, made.state) == ("re_2", RefundState.PENDING)
    assert script.asked[1].headers["idempotency-key"] == "refund-1-2"
    assert script.form(1)["metadata[holdfast_refund]"] == "refund-1"


def test_all_refunds_of_a_payment_are_told_with_the_keys_of_those_that_are_ours() -> None:
    stripe, _ = stripe_of((200, {"data": [refund("failed"), refund(id="re_2", amount=500, metadata={})]}))
    assert stripe.refunds_of("pi_1") == [
        Refund("re_1", RefundState.FAILED, 1_500, "expired_or_canceled_card", "refund-1"),
        Refund("re_2", RefundState.PAID, 500),
    ]


@pytest.mark.parametrize("code", ["charge_already_refunded", "charge_disputed"])
def test_a_refused_refund_has_failed(code: str) -> None:
    stripe, _ = stripe_of((200, {"data": []}), (400, failure("invalid_request_error", code=code)))
    made = stripe.refund(payment("pi_1", PaymentState.CAPTURED), 1_500, "refund-1")
    assert (made.id, made.state, made.reason) == (None, RefundState.FAILED, code)


@pytest.mark.parametrize(
    ("minor", "currency", "sent"),
    [
        (700, "JPY", "700"),
        (1_999, "EUR", "1999"),
        (1_230, "KWD", "1230"),
        (5, "ISK", "500"),
        (5, "UGX", "500"),
        (700, "MGA", "7"),
    ],
)
def test_amounts_are_in_stripes_units_there_and_in_ours_back(minor: int, currency: str, sent: str) -> None:
    stripe, script = stripe_of((200, intent(amount=int(sent), currency=currency.lower())))
    made = stripe.authorise(request("pm_1", minor, currency))
    assert script.form()["amount"] == sent
    assert (made.amount_minor, made.currency) == (minor, currency)


@pytest.mark.parametrize(("minor", "currency"), [(1_234, "KWD"), (701, "MGA")])
def test_an_amount_that_cards_cannot_be_charged_is_declined_unasked(minor: int, currency: str) -> None:
    stripe, script = stripe_of()
    made = stripe.authorise(request("pm_1", minor, currency))
    assert (made.state, made.reason) == (PaymentState.DECLINED, "amount_not_chargeable")
    assert script.asked == []


def _event(about: dict[str, Any], kind: str = "payment_intent.amount_capturable_updated") -> bytes:
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}).encode()


def _signed(body: bytes, at: int = NOW, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"stripe-signature": signatures.timed_header(body, secret, at)}


def test_an_event_about_an_intent_tells_of_its_payment() -> None:
    stripe, script = stripe_of()
    body = _event(intent())
    event = stripe.read_event(body, _signed(body), NOW)
    assert (event.id, event.type) == ("evt_1", "payment_intent.amount_capturable_updated")
    assert event.payment == Payment("pi_1", PaymentState.AUTHORISED, 5_000, "USD", order_id=ORDER, attempt=1)
    assert script.asked == []


def test_an_event_about_something_else_tells_of_no_payment() -> None:
    stripe, _ = stripe_of()
    body = _event({"id": "ch_1", "object": "charge"}, "charge.refunded")
    event = stripe.read_event(body, _signed(body), NOW)
    assert (event.type, event.payment) == ("charge.refunded", None)


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "more", "failed"),
    [
        ("failed", {}, "refund-1"),
        ("canceled", {}, "refund-1"),
        ("failed", {"metadata": {}}, None),
        ("failed", {"metadata": None}, None),
        ("succeeded", {}, None),
        ("pending", {}, None),
    ],
)
def test_an_event_about_a_refund_tells_whether_it_was_ours_and_failed(
    kind: str, status: str, more: dict[str, Any], failed: str | None
) -> None:
    stripe, script = stripe_of()
    body = _event(refund(status, **more), kind)
    event = stripe.read_event(body, _signed(body), NOW)
    assert (event.type, event.payment, event.failed_refund) == (kind, None, failed)
    assert script.asked == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"holdfast_tenant": "another", "holdfast_order": ORDER, "holdfast_attempt": "1"},
        {"holdfast_tenant": TENANT, "holdfast_order": ORDER, "holdfast_attempt": "one"},
    ],
)
def test_an_event_of_another_seller_on_the_same_account_names_no_order_of_ours(metadata: dict[str, str]) -> None:
    stripe, _ = stripe_of()
    body = _event(intent(metadata=metadata))
    event = stripe.read_event(body, _signed(body), NOW)
    assert event.payment is not None
    assert (event.payment.order_id, event.payment.attempt) == (None, None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"stripe-signature": ""},
        _signed(_event(intent()), NOW - SIX_MINUTES),
        _signed(_event(intent()), NOW + SIX_MINUTES),
        _signed(_event(intent()), secret="whsec_of_another"),
        _signed(_event(intent())[:-1]),
    ],
)
def test_an_event_that_is_not_signed_old_from_the_future_or_for_another_body_is_refused(
    headers: dict[str, str],
) -> None:
    stripe, _ = stripe_of()
    with pytest.raises(SignatureRefused):
        stripe.read_event(_event(intent()), headers, NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"no json", b'{"id": "1", "type": "a", "data": 1}'])
def test_a_signed_text_that_is_no_event_is_refused(body: bytes) -> None:
    stripe, _ = stripe_of()
    with pytest.raises(SignatureRefused):
        stripe.read_event(body, _signed(body), NOW)


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"api_key": API_KEY},
        {"api_key": API_KEY, "webhook_secret": ""},
        {"api_key": 5, "webhook_secret": WEBHOOK_SECRET},
        {"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET, "base_url": "http://stripe.example"},
        {"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET, "base_url": "http://localhost.example"},
        {"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET, "base_url": "file:///etc/passwd"},
    ],
)
def test_credentials_that_are_incomplete_or_sent_in_the_open_are_refused_without_being_told(
    secret: dict[str, Any],
) -> None:
    with pytest.raises(SecretUnreadable) as raised:
        Stripe.with_secret(TENANT, secret)
    assert API_KEY not in str(raised.value)
    assert "example" not in str(raised.value)


def test_a_payment_made_for_another_attempt_says_so() -> None:
    stripe, _ = stripe_of((200, intent(metadata=intent()["metadata"] | {"holdfast_attempt": "2"})))
    found = stripe.find("pi_1")
    assert found == replace(payment("pi_1"), order_id=ORDER, attempt=2)


@pytest.mark.parametrize("odd", ["pi_1/../refunds", "pi_1?expand[]=x", "charge#01", "pi 1"])
def test_an_id_of_any_letters_asks_for_nothing_else(odd: str) -> None:
    stripe, script = stripe_of((404, failure("invalid_request_error", code="resource_missing")))
    assert stripe.find(odd) is None
    assert script.asked[0].url.path == f"/v1/payment_intents/{odd}"
    assert dict(script.asked[0].url.params) == {"expand[]": "latest_charge"}
    assert script.asked[0].url.fragment == ""
