"""Flash deals: reserve, reserve in bulk, check out, let go, list (WIRE.md, section 1)."""

from datetime import datetime
from typing import Any

import pytest

from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.odd_values import ODD_PRODUCTS, ODD_QUANTITIES, ODD_USERS


def check_out(api: Api, user: str, product: str, quantity: int, **more: Any) -> Answer:
    return api.post("/api/checkout", {"user_id": user, "product_id": product, "quantity": quantity, **more})


def held(api: Api, user: str) -> dict[str, int]:
    return {hold["product_id"]: hold["quantity"] for hold in api.get(f"/api/users/{user}/reservations").data}


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_reserve_answers_the_hold_and_when_it_ends(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    answer = api.reserve("alice", product, 2)
    assert answer.status == 200
    assert answer.json["success"] is True
    assert isinstance(answer.json["message"], str)
    assert set(answer.data) == {"user_id", "product_id", "quantity", "expires_at", "reservation_id"}
    assert (answer.data["user_id"], answer.data["product_id"], answer.data["quantity"]) == ("alice", product, 2)
    assert milliseconds(answer.data["expires_at"]) == clock.milliseconds + 600_000
    assert api.units(product) == (10, 8, 2, 0)


def test_ids_are_the_same_as_text_and_as_numbers(api: Api) -> None:
    product = api.new_product(10)
    api.reserve(7, int(product), 2)
    assert api.reserve("7", product, 1).data["quantity"] == 3
    bulk = {"user_id": 7, "items": [{"product_id": int(product), "quantity": 1}]}
    assert api.post("/api/reserve/bulk", bulk).json["reserved"][0]["quantity"] == 4
    body = {"user_id": 7, "product_id": int(product), "quantity": 4}
    assert api.post("/api/checkout", body).data["product_id"] == product


def test_a_whole_number_with_a_point_is_a_whole_number(api: Api) -> None:
    product = api.new_product(10)
    text = f'{{"user_id": 7.0, "product_id": {product}.0, "quantity": 2.0}}'
    data = api.request("POST", "/api/reserve", text=text).data
    assert (data["user_id"], data["product_id"], data["quantity"]) == ("7", product, 2)


def test_a_second_reserve_adds_to_the_hold_and_renews_its_time(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    first = api.reserve("alice", product, 2).data
    clock.advance(500)
    second = api.reserve("alice", product, 3).data
    assert second["quantity"] == 5
    assert second["reservation_id"] == first["reservation_id"]
    assert milliseconds(second["expires_at"]) - milliseconds(first["expires_at"]) == 500_000
    clock.advance(500)
    assert held(api, "alice") == {product: 5}


def test_unknown_fields_are_ignored(api: Api) -> None:
    product = api.new_product(10)
    line = {"product_id": product, "quantity": 1, "price": 0, "tenant": "other"}
    assert api.post("/api/reserve", {"user_id": "alice", **line}).status == 200
    assert api.post("/api/reserve/bulk", {"user_id": "alice", "items": [line], "force": True}).status == 200
    assert api.post("/api/checkout", {"user_id": "alice", **line, "status": "free"}).status == 200


def test_more_than_there_is_is_400_insufficient_stock(api: Api) -> None:
    product = api.new_product(3)
    answer = api.reserve("alice", product, 4)
    assert (answer.status, answer.code) == (400, "insufficient_stock")
    assert api.reserve("alice", product, 3).status == 200
    assert api.reserve("bob", product, 1).code == "insufficient_stock"


def test_an_unknown_product_is_400_product_not_found(api: Api) -> None:
    answer = api.reserve("alice", 404, 1)
    assert (answer.status, answer.code) == (400, "product_not_found")


def test_a_user_takes_no_more_than_the_products_limit_over_both_routes(api: Api) -> None:
    product = api.new_product(10, max_per_user=3)
    assert api.reserve("alice", product, 2).status == 200
    assert api.reserve("alice", product, 2).code == "limit_exceeded"
    assert api.hold("alice", product, 2).code == "limit_exceeded"
    assert api.hold("alice", product, 1).status == 201
    assert check_out(api, "alice", product, 2).status == 200
    assert api.reserve("alice", product, 1).code == "limit_exceeded"
    assert api.reserve("bob", product, 3).status == 200


@pytest.mark.parametrize("quantity", ODD_QUANTITIES)
def test_no_route_takes_a_quantity_that_is_none(api: Api, quantity: Any) -> None:
    line = {"product_id": "1", "quantity": quantity}
    assert api.post("/api/reserve", {"user_id": "alice", **line}).faults().keys() == {"quantity"}
    assert api.post("/api/checkout", {"user_id": "alice", **line}).faults().keys() == {"quantity"}
    bulk = api.post("/api/reserve/bulk", {"user_id": "alice", "items": [line]})
    assert (bulk.status, list(bulk.faults())) == (400, ["items.0.quantity"])


@pytest.mark.parametrize("user", ODD_USERS)
def test_no_route_takes_a_user_of_odd_characters(api: Api, user: Any) -> None:
    line = {"product_id": "1", "quantity": 1}
    for answer in (
        api.post("/api/reserve", {"user_id": user, **line}),
        api.post("/api/checkout", {"user_id": user, **line}),
        api.post("/api/reserve/bulk", {"user_id": user, "items": [line]}),
    ):
        assert (answer.status, list(answer.faults())) == (400, ["user_id"])


@pytest.mark.parametrize("product", ODD_PRODUCTS)
def test_no_route_takes_a_product_of_odd_characters(api: Api, product: Any) -> None:
    line = {"product_id": product, "quantity": 1}
    assert api.post("/api/reserve", {"user_id": "alice", **line}).faults().keys() == {"product_id"}
    assert api.post("/api/checkout", {"user_id": "alice", **line}).faults().keys() == {"product_id"}
    bulk = api.post("/api/reserve/bulk", {"user_id": "alice", "items": [line]})
    assert (bulk.status, list(bulk.faults())) == (400, ["items.0.product_id"])


@pytest.mark.parametrize("name", ["user_id", "product_id", "quantity"])
@pytest.mark.parametrize("path", ["/api/reserve", "/api/checkout"])
def test_a_missing_field_is_named(api: Api, path: str, name: str) -> None:
    body = {"user_id": "alice", "product_id": "1", "quantity": 1}
    del body[name]
    answer = api.post(path, body)
    neither = {"seatDetails": "missing"} if name == "product_id" else {}
    assert (answer.status, answer.faults()) == (400, {name: "missing"} | neither)


def test_bulk_reserves_every_line(api: Api) -> None:
    one, two = api.new_product(5), api.new_product(5)
    items = [{"product_id": one, "quantity": 1}, {"product_id": int(two), "quantity": 2}]
    answer = api.post("/api/reserve/bulk", {"user_id": "alice", "items": items})
    assert answer.status == 200
    assert set(answer.json) == {"success", "reserved", "failed"}
    assert (answer.json["success"], answer.json["failed"]) == (True, [])
    assert [(line["product_id"], line["quantity"]) for line in answer.json["reserved"]] == [(one, 1), (two, 2)]
    assert held(api, "alice") == {one: 1, two: 2}


def test_a_refused_bulk_names_every_line_that_stood_in_the_way(api: Api) -> None:
    plenty, few, limited = api.new_product(10), api.new_product(2), api.new_product(10, max_per_user=1)
    lines = [(plenty, 1), (few, 3), ("404", 1), (limited, 2)]
    items = [{"product_id": product, "quantity": quantity} for product, quantity in lines]
    answer = api.post("/api/reserve/bulk", {"user_id": "alice", "items": items})
    assert answer.status == 400
    assert (answer.json["success"], answer.json["reserved"]) == (False, [])
    assert {line["product_id"]: line["reason"] for line in answer.json["failed"]} == {
        few: "insufficient_stock",
        "404": "product_not_found",
        limited: "limit_exceeded",
    }
    assert held(api, "alice") == {}


@pytest.mark.parametrize(
    "items", [None, [], {}, "1", [None], [[]], ["1"], [{}], [{"product_id": "1", "quantity": 1}] * 101]
)
def test_bulk_refuses_items_that_are_none(api: Api, items: Any) -> None:
    answer = api.post("/api/reserve/bulk", {"user_id": "alice", "items": items})
    assert (answer.status, answer.code) == (400, "validation_failed")


def test_bulk_takes_twenty_different_products_and_no_more(api: Api) -> None:
    items = [{"product_id": api.new_product(1), "quantity": 1} for _ in range(21)]
    refused = api.post("/api/reserve/bulk", {"user_id": "alice", "items": items})
    assert (refused.status, refused.code) == (400, "too_many_lines")
    assert api.post("/api/reserve/bulk", {"user_id": "alice", "items": items[:20]}).status == 200


def test_bulk_takes_one_currency(api: Api) -> None:
    items = [{"product_id": api.new_product(1, currency=currency), "quantity": 1} for currency in ("USD", "EUR")]
    answer = api.post("/api/reserve/bulk", {"user_id": "alice", "items": items})
    assert (answer.status, answer.code) == (400, "mixed_currencies")
    assert held(api, "alice") == {}


def test_checkout_answers_a_completed_order(api: Api) -> None:
    product = api.new_product(10, price="19.99")
    api.reserve("alice", product, 3)
    answer = check_out(api, "alice", product, 3, total_amount=59.97)
    assert answer.status == 200
    data = answer.data
    assert {**data, "id": "", "created_at": ""} == {
        "id": "",
        "user_id": "alice",
        "product_id": product,
        "quantity": 3,
        "total_amount": 59.97,
        "currency": "USD",
        "status": "completed",
        "created_at": "",
    }
    assert data["id"]
    assert api.units(product) == (10, 7, 0, 3)
    assert held(api, "alice") == {}


@pytest.mark.parametrize("amount", [19.98, 0, "19.990001", 1999, "1e1"])
def test_checkout_refuses_another_total_than_the_price(api: Api, amount: Any) -> None:
    product = api.new_product(10, price="19.99")
    api.reserve("alice", product, 1)
    assert check_out(api, "alice", product, 1, total_amount=amount).status == 400
    assert api.units(product) == (10, 9, 1, 0)
    assert check_out(api, "alice", product, 1, total_amount="19.99").status == 200


@pytest.mark.parametrize("amount", [-1, True, "NaN", "Infinity", "", " 1 ", "1_0", [], {}, 10**13, "9" * 10_000])
def test_checkout_refuses_a_total_that_is_none(api: Api, amount: Any) -> None:
    answer = check_out(api, "alice", "1", 1, total_amount=amount)
    assert (answer.status, list(answer.faults())) == (400, ["total_amount"])


@pytest.mark.parametrize("amount", ["absent", None])
def test_checkout_needs_no_total(api: Api, amount: str | None) -> None:
    product = api.new_product(10, price="19.99")
    api.reserve("alice", product, 2)
    more = {} if amount == "absent" else {"total_amount": amount}
    assert check_out(api, "alice", product, 2, **more).data["total_amount"] == 39.98


def test_checkout_of_more_than_is_held_is_400_insufficient_reservation(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 2)
    for user, wanted in (("alice", 3), ("bob", 1)):
        answer = check_out(api, user, product, wanted)
        assert (answer.status, answer.code) == (400, "insufficient_reservation")
    assert check_out(api, "alice", "404", 1).code == "insufficient_reservation"
    assert api.units(product) == (10, 8, 2, 0)


def test_checkout_pays_the_price_at_which_each_unit_was_reserved(api: Api) -> None:
    product = api.new_product(10, price=10)
    api.reserve("alice", product, 2)
    api.patch(f"/api/products/{product}", {"price": 30})
    api.reserve("alice", product, 1)
    assert check_out(api, "alice", product, 3, total_amount=50).status == 200


def test_checkout_of_a_lapsed_hold_is_refused(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 2)
    clock.advance(600)
    assert check_out(api, "alice", product, 2).code == "insufficient_reservation"


def test_let_go_gives_everything_back_at_once(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 2)
    answer = api.delete(f"/api/reserve/alice/{product}")
    assert (answer.status, answer.json["success"]) == (200, True)
    assert api.units(product) == (10, 10, 0, 0)
    assert held(api, "alice") == {}


def test_letting_go_of_nothing_is_400_no_reservation(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 2)
    api.delete(f"/api/reserve/alice/{product}")
    api.reserve("carol", product, 2)
    clock.advance(600)
    for user in ("alice", "bob", "carol"):
        answer = api.delete(f"/api/reserve/{user}/{product}")
        assert (answer.status, answer.code) == (400, "no_reservation")


@pytest.mark.parametrize("user", ["a%40b.example", "a%7Cb", "a:b", "a+b", "a=b"])
def test_a_user_id_of_a_login_provider_is_good_in_a_path(api: Api, user: str) -> None:
    product = api.new_product(10)
    plain = user.replace("%40", "@").replace("%7C", "|")
    api.reserve(plain, product, 2)
    assert api.get(f"/api/users/{user}/reservations").data[0]["user_id"] == plain
    assert api.delete(f"/api/reserve/{user}/{product}").status == 200


@pytest.mark.parametrize(
    "user", ["%20", "a%2Fb", "..", "%00", "-a", "x" * 129, "%C3%A9", "%FF", "a%0A", "%3Cscript%3E"]
)
def test_a_user_id_of_odd_characters_in_a_path_is_refused(api: Api, user: str) -> None:
    assert api.get(f"/api/users/{user}/reservations").status in (400, 404)
    assert api.delete(f"/api/reserve/{user}/1").status in (400, 404)


def test_the_list_is_of_one_user_and_of_what_is_still_held(api: Api, clock: HandMovedClock) -> None:
    products = [api.new_product(10) for _ in range(3)]
    api.reserve("alice", products[0], 1)
    clock.advance(400)
    api.reserve("alice", products[1], 2)
    api.reserve("bob", products[2], 3)
    assert held(api, "alice") == {products[0]: 1, products[1]: 2}
    clock.advance(200)
    assert held(api, "alice") == {products[1]: 2}
    listed = api.get("/api/users/alice/reservations").data[0]
    assert set(listed) >= {"user_id", "product_id", "quantity", "expires_at"}
    assert api.get("/api/users/nobody/reservations").data == []


def test_a_customer_acts_only_for_itself(api: Api) -> None:
    product = api.new_product(10)
    alice, mallory = api.as_user("alice"), api.as_user("mallory")
    assert alice.reserve("alice", product, 2).status == 200
    line = {"user_id": "alice", "product_id": product, "quantity": 1}
    for answer in (
        mallory.post("/api/reserve", line),
        mallory.post("/api/checkout", line),
        mallory.post("/api/reserve/bulk", {"user_id": "alice", "items": [line]}),
        mallory.get("/api/users/alice/reservations"),
        mallory.delete(f"/api/reserve/alice/{product}"),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert alice.get("/api/users/alice/reservations").data[0]["quantity"] == 2


def test_tenants_do_not_meet(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 2)
    other = Api(f"{api.tenant}x")
    assert other.reserve("alice", product, 2).code == "product_not_found"
    assert held(other, "alice") == {}
    assert other.delete(f"/api/reserve/alice/{product}").code == "no_reservation"
    assert check_out(other, "alice", product, 1).code == "insufficient_reservation"
