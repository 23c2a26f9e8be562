"""The engine against a simple model of it, on DynamoDB Local: any order of anything, with anything going wrong.

Two warm functions with caches of their own share a table and a clock; nothing is left to chance that Hypothesis does
not know of, so that a failure can be repeated. After every step the items must agree among themselves (the audit) and
with the model; where a call crashed, the items say whether it took effect.
"""

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
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

from holdfast.catalogue.products import stock, terms
from holdfast.checkout import sales
from holdfast.platform.dynamodb import RawItem, Store, connect, read
from holdfast.platform.errors import (
    AlreadyExtended,
    IdempotencyKeyReused,
    InsufficientReservation,
    NoReservation,
    Refused,
    ReservationOver,
    StockBelowCommitted,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.tables import Key, is_hold, key_of
from holdfast.reservations import deal_holds
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.expiry import due_of
from holdfast.reservations.extension import extend
from local.dynamodb_local import DynamoDBLocal
from tests.engine.audit import all_items, audit
from tests.engine.expiring import handle, sweep
from tests.engine.shop import ListQueue, ManualClock, Shop
from tests.properties.mishaps import MISHAPS, MeetsMishaps, Mishap

USERS = ("ann", "bob")
LENGTHS = HoldLengths(standard=10, longest=20, extension=5)
TENANT = "demo"


@dataclass
class Held:
    """What the model knows of one reservation: units of each product, and of those what a limit counts."""

    status: str
    units: dict[str, int]
    counted: dict[str, int]
    expires_at: int


@dataclass
class Product:
    """What the model knows of one product."""

    total: int
    most: int | None
    highest: int
    lows: list[tuple[int, int]] = field(default_factory=list)


SHOPS = st.integers(0, 1)
UNITS = st.integers(1, 4)
KEYS = st.sampled_from(["k1", "k2", "k3"])


class EngineMachine(MeetsMishaps, RuleBasedStateMachine):
    """Buyers, sellers, messages and mishaps."""

    new_store: ClassVar[Callable[[], Store]]

    @initialize(seed=st.integers(0, 3), limit=st.sampled_from([None, 3]))
    def open(self, seed: int, limit: int | None) -> None:
        """Put a small product on one shard on sale, and another on three."""
        self.clock = ManualClock()
        self.store = type(self).new_store()
        self.expect_mishaps(self.store)
        numbers = count(seed)
        shops = [
            Shop(self.store, self.clock, TENANT, lambda n: next(numbers) % n, attempts=4, lengths=LENGTHS)
            for _ in range(2)
        ]
        self.shops = shops
        self.products = {
            shops[0].product(units=5, max_per_user=limit): Product(5, limit, limit or 0),
            shops[0].product(units=[2, 0, 3], max_per_user=None): Product(5, None, 0),
        }
        self.names = list(self.products)
        self.held: dict[Key, Held] = {}
        self.answers: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self.messages: list[ExpiryMessage] = []
        self.images: dict[Key, RawItem] = {}
        self.note_lows()
        self.add(0, "ann", None, (0, 1), 1, None)
        self.hold(1, "bob", "k1", 1, 1, None)

    def teardown(self) -> None:
        """Give the connection back as it was, once nothing is held any more."""
        if hasattr(self, "calls"):
            self.calls.clear()
            self.everything_lapses()
            self.calls.stop()

    def everything_lapses(self) -> None:
        """Long after, a sweep alone gives everything back."""
        self.clock.forward(3_600_000)
        sweep(self.shops[0].engine, [key for key, held in self.held.items() if held.status == "held"])
        for name in self.names:
            assert self.shops[0].count(name)[1] == 0, "something stays held"
        self.shops[0].audit()

    # What the model knows

    def free(self, name: str) -> int:
        """Return how many units of a product are neither held nor sold."""
        gone = sum(held.units.get(name, 0) for held in self.held.values() if held.status in ("held", "confirmed"))
        return self.products[name].total - gone

    def note_lows(self) -> None:
        """Remember for a second how many units were free."""
        now = self.clock.now()
        for name, product in self.products.items():
            product.lows = [low for low in product.lows if now - low[0] < 1_000] + [(now, self.free(name))]

    def taken(self, user: str, name: str) -> int:
        """Return how many units of a product the limits count for a user."""
        partition = self.shops[0].keys.user(user)
        return sum(
            held.counted.get(name, 0)
            for key, held in self.held.items()
            if key.pk == partition and held.status in ("held", "confirmed")
        )

    def is_live(self, key: Key) -> bool:
        """Return whether something is held and within its time."""
        held = self.held.get(key)
        return held is not None and held.status == "held" and self.clock.now() < held.expires_at

    def stored(self, key: Key) -> ReservationItem | None:
        """Return a reservation as it is stored."""
        return self.store.get(ReservationItem, key)

    def adopt(self, key: Key) -> None:
        """Believe the store about one reservation, after a crash."""
        record = self.stored(key)
        if record is not None:
            self.held[key] = _modelled(record)

    # Buyers

    def refusal_is_right(self, shop: Shop, user: str, lines: dict[str, int], refused: Refused, deal: bool) -> None:
        """Check that every fault named is true, or was within the last second."""
        names = list(lines)
        for fault in refused.faults:
            name = names[int(fault.field.removeprefix("items."))]
            key = shop.keys.deal_hold(user, name)
            lapsed = self.held.get(key) if deal else None
            own = counted = 0
            if lapsed is not None and lapsed.status == "held" and not self.is_live(key):
                own, counted = lapsed.units.get(name, 0), lapsed.counted.get(name, 0)
            product = self.products[name]
            if fault.code == "insufficient_stock":
                left = min(low for _, low in [*product.lows, (0, self.free(name))])
                assert left < lines[name], f"refused {lines[name]} of {left}, and {own} of its own"
                assert min(self.free(name) + own, left) < lines[name]
            else:
                assert fault.code == "limit_exceeded"
                assert product.most is not None
                assert self.taken(user, name) - counted + lines[name] > product.most

    @rule(shop=SHOPS, user=st.sampled_from(USERS), key=KEYS, first=UNITS, second=st.integers(0, 3), mishap=MISHAPS)
    def hold(self, shop: int, user: str, key: str, first: int, second: int, mishap: Mishap | None) -> None:
        """Hold one or both products under a key that may have been used."""
        asked = self.shops[shop]
        lines = {self.names[0]: first} | ({self.names[1]: second} if second else {})
        where = asked.keys.reservation(user, "reservations", key)
        answer = self.attempt(mishap, lambda: asked.hold(user, lines, key))
        known = self.answers.get((user, key))
        if self.may_fail(answer):
            if known is None and self.stored(where) is not None:
                self.take(where, lines, asked)
                again = asked.hold(user, lines, key)
                self.answers[user, key] = (lines, _seen(again))
        elif known is not None:
            self.replays(known, lines, answer)
        elif isinstance(answer, Refused):
            self.refusal_is_right(asked, user, lines, answer, deal=False)
            assert self.stored(where) is None
        else:
            assert answer.key == where
            self.take(where, lines, asked)
            self.answers[user, key] = (lines, _seen(answer))

    def replays(self, known: tuple[Any, Any], body: Any, answer: Any) -> None:
        """Check that a key that was used answers as before, or refuses another body."""
        if known[0] == body:
            assert _seen(answer) == known[1], "a replay is identical"
        else:
            assert isinstance(answer, IdempotencyKeyReused)

    def take(self, key: Key, lines: dict[str, int], shop: Shop) -> None:
        """Note that lines are held."""
        record = self.stored(key)
        assert record is not None
        self.held[key] = _modelled(record)
        assert self.held[key].units == lines

    @rule(
        shop=SHOPS,
        user=st.sampled_from(USERS),
        key=st.none() | KEYS,
        product=st.sampled_from([(0,), (1,), (0, 1)]),
        units=UNITS,
        mishap=MISHAPS,
    )
    def add(
        self, shop: int, user: str, key: str | None, product: tuple[int, ...], units: int, mishap: Mishap | None
    ) -> None:
        """Add to deal holds, one product or both in bulk; without a key a crash is for the store to tell."""
        asked = self.shops[shop]
        lines = {self.names[number]: units for number in product}
        keys = {name: asked.keys.deal_hold(user, name) for name in lines}
        before = {
            name: (self.held[where].units.get(name, 0) if self.is_live(where) else 0) for name, where in keys.items()
        }
        known = self.answers.get((user, "deal", key)) if key else None
        old = {where: self.stored(where) for where in keys.values()}
        answer = self.attempt(mishap, lambda: asked.reserve(user, lines, key))
        if self.may_fail(answer):
            versions = {(old[where].v if old[where] else None) for where in keys.values()}  # type: ignore[union-attr]
            now = {(item.v if (item := self.stored(where)) else None) for where in keys.values()}
            if versions != now:
                self.added(lines, keys, before)
                if key and known is None:
                    self.answers[user, "deal", key] = (lines, asked.reserve(user, lines, key))
        elif known is not None:
            self.replays(known, lines, answer)
        elif isinstance(answer, Refused):
            self.refusal_is_right(asked, user, lines, answer, deal=True)
        else:
            self.added(lines, keys, before)
            assert {hold.product_id: hold.quantity for hold in answer} == {n: before[n] + lines[n] for n in lines}
            if key:
                self.answers[user, "deal", key] = (lines, answer)

    def added(self, lines: dict[str, int], keys: dict[str, Key], before: dict[str, int]) -> None:
        """Note that deal holds were added to, all of them, and that their time starts anew."""
        for name, where in keys.items():
            self.adopt(where)
            assert self.held[where].units == {name: before[name] + lines[name]}
            assert self.held[where].expires_at == self.clock.now() + LENGTHS.standard * 1_000 or self.mishap_met

    @precondition(lambda self: self.held)
    @rule(shop=SHOPS, data=st.data(), mishap=MISHAPS, what=st.sampled_from(["cancel", "confirm", "extend"]))
    def end(self, shop: int, data: st.DataObject, mishap: Mishap | None, what: str) -> None:
        """Cancel, confirm or extend any reservation there ever was."""
        engine = self.shops[shop].engine
        key = data.draw(st.sampled_from(list(self.held)))
        known, live, old = self.held[key], self.is_live(key), self.stored(key)
        assert old is not None
        if old.life is not None and what == "confirm":
            return  # a deal hold is sold by a check-out alone, as a part of its own: its item is the next hold's too
        acts: dict[str, Callable[[], Any]] = {
            "cancel": lambda: cancel(engine, key, old.life),
            "confirm": lambda: confirm(engine, key),
            "extend": lambda: extend(engine, key, old.life, "request"),
        }
        answer = self.attempt(mishap, acts[what])
        before = deepcopy(known)
        self.adopt(key)
        now = self.held[key]
        allowed = {"cancel": known.status == "held", "confirm": known.status == "held", "extend": live}[what]
        became = {"cancel": "cancelled" if live else "expired", "confirm": "confirmed", "extend": "held"}[what]
        if self.may_fail(answer):
            assert now == before or (allowed and now.status == became)
        elif not allowed:
            assert now == before
            over = {"cancel": ("cancelled", "expired"), "confirm": ("confirmed",), "extend": ()}[what]
            assert known.status in over or isinstance(answer, ReservationOver) or old.extended_by == "request"
        elif not isinstance(answer, AlreadyExtended):
            assert now.status == became
            if what == "extend":
                assert before.expires_at <= now.expires_at <= before.expires_at + LENGTHS.extension * 1_000

    @rule(shop=SHOPS, user=st.sampled_from(USERS), product=st.integers(0, 1), mishap=MISHAPS)
    def let_go(self, shop: int, user: str, product: int, mishap: Mishap | None) -> None:
        """Let go of a deal hold, if there is one."""
        asked, name = self.shops[shop], self.names[product]
        key = asked.keys.deal_hold(user, name)
        live = self.is_live(key)
        answer = self.attempt(mishap, lambda: deal_holds.let_go(asked.engine, TENANT, user, name))
        if self.may_fail(answer):
            self.adopt(key)
        else:
            assert isinstance(answer, NoReservation) == (not live)
            if live:
                self.adopt(key)
                assert self.held[key].status == "cancelled"

    @rule(
        shop=SHOPS,
        user=st.sampled_from(USERS),
        product=st.integers(0, 1),
        units=UNITS,
        all_but=st.none() | st.integers(0, 1),
        key=st.none() | KEYS,
        mishap=MISHAPS,
    )
    def check_out(
        self,
        shop: int,
        user: str,
        product: int,
        units: int,
        all_but: int | None,
        key: str | None,
        mishap: Mishap | None,
    ) -> None:
        """Buy some units of a deal hold, or all of them, or all but one."""
        asked, name = self.shops[shop], self.names[product]
        where = asked.keys.deal_hold(user, name)
        had = self.held[where].units[name] if self.is_live(where) else 0
        if all_but is not None and had > all_but:
            units = had - all_but
        sold = asked.count(name)[2]
        known = self.answers.get((user, "buy", key)) if key else None
        answer = self.attempt(mishap, lambda: asked.buy(user, name, units, key))
        bought = asked.count(name)[2] - sold
        if self.may_fail(answer):
            assert bought in (0, units)
            if bought and key:
                self.answers[user, "buy", key] = ([name, units], asked.buy(user, name, units, key))
        elif known is not None:
            self.replays(known, [name, units], answer)
            assert bought == 0
        elif isinstance(answer, InsufficientReservation):
            assert had < units
            assert bought == 0
        else:
            assert answer.quantity == units == bought
            if key:
                self.answers[user, "buy", key] = ([name, units], answer)
        if bought:
            assert had >= units
            self.adopt(where)
            if had > units:
                assert self.held[where].units[name] == had - units
            else:
                assert self.held[where].status == "confirmed"
            self.find_new(user)

    def find_new(self, user: str) -> None:
        """Learn of the reservations that a check-out made."""
        for item in self.store.query(self.shops[0].keys.user(user), "R#").items:
            if key_of(item) not in self.held:
                self.held[key_of(item)] = _modelled(read(ReservationItem, item))

    # Time and messages

    @rule(milliseconds=st.sampled_from([1, 500, 999, 1_000, 4_000, 9_999, 10_000]))
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.clock.forward(milliseconds)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), before=st.integers(0, 1))
    def wait_for_an_expiry(self, data: st.DataObject, before: int) -> None:
        """Let a hold's time come, to the millisecond or one before."""
        held = data.draw(st.sampled_from(list(self.held.values())))
        self.clock.forward(max(0, held.expires_at - before - self.clock.now()))

    @precondition(lambda self: self.messages)
    @rule(shop=SHOPS, data=st.data(), mishap=MISHAPS)
    def deliver(self, shop: int, data: st.DataObject, mishap: Mishap | None) -> None:
        """Deliver any messages there ever were: early, late, stale, twice."""
        batch = data.draw(st.lists(st.sampled_from(self.messages), min_size=1, max_size=4))
        queue = ListQueue()
        answer = self.attempt(mishap, lambda: handle(self.shops[shop].engine, queue, batch))
        self.lapsed({message.key for message in batch})
        if not self.may_fail(answer):
            assert self.mishap_met or answer == set()
            for message in batch:
                held = self.held[message.key]
                if held.status == "held" and held.expires_at == message.expires_at and message.key not in answer:
                    assert self.clock.now() < message.expires_at
                    assert message in queue.sent

    @rule(shop=SHOPS, mishap=MISHAPS)
    def sweep(self, shop: int, mishap: Mishap | None) -> None:
        """Let the sweeper look at every hold that the index says is due."""
        due = [key for bucket in range(16) for key in self.store.query_due(bucket, self.clock.now())[0]]
        ours = [key for key in due if is_hold(key)]
        answer = self.attempt(mishap, lambda: sweep(self.shops[shop].engine, ours))
        self.lapsed(set(self.held))
        if not self.may_fail(answer) and not self.mishap_met:
            assert not [key for key, held in self.held.items() if held.status == "held" and not self.is_live(key)]

    def lapsed(self, keys: set[Key]) -> None:
        """Believe the store about these; only what is past its time may have changed, and only to expired."""
        for key in keys:
            before = self.held[key]
            self.adopt(key)
            if self.held[key] != before:
                assert (before.status, self.held[key].status) == ("held", "expired")
                assert before.expires_at <= self.clock.now()

    # The seller

    @rule(shop=SHOPS, product=st.integers(0, 1), total=st.integers(0, 9), mishap=MISHAPS)
    def restock(self, shop: int, product: int, total: int, mishap: Mishap | None) -> None:
        """Set the total, which is refused only where it is below what is held and sold."""
        asked, name = self.shops[shop], self.names[product]
        committed = self.products[name].total - self.free(name)
        answer = self.attempt(mishap, lambda: stock.set_total(asked.engine, TENANT, name, total))
        if self.may_fail(answer):
            self.products[name].total = sum(shard.total for shard in asked.shards(name))
        elif isinstance(answer, StockBelowCommitted):
            assert total < committed
        else:
            assert total >= committed
            self.products[name].total = total

    @rule(shop=SHOPS, product=st.integers(0, 1), price=st.integers(1, 9), most=st.none() | st.integers(1, 4))
    def reprice(self, shop: int, product: int, price: int, most: int | None) -> None:
        """Change the price and the limit per user; from then on nothing is sold on the old terms."""
        asked, name = self.shops[shop], self.names[product]
        terms.change(asked.engine, TENANT, name, lambda now: now._replace(price_minor=price, max_per_user=most))
        known = self.products[name]
        known.most, known.highest = most, max(known.highest, most or 0)
        assert {shard.price_minor for shard in asked.shards(name)} == {price}

    # After every step

    @invariant()
    def all_is_well(self) -> None:
        """The items agree among themselves and with the model; the stream tells of what is due."""
        if not hasattr(self, "products"):
            return
        items = all_items(self.store, TENANT)
        audit(items, self.clock.now(), {name: product.highest for name, product in self.products.items()})
        records = {key_of(item): item for item in items if is_hold(key_of(item))}
        assert {key: _modelled(read(ReservationItem, item)) for key, item in records.items()} == self.held
        for name, product in self.products.items():
            shards = [item for item in items if f"#POOL#product.{name}#" in item["pk"]["S"]]
            assert sum(int(shard["available"]["N"]) for shard in shards) == self.free(name)
            assert sum(int(shard["total"]["N"]) for shard in shards) == product.total
        for key, item in records.items():
            message = due_of({"dynamodb": {"OldImage": self.images.get(key), "NewImage": item}})
            if message is not None:
                self.messages.append(message)
        self.images = records
        self.note_lows()


