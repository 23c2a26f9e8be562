"""What is kept of a user's orders, for who asks for all that is kept of them, and for who is about to be deleted.

Orders say nothing of anybody but an id; so they stay, and their money with them.
"""

from dataclasses import dataclass

from pydantic import ConfigDict

from holdfast.checkout import orders
from holdfast.checkout.order_details import OrderCharge, OrderRefund, money_of
from holdfast.checkout.order_wire import Order, fields_of
from holdfast.checkout.states import UNDER_WAY
from holdfast.platform.errors import CheckoutUnderWay
from holdfast.reservations.engine import Engine

_CHUNK = 100


class KeptOrder(Order):
    """An order with its charges and its refunds."""

    model_config = ConfigDict(defer_build=True)

    charges: list[OrderCharge]
    refunds: list[OrderRefund]


@dataclass(frozen=True)
class KeptOrders:
    """Some of a user's orders, and the token that goes on from there; None at the end."""

    items: list[KeptOrder]
    next: str | None


def kept_of(engine: Engine, tenant: str, user: str, limit: int, token: str | None) -> KeptOrders:
    """Return up to `limit` orders of a user with their money; raises Malformed for a token that is not of this list."""
    page = orders.list_of(engine, tenant, user, None, limit, token)
    now = engine.clock.now()
    found = []
    for order in page.items:
        charges, refunds = money_of(engine, order)
        found.append(KeptOrder(**fields_of(order, now, to_buyer=True), charges=charges, refunds=refunds))
    return KeptOrders(found, page.next)


def must_not_be_paying(engine: Engine, tenant: str, user: str) -> None:
    """Raise CheckoutUnderWay, naming the order, where one of a user's orders is being paid."""
    token = None
    while True:
        page = orders.list_of(engine, tenant, user, None, _CHUNK, token)
        for order in page.items:
            if order.status in UNDER_WAY:
                refusal = CheckoutUnderWay(
                    "An order of this user is being paid. Try again once it is paid or cancelled."
                )
                refusal.extra = {"order_id": order.id}
                raise refusal
        token = page.next
        if token is None:
            return
