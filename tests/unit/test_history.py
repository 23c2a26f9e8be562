"""What a stream record tells of orders and charges: which happening, at which version, and what of it is kept."""

import json
from typing import Any

import pytest

from holdfast.checkout.history import happenings_of
from holdfast.checkout.states import ChargeState, OrderState
from holdfast.platform.items import Item, LineMap, ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.tables import Keys, charge_of, order_of, refund_of, view_id
from holdfast.reservations.states import State

KEYS = Keys("shop")
RESERVATION = KEYS.reservation("ada", "orders", "k-1")
ORDER = order_of(RESERVATION)
CHARGE = charge_of(ORDER, "01")
AT = 1_772_359_200.0


def reservation(status: State = State.HELD, v: int = 1, source: str = "orders") -> ReservationItem:
    line = LineMap(
        kind="listing", ticket_id="t1", quantity=1, unit_price_minor=2500, currency="USD", counted=False, title="Row 3"
    )
    return ReservationItem(
        *RESERVATION,
        user_id="ada",
        status=status.value,
        v=v,
        lines=[line],
        allocation={},
        source=source,
        created_at=1,
        expires_at=2,
        first_expires_at=2,
    )


def order(
    status: OrderState = OrderState.PENDING, version: int = 1, refunded: int = 0, source: str = "reservations"
) -> OrderItem:
    return OrderItem(
        *ORDER,
        user_id="ada",
        reservation_id="r-1",
        source=source,
        status=status.value,
        attempt=1,
        lines=[],
        returned=[],
        currency="USD",
        total_minor=2500,
        captured_minor=2500,
        refunded_minor=refunded,
        provider="sandbox",
        version=version,
        created_at=1,
        updated_at=1,
    )


def charge(status: ChargeState, version: int = 1, refunded: int = 0) -> ChargeItem:
    return ChargeItem(
        *CHARGE,
        user_id="ada",
        status=status.value,
        attempt=1,
        provider="sandbox",
        payment_id="pay-1",
        amount_minor=2500,
        currency="USD",
        captured_minor=2500,
        refunded_minor=refunded,
        version=version,
        created_at=1,
        updated_at=1,
    )


def record(new: Item | None, old: Item | None = None) -> dict[str, Any]:
    images = {name: item.serialize() for name, item in (("NewImage", new), ("OldImage", old)) if item is not None}
    return {"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": AT, **images}}


def told(new: Item | None, old: Item | None = None) -> list[tuple[str, int]]:
    return [(happening.type, happening.version) for happening in happenings_of(record(new, old))]


def test_an_order_of_the_marketplace_is_created_with_its_reservation() -> None:
    (happening,) = happenings_of(record(reservation()))
    assert (happening.type, happening.version, happening.at) == ("OrderCreated", 1, 1_772_359_200_000)
    assert happening.aggregate_id == view_id("o", RESERVATION)
    assert happening.key == KEYS.history(view_id("o", RESERVATION), 1)
    assert json.loads(happening.data) == {
        "id": view_id("o", RESERVATION),
        "user_id": "ada",
        "status": "held",
        "expires_at": 2,
        "tickets": [{"id": "t1", "price_minor": 2500, "currency": "USD"}],
    }


@pytest.mark.parametrize(
    ("before", "after", "happened"),
    [
        (State.HELD, State.CANCELLED, "OrderCancelled"),
        (State.HELD, State.EXPIRED, "OrderExpired"),
        (State.CHECKING_OUT, State.EXPIRED, "OrderExpired"),
        (State.CHECKING_OUT, State.CONFIRMED, "OrderCompleted"),
        (State.EXPIRED, State.CONFIRMED, "OrderCompleted"),
        (State.CONFIRMED, State.REFUNDED, "OrderRefunded"),
    ],
)
def test_what_becomes_of_an_order_of_the_marketplace(before: State, after: State, happened: str) -> None:
    assert told(reservation(after, 4), reservation(before, 3)) == [(happened, 4)]


@pytest.mark.parametrize(
    ("before", "after"),
    [(State.HELD, State.HELD), (State.HELD, State.CHECKING_OUT), (State.CHECKING_OUT, State.HELD)],
)
def test_a_reservation_that_goes_on_tells_nothing(before: State, after: State) -> None:
    assert told(reservation(after, 4), reservation(before, 3)) == []


def test_reservations_of_other_routes_tell_nothing() -> None:
    assert told(reservation(source="reservations")) == []


