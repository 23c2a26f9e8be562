"""Checkouts against a simple model of who has what until when, on DynamoDB Local: any order, anything going wrong.

Carts of seats, a resale ticket, hours of a hall and units of a product go into checkout and back, are confirmed,
expire, are taken again by late money, and are given back in parts. After every step the items must agree among
themselves (the audit) and with the model; where a call crashed, the items say whether it took effect.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.catalogue.listings import listings
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.claims.span import Span, midnight
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import HoldTaken, Refused, ReservationOver, TicketLocked
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key
from holdfast.reservations.checking_out import GRACE, abandon, begin, go_back
from holdfast.reservations.ending import cancel, confirm, lapse, withdraw
from holdfast.reservations.engine import HoldLengths, LineRequest
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from local.dynamodb_local import DynamoDBLocal
from tests.engine.fair import Marker
from tests.engine.shop import HOUR, ManualClock, Shop, hall, resale, seat, units
from tests.properties.mishaps import MISHAPS, MeetsMishaps, Mishap

STOCK = 5
MOST = 3
"""Units of the product that one user may take; late money does not ask."""

HOLD = 10_000
TO_PAY = 20_000
MIDNIGHT = midnight("2023-12-02")
EVENINGS = [Span(MIDNIGHT + begin * HOUR, MIDNIGHT + end * HOUR) for begin, end in ((-3, 2), (-1, 1), (1, 30))]
UNITS = ["seat 1", "seat 2", "ticket"]
HALLS = ["hall 0", "hall 1", "hall 2"]
LIVE = ("held", "checking_out")


class StillClock(ManualClock):
    """A clock that waiting does not move, so that a step knows at which moment it was made."""

    def sleep(self, seconds: float) -> None:
        """Let waiting take no time."""


@dataclass
class Cart:
    """What the model knows of one reservation; `things` and `stock` are what it held or, once sold, still has."""

    user: str
    status: str
    v: int
    things: frozenset[str]
    stock: int
    expires_at: int
    checkout: int | None = None
    checkout_until: int | None = None
    back_at: int = 0


class CheckoutMachine(MeetsMishaps, RuleBasedStateMachine):
    """Buyers, workflows, a seller, time and mishaps; `had` says whose each unit and hour is, and until when."""

    new_store: ClassVar[Callable[[], Store]]

    @initialize()
    def open(self) -> None:
        """Put one of everything on sale; two carts are held from the start."""
        self.clock = StillClock()
        store = type(self).new_store()
        lengths = HoldLengths(standard=HOLD // 1_000)
        self.shops = [Shop(store, self.clock, attempts=4, lengths=lengths) for _ in range(2)]
        first = self.shops[0]
        first.seats({"A": 2})
        self.ticket = first.listing()
        self.product = first.product(units=[2, STOCK - 2], max_per_user=MOST)
        self.carts: dict[Key, Cart] = {}
        self.had: dict[tuple[str, Key], int | None] = {}
        self.refunds: list[tuple[Key, list[LineMap], Marker]] = []
        self.expect_mishaps(store)
        self.hold(0, "ann", {"seat 1", "hall 1"}, 2, False, None)
        self.hold(1, "bob", {"ticket", "seat 2", "hall 2"}, 1, False, None)

    def teardown(self) -> None:
        """Give the connection back as it was, once everything is given back and can be had again."""
        if hasattr(self, "calls"):
            self.calls.clear()
            self.clock.forward(3_600_000)
            engine = self.shops[0].engine
            for key, cart in self.carts.items():
                if cart.status == "checking_out":
                    go_back(engine, key, cart.checkout or 0)
                lapse(engine, key, self.shops[0].stored(key).expires_at)
                if cart.status == "confirmed":
                    give_back(engine, key, self.shops[0].stored(key).lines, lambda: False, State.REFUNDED)
            self.shops[0].audit()
            everything = [self.line(thing) for thing in (*UNITS, "hall 1", "hall 2")]
            assert self.shops[0].cart("late", *everything, units(self.product, MOST)).status == "held"
            assert self.shops[0].count(self.product) == (STOCK - MOST, MOST, 0)
            self.calls.stop()

    def line(self, thing: str) -> LineRequest:
        """Return the line for a thing that exists once."""
        kind, _, number = thing.partition(" ")
        if kind == "seat":
            return seat("A", int(number))
        return hall(*EVENINGS[int(number)]) if kind == "hall" else resale(self.ticket)

    def is_free(self, thing: str, to: Key | None = None) -> bool:
        """Return whether nobody, or nobody but `to`, has a thing or some of its hours."""
        now = self.clock.now()
        return not any(
            _same(thing, other) and key != to and (until is None or until > now)
            for (other, key), until in self.had.items()
        )

    def stock_left(self) -> int:
        """Return how many units of the product are free."""
        return STOCK - sum(cart.stock for cart in self.carts.values() if cart.status in (*LIVE, "confirmed"))

    def taken_by(self, user: str) -> int:
        """Return how many units of the product a user's limit counts."""
        mine = [cart for cart in self.carts.values() if cart.user == user and cart.status in (*LIVE, "confirmed")]
        return sum(cart.stock for cart in mine)

    def let_go(self, key: Key, things: frozenset[str]) -> None:
        """Free things that a reservation has; what another has since is not touched."""
        for thing in things:
            self.had.pop((thing, key), None)

    def keep(self, key: Key, things: frozenset[str], until: int | None) -> None:
        """Give things to a reservation; a unit's former holder, whose time was over, has lost it."""
        for thing in things:
            for other in [had for had in self.had if had[0] == thing and thing in UNITS]:
                del self.had[other]
            self.had[thing, key] = until

    @rule(
        shop=st.integers(0, 1),
        user=st.sampled_from(["ann", "bob"]),
        things=st.sets(st.sampled_from([*UNITS, *HALLS]), max_size=4),
        stock=st.integers(0, 2),
        bold=st.sampled_from([False, False, True]),
        mishap=MISHAPS,
    )
    def hold(self, shop: int, user: str, things: set[str], stock: int, bold: bool, mishap: Mishap | None) -> None:
        """Hold a cart: whole if everything in it is free, else not at all; only the bold ask for what is not.

        A shortage is remembered for a moment, which passes first.
        """
        self.clock.forward(REMEMBERED_FOR)
        wanted: list[str] = []
        for thing in sorted(things):
            if (bold or self.is_free(thing)) and not any(_same(thing, had) for had in wanted):
                wanted.append(thing)
        if not wanted and not stock:
            return
        asked, name = self.shops[shop], f"key {len(self.carts)}-{self.clock.now()}-{wanted}-{stock}-{user}"
        lines = [*map(self.line, wanted), *([units(self.product, stock)] if stock else [])]
        enough = stock <= self.stock_left() and (not stock or self.taken_by(user) + stock <= MOST)
        allowed = all(map(self.is_free, wanted)) and enough
        answer = self.attempt(mishap, lambda: asked.cart(user, *lines, key=name))
        key = asked.keys.reservation(user, "reservations", name)
        made = asked.store.get(ReservationItem, key) is not None
        assert not made or allowed
        if not self.may_fail(answer):
            assert made == allowed
            assert isinstance(answer, Refused) != allowed
        if made:
            until = self.clock.now() + HOLD
            self.carts[key] = Cart(user, "held", 1, frozenset(wanted), stock, until)
            self.keep(key, frozenset(wanted), until)

    def advance(self, shop: int, key: Key, allowed: bool, mishap: Mishap | None, act: Callable[[], Any]) -> bool:
        """Take a reservation a step further; return whether it took effect, which it may only where it is allowed."""
        cart = self.carts[key]
        answer = self.attempt(mishap, act)
        v = self.shops[shop].stored(key).v
        assert v in (cart.v, cart.v + 1), "a step is taken once"
        changed = v > cart.v
        assert not changed or allowed, f"{cart} was changed to {self.shops[shop].stored(key).status}"
        if not self.may_fail(answer):
            assert changed == allowed, f"{cart}: {answer!r}"
            assert allowed != isinstance(answer, HoldTaken | ReservationOver) or not isinstance(answer, Exception)
        cart.v = v
        return changed

    def has(self, *statuses: str) -> bool:
        """Return whether any reservation is in one of these states."""
        return any(cart.status in statuses for cart in self.carts.values())

    def pick(self, data: st.DataObject, *statuses: str) -> Key:
        """Return a reservation that is in one of these states, or now and then any other."""
        fitting = [key for key, cart in self.carts.items() if cart.status in statuses]
        anyone = data.draw(st.integers(0, 5), label="whose") == 5 or not fitting
        return data.draw(st.sampled_from(list(self.carts) if anyone else fitting))

    def may_be_sold(self, key: Key) -> bool:
        """Return whether a reservation still has its units, and nobody else its hours."""
        things = self.carts[key].things
        kept = all((thing, key) in self.had for thing in things if thing in UNITS)
        return kept and all(self.is_free(thing, key) for thing in things if thing in HALLS)

    @precondition(lambda self: self.has("held"))
    @rule(shop=st.integers(0, 1), data=st.data(), attempt=st.integers(1, 2), mishap=MISHAPS)
    def begin(self, shop: int, data: st.DataObject, attempt: int, mishap: Mishap | None) -> None:
        """Go into checkout: from held, within its time."""
        key = self.pick(data, "held")
        cart, now, engine = self.carts[key], self.clock.now(), self.shops[shop].engine
        allowed = cart.status == "held" and now < cart.expires_at
        if self.advance(shop, key, allowed, mishap, lambda: begin(engine, key, attempt, TO_PAY // 1_000)):
            cart.status, cart.checkout, cart.back_at = "checking_out", attempt, cart.expires_at
            cart.expires_at = max(cart.expires_at, cart.checkout_until or now + TO_PAY)
            cart.checkout_until = cart.expires_at
            self.keep(key, cart.things, cart.expires_at + GRACE)

    @precondition(lambda self: self.has("checking_out"))
    @rule(
        shop=st.integers(0, 1),
        data=st.data(),
        ahead=st.sampled_from([0, 0, 0, 1]),
        cancels=st.booleans(),
        mishap=MISHAPS,
    )
    def leave(self, shop: int, data: st.DataObject, ahead: int, cancels: bool, mishap: Mishap | None) -> None:
        """Leave checkout: cancelled, or back to the hold, which may be over meanwhile."""
        key = self.pick(data, "checking_out")
        cart, engine = self.carts[key], self.shops[shop].engine
        attempt = (cart.checkout or 0) + ahead
        allowed = cart.status == "checking_out" and cart.checkout == attempt
        step = abandon if cancels else go_back
        if self.advance(shop, key, allowed, mishap, lambda: step(engine, key, attempt)):
            if not cancels and self.clock.now() < cart.back_at:
                cart.status, cart.expires_at = "held", cart.back_at
                self.keep(key, cart.things, cart.expires_at)
                return
            cart.status = "cancelled" if cancels else "expired"
            self.let_go(key, cart.things)

    @precondition(lambda self: self.has(*LIVE))
    @rule(shop=st.integers(0, 1), data=st.data(), ahead=st.sampled_from([0, 0, 0, 1]), mishap=MISHAPS)
    def confirm(self, shop: int, data: st.DataObject, ahead: int, mishap: Mishap | None) -> None:
        """Sell what is held, or in checkout for the same attempt, whatever the clock says."""
        key = self.pick(data, *LIVE)
        cart, engine = self.carts[key], self.shops[shop].engine
        attempt = (cart.checkout or 1) + ahead
        is_anothers = cart.status == "checking_out" and cart.checkout != attempt
        allowed = cart.status in LIVE and not is_anothers and self.may_be_sold(key)
        if self.advance(shop, key, allowed, mishap, lambda: confirm(engine, key, checkout=attempt)):
            cart.status, cart.checkout = "confirmed", attempt
            self.keep(key, cart.things, None)

    @precondition(lambda self: self.has("held"))
    @rule(shop=st.integers(0, 1), data=st.data(), waits=st.booleans(), mishap=MISHAPS)
    def expire(self, shop: int, data: st.DataObject, waits: bool, mishap: Mishap | None) -> None:
        """Give back what lapsed; units and hours are left to the next taker, and checkouts to their workflow."""
        key = self.pick(data, "held")
        cart, engine = self.carts[key], self.shops[shop].engine
        if waits:
            self.clock.forward(max(0, cart.expires_at - self.clock.now()))
        allowed = cart.status == "held" and cart.expires_at <= self.clock.now()
        if self.advance(shop, key, allowed, mishap, lambda: lapse(engine, key, cart.expires_at)):
            cart.status = "expired"

    @precondition(lambda self: self.has("expired"))
    @rule(shop=st.integers(0, 1), data=st.data(), attempt=st.integers(1, 2), mishap=MISHAPS)
    def pay_late(self, shop: int, data: st.DataObject, attempt: int, mishap: Mishap | None) -> None:
        """Take the same things again: from expired, where all of them are free, or still as they were left."""
        key = self.pick(data, "expired")
        cart, engine = self.carts[key], self.shops[shop].engine
        allowed = cart.status == "expired" and all(self.is_free(thing, key) for thing in cart.things)
        allowed = allowed and cart.stock <= self.stock_left()
        if self.advance(shop, key, allowed, mishap, lambda: reacquire(engine, key, attempt)):
            cart.status, cart.checkout = "confirmed", attempt
            self.keep(key, cart.things, None)

    @precondition(lambda self: self.has("held", "confirmed"))
    @rule(shop=st.integers(0, 1), data=st.data(), withdraws=st.booleans(), mishap=MISHAPS)
    def undo(self, shop: int, data: st.DataObject, withdraws: bool, mishap: Mishap | None) -> None:
        """Cancel what is held, or withdraw what was sold."""
        key = self.pick(data, "confirmed" if withdraws else "held")
        cart, engine = self.carts[key], self.shops[shop].engine
        allowed = cart.status == ("confirmed" if withdraws else "held")
        step = withdraw if withdraws else cancel
        if self.advance(shop, key, allowed, mishap, lambda: step(engine, key)):
            if not withdraws and cart.expires_at <= self.clock.now():
                cart.status = "expired"
                return
            cart.status = "cancelled"
            self.let_go(key, cart.things)

    @precondition(lambda self: self.has("confirmed"))
    @rule(shop=st.integers(0, 1), data=st.data(), mishap=MISHAPS)
    def return_some(self, shop: int, data: st.DataObject, mishap: Mishap | None) -> None:
        """Give any part of what was bought back, down to nothing."""
        key = data.draw(st.sampled_from([key for key, cart in self.carts.items() if cart.status == "confirmed"]))
        cart, engine = self.carts[key], self.shops[shop].engine
        lines = [
            line.of(data.draw(st.integers(0, line.quantity), label="returned"))
            for line in self.shops[shop].stored(key).lines
        ]
        lines = [line for line in lines if line.quantity] or self.shops[shop].stored(key).lines
        marker = Marker(self.shops[shop], f"refund {len(self.refunds)}")

        def act() -> ReservationItem:
            return give_back(engine, key, lines, marker.is_there, State.REFUNDED, marker.beside)

        changed = self.advance(shop, key, True, mishap, act)
        assert changed == marker.is_there()
        if changed:
            self.refunds.append((key, lines, marker))
            things = frozenset(self.thing(line) for line in lines if line.kind != "product")
            stock = sum(line.quantity for line in lines if line.kind == "product")
            self.let_go(key, things)
            if things == cart.things and stock == cart.stock:
                cart.status = "refunded"
            else:
                cart.things, cart.stock = cart.things - things, cart.stock - stock

    @precondition(lambda self: self.refunds)
    @rule(shop=st.integers(0, 1), data=st.data(), mishap=MISHAPS)
    def return_again(self, shop: int, data: st.DataObject, mishap: Mishap | None) -> None:
        """Run a refund that was made once more, whatever became of the reservation: nothing is changed."""
        key, lines, marker = data.draw(st.sampled_from(self.refunds))
        engine = self.shops[shop].engine
        answer = self.attempt(
            mishap, lambda: give_back(engine, key, lines, marker.is_there, State.REFUNDED, marker.beside)
        )
        assert self.may_fail(answer) or answer.v == self.carts[key].v

    @rule(shop=st.integers(0, 1), mishap=MISHAPS)
    def edit(self, shop: int, mishap: Mishap | None) -> None:
        """Ask another price for the resale ticket: refused while somebody has it, else a lapsed holder has lost it."""
        engine, free = self.shops[shop].engine, self.is_free("ticket")
        listing = self.shops[0].keys.listing(self.ticket)
        before = self.shops[0].unit(listing).revision
        offer = listings.Offer("Dearer", 100 + before, "USD")
        answer = self.attempt(mishap, lambda: listings.edit(engine, "demo", self.ticket, "seller", lambda _: offer))
        edited = self.shops[0].unit(listing).revision != before
        assert not edited or free
        if not self.may_fail(answer):
            assert edited == free
            assert isinstance(answer, TicketLocked) == (not free)
        if edited:
            for had in [had for had in self.had if had[0] == "ticket"]:
                del self.had[had]

    @rule(milliseconds=st.sampled_from([1, 999, HOLD - 1, HOLD, TO_PAY, GRACE - 1, GRACE]))
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.clock.forward(milliseconds)

    def thing(self, line: LineMap) -> str:
        """Return the thing that a line is for."""
        if line.kind == "venue":
            return next(f"hall {number}" for number, span in enumerate(EVENINGS) if span.start == line.start)
        return f"seat {line.seat}" if line.kind == "seat" else "ticket"

    @invariant()
    def all_is_well(self) -> None:
        """The items agree among themselves, and with the model on what each reservation is and each thing's holder."""
        if not hasattr(self, "carts"):
            return
        shop = self.shops[0]
        shop.audit()
        found = {record.key: record for record in shop.reservations()}
        assert {key: (record.status, record.v) for key, record in found.items()} == {
            key: (cart.status, cart.v) for key, cart in self.carts.items()
        }
        for key, cart in self.carts.items():
            record = found[key]
            assert record.expires_at == cart.expires_at or cart.status not in LIVE
            if cart.status in (*LIVE, "confirmed"):
                assert (
                    frozenset(map(self.thing, (line for line in record.lines if line.kind != "product"))) == cart.things
                )
                assert sum(record.allocated().values()) == cart.stock
        ids = {key: record.id for key, record in found.items()}
        for thing in UNITS:
            key = shop.keys.listing(self.ticket) if thing == "ticket" else shop.seat_key("A", int(thing[-1]))
            unit = shop.unit(key)
            holders = [(ids[key], until) for (other, key), until in self.had.items() if other == thing]
            assert ([] if unit.holder is None else [(unit.holder, unit.held_until)]) == holders
        assert shop.count(self.product)[0] == self.stock_left()


def _same(one: str, other: str) -> bool:
    """Return whether who has one of two things keeps the other from everybody."""
    if one.startswith("hall") and other.startswith("hall"):
        return EVENINGS[int(one[-1])].overlaps(EVENINGS[int(other[-1])])
    return one == other


@pytest.mark.slow
def test_checkouts_keep_their_invariants(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any order of everything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    connection = connect("checkouts")._connection
    CheckoutMachine.new_store = staticmethod(lambda: Store(connection, new_table()))
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        CheckoutMachine,
        settings=settings(
            max_examples=explore or 20,
            stateful_step_count=25,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
