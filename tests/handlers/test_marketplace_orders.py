"""The marketplace's orders: locked, listed, read, cancelled (WIRE.md, section 3)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.marketplace import SELLER, new_ticket, order, sell, tampered_with

ORDERS = "/api/orders"
NOWHERE = f"{ORDERS}/o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def ticket_version(api: Api, ticket: dict[str, Any]) -> int:
    return int(api.get(f"/api/tickets/{ticket['id']}").json["version"])


def test_create_answers_201_with_the_bare_order(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api, price="19.99")
    answer = order(api, "bob", ticket)
    found = answer.json
    assert answer.status == 201
    assert found == {
        "id": found["id"],
        "userId": "bob",
        "status": "created",
        "expiresAt": found["expiresAt"],
        "version": 1,
        "ticket": {"id": ticket["id"], "title": "Row 3", "price": 19.99, "currency": "USD"},
    }
    assert milliseconds(found["expiresAt"]) == clock.milliseconds + 15 * 60_000
    assert api.get(f"{ORDERS}/{found['id']}").json == found


def test_a_user_buys_without_saying_who_it_is_and_for_nobody_else(api: Api) -> None:
    ticket = new_ticket(api)
    bob = api.as_user("bob")
    assert bob.post(ORDERS, {"ticketId": ticket["id"], "userId": "carol"}).status == 403
    assert bob.post(ORDERS, {"ticketId": ticket["id"], "user_id": "carol"}).json["userId"] == "bob"


@pytest.mark.parametrize("seconds", [60, 86_400])
def test_the_length_of_the_lock_is_set_by_configuration(
    api: Api, clock: HandMovedClock, cold: Callable[..., None], seconds: int
) -> None:
    cold("marketplace", LISTING_HOLD_SECONDS=str(seconds))
    found = order(api, "bob", new_ticket(api)).json
    assert milliseconds(found["expiresAt"]) == clock.milliseconds + seconds * 1000


def test_a_ticket_that_is_locked_or_sold_is_400_already_reserved(api: Api, aws: Aws, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    before = aws.dump()
    for buyer in ("carol", "bob"):
        answer = order(api, buyer, ticket)
        assert (answer.status, answer.code, answer.faults()) == (
            400,
            "already_reserved",
            {"ticketId": "already_reserved"},
        )
    assert aws.dump() == before
    sell(api, ordered)
    clock.advance(3600)
    assert order(api, "carol", ticket).code == "already_reserved"


def test_nobody_buys_their_own_listing(api: Api, aws: Aws) -> None:
    ticket = new_ticket(api)
    before = aws.dump()
    for caller in (api, api.as_user(SELLER)):
        answer = order(caller, SELLER, ticket)
        assert (answer.status, answer.code, answer.faults()) == (400, "own_listing", {"ticketId": "own_listing"})
    assert aws.dump() == before


@pytest.mark.parametrize("ticket_id", ["0199c2d4a10f3c5a7e9b1d2f", "1", "x" * 80])
def test_an_unknown_ticket_is_404(api: Api, aws: Aws, ticket_id: str) -> None:
    answer = order(api, "bob", {"id": ticket_id})
    assert (answer.status, answer.code) == (404, "ticket_not_found")
    assert aws.items() == []


def test_another_tenants_ticket_is_404(api: Api) -> None:
    assert order(Api(f"{api.tenant}x"), "bob", new_ticket(api)).code == "ticket_not_found"


@pytest.mark.parametrize("ticket_id", ["", " ", "a b", "a/b", "a#b", "x" * 81, "é", "<script>", 1, True, None, [], {}])
def test_what_is_no_ticket_id_is_400_and_names_the_field(api: Api, ticket_id: Any) -> None:
    answer = order(api, "bob", {"id": ticket_id})
    assert (answer.status, list(answer.faults())) == (400, ["ticketId"])


@pytest.mark.parametrize("body", [None, [], "x", 5, {}])
def test_a_body_that_is_no_order_is_400(api: Api, body: Any) -> None:
    answer = api.post(ORDERS, body)
    assert (answer.status, answer.code) == (400, "validation_failed")


def test_the_same_key_and_body_give_the_same_order_whatever_became_of_it(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    first = order(api, "bob", ticket, key="k")
    assert order(api, "bob", ticket, key="k").json == first.json
    api.patch(f"{ORDERS}/{first.json['id']}")
    sell(api, order(api, "carol", ticket).json)
    clock.advance(24 * 3600)
    again = order(api, "bob", ticket, key="k")
    assert (again.status, again.json) == (201, first.json)


def test_the_same_key_with_another_body_is_422(api: Api, aws: Aws) -> None:
    one, two = new_ticket(api), new_ticket(api)
    order(api, "bob", one, key="k")
    before = aws.dump()
    answer = order(api, "bob", two, key="k")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert aws.dump() == before
    assert order(api, "carol", two, key="k").status == 201


def test_a_refused_order_is_not_remembered(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    assert order(api, "carol", ticket, key="k").status == 400
    api.patch(f"{ORDERS}/{ordered['id']}")
    assert order(api, "carol", ticket, key="k").status == 201


def test_cancel_frees_the_ticket_at_once(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    answer = api.as_user("bob").patch(f"{ORDERS}/{ordered['id']}")
    assert (answer.status, answer.json) == (200, ordered | {"status": "cancelled", "version": 2})
    assert order(api, "carol", ticket).status == 201


def test_a_cancelled_order_is_cancelled_again_without_effect(api: Api, aws: Aws) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    cancelled = api.patch(f"{ORDERS}/{ordered['id']}").json
    order(api, "carol", ticket)
    before = aws.dump()
    again = api.patch(f"{ORDERS}/{ordered['id']}")
    assert (again.status, again.json) == (200, cancelled)
    assert aws.dump() == before


def test_a_complete_order_is_not_cancelled(api: Api, aws: Aws) -> None:
    ordered = order(api, "bob", new_ticket(api)).json
    sell(api, ordered)
    before = aws.dump()
    answer = api.patch(f"{ORDERS}/{ordered['id']}")
    assert (answer.status, answer.code) == (400, "order_over")
    assert aws.dump() == before
    assert api.get(f"{ORDERS}/{ordered['id']}").json == ordered | {"status": "complete", "version": 2}


def pay(api: Api, ordered: dict[str, Any], token: str) -> Answer:
    return api.as_user("bob").post("/api/payments", {"orderId": ordered["id"], "token": token})


def test_a_paid_order_is_complete_and_its_ticket_sold(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    assert pay(api, ordered, "tok_success").status == 201
    assert api.get(f"{ORDERS}/{ordered['id']}").json["status"] == "complete"
    assert api.get(f"/api/tickets/{ticket['id']}").json["status"] == "sold"
    answer = api.patch(f"{ORDERS}/{ordered['id']}")
    assert (answer.status, answer.code) == (400, "order_over")


def test_an_order_being_paid_awaits_payment_and_is_cancelled_with_it(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    assert (waiting := pay(api, ordered, "tok_confirm")).status == 400
    assert waiting.json["reason"] == "action_required"
    assert api.get(f"{ORDERS}/{ordered['id']}").json["status"] == "awaiting:payment"
    assert order(api, "carol", ticket).code == "already_reserved"
    answer = api.as_user("bob").patch(f"{ORDERS}/{ordered['id']}")
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert api.get(f"/api/v1/orders/{ordered['id']}").json["status"] == "cancelled"
    assert api.patch(f"{ORDERS}/{ordered['id']}").json == answer.json
    assert pay(api, ordered, "tok_success").status == 400
    assert order(api, "carol", ticket).status == 201


def test_an_order_whose_payment_was_declined_is_created_as_before_and_cancelled_as_one(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    assert pay(api, ordered, "tok_decline").status == 400
    found = api.get(f"{ORDERS}/{ordered['id']}").json
    assert (found["status"], found["expiresAt"]) == ("created", ordered["expiresAt"])
    assert api.patch(f"{ORDERS}/{ordered['id']}").json["status"] == "cancelled"
    assert api.get(f"/api/v1/orders/{ordered['id']}").json["status"] == "cancelled"
    assert order(api, "carol", ticket).status == 201


def test_an_expired_order_is_cancelled_and_its_ticket_is_the_next_takers(api: Api, clock: HandMovedClock) -> None:
    """A lapsed lock needs no clean-up: the next taker's own condition takes it over (PROTOCOL.md 11)."""
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    clock.advance(899.999)
    assert order(api, "carol", ticket).code == "already_reserved"
    clock.advance(0.001)
    taken = order(api, "carol", ticket)
    assert taken.status == 201
    assert api.get(f"{ORDERS}/{ordered['id']}").json["status"] == "cancelled"
    assert api.patch(f"{ORDERS}/{ordered['id']}").json["status"] == "cancelled"
    assert api.get(f"/api/tickets/{ticket['id']}").json["status"] == "reserved"
    assert api.get(f"{ORDERS}/{taken.json['id']}").json["status"] == "created"


