"""Razorpay's adapter against answers of the documented shapes, with values made up here."""

import hmac
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.checkout.payments.port import Payment, PaymentState, Refund, RefundState
from holdfast.checkout.payments.razorpay import Razorpay, RazorpaySecret
from holdfast.platform.errors import ProviderUnavailable, SignatureRefused
from holdfast.platform.secrets import SecretUnreadable
from tests.payments.wire import ORDER, TENANT, Answer, Script, payment, request

KEY_ID, KEY_SECRET = "rzp_test_key", "key_secret_1"
WEBHOOK_SECRET, OLD_WEBHOOK_SECRET = "webhook_secret_2", "webhook_secret_1"
NOW = 1_700_000_000_000
OF_OURS = {"holdfast_refund": "refund-1"}
NOTES = {"holdfast_tenant": TENANT, "holdfast_order": ORDER, "holdfast_attempt": "1"}


def order(status: str = "created", **more: Any) -> dict[str, Any]:
    """An order as Razorpay shows it."""
    return {
        "id": "order_1",
        "entity": "order",
        "amount": 5_000,
        "amount_paid": 0,
        "amount_due": 5_000,
        "currency": "INR",
        "receipt": "holdfast",
        "offer_id": None,
        "status": status,
        "attempts": 0,
        "notes": NOTES,
        "created_at": 1_700_000_000,
    } | more


def paid(status: str = "authorized", **more: Any) -> dict[str, Any]:
    """A payment as Razorpay shows it."""
    return {
        "id": "pay_1",
        "entity": "payment",
        "amount": 5_000,
        "currency": "INR",
        "status": status,
        "order_id": "order_1",
        "method": "card",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": status == "captured",
        "notes": [],
        "error_code": None,
        "error_description": None,
        "error_source": None,
        "error_step": None,
        "error_reason": None,
        "created_at": 1_700_000_100,
    } | more


def refund(status: str = "processed", **more: Any) -> dict[str, Any]:
    """A refund as Razorpay shows it."""
    return {
        "id": "rfnd_1",
        "entity": "refund",
        "amount": 1_500,
        "currency": "INR",
        "payment_id": "pay_1",
        "notes": [],
        "receipt": None,
        "status": status,
        "speed_processed": "normal",
        "created_at": 1_700_000_200,
    } | more


