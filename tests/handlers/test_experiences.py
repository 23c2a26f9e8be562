"""Experiences are put up, read, listed and changed while all is running (WIRE.md, section 5)."""

from datetime import datetime
from typing import Any

import pytest

from holdfast.catalogue.experiences import experiences
from holdfast.catalogue.experiences.wire import _BY_NAME
from holdfast.partners.pairs import Product
from holdfast.platform.dynamodb import Store
from holdfast.platform.tables import OPERATOR_TENANT, Keys
from tests.handlers.account import HandMovedClock, found_tenant
from tests.handlers.gateway import Answer, Api

WALK = {
    "id": "14",
    "name": "Island walk",
    "partner": "tours",
    "partner_product_id": "14",
    "weekdays": [1, 2, 3],
    "enabled": True,
}


def put_up(api: Api, key: str | None = None, **wishes: Any) -> Answer:
    """Put an experience up, of the partner's product that is called as it is."""
    own = {"partner_product_id": wishes["id"]} if wishes.get("id") and "partner_product_id" not in wishes else {}
    return api.post("/api/v1/experiences", {**WALK, **own, **wishes}, key=key)


def test_an_experience_is_put_up_read_and_listed(api: Api, clock: HandMovedClock) -> None:
    created = put_up(api)
    assert created.status == 201
    shown = created.json
    assert shown == {**WALK, "weekdays": ["mon", "tue", "wed"], "created_at": shown["created_at"]} | {
        "updated_at": shown["created_at"]
    }
    assert api.get("/api/v1/experiences/14").json == shown
    assert api.get("/api/v1/experiences").json == {"items": [shown], "next": None}


def test_ids_come_as_numbers_too_and_enabled_may_be_left_out(api: Api) -> None:
    body = {name: value for name, value in WALK.items() if name != "enabled"}
    created = api.post("/api/v1/experiences", {**body, "id": 14, "partner_product_id": 1_000})
    assert (created.status, created.json["id"], created.json["partner_product_id"]) == (201, "14", "1000")
    assert created.json["enabled"] is True


@pytest.mark.parametrize(
    ("weekdays", "shown"),
    [
        ([7], ["sun"]),
        (["Sunday", "MON", "wednesday"], ["mon", "wed", "sun"]),
        ([3.0, 1, "tue"], ["mon", "tue", "wed"]),
        ([1, 2, 3, 4, 5, 6, 7], ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
        (["friday", "sat", "ThU"], ["thu", "fri", "sat"]),
    ],
)
def test_weekdays_are_numbers_or_names_and_shown_in_order(api: Api, weekdays: list[Any], shown: list[str]) -> None:
    assert put_up(api, weekdays=weekdays).json["weekdays"] == shown


def test_every_weekday_has_its_number() -> None:
    assert {name: number for name, number in _BY_NAME.items() if len(name) == 3} == {
        "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "sun": 7
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        *(({"id": wrong, "partner_product_id": "14"}, "id") for wrong in ("", "a#b", "a/b", -1, True, None, "x" * 41)),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"partner": "nobody"}, "partner"),
        ({"partner": ""}, "partner"),
        ({"partner": None}, "partner"),
        ({"partner_product_id": ".."}, "partner_product_id"),
        ({"partner_product_id": "a/b"}, "partner_product_id"),
        ({"partner_product_id": None}, "partner_product_id"),
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": "mon"}, "weekdays"),
        ({"weekdays": [1, "mon"]}, "weekdays"),
        ({"weekdays": [1, 1]}, "weekdays"),
        ({"weekdays": [0]}, "weekdays.0"),
        ({"weekdays": [1, 8]}, "weekdays.1"),
        ({"weekdays": ["someday"]}, "weekdays.0"),
        ({"weekdays": ["m"]}, "weekdays.0"),
        ({"weekdays": ["1"]}, "weekdays.0"),
        ({"weekdays": [True]}, "weekdays.0"),
        ({"weekdays": [1.5]}, "weekdays.0"),
        ({"weekdays": [None]}, "weekdays.0"),
        ({"weekdays": [[1]]}, "weekdays.0"),
        ({"weekdays": None}, "weekdays"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"capacity": 7}, "capacity"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(api: Api, store: Store, wishes: Any, field: str) -> None:
    refused = put_up(api, **wishes)
    assert (refused.status, refused.code) == (400, "validation_failed")
    assert [fault["field"] for fault in refused.json["errors"]] == [field]
    assert not store.query(Keys(api.tenant).experiences()).items


