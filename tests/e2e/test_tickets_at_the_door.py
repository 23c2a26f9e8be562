"""Tickets from the sale to the door: bought through the workflow, checked offline by their codes, let in once each."""

from typing import Any

import httpx
import pytest

from tests.door import gate
from tests.e2e.test_event_tickets_wire import new_event, upload
from tests.e2e.test_marketplace_wire import new_ticket
from tests.e2e.wire import answered, keyed, moment, refused

ROUTE = "/api/v1/check-in"
PAID = {"payment": {"provider": "sandbox", "token": "tok_success"}}


@pytest.fixture(name="order")
def _order(client: httpx.Client) -> dict[str, Any]:
    """A paid order of a product, three standing, a seat and a resale ticket, as it is read."""
    event, vip, general = new_event(client)
    upload(client, event, vip)
    made = client.post("/api/products", json={"name": "Programme", "total_stock": 5, "price": "4.00"})
    items = [
        {"kind": "product", "product_id": str(answered(made, 201)["data"]["id"]), "quantity": 1},
        {"kind": "ticket", "event_id": str(event), "ticket_type_id": str(general), "quantity": 3},
        {"kind": "seat", "event_id": str(event), "ticket_type_id": str(vip), "row": "1", "seat": "5"},
        {"kind": "listing", "ticket_id": new_ticket(client, "ada")["id"]},
    ]
    held = answered(client.post("/api/v1/reservations", json={"user_id": "bob", "items": items}, headers=keyed()), 201)
    bought = client.post(
        f"/api/v1/reservations/{held['id']}/checkout", json=PAID, headers=keyed() | {"Prefer": "wait=15"}
    )
    assert answered(bought, 200)["status"] == "completed"
    return read(client, bought.json()["id"])


def read(client: httpx.Client, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = answered(client.get(f"/api/v1/orders/{order_id}"), 200)
    return found


def check_in(client: httpx.Client, ticket: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else keyed(key)
    return client.post(ROUTE, json={"code": ticket["code"]}, headers=headers)


def tenant_of(client: httpx.Client) -> str:
    """Return whose key a client has."""
    return client.headers["Authorization"].split("_")[1]


def test_every_ticket_is_told_from_others_offline_and_let_in_once(
    client: httpx.Client, anonymous: httpx.Client, order: dict[str, Any]
) -> None:
    tickets = order["tickets"]
    assert [(ticket["kind"], ticket["line"], ticket["number"]) for ticket in tickets] == [
        ("ticket", 1, 0),
        ("ticket", 1, 1),
        ("ticket", 1, 2),
        ("seat", 2, 0),
        ("listing", 3, 0),
    ]
    assert {ticket["admitted_at"] for ticket in tickets} == {None}
    assert read(client, order["id"])["tickets"] == tickets, "the same codes each time"

    tenant = tenant_of(client)
    keys = answered(anonymous.get(f"{ROUTE}/keys", headers={"X-Tenant-Id": tenant}), 200)
    for ticket in tickets:
        order_id, line, number, place = gate()(ticket["code"], keys)
        assert (order_id, line, number) == (order["id"], ticket["line"], ticket["number"])
        named = (ticket[name] for name in ("event_id", "ticket_type_id", "row", "seat", "ticket_id"))
        assert place == [name for name in named if name is not None]

    for ticket in tickets:
        first = answered(check_in(client, ticket, f"scan-{ticket['line']}-{ticket['number']}"), 200)
        assert (first["order_id"], first["user_id"], first["kind"]) == (order["id"], "bob", ticket["kind"])
        assert moment(first["admitted_at"]) >= moment(order["completed_at"])
        assert answered(check_in(client, ticket, f"scan-{ticket['line']}-{ticket['number']}"), 200) == first
        again = refused(check_in(client, ticket), 409, "already_admitted")
        assert again["admitted_at"] == first["admitted_at"]
    assert None not in {ticket["admitted_at"] for ticket in read(client, order["id"])["tickets"]}


def test_no_other_text_and_nobody_elses_code_is_let_in(
    client: httpx.Client, anonymous: httpx.Client, order: dict[str, Any], client_of_tenant: Any
) -> None:
    ticket = order["tickets"][0]
    code = ticket["code"]
    for wrong in (code[:-1] + ("A" if code[-1] != "A" else "B"), code.replace("HF1.W", "HF1.X"), code[:-1], "x"):
        refused(client.post(ROUTE, json={"code": wrong}), 400, "ticket_code_invalid")
    refused(check_in(anonymous, ticket), 401, "unauthorized")
    stranger = client_of_tenant(f"{tenant_of(client)}-too")
    refused(check_in(stranger, ticket), 400, "ticket_code_invalid")
    strangers = {"X-Tenant-Id": tenant_of(stranger)}
    assert answered(anonymous.get(f"{ROUTE}/keys", headers=strangers), 200) == {"keys": []}
    refused(anonymous.get(f"{ROUTE}/keys", headers={"X-Tenant-Id": "nobody"}), 404, "tenant_not_found")
    answered(check_in(client, ticket), 200)


def test_what_is_given_back_is_not_let_in_and_who_came_in_is_not_paid_back(
    client: httpx.Client, order: dict[str, Any]
) -> None:
    first, second, third, seated, _ = order["tickets"]
    path = f"/api/v1/orders/{order['id']}/refund"
    headers = {"Prefer": "wait=15"}
    one = {"items": [{"line": 1, "quantity": 1}]}
    refunded = answered(client.post(path, json=one, headers=headers | keyed()), 200)
    assert refunded["status"] == "partially_refunded"
    assert [ticket["code"] for ticket in refunded["tickets"] if ticket["line"] == 1] == [first["code"], second["code"]]
    refused(check_in(client, third), 409, "ticket_not_valid")
    answered(check_in(client, second), 200)
    refused(client.post(path, json=one, headers=headers | keyed()), 409, "not_refundable")
    answered(check_in(client, seated), 200)
    refused(client.post(path, json={"items": [{"line": 2}]}, headers=headers | keyed()), 409, "not_refundable")
    assert read(client, order["id"])["refunded_minor"] == 2_950
