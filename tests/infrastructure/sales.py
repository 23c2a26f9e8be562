"""A sale of everything, and everything around it: each function in every way in which it calls AWS."""

import json
import time
from typing import Any

import boto3
from pynamodb.expressions.update import Action

from holdfast.identity import service_keys, tenants
from holdfast.identity.people import Directory
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Put, Update, connect
from holdfast.platform.items import BlackoutItem, ProductItem
from holdfast.platform.tables import Keys, due_bucket
from tests.handlers import tokens
from tests.infrastructure.captchas import ask_for_captchas
from tests.infrastructure.checkouts import check_everything_out
from tests.infrastructure.identities import let_everybody_in, look_at_everybody_anew
from tests.infrastructure.partners import (
    look_at_slots,
    put_slots_on_sale,
    steer_the_synchronisation,
    take_slots_off_sale,
)
from tests.infrastructure.world import KEY, TENANT, LambdaContext, World, moment

CART = "/api/v1/reservations"


def sell_everything(world: World) -> None:
    """Let every function do all that it does."""
    _know_the_caller(world)
    product, other = _put_products_on_sale(world)
    _sell_products(world, product, other)
    event, numbered, counted = _put_an_event_on_sale(world)
    _sell_seats(world, event, numbered, counted)
    ticket, another = _resell(world)
    _know_people(world)
    venue = _open_a_hall(world)
    _book_a_hall(world, venue)
    slot = put_slots_on_sale(world)
    look_at_slots(world)
    lines = [
        {"kind": "product", "product_id": product, "quantity": 1},
        {"kind": "ticket", "event_id": event, "ticket_type_id": counted, "quantity": 2},
        {"kind": "seat", "event_id": event, "ticket_type_id": numbered, "row": "2", "seat": "1"},
        {"kind": "best_available", "event_id": event, "ticket_type_id": numbered, "quantity": 2},
        {"kind": "listing", "ticket_id": ticket},
        {"kind": "venue", "venue_id": venue, "start": moment(120), "end": moment(123)},
        slot,
    ]
    _sell_one_of_each(world, lines)
    _let_things_break_off(product, venue)
    _let_holds_run_out(world, product, slot)
    check_everything_out(world, lines, another)
    ask_for_captchas(world, lines)
    steer_the_synchronisation(world, slot)
    let_everybody_in(world, slot)
    take_slots_off_sale(world, slot)
    look_at_everybody_anew(world)
    assert world.request("health", "GET", "/api/v1/health")["status"] == "ok"


def _know_the_caller(world: World) -> None:
    identity = connect("identity")
    tenants.create(Directory(identity), TENANT, "Some Shop")
    world.let_in(KEY, service_keys.issue(identity, SystemClock(), TENANT, service_keys.ROLES, "test"))
    tokens.account(identity, TENANT, "linus")
    world.let_in("linus", tokens.good(TENANT, "linus"))


def _put_products_on_sale(world: World) -> tuple[str, str]:
    small = {"name": "Lamp", "total_stock": 5, "price": "9.90", "max_per_user": 3}
    product = world.request("products", "POST", "/api/products", small, key="p1")["data"]["id"]
    other = world.request("products", "POST", "/api/products", {"name": "Chair", "total_stock": 9})["data"]["id"]
    world.request("products", "GET", "/api/products")
    world.request("products", "PATCH", f"/api/products/{product}", {"total_stock": 50, "price": "8.90"}, key="p2")
    world.request("products", "GET", f"/api/products/{product}")
    world.request("products", "GET", f"/api/products/{product}/status")
    return product, other


