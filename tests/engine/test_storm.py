"""The day of the sale on DynamoDB Local: a storm of buyers at one product (see `storm`)."""

from collections.abc import Callable

import pytest

from holdfast.reservations import deal_holds
from tests.engine.shop import units
from tests.engine.storm import CLIENTS, Client, Storm


def buyer(product: str, pays: float, most: int) -> Callable[[Client], None]:
    """Return how somebody buys up to so many units of a product, and `pays` how often."""
    return lambda client: client.buyer(pays, units(product, client.chance.randint(1, most)))


def check(storm: Storm, product: str) -> tuple[int, int, int]:
    """Check all invariants; return what is available, held and sold."""
    storm.shop.audit()
    return storm.shop.count(product)


def deal_buyer(client: Client, product: str, units: int) -> None:
    """Reserve on top of what is held by the older route, then check some out, let go, or walk away."""
    client.tidy()
    user = client.user()
    key = client.key() if client.chance.random() < 0.5 else None
    wanted = client.chance.randint(1, units)
    held = client.insist(lambda: client.shop.reserve(user, {product: wanted}, key))
    if held is None:
        return
    if key is not None and client.chance.random() < 0.3:
        assert client.insist(lambda: client.shop.reserve(user, {product: wanted}, key)) == held
    client.left.append(client.shop.keys.deal_hold(user, product))
    mood = client.chance.random()
    if mood < 0.6:
        name = f"buy-{client.key()}"
        bought = client.chance.randint(1, wanted)
        order = client.insist(lambda: client.shop.buy(user, product, bought, name))
        client.tally["paid"] += order is not None
    elif mood < 0.8:
        client.insist(lambda: deal_holds.let_go(client.shop.engine, "demo", user, product))


@pytest.mark.slow
@pytest.mark.parametrize("pays", [1.0, 0.3])
def test_1_unit_and_1_000_buyers_sells_exactly_1(start: Callable[[int], Storm], pays: float) -> None:
    """Whether the first pays or not, it is never sold twice, and never left unsold while somebody asks."""
    storm = start(1)
    product = storm.shop.product(units=1)
    storm.run(1_000, buyer(product, pays, 1))
    storm.let_everything_lapse()
    storm.run(CLIENTS, buyer(product, 1.0, 1))
    storm.let_everything_lapse()
    assert check(storm, product) == (0, 0, 1)
    assert storm.tally("paid") == 1


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 4, 16])
def test_200_units_and_10_000_buyers_sells_exactly_200(start: Callable[[int], Storm], shards: int) -> None:
    """Holds of 1 to 5 are paid, cancelled, left to expire and retried meanwhile; then the rest is asked for."""
    each, more = divmod(200, shards)
    storm = start(shards)
    product = storm.shop.product(units=[each + (number < more) for number in range(shards)])
    storm.run(10_000, buyer(product, 0.25, 5))
    assert storm.tally("held") > 100
    storm.let_everything_lapse()
    available, held, sold = check(storm, product)
    assert (available + sold, held) == (200, 0)
    storm.run(200, buyer(product, 1.0, 5))
    storm.run(CLIENTS, buyer(product, 1.0, 1))
    storm.let_everything_lapse()
    assert check(storm, product) == (0, 0, 200)


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 4])
def test_a_storm_of_the_older_route_sells_what_there_is(start: Callable[[int], Storm], shards: int) -> None:
    """Adds to holds that lapse, are bought from in part and let go, by users who are in several places at once."""
    storm = start(shards)
    product = storm.shop.product(units=[60 // shards] * shards)
    storm.users = storm.users[:20]
    storm.run(1_500, lambda client: deal_buyer(client, product, 3))
    storm.let_everything_lapse()
    available, held, sold = check(storm, product)
    assert (available + sold, held) == (60, 0)
    assert storm.tally("paid") > 0
    storm.run(200, buyer(product, 1.0, 1))
    storm.let_everything_lapse()
    assert check(storm, product) == (0, 0, 60)
