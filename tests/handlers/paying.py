"""Somebody who checks out and pays, and the webhooks that tell of it."""

from typing import Any

from holdfast.checkout import opening, outcomes, overdue
from holdfast.checkout.charges import key_of_attempt
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.payments.port import Payment
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.checkout.webhook_decisions import stray_name
from holdfast.platform.dynamodb import Store
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.tables import Key, charge_of, refund_of, reservation_of
from holdfast.reservations import reading
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import handle
from tests.engine.shop import ListQueue
from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api, event, send
from tests.workflow import Machines

PRICE = 2 * 1999

BOUGHT = ("completed", None, "completed", (3, 0, 2))
"""How a checkout of two laptops of five ends that were paid for; see `Buyer.ending`."""

WAITING = ("awaiting_payment", None, "created", (3, 2, 0))
"""How it stands while the payment is awaited."""


class Buyer:
    """Somebody with two laptops in checkout, and the sandbox that they pay with."""

    def __init__(self, api: Api, store: Store, clock: HandMovedClock, machines: Machines) -> None:
        self.api, self.store, self.clock, self.machines = api, store, clock, machines
        self.engine = Engine(store)
        self.sandbox = Sandbox(store, api.tenant)
        self.product = api.new_product(5, price="19.99")
        self.key = Key("", "")

    def check_out(self, token: str | None = None, user: str = "alice", provider: str = "sandbox") -> OrderItem:
        """Hold two laptops and check them out."""
        held = self.api.hold(user, self.product, 2).json["id"]
        return self.pay_with(token, reading.find(self.engine, self.api.tenant, held), provider)

    def pay_with(
        self, token: str | None, record: ReservationItem | None = None, provider: str = "sandbox"
    ) -> OrderItem:
        """Check out what is held with a provider's token."""
        order = opening.open_order(self.engine, record or self.record, PaymentChoice(provider, token))
        self.key = order.key
        opening.start(self.machines.checkout, order)
        return self.order

    @property
    def order(self) -> OrderItem:
        """The order, as it is stored."""
        return opening.read_order(self.engine, self.key)

    @property
    def record(self) -> ReservationItem:
        """Its reservation, as it is stored."""
        found = self.store.get(ReservationItem, reservation_of(self.key))
        assert found is not None
        return found

    def charge(self, attempt: int = 1) -> ChargeItem:
        """Return the charge of an attempt."""
        found = self.store.get(ChargeItem, key_of_attempt(self.key, attempt))
        assert found is not None
        return found

    def stray(self, payment_id: str) -> ChargeItem | None:
        """Return the charge that a payment has become which nobody asked for."""
        return self.store.get(ChargeItem, charge_of(self.key, stray_name(payment_id)))

    def refund(self, charge: str) -> RefundItem | None:
        """Return the refund of a charge that bought nothing."""
        return self.store.get(RefundItem, refund_of(self.key, f"c{charge}"))

    def payment(self, attempt: int = 1) -> Payment:
        """Return the payment of an attempt, as the sandbox has it."""
        found = self.sandbox.find(self.charge(attempt).payment_id or "")
        assert found is not None
        return found

    def act(self, action: str = "pay", attempt: int = 1, payment_id: str | None = None) -> Answer:
        """Do something at the sandbox's page."""
        wanted = payment_id or self.charge(attempt).payment_id
        return self.api.post(f"/sandbox/{self.api.tenant}/payments/{wanted}", {"action": action})

    def paid_at_provider(self, attempt: int = 1) -> Payment:
        """Let the buyer pay, of which no webhook comes by itself."""
        return self.sandbox.act(self.charge(attempt).payment_id or "", "pay")[0]

    def signed(self, payment: Payment, event_id: str = "evt_1", late: int = 0) -> tuple[str, dict[str, str]]:
        """Return the body and the headers of a webhook that was signed `late` seconds ago."""
        body, headers = self.sandbox.webhook(payment, self.clock.milliseconds - late * 1000, event_id)
        return body.decode(), headers

    def tell(self, payment: Payment, event_id: str = "evt_1", late: int = 0, **options: Any) -> Answer:
        """Send a webhook that tells of a payment."""
        return self.webhook(*self.signed(payment, event_id, late), **options)

    def webhook(
        self,
        body: str,
        headers: dict[str, str],
        provider: str = "sandbox",
        tenant: str | None = None,
        encoded: bool = False,
    ) -> Answer:
        """Send a webhook as it stands, with no credential."""
        target = f"/webhooks/{provider}/{tenant or self.api.tenant}"
        request = event("POST", target, text=body, headers=headers, encoded=encoded)
        return send(request | {"resource": "/webhooks/{provider}/{tenant}"})

    def let_deadline_pass(self) -> None:
        """Move past the time to pay, and let the expiry message come."""
        record = self.record
        self.clock.advance((record.expires_at - self.clock.milliseconds) / 1000 + 1)
        message = ExpiryMessage(record.key, record.expires_at)
        assert not handle(self.engine, ListQueue(), [message], overdue.telling(self.engine, self.machines.checkout))

    def cancel(self) -> None:
        """Let the buyer cancel the order that awaits payment."""
        outcomes.settle(self.engine, self.machines.checkout, self.key, self.order.attempt, "cancelled", "cancelled")

    def ending(self) -> tuple[str, str | None, str, tuple[int, int, int]]:
        """Return the states of the order, with its reason, and of its charge, and the units available, held, sold."""
        _, *units = self.api.units(self.product)
        order = self.order
        return order.status, order.reason, self.charge(order.attempt).status, (units[0], units[1], units[2])