def _sell_products(world: World, product: str, other: str) -> None:
    items = [{"kind": "product", "product_id": product, "quantity": 1}]
    first = {"items": items, "user_id": "ada", "hold_seconds": 300}
    reserved = world.request("reservations", "POST", CART, first, key="r1")
    world.request("reservations", "POST", CART, first, key="r1")
    short = [{"kind": "product", "product_id": number, "quantity": 60} for number in (product, other)]
    world.request("reservations", "POST", CART, {"items": short, "user_id": "ada"}, key="r0", refused=True)
    world.request("reservations", "GET", CART, query={"user_id": "ada"})
    world.request("reservations", "GET", f"{CART}/{reserved['id']}")
    world.request("reservations", "POST", f"{CART}/{reserved['id']}/extend", key="r2")
    world.request("reservations", "DELETE", f"{CART}/{reserved['id']}")

    deal = {"user_id": "grace", "product_id": product, "quantity": 1}
    world.request("flash_deals", "POST", "/api/reserve/bulk", {"user_id": "grace", "items": short}, refused=True)
    world.request("reserve_and_checkout", "POST", "/api/reserve", deal)
    world.request("reserve_and_checkout", "POST", "/api/reserve", deal, key="d1")
    lines = [{"product_id": product, "quantity": 1}, {"product_id": other, "quantity": 2}]
    bulk = {"user_id": "grace", "items": lines}
    world.request("flash_deals", "POST", "/api/reserve/bulk", bulk)
    world.request("flash_deals", "POST", "/api/reserve/bulk", {"user_id": "linus", "items": lines}, key="d0")
    world.request("flash_deals", "DELETE", f"/api/reserve/linus/{product}")
    world.request("flash_deals", "DELETE", f"/api/reserve/linus/{other}")
    world.request("flash_deals", "GET", "/api/users/grace/reservations")
    world.request("reserve_and_checkout", "POST", "/api/checkout", deal, key="d2")
    world.request("reserve_and_checkout", "POST", "/api/checkout", deal | {"quantity": 2})
    world.request("flash_deals", "DELETE", f"/api/reserve/grace/{other}")


def _put_an_event_on_sale(world: World) -> tuple[str, str, str]:
    opening = {"name": "Opening night", "date": moment(1000), "venue": "Old Theatre"}
    event = str(world.request("events", "POST", "/api/events", opening, key="e1")["id"])
    path = f"/api/events/{event}"
    stalls = {"ticketType": "Stalls", "price": "80.00", "numbered": True}
    standing = {"ticketType": "Standing", "price": "30.00", "numbered": False, "quantity": 50}
    numbered, counted = (
        str(world.request("events", "POST", f"{path}/ticket-types", kind, key=kind["ticketType"])["ticketTypeId"])
        for kind in (stalls, standing)
    )
    rows = [{"rowNumber": row, "seatNumbers": list(range(1, 11))} for row in (1, 2, 3)]
    seat_map = {"ticketTypeId": numbered, "rows": rows}
    world.request("events", "POST", f"{path}/seats", seat_map, key="e2")
    world.request("events", "POST", f"{path}/seats", seat_map)
    world.request("events", "GET", "/api/events")
    world.request("events", "GET", path)
    world.request("events", "GET", f"/api/initial-call/{event}")
    world.request("events", "GET", f"/api/v1/events/{event}/seats", query={"ticket_type_id": numbered})
    return event, numbered, counted


def _sell_seats(world: World, event: str, numbered: str, counted: str) -> None:
    seats = [
        {"ticketTypeId": numbered, "metaData": {"rowNumbers": [1, 1], "seatNumbers": [2, 3]}},
        {"ticketTypeId": counted, "metaData": {"quantity": 2}},
    ]
    wanted = {"userId": "ada", "eventId": event, "seatDetails": seats}
    folder, reserve, checkout = "reserve_and_checkout", "/api/reserve", "/api/checkout"
    world.request(folder, "POST", reserve, wanted, key="s1")
    world.request(folder, "POST", reserve, wanted | {"userId": "grace"}, refused=True)
    too_many = [
        seats[0] | {"metaData": {"rowNumbers": [2], "seatNumbers": [2]}},
        seats[1] | {"metaData": {"quantity": 60}},
    ]
    world.request(folder, "POST", reserve, wanted | {"seatDetails": too_many}, refused=True)
    part = wanted | {"seatDetails": [{"ticketTypeId": numbered, "metaData": {"rowNumbers": [1], "seatNumbers": [2]}}]}
    world.request(folder, "PUT", checkout, part)
    rest = [{"ticketTypeId": numbered, "metaData": {"rowNumbers": [1], "seatNumbers": [3]}}, seats[1]]
    bought = world.request(folder, "POST", checkout, wanted | {"seatDetails": rest}, key="s2")
    world.request(folder, "GET", f"/api/purchases/{bought['purchaseId']}")


