"""PROTOCOL.md, rules 10 to 16, as far as pools go: after the hold. One test or more a rule, each an interleaving."""

from collections.abc import Callable

import pytest

from holdfast.platform.errors import (
    AlreadyExtended,
    InsufficientReservation,
    InvariantBroken,
    NoReservation,
    ReservationOver,
)
from holdfast.platform.items import PoolShardItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.reservations import deal_holds, reading
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.expiry import due_of, expire
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle, sweep
from tests.engine.faults import Calls, conflict, meanwhile
from tests.engine.shop import ListQueue, Shop

LENGTH = 600_000


def test_rule_10_valid_while_now_is_before_expires_at(shop: Shop) -> None:
    """Rule 10: a millisecond before its time a hold is whole; at its time it is over, released or not."""
    product = shop.product()
    held = shop.hold("ann", {product: 1})
    shop.reserve("ann", {product: 2})
    shop.clock.forward(LENGTH - 1)
    assert reading.state_at(shop.stored(held.key), shop.clock.now()) == "held"
    assert len(deal_holds.held_by(shop.engine, "demo", "ann")) == 1
    shop.clock.forward(1)
    assert reading.state_at(shop.stored(held.key), shop.clock.now()) == "expired"
    assert deal_holds.held_by(shop.engine, "demo", "ann") == []
    with pytest.raises(ReservationOver):
        extend(shop.engine, held.key, None, "request")
    with pytest.raises(InsufficientReservation):
        shop.buy("ann", product, 1)
    with pytest.raises(NoReservation):
        deal_holds.let_go(shop.engine, "demo", "ann", product)
    assert cancel(shop.engine, held.key).status == "expired"
    assert shop.count(product) == (8, 2, 0)


@pytest.mark.parametrize("act", ["check out", "extend", "let go"])
def test_rule_10_the_clock_is_in_the_condition(shop: Shop, calls: Calls, act: str) -> None:
    """Rule 10: the hold was live when it was read and lapses and is released right before the write: it stays so."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    held = shop.deal("ann", product)
    acts: dict[str, Callable[[], object]] = {
        "check out": lambda: shop.buy("ann", product, 1),
        "extend": lambda: extend(shop.engine, held.key, held.life, "request"),
        "let go": lambda: deal_holds.let_go(shop.engine, "demo", "ann", product),
    }

    def lapse() -> None:
        shop.clock.forward(LENGTH)
        handle(shop.engine, ListQueue(), [shop.message(held)])

    calls.trouble(meanwhile(lapse), "UpdateItem" if act == "extend" else "TransactWriteItems")
    with pytest.raises((InsufficientReservation, ReservationOver, NoReservation)):
        acts[act]()
    assert shop.count(product) == (10, 0, 0)
    assert shop.deal("ann", product).status == "expired"


def test_rule_10_a_hold_that_lapses_while_it_is_being_bought(shop: Shop) -> None:
    """Rule 10: a millisecond passes between the look at the hold and the write, and it is the last one."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    shop.clock.forward(LENGTH - 1)
    object.__setattr__(shop.engine, "clock", _Ticking(shop))
    with pytest.raises(InsufficientReservation):
        shop.buy("ann", product, 1)
    assert shop.count(product) == (8, 2, 0)


class _Ticking:
    """A clock that moves on by a millisecond with every look at it."""

    def __init__(self, shop: Shop) -> None:
        self._clock = shop.clock

    def now(self) -> int:
        """Return the time, and let it pass."""
        self._clock.forward(1)
        return self._clock.now() - 1


def test_rule_10_an_add_before_a_cancel_is_given_back_whole(shop: Shop, calls: Calls) -> None:
    """Rule 10: the hold is added to, on another shard, between the cancel's read and write: `v` makes it read again."""
    product = shop.product(units=[5, 5])
    shop.reserve("ann", {product: 2})
    other = shop.another(choose=lambda _: 1)
    calls.trouble(meanwhile(lambda: other.reserve("ann", {product: 3})), "TransactWriteItems")
    deal_holds.let_go(shop.engine, "demo", "ann", product)
    assert shop.count(product) == (10, 0, 0)
    shop.audit()


