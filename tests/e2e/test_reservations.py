"""The unified reservations on the running stack (WIRE.md, section 0)."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx

ROUTE = "/api/v1/reservations"


def new_product(client: httpx.Client, stock: int = 10, **more: Any) -> str:
    answer = client.post("/api/products", json={"name": "Laptop", "total_stock": stock, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


def hold(client: httpx.Client, product: Any, quantity: int = 1, key: str | None = None, **more: Any) -> httpx.Response:
    items = [{"kind": "product", "product_id": product, "quantity": quantity}]
    body = {"items": items, "user_id": "alice", **more}
    return client.post(ROUTE, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})


def available(client: httpx.Client, product: str) -> int:
    found: int = client.get(f"/api/products/{product}/status").json()["data"]["available_stock"]
    return found


def test_a_cart_is_held_read_extended_once_and_let_go(client: httpx.Client) -> None:
    product = new_product(client, price="19.99")
    answer = hold(client, int(product), 2)
    assert answer.status_code == 201, answer.text
    held = answer.json()
    assert held.keys() == {"id", "status", "user_id", "items", "totals", "created_at", "expires_at"}
    assert held["items"] == [
        {
            "kind": "product",
            "product_id": product,
            "quantity": 2,
            "unit_price_minor": 1999,
            "price_minor": 3998,
            "currency": "USD",
            "state": "held",
        }
    ]
    assert held["totals"] == [{"currency": "USD", "amount_minor": 3998}]
    assert available(client, product) == 8
    assert client.get(f"{ROUTE}/{held['id']}").json() == held

    extended = client.post(f"{ROUTE}/{held['id']}/extend")
    assert extended.status_code == 200
    assert extended.json()["expires_at"] > held["expires_at"]
    again = client.post(f"{ROUTE}/{held['id']}/extend")
    assert (again.status_code, again.json()["code"]) == (409, "already_extended")

    gone = client.delete(f"{ROUTE}/{held['id']}")
    assert (gone.status_code, gone.json()["status"]) == (200, "cancelled")
    assert available(client, product) == 10
    over = client.post(f"{ROUTE}/{held['id']}/extend")
    assert (over.status_code, over.json()["code"]) == (409, "reservation_over")


def test_the_same_key_and_body_hold_once_and_another_body_is_422(client: httpx.Client) -> None:
    product = new_product(client)
    first, again = hold(client, product, 2, key="k"), hold(client, product, 2, key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    reused = hold(client, product, 3, key="k")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert available(client, product) == 8


def test_a_refusal_names_every_line_and_takes_nothing(client: httpx.Client) -> None:
    plenty, few = new_product(client), new_product(client, 1)
    lines = [(plenty, 1), (few, 2), ("999", 1)]
    items = [{"kind": "product", "product_id": product, "quantity": quantity} for product, quantity in lines]
    answer = client.post(ROUTE, json={"items": items, "user_id": "alice"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 409
    faults = {fault["field"]: fault["code"] for fault in answer.json()["errors"]}
    assert faults == {"items.1": "insufficient_stock", "items.2": "product_not_found"}
    assert (available(client, plenty), available(client, few)) == (10, 1)


def test_bad_requests_are_refused_in_the_one_shape(client: httpx.Client) -> None:
    keyed = {"Idempotency-Key": "k"}
    good = {"user_id": "alice", "items": [{"kind": "product", "product_id": "1", "quantity": 1}]}
    typed = keyed | {"Content-Type": "application/json"}
    requests: list[tuple[int, str, dict[str, Any]]] = [
        (400, "idempotency_key_required", {"json": good}),
        (400, "idempotency_key_malformed", {"json": good, "headers": {"Idempotency-Key": "a b"}}),
        (400, "bad_json", {"content": b'{"items": [', "headers": typed}),
        (400, "bad_json", {"content": b'{"items": NaN}', "headers": typed}),
        (400, "bad_json", {"content": b'{"a": "\\ud800"}', "headers": typed}),
        (400, "validation_failed", {"json": good | {"colour": "red"}, "headers": keyed}),
        (400, "validation_failed", {"json": good | {"items": []}, "headers": keyed}),
        (400, "validation_failed", {"headers": keyed}),
        (413, "body_too_large", {"json": good | {"user_id": "x" * 70_000}, "headers": keyed}),
        (415, "unsupported_media_type", {"content": b"a=b", "headers": keyed | {"Content-Type": "text/plain"}}),
    ]
    for status, code, request in requests:
        answer = client.post(ROUTE, **request)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json().keys() >= {"success", "error", "code", "request_id"}


def test_lists_are_paged_and_of_one_user(client: httpx.Client) -> None:
    product = new_product(client, 10)
    wanted = {hold(client, product).json()["id"] for _ in range(3)}
    hold(client, product, user_id="bob")
    found: list[str] = []
    query: dict[str, str] = {"user_id": "alice", "limit": "2"}
    while True:
        page = client.get(ROUTE, params=query).json()
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["next"] = page["next"]
    assert sorted(found) == sorted(wanted)


def test_another_tenants_reservation_is_not_there(
    client: httpx.Client, client_of_tenant: Callable[[str], httpx.Client]
) -> None:
    held = hold(client, new_product(client)).json()["id"]
    other = client_of_tenant(f"t-{uuid.uuid4().hex[:16]}")
    for answer in (other.get(f"{ROUTE}/{held}"), other.delete(f"{ROUTE}/{held}"), other.post(f"{ROUTE}/{held}/extend")):
        assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")
    assert client.get(f"{ROUTE}/{held}").json()["status"] == "held"
