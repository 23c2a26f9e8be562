"""Partner inventory on the deployed stack (WIRE.md, section 5): a partner is asked, and what it says is sold.

The limiter lets one request through every two seconds, for everybody. So each tour runs on one weekday, and each test
pauses its tenants at its end: what they would ask for besides is nobody's concern any more.
"""

import json
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from local.partner import Partner
from local.stack import Stack
from tests.e2e.fair import Fair, tenant_of
from tests.e2e.people import signed_up
from tests.e2e.test_event_tickets_wire import OPENING, upload
from tests.e2e.tours import PATIENCE, Desk, Tour, begun, eventually, new_tenant, put_up, run_of, sample, synchronised
from tests.e2e.wire import answered, faults, keyed, moment, refused
from tests.partner.products import SEEDED, inventory

ADULT, CHILD, INFANT = "ADULT_12~99", "CHILD_5~15", "INFANT_0~4"
MONDAY = "2025-03-24"
ISLAND_WALKS = inventory(SEEDED[0], MONDAY, 0)
"""What the partner says of a day of product 14: several slots, each for adults and children."""


@pytest.fixture(scope="module")
def desk(partner: Partner) -> Iterator[Desk]:
    """Where the partner is told what to say."""
    with httpx.Client(base_url=partner.url, timeout=30, trust_env=False) as client:
        yield Desk(client)


@pytest.fixture(scope="module")
def products(desk: Desk) -> Iterator[str]:
    """Products that no other test has put up."""
    return iter(desk.new_products(40))


@pytest.fixture
def new_client(client_of_tenant: Callable[[str], httpx.Client]) -> Iterator[Callable[[], httpx.Client]]:
    """Make a client of a tenant that no other test knows; in the end nobody is asked for anything of it any more."""
    clients: list[httpx.Client] = []

    def make() -> httpx.Client:
        clients.append(client_of_tenant(new_tenant()))
        return clients[-1]

    yield make
    for client in clients:
        answered(client.post("/api/v1/sync/pause"), 200)


@pytest.fixture
def client(new_client: Callable[[], httpx.Client]) -> httpx.Client:
    """A client of such a tenant."""
    return new_client()


@pytest.fixture
def tour(client: httpx.Client, desk: Desk, products: Iterator[str]) -> Tour:
    """A tour that is put up while everything is running, with the seed's sample slot on its day; not synchronised."""
    made = put_up(client, desk, next(products))
    made.says(sample())
    return made


def plan(stack: Stack, **event: str) -> dict[str, int]:
    """Have the deployed planner do what a schedule's event has it do, and return its counts."""
    function = stack.function_name("sync_planner")
    answer = stack.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    counts: dict[str, int] = json.load(answer["Payload"])
    assert "FunctionError" not in answer, counts
    return counts


def hold(client: httpx.Client, *items: dict[str, Any], user: str = "bob") -> httpx.Response:
    return client.post("/api/v1/reservations", json={"user_id": user, "items": items}, headers=keyed())


def price(final: float, original: float) -> dict[str, Any]:
    return {"finalPrice": final, "originalPrice": original, "currencyCode": "SGD"}


def runs_of(client: httpx.Client) -> list[dict[str, Any]]:
    """Return all runs, the newest first."""
    found: list[dict[str, Any]] = answered(client.get("/api/v1/sync/runs"), 200)["items"]
    return found


def as_said(slot: dict[str, Any], day: str) -> dict[str, Any]:
    """Return what older clients see of a slot: what was said of it, and the lowest payable price, a child's."""
    shown = {name: slot[name] for name in ("startTime", "remaining")}
    types = [
        {
            **{name: pax[name] for name in ("type", "name", "description", "min", "max", "remaining")},
            "price": price(pax["price"]["finalPrice"], pax["price"]["originalPrice"]),
        }
        for pax in slot["paxAvailability"]
    ]
    return {**shown, "startDate": day, "price": price(137, 237), "paxAvailability": types}