def _resell(world: World) -> tuple[str, str]:
    """Return the ids of two tickets that nobody has bought."""
    offer = {"title": "Opening night", "price": "25.00", "userId": "ada"}
    tickets = [
        world.request("marketplace", "POST", "/api/tickets", offer, key="t1")["id"],
        world.request("marketplace", "POST", "/api/tickets", offer)["id"],
    ]
    path = f"/api/tickets/{tickets[0]}"
    world.request("marketplace", "GET", "/api/tickets")
    world.request("marketplace", "GET", "/api/tickets", query={"userId": "ada"})
    world.request("marketplace", "GET", path)
    world.request("marketplace", "PUT", path, offer | {"price": "20.00"})
    order = {"ticketId": tickets[0], "userId": "linus"}
    locked = world.request("marketplace", "POST", "/api/orders", order, key="o1")["id"]
    world.request("marketplace", "POST", "/api/orders", order | {"userId": "grace"}, refused=True)
    world.request("marketplace", "PUT", path, offer, refused=True)
    world.request("marketplace", "GET", "/api/orders", query={"userId": "linus"})
    world.request("marketplace", "GET", f"/api/orders/{locked}")
    world.request("marketplace", "PATCH", f"/api/orders/{locked}")
    return str(tickets[1]), str(world.request("marketplace", "POST", "/api/tickets", offer)["id"])


def _know_people(world: World) -> None:
    asha = {"name": "Asha Rao", "phone": "9876543210", "email": "asha@example.com"}
    user = world.request("users", "POST", "/api/v1/users", asha, key="u1")["user"]["id"]
    world.request("users", "POST", "/api/v1/users", asha | {"name": "Asha R."})
    world.request("users", "GET", "/api/v1/users")
    world.request("users", "GET", f"/api/v1/users/{user}")
    world.request("users", "GET", "/api/v1/users/phone/+919876543210")
    world.request("users", "PATCH", f"/api/v1/users/{user}", {"phone": "+919876543211"})


def _open_a_hall(world: World) -> str:
    hall = {
        "name": "Paradise Hall",
        "address": "1 High Street",
        "capacity": 200,
        "basePriceCents": 50_000,
        "currency": "USD",
        "timeZone": "Europe/Berlin",
        "prefix": "PAR",
    }
    venue = str(world.request("venues", "POST", "/api/v1/venues", hall, key="v1")["id"])
    path = f"/api/v1/venues/{venue}"
    world.request("venues", "PATCH", path, {"capacity": 250})
    world.request("venues", "GET", "/api/v1/venues")
    world.request("venues", "GET", path)
    closed = {"startTs": moment(48), "endTs": moment(96), "reason": "New floor"}
    blackout = world.request("venues", "POST", f"{path}/blackouts", closed, key="v2")["id"]
    day = {"date": moment(24)[:10], "days": "3"}
    world.request("venues", "GET", f"{path}/availability", query=day)
    world.request("venues", "GET", f"/api/v1/bookings/venue/{venue}/availability", query=day)
    asked = {"venueId": venue, "startTs": moment(50), "endTs": moment(52)}
    world.request("venues", "POST", "/api/v1/bookings/check-availability", asked)
    world.request("venues", "DELETE", f"{path}/blackouts/{blackout}")
    standing = {"startTs": moment(300), "endTs": moment(320), "reason": "Inventory"}
    world.request("venues", "POST", f"{path}/blackouts", standing)
    return venue


