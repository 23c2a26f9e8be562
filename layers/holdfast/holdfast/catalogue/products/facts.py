"""What a warm function knows of products, for seconds: enough to reserve without asking (DESIGN.md, Hot path)."""

from collections.abc import Mapping, Sequence

from holdfast.claims.pool import Pool
from holdfast.claims.terms import terms_of
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import RawItem, Store, read
from holdfast.platform.errors import Fault
from holdfast.platform.items import ProductItem
from holdfast.platform.tables import Key, Keys, product_pool
from holdfast.reservations.engine import Demand, LineRequest, Opening
from holdfast.reservations.pool_demand import PoolDemand

KNOWN_FOR = 10_000
"""Milliseconds; how stale is of no matter to correctness, since the claimed items are guarded by their own terms."""

_MOST_PRODUCTS = 1_000


def pool_of(product: ProductItem, product_id: str) -> Pool:
    """Return a product's pool and the terms it is sold on."""
    return Pool(product_pool(product_id), product.shards, terms_of(product))


class ProductFacts:
    """The products room's answers about lines of kind `product`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[Pool, int]] = {}

    def wants(self, tenant: str, line: LineRequest, now: int) -> Sequence[Key]:
        """Return the product's key, unless memory knows it."""
        product_id = _id_of(line)
        return [] if self._remembered(tenant, product_id, now) else [Keys(tenant).product(product_id)]

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return a demand for the product's stock, on the terms that memory or `items` have."""
        tenant, product_id = opening.tenant, _id_of(line)

        def refresh() -> Pool | Fault:
            return self._pool(tenant, product_id) or _unknown(line)

        pool = self._remembered(tenant, product_id, opening.now)
        if pool is None:
            item = items.get(Keys(tenant).product(product_id))
            if item is None:
                return _unknown(line)
            pool = self._learn(tenant, product_id, read(ProductItem, item), opening.now)
        return PoolDemand.of(opening, line, pool, refresh)

    def _remembered(self, tenant: str, product_id: str, now: int) -> Pool | None:
        known = self._known.get((tenant, product_id))
        return known[0] if known is not None and 0 <= now - known[1] < KNOWN_FOR else None

    def _pool(self, tenant: str, product_id: str) -> Pool | None:
        """Return the pool and terms of a product as they are now, or None."""
        now = self._clock.now()
        product = self._store.get(ProductItem, Keys(tenant).product(product_id))
        return None if product is None else self._learn(tenant, product_id, product, now)

    def _learn(self, tenant: str, product_id: str, product: ProductItem, now: int) -> Pool:
        if len(self._known) >= _MOST_PRODUCTS:
            self._known.clear()
        pool = pool_of(product, product_id)
        self._known[tenant, product_id] = (pool, now)
        return pool


def _id_of(line: LineRequest) -> str:
    assert line.product_id is not None
    return line.product_id


def _unknown(line: LineRequest) -> Fault:
    return Fault(line.field, "There is no such product.", "product_not_found")