def _modelled(record: ReservationItem) -> Held:
    units: dict[str, int] = {}
    counted: dict[str, int] = {}
    if record.allocated() or record.status in ("cancelled", "expired"):
        for line in record.lines:
            units[line.product_id] = units.get(line.product_id, 0) + line.quantity
            if line.counted:
                counted[line.limited_as] = counted.get(line.limited_as, 0) + line.quantity
    return Held(record.status, units, counted, record.expires_at)


def _seen(answer: Any) -> Any:
    """Return what a client sees of an answer."""
    if isinstance(answer, ReservationItem):
        lines = [(line.product_id, line.quantity, line.unit_price_minor) for line in answer.lines]
        return answer.id, answer.status, answer.expires_at, answer.created_at, lines
    return answer


@pytest.fixture
def new_store(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Store]:
    """Make a store over an empty table, all of them on one connection; orders are numbered, not drawn at random."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    connection = connect("machine")._connection

    def make() -> Store:
        numbers = count()
        monkeypatch.setattr(sales, "token_hex", lambda _: f"{next(numbers):032x}")
        return Store(connection, new_table())

    return make


@pytest.mark.slow
def test_the_engine_keeps_its_invariants(new_store: Callable[[], Store]) -> None:
    """Any order of everything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    EngineMachine.new_store = staticmethod(new_store)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        EngineMachine,
        settings=settings(
            max_examples=explore or 60,
            stateful_step_count=30,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
