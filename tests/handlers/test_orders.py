"""Orders: list, read, cancel, and give back whole or in part (WIRE.md, section 0)."""

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Keys
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import new_hall, set_to
from tests.workflow import Machines

ROUTE = "/api/v1/orders"
NOWHERE = f"{ROUTE}/o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"
WAIT = {"Prefer": "wait=1"}


def product_line(product: str, quantity: int = 1) -> dict[str, Any]:
    return {"kind": "product", "product_id": product, "quantity": quantity}


def held(api: Api, *items: dict[str, Any], user: str = "alice") -> str:
    """Hold a cart and return the reservation's id."""
    answer = api.post("/api/v1/reservations", {"items": list(items), "user_id": user}, key=uuid.uuid4().hex)
    assert answer.status == 201, answer.text
    return str(answer.json["id"])


def checked_out(api: Api, reservation: str, pay_with: str | None = "tok_success", provider: str = "sandbox") -> Any:
    """Check a reservation out and return the order."""
    payment = {"provider": provider} | ({} if pay_with is None else {"token": pay_with})
    target = f"/api/v1/reservations/{reservation}/checkout"
    answer = api.post(target, {"payment": payment}, key=uuid.uuid4().hex, headers=WAIT)
    assert answer.status in (200, 202), answer.text
    return answer.json


def bought(api: Api, *items: dict[str, Any], user: str = "alice", **payment: Any) -> dict[str, Any]:
    """Return an order that was bought."""
    order = checked_out(api, held(api, *items, user=user), **payment)
    assert order["status"] == "completed"
    return dict(order)


def cancelled(api: Api, order: Any, key: str = "c") -> Answer:
    return api.post(f"{ROUTE}/{order['id']}/cancel", key=key, headers=WAIT)


def refunded(api: Api, order: Any, key: str = "r", **body: Any) -> Answer:
    return api.post(f"{ROUTE}/{order['id']}/refund", body, key=key, headers=WAIT)


def read(api: Api, order: Any) -> Any:
    answer = api.get(f"{ROUTE}/{order['id']}")
    assert answer.status == 200, answer.text
    return answer.json


def money(order: Any) -> tuple[str, int, int, int, int]:
    return (
        order["status"],
        order["captured_minor"],
        order["refunded_minor"],
        order["refundable_minor"],
        order["fee_minor"],
    )


def evening(venue: str) -> dict[str, Any]:
    return {"kind": "venue", "venue_id": venue, "start": "2027-03-10T18:00:00Z", "end": "2027-03-10T22:00:00Z"}


