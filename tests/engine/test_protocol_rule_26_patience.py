"""PROTOCOL.md, rule 26, where a tenant has patience: holds that lapse count against their user, until one is bought."""

from collections.abc import Callable

import pytest

from benchmarks.write_units import counted
from holdfast.checkout import opening
from holdfast.checkout.opening import PaymentChoice
from holdfast.claims import lapses
from holdfast.platform.errors import AlreadyExtended, PaymentFailed, TooManyRequests, Unavailable
from holdfast.platform.items import ReservationItem
from holdfast.platform.policy import PatiencePolicy, Policy
from holdfast.reservations import checking_out, ending
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.expiry import expire
from holdfast.reservations.extension import extend
from holdfast.reservations.reacquiring import reacquire
from tests.engine.expiring import handle
from tests.engine.faults import Calls, Crash, Trouble, conflict, crash_after, meanwhile, silence_after, throttled
from tests.engine.shop import ListQueue, Shop, hall, seat, units
from tests.engine.ways import RESERVING, USER, Way, Ways

LENGTH = 600
SHORTEST = 100
FORGET = 3_600
PATIENCE = PatiencePolicy(after=2, shortest_seconds=SHORTEST, forget_seconds=FORGET)
PATIENT = Policy(patience=PATIENCE)


@pytest.fixture(name="product")
def _product(shop: Shop) -> str:
    """Something to hold, in a shop whose tenant has patience."""
    found = shop.product(units=500)
    shop.policy = PATIENT
    return found


def length(held: ReservationItem) -> int:
    """Return for how many seconds something is held."""
    return (held.expires_at - held.created_at) // 1000


def let_lapse(shop: Shop, *held: ReservationItem) -> None:
    """Move past the time of what is held, and deliver the messages of its expiry."""
    shop.clock.forward(max(0, max(hold.expires_at for hold in held) - shop.clock.now()))
    assert handle(shop.engine, ListQueue(), [shop.message(hold) for hold in held]) == set()


def holds_and_lets_lapse(shop: Shop, product: str, times: int) -> list[int]:
    """Hold one after the other, each until it lapses; return for how long each was held."""
    lengths = []
    for _ in range(times):
        held = shop.hold(USER, {product: 1})
        lengths.append(length(held))
        let_lapse(shop, held)
    return lengths


def counted_against(shop: Shop, user: str = USER) -> tuple[int, int | None]:
    """Return how many lapses count against a user, and when the last was."""
    return lapses.lapses(shop.store.get_raw(shop.keys.limits(user)) or {})


def test_rule_26_without_patience_no_hold_is_watched_and_none_counts(shop: Shop) -> None:
    """Rule 26: neither a reserve nor its expiry writes anything more."""
    product = shop.product()
    held = shop.hold(USER, {product: 1})
    shop.reserve(USER, {product: 1})
    assert (held.watched, shop.deal(USER, product).watched) == (None, None)
    let_lapse(shop, held, shop.deal(USER, product))
    assert shop.store.get_raw(shop.keys.limits(USER)) is None


def test_rule_26_holds_are_halved_with_each_lapse_down_to_the_shortest(shop: Shop, product: str) -> None:
    """Rule 26: after two lapses half as long, then a quarter, never shorter than the tenant's shortest."""
    assert holds_and_lets_lapse(shop, product, 6) == [600, 600, 300, 150, 100, 100]
    assert counted_against(shop) == (6, shop.clock.now())
    assert length(shop.hold("bob", {product: 1})) == LENGTH, "each for themselves"
    shop.audit()


