"""The gate before a reserve or a checkout: passed once a request, after the replay, and kept in its transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.errors import Busy, CaptchaFailed, CaptchaUnavailable, HoldfastError, Refused, Unavailable
from holdfast.platform.items import CounterItem
from holdfast.reservations.gate import Gate
from tests.engine.audit import all_items
from tests.engine.faults import Calls, Trouble, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import Shop
from tests.engine.ways import CHECKING_OUT, RESERVING, USER, Way, Ways

EVERY_WAY = RESERVING | CHECKING_OUT
every_way = pytest.mark.parametrize("way", EVERY_WAY.values(), ids=EVERY_WAY)


@dataclass
class Guard:
    """Lets everybody in by a token that nobody used, once a token, and counts how often it looked."""

    shop: Shop
    token: str = "token"
    looks: int = 0
    refusing: list[HoldfastError] = field(default_factory=list)

    def gate(self) -> Gate:
        """Return the gate of one more request."""
        return Gate(self._look, CaptchaFailed)

    def is_used(self) -> bool:
        """Return whether the token is kept as used."""
        return self.shop.store.get(CounterItem, self.shop.keys.captcha(self.token)) is not None

    def use(self) -> None:
        """Let somebody else use the token first."""
        self.shop.store.write(self._write())

    def _look(self) -> Sequence[Write]:
        self.looks += 1
        if self.refusing:
            raise self.refusing.pop()
        return [self._write()]

    def _write(self) -> Put:
        return Put(CounterItem(*self.shop.keys.captcha(self.token), last=1), CounterItem.pk.does_not_exist())


@pytest.fixture
def ways(shop: Shop) -> Ways:
    """All ways to what the shop sells."""
    return Ways(shop)


@pytest.fixture
def guard(shop: Shop, ways: Ways) -> Guard:
    """A guard at every gate of the shop."""
    found = Guard(ways.free)
    shop.gates = found.gate
    return found


def everything(shop: Shop) -> Any:
    """Return all that is kept, but for numbers that were given out."""
    return [item for item in all_items(shop.store, shop.tenant) if "#COUNTERS" not in item["pk"]["S"]]


@every_way
def test_what_is_let_in_is_taken_and_its_token_used_in_one_transaction(ways: Ways, guard: Guard, way: Way) -> None:
    calls = Calls(ways.shop.store)
    way(ways, 0)
    calls.stop()
    token = tuple(ways.shop.keys.captcha("token"))
    [taking] = [call for call in calls.transactions if token in call.written]
    assert len(taking.written) > 1
    assert guard.looks == 1


@every_way
def test_a_replay_does_not_pass_the_gate_again(ways: Ways, guard: Guard, way: Way) -> None:
    way(ways, 0)
    guard.refusing = [CaptchaFailed()]
    before = everything(ways.shop)
    way(ways, 0)
    assert (guard.looks, everything(ways.shop)) == (1, before)


@every_way
def test_what_the_gate_refuses_changes_nothing_and_may_be_tried_again(ways: Ways, guard: Guard, way: Way) -> None:
    guard.refusing = [CaptchaUnavailable(), CaptchaFailed()]
    with pytest.raises(CaptchaFailed):
        way(ways, 0)
    before = everything(ways.shop)
    with pytest.raises(CaptchaUnavailable):
        way(ways, 0)
    assert everything(ways.shop) == before
    assert not guard.is_used()
    way(ways, 0)
    assert guard.is_used()
    assert guard.looks == 3


@every_way
def test_a_token_that_was_used_before_is_refused_as_the_gate_says(ways: Ways, guard: Guard, way: Way) -> None:
    guard.use()
    with pytest.raises(CaptchaFailed):
        way(ways, 0)
    assert guard.looks == 1, "once a request, however many attempts it makes"


@every_way
@pytest.mark.parametrize("trouble", [conflict, throttled, silence_after], ids=["conflict", "throttle", "lost answer"])
def test_trouble_on_the_way_makes_one_of_it_by_one_look(
    ways: Ways, guard: Guard, calls: Calls, way: Way, trouble: Trouble
) -> None:
    """The store has the answer of an attempt that was made, whatever the gate says of a token that is used by then."""
    hold_what_is_bought(ways, guard, way)
    calls.trouble(trouble, "TransactWriteItems")
    insist(ways, way)
    assert guard.is_used()
    if trouble is not silence_after:
        assert guard.looks == 1


@every_way
def test_a_twin_that_is_refused_at_the_gate_gets_what_its_other_half_was_answered(
    ways: Ways, guard: Guard, way: Way
) -> None:
    """Both looked for a replay; one was let in, and served; then the provider tells the other of the token's use."""
    look, twins = guard._look, [None]

    def twin_first() -> Sequence[Write]:
        if twins:
            twins.pop()
            way(ways, 0)
            raise CaptchaFailed
        return look()

    ways.shop.gates = lambda: Gate(twin_first, CaptchaFailed)
    way(ways, 0)
    assert guard.looks == 1


@every_way
def test_a_twin_that_is_served_right_before_the_write_is_a_replay(
    ways: Ways, guard: Guard, calls: Calls, way: Way
) -> None:
    """Both were let in; the other half is faster; that the token is used is not looked at before the replay."""
    hold_what_is_bought(ways, guard, way)
    calls.trouble(meanwhile(lambda: way(ways, 0)), "TransactWriteItems")
    way(ways, 0)
    assert guard.looks == 2


def test_an_unkeyed_deal_reserve_passes_the_gate_each_time(ways: Ways, guard: Guard) -> None:
    ways.deal_without_a_key(0)
    with pytest.raises(CaptchaFailed):
        ways.deal_without_a_key(0)
    guard.token = "another"
    ways.deal_without_a_key(0)
    assert guard.looks == 3
    assert [line.quantity for line in ways.shop.deal(USER, ways.product).lines] == [2]


def test_the_gate_comes_before_a_shortage_is_looked_for(ways: Ways, guard: Guard) -> None:
    """What is sold out says nothing to who was not let in."""
    guard.refusing = [CaptchaFailed()]
    with pytest.raises(CaptchaFailed):
        ways.shop.hold(USER, {ways.product: 1_000})
    with pytest.raises(Refused):
        ways.shop.hold(USER, {ways.product: 1_000})
    assert not guard.is_used(), "what was not taken uses nothing up"


def test_without_a_gate_nothing_is_looked_for(ways: Ways, calls: Calls) -> None:
    ways.shop.warm(ways.product)
    calls.clear()
    ways.product_line(0)
    ways.deal(0)
    assert calls.operations == ["TransactWriteItems"] * 2


def hold_what_is_bought(ways: Ways, guard: Guard, way: Way) -> None:
    """Let a request get as far as the gate, so that what a checkout buys is held."""
    guard.refusing = [CaptchaFailed()]
    with pytest.raises(CaptchaFailed):
        way(ways, 0)
    guard.looks = 0


def insist(ways: Ways, way: Way) -> None:
    """Ask again, as clients do, where no answer came."""
    for _ in range(3):
        try:
            way(ways, 0)
        except (Busy, Unavailable):
            continue
        else:
            return
    raise AssertionError("busy for ever")