@pytest.mark.parametrize("left_out", ["id", "name", "partner", "partner_product_id", "weekdays"])
def test_what_is_left_out_is_named(api: Api, left_out: str) -> None:
    refused = api.post("/api/v1/experiences", {name: value for name, value in WALK.items() if name != left_out})
    assert (refused.status, refused.faults()) == (400, {left_out: "missing"})


def test_an_id_is_given_once(api: Api) -> None:
    put_up(api)
    for wishes in ({}, {"name": "Another"}, {"id": 14}):
        refused = put_up(api, **wishes)
        assert (refused.status, refused.code) == (409, "experience_exists")
    assert put_up(api, key="another").code == "experience_exists"
    assert api.get("/api/v1/experiences/14").json["name"] == "Island walk"


def test_a_product_of_a_partner_is_sold_as_one_experience_in_the_whole_deployment(api: Api, store: Store) -> None:
    """Each that sold it would count all of the partner's places as its own; it is not said whose it is."""
    put_up(api)
    found_tenant("another-one")
    other = Api("another-one")
    for asked, experience in ((api, "20"), (other, "20"), (other, "14")):
        refused = put_up(asked, id=experience, partner_product_id="14")
        assert (refused.status, refused.code) == (409, "experience_exists")
        assert refused.json["error"] == "This product of the partner is sold as another experience already."
        assert api.tenant not in refused.text
    assert other.get("/api/v1/experiences").json["items"] == []
    api.patch("/api/v1/experiences/14", {"enabled": False})
    assert put_up(other, id="20", partner_product_id=14).status == 409, "what it sold before is held and sold"
    assert put_up(other, id="14", partner_product_id="15").status == 201


def test_when_it_was_last_changed_on_which_days_it_is_sold_is_known(
    api: Api, store: Store, clock: HandMovedClock
) -> None:
    def changed_at() -> int:
        (item,) = experiences.all_of(store, api.tenant)
        return int(experiences.facts_of(item)["changed_at"])

    put_up(api)
    made = clock.milliseconds
    for body, is_change in (
        ({"name": "Walk"}, False),
        ({"enabled": True}, False),
        ({"weekdays": ["wed", "tue", "mon"]}, False),
        ({"enabled": False}, True),
        ({"enabled": False, "name": "Walk again"}, False),
        ({"enabled": True}, True),
        ({"weekdays": ["wed"]}, True),
    ):
        clock.advance(5)
        api.patch("/api/v1/experiences/14", body)
        made = clock.milliseconds if is_change else made
        assert changed_at() == made, body


def test_the_same_request_is_answered_as_before_whatever_became_of_it(api: Api) -> None:
    first = put_up(api, key="once")
    api.patch("/api/v1/experiences/14", {"name": "Another", "enabled": False})
    assert put_up(api, key="once").json == first.json
    other = put_up(api, key="once", name="Other")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_it_is_said_that_the_tenant_sells_before_there_is_anything_to_sell(api: Api, store: Store) -> None:
    """What the planner goes by; who dies in between has said it for nothing, and no more."""
    for number in ("9", "10", "abc"):
        put_up(api, id=number)
    found_tenant("another-one")
    created = put_up(Api("another-one"), id="1", weekdays=[7], enabled=False).json["created_at"]
    sellers = [item["tenant_id"]["S"] for item in store.query(Keys(OPERATOR_TENANT).experience_sellers()).items]
    assert sorted(sellers) == sorted([api.tenant, "another-one"])
    facts = [Product(**experiences.facts_of(item)) for item in experiences.all_of_all(store)]
    assert {(each.tenant, each.experience_id) for each in facts} == {
        *((api.tenant, number) for number in ("9", "10", "abc")),
        ("another-one", "1"),
    }
    (other,) = [each for each in facts if each.tenant == "another-one"]
    at = round(datetime.fromisoformat(created).timestamp() * 1000)
    assert other == Product("another-one", "1", "tours", "1", frozenset({7}), enabled=False, changed_at=at)


