"""Short words for what tests do in the marketplace."""

from typing import Any

from holdfast.platform.tables import Keys
from holdfast.reservations.ending import confirm
from tests.handlers.gateway import Answer, Api, load

SELLER = "alice"


def new_ticket(api: Api, **wishes: Any) -> dict[str, Any]:
    """Put a ticket up for resale, alice's unless told otherwise, and return it."""
    answer = api.post("/api/tickets", {"title": "Row 3", "price": 5, "userId": SELLER} | wishes)
    assert answer.status == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def identity(ticket: dict[str, Any]) -> tuple[Any, ...]:
    """Return what no change of a ticket changes."""
    return tuple(ticket[name] for name in ("id", "userId", "currency", "createdAt"))


def order(api: Api, buyer: str, ticket: dict[str, Any], **options: Any) -> Answer:
    """Order a ticket for a buyer."""
    return api.post("/api/orders", {"ticketId": ticket["id"], "userId": buyer}, **options)


def sell(api: Api, ordered: dict[str, Any]) -> None:
    """Confirm an order, as its payment would."""
    key = Keys(api.tenant).by_view_id("o", ordered["id"])
    assert key is not None
    confirm(load("marketplace").engine(), key)


def tampered_with(token: str) -> list[str]:
    """Return the token changed in ways that it could come back in, and other texts that are none."""
    first, last = (("B" if token[place] == "A" else "A") for place in (0, -1))
    return [token[:-1] + last, first + token[1:], token[:-4], f"{token}AAAA", "x", "", "%20", "!" * 20]
