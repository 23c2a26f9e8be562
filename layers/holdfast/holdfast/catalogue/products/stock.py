"""Products and their stock: put on sale, read, counted, restocked."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.catalogue.products.facts import pool_of
from holdfast.claims.changes import netted
from holdfast.claims.pool import Pool, restock
from holdfast.claims.shards import new_shards, shards_for, spread_new
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, read
from holdfast.platform.errors import Busy, ProductNotFound, StockBelowCommitted
from holdfast.platform.items import PoolShardItem, ProductItem
from holdfast.platform.tables import Keys, product_of
from holdfast.reservations import creation
from holdfast.reservations.draws import Short, Unsettled, find
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.numbering import next_number


@dataclass(frozen=True)
class NewProduct:
    """A product to be put on sale; `expected_peak` is in reserves a second, None where nobody said."""

    name: str
    description: str | None
    total_stock: int
    price_minor: int
    currency: str
    max_per_user: int | None
    expected_peak: int | None = None


@dataclass(frozen=True)
class StockCount:
    """A product's units, exact: `total = available + held + sold`."""

    name: str
    total: int
    available: int
    held: int
    sold: int


def create(engine: Engine, tenant: str, product: NewProduct, keyed: KeyedRequest | None) -> ProductItem:
    """Put a product on sale and return it; the same idempotency key returns it as it was then.

    Ids are the tenant's own numbers from 1. Written in one transaction: the product, its shards, the idempotency
    record. Raises IdempotencyKeyReused and Busy.
    """
    known = creation.replayed(engine, ProductItem, keyed)
    if known is not None:
        return known
    product_id = str(next_number(engine, Keys(tenant).counter("products")))
    now = engine.clock.now()
    item = ProductItem(
        *Keys(tenant).product(product_id),
        name=product.name,
        description=product.description,
        total_stock=product.total_stock,
        shards=shards_for(product.total_stock, product.expected_peak),
        revision=1,
        price_minor=product.price_minor,
        currency=product.currency,
        on_sale=True,
        max_per_user=product.max_per_user,
        created_at=now,
        updated_at=now,
    )
    shards = new_shards(Keys(tenant), pool_of(item, product_id), product.total_stock)
    return creation.make(engine, item, [*map(Put, shards)], keyed)


def get(engine: Engine, tenant: str, product_id: str) -> ProductItem:
    """Return a product; raises ProductNotFound."""
    product = engine.store.get(ProductItem, Keys(tenant).product(product_id))
    if product is None:
        raise ProductNotFound
    return product


def list_all(engine: Engine, tenant: str, limit: int, after: str | None) -> tuple[list[ProductItem], str | None]:
    """Return up to `limit` products in the order of their ids, after product `after`, and the id to go on after."""
    keys = Keys(tenant)
    page = engine.store.query(keys.products(), limit=limit, after=keys.product(after) if after else None)
    last = product_of(page.after) if page.after else None
    return [read(ProductItem, raw) for raw in page.items], last[1] if last else None


def count(engine: Engine, tenant: str, product_id: str) -> StockCount:
    """Return a product's units as its shards count them, each read consistently; raises ProductNotFound."""
    product = get(engine, tenant, product_id)
    raw = engine.store.batch_get(pool_of(product, product_id).keys(Keys(tenant)))
    shards = [read(PoolShardItem, item) for item in raw.values()]
    return StockCount(
        product.name,
        total=sum(shard.total for shard in shards),
        available=sum(shard.available for shard in shards),
        held=sum(shard.held for shard in shards),
        sold=sum(shard.sold for shard in shards),
    )


def set_total(engine: Engine, tenant: str, product_id: str, total: int) -> None:
    """Change how many units of a product there are in all: new ones are spread, surplus ones taken from what is free.

    One transaction over the product and its shards. Raises ProductNotFound, StockBelowCommitted where the units to be
    taken away are held or sold, and Busy.
    """
    keys = Keys(tenant)
    for attempt in engine.retries:
        product = get(engine, tenant, product_id)
        difference = total - product.total_stock
        if difference == 0:
            return
        pool = pool_of(product, product_id)
        units = spread_new(pool.shards, difference) if difference > 0 else _surplus(engine, keys, pool, -difference)
        if units is None:
            engine.retries.wait(attempt)
            continue
        changes = netted(restock(keys.pool_shard(pool.name, number), added) for number, added in units.items())
        actions = [ProductItem.total_stock.set(total), ProductItem.updated_at.set(engine.clock.now())]
        guard = ProductItem.total_stock == product.total_stock
        try:
            engine.store.transact([Update(product.key, actions, guard), *(change.write() for change in changes)])
            return
        except (Cancelled, Contended):
            engine.retries.wait(attempt)
    raise Busy


def _surplus(engine: Engine, keys: Keys, pool: Pool, quantity: int) -> Mapping[int, int] | None:
    found = find(engine.store, engine.clock, keys, pool, quantity, {}, one_price=False)
    if isinstance(found, Short):
        raise StockBelowCommitted
    if isinstance(found, Unsettled):
        return None
    return {number: -units for number, units in found.units.items()}
