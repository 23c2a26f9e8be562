"""PROTOCOL.md, rules 4 to 6: deal holds, sold out proved, sold out remembered."""

from typing import Any

import pytest

from holdfast.catalogue.products import terms
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.platform.errors import Busy, MixedCurrencies, Refused, ReservationNotFound
from holdfast.reservations import deal_holds, reading
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle
from tests.engine.faults import Answer, Call, Calls, Trouble, conflict, meanwhile
from tests.engine.shop import ListQueue, Shop


def refused_stock(shop: Shop, units: int, product: str, user: str = "eve") -> None:
    with pytest.raises(Refused) as refused:
        shop.hold(user, {product: units})
    assert refused.value.code == "insufficient_stock"


def test_rule_04_deal_holds_add_up_and_start_their_time_anew(shop: Shop) -> None:
    """Rule 4: a second reserve adds to the one item, renews its time, keeps its id; parts keep their price."""
    product = shop.product(price_minor=1_000)
    (first,) = shop.reserve("ann", {product: 2})
    terms.change(shop.another().engine, "demo", product, lambda now: now._replace(price_minor=900))
    shop.clock.forward(60_000)
    (second,) = shop.reserve("ann", {product: 1})
    (third,) = shop.reserve("ann", {product: 1})
    assert (second.quantity, third.quantity) == (3, 4)
    assert second.reservation_id == first.reservation_id
    assert second.expires_at == first.expires_at + 60_000
    lines = [(line.quantity, line.unit_price_minor) for line in shop.deal("ann", product).lines]
    assert lines == [(2, 1_000), (2, 900)]
    assert shop.count(product) == (6, 4, 0)
    assert deal_holds.held_by(shop.engine, "demo", "ann") == [third]


def test_rule_04_two_adds_at_once_both_count(shop: Shop, calls: Calls) -> None:
    """Rule 4: another add lands between this one's failed first attempt and its second; neither is lost."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    twin = shop.another()
    calls.trouble(meanwhile(lambda: twin.reserve("ann", {product: 3})), "TransactWriteItems", skip=1)
    assert shop.reserve("ann", {product: 2})[0].quantity == 6
    assert shop.count(product) == (4, 6, 0)
    shop.audit()


@pytest.mark.parametrize("units", [1, 2, 3, 5])
def test_rule_04_a_lapsed_hold_not_yet_released_is_netted_with_the_new_one(shop: Shop, units: int) -> None:
    """Rule 4: past its time, nobody released it; the next reserve takes its units over, shard by shard, once."""
    product = shop.product(units=[3, 2], max_per_user=5)
    shop.reserve("ann", {product: 4})
    (old,) = deal_holds.held_by(shop.engine, "demo", "ann")
    before = shop.deal("ann", product)
    shop.clock.forward(600_000)
    (new,) = shop.reserve("ann", {product: units})
    assert new.quantity == units
    assert new.reservation_id != old.reservation_id
    assert shop.deal("ann", product).life != before.life
    assert shop.count(product) == (5 - units, units, 0)
    key, life = reading.locate("demo", old.reservation_id)
    with pytest.raises(ReservationNotFound):
        cancel(shop.engine, key, life)
    handle(shop.engine, ListQueue(), [shop.message(before)])
    assert shop.count(product) == (5 - units, units, 0)
    shop.audit({product: 5})


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize("attempt", [0, 1])
def test_rule_04_a_lapsed_hold_taken_again_is_within_the_limit_of_today(
    shop: Shop, calls: Calls, units: int, attempt: int
) -> None:
    """Rule 4: right before an attempt the limit is lowered to what the user bought: the lapsed units are no way round.

    They are given back in the same transaction, so that the count does not rise: the limit is looked at all the same.
    """
    product = shop.product(max_per_user=9)
    shop.reserve("ann", {product: 3})
    shop.buy("ann", product, 3)
    shop.clock.forward(1)
    shop.reserve("ann", {product: 2})
    shop.clock.forward(600_000)
    seller = shop.another()
    lower = lambda: terms.change(seller.engine, "demo", product, lambda now: now._replace(max_per_user=3))  # noqa: E731
    calls.trouble(meanwhile(lower), "TransactWriteItems", skip=attempt)
    with pytest.raises(Refused) as refused:
        shop.reserve("ann", {product: units})
    assert refused.value.code == "limit_exceeded"
    assert shop.count(product) == (5, 2, 3)


def test_rule_04_a_hold_that_ended_is_followed_by_a_new_life_even_in_the_same_millisecond(shop: Shop) -> None:
    """Rule 4: let go and reserved again without the clock moving: another life, another id, counted once."""
    product = shop.product()
    ids = set()
    for _ in range(3):
        ids.add(shop.reserve("ann", {product: 2})[0].reservation_id)
        deal_holds.let_go(shop.engine, "demo", "ann", product)
    assert len(ids) == 3
    assert shop.count(product) == (10, 0, 0)


def test_rule_04_an_item_deleted_between_two_attempts_is_forgotten(shop: Shop, calls: Calls) -> None:
    """Rule 4: the ended hold that the first attempt met is deleted by TTL before the second."""
    product = shop.product()
    shop.reserve("ann", {product: 2})
    deal_holds.let_go(shop.engine, "demo", "ann", product)
    raw = {"pk": {"S": shop.deal("ann", product).pk}, "sk": {"S": f"H#{product}"}}
    delete = meanwhile(lambda: shop.another().store._connection.client.delete_item(TableName=table, Key=raw))
    table = shop.store._table
    calls.trouble(delete, "TransactWriteItems", skip=1)
    assert shop.reserve("ann", {product: 1})[0].quantity == 1


def test_rule_04_an_add_keeps_the_one_extension_used(shop: Shop) -> None:
    """Rule 4: extended, then added to; the extension's late twin does not extend a second time."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    held = shop.deal("ann", product)
    extend(shop.engine, held.key, held.life, "request")
    (added,) = shop.reserve("ann", {product: 1})
    assert extend(shop.engine, held.key, held.life, "request").expires_at == added.expires_at