@pytest.mark.parametrize("way", RESERVING.values(), ids=RESERVING)
def test_rule_26_every_way_of_reserving_is_watched_and_halved(shop: Shop, way: Way) -> None:
    """Rule 26: whatever is held, its lapse counts, and it lasts half as long for whom two count against."""
    ways = Ways(shop)
    shop.policy = PATIENT
    way(ways, 0)
    watched = [hold for hold in shop.reservations() if hold.user_id == USER]
    assert watched
    assert {hold.watched for hold in watched} == {0}
    let_lapse(shop, *watched)
    assert counted_against(shop)[0] == len(watched)
    let_lapse(shop, *(shop.hold(USER, {ways.second: 1}) for _ in range(3 - len(watched))))
    way(ways, 1)
    found = [hold for hold in shop.reservations() if hold.status == "held"]
    assert {hold.watched for hold in found} == {2}
    assert {length(hold) for hold in found} == {150}


def test_rule_26_buying_forgives(shop: Shop, product: str) -> None:
    """Rule 26: what is confirmed makes up for what lapsed; the next lapse is the first again."""
    holds_and_lets_lapse(shop, product, 3)
    held = shop.hold(USER, {product: 1})
    assert (held.watched, length(held)) == (2, 150)
    ending.confirm(shop.engine, held.key)
    assert counted_against(shop) == (0, None)
    assert holds_and_lets_lapse(shop, product, 3) == [600, 600, 300]
    shop.audit()


def test_rule_26_letting_go_neither_counts_nor_forgives(shop: Shop, product: str) -> None:
    """Rule 26: it is holding until the very end that tries patience."""
    holds_and_lets_lapse(shop, product, 2)
    held = shop.hold(USER, {product: 1})
    ending.cancel(shop.engine, held.key)
    assert counted_against(shop)[0] == 2


def test_rule_26_lapses_are_forgotten_once_none_came_for_long_enough(shop: Shop, product: str, calls: Calls) -> None:
    """Rule 26: the first reserve after that takes a second attempt, and starts to count anew."""
    holds_and_lets_lapse(shop, product, 3)
    shop.clock.forward(FORGET * 1000)
    assert length(shop.hold(USER, {product: 1})) == 150, "just not long enough"
    shop.clock.forward(1)
    calls.clear()
    held = shop.hold(USER, {product: 1})
    assert (length(held), held.watched, calls.operations) == (LENGTH, 0, ["TransactWriteItems"] * 2)
    assert counted_against(shop) == (0, None)
    calls.clear()
    shop.hold(USER, {product: 1})
    assert calls.operations == ["TransactWriteItems"]
    let_lapse(shop, held)
    assert counted_against(shop) == (1, shop.clock.now())


def test_rule_26_a_lapse_of_long_ago_does_not_count_beside_one_of_today(shop: Shop, product: str) -> None:
    """Rule 26: also where there were too few of them to be noticed."""
    holds_and_lets_lapse(shop, product, 1)
    shop.clock.forward(FORGET * 1000 + 1)
    assert holds_and_lets_lapse(shop, product, 3) == [600, 600, 300]


def test_rule_26_the_limit_a_minute_is_halved_with_the_holds(shop: Shop, product: str) -> None:
    """Rule 26: at least one a minute is left, and who buys has all of them again."""
    holds_and_lets_lapse(shop, product, 2)
    shop.policy = Policy(patience=PATIENCE, reserves_per_minute=8)
    shop.clock.forward(60_000)
    for most in (4, 2, 1, 1):
        held = [shop.hold(USER, {product: 1}) for _ in range(most)]
        with pytest.raises(TooManyRequests) as refused:
            shop.hold(USER, {product: 1})
        assert (refused.value.limit, refused.value.window) == (most, 60)
        for rest in held[1:]:
            ending.cancel(shop.engine, rest.key)
        let_lapse(shop, held[0])
        shop.clock.forward(60_000)
    shop.policy = PATIENT
    for _ in range(20):
        shop.hold(USER, {product: 1})


def test_rule_26_an_extension_is_halved_as_the_hold_was(shop: Shop, product: str) -> None:
    """Rule 26: otherwise a minute's hold could be made five longer."""
    holds_and_lets_lapse(shop, product, 3)
    held = shop.hold(USER, {product: 1})
    assert extend(shop.engine, held.key, None, "more").expires_at == held.expires_at + 75_000
    let_lapse(shop, shop.stored(held.key))
    holds_and_lets_lapse(shop, product, 9)
    held = shop.hold(USER, {product: 1})
    with pytest.raises(AlreadyExtended):
        extend(shop.engine, held.key, None, "more")


