"""All that is stored about orders and their money at one moment, and whether money and goods agree."""

from collections.abc import Sequence

from holdfast.checkout.payments.port import PaymentState
from holdfast.checkout.payments.sandbox_book import Book
from holdfast.checkout.states import UNDER_WAY, RefundStatus
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem, SandboxPaymentItem
from holdfast.platform.tables import (
    Key,
    is_charge,
    is_hold,
    is_order,
    is_refund,
    key_of,
    order_beside,
    reservation_of,
)

OPEN_REFUNDS = (RefundStatus.PENDING, RefundStatus.PAID)


class Ledger:
    """A tenant's orders, reservations, charges and refunds, and the sandbox's books."""

    def __init__(self, items: Sequence[RawItem]) -> None:
        """Take everything that is stored."""
        self.orders = [read(OrderItem, item) for item in items if is_order(key_of(item))]
        self.refunds = [read(RefundItem, item) for item in items if is_refund(key_of(item))]
        self._charges = [read(ChargeItem, item) for item in items if is_charge(key_of(item))]
        self._records = {key_of(item): read(ReservationItem, item) for item in items if is_hold(key_of(item))}
        stored = [read(SandboxPaymentItem, item) for item in items if "#SANDBOX#" in key_of(item).pk]
        self._books = [Book.from_text(item.book) for item in stored]

    def charges(self, order: Key) -> list[ChargeItem]:
        """Return an order's charges, attempt by attempt, strays last."""
        return sorted((item for item in self._charges if order_beside(item.key) == order), key=lambda item: item.key)

    def books(self, order_id: str) -> list[Book]:
        """Return the sandbox's payments for an order, attempt by attempt."""
        found = (book for book in self._books if book.order_id == order_id)
        return sorted(found, key=lambda book: (book.attempt, book.id))

    def refunds_of(self, order: Key) -> list[RefundItem]:
        """Return an order's refunds."""
        return [refund for refund in self.refunds if order_beside(refund.key) == order]

    def disagreement(self, order: OrderItem) -> str | None:
        """Return what is wrong between an order's money and its goods, nobody being at it; None where nothing is.

        What was captured and not paid back, by the provider's own books over all its payments for the order, is the
        price of what is confirmed and the fees that were kept; the order and its charges say the same.
        """
        if order.status in UNDER_WAY:
            return f"{order.status}, and nobody is at it"
        if any(refund.status in OPEN_REFUNDS for refund in self.refunds_of(order.key)):
            return "a refund is open"
        record = self._records[reservation_of(order.key)]
        mine = record.status == "confirmed" and record.checkout == order.attempt
        worth = sum(line.unit_price_minor * line.quantity for line in record.lines) if mine else 0
        books = self.books(order.id)
        charged = sum(charge.captured_minor - charge.refunded_minor for charge in self.charges(order.key))
        kept = charged
        if order.provider != "external":
            kept = sum(book.captured_minor - book.refunded_minor for book in books)
        if kept != worth + order.fee_minor:
            return f"{kept} were kept for {worth} and fees of {order.fee_minor}"
        if order.captured_minor - order.refunded_minor != kept:
            return f"the order says {order.captured_minor} - {order.refunded_minor}, the books {kept}"
        if charged != kept:
            return f"the charges say {charged}, the books {kept}"
        if any(book.state is PaymentState.AUTHORISED for book in books):
            return "money is set aside for nothing"
        return None