def test_rule_10_two_cancels_at_once_give_back_once(shop: Shop, calls: Calls) -> None:
    """Rule 10: a second cancel lands between this one's read and write; both answer the same, units return once."""
    product = shop.product()
    held = shop.hold("ann", {product: 2})
    twin = shop.another()
    calls.trouble(meanwhile(lambda: cancel(twin.engine, held.key)), "TransactWriteItems")
    assert cancel(shop.engine, held.key).status == "cancelled"
    assert shop.count(product) == (10, 0, 0)


@pytest.mark.parametrize("calls_before", range(4))
@pytest.mark.parametrize("others", [0, 1])
def test_rule_10_a_hold_added_to_in_its_last_moment_is_not_expired(
    shop: Shop, calls: Calls, calls_before: int, others: int
) -> None:
    """Rule 10: an add began a millisecond before the hold's time; it lands before any one of the expirer's calls.

    Another hold of the batch that was cancelled meanwhile sends the batch one by one, with more calls in between.
    """
    product = shop.product(units=[5, 5])
    shop.reserve("ann", {product: 2})
    held = shop.deal("ann", product)
    more = [shop.hold("bob", {product: 1}) for _ in range(others)]
    slow = shop.another(choose=lambda _: 1)
    object.__setattr__(slow.engine, "clock", _Before(shop))

    def add() -> None:
        if shop.deal("ann", product).status == "held":
            slow.reserve("ann", {product: 1})
        for record in more:
            cancel(shop.engine, record.key)

    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(add), skip=calls_before)
    assert handle(shop.engine, ListQueue(), [shop.message(record) for record in [held, *more]]) == set()
    added = shop.deal("ann", product)
    if added.expires_at != held.expires_at:
        assert added.status == "held"
        assert sum(added.allocated().values()) == 3
    shop.audit()


class _Before:
    """The clock of a function that looked at it just before everybody else did."""

    def __init__(self, shop: Shop) -> None:
        self._clock = shop.clock

    def now(self) -> int:
        return self._clock.now() - 1


def test_rule_11_expiry_writes_pools_and_the_reservation_only(shop: Shop, calls: Calls) -> None:
    """Rule 11: what an expiry writes is the reservation, its shards and what the user's limits count of it."""
    one, two = shop.product(max_per_user=5), shop.product()
    held = shop.hold("ann", {one: 1, two: 2})
    shop.clock.forward(LENGTH)
    calls.clear()
    handle(shop.engine, ListQueue(), [shop.message(held)])
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
    shards = {shop.shards(product)[0].key for product in (one, two)}
    assert set(calls.transactions[0].written) == {held.key, shop.keys.limits("ann"), *shards}


def test_rule_11_a_release_that_cannot_be_made_does_not_stop_the_others(shop: Shop) -> None:
    """Rule 11: one hold's shard says that nothing is held (a defect, an alarm); the others of its batch go free."""
    broken, sound = shop.product(), shop.product()
    bad = shop.hold("ann", {broken: 2})
    good = shop.hold("bob", {sound: 3})
    shop._add(shop.shards(broken)[0].key, {"held": -2})
    with pytest.raises(InvariantBroken):
        confirm(shop.engine, bad.key)
    shop.clock.forward(LENGTH)
    assert handle(shop.engine, ListQueue(), [shop.message(bad), shop.message(good)]) == {bad.key}
    assert shop.count(sound) == (10, 0, 0)
    assert sweep(shop.engine, [bad.key, good.key]) == 0


def test_rule_12_confirm_never_looks_at_the_clock(shop: Shop) -> None:
    """Rule 12: money late, the hold past its time but not yet released: the same units are sold, none drawn twice."""
    product = shop.product(units=2)
    held = shop.hold("ann", {product: 2})
    shop.clock.forward(LENGTH + 1)
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert shop.count(product) == (0, 0, 2)
    handle(shop.engine, ListQueue(), [shop.message(held)])
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert shop.count(product) == (0, 0, 2)


