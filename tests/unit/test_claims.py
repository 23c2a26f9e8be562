"""Claims without a store: netting, the changes of a pool, limits per user, where a quantity is drawn from, memory."""

from holdfast.claims import limits, pool
from holdfast.claims.changes import CounterChange, netted
from holdfast.claims.pool import Shard, Terms, spread
from holdfast.claims.sold_out import REMEMBERED_FOR, SoldOutMemory
from holdfast.platform.tables import Keys

KEYS = Keys("demo")
ONE, TWO = KEYS.pool_shard("product.1", 0), KEYS.pool_shard("product.1", 1)
OLD, NEW = Terms(1, 1_000, "USD", True, None), Terms(2, 900, "USD", True, None)
NOW = 1_700_000_000_000


def shard(number: int, available: int, terms: Terms = OLD) -> Shard:
    return Shard(number, available, 0, terms)


def test_changes_of_one_item_are_one() -> None:
    """A release and an acquire on one shard are summed, in the order in which the items came, each guard kept."""
    found = netted([pool.release(ONE, 3), pool.acquire(TWO, 1, 7), pool.acquire(ONE, 2, 7)])
    assert [change.key for change in found] == [ONE, TWO]
    assert found[0].add == {"held": -1, "available": 1, "released": 1}
    assert found[0].equal == {"revision": 7}
    assert netted([]) == []


def test_what_cancels_out_falls_away_unless_a_ceiling_is_to_be_looked_at() -> None:
    """Nothing is written for nothing; but a limit is looked at even where as much is given back as is taken."""
    gone = [CounterChange(ONE, {"held": 2}), CounterChange(ONE, {"held": -2})]
    assert netted(gone) == []
    key = KEYS.limits("ann")
    (kept,) = netted([limits.take(key, "1", 2, most=3), limits.give_back(key, "1", 2)])
    assert (kept.add, kept.ceilings) == ({"taken#1": 0}, {"taken#1": 3})


def test_limits_of_two_products_share_an_item() -> None:
    """Both ceilings stand in the one change."""
    key = KEYS.limits("ann")
    (both,) = netted([limits.take(key, "1", 2, most=3), limits.take(key, "2", 1, most=5)])
    assert both.ceilings == {"taken#1": 3, "taken#2": 5}


def test_every_change_of_a_pool_keeps_its_sum() -> None:
    """`available + held + sold = total`; `released` rises exactly where `available` does."""
    for change in (
        pool.acquire(ONE, 3, 1),
        pool.confirm(ONE, 3),
        pool.release(ONE, 3),
        pool.restock(ONE, 3),
        pool.restock(ONE, -3),
    ):
        add = change.add
        assert add.get("available", 0) + add.get("held", 0) + add.get("sold", 0) == add.get("total", 0)
        assert add.get("released", 0) == (add.get("available", 0) > 0)
        assert {"available", "held", "sold"} <= change.floored


def test_spread_draws_from_as_few_shards_as_it_can() -> None:
    """The fullest first; nothing from the empty ones; nothing at all where the sum is short."""
    shards = [shard(0, 1), shard(1, 4), shard(2, 0), shard(3, 2)]
    assert spread(4, shards) == (OLD, {1: 4})
    assert spread(6, shards) == (OLD, {1: 4, 3: 2})
    assert spread(7, shards) == (OLD, {1: 4, 3: 2, 0: 1})
    assert spread(8, shards) is None
    assert spread(1, []) is None


def test_spread_keeps_one_price_and_prefers_the_newest() -> None:
    """While a new price is being written, a line is not made of both."""
    shards = [shard(0, 5, OLD), shard(1, 2, NEW)]
    assert spread(2, shards) == (NEW, {1: 2})
    assert spread(3, shards) == (OLD, {0: 3})
    assert spread(6, shards) is None


def test_the_memory_refuses_only_what_is_above_the_sum_and_only_for_a_moment() -> None:
    """Under a second, from when the read started; a clock that went backwards proves nothing."""
    memory = SoldOutMemory()
    memory.remember("p", 2, NOW)
    assert REMEMBERED_FOR < 1_000
    assert [memory.refuses("p", units, NOW) for units in (1, 2, 3)] == [False, False, True]
    assert memory.refuses("p", 3, NOW + REMEMBERED_FOR - 1)
    assert not memory.refuses("p", 3, NOW + REMEMBERED_FOR)
    assert not memory.refuses("p", 3, NOW - 1)
    assert not memory.refuses("other", 3, NOW)
    for number in range(5_000):
        memory.remember(str(number), 0, NOW)
    assert len(memory._seen) <= 1_000
