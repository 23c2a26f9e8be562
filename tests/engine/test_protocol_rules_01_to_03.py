"""PROTOCOL.md, rules 1 to 3: no shared item, netting, idempotency. One test or more a rule, each an interleaving."""

from collections.abc import Callable

import pytest

from holdfast.catalogue.products import stock, terms
from holdfast.platform.errors import IdempotencyKeyReused, TooManyLines
from holdfast.platform.items import IdempotencyItem, ProductItem
from holdfast.platform.tables import Keys, id_of
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle
from tests.engine.faults import Calls, Crash, crash_after, crash_before, meanwhile
from tests.engine.shop import ListQueue, Shop, refusal


def reprice(shop: Shop, product: str, price_minor: int) -> None:
    terms.change(shop.engine, shop.tenant, product, lambda now: now._replace(price_minor=price_minor))


def test_rule_01_no_shared_item_in_a_reserve(shop: Shop, calls: Calls) -> None:
    """Rule 1: two reserves of one product that draw from different shards name no item in common, and check none."""
    product = shop.product(units=[5, 5])
    other = shop.another(choose=lambda _: 1)
    shop.hold("ann", {product: 1})
    other.hold("bob", {product: 1})
    ours, theirs = (set(call.written) for call in calls.transactions[-2:])
    assert ours.isdisjoint(theirs)
    assert {kind for call in calls.transactions[-2:] for kind, _ in call.writes} == {"Put", "Update"}
    assert not any("PRODUCTS" in pk for pk, _ in ours | theirs)


def test_rule_01_a_stale_price_is_refused_and_read_again_never_sold(shop: Shop) -> None:
    """Rule 1: a function has a price in its cache; it changes; the reserve is made at the new one, in the same call."""
    product = shop.product(price_minor=1_000)
    shop.hold("ann", {product: 1})
    reprice(shop.another(), product, 2_500)
    assert shop.hold("bob", {product: 1}).lines[0].unit_price_minor == 2_500
    assert shop.reserve("eve", {product: 1})
    assert shop.deal("eve", product).lines[0].unit_price_minor == 2_500


def test_rule_01_a_price_changed_between_look_and_write_is_not_sold(shop: Shop, calls: Calls) -> None:
    """Rule 1: the price changes after the catalogue was read afresh, right before the transaction."""
    product = shop.product(price_minor=1_000)
    calls.trouble(meanwhile(lambda: reprice(shop.another(), product, 700)), "TransactWriteItems")
    assert shop.hold("ann", {product: 1}).lines[0].unit_price_minor == 700


def test_rule_01_what_was_taken_off_sale_is_not_sold_from_a_stale_cache(shop: Shop) -> None:
    """Rule 1: `on_sale` is guarded on the claimed item too; a limit raised since is not refused by the old one."""
    product = shop.product(max_per_user=1)
    shop.hold("ann", {product: 1})
    other = shop.another()
    terms.change(other.engine, "demo", product, lambda now: now._replace(max_per_user=3))
    assert shop.hold("ann", {product: 1}).status == "held"
    terms.change(other.engine, "demo", product, lambda now: now._replace(on_sale=False))
    assert refusal(lambda: shop.hold("bob", {product: 1})) == [("items.0", "not_on_sale")]
    terms.change(other.engine, "demo", product, lambda now: now._replace(on_sale=True))
    assert shop.hold("bob", {product: 1}).status == "held"


def test_rule_01_carts_of_a_stale_currency_are_read_again(shop: Shop) -> None:
    """Rule 1: a product changes currency; a function that remembers the old one does not call the cart mixed."""
    dollars, changing = shop.product(), shop.product()
    shop.hold("ann", {dollars: 1, changing: 1})
    for product in (dollars, changing):
        terms.change(shop.another().engine, "demo", product, lambda now: now._replace(currency="EUR"))
        shop.hold("cat", {dollars: 1})
    assert {line.currency for line in shop.hold("bob", {dollars: 1, changing: 1}).lines} == {"EUR"}


