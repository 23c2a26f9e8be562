"""A fair to buy at over HTTP: a line of every kind, and what is read back of orders and goods."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.test_event_tickets_wire import counted, new_event, seat_states, upload
from tests.e2e.test_halls_wire import is_free, new_hall
from tests.e2e.test_marketplace_wire import new_ticket
from tests.e2e.wire import answered, in_hours, keyed

PRICE = 2 * 400 + 3 * 2_950 + 8_000 + 2_000 + 50_000
"""What everything costs, in minor units."""

PATIENCE = 60
"""Seconds after which an order that is not over never will be."""

OVER = {"completed", "payment_failed", "expired", "cancelled", "failed", "refunded", "partially_refunded"}

Order = dict[str, Any]


@dataclass
class Fair:
    """A line of every kind, all to be had, and short words for buying them."""

    client: httpx.Client
    items: list[dict[str, Any]]

    def hold(self, user: str = "bob", items: Sequence[dict[str, Any]] | None = None, seconds: int = 60) -> str:
        """Hold everything, or some things, and return the reservation's id."""
        body = {"user_id": user, "items": list(items or self.items), "hold_seconds": seconds}
        return str(answered(self.client.post("/api/v1/reservations", json=body, headers=keyed()), 201)["id"])

    def check_out(self, reservation: str, token: str | None, key: str | None = None, wait: int = 15) -> httpx.Response:
        """Check a reservation out, and wait for what becomes of it, or for what the buyer has to do."""
        payment = {"provider": "sandbox"} if token is None else {"provider": "sandbox", "token": token}
        headers = keyed(key) | ({"Prefer": f"wait={wait}"} if wait else {})
        path = f"/api/v1/reservations/{reservation}/checkout"
        return self.client.post(path, json={"payment": payment}, headers=headers)

    def buy(self, token: str, seconds: int = 60) -> Order:
        """Hold everything, check it out, and return the order once it is over, or its buyer has something to do."""
        answer = self.check_out(self.hold(seconds=seconds), token)
        assert answer.status_code in (200, 202), answer.text
        return self.over(answer.json()["id"], *OVER, "awaiting_payment")

    def order(self, order_id: str) -> Order:
        """Return an order as clients read it."""
        found: Order = answered(self.client.get(f"/api/v1/orders/{order_id}"), 200)
        return found

    def over(self, order_id: str, *states: str) -> Order:
        """Wait until an order is over, or in one of these states, and no refund of it is open; return it then."""
        until = time.monotonic() + PATIENCE
        while True:
            order = self.order(order_id)
            if order["status"] in (states or OVER) and not any(
                refund["status"] in ("pending", "paid") for refund in order["refunds"]
            ):
                return order
            if time.monotonic() > until:
                pytest.fail(f"{order['status']}, {order['refunds']}")
            time.sleep(0.1)

    def act(self, order: Order, action: str = "pay") -> dict[str, str]:
        """Do what the buyer does at the sandbox's page; return what its webhooks were taken as."""
        tenant, payment = tenant_of(self.client), order["charges"][0]["payment_id"]
        url = f"/sandbox/{tenant}/payments/{payment}"
        taken: dict[str, str] = answered(self.client.post(url, json={"action": action}), 200)["taken_as"]
        return taken

    def reservation(self, order: Order) -> str:
        """Return the state of the reservation that an order buys."""
        found = answered(self.client.get(f"/api/v1/reservations/{order['reservation_id']}"), 200)
        return str(found["status"])

    def goods(self) -> str:
        """Return whether everything is free, held or sold, which must be one for every kind of line."""
        product, ticket, seat, listing, hall = self.items
        data = answered(self.client.get(f"/api/products/{product['product_id']}/status"), 200)["data"]
        units = {(5, 0, 0): "free", (3, 2, 0): "held", (3, 0, 2): "sold"}[
            data["available_stock"], data["reserved_stock"], data["sold_stock"]
        ]
        left = {str(name): number for name, number in counted(self.client, ticket["event_id"]).items()}
        seen = seat_states(self.client, ticket["event_id"])[seat["row"], seat["seat"]]
        offer = answered(self.client.get(f"/api/tickets/{listing['ticket_id']}"), 200)
        free = is_free(self.client, hall["venue_id"], 101, 102)["isAvailable"]
        taken = units != "free"
        assert left[ticket["ticket_type_id"]] == (47 if taken else 50)
        assert seen == {"free": "available", "held": "reserved", "sold": "booked"}[units]
        assert offer["status"] == {"free": "available", "held": "reserved", "sold": "sold"}[units]
        assert free is not taken
        return units

    def ending(self, order: Order) -> tuple[str, str, str, list[tuple[str, int, int]]]:
        """Return how an order ended: its state, its reservation's, its goods', its charges'."""
        charges = [
            (charge["status"], charge["captured_minor"], charge["refunded_minor"]) for charge in order["charges"]
        ]
        return order["status"], self.reservation(order), self.goods(), charges


def tenant_of(client: httpx.Client) -> str:
    """Return whose key a client has."""
    return client.headers["Authorization"].split("_")[1]


def new_fair(client: httpx.Client) -> Fair:
    """Put everything on sale, for the client's tenant."""
    event, vip, general = new_event(client)
    upload(client, event, vip)
    product = client.post("/api/products", json={"name": "Programme", "total_stock": 5, "price": "4.00"})
    items: list[dict[str, Any]] = [
        {"kind": "product", "product_id": str(answered(product, 201)["data"]["id"]), "quantity": 2},
        {"kind": "ticket", "event_id": str(event), "ticket_type_id": str(general), "quantity": 3},
        {"kind": "seat", "event_id": str(event), "ticket_type_id": str(vip), "row": "1", "seat": "5"},
        {"kind": "listing", "ticket_id": new_ticket(client, "ada")["id"]},
        {
            "kind": "venue",
            "venue_id": new_hall(client, currency="USD"),
            "start": in_hours(100),
            "end": in_hours(104),
        },
    ]
    return Fair(client, items)