def listed(*items: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A list as Razorpay shows it."""
    return 200, {"entity": "collection", "count": len(items), "items": list(items)}


def refused(description: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """An error as Razorpay shows it; an id that is not known is one as well."""
    error = {"code": "BAD_REQUEST_ERROR", "description": description, "source": "NA", "step": "NA", "reason": "NA"}
    return 400, {"error": error | {"metadata": {}} | more}


def razorpay_of(*answers: Answer) -> tuple[Razorpay, Script]:
    """Razorpay with a script instead of a server."""
    script = Script(*answers)
    secret = {
        "key_id": KEY_ID,
        "key_secret": KEY_SECRET,
        "webhook_secret": WEBHOOK_SECRET,
        "previous_webhook_secret": OLD_WEBHOOK_SECRET,
    }
    return Razorpay(TENANT, RazorpaySecret.model_validate(secret), script), script


def rupees(state: PaymentState, **more: Any) -> Payment:
    """The payment that the order and its payments are to the port."""
    return payment("order_1", state, currency="INR", order_id=ORDER, attempt=1, **more)


def _signature(message: str, secret: str = KEY_SECRET) -> str:
    return hmac.new(secret.encode(), message.encode(), "sha256").hexdigest()


def test_an_order_is_made_for_manual_capture_with_a_receipt_and_whose_it_is() -> None:
    razorpay, script = razorpay_of(listed(), (200, order()))
    made = razorpay.authorise(request(currency="INR"))
    action = {"type": "razorpay", "key_id": KEY_ID, "order_id": "order_1", "amount": 5_000, "currency": "INR"}
    assert made == rupees(PaymentState.PENDING, action=action)
    assert script.calls == ["GET /v1/orders", "POST /v1/orders"]
    sent = json.loads(script.asked[1].content)
    assert sent["payment"]["capture"] == "manual"
    assert sent["payment"]["capture_options"] == {"manual_expiry_period": 4_320, "refund_speed": "normal"}
    assert (sent["amount"], sent["currency"], sent["notes"]) == (5_000, "INR", NOTES)
    assert len(sent["receipt"]) == 40
    assert sent["receipt"] == script.asked[0].url.params["receipt"]


def test_each_attempt_has_a_receipt_of_its_own() -> None:
    razorpay, script = razorpay_of(listed(), listed(), listed())
    razorpay.find_by_order(request())
    razorpay.find_by_order(request())
    razorpay.find_by_order(request(attempt=2))
    first, again, second = (asked.url.params["receipt"] for asked in script.asked)
    assert first == again != second


def test_an_order_whose_answer_was_lost_is_found_and_not_made_again() -> None:
    razorpay, script = razorpay_of(listed(), httpx.ReadTimeout, listed(order()), listed())
    with pytest.raises(ProviderUnavailable):
        razorpay.authorise(request(currency="INR"))
    assert razorpay.authorise(request(currency="INR")).id == "order_1"
    assert script.calls.count("POST /v1/orders") == 1


def test_of_two_orders_made_at_once_the_first_counts_for_good() -> None:
    later = order(id="order_0", created_at=1_700_000_009)
    razorpay, _ = razorpay_of(listed(later, order()), listed())
    found = razorpay.find_by_order(request())
    assert found is not None
    assert found.id == "order_1"


def test_what_was_not_asked_for_is_not_found() -> None:
    razorpay, script = razorpay_of(listed())
    assert razorpay.find_by_order(request()) is None
    assert script.calls == ["GET /v1/orders"]


@pytest.mark.parametrize(
    ("payments", "state", "more"),
    [
        ([], PaymentState.PENDING, {}),
        ([paid("created")], PaymentState.PENDING, {}),
        ([paid("failed", error_reason="payment_failed")], PaymentState.PENDING, {"reason": "payment_failed"}),
        ([paid()], PaymentState.AUTHORISED, {}),
        ([paid(captured=True)], PaymentState.AUTHORISED, {}),
        ([paid("captured")], PaymentState.CAPTURED, {"captured_minor": 5_000}),
        (
            [paid("captured", amount_refunded=1_500)],
            PaymentState.CAPTURED,
            {"captured_minor": 5_000, "refunded_minor": 1_500},
        ),
        (
            [paid("refunded", captured=True, amount_refunded=5_000)],
            PaymentState.CAPTURED,
            {"captured_minor": 5_000, "refunded_minor": 5_000},
        ),
        ([paid("refunded", captured=False, amount_refunded=5_000)], PaymentState.VOIDED, {}),
        ([paid("failed", id="pay_0", error_reason="timed_out"), paid()], PaymentState.AUTHORISED, {}),
        ([paid("captured", id="pay_0"), paid()], PaymentState.CAPTURED, {"captured_minor": 5_000}),
    ],
)
def test_an_order_is_what_its_furthest_payment_makes_of_it(
    payments: list[dict[str, Any]], state: PaymentState, more: dict[str, Any]
) -> None:
    razorpay, _ = razorpay_of((200, order("attempted")), listed(*payments))
    found = razorpay.find("order_1")
    assert found is not None
    assert found.action is not None or state is not PaymentState.PENDING
    assert Payment(**vars(found) | {"action": None}) == rupees(state, **more)


def test_a_payment_is_found_by_its_own_id_too_under_the_orders() -> None:
    razorpay, script = razorpay_of((200, paid()), (200, order()), listed(paid()))
    assert razorpay.find("pay_1") == rupees(PaymentState.AUTHORISED)
    assert script.calls == ["GET /v1/payments/pay_1", "GET /v1/orders/order_1", "GET /v1/orders/order_1/payments"]


def test_an_id_that_razorpay_does_not_know_is_not_found() -> None:
    razorpay, _ = razorpay_of(refused("The id provided does not exist"), refused("The id provided does not exist"))
    assert razorpay.find("order_0") is None
    assert razorpay.find("pay_0") is None


def test_a_payment_that_is_for_no_order_is_none_of_ours() -> None:
    razorpay, _ = razorpay_of((200, paid(order_id=None)))
    assert razorpay.find("pay_1") is None


def test_an_order_of_another_seller_on_the_same_account_names_no_order_of_ours() -> None:
    razorpay, _ = razorpay_of((200, order(notes=[])), listed(paid()))
    found = razorpay.find("order_1")
    assert found is not None
    assert (found.order_id, found.attempt) == (None, None)


def test_the_checkouts_answer_is_believed_for_our_order_only() -> None:
    token = f"pay_1|{_signature('order_1|pay_1')}"
    razorpay, script = razorpay_of(listed(order()), listed(paid()))
    assert razorpay.authorise(request(token, currency="INR")) == rupees(PaymentState.AUTHORISED)
    assert "POST /v1/orders" not in script.calls


@pytest.mark.parametrize(
    "token",
    [
        f"pay_1|{_signature('order_2|pay_1')}",
        f"pay_2|{_signature('order_1|pay_1')}",
        f"pay_1|{_signature('order_1|pay_1', 'another secret')}",
        f"pay_1|{_signature('order_1|pay_1')}"[:-1],
        _signature("order_1|pay_1"),
        "pay_1|",
        "",
        "ü|ü",
    ],
)
def test_a_checkouts_answer_that_is_not_signed_for_our_order_is_declined(token: str) -> None:
    razorpay, script = razorpay_of(listed(order()))
    made = razorpay.authorise(request(token, currency="INR"))
    assert (made.id, made.state, made.reason) == ("order_1", PaymentState.DECLINED, "signature_invalid")
    assert script.calls == ["GET /v1/orders"]


def test_a_checkouts_answer_to_an_order_that_was_never_made_is_declined_and_makes_none() -> None:
    razorpay, script = razorpay_of(listed())
    made = razorpay.authorise(request(f"pay_1|{_signature('order_1|pay_1')}", currency="INR"))
    assert made.state is PaymentState.DECLINED
    assert script.calls == ["GET /v1/orders"]


def test_what_razorpay_cannot_charge_is_declined_with_its_reason() -> None:
    razorpay, _ = razorpay_of(listed(), refused("Too little.", reason="input_validation_failed"))
    made = razorpay.authorise(request(amount=50, currency="INR"))
    assert (made.state, made.reason) == (PaymentState.DECLINED, "input_validation_failed")


def test_what_is_authorised_is_captured_with_its_amount() -> None:
    razorpay, script = razorpay_of(
        listed(paid()), (200, paid("captured")), (200, order("paid")), listed(paid("captured"))
    )
    found = razorpay.capture(rupees(PaymentState.AUTHORISED), "capture")
    assert found == rupees(PaymentState.CAPTURED, captured_minor=5_000)
    assert script.calls[1] == "POST /v1/payments/pay_1/capture"
    assert json.loads(script.asked[1].content) == {"amount": 5_000, "currency": "INR"}


def test_what_is_captured_already_is_captured_though_razorpay_refuses() -> None:
    """Two at once: the other one's capture came first."""
    razorpay, _ = razorpay_of(
        listed(paid()),
        refused("This payment has already been captured"),
        (200, order("paid")),
        listed(paid("captured")),
    )
    assert razorpay.capture(rupees(PaymentState.AUTHORISED), "capture").state is PaymentState.CAPTURED


def test_what_was_captured_before_is_not_captured_again() -> None:
    captured = listed(paid("captured"))
    razorpay, script = razorpay_of(captured, (200, order("paid")), captured)
    assert razorpay.capture(rupees(PaymentState.CAPTURED), "capture").captured_minor == 5_000
    assert not any(call.startswith("POST") for call in script.calls)


def test_a_capture_that_came_too_late_says_that_the_money_went_back() -> None:
    gone = listed(paid("refunded", captured=False))
    razorpay, _ = razorpay_of(gone, (200, order()), gone)
    assert razorpay.capture(rupees(PaymentState.AUTHORISED), "capture").state is PaymentState.VOIDED


def test_a_refused_capture_of_what_is_still_set_aside_is_left_to_people() -> None:
    razorpay, _ = razorpay_of(listed(paid()), refused("No."), (200, order()), listed(paid()))
    with pytest.raises(ProviderUnavailable):
        razorpay.capture(rupees(PaymentState.AUTHORISED), "capture")


@pytest.mark.parametrize("payments", [[], [paid("failed")], [paid()]])
def test_what_is_not_captured_is_left_to_pay_itself_back(payments: list[dict[str, Any]]) -> None:
    razorpay, script = razorpay_of((200, order()), listed(*payments))
    found = razorpay.void(rupees(PaymentState.AUTHORISED), "void")
    assert (found.id, found.state, found.action) == ("order_1", PaymentState.VOIDED, None)
    assert not any(call.startswith("POST") for call in script.calls)


def test_what_was_captured_meanwhile_is_not_voided() -> None:
    razorpay, _ = razorpay_of((200, order("paid")), listed(paid("captured")))
    found = razorpay.void(rupees(PaymentState.AUTHORISED), "void")
    assert (found.state, found.captured_minor) == (PaymentState.CAPTURED, 5_000)


@pytest.mark.parametrize(
    ("status", "state"),
    [("processed", RefundState.PAID), ("pending", RefundState.PENDING), ("failed", RefundState.FAILED)],
)
def test_a_refund_has_its_key_in_header_and_notes(status: str, state: RefundState) -> None:
    razorpay, script = razorpay_of(listed(paid("captured")), listed(), (200, refund(status)))
    made = razorpay.refund(rupees(PaymentState.CAPTURED), 1_500, "refund-1")
    assert (made.id, made.state, made.amount_minor) == ("rfnd_1", state, 1_500)
    sent = json.loads(script.asked[2].content)
    assert sent == {"amount": 1_500, "speed": "normal", "notes": {"holdfast_refund": "refund-1"}}
    mark = script.asked[2].headers["x-refund-idempotency"]
    assert len(mark) >= 10
    assert mark.isalnum()


def test_a_refund_is_not_paid_again_even_when_its_key_is_forgotten() -> None:
    made = listed(refund(id="rfnd_0"), refund("failed", id="rfnd_2", notes=OF_OURS), refund(notes=OF_OURS))
    razorpay, script = razorpay_of(listed(paid("captured")), made)
    assert razorpay.refund(rupees(PaymentState.CAPTURED), 1_500, "refund-1").id == "rfnd_1"
    assert not any(call.startswith("POST") for call in script.calls)


def test_a_refund_that_stands_on_a_later_page_is_found() -> None:
    others = [refund(id=f"rfnd_{number}") for number in range(100)]
    razorpay, script = razorpay_of(listed(paid("captured")), listed(*others), listed(refund(notes=OF_OURS)))
    assert razorpay.refund(rupees(PaymentState.CAPTURED), 1_500, "refund-1").id == "rfnd_1"
    assert [asked.url.params.get("skip") for asked in script.asked] == [None, "0", "100"]


def test_a_refund_that_failed_is_made_again_by_a_further_key() -> None:
    marks = []
    for made in ([], [refund("failed", notes=OF_OURS)]):
        razorpay, script = razorpay_of(listed(paid("captured")), listed(*made), (200, refund("pending", id="rfnd_2")))
        assert razorpay.refund(rupees(PaymentState.CAPTURED), 1_500, "refund-1").id == "rfnd_2"
        assert json.loads(script.asked[2].content)["notes"] == OF_OURS
        marks.append(script.asked[2].headers["x-refund-idempotency"])
    assert marks[0] != marks[1]


def test_all_refunds_of_an_order_are_told_with_the_keys_of_those_that_are_ours() -> None:
    made = listed(refund("failed", notes=OF_OURS), refund(id="rfnd_2", amount=500))
    razorpay, _ = razorpay_of(listed(paid("captured")), made)
    assert razorpay.refunds_of("order_1") == [
        Refund("rfnd_1", RefundState.FAILED, 1_500, key="refund-1"),
        Refund("rfnd_2", RefundState.PAID, 500),
    ]
    razorpay, _ = razorpay_of(listed())
    assert razorpay.refunds_of("order_1") == []


@pytest.mark.parametrize(
    "description",
    [
        "The refund amount provided is greater than amount captured",
        "The payment has been fully refunded already",
        "Different request with the same idempotency key has already been processed",
    ],
)
def test_a_refused_refund_has_failed(description: str) -> None:
    razorpay, _ = razorpay_of(listed(paid("captured")), listed(), refused(description))
    made = razorpay.refund(rupees(PaymentState.CAPTURED), 1_500, "refund-1")
    assert (made.id, made.state, made.reason) == (None, RefundState.FAILED, "bad_request_error")


def test_what_was_not_captured_is_not_refunded() -> None:
    razorpay, script = razorpay_of(listed(paid()))
    assert razorpay.refund(rupees(PaymentState.AUTHORISED), 1_500, "refund-1").state is RefundState.FAILED
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": {"code": "BAD_REQUEST_ERROR"}}),
        (409, {"error": {"code": "BAD_REQUEST_ERROR"}}),
        (429, {}),
        (500, {"error": {"code": "SERVER_ERROR"}}),
        (502, b"<html>Somewhere else</html>"),
        (200, b"cut off in the mid"),
        httpx.ReadTimeout,
        httpx.ConnectError,
    ],
)
def test_what_says_nothing_of_the_payment_is_never_taken_for_a_refusal(answer: Answer) -> None:
    razorpay, _ = razorpay_of(listed(), answer)
    with pytest.raises(ProviderUnavailable):
        razorpay.authorise(request(currency="INR"))
    razorpay, _ = razorpay_of(answer)
    with pytest.raises(ProviderUnavailable):
        razorpay.find("order_1")
    razorpay, _ = razorpay_of(listed(paid()), answer)
    with pytest.raises(ProviderUnavailable):
        razorpay.capture(rupees(PaymentState.AUTHORISED), "capture")
    razorpay, _ = razorpay_of(listed(paid("captured")), listed(), answer)
    with pytest.raises(ProviderUnavailable):
        razorpay.refund(rupees(PaymentState.CAPTURED), 100, "refund-1")