@pytest.mark.parametrize("died_after", range(4))
def test_rule_01_repricing_fans_out_resumably(shop: Shop, calls: Calls, died_after: int) -> None:
    """Rule 1: the repricing function dies after any of its writes; until it is resumed a line still has one price."""
    product = shop.product(units=[1, 1, 1])
    calls.trouble(crash_before, "UpdateItem", skip=died_after)
    with pytest.raises(Crash):
        reprice(shop, product, 5)
    calls.clear()
    item = shop.store.get(ProductItem, shop.keys.product(product))
    assert item is not None
    if died_after:
        assert item.due is not None
        assert shop.store.query_due(item.due_bucket or 0, item.due) == ([item.key], None)
    held = shop.hold("ann", {product: 1})
    assert held.lines[0].unit_price_minor in (5, 1_000)
    if died_after:
        terms.resume(shop.engine, item.key)
        assert {shard.price_minor for shard in shop.shards(product)} == {5}
    reprice(shop, product, 9)
    assert {shard.price_minor for shard in shop.shards(product)} == {9}
    found = shop.store.get(ProductItem, item.key)
    assert found is not None
    assert found.due is None


@pytest.mark.parametrize("write", range(1, 4))
def test_rule_01_of_two_price_changes_at_once_the_later_stays(shop: Shop, calls: Calls, write: int) -> None:
    """Rule 1: a whole other change is made right before one of the earlier one's fan-out writes: it is not undone."""
    product = shop.product(units=[1, 1])
    calls.trouble(meanwhile(lambda: reprice(shop.another(), product, 7)), "UpdateItem", skip=write)
    reprice(shop, product, 5)
    assert [(shard.price_minor, shard.revision) for shard in shop.shards(product)] == [(7, 3)] * 2
    item = shop.store.get(ProductItem, shop.keys.product(product))
    assert item is not None
    assert (item.price_minor, item.due) == (7, None)


def test_rule_02_netting_no_transaction_names_an_item_twice(shop: Shop, calls: Calls) -> None:
    """Rule 2: two limited lines share the user's limits; a lapsed hold is given back where the new one draws."""
    one, two = shop.product(max_per_user=5), shop.product(max_per_user=5)
    shop.reserve("ann", {one: 2, two: 2})
    shop.clock.forward(600_000)
    shop.reserve("ann", {one: 3, two: 1})
    for call in calls.transactions:
        assert len(set(call.written)) == len(call.written)
    assert (shop.count(one), shop.count(two)) == ((7, 3, 0), (9, 1, 0))
    shop.audit()


def test_rule_02_expiries_of_one_shard_are_netted(shop: Shop, calls: Calls) -> None:
    """Rule 2: two holds of one shard and one user lapse together; shard and limits are each written once."""
    product = shop.product(max_per_user=5)
    records = [shop.hold("ann", {product: 1}), shop.hold("ann", {product: 2})]
    shop.clock.forward(600_000)
    calls.clear()
    assert handle(shop.engine, ListQueue(), [shop.message(record) for record in records]) == set()
    assert [len(call.written) for call in calls.transactions] == [4]
    shop.audit()


def test_rule_02_over_twenty_lines_is_refused_before_writing(shop: Shop, calls: Calls) -> None:
    """Rule 2: a cart over 20 lines, and one whose draws come to over 100 writes, are refused and write nothing."""
    scattered = [shop.product(units=[1] * 6) for _ in range(20)]
    one_more = shop.product()
    calls.clear()
    with pytest.raises(TooManyLines):
        shop.hold("ann", dict.fromkeys([*scattered, one_more], 1))
    assert calls.transactions == []
    with pytest.raises(TooManyLines):
        shop.hold("ann", dict.fromkeys(scattered, 6))
    assert max(len(call.written) for call in calls.transactions) <= 100
    assert all(shop.count(product) == (6, 0, 0) for product in scattered)
    assert shop.hold("ann", dict.fromkeys(scattered, 1)).status == "held"


