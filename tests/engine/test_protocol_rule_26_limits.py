"""PROTOCOL.md, rule 26: limits per user count what succeeds, in its own transaction, and hold exactly."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from pynamodb.connection import Connection

from benchmarks.write_units import counted
from holdfast.checkout import deals, opening
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import PaymentChoice
from holdfast.claims import rates
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, Refused, TooManyRequests, Unavailable
from holdfast.platform.policy import Policy
from holdfast.platform.tables import Key
from holdfast.reservations.ending import cancel
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.audit import all_items
from tests.engine.faults import Answer, Call, Calls, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import START, Shop, seat, units
from tests.engine.storm import SharedClock
from tests.engine.ways import CHECKING_OUT, RESERVING, USER, Way, Ways

MINUTE = 60_000
SINCE = START // MINUTE * MINUTE
"""When the minute begins in which everything starts."""

LIMIT = 3
LIMITED = Policy(reserves_per_minute=LIMIT, checkouts_per_minute=LIMIT)
EVERY_WAY = RESERVING | CHECKING_OUT | {"deal without a key": Ways.deal_without_a_key}
KEYED = RESERVING | CHECKING_OUT
every_way = pytest.mark.parametrize("way", EVERY_WAY.values(), ids=EVERY_WAY)
every_keyed_way = pytest.mark.parametrize("way", KEYED.values(), ids=KEYED)


@pytest.fixture
def ways(shop: Shop) -> Ways:
    """All ways to what a shop sells whose tenant has limits."""
    found = Ways(shop)
    shop.policy = LIMITED
    return found


def count_of(shop: Shop, what: str, user: str = USER) -> int:
    """Return how often a user's item says that this minute counts."""
    return rates.counted(shop.store.get_raw(shop.keys.limits(user)) or {}, what, shop.clock.now())


def what_counts(way: Way) -> str:
    """Return the name under which a way is counted."""
    return "checkouts" if way in CHECKING_OUT.values() else "reserves"


def told(attempt: Callable[[], object]) -> tuple[int, int, int]:
    """Return what somebody is told who has to wait: the limit, its window and when there is room, in seconds."""
    with pytest.raises(TooManyRequests) as refused:
        attempt()
    return refused.value.limit, refused.value.window, refused.value.retry_after


