"""What happened to orders and charges, as the table's stream tells it: kept for whoever publishes it, and for replay.

Each happening belongs to one version of its order or charge, so it is kept once, however often the stream tells of it,
and can be applied in the order of versions. An order of the marketplace is a view of its reservation and has its
versions; every other order is an item of its own.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from holdfast.checkout.states import ChargeState, OrderState
from holdfast.platform.dynamodb import Cancelled, Put, RawItem, Store, read
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import ChargeItem, HistoryItem, OrderItem
from holdfast.platform.tables import (
    Key,
    Keys,
    is_charge,
    is_hold,
    is_order,
    key_of,
    order_beside,
    public_id,
    tenant_of,
    view_id,
)
from holdfast.reservations.states import State

MARKETPLACE = "orders"
"""The source of reservations, and of orders, that clients know as orders of the marketplace."""


class Happening(StrEnum):
    """What can happen, by the names that consumers know."""

    ORDER_CREATED = "OrderCreated"
    ORDER_COMPLETED = "OrderCompleted"
    ORDER_PAYMENT_FAILED = "OrderPaymentFailed"
    ORDER_EXPIRED = "OrderExpired"
    ORDER_CANCELLED = "OrderCancelled"
    ORDER_FAILED = "OrderFailed"
    ORDER_REFUNDED = "OrderRefunded"
    CHARGE_CREATED = "ChargeCreated"
    CHARGE_REFUNDED = "ChargeRefunded"
    CHARGE_REFUND_FAILED = "ChargeRefundFailed"


_OF_RESERVATIONS: Mapping[str, Happening] = {
    State.CONFIRMED: Happening.ORDER_COMPLETED,
    State.CANCELLED: Happening.ORDER_CANCELLED,
    State.EXPIRED: Happening.ORDER_EXPIRED,
    State.REFUNDED: Happening.ORDER_REFUNDED,
}

_OF_ORDERS: Mapping[str, Happening] = {
    OrderState.COMPLETED: Happening.ORDER_COMPLETED,
    OrderState.PAYMENT_FAILED: Happening.ORDER_PAYMENT_FAILED,
    OrderState.EXPIRED: Happening.ORDER_EXPIRED,
    OrderState.CANCELLED: Happening.ORDER_CANCELLED,
    OrderState.FAILED: Happening.ORDER_FAILED,
    OrderState.PARTIALLY_REFUNDED: Happening.ORDER_REFUNDED,
    OrderState.REFUNDED: Happening.ORDER_REFUNDED,
}


def happenings_of(record: Mapping[str, Any]) -> list[HistoryItem]:
    """Return what a DynamoDB stream record tells, to be kept; nothing for an item that is gone, or of another kind."""
    images = record["dynamodb"]
    new: RawItem | None = images.get("NewImage")
    if new is None:
        return []
    old: RawItem | None = images.get("OldImage")
    at = round(float(images["ApproximateCreationDateTime"]) * 1000)
    key = key_of(new)
    if is_order(key):
        return _of_order(read(OrderItem, new), None if old is None else read(OrderItem, old), at)
    if is_charge(key):
        return _of_charge(read(ChargeItem, new), None if old is None else read(ChargeItem, old), at)
    if is_hold(key):
        return _of_reservation(read(ReservationItem, new), None if old is None else read(ReservationItem, old), at)
    return []


def keep(store: Store, item: HistoryItem) -> None:
    """Write what happened, once; what is there already stays as it is. Raises Busy and Unavailable."""
    try:
        store.write(Put(item, HistoryItem.pk.does_not_exist()))
    except Cancelled:
        return


def _of_reservation(new: ReservationItem, old: ReservationItem | None, at: int) -> list[HistoryItem]:
    """Return what happened to an order of the marketplace; to all others it happens elsewhere."""
    if new.source != MARKETPLACE:
        return []
    happened = Happening.ORDER_CREATED if old is None else None
    if old is not None and new.status != old.status:
        happened = _OF_RESERVATIONS.get(new.status)
    order_id = view_id("o", new.key)
    data = {
        "id": order_id,
        "user_id": new.user_id,
        "status": new.status,
        "expires_at": new.expires_at,
        "tickets": [
            {"id": line.ticket_id, "price_minor": line.unit_price_minor, "currency": line.currency}
            for line in new.lines
        ],
    }
    return _kept(new.key, happened, order_id, new.v, data, at)


def _of_order(new: OrderItem, old: OrderItem | None, at: int) -> list[HistoryItem]:
    if new.source == MARKETPLACE:
        return []
    happened = Happening.ORDER_CREATED if old is None else None
    if old is not None and new.status != old.status:
        happened = _OF_ORDERS.get(new.status)
    elif old is not None and new.status == OrderState.PARTIALLY_REFUNDED and new.refunded_minor > old.refunded_minor:
        happened = Happening.ORDER_REFUNDED
    data = {
        "id": new.id,
        "user_id": new.user_id,
        "reservation_id": new.reservation_id,
        "source": new.source,
        "status": new.status,
        "attempt": new.attempt,
        "currency": new.currency,
        "total_minor": new.total_minor,
        "captured_minor": new.captured_minor,
        "refunded_minor": new.refunded_minor,
    }
    return _kept(new.key, happened, new.id, new.version, data, at)


def _of_charge(new: ChargeItem, old: ChargeItem | None, at: int) -> list[HistoryItem]:
    before = (ChargeState.CREATED, 0) if old is None else (old.status, old.refunded_minor)
    happened = None
    if new.refunded_minor < before[1]:
        happened = Happening.CHARGE_REFUND_FAILED
    elif new.status == ChargeState.COMPLETED and before[0] != ChargeState.COMPLETED:
        happened = Happening.CHARGE_CREATED
    elif new.refunded_minor > before[1]:
        happened = Happening.CHARGE_REFUNDED
    data = {
        "id": new.id,
        "order_id": public_id(order_beside(new.key), None),
        "user_id": new.user_id,
        "provider": new.provider,
        "payment_id": new.payment_id,
        "currency": new.currency,
        "captured_minor": new.captured_minor,
        "refunded_minor": new.refunded_minor,
    }
    return _kept(new.key, happened, new.id, new.version, data, at)


def _kept(
    key: Key, happened: Happening | None, aggregate_id: str, version: int, data: Mapping[str, Any], at: int
) -> list[HistoryItem]:
    if happened is None:
        return []
    place = Keys(tenant_of(key)).history(aggregate_id, version)
    text = json.dumps(data)
    return [HistoryItem(*place, type=happened.value, aggregate_id=aggregate_id, version=version, data=text, at=at)]
