"""The requests of WIRE.md, section 2, in sequence, as a client of the older event tickets sends them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.wire import answered, keyed, moment, refused

OPENING = {"name": "Opening night", "date": "2031-06-01T19:30:00Z", "venue": "Old Theatre"}


def new_event(client: httpx.Client) -> tuple[Any, Any, Any]:
    """Put an event on sale, three rows of ten seats and fifty standing; return its id and those of its ticket types."""
    created = answered(client.post("/api/events", json=OPENING), 201)
    assert {name: created[name] for name in OPENING} == OPENING
    path = f"/api/events/{created['id']}"
    types = []
    for kind in (
        {"ticketType": "VIP", "price": 80, "numbered": True},
        {"ticketType": "General", "price": 29.5, "numbered": False, "quantity": 50},
    ):
        made = answered(client.post(f"{path}/ticket-types", json=kind), 201)
        assert made.keys() >= {"ticketTypeId", "ticketType", "price", "currency", "numbered", "quantity"}
        assert (made["ticketType"], made["price"], made["numbered"]) == tuple(kind.values())[:3]
        types.append(made["ticketTypeId"])
    return created["id"], *types


def upload(client: httpx.Client, event: Any, numbered: Any, rows: int = 3, seats: int = 10) -> Any:
    """Upload a seat map and return the answer's body, once the upload is complete."""
    numbers = list(range(1, seats + 1))
    body = {
        "ticketTypeId": numbered,
        "rows": [{"rowNumber": row, "seatNumbers": numbers} for row in range(1, rows + 1)],
    }
    answer = client.post(f"/api/events/{event}/seats", json=body)
    return answered(answer, 200)


def counted(client: httpx.Client, event: Any) -> dict[Any, int]:
    """Return how many tickets of each type are available, by what the initial call says."""
    found = answered(client.get(f"/api/initial-call/{event}"), 200)
    return {kind["ticketTypeId"]: kind["availableCount"] for kind in found["tickets"]}


def seat_states(client: httpx.Client, event: Any) -> dict[tuple[str, str], str]:
    found = answered(client.get(f"/api/initial-call/{event}"), 200)["seatData"]
    assert found[0].keys() >= {"id", "eventId", "ticketTypeId", "rowNumber", "seatNumber", "status"}
    return {(str(seat["rowNumber"]), str(seat["seatNumber"])): seat["status"] for seat in found}


def test_the_requests_of_the_older_client_work_in_sequence(client: httpx.Client) -> None:
    event, vip, general = new_event(client)
    refused(client.post("/api/events", json={"name": ""}), 400, "validation_failed")
    assert [found["name"] for found in _listed(client.get("/api/events"))] == ["Opening night"]
    assert answered(client.get(f"/api/events/{event}"), 200)["venue"] == "Old Theatre"
    refused(client.get("/api/events/999"), 404, "event_not_found")
    refused(client.get("/api/initial-call/999"), 404, "event_not_found")

    uploaded = upload(client, event, vip)
    assert (uploaded["created"], uploaded["existing"]) == (30, 0)
    again = upload(client, event, vip)
    assert (again["created"], again["existing"]) == (0, 30)
    assert counted(client, event) == {vip: 30, general: 50}
    assert set(seat_states(client, event).values()) == {"available"}

    before = datetime.now(UTC)
    details = [{"ticketTypeId": vip, "metaData": {"rowNumbers": [1, 1], "seatNumbers": [2, 3]}}]
    wanted = {"userId": 7, "eventId": event, "seatDetails": details}
    held = answered(client.post("/api/reserve", json=wanted), 200)
    names = [f"seat:{event}:{vip}:1:2", f"seat:{event}:{vip}:1:3"]
    assert held["lockedSeats"] == {"success": True, "lockedSeats": names, "unavailableSeats": []}
    assert held["reservationId"]
    assert moment(held["expiresAt"]) >= before + timedelta(seconds=599.9)
    assert seat_states(client, event)["1", "2"] == "reserved"

    other = [{"ticketTypeId": vip, "metaData": {"rowNumbers": [1, 1], "seatNumbers": [3, 4]}}]
    late = wanted | {"userId": 8, "seatDetails": other}
    conflict = answered(client.post("/api/reserve", json=late), 409)
    assert conflict["success"] is False
    assert conflict["lockedSeats"] in ([], {"success": False, "lockedSeats": [], "unavailableSeats": [names[1]]})
    assert names[1] in str(conflict)
    assert f"seat:{event}:{vip}:1:4" not in str(conflict), "only what stood in the way"
    assert seat_states(client, event)["1", "4"] == "available"

    refused(client.put("/api/checkout", json=wanted | {"userId": 8}), 409, "not_held")
    bought = answered(client.put("/api/checkout", json=wanted), 200)
    assert bought["success"] is True
    assert bought["message"]
    assert seat_states(client, event)["1", "2"] == "booked"
    purchase = answered(client.get(f"/api/purchases/{bought['purchaseId']}"), 200)
    assert str(purchase).count("80") >= 2
    refused(client.get("/api/purchases/o-abcdefghijklmnop-00000000000000000000000000000000"), 404, "purchase_not_found")

    standing = wanted | {"seatDetails": [{"ticketTypeId": general, "metaData": {"quantity": 2}}]}
    answered(client.post("/api/reserve", json=standing), 200)
    assert counted(client, event) == {vip: 28, general: 48}
    answered(client.post("/api/checkout", json=standing), 200)
    refused(client.post("/api/checkout", json=standing), 409, "not_held")
    assert counted(client, event) == {vip: 28, general: 48}


