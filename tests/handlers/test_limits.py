"""Limits, hold lengths and patience of a tenant, as callers meet them on every route that reserves or checks out."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.box_office import check_out, general, new_event, reserve, seats
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import book, new_hall, set_to
from tests.handlers.marketplace import new_ticket, order

ROUTE = "/api/v1/reservations"
LIMIT = 2
CARD = {"provider": "sandbox", "token": "tok_success"}

Ask = Callable[[Api, int, dict[str, Any]], Answer]


def under(api: Api, **settings: Any) -> Api:
    """Return the API as callers reach it whose tenant has set this."""
    return replace(api, settings=json.dumps(settings))


@pytest.fixture(autouse=True)
def _on_a_quiet_minute(clock: HandMovedClock) -> None:
    """Begin at the start of a minute."""
    set_to(clock)


@pytest.fixture
def sold(api: Api) -> dict[str, Any]:
    """Return something of everything."""
    product = api.new_product(100, price="5")
    return {
        "product": product,
        "free": api.new_product(100, price=0),
        "event": new_event(api),
        "tickets": [new_ticket(api) for _ in range(LIMIT + 1)],
        "halls": [new_hall(api, currency="USD") for _ in range(LIMIT + 1)],
    }


def _cart(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    return api.hold("bob", sold["product"], key=f"cart-{number}")


def _mixed(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    where = {"event_id": sold["event"], "ticket_type_id": "1"}
    items = [
        {"kind": "seat", **where, "row": "2", "seat": str(number + 1)},
        {"kind": "best_available", **where, "quantity": 2},
        {"kind": "listing", "ticket_id": sold["tickets"][number]["id"]},
        {
            "kind": "venue",
            "venue_id": sold["halls"][number],
            "start": "2027-04-01T10:00:00Z",
            "end": "2027-04-01T13:00:00Z",
        },
    ]
    return api.post(ROUTE, {"items": items, "user_id": "bob"}, key=f"mixed-{number}")


def _deal(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    return api.reserve("bob", sold["product"], key=f"deal-{number}")


def _bulk(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    items = [{"product_id": sold["product"], "quantity": 1}, {"product_id": sold["free"], "quantity": 1}]
    return api.post("/api/reserve/bulk", {"user_id": "bob", "items": items}, key=f"bulk-{number}")


def _tickets(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    return reserve(api, "bob", sold["event"], seats((1, number + 1)), general(1), key=f"tickets-{number}")


def _resale(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    return order(api, "bob", sold["tickets"][number], key=f"order-{number}")


def _booking(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    return book(api, sold["halls"][number], f"booking-{number}", userId="bob")


def _checkout(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    held = replace(api, settings="").hold("bob", sold["product"], key=f"held-{number}").json["id"]
    return api.post(f"{ROUTE}/{held}/checkout", {"payment": CARD}, key=f"checkout-{number}")


def _payment(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    ordered = order(replace(api, settings=""), "bob", sold["tickets"][number], key=f"order-{number}").json["id"]
    return api.post("/api/payments", {"orderId": ordered, "token": "tok_success"}, key=f"payment-{number}")


def _older_checkout(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    replace(api, settings="").reserve("bob", sold["product"], 1, key=f"deal-{number}")
    body = {"user_id": "bob", "product_id": sold["product"], "quantity": 1}
    return api.post("/api/checkout", body, key=f"older-{number}")


def _ticket_checkout(api: Api, number: int, sold: dict[str, Any]) -> Answer:
    wanted = seats((1, number + 1))
    reserve(replace(api, settings=""), "bob", sold["event"], wanted, key=f"held-{number}")
    return check_out(api, "bob", sold["event"], wanted, key=f"tickets-{number}")


RESERVING: dict[str, Ask] = {
    "cart": _cart,
    "mixed cart": _mixed,
    "deal": _deal,
    "bulk": _bulk,
    "tickets": _tickets,
    "resale": _resale,
    "booking": _booking,
}
CHECKING_OUT: dict[str, Ask] = {
    "checkout": _checkout,
    "payment": _payment,
    "older checkout": _older_checkout,
    "ticket checkout": _ticket_checkout,
}
EVERY_WAY = RESERVING | CHECKING_OUT


@pytest.mark.parametrize("ask", EVERY_WAY.values(), ids=EVERY_WAY)
def test_who_is_over_the_limit_is_told_when_there_is_room_again(
    api: Api, sold: dict[str, Any], clock: HandMovedClock, ask: Ask
) -> None:
    limited = under(api, reserves_per_minute=LIMIT, checkouts_per_minute=LIMIT)
    for number in range(LIMIT):
        assert ask(limited, number, sold).status in (200, 201, 202)
        clock.milliseconds += 1_000
    refused = ask(limited, LIMIT, sold)
    assert (refused.status, refused.code, refused.json["retry_after"]) == (429, "too_many_requests", 58)
    told = {name: refused.headers[name] for name in refused.headers if name.startswith(("RateLimit", "Retry"))}
    assert told == {
        "Retry-After": "58",
        "RateLimit-Limit": str(LIMIT),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "58",
    }
    for number in range(LIMIT):
        assert ask(limited, number, sold).status in (200, 201, 202), "a replay is no further one"
    clock.milliseconds += 58_000
    assert ask(limited, LIMIT, sold).status in (200, 201, 202)


@pytest.mark.parametrize("ask", RESERVING.values(), ids=RESERVING)
def test_a_refused_reserve_changes_nothing(api: Api, sold: dict[str, Any], aws: Aws, ask: Ask) -> None:
    limited = under(api, reserves_per_minute=1)
    assert ask(limited, 0, sold).status in (200, 201)

    def kept() -> list[Any]:
        return [item for item in aws.items() if "#COUNTERS" not in item["pk"]["S"]]

    before = kept()
    assert ask(limited, 1, sold).status == 429
    assert kept() == before


def test_a_limit_is_each_users_own_whoever_acts_for_them(api: Api, sold: dict[str, Any]) -> None:
    """A service key's reserves count for the users that they are for, and so do those of the users themselves."""
    limited = under(api, reserves_per_minute=LIMIT)
    bob = limited.as_user("bob")
    assert limited.hold("bob", sold["product"]).status == 201
    assert bob.hold("bob", sold["product"]).status == 201
    for caller in (limited, bob, limited.with_roles("staff")):
        assert caller.hold("bob", sold["product"]).status == 429
    assert limited.hold("carol", sold["product"]).status == 201


