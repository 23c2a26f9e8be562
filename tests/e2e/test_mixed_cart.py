"""One cart over everything on sale: held whole or not at all, and a refusal that names every line in the way."""

from typing import Any

import httpx
import pytest

from tests.e2e.test_event_tickets_wire import counted, new_event, seat_states, upload
from tests.e2e.test_halls_wire import is_free, new_hall
from tests.e2e.test_marketplace_wire import new_ticket
from tests.e2e.wire import answered, faults, in_hours, keyed, moment, refused

ROUTE = "/api/v1/reservations"


@pytest.fixture(name="cart")
def _cart(client: httpx.Client) -> list[dict[str, Any]]:
    """A line of every kind, all to be had."""
    product = {"name": "Programme", "total_stock": 5, "price": "4.00"}
    event, vip, general = new_event(client)
    upload(client, event, vip)
    seats = {"event_id": str(event), "ticket_type_id": str(vip)}
    return [
        {"kind": "product", "product_id": _id(client.post("/api/products", json=product)), "quantity": 2},
        {"kind": "ticket", "event_id": str(event), "ticket_type_id": str(general), "quantity": 3},
        seats | {"kind": "seat", "row": "1", "seat": "5"},
        seats | {"kind": "best_available", "quantity": 2},
        {"kind": "listing", "ticket_id": new_ticket(client, "ada")["id"]},
        {
            "kind": "venue",
            "venue_id": new_hall(client, currency="USD"),
            "start": in_hours(100),
            "end": in_hours(104),
        },
    ]


def _id(answer: httpx.Response) -> str:
    return str(answered(answer, 201)["data"]["id"])


def hold(client: httpx.Client, user: str, items: list[dict[str, Any]]) -> httpx.Response:
    return client.post(ROUTE, json={"user_id": user, "items": items}, headers=keyed())


def test_a_line_of_every_kind_is_held_at_once_shown_and_let_go(
    client: httpx.Client, cart: list[dict[str, Any]]
) -> None:
    event, venue = cart[1]["event_id"], cart[5]["venue_id"]
    held = answered(hold(client, "bob", cart), 201)
    kinds = [line["kind"] for line in held["items"]]
    assert kinds == ["product", "ticket", "seat", "seat", "seat", "listing", "venue"], "chosen seats have names"
    assert {line["state"] for line in held["items"]} == {"held"}
    total = 2 * 400 + 3 * 2950 + 3 * 8000 + 2000 + 50_000
    assert held["totals"] == [{"currency": "USD", "amount_minor": total}]
    lasting = moment(held["expires_at"]) - moment(held["created_at"])
    assert lasting.total_seconds() == 600, "as long as the shortest kind in it"
    chosen = [line for line in held["items"] if line["kind"] == "seat"][1:]
    assert len({line["row"] for line in chosen}) == 1
    assert abs(int(chosen[0]["seat"]) - int(chosen[1]["seat"])) == 1, "side by side"
    assert answered(client.get(f"{ROUTE}/{held['id']}"), 200) == held
    assert sum(counted(client, event).values()) == 80 - 3 - 3
    assert is_free(client, venue, 101, 102)["isAvailable"] is False

    gone = answered(client.delete(f"{ROUTE}/{held['id']}"), 200)
    assert {line["state"] for line in gone["items"]} == {"cancelled"}
    assert sum(counted(client, event).values()) == 80
    assert is_free(client, venue, 101, 102)["isAvailable"] is True
    answered(hold(client, "eve", cart), 201)


def test_a_refusal_names_every_line_and_takes_nothing(client: httpx.Client, cart: list[dict[str, Any]]) -> None:
    event = cart[1]["event_id"]
    answered(hold(client, "bob", [cart[0] | {"quantity": 4}, cart[2], cart[4], cart[5]]), 201)
    before = seat_states(client, event)
    refusal = hold(client, "eve", [*cart, cart[2] | {"row": "99"}])
    assert refusal.status_code == 409
    assert refusal.json()["success"] is False
    assert faults(refusal.json()) == {
        "items.0": "insufficient_stock",
        "items.2": "seat_taken",
        "items.4": "already_reserved",
        "items.5": "time_conflict",
        "items.6": "seat_not_found",
    }
    assert seat_states(client, event) == before
    assert counted(client, event)[_same(client, event, cart[1]["ticket_type_id"])] == 50


def test_lines_in_two_currencies_are_refused(client: httpx.Client, cart: list[dict[str, Any]]) -> None:
    dear = cart[5] | {"venue_id": new_hall(client, currency="EUR")}
    refused(hold(client, "bob", [cart[0], dear]), 400, "mixed_currencies")


def _same(client: httpx.Client, event: str, ticket_type: str) -> Any:
    """Return a ticket type's id as the older wire spells it."""
    return next(name for name in counted(client, event) if str(name) == ticket_type)