@pytest.mark.parametrize(
    ("minor", "currency", "sent"), [(700, "JPY", 700), (1_230, "KWD", 1_230), (1_234, "KWD", None)]
)
def test_amounts_are_in_the_currencys_smallest_unit_with_a_last_0_of_three(
    minor: int, currency: str, sent: int | None
) -> None:
    razorpay, script = razorpay_of(listed(), (200, order(amount=sent, currency=currency)))
    made = razorpay.authorise(request(amount=minor, currency=currency))
    if sent is None:
        assert (made.state, made.reason) == (PaymentState.DECLINED, "amount_not_chargeable")
    else:
        assert json.loads(script.asked[1].content)["amount"] == sent
        assert made.amount_minor == minor


def _event(kind: str = "payment.authorized", **payload: Any) -> bytes:
    payload = payload or {"payment": {"entity": paid()}}
    said = {"entity": "event", "account_id": "acc_1", "event": kind, "contains": list(payload), "payload": payload}
    return json.dumps(said | {"created_at": 1_700_000_100}).encode()


def _signed(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"x-razorpay-signature": _signature(body.decode(), secret), "x-razorpay-event-id": "evt_1"}


@pytest.mark.parametrize("kind", ["payment.authorized", "payment.captured", "payment.failed", "order.paid"])
def test_an_event_makes_us_ask_what_is_so_now(kind: str) -> None:
    """Events come in any order, and a failed payment may be paid after all."""
    razorpay, _ = razorpay_of((200, order()), listed(paid("captured")))
    body = _event(kind)
    event = razorpay.read_event(body, _signed(body), NOW)
    assert (event.id, event.type) == ("evt_1", kind)
    assert event.payment == rupees(PaymentState.CAPTURED, captured_minor=5_000)