def _book_a_hall(world: World, venue: str) -> None:
    evening = {"venueId": venue, "startTs": moment(50), "endTs": moment(54)}
    by_phone = {"customer": {"name": "Grace", "phone": "+4915112345678"}}
    route = "/api/v1/bookings"
    booked = world.request("bookings", "POST", route, evening | by_phone, key="b1")["booking"]["id"]
    world.request("bookings", "POST", route, evening | {"userId": "linus"}, key="b2", refused=True)
    morning = {"venueId": venue, "startTs": moment(74), "endTs": moment(76), "userId": "linus"}
    other = world.request("bookings", "POST", f"/api/v1/venues/{venue}/bookings", morning, key="b3")["booking"]["id"]
    closed = {"venueId": venue, "startTs": moment(301), "endTs": moment(303), "userId": "linus"}
    world.request("bookings", "POST", route, closed, key="b6", refused=True)
    world.request("bookings", "GET", route)
    world.request("bookings", "GET", route, who="linus")
    world.request("bookings", "GET", f"{route}/{booked}")
    world.request("bookings", "POST", f"{route}/{booked}/confirm", key="b4")
    world.request("bookings", "POST", f"{route}/{booked}/cancel", key="b5")
    world.request("bookings", "POST", f"{route}/{other}/cancel")


def _sell_one_of_each(world: World, items: list[dict[str, Any]]) -> None:
    """Hold a cart of every kind, fail to hold it again, extend it and let it go."""
    cart = {"items": items, "user_id": "joan"}
    held = world.request("reservations", "POST", CART, cart, key="c1")["id"]
    world.request("reservations", "POST", CART, cart | {"user_id": "linus"}, key="c2", refused=True)
    world.request("reservations", "GET", f"{CART}/{held}")
    world.request("reservations", "POST", f"{CART}/{held}/extend", key="c3")
    world.request("reservations", "DELETE", f"{CART}/{held}")


def _let_things_break_off(product: str, venue: str) -> None:
    """Leave a price change, a blackout that is being written and one that is being lifted for the sweeper."""
    store, keys = connect("table"), Keys(TENANT)
    changed = keys.product(product)
    mark: list[Action] = [ProductItem.due.set(1), ProductItem.due_bucket.set(due_bucket(changed))]
    store.write(Update(changed, mark))
    start = 2_000_000_000_000
    for status, written_until in (("writing", "2033-05-18"), ("lifting", "2033-05-19")):
        key = keys.blackout(venue, status)
        item = BlackoutItem(
            *key,
            start=start,
            end=start + 3_600_000,
            reason="New floor",
            is_maintenance=True,
            status=status,
            written_until=written_until,
            created_at=1,
            due=1,
            due_bucket=due_bucket(key),
        )
        store.write(Put(item))


def _let_holds_run_out(world: World, product: str, slot: dict[str, Any]) -> None:
    """Hold twice for a moment: one hold runs out by its message, one is left for the sweeper."""
    items = [{"kind": "product", "product_id": product, "quantity": 1}, slot]
    for user in ("linus", "margaret"):
        world.request("reservations", "POST", CART, {"items": items, "user_id": user, "hold_seconds": 1}, key="short")
    held = [
        item
        for item in boto3.client("dynamodb").scan(TableName="table")["Items"]
        if item.get("status") == {"S": "held"} and "due" in item
    ]
    assert len(held) == 2
    records = [{"dynamodb": {"NewImage": item, "SequenceNumber": "1"}} for item in held]
    world.invoke("expiry_scheduler", {"Records": [*records, {"dynamodb": {"NewImage": {"due": {"N": "1"}}}}]})
    time.sleep(1.1)
    messages = [_message(held[0], int(held[0]["due"]["N"])), _message(held[1], int(held[1]["due"]["N"]) + 1)]
    assert world.invoke("expiry", {"Records": messages}) == {"batchItemFailures": []}
    with world.as_function("expiry") as expiry:
        # A message that comes early goes round again.
        expiry._queue().send([expiry.ExpiryMessage.from_body(messages[0]["body"])], 0)
    with world.as_function("sweeper") as sweeper:
        sweeper.GRACE = 0
        swept = {"holds": 1, "products": 1, "blackouts": 2, "orders": 0, "refunds": 0}
        assert sweeper.handler({}, LambdaContext()) == swept


def _message(item: dict[str, Any], expires_at: int) -> dict[str, Any]:
    body = {"pk": item["pk"]["S"], "sk": item["sk"]["S"], "expires_at": expires_at}
    return {"messageId": item["pk"]["S"], "body": json.dumps(body)}
