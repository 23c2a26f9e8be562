"""What a warm function knows of products, for seconds: enough to reserve without asking (DESIGN.md, Hot path)."""

from collections.abc import Mapping, Sequence

from holdfast.claims.pool import Pool, terms_of
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import ProductItem
from holdfast.platform.tables import Key, Keys

KNOWN_FOR = 10_000
"""Milliseconds; how stale is of no matter to correctness, since the claimed items are guarded by their own terms."""

_MOST_PRODUCTS = 1_000


def pool_name(product_id: str) -> str:
    """Return the name of the pool that holds a product's stock."""
    return f"product.{product_id}"


def pool_of(product: ProductItem, product_id: str) -> Pool:
    """Return a product's pool and the terms it is sold on."""
    return Pool(pool_name(product_id), product.shards, terms_of(product))


class ProductFacts:
    """The products room as the engine's catalogue."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[Pool, int]] = {}

    def pool(self, tenant: str, product_id: str) -> Pool | None:
        """Return the pool and terms of a product as they are now, or None."""
        now = self._clock.now()
        product = self._store.get(ProductItem, Keys(tenant).product(product_id))
        return None if product is None else self._learn(tenant, product_id, product, now)

    def pools(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Pool]:
        """Return the pools and terms of those products that exist; what memory does not have is read in one request."""
        now = self._clock.now()
        found: dict[str, Pool] = {}
        unknown: dict[Key, str] = {}
        for product_id in product_ids:
            known = self._known.get((tenant, product_id))
            if known is not None and 0 <= now - known[1] < KNOWN_FOR:
                found[product_id] = known[0]
            else:
                unknown[Keys(tenant).product(product_id)] = product_id
        for key, item in self._store.batch_get(unknown).items():
            found[unknown[key]] = self._learn(tenant, unknown[key], read(ProductItem, item), now)
        return found

    def _learn(self, tenant: str, product_id: str, product: ProductItem, now: int) -> Pool:
        if len(self._known) >= _MOST_PRODUCTS:
            self._known.clear()
        pool = pool_of(product, product_id)
        self._known[tenant, product_id] = (pool, now)
        return pool