def test_rule_03_idempotency_the_same_answer_whatever_became_of_it(shop: Shop) -> None:
    """Rule 3: a replay after extension, confirmation, cancellation and expiry is what was first answered."""
    product = shop.product(units=4)
    first = {name: shop.hold("ann", {product: 1}, name) for name in ("extended", "confirmed", "cancelled", "expired")}
    extend(shop.engine, first["extended"].key, None, "once")
    confirm(shop.engine, first["confirmed"].key)
    cancel(shop.engine, first["cancelled"].key)
    shop.clock.forward(600_000)
    handle(shop.engine, ListQueue(), [shop.message(first["expired"])])
    shop.hold("bob", {product: 2})
    assert refusal(lambda: shop.hold("eve", {product: 1})) == [("items.0", "insufficient_stock")]
    for name, answered in first.items():
        again = shop.hold("ann", {product: 1}, name)
        for seen in ("id", "status", "expires_at", "created_at", "user_id"):
            assert getattr(again, seen) == getattr(answered, seen)
        assert [line.serialize(line) for line in again.lines] == [line.serialize(line) for line in answered.lines]
        with pytest.raises(IdempotencyKeyReused):
            shop.hold("ann", {product: 2}, name)
    shop.audit()


@pytest.mark.parametrize("route", ["unified", "older"])
@pytest.mark.parametrize("since", ["sold out", "off sale", "limited", "gone", "other currency"])
def test_rule_03_a_replay_is_found_before_anything_else_is_looked_at(shop: Shop, since: str, route: str) -> None:
    """Rule 3: since the first answer the product sold out (and that is remembered), or went on other terms."""
    product, other = shop.product(units=2), shop.product(units=2)
    ask = shop.hold if route == "unified" else shop.reserve
    first = ask("ann", {product: 1, other: 1}, "key")
    if since == "sold out":
        shop.hold("bob", {product: 1})
        refusal(lambda: shop.hold("eve", {product: 1}))
    elif since == "gone":
        shop.catalogue._known.clear()
        _delete(shop, shop.keys.product(product))
    else:
        wanted = {"off sale": {"on_sale": False}, "limited": {"max_per_user": 0}, "other currency": {"currency": "EUR"}}
        terms.change(shop.engine, "demo", product, lambda now: now._replace(**wanted[since]))
    shop.catalogue._known.clear()
    with_key = ask("ann", {product: 1, other: 1}, "key")
    assert (with_key == first) if route == "older" else (with_key.id, with_key.status) == (first.id, "held")
    with pytest.raises(IdempotencyKeyReused):
        ask("ann", {product: 2, other: 1}, "key")