def test_an_order_keeps_the_price_at_which_it_locked_the_ticket(api: Api) -> None:
    ticket = new_ticket(api)
    ordered = order(api, "bob", ticket).json
    api.patch(f"{ORDERS}/{ordered['id']}")
    api.put(f"/api/tickets/{ticket['id']}", {"title": "Row 3", "price": 99, "currency": "EUR"})
    assert api.get(f"{ORDERS}/{ordered['id']}").json["ticket"] == ordered["ticket"]
    assert order(api, "carol", ticket).json["ticket"]["price"] == 99


def test_the_tickets_version_rises_with_every_change(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    target, body = f"/api/tickets/{ticket['id']}", {"title": "Row 3", "price": 5}
    seen = [ticket["version"]]
    first = order(api, "bob", ticket).json
    seen.append(ticket_version(api, ticket))
    api.patch(f"{ORDERS}/{first['id']}")
    seen.append(ticket_version(api, ticket))
    seen.append(api.put(target, body).json["version"])
    order(api, "bob", ticket)
    seen.append(ticket_version(api, ticket))
    clock.advance(900)
    second = order(api, "carol", ticket).json
    seen.append(ticket_version(api, ticket))
    sell(api, second)
    seen.append(ticket_version(api, ticket))
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_another_users_order_looks_like_one_that_is_not_there(api: Api, aws: Aws) -> None:
    ordered = order(api, "bob", new_ticket(api)).json
    before = aws.dump()
    carol = api.as_user("carol")
    for answer in (carol.get(f"{ORDERS}/{ordered['id']}"), carol.patch(f"{ORDERS}/{ordered['id']}")):
        assert (answer.status, answer.code) == (404, "order_not_found")
    assert aws.dump() == before


def test_staff_read_and_cancel_another_users_order(api: Api) -> None:
    ordered = order(api, "bob", new_ticket(api)).json
    staff = api.as_user("carol").with_roles("staff")
    assert staff.get(f"{ORDERS}/{ordered['id']}").json == ordered
    assert staff.patch(f"{ORDERS}/{ordered['id']}").json["status"] == "cancelled"


@pytest.mark.parametrize("target", [NOWHERE, f"{ORDERS}/o-1", f"{ORDERS}/1"])
def test_an_unknown_order_is_404(api: Api, target: str) -> None:
    for answer in (api.get(target), api.patch(target), api.as_user("bob").get(target)):
        assert (answer.status, answer.code) == (404, "order_not_found")


def test_another_tenants_order_is_404(api: Api) -> None:
    ordered = order(api, "bob", new_ticket(api)).json
    other = Api(f"{api.tenant}x")
    for answer in (other.get(f"{ORDERS}/{ordered['id']}"), other.patch(f"{ORDERS}/{ordered['id']}")):
        assert (answer.status, answer.code) == (404, "order_not_found")


def test_a_reservation_that_came_by_another_route_is_no_order(api: Api) -> None:
    held = api.hold("bob", api.new_product()).json["id"]
    target = f"{ORDERS}/o{held[1:]}"
    assert (api.get(target).status, api.patch(target).status) == (404, 404)
    assert api.get(f"{ORDERS}?userId=bob").json == []
    assert api.get(f"/api/v1/reservations/{held}").json["status"] == "held"


def test_an_order_is_a_reservation_too(api: Api) -> None:
    ordered = order(api, "bob", new_ticket(api)).json
    found = api.get(f"/api/v1/reservations/r{ordered['id'][1:]}")
    assert (found.status, found.json["status"]) == (200, "held")


def cart(api: Api, user: str, *lines: dict[str, Any]) -> Answer:
    return api.post("/api/v1/reservations", {"user_id": user, "items": list(lines)}, key="k")


def test_the_unified_cart_takes_tickets_among_other_things(api: Api) -> None:
    ticket, product = new_ticket(api, price="19.99"), api.new_product(price=1)
    lines = [{"kind": "listing", "ticket_id": ticket["id"]}, {"kind": "product", "product_id": product, "quantity": 2}]
    held = cart(api, "bob", *lines)
    assert (held.status, held.json["totals"]) == (201, [{"currency": "USD", "amount_minor": 2199}])
    assert order(api, "carol", ticket).code == "already_reserved"
    assert api.get(f"{ORDERS}?userId=bob").json == []
    assert api.delete(f"/api/v1/reservations/{held.json['id']}").status == 200
    assert order(api, "carol", ticket).status == 201


def test_the_unified_cart_names_every_ticket_that_stood_in_the_way(api: Api, aws: Aws) -> None:
    own, taken, free = new_ticket(api, userId="bob"), new_ticket(api), new_ticket(api)
    order(api, "carol", taken)
    before = aws.dump()
    ids = [free["id"], own["id"], taken["id"], "1"]
    answer = cart(api, "bob", *({"kind": "listing", "ticket_id": ticket_id} for ticket_id in ids))
    assert answer.status == 409
    assert answer.faults() == {
        "items.1": "own_listing",
        "items.2": "already_reserved",
        "items.3": "ticket_not_found",
    }
    assert aws.dump() == before


def test_own_orders_are_listed_and_nobody_elses(api: Api) -> None:
    mine = [order(api, "bob", new_ticket(api)).json for _ in range(3)]
    order(api, "carol", new_ticket(api))
    for caller, target in ((api.as_user("bob"), ORDERS), (api, f"{ORDERS}?userId=bob")):
        listed = caller.get(target)
        assert {found["id"]: found for found in listed.json} == {found["id"]: found for found in mine}
        assert "X-Next" not in listed.headers
    assert api.as_user("carol").get(f"{ORDERS}?userId=bob").status == 403
    assert api.as_user("dave").get(ORDERS).json == []


def test_orders_are_listed_in_pages_among_other_reservations(api: Api) -> None:
    product = api.new_product(100)
    for number in range(12):
        assert api.hold("bob", product, key=f"k{number}").status == 201
    mine = {order(api, "bob", new_ticket(api), key=f"k{number}").json["id"] for number in range(5)}
    pages = [api.get(f"{ORDERS}?userId=bob&limit=2")]
    while "X-Next" in pages[-1].headers:
        pages.append(api.get(f"{ORDERS}?userId=bob&limit=2&next={pages[-1].headers['X-Next']}"))
    listed = [found["id"] for page in pages for found in page.json]
    assert (len(listed), set(listed)) == (5, mine)
    assert all(len(page.json) <= 2 for page in pages)


def test_page_tokens_that_were_tampered_with_are_400(api: Api) -> None:
    for user in ("bob", "bob", "carol", "carol"):
        order(api, user, new_ticket(api))
    target = f"{ORDERS}?limit=1&userId=bob"
    own = api.get(target).headers["X-Next"]
    others = api.get(f"{ORDERS}?limit=1&userId=carol").headers["X-Next"]
    for token in (*tampered_with(own), others):
        answer = api.get(f"{target}&next={token}")
        assert (answer.status, list(answer.faults())) == (400, ["next"]), token
    assert Api(f"{api.tenant}x").get(f"{target}&next={own}").status == 400
