"""Places of partners' slots as lines of carts: held, shown, refused, bought, given back (WIRE.md, section 0)."""

import uuid
from typing import Any

import pytest

from holdfast.platform.dynamodb import Store
from tests.engine.shop import START, ManualClock, Shop
from tests.engine.tours import ADULT, CHILD, DAY, MORNING, TOUR, Tour, offered, pax
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api

ROUTE = "/api/v1/reservations"
WAIT = {"Prefer": "wait=1"}


@pytest.fixture
def tour(api: Api, store: Store, clock: HandMovedClock) -> Tour:
    """A tour of the tenant's with ten places in the morning, a month before it."""
    clock.milliseconds = START
    tour = Tour(Shop(store, ManualClock(START), api.tenant))
    tour.says(offered())
    return tour


def line(wanted: Any = None, **more: Any) -> dict[str, Any]:
    """Return a line as clients send it."""
    chosen = {ADULT: 2, CHILD: 1} if wanted is None else wanted
    return {"kind": "slot", "experience_id": TOUR, "date": DAY, "slot_id": MORNING, "pax": chosen, **more}


def hold(api: Api, *items: Any, user: str = "alice", key: str | None = None) -> Answer:
    """Hold a cart."""
    return api.post(ROUTE, {"items": list(items), "user_id": user}, key=key or uuid.uuid4().hex)


def check_out(api: Api, reservation: str) -> Any:
    """Buy a reservation and return its order."""
    payment = {"payment": {"provider": "sandbox", "token": "tok_success"}}
    answer = api.post(f"{ROUTE}/{reservation}/checkout", payment, key=uuid.uuid4().hex, headers=WAIT)
    assert answer.status == 200, answer.text
    return answer.json


def test_each_pax_type_is_shown_as_a_line_of_its_own(api: Api, tour: Tour) -> None:
    answer = hold(api, line(experience_id=int(TOUR)))
    assert answer.status == 201, answer.text
    named = {"kind": "slot", "experience_id": TOUR, "date": DAY, "slot_id": MORNING}
    told = {"currency": "SGD", "state": "held", "is_short": False}
    assert answer.json["items"] == [
        {**named, "pax": {ADULT: 2}, "quantity": 2, "unit_price_minor": 34_100, "price_minor": 68_200, **told},
        {**named, "pax": {CHILD: 1}, "quantity": 1, "unit_price_minor": 13_700, "price_minor": 13_700, **told},
    ]
    assert answer.json["totals"] == [{"currency": "SGD", "amount_minor": 81_900}]
    assert api.get(f"{ROUTE}/{answer.json['id']}").json == answer.json
    assert api.get(f"{ROUTE}?user_id=alice").json["items"] == [answer.json]
    assert tour.count() == (7, 3, 0)


def test_the_order_in_which_pax_types_are_named_makes_no_difference(api: Api, tour: Tour) -> None:
    first = hold(api, line({ADULT: 2, CHILD: 1}), key="k")
    again = hold(api, line({CHILD: 1, ADULT: 2}), key="k")
    assert (again.status, again.json) == (201, first.json)
    assert hold(api, line({CHILD: 2, ADULT: 1}), key="k").code == "idempotency_key_reused"
    assert tour.count() == (7, 3, 0)


def test_places_beside_other_things_in_one_cart(api: Api, tour: Tour) -> None:
    product = api.new_product(5, price="19.99", currency="SGD")
    other = {"kind": "product", "product_id": product, "quantity": 2}
    answer = hold(api, other, line(), line({ADULT: 1}))
    assert [(item["kind"], item["quantity"]) for item in answer.json["items"]] == [
        ("product", 2),
        ("slot", 3),
        ("slot", 1),
    ]
    refusal = hold(api, other, line({ADULT: 7}), line({CHILD: 1}, slot_id="never"))
    assert (refusal.status, refusal.code) == (409, "insufficient_stock")
    assert refusal.faults() == {"items.1": "insufficient_stock", "items.2": "slot_not_found"}
    assert api.units(product) == (5, 3, 2, 0)
    assert api.delete(f"{ROUTE}/{answer.json['id']}").json["status"] == "cancelled"
    assert tour.count() == (10, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (line({ADULT: 11}), "insufficient_stock"),
        (line({ADULT: 21}), "pax_above_maximum"),
        (line({"SENIOR_60~": 1}), "pax_type_unknown"),
        (line(slot_id="zz99"), "slot_not_found"),
        (line(date="2023-12-17"), "slot_not_found"),
        (line(experience_id="15"), "slot_not_found"),
    ],
)
def test_a_refusal_names_the_line_and_why(api: Api, tour: Tour, aws: Aws, wanted: Any, code: str) -> None:
    before = aws.dump()
    refusal = hold(api, wanted)
    assert (refusal.status, refusal.code, refusal.faults()) == (409, code, {"items.0": code})
    assert aws.dump() == before
    assert tour.count() == (10, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (line({}), "items.0.pax"),
        (line([ADULT]), "items.0.pax"),
        (line({ADULT: 0}), f"items.0.pax.{ADULT}"),
        (line({ADULT: -1}), f"items.0.pax.{ADULT}"),
        (line({ADULT: 1.5}), f"items.0.pax.{ADULT}"),
        (line({ADULT: "1"}), f"items.0.pax.{ADULT}"),
        (line({ADULT: True}), f"items.0.pax.{ADULT}"),
        (line({"A/B": 1}), "items.0.pax.A/B.[key]"),
        (line({"A#B": 1}), "items.0.pax.A#B.[key]"),
        (line({"": 1}), "items.0.pax..[key]"),
        (line({f"T{number}": 1 for number in range(21)}), "items.0.pax"),
        (line(date="2023-02-30"), "items.0.date"),
        (line(date="2023-1-1"), "items.0.date"),
        (line(date="20231216"), "items.0.date"),
        (line(slot_id="-"), "items.0.slot_id"),
        (line(slot_id="a/b"), "items.0.slot_id"),
        (line(slot_id="a#b"), "items.0.slot_id"),
        (line(slot_id=""), "items.0.slot_id"),
        (line(experience_id="1#2"), "items.0.experience_id"),
        (line(quantity=1), "items.0.quantity"),
        (line(unit_price_minor=1), "items.0.unit_price_minor"),
    ],
)
def test_what_is_no_line_of_places_is_400(api: Api, tour: Tour, aws: Aws, wanted: Any, field: str) -> None:
    before = aws.dump()
    answer = hold(api, wanted)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert list(answer.faults()) == [field]
    assert aws.dump() == before