def test_an_event_about_a_refund_or_no_order_tells_of_no_payment() -> None:
    razorpay, script = razorpay_of()
    bodies = [
        _event("refund.processed", refund={"entity": refund()}, payment={"entity": paid("captured")}),
        _event("payment.captured", payment={"entity": paid("captured", order_id=None)}),
        _event("settlement.processed", settlement={"entity": {}}),
    ]
    assert [razorpay.read_event(body, _signed(body), NOW).payment for body in bodies] == [None, None, None]
    assert script.asked == []


@pytest.mark.parametrize(
    ("kind", "about", "failed"),
    [
        ("refund.failed", refund("failed", notes=OF_OURS), "refund-1"),
        ("refund.failed", refund("failed"), None),
        ("refund.processed", refund("processed", notes=OF_OURS), None),
        ("refund.created", refund("pending", notes=OF_OURS), None),
    ],
)
def test_an_event_about_a_refund_tells_whether_it_was_ours_and_failed(
    kind: str, about: dict[str, Any], failed: str | None
) -> None:
    razorpay, script = razorpay_of()
    body = _event(kind, refund={"entity": about}, payment={"entity": paid("captured")})
    event = razorpay.read_event(body, _signed(body), NOW)
    assert (event.payment, event.failed_refund) == (None, failed)
    assert script.asked == []


