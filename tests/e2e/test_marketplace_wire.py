"""The requests of WIRE.md, section 3, for tickets and orders, in sequence, as a client of the older marketplace sends
them; what its session said of the user, a service key says with `userId`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.e2e.wire import answered, keyed, moment, refused

UNKNOWN_ORDER = "o-abcdefghijklmnop-00000000000000000000000000000000"


def new_ticket(client: httpx.Client, seller: str, **more: Any) -> dict[str, Any]:
    body = {"title": "Closing night, row 3", "price": 20, "userId": seller, **more}
    made: dict[str, Any] = answered(client.post("/api/tickets", json=body), 201)
    assert made.keys() >= {"id", "title", "price", "userId", "version"}
    assert (made["title"], made["price"], made["userId"]) == (body["title"], body["price"], seller)
    return made


def titles(answer: httpx.Response) -> list[str]:
    return [ticket["title"] for ticket in answered(answer, 200)]


def test_the_requests_of_the_older_client_work_in_sequence(client: httpx.Client) -> None:
    ticket = new_ticket(client, "ada")
    path = f"/api/tickets/{ticket['id']}"
    refused(client.post("/api/tickets", json={"title": "", "price": -1, "userId": "ada"}), 400, "validation_failed")
    refused(client.get("/api/tickets/none"), 404, "ticket_not_found")
    changed = answered(client.put(path, json={"title": "Closing night", "price": "25.50", "userId": "ada"}), 200)
    assert (changed["price"], changed["title"]) == (25.5, "Closing night")
    assert changed["version"] > ticket["version"]
    assert answered(client.get(path), 200) == changed
    refused(client.put(path, json={"title": "Mine", "price": 1, "userId": "bob"}), 403, "forbidden")
    refused(client.put("/api/tickets/none", json={"title": "None", "price": 1}), 404, "ticket_not_found")
    new_ticket(client, "ada", title="Matinée")
    assert titles(client.get("/api/tickets")) == ["Matinée", "Closing night"], "newest first"

    before = datetime.now(UTC)
    refused(client.post("/api/orders", json={"ticketId": ticket["id"], "userId": "ada"}), 400, "own_listing")
    refused(client.post("/api/orders", json={"ticketId": "none", "userId": "bob"}), 404, "ticket_not_found")
    order = answered(client.post("/api/orders", json={"ticketId": ticket["id"], "userId": "bob"}), 201)
    assert order.keys() >= {"id", "userId", "status", "expiresAt", "version", "ticket"}
    assert (order["userId"], order["status"]) == ("bob", "created")
    assert {name: order["ticket"][name] for name in ("id", "title", "price")} == {
        "id": ticket["id"],
        "title": "Closing night",
        "price": 25.5,
    }
    lock = moment(order["expiresAt"]) - before
    assert timedelta(seconds=899.9) <= lock <= timedelta(seconds=930), "fifteen minutes"
    refused(client.post("/api/orders", json={"ticketId": ticket["id"], "userId": "eve"}), 400, "already_reserved")
    refused(client.put(path, json={"title": "Dearer", "price": 99, "userId": "ada"}), 400, "ticket_locked")

    assert [found["id"] for found in answered(client.get("/api/orders?userId=bob"), 200)] == [order["id"]]
    assert answered(client.get("/api/orders?userId=eve"), 200) == []
    assert answered(client.get(f"/api/orders/{order['id']}"), 200) == order
    refused(client.get(f"/api/orders/{UNKNOWN_ORDER}"), 404, "order_not_found")
    refused(client.patch(f"/api/orders/{UNKNOWN_ORDER}"), 404, "order_not_found")

    cancelled = answered(client.patch(f"/api/orders/{order['id']}"), 200)
    assert cancelled["status"] == "cancelled"
    assert cancelled["version"] > order["version"]
    answered(client.put(path, json={"title": "Dearer", "price": 99, "userId": "ada"}), 200)
    again = answered(client.post("/api/orders", json={"ticketId": ticket["id"], "userId": "eve"}), 201)
    assert again["ticket"]["price"] == 99


def test_an_order_repeated_under_one_key_is_one_order(client: httpx.Client) -> None:
    ticket = new_ticket(client, "ada")
    body = {"ticketId": ticket["id"], "userId": "bob"}
    first = answered(client.post("/api/orders", json=body, headers=keyed("k")), 201)
    assert answered(client.post("/api/orders", json=body, headers=keyed("k")), 201) == first
    refused(
        client.post("/api/orders", json=body | {"ticketId": "none"}, headers=keyed("k")), 422, "idempotency_key_reused"
    )
