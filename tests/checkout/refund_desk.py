"""A desk to refund at: a shop whose orders are bought and refunded by the workflows' own definitions."""

from collections.abc import Sequence

from holdfast.checkout import opening, refunds
from holdfast.checkout.desk import Desk, PaymentDesk
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.registry import Providers
from holdfast.checkout.payments.sandbox_book import Book
from holdfast.checkout.refunds import PercentOf, Wanted, whole_price
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem, SandboxPaymentItem
from holdfast.platform.tables import Key, charge_of, order_beside, refund_of, reservation_of
from holdfast.reservations.engine import Engine, LineRequest
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from tests.engine.audit import all_items
from tests.engine.checkouts import NoSecrets
from tests.engine.shop import Shop


class RefundDesk:
    """One warm function of each kind over a shop, and the machines that call them."""

    def __init__(self, store: Store) -> None:
        self.shop = Shop(store)
        self.engine = self.shop.engine
        self.machines = self.shop.machines
        self.providers = Providers(store, NoSecrets(), ProvidersUsed(store, "sandbox"), self.shop.clock)
        self.claims = Desk(self.engine, self.machines.checkout)
        self.payments = PaymentDesk(self.engine, self.machines.checkout, self.providers)

    def bought(
        self, *lines: LineRequest, user: str = "ann", paid_with: str = "tok_success", provider: str = "sandbox"
    ) -> OrderItem:
        """Return an order of a cart that its user bought, by the checkout's own workflow."""
        record: ReservationItem = self.shop.cart(user, *lines)
        total = _price(record.lines)
        choice = opening.choose({"service"}, ["sandbox"], PaymentChoice(provider, paid_with), total)
        order = opening.open_order(self.engine, record, choice)
        opening.start(self.machines.checkout, order)
        order = self.order(order)
        assert order.status == "completed"
        return order

    def ask(
        self,
        order: OrderItem,
        *wanted: Wanted,
        key: str | None = "key",
        percent_of: PercentOf = whole_price,
        engine: Engine | None = None,
    ) -> RefundItem:
        """Ask for a refund, of everything unless lines are named, and let its workflow run; return it as it then is."""
        body = [[wish.line, wish.quantity] for wish in wanted]
        keyed = None
        if key is not None:
            route = f"orders/{order.id}/refund"
            keyed = KeyedRequest(self.shop.tenant, order.user_id, route, key, hash_of(body))
        asked = refunds.request(
            engine or self.engine,
            self.machines.refund,
            order,
            wanted or None,
            percent_of,
            "boss",
            "asked",
            keyed,
            refunds.name_for(order, keyed),
        )
        return self.refund(asked.key)

    def order(self, order: OrderItem) -> OrderItem:
        """Return an order as it is now."""
        return opening.read_order(self.engine, order.key)

    def refund(self, key: Key) -> RefundItem:
        """Return a refund as it is now."""
        return refunds.read_refund(self.engine, key)

    def refunds_of(self, order: OrderItem) -> list[RefundItem]:
        """Return all refunds of an order."""
        return [read(RefundItem, raw) for raw in self.shop.store.query(order.pk, refund_of(order.key, "").sk).items]

    def charge(self, order: OrderItem, name: str = "01") -> ChargeItem:
        """Return a charge of an order."""
        found = self.shop.store.get(ChargeItem, charge_of(order.key, name))
        assert found is not None
        return found

    def record(self, order: OrderItem) -> ReservationItem:
        """Return the reservation that an order bought, as it is now."""
        return self.shop.stored(reservation_of(order.key))

    def books(self) -> list[Book]:
        """Return everything that the sandbox has in its books."""
        items = [item for item in all_items(self.shop.store, self.shop.tenant) if "#SANDBOX#" in item["pk"]["S"]]
        return [Book.from_text(read(SandboxPaymentItem, item).book) for item in items]

    def audit(self) -> None:
        """Check that goods and money agree: of each order, in its charges, and in the provider's books."""
        self.shop.audit()
        items = all_items(self.shop.store, self.shop.tenant)
        charges = [read(ChargeItem, item) for item in items if item["sk"]["S"].startswith("C#")]
        for item in items:
            if item["sk"]["S"].startswith("O#"):
                self._balanced(read(OrderItem, item), charges)
        booked = sum(_kept(charge) for charge in charges if charge.provider == "sandbox")
        assert booked == sum(book.captured_minor - book.refunded_minor for book in self.books())

    def _balanced(self, order: OrderItem, charges: Sequence[ChargeItem]) -> None:
        kept = order.captured_minor - order.refunded_minor
        record = self.record(order)
        confirmed = record.lines if record.status == "confirmed" else []
        assert kept == _price(confirmed) + order.fee_minor, "rule 23"
        assert order.refundable_minor == _price(_left(order)), "what may be paid back is the price of what is left"
        mine = [charge for charge in charges if order_beside(charge.key) == order.key]
        assert kept == sum(map(_kept, mine)), [charge.attribute_values for charge in mine]
        assert all(0 <= back <= line.quantity for line, back in zip(order.lines, order.returned, strict=True))


def _kept(charge: ChargeItem) -> int:
    return charge.captured_minor - charge.refunded_minor


def _left(order: OrderItem) -> list[LineMap]:
    return [line.of(line.quantity - int(back)) for line, back in zip(order.lines, order.returned, strict=True)]


def _price(lines: Sequence[LineMap]) -> int:
    return sum(line.quantity * line.unit_price_minor for line in lines)