def test_experiences_are_listed_in_pages_in_the_order_of_their_numbers(api: Api) -> None:
    for number in ("10", "9", "abc", "1"):
        put_up(api, id=number)
    seen, target = [], "/api/v1/experiences?limit=3"
    page = api.get(target).json
    while True:
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        page = api.get(f"{target}&next={page['next']}").json
    assert seen == ["1", "9", "10", "abc"]
    for wrong in ("limit=0", "limit=101", "next=abc", "limit=x"):
        assert api.get(f"/api/v1/experiences?{wrong}").status == 400


def test_each_tenant_has_its_own(api: Api) -> None:
    put_up(api)
    found_tenant("another-one")
    other = Api("another-one")
    assert other.get("/api/v1/experiences").json["items"] == []
    for target in (
        "/api/v1/experiences/14",
        "/api/v1/experience/14/dates",
        "/api/v1/experience/14/slots?date=2030-01-01",
    ):
        refused = other.get(target)
        assert (refused.status, refused.code) == (404, "experience_not_found")
    assert other.patch("/api/v1/experiences/14", {"enabled": False}).status == 404
    assert put_up(other, name="Theirs", partner_product_id="140").status == 201
    assert api.get("/api/v1/experiences/14").json["name"] == "Island walk"


def test_what_is_given_is_changed_and_the_rest_stays(api: Api, clock: HandMovedClock) -> None:
    shown = put_up(api).json
    clock.advance(5)
    assert api.patch("/api/v1/experiences/14", {}).json == shown
    assert api.patch("/api/v1/experiences/14", {"name": "Island walk"}).json == shown
    renamed = api.patch("/api/v1/experiences/14", {"name": "Walk", "weekdays": ["sun", "sat"]})
    assert renamed.status == 200
    assert renamed.json["updated_at"] > shown["updated_at"]
    assert renamed.json == {**shown, "name": "Walk", "weekdays": ["sat", "sun"]} | {
        "updated_at": renamed.json["updated_at"]
    }
    off = api.patch("/api/v1/experiences/14", {"enabled": False, "name": None})
    assert (off.json["enabled"], off.json["name"]) == (False, "Walk")
    assert api.patch("/api/v1/experiences/14", {"enabled": True}).json["enabled"] is True
    assert api.get("/api/v1/experiences/14").json["weekdays"] == ["sat", "sun"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": ["mon", "monday"]}, "weekdays"),
        ({"enabled": "no"}, "enabled"),
        ({"partner_product_id": "15"}, "partner_product_id"),
        ({"partner": "tours"}, "partner"),
        ({"id": "15"}, "id"),
    ],
)
def test_a_wrong_change_is_refused(api: Api, body: Any, field: str) -> None:
    shown = put_up(api).json
    refused = api.patch("/api/v1/experiences/14", body)
    assert (refused.status, list(refused.faults())) == (400, [field])
    assert api.get("/api/v1/experiences/14").json == shown


def test_what_is_not_there_is_not_found(api: Api) -> None:
    for answer in (api.get("/api/v1/experiences/14"), api.patch("/api/v1/experiences/14", {"name": "Walk"})):
        assert (answer.status, answer.code) == (404, "experience_not_found")


def test_only_admins_put_up_and_change(api: Api) -> None:
    put_up(api)
    for other in (api.as_user("ann"), api.with_roles("staff"), api.with_roles("service")):
        assert put_up(other, id="15").status == 403
        assert other.patch("/api/v1/experiences/14", {"enabled": False}).status == 403
        assert other.get("/api/v1/experiences/14").status == 200