def test_reserves_and_checkouts_have_limits_of_their_own(api: Api, sold: dict[str, Any]) -> None:
    limited = under(api, checkouts_per_minute=1)
    for number in range(3):
        assert _cart(limited, number, sold).status == 201
    assert _checkout(limited, 0, sold).status in (200, 202)
    assert _checkout(limited, 1, sold).status == 429


def test_another_card_after_a_declined_one_is_another_checkout(api: Api, sold: dict[str, Any]) -> None:
    """Otherwise cards could be tried one after the other."""
    limited = under(api, checkouts_per_minute=LIMIT)
    held = api.hold("bob", sold["product"]).json["id"]
    declined = {"payment": {"provider": "sandbox", "token": "tok_decline"}}
    for number in range(LIMIT):
        tried = limited.post(f"{ROUTE}/{held}/checkout", declined, key=f"k{number}", headers={"Prefer": "wait=5"})
        assert tried.json["status"] == "payment_failed"
    assert limited.post(f"{ROUTE}/{held}/checkout", {"payment": CARD}, key="another").status == 429
    assert api.get(f"{ROUTE}/{held}").json["status"] == "held"


def seconds(text: str, clock: HandMovedClock) -> int:
    """Return in how many seconds a moment is."""
    return round(datetime.fromisoformat(text).timestamp() - clock.milliseconds / 1000)


def test_a_tenants_own_hold_lengths_are_kept_to_on_every_route(
    api: Api, sold: dict[str, Any], clock: HandMovedClock
) -> None:
    own = under(api, hold_seconds=60, hold_seconds_max=1_800, listing_hold_seconds=120, venue_hold_seconds=180)
    lasting = {
        "cart": _cart(own, 0, sold).json["expires_at"],
        "mixed": _mixed(own, 0, sold).json["expires_at"],
        "deal": _deal(own, 0, sold).data["expires_at"],
        "bulk": _bulk(own, 0, sold).json["reserved"][0]["expires_at"],
        "tickets": _tickets(own, 0, sold).json["expiresAt"],
        "resale": _resale(own, 1, sold).json["expiresAt"],
    }
    assert _booking(own, 1, sold).json["holdExpiresIn"] == 3
    assert {way: seconds(at, clock) for way, at in lasting.items()} == {
        "cart": 60,
        "mixed": 60,
        "deal": 60,
        "bulk": 60,
        "tickets": 60,
        "resale": 120,
    }


def test_a_hold_is_asked_for_and_extended_up_to_the_tenants_longest(
    api: Api, sold: dict[str, Any], clock: HandMovedClock
) -> None:
    own = under(api, hold_seconds_max=700)
    assert own.hold("bob", sold["product"], hold_seconds=701).faults() == {"hold_seconds": "less_than_equal"}
    held = own.hold("bob", sold["product"], hold_seconds=500).json
    more = own.post(f"{ROUTE}/{held['id']}/extend", key="e").json
    assert seconds(more["expires_at"], clock) == 700


@pytest.mark.parametrize("wanted", [3_601, 86_400])
def test_no_tenants_holds_are_longer_than_the_stages_longest(
    api: Api, sold: dict[str, Any], clock: HandMovedClock, wanted: int
) -> None:
    """What a tenant has set while the stage allowed more is capped, not refused."""
    settings = ("hold_seconds", "hold_seconds_max", "listing_hold_seconds", "venue_hold_seconds")
    own = under(api, **dict.fromkeys(settings, wanted))
    assert seconds(_cart(own, 0, sold).json["expires_at"], clock) == 3_600
    assert seconds(_deal(own, 0, sold).data["expires_at"], clock) == 3_600
    assert seconds(_resale(own, 0, sold).json["expiresAt"], clock) == 3_600
    assert _booking(own, 1, sold).json["holdExpiresIn"] == 60
    assert own.hold("bob", sold["product"], hold_seconds=3_601).status == 400


def test_who_never_buys_is_held_to_shorter_holds_until_they_do(
    api: Api, sold: dict[str, Any], clock: HandMovedClock
) -> None:
    patient = under(api, patience={"after": 2, "shortest_seconds": 100, "forget_seconds": 86_400})
    lengths = []
    for number in range(4):
        held = _cart(patient, number, sold).json
        lengths.append(seconds(held["expires_at"], clock))
        clock.milliseconds += lengths[-1] * 1_000
        assert api.delete(f"{ROUTE}/{held['id']}").json["status"] == "expired"
    assert lengths == [600, 600, 300, 150]
    assert seconds(_tickets(patient, 0, sold).json["expiresAt"], clock) == 100
    assert seconds(api.hold("bob", sold["product"]).json["expires_at"], clock) == 600, "without patience, as ever"
    bought = patient.hold("bob", sold["free"]).json["id"]
    paid = patient.post(f"{ROUTE}/{bought}/checkout", {}, key="buy", headers={"Prefer": "wait=5"})
    assert paid.json["status"] == "completed"
    assert seconds(_cart(patient, 9, sold).json["expires_at"], clock) == 600