@pytest.mark.parametrize("name", ["experience_id", "date", "slot_id", "pax"])
def test_every_field_of_a_line_is_needed(api: Api, tour: Tour, name: str) -> None:
    answer = hold(api, {key: value for key, value in line().items() if key != name})
    assert (answer.status, answer.faults()) == (400, {f"items.0.{name}": "missing"})


def test_rule_18_what_falls_short_is_flagged_and_can_be_bought(api: Api, tour: Tour) -> None:
    """PROTOCOL.md 18: in every answer that reads the store; it is bought all the same, and flagged while it is so."""
    adults, child = hold(api, line({ADULT: 4})).json["id"], hold(api, line({CHILD: 1}), user="bob").json["id"]
    tour.says(offered(MORNING, 10, pax(ADULT, 3), pax(CHILD, 10)))

    def flags(reservation: str) -> list[bool]:
        return [item["is_short"] for item in api.get(f"{ROUTE}/{reservation}").json["items"]]

    assert (flags(adults), flags(child)) == ([True], [False])
    (listed,) = api.get(f"{ROUTE}?user_id=alice").json["items"]
    assert [item["is_short"] for item in listed["items"]] == [True]
    extended = api.post(f"{ROUTE}/{adults}/extend").json
    assert [item["is_short"] for item in extended["items"]] == [True]
    assert hold(api, line({ADULT: 1}), user="eve").code == "insufficient_stock"
    assert check_out(api, adults)["status"] == "completed"
    assert flags(adults) == [True]
    tour.says(offered(MORNING, 10, pax(ADULT, 4), pax(CHILD, 10)))
    assert flags(adults) == [False]
    tour.says(offered(MORNING, 3))
    over = api.delete(f"{ROUTE}/{child}").json
    assert (over["status"], [item["is_short"] for item in over["items"]]) == ("cancelled", [False])


def test_an_order_shows_places_and_gives_them_back_line_by_line(api: Api, tour: Tour) -> None:
    order = check_out(api, hold(api, line()).json["id"])
    assert order["status"] == "completed"
    assert [(item["line"], item["pax"], item["returned"], item["state"]) for item in order["lines"]] == [
        (0, {ADULT: 2}, 0, "confirmed"),
        (1, {CHILD: 1}, 0, "confirmed"),
    ]
    assert {item["kind"] for item in order["lines"]} == {"slot"}
    assert tour.count() == (7, 0, 3)
    wanted = {"items": [{"line": 0, "quantity": 1}]}
    assert api.post(f"/api/v1/orders/{order['id']}/refund", wanted, key="r1", headers=WAIT).status == 200
    assert (tour.count(), tour.count(ADULT), tour.count(CHILD)) == ((8, 0, 2), (9, 0, 1), (9, 0, 1))
    assert api.post(f"/api/v1/orders/{order['id']}/refund", {}, key="r2", headers=WAIT).status == 200
    assert tour.count() == (10, 0, 0)
    found = api.get(f"/api/v1/orders/{order['id']}").json
    assert (found["status"], found["tickets"]) == ("refunded", [])
    assert [item["state"] for item in found["lines"]] == ["refunded", "refunded"]


def test_what_is_kept_of_a_user_tells_of_places(api: Api, tour: Tour) -> None:
    api.post("/api/v1/users", {"name": "Asha", "phone": "9876543210"})
    user = api.get("/api/v1/users/phone/9876543210").json["user"]["id"]
    hold(api, line({ADULT: 2}), user=user)
    tour.says(offered(MORNING, 1))
    (kept,) = api.get(f"/api/v1/users/{user}/export").json["reservations"]
    assert [(item["pax"], item["is_short"]) for item in kept["items"]] == [({ADULT: 2}, True)]


def test_a_slot_of_another_tenant_is_none(api: Api, tour: Tour, store: Store) -> None:
    Tour(Shop(store, ManualClock(START), "other")).says(offered("theirs"))
    assert hold(api, line(slot_id="theirs")).faults() == {"items.0": "slot_not_found"}