def test_rule_04_a_hold_is_in_one_currency(shop: Shop) -> None:
    """Rule 4: parts keep their price, so a part in another currency cannot join them."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    terms.change(shop.engine, "demo", product, lambda now: now._replace(currency="EUR"))
    with pytest.raises(MixedCurrencies):
        shop.reserve("ann", {product: 1})
    assert shop.count(product) == (9, 1, 0)


def test_rule_05_sold_out_with_one_shard_is_proved_by_what_the_condition_saw(shop: Shop, calls: Calls) -> None:
    """Rule 5: one shard; the refusal is the failed condition's own item, and no read follows."""
    product = shop.product(units=2)
    shop.warm(product)
    calls.clear()
    refused_stock(shop, 3, product)
    assert calls.operations == ["TransactWriteItems", "GetItem"]
    assert calls.made[1].arguments["Key"]["sk"]["S"].startswith("R#")
    assert shop.hold("ann", {product: 2}).status == "held"


def test_rule_05_shards_never_refuse_what_their_sum_can_serve(shop: Shop) -> None:
    """Rule 5: the units lie one by one on many shards, and the first draw is always short."""
    product = shop.product(units=[0, 1, 0, 2, 1])
    drawn = shop.hold("ann", {product: 4}).allocated()
    assert drawn == {f"product.{product}#{number:02d}": units for number, units in ((1, 1), (3, 2), (4, 1))}
    refused_stock(shop, 1, product)


@pytest.mark.parametrize("torn_reads", [1, 2, 3, 4])
def test_rule_05_a_unit_that_moves_between_two_reads_is_not_missed(shop: Shop, calls: Calls, torn_reads: int) -> None:
    """Rule 5: the empty shard is read; then its unit comes back while the other's is taken; then the other is read.

    At every moment one unit was free, yet each reading's sum is none: only `released` tells.
    """
    product = shop.product(units=[1, 1])
    on = [shop.another(choose=lambda _, number=number: number) for number in (0, 1)]
    taken = {1: on[1].hold("ann", {product: 1}).key}

    def torn(call: Call) -> Answer:
        ((empty, key),) = taken.items()
        full = 1 - empty
        earlier = call.make()
        taken[full] = on[full].hold("ann", {product: 1}).key
        cancel(shop.engine, key)
        del taken[empty]
        later = call.make()
        parts = [_only(earlier, empty), _only(later, full)]
        assert [part["available"]["N"] for part in parts] == ["0", "0"]
        return {**later, "Responses": {shop.store._table: parts}}

    on[1].warm(product)
    calls.trouble(torn, "BatchGetItem", times=torn_reads)
    assert on[1].hold("eve", {product: 1}).status == "held"
    assert shop.count(product) == (0, 2, 0)


def _only(answer: Answer, shard: int) -> Any:
    ((_, items),) = answer["Responses"].items()
    return next(item for item in items if item["pk"]["S"].endswith(f"#{shard:02d}"))