def test_what_the_partner_says_is_what_is_answered(client: httpx.Client, tour: Tour, desk: Desk) -> None:
    """Put up while everything runs, asked for by a manual run, and read: the seed's two products on one day."""
    refused(client.get("/api/v1/experience/404/slots", params={"date": tour.day}), 404, "experience_not_found")
    refused(client.get("/api/v1/experience/404/dates"), 404, "experience_not_found")
    refused(client.get(f"/api/v1/experience/{tour.id}/slots", params={"date": "soon"}), 400, "validation_failed")
    unknown = {"id": "9", "name": "x", "partner": "nobody", "partner_product_id": "9", "weekdays": ["mon"]}
    refused(client.post("/api/v1/experiences", json=unknown), 400, "validation_failed")
    known = {**unknown, "id": tour.id, "partner": "tours"}
    refused(client.post("/api/v1/experiences", json=known), 409, "experience_exists")
    assert (answered(tour.slots(), 200), answered(tour.dates(), 200)) == ([], {"dates": []})

    said = [sample(), *ISLAND_WALKS]
    tour.says(*reversed(said))
    started = begun(client)
    assert (started["enqueued"], started["coalesced"]) == (1, 0)
    run = eventually(lambda: run_of(client, started["run_id"]), lambda run: run["fetched"])
    assert (run["kind"], run["planned"], run["changed"], run["failed"], run["waiting"]) == ("manual", 1, 1, 0, 0)
    assert run["failures"] == []

    answer = tour.slots()
    assert answered(answer, 200) == [as_said(slot, tour.day) for slot in said]
    dates = tour.dates()
    assert {"date": tour.day, "price": price(137, 237)} in answered(dates, 200)["dates"]
    found = tour.to_book()
    assert [slot["slot_id"] for slot in found["items"]] == [slot["providerSlotId"] for slot in said]
    first = found["items"][0]
    assert (first["start_time"], first["end_time"], first["price_minor"]) == ("00:00", "01:00", 13_700)
    types = {pax["type"]: pax["price_minor"] for pax in first["pax"]}
    assert types == {ADULT: 34_100, CHILD: 13_700, INFANT: 0}

    assert answer.headers["Cache-Control"] == "private, max-age=10"
    assert parsedate_to_datetime(answer.headers["Last-Modified"]) == moment(found["synced_at"]).replace(microsecond=0)
    again = tour.slots(**{"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])
    assert int(dates.headers["Age"]) >= 0
    older = eventually(lambda: int(tour.slots().headers["Age"]), lambda age: age > int(answer.headers["Age"]))
    assert older < PATIENCE

    status = answered(client.get("/api/v1/sync/status"), 200)
    (limiter,) = status["partners"]
    assert (limiter["name"], limiter["closed_until"]) == ("tours", None)
    assert limiter["tokens_left"] < 30
    week = status["horizons"]["week"]
    assert (week["pairs"], week["never_synced"], week["waiting"], week["target_seconds"]) == (1, 0, 0, 14_400)
    assert 0 <= week["worst_age_seconds"] < PATIENCE
    assert (status["paused"], status["shortages"], status["held_back"]) == (False, 0, [])

    fresh = begun(client)
    assert (fresh["enqueued"], fresh["coalesced"]) == (0, 0), "answered a moment ago"
    assert {fresh["run_id"], started["run_id"]} <= {each["run_id"] for each in runs_of(client)}
    assert [each["date"] for each in desk.arrivals(tour.id)].count(tour.day) == 1


def test_places_a_product_and_a_seat_are_one_cart_paid_and_refunded(client: httpx.Client, tour: Tour) -> None:
    synchronised(client)
    product = {"name": "Map", "total_stock": 5, "price": "4.00", "currency": "SGD"}
    event = answered(client.post("/api/events", json=OPENING), 201)["id"]
    stalls = {"ticketType": "Stalls", "price": 80, "numbered": True, "currency": "SGD"}
    kind = answered(client.post(f"/api/events/{event}/ticket-types", json=stalls), 201)["ticketTypeId"]
    upload(client, event, kind, rows=1)
    items = [
        {"kind": "product", "product_id": answered(client.post("/api/products", json=product), 201)["data"]["id"]},
        {"kind": "seat", "event_id": str(event), "ticket_type_id": str(kind), "row": "1", "seat": "5"},
        tour.line(adult=2, child=1, infant=1),
    ]
    items[0] |= {"product_id": str(items[0]["product_id"]), "quantity": 2}
    fair = Fair(client, items)
    reservation = fair.hold()
    assert tour.remaining() == [166, 148, 79, 19]
    held = answered(client.get(f"/api/v1/reservations/{reservation}"), 200)
    places = [(line["pax"], line["unit_price_minor"]) for line in held["items"] if line["kind"] == "slot"]
    assert places == [({ADULT: 2}, 34_100), ({CHILD: 1}, 13_700), ({INFANT: 1}, 0)]
    total = 2 * 400 + 8_000 + 2 * 34_100 + 13_700
    assert held["totals"] == [{"currency": "SGD", "amount_minor": total}]
    refused(hold(client, {**items[2], "pax": {ADULT: 20}}, items[1], user="eve"), 409, "seat_taken")

    order = fair.over(fair.check_out(reservation, "tok_success").json()["id"])
    assert (order["status"], order["captured_minor"]) == ("completed", total)
    assert [line["kind"] for line in order["lines"]] == ["product", "seat", "slot", "slot", "slot"]
    assert tour.remaining() == [166, 148, 79, 19]

    refund = f"/api/v1/orders/{order['id']}/refund"
    child = {"items": [{"line": 3, "quantity": 1}]}
    assert client.post(refund, json=child, headers=keyed() | {"Prefer": "wait=15"}).status_code in (200, 202)
    assert fair.over(order["id"])["status"] == "partially_refunded"
    assert tour.remaining() == [167, 148, 80, 19]
    assert client.post(refund, json={}, headers=keyed() | {"Prefer": "wait=15"}).status_code in (200, 202)
    order = fair.over(order["id"])
    assert (order["status"], order["refundable_minor"]) == ("refunded", 0)
    assert tour.remaining() == [170, 150, 80, 20]


def test_what_a_booking_may_not_take_is_refused(client: httpx.Client, tour: Tour) -> None:
    tour.says(sample(remaining=5, adult={"min": 2, "max": 4}, child={"remaining": 3}))
    synchronised(client)
    for code, line in (
        ("pax_below_minimum", tour.line(adult=1)),
        ("pax_above_maximum", tour.line(adult=5)),
        ("pax_type_unknown", tour.line(senior=1)),
        ("slot_not_found", tour.line("zz99", adult=2)),
        ("insufficient_stock", tour.line(child=4)),
        ("insufficient_stock", tour.line(adult=4, child=2)),
    ):
        assert faults(refused(hold(client, line), 409, code)) == {"items.0": code}, line
    refused(hold(client, tour.line()), 400, "validation_failed")
    assert tour.remaining() == [5, 150, 3, 20]
    answered(hold(client, tour.line(adult=4, child=1)), 201)
    assert tour.remaining() == [0, 146, 2, 20]
    assert tour.day not in {each["date"] for each in answered(tour.dates(), 200)["dates"]}


def test_fewer_places_than_are_held_stop_new_holds_and_cut_none(client: httpx.Client, tour: Tour) -> None:
    """Taken off sale and put on again, it is asked for anew; the partner has fewer places left by then."""
    tour.says(sample(remaining=6))
    synchronised(client)
    held = answered(hold(client, tour.line(adult=4)), 201)
    assert tour.change(enabled=False)["enabled"] is False
    assert (answered(tour.slots(), 200), answered(tour.dates(), 200)) == ([], {"dates": []})
    refused(hold(client, tour.line(adult=1)), 409, "not_on_sale")
    begun(client)
    tour.says(sample(remaining=3))
    assert tour.change(enabled=True)["enabled"] is True
    assert synchronised(client)["changed"] == 1
    assert tour.remaining() == [0, 146, 80, 20]
    refused(hold(client, tour.line(adult=1), user="eve"), 409, "insufficient_stock")
    kept = answered(client.get(f"/api/v1/reservations/{held['id']}"), 200)
    assert (kept["status"], [line["is_short"] for line in kept["items"]]) == ("held", [True])
    (shortage,) = answered(client.get("/api/v1/sync/shortages"), 200)["items"]
    named = (shortage["experience_id"], shortage["date"], shortage["slot_id"], shortage["missing"])
    assert named == (tour.id, tour.day, "ab12", 1)
    assert answered(client.get("/api/v1/sync/status"), 200)["shortages"] == 1
    answered(client.delete(f"/api/v1/reservations/{held['id']}"), 200)
    assert tour.remaining() == [3, 150, 80, 20]
    shortages = eventually(lambda: client.get("/api/v1/sync/shortages").json()["items"], lambda found: not found)
    assert shortages == []


def test_paused_means_no_request_by_the_partners_log(
    client: httpx.Client,
    tour: Tour,
    new_client: Callable[[], httpx.Client],
    desk: Desk,
    products: Iterator[str],
    stack: Stack,
) -> None:
    """What another tenant wants after it is asked for, of the same partner; so was there time to."""
    paused = answered(client.post("/api/v1/sync/pause"), 200)
    assert (paused["paused"], paused["paused_by"] is not None) == (True, True)
    wanted = begun(client, days=30)["enqueued"]
    assert wanted >= 4
    twice = begun(client, days=30)
    assert (twice["enqueued"], twice["coalesced"]) == (0, wanted), "what waits is not wanted a second time"
    other = put_up(new_client(), desk, next(products))
    synchronised(other.client)
    assert desk.arrivals(tour.id) == []
    status = answered(client.get("/api/v1/sync/status"), 200)
    assert (status["paused"], status["queue"]["waiting"], status["queue"]["queued"]) == (True, wanted, 0)
    other.change(enabled=False)

    assert answered(client.post("/api/v1/sync/resume"), 200) == {"paused": False, "paused_at": None, "paused_by": None}
    plan(stack)
    eventually(lambda: desk.arrivals(tour.id), bool)
    answered(client.post("/api/v1/sync/pause"), 200)
    asked = len(desk.arrivals(tour.id))
    third = put_up(new_client(), desk, next(products))
    synchronised(third.client)
    assert len(desk.arrivals(tour.id)) <= asked + 1, "one may have been on its way"


def test_what_schedules_want_is_planned_once_and_asked_for(
    client: httpx.Client, tour: Tour, desk: Desk, products: Iterator[str], stack: Stack
) -> None:
    """The events of the deployed planner's schedules, and of its minute, which finds what is new by itself.

    Its own minute may come in between; whatever wants a pair first, nothing else wants it too.
    """
    for horizon in ("today", "week", "month", "week"):
        assert plan(stack, horizon=horizon).keys() == {"planned", "merged"}
    horizons = answered(client.get("/api/v1/sync/status"), 200)["horizons"]
    pairs = sum(horizon["pairs"] for horizon in horizons.values())
    assert (pairs in (4, 5), horizons["today"]["pairs"], horizons["week"]["pairs"]) == (True, 0, 1)
    assert plan(stack).keys() == {"planned", "dropped", "waiting", "queued", "unsent"}
    runs = eventually(lambda: runs_of(client), lambda found: sum(run["fetched"] for run in found) >= pairs)
    assert [run["kind"] for run in runs if run["kind"] != "onboarding"] == ["week", "month", "week", "today"]
    planned = {run["kind"]: run["planned"] for run in runs if run["planned"]}
    assert planned in ({"week": 1, "month": pairs - 1}, {"onboarding": pairs})
    assert (sum(run["fetched"] for run in runs), sum(run["waiting"] for run in runs)) == (pairs, 0)
    assert len(desk.arrivals(tour.id)) == pairs
    assert tour.remaining() == [170, 150, 80, 20]

    new = put_up(client, desk, next(products))
    plan(stack)
    eventually(lambda: runs_of(client), lambda found: any(run["kind"] == "onboarding" for run in found))
    new.change(enabled=False)


def test_attempts_that_fail_are_counted_with_their_reasons(
    client: httpx.Client, desk: Desk, products: Iterator[str]
) -> None:
    """A partner that fails, lies or drops connections; of one that lies of one slot the others are taken in."""
    told = {
        "fail": "server_error",
        "bad_json": "bad_answer",
        "drop": "dropped",
        "missing_fields": "slot_rejected",
        "negative": "slot_rejected",
    }
    tours = {kind: put_up(client, desk, next(products)) for kind in told}
    for kind, tour in tours.items():
        tour.says(sample(), *ISLAND_WALKS)
        desk.misbehave(kind, tour.id)
    manual = begun(client)
    expected = {(tours[kind].id, code) for kind, code in told.items()}

    def failures() -> list[dict[str, Any]]:
        """Return those of all runs: which of a tour's days fails first is not said."""
        return [failure for run in runs_of(client) for failure in run_of(client, run["run_id"])["failures"]]

    found = eventually(failures, lambda found: {(each["experience_id"], each["code"]) for each in found} >= expected)
    assert {(each["experience_id"], each["code"]) for each in found} == expected
    assert {each["code"] for each in found if each["slot_id"]} == {"slot_rejected"}
    assert all(each["reason"] for each in found)
    run = eventually(lambda: run_of(client, manual["run_id"]), lambda run: run["fetched"] == 2)
    rejected = {each["slot_id"] for each in run["failures"] if each["code"] == "slot_rejected"}
    assert rejected == {"ab12"}
    assert (manual["enqueued"], run["fetched"], run["changed"], run["waiting"]) == (5, 2, 2, 3), "what failed is wanted"
    assert sum(each["failed"] for each in runs_of(client)) >= 3
    left_alone = {each["experience_id"] for each in answered(client.get("/api/v1/sync/status"), 200)["held_back"]}
    assert left_alone
    assert left_alone <= {tours[kind].id for kind in ("fail", "bad_json", "drop")}
    for kind, tour in tours.items():
        shown = [slot["startTime"] for slot in answered(tour.slots(), 200)]
        assert shown == ([slot["startTime"] for slot in ISLAND_WALKS] if told[kind] == "slot_rejected" else []), kind


def test_who_may_do_what(client: httpx.Client, tour: Tour, stack: Stack) -> None:
    """Customers read and buy; staff see to the synchronisation besides; what is sold is for admins to say."""
    synchronised(client)
    customer = signed_up(stack.base_url, tenant_of(client))
    put_up_again = {"id": "9", "name": "x", "partner": "tours", "partner_product_id": "9", "weekdays": ["mon"]}
    for method, path in (
        ("POST", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("GET", "/status"),
        ("GET", "/runs"),
        ("GET", f"/runs/{runs_of(client)[0]['run_id']}"),
        ("GET", "/shortages"),
    ):
        refused(customer.client.request(method, f"/api/v1/sync{path}"), 403, "forbidden")
    refused(customer.client.post("/api/v1/experiences", json=put_up_again), 403, "forbidden")
    theirs = Tour(customer.client, tour.desk, tour.id, tour.day)
    assert theirs.remaining() == tour.remaining()
    cart = {"items": [theirs.line(adult=1)]}
    assert answered(customer.client.post("/api/v1/reservations", json=cart, headers=keyed()), 201)["user_id"]

    answered(client.patch(f"/api/v1/users/{customer.id}", json={"role": "staff"}), 200)
    customer.sign_in()
    for days in (0, 31):
        refused(customer.client.post("/api/v1/sync", params={"days": days}), 400, "validation_failed")
    assert begun(customer.client)["run_id"] in {run["run_id"] for run in runs_of(customer.client)}
    assert answered(customer.client.post("/api/v1/sync/pause"), 200)["paused_by"] == customer.id
    refused(customer.client.post("/api/v1/experiences", json=put_up_again), 403, "forbidden")
    refused(customer.client.patch(f"/api/v1/experiences/{tour.id}", json={"enabled": False}), 403, "forbidden")


def test_a_429_closes_the_tap_until_the_partners_reset(
    client: httpx.Client, tour: Tour, desk: Desk, stack: Stack
) -> None:
    """The last test of the file: until then nobody asks the partner for anything."""
    reset = round(time.time() * 1000) + 15_000
    desk.misbehave("limited", tour.id, times=1, reset=reset)
    run_id = begun(client)["run_id"]
    run = eventually(lambda: run_of(client, run_id), lambda run: run["failed"])
    assert {failure["code"] for failure in run["failures"]} == {"limited"}
    (limiter,) = answered(client.get("/api/v1/sync/status"), 200)["partners"]
    assert (limiter["tokens_left"], limiter["closed_until"] is not None) == (0, True)
    assert moment(limiter["next_grant_at"]) >= moment(limiter["closed_until"])

    def planned_anew() -> dict[str, Any]:
        """Nothing is queued for a partner that stays closed, so the minute that finds it open counts."""
        plan(stack)
        return run_of(client, run_id)

    run = eventually(planned_anew, lambda run: run["fetched"])
    assert (run["failed"], run["changed"], run["waiting"]) == (1, 1, 0)
    first, *others = desk.arrivals(tour.id)
    assert (first["status"], {arrival["status"] for arrival in others}) == (429, {200})
    assert all(arrival["at"] >= reset for arrival in others)
    assert tour.remaining() == [170, 150, 80, 20]
