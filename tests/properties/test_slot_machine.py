"""A partner's slots over any course of events, on DynamoDB Local: the sums stand, and what it said last is sold.

The partner is asked and answers whenever it likes, answers are taken in out of order, twice or never, are cut short by
crashes; places are held, bought, let go, given back meanwhile; slots and pax types come and go; the tour is taken off
sale. After every step the table's stream is told to who keeps the day's summary, and everything must agree.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

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

from holdfast.catalogue.experiences import experiences, slots, summaries
from holdfast.claims.slot import OfferedSlot
from holdfast.platform.dynamodb import RawItem, Store, connect
from holdfast.platform.errors import Refused, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key, is_slot, key_of
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.expiry import expire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from local.dynamodb_local import DynamoDBLocal
from tests.engine.asking import Asking, Question
from tests.engine.audit import all_items, audit
from tests.engine.shop import Shop
from tests.engine.tours import ADULT, CHILD, TOUR, offered, pax, places
from tests.properties.mishaps import TROUBLES, MeetsMishaps, Mishap

NAMES = ("early", "late")
TYPES = (ADULT, CHILD)
ACTS = st.sampled_from(["nothing", "buy", "cancel", "refund one", "refund and buy"])
CALLS = st.integers(0, 12)
BAD = st.none() | st.builds(Mishap, st.sampled_from(sorted(TROUBLES)), CALLS)


@dataclass
class Offer:
    """What the partner has of a slot that it sells: places beside those that we sold, whether it has it, its types."""

    places: int = 9
    adults: int = 6
    children: int = 7
    is_there: bool = True
    has_children: bool = True
    price_minor: int = 100


NUMBERS = st.integers(0, 12)
OFFERS = st.builds(
    Offer,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from([True, True, True, True, False]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([100, 300, 0]),
)


@dataclass
class Answer:
    """A request to the partner, and once it answered, what it said and what it had then by slot and type."""

    question: Question
    said: Sequence[OfferedSlot] | None = None
    had: dict[tuple[str, str | None], int] = field(default_factory=dict)


class SlotMachine(MeetsMishaps, RuleBasedStateMachine):
    """A tour of two slots, its partner, and buyers."""

    new_store: ClassVar[Callable[[], Store]]

    @initialize(contains=st.booleans())
    def open(self, contains: bool) -> None:
        """Begin with what the partner says first."""
        self.store = self.new_store()
        self.expect_mishaps(self.store)
        self.shop = Shop(self.store, attempts=4)
        self.tour = Asking(self.shop, contains)
        self.offers = {name: Offer() for name in NAMES}
        self.waiting: list[Answer] = []
        self.last: Answer | None = None
        self.is_torn = False
        self.is_enabled = True
        self.images: dict[Key, RawItem] = {}
        self.ask()
        self.answer(0)
        self.take(0, None)

    def teardown(self) -> None:
        """Give the connection back as it was, once a last answer is taken in and nothing is held any more."""
        if not hasattr(self, "calls"):
            return
        self.calls.clear()
        self.shop.clock.forward(10_000_000)
        experiences.change(self.shop.engine, self.shop.tenant, TOUR, {"enabled": True})
        self.is_enabled = True
        held = [record for record in self.shop.reservations() if record.status == "held"]
        expire(self.shop.engine, held)
        self.waiting = []
        self.ask()
        self.answer(0)
        self.take(0, None)
        self.agrees()
        self.calls.stop()

    # The partner

    def ask(self) -> None:
        """Send a request."""
        self.waiting.append(Answer(self.tour.ask()))

    def answer(self, which: int) -> None:
        """Let the partner answer a request, by what it has at this moment."""
        answer = self.waiting[which % len(self.waiting)]
        if answer.said is None:
            answer.said = [self._said(name, answer) for name in NAMES if self.offers[name].is_there]

    @rule(name=st.sampled_from(NAMES), offer=OFFERS, asked=ACTS, answered=ACTS, mishap=BAD)
    def sync(self, name: str, offer: Offer, asked: str, answered: str, mishap: Mishap | None) -> None:
        """Let the partner have something else of a slot, ask, and take in what it says; buyers are there meanwhile."""
        self.offers[name] = offer
        self.ask()
        self._meanwhile(name, asked)
        self.answer(len(self.waiting) - 1)
        self._meanwhile(name, answered)
        self.take(self._answered() - 1, mishap)

    @rule(name=st.sampled_from(NAMES), offer=OFFERS, between=ACTS, order=st.permutations(range(3)), mishap=BAD)
    def ask_thrice(self, name: str, offer: Offer, between: str, order: list[int], mishap: Mishap | None) -> None:
        """Ask three times, let something change before the last answer, and take the answers in in any order."""
        first = len(self.waiting)
        for _ in order:
            self.ask()
        for number in order:
            if number == order[-1]:
                self._meanwhile(name, between)
                self.offers[name] = offer
            self.answer(first + number)
        for _ in order:
            self.take(order[0], mishap)

    def _answered(self) -> int:
        return len([answer for answer in self.waiting if answer.said is not None])

    def _meanwhile(self, name: str, act: str) -> None:
        if act in ("buy", "refund and buy"):
            if act != "buy":
                self.end(0, "refund one")
            self.hold(name, 1, 0, is_bought=True)
        elif act != "nothing":
            self.end(0, act)

    def _said(self, name: str, answer: Answer) -> OfferedSlot:
        offer, sold = self.offers[name], self._sold(name)
        had = {None: offer.places, ADULT: offer.adults} | ({CHILD: offer.children} if offer.has_children else {})
        contains = self.tour.contains_our_sales
        left = {each: max(0, number - sold.get(each, 0) * contains) for each, number in had.items()}
        answer.had |= {(name, each): max(number, sold.get(each, 0) * contains) for each, number in had.items()}
        types = [pax(ADULT, left[ADULT], price_minor=offer.price_minor)]
        if CHILD in left:
            types.append(pax(CHILD, left[CHILD]))
        return offered(name, left[None], *types)

    def _sold(self, name: str) -> dict[str | None, int]:
        """Return how many places the partner knows us to have sold: it is told at once."""
        for slot in self.tour.slots():
            if slot.key.sk == name:
                return {None: slot.whole.sold} | {each: counters.sold for each, counters in slot.by_type.items()}
        return {}

    def take(self, which: int, mishap: Mishap | None) -> None:
        """Take an answer in; where that is cut short it may come again."""
        known = [answer for answer in self.waiting if answer.said is not None]
        answer = known[which % len(known)]
        taken = self.attempt(mishap, lambda: self.tour.take(answer.question, *answer.said or ()))
        if self.may_fail(taken):
            self.is_torn = True
            return
        assert isinstance(taken, bool), taken
        self.waiting.remove(answer)
        if self.is_enabled and self.tour.header().synced_at == answer.question.asked_at:
            self.last, self.is_torn = answer, False
        else:
            assert not taken

    @rule(mishap=BAD, between=ACTS, is_off=st.sampled_from([True, False, False]))
    def take_off_sale(self, mishap: Mishap | None, between: str, is_off: bool) -> None:
        """Take the tour off sale, as an admin does, or try to, with an answer on its way; sell it again, or not yet."""
        self.ask()
        self.answer(len(self.waiting) - 1)
        item = experiences.change(self.shop.engine, self.shop.tenant, TOUR, {"enabled": False})
        self.is_enabled, self.is_torn = False, True
        closed = self.attempt(mishap, lambda: slots.close(self.shop.engine, item))
        is_closed = not self.may_fail(closed)
        assert not is_closed or closed is None, closed
        self._meanwhile(NAMES[0], between)
        if not is_off:
            experiences.change(self.shop.engine, self.shop.tenant, TOUR, {"enabled": True})
            self.is_enabled = True
        self.take(self._answered() - 1, None)
        if is_closed:
            assert not any(slot.on_sale for slot in self.tour.slots()), "what is on its way reopens nothing"

    @precondition(lambda self: not self.is_enabled)
    @rule()
    def put_on_sale(self) -> None:
        """Sell it again, from the next answer on."""
        experiences.change(self.shop.engine, self.shop.tenant, TOUR, {"enabled": True})
        self.is_enabled = True

    # Buyers

    @rule(name=st.sampled_from(NAMES), adults=st.integers(0, 3), children=st.integers(0, 3), is_bought=st.booleans())
    def hold(self, name: str, adults: int, children: int, is_bought: bool) -> None:
        """Hold places, where there are any, and buy them or not."""
        wanted = {kind: number for kind, number in (("adult", adults), ("child", children)) if number}
        known = next((slot for slot in self.tour.slots() if slot.key.sk == name), None)
        try:
            record = self.shop.cart("ann", places(name, **wanted or {"adult": 1}))
        except Refused:
            return
        assert known is not None
        assert known.on_sale
        assert known.whole.available >= sum(wanted.values())
        if is_bought:
            confirm(self.shop.engine, record.key)

    @rule(which=st.integers(0, 9), how=st.sampled_from(["buy", "buy", "cancel", "refund", "refund one"]))
    def end(self, which: int, how: str) -> None:
        """Buy what is held, let it go, or give back what is bought, all or one place of it."""
        wanted = ("held",) if how in ("buy", "cancel") else ("confirmed",)
        known = [record for record in self.shop.reservations() if record.status in wanted]
        if not known:
            return
        record = known[which % len(known)]
        engine, key = self.shop.engine, record.key
        try:
            if how == "buy":
                confirm(engine, key)
            elif how == "cancel":
                cancel(engine, key)
            else:
                bought = record.lines if how == "refund" else [record.lines[0].of(1)]
                give_back(engine, key, self._still(record, bought), lambda: False, State.REFUNDED)
        except ReservationOver:
            return

    def _still(self, record: ReservationItem, wanted: Sequence[object]) -> list[object]:
        """Return those of the lines of which there is still anything, as far as there is."""
        left = {line.pool: record.allocated().get(line.pool, 0) for line in record.lines}
        return [line.of(min(line.quantity, left[line.pool])) for line in wanted if left[line.pool]]  # type: ignore[attr-defined]

    @rule(milliseconds=st.sampled_from([1, 11_000, 700_000]))
    def time_passes(self, milliseconds: int) -> None:
        """Let holds run out, and what is remembered of slots grow stale."""
        self.shop.clock.forward(milliseconds)
        now = self.shop.clock.now()
        held = [record for record in self.shop.reservations() if record.status == "held" and record.expires_at <= now]
        expire(self.shop.engine, held)

    # What must be so

    @invariant()
    def agrees(self) -> None:
        """Check that the sums stand, that slots are as the partner said last, and that the summary says the same."""
        if not hasattr(self, "tour"):
            return
        items = all_items(self.store, self.shop.tenant)
        audit(items, self.shop.clock.now())
        for slot in self.tour.slots():
            for counters in (slot.whole, *slot.by_type.values()):
                assert counters.available == counters.partner + counters.counted - counters.held - counters.sold
                assert self.tour.contains_our_sales or counters.counted == 0
        self._tell_stream(items)
        self._check_summary()
        if self.last is not None and not self.is_torn:
            self._check_last(self.last)

    def _check_last(self, last: Answer) -> None:
        said = {slot.slot_id: slot for slot in last.said or ()}
        stored = {slot.key.sk: slot for slot in self.tour.slots()}
        assert said.keys() <= stored.keys()
        for name, slot in stored.items():
            assert slot.on_sale == (name in said), f"{name} is on sale as the partner said"
            if name not in said:
                continue
            numbers = {None: said[name].remaining} | {each.type: each.remaining for each in said[name].pax}
            counted = {None: slot.whole, **slot.by_type}
            for each, number in numbers.items():
                assert counted[each].partner == number, f"{name} {each} is what the partner said"
                sellable = counted[each].partner + counted[each].counted
                assert sellable <= last.had[name, each], f"{name} {each} is never oversold"
            assert {terms.type for terms in slot.pax if terms.on_sale} == {each.type for each in said[name].pax}

    def _tell_stream(self, items: Sequence[RawItem]) -> None:
        """Hand what changed of slots to who keeps the summaries, in any order: it counts what is now."""
        images = {key_of(item): item for item in items if is_slot(key_of(item)) and key_of(item).sk != "-"}
        days = {summaries.day_changed(image, self.images.get(key)) for key, image in images.items()}
        for day in filter(None, days):
            summaries.refresh(self.shop.engine, self.shop.keys, day.experience_id, day.date)
        self.images = images

    def _check_summary(self) -> None:
        known, summary = self.tour.slots(), self.tour.summary()
        price = next((step.price for step in summaries.prices_of_day(known)), None)
        told = (summary.final_minor, summary.original_minor, summary.currency) if summary else (None, None, None)
        assert told == (tuple(price) if price else (None, None, None))
        assert self.tour.short() == {slot.key.sk: slot.missing for slot in known if slot.missing}


@pytest.fixture
def new_store(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Store]:
    """Make a store over an empty table, all of them on one connection; closing looks at few days."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slots, "_DAYS_CLOSED", 0)
    connection = connect("machine")._connection
    return lambda: Store(connection, new_table())


@pytest.mark.slow
def test_rule_18_slots_are_what_the_partner_said_and_the_sums_stand(new_store: Callable[[], Store]) -> None:
    """Any order of everything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    SlotMachine.new_store = staticmethod(new_store)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        SlotMachine,
        settings=settings(
            max_examples=explore or 25,
            stateful_step_count=30,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
