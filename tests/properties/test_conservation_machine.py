"""Money and goods over any course of events, on DynamoDB Local: what was paid and kept is the price of what was sold.

Buyers hold carts of every kind of thing, pay by every token of the sandbox in every way, early, late and twice, cancel
and give back; a partner changes its mind; time passes and tells late or never; tasks of the workflows die, or fail for
good, and calls go wrong.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from holdfast.checkout.payments.sandbox_book import SandboxToken
from holdfast.checkout.refunds import Wanted
from holdfast.checkout.states import UNDER_WAY
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import Busy, CheckoutUnderWay, NotRefundable, Refused, ReservationOver, Unavailable
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key, order_of, reservation_of
from holdfast.reservations.ending import cancel
from holdfast.reservations.engine import LineRequest
from local.dynamodb_local import DynamoDBLocal
from tests.checkout.ledger import OPEN_REFUNDS
from tests.checkout.till import TOMORROW, Till
from tests.engine.box_office import standing
from tests.engine.faults import Calls, Crash, Trouble
from tests.engine.shop import HOUR, hall, resale, seat, units
from tests.engine.tours import ADULT, CHILD, MORNING, offered, pax, places
from tests.properties.mishaps import TROUBLES
from tests.workflow import Definition

PATIENCE = 8
"""Rounds of looking after what is open, after which nothing may be."""

TASKS = [task for name in ("checkout", "refund") for task in Definition(name).tasks() if not task.startswith("Leave")]
THINGS = ["units", "standing", "seat 1", "seat 2", "ticket", "hall 0", "hall 3", "places"]
PARTS = ["all", "first", "one of the last"]


@dataclass(frozen=True)
class Bad:
    """What goes wrong in a step: a task dies, fails for good or comes too late, or a call meets a trouble."""

    kind: Literal["dies", "fails", "fails after its effect", "comes too late", "call"]
    task: str
    call: int
    trouble: str


BAD = st.none() | st.builds(
    Bad,
    st.sampled_from(["dies", "fails", "fails after its effect", "comes too late", "call", "call"]),
    st.sampled_from(TASKS),
    st.integers(0, 30),
    st.sampled_from(sorted(TROUBLES)),
)


@dataclass(frozen=True)
class Purchase:
    """A cart and how it is to be paid."""

    user: str
    things: Sequence[str]
    quantity: int
    token: SandboxToken
    provider: str


PURCHASE = st.builds(
    Purchase,
    st.sampled_from(["ann", "bob"]),
    st.lists(st.sampled_from(THINGS), min_size=1, max_size=3, unique=True),
    st.integers(1, 3),
    st.sampled_from(SandboxToken),
    st.sampled_from(["sandbox", "sandbox", "sandbox", "external"]),
)


class ConservationMachine(RuleBasedStateMachine):
    """Buyers, their money, time and mishaps; nothing is known here but what is stored."""

    new_store: ClassVar[Callable[[], Store]]

    @initialize(purchase=PURCHASE)
    def open(self, purchase: Purchase) -> None:
        """Put everything on sale, and let there be an order to begin with."""
        self.patch = pytest.MonkeyPatch()
        self.till = Till(type(self).new_store(), self.patch)
        self.calls = Calls(self.till.store)
        self.records: list[Key] = []
        self.buy(purchase, None)

    def teardown(self) -> None:
        """Mend everything, look after everything until nothing is open, and see whether it is right then."""
        if not hasattr(self, "calls"):
            return
        try:
            self.till.machines.wake()
            for _ in range(PATIENCE):
                self.till.redrive()
                self.till.let_everything_lapse()
                self.till.tell_again()
                self.till.sweep()
            self.till.all_agrees()
            assert not self.till.machines.letters
            assert not self.till.untold
            assert all(record.due is None for record in self.till.shop.reservations())
        finally:
            self.calls.stop()
            self.patch.undo()

    @contextmanager
    def meeting(self, bad: Bad | None) -> Iterator[None]:
        """Let something go wrong for the length of a step; whether that is refused, or dies of it, is no matter."""
        machines, task = self.till.machines, bad.task if bad else ""
        self.calls.clear()
        if bad is not None and bad.kind == "dies":
            machines.kill(task, machines.calls[task] + 1)
        elif bad is not None and bad.kind == "call":
            self.calls.trouble(_not_of_tests(TROUBLES[bad.trouble]), skip=bad.call)
        elif bad is not None and bad.kind == "comes too late":
            machines.delay(task)
        elif bad is not None:
            machines.fail(task, after_effect=bad.kind != "fails")
        try:
            yield
        except (Refused, ReservationOver, CheckoutUnderWay, NotRefundable):
            pass
        except (Busy, Unavailable, Crash):
            assert bad is not None, "out of nothing"
        finally:
            machines.mend(task)
            self.calls.clear()

    def line(self, thing: str, quantity: int) -> LineRequest:
        """Return the line for a thing."""
        kind, _, number = thing.partition(" ")
        match kind:
            case "units":
                return units(self.till.product, quantity)
            case "standing":
                return standing(quantity)
            case "seat":
                return seat("A", int(number))
            case "ticket":
                return resale(self.till.ticket)
            case "places":
                return places(adult=quantity, child=1)
        begin = TOMORROW + int(number) * HOUR
        return hall(begin, begin + 3 * HOUR)

    def orders(self) -> list[OrderItem]:
        """Return all orders, in the order in which their reservations were made."""
        known = {order.key: order for order in self.till.orders()}
        return [known[order_of(key)] for key in self.records if order_of(key) in known]

    @rule(purchase=PURCHASE, bad=BAD)
    def shop(self, purchase: Purchase, bad: Bad | None) -> None:
        """Hold a cart and check it out."""
        self.buy(purchase, bad)

    def buy(self, purchase: Purchase, bad: Bad | None) -> None:
        """Hold a cart and check it out, if it is to be had."""
        lines = [self.line(thing, purchase.quantity) for thing in purchase.things]
        record: ReservationItem | None = None
        with self.meeting(None):
            record = self.till.hold(*lines, user=purchase.user)
        if record is not None:
            self.records.append(record.key)
            token = None if purchase.provider == "external" else purchase.token
            with self.meeting(bad):
                self.till.check_out(record, token, purchase.provider)

    @rule(data=st.data(), token=st.sampled_from(SandboxToken), bad=BAD)
    def try_again(self, data: st.DataObject, token: SandboxToken, bad: Bad | None) -> None:
        """Check any reservation out, once more or for the first time."""
        key = data.draw(st.sampled_from(self.records))
        with self.meeting(bad):
            self.till.check_out(self.till.shop.stored(key), token)

    @rule(data=st.data(), action=st.sampled_from(["pay", "pay", "decline"]), tell=st.booleans(), bad=BAD)
    def act(self, data: st.DataObject, action: Literal["pay", "decline"], tell: bool, bad: Bad | None) -> None:
        """Let a buyer act on any payment there ever was; its webhooks come now, or later."""
        books = [book for order in self.orders() for book in self.till.ledger().books(order.id)]
        if not books:
            return
        book = data.draw(st.sampled_from(books))
        with self.meeting(bad):
            for number, payment in enumerate(self.till.sandbox.act(book.id, action)):
                if tell:
                    self.till.tell(payment)
                else:
                    self.till.untold.append((payment, f"{book.id}-{action}-{number}"))

    @rule(data=st.data(), bad=BAD)
    def cancel_order(self, data: st.DataObject, bad: Bad | None) -> None:
        """Cancel an order, if it is not bought."""
        orders = self.orders()
        if orders:
            self.till.key = data.draw(st.sampled_from(orders)).key
            with self.meeting(bad):
                self.till.cancel()

    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        """Let go of what is held."""
        with self.meeting(None):
            cancel(self.till.engine, data.draw(st.sampled_from(self.records)))

    @rule(data=st.data(), part=st.sampled_from(PARTS), percent=st.sampled_from([100, 100, 50, 33, 0]), bad=BAD)
    def give_back(self, data: st.DataObject, part: str, percent: int, bad: Bad | None) -> None:
        """Give back an order that is bought, or a part of it."""
        orders = self.orders()
        if not orders:
            return
        order = data.draw(st.sampled_from(orders))
        last = len(order.lines) - 1
        wanted = {"all": None, "first": [Wanted(0)], "one of the last": [Wanted(last, 1)]}[part]
        self.till.key = order.key
        with self.meeting(bad):
            self.till.refund(wanted, lambda _: percent)

    @rule(left=st.sampled_from([0, 2, 6, 10]), adults=st.sampled_from([1, 5, 10]), price=st.sampled_from([700, 900]))
    def ask_the_partner(self, left: int, adults: int, price: int) -> None:
        """Let the partner say anew how many places its slot has, and what they cost."""
        types = pax(ADULT, adults, price_minor=price), pax(CHILD, 10, price_minor=300)
        self.till.tour.says(offered(MORNING, left, *types, currency="USD"))

    @rule(milliseconds=st.sampled_from([1, 30_000, 600_000, 900_000, 930_000]), tell=st.booleans(), bad=BAD)
    def wait(self, milliseconds: int, tell: bool, bad: Bad | None) -> None:
        """Let time pass; the messages of what is over come now, or at the end."""
        self.till.clock.forward(milliseconds)
        if tell:
            with self.meeting(bad):
                self.till.expire()

    @rule(what=st.sampled_from(["tell again", "sweep", "wake", "redrive"]), bad=BAD)
    def catch_up(self, what: str, bad: Bad | None) -> None:
        """Let webhooks come that were late, look after what broke off, end what froze, or send letters round again."""
        with self.meeting(bad if what in ("tell again", "sweep") else None):
            match what:
                case "tell again":
                    self.till.tell_again()
                case "sweep":
                    self.till.sweep()
                case "wake":
                    self.till.machines.wake()
                case "redrive":
                    self.till.redrive()

    @invariant()
    def all_is_well(self) -> None:
        """The goods agree with the reservations, and every order that is finished with its money."""
        if not hasattr(self, "calls"):
            return
        self.till.shop.audit()
        ledger = self.till.ledger()
        unheard = {payment.order_id for payment, _ in self.till.untold}
        lettered = {Key(**letter["run"]["order"]) for letter in self.till.machines.letters}
        for order in ledger.orders:
            going_back = any(refund.status in OPEN_REFUNDS for refund in ledger.refunds_of(order.key))
            if order.status in UNDER_WAY or going_back or order.id in unheard or order.key in lettered:
                continue
            wrong = ledger.disagreement(order)
            assert wrong is None, f"{reservation_of(order.key)}: {wrong}"


def _not_of_tests(trouble: Trouble) -> Trouble:
    """Return a trouble that leaves alone what only tests do: read everything."""
    return lambda call: call.make() if call.operation == "Scan" else trouble(call)


def _store(connection: Any, new_table: Callable[[], str]) -> Callable[[], Store]:
    return lambda: Store(connection, new_table())


@pytest.mark.slow
def test_money_and_goods_are_conserved(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any order of everything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    ConservationMachine.new_store = staticmethod(_store(connect("conservation")._connection, new_table))
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        ConservationMachine,
        settings=settings(
            max_examples=explore or 25,
            stateful_step_count=20,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