def test_rule_05_attempts_used_up_are_busy_never_sold_out(shop: Shop, calls: Calls) -> None:
    """Rule 5: every attempt meets another writer; nothing is proved, so the answer is to try again."""
    product = shop.product(units=[1, 1])
    calls.trouble(conflict, "TransactWriteItems", times=8)
    with pytest.raises(Busy) as busy:
        shop.hold("ann", {product: 1})
    assert busy.value.retry_after == 1
    assert shop.count(product) == (2, 0, 0)
    assert shop.hold("ann", {product: 2}).status == "held"


def test_rule_05_losing_every_race_for_the_last_unit_is_busy(shop: Shop, calls: Calls) -> None:
    """Rule 5: whenever a shard is found with the unit, it has just moved to the other; that is no shortage."""
    product = shop.product(units=[1, 1])
    on = [shop.another(choose=lambda _, number=number: number) for number in (0, 1)]
    taken = {1: on[1].hold("ann", {product: 1}).key}

    def too_late(call: Call) -> Answer:
        ((empty, key),) = taken.items()
        full = 1 - empty
        if any(pk.endswith(f"#{full:02d}") for pk, _ in call.written):
            taken[full] = on[full].hold("ann", {product: 1}).key
            cancel(shop.engine, key)
            del taken[empty]
        return call.make()

    calls.trouble(too_late, "TransactWriteItems", times=8)
    with pytest.raises(Busy):
        shop.hold("eve", {product: 1})
    assert shop.count(product) == (1, 1, 0)
    shop.audit()


def test_rule_06_a_remembered_sold_out_asks_nothing_and_forgets_in_time(shop: Shop, calls: Calls) -> None:
    """Rule 6: right after a proof the crowd costs no transaction; under a second later the shards are asked again."""
    product = shop.product(units=2)
    held = shop.hold("ann", {product: 2})
    refused_stock(shop, 1, product)
    cancel(shop.engine, held.key)
    calls.clear()
    refused_stock(shop, 1, product)
    assert calls.transactions == []
    assert REMEMBERED_FOR < 1_000
    shop.clock.forward(REMEMBERED_FOR)
    assert shop.hold("eve", {product: 1}).status == "held"


def test_rule_06_only_quantities_above_the_sum_seen_are_refused(shop: Shop, calls: Calls) -> None:
    """Rule 6: three are left on two shards; five were refused; the next customer asks for three, another for four."""
    product = shop.product(units=[2, 1])
    refused_stock(shop, 5, product)
    calls.clear()
    refused_stock(shop, 4, product)
    assert calls.transactions == []
    assert shop.hold("ann", {product: 3}).status == "held"


@pytest.mark.parametrize("units", [[0, 0], [0]])
def test_rule_06_what_counts_is_when_the_read_started(shop: Shop, calls: Calls, units: list[int]) -> None:
    """Rule 6: the proof took 700 ms; units that came back meanwhile are refused for 100 ms more, not for 800."""
    product = shop.product(units=[1, *units[1:]])
    held = shop.hold("ann", {product: 1})
    slow = "BatchGetItem" if len(units) > 1 else "TransactWriteItems"
    calls.trouble(_slowly(shop), slow)
    refused_stock(shop, 1, product)
    cancel(shop.engine, held.key)
    shop.clock.forward(REMEMBERED_FOR - 700 - 1)
    refused_stock(shop, 1, product)
    shop.clock.forward(1)
    assert shop.hold("eve", {product: 1}).status == "held"


def _slowly(shop: Shop) -> Trouble:
    def slow(call: Call) -> Answer:
        try:
            return call.make()
        finally:
            shop.clock.forward(700)

    return slow


def test_rule_06_another_tenants_or_products_memory_is_its_own(shop: Shop) -> None:
    """Rule 6: product 1 of one tenant is sold out; product 1 of another, and product 2, are not."""
    product, other = shop.product(units=1), shop.product(units=1)
    confirm(shop.engine, shop.hold("ann", {product: 1}).key)
    refused_stock(shop, 1, product)
    assert shop.hold("ann", {other: 1}).status == "held"
    elsewhere = shop.another()
    elsewhere.tenant, elsewhere.keys = "other", type(shop.keys)("other")
    assert elsewhere.product(units=1) == product
    object.__setattr__(elsewhere.engine, "memory", shop.engine.memory)
    assert elsewhere.hold("ann", {product: 1}).status == "held"
