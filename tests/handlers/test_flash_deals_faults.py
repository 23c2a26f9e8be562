"""The faults of the older flash deals that must not come back, each a test of its own name (WIRE.md, section 1)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api, LambdaContext, load


def check_out(api: Api, user: str, product: str, quantity: int, **more: Any) -> Answer:
    return api.post("/api/checkout", {"user_id": user, "product_id": product, "quantity": quantity, **more})


def bulk(api: Api, user: str, *lines: tuple[str, int]) -> Answer:
    items = [{"product_id": product, "quantity": quantity} for product, quantity in lines]
    return api.post("/api/reserve/bulk", {"user_id": user, "items": items})


def sweep() -> None:
    load("sweeper").handler({}, LambdaContext())


def shards(aws: Aws) -> list[dict[str, int]]:
    names = ("total", "available", "held", "sold")
    pools = [item for item in aws.items() if "#POOL#" in item["pk"]["S"]]
    return [{name: int(item[name]["N"]) for name in names} for item in pools]


@pytest.mark.parametrize("peak", [1, 1000], ids=["one-shard", "four-shards"])
def test_an_expired_hold_that_never_gives_its_stock_back(api: Api, aws: Aws, clock: HandMovedClock, peak: int) -> None:
    product = api.new_product(10, expected_peak_per_second=peak)
    for user in range(5):
        assert api.reserve(user, product, 2).status == 200
    assert api.reserve("late", product, 1).code == "insufficient_stock"
    clock.advance(600 + 6)
    sweep()
    assert api.units(product) == (10, 10, 0, 0)
    assert api.reserve("late", product, 10).status == 200


@pytest.mark.parametrize("peak", [1, 1000], ids=["one-shard", "four-shards"])
def test_an_expired_hold_that_never_gives_its_stock_back_to_its_own_user(
    api: Api, clock: HandMovedClock, peak: int
) -> None:
    """The user's next reserve replaces the lapsed hold at once, before anything has come to release it."""
    product = api.new_product(10, expected_peak_per_second=peak)
    api.reserve("alice", product, 10)
    clock.advance(601)
    assert api.reserve("alice", product, 10).data["quantity"] == 10
    assert api.units(product) == (10, 0, 10, 0)