@pytest.mark.parametrize("first", ["confirm", "expire", "cancel"])
def test_rule_12_confirm_checks_state_and_v(shop: Shop, calls: Calls, first: str) -> None:
    """Rule 12: confirmed, expired or cancelled between confirm's read and its write: one of them has effect, once."""
    product = shop.product()
    held = shop.hold("ann", {product: 3})
    twin = shop.another()

    def lapse() -> None:
        shop.clock.forward(LENGTH)
        expire(twin.engine, [held])

    acts: dict[str, Callable[[], object]] = {
        "confirm": lambda: confirm(twin.engine, held.key),
        "cancel": lambda: cancel(twin.engine, held.key),
        "expire": lapse,
    }
    calls.trouble(meanwhile(acts[first]), "TransactWriteItems")
    if first == "confirm":
        assert confirm(shop.engine, held.key).status == "confirmed"
        assert shop.count(product) == (7, 0, 3)
    else:
        with pytest.raises(ReservationOver):
            confirm(shop.engine, held.key)
        assert shop.count(product) == (10, 0, 0)


def test_rule_12_an_extension_before_confirm_makes_it_read_again(shop: Shop, calls: Calls) -> None:
    """Rule 12: `v` rose by an extension between confirm's read and write; the confirmation still comes about."""
    product = shop.product()
    held = shop.hold("ann", {product: 3})
    calls.clear()
    calls.trouble(meanwhile(lambda: extend(shop.another().engine, held.key, None, "x")), "TransactWriteItems")
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert len(calls.transactions) == 2
    shop.audit()


def test_rule_13_extending_is_one_write_once_and_bounded(shop: Shop, calls: Calls) -> None:
    """Rule 13: a pool keeps no time of its own, so only the reservation is written, its place in the index with it."""
    product = shop.product()
    short = shop.another(lengths=HoldLengths(standard=600, longest=700, extension=300))
    held = short.hold("ann", {product: 1})
    calls.clear()
    extended = extend(short.engine, held.key, None, "request")
    assert calls.operations == ["GetItem", "UpdateItem"]
    assert extended.expires_at == held.created_at + 700_000
    stored = shop.stored(held.key)
    assert (stored.due, stored.expires_at) == (extended.expires_at, extended.expires_at)
    assert stored.first_expires_at == held.expires_at
    with pytest.raises(AlreadyExtended):
        extend(short.engine, held.key, None, "another")


def test_rule_13_an_extension_in_the_last_moment_beats_the_expiry(shop: Shop, calls: Calls) -> None:
    """Rule 13: extended between the expirer's read and write: the hold stays, its old message is of no account."""
    product = shop.product()
    held = shop.hold("ann", {product: 1})
    slow = shop.another()
    object.__setattr__(slow.engine, "clock", _Before(shop))
    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(lambda: extend(slow.engine, held.key, None, "x")), "TransactWriteItems")
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert shop.stored(held.key).status == "held"
    assert shop.count(product) == (9, 1, 0)


def test_rule_14_what_is_over_stays_over(shop: Shop) -> None:
    """Rule 14: a cancelled hold is not confirmed by late money, a confirmed one not let go."""
    product = shop.product()
    cancelled = cancel(shop.engine, shop.hold("ann", {product: 1}).key)
    confirmed = confirm(shop.engine, shop.hold("ann", {product: 1}).key)
    late = shop.hold("ann", {product: 1})
    shop.clock.forward(LENGTH)
    expire(shop.engine, [late])
    for record in (cancelled, late):
        with pytest.raises(ReservationOver):
            confirm(shop.engine, record.key)
        assert cancel(shop.engine, record.key).status == shop.stored(record.key).status
    with pytest.raises(ReservationOver):
        cancel(shop.engine, confirmed.key)
    with pytest.raises(ReservationOver):
        extend(shop.engine, confirmed.key, None, "request")
    assert shop.count(product) == (9, 0, 1)


@pytest.mark.parametrize("units", [1, 2, 4, 5])
def test_rule_15_a_part_checked_out_is_a_split_that_touches_no_counter(shop: Shop, calls: Calls, units: int) -> None:
    """Rule 15: part and rest together are the hold, in one transaction; only the sale after it moves counters."""
    product = shop.product(units=[3, 2], max_per_user=9)
    shop.reserve("ann", {product: 5})
    calls.clear()
    order = shop.buy("ann", product, units)
    splitting = calls.transactions[0]
    assert [sk.partition("#")[0] for _, sk in splitting.written] == ["H", "R", "O"]
    assert [pk for call in calls.transactions for pk, _ in call.written if "#POOL#" in pk]
    assert shop.count(product) == (0, 5 - units, units)
    parent = shop.deal("ann", product)
    assert parent.status == ("held" if units < 5 else "confirmed")
    item = shop.store.get(OrderItem, shop.keys.order("ann", order.id.rpartition("-")[2]))
    assert item is not None
    child = shop.stored(reading.locate("demo", item.reservation_id)[0])
    assert child.status == "confirmed"
    assert sum(child.allocated().values()) == units
    shop.clock.forward(LENGTH)
    handle(shop.engine, ListQueue(), [shop.message(parent)])
    assert shop.count(product) == (5 - units, 0, units)
    shop.audit({product: 9})


