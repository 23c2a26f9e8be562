"""Webhooks in the schemes of Stripe and Razorpay, through the same route, with a tenant's own secrets."""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from holdfast.checkout import refunds
from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.order_items import ChargeItem, RefundItem
from holdfast.platform.secrets import SecretMissing, SecretParameters, SecretUnreadable
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.paying import BOUGHT, PRICE, WAITING, Buyer
from tests.workflow import Machines, installed

SECRETS: dict[str, dict[str, str]] = {
    "stripe": {"api_key": "sk_test_1234", "webhook_secret": "whsec_of_the_tenant"},
    "razorpay": {"key_id": "rzp_test_1", "key_secret": "of_the_tenant", "webhook_secret": "hooks_of_the_tenant"},
}


def hex_of(secret: str, message: str) -> str:
    """Return the HMAC-SHA256 that both providers document."""
    return hmac.new(secret.encode(), message.encode(), "sha256").hexdigest()


def metadata_in(form: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata in a form as Stripe takes them."""
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}


@dataclass
class StripeServer:
    """What of Stripe a checkout meets: intents, by their documented states."""

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the adapter's."""
        form = dict(parse_qsl(request.content.decode()))
        _, _, kind, *rest = request.url.path.split("/")
        if kind == "refunds":
            if request.method == "POST":
                self.refunds.append(self.refund_made(form))
                return httpx.Response(200, json=self.refunds[-1])
            return httpx.Response(200, json={"object": "list", "data": self.refunds})
        if not rest:
            return httpx.Response(200, json=self.made(form))
        if rest == ["search"]:
            return httpx.Response(200, json={"object": "search_result", "data": list(self.intents.values())})
        intent = self.intents[rest[0]]
        if rest[1:] == ["capture"]:
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        elif rest[1:] == ["cancel"]:
            intent |= {"status": "canceled"}
        return httpx.Response(200, json=intent)

    def refund_made(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Make a refund as a form asks for it; it is on its way for days."""
        return {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "status": "pending",
            "amount": int(form["amount"]),
            "currency": "usd",
            "payment_intent": form["payment_intent"],
            "metadata": metadata_in(form),
        }

    def made(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Make an intent as a form asks for it."""
        intent: dict[str, Any] = {
            "id": f"pi_{len(self.intents) + 1}",
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "amount_received": 0,
            "currency": form["currency"],
            "status": "requires_payment_method",
            "client_secret": "pi_1_secret",
            "latest_charge": None,
            "metadata": metadata_in(form),
        }
        self.intents[intent["id"]] = intent
        return intent

    def webhook(self, kind: str, about: Mapping[str, Any], now: int, event_id: str = "evt_1") -> tuple[str, str]:
        """Return the body of an event and its `Stripe-Signature`, signed at `now` (ms)."""
        said = {"id": event_id, "object": "event", "type": kind, "data": {"object": about}}
        body = json.dumps(said, indent=2)
        return body, f"t={now // 1000},v1={hex_of(SECRETS['stripe']['webhook_secret'], f'{now // 1000}.{body}')}"


@dataclass
class RazorpayServer:
    """What of Razorpay a checkout meets: orders, and the payments that were made for them."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the adapter's."""
        _, _, kind, *rest = request.url.path.split("/")
        if kind == "orders" and not rest:
            if request.method == "POST":
                return httpx.Response(200, json=self._made(json.loads(request.content)))
            wanted = request.url.params["receipt"]
            return self._listed([each for each in self.orders.values() if each["receipt"] == wanted])
        if kind == "orders":
            if rest[1:] == ["payments"]:
                return self._listed([each for each in self.payments.values() if each["order_id"] == rest[0]])
            return httpx.Response(200, json=self.orders[rest[0]])
        payment = self.payments[rest[0]]
        if rest[1:] == ["refunds"]:
            return self._listed(self.refunds)
        if rest[1:] == ["refund"]:
            self.refunds.append(self._refunded(payment, json.loads(request.content)))
            return httpx.Response(200, json=self.refunds[-1])
        if rest[1:] == ["capture"]:
            payment |= {"status": "captured", "captured": True}
        return httpx.Response(200, json=payment)

    def _listed(self, items: list[dict[str, Any]]) -> httpx.Response:
        return httpx.Response(200, json={"entity": "collection", "count": len(items), "items": items})

    def _made(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        order = {**wanted, "id": f"order_{len(self.orders) + 1}", "status": "created", "created_at": 1_700_000_000}
        self.orders[order["id"]] = order
        return order

    def _refunded(self, payment: dict[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        known = {"id": f"rfnd_{len(self.refunds) + 1}", "payment_id": payment["id"], "currency": payment["currency"]}
        return {**known, "entity": "refund", "status": "pending", "amount": wanted["amount"], "notes": wanted["notes"]}

    def pay(self, order_id: str, status: str = "authorized") -> dict[str, Any]:
        """Let the buyer pay an order."""
        order = self.orders[order_id]
        self.payments["pay_1"] = {
            "id": "pay_1",
            "entity": "payment",
            "amount": order["amount"],
            "currency": order["currency"],
            "status": status,
            "order_id": order_id,
            "amount_refunded": 0,
            "captured": status == "captured",
            "created_at": 1_700_000_001,
        }
        return self.payments["pay_1"]

    def webhook(
        self, kind: str, payment: Mapping[str, Any], refund: Mapping[str, Any] | None = None
    ) -> tuple[str, str]:
        """Return the body of an event and its `X-Razorpay-Signature`."""
        payload = {"payment": {"entity": payment}} | ({"refund": {"entity": refund}} if refund else {})
        body = json.dumps({"entity": "event", "event": kind, "contains": list(payload), "payload": payload}, indent=1)
        return body, hex_of(SECRETS["razorpay"]["webhook_secret"], body)


def served_by(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> None:
    """Let a server of the test's answer every call of an adapter's."""
    real = httpx.Client
    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(httpx, "Client", lambda **options: real(**options | {"transport": transport}))


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    return installed(monkeypatch)


@pytest.fixture
def buyer(api: Api, store: Store, clock: HandMovedClock, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Buyer:
    """A buyer at a tenant that uses Stripe and Razorpay, with credentials of its own."""

    def read(_: SecretParameters, name: str) -> Mapping[str, Any]:
        kind, tenant, provider = name.split("/")
        assert kind == "payments"
        if tenant != api.tenant:
            raise SecretMissing(name)
        return SECRETS[provider]

    monkeypatch.setattr(SecretParameters, "read", read)
    chosen = [PaymentProviderName.STRIPE, PaymentProviderName.RAZORPAY]
    for tenant in (api.tenant, "without"):
        ProvidersUsed(store, "").choose(tenant, chosen, 1)
    return Buyer(api, store, clock, machines)


@pytest.fixture
def stripe(monkeypatch: pytest.MonkeyPatch) -> StripeServer:
    server = StripeServer()
    served_by(monkeypatch, server.answer)
    return server


@pytest.fixture
def razorpay(monkeypatch: pytest.MonkeyPatch) -> RazorpayServer:
    server = RazorpayServer()
    served_by(monkeypatch, server.answer)
    return server


def tell_stripe(buyer: Buyer, body: str, signature: str, **options: Any) -> Answer:
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
    return buyer.webhook(body, headers, provider="stripe", **options)


def tell_razorpay(buyer: Buyer, body: str, signature: str, event_id: str = "event_1") -> Answer:
    headers = {"X-Razorpay-Signature": signature, "X-Razorpay-Event-Id": event_id}
    return buyer.webhook(body, headers, provider="razorpay")


def test_stripe_s_webhook_buys_once(buyer: Buyer, stripe: StripeServer, aws: Aws) -> None:
    buyer.check_out(provider="stripe")
    assert buyer.ending()[0] == "awaiting_payment"
    intent = stripe.intents["pi_1"]
    intent["status"] = "requires_capture"
    told = stripe.webhook("payment_intent.amount_capturable_updated", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).json == {"received": True}
    assert buyer.ending() == BOUGHT
    assert (intent["status"], intent["amount_received"]) == ("succeeded", PRICE)
    before = aws.dump()
    assert tell_stripe(buyer, *told).status == 200
    assert aws.dump() == before


def test_stripe_s_events_of_kinds_that_nobody_asked_for_are_acknowledged(
    buyer: Buyer, stripe: StripeServer, aws: Aws
) -> None:
    buyer.check_out(provider="stripe")
    before = aws.dump()
    for number, (kind, about) in enumerate(
        [
            ("customer.created", {"id": "cus_1", "object": "customer"}),
            ("charge.refunded", {"id": "ch_1", "object": "charge"}),
            ("payment_intent.created", stripe.intents["pi_1"] | {"metadata": {}}),
            ("a.kind.of.next.year", {"id": "x", "object": "x"}),
        ]
    ):
        told = stripe.webhook(kind, about, buyer.clock.milliseconds, f"evt_{number}")
        assert tell_stripe(buyer, *told).json == {"received": True}
    assert aws.dump() == before


@pytest.mark.parametrize("late", [-360, 360])
def test_stripe_s_signature_holds_for_five_minutes_either_way_and_for_the_tenant_s_secret(
    buyer: Buyer, stripe: StripeServer, aws: Aws, late: int
) -> None:
    buyer.check_out(provider="stripe")
    intent = stripe.intents["pi_1"] | {"status": "requires_capture"}
    now, kind = buyer.clock.milliseconds, "payment_intent.amount_capturable_updated"
    body, signature = stripe.webhook(kind, intent, now)
    before = aws.dump()
    refused = [
        stripe.webhook(kind, intent, now - late * 1000),
        (body[:-2], signature),
        (body.replace("requires_capture", "succeeded"), signature),
        (body, signature.replace("v1=", "v0=")),
        (body, f"t={now // 1000},v1={hex_of('whsec_of_another', f'{now // 1000}.{body}')}"),
        (body, ""),
    ]
    for told in refused:
        answer = tell_stripe(buyer, *told)
        assert (answer.status, answer.code) == (400, "signature_refused")
    assert tell_stripe(buyer, body, signature, tenant="without").status == 404
    assert tell_stripe(buyer, body, signature, tenant="nobody").status == 404
    assert aws.dump() == before


def test_credentials_that_cannot_be_read_have_the_webhook_sent_again(
    buyer: Buyer, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer.check_out(provider="stripe")
    told = stripe.webhook("payment_intent.succeeded", stripe.intents["pi_1"], buyer.clock.milliseconds)

    def unreadable(_: SecretParameters, name: str) -> Mapping[str, Any]:
        raise SecretUnreadable(name)

    monkeypatch.setattr(SecretParameters, "read", unreadable)
    answer = tell_stripe(buyer, *told)
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "provider_unavailable", "5")


def test_an_intent_that_stripe_lets_go_late_buys_nothing(buyer: Buyer, stripe: StripeServer) -> None:
    """The event says authorised, but the intent was cancelled when time was up: Stripe is asked."""
    buyer.check_out(provider="stripe")
    intent = stripe.intents["pi_1"]
    authorised = dict(intent) | {"status": "requires_capture"}
    buyer.let_deadline_pass()
    assert intent["status"] == "canceled"
    told = stripe.webhook("payment_intent.amount_capturable_updated", authorised, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    assert buyer.ending() == ("expired", "not_paid_in_time", "voided", (5, 0, 0))


def test_money_of_another_amount_for_a_cancelled_order_is_paid_back_as_it_came(
    buyer: Buyer, stripe: StripeServer
) -> None:
    buyer.check_out(provider="stripe")
    buyer.cancel()
    intent = stripe.intents["pi_1"]
    intent |= {"status": "succeeded", "amount": 5_000, "amount_received": 5_000}
    told = stripe.webhook("payment_intent.succeeded", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    assert [(refund["payment_intent"], refund["amount"]) for refund in stripe.refunds] == [("pi_1", 5_000)]
    refund = buyer.refund("01")
    assert refund is not None
    assert (refund.status, refund.amount_minor, refund.reason) == ("completed", 5_000, "paid_too_late")
    assert buyer.ending() == ("cancelled", "cancelled", "refunded", (5, 0, 0))


def test_a_payment_with_another_provider_than_the_charge_s_was_not_asked_for(
    buyer: Buyer, stripe: StripeServer, store: Store
) -> None:
    """Not even while the charge's own create call has not returned, so that it has no payment yet."""
    ProvidersUsed(store, "").choose(buyer.api.tenant, list(PaymentProviderName), 2)
    order = buyer.check_out()
    store.write(Update(buyer.charge().key, [ChargeItem.payment_id.remove()]))
    metadata = {"tenant": buyer.api.tenant, "order": order.id, "attempt": "1"}
    sent = {f"metadata[holdfast_{name}]": value for name, value in metadata.items()}
    intent = stripe.made({"amount": str(PRICE), "currency": "usd", **sent})
    intent["status"] = "requires_capture"
    told = stripe.webhook("payment_intent.amount_capturable_updated", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    assert intent["status"] == "canceled"
    assert buyer.ending() == WAITING
    stray = buyer.stray("pi_1")
    assert stray is not None
    assert (stray.provider, stray.status) == ("stripe", "voided")


def test_razorpay_s_webhook_buys_once_however_often_and_late_it_is_sent(
    buyer: Buyer, razorpay: RazorpayServer, aws: Aws
) -> None:
    """It signs no time: what was taken in is known by the event's id, and what comes again changes nothing anyway."""
    buyer.check_out(provider="razorpay")
    told = razorpay.webhook("payment.authorized", razorpay.pay("order_1"))
    assert tell_razorpay(buyer, told[0] + " ", told[1]).code == "signature_refused"
    assert tell_razorpay(buyer, told[0], hex_of("another", told[0])).code == "signature_refused"
    assert tell_razorpay(buyer, *told).json == {"received": True}
    assert buyer.ending() == BOUGHT
    assert razorpay.payments["pay_1"]["status"] == "captured"
    before = aws.dump()
    buyer.clock.advance(2 * 86_400)
    assert tell_razorpay(buyer, *told).status == 200
    assert aws.dump() == before
    captured = razorpay.webhook("payment.captured", razorpay.payments["pay_1"])
    assert tell_razorpay(buyer, *captured, event_id="event_2").status == 200
    assert buyer.ending() == BOUGHT


def test_razorpay_may_tell_of_a_failure_of_what_is_paid_then(buyer: Buyer, razorpay: RazorpayServer) -> None:
    buyer.check_out(provider="razorpay")
    failed = razorpay.webhook("payment.failed", razorpay.pay("order_1", "failed"))
    assert tell_razorpay(buyer, *failed).status == 200
    assert buyer.ending()[0] == "awaiting_payment"
    paid = razorpay.webhook("payment.authorized", razorpay.pay("order_1"))
    assert tell_razorpay(buyer, *paid, event_id="event_2").status == 200
    assert buyer.ending() == BOUGHT


def test_stripe_s_second_card_pays_after_the_first_was_declined_in_the_client(
    buyer: Buyer, stripe: StripeServer
) -> None:
    buyer.check_out(provider="stripe")
    intent = stripe.intents["pi_1"]
    intent["last_payment_error"] = {"code": "card_declined", "decline_code": "lost_card"}
    told = stripe.webhook("payment_intent.payment_failed", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    assert (buyer.ending(), intent["status"]) == (WAITING, "requires_payment_method")
    intent["status"] = "requires_capture"
    told = stripe.webhook("payment_intent.amount_capturable_updated", intent, buyer.clock.milliseconds, "evt_2")
    assert tell_stripe(buyer, *told).status == 200
    assert buyer.ending() == BOUGHT


def test_stripe_s_card_that_was_confirmed_with_a_token_has_one_try(buyer: Buyer, stripe: StripeServer) -> None:
    buyer.check_out("pm_1", provider="stripe")
    intent = stripe.intents["pi_1"]
    intent["last_payment_error"] = {"code": "card_declined", "decline_code": "lost_card"}
    told = stripe.webhook("payment_intent.payment_failed", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    assert buyer.ending()[:2] == ("payment_failed", "lost_card")


def given_back(buyer: Buyer) -> RefundItem:
    """Give back one of the two laptops that were bought, and return the refund as it then is."""
    machine = buyer.machines.refund
    wanted = [refunds.Wanted(0, 1)]
    asked = refunds.request(
        buyer.engine, machine, buyer.order, wanted, refunds.whole_price, "boss", "asked", None, "v1"
    )
    return refunds.read_refund(buyer.engine, asked.key)


def metrics(printed: str) -> list[list[float]]:
    """Return what was counted as refunds that failed later, in CloudWatch's embedded format."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line["RefundsFailedLater"] for line in lines if "RefundsFailedLater" in line]


def books(buyer: Buyer) -> tuple[int, int, int, int]:
    """Return what the order says was taken, paid back and kept, and what its charge says was paid back."""
    order = buyer.order
    return order.captured_minor, order.refunded_minor, order.fee_minor, buyer.charge().refunded_minor


def test_stripe_s_refund_that_fails_days_later_is_told_and_the_books_are_put_right_once(
    buyer: Buyer, stripe: StripeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    buyer.check_out(provider="stripe")
    intent = stripe.intents["pi_1"]
    intent["status"] = "requires_capture"
    told = stripe.webhook("payment_intent.amount_capturable_updated", intent, buyer.clock.milliseconds)
    assert tell_stripe(buyer, *told).status == 200
    half = PRICE // 2
    assert given_back(buyer).status == "completed"
    assert books(buyer) == (PRICE, half, 0, half)
    capsys.readouterr()

    buyer.clock.advance(20 * 86_400)
    stripe.refunds[0] |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    kinds = ["refund.failed", "refund.updated", "charge.refund.updated"]
    for number, kind in enumerate(kinds):
        told = stripe.webhook(kind, stripe.refunds[0], buyer.clock.milliseconds, f"evt_refund_{number}")
        assert tell_stripe(buyer, *told).json == {"received": True}
        assert books(buyer) == (PRICE, 0, half, 0)
    assert buyer.ending()[3] == (4, 0, 1)
    assert buyer.charge().reason == "expired_or_canceled_card"
    assert metrics(capsys.readouterr().out) == [[1.0]]
    assert len(stripe.refunds) == 1


def test_razorpay_s_refund_that_fails_later_is_told_and_the_books_are_put_right_once(
    buyer: Buyer, razorpay: RazorpayServer, capsys: pytest.CaptureFixture[str]
) -> None:
    buyer.check_out(provider="razorpay")
    told = razorpay.webhook("payment.authorized", razorpay.pay("order_1"))
    assert tell_razorpay(buyer, *told).status == 200
    half = PRICE // 2
    assert given_back(buyer).status == "completed"
    assert books(buyer) == (PRICE, half, 0, half)
    capsys.readouterr()

    (refund,) = razorpay.refunds
    processed = razorpay.webhook("refund.processed", razorpay.payments["pay_1"], refund | {"status": "processed"})
    assert tell_razorpay(buyer, *processed, event_id="event_2").status == 200
    assert books(buyer) == (PRICE, half, 0, half)
    refund["status"] = "failed"
    failed = razorpay.webhook("refund.failed", razorpay.payments["pay_1"], refund)
    for _ in range(2):
        assert tell_razorpay(buyer, *failed, event_id="event_3").status == 200
        assert books(buyer) == (PRICE, 0, half, 0)
    assert metrics(capsys.readouterr().out) == [[1.0], [1.0]]


def test_a_refund_of_the_merchant_s_dashboard_is_none_of_ours(buyer: Buyer, stripe: StripeServer, aws: Aws) -> None:
    buyer.check_out(provider="stripe")
    refund = stripe.refund_made({"amount": "100", "payment_intent": "pi_1"}) | {"status": "failed"}
    before = aws.dump()
    for number, metadata in enumerate([{}, {"holdfast_refund": "of-another-tenant"}]):
        told = stripe.webhook(
            "refund.failed", refund | {"metadata": metadata}, buyer.clock.milliseconds, f"evt_{number}"
        )
        assert tell_stripe(buyer, *told).json == {"received": True}
    assert aws.dump() == before