def test_a_repeated_reserve_under_one_key_holds_once(client: httpx.Client) -> None:
    event, vip, _ = new_event(client)
    upload(client, event, vip)
    details = [{"ticketTypeId": vip, "metaData": {"rowNumbers": ["1"], "seatNumbers": ["2"]}}]
    wanted = {"userId": "7", "eventId": event, "seatDetails": details}
    first = answered(client.post("/api/reserve", json=wanted, headers=keyed("k")), 200)
    assert answered(client.post("/api/reserve", json=wanted, headers=keyed("k")), 200) == first
    other = client.post("/api/reserve", json=wanted | {"userId": "7", "seatDetails": details * 2}, headers=keyed("k"))
    assert other.status_code in (400, 422), other.text


def test_the_two_older_formats_share_their_addresses_and_are_never_mixed(client: httpx.Client) -> None:
    event, vip, _ = new_event(client)
    upload(client, event, vip)
    product = client.post("/api/products", json={"name": "Laptop", "total_stock": 3}).json()["data"]["id"]
    deal = {"user_id": "7", "product_id": product, "quantity": 1}
    seats = [{"ticketTypeId": vip, "metaData": {"rowNumbers": [1], "seatNumbers": [2]}}]
    tickets = {"userId": "7", "eventId": event, "seatDetails": seats}
    assert answered(client.post("/api/reserve", json=deal), 200)["data"]["quantity"] == 1
    answered(client.post("/api/reserve", json=tickets), 200)
    refused(client.post("/api/reserve", json=deal | tickets), 400, "validation_failed")
    refused(client.post("/api/checkout", json=deal | tickets), 400, "validation_failed")
    assert answered(client.post("/api/checkout", json=deal), 200)["data"]["status"] == "completed"
    answered(client.post("/api/checkout", json=tickets), 200)


@pytest.mark.slow
def test_a_large_seat_map_is_uploaded_in_steps_and_answered_in_pages(client: httpx.Client) -> None:
    event, vip, _ = new_event(client)
    rows = [{"rowNumber": row, "seatNumbers": list(range(1, 201))} for row in range(1, 31)]
    body = {"ticketTypeId": vip, "rows": rows}
    created, answer = 0, client.post(f"/api/events/{event}/seats", json=body)
    while answer.status_code == 202:
        created += answer.json()["created"]
        answer = client.post(f"/api/events/{event}/seats", json=body)
    last = answered(answer, 200)
    assert created + last["created"] == last["created"] + last["existing"] == last["total"] == 6_000

    named, query = set(), {}
    while True:
        page = answered(client.get(f"/api/initial-call/{event}", params=query), 200)
        assert len(page["seatData"]) <= 5_000
        named |= {(seat["rowNumber"], seat["seatNumber"]) for seat in page["seatData"]}
        if page["next"] is None:
            break
        query = {"next": page["next"]}
    assert query, "more than one page"
    assert len(named) == 6_000
    assert counted(client, event)[vip] == 6_000
    compact = answered(client.get(f"/api/v1/events/{event}/seats"), 200)
    assert compact["next"] is None
    states = "".join(row["states"] for section in compact["sections"] for row in section["rows"])
    assert states == "a" * 6_000


def _listed(answer: httpx.Response) -> list[Any]:
    found = answered(answer, 200)
    return list(found) if isinstance(found, list) else list(found["items"])
