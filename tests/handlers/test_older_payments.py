"""How the older checkouts are paid: elsewhere by a service key's word, not at all where free, else by the unified."""

from typing import Any

import pytest

from tests.handlers.account import Aws
from tests.handlers.box_office import VIP, check_out, general, left, new_event, reserve, seats, wish
from tests.handlers.gateway import Answer, Api
from tests.workflow import Machines


def buy(api: Api, user: str, product: str, quantity: int, **options: Any) -> Answer:
    body = {"user_id": user, "product_id": product, "quantity": quantity}
    return api.post("/api/checkout", body, **options)


def pay(api: Api, user: str, reservation: str, token: str, key: str = "k") -> Answer:
    body = {"payment": {"provider": "sandbox", "token": token}}
    target = f"/api/v1/reservations/{reservation}/checkout"
    return api.as_user(user).post(target, body, key=key, headers={"Prefer": "wait=5"})


def purchase(api: Api, order: str) -> dict[str, Any]:
    answer = api.get(f"/api/purchases/{order}")
    assert answer.status == 200, answer.text
    return dict(answer.json)


@pytest.mark.parametrize("roles", ["customer", "staff", "admin staff"])
def test_rule_24_what_costs_something_is_402_without_a_service_key(api: Api, aws: Aws, roles: str) -> None:
    """Rule 24: nothing is written for anybody who cannot say that it is paid elsewhere."""
    product, event = api.new_product(price="19.99"), new_event(api)
    api.reserve("alice", product, 2)
    reserve(api, "alice", event, seats((1, 1)), general(2))
    before = aws.dump()
    alice = api.as_user("alice").with_roles(roles)
    for answer in (
        buy(alice, "alice", product, 1),
        buy(alice, "alice", product, 2, key="k"),
        check_out(alice, "alice", event, seats((1, 1))),
        alice.post("/api/checkout", wish("alice", event, seats((1, 1)), general(2))),
    ):
        assert (answer.status, answer.code) == (402, "payment_required")
    assert aws.dump() == before
    assert buy(api, "alice", product, 1, key="k").status == 200


def test_what_costs_nothing_a_customer_buys(api: Api) -> None:
    product, event = api.new_product(price=0), new_event(api, price=0)
    api.reserve("alice", product, 2)
    reserve(api, "alice", event, seats((1, 1)), general(2))
    alice = api.as_user("alice")
    bought = buy(alice, "alice", product, 2)
    assert (bought.status, bought.data["total_amount"], bought.data["status"]) == (200, 0, "completed")
    tickets = check_out(alice, "alice", event, seats((1, 1)), general(1))
    assert tickets.status == 200
    for order in (bought.data["id"], tickets.json["purchaseId"]):
        found = api.get(f"/api/v1/orders/{order}").json
        assert (found["status"], found["payment"]["provider"], found["charges"]) == ("completed", "free", [])


def test_what_a_service_key_buys_is_an_order_like_any_other(api: Api) -> None:
    product = api.new_product(price="19.99")
    api.reserve("alice", product, 3)
    order = buy(api, "alice", product, 2).data["id"]
    found = api.as_user("alice").get(f"/api/v1/orders/{order}").json
    assert (found["status"], found["totals"][0]["amount_minor"], found["captured_minor"]) == ("completed", 3998, 3998)
    assert [charge["status"] for charge in found["charges"]] == ["completed"]
    refunded = api.post(f"/api/v1/orders/{order}/refund", {}, key="r", headers={"Prefer": "wait=5"})
    assert (refunded.status, refunded.json["status"]) == (200, "refunded")
    assert api.units(product) == (10, 9, 1, 0)


@pytest.mark.parametrize("key", [None, "k"])
def test_an_answer_is_the_same_again_whatever_became_of_the_order(api: Api, key: str | None) -> None:
    product = api.new_product(price="19.99")
    api.reserve("alice", product, 3)
    first = buy(api, "alice", product, 2, key=key)
    order = first.data["id"]
    api.post(f"/api/v1/orders/{order}/refund", {}, key="r", headers={"Prefer": "wait=5"})
    again = buy(api, "alice", product, 2, key=key)
    if key is None:
        assert (again.status, again.code) == (400, "insufficient_reservation")
    else:
        assert (again.status, again.json) == (200, first.json)


