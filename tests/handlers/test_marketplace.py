"""The marketplace's tickets: put up for resale, listed, read and changed (WIRE.md, section 3)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Api
from tests.handlers.marketplace import SELLER, identity, new_ticket, order, sell, tampered_with
from tests.handlers.odd_values import ODD_USERS

TICKETS = "/api/tickets"
NOWHERE = f"{TICKETS}/0199c2d4a10f3c5a7e9b1d2f"


def test_create_answers_201_with_the_bare_ticket(api: Api) -> None:
    answer = api.post(TICKETS, {"title": "Row 3", "price": "19.90", "userId": SELLER})
    assert answer.status == 201
    found = answer.json
    assert found["createdAt"] == found["updatedAt"]
    assert found["createdAt"].endswith("Z")
    assert found == {
        "id": found["id"],
        "title": "Row 3",
        "price": 19.9,
        "currency": "USD",
        "userId": SELLER,
        "version": 1,
        "status": "available",
        "createdAt": found["createdAt"],
        "updatedAt": found["updatedAt"],
    }
    assert api.get(f"{TICKETS}/{found['id']}").json == found


def test_a_user_sells_without_saying_who_it_is(api: Api) -> None:
    answer = api.as_user("carol").post(TICKETS, {"title": "Row 3", "price": 5})
    assert (answer.status, answer.json["userId"]) == (201, "carol")


def test_unknown_fields_are_ignored_and_so_is_a_seller_by_another_spelling(api: Api) -> None:
    body = {"title": "Row 3", "price": 5, "colour": "red", "user_id": "mallory", "version": 9}
    answer = api.as_user("carol").post(TICKETS, body)
    assert (answer.status, answer.json["userId"], answer.json["version"]) == (201, "carol", 1)


def test_a_user_sells_for_nobody_else(api: Api, aws: Aws) -> None:
    before = aws.dump()
    answer = api.as_user("carol").post(TICKETS, {"title": "Row 3", "price": 5, "userId": SELLER})
    assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", TICKETS, {"title": "Row 3", "price": 5}),
        ("POST", "/api/orders", {"ticketId": "0199c2d4a10f3c5a7e9b1d2f"}),
        ("GET", "/api/orders", None),
    ],
)
def test_a_service_key_must_say_for_whom_and_the_field_is_named_as_on_this_wire(
    api: Api, method: str, target: str, body: Any
) -> None:
    answer = api.request(method, target, body)
    assert (answer.status, answer.faults()) == (400, {"userId": "missing"})


@pytest.mark.parametrize("target", [TICKETS, f"{NOWHERE}", "/api/orders", "/api/orders/o-1"])
def test_without_a_caller_nothing_is_told(target: str) -> None:
    answer = Api("").get(target)
    assert (answer.status, answer.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"title": ""}, "title"),
        ({"title": " \t"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": None}, "title"),
        ({"title": 5}, "title"),
        ({"title": ["Row 3"]}, "title"),
        ({"price": -1}, "price"),
        ({"price": None}, "price"),
        ({"price": True}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "1_000"}, "price"),
        ({"price": "1e2"}, "price"),
        ({"price": ""}, "price"),
        ({"price": {}}, "price"),
        ({"price": "0.001"}, "price"),
        ({"price": 10**13}, "price"),
        ({"price": "1.5", "currency": "JPY"}, "price"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "USDX"}, "currency"),
        ({"currency": 1}, "currency"),
    ],
)
def test_create_and_change_refuse_what_is_no_ticket_and_name_the_field(
    api: Api, change: dict[str, Any], fault: str
) -> None:
    ticket = new_ticket(api)
    body = {"title": "Row 3", "price": 5, "userId": SELLER} | change
    for answer in (api.post(TICKETS, body), api.put(f"{TICKETS}/{ticket['id']}", body)):
        assert (answer.status, answer.code) == (400, "validation_failed")
        assert list(answer.faults()) == [fault]
    assert api.get(TICKETS).json == [ticket]


@pytest.mark.parametrize("user", [user for user in ODD_USERS if user is not None])
def test_no_user_of_odd_characters_sells_or_buys(api: Api, user: Any) -> None:
    sold = api.post(TICKETS, {"title": "Row 3", "price": 5, "userId": user})
    bought = api.post("/api/orders", {"ticketId": "1", "userId": user})
    for answer in (sold, bought):
        assert (answer.status, list(answer.faults())) == (400, ["userId"])


@pytest.mark.parametrize("missing", ["title", "price"])
def test_a_ticket_has_a_title_and_a_price(api: Api, missing: str) -> None:
    body = {name: value for name, value in {"title": "Row 3", "price": 5}.items() if name != missing}
    assert api.post(TICKETS, body | {"userId": SELLER}).faults() == {missing: "missing"}


def test_a_price_is_in_the_currency_that_is_named(api: Api) -> None:
    ticket = new_ticket(api, price=900, currency="JPY")
    assert (ticket["price"], ticket["currency"]) == (900, "JPY")


def test_the_same_key_and_body_make_one_ticket(api: Api, aws: Aws) -> None:
    body = {"title": "Row 3", "price": 5, "userId": SELLER}
    first = api.post(TICKETS, body, key="k")
    api.put(f"{TICKETS}/{first.json['id']}", body | {"title": "Row 4"})
    after = aws.dump()
    again = api.post(TICKETS, body, key="k")
    assert (again.status, again.json) == (201, first.json)
    assert (api.post(TICKETS, body | {"price": 6}, key="k").status, aws.dump()) == (422, after)
    assert api.post(TICKETS, body | {"userId": "carol"}, key="k").json["userId"] == "carol"


@pytest.mark.parametrize("target", [NOWHERE, f"{TICKETS}/1", f"{TICKETS}/x", f"{TICKETS}/" + "f" * 80])
def test_an_unknown_ticket_is_404(api: Api, target: str) -> None:
    for answer in (api.get(target), api.put(target, {"title": "Row 3", "price": 5})):
        assert (answer.status, answer.code) == (404, "ticket_not_found")


@pytest.mark.parametrize("path_id", ["a.b", "%20", "a%2Fb", "..", "%00", "x" * 81, "%F0%9F%92%BB", "1%0A", "<script>"])
def test_an_id_of_odd_characters_is_refused(api: Api, path_id: str) -> None:
    for target in (f"{TICKETS}/{path_id}", f"/api/orders/{path_id}"):
        assert api.get(target).status in (400, 404)


def test_another_tenants_ticket_is_404(api: Api) -> None:
    ticket = new_ticket(api)
    other = Api(f"{api.tenant}x")
    assert other.get(f"{TICKETS}/{ticket['id']}").status == 404
    assert other.put(f"{TICKETS}/{ticket['id']}", {"title": "Mine", "price": 1}).status == 404
    assert other.get(TICKETS).json == []


def test_tickets_are_listed_newest_first_and_paged(api: Api, clock: HandMovedClock) -> None:
    made = []
    for number in range(5):
        made.append(new_ticket(api, title=f"Row {number}")["id"])
        clock.advance(0.001)
    first = api.get(f"{TICKETS}?limit=2")
    second = api.get(f"{TICKETS}?limit=2&next={first.headers['X-Next']}")
    third = api.get(f"{TICKETS}?limit=2&next={second.headers['X-Next']}")
    assert [ticket["id"] for page in (first, second, third) for ticket in page.json] == made[::-1]
    assert "X-Next" not in third.headers
    assert [ticket["id"] for ticket in api.get(TICKETS).json] == made[::-1]


def test_what_is_listed_meanwhile_does_not_move_the_pages(api: Api, clock: HandMovedClock) -> None:
    older = new_ticket(api)
    clock.advance(1)
    newer = new_ticket(api)
    first = api.get(f"{TICKETS}?limit=1")
    clock.advance(1)
    new_ticket(api)
    second = api.get(f"{TICKETS}?limit=1&next={first.headers['X-Next']}")
    assert (first.json, second.json) == ([newer], [older])


def test_sold_tickets_are_not_listed_and_locked_ones_are(api: Api) -> None:
    free, locked, sold = (new_ticket(api, title=title) for title in ("Free", "Locked", "Sold"))
    order(api, "bob", locked)
    sell(api, order(api, "bob", sold).json)
    listed = {ticket["id"]: ticket["status"] for ticket in api.get(TICKETS).json}
    assert listed == {free["id"]: "available", locked["id"]: "reserved"}
    assert api.get(f"{TICKETS}/{sold['id']}").json["status"] == "sold"


def test_a_page_behind_many_sold_tickets_comes_short_and_the_list_goes_on(api: Api, clock: HandMovedClock) -> None:
    old = new_ticket(api)
    for _ in range(6):
        clock.advance(1)
        sell(api, order(api, "bob", new_ticket(api)).json)
    pages = [api.get(f"{TICKETS}?limit=1")]
    while "X-Next" in pages[-1].headers:
        pages.append(api.get(f"{TICKETS}?limit=1&next={pages[-1].headers['X-Next']}"))
    assert pages[0].json == []
    assert [ticket["id"] for page in pages for ticket in page.json] == [old["id"]]
    assert len(pages) <= 3


def test_a_page_is_filled_up_from_behind_sold_tickets_and_no_further(api: Api, clock: HandMovedClock) -> None:
    made = []
    for number in range(5):
        made.append(new_ticket(api))
        clock.advance(1)
        if number == 3:
            sell(api, order(api, "bob", made.pop()).json)
    pages = [api.get(f"{TICKETS}?limit=2")]
    pages.append(api.get(f"{TICKETS}?limit=2&next={pages[0].headers['X-Next']}"))
    assert [[ticket["id"] for ticket in page.json] for page in pages] == [
        [made[3]["id"], made[2]["id"]],
        [made[1]["id"], made[0]["id"]],
    ]


def test_own_tickets_are_listed_sold_ones_too(api: Api, clock: HandMovedClock) -> None:
    sold = new_ticket(api)
    clock.advance(1)
    free = new_ticket(api)
    new_ticket(api, userId="carol")
    sell(api, order(api, "bob", sold).json)
    for caller in (api, api.as_user(SELLER)):
        own = caller.get(f"{TICKETS}?userId={SELLER}").json
        assert [(ticket["id"], ticket["status"]) for ticket in own] == [(free["id"], "available"), (sold["id"], "sold")]
    first = api.get(f"{TICKETS}?userId={SELLER}&limit=1")
    second = api.get(f"{TICKETS}?userId={SELLER}&limit=1&next={first.headers['X-Next']}")
    assert [ticket["id"] for page in (first, second) for ticket in page.json] == [free["id"], sold["id"]]


def test_a_user_lists_nobody_elses_own_tickets(api: Api) -> None:
    new_ticket(api)
    answer = api.as_user("carol").get(f"{TICKETS}?userId={SELLER}")
    assert (answer.status, answer.code) == (403, "forbidden")


def test_page_tokens_that_were_tampered_with_are_400(api: Api, clock: HandMovedClock) -> None:
    for _ in range(2):
        new_ticket(api)
        clock.advance(1)
    everybodys, sellers = f"{TICKETS}?limit=1", f"{TICKETS}?limit=1&userId={SELLER}"
    for target, other in ((everybodys, sellers), (sellers, everybodys)):
        own, strange = (api.get(found).headers["X-Next"] for found in (target, other))
        for token in (*tampered_with(own), strange):
            answer = api.get(f"{target}&next={token}")
            assert (answer.status, list(answer.faults())) == (400, ["next"]), token
        assert Api(f"{api.tenant}x").get(f"{target}&next={own}").status == 400


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "userId=a%2Fb", "userId=", "userId=%20"]
)
def test_lists_refuse_a_query_that_is_none(api: Api, query: str) -> None:
    for target in (TICKETS, "/api/orders"):
        answer = api.get(f"{target}?{query}")
        assert (answer.status, next(iter(answer.faults()))) == (400, query.partition("=")[0])


def test_a_change_is_of_title_and_price_and_raises_the_version(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    clock.advance(1)
    answer = api.as_user(SELLER).put(f"{TICKETS}/{ticket['id']}", {"title": "Row 9", "price": "7.50"})
    changed = answer.json
    assert answer.status == 200
    assert identity(changed) == identity(ticket)
    assert (changed["title"], changed["price"], changed["version"]) == ("Row 9", 7.5, 2)
    assert changed["updatedAt"] > ticket["updatedAt"]
    assert api.get(f"{TICKETS}/{ticket['id']}").json == changed
    assert order(api, "bob", ticket).json["ticket"]["price"] == 7.5


def test_a_change_keeps_the_currency_unless_it_names_another(api: Api) -> None:
    ticket = new_ticket(api, price=900, currency="JPY")
    target = f"{TICKETS}/{ticket['id']}"
    assert api.put(target, {"title": "Row 3", "price": 950}).json["currency"] == "JPY"
    assert list(api.put(target, {"title": "Row 3", "price": "9.5"}).faults()) == ["price"]
    changed = api.put(target, {"title": "Row 3", "price": "9.5", "currency": "EUR"}).json
    assert (changed["price"], changed["currency"], changed["version"]) == (9.5, "EUR", 3)


def test_only_the_owner_changes_a_ticket(api: Api, aws: Aws) -> None:
    ticket = new_ticket(api)
    target, body = f"{TICKETS}/{ticket['id']}", {"title": "Mine", "price": 1}
    before = aws.dump()
    for answer in (
        api.as_user("carol").put(target, body),
        api.as_user("carol").put(target, body | {"userId": SELLER}),
        api.put(target, body | {"userId": "carol"}),
        api.as_user("carol").with_roles("admin staff").put(target, body),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before
    for caller in (api, api.as_user(SELLER)):
        assert caller.put(target, body | {"userId": SELLER}).status == 200


def test_a_ticket_is_not_changed_while_an_order_locks_it(api: Api, aws: Aws) -> None:
    ticket = new_ticket(api)
    target, body = f"{TICKETS}/{ticket['id']}", {"title": "Row 9", "price": 9}
    ordered = order(api, "bob", ticket).json
    before = aws.dump()
    answer = api.put(target, body)
    assert (answer.status, answer.code) == (400, "ticket_locked")
    assert aws.dump() == before
    api.patch(f"/api/orders/{ordered['id']}")
    assert api.put(target, body).status == 200


def test_a_ticket_is_changed_again_once_the_lock_has_lapsed(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    order(api, "bob", ticket)
    target = f"{TICKETS}/{ticket['id']}"
    clock.advance(899.999)
    assert api.put(target, {"title": "Row 9", "price": 9}).code == "ticket_locked"
    clock.advance(0.001)
    assert api.put(target, {"title": "Row 9", "price": 9}).json["status"] == "available"


def test_a_sold_ticket_is_never_changed(api: Api, clock: HandMovedClock) -> None:
    ticket = new_ticket(api)
    sell(api, order(api, "bob", ticket).json)
    clock.advance(3600)
    answer = api.put(f"{TICKETS}/{ticket['id']}", {"title": "Row 9", "price": 9})
    assert (answer.status, answer.code) == (400, "ticket_locked")


def test_tickets_are_resold_in_a_currency_that_the_tenant_uses(api: Api, aws: Aws) -> None:
    europe = replace(api, settings=json.dumps({"currencies": ["EUR", "GBP"]}))
    old = new_ticket(api, currency="USD")
    assert new_ticket(europe)["currency"] == "EUR"
    own = new_ticket(europe, currency="GBP")
    offer = {"title": "Row 3", "price": 7, "userId": SELLER}
    assert europe.put(f"{TICKETS}/{old['id']}", offer).json["currency"] == "USD"
    before = aws.dump()
    for answer in (
        europe.post(TICKETS, offer | {"currency": "USD"}),
        europe.put(f"{TICKETS}/{own['id']}", offer | {"currency": "USD"}),
    ):
        assert (answer.status, answer.code) == (400, "currency_not_used")
        assert answer.faults() == {"currency": "currency_not_used"}
    assert aws.dump() == before
