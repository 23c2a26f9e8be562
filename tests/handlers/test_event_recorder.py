"""The table's stream: what happened to orders is kept, once and by its version, whatever comes with it."""

import json
from typing import Any

import pytest

from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Unavailable
from holdfast.platform.tables import Keys
from tests.handlers.account import Aws
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import changed, holds, record, without_images


def keep(*records: Any) -> list[str]:
    """Hand the records to the function; return from which sequence numbers it wants to be asked again."""
    answer = load("event_recorder").handler({"Records": list(records)}, LambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def kept(store: Store, tenant: str, order: str) -> list[tuple[int, str]]:
    """What is kept of an order, in the order of its versions."""
    items = store.query(Keys(tenant).history(order, 0).pk).items
    return [(int(item["version"]["N"]), item["type"]["S"]) for item in items]


@pytest.fixture
def order(api: Api) -> str:
    """An order of the marketplace, by its id."""
    ticket = api.post("/api/tickets", {"title": "Row 3", "price": "25.00", "userId": "grace"}).json["id"]
    return str(api.post("/api/orders", {"ticketId": ticket, "userId": "ada"}).json["id"])


@pytest.fixture
def image(order: str, aws: Aws) -> dict[str, Any]:
    """Its reservation, as the table keeps it."""
    (item,) = holds(aws)
    return item


def test_what_happened_is_kept_by_its_version(order: str, image: dict[str, Any], api: Api, store: Store) -> None:
    cancelled = changed(image, v=2) | {"status": {"S": "cancelled"}}
    assert keep(record(1, image), record(2, cancelled, image)) == []
    assert kept(store, api.tenant, order) == [(1, "OrderCreated"), (2, "OrderCancelled")]


def test_what_is_told_twice_is_kept_once_and_as_it_was(
    order: str, image: dict[str, Any], api: Api, store: Store
) -> None:
    assert keep(record(1, image), record(1, image)) == []
    again = record(1, changed(image, expires_at=7))
    assert keep(again) == []
    (item,) = store.query(Keys(api.tenant).history(order, 0).pk).items
    assert json.loads(item["data"]["S"])["expires_at"] == int(image["expires_at"]["N"])


@pytest.mark.parametrize("malformed", [None, 17, [], {}, {"dynamodb": {"NewImage": {"pk": {"S": "x"}}}}])
def test_a_malformed_record_is_quarantined_and_stands_in_no_others_way(
    order: str, image: dict[str, Any], api: Api, aws: Aws, store: Store, malformed: Any
) -> None:
    assert keep(malformed, record(2, image)) == []
    assert kept(store, api.tenant, order) == [(1, "OrderCreated")]
    (quarantined,) = aws.messages(aws.dead_letters)
    assert json.loads(quarantined["Body"]) == without_images(malformed)


def test_what_could_not_be_kept_is_handed_back(
    order: str, image: dict[str, Any], api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as outage:
        outage.setattr(Store, "write", silent)
        assert keep(record(100, image), record(101, None, image)) == ["100"]
    assert keep(record(100, image)) == []
    assert kept(store, api.tenant, order) == [(1, "OrderCreated")]


def test_an_empty_batch_is_no_fault() -> None:
    assert keep() == []
