"""Mixed carts against a simple model of who has what, on DynamoDB Local: any order, with anything going wrong.

Seats, a resale ticket, hours of a hall, units of a product and places of a partner's slot. After every step the items
must agree among themselves (the audit) and with the model; where a call crashed, the items say whether it took effect.
"""

import os
from collections.abc import Callable, Sequence
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
from holdfast.claims.slot import OfferedSlot
from holdfast.claims.span import Span, midnight
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import AlreadyExtended, HoldTaken, Refused, ReservationOver, TicketLocked
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key
from holdfast.reservations.ending import cancel, confirm, lapse, withdraw
from holdfast.reservations.engine import HoldLengths, LineRequest
from holdfast.reservations.extension import extend
from local.dynamodb_local import DynamoDBLocal
from tests.engine.shop import HOUR, ManualClock, Shop, best, hall, resale, seat, units
from tests.engine.tours import ADULT, CHILD, MORNING, Tour, offered, pax, places
from tests.properties.mishaps import MISHAPS, MeetsMishaps, Mishap

SEATS = 4
STOCK = 4
LENGTHS = HoldLengths(standard=10, longest=20, extension=5)
MIDNIGHT = midnight("2023-12-02")
EVENINGS = [Span(MIDNIGHT + begin * HOUR, MIDNIGHT + end * HOUR) for begin, end in ((-3, 2), (-1, 1), (1, 30), (2, 3))]
THINGS = [*(f"seat {number}" for number in range(1, SEATS + 1)), "ticket", "any seat", "product"]
THINGS += [f"hall {number}" for number in range(len(EVENINGS))]
PLACES = {"places for two": (2, 0), "places for a family": (1, 1)}
"""How many adults and children they are for."""

THINGS += PLACES


@dataclass
class Cart:
    """What the model knows of one reservation; `lost` are units that went to others, or got another price, since."""

    status: str
    things: frozenset[str]
    stock: int
    places: tuple[int, int]
    expires_at: int
    lost: bool = False
    extended: bool = False


