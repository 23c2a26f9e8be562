"""Orders: reading them, and the one way in which each of their writes is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynamodb.expressions.update import Action

from holdfast.checkout.states import OrderState
from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import Cancelled, Contended, Update, Write, read
from holdfast.platform.errors import Busy, OrderNotFound
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Engine


@dataclass(frozen=True)
class OrderPage:
    """Some of a user's orders, and the token that goes on from there; None at the end."""

    items: list[OrderItem]
    next: str | None


def find(engine: Engine, tenant: str, order_id: str, viewer: str | None) -> OrderItem:
    """Return an order of the tenant; `viewer`, where given, must be its buyer. Raises OrderNotFound."""
    key = Keys(tenant).by_order_id(order_id)
    order = None if key is None else engine.store.get(OrderItem, key)
    if order is None or viewer not in (None, order.user_id):
        raise OrderNotFound
    return order


def list_of(
    engine: Engine, tenant: str, user: str, status: OrderState | None, limit: int, token: str | None
) -> OrderPage:
    """Return up to `limit` orders of a user, in the stable order of their ids.

    With a `status` a page may come short, even empty, and still have a `next`. Raises Malformed for a token that is not
    of this list.
    """
    partition = Keys(tenant).user(user)
    scope = f"{partition} orders {status}"
    after = None if token is None else Key(partition, page_tokens.read(scope, token))
    page = engine.store.query(partition, "O#", limit, after)
    items = [read(OrderItem, raw) for raw in page.items]
    following = None if page.after is None else page_tokens.issue(scope, page.after.sk)
    return OrderPage([item for item in items if status in (None, item.status)], following)


def writing(order: OrderItem, now: int, actions: Sequence[Action]) -> Update:
    """Return the write that makes a change at `now` (ms) to an order that nobody wrote since it was read."""
    touched = [*actions, OrderItem.version.add(1), OrderItem.updated_at.set(now)]
    return Update(order.key, touched, OrderItem.version == order.version)


def change(engine: Engine, key: Key, prepare: Callable[[OrderItem], Sequence[Write] | None]) -> OrderItem:
    """Read the order at `key` and make the writes that `prepare` wants, unless it wants none; return it as read last.

    An attempt that another's write overtook is prepared anew, from the order as it then is; so every write that
    `prepare` returns has to be conditional on what it read. Raises OrderNotFound and Busy.
    """
    for attempt in engine.retries:
        order = engine.store.get(OrderItem, key)
        if order is None:
            raise OrderNotFound
        writes = prepare(order)
        if writes is None:
            return order
        try:
            engine.store.make(writes)
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
        else:
            return order
    raise Busy
