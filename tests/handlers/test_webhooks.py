"""Webhooks of payment providers: signed, taken in once, and whatever comes, money and goods end on the same side."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from holdfast.checkout.opening import START_WITHIN
from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState
from holdfast.checkout.payments.sandbox import SANDBOX_WEBHOOK_SECRET, SIGNATURE_HEADER, Sandbox
from holdfast.checkout.payments.signatures import timed_header
from holdfast.checkout.webhook_decisions import stray_name
from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.errors import ProviderUnavailable, Unavailable
from holdfast.platform.order_items import OrderItem, WebhookItem
from holdfast.platform.tables import Keys, due_bucket
from holdfast.reservations import reading
from holdfast.reservations.ending import confirm
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api, load
from tests.handlers.paying import BOUGHT, PRICE, WAITING, Buyer
from tests.workflow import Machines, installed

MINUTE = 60
UNKNOWN = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    return installed(monkeypatch)


@pytest.fixture
def buyer(api: Api, store: Store, clock: HandMovedClock, machines: Machines) -> Buyer:
    """A buyer whose order awaits payment."""
    found = Buyer(api, store, clock, machines)
    found.check_out()
    assert found.ending() == WAITING
    return found


def test_a_payment_that_is_told_of_buys(buyer: Buyer) -> None:
    answer = buyer.tell(buyer.paid_at_provider())
    assert (answer.status, answer.json) == (200, {"received": True})
    assert buyer.ending() == BOUGHT
    taken = buyer.store.get(WebhookItem, Keys(buyer.api.tenant).webhook("sandbox", "evt_1"))
    assert taken is not None
    assert (taken.taken_as, taken.event_type) == ("paid", "payment.authorised")


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("encoded", [False, True])
def test_whatever_the_body_says_it_is_it_is_read_as_it_came(
    buyer: Buyer, content_type: str | None, encoded: bool
) -> None:
    body, headers = buyer.signed(buyer.paid_at_provider())
    sent = headers | ({"Content-Type": content_type} if content_type else {})
    assert buyer.webhook(body, sent, encoded=encoded).status == 200
    assert buyer.ending() == BOUGHT


def test_the_signature_is_over_every_byte_and_names_of_headers_have_no_case(buyer: Buyer) -> None:
    said = {"id": "evt_1", "type": "payment.authorised", "payment": asdict(buyer.paid_at_provider())}
    body = json.dumps(said, indent=3) + "\r\n \n"
    signature = timed_header(body.encode(), SANDBOX_WEBHOOK_SECRET, buyer.clock.milliseconds)
    assert buyer.webhook(body, {SIGNATURE_HEADER: signature.replace("v1=", "v0=")}).code == "signature_refused"
    assert buyer.webhook(body.strip(), {SIGNATURE_HEADER: signature}).code == "signature_refused"
    assert buyer.webhook(body, {"Sandbox-Signature": f"v1=00,{signature},v0=1"}).status == 200
    assert buyer.ending() == BOUGHT


def _wrong_secret(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return body, {SIGNATURE_HEADER: timed_header(body.encode(), "another", now)}


def _truncated(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return body[:-1], headers


def _truncated_and_signed(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return body[:-20], {SIGNATURE_HEADER: timed_header(body[:-20].encode(), SANDBOX_WEBHOOK_SECRET, now)}


def _changed(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return body.replace("3998", "3999"), headers


def _without(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return body, {}


def _empty(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    return "", headers


def _redated(body: str, headers: dict[str, str], now: int) -> tuple[str, dict[str, str]]:
    _, _, signature = headers[SIGNATURE_HEADER].partition(",")
    return body, {SIGNATURE_HEADER: f"t={now // 1000 + 1},{signature}"}


@pytest.mark.parametrize(
    "spoil",
    [_wrong_secret, _truncated, _truncated_and_signed, _changed, _without, _empty, _redated],
)
def test_what_is_not_signed_as_it_stands_is_refused(buyer: Buyer, aws: Aws, spoil: Callable[..., Any]) -> None:
    body, headers = buyer.signed(buyer.paid_at_provider())
    before = aws.dump()
    answer = buyer.webhook(*spoil(body, headers, buyer.clock.milliseconds))
    assert (answer.status, answer.code) == (400, "signature_refused")
    assert aws.dump() == before


@pytest.mark.parametrize(
    "odd",
    [{"order_id": 5}, {"amount_minor": "3998"}, {"amount_minor": 10**40}, {"attempt": 10**40}, {"state": "lost"}],
)
def test_a_webhook_that_anybody_may_sign_is_read_strictly(buyer: Buyer, aws: Aws, odd: dict[str, Any]) -> None:
    said = {"id": "evt_1", "type": "payment.authorised", "payment": asdict(buyer.paid_at_provider()) | odd}
    body = json.dumps(said)
    before = aws.dump()
    headers = {SIGNATURE_HEADER: timed_header(body.encode(), SANDBOX_WEBHOOK_SECRET, buyer.clock.milliseconds)}
    assert buyer.webhook(body, headers).code == "signature_refused"
    assert aws.dump() == before


@pytest.mark.parametrize("late", [6 * MINUTE, -6 * MINUTE])
def test_six_minutes_off_either_way_is_refused(buyer: Buyer, aws: Aws, late: int) -> None:
    payment = buyer.paid_at_provider()
    before = aws.dump()
    assert buyer.tell(payment, late=late).code == "signature_refused"
    assert aws.dump() == before
    assert buyer.tell(payment, late=late // 2).status == 200
    assert buyer.ending() == BOUGHT


def test_a_replay_changes_nothing(buyer: Buyer, aws: Aws) -> None:
    signed = buyer.signed(buyer.paid_at_provider())
    assert buyer.webhook(*signed).status == 200
    before = aws.dump()
    for _ in range(2):
        assert buyer.webhook(*signed).json == {"received": True}
    assert aws.dump() == before


def test_the_same_event_signed_anew_and_another_about_the_same_change_nothing_of_the_order(buyer: Buyer) -> None:
    payment = buyer.paid_at_provider()
    assert buyer.tell(payment, "evt_1").status == 200
    version = buyer.order.version, buyer.charge().version
    buyer.clock.advance(200)
    assert buyer.tell(payment, "evt_1").status == 200
    assert buyer.tell(payment, "evt_2").status == 200
    assert buyer.tell(buyer.payment(), "evt_3").status == 200
    assert (buyer.order.version, buyer.charge().version) == version
    assert buyer.ending() == BOUGHT


def test_another_tenant_s_order_is_not_found_by_a_webhook(buyer: Buyer, aws: Aws) -> None:
    payment = buyer.paid_at_provider()
    before = aws.dump()
    assert buyer.tell(payment, tenant="another").json == {"received": True}
    assert aws.dump() == before
    assert buyer.ending() == WAITING


@pytest.mark.parametrize(
    "changed",
    [
        {"order_id": UNKNOWN},
        {"order_id": "r-1"},
        {"order_id": ""},
        {"order_id": None},
        {"attempt": None},
    ],
)
def test_what_is_about_no_order_of_ours_is_acknowledged(buyer: Buyer, aws: Aws, changed: dict[str, Any]) -> None:
    payment = buyer.paid_at_provider()
    before = aws.dump()
    assert buyer.tell(replace(payment, **changed)).json == {"received": True}
    assert aws.dump() == before


@pytest.mark.parametrize("changed", [{"amount_minor": PRICE - 1}, {"amount_minor": PRICE + 1}, {"currency": "EUR"}])
def test_another_amount_or_currency_buys_nothing(buyer: Buyer, changed: dict[str, Any]) -> None:
    payment = buyer.paid_at_provider()
    assert buyer.tell(replace(payment, **changed)).status == 200
    assert buyer.ending() == ("payment_failed", "amount_mismatch", "voided", (3, 2, 0))
    assert buyer.payment().state == PaymentState.VOIDED
    assert buyer.tell(payment, "evt_2").status == 200
    assert buyer.ending()[0] == "payment_failed"


def test_a_payment_of_another_amount_is_given_back(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_wrong_amount", user="bob")
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "amount_mismatch"}
    assert buyer.ending()[:3] == ("payment_failed", "amount_mismatch", "voided")
    assert buyer.payment().state == PaymentState.VOIDED


def test_a_decline_leaves_the_hold_and_another_card_may_pay(buyer: Buyer) -> None:
    assert buyer.act("decline").json["taken_as"] == {buyer.payment().id: "failed"}
    assert buyer.ending() == ("payment_failed", "card_declined", "failed", (3, 2, 0))
    buyer.pay_with("tok_success")
    assert buyer.ending() == BOUGHT


def test_nothing_is_undone_by_an_event_that_comes_out_of_order(buyer: Buyer) -> None:
    pending = buyer.payment()
    payment = buyer.paid_at_provider()
    assert buyer.tell(payment).status == 200
    for number, state in enumerate(["pending", "declined", "voided", "authorised"]):
        assert buyer.tell(replace(pending, state=PaymentState(state)), f"evt_old_{number}").status == 200
    assert buyer.ending() == BOUGHT


def test_a_decline_before_the_money_is_put_right_by_the_money(buyer: Buyer) -> None:
    """A provider may tell of a payment as failed which then is made."""
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    declined = replace(buyer.payment(), state=PaymentState.DECLINED, reason="card_declined")
    assert buyer.tell(declined).status == 200
    assert buyer.ending()[0] == "payment_failed"
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "late"}
    assert buyer.ending()[0] == "completed"
    assert buyer.payment().captured_minor == PRICE


def test_a_second_payment_is_paid_back(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_twice", user="bob")
    first = buyer.payment().id
    for _ in range(2):
        assert (
            buyer.act().json["taken_as"] == {first: "paid", f"{first}_2": "stray"} or buyer.order.status == "completed"
        )
    assert buyer.ending() == BOUGHT
    second, stray = buyer.sandbox.find(f"{first}_2"), buyer.stray(f"{first}_2")
    assert second is not None
    assert stray is not None
    assert (second.captured_minor, second.refunded_minor) == (PRICE, PRICE)
    assert (stray.status, stray.attempt, stray.amount_minor) == ("refunded", 1, PRICE)
    refund = buyer.refund(stray_name(f"{first}_2"))
    assert refund is not None
    assert (refund.status, refund.reason, refund.amount_minor) == ("completed", "not_asked_for", PRICE)
    assert (buyer.payment().captured_minor, buyer.payment().refunded_minor) == (PRICE, 0)


def test_money_after_expiry_takes_the_same_things_again(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.let_deadline_pass()
    assert buyer.ending() == ("expired", "not_paid_in_time", "voided", (5, 0, 0))
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "late"}
    assert buyer.ending() == BOUGHT


def test_late_money_makes_the_order_pending_again_for_its_workflow_or_else_the_sweeper(buyer: Buyer) -> None:
    """Nothing of the time before is left in it: a stale outcome would answer a task that waits for another."""
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.let_deadline_pass()
    stale = [OrderItem.outcome.set("{}"), OrderItem.task_token.set("stale"), OrderItem.action.set("{}")]
    buyer.store.write(Update(buyer.key, stale))
    buyer.machines.holding_back = True
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "late"}
    order = buyer.order
    assert (order.status, order.mode, order.attempt) == ("pending", "late", 1)
    assert {order.outcome, order.task_token, order.action, order.reason} == {None}
    assert (order.due, order.due_bucket) == (buyer.clock.milliseconds + START_WITHIN, due_bucket(order.key))
    buyer.machines.go()
    assert buyer.ending() == BOUGHT


def test_money_after_expiry_is_paid_back_where_the_things_are_gone(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.let_deadline_pass()
    other = buyer.api.hold("carol", buyer.product, 4).json["id"]
    confirm(buyer.engine, reading.find(buyer.engine, buyer.api.tenant, other).key)
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "late"}
    assert buyer.ending() == ("expired", "paid_too_late", "refunded", (1, 0, 4))
    assert buyer.payment().refunded_minor == PRICE


def test_money_after_cancellation_is_paid_back(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.cancel()
    assert buyer.ending() == ("cancelled", "cancelled", "voided", (5, 0, 0))
    for _ in range(2):
        assert buyer.act().json["taken_as"] == {buyer.payment().id: "returned"}
    assert buyer.ending() == ("cancelled", "cancelled", "refunded", (5, 0, 0))
    refund = buyer.refund("01")
    assert refund is not None
    assert (refund.status, refund.reason) == ("completed", "paid_too_late")
    assert (buyer.payment().captured_minor, buyer.payment().refunded_minor) == (PRICE, PRICE)


def test_what_anybody_may_say_of_another_s_payment_pays_nothing_back(buyer: Buyer, aws: Aws) -> None:
    """The sandbox's webhooks can be signed by everybody: its books say which order and attempt a payment is for."""
    assert buyer.act().status == 200
    bought, payment = buyer.key, buyer.payment()
    buyer.check_out(user="bob")
    buyer.cancel()
    cancelled = buyer.order.id
    before = aws.items()
    forged: list[dict[str, Any]] = [
        {"attempt": 2},
        {"order_id": cancelled},
        {"order_id": cancelled, "attempt": 7},
    ]
    for number, changed in enumerate(forged):
        assert buyer.tell(replace(payment, **changed), f"evt_{number}").status == 200
    assert [item for item in aws.items() if "#WEBHOOK#" not in item["pk"]["S"]] == [
        item for item in before if "#WEBHOOK#" not in item["pk"]["S"]
    ]
    buyer.key = bought
    assert buyer.ending() == BOUGHT