class CartMachine(MeetsMishaps, RuleBasedStateMachine):
    """Buyers, a seller, time and mishaps."""

    new_store: ClassVar[Callable[[], Store]]

    @initialize()
    def open(self) -> None:
        """Put one of everything on sale."""
        self.clock = ManualClock()
        store = type(self).new_store()
        self.shops = [Shop(store, self.clock, attempts=4, lengths=LENGTHS) for _ in range(2)]
        first = self.shops[0]
        first.seats({"A": SEATS})
        self.ticket = first.listing()
        self.product = first.product(units=[STOCK // 2, STOCK - STOCK // 2])
        self.tour = Tour(first)
        self.tour.says(_said(4, 3, 2, 700))
        self.carts: dict[Key, Cart] = {}
        self.expect_mishaps(store)

    def teardown(self) -> None:
        """Give the connection back as it was, once everything has lapsed and can be had again."""
        if hasattr(self, "calls"):
            self.calls.clear()
            self.clock.forward(3_600_000)
            for key in self.carts:
                lapse(self.shops[0].engine, key, self.shops[0].stored(key).expires_at)
                self.carts[key].status = self.shops[0].stored(key).status
            self.all_is_well()
            wanted = [thing for thing in THINGS if thing != "any seat" and self.is_free(thing)]
            apart = [thing for thing in wanted if thing not in ("hall 0", "hall 3", "places for two")]
            if apart:
                assert self.shops[0].cart("late", *(self.line(thing) for thing in apart)).status == "held"
            self.shops[0].audit()
            self.calls.stop()

    def line(self, thing: str) -> LineRequest:
        """Return the line for a thing."""
        kind, _, number = thing.partition(" ")
        if thing == "any seat":
            return best(1)
        if kind == "seat":
            return seat("A", int(number))
        if kind == "hall":
            return hall(*EVENINGS[int(number)])
        if thing in PLACES:
            adults, children = PLACES[thing]
            return places(adult=adults, **({"child": children} if children else {}))
        return resale(self.ticket) if kind == "ticket" else units(self.product)

    def within(self, cart: Cart) -> bool:
        """Return whether a cart has its things."""
        return cart.status == "confirmed" or (cart.status == "held" and self.clock.now() < cart.expires_at)

    def is_free(self, thing: str) -> bool:
        """Return whether nobody has a thing."""
        if thing == "product":
            return sum(cart.stock for cart in self.carts.values() if cart.status in ("held", "confirmed")) < STOCK
        if thing in PLACES:
            return self.has_places(*PLACES[thing])
        taken = {had for cart in self.carts.values() if self.within(cart) for had in cart.things}
        if thing == "any seat":
            return any(f"seat {number}" not in taken for number in range(1, SEATS + 1))
        return not any(_same(thing, other) for other in taken)

    def has_places(self, adults: int, children: int) -> bool:
        """Return whether the partner has so many places beside those that carts have, of either type and in all."""
        slot = self.tour.slot()
        had = [cart.places for cart in self.carts.values() if cart.status in ("held", "confirmed")]
        left = [
            slot.by_type[ADULT].partner - sum(adults for adults, _ in had) - adults,
            slot.by_type[CHILD].partner - sum(children for _, children in had) - children,
            slot.whole.partner - sum(map(sum, had)) - adults - children,
        ]
        wanted = [adults, children, 1]
        return slot.on_sale and all(number >= 0 for number, some in zip(left, wanted, strict=True) if some)

    def note(self, record: ReservationItem, things: Sequence[str]) -> None:
        """Remember a new reservation, whose best seat is now known by name; whoever had its units before lost them."""
        seats = {f"seat {line.seat}" for line in record.lines if line.kind == "seat"}
        named = frozenset({thing for thing in things if thing not in ("any seat", "product", *PLACES)} | seats)
        family = next((PLACES[thing] for thing in things if thing in PLACES), (0, 0))
        for cart in self.carts.values():
            if not self.within(cart) and _units(cart.things) & _units(named):
                cart.lost = True
        self.carts[record.key] = Cart("held", named, list(things).count("product"), family, record.expires_at)

    @rule(
        shop=st.integers(0, 1),
        things=st.lists(st.sampled_from(THINGS), min_size=1, max_size=4, unique=True),
        mishap=MISHAPS,
    )
    def hold(self, shop: int, things: list[str], mishap: Mishap | None) -> None:
        """Hold a cart: whole if everything in it is free, else not at all, every line in the way named."""
        things = [thing for place, thing in enumerate(things) if not any(_same(thing, had) for had in things[:place])]
        asked, key = self.shops[shop], f"key {len(self.carts)}-{self.clock.now()}-{things}"
        lines = [self.line(thing) for thing in things]
        free = {thing: self.is_free(thing) for thing in things}
        enough_seats = self.seats_are_enough(things)
        answer = self.attempt(mishap, lambda: asked.cart("ann", *lines, key=key))
        record = asked.store.get(ReservationItem, asked.keys.reservation("ann", "reservations", key))
        if record is not None:
            assert all(free.values())
            assert enough_seats
            asked_for = self.tour.slot().terms_of(ADULT)
            assert all(asked_for and line.unit_price_minor == asked_for.final_minor for line in _adults(record))
            self.note(record, things)
        if self.may_fail(answer):
            return
        assert (record is None) == isinstance(answer, Refused)
        if record is None:
            # What was short is believed to be so for under a second.
            self.clock.forward(1_000)
            named = {things[int(fault.field.removeprefix("items."))] for fault in answer.faults}
            missing = {thing for thing in things if not free[thing]}
            assert missing <= named <= missing | (set() if enough_seats else {"any seat"})

    def seats_are_enough(self, things: Sequence[str]) -> bool:
        """Return whether a seat is left for a line that wants any, beside those that other lines name."""
        named = {thing for thing in things if thing.startswith("seat ")}
        free = {f"seat {number}" for number in range(1, SEATS + 1) if self.is_free(f"seat {number}")}
        return "any seat" not in things or bool(free - named)

    @precondition(lambda self: self.carts)
    @rule(
        shop=st.integers(0, 1),
        data=st.data(),
        what=st.sampled_from(["confirm", "confirm", "cancel", "extend", "withdraw", "lapse"]),
        mishap=MISHAPS,
    )
    def go_on(self, shop: int, data: st.DataObject, what: str, mishap: Mishap | None) -> None:
        """Take any reservation a step further, whether its state allows it or not."""
        engine = self.shops[shop].engine
        key = data.draw(st.sampled_from(list(self.carts)))
        cart, live = self.carts[key], self.within(self.carts[key])
        steps: dict[str, Callable[[], Any]] = {
            "confirm": lambda: confirm(engine, key),
            "cancel": lambda: cancel(engine, key),
            "extend": lambda: extend(engine, key, None, "request"),
            "withdraw": lambda: withdraw(engine, key),
            "lapse": lambda: lapse(engine, key, cart.expires_at),
        }
        taken = cart.lost or (not live and not all(map(self.is_free, cart.things - _units(cart.things))))
        allowed = {
            "confirm": cart.status == "held" and not taken,
            "cancel": cart.status == "held",
            "extend": cart.status == "held" and live and not cart.extended,
            "withdraw": cart.status == "confirmed",
            "lapse": cart.status == "held" and not live,
        }[what]
        becomes = {
            "confirm": "confirmed",
            "cancel": "cancelled" if live else "expired",
            "extend": "held",
            "withdraw": "cancelled",
            "lapse": "expired",
        }[what]
        answer = self.attempt(mishap, steps[what])
        after = self.shops[shop].stored(key)
        changed = (after.status, after.expires_at) != (cart.status, cart.expires_at)
        assert not changed or (allowed and after.status == becomes)
        if not self.may_fail(answer):
            assert changed == allowed
            if what == "confirm" and cart.status == "held":
                assert isinstance(answer, HoldTaken) == taken
            assert not isinstance(answer, ReservationOver | AlreadyExtended) or not allowed
        cart.extended = after.extended_by is not None
        cart.status, cart.expires_at = after.status, after.expires_at

    @rule(shop=st.integers(0, 1), mishap=MISHAPS)
    def edit(self, shop: int, mishap: Mishap | None) -> None:
        """Ask another price for the resale ticket, which is refused while an order locks it."""
        engine, free = self.shops[shop].engine, self.is_free("ticket")
        before = self.shops[0].unit(self.shops[0].keys.listing(self.ticket)).revision

        def offered(currency: str) -> listings.Offer:
            return listings.Offer("Dearer", 100 + before, currency)

        answer = self.attempt(mishap, lambda: listings.edit(engine, "demo", self.ticket, "seller", offered))
        edited = self.shops[0].unit(self.shops[0].keys.listing(self.ticket)).revision != before
        assert not edited or free
        if not self.may_fail(answer):
            assert edited == free
            assert isinstance(answer, TicketLocked) == (not free)
        for cart in self.carts.values():
            cart.lost |= edited and "ticket" in cart.things and cart.status == "held"

    @rule(
        left=st.integers(0, 6),
        adults=st.integers(0, 4),
        children=st.integers(0, 3),
        price=st.sampled_from([700, 900]),
        mishap=MISHAPS,
    )
    def ask_the_partner(self, left: int, adults: int, children: int, price: int, mishap: Mishap | None) -> None:
        """Let the partner say how many places its slot has, and what they cost; 0 of all closes it."""
        before = self.tour.counts()
        said = [_said(left, adults, children, price)] if left or adults or children else []
        self.may_fail(self.attempt(mishap, lambda: self.tour.says(*said)))
        taken = {name: (counters.held, counters.sold) for name, counters in self.tour.counts().items()}
        assert taken == {name: (counters.held, counters.sold) for name, counters in before.items()}

    @rule(milliseconds=st.sampled_from([1, 999, 5_000, 9_999, 10_000]))
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.clock.forward(milliseconds)

    @invariant()
    def all_is_well(self) -> None:
        """The items agree among themselves, and with the model on what each reservation is."""
        if hasattr(self, "carts"):
            self.shops[0].audit()
            found = {record.key: (record.status, record.expires_at) for record in self.shops[0].reservations()}
            assert found == {key: (cart.status, cart.expires_at) for key, cart in self.carts.items()}


def _units(things: frozenset[str]) -> frozenset[str]:
    return frozenset(thing for thing in things if not thing.startswith("hall"))


def _adults(record: ReservationItem) -> list[LineMap]:
    """Return the lines of a reservation that are adults' places."""
    return [line for line in record.lines if line.pax_type == ADULT]


def _said(left: int, adults: int, children: int, price: int) -> OfferedSlot:
    """Return what the partner says of its slot."""
    return offered(MORNING, left, pax(ADULT, adults, price_minor=price), pax(CHILD, children), currency="USD")


def _same(one: str, other: str) -> bool:
    """Return whether who has one of two things keeps the other from everybody; one cart has one kind of places."""
    if one in PLACES and other in PLACES:
        return True
    if one.startswith("hall") and other.startswith("hall"):
        return EVENINGS[int(one[-1])].overlaps(EVENINGS[int(other[-1])])
    return one == other


@pytest.mark.slow
def test_carts_keep_their_invariants(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any order of everything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    connection = connect("carts")._connection
    CartMachine.new_store = staticmethod(lambda: Store(connection, new_table()))
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        CartMachine,
        settings=settings(
            max_examples=explore or 40,
            stateful_step_count=25,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