@every_way
def test_rule_26_each_way_is_counted_up_to_the_limit_and_no_further(ways: Ways, way: Way) -> None:
    """Rule 26: one of each way counts one, whatever is in it; over the limit nothing is written."""
    for number in range(LIMIT):
        way(ways, number)
        assert count_of(ways.shop, what_counts(way)) == number + 1
    left = -(-(MINUTE - START % MINUTE) // 1000)
    assert told(lambda: way(ways, LIMIT)) == (LIMIT, 60, left)
    before = all_items(ways.shop.store, ways.shop.tenant)
    assert told(lambda: way(ways, LIMIT))[0] == LIMIT
    numbers = [item for item in before if "#COUNTERS" not in item["pk"]["S"]]
    after = all_items(ways.shop.store, ways.shop.tenant)
    assert [item for item in after if "#COUNTERS" not in item["pk"]["S"]] == numbers
    ways.shop.clock.forward(MINUTE)
    way(ways, LIMIT)
    assert count_of(ways.shop, what_counts(way)) == 1


@every_keyed_way
def test_rule_26_a_replay_does_not_count_and_is_not_refused(ways: Ways, way: Way) -> None:
    """Rule 26, 3: what was answered before is answered again, with the limit reached."""
    for number in range(LIMIT):
        way(ways, number)
    for number in range(LIMIT):
        way(ways, number)
    assert count_of(ways.shop, what_counts(way)) == LIMIT
    assert told(lambda: way(ways, LIMIT))[0] == LIMIT


def test_rule_26_all_ways_of_reserving_share_one_limit_and_checkouts_have_another(ways: Ways) -> None:
    """Rule 26: a reserve is a reserve, and is counted for the user that it is for."""
    ways.product_line(0)
    ways.deal_without_a_key(0)
    ways.tickets(0)
    assert told(lambda: ways.booking(0))[0] == LIMIT
    ways.checkout(0)
    assert (count_of(ways.shop, "reserves"), count_of(ways.shop, "checkouts")) == (LIMIT, 1)
    ways.shop.hold("bob", {ways.product: 1})
    assert count_of(ways.shop, "reserves", "bob") == 1


def test_rule_26_what_fails_does_not_count(ways: Ways) -> None:
    """Rule 26: of reserves that were refused, or gave way to others, nothing is counted."""
    for _ in range(LIMIT + 1):
        with pytest.raises(Refused):
            ways.shop.hold(USER, {ways.product: 101})
    assert ways.shop.store.get_raw(ways.shop.keys.limits(USER)) is None
    held = ways.product_line(0)
    cancel(ways.shop.engine, held.key)
    assert count_of(ways.shop, "reserves") == 1, "letting go gives no room: it is reserving that is counted"


def test_rule_26_the_minute_that_counts_is_that_of_the_clock(ways: Ways) -> None:
    """Rule 26: at the turn of the minute there is room again, and what is told is how long that is."""
    shop = ways.shop
    shop.clock.forward(SINCE + MINUTE - 1 - START)
    for number in range(LIMIT):
        ways.product_line(number)
    assert told(lambda: ways.product_line(LIMIT)) == (LIMIT, 60, 1)
    shop.clock.forward(1)
    for number in range(LIMIT, 2 * LIMIT):
        ways.product_line(number)
    assert told(lambda: ways.product_line(2 * LIMIT)) == (LIMIT, 60, 60)


def test_rule_26_a_conflict_is_tried_again_before_the_limit_is_looked_at(ways: Ways, calls: Calls) -> None:
    """Rule 26, 7: another transaction on the user's item says nothing of how many there were."""
    for number in range(LIMIT - 1):
        ways.product_line(number)
    for trouble in (conflict, throttled, silence_after):
        calls.trouble(trouble, "TransactWriteItems")
        try:
            ways.product_line(LIMIT - 1)
        except Unavailable:
            ways.product_line(LIMIT - 1)
    assert count_of(ways.shop, "reserves") == LIMIT


def test_rule_26_the_limit_comes_before_a_shortage(ways: Ways) -> None:
    """Rule 26, 7: who is over the limit is told so, not what is sold out: and no shard is read for the proof."""
    shop = ways.shop
    scarce = shop.product(units=[1, 1])
    shop.warm(scarce)
    for number in range(LIMIT):
        ways.product_line(number)
    calls = Calls(shop.store)
    assert told(lambda: shop.hold(USER, {scarce: 2}))[0] == LIMIT
    calls.stop()
    assert calls.operations == ["TransactWriteItems"]


def test_rule_26_a_limit_per_thing_and_one_per_minute_are_one_write(ways: Ways, calls: Calls) -> None:
    """Rule 26, 2: both are on the user's item, which is written once; either refuses as itself."""
    shop = ways.shop
    few = shop.product(max_per_user=2)
    shop.hold(USER, {few: 2})
    limits = tuple(shop.keys.limits(USER))
    assert [call.written.count(limits) for call in calls.transactions[-1:]] == [1]
    with pytest.raises(Refused) as refused:
        shop.hold(USER, {few: 1})
    assert refused.value.code == "limit_exceeded"
    assert count_of(shop, "reserves") == 1
    for number in range(LIMIT - 1):
        ways.product_line(number)
    assert told(lambda: shop.hold(USER, {few: 1}))[0] == LIMIT
    shop.audit({few: 2})


@pytest.mark.parametrize("minutes", [14, 15, 16, 17, 32, 160])
def test_rule_26_a_count_of_sixteen_minutes_ago_is_not_taken_for_todays(ways: Ways, calls: Calls, minutes: int) -> None:
    """Rule 26: the attributes take turns; one that says an older minute is started anew by a second attempt."""
    for number in range(LIMIT):
        ways.product_line(number)
    ways.shop.clock.forward(minutes * MINUTE)
    calls.clear()
    for number in range(LIMIT, 2 * LIMIT):
        ways.product_line(number)
    assert len(calls.transactions) == LIMIT + (minutes % 16 == 0)
    assert told(lambda: ways.product_line(2 * LIMIT))[0] == LIMIT
    assert count_of(ways.shop, "reserves") == LIMIT


@pytest.mark.parametrize("ahead", [1, MINUTE])
def test_rule_26_a_write_on_its_way_while_the_minute_turns_is_counted_in_its_own(
    ways: Ways, calls: Calls, ahead: int
) -> None:
    """Rule 26: the minute's last write is slow; one of the next minute, here or by a clock ahead, is made before it."""
    shop = ways.shop
    shop.clock.forward(SINCE + MINUTE - 1 - START)
    for number in range(LIMIT):
        ways.product_line(number)

    def another_minute() -> None:
        shop.clock.forward(ahead)
        ways.product_line(LIMIT)

    calls.trouble(meanwhile(another_minute), "TransactWriteItems")
    assert told(lambda: ways.product_line(LIMIT + 1)) == (LIMIT, 60, 1)
    assert count_of(shop, "reserves") == 1


def test_rule_26_old_counts_are_taken_away_by_the_writes_that_follow(ways: Ways) -> None:
    """Rule 26: the item stays small, however long the user goes on."""
    shop = ways.shop
    for number in range(40):
        shop.hold(USER, {ways.second: 1})
        shop.hold(USER, {ways.second: 1}, f"again-{number}")
        shop.clock.forward(MINUTE)
    item = shop.store.get_raw(shop.keys.limits(USER)) or {}
    assert len([name for name in item if name.startswith("reserves#")]) <= 3


def test_rule_26_a_limit_that_is_set_lower_is_heeded_by_what_was_counted(ways: Ways) -> None:
    """Rule 26: the limit is the caller's policy; what was counted under another stays counted."""
    for number in range(LIMIT):
        ways.product_line(number)
    ways.shop.policy = Policy(reserves_per_minute=1)
    assert told(lambda: ways.product_line(LIMIT))[0] == 1
    ways.shop.policy = Policy(reserves_per_minute=LIMIT + 1)
    ways.product_line(LIMIT)
    ways.shop.policy = Policy()
    ways.product_line(LIMIT + 1)
    assert count_of(ways.shop, "reserves") == LIMIT + 1


def test_rule_26_a_reserve_with_a_limit_is_one_request_of_seven_units(ways: Ways) -> None:
    """Rule 26: counting takes the user's item, 2 units, beside the reservation and the shard; without a limit, none."""
    shop = ways.shop
    plain = shop.product()
    shop.warm(plain)
    shop.hold(USER, {plain: 1})
    costs = []
    for policy in (Policy(), LIMITED):
        shop.policy = policy
        with counted(shop.store._connection) as counting:
            shop.hold(USER, {plain: 1})
        costs.append((counting.total, counting.write_units))
    assert costs == [(1, 5), (1, 7)]


def test_rule_26_a_user_over_the_limit_is_refused_where_the_way_has_many_items(ways: Ways) -> None:
    """Rule 26: in a cart of seats and units the limit is one of many conditions, and the one that is told."""
    shop = ways.shop
    for number in range(LIMIT):
        ways.mixed(number)
    shop.hold("bob", {ways.second: 1})
    taken = shop.cart("bob", seat("A", 9))
    assert taken.status == "held"
    assert told(lambda: shop.cart(USER, seat("A", 9), seat("A", 10), units(ways.product)))[0] == LIMIT
    shop.audit()


CLIENTS = 32
MOST = 20


class Crowd:
    """32 threads that are one user, each a warm function of its own; one write in five meets trouble."""

    def __init__(self, store: Store, connections: Sequence[Connection]) -> None:
        self.clock = SharedClock()
        self.shop = Shop(store, self.clock)
        self.told: Counter[str] = Counter()
        self._stores = [Store(connection, store._table) for connection in connections[:CLIENTS]]
        self._policy = Policy(reserves_per_minute=MOST, checkouts_per_minute=MOST)

    def run(self, ask: Callable[[Shop, int, int], Any], times: int = 4) -> None:
        """Let everybody ask so many times, at once, and count what they are told; who has no answer asks again."""
        ready = Barrier(CLIENTS)

        def work(number: int) -> Counter[str]:
            chance = random.Random(number)
            shop = self.shop.another(self._stores[number], choose=chance.randrange)
            shop.policy = self._policy
            calls = Calls(shop.store)
            calls.always(lambda call: self._weather(call, chance))
            ready.wait()
            try:
                return Counter(self._insist(partial(ask, shop, number, place)) for place in range(times))
            finally:
                calls.stop()

        with ThreadPoolExecutor(CLIENTS) as threads:
            for told in threads.map(work, range(CLIENTS)):
                self.told += told

    @staticmethod
    def _weather(call: Call, chance: random.Random) -> Answer:
        trouble = chance.choice([conflict, throttled, silence_after])
        return trouble(call) if call.operation == "TransactWriteItems" and chance.random() < 0.2 else call.make()

    @staticmethod
    def _insist(ask: Callable[[], Any]) -> str:
        for _ in range(100):
            try:
                ask()
            except (Busy, Unavailable):
                continue
            except TooManyRequests as refused:
                return f"more than {refused.limit}"
            return "served"
        raise AssertionError("busy for ever")


def items_of(shop: Shop, prefix: str) -> list[Key]:
    """Return the keys of the user's items of one kind."""
    found = shop.store.query(shop.keys.user(USER), prefix).items
    return [Key(item["pk"]["S"], item["sk"]["S"]) for item in found]


def test_rule_26_32_clients_at_once_reserve_exactly_the_limit(store: Store, connections: list[Connection]) -> None:
    """Rule 26: never one more, never one less, with conflicts, throttles and lost answers; each minute anew."""
    crowd = Crowd(store, connections)
    product = crowd.shop.product(units=[1_000] * 4)
    for minute in (1, 2):
        crowd.run(lambda shop, client, place, now=minute: shop.hold(USER, {product: 1}, f"{now}-{client}-{place}"))
        assert crowd.told["served"] == len(items_of(crowd.shop, "R#")) == minute * MOST
        assert crowd.shop.count(product)[1] == minute * MOST
        assert crowd.told[f"more than {MOST}"] == minute * (4 * CLIENTS - MOST)
        crowd.clock.forward(MINUTE)
    crowd.shop.audit()


@pytest.mark.parametrize("keyed", [True, False])
def test_rule_26_32_clients_at_once_add_to_a_deal_hold_exactly_as_often(
    store: Store, connections: list[Connection], keyed: bool
) -> None:
    """Rule 26: without a key a client that lost its answer asks once more; what is counted is what was written."""
    crowd = Crowd(store, connections)
    product = crowd.shop.product(units=1_000)
    key = "{}-{}".format
    crowd.run(lambda shop, *ask: shop.reserve(USER, {product: 1}, key(*ask) if keyed else None))
    assert [line.quantity for line in crowd.shop.deal(USER, product).lines] == [MOST]
    assert count_of(crowd.shop, "reserves") == MOST
    assert crowd.told["served"] == MOST if keyed else crowd.told["served"] <= MOST
    crowd.shop.audit()


def test_rule_26_32_clients_at_once_check_out_exactly_the_limit(store: Store, connections: list[Connection]) -> None:
    """Rule 26: orders of reservations and of parts of a deal hold, all at once, all counted."""
    crowd = Crowd(store, connections)
    product, deal = crowd.shop.product(units=1_000), crowd.shop.product(units=1_000, price_minor=0)
    crowd.shop.reserve(USER, {deal: 500})
    times = 2
    held = [[crowd.shop.hold(USER, {product: 1}) for _ in range(times)] for _ in range(CLIENTS)]

    def check_out(shop: Shop, client: int, place: int) -> None:
        keyed = KeyedRequest(shop.tenant, USER, "checkout", f"{client}-{place}", "body")
        if client % 2:
            wish = deals.Purchase(shop.tenant, USER, frozenset(), deal, 1, keyed=keyed, policy=shop.policy)
            deals.open_order(shop.engine, wish)
        else:
            clearance = Clearance(shop.keys.limits(USER), shop.policy)
            opening.open_order(shop.engine, held[client][place], PaymentChoice("sandbox", "t"), keyed, clearance)

    crowd.run(check_out, times)
    assert crowd.told["served"] == len(items_of(crowd.shop, "O#")) == MOST
    assert count_of(crowd.shop, "checkouts") == MOST
    crowd.shop.audit()
