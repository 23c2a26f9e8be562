"""How a pool is laid out over counter shards, so that it can be sold faster than one item can be written."""

from holdfast.claims.pool import Pool
from holdfast.platform.items import PoolShardItem
from holdfast.platform.tables import Keys

MOST_SHARDS = 64
"""Shards of one pool: all of them, what they belong to and its idempotency record fit one transaction of 100."""

RESERVES_PER_SHARD = 250
"""Reserves a second that one shard is planned for. AWS allows an item 1 000 write units a second and a transactional
write takes two; half of that is kept for releases and for transactions that meet each other."""

_STOCK_PER_SHARD = 1_000


def shards_for(stock: int, expected_peak: int | None) -> int:
    """Return how many shards a pool needs: by the expected peak, else by its size; 1 for a small one, at most 64."""
    wanted = stock // _STOCK_PER_SHARD if expected_peak is None else -(-expected_peak // RESERVES_PER_SHARD)
    return max(1, min(MOST_SHARDS, wanted, max(stock, 1)))


def spread_new(shards: int, quantity: int) -> dict[int, int]:
    """Return how many of `quantity` new units each of so many shards gets, by its number."""
    each, rest = divmod(quantity, shards)
    return {number: each + (number < rest) for number in range(shards) if each + (number < rest)}


def new_shards(keys: Keys, pool: Pool, total: int) -> list[PoolShardItem]:
    """Return the shards of a new pool of `total` units, all on the pool's terms."""
    units = spread_new(pool.shards, total)
    return [
        PoolShardItem(
            *key,
            available=units.get(number, 0),
            held=0,
            sold=0,
            total=units.get(number, 0),
            released=0,
            **pool.terms._asdict(),
        )
        for number, key in enumerate(pool.keys(keys))
    ]