def test_money_for_an_earlier_attempt_is_paid_back(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    late = buyer.payment()
    assert buyer.tell(replace(late, state=PaymentState.DECLINED)).status == 200
    buyer.pay_with("tok_success")
    assert buyer.ending() == BOUGHT
    assert buyer.act(attempt=1).json["taken_as"] == {late.id: "returned"}
    assert buyer.ending() == BOUGHT
    assert buyer.payment(1).refunded_minor == PRICE
    assert buyer.charge(1).status == "refunded"


def test_an_old_event_of_a_payment_that_was_undone_since_is_no_money(buyer: Buyer) -> None:
    """The provider is asked before anything is bought or paid back by an event that no workflow waits for."""
    authorised = replace(buyer.payment(), state=PaymentState.AUTHORISED)
    buyer.let_deadline_pass()
    assert buyer.ending() == ("expired", "not_paid_in_time", "voided", (5, 0, 0))
    assert buyer.tell(authorised).status == 200
    assert buyer.ending() == ("expired", "not_paid_in_time", "voided", (5, 0, 0))


@pytest.mark.parametrize("lost", [False, True])
def test_the_webhook_comes_before_its_create_call_has_returned(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """PROTOCOL.md 22: the order is found by the metadata, and the charge has no payment yet."""
    authorise = Sandbox.authorise
    told: list[Answer] = []

    def authorise_slowly(sandbox: Sandbox, request: PaymentRequest) -> Payment:
        made = authorise(sandbox, request)
        if not told:
            (paid,) = sandbox.act(made.id, "pay")
            order = Keys(buyer.api.tenant).by_order_id(request.order_id)
            assert order is not None
            buyer.key = order
            assert buyer.charge().payment_id is None
            told.append(buyer.tell(paid))
            if lost:
                raise ProviderUnavailable
        return made

    buyer.cancel()
    monkeypatch.setattr(Sandbox, "authorise", authorise_slowly)
    buyer.check_out(user="bob")
    assert [answer.status for answer in told] == [200]
    assert buyer.ending() == BOUGHT


def test_money_for_an_order_that_is_being_undone_is_to_be_told_of_again(buyer: Buyer) -> None:
    """Between the last question and the void nobody can say yet what is to become of the money."""
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    told: list[Answer] = []
    undoing = buyer.machines.calls["ReleaseClaims"] + 1
    buyer.machines.beside("ReleaseClaims", before=lambda: told.append(buyer.act()), call=undoing)
    buyer.let_deadline_pass()
    assert [(answer.status, answer.code, answer.headers["Retry-After"]) for answer in told] == [(503, "busy", "1")]
    assert buyer.ending()[0] == "expired"
    assert buyer.act().json["taken_as"] == {buyer.payment().id: "late"}
    assert buyer.ending() == BOUGHT


def test_a_store_or_a_provider_that_does_not_answer_has_the_webhook_sent_again(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.let_deadline_pass()
    payment = buyer.paid_at_provider()

    def silent(*_: object) -> None:
        raise Unavailable

    def down(*_: object) -> None:
        raise ProviderUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(Store, "transact", silent)
        answer = buyer.tell(payment)
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
    with monkeypatch.context() as broken:
        broken.setattr(Sandbox, "find", down)
        answer = buyer.tell(payment)
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "provider_unavailable", "5")
    assert buyer.ending()[0] == "expired"
    assert buyer.tell(payment).status == 200
    assert buyer.ending() == BOUGHT


def test_who_does_not_use_a_provider_has_no_address_for_its_webhooks(buyer: Buyer, aws: Aws) -> None:
    payment = buyer.paid_at_provider()
    for provider in ("paypal", "external", "free"):
        assert buyer.tell(payment, provider=provider).status == 404
    ProvidersUsed(buyer.store, "sandbox").choose(buyer.api.tenant, [PaymentProviderName.STRIPE], 1)
    before = aws.dump()
    assert buyer.tell(payment).status == 404
    assert buyer.act().status == 404
    assert aws.dump() == before


def test_a_webhook_may_have_256_kilobytes(buyer: Buyer) -> None:
    body, _ = buyer.signed(buyer.paid_at_provider())
    for size, status in ((256 * 1024, 200), (256 * 1024 + 1, 413)):
        text = body + " " * (size - len(body))
        headers = {SIGNATURE_HEADER: timed_header(text.encode(), SANDBOX_WEBHOOK_SECRET, buyer.clock.milliseconds)}
        assert buyer.webhook(text, headers).status == status


def test_what_is_no_address_is_none(buyer: Buyer) -> None:
    assert buyer.webhook("{}", {}, provider="SANDBOX").status == 400
    assert buyer.webhook("{}", {}, tenant="Not-A-Tenant").status == 400


def test_the_sandbox_s_page_pays_as_a_buyer_does(buyer: Buyer) -> None:
    payment = buyer.payment()
    assert payment.action == {"type": "sandbox", "url": f"/sandbox/{buyer.api.tenant}/payments/{payment.id}"}
    for _ in range(2):
        answer = buyer.act()
        assert (answer.status, answer.json["received"]) == (200, True)
        assert buyer.ending() == BOUGHT
    assert buyer.act("decline").status == 200
    assert buyer.ending() == BOUGHT


def test_the_buyer_s_bank_may_send_back_what_was_paid_back(buyer: Buyer, capsys: pytest.CaptureFixture[str]) -> None:
    buyer.cancel()
    buyer.check_out("tok_pay_late", user="bob")
    buyer.cancel()
    assert buyer.act("fail_refunds").json["taken_as"] == {}
    buyer.act()
    assert buyer.ending() == ("cancelled", "cancelled", "refunded", (5, 0, 0))
    capsys.readouterr()
    for _ in range(2):
        answer = buyer.act("fail_refunds")
        assert answer.json["taken_as"] == {f"{buyer.payment().id}_refund_1": "refund_failed"}
        assert buyer.ending() == ("cancelled", "cancelled", "completed", (5, 0, 0))
        assert '"RefundsFailedLater":[1.0]' in capsys.readouterr().out
    refund = buyer.refund("01")
    assert refund is not None
    assert (refund.status, refund.amount_minor, refund.fee_minor) == ("completed", 0, PRICE)


def test_a_payment_of_which_no_webhook_ever_tells_is_found_when_time_is_up(buyer: Buyer) -> None:
    buyer.cancel()
    buyer.check_out("tok_never", user="bob")
    assert buyer.act().json == {"received": True, "taken_as": {}}
    assert buyer.ending() == WAITING
    buyer.let_deadline_pass()
    assert buyer.ending() == BOUGHT


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action": "steal"}, "validation_failed"),
        ({}, "validation_failed"),
        ({"action": "pay", "amount": 1}, "validation_failed"),
        (None, "validation_failed"),
    ],
)
def test_the_sandbox_s_page_does_what_there_is_to_do(buyer: Buyer, aws: Aws, body: Any, code: str) -> None:
    before = aws.dump()
    target = f"/sandbox/{buyer.api.tenant}/payments/{buyer.charge().payment_id}"
    assert buyer.api.post(target, body).code == code
    assert buyer.act(payment_id="sandbox_unknown").status == 404
    assert buyer.api.post(f"/sandbox/another/payments/{buyer.charge().payment_id}", {"action": "pay"}).status == 404
    assert aws.dump() == before


def test_the_function_is_warm_after_its_first_webhook(buyer: Buyer) -> None:
    assert load("webhooks").desk() is load("webhooks").desk()
