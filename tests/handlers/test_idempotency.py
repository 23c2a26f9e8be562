"""Idempotency keys: required or honoured, replayed, and refused for another body (PROTOCOL.md 3)."""

from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.bodies import SENDINGS, Sending, prepare
from tests.handlers.gateway import Answer, Api

KEYED = [sending for sending in SENDINGS if sending.keyed]
every_keyed = pytest.mark.parametrize("sending", KEYED, ids=[sending.name for sending in KEYED])
OPTIONAL = [sending for sending in KEYED if not sending.strict]

MALFORMED = ["", " ", "a b", "a\tb", "a\n", "é", "x" * 256, "\x7f", "\u2028"]


def without_ids(answer: Answer) -> Any:
    """Return an answer's body, which carries nothing of the request that it answered."""
    assert "request_id" not in answer.json
    return answer.json


@every_keyed
def test_the_same_key_and_body_give_the_same_answer_and_are_done_once(api: Api, aws: Aws, sending: Sending) -> None:
    prepare(api)
    first = sending.send(api)
    assert first.status == sending.success
    after = aws.dump()
    for _ in range(2):
        again = sending.send(api)
        assert (again.status, without_ids(again)) == (first.status, without_ids(first))
    assert aws.dump() == after


@every_keyed
def test_the_same_key_with_another_body_is_422_and_changes_nothing(api: Api, aws: Aws, sending: Sending) -> None:
    prepare(api)
    sending.send(api)
    after = aws.dump()
    others = {
        "name": "Other",
        "quantity": 2,
        "hold_seconds": 61,
        "items": [{"product_id": "1", "quantity": 2}],
        "rows": [{"rowNumber": 2, "seatNumbers": [1]}],
        "reason": "Other",
    }
    name = next(name for name in others if name in sending.body)
    answer = sending.send(api, sending.body | {name: others[name]})
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert aws.dump() == after


@every_keyed
def test_the_order_and_the_spelling_of_fields_do_not_make_another_body(api: Api, sending: Sending) -> None:
    prepare(api)
    first = sending.send(api)
    again = sending.send(api, dict(reversed(sending.body.items())), headers={"Content-Type": "application/json;v=1"})
    assert again.json == first.json


def test_an_id_as_a_number_and_as_a_text_are_the_same_body(api: Api) -> None:
    prepare(api)
    first = api.reserve(7, 1, 1, key="k")
    assert api.reserve("7", "1", 1, key="k").json == first.json


@every_keyed
def test_another_key_is_another_request(api: Api, aws: Aws, sending: Sending) -> None:
    prepare(api)
    sending.send(api)
    after = aws.dump()
    answer = sending.send(api, key="another")
    if "id" in sending.body:
        # What has an id of its client's choice is there once.
        assert answer.status == 409
        assert aws.dump() == after
    else:
        assert answer.status == sending.success
        assert aws.dump() != after


@every_keyed
@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_is_400_wherever_keys_are_read(api: Api, aws: Aws, sending: Sending, key: str) -> None:
    before = aws.dump()
    answer = sending.send(api, key=key)
    assert (answer.status, answer.code) == (400, "idempotency_key_malformed")
    assert aws.dump() == before


@every_keyed
@pytest.mark.parametrize("key", ["!", "~" * 255, "a/b?c#d", "<script>", "{}", "K#1", "\\"])
def test_every_printable_key_is_good(api: Api, sending: Sending, key: str) -> None:
    prepare(api)
    first = sending.send(api, key=key)
    assert (first.status, sending.send(api, key=key).json) == (sending.success, first.json)


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_is_400_for_an_extension_too(api: Api, key: str) -> None:
    held = api.hold("alice", api.new_product()).json["id"]
    assert api.post(f"/api/v1/reservations/{held}/extend", key=key).code == "idempotency_key_malformed"


def test_the_unified_reserve_needs_a_key(api: Api, aws: Aws) -> None:
    (sending,) = [sending for sending in KEYED if sending.path == "/api/v1/reservations"]
    prepare(api)
    before = aws.dump()
    answer = sending.send(api, key=None)
    assert (answer.status, answer.code) == (400, "idempotency_key_required")
    assert aws.dump() == before