def test_an_event_signed_with_the_secret_before_is_heard() -> None:
    razorpay, _ = razorpay_of((200, order()), listed(paid()))
    body = _event()
    assert razorpay.read_event(body, _signed(body, OLD_WEBHOOK_SECRET), NOW).payment is not None


def test_an_event_without_an_id_has_one_by_its_text() -> None:
    razorpay, _ = razorpay_of((200, order()), listed(), (200, order()), listed())
    body = _event()
    headers = {"x-razorpay-signature": _signature(body.decode(), WEBHOOK_SECRET)}
    assert razorpay.read_event(body, headers, NOW).id == razorpay.read_event(body, headers, NOW).id


@settings(deadline=None)
@given(st.data())
def test_any_changed_byte_of_an_event_or_its_signature_is_refused(data: st.DataObject) -> None:
    razorpay, script = razorpay_of()
    body = _event()
    headers = _signed(body)
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(body) - 1))
        other = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
        body = body[:place] + bytes([other]) + body[place + 1 :]
    else:
        right = headers["x-razorpay-signature"]
        place = data.draw(st.integers(0, len(right) - 1))
        wrong = data.draw(st.characters().filter(lambda character: character != right[place]))
        headers["x-razorpay-signature"] = right[:place] + wrong + right[place + 1 :]
    with pytest.raises(SignatureRefused):
        razorpay.read_event(body, headers, NOW)
    assert script.asked == []


