"""Webhooks on the running stack, each signed by hand as Stripe documents it: t=<seconds>,v1=<HMAC-SHA256 of "t.body">.

Whatever is not signed so, now, by somebody who knows the secret, is refused and changes nothing; what is signed and yet
says something wrong is neutralised.
"""

import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from holdfast.checkout.payments.sandbox import SANDBOX_WEBHOOK_SECRET
from tests.e2e.fair import PRICE, Fair, Order, new_fair, tenant_of
from tests.e2e.wire import answered, refused

MINUTE = 60


@dataclass
class Post:
    """Somebody who sends webhooks about one order's payment to a tenant's address."""

    anonymous: httpx.Client
    tenant: str
    order: Order

    def said(self, state: str = "authorised", **more: Any) -> dict[str, Any]:
        """Return what the sandbox says of the order's payment."""
        payment = {
            "id": self.order["charges"][0]["payment_id"],
            "state": state,
            "amount_minor": PRICE,
            "currency": "USD",
            "captured_minor": 0,
            "refunded_minor": 0,
            "order_id": self.order["id"],
            "attempt": 1,
            "action": None,
            "reason": None,
        }
        return {"id": f"evt_{uuid.uuid4().hex}", "type": f"payment.{state}", "payment": payment | more}

    def send(
        self,
        said: dict[str, Any],
        *,
        secret: str = SANDBOX_WEBHOOK_SECRET,
        age: int = 0,
        tenant: str | None = None,
        change: Callable[[bytes], bytes] = bytes,
    ) -> httpx.Response:
        """Sign it `age` seconds ago, change the body after that if so wished, and send it."""
        body = json.dumps(said).encode()
        seconds = int(time.time()) - age
        mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Sandbox-Signature": f"t={seconds},v1={mac}"}
        path = f"/webhooks/sandbox/{tenant or self.tenant}"
        return self.anonymous.post(path, content=change(body), headers=headers)


@pytest.fixture
def fair(client: httpx.Client) -> Fair:
    """Everything on sale, for a tenant of its own."""
    return new_fair(client)


@pytest.fixture
def paid(fair: Fair, anonymous: httpx.Client) -> Post:
    """An order whose payment the buyer has made, of which no webhook has told yet."""
    order = fair.buy("tok_never")
    assert fair.act(order) == {}
    return Post(anonymous, tenant_of(fair.client), fair.order(order["id"]))


def _is_awaited(fair: Fair, paid: Post) -> None:
    time.sleep(0.5)
    order = fair.order(paid.order["id"])
    assert fair.ending(order) == ("awaiting_payment", "checking_out", "held", [("created", 0, 0)])


def _is_bought(fair: Fair, paid: Post) -> Order:
    order = fair.over(paid.order["id"])
    assert fair.ending(order) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
    return order


def test_a_webhook_signed_as_documented_buys_and_its_replays_change_nothing(fair: Fair, paid: Post) -> None:
    said = paid.said()
    assert answered(paid.send(said), 200) == {"received": True}
    bought = _is_bought(fair, paid)
    for age in (0, MINUTE):
        assert answered(paid.send(said, age=age), 200) == {"received": True}
    answered(paid.send(paid.said()), 200)
    time.sleep(0.5)
    assert fair.order(bought["id"]) == bought
    _is_bought(fair, paid)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another secret"},
        {"age": 6 * MINUTE},
        {"age": -6 * MINUTE},
        {"change": lambda body: body[:-1]},
        {"change": lambda body: body[: len(body) // 2]},
        {"change": lambda _: b""},
        {"change": lambda body: body + b" "},
        {"change": lambda body: body.replace(b"authorised", b"declined")},
    ],
    ids=["secret", "old", "future", "cut-by-one", "cut-in-half", "empty", "longer", "changed"],
)
def test_a_webhook_whose_signature_does_not_hold_is_refused_and_changes_nothing(
    fair: Fair, paid: Post, wrong: dict[str, Any]
) -> None:
    refused(paid.send(paid.said(), **wrong), 400, "signature_refused")
    _is_awaited(fair, paid)
    answered(paid.send(paid.said(), age=4 * MINUTE), 200)
    _is_bought(fair, paid)


@pytest.mark.parametrize("header", ["", "t=1", "v1=00", "t=x,v1=00", "nonsense"])
def test_a_webhook_without_a_signature_is_refused(fair: Fair, paid: Post, header: str) -> None:
    path = f"/webhooks/sandbox/{paid.tenant}"
    body = json.dumps(paid.said()).encode()
    headers = {"Content-Type": "application/json"} | ({"Sandbox-Signature": header} if header else {})
    refused(paid.anonymous.post(path, content=body, headers=headers), 400, "signature_refused")
    _is_awaited(fair, paid)


def test_what_is_told_to_another_tenant_changes_nothing(
    fair: Fair, paid: Post, client_of_tenant: Callable[[str], httpx.Client]
) -> None:
    other = f"t-{uuid.uuid4().hex[:16]}"
    client_of_tenant(other)
    answered(paid.send(paid.said(), tenant=other), 200)
    _is_awaited(fair, paid)


def test_another_amount_buys_nothing(fair: Fair, paid: Post) -> None:
    answered(paid.send(paid.said(amount_minor=1)), 200)
    order = fair.over(paid.order["id"])
    assert fair.ending(order) == ("payment_failed", "held", "held", [("voided", 0, 0)])
    assert order["reason"] == "amount_mismatch"


def test_another_currency_buys_nothing(fair: Fair, paid: Post) -> None:
    answered(paid.send(paid.said(currency="EUR")), 200)
    order = fair.over(paid.order["id"])
    assert fair.ending(order) == ("payment_failed", "held", "held", [("voided", 0, 0)])


def test_a_payment_that_was_never_made_buys_nothing_by_a_signature_alone(fair: Fair, anonymous: httpx.Client) -> None:
    """The provider is asked before anything is captured: what it has no money of is given up again."""
    order = fair.buy("tok_confirm")
    liar = Post(anonymous, tenant_of(fair.client), fair.order(order["id"]))
    answered(liar.send(liar.said()), 200)
    gone = fair.over(order["id"])
    assert (gone["status"], gone["captured_minor"]) == ("failed", 0)
    assert fair.goods() == "free"


@pytest.mark.parametrize("order_id", ["o-nobody", f"o-{'a' * 16}-{'0' * 32}", None])
def test_an_event_about_nothing_of_ours_is_acknowledged(fair: Fair, paid: Post, order_id: str | None) -> None:
    answered(paid.send(paid.said(order_id=order_id) | {"type": "customer.created"}), 200)
    _is_awaited(fair, paid)


def test_the_sandbox_is_there_for_no_other_provider_s_name(fair: Fair, paid: Post) -> None:
    answer = paid.anonymous.post(f"/webhooks/stripe/{paid.tenant}", content=b"{}", headers={"Stripe-Signature": "t=1"})
    assert answer.status_code == 404, answer.text
    _is_awaited(fair, paid)
