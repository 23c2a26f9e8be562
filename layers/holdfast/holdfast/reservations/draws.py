"""From which shards a quantity is drawn, and the proof that it cannot be (PROTOCOL.md 5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.claims.pool import Pool, Shard, spread
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import PoolShardItem
from holdfast.platform.tables import Keys


@dataclass(frozen=True)
class Draw:
    """Units by shard number, all on the same terms."""

    terms: Terms
    units: Mapping[int, int]


@dataclass(frozen=True)
class Short:
    """Proved: at one moment since `read_started` (ms) there were only `left` units in the whole pool."""

    left: int
    read_started: int


@dataclass(frozen=True)
class Unsettled:
    """Nothing is proved: units came back meanwhile, or are spread over terms that are just changing."""


def look(store: Store, keys: Keys, pool: Pool) -> list[Shard]:
    """Return all shards of a pool that exist, each as a consistent read saw it."""
    items = store.batch_get(pool.keys(keys))
    shards = []
    for number, key in enumerate(pool.keys(keys)):
        if key in items:
            item = read(PoolShardItem, items[key])
            shards.append(Shard(number, item.available, item.released, terms_of(item)))
    return shards


def find(
    store: Store, clock: Clock, keys: Keys, pool: Pool, quantity: int, own: Mapping[int, int], one_price: bool = True
) -> Draw | Short | Unsettled:
    """Return from where to draw `quantity`, or the proof that it is not there.

    `own` are units by shard number that the taker gives back in the same transaction; without `one_price` it makes no
    difference on which terms a shard is sold. The proof is two reads between
    which no shard's `released` changed: then no `available` rose, so that at the moment between them the pool had at
    most what the first read saw in all. One read alone would miss a unit that moved from a shard it had yet to read to
    one it had read.
    """
    read_started = clock.now()
    first = look(store, keys, pool)
    found = spread(quantity, [_usable(shard, own, shard.terms if one_price else pool.terms) for shard in first])
    if found is not None:
        return Draw(*found)
    left = sum(shard.available for shard in first)
    if left + sum(own.values()) >= quantity:
        return Unsettled()
    second = look(store, keys, pool)
    if [shard.released for shard in first] != [shard.released for shard in second]:
        return Unsettled()
    return Short(left, read_started)


def _usable(shard: Shard, own: Mapping[int, int], terms: Terms) -> Shard:
    return Shard(shard.number, shard.available + own.get(shard.number, 0), shard.released, terms)