def test_a_status_that_disagrees_with_the_counter(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    product = api.new_product(100, expected_peak_per_second=1000)

    def agree() -> None:
        total, available, reserved, sold = api.units(product)
        assert total == available + reserved + sold == 100
        for name, shown in (("available", available), ("held", reserved), ("sold", sold), ("total", total)):
            assert sum(shard[name] for shard in shards(aws)) == shown
        for shard in shards(aws):
            assert shard["available"] + shard["held"] + shard["sold"] == shard["total"]

    for step in (
        lambda: api.reserve("alice", product, 40),
        lambda: api.reserve("bob", product, 30),
        lambda: check_out(api, "alice", product, 15),
        lambda: api.reserve("carol", product, 20),
        lambda: api.delete(f"/api/reserve/bob/{product}"),
        lambda: clock.advance(606),
        sweep,
        lambda: check_out(api, "alice", product, 1),
        lambda: api.reserve("alice", product, 85),
    ):
        step()
        agree()
    assert api.units(product) == (100, 0, 85, 15)


def test_a_partial_checkout_that_drops_the_whole_hold(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10, price=5)
    before = api.reserve("alice", product, 5).data
    order = check_out(api, "alice", product, 2, total_amount=10)
    assert (order.status, order.data["quantity"]) == (200, 2)
    assert api.units(product) == (10, 5, 3, 2)
    (left,) = api.get("/api/users/alice/reservations").data
    assert (left["quantity"], left["expires_at"]) == (3, before["expires_at"])
    assert check_out(api, "alice", product, 3).status == 200
    assert api.units(product) == (10, 5, 0, 5)


def test_a_partial_checkout_that_drops_the_whole_hold_when_the_rest_runs_out(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 5)
    check_out(api, "alice", product, 2)
    clock.advance(606)
    sweep()
    assert api.units(product) == (10, 8, 0, 2)


@pytest.mark.parametrize("amount", [0, 0.01, 39.97, 39.99, 1_000_000])
def test_total_amount_trusted_from_the_client(api: Api, amount: float) -> None:
    product = api.new_product(10, price=19.99)
    api.reserve("alice", product, 2)
    refused = check_out(api, "alice", product, 2, total_amount=amount)
    assert (refused.status, refused.code) == (400, "amount_mismatch")
    assert api.units(product) == (10, 8, 2, 0)
    assert check_out(api, "alice", product, 2).data["total_amount"] == 39.98


def test_bulk_as_a_loop_that_leaves_earlier_lines_held(api: Api, aws: Aws) -> None:
    plenty, sold_out = api.new_product(10), api.new_product(2)
    api.reserve("alice", plenty, 1)
    before = aws.dump()
    refused = bulk(api, "alice", (plenty, 4), (sold_out, 3))
    assert refused.status == 400
    assert refused.json["failed"] == [{"product_id": sold_out, "reason": "insufficient_stock"}]
    assert aws.dump() == before


@pytest.mark.parametrize("seconds", [1, 37, 900])
def test_a_configured_hold_length_that_is_ignored(
    api: Api, clock: HandMovedClock, cold: Callable[..., None], seconds: int
) -> None:
    cold("reserve_and_checkout", HOLD_SECONDS=str(seconds))
    product = api.new_product(10)
    api.reserve("alice", product, 10)
    clock.milliseconds += seconds * 1000 - 1
    assert api.reserve("bob", product, 1).code == "insufficient_stock"
    assert len(api.get("/api/users/alice/reservations").data) == 1
    clock.milliseconds += 1
    assert api.get("/api/users/alice/reservations").data == []
    assert check_out(api, "alice", product, 1).code == "insufficient_reservation"


def test_a_configured_hold_length_that_is_ignored_in_bulk(
    api: Api, clock: HandMovedClock, cold: Callable[..., None]
) -> None:
    cold("flash_deals", HOLD_SECONDS="37")
    product = api.new_product(10)
    bulk(api, "alice", (product, 10))
    clock.milliseconds += 36_999
    assert len(api.get("/api/users/alice/reservations").data) == 1
    clock.milliseconds += 1
    assert api.get("/api/users/alice/reservations").data == []


def test_a_configured_hold_length_that_is_ignored_by_the_unified_route(
    api: Api, clock: HandMovedClock, cold: Callable[..., None]
) -> None:
    cold("reservations", HOLD_SECONDS="37")
    product = api.new_product(10)
    held = api.hold("alice", product).json
    clock.milliseconds += 36_999
    assert api.get(f"/api/v1/reservations/{held['id']}").json["status"] == "held"
    clock.milliseconds += 1
    assert api.get(f"/api/v1/reservations/{held['id']}").json["status"] == "expired"


def test_duplicate_lines_counted_separately_against_stock(api: Api, aws: Aws) -> None:
    product = api.new_product(5)
    before = aws.dump()
    refused = bulk(api, "alice", (product, 3), (product, 3))
    assert refused.status == 400
    assert refused.json["failed"] == [{"product_id": product, "reason": "insufficient_stock"}]
    assert aws.dump() == before
    taken = bulk(api, "alice", (product, 3), (product, 2))
    assert [(line["product_id"], line["quantity"]) for line in taken.json["reserved"]] == [(product, 5)]
    assert api.units(product) == (5, 0, 5, 0)


def test_duplicate_lines_counted_separately_against_the_limit_of_a_user(api: Api) -> None:
    product = api.new_product(10, max_per_user=3)
    assert bulk(api, "alice", (product, 2), (product, 2)).json["failed"] == [
        {"product_id": product, "reason": "limit_exceeded"}
    ]
    assert bulk(api, "alice", (product, 2), (product, 1)).status == 200
