"""Requests and write units of each operation, counted by AWS's rules (PROTOCOL.md, Items; DESIGN.md, Budgets)."""

from collections.abc import Callable, Iterator

import pytest

from benchmarks.write_units import Counting, counted
from holdfast.platform.errors import Refused
from holdfast.reservations import deal_holds
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.expiry import handle
from holdfast.reservations.extension import extend
from tests.engine.shop import ListQueue, Shop


@pytest.fixture
def counting(shop: Shop) -> Iterator[Counting]:
    """Count what the shop asks of DynamoDB."""
    with counted(shop.store._connection) as counting:
        yield counting


def cost(counting: Counting, act: Callable[[], object]) -> tuple[int, int]:
    """Return how many requests an act makes, and how many units it writes."""
    counting.reset()
    act()
    return counting.total, counting.write_units


@pytest.mark.parametrize("shards", [1, 4, 64])
def test_one_warm_single_line_reserve_is_1_request_and_at_most_6_write_units(
    shop: Shop, counting: Counting, shards: int
) -> None:
    """The budget is 6, the aim 5: two for the reservation, one for its index entry, two for the shard."""
    product = shop.product(units=1_000, shards=shards)
    shop.hold("ann", {product: 1})
    assert cost(counting, lambda: shop.hold("bob", {product: 5})) == (1, 5)
    assert cost(counting, lambda: shop.reserve("bob", {product: 5})) == (1, 5)


def test_a_per_user_rule_costs_2_more(shop: Shop, counting: Counting) -> None:
    """The budget is 8, the aim 7: the user's limits are one more item."""
    product = shop.product(max_per_user=9)
    shop.hold("ann", {product: 1})
    assert cost(counting, lambda: shop.hold("bob", {product: 1})) == (1, 7)
    assert cost(counting, lambda: shop.reserve("bob", {product: 1})) == (1, 7)


def test_a_reserve_with_the_longest_names_stays_within_6(shop: Shop, counting: Counting) -> None:
    """Bytes are units: the longest user and idempotency key must not push the reservation over a kilobyte."""
    product = shop.product(units=1_000, shards=64)
    shop.warm(product)
    assert cost(counting, lambda: shop.hold("u" * 128, {product: 10}, "k" * 255)) == (1, 5)


def test_an_add_to_a_deal_hold_is_the_sum_over_what_the_condition_returned(shop: Shop, counting: Counting) -> None:
    """The first attempt meets the hold and learns it; the second writes the sum: its index entry moves, so 6."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    shop.clock.forward(1)
    assert cost(counting, lambda: shop.reserve("ann", {product: 1})) == (2, 6)


@pytest.mark.parametrize(
    ("act", "limit", "expected"),
    [
        ("cancel", None, (2, 5)),
        ("cancel", 9, (2, 7)),
        ("confirm", None, (2, 5)),
        ("confirm", 9, (2, 5)),
        ("extend", None, (2, 3)),
        ("let go", None, (3, 5)),
        ("buy", None, (2, 8)),
        ("expire", None, (2, 5)),
    ],
)
def test_the_table_of_operations(
    shop: Shop, counting: Counting, act: str, limit: int | None, expected: tuple[int, int]
) -> None:
    """Cancel and confirm: a read and one transaction of 5, limits 2 more; a purchase also writes part and order."""
    product = shop.product(max_per_user=limit)
    held = shop.hold("ann", {product: 1})
    shop.reserve("bob", {product: 2})
    acts: dict[str, Callable[[], object]] = {
        "cancel": lambda: cancel(shop.engine, held.key),
        "confirm": lambda: confirm(shop.engine, held.key),
        "extend": lambda: extend(shop.engine, held.key, None, "x"),
        "let go": lambda: deal_holds.let_go(shop.engine, "demo", "bob", product),
        "buy": lambda: shop.buy("bob", product, 1),
        "expire": lambda: handle(shop.engine, ListQueue(), [shop.message(held)]),
    }
    if act == "expire":
        shop.clock.forward(600_000)
    assert cost(counting, acts[act]) == expected


def test_merged_expiries_cost_3_a_hold_and_2_a_shard(shop: Shop, counting: Counting) -> None:
    """Ten holds of two shards: one read and one transaction for all."""
    product = shop.product(units=[50, 50])
    numbers = iter([0, 1] * 5)
    elsewhere = shop.another(choose=lambda _: next(numbers))
    records = [elsewhere.hold("ann", {product: 1}) for _ in range(10)]
    shop.clock.forward(600_000)
    messages = [shop.message(record) for record in records]
    assert cost(counting, lambda: handle(shop.engine, ListQueue(), messages)) == (2, 10 * 3 + 2 * 2)


def test_10_product_lines_are_at_most_2_requests(shop: Shop, counting: Counting) -> None:
    """Warm it is one transaction, cold one read more; each further line is one more item, 2 units, and bytes."""
    products = {shop.product(): 1 for _ in range(10)}
    assert cost(counting, lambda: shop.another().hold("ann", products))[0] == 2
    shop.warm(*products)
    requests, units = cost(counting, lambda: shop.hold("bob", products))
    assert requests == 1
    assert units <= 5 + 9 * 2 + 2


def test_a_refusal_from_memory_costs_the_hot_items_nothing(shop: Shop, counting: Counting) -> None:
    """The crowd behind the last unit reads its own reservation (it may be a replay), and no shard."""
    product = shop.product(units=[0, 0, 0, 0])
    for _ in range(2):
        counting.reset()
        with pytest.raises(Refused):
            shop.hold("eve", {product: 1})
    assert counting.requests == {"GetItem": 1}
