"""Stopping orders that are not bought: what is under way is walked back by its workflow, what failed is let go of."""

from collections.abc import Sequence
from contextlib import suppress

from holdfast.checkout.opening import read_order, wait_for
from holdfast.checkout.orders import change, writing
from holdfast.checkout.outcomes import settle
from holdfast.checkout.states import UNDER_WAY, OrderState
from holdfast.platform.dynamodb import Write
from holdfast.platform.errors import CheckoutUnderWay, ReservationNotFound, ReservationOver
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key, reservation_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.ending import cancel
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State

CANCELLED = "cancelled"
"""The reason of an order that its buyer, or staff, cancelled."""

_CANCELLED = [OrderItem.status.set(OrderState.CANCELLED.value), OrderItem.reason.set(CANCELLED)]


def stop(engine: Engine, workflows: Workflows, order: OrderItem, seconds: float) -> OrderItem:
    """Cancel an order unless it is bought, and return it as it is then, or as it is after `seconds`.

    One that is bought, or becomes so since its payment came first, is returned as it is; so is one that is over. Raises
    CheckoutUnderWay where another payment was begun meanwhile, and Busy.
    """
    if order.status in UNDER_WAY:
        settle(engine, workflows, order.key, order.attempt, "cancelled", CANCELLED)
        order = wait_for(engine, order.key, order.attempt, seconds)
    return _let_go(engine, order) if order.status == OrderState.PAYMENT_FAILED else order


def _let_go(engine: Engine, order: OrderItem) -> OrderItem:
    """Give back what is held for another payment, if it still is, and close the order in the same transaction."""

    def beside(_: ReservationItem) -> Sequence[Write]:
        current = read_order(engine, order.key)
        if current.status != OrderState.PAYMENT_FAILED:
            raise CheckoutUnderWay
        return [writing(current, engine.clock.now(), _CANCELLED)]

    with suppress(ReservationOver, ReservationNotFound):
        cancel(engine, reservation_of(order.key), beside=beside)
    return _closed(engine, order.key)


def _closed(engine: Engine, key: Key) -> OrderItem:
    """Return the order at `key`, cancelled where nothing is held for another payment any more."""

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        record = engine.store.get(ReservationItem, reservation_of(key))
        held = record is not None and record.status in (State.HELD, State.CHECKING_OUT)
        if order.status != OrderState.PAYMENT_FAILED or held:
            return None
        return [writing(order, engine.clock.now(), _CANCELLED)]

    change(engine, key, prepare)
    return read_order(engine, key)
