"""The unified reservations: hold a cart, read, list, let go, extend (WIRE.md, section 0)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Api
from tests.handlers.odd_values import ODD_PRODUCTS, ODD_QUANTITIES, ODD_USERS

ROUTE = "/api/v1/reservations"
NOWHERE = f"{ROUTE}/r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


SEAT = {"kind": "seat", "event_id": "1", "ticket_type_id": "1", "row": "1", "seat": "1"}
BEST = {"kind": "best_available", "event_id": "1", "ticket_type_id": "1", "quantity": 2}
VENUE = {"kind": "venue", "venue_id": "1", "start": "2026-12-01T10:00:00Z", "end": "2026-12-01T12:00:00+01:00"}


def line(product: Any, quantity: Any = 1, **more: Any) -> dict[str, Any]:
    return {"kind": "product", "product_id": product, "quantity": quantity, **more}


def test_create_answers_201_with_lines_prices_totals_and_expiry(api: Api, clock: HandMovedClock) -> None:
    one, two = api.new_product(5, price="19.99"), api.new_product(5, price=5)
    answer = api.post(ROUTE, {"items": [line(one, 2), line(int(two), 1)], "user_id": "alice"}, key="k")
    assert answer.status == 201
    found = answer.json
    assert set(found) == {"id", "status", "user_id", "items", "totals", "created_at", "expires_at"}
    assert (found["status"], found["user_id"]) == ("held", "alice")
    priced = {"kind": "product", "currency": "USD", "state": "held"}
    assert found["items"] == [
        priced | {"product_id": one, "quantity": 2, "unit_price_minor": 1999, "price_minor": 3998},
        priced | {"product_id": two, "quantity": 1, "unit_price_minor": 500, "price_minor": 500},
    ]
    assert found["totals"] == [{"currency": "USD", "amount_minor": 4498}]
    assert milliseconds(found["created_at"]) == clock.milliseconds
    assert milliseconds(found["expires_at"]) == clock.milliseconds + 600_000
    assert api.units(one) == (5, 3, 2, 0)


def test_a_refusal_is_409_and_names_every_line_that_stood_in_the_way(api: Api, aws: Aws) -> None:
    plenty, few = api.new_product(10), api.new_product(1)
    before = aws.dump()
    items = [line(plenty), line(few, 2), line("404")]
    answer = api.post(ROUTE, {"items": items, "user_id": "alice"}, key="k")
    assert answer.status == 409
    assert answer.faults() == {"items.1": "insufficient_stock", "items.2": "product_not_found"}
    assert aws.dump() == before


def test_a_refusal_for_one_reason_has_that_reasons_code(api: Api) -> None:
    product = api.new_product(1)
    answer = api.hold("alice", product, 2)
    assert (answer.status, answer.code, answer.faults()) == (
        409,
        "insufficient_stock",
        {"items.0": "insufficient_stock"},
    )


def test_lines_of_one_product_count_as_one(api: Api) -> None:
    product = api.new_product(5)
    answer = api.post(ROUTE, {"items": [line(product, 2), line(product, 3)], "user_id": "alice"}, key="k")
    assert [(found["product_id"], found["quantity"]) for found in answer.json["items"]] == [(product, 5)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"items": None}, "items"),
        ({"items": []}, "items"),
        ({"items": {}}, "items"),
        ({"items": "1"}, "items"),
        ({"items": [None]}, "items.0"),
        ({"items": [[]]}, "items.0"),
        ({"items": [line("1")] * 101}, "items"),
        ({"items": [line("1", colour="red")]}, "items.0.colour"),
        ({"items": [line("1") | {"kind": "ghost"}]}, "items.0"),
        ({"items": [line("1") | {"kind": None}]}, "items.0"),
        ({"items": [{"product_id": "1", "quantity": 1}]}, "items.0"),
        ({"items": [SEAT | {"row": ""}]}, "items.0.row"),
        ({"items": [SEAT | {"seat": "1-2"}]}, "items.0.seat"),
        ({"items": [SEAT | {"quantity": 2}]}, "items.0.quantity"),
        ({"items": [BEST | {"quantity": 0}]}, "items.0.quantity"),
        ({"items": [BEST | {"quantity": 21}]}, "items.0.quantity"),
        ({"items": [{"kind": "listing"}]}, "items.0.ticket_id"),
        ({"items": [VENUE | {"start": "2026-12-01T10:00:00"}]}, "items.0.start"),
        ({"items": [VENUE | {"start": "2026-02-30T10:00:00Z"}]}, "items.0.start"),
        ({"items": [VENUE | {"end": VENUE["start"]}]}, "items.0.end"),
        ({"items": [VENUE | {"end": "2026-11-01T10:00:00Z"}]}, "items.0.end"),
        ({"colour": "red"}, "colour"),
        ({"Idempotency-Key": "k"}, "Idempotency-Key"),
        ({"hold_seconds": 0}, "hold_seconds"),
        ({"hold_seconds": -1}, "hold_seconds"),
        ({"hold_seconds": True}, "hold_seconds"),
        ({"hold_seconds": "60"}, "hold_seconds"),
        ({"hold_seconds": 60.5}, "hold_seconds"),
        ({"hold_seconds": 3601}, "hold_seconds"),
        ({"hold_seconds": 10**30}, "hold_seconds"),
    ],
)
def test_create_refuses_what_is_no_cart_and_names_the_field(api: Api, change: dict[str, Any], fault: str) -> None:
    body = {"items": [line(api.new_product())], "user_id": "alice"}
    answer = api.post(ROUTE, body | change, key="k")
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert list(answer.faults()) == [fault]


@pytest.mark.parametrize("quantity", ODD_QUANTITIES)
def test_create_takes_no_quantity_that_is_none(api: Api, quantity: Any) -> None:
    answer = api.post(ROUTE, {"items": [line("1", quantity)], "user_id": "alice"}, key="k")
    assert (answer.status, list(answer.faults())) == (400, ["items.0.quantity"])


@pytest.mark.parametrize("product", ODD_PRODUCTS)
def test_create_takes_no_product_of_odd_characters(api: Api, product: Any) -> None:
    answer = api.post(ROUTE, {"items": [line(product)], "user_id": "alice"}, key="k")
    assert (answer.status, list(answer.faults())) == (400, ["items.0.product_id"])


@pytest.mark.parametrize("user", ODD_USERS)
def test_create_takes_no_user_of_odd_characters(api: Api, user: Any) -> None:
    answer = api.post(ROUTE, {"items": [line("1")], "user_id": user}, key="k")
    assert (answer.status, list(answer.faults())) == (400, ["user_id"])


def test_a_service_key_says_for_which_user_it_acts(api: Api) -> None:
    product = api.new_product()
    answer = api.post(ROUTE, {"items": [line(product)]}, key="k")
    assert (answer.status, answer.faults()) == (400, {"user_id": "missing"})
    assert api.get(ROUTE).faults() == {"user_id": "missing"}


def test_a_hold_of_a_length_of_its_own_lasts_that_long(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product()
    held = api.hold("alice", product, hold_seconds=2).json
    assert milliseconds(held["expires_at"]) == clock.milliseconds + 2000
    assert api.hold("bob", product, hold_seconds=3600).status == 201


def test_read_answers_what_create_answered(api: Api) -> None:
    held = api.hold("alice", api.new_product()).json
    assert api.get(f"{ROUTE}/{held['id']}").json == held


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_reservation_is_404(api: Api, method: str) -> None:
    answer = api.request(method, NOWHERE)
    assert (answer.status, answer.code) == (404, "reservation_not_found")
    assert api.post(f"{NOWHERE}/extend", key="k").status == 404


@pytest.mark.parametrize("odd", ["zzz", "%20", "..", "%00", "r-%3Cscript%3E", "x" * 200, "r-é", "h-a-b-c", "r-%0A"])
def test_a_reservation_id_of_odd_characters_is_refused(api: Api, odd: str) -> None:
    for answer in (
        api.get(f"{ROUTE}/{odd}"),
        api.delete(f"{ROUTE}/{odd}"),
        api.post(f"{ROUTE}/{odd}/extend", key="k"),
    ):
        assert answer.status in (400, 404)


def test_another_users_and_another_tenants_reservation_is_404(api: Api) -> None:
    held = api.hold("alice", api.new_product()).json
    for other in (api.as_user("mallory"), Api(f"{api.tenant}x")):
        assert other.get(f"{ROUTE}/{held['id']}").status == 404
        assert other.delete(f"{ROUTE}/{held['id']}").status == 404
        assert other.post(f"{ROUTE}/{held['id']}/extend", key="k").status == 404
    assert api.as_user("alice").get(f"{ROUTE}/{held['id']}").status == 200
    assert api.with_roles("staff").get(f"{ROUTE}/{held['id']}").status == 200


def test_a_customer_acts_only_for_itself(api: Api) -> None:
    product = api.new_product()
    alice = api.as_user("alice")
    assert alice.post(ROUTE, {"items": [line(product)]}, key="k").json["user_id"] == "alice"
    assert alice.hold("alice", product).status == 201
    refused = alice.hold("bob", product)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert alice.get(f"{ROUTE}?user_id=bob").status == 403
    assert len(alice.get(ROUTE).json["items"]) == 2


@pytest.mark.parametrize("roles", ["staff", "admin", "staff admin"])
def test_staff_act_for_any_user_of_their_tenant(api: Api, roles: str) -> None:
    held = api.hold("alice", api.new_product()).json
    staff = api.with_roles(roles)
    assert staff.hold("alice", api.new_product()).json["user_id"] == "alice"
    assert len(staff.get(f"{ROUTE}?user_id=alice").json["items"]) == 2
    assert staff.get(f"{ROUTE}/{held['id']}").json == held
    assert staff.post(f"{ROUTE}/{held['id']}/extend", key="k").status == 200
    assert staff.delete(f"{ROUTE}/{held['id']}").json["status"] == "cancelled"


def test_let_go_gives_back_at_once_and_twice_is_as_once(api: Api) -> None:
    product = api.new_product(5)
    held = api.hold("alice", product, 3).json
    assert api.units(product) == (5, 2, 3, 0)
    for _ in range(2):
        answer = api.delete(f"{ROUTE}/{held['id']}")
        assert (answer.status, answer.json["status"], answer.json["items"][0]["state"]) == (
            200,
            "cancelled",
            "cancelled",
        )
        assert api.units(product) == (5, 5, 0, 0)


def test_a_hold_past_its_time_is_expired_before_anybody_released_it(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5)
    held = api.hold("alice", product, 3, hold_seconds=2).json
    clock.milliseconds += 1999
    assert api.get(f"{ROUTE}/{held['id']}").json["status"] == "held"
    clock.milliseconds += 1
    found = api.get(f"{ROUTE}/{held['id']}").json
    assert (found["status"], found["items"][0]["state"]) == ("expired", "expired")
    assert api.post(f"{ROUTE}/{held['id']}/extend", key="k").code == "reservation_over"
    assert api.delete(f"{ROUTE}/{held['id']}").json["status"] == "expired"
    assert api.units(product) == (5, 5, 0, 0)


def test_a_deal_hold_is_read_and_let_go_through_the_unified_route_too(api: Api) -> None:
    product = api.new_product(5)
    deal = api.reserve("alice", product, 2).data["reservation_id"]
    assert api.get(f"{ROUTE}/{deal}").json["items"][0]["quantity"] == 2
    assert api.delete(f"{ROUTE}/{deal}").json["status"] == "cancelled"
    assert api.units(product) == (5, 5, 0, 0)
    again = api.reserve("alice", product, 1).data["reservation_id"]
    assert again != deal
    assert api.delete(f"{ROUTE}/{deal}").status == 404


def test_what_was_bought_is_not_let_go(api: Api) -> None:
    product = api.new_product(5)
    deal = api.reserve("alice", product, 2).data["reservation_id"]
    api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 2})
    answer = api.delete(f"{ROUTE}/{deal}")
    assert (answer.status, answer.code) == (409, "reservation_over")
    assert api.units(product) == (5, 3, 0, 2)


def test_extend_moves_the_expiry_once(api: Api, clock: HandMovedClock) -> None:
    held = api.hold("alice", api.new_product()).json
    answer = api.post(f"{ROUTE}/{held['id']}/extend")
    assert answer.status == 200
    assert milliseconds(answer.json["expires_at"]) == milliseconds(held["expires_at"]) + 300_000
    again = api.post(f"{ROUTE}/{held['id']}/extend")
    assert (again.status, again.code) == (409, "already_extended")
    clock.advance(601)
    assert api.get(f"{ROUTE}/{held['id']}").json["status"] == "held"


def test_extend_is_bounded_by_the_longest_hold(api: Api, cold: Callable[..., None]) -> None:
    cold("reservations", EXTEND_SECONDS="300", HOLD_SECONDS_MAX="700")
    held = api.hold("alice", api.new_product()).json
    extended = api.post(f"{ROUTE}/{held['id']}/extend").json
    assert milliseconds(extended["expires_at"]) == milliseconds(held["created_at"]) + 700_000


def test_what_is_over_is_not_extended(api: Api) -> None:
    held = api.hold("alice", api.new_product()).json
    api.delete(f"{ROUTE}/{held['id']}")
    assert api.post(f"{ROUTE}/{held['id']}/extend", key="k").code == "reservation_over"


def test_list_pages_through_everything_of_one_user_once(api: Api) -> None:
    product = api.new_product(100)
    wanted = {api.hold("alice", product).json["id"] for _ in range(5)}
    wanted.add(api.reserve("alice", product).data["reservation_id"])
    api.hold("bob", product)
    found: list[str] = []
    target = f"{ROUTE}?user_id=alice&limit=2"
    for _ in range(10):
        page = api.get(target).json
        assert set(page) == {"items", "next"}
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        target = f"{ROUTE}?user_id=alice&limit=2&next={page['next']}"
    assert sorted(found) == sorted(wanted)


def test_list_is_of_a_state_as_the_clock_has_it(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(100)
    short = api.hold("alice", product, hold_seconds=2).json["id"]
    long = api.hold("alice", product).json["id"]
    gone = api.hold("alice", product).json["id"]
    api.delete(f"{ROUTE}/{gone}")
    clock.advance(2)

    def listed(status: str) -> list[str]:
        return [item["id"] for item in api.get(f"{ROUTE}?user_id=alice&status={status}").json["items"]]

    assert (listed("expired"), listed("held"), listed("cancelled"), listed("refunded")) == ([short], [long], [gone], [])


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "status=gone", "status=", "next=%25", "next=zzzz", "next=", "user_id=a%20b"],
)
def test_list_refuses_a_query_that_is_none(api: Api, query: str) -> None:
    user = "" if query.startswith("user_id") else "user_id=alice&"
    answer = api.get(f"{ROUTE}?{user}{query}")
    assert (answer.status, answer.code) == (400, "validation_failed")


def test_the_token_of_one_user_gives_nothing_of_another(api: Api) -> None:
    product = api.new_product(100)
    for _ in range(3):
        api.hold("alice", product)
    token = api.get(f"{ROUTE}?user_id=alice&limit=1").json["next"]
    for bent in (
        f"user_id=bob&next={token}",
        f"user_id=alice&status=held&next={token}",
        f"user_id=alice&next={token[1:]}",
    ):
        answer = api.get(f"{ROUTE}?{bent}")
        assert (answer.status, answer.faults()) == (400, {"next": "invalid"}), bent