def test_any_other_order_tells_of_itself() -> None:
    (happening,) = happenings_of(record(order()))
    assert (happening.type, happening.version, happening.aggregate_id) == ("OrderCreated", 1, order().id)
    data = json.loads(happening.data)
    assert (data["id"], data["status"], data["total_minor"]) == (order().id, "pending", 2500)


@pytest.mark.parametrize(
    ("before", "after", "happened"),
    [
        (OrderState.PENDING, OrderState.COMPLETED, "OrderCompleted"),
        (OrderState.AWAITING_PAYMENT, OrderState.PAYMENT_FAILED, "OrderPaymentFailed"),
        (OrderState.AWAITING_PAYMENT, OrderState.EXPIRED, "OrderExpired"),
        (OrderState.PENDING, OrderState.CANCELLED, "OrderCancelled"),
        (OrderState.PENDING, OrderState.FAILED, "OrderFailed"),
        (OrderState.COMPLETED, OrderState.PARTIALLY_REFUNDED, "OrderRefunded"),
        (OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED, "OrderRefunded"),
    ],
)
def test_what_becomes_of_an_order(before: OrderState, after: OrderState, happened: str) -> None:
    assert told(order(after, 4), order(before, 3)) == [(happened, 4)]


def test_a_further_part_refunded_is_told_too() -> None:
    partly = OrderState.PARTIALLY_REFUNDED
    assert told(order(partly, 5, refunded=900), order(partly, 4, refunded=400)) == [("OrderRefunded", 5)]
    assert told(order(partly, 6, refunded=900), order(partly, 5, refunded=900)) == []


def test_money_on_its_way_back_is_told_once_the_order_says_so() -> None:
    paid = order(OrderState.COMPLETED, 6, refunded=400)
    assert told(paid, order(OrderState.COMPLETED, 5)) == []
    assert told(order(OrderState.PARTIALLY_REFUNDED, 7, refunded=400), paid) == [("OrderRefunded", 7)]


@pytest.mark.parametrize("after", [OrderState.PENDING, OrderState.AWAITING_PAYMENT])
def test_an_order_under_way_tells_nothing(after: OrderState) -> None:
    assert told(order(after, 4), order(OrderState.PAYMENT_FAILED, 3)) == []


def test_an_order_that_is_one_of_the_marketplace_leaves_the_telling_to_its_reservation() -> None:
    assert told(order(source="orders")) == []
    assert told(order(OrderState.COMPLETED, 2, source="orders"), order(source="orders")) == []


def test_a_charge_is_created_for_the_world_when_the_money_is_taken() -> None:
    assert told(charge(ChargeState.CREATED)) == []
    assert told(charge(ChargeState.AUTHORISED, 2), charge(ChargeState.CREATED)) == []
    (happening,) = happenings_of(record(charge(ChargeState.COMPLETED, 3), charge(ChargeState.AUTHORISED, 2)))
    assert (happening.type, happening.version) == ("ChargeCreated", 3)
    data = json.loads(happening.data)
    assert (data["order_id"], data["payment_id"], data["captured_minor"]) == (order().id, "pay-1", 2500)


def test_a_payment_that_nobody_asked_for_is_a_charge_from_the_start() -> None:
    assert told(charge(ChargeState.COMPLETED)) == [("ChargeCreated", 1)]


def test_money_paid_back_is_told_each_time() -> None:
    first = charge(ChargeState.COMPLETED, 4, refunded=1000)
    assert told(first, charge(ChargeState.COMPLETED, 3)) == [("ChargeRefunded", 4)]
    assert told(charge(ChargeState.REFUNDED, 5, refunded=2500), first) == [("ChargeRefunded", 5)]
    assert told(charge(ChargeState.COMPLETED, 5, refunded=1000), first) == []


def test_a_refund_that_fails_later_is_told_as_that_and_not_as_another_charge() -> None:
    refunded = charge(ChargeState.REFUNDED, 5, refunded=2500)
    assert told(charge(ChargeState.COMPLETED, 6), refunded) == [("ChargeRefundFailed", 6)]
    part = charge(ChargeState.COMPLETED, 5, refunded=1000)
    assert told(charge(ChargeState.COMPLETED, 6), part) == [("ChargeRefundFailed", 6)]


def test_what_is_gone_or_of_another_kind_tells_nothing() -> None:
    assert told(None, order()) == []
    refund = {"pk": {"S": ORDER.pk}, "sk": {"S": refund_of(ORDER, "1").sk}}
    assert happenings_of({"dynamodb": {"ApproximateCreationDateTime": AT, "NewImage": refund}}) == []