def test_rule_26_a_deal_hold_that_its_user_takes_over_when_it_lapsed_counts(shop: Shop, product: str) -> None:
    """Rule 26, 4: who reserves again before the expiry came does not get round it."""
    lengths = []
    for _ in range(5):
        [held] = shop.reserve(USER, {product: 1})
        lengths.append((held.expires_at - shop.clock.now()) // 1000)
        shop.clock.forward(held.expires_at - shop.clock.now())
    assert lengths == [600, 600, 300, 150, 100]
    assert counted_against(shop)[0] == 4
    assert shop.count(product) == (499, 1, 0)
    shop.audit()


def test_rule_26_two_deal_holds_taken_over_at_once_count_twice(shop: Shop, product: str) -> None:
    """Rule 26: what lapses in the very transaction is judged in it."""
    other = shop.product()
    shop.reserve(USER, {product: 1, other: 1})
    shop.clock.forward(LENGTH * 1000)
    held = shop.reserve(USER, {product: 1, other: 1})
    assert {(hold.expires_at - shop.clock.now()) // 1000 for hold in held} == {300}
    assert counted_against(shop)[0] == 2
    assert {shop.deal(USER, name).watched for name in (product, other)} == {1}


def test_rule_26_what_is_added_to_a_deal_hold_never_shortens_it(shop: Shop, product: str) -> None:
    """Rule 26: time that was given is kept; it is what comes after the lapses that is shorter."""
    holds_and_lets_lapse(shop, product, 1)
    [held] = shop.reserve(USER, {product: 1})
    other = shop.product()
    shop.policy = Policy(patience=PatiencePolicy(after=1, shortest_seconds=SHORTEST))
    [more] = shop.reserve(USER, {product: 1})
    assert (more.quantity, more.expires_at) == (2, held.expires_at)
    [another] = shop.reserve(USER, {other: 1})
    assert another.expires_at == shop.clock.now() + 300_000


def test_rule_26_a_part_that_is_split_off_is_watched_too(shop: Shop, product: str) -> None:
    """Rule 26, 15: a part that is bought forgives; one that a failed checkout leaves held counts when it lapses."""
    holds_and_lets_lapse(shop, product, 1)
    shop.reserve(USER, {product: 3})
    assert shop.buy(USER, product, 1)
    assert counted_against(shop) == (0, None)
    shop.machines.fail("AuthorisePayment")
    with pytest.raises(PaymentFailed):
        shop.buy(USER, product, 1)
    [part] = [hold for hold in shop.reservations() if hold.status == "held" and hold.life is None]
    let_lapse(shop, part, shop.deal(USER, product))
    assert counted_against(shop)[0] == 2


def test_rule_26_a_checkout_that_is_not_paid_in_time_counts(shop: Shop, product: str) -> None:
    """Rule 26, 14: going into checkout is not buying."""
    held = shop.hold(USER, {product: 1})
    checking_out.begin(shop.engine, held.key, 1, 900)
    shop.clock.forward(900_000)
    assert checking_out.go_back(shop.engine, held.key, 1).status == "expired"
    assert counted_against(shop) == (1, shop.clock.now())
    shop.audit()


def test_rule_26_an_abandoned_checkout_does_not_count(shop: Shop, product: str) -> None:
    """Rule 26, 14: what the buyer cancelled was let go of."""
    held = shop.hold(USER, {product: 1})
    checking_out.begin(shop.engine, held.key, 1, 900)
    assert checking_out.abandon(shop.engine, held.key, 1).status == "cancelled"
    assert counted_against(shop) == (0, None)


def test_rule_26_money_that_comes_late_forgives_too(shop: Shop, product: str) -> None:
    """Rule 26, 14: it was paid after all."""
    held = shop.hold(USER, {product: 1})
    let_lapse(shop, held)
    reacquire(shop.engine, held.key, 1)
    assert counted_against(shop) == (0, None)
    shop.audit()


def test_rule_26_a_cancellation_that_comes_too_late_is_a_lapse(shop: Shop, product: str) -> None:
    """Rule 26: whoever writes that a hold expired counts it, once."""
    held = shop.hold(USER, {product: 1})
    shop.clock.forward(LENGTH * 1000)
    assert ending.cancel(shop.engine, held.key).status == "expired"
    let_lapse(shop, held)
    assert counted_against(shop)[0] == 1


def test_rule_26_a_batch_of_one_users_lapses_counts_each_in_one_write(shop: Shop, product: str) -> None:
    """Rule 26, 16: merged as shards are, at most 100 actions a transaction."""
    held = [shop.hold(user, {product: 1}) for user in (USER, "bob") for _ in range(60)]
    shop.clock.forward(LENGTH * 1000)
    calls = Calls(shop.store)
    assert expire(shop.engine, [shop.stored(hold.key) for hold in held]) == (set(), set())
    calls.stop()
    assert [counted_against(shop, user)[0] for user in (USER, "bob")] == [60, 60]
    assert all(len(call.written) == len(set(call.written)) <= 100 for call in calls.transactions)
    assert len(calls.transactions) < 6
    shop.audit()


def test_rule_26_a_batch_of_many_users_fits_its_transactions(shop: Shop, product: str) -> None:
    """Rule 26, 16: each user has an item of their own."""
    held = [shop.hold(f"user-{number}", {product: 1}) for number in range(70)]
    shop.clock.forward(LENGTH * 1000)
    calls = Calls(shop.store)
    assert expire(shop.engine, [shop.stored(hold.key) for hold in held]) == (set(), set())
    calls.stop()
    assert all(len(call.written) <= 100 for call in calls.transactions)
    assert {counted_against(shop, f"user-{number}")[0] for number in range(70)} == {1}


@pytest.mark.parametrize("trouble", [conflict, throttled, silence_after, crash_after])
def test_rule_26_a_lapse_is_counted_once_however_often_it_is_told(
    shop: Shop, product: str, calls: Calls, trouble: Trouble
) -> None:
    """Rule 26: the count is in the expiry's own transaction, which is made once."""
    held = shop.hold(USER, {product: 1})
    shop.clock.forward(LENGTH * 1000)
    calls.trouble(trouble, "TransactWriteItems")
    for _ in range(3):
        try:
            handle(shop.engine, ListQueue(), [shop.message(held)] * 2)
        except (Crash, Unavailable):
            continue
    assert counted_against(shop)[0] == 1


@pytest.mark.parametrize("first", ["a lapse", "a purchase"])
def test_rule_26_what_happens_right_before_the_write_is_heeded(
    shop: Shop, product: str, calls: Calls, first: str
) -> None:
    """Rule 26: the second attempt knows how many there are; where that changes once more, the third does."""
    holds_and_lets_lapse(shop, product, 2)
    waiting = [shop.hold(USER, {product: 1}) for _ in range(2)]
    acts: dict[str, Callable[[], object]] = {
        "a lapse": lambda: let_lapse(shop, waiting[0]),
        "a purchase": lambda: ending.confirm(shop.engine, waiting[0].key),
    }
    calls.trouble(meanwhile(acts[first]), "TransactWriteItems", skip=1)
    held = shop.hold(USER, {product: 1})
    assert length(held) == (150 if first == "a lapse" else 300), "forgiven since is judged as it was seen"


def test_rule_26_patience_costs_two_units_and_no_request(shop: Shop, product: str) -> None:
    """Rule 26: alone or with a limit, the user's item is written once; who is halved pays a second attempt."""
    shop.hold(USER, {product: 1})
    costs = []
    for policy in (Policy(), PATIENT, Policy(patience=PATIENCE, reserves_per_minute=9_999)):
        shop.policy = policy
        with counted(shop.store._connection) as counting:
            shop.hold(USER, {product: 1})
        costs.append((counting.total, counting.write_units))
    holds_and_lets_lapse(shop, product, 2)
    shop.warm(product)
    with counted(shop.store._connection) as counting:
        shop.hold(USER, {product: 1})
    assert [*costs, (counting.total, counting.write_units)] == [(1, 5), (1, 7), (1, 7), (2, 7)]


def test_rule_26_a_tenant_that_loses_its_patience_meanwhile(shop: Shop, product: str) -> None:
    """Rule 26: what was made under it counts still; without it nobody is held to that."""
    held = shop.hold(USER, {product: 1})
    shop.policy = Policy()
    let_lapse(shop, held)
    assert counted_against(shop)[0] == 1
    assert holds_and_lets_lapse(shop, product, 3) == [LENGTH] * 3
    assert counted_against(shop)[0] == 1


def test_rule_26_a_cart_of_any_kinds_is_shortened_as_a_whole(shop: Shop, product: str) -> None:
    """Rule 26: its units and days are held as long as the reservation, no longer."""
    shop.seats({"A": 3})
    holds_and_lets_lapse(shop, product, 2)
    start = shop.clock.now()
    held = shop.cart(USER, seat("A", 1), units(product), hall(start, start + 3_600_000))
    assert length(held) == 300
    assert shop.unit(shop.seat_key("A", 1)).held_until == held.expires_at
    shop.audit()


def test_rule_26_a_hold_that_is_asked_to_be_short_stays_so(shop: Shop, product: str) -> None:
    """Rule 26: the shortest is a floor for what patience takes away, nothing that is given."""
    holds_and_lets_lapse(shop, product, 4)
    assert length(shop.hold(USER, {product: 1}, seconds=30)) == 30
    assert length(shop.hold(USER, {product: 1}, seconds=3_000)) == 375


def test_a_policy_has_hold_lengths_of_its_own_never_above_the_longest() -> None:
    stage = HoldLengths(600, 3_600, 300, {"listing": 900, "venue": 900})
    assert stage.under(Policy(reserves_per_minute=1)) is stage
    own = stage.under(Policy(hold_seconds=60, hold_seconds_max=1_200, venue_hold_seconds=1_000))
    assert (own.standard, own.longest, own.extension, own.by_kind) == (60, 1_200, 300, {"listing": 900, "venue": 1_000})
    capped = stage.under(Policy(hold_seconds=9_999, hold_seconds_max=9_999, listing_hold_seconds=9_999))
    assert (capped.standard, capped.longest, capped.by_kind) == (3_600, 3_600, {"listing": 3_600, "venue": 900})
    short = stage.under(Policy(hold_seconds_max=300))
    assert (short.standard, short.longest, short.by_kind) == (300, 300, {"listing": 300, "venue": 300})


def test_a_hold_is_extended_as_long_as_its_tenant_lets_any_last(shop: Shop) -> None:
    product = shop.product()
    shop.policy = Policy(hold_seconds=60, hold_seconds_max=90)
    held = shop.hold(USER, {product: 1})
    assert length(held) == 60
    assert extend(shop.engine, held.key, None, "more", shop.policy).expires_at == held.expires_at + 30_000
    [deal] = shop.reserve(USER, {product: 1})
    assert deal.expires_at == shop.clock.now() + 60_000


def test_an_order_that_fails_and_lapses_counts_once(shop: Shop, product: str) -> None:
    held = shop.hold(USER, {product: 1})
    order = opening.open_order(shop.engine, held, PaymentChoice("sandbox", "tok_decline"))
    opening.start(shop.machines.checkout, order)
    found = shop.stored(held.key)
    assert (found.status, found.watched) == ("held", 0)
    let_lapse(shop, found)
    assert counted_against(shop)[0] == 1
