"""A till to test at: an event, a shop, a hall and a resale ticket, the sandbox's books, and both workflows at work.

The goods are in DynamoDB Local, the books in the same table, the clock is moved by hand; the workflows run by their own
definitions (`tests.workflow`) through the real handlers of their functions.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from holdfast.checkout import opening, overdue, refunds, resuming, stopping, webhooks
from holdfast.checkout.desk import Desk, PaymentDesk
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.port import Payment
from holdfast.checkout.payments.registry import Providers
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.checkout.payments.sandbox_book import Book, SandboxToken
from holdfast.checkout.refunds import PercentOf, Wanted, whole_price
from holdfast.checkout.states import BOUGHT
from holdfast.platform.dynamodb import RawItem, Store
from holdfast.platform.errors import Busy, ProviderUnavailable, Refused, Unavailable
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.tables import Key, reservation_of
from holdfast.reservations.ending import confirm
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.expiry import handle
from holdfast.reservations.holding import HoldRequest, hold
from tests.checkout.ledger import Ledger
from tests.engine.audit import all_items
from tests.engine.box_office import BoxOffice, standing
from tests.engine.faults import Crash
from tests.engine.shop import HOUR, START, ListQueue, Shop, resale, seat, units
from tests.engine.shop import hall as hall_line
from tests.engine.tours import ADULT, CHILD, MORNING, Tour, offered, pax, places
from tests.handlers.gateway import LambdaContext, load
from tests.workflow import Data, Failed, Machines

TOMORROW = START - START % 86_400_000 + 86_400_000 + 22 * HOUR
"""When the hall is booked: over midnight, so that two days have it."""

PRICE = 2 * 1_000 + 2 * 290 + 500 + 2_500 + 9_000 + 2 * 700 + 300
"""What `everything` costs, in minor units."""

TOUR_OFFERED = offered(MORNING, 10, pax(ADULT, 10, price_minor=700), pax(CHILD, 10, price_minor=300), currency="USD")
"""What the partner says of the slot of which everything has three places."""

Side = Literal["free", "held", "sold"]


class NoSecrets:
    """The sandbox needs none."""

    def read(self, name: str) -> Mapping[str, Any]:
        """Fail."""
        raise AssertionError(name)


@dataclass(frozen=True)
class Ending:
    """How a checkout ended: what the order, its reservation, the goods, the charges and the provider's books say.

    `charges` and `books` are the state, what was captured and what was paid back, attempt by attempt, strays last.
    """

    order: str
    reservation: str
    goods: Side
    captured: int
    refunded: int
    charges: Sequence[tuple[str, int, int]]
    books: Sequence[tuple[str, int, int]]
    reason: str | None = None
    fee: int = 0
    refundable: int = 0


class Till:
    """One shop's till; `key` is that of the order last opened at it."""

    def __init__(self, store: Store, patch: pytest.MonkeyPatch, shop: Shop | None = None) -> None:
        """Put everything on sale, and let the handlers of both functions work here."""
        self.shop = shop or Shop(store)
        self._patch = patch
        self.store, self.clock, self.engine = store, self.shop.clock, self.shop.engine
        self.office = BoxOffice(self.shop)
        self.office.open(seats=4, standing=10)
        self.product = self.shop.product(10)
        self.ticket = self.shop.listing()
        self.tour = Tour(self.shop)
        self.tour.says(TOUR_OFFERED)
        self.sandbox = Sandbox(store, self.shop.tenant, self.clock, self.engine.retries)
        self.providers = Providers(store, NoSecrets(), ProvidersUsed(store, "sandbox"), self.clock)
        self.machines = Machines(self._claims, self._payments)
        checkout, refund = self.machines.checkout, self.machines.refund
        self._desk = Desk(self.engine, checkout, 900)
        self._payment_desk = PaymentDesk(self.engine, checkout, self.providers)
        self.webhooks = webhooks.Desk(self.engine, checkout, refund, self.providers)
        self.key = Key("", "")
        self._events = 0
        self.untold: list[tuple[Payment, str]] = []

    def of_another_tenant(self, tenant: str) -> "Till":
        """Return another tenant's till on the same table and clock."""
        return Till(self.store, self._patch, Shop(self.store, self.clock, tenant))

    def _claims(self, payload: Data) -> Any:
        return self._step("checkout_claims", self._desk, payload)

    def _payments(self, payload: Data) -> Any:
        return self._step("checkout_payments", self._payment_desk, payload)

    def _step(self, function: str, desk: Desk | PaymentDesk, payload: Data) -> Any:
        """Hand a payload to the handler of a function that works at this till; one that dies is Lambda's to tell of."""
        module = load(function)
        self._patch.setattr(module, "desk", lambda: desk)
        try:
            return module.handler(payload, LambdaContext())
        except Crash as dead:
            raise Failed("Lambda.Unknown") from dead

    def everything(self) -> list[LineRequest]:
        """Return a line of each kind."""
        evening = hall_line(TOMORROW, TOMORROW + 4 * HOUR)
        of_a_tour = places(adult=2, child=1)
        return [units(self.product, 2), standing(2), seat("A", 1), resale(self.ticket), evening, of_a_tour]

    def hold(self, *lines: LineRequest, user: str = "ann") -> ReservationItem:
        """Hold lines of any kinds; everything, unless any are given."""
        named = [
            LineRequest(**{**vars(line), "field": f"items.{place}"})
            for place, line in enumerate(lines or self.everything())
        ]
        request = HoldRequest(self.shop.tenant, user, "reservations", self.shop.new_key(), "body", named)
        held: ReservationItem = hold(self.engine, self.office.rooms, request)
        return held

    def check_out(
        self,
        record: ReservationItem | None = None,
        token: str | None = SandboxToken.SUCCESS,
        provider: str = "sandbox",
    ) -> OrderItem:
        """Check a reservation out, a new one of everything unless one is given, and return the order as it then is."""
        order = self.open(record or self.hold(), token, provider)
        opening.start(self.machines.checkout, order)
        return self.order

    def open(self, record: ReservationItem, token: str | None, provider: str = "sandbox") -> OrderItem:
        """Write the order, as the route does before it starts the workflow."""
        order = opening.open_order(self.engine, record, PaymentChoice(provider, token))
        self.key = order.key
        return order

    @property
    def order(self) -> OrderItem:
        """The order last opened, as it is stored."""
        return opening.read_order(self.engine, self.key)

    @property
    def record(self) -> ReservationItem:
        """The reservation of the order last opened, as it is stored."""
        return self.shop.stored(reservation_of(self.key))

    def pay(self, action: Literal["pay", "decline"] = "pay", attempt: int | None = None, *, tell: bool = True) -> None:
        """Let the buyer do what there is to do at the provider's page, if anything is; then come its webhooks."""
        charge = self.charge(attempt or self.order.attempt)
        if charge is None or charge.payment_id is None:
            return
        for payment in self.sandbox.act(charge.payment_id, action):
            if tell:
                self.tell(payment)

    def tell(self, payment: Payment, event_id: str | None = None) -> None:
        """Let a webhook come that tells of a payment; one that is to come again waits for `tell_again`."""
        self._events += 1
        name = event_id or f"evt_{self._events}"
        body, headers = self.sandbox.webhook(payment, self.clock.now(), name)
        try:
            webhooks.receive(self.webhooks, self.shop.tenant, "sandbox", body, headers)
        except (Busy, Unavailable, ProviderUnavailable, Crash):
            self.untold.append((payment, name))

    def tell_again(self) -> None:
        """Let the webhooks come again that were answered that they should, as providers do for days."""
        untold, self.untold = self.untold, []
        for payment, event_id in untold:
            self.tell(payment, event_id)

    def let_deadline_pass(self) -> None:
        """Move past the time to pay, and let the expiry message come, as the queue delivers it."""
        self.overdue()()

    def overdue(self) -> Callable[[], None]:
        """Move past the time to pay, and return what delivers the expiry message."""
        record = self.record
        self.clock.forward(max(0, record.expires_at - self.clock.now()) + 1)
        tell = overdue.telling(self.engine, self.machines.checkout)

        def deliver() -> None:
            assert not handle(self.engine, ListQueue(), [self.shop.message(record)], tell)

        return deliver

    def expire(self) -> None:
        """Let the expiry messages come of everything whose time is past."""
        now = self.clock.now()
        records = [record for record in self.shop.reservations() if record.due is not None and record.due <= now]
        tell = overdue.telling(self.engine, self.machines.checkout)
        handle(self.engine, ListQueue(), [self.shop.message(record) for record in records], tell)

    def let_everything_lapse(self) -> None:
        """Move past the time of everything that is held, and let its expiry messages come."""
        self.clock.forward(24 * HOUR)
        self.expire()

    def cancel(self) -> None:
        """Let the buyer cancel the order, unless it is bought."""
        stopping.stop(self.engine, self.machines.checkout, self.order, 0)

    def somebody_takes_the_seat(self) -> None:
        """Let somebody else hold and buy the seat, if it is to be had."""
        with suppress(Refused):
            record = self.hold(seat("A", 1), user="eve")
            confirm(self.engine, record.key)

    def refund(self, wanted: Sequence[Wanted] | None = None, percent_of: PercentOf = whole_price) -> None:
        """Give back lines of the order, or all that is left of it, if it was bought."""
        order = self.order
        if order.status not in BOUGHT:
            return
        name = refunds.name_for(order, None)
        machine = self.machines.refund
        refunds.request(self.engine, machine, order, wanted, percent_of, "ann", "changed_mind", None, name)

    def redrive(self) -> None:
        """Send every dead letter round again, as a person does once the cause is mended."""
        letters, self.machines.letters = self.machines.letters, []
        machines = {"checkout": self.machines.checkout, "refund": self.machines.refund}
        for number, letter in enumerate(letters):
            resuming.take_up(self.engine, machines, letter, f"message-{number}-{len(self.machines.runs)}")

    def sweep(self) -> None:
        """Look after orders and refunds that nobody is at, as the sweeper does when they fall due."""
        for key in [order.key for order in self.orders()]:
            resuming.resume_order(self.engine, self.machines.checkout, key)
        for refund in self.refunds():
            resuming.resume_refund(self.engine, self.machines.refund, refund.key)

    def items(self) -> list[RawItem]:
        """Return everything that is stored."""
        return all_items(self.store, self.shop.tenant)

    def ledger(self) -> Ledger:
        """Return all that is stored about orders and money."""
        return Ledger(self.items())

    def orders(self) -> list[OrderItem]:
        """Return all orders."""
        return self.ledger().orders

    def refunds(self) -> list[RefundItem]:
        """Return all refunds."""
        return self.ledger().refunds

    def charges(self) -> list[ChargeItem]:
        """Return the charges of the order last opened, attempt by attempt, strays last."""
        return self.ledger().charges(self.key)

    def books(self) -> list[Book]:
        """Return the sandbox's payments for the order last opened, attempt by attempt."""
        return self.ledger().books(self.order.id)

    def charge(self, attempt: int) -> ChargeItem | None:
        """Return the charge of an attempt of the order last opened."""
        return next((charge for charge in self.charges() if charge.key.sk.endswith(f"#{attempt:02d}")), None)

    def goods(self) -> Side:
        """Return on which side everything is, which must be one and the same for every kind of line.

        A seat that is another's by now is free, as far as the order is concerned.
        """
        record, day = self.record, self.shop.day("2023-11-16")
        seen = {
            _side(self.shop.count(self.product), 10, 2),
            _side(self.office.standing(), 10, 2),
            _side(self.tour.count(), 10, 3),
            _side(self.tour.count(ADULT), 10, 2),
            _side(self.tour.count(CHILD), 10, 1),
            self._unit(self.shop.seat_key("A", 1)),
            self._unit(self.shop.keys.listing(self.ticket)),
        }
        entry = day.entries.get(f"{record.id}~{TOMORROW}")
        if entry is None or (entry.held_until is not None and entry.held_until <= self.clock.now()):
            seen.add("free")
        else:
            seen.add("sold" if entry.held_until is None else "held")
        (side,) = seen
        return side

    def _unit(self, key: Key) -> Side:
        unit = self.shop.unit(key)
        if unit.holder != self.record.id or (unit.held_until is not None and unit.held_until <= self.clock.now()):
            return "free"
        return "sold" if unit.held_until is None else "held"

    def ending(self) -> Ending:
        """Return how it ended, once everything agrees with everything."""
        self.shop.audit()
        order = self.order
        return Ending(
            order=order.status,
            reservation=self.record.status,
            goods=self.goods(),
            captured=order.captured_minor,
            refunded=order.refunded_minor,
            charges=[(item.status, item.captured_minor, item.refunded_minor) for item in self.charges()],
            books=[(book.state, book.captured_minor, book.refunded_minor) for book in self.books()],
            reason=order.reason,
            fee=order.fee_minor,
            refundable=order.refundable_minor,
        )

    def all_agrees(self) -> None:
        """Check every order, and everything stored."""
        self.shop.audit()
        ledger = self.ledger()
        for order in ledger.orders:
            wrong = ledger.disagreement(order)
            assert wrong is None, f"{order.key}: {wrong}"


def _side(counts: tuple[int, int, int], total: int, wanted: int) -> Side:
    """Return on which side `wanted` of `total` units are, by how many are available, held and sold."""
    sides: dict[tuple[int, int, int], Side] = {
        (total, 0, 0): "free",
        (total - wanted, wanted, 0): "held",
        (total - wanted, 0, wanted): "sold",
    }
    return sides[counts]