@pytest.mark.parametrize("first", ["add", "buy", "let go"])
def test_rule_15_a_split_of_a_hold_that_changed_meanwhile(shop: Shop, calls: Calls, first: str) -> None:
    """Rule 15: the hold was added to, bought from, or let go between the split's read and its write."""
    product = shop.product(units=[5, 5])
    shop.reserve("ann", {product: 3})
    twin = shop.another(choose=lambda _: 1)
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: twin.reserve("ann", {product: 2}),
        "buy": lambda: twin.buy("ann", product, 1),
        "let go": lambda: deal_holds.let_go(twin.engine, "demo", "ann", product),
    }
    calls.trouble(meanwhile(acts[first]), "TransactWriteItems")
    if first == "let go":
        with pytest.raises(InsufficientReservation):
            shop.buy("ann", product, 2)
    else:
        shop.buy("ann", product, 2)
    assert shop.count(product) == {"add": (5, 3, 2), "buy": (7, 0, 3), "let go": (10, 0, 0)}[first]
    shop.audit()


def test_rule_16_expiry_messages_early_late_stale_and_twice(shop: Shop, calls: Calls) -> None:
    """Rule 16: under a second early waits; earlier goes round again while its time is the current one; else dropped."""
    product = shop.product()
    soon, later, extended = (shop.hold("ann", {product: 1}, seconds=seconds) for seconds in (2, 60, 2))
    stale = shop.message(extended)
    extend(shop.engine, extended.key, None, "request")
    gone = ExpiryMessage(shop.keys.reservation("ann", "no", "such"), 5)
    shop.clock.forward(1_001)
    queue = ListQueue()
    handle(shop.engine, queue, [shop.message(soon), shop.message(soon), shop.message(later), stale, gone])
    assert queue.sent == [shop.message(later)]
    assert shop.waits == [0.999]
    assert [shop.stored(hold.key).status for hold in (soon, later, extended)] == ["expired", "held", "held"]
    calls.clear()
    handle(shop.engine, queue, [shop.message(soon)])
    assert calls.operations == ["BatchGetItem"]
    assert shop.count(product) == (8, 2, 0)


def test_rule_16_exactly_a_second_early_goes_round_again(shop: Shop) -> None:
    """Rule 16: the message of a hold that has 1 000 ms left is sent again, one with 999 ms is waited for."""
    held = shop.hold("ann", {shop.product(): 1}, seconds=1)
    queue = ListQueue()
    handle(shop.engine, queue, [shop.message(held)])
    assert (queue.sent, shop.waits) == ([shop.message(held)], [])


def test_rule_16_what_the_queue_did_not_take_is_handed_back(shop: Shop) -> None:
    """Rule 16: SendMessageBatch took one message and not the other: the other's is to be delivered once more."""
    product = shop.product()
    one, two = shop.hold("ann", {product: 1}), shop.hold("ann", {product: 1})
    queue = ListQueue(failing=1)
    assert handle(shop.engine, queue, [shop.message(one), shop.message(two)]) == {one.key}


def test_rule_16_a_batch_is_merged_and_falls_back_one_by_one(shop: Shop, calls: Calls) -> None:
    """Rule 16: ten holds in one transaction; with one of them cancelled meanwhile, each by itself, none twice."""
    product = shop.product(units=30)
    for first in (None, "cancel"):
        records = [shop.hold(f"user{number}", {product: 1}) for number in range(10)]
        shop.clock.forward(LENGTH - 1)
        if first:
            calls.trouble(meanwhile(lambda record=records[3]: cancel(shop.engine, record.key)), "TransactWriteItems")
        shop.clock.forward(1)
        calls.clear() if first is None else calls.made.clear()
        assert handle(shop.engine, ListQueue(), [shop.message(record) for record in records]) == set()
        assert len(calls.transactions) == (1 if first is None else 10)
        assert shop.count(product) == (30, 0, 0)
    assert len(calls.transactions[-1].written) == 2


