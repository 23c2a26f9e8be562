"""The sweeper: whatever fell due and slipped through (DESIGN.md, Hot path; PROTOCOL.md 1)."""

from typing import Any

import pytest

from holdfast.catalogue.halls import blackouts
from holdfast.catalogue.halls.blackout_steps import CHUNK, Blackout
from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.errors import Unavailable
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from tests.handlers.account import TABLE, Aws, HandMovedClock
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import changed, holds
from tests.handlers.test_orders import bought, checked_out, held, product_line, read, refunded
from tests.workflow import Machines

NOTHING = {"holds": 0, "products": 0, "blackouts": 0, "orders": 0, "refunds": 0}


def sweep(remaining: int = 60_000) -> dict[str, int]:
    """Run the sweeper once, with so many milliseconds of time."""
    answer: dict[str, int] = load("sweeper").handler({}, LambdaContext(remaining=remaining))
    return answer


def test_lapsed_holds_whose_message_never_came_are_released(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(50, max_per_user=3)
    for user in range(20):
        api.hold(f"user{user}", product, 1)
    api.reserve("alice", product, 3)
    clock.advance(606)
    assert sweep() == NOTHING | {"holds": 21}
    assert api.units(product) == (50, 50, 0, 0)
    assert api.reserve("alice", product, 3).status == 200
    assert sweep() == NOTHING


def test_the_queue_has_five_seconds_for_itself_first(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5)
    api.hold("alice", product, 1)
    clock.milliseconds += 604_999
    assert sweep()["holds"] == 0
    clock.milliseconds += 1
    assert sweep()["holds"] == 1


def test_live_and_ended_holds_are_left_alone(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    api.hold("alice", product, 1)
    api.reserve("bob", product, 2)
    api.post("/api/checkout", {"user_id": "bob", "product_id": product, "quantity": 2})
    gone = api.hold("carol", product, 1).json["id"]
    api.delete(f"/api/v1/reservations/{gone}")
    before = aws.dump()
    assert sweep() == NOTHING
    assert aws.dump() == before


def test_more_than_one_page_of_a_bucket_is_worked_off(
    api: Api, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged = Store.query_due
    monkeypatch.setattr(Store, "query_due", lambda *asked: paged(*asked, limit=2))
    product = api.new_product(50)
    for user in range(40):
        api.hold(f"user{user}", product, 1)
    clock.advance(606)
    assert sweep() == NOTHING | {"holds": 40}


def test_holds_that_cannot_be_given_back_hide_none_behind_them(
    api: Api, aws: Aws, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged = Store.query_due
    monkeypatch.setattr(Store, "query_due", lambda *asked: paged(*asked, limit=2))
    broken, product = api.new_product(50), api.new_product(50)
    for user in range(40):
        api.hold(f"stuck{user}", broken, 1)
    shard = next(item for item in aws.items() if f"#POOL#product.{broken}#" in item["pk"]["S"])
    aws.dynamodb.put_item(TableName=TABLE, Item=changed(shard, held=0, available=50))
    clock.advance(1)
    for user in range(20):
        api.hold(f"user{user}", product, 1)
    clock.advance(606)
    assert sweep()["holds"] == 20
    assert api.units(product) == (50, 50, 0, 0)


def test_it_stops_in_time_and_goes_on_the_next_minute(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5)
    api.hold("alice", product, 1)
    clock.advance(606)
    assert sweep(remaining=10_000) == NOTHING
    assert sweep()["holds"] == 1


def test_a_price_change_that_broke_off_is_finished(
    api: Api, aws: Aws, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = api.new_product(40, price=10, expected_peak_per_second=1000)
    write, made = Store.write, []

    def breaking_off(store: Store, update: Any) -> Any:
        if isinstance(update, Update) and "#POOL#" in update.key.pk:
            made.append(update)
            if len(made) > 2:
                raise Unavailable
        return write(store, update)

    with monkeypatch.context() as crash:
        crash.setattr(Store, "write", breaking_off)
        assert api.patch(f"/api/products/{product}", {"price": 20}).status == 503

    def prices() -> list[str]:
        return [item["price_minor"]["N"] for item in aws.items() if "#POOL#" in item["pk"]["S"]]

    assert sorted(prices()) == ["1000", "1000", "2000", "2000"]
    assert sweep()["products"] == 0
    clock.advance(36)
    assert sweep()["products"] == 1
    assert prices() == ["2000"] * 4
    assert sweep()["products"] == 0


def test_a_blackout_that_broke_off_is_finished(
    api: Api, store: Store, clock: HandMovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PROTOCOL.md 17: longer blackouts are written day by day, resumably."""
    start = (clock.milliseconds // 86_400_000 + 10) * 86_400_000
    wanted = Blackout(start, start + 60 * 86_400_000, "New floor", is_maintenance=True)
    transact, made = Store.transact, []

    def breaking_off(store: Store, writes: Any) -> None:
        made.append(writes)
        if len(made) == 2:
            raise Unavailable
        transact(store, writes)

    with monkeypatch.context() as crash:
        crash.setattr(Store, "transact", breaking_off)
        with pytest.raises(Unavailable):
            blackouts.impose(Engine(store), api.tenant, "1", wanted, "key-1", "k")
    days = Keys(api.tenant).days("1")
    assert len(store.query(days).items) == CHUNK
    assert sweep()["blackouts"] == 0
    clock.advance(36)
    assert sweep() == NOTHING | {"blackouts": 1}
    assert len(store.query(days).items) == 60
    (standing,) = store.query(Keys(api.tenant).blackouts("1")).items
    assert standing["status"]["S"] == "standing"
    assert sweep()["blackouts"] == 0


def test_one_hold_whose_counters_are_broken_stands_in_no_others_way(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    broken, product = api.new_product(5), api.new_product(40)
    api.hold("alice", broken, 3)
    for user in range(30):
        api.hold(f"user{user}", product, 1)
    clock.advance(606)
    shard = next(item for item in aws.items() if f"#POOL#product.{broken}#" in item["pk"]["S"])
    aws.dynamodb.put_item(TableName=TABLE, Item=changed(shard, held=0, available=5))
    assert sweep()["holds"] == 30
    assert api.units(product) == (40, 40, 0, 0)
    assert [item["status"]["S"] for item in holds(aws)].count("held") == 1


def test_an_order_whose_workflow_was_never_started_is_started(
    api: Api, clock: HandMovedClock, machines: Machines
) -> None:
    """PROTOCOL.md 21: a start that was lost or throttled leaves the order for the sweeper."""
    product = api.new_product(5, price="9.99")
    machines.holding_back = True
    order = checked_out(api, held(api, product_line(product)))
    machines.runs.clear()
    machines.holding_back = False
    clock.advance(64)
    assert sweep()["orders"] == 0
    clock.advance(2)
    assert sweep() == NOTHING | {"orders": 1}
    assert read(api, order)["status"] == "completed"
    clock.advance(3_600)
    assert sweep() == NOTHING


def test_an_order_whose_workflow_ended_without_closing_it_is_walked_back(
    api: Api, clock: HandMovedClock, machines: Machines
) -> None:
    """PROTOCOL.md 21: what is in checkout and whose run is not running is compensated."""
    product = api.new_product(5, price="9.99")
    order = checked_out(api, held(api, product_line(product)), "tok_confirm")
    ((_, run),) = machines.runs
    machines.stop(run)
    clock.advance(606)
    assert sweep() == NOTHING | {"holds": 1}
    assert read(api, order)["status"] == "awaiting_payment", "nobody listens"
    clock.advance(60)
    assert sweep()["orders"] == 1
    assert read(api, order)["status"] == "expired"
    clock.advance(3_600)
    assert sweep()["orders"] == 0
    assert api.units(product) == (5, 5, 0, 0)


def test_a_refund_whose_workflow_was_never_started_is_started(
    api: Api, clock: HandMovedClock, machines: Machines
) -> None:
    product = api.new_product(5, price="9.99")
    order = bought(api, product_line(product))
    machines.holding_back = True
    assert refunded(api, order).status == 202
    machines.runs.clear()
    machines.holding_back = False
    clock.advance(66)
    assert sweep() == NOTHING | {"refunds": 1}
    assert read(api, order)["status"] == "refunded"
    assert api.units(product) == (5, 5, 0, 0)
    clock.advance(3_600)
    assert sweep() == NOTHING


def test_a_checkout_whose_time_is_over_is_told(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5, price="9.99")
    order = checked_out(api, held(api, product_line(product)), "tok_confirm")
    clock.advance(606)
    swept = sweep()
    assert swept["holds"] == 1
    assert read(api, order)["status"] == "expired"
    assert api.units(product) == (5, 5, 0, 0)
    assert sweep() == NOTHING