@pytest.mark.parametrize("state", ["AuthorisePayment", "ConfirmClaims"])
def test_a_checkout_that_fails_names_its_order_and_why(api: Api, machines: Machines, state: str) -> None:
    product, event = api.new_product(price="19.99"), new_event(api)
    api.reserve("alice", product, 3)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    machines.fail(state)
    for status, answer in (
        (400, buy(api, "alice", product, 2)),
        (409, check_out(api, "alice", event, seats((1, 1)))),
        (409, check_out(api, "alice", event, seats((1, 2)))),
    ):
        assert (answer.status, answer.code) == (status, "payment_failed")
        assert answer.json["reason"]
        order = api.get(f"/api/v1/orders/{answer.json['order_id']}").json
        assert order["status"] == "payment_failed"
    assert purchase(api, answer.json["order_id"])["status"] == "failed"
    machines.mend(state)
    assert buy(api, "alice", product, 3).status == 200
    assert check_out(api, "alice", event, seats((1, 1), (1, 2))).status == 200
    assert api.units(product) == (10, 7, 0, 3)
    assert left(api, event)[0] == {"1/1:booked", "1/2:booked"}


def test_a_customer_pays_for_a_deal_hold_by_its_id(api: Api) -> None:
    """What is held by the older route is bought by the unified one, whole; a declined card leaves it to another."""
    product = api.new_product(price="19.99")
    hold = api.reserve("alice", product, 3).data["reservation_id"]
    assert pay(api, "alice", hold, "tok_decline", "k1").json["status"] == "payment_failed"
    assert api.units(product) == (10, 7, 3, 0)
    paid = pay(api, "alice", hold, "tok_success", "k2").json
    assert (paid["status"], paid["captured_minor"]) == ("completed", 5997)
    assert api.units(product) == (10, 7, 0, 3)
    assert pay(api, "alice", hold, "tok_success", "k2").json == paid
    assert api.reserve("alice", product, 1).data["quantity"] == 1


def test_what_a_declined_card_leaves_is_bought_by_the_older_route(api: Api) -> None:
    product = api.new_product(price="19.99")
    hold = api.reserve("alice", product, 3).data["reservation_id"]
    pay(api, "alice", hold, "tok_decline")
    assert buy(api, "alice", product, 4).code == "insufficient_reservation"
    assert buy(api, "alice", product, 1).status == 200
    api.reserve("alice", product, 1)
    assert buy(api, "alice", product, 3).status == 200
    assert api.units(product) == (10, 6, 0, 4)


def test_a_unified_cart_is_a_purchase_of_the_tickets_in_it(api: Api) -> None:
    product, event = api.new_product(price=1), new_event(api)
    lines = [
        {"kind": "product", "product_id": product, "quantity": 2},
        {"kind": "seat", "event_id": event, "ticket_type_id": VIP, "row": "1", "seat": "2"},
        {"kind": "ticket", "event_id": event, "ticket_type_id": "2", "quantity": 2},
    ]
    held = api.post("/api/v1/reservations", {"user_id": "alice", "items": lines}, key="k").json["id"]
    waiting = pay(api, "alice", held, "tok_confirm").json
    assert purchase(api, waiting["id"])["status"] == "pending"
    assert api.post(waiting["payment"]["action"]["url"], {"action": "pay"}).status == 200
    found = purchase(api.as_user("alice"), waiting["id"])
    assert (found["status"], found["eventId"], found["totalAmount"]) == ("completed", event, 139)
    assert [detail["ticketType"] for detail in found["details"]] == ["VIP", "General"]
    api.post(f"/api/v1/orders/{waiting['id']}/refund", {}, key="r", headers={"Prefer": "wait=5"})
    assert purchase(api, waiting["id"])["status"] == "refunded"
    assert api.as_user("bob").get(f"/api/purchases/{waiting['id']}").code == "purchase_not_found"


def test_an_order_without_tickets_is_no_purchase(api: Api) -> None:
    product = api.new_product(price=1)
    api.reserve("alice", product, 1)
    order = buy(api, "alice", product, 1).data["id"]
    assert api.get(f"/api/purchases/{order}").code == "purchase_not_found"