def test_rule_16_batches_stay_within_a_hundred_writes(shop: Shop, calls: Calls) -> None:
    """Rule 16: the sweeper finds a hundred holds of as many limited users: several transactions, each at most 100."""
    product = shop.product(units=200, max_per_user=1)
    records = [shop.hold(f"user{number}", {product: 1}) for number in range(100)]
    shop.clock.forward(LENGTH)
    calls.clear()
    assert sweep(shop.engine, [record.key for record in records]) == 100
    assert all(len(call.written) <= 100 for call in calls.transactions)
    assert len(calls.transactions) <= 4
    assert shop.count(product) == (200, 0, 0)


def test_rule_16_contention_that_does_not_end_is_handed_back(shop: Shop, calls: Calls) -> None:
    """Rule 16: the shards are too busy: those holds' messages go round again at once, or come again; none is lost."""
    product = shop.product()
    held = shop.hold("ann", {product: 1})
    shop.clock.forward(LENGTH)
    calls.trouble(conflict, "TransactWriteItems", times=50)
    queue = ListQueue()
    assert handle(shop.engine, queue, [shop.message(held)]) == set()
    assert queue.sent == [shop.message(held)]
    assert queue.sent[0].delay(shop.clock.now()) == 0
    assert handle(shop.engine, ListQueue(failing=1), [shop.message(held)]) == {held.key}
    calls.clear()
    assert handle(shop.engine, ListQueue(), queue.sent) == set()
    assert shop.count(product) == (10, 0, 0)


def test_rule_16_ttl_is_set_by_terminal_transitions_only(shop: Shop) -> None:
    """Rule 16: a hold deleted by TTL would leak its units: none has a `ttl` while it holds any, nor once sold."""
    product = shop.product()
    held, confirmed, cancelled = (shop.hold("ann", {product: 1}) for _ in range(3))
    confirm(shop.engine, confirmed.key)
    cancel(shop.engine, cancelled.key)
    extend(shop.engine, held.key, None, "x")
    shop.reserve("ann", {product: 2})
    shop.reserve("ann", {product: 1})
    shop.buy("ann", product, 1)
    assert shop.stored(held.key).ttl is None
    assert shop.stored(confirmed.key).ttl is None
    assert shop.deal("ann", product).ttl is None
    assert shop.stored(cancelled.key).ttl is not None
    deal_holds.let_go(shop.engine, "demo", "ann", product)
    assert shop.deal("ann", product).ttl is not None
    shop.clock.forward(1)
    shop.reserve("ann", {product: 1})
    assert shop.deal("ann", product).ttl is None


def test_rule_16_the_stream_calls_for_one_message_an_expiry(shop: Shop, calls: Calls) -> None:
    """Rule 16: a new hold, an extension and an add call for a message; a confirmation and a price change do not."""
    product = shop.product()
    images = []
    acts: list[Callable[[], object]] = [
        lambda: shop.reserve("ann", {product: 2}),
        lambda: shop.clock.forward(5),
        lambda: shop.reserve("ann", {product: 1}),
        lambda: extend(shop.engine, shop.deal("ann", product).key, shop.deal("ann", product).life, "x"),
        lambda: shop.buy("ann", product, 1),
        lambda: shop.buy("ann", product, 2),
    ]
    key = shop.keys.deal_hold("ann", product)
    for act in acts:
        old = shop.store.get_raw(key)
        act()
        images.append((old, shop.store.get_raw(key)))
    messages = [due_of({"dynamodb": {"OldImage": old, "NewImage": new}}) for old, new in images]
    assert [message is not None for message in messages] == [True, False, True, True, False, False]
    assert due_of({"dynamodb": {"OldImage": images[-1][1]}}) is None
    shard = shop.store.get(PoolShardItem, shop.shards(product)[0].key)
    assert shard is not None
    assert due_of({"dynamodb": {"NewImage": shop.store.get_raw(shard.key)}}) is None
