"""Changing what a product is sold on: price, currency, on sale or not, how many a user may have.

The terms stand on every shard, where a reserve is guarded by them (PROTOCOL.md 1). So a change is first written to the
product, under a higher revision and marked as due; then it is fanned out over the shards, one by one, so that it stands
in no reserve's way; then the mark is taken off. A fan-out that broke off is resumed by the next change, or by the
sweeper.
"""

from collections.abc import Callable

from pynamodb.expressions.update import Action

from holdfast.catalogue.products.facts import pool_of
from holdfast.catalogue.products.stock import get
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform.dynamodb import Cancelled, Contended, Update
from holdfast.platform.errors import Busy
from holdfast.platform.items import ItemOnSale, PoolShardItem, ProductItem
from holdfast.platform.tables import Key, Keys, due_bucket, product_of
from holdfast.reservations.engine import Engine

_RESUMED_AFTER = 30_000
"""Milliseconds after which the sweeper takes a fan-out for broken off."""


def rename(engine: Engine, tenant: str, product_id: str, name: str) -> None:
    """Change what a product is called; raises ProductNotFound and Busy."""
    _describe(engine, tenant, product_id, ProductItem.name.set(name))


def describe(engine: Engine, tenant: str, product_id: str, text: str | None) -> None:
    """Change a product's description, or take it away; raises ProductNotFound and Busy."""
    action = ProductItem.description.remove() if text is None else ProductItem.description.set(text)
    _describe(engine, tenant, product_id, action)


def change(engine: Engine, tenant: str, product_id: str, rewritten: Callable[[Terms], Terms]) -> None:
    """Sell a product on the terms that `rewritten` makes of the present ones; return when every shard has them.

    The revision is given here. Of two changes at once, the later is made of what the earlier left, and is in force on
    every shard in the end. Raises ProductNotFound and Busy.
    """
    for attempt in engine.retries:
        product = get(engine, tenant, product_id)
        terms = rewritten(terms_of(product))
        if terms == terms_of(product) and product.due is None:
            return
        terms = terms._replace(revision=product.revision + 1)
        now = engine.clock.now()
        actions = [
            *_setting(terms),
            ProductItem.updated_at.set(now),
            ProductItem.due.set(now + _RESUMED_AFTER),
            ProductItem.due_bucket.set(due_bucket(product.key)),
        ]
        try:
            engine.store.write(Update(product.key, actions, ProductItem.revision == product.revision))
        except (Cancelled, Contended):
            engine.retries.wait(attempt)
            continue
        resume(engine, product.key)
        return
    raise Busy


def resume(engine: Engine, key: Key) -> None:
    """Bring the terms of the product at `key` to those of its shards that do not have them, and take its mark off."""
    named = product_of(key)
    product = engine.store.get(ProductItem, key)
    if named is None or product is None:
        return
    tenant, product_id = named
    pool = pool_of(product, product_id)
    older = PoolShardItem.revision < product.revision
    for shard in pool.keys(Keys(tenant)):
        _write(engine, Update(shard, _setting(pool.terms), PoolShardItem.pk.exists() & older))
    unmark: list[Action] = [ProductItem.due.remove(), ProductItem.due_bucket.remove()]
    _write(engine, Update(key, unmark, ProductItem.revision == product.revision))


def _describe(engine: Engine, tenant: str, product_id: str, action: Action) -> None:
    product = get(engine, tenant, product_id)
    now = ProductItem.updated_at.set(engine.clock.now())
    _write(engine, Update(product.key, [action, now], ProductItem.pk.exists()))


def _setting(terms: Terms) -> list[Action]:
    most = terms.max_per_user
    return [
        ItemOnSale.revision.set(terms.revision),
        ItemOnSale.price_minor.set(terms.price_minor),
        ItemOnSale.currency.set(terms.currency),
        ItemOnSale.on_sale.set(terms.on_sale),
        ItemOnSale.max_per_user.remove() if most is None else ItemOnSale.max_per_user.set(most),
    ]


def _write(engine: Engine, update: Update) -> None:
    """Make an update unless its condition says that it is made, or overtaken; raises Busy."""
    for attempt in engine.retries:
        try:
            engine.store.write(update)
            return
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if not refusal.contended:
                return
            engine.retries.wait(attempt)
    raise Busy