def test_an_order_is_shown_with_lines_money_charges_and_when(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10, price="19.99")
    reservation = held(api, product_line(product, 2))
    order = read(api, checked_out(api, reservation))
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", order["number"])
    assert (order["reservation_id"], order["user_id"]) == (reservation, "alice")
    assert money(order) == ("completed", 3_998, 0, 3_998, 0)
    assert order["lines"] == [
        {
            "line": 0,
            "kind": "product",
            "product_id": product,
            "quantity": 2,
            "returned": 0,
            "unit_price_minor": 1_999,
            "price_minor": 3_998,
            "currency": "USD",
            "state": "confirmed",
        }
    ]
    assert order["totals"] == [{"currency": "USD", "amount_minor": 3_998}]
    assert order["payment"] == {"provider": "sandbox", "action": None}
    (charge,) = order["charges"]
    assert (charge["status"], charge["captured_minor"], charge["provider"]) == ("completed", 3_998, "sandbox")
    assert order["refunds"] == order["tickets"] == []
    assert order["reason"] is None
    assert order["deadline"] is None
    at = datetime.fromtimestamp(clock.milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    assert order["completed_at"] == at.replace("+00:00", "Z")


def test_lines_of_every_kind_say_what_they_are(api: Api, clock: HandMovedClock) -> None:
    set_to(clock)
    event = api.post("/api/events", {"name": "Show", "date": "2027-06-01T20:00:00Z", "venue": "Hall"}).json["id"]
    types = f"/api/events/{event}/ticket-types"
    seated = {"ticketType": "Stalls", "price": 5, "currency": "EUR", "numbered": True}
    stalls = api.post(types, seated).json["ticketTypeId"]
    counted = {"ticketType": "General", "price": 3, "currency": "EUR", "numbered": False, "quantity": 5}
    general = api.post(types, counted).json["ticketTypeId"]
    rows = [{"rowNumber": 1, "seatNumbers": [1, 2]}]
    assert api.post(f"/api/events/{event}/seats", {"ticketTypeId": stalls, "rows": rows}).status in (200, 202)
    resale = {"title": "Row 3", "price": 2, "currency": "EUR", "userId": "seller"}
    ticket = api.post("/api/tickets", resale).json["id"]
    lines = [
        {"kind": "ticket", "event_id": event, "ticket_type_id": general, "quantity": 2},
        {"kind": "seat", "event_id": event, "ticket_type_id": stalls, "row": "1", "seat": "2"},
        {"kind": "listing", "ticket_id": ticket},
        evening(new_hall(api)),
    ]
    order = read(api, bought(api, *lines))
    shown = [{name: line[name] for name in wanted} for line, wanted in zip(order["lines"], lines, strict=True)]
    lines[3] |= {"start": "2027-03-10T18:00:00.000Z", "end": "2027-03-10T22:00:00.000Z"}
    assert shown == lines
    assert order["lines"][2]["title"] == "Row 3"
    tickets = order["tickets"]
    assert [(found["line"], found["number"]) for found in tickets] == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert (tickets[2]["row"], tickets[2]["seat"]) == ("1", "2")
    assert all(found["code"].startswith("HF1.") for found in tickets)
    pages = api.get(f"{ROUTE}/{order['id']}/tickets?limit=3").json
    assert pages["items"] == tickets[:3]
    rest = api.get(f"{ROUTE}/{order['id']}/tickets?limit=3&next={pages['next']}").json
    assert rest == {"items": tickets[3:], "next": None}
    assert api.get(f"{ROUTE}/{order['id']}/tickets?next=abc").faults() == {"next": "invalid"}
    after = refunded(api, order, items=[{"line": 0, "quantity": 1}]).json
    assert [(found["line"], found["number"]) for found in after["tickets"]] == [(0, 0), (1, 0), (2, 0)]


def test_orders_are_listed_page_by_page_and_by_state(api: Api) -> None:
    product = api.new_product(10)
    orders = [bought(api, product_line(product, number)) for number in (1, 2, 3)]
    cancelled(api, orders[0])
    first = api.get(f"{ROUTE}?user_id=alice&limit=2").json
    rest = api.get(f"{ROUTE}?user_id=alice&limit=2&next={first['next']}").json
    assert rest["next"] is None
    found = [order["id"] for order in first["items"] + rest["items"]]
    assert sorted(found) == sorted(order["id"] for order in orders)
    assert found == sorted(found)
    over = api.get(f"{ROUTE}?user_id=alice&status=cancelled").json["items"]
    assert [order["id"] for order in over] == [orders[0]["id"]]
    assert set(first["items"][0]) == set(orders[0])
    assert "charges" not in first["items"][0]
    assert api.get(f"{ROUTE}?user_id=alice&limit=2&status=completed&next={first['next']}").status == 400


def test_customers_see_their_own_orders_only(api: Api) -> None:
    order = bought(api, product_line(api.new_product(10, price=1)))
    alice, bob = api.as_user("alice"), api.as_user("bob")
    assert alice.get(ROUTE).json["items"][0]["id"] == order["id"]
    assert bob.get(ROUTE).json["items"] == []
    assert bob.get(f"{ROUTE}?user_id=alice").status == 403
    assert api.get(ROUTE).faults() == {"user_id": "missing"}
    assert read(alice, order)["id"] == order["id"]
    assert read(api.with_roles("staff"), order)["id"] == order["id"]
    for target in ("", "/tickets"):
        assert bob.get(f"{ROUTE}/{order['id']}{target}").code == "order_not_found"
    assert cancelled(bob, order).code == "order_not_found"


@pytest.mark.parametrize("target", ["", "/tickets"])
def test_an_order_that_is_none_is_404(api: Api, target: str) -> None:
    assert api.get(NOWHERE + target).code == "order_not_found"
    assert api.get(f"{ROUTE}/r-abc{target}").status == 400


def test_the_same_order_of_another_tenant_is_none(api: Api) -> None:
    order = bought(api, product_line(api.new_product(10, price=1)))
    stranger = Api(tenant="another")
    assert stranger.get(f"{ROUTE}/{order['id']}").code == "order_not_found"
    assert refunded(stranger, order).code == "order_not_found"


@pytest.mark.parametrize("step", ["cancel", "refund"])
def test_a_step_needs_a_key(api: Api, step: str) -> None:
    assert api.post(f"{NOWHERE}/{step}", {}).code == "idempotency_key_required"
    assert api.post(f"{NOWHERE}/{step}", {}, key="k").code == "order_not_found"


def test_what_the_buyer_has_to_do_is_told_the_buyer_only(api: Api) -> None:
    product = api.new_product(10, price=1)
    order = checked_out(api, held(api, product_line(product)), pay_with="tok_confirm")
    assert order["status"] == "awaiting_payment"
    assert order["deadline"] is not None
    assert order["lines"][0]["state"] == "checking_out"
    for buyer in (api, api.as_user("alice")):
        assert read(buyer, order)["payment"]["action"]["type"] == "sandbox"
    assert read(api.with_roles("staff"), order)["payment"] == {"provider": "sandbox", "action": None}


# Cancelling.


def test_cancelling_an_order_that_awaits_payment_gives_all_of_it_back(api: Api) -> None:
    product = api.new_product(10, price=1)
    order = checked_out(api, held(api, product_line(product, 2)), pay_with="tok_confirm")
    answer = cancelled(api.as_user("alice"), order)
    assert (answer.status, answer.json["status"], answer.json["reason"]) == (200, "cancelled", "cancelled")
    assert answer.json["charges"][0]["status"] == "voided"
    assert api.units(product) == (10, 10, 0, 0)
    again = cancelled(api.as_user("alice"), order, key="another")
    assert (again.status, again.json) == (200, answer.json)


def test_cancelling_answers_202_until_the_workflow_is_over(api: Api, machines: Machines) -> None:
    product = api.new_product(10, price=1)
    machines.holding_back = True
    order = checked_out(api, held(api, product_line(product)))
    answer = api.post(f"{ROUTE}/{order['id']}/cancel", key="c")
    assert (answer.status, answer.json["status"]) == (202, "pending")
    machines.go()
    again = api.post(f"{ROUTE}/{order['id']}/cancel", key="c")
    assert (again.status, again.json["status"]) == (200, "cancelled")
    assert api.units(product) == (10, 10, 0, 0)


def test_cancelling_after_a_declined_payment_lets_go_of_what_is_held(api: Api) -> None:
    product = api.new_product(10, price=1)
    reservation = held(api, product_line(product, 2))
    order = checked_out(api, reservation, pay_with="tok_decline")
    assert order["status"] == "payment_failed"
    assert order["lines"][0]["state"] == "held"
    assert api.units(product) == (10, 8, 2, 0)
    answer = cancelled(api.as_user("alice"), order)
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert api.units(product) == (10, 10, 0, 0)
    assert api.get(f"/api/v1/reservations/{reservation}").json["status"] == "cancelled"
    assert cancelled(api.as_user("alice"), order).json == answer.json


def test_lines_that_are_not_paid_are_held_until_the_hold_runs_out(api: Api, clock: HandMovedClock) -> None:
    order = checked_out(api, held(api, product_line(api.new_product(10, price=1))), pay_with="tok_decline")
    assert order["lines"][0]["state"] == "held"
    assert order["deadline"] is not None
    clock.advance(3_600)
    shown = api.get(f"/api/v1/orders/{order['id']}").json
    assert (shown["status"], shown["lines"][0]["state"]) == ("payment_failed", "expired")


def test_cancelling_a_failed_payment_whose_hold_ran_out_closes_it(api: Api, clock: HandMovedClock) -> None:
    order = checked_out(api, held(api, product_line(api.new_product(10, price=1))), pay_with="tok_decline")
    clock.advance(3_600)
    answer = cancelled(api, order)
    assert (answer.status, answer.json["status"]) == (200, "cancelled")


def test_staff_cancel_what_is_bought_and_all_of_it_is_paid_back(api: Api) -> None:
    product = api.new_product(10, price=1)
    order = bought(api, product_line(product, 2))
    answer = cancelled(api.with_roles("staff"), order)
    assert (answer.status, *money(answer.json)) == (200, "refunded", 200, 200, 0, 0)
    (refund,) = answer.json["refunds"]
    assert (refund["status"], refund["reason"], refund["lines"]) == (
        "completed",
        "cancelled",
        [{"line": 0, "quantity": 2}],
    )
    assert api.units(product) == (10, 10, 0, 0)
    assert cancelled(api.with_roles("staff"), order).json == answer.json
    assert cancelled(api.with_roles("staff"), order, key="another").json == answer.json


def test_a_customer_cannot_cancel_goods_that_are_bought(api: Api, aws: Aws) -> None:
    order = bought(api, product_line(api.new_product(10, price=1)))
    before = aws.dump()
    answer = cancelled(api.as_user("alice"), order)
    assert (answer.status, answer.code) == (409, "order_over")
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("now", "percent", "status"),
    [
        ("2027-03-05T10:00:00Z", 100, "refunded"),
        ("2027-03-08T10:00:00Z", 50, "refunded"),
        ("2027-03-10T10:00:00Z", 0, "cancelled"),
    ],
)
def test_a_customer_cancels_a_hall_and_is_paid_back_by_the_notice(
    api: Api, clock: HandMovedClock, now: str, percent: int, status: str
) -> None:
    set_to(clock)
    order = bought(api, evening(new_hall(api)))
    total = order["totals"][0]["amount_minor"]
    set_to(clock, now)
    answer = cancelled(api.as_user("alice"), order)
    assert answer.status == 200, answer.text
    assert money(answer.json) == (status, total, total * percent // 100, 0, total - total * percent // 100)
    assert bought(api, evening(order["lines"][0]["venue_id"]), user="bob")["status"] == "completed"


def test_a_customer_cannot_cancel_a_hall_whose_time_is_over_nor_a_cart_with_other_things(
    api: Api, clock: HandMovedClock
) -> None:
    set_to(clock)
    venue, product = new_hall(api), api.new_product(10, price=1, currency="EUR")
    both = bought(api, evening(venue), product_line(product))
    assert cancelled(api.as_user("alice"), both).code == "order_over"
    assert cancelled(api, both).json["status"] == "refunded"
    order = bought(api, evening(venue), user="bob")
    set_to(clock, "2027-03-10T22:00:00Z")
    assert cancelled(api.as_user("bob"), order).code == "order_over"
    assert cancelled(api.with_roles("staff"), order).json["status"] == "cancelled"


# Giving back.


def test_lines_are_given_back_one_by_one(api: Api) -> None:
    one, other = api.new_product(10, price=1), api.new_product(10, price=2)
    order = bought(api, product_line(one, 3), product_line(other, 1))
    answer = refunded(api, order, items=[{"line": 0, "quantity": 2}], reason="damaged")
    assert (answer.status, *money(answer.json)) == (200, "partially_refunded", 500, 200, 300, 0)
    assert [(line["returned"], line["state"]) for line in answer.json["lines"]] == [(2, "confirmed"), (0, "confirmed")]
    assert api.units(one) == (10, 9, 0, 1)
    answer = refunded(api, order, key="r2", items=[{"line": 0}])
    assert [line["state"] for line in answer.json["lines"]] == ["refunded", "confirmed"]
    assert answer.json["refunds"][0]["reason"] == "damaged"
    answer = refunded(api, order, key="r3")
    assert money(answer.json) == ("refunded", 500, 500, 0, 0)
    assert [refund["amount_minor"] for refund in answer.json["refunds"]] == [200, 100, 200]
    assert api.units(one) == api.units(other) == (10, 10, 0, 0)


def test_a_refund_answers_202_while_it_is_under_way_and_its_repeat_200(api: Api, machines: Machines) -> None:
    order = bought(api, product_line(api.new_product(10, price=1), 2))
    machines.holding_back = True
    first = api.post(f"{ROUTE}/{order['id']}/refund", {}, key="r")
    assert (first.status, money(first.json)) == (202, ("completed", 200, 0, 0, 0))
    assert first.json["refunds"][0]["status"] == "pending"
    under_way = api.post(f"{ROUTE}/{order['id']}/cancel", key="c")
    assert (under_way.status, len(under_way.json["refunds"])) == (202, 1)
    assert refunded(api, order, key="r2").code == "not_refundable"
    machines.go()
    again = api.post(f"{ROUTE}/{order['id']}/refund", {}, key="r")
    assert (again.status, again.json["status"]) == (200, "refunded")
    assert len(again.json["refunds"]) == 1


def test_the_same_key_for_another_refund_is_refused(api: Api) -> None:
    order = bought(api, product_line(api.new_product(10, price=1), 2))
    refunded(api, order, items=[{"line": 0, "quantity": 1}])
    answer = refunded(api, order)
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")


def test_a_refund_that_the_provider_refuses_leaves_the_order_as_it_was(api: Api) -> None:
    product = api.new_product(10, price=1)
    order = bought(api, product_line(product, 2), pay_with="tok_refund_fails")
    answer = refunded(api, order)
    assert (answer.status, *money(answer.json)) == (200, "completed", 200, 0, 200, 0)
    assert (answer.json["refunds"][0]["status"], answer.json["refunds"][0]["reason"]) == ("failed", "refund_refused")
    assert api.units(product) == (10, 8, 0, 2)


def test_a_fee_is_waived_where_staff_say_so(api: Api, clock: HandMovedClock) -> None:
    set_to(clock)
    order = bought(api, evening(new_hall(api)))
    total = order["totals"][0]["amount_minor"]
    set_to(clock, "2027-03-10T10:00:00Z")
    assert money(refunded(api, order, waive_fee=True).json) == ("refunded", total, total, 0, 0)


def test_only_staff_give_back(api: Api, aws: Aws) -> None:
    order = bought(api, product_line(api.new_product(10, price=1)))
    before = aws.dump()
    assert refunded(api.as_user("alice"), order).status == 403
    assert aws.dump() == before
    assert refunded(api.with_roles("admin"), order).json["status"] == "refunded"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"items": []}, {"items": "too_short"}),
        ({"items": [{"line": -1}]}, {"items.0.line": "greater_than_equal"}),
        ({"items": [{"line": "0"}]}, {"items.0.line": "int_type"}),
        ({"items": [{"line": 0, "quantity": 0}]}, {"items.0.quantity": "greater_than_equal"}),
        ({"items": [{"line": 0, "price": 1}]}, {"items.0.price": "extra_forbidden"}),
        ({"waive_fee": "yes"}, {"waive_fee": "bool_type"}),
        ({"reason": ""}, {"reason": "string_too_short"}),
        ({"amount_minor": 5}, {"amount_minor": "extra_forbidden"}),
    ],
)
def test_a_body_that_is_no_refund_is_refused(api: Api, body: Any, faults: dict[str, str]) -> None:
    answer = api.post(f"{NOWHERE}/refund", body, key="k")
    assert (answer.status, answer.faults()) == (400, faults)


