"""A refused request changes nothing: the whole of both tables is the same before and after."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.account import Aws
from tests.handlers.gateway import Answer, Api

ROUTE = "/api/v1/reservations"


def _line(product: str, quantity: int) -> dict[str, Any]:
    return {"product_id": product, "quantity": quantity}


def _cart(user: str, *lines: tuple[str, int]) -> dict[str, Any]:
    return {"user_id": user, "items": [{"kind": "product", **_line(*line)} for line in lines]}


def _deal(user: str, product: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {"user_id": user, **_line(product, quantity), **more}


# Product 1 has 5 units, 4 of them held by alice; product 2 is limited to two a user, and alice holds two; product 3 is
# off sale; product 4 is in euros. The key `used` is alice's on every route.
REFUSED: dict[str, tuple[int, Callable[[Api], Answer]]] = {
    "more than there is": (400, lambda api: api.reserve("bob", 1, 2)),
    "more than there is to add": (400, lambda api: api.reserve("alice", 1, 2)),
    "more than a user may have": (400, lambda api: api.reserve("alice", 2, 1)),
    "off sale": (400, lambda api: api.reserve("bob", 3, 1)),
    "unknown product": (400, lambda api: api.reserve("bob", 99, 1)),
    "keyed and refused": (400, lambda api: api.reserve("bob", 1, 2, key="new")),
    "key of another body": (422, lambda api: api.reserve("alice", 1, 1, key="used")),
    "malformed key": (400, lambda api: api.reserve("bob", 1, 1, key="a b")),
    "bulk with one short line": (
        400,
        lambda api: api.post("/api/reserve/bulk", {"user_id": "bob", "items": [_line("2", 1), _line("1", 2)]}),
    ),
    "bulk in two currencies": (
        400,
        lambda api: api.post("/api/reserve/bulk", {"user_id": "bob", "items": [_line("2", 1), _line("4", 1)]}),
    ),
    "checkout of too much": (400, lambda api: api.post("/api/checkout", _deal("alice", "1", 5))),
    "checkout of nothing": (400, lambda api: api.post("/api/checkout", _deal("bob", "1", 1, total_amount=5))),
    "checkout at another price": (400, lambda api: api.post("/api/checkout", _deal("alice", "1", 1, total_amount=4))),
    "let go of nothing": (400, lambda api: api.delete("/api/reserve/bob/1")),
    "cart with one short line": (409, lambda api: api.post(ROUTE, _cart("bob", ("2", 1), ("1", 2)), key="new")),
    "cart in two currencies": (400, lambda api: api.post(ROUTE, _cart("bob", ("2", 1), ("4", 1)), key="new")),
    "cart over the limit": (409, lambda api: api.post(ROUTE, _cart("alice", ("2", 1)), key="new")),
    "cart without a key": (400, lambda api: api.post(ROUTE, _cart("bob", ("2", 1)))),
    "cart under a used key": (422, lambda api: api.post(ROUTE, _cart("alice", ("4", 2)), key="used")),
    "cart with an unknown field": (400, lambda api: api.post(ROUTE, _cart("bob", ("2", 1)) | {"a": 1}, key="new")),
    "cart for somebody else": (403, lambda api: api.as_user("bob").post(ROUTE, _cart("alice", ("4", 1)), key="new")),
    "extend of nothing": (
        404,
        lambda api: api.post(f"{ROUTE}/r-abcdefghijklmnop-0123456789abcdef0123456789abcdef/extend", key="new"),
    ),
    "product without a name": (400, lambda api: api.post("/api/products", {"total_stock": 1}, key="new")),
    "product by no admin": (
        403,
        lambda api: api.with_roles("service").post("/api/products", {"name": "x", "total_stock": 1}, key="new"),
    ),
    "product under a used key": (
        422,
        lambda api: api.post("/api/products", {"name": "y", "total_stock": 1}, key="used"),
    ),
    "stock below what is held": (409, lambda api: api.patch("/api/products/1", {"total_stock": 3, "name": "New"})),
    "stock at no price": (400, lambda api: api.patch("/api/products/1", {"total_stock": 9, "price": -1})),
    "stock at too fine a price": (400, lambda api: api.patch("/api/products/1", {"total_stock": 9, "price": "0.001"})),
    "stock in another currency": (400, lambda api: api.patch("/api/products/1", {"total_stock": 9, "currency": "JPY"})),
    "patch by no admin": (403, lambda api: api.with_roles("service staff").patch("/api/products/1", {"name": "New"})),
    "no tenant": (401, lambda api: Api("").reserve("bob", 1, 1)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_changes_nothing(api: Api, aws: Aws, case: str) -> None:
    api.new_product(5, price=5)
    api.new_product(5, max_per_user=2)
    api.new_product(5)
    api.new_product(5, currency="EUR")
    api.patch("/api/products/3", {"on_sale": False})
    api.reserve("alice", 1, 4, key="used")
    api.reserve("alice", 2, 2)
    api.post(ROUTE, _cart("alice", ("4", 1)), key="used")
    api.post("/api/products", {"name": "x", "total_stock": 1}, key="used")
    before = aws.dump()
    status, request = REFUSED[case]
    assert request(api).status == status
    assert aws.dump() == before
