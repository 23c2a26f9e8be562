"""The requests of WIRE.md, section 1, in sequence, as a client of the older flash deals sends them.

Nothing is changed but the base URL, and an Authorization header added; product ids are numbers for one client, text
for another.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.wire import answered, moment, refused

Id = Callable[[str], Any]


def units(client: httpx.Client, product: Any) -> tuple[int, int, int]:
    data = answered(client.get(f"/api/products/{product}/status"), 200)["data"]
    assert data["total_stock"] == data["available_stock"] + data["reserved_stock"] + data["sold_stock"]
    return data["available_stock"], data["reserved_stock"], data["sold_stock"]


@pytest.mark.parametrize("as_sent", [str, int], ids=["ids-as-text", "ids-as-numbers"])
def test_the_requests_of_the_older_client_work_in_sequence(client: httpx.Client, as_sent: Id) -> None:
    user = as_sent("7")

    created = answered(
        client.post(
            "/api/products", json={"name": "Laptop", "description": "40 % off", "total_stock": 10, "price": 899.99}
        ),
        201,
    )
    assert created["success"] is True
    assert isinstance(created["message"], str)
    laptop = as_sent(created["data"]["id"])
    assert created["data"].keys() >= {"id", "name", "description", "total_stock", "created_at", "updated_at"}
    assert (created["data"]["name"], created["data"]["total_stock"]) == ("Laptop", 10)
    mouse = as_sent(
        answered(client.post("/api/products", json={"name": "Mouse", "total_stock": 2, "max_per_user": 1}), 201)[
            "data"
        ]["id"]
    )
    refused(client.post("/api/products", json={"name": "", "total_stock": -1}), 400, "validation_failed")

    listed = answered(client.get("/api/products"), 200)["data"]
    assert [product["name"] for product in listed] == ["Laptop", "Mouse"]
    assert answered(client.get(f"/api/products/{laptop}"), 200)["data"]["price"] == 899.99
    refused(client.get("/api/products/999"), 404, "product_not_found")
    refused(client.get("/api/products/999/status"), 404, "product_not_found")

    changed = answered(client.patch(f"/api/products/{laptop}", json={"total_stock": 8, "price": 799.5}), 200)["data"]
    assert (changed["total_stock"], changed["price"]) == (8, 799.5)
    refused(client.patch("/api/products/999", json={"total_stock": 8}), 404, "product_not_found")
    refused(client.patch(f"/api/products/{laptop}", json={"total_stock": "8"}), 400, "validation_failed")
    status = answered(client.get(f"/api/products/{laptop}/status"), 200)["data"]
    assert status == {
        "id": created["data"]["id"],
        "name": "Laptop",
        "total_stock": 8,
        "reserved_stock": 0,
        "available_stock": 8,
        "sold_stock": 0,
    }

    before = datetime.now(UTC)
    sent = {"user_id": user, "product_id": laptop}
    held = answered(client.post("/api/reserve", json=sent | {"quantity": 2}), 200)
    assert held["success"] is True
    assert held["data"].keys() == {"user_id", "product_id", "quantity", "expires_at", "reservation_id"}
    assert held["data"]["quantity"] == 2
    assert moment(held["data"]["expires_at"]) >= before + timedelta(seconds=599.9)
    more = answered(client.post("/api/reserve", json={"user_id": user, "product_id": laptop, "quantity": 1}), 200)[
        "data"
    ]
    assert (more["quantity"], more["reservation_id"]) == (3, held["data"]["reservation_id"])
    assert moment(more["expires_at"]) >= moment(held["data"]["expires_at"])
    assert units(client, laptop) == (5, 3, 0)
    refused(client.post("/api/reserve", json=sent | {"quantity": 6}), 400, "insufficient_stock")
    refused(client.post("/api/reserve", json=sent | {"product_id": 999, "quantity": 1}), 400, "product_not_found")
    refused(client.post("/api/reserve", json=sent | {"quantity": 0}), 400, "validation_failed")
    refused(client.patch(f"/api/products/{laptop}", json={"total_stock": 2}), 409, "stock_below_committed")

    items = [{"product_id": product, "quantity": 1} for product in (laptop, mouse)]
    bulk = answered(client.post("/api/reserve/bulk", json={"user_id": as_sent("8"), "items": items}), 200)
    assert (bulk["success"], bulk["failed"]) == (True, [])
    assert [(str(line["product_id"]), line["quantity"]) for line in bulk["reserved"]] == [
        (str(laptop), 1),
        (str(mouse), 1),
    ]
    items = [
        {"product_id": laptop, "quantity": 5},
        {"product_id": mouse, "quantity": 1},
        {"product_id": mouse, "quantity": 1},
    ]
    failed = client.post("/api/reserve/bulk", json={"user_id": as_sent("9"), "items": items})
    assert failed.status_code == 400
    assert (failed.json()["success"], failed.json()["reserved"]) == (False, [])
    assert {(str(line["product_id"]), line["reason"]) for line in failed.json()["failed"]} == {
        (str(laptop), "insufficient_stock"),
        (str(mouse), "limit_exceeded"),
    }
    assert answered(client.get("/api/users/9/reservations"), 200)["data"] == []

    mine = answered(client.get(f"/api/users/{user}/reservations"), 200)["data"]
    assert [(line["user_id"], str(line["product_id"]), line["quantity"]) for line in mine] == [("7", str(laptop), 3)]
    assert mine[0]["expires_at"] == more["expires_at"]

    refused(client.post("/api/checkout", json=sent | {"quantity": 4}), 400, "insufficient_reservation")
    refused(client.post("/api/checkout", json=sent | {"quantity": 2, "total_amount": 1}), 400, "amount_mismatch")
    order = answered(client.post("/api/checkout", json=sent | {"quantity": 2, "total_amount": 1599}), 200)["data"]
    assert order.keys() >= {"id", "user_id", "product_id", "quantity", "total_amount", "status", "created_at"}
    assert (order["quantity"], order["total_amount"], order["status"]) == (2, 1599, "completed")
    assert units(client, laptop) == (4, 2, 2)

    assert answered(client.delete(f"/api/reserve/{user}/{laptop}"), 200)["success"] is True
    refused(client.delete(f"/api/reserve/{user}/{laptop}"), 400, "no_reservation")
    assert units(client, laptop) == (5, 1, 2)
    answered(client.delete(f"/api/reserve/8/{laptop}"), 200)
    assert units(client, laptop) == (6, 0, 2)
    assert units(client, mouse) == (1, 1, 0)


def test_every_request_needs_the_authorization_header(anonymous: httpx.Client) -> None:
    body = {"user_id": "7", "product_id": "1", "quantity": 1}
    for method, path in (
        ("POST", "/api/products"),
        ("GET", "/api/products"),
        ("GET", "/api/products/1"),
        ("PATCH", "/api/products/1"),
        ("GET", "/api/products/1/status"),
        ("POST", "/api/reserve"),
        ("POST", "/api/reserve/bulk"),
        ("POST", "/api/checkout"),
        ("DELETE", "/api/reserve/7/1"),
        ("GET", "/api/users/7/reservations"),
    ):
        refused(anonymous.request(method, path, json=body if method == "POST" else None), 401, "unauthorized")


def test_an_idempotency_key_is_honoured_where_a_newer_client_sends_one(client: httpx.Client) -> None:
    product = client.post("/api/products", json={"name": "Laptop", "total_stock": 10, "price": 5}).json()["data"]["id"]
    for path in ("/api/reserve", "/api/checkout"):
        body = {"user_id": "7", "product_id": product, "quantity": 1}
        first = answered(client.post(path, json=body, headers={"Idempotency-Key": "k"}), 200)
        again = answered(client.post(path, json=body, headers={"Idempotency-Key": "k"}), 200)
        assert again == first
        other = client.post(path, json=body | {"quantity": 2}, headers={"Idempotency-Key": "k"})
        refused(other, 422, "idempotency_key_reused")
    assert units(client, product) == (9, 0, 1)