def test_what_is_not_left_is_refused_by_its_line(api: Api, aws: Aws) -> None:
    order = bought(api, product_line(api.new_product(10, price=1), 2))
    before = aws.dump()
    answer = refunded(api, order, items=[{"line": 0, "quantity": 1}, {"line": 0, "quantity": 2}, {"line": 3}])
    assert (answer.status, answer.code) == (409, "not_refundable")
    assert answer.faults() == {"items.1": "not_left", "items.2": "not_left"}
    assert aws.dump() == before


def test_what_was_never_paid_cannot_be_given_back(api: Api) -> None:
    order = checked_out(api, held(api, product_line(api.new_product(10, price=1))), pay_with="tok_decline")
    assert refunded(api, order).code == "not_refundable"


def test_a_ticket_that_was_let_in_is_not_given_back(api: Api, store: Store) -> None:
    order = bought(api, product_line(api.new_product(10, price=1), 2))
    key = Keys(api.tenant).by_order_id(order["id"])
    assert key is not None
    store.write(Update(key, [OrderItem.admitted["0-1"].set(1)]))  # type: ignore[attr-defined]
    answer = refunded(api, order, items=[{"line": 0, "quantity": 1}])
    assert (answer.status, answer.faults()) == (409, {"items.0": "already_admitted"})


def test_what_was_paid_elsewhere_and_what_was_free_go_back_too(api: Api) -> None:
    external = bought(api, product_line(api.new_product(10, price=1)), provider="external", pay_with=None)
    assert refunded(api, external).json["status"] == "refunded"
    free = bought(api, product_line(api.new_product(10, price=0)))
    assert free["payment"]["provider"] == "free"
    answer = refunded(api, free)
    assert (answer.status, answer.json["status"], answer.json["charges"]) == (200, "cancelled", [])


@pytest.mark.parametrize("prefer", ["wait=9999", "respond-async, wait=1", 'wait="1"', "nothing", "x" * 200])
def test_any_preference_will_do(api: Api, prefer: str) -> None:
    order = bought(api, product_line(api.new_product(10, price=1)))
    answer = api.post(f"{ROUTE}/{order['id']}/refund", {}, key="r", headers={"Prefer": prefer})
    assert answer.status == 200
