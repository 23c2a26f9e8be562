"""Checkouts on the running stack: what a client buys with the sandbox's tokens, and what becomes of order and goods.

Every outcome is read back as clients read it: the order with its charges, the reservation, the stock of everything.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.e2e.fair import PRICE, Fair, Order, new_fair, tenant_of
from tests.e2e.wire import answered, keyed, refused

SHORT = 10
"""Seconds for which something is held and can be paid that nobody is to pay in time."""


@pytest.fixture
def fair(client: httpx.Client) -> Fair:
    """Everything on sale, for a tenant of its own."""
    return new_fair(client)


@pytest.fixture(scope="module", autouse=True)
def _time_to_pay(stack: Stack, client_of_tenant: Callable[[str], httpx.Client]) -> Iterator[None]:
    """Give buyers as long to pay as what they buy is held: the function that begins checkouts adds next to nothing.

    It is cold after that, so that something is bought before anything is short of time.
    """
    functions = stack.client("lambda")
    pages = functions.get_paginator("list_functions").paginate()
    names = [entry["FunctionName"] for page in pages for entry in page["Functions"]]
    (claims,) = [name for name in names if "CheckoutClaims" in name]
    before = functions.get_function_configuration(FunctionName=claims)["Environment"]["Variables"]
    hurried = before | {"CHECKOUT_SECONDS": "1"}
    functions.update_function_configuration(FunctionName=claims, Environment={"Variables": hurried})
    assert new_fair(client_of_tenant(f"t-{uuid.uuid4().hex[:16]}")).buy("tok_success")["status"] == "completed"
    yield
    functions.update_function_configuration(FunctionName=claims, Environment={"Variables": before})


def test_a_card_that_is_good_buys_everything(fair: Fair) -> None:
    order = fair.buy("tok_success")
    assert fair.ending(order) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
    assert order["totals"] == [{"currency": "USD", "amount_minor": PRICE}]
    assert (order["captured_minor"], order["refundable_minor"], order["fee_minor"]) == (PRICE, PRICE, 0)
    assert (order["reason"], order["deadline"]) == (None, None)
    assert [line["kind"] for line in order["lines"]] == ["product", "ticket", "seat", "listing", "venue"]
    assert {line["state"] for line in order["lines"]} == {"confirmed"}


def test_a_declined_card_leaves_everything_held_and_another_buys_it(fair: Fair) -> None:
    reservation = fair.hold()
    declined = answered(fair.check_out(reservation, "tok_decline"), 200)
    order = fair.order(declined["id"])
    assert fair.ending(order) == ("payment_failed", "held", "held", [("failed", 0, 0)])
    assert order["reason"] == order["charges"][0]["reason"] == "card_declined"
    bought = fair.order(answered(fair.check_out(reservation, "tok_success"), 200)["id"])
    assert bought["id"] == order["id"]
    assert fair.ending(bought) == ("completed", "confirmed", "sold", [("failed", 0, 0), ("completed", PRICE, 0)])


def test_a_card_that_needs_confirmation_buys_once_its_webhook_has_come(fair: Fair) -> None:
    order = fair.buy("tok_confirm")
    assert fair.ending(order) == ("awaiting_payment", "checking_out", "held", [("created", 0, 0)])
    assert order["deadline"] is not None
    page = f"/sandbox/{tenant_of(fair.client)}/payments/{order['charges'][0]['payment_id']}"
    assert order["payment"]["action"] == {"type": "sandbox", "url": page}
    assert list(fair.act(order).values()) == ["paid"]
    bought = fair.over(order["id"])
    assert fair.ending(bought) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
    fair.act(order)
    assert fair.over(order["id"]) == bought, "paid again, it is paid once"


def test_a_buyer_who_is_refused_at_the_page_may_try_again(fair: Fair) -> None:
    order = fair.buy("tok_confirm")
    assert list(fair.act(order, "decline").values()) == ["failed"]
    failed = fair.over(order["id"])
    assert fair.ending(failed) == ("payment_failed", "held", "held", [("failed", 0, 0)])


def test_a_provider_that_does_not_answer_costs_nobody_anything(fair: Fair) -> None:
    order = fair.over(fair.buy("tok_timeout")["id"])
    assert fair.ending(order) == ("payment_failed", "held", "held", [("voided", 0, 0)])
    assert order["reason"] == "provider_unavailable"


def test_a_payment_whose_answer_was_lost_is_made_once(fair: Fair) -> None:
    order = fair.over(fair.buy("tok_lost_answer")["id"])
    assert fair.ending(order) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])


def test_what_is_never_paid_comes_back(fair: Fair) -> None:
    order = fair.over(fair.buy("tok_confirm", seconds=SHORT)["id"])
    assert fair.ending(order) == ("expired", "expired", "free", [("voided", 0, 0)])
    assert order["reason"] == "not_paid_in_time"


def test_a_payment_of_which_no_webhook_comes_is_asked_for_at_the_deadline(fair: Fair) -> None:
    order = fair.buy("tok_never", seconds=SHORT)
    assert fair.act(order) == {}
    bought = fair.over(order["id"])
    assert fair.ending(bought) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])


def test_late_money_buys_what_is_still_there(fair: Fair) -> None:
    order = fair.buy("tok_pay_late", seconds=SHORT)
    fair.over(order["id"], "expired")
    assert list(fair.act(order).values()) == ["late"]
    bought = fair.over(order["id"], "completed")
    assert fair.ending(bought) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])


def test_late_money_for_what_another_has_is_paid_back(fair: Fair) -> None:
    order = fair.buy("tok_pay_late", seconds=SHORT)
    fair.over(order["id"], "expired")
    fair.hold("eve", [fair.items[2]])
    assert list(fair.act(order).values()) == ["late"]
    gone = fair.over(order["id"], "expired")
    assert [charge["status"] for charge in gone["charges"]] == ["refunded"]
    assert (gone["captured_minor"], gone["refunded_minor"], gone["reason"]) == (PRICE, PRICE, "paid_too_late")
    assert fair.reservation(gone) == "expired"
    fair.hold("eve", [fair.items[0] | {"quantity": 5}, fair.items[3], fair.items[4]])


def test_what_is_paid_twice_is_paid_back_once(fair: Fair) -> None:
    order = fair.buy("tok_pay_twice")
    assert sorted(fair.act(order).values()) == ["paid", "stray"]
    bought = fair.over(order["id"])
    charges = [("completed", PRICE, 0), ("refunded", PRICE, PRICE)]
    assert fair.ending(bought) == ("completed", "confirmed", "sold", charges)
    assert (bought["captured_minor"], bought["refunded_minor"]) == (PRICE, 0)
    assert [(refund["status"], refund["amount_minor"]) for refund in bought["refunds"]] == [("completed", PRICE)]


def test_another_amount_than_the_order_s_buys_nothing_and_is_given_back(fair: Fair) -> None:
    order = fair.buy("tok_wrong_amount")
    fair.act(order)
    failed = fair.over(order["id"])
    assert fair.ending(failed) == ("payment_failed", "held", "held", [("voided", 0, 0)])
    assert failed["reason"] == "amount_mismatch"


def test_what_cannot_be_captured_is_not_sold(fair: Fair) -> None:
    order = fair.over(fair.buy("tok_capture_fails")["id"])
    assert fair.ending(order) == ("failed", "cancelled", "free", [("failed", 0, 0)])
    assert order["reason"] == "capture_failed"


def test_an_order_that_is_awaited_can_be_cancelled(fair: Fair) -> None:
    order = fair.buy("tok_confirm")
    answer = fair.client.post(f"/api/v1/orders/{order['id']}/cancel", headers=keyed() | {"Prefer": "wait=15"})
    assert answer.status_code == 200, answer.text
    cancelled = fair.over(order["id"])
    assert fair.ending(cancelled) == ("cancelled", "cancelled", "free", [("voided", 0, 0)])


def refund(fair: Fair, order: Order, items: Sequence[dict[str, int]] | None = None, key: str | None = None) -> Order:
    """Give back lines of an order, or everything, at its whole price; return the order when that is done."""
    body: dict[str, Any] = {"waive_fee": True} if items is None else {"waive_fee": True, "items": list(items)}
    headers = keyed(key) | {"Prefer": "wait=15"}
    answered(fair.client.post(f"/api/v1/orders/{order['id']}/refund", json=body, headers=headers), 200)
    return fair.over(order["id"])


def test_a_whole_order_is_refunded_and_everything_is_on_sale_again(fair: Fair) -> None:
    order = fair.buy("tok_success")
    key = uuid.uuid4().hex
    back = refund(fair, order, key=key)
    assert fair.ending(back) == ("refunded", "refunded", "free", [("refunded", PRICE, PRICE)])
    assert (back["captured_minor"], back["refunded_minor"], back["refundable_minor"]) == (PRICE, PRICE, 0)
    assert refund(fair, order, key=key) == back, "asked for again, it is paid once"


def test_parts_of_an_order_are_refunded_and_on_sale_again(fair: Fair) -> None:
    order = fair.buy("tok_success")
    part = refund(fair, order, [{"line": 0, "quantity": 1}, {"line": 2}])
    assert (part["status"], part["refunded_minor"], fair.reservation(part)) == (
        "partially_refunded",
        400 + 8_000,
        "confirmed",
    )
    assert [line["returned"] for line in part["lines"]] == [1, 0, 1, 0, 0]
    fair.hold("eve", [fair.items[0] | {"quantity": 4}, fair.items[2]])
    rest = refund(fair, order)
    assert (rest["status"], rest["refunded_minor"], rest["fee_minor"]) == ("refunded", PRICE, 0)
    assert [charge["status"] for charge in rest["charges"]] == ["refunded"]


def test_a_refund_that_the_provider_refuses_leaves_everything_as_it_was(fair: Fair) -> None:
    order = fair.buy("tok_refund_fails")
    body = {"waive_fee": True}
    headers = keyed() | {"Prefer": "wait=15"}
    answered(fair.client.post(f"/api/v1/orders/{order['id']}/refund", json=body, headers=headers), 200)
    kept = fair.over(order["id"])
    assert fair.ending(kept) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
    assert [refund["status"] for refund in kept["refunds"]] == ["failed"]
    assert kept["refundable_minor"] == PRICE


def test_a_repeated_checkout_is_one(fair: Fair) -> None:
    reservation = fair.hold()
    first = answered(fair.check_out(reservation, "tok_success", "one-key"), 200)
    assert answered(fair.check_out(reservation, "tok_success", "one-key"), 200) == first
    assert answered(fair.check_out(reservation, "tok_success", "another-key"), 200)["id"] == first["id"]
    refused(fair.check_out(reservation, "tok_decline", "one-key"), 422, "idempotency_key_reused")
    assert fair.ending(fair.order(first["id"])) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])


@pytest.mark.parametrize("token", ["tok_success", "tok_confirm"])
def test_two_checkouts_at_once_make_one_order_and_one_charge(fair: Fair, token: str) -> None:
    reservation = fair.hold()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: fair.check_out(reservation, token), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 202}, [answer.text for answer in answers]
    (order_id,) = {answer.json()["id"] for answer in answers}
    order = fair.order(order_id)
    if token == "tok_confirm":
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: fair.act(order), range(2)))
        order = fair.over(order_id)
    assert fair.ending(order) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
    listed = answered(fair.client.get("/api/v1/orders", params={"user_id": "bob"}), 200)
    assert [item["id"] for item in listed["items"]] == [order_id]


def test_refunds_at_once_pay_back_once(fair: Fair) -> None:
    order = fair.buy("tok_success")

    def ask(_: int) -> int:
        answer = fair.client.post(
            f"/api/v1/orders/{order['id']}/refund", json={"waive_fee": True}, headers=keyed() | {"Prefer": "wait=15"}
        )
        return answer.status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(ask, range(4)))
    assert set(statuses) <= {200, 409, 503}
    back = fair.over(order["id"], "refunded")
    assert fair.ending(back) == ("refunded", "refunded", "free", [("refunded", PRICE, PRICE)])
    assert len(back["refunds"]) == 1


def test_only_a_service_key_says_that_something_is_paid_elsewhere_and_nothing_is_bought_unpaid(fair: Fair) -> None:
    reservation = fair.hold()
    path = f"/api/v1/reservations/{reservation}/checkout"
    refused(fair.client.post(path, json={}, headers=keyed()), 402, "payment_required")
    unused = fair.client.post(path, json={"payment": {"provider": "stripe", "token": "tok"}}, headers=keyed())
    refused(unused, 400, "provider_not_used")
    elsewhere = fair.client.post(
        path, json={"payment": {"provider": "external"}}, headers=keyed() | {"Prefer": "wait=15"}
    )
    order = fair.order(answered(elsewhere, 200)["id"])
    assert fair.ending(order) == ("completed", "confirmed", "sold", [("completed", PRICE, 0)])
