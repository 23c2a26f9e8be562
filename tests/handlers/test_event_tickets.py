"""Tickets to events: reserve, check out, read what was bought (WIRE.md, section 2)."""

from datetime import datetime
from typing import Any

import pytest

from holdfast.catalogue.events import blocks
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.box_office import (
    GENERAL,
    VIP,
    check_out,
    general,
    left,
    name,
    new_event,
    reserve,
    seats,
    wish,
)
from tests.handlers.gateway import Api
from tests.handlers.odd_values import ODD_QUANTITIES, ODD_USERS


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function read and write one block at a time, as moto needs it."""
    monkeypatch.setattr(blocks, "THREADS", 1)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_reserve_answers_the_seats_the_reservation_and_when_it_ends(api: Api, clock: HandMovedClock) -> None:
    event = new_event(api)
    answer = reserve(api, "alice", event, seats((1, 2), (1, 3)), general(2))
    assert answer.status == 200
    assert set(answer.json) == {"lockedSeats", "reservationId", "expiresAt"}
    named = [name(event, 1, 2), name(event, 1, 3)]
    assert answer.json["lockedSeats"] == {"success": True, "lockedSeats": named, "unavailableSeats": []}
    assert milliseconds(answer.json["expiresAt"]) == clock.milliseconds + 600_000
    assert left(api, event) == ({"1/2:reserved", "1/3:reserved"}, 48)
    held = api.get(f"/api/v1/reservations/{answer.json['reservationId']}").json
    assert (held["status"], [line["kind"] for line in held["items"]]) == ("held", ["seat", "seat", "ticket"])


def test_ids_and_labels_are_the_same_as_text_and_as_numbers(api: Api) -> None:
    event = new_event(api)
    assert reserve(api, 7, int(event), seats((1, 2), ticket_type=int(VIP))).status == 200
    assert check_out(api, "7", event, seats(("1", "2"))).status == 200


def test_a_customer_reserves_for_nobody_else(api: Api) -> None:
    event = new_event(api)
    alice = api.as_user("alice")
    assert reserve(alice, "alice", event, general(1)).status == 200
    assert reserve(alice, "bob", event, general(1)).status == 403
    assert check_out(alice, "bob", event, general(1)).status == 403


def test_a_refusal_names_every_seat_that_stood_in_the_way_and_holds_none(api: Api, aws: Aws) -> None:
    event = new_event(api, general=3)
    reserve(api, "alice", event, seats((1, 2), (2, 4)))
    before = aws.dump()
    answer = reserve(api, "bob", event, seats((1, 1), (1, 2)), general(4), seats((2, 4), (3, 1)))
    assert (answer.status, answer.code) == (409, "seat_taken")
    in_the_way = [name(event, 1, 2), name(event, 2, 4), name(event, 3, 1)]
    assert answer.json["lockedSeats"] == {"success": False, "lockedSeats": [], "unavailableSeats": in_the_way}
    assert answer.faults() == {
        "seatDetails.0.metaData.seatNumbers.1": "seat_taken",
        "seatDetails.1.metaData.quantity": "insufficient_stock",
        "seatDetails.2.metaData.seatNumbers.0": "seat_taken",
        "seatDetails.2.metaData.seatNumbers.1": "seat_not_found",
    }
    assert aws.dump() == before


def test_an_unknown_event_or_ticket_type_is_404(api: Api) -> None:
    event = new_event(api)
    for answer in (
        reserve(api, "alice", "404", seats((1, 1))),
        reserve(api, "alice", event, general(1, ticket_type=404)),
        reserve(api, "alice", event, general(1), seats((1, 1), ticket_type=404)),
    ):
        assert (answer.status, answer.code) == (404, "ticket_type_not_found")
        assert set(answer.faults().values()) == {"ticket_type_not_found"}


def test_numbered_seats_that_are_asked_for_by_quantity_are_to_be_named(api: Api) -> None:
    answer = reserve(api, "alice", new_event(api), general(1, ticket_type=VIP))
    assert (answer.status, answer.code) == (409, "seats_not_named")


def test_an_unknown_seat_is_409_and_named(api: Api) -> None:
    event = new_event(api, seats=5)
    for detail in (seats((1, 6)), seats((9, 1)), seats(("A", "B")), seats((1, 1), ticket_type=GENERAL)):
        answer = reserve(api, "alice", event, detail)
        assert (answer.status, answer.code) == (409, "seat_not_found")
        assert len(answer.json["lockedSeats"]["unavailableSeats"]) == 1


def test_a_user_takes_no_more_than_the_ticket_types_limit(api: Api) -> None:
    event = new_event(api, maxPerUser=2)
    assert reserve(api, "alice", event, seats((1, 1), (1, 2))).status == 200
    answer = reserve(api, "alice", event, seats((1, 3)))
    assert (answer.status, answer.code) == (409, "limit_exceeded")
    assert check_out(api, "alice", event, seats((1, 1))).status == 200
    assert reserve(api, "alice", event, seats((1, 3))).code == "limit_exceeded"
    assert reserve(api, "bob", event, seats((1, 3))).status == 200


def test_row_and_seat_lists_of_different_lengths_are_400(api: Api, aws: Aws) -> None:
    event = new_event(api)
    detail = {"ticketTypeId": VIP, "metaData": {"rowNumbers": [1, 1], "seatNumbers": [2]}}
    before = aws.dump()
    for answer in (
        reserve(api, "alice", event, general(1), detail),
        check_out(api, "alice", event, general(1), detail),
    ):
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert answer.faults() == {"seatDetails.1.metaData.seatNumbers": "length_mismatch"}
    assert aws.dump() == before


def test_a_seat_twice_in_one_request_is_400(api: Api, aws: Aws) -> None:
    event = new_event(api)
    before = aws.dump()
    for send in (reserve, check_out):
        answer = send(api, "alice", event, seats((1, 2), (1, 3), (1, 2)), seats(("1", 3)))
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert answer.faults() == {
            "seatDetails.0.metaData.seatNumbers.2": "duplicate",
            "seatDetails.1.metaData.seatNumbers.0": "duplicate",
        }
    assert aws.dump() == before


def test_more_than_twenty_seats_are_too_many_lines(api: Api) -> None:
    event = new_event(api)
    places = [(1, number) for number in range(1, 22)]
    for send in (reserve, check_out):
        answer = send(api, "alice", event, seats(*places))
        assert (answer.status, answer.code) == (400, "too_many_lines")
    assert reserve(api, "alice", event, seats(*places[:20])).status == 200
    assert check_out(api, "alice", event, seats(*places[:20])).status == 200


@pytest.mark.parametrize("path", ["/api/reserve", "/api/checkout"])
@pytest.mark.parametrize(
    ("detail", "fields"),
    [
        ({}, {"seatDetails.0.ticketTypeId", "seatDetails.0.metaData"}),
        ({"metaData": {"quantity": 1}}, {"seatDetails.0.ticketTypeId"}),
        ({"ticketTypeId": VIP}, {"seatDetails.0.metaData"}),
        ({"ticketTypeId": VIP, "metaData": None}, {"seatDetails.0.metaData"}),
        ({"ticketTypeId": VIP, "metaData": []}, {"seatDetails.0.metaData"}),
        (
            {"ticketTypeId": VIP, "metaData": {}},
            {"seatDetails.0.metaData.seatNumbers", "seatDetails.0.metaData.quantity"},
        ),
        (
            {"ticketTypeId": VIP, "metaData": {"rowNumbers": [], "seatNumbers": []}},
            {"seatDetails.0.metaData.rowNumbers", "seatDetails.0.metaData.seatNumbers"},
        ),
        ({"ticketTypeId": VIP, "metaData": {"seatNumbers": [1]}}, {"seatDetails.0.metaData.rowNumbers"}),
        ({"ticketTypeId": VIP, "metaData": {"rowNumbers": [1]}}, {"seatDetails.0.metaData.seatNumbers"}),
        (
            {"ticketTypeId": VIP, "metaData": {"rowNumbers": [1], "seatNumbers": [1], "quantity": 1}},
            {
                "seatDetails.0.metaData.rowNumbers",
                "seatDetails.0.metaData.seatNumbers",
                "seatDetails.0.metaData.quantity",
            },
        ),
        (seats(("", "a b")), {"seatDetails.0.metaData.rowNumbers.0", "seatDetails.0.metaData.seatNumbers.0"}),
        (seats((1, True)), {"seatDetails.0.metaData.seatNumbers.0"}),
        (seats((-1, "x" * 9)), {"seatDetails.0.metaData.rowNumbers.0", "seatDetails.0.metaData.seatNumbers.0"}),
        (general(1, ticket_type="#"), {"seatDetails.0.ticketTypeId"}),
    ],
)
def test_a_detail_that_is_none_is_400_and_its_fields_are_named(
    api: Api, path: str, detail: Any, fields: set[str]
) -> None:
    answer = api.post(path, wish("alice", "1", detail))
    assert (answer.status, answer.code, set(answer.faults())) == (400, "validation_failed", fields)


@pytest.mark.parametrize("quantity", ODD_QUANTITIES)
def test_no_route_takes_a_quantity_that_is_none(api: Api, quantity: Any) -> None:
    for send in (reserve, check_out):
        assert set(send(api, "alice", "1", general(quantity)).faults()) == {"seatDetails.0.metaData.quantity"}


@pytest.mark.parametrize("user", ODD_USERS)
def test_no_route_takes_a_user_of_odd_characters(api: Api, user: Any) -> None:
    for send in (reserve, check_out):
        assert set(send(api, user, "1", general(1)).faults()) == {"userId"}


@pytest.mark.parametrize("missing", ["userId", "eventId", "seatDetails"])
def test_a_missing_field_is_named(api: Api, missing: str) -> None:
    body = wish("alice", "1", general(1))
    del body[missing]
    neither = {"product_id": "missing"} if missing == "seatDetails" else {}
    for path in ("/api/reserve", "/api/checkout"):
        answer = api.post(path, body)
        assert (answer.status, answer.faults()) == (400, {missing: "missing"} | neither)
    answer = api.put("/api/checkout", body)
    assert (answer.status, answer.faults()) == (400, {missing: "missing"})


@pytest.mark.parametrize("details", [None, [], {}, "1", [None], [[]]])
def test_seat_details_that_are_none_are_400(api: Api, details: Any) -> None:
    for path in ("/api/reserve", "/api/checkout"):
        answer = api.post(path, wish("alice", "1") | {"seatDetails": details})
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert all(field.startswith("seatDetails") for field in answer.faults())


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/reserve"), ("POST", "/api/checkout"), ("PUT", "/api/checkout")]
)
@pytest.mark.parametrize("other", ["product_id", "items"])
def test_a_mixture_of_both_apis_is_400_and_its_fields_are_named(
    api: Api, aws: Aws, method: str, path: str, other: str
) -> None:
    event, product = new_event(api), api.new_product()
    api.reserve("alice", product)
    reserve(api, "alice", event, general(1))
    before = aws.dump()
    deal = {"user_id": "alice", "quantity": 1, other: product}
    answer = api.request(method, path, wish("alice", event, general(1)) | deal)
    assert (answer.status, answer.code) == (400, "validation_failed")
    named = {"seatDetails", other} if method == "POST" else {other}
    assert answer.faults() == dict.fromkeys(named, "mixture")
    assert aws.dump() == before


def test_a_body_of_neither_api_is_400_and_both_are_named(api: Api) -> None:
    for path in ("/api/reserve", "/api/checkout"):
        answer = api.post(path, {"quantity": 1})
        assert (answer.status, answer.faults()) == (400, {"product_id": "missing", "seatDetails": "missing"})


def test_flash_deals_are_not_bought_by_put(api: Api) -> None:
    product = api.new_product()
    api.reserve("alice", product)
    answer = api.put("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 1})
    assert (answer.status, list(answer.faults())) == (400, ["product_id"])


def test_refusals_keep_the_status_of_their_own_api_from_one_request_to_the_next(api: Api) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1)))
    for _ in range(2):
        assert api.reserve("bob", "404").status == 400
        assert reserve(api, "bob", event, seats((1, 1))).status == 409
        assert check_out(api, "bob", event, seats((1, 1))).status == 409
        assert api.post("/api/checkout", {"user_id": "bob", "product_id": "404", "quantity": 1}).status == 400


def test_unknown_fields_are_ignored(api: Api) -> None:
    event = new_event(api)
    detail = seats((1, 1)) | {"price": 0}
    assert api.post("/api/reserve", wish("alice", event, detail, status="free")).status == 200
    assert api.post("/api/checkout", wish("alice", event, detail, price=0)).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_check_out_buys_a_whole_reservation(api: Api, method: str) -> None:
    event = new_event(api)
    held = reserve(api, "alice", event, seats((1, 2)), general(2)).json["reservationId"]
    answer = api.request(method, "/api/checkout", wish("alice", event, general(2), seats((1, 2))))
    assert (answer.status, set(answer.json)) == (200, {"success", "message", "purchaseId"})
    assert answer.json["success"] is True
    assert left(api, event) == ({"1/2:booked"}, 48)
    assert api.get(f"/api/v1/reservations/{held}").json["status"] == "confirmed"


def test_check_out_of_a_part_leaves_the_rest_held_until_its_own_time(api: Api, clock: HandMovedClock) -> None:
    event = new_event(api)
    held = reserve(api, "alice", event, seats((1, 1), (1, 2), (1, 3)), general(5)).json
    clock.advance(60)
    assert check_out(api, "alice", event, seats((1, 2)), general(2)).status == 200
    assert left(api, event) == ({"1/1:reserved", "1/2:booked", "1/3:reserved"}, 45)
    rest = api.get(f"/api/v1/reservations/{held['reservationId']}").json
    assert (rest["status"], rest["expires_at"]) == ("held", held["expiresAt"])
    assert [line.get("seat") or line["quantity"] for line in rest["items"]] == ["1", "3", 3]
    assert check_out(api, "alice", event, seats((1, 1), (1, 3)), general(3)).status == 200
    assert left(api, event) == ({"1/1:booked", "1/2:booked", "1/3:booked"}, 45)
    assert api.get(f"/api/v1/reservations/{held['reservationId']}").json["status"] == "confirmed"


def test_check_out_of_parts_of_several_reservations_is_one_purchase(api: Api) -> None:
    event = new_event(api)
    first = reserve(api, "alice", event, seats((1, 1), (1, 2)), general(1)).json["reservationId"]
    second = reserve(api, "alice", event, seats((2, 1)), general(2)).json["reservationId"]
    bought = check_out(api, "alice", event, seats((2, 1), (1, 2)), general(3))
    assert bought.status == 200
    assert left(api, event) == ({"1/1:reserved", "1/2:booked", "2/1:booked"}, 47)
    listed = api.get("/api/v1/reservations?user_id=alice").json["items"]
    states = {held["id"]: held["status"] for held in listed}
    assert (states.pop(first), states.pop(second), list(states.values())) == ("held", "cancelled", ["confirmed"])
    purchase = api.get(f"/api/purchases/{bought.json['purchaseId']}").json
    assert purchase["totalAmount"] == 2 * 80 + 3 * 29.5


def test_check_out_names_everything_that_is_not_held(api: Api, aws: Aws) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1)), general(2))
    reserve(api, "bob", event, seats((1, 2)))
    before = aws.dump()
    answer = check_out(api, "alice", event, seats((1, 1), (1, 2), (1, 3)), general(3))
    assert (answer.status, answer.code) == (409, "not_held")
    assert answer.faults() == {
        "seatDetails.0.metaData.seatNumbers.1": "not_held",
        "seatDetails.0.metaData.seatNumbers.2": "not_held",
        "seatDetails.1.metaData.quantity": "not_held",
    }
    assert aws.dump() == before


def test_what_was_bought_is_not_bought_again(api: Api, aws: Aws) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    assert check_out(api, "alice", event, seats((1, 1))).status == 200
    before = aws.dump()
    assert check_out(api, "alice", event, seats((1, 1))).code == "not_held"
    assert check_out(api, "alice", event, seats((1, 1), (1, 2))).code == "not_held"
    assert aws.dump() == before


def test_seats_held_through_the_unified_api_are_not_these_clients_to_buy(api: Api) -> None:
    event = new_event(api)
    line = {"kind": "seat", "event_id": event, "ticket_type_id": VIP, "row": "1", "seat": "1"}
    assert api.post("/api/v1/reservations", {"user_id": "alice", "items": [line]}, key="k").status == 201
    assert check_out(api, "alice", event, seats((1, 1))).code == "not_held"


def test_counted_tickets_named_twice_are_one_line(api: Api) -> None:
    event = new_event(api, general=5)
    assert reserve(api, "alice", event, general(3), general(3)).code == "insufficient_stock"
    assert reserve(api, "alice", event, general(3), general(2)).status == 200
    assert check_out(api, "alice", event, general(4), general(2)).code == "not_held"
    assert check_out(api, "alice", event, general(1), general(3)).status == 200
    assert left(api, event) == (set(), 0)


def test_a_purchase_shows_its_details_at_the_prices_of_the_hold(api: Api, clock: HandMovedClock) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 2), (2, 7)), general(2))
    bought = check_out(api, "alice", event, seats((2, 7)), general(2)).json["purchaseId"]
    answer = api.get(f"/api/purchases/{bought}")
    assert answer.status == 200
    assert milliseconds(answer.json["createdAt"]) == clock.milliseconds
    assert answer.json["currency"] == "USD"
    seat, counted = answer.json["details"]
    assert seat == {
        "eventId": event,
        "ticketTypeId": VIP,
        "ticketType": "VIP",
        "rowNumber": 2,
        "seatNumber": 7,
        "quantity": 1,
        "amount": 80,
    }
    assert counted == {
        "eventId": event,
        "ticketTypeId": GENERAL,
        "ticketType": "General",
        "rowNumber": None,
        "seatNumber": None,
        "quantity": 2,
        "amount": 59,
    }
    shown = {name: answer.json[name] for name in ("id", "userId", "eventId", "status", "totalAmount")}
    assert shown == {
        "id": bought,
        "userId": "alice",
        "eventId": event,
        "status": "completed",
        "totalAmount": 139,
    }


def test_a_purchase_is_shown_to_its_buyer_and_the_staff_alone(api: Api) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 2)))
    path = f"/api/purchases/{check_out(api, 'alice', event, seats((1, 2))).json['purchaseId']}"
    assert api.as_user("alice").get(path).status == 200
    assert api.with_roles("staff").get(path).status == 200
    assert api.with_roles("service").get(path).status == 200
    for stranger in (api.as_user("bob"), Api(f"{api.tenant}x")):
        answer = stranger.get(path)
        assert (answer.status, answer.code) == (404, "purchase_not_found")


def test_what_is_no_purchase_of_tickets_is_404(api: Api) -> None:
    product = api.new_product()
    api.reserve("alice", product)
    order = api.post("/api/checkout", {"user_id": "alice", "product_id": product, "quantity": 1}).data["id"]
    for purchase in (order, "1", "o-x", f"r{order[1:]}", f"{order[:-1]}0"):
        answer = api.get(f"/api/purchases/{purchase}")
        assert (answer.status, answer.code) == (404, "purchase_not_found"), purchase


def test_the_same_key_and_body_are_held_once_whatever_became_of_it(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    event = new_event(api)
    first = reserve(api, "alice", event, seats((1, 1), (1, 2)), key="k")
    assert reserve(api, "alice", event, seats((1, 1), (1, 2)), key="k").json == first.json
    check_out(api, "alice", event, seats((1, 1)))
    clock.advance(3600)
    before = aws.dump()
    assert reserve(api, "alice", event, seats((1, 1), (1, 2)), key="k").json == first.json
    assert aws.dump() == before
    assert reserve(api, "alice", event, seats((1, 1)), key="k").code == "idempotency_key_reused"


def test_without_a_key_each_request_is_its_own(api: Api) -> None:
    event = new_event(api)
    ids = {reserve(api, "alice", event, general(1)).json["reservationId"] for _ in range(2)}
    assert len(ids) == 2
    assert left(api, event) == (set(), 48)


@pytest.mark.parametrize("again", ["POST", "PUT"])
def test_the_same_key_and_body_are_bought_once(api: Api, aws: Aws, again: str) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    first = check_out(api, "alice", event, seats((1, 1)), key="k")
    before = aws.dump()
    repeated = api.request(again, "/api/checkout", wish("alice", event, seats((1, 1))), key="k")
    assert (repeated.status, repeated.json) == (200, first.json)
    other = check_out(api, "alice", event, seats((1, 2)), key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert aws.dump() == before


def test_one_key_is_not_good_for_both_apis(api: Api) -> None:
    event, product = new_event(api), api.new_product()
    api.reserve("alice", product)
    reserve(api, "alice", event, general(1))
    assert check_out(api, "alice", event, general(1), key="k").status == 200
    deal = {"user_id": "alice", "product_id": product, "quantity": 1}
    assert api.post("/api/checkout", deal, key="k").code == "idempotency_key_reused"


def test_a_captchas_token_is_neither_needed_nor_part_of_what_is_asked(api: Api) -> None:
    event = new_event(api)
    body = wish("alice", event, general(1))
    first = api.post("/api/reserve", body, key="k")
    for token in (None, "a", "b"):
        assert api.post("/api/reserve", body | {"captchaToken": token}, key="k").json == first.json
    assert api.post("/api/reserve", body | {"captchaToken": 1}).faults().keys() == {"captchaToken"}
