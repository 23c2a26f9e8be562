"""Short words for what tests do at the box office of an event."""

from typing import Any

from tests.handlers.gateway import Answer, Api

VIP, GENERAL = "1", "2"
"""The ids of the event's ticket types: numbered seats at 80, and counted tickets at 29.50."""

Detail = dict[str, Any]


def new_event(api: Api, rows: int = 2, seats: int = 30, general: int = 50, **more: Any) -> str:
    """Put an event with numbered seats and counted tickets on sale and return its id."""
    event = {"name": "Opening night", "date": "2031-06-01T19:30:00Z", "venue": "Old Theatre"}
    event_id = str(api.post("/api/events", event).json["id"])
    for kind in (
        {"ticketType": "VIP", "price": 80, "numbered": True, **more},
        {"ticketType": "General", "price": "29.50", "numbered": False, "quantity": general, **more},
    ):
        assert api.post(f"/api/events/{event_id}/ticket-types", kind).status == 201
    plan = [{"rowNumber": row, "seatNumbers": list(range(1, seats + 1))} for row in range(1, rows + 1)]
    answer = api.post(f"/api/events/{event_id}/seats", {"ticketTypeId": VIP, "rows": plan})
    assert answer.status in (200, 202), answer.text
    return event_id


def seats(*places: tuple[Any, Any], ticket_type: Any = VIP) -> Detail:
    """Return the detail of a body that names seats by row and number."""
    rows, numbers = [row for row, _ in places], [number for _, number in places]
    return {"ticketTypeId": ticket_type, "metaData": {"rowNumbers": rows, "seatNumbers": numbers}}


def general(quantity: Any, ticket_type: Any = GENERAL) -> Detail:
    """Return the detail of a body that counts tickets."""
    return {"ticketTypeId": ticket_type, "metaData": {"quantity": quantity}}


def wish(user: Any, event_id: Any, *details: Detail, **more: Any) -> dict[str, Any]:
    """Return the body by which a user reserves, and checks out."""
    return {"userId": user, "eventId": event_id, "seatDetails": list(details), **more}


def reserve(api: Api, user: Any, event_id: Any, *details: Detail, **options: Any) -> Answer:
    """Hold tickets."""
    return api.post("/api/reserve", wish(user, event_id, *details), **options)


def check_out(api: Api, user: Any, event_id: Any, *details: Detail, **options: Any) -> Answer:
    """Buy tickets that are held."""
    return api.put("/api/checkout", wish(user, event_id, *details), **options)


def name(event_id: str, row: Any, seat: Any, ticket_type: Any = VIP) -> str:
    """Return what these clients call a seat."""
    return f"seat:{event_id}:{ticket_type}:{row}:{seat}"


def left(api: Api, event_id: str) -> tuple[set[str], int]:
    """Return the seats that are not available, by row and number, and how many counted tickets are."""
    found = api.get(f"/api/initial-call/{event_id}").json
    taken = {f"{seat['rowNumber']}/{seat['seatNumber']}:{seat['status']}" for seat in found["seatData"]}
    (counted,) = [ticket["availableCount"] for ticket in found["tickets"] if ticket["ticketType"] == "General"]
    return {seat for seat in taken if not seat.endswith(":available")}, counted