def _delete(shop: Shop, key: tuple[str, str]) -> None:
    raw = {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
    shop.store._connection.client.delete_item(TableName=shop.store._table, Key=raw)


def test_rule_03_a_twin_in_flight_is_retried_and_replays(shop: Shop, calls: Calls) -> None:
    """Rule 3: of two same requests the second writes right before the first; both get the one reservation."""
    product = shop.product()
    twin = shop.another()
    won = []
    calls.trouble(meanwhile(lambda: won.append(twin.hold("ann", {product: 2}, "key"))), "TransactWriteItems")
    assert shop.hold("ann", {product: 2}, "key").id == won[0].id
    calls.trouble(meanwhile(lambda: won.append(twin.reserve("ann", {product: 3}, "deal"))), "TransactWriteItems")
    assert shop.reserve("ann", {product: 3}, "deal") == won[1]
    assert shop.count(product) == (5, 5, 0)


@pytest.mark.parametrize("call", range(4))
def test_rule_03_a_twin_that_buys_everything_does_not_refuse_the_other(shop: Shop, calls: Calls, call: int) -> None:
    """Rule 3: a check-out's twin makes it before any of its calls; what is left is too little, yet it replays."""
    product = shop.product()
    shop.reserve("ann", {product: 3})
    bought: list[object] = []
    calls.trouble(meanwhile(lambda: bought.append(shop.another().buy("ann", product, 2, "key"))), skip=call)
    order = shop.buy("ann", product, 2, "key")
    assert bought in ([], [order])
    assert shop.buy("ann", product, 2, "key") == order
    assert shop.count(product) == (7, 1, 2)


@pytest.mark.parametrize("call", range(3))
def test_rule_03_a_twin_that_takes_the_last_does_not_refuse_the_other(shop: Shop, calls: Calls, call: int) -> None:
    """Rule 3: the twin takes the last units before any of the first's calls; the first replays, it is not short."""
    product = shop.product(units=2)
    shop.catalogue._known.clear()
    twin = shop.another()
    calls.trouble(meanwhile(lambda: twin.hold("ann", {product: 2}, "key")), skip=call)
    assert shop.hold("ann", {product: 2}, "key").status == "held"
    assert shop.count(product) == (0, 2, 0)


def test_rule_03_a_refusal_is_not_remembered(shop: Shop) -> None:
    """Rule 3: a refused key may be tried again, and with another body, once units are back."""
    product = shop.product(units=1)
    held = shop.hold("ann", {product: 1})
    refusal(lambda: shop.hold("bob", {product: 1}, "key"))
    refusal(lambda: shop.reserve("bob", {product: 1}, "key"))
    cancel(shop.engine, held.key)
    shop.clock.forward(1_000)
    assert shop.hold("bob", {product: 1}, "key").status == "held"


def test_rule_03_keys_are_scoped_to_tenant_user_and_route(shop: Shop) -> None:
    """Rule 3: the same key of another tenant, user or route is another key."""
    product = shop.product()
    made = [shop.hold("ann", {product: 1}, "key").id, shop.hold("bob", {product: 1}, "key").id]
    elsewhere = Shop(shop.store, shop.clock, "other")
    made.append(elsewhere.hold("ann", {elsewhere.product(): 1}, "key").id)
    shop.reserve("ann", {product: 1}, "key")
    assert shop.buy("ann", product, 1, "key").quantity == 1
    keys = [Keys("demo").idempotency("ann", route, "key") for route in ("a", "b")]
    assert len({*made, *keys}) == 5


def test_rule_03_keys_live_at_least_a_day(shop: Shop) -> None:
    """Rule 3: TTL deletes neither a record of a key within 24 h, nor an ended reservation whose key may come again."""
    product = shop.product()
    shop.reserve("ann", {product: 1}, "deal")
    known = shop.store.get(IdempotencyItem, shop.keys.idempotency("ann", "reserve", "deal"))
    assert known is not None
    ended = cancel(shop.engine, shop.hold("ann", {product: 1}).key)
    a_day_on = shop.clock.now() // 1_000 + 24 * 3_600
    assert known.ttl > a_day_on
    assert (shop.stored(ended.key).ttl or 0) > a_day_on


@pytest.mark.parametrize("route", ["unified", "older", "check-out", "product"])
@pytest.mark.parametrize("trouble", [crash_before, crash_after])
def test_rule_03_a_crash_and_the_same_key_again_take_effect_once(
    shop: Shop, calls: Calls, route: str, trouble: Callable[..., dict[str, object]]
) -> None:
    """Rule 3: the function dies right before or right after its transaction; the client sends the same again."""
    product = shop.product()
    shop.reserve("ann", {product: 4})
    new = stock.NewProduct("Once", None, 1, 1, "USD", None)
    asks: dict[str, Callable[[], object]] = {
        "unified": lambda: shop.hold("ann", {product: 2}, "key").id,
        "older": lambda: shop.reserve("ann", {product: 2}, "key"),
        "check-out": lambda: shop.buy("ann", product, 2, "key"),
        "product": lambda: id_of(
            stock.create(shop.engine, "demo", new, shop.keyed("-", "products", "key", new.name)).key
        ),
    }
    calls.trouble(trouble, "TransactWriteItems", skip=route == "older")
    with pytest.raises(Crash):
        asks[route]()
    answer = asks[route]()
    assert asks[route]() == answer
    held_and_sold = {"unified": (6, 0), "older": (6, 0), "check-out": (2, 2), "product": (4, 0)}
    assert shop.count(product)[1:] == held_and_sold[route]
    assert len(stock.list_all(shop.engine, "demo", 10, None)[0]) == (2 if route == "product" else 1)