@pytest.mark.parametrize("sending", OPTIONAL, ids=[sending.name for sending in OPTIONAL])
def test_the_older_routes_do_without_a_key(api: Api, sending: Sending) -> None:
    prepare(api)
    assert sending.send(api, key=None).status == sending.success


def test_a_key_is_of_one_user_one_route_and_one_tenant(api: Api) -> None:
    prepare(api)
    other = Api(f"{api.tenant}x")
    prepare(other)
    for sending in SENDINGS:
        assert sending.send(api).status == sending.success
    for caller, user in ((other, "alice"), (api, "bob")):
        reserved = caller.reserve(user, 1, 1, key="k")
        assert (reserved.status, reserved.data["user_id"]) == (200, user)


def test_a_replay_answers_what_was_answered_whatever_became_of_the_hold_since(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(5, price=5)
    body = {"user_id": "alice", "items": [{"kind": "product", "product_id": product, "quantity": 5}]}
    unified = api.post("/api/v1/reservations", body, key="k")
    api.delete(f"/api/v1/reservations/{unified.json['id']}")
    deal = api.reserve("alice", product, 2, key="k")
    api.reserve("alice", product, 1)
    order = api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 3}, key="k")
    api.patch(f"/api/products/{product}", {"price": 50, "on_sale": False})
    clock.advance(24 * 3600)
    assert api.post("/api/v1/reservations", body, key="k").json == unified.json
    assert api.reserve("alice", product, 2, key="k").json == deal.json
    again = api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 3}, key="k")
    assert again.json == order.json
    assert api.units(product) == (5, 2, 0, 3)


def test_a_replayed_creation_is_of_the_same_product(api: Api) -> None:
    body = {"name": "Laptop", "total_stock": 5}
    first = api.post("/api/products", body, key="k").data
    api.patch(f"/api/products/{first['id']}", {"name": "Tablet", "price": 9})
    again = api.post("/api/products", body, key="k")
    assert (again.status, again.data) == (201, first)
    assert len(api.get("/api/products").data) == 1


def test_a_replayed_extension_is_the_same_and_another_key_is_refused(api: Api) -> None:
    held = api.hold("alice", api.new_product()).json["id"]
    first = api.post(f"/api/v1/reservations/{held}/extend", key="k")
    assert first.status == 200
    assert api.post(f"/api/v1/reservations/{held}/extend", key="k").json == first.json
    assert api.post(f"/api/v1/reservations/{held}/extend", key="another").code == "already_extended"
    assert api.post(f"/api/v1/reservations/{held}/extend").code == "already_extended"
    api.delete(f"/api/v1/reservations/{held}")
    assert api.post(f"/api/v1/reservations/{held}/extend", key="k").json == first.json


def test_a_refusal_is_not_remembered(api: Api, clock: HandMovedClock) -> None:
    product = api.new_product(1)
    api.reserve("bob", product, 1)
    assert api.reserve("alice", product, 1, key="k").code == "insufficient_stock"
    assert api.hold("alice", product, 1, key="k").code == "insufficient_stock"
    api.patch(f"/api/products/{product}", {"total_stock": 3})
    clock.advance(1)
    for _ in range(2):
        assert api.hold("alice", product, 1, key="k").status == 201
        assert api.reserve("alice", product, 1, key="k").status == 200
    assert api.units(product) == (3, 0, 3, 0)


def test_a_replay_is_found_before_a_sold_out_is_remembered(api: Api) -> None:
    product = api.new_product(2, max_per_user=1)
    held = api.hold("alice", product, 1, key="k")
    deal = api.reserve("bob", product, 1, key="k")
    assert api.reserve("carol", product, 1).code == "insufficient_stock"
    assert api.hold("alice", product, 1, key="k").json == held.json
    assert api.reserve("bob", product, 1, key="k").json == deal.json