@pytest.mark.parametrize("headers", [{}, {"x-razorpay-signature": ""}, _signed(_event()[:-1]), _signed(_event(), "x")])
def test_an_event_that_is_not_signed_or_for_another_body_is_refused(headers: dict[str, str]) -> None:
    razorpay, _ = razorpay_of()
    with pytest.raises(SignatureRefused):
        razorpay.read_event(_event(), headers, NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"no json", b'{"event": "payment.failed", "payload": 1}'])
def test_a_signed_text_that_is_no_event_is_refused(body: bytes) -> None:
    razorpay, _ = razorpay_of()
    with pytest.raises(SignatureRefused):
        razorpay.read_event(body, _signed(body), NOW)


def test_the_credentials_are_sent_to_razorpay_over_https_and_nowhere_else() -> None:
    razorpay, script = razorpay_of((200, order()), listed())
    razorpay.find("order_1")
    assert {(asked.url.scheme, asked.url.host) for asked in script.asked} == {("https", "api.razorpay.com")}
    expected = httpx.BasicAuth(KEY_ID, KEY_SECRET)._auth_header
    assert {asked.headers["authorization"] for asked in script.asked} == {expected}


@pytest.mark.parametrize("missing", ["key_id", "key_secret", "webhook_secret"])
def test_credentials_that_are_incomplete_are_refused_without_being_told(missing: str) -> None:
    secret = {"key_id": KEY_ID, "key_secret": KEY_SECRET, "webhook_secret": WEBHOOK_SECRET}
    del secret[missing]
    with pytest.raises(SecretUnreadable, match=missing) as raised:
        Razorpay.with_secret(TENANT, secret)
    assert not any(value in str(raised.value) for value in secret.values())
