"""Products: put on sale, read, listed, changed and counted (WIRE.md, section 1)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from holdfast.platform.dynamodb import Store
from tests.handlers.account import Aws
from tests.handlers.gateway import Api


def test_create_answers_201_with_the_product(api: Api) -> None:
    body = {"name": "Laptop", "description": "Thin.", "total_stock": 10, "price": 19.99, "currency": "EUR"}
    answer = api.post("/api/products", body | {"max_per_user": 2})
    assert answer.status == 201
    assert answer.json["success"] is True
    data = answer.data
    assert data["created_at"] == data["updated_at"]
    assert data["created_at"].endswith("Z")
    assert {name: data[name] for name in body} == body
    assert (data["id"], data["max_per_user"], data["on_sale"]) == ("1", 2, True)


def test_create_needs_no_more_than_a_name_and_a_stock(api: Api) -> None:
    data = api.post("/api/products", {"name": "Laptop", "total_stock": 0}).data
    assert (data["description"], data["price"], data["currency"], data["max_per_user"]) == (None, 0, "USD", None)


def test_unknown_fields_are_ignored(api: Api) -> None:
    assert api.post("/api/products", {"name": "Laptop", "total_stock": 1, "colour": "red"}).status == 201
    assert api.patch("/api/products/1", {"colour": "red"}).status == 200


def test_products_are_numbered_in_the_order_of_their_creation_for_each_tenant(api: Api) -> None:
    assert [api.new_product() for _ in range(3)] == ["1", "2", "3"]
    assert Api(f"{api.tenant}x").new_product() == "1"


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        ("19.90", "USD", "19.9"),
        (5, "JPY", "5.0"),
        ("1.234", "KWD", "1.234"),
        ("0.01", "USD", "0.01"),
        (0, "USD", "0.0"),
    ],
)
def test_a_price_is_shown_as_the_exact_decimal_of_its_currency(api: Api, price: Any, currency: str, shown: str) -> None:
    answer = api.post("/api/products", {"name": "x", "total_stock": 1, "price": price, "currency": currency})
    assert f'"price":{shown},' in answer.text


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"description": "x" * 4001}, "description"),
        ({"description": ["x"]}, "description"),
        ({"total_stock": -1}, "total_stock"),
        ({"total_stock": True}, "total_stock"),
        ({"total_stock": 1.5}, "total_stock"),
        ({"total_stock": "1"}, "total_stock"),
        ({"total_stock": 10_000_001}, "total_stock"),
        ({"price": -1}, "price"),
        ({"price": True}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "Infinity"}, "price"),
        ({"price": "1_000"}, "price"),
        ({"price": " 5 "}, "price"),
        ({"price": "٥"}, "price"),
        ({"price": "1e2"}, "price"),
        ({"price": ""}, "price"),
        ({"price": {}}, "price"),
        ({"price": "9" * 5000}, "price"),
        ({"price": 10**4000}, "price"),
        ({"price": "0.001"}, "price"),
        ({"price": 0.1 + 0.2}, "price"),
        ({"price": "1.5", "currency": "JPY"}, "price"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "US"}, "currency"),
        ({"currency": "USDX"}, "currency"),
        ({"currency": "USD\n"}, "currency"),
        ({"max_per_user": 0}, "max_per_user"),
        ({"max_per_user": True}, "max_per_user"),
        ({"max_per_user": 10_001}, "max_per_user"),
        ({"expected_peak_per_second": 0}, "expected_peak_per_second"),
    ],
)
def test_create_refuses_what_is_no_product_and_names_the_field(api: Api, change: dict[str, Any], fault: str) -> None:
    answer = api.post("/api/products", {"name": "Laptop", "total_stock": 1} | change)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert list(answer.faults()) == [fault]
    assert api.get("/api/products").data == []


def test_create_names_every_field_at_fault(api: Api) -> None:
    answer = api.post("/api/products", {"total_stock": -1, "price": -1})
    assert set(answer.faults()) == {"name", "total_stock", "price"}


def test_read_answers_the_product(api: Api) -> None:
    api.new_product(price="5")
    assert api.get("/api/products/1").data["price"] == 5
    assert api.get("/api/products/1").data == api.get("/api/products").data[0]


@pytest.mark.parametrize("path", ["/api/products/2", "/api/products/2/status", "/api/products/abc_1"])
def test_an_unknown_product_is_404(api: Api, path: str) -> None:
    api.new_product()
    answer = api.get(path)
    assert (answer.status, answer.code) == (404, "product_not_found")


def test_another_tenants_product_is_404(api: Api) -> None:
    product = api.new_product()
    other = Api(f"{api.tenant}x")
    assert other.get(f"/api/products/{product}").status == 404
    assert other.get(f"/api/products/{product}/status").status == 404
    assert other.patch(f"/api/products/{product}", {"name": "Mine"}).status == 404
    assert other.get("/api/products").data == []


@pytest.mark.parametrize("path_id", ["a-b", "%20", "a%2Fb", "..", "%00", "x" * 41, "%F0%9F%92%BB", "1%0A", "<script>"])
def test_a_product_id_of_odd_characters_is_refused(api: Api, path_id: str) -> None:
    for target in (f"/api/products/{path_id}", f"/api/products/{path_id}/status"):
        assert api.get(target).status in (400, 404)


def test_list_is_in_the_order_of_the_ids_and_paged(api: Api) -> None:
    for number in range(11):
        api.new_product(total_stock=number)
    first = api.get("/api/products?limit=4").json
    second = api.get(f"/api/products?limit=4&after={first['next']}").json
    third = api.get(f"/api/products?limit=4&after={second['next']}").json
    listed = [product["id"] for page in (first, second, third) for product in page["data"]]
    assert listed == [str(number) for number in range(1, 12)]
    assert third["next"] is None
    assert len(api.get("/api/products").data) == 11


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=", "after=a-b", "after=" + "x" * 41])
def test_list_refuses_a_query_that_is_none(api: Api, query: str) -> None:
    assert api.get(f"/api/products?{query}").status == 400


def test_status_counts_what_is_free_held_and_sold(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 3)
    api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 1})
    assert api.get(f"/api/products/{product}/status").data == {
        "id": product,
        "name": "Laptop",
        "total_stock": 10,
        "reserved_stock": 2,
        "available_stock": 7,
        "sold_stock": 1,
    }


def test_restock_adds_and_takes_away_what_is_free(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 4)
    for total in (25, 4, 11):
        answer = api.patch(f"/api/products/{product}", {"total_stock": total})
        assert (answer.status, answer.data["total_stock"]) == (200, total)
        assert api.units(product) == (total, total - 4, 4, 0)


def test_the_stock_never_goes_below_what_is_held_and_sold(api: Api) -> None:
    product = api.new_product(10)
    api.reserve("alice", product, 4)
    api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 2})
    answer = api.patch(f"/api/products/{product}", {"total_stock": 3, "price": 5})
    assert (answer.status, answer.code) == (409, "stock_below_committed")
    assert api.units(product) == (10, 6, 2, 2)
    assert api.get(f"/api/products/{product}").data["price"] == 0


def test_reprice_is_in_force_when_it_is_answered_and_leaves_what_is_held_alone(api: Api) -> None:
    product = api.new_product(10, price=10)
    before = api.hold("alice", product).json
    assert api.patch(f"/api/products/{product}", {"price": "7.50"}).data["price"] == 7.5
    assert api.hold("bob", product).json["items"][0]["unit_price_minor"] == 750
    assert api.get(f"/api/v1/reservations/{before['id']}").json["items"][0]["unit_price_minor"] == 1000


def test_a_new_currency_needs_a_price_in_it(api: Api) -> None:
    product = api.new_product(10, price=10)
    answer = api.patch(f"/api/products/{product}", {"currency": "JPY"})
    assert (answer.status, answer.faults()) == (400, {"price": "missing"})
    assert api.patch(f"/api/products/{product}", {"currency": "JPY", "price": 900}).data["currency"] == "JPY"
    assert api.patch(f"/api/products/{product}", {"price": "9.5"}).status == 400


def test_what_a_patch_leaves_out_stays_and_null_takes_away(api: Api) -> None:
    product = api.new_product(10, description="Thin.", max_per_user=2, price=3)
    renamed = api.patch(f"/api/products/{product}", {"name": "Tablet"}).data
    assert (renamed["name"], renamed["description"], renamed["max_per_user"], renamed["price"]) == (
        "Tablet",
        "Thin.",
        2,
        3,
    )
    emptied = api.patch(f"/api/products/{product}", {"description": None, "max_per_user": None}).data
    assert (emptied["name"], emptied["description"], emptied["max_per_user"]) == ("Tablet", None, None)


def test_a_product_taken_off_sale_is_not_reserved_until_it_is_back(api: Api) -> None:
    product = api.new_product(10)
    api.patch(f"/api/products/{product}", {"on_sale": False})
    assert api.reserve("alice", product).code == "not_on_sale"
    assert api.hold("alice", product).status == 409
    api.patch(f"/api/products/{product}", {"on_sale": True})
    assert api.reserve("alice", product).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"total_stock": -1},
        {"total_stock": True},
        {"price": -1},
        {"price": True},
        {"on_sale": 1},
        {"on_sale": "yes"},
        {"max_per_user": 0},
        {"currency": "x"},
    ],
)
def test_patch_refuses_what_no_product_can_have(api: Api, body: dict[str, Any]) -> None:
    product = api.new_product(10)
    answer = api.patch(f"/api/products/{product}", body)
    assert (answer.status, list(answer.faults())) == (400, list(body))


def test_a_patch_of_an_unknown_product_is_404(api: Api) -> None:
    assert api.patch("/api/products/9", {"name": "Tablet", "total_stock": 3, "price": 1}).status == 404


@pytest.mark.parametrize("roles", ["customer", "service", "staff", "service staff"])
def test_only_an_admin_changes_the_catalogue(api: Api, roles: str) -> None:
    product = api.new_product(10)
    limited = api.with_roles(roles)
    created = limited.post("/api/products", {"name": "Laptop", "total_stock": 1})
    changed = limited.patch(f"/api/products/{product}", {"total_stock": 99})
    for refused in (created, changed):
        assert (refused.status, refused.code) == (403, "forbidden")
    assert limited.get(f"/api/products/{product}").status == 200
    assert limited.get(f"/api/products/{product}/status").status == 200
    assert len(limited.get("/api/products").data) == 1


EUROPE = json.dumps({"currencies": ["EUR", "GBP"]})


def test_a_product_that_names_no_currency_is_in_the_tenants_first(api: Api) -> None:
    europe = replace(api, settings=EUROPE)
    made = europe.post("/api/products", {"name": "x", "total_stock": 1, "price": "1.50"}).data
    assert (made["currency"], made["price"]) == ("EUR", 1.5)
    assert europe.post("/api/products", {"name": "x", "total_stock": 1, "currency": "GBP"}).data["currency"] == "GBP"
    assert api.post("/api/products", {"name": "x", "total_stock": 1}).data["currency"] == "USD"


def test_a_currency_that_the_tenant_does_not_use_is_refused(api: Api, aws: Aws) -> None:
    product = api.new_product(5, price=5, currency="USD")
    europe = replace(api, settings=EUROPE)
    before = aws.dump()
    for answer in (
        europe.post("/api/products", {"name": "x", "total_stock": 1, "currency": "USD"}, key="k"),
        europe.patch(f"/api/products/{product}", {"currency": "JPY", "price": 5}),
        europe.patch(f"/api/products/{product}", {"currency": "USD", "price": 7}),
    ):
        assert (answer.status, answer.code, answer.faults()) == (
            400,
            "currency_not_used",
            {"currency": "currency_not_used"},
        )
    assert aws.dump() == before


def test_what_was_on_sale_before_is_changed_in_its_own_currency_or_moved_to_another(api: Api) -> None:
    """A tenant that drops a currency does not lose what it sells in it."""
    product = api.new_product(5, price=5, currency="USD")
    europe = replace(api, settings=EUROPE)
    assert europe.patch(f"/api/products/{product}", {"price": 7}).data["currency"] == "USD"
    assert europe.patch(f"/api/products/{product}", {"price": 7, "currency": "GBP"}).data["currency"] == "GBP"


def test_a_sharded_product_counts_all_of_its_shards(api: Api, store: Store) -> None:
    product = api.new_product(1000, expected_peak_per_second=1000)
    assert len(store.query(f"{api.tenant}#PRODUCTS").items) == 1
    for user in range(5):
        assert api.reserve(user, product, 100).status == 200
    assert api.units(product) == (1000, 500, 500, 0)
    assert api.patch(f"/api/products/{product}", {"total_stock": 500}).status == 200
    assert api.units(product) == (500, 0, 500, 0)
