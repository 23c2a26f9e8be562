"""Events, ticket types, seat maps and what is left of them, as older clients see them (WIRE.md, section 2)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pynamodb.expressions.operand import Path

from holdfast.catalogue.events import blocks, seat_plan
from holdfast.claims.unit import UnitChange, acquire, confirm
from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.tables import Key, Keys
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api, LambdaContext, event, load

OPENING = {"name": "Opening night", "date": "2031-06-01T19:30:00Z", "venue": "Old Theatre"}
VIP = {"ticketType": "VIP", "price": 80, "numbered": True}
GENERAL = {"ticketType": "General", "price": "29.50", "numbered": False, "quantity": 50}


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function read and write one block at a time, as moto needs it."""
    monkeypatch.setattr(blocks, "THREADS", 1)


def new_event(api: Api, *kinds: dict[str, Any]) -> str:
    """Announce an event with kinds of tickets and return its id."""
    event_id = str(api.post("/api/events", OPENING).json["id"])
    for kind in kinds:
        assert api.post(f"/api/events/{event_id}/ticket-types", kind).status == 201
    return event_id


def seat_map(rows: int, seats: int, ticket_type: Any = 1) -> dict[str, Any]:
    """Return the body that uploads so many rows of so many seats."""
    numbers = list(range(1, seats + 1))
    return {
        "ticketTypeId": ticket_type,
        "rows": [{"rowNumber": row, "seatNumbers": numbers} for row in range(1, rows + 1)],
    }


def upload(api: Api, event_id: str, body: dict[str, Any], **options: Any) -> Answer:
    """Upload seats."""
    return api.post(f"/api/events/{event_id}/seats", body, **options)


def seat(api: Api, event_id: str, row: int | str, number: int | str, ticket_type: str = "1", block: int = 0) -> Key:
    """Return the key of a seat."""
    return Keys(api.tenant).seat(event_id, ticket_type, block, str(row), str(number))


def change(store: Store, *changes: UnitChange) -> None:
    """Let somebody hold or buy seats."""
    for one in changes:
        store.write(one.write())


def statuses(answer: Answer) -> dict[str, str]:
    """Return what an initial call says of each seat."""
    return {found["id"]: found["status"] for found in answer.json["seatData"]}


def test_an_event_is_announced_read_and_listed(api: Api) -> None:
    created = api.post("/api/events", OPENING | {"description": "Doors open at seven.", "colour": "red"})
    assert created.status == 201
    assert {name: created.json[name] for name in OPENING} == OPENING
    assert (created.json["id"], created.json["description"]) == ("1", "Doors open at seven.")
    assert api.get("/api/events/1").json == created.json | {"ticketTypes": []}
    assert api.get("/api/events").json == {"items": [created.json], "next": None}


def test_events_are_numbered_in_the_order_of_their_creation_for_each_tenant(api: Api) -> None:
    assert [new_event(api) for _ in range(3)] == ["1", "2", "3"]
    assert new_event(Api(f"{api.tenant}x")) == "1"


@pytest.mark.parametrize(
    "date", ["2031-06-01", "2031-06-01T19:30", "2031-06-01T19:30:00.250Z", "2031-06-01T19:30:00+05:30"]
)
def test_a_date_or_a_time_is_kept_as_it_was_written(api: Api, date: str) -> None:
    assert api.post("/api/events", OPENING | {"date": date}).json["date"] == date


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"venue": None}, "venue"),
        ({"venue": "x" * 201}, "venue"),
        ({"description": "x" * 4001}, "description"),
        ({"date": "tomorrow"}, "date"),
        ({"date": "2031-02-30"}, "date"),
        ({"date": "2031-06-01T25:00:00Z"}, "date"),
        ({"date": "01.06.2031"}, "date"),
        ({"date": 1_900_000_000}, "date"),
        ({"date": "2031-06-01\n"}, "date"),
    ],
)
def test_what_is_no_event_is_refused_and_the_field_named(api: Api, body: dict[str, Any], fault: str) -> None:
    answer = api.post("/api/events", OPENING | body)
    assert (answer.status, answer.code, list(answer.faults())) == (400, "validation_failed", [fault])
    assert api.get("/api/events").json["items"] == []


def test_events_are_listed_in_pages_in_the_order_of_their_ids(api: Api) -> None:
    for _ in range(11):
        new_event(api)
    listed, token = [], ""
    while True:
        page = api.get(f"/api/events?limit=4{token}").json
        listed += [found["id"] for found in page["items"]]
        if page["next"] is None:
            break
        token = f"&next={page['next']}"
    assert listed == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize("token", ["x", "MTA", "1", "%00"])
def test_a_page_token_that_was_tampered_with_is_400(api: Api, token: str) -> None:
    event_id = new_event(api, VIP)
    paths = ("/api/events?", f"/api/initial-call/{event_id}?", f"/api/v1/events/{event_id}/seats?")
    for path in paths:
        answer = api.get(f"{path}next={token}")
        assert (answer.status, list(answer.faults())) == (400, ["next"])


def test_a_page_token_of_another_tenant_or_list_is_400(api: Api) -> None:
    for _ in range(3):
        new_event(api)
    token = api.get("/api/events?limit=1").json["next"]
    assert api.get(f"/api/events?limit=1&next={token}").status == 200
    assert Api(f"{api.tenant}x").get(f"/api/events?limit=1&next={token}").status == 400
    assert api.get(f"/api/initial-call/1?next={token}").status == 400


def test_a_ticket_type_has_any_name_and_is_priced(api: Api) -> None:
    event_id = new_event(api)
    made = api.post(f"/api/events/{event_id}/ticket-types", GENERAL | {"currency": "EUR", "maxPerUser": 4})
    assert made.status == 201
    assert made.json == {
        "ticketTypeId": "1",
        "ticketType": "General",
        "price": 29.5,
        "currency": "EUR",
        "numbered": False,
        "quantity": 50,
        "maxPerUser": 4,
    }
    other = api.post(f"/api/events/{event_id}/ticket-types", VIP | {"ticketType": "Very nearly <VIP>"}).json
    assert (other["ticketTypeId"], other["ticketType"], other["currency"]) == ("2", "Very nearly <VIP>", "USD")
    assert (other["quantity"], other["numbered"]) == (0, True)
    assert api.get(f"/api/events/{event_id}").json["ticketTypes"] == [made.json, other]


def test_each_event_counts_its_own_ticket_types(api: Api) -> None:
    first, second = new_event(api, VIP, GENERAL), new_event(api, GENERAL)
    ids = [kind["ticketTypeId"] for kind in api.get(f"/api/events/{first}").json["ticketTypes"]]
    assert ids == ["1", "2"]
    assert len(api.get(f"/api/events/{second}").json["ticketTypes"]) == 1


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"ticketType": ""}, "ticketType"),
        ({"ticketType": "x" * 101}, "ticketType"),
        ({"price": None}, "price"),
        ({"price": -1}, "price"),
        ({"price": "0.001"}, "price"),
        ({"price": "1.5", "currency": "JPY"}, "price"),
        ({"currency": "usd"}, "currency"),
        ({"numbered": "yes"}, "numbered"),
        ({"numbered": None}, "numbered"),
        ({"quantity": None}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": 10_000_001}, "quantity"),
        ({"maxPerUser": 0}, "maxPerUser"),
        ({"expectedPeakPerSecond": 0}, "expectedPeakPerSecond"),
    ],
)
def test_what_is_no_ticket_type_is_refused_and_the_field_named(api: Api, body: dict[str, Any], fault: str) -> None:
    event_id = new_event(api)
    answer = api.post(f"/api/events/{event_id}/ticket-types", GENERAL | body)
    assert (answer.status, answer.code, list(answer.faults())) == (400, "validation_failed", [fault])
    assert api.get(f"/api/events/{event_id}").json["ticketTypes"] == []


def test_counted_tickets_are_spread_over_as_many_counters_as_their_peak_needs(api: Api, store: Store) -> None:
    event_id = new_event(api, GENERAL | {"quantity": 1_001, "expectedPeakPerSecond": 1_000})
    keys = [Keys(api.tenant).ticket_shard(event_id, "1", number) for number in range(4)]
    units = [int(item["available"]["N"]) for item in store.batch_get(keys).values()]
    assert sorted(units) == [250, 250, 250, 251]
    (kind,) = api.get(f"/api/initial-call/{event_id}").json["tickets"]
    assert (kind["quantity"], kind["availableCount"]) == (1_001, 1_001)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/events/9", "event_not_found"),
        ("/api/initial-call/9", "event_not_found"),
        ("/api/v1/events/9/seats", "event_not_found"),
        ("/api/initial-call/1?ticketTypeId=9", "ticket_type_not_found"),
        ("/api/v1/events/1/seats?ticket_type_id=9", "ticket_type_not_found"),
    ],
)
def test_what_is_not_there_is_404(api: Api, path: str, code: str) -> None:
    new_event(api)
    answer = api.get(path)
    assert (answer.status, answer.code) == (404, code)


def test_a_ticket_type_of_no_event_and_seats_of_no_ticket_type_are_404(api: Api) -> None:
    assert api.post("/api/events/9/ticket-types", VIP).code == "event_not_found"
    new_event(api)
    assert upload(api, "1", seat_map(1, 1)).code == "ticket_type_not_found"


def test_another_tenants_event_is_404(api: Api) -> None:
    event_id = new_event(api, VIP)
    upload(api, event_id, seat_map(1, 2))
    other = Api(f"{api.tenant}x")
    for path in (f"/api/events/{event_id}", f"/api/initial-call/{event_id}", f"/api/v1/events/{event_id}/seats"):
        assert other.get(path).status == 404
    assert other.get(f"/api/initial-call/{event_id}?ticketTypeId=1").status == 404
    assert other.post(f"/api/events/{event_id}/ticket-types", VIP).status == 404
    assert upload(other, event_id, seat_map(1, 2)).status == 404
    assert other.get("/api/events").json["items"] == []


@pytest.mark.parametrize("roles", ["customer", "service", "staff", "service staff"])
def test_only_an_admin_announces_events_and_puts_seats_on_sale(api: Api, aws: Aws, roles: str) -> None:
    event_id = new_event(api, VIP)
    before = aws.dump()
    limited = api.with_roles(roles)
    refused = [
        limited.post("/api/events", OPENING),
        limited.post(f"/api/events/{event_id}/ticket-types", VIP),
        upload(limited, event_id, seat_map(1, 1)),
    ]
    assert [(answer.status, answer.code) for answer in refused] == [(403, "forbidden")] * 3
    assert aws.dump() == before
    assert limited.get(f"/api/initial-call/{event_id}").status == 200
    assert limited.get("/api/events").status == 200


def test_a_seat_map_is_uploaded_in_bulk_and_repeating_it_changes_nothing(api: Api, aws: Aws) -> None:
    event_id = new_event(api, VIP)
    first = upload(api, event_id, seat_map(3, 4))
    assert (first.status, first.json) == (200, {"created": 12, "existing": 0, "remaining": 0, "total": 12})
    after = aws.dump()
    again = upload(api, event_id, seat_map(3, 4))
    assert (again.status, again.json) == (200, {"created": 0, "existing": 12, "remaining": 0, "total": 12})
    assert aws.dump() == after


def test_a_seat_map_grows_by_seats_and_rows(api: Api) -> None:
    event_id = new_event(api, VIP)
    upload(api, event_id, seat_map(2, 3))
    further = upload(api, event_id, seat_map(3, 4))
    assert further.json == {"created": 6, "existing": 6, "remaining": 0, "total": 12}
    answer = api.get(f"/api/initial-call/{event_id}")
    assert len(statuses(answer)) == 12
    (kind,) = answer.json["tickets"]
    assert (kind["quantity"], kind["availableCount"]) == (12, 12)


def test_rows_and_seats_are_labels_and_older_clients_see_numbers_as_numbers(api: Api) -> None:
    event_id = new_event(api, VIP)
    rows = [{"rowNumber": "12", "seatNumbers": [7, "8"]}, {"rowNumber": "AA", "seatNumbers": ["01", "B"]}]
    upload(api, event_id, {"ticketTypeId": "1", "rows": rows})
    seats = api.get(f"/api/initial-call/{event_id}").json["seatData"]
    assert [(found["rowNumber"], found["seatNumber"]) for found in seats] == [
        (12, 7),
        (12, 8),
        ("AA", "01"),
        ("AA", "B"),
    ]
    assert seats[0] == {
        "id": "seat:1:1:12:7",
        "eventId": "1",
        "ticketTypeId": "1",
        "rowNumber": 12,
        "seatNumber": 7,
        "status": "available",
    }


def test_seat_twice_in_one_request_is_400_and_named(api: Api, aws: Aws) -> None:
    event_id = new_event(api, VIP)
    before = aws.dump()
    rows = [
        {"rowNumber": 1, "seatNumbers": [1, 2, "1"]},
        {"rowNumber": 2, "seatNumbers": [1]},
        {"rowNumber": "1", "seatNumbers": [3, 2]},
    ]
    answer = upload(api, event_id, {"ticketTypeId": 1, "rows": rows})
    assert answer.status == 400
    assert answer.faults() == {"rows.0.seatNumbers.2": "duplicate", "rows.2.seatNumbers.1": "duplicate"}
    assert aws.dump() == before


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"ticketTypeId": None}, "ticketTypeId"),
        ({"ticketTypeId": "a b"}, "ticketTypeId"),
        ({"rows": []}, "rows"),
        ({"rows": None}, "rows"),
        ({"rows": [{"rowNumber": 1, "seatNumbers": []}]}, "rows.0.seatNumbers"),
        ({"rows": [{"rowNumber": 1}]}, "rows.0.seatNumbers"),
        ({"rows": [{"rowNumber": 1, "seatNumbers": list(range(2_001))}]}, "rows.0.seatNumbers"),
        ({"rows": [{"rowNumber": "", "seatNumbers": [1]}]}, "rows.0.rowNumber"),
        ({"rows": [{"rowNumber": "1#2", "seatNumbers": [1]}]}, "rows.0.rowNumber"),
        ({"rows": [{"rowNumber": "x" * 9, "seatNumbers": [1]}]}, "rows.0.rowNumber"),
        ({"rows": [{"rowNumber": True, "seatNumbers": [1]}]}, "rows.0.rowNumber"),
        ({"rows": [{"rowNumber": 1, "seatNumbers": [1, -1]}]}, "rows.0.seatNumbers.1"),
        ({"rows": [{"rowNumber": 1, "seatNumbers": [1.5]}]}, "rows.0.seatNumbers.0"),
        ({"rows": [{"rowNumber": 1, "seatNumbers": ["1\n"]}]}, "rows.0.seatNumbers.0"),
    ],
)
def test_what_is_no_seat_map_is_refused_and_the_field_named(api: Api, body: dict[str, Any], fault: str) -> None:
    event_id = new_event(api, VIP)
    answer = upload(api, event_id, seat_map(1, 1) | body)
    assert (answer.status, answer.code, list(answer.faults())) == (400, "validation_failed", [fault])


def test_counted_tickets_have_no_seats(api: Api) -> None:
    event_id = new_event(api, GENERAL)
    answer = upload(api, event_id, seat_map(1, 1))
    assert (answer.status, list(answer.faults())) == (400, ["ticketTypeId"])


def test_an_upload_whose_time_runs_short_answers_202_and_the_same_request_goes_on(api: Api) -> None:
    event_id = new_event(api, VIP)
    caller = {"tenant": api.tenant, "name": api.name, "roles": api.roles, "scopes": "*"}
    body = json.dumps(seat_map(2, 3))
    headers = {"Content-Type": "application/json"}
    request = event("POST", f"/api/events/{event_id}/seats", text=body, headers=headers, authorizer=caller)
    answer = load("events").handler(request, LambdaContext(remaining=1_000))
    assert answer["statusCode"] == 202
    assert '"created":0,"existing":0,"remaining":6,"total":6' in answer["body"].replace(" ", "")
    assert statuses(api.get(f"/api/initial-call/{event_id}")) == {}
    assert upload(api, event_id, seat_map(2, 3)).json["created"] == 6


def test_a_key_remembers_a_finished_upload_and_not_one_broken_off(api: Api) -> None:
    event_id = new_event(api, VIP)
    first = upload(api, event_id, seat_map(2, 3), key="k")
    assert first.json["created"] == 6
    assert upload(api, event_id, seat_map(2, 3), key="k").json == first.json
    other = upload(api, event_id, seat_map(2, 4), key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    second = new_event(api, VIP)
    assert upload(api, second, seat_map(2, 4), key="k").status == 200, "another event's upload is another route's"


def test_a_key_makes_an_event_and_a_ticket_type_once(api: Api, aws: Aws) -> None:
    first = api.post("/api/events", OPENING, key="k")
    kinds = [api.post("/api/events/1/ticket-types", kind, key=kind["ticketType"]) for kind in (VIP, GENERAL)]
    after = aws.dump()
    assert api.post("/api/events", OPENING, key="k").json == first.json
    for kind, made in zip((VIP, GENERAL), kinds, strict=True):
        again = api.post("/api/events/1/ticket-types", kind, key=kind["ticketType"])
        assert (again.status, again.json) == (201, made.json)
    assert api.post("/api/events", OPENING | {"name": "Other"}, key="k").status == 422
    assert api.post("/api/events/1/ticket-types", GENERAL, key="VIP").status == 422
    assert aws.dump() == after


def test_an_event_has_at_most_50_000_seats(api: Api, store: Store) -> None:
    event_id = new_event(api, VIP, VIP)
    counter = Keys(api.tenant).counter(f"seats.{event_id}")
    upload(api, event_id, seat_map(1, 3))
    raw = store.get_raw(counter)
    assert raw is not None
    assert raw["last"]["N"] == "3"
    store.write(Update(counter, [Path("last").set(49_998)]))
    over = upload(api, event_id, seat_map(1, 3, ticket_type=2))
    assert (over.status, over.code) == (409, "seat_map_full")
    assert upload(api, event_id, seat_map(1, 2, ticket_type=2)).status == 200
    assert upload(api, event_id, seat_map(2, 1, ticket_type=2)).code == "seat_map_full"
    assert upload(api, event_id, seat_map(1, 3)).json["existing"] == 3, "what is there needs no room"


def test_a_row_and_those_kept_together_with_it_have_at_most_2_000_seats(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat_plan, "MOST_SEATS", 5)
    event_id = new_event(api, VIP)
    assert upload(api, event_id, seat_map(2, 2)).status == 200
    assert upload(api, event_id, seat_map(1, 4)).code == "seat_map_full"
    assert upload(api, event_id, seat_map(1, 3)).json["created"] == 1


def test_a_ticket_type_has_at_most_5_000_rows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_plan, "MOST_ROWS", 3)
    event_id = new_event(api, VIP)
    assert upload(api, event_id, seat_map(4, 1)).code == "seat_map_full"
    assert upload(api, event_id, seat_map(3, 1)).status == 200


def test_availability_follows_holds_sales_and_the_clock(api: Api, store: Store, clock: HandMovedClock) -> None:
    event_id = new_event(api, VIP, GENERAL)
    upload(api, event_id, seat_map(1, 4))
    now, seats = clock.milliseconds, [seat(api, event_id, 1, number) for number in range(1, 5)]
    change(store, *(acquire(key, f"r-{number}", now, now + 60_000, 1) for number, key in enumerate(seats[:3])))
    change(store, confirm(seats[2], "r-2"))
    answer = api.get(f"/api/initial-call/{event_id}")
    assert list(statuses(answer).values()) == ["reserved", "reserved", "booked", "available"]
    assert [kind["availableCount"] for kind in answer.json["tickets"]] == [1, 50]
    (section,) = api.get(f"/api/v1/events/{event_id}/seats").json["sections"]
    assert section["rows"] == [{"row": "1", "seats": "1-4", "states": "rrba"}]
    clock.advance(60)
    answer = api.get(f"/api/initial-call/{event_id}")
    assert list(statuses(answer).values()) == ["available", "available", "booked", "available"], "a hold past its time"
    assert [kind["availableCount"] for kind in answer.json["tickets"]] == [3, 50]
    (section,) = api.get(f"/api/v1/events/{event_id}/seats").json["sections"]
    assert (section["available"], section["rows"][0]["states"]) == (3, "aaba")


def test_the_initial_call_shows_all_types_and_can_be_asked_for_one(api: Api) -> None:
    event_id = new_event(api, VIP, GENERAL, VIP | {"ticketType": "Balcony"})
    upload(api, event_id, seat_map(1, 2, ticket_type=1))
    upload(api, event_id, seat_map(1, 3, ticket_type=3))
    whole = api.get(f"/api/initial-call/{event_id}").json
    assert [kind["ticketTypeId"] for kind in whole["tickets"]] == ["1", "2", "3"]
    assert whole["tickets"][0] == {
        "ticketTypeId": "1",
        "ticketType": "VIP",
        "price": 80,
        "currency": "USD",
        "numbered": True,
        "quantity": 2,
        "availableCount": 2,
    }
    assert len(whole["seatData"]) == 5
    assert whole["next"] is None
    one = api.get(f"/api/initial-call/{event_id}?ticketTypeId=3").json
    assert [kind["ticketTypeId"] for kind in one["tickets"]] == ["3"]
    assert {found["ticketTypeId"] for found in one["seatData"]} == {"3"}


def test_large_events_are_seen_in_pages_with_exact_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("events"), "SEATS_A_PAGE", 8)
    monkeypatch.setattr(load("events"), "BLOCKS_A_PAGE", 2)
    event_id = new_event(api, *[VIP] * 5)
    for ticket_type in range(1, 6):
        upload(api, event_id, seat_map(1, 4, ticket_type=ticket_type))
    pages, token = [], ""
    while True:
        pages.append(api.get(f"/api/initial-call/{event_id}{token}").json)
        if pages[-1]["next"] is None:
            break
        token = f"?next={pages[-1]['next']}"
    assert [len(page["seatData"]) for page in pages] == [8, 8, 4]
    assert len({found["id"] for page in pages for found in page["seatData"]}) == 20
    assert [kind["availableCount"] for kind in pages[0]["tickets"]] == [4] * 5
    assert [page["tickets"] for page in pages[1:]] == [[], []]
    first = api.get(f"/api/v1/events/{event_id}/seats").json
    second = api.get(f"/api/v1/events/{event_id}/seats?next={first['next']}").json
    third = api.get(f"/api/v1/events/{event_id}/seats?next={second['next']}").json
    assert [len(page["sections"]) for page in (first, second, third)] == [2, 2, 1]
    assert third["next"] is None


def test_a_token_is_good_for_its_own_filter_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("events"), "SEATS_A_PAGE", 1)
    event_id = new_event(api, VIP, VIP)
    for ticket_type in (1, 2):
        upload(api, event_id, seat_map(1, 1, ticket_type=ticket_type))
    token = api.get(f"/api/initial-call/{event_id}").json["next"]
    assert api.get(f"/api/initial-call/{event_id}?next={token}").status == 200
    assert api.get(f"/api/initial-call/{event_id}?ticketTypeId=1&next={token}").status == 400


def test_compact_seats_are_asked_for_by_type_and_section(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_plan, "_FILLED_TO", 5)
    event_id = new_event(api, VIP, VIP)
    upload(api, event_id, seat_map(2, 3))
    upload(api, event_id, seat_map(1, 1, ticket_type=2))
    everything = api.get(f"/api/v1/events/{event_id}/seats").json
    shown = [(found["ticket_type_id"], found["section"], found["available"]) for found in everything["sections"]]
    assert (everything["event_id"], shown) == (event_id, [("1", 0, 3), ("1", 1, 3), ("2", 0, 1)])
    one = api.get(f"/api/v1/events/{event_id}/seats?ticket_type_id=1&section=1").json["sections"]
    assert one == [everything["sections"][1]]
    assert one[0]["rows"] == [{"row": "2", "seats": "1-3", "states": "aaa"}]
    nameless = api.get(f"/api/v1/events/{event_id}/seats?section=1")
    assert (nameless.status, list(nameless.faults())) == (400, ["ticket_type_id"])
    unknown = api.get(f"/api/v1/events/{event_id}/seats?ticket_type_id=1&section=2")
    assert (unknown.status, list(unknown.faults())) == (400, ["section"])


@pytest.mark.parametrize("query", ["section=-1&ticket_type_id=1", "section=x&ticket_type_id=1", "ticket_type_id=a-b"])
def test_a_query_that_is_none_is_400(api: Api, query: str) -> None:
    event_id = new_event(api, VIP)
    assert api.get(f"/api/v1/events/{event_id}/seats?{query}").status == 400


def test_a_body_of_more_than_a_megabyte_is_413(api: Api) -> None:
    event_id = new_event(api, VIP)
    answer = upload(api, event_id, seat_map(1, 1) | {"padding": "x" * 1_048_576})
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert upload(api, event_id, seat_map(1, 1) | {"padding": "x" * 1_000_000}).status == 200


def test_tickets_are_in_a_currency_that_the_tenant_uses(api: Api, aws: Aws) -> None:
    europe = replace(api, settings=json.dumps({"currencies": ["EUR", "GBP"]}))
    route = f"/api/events/{new_event(api)}/ticket-types"
    assert api.post(route, GENERAL).json["currency"] == "USD"
    assert europe.post(route, GENERAL).json["currency"] == "EUR"
    assert europe.post(route, VIP | {"currency": "GBP"}).json["currency"] == "GBP"
    before = aws.dump()
    answer = europe.post(route, VIP | {"currency": "USD"})
    assert (answer.status, answer.code, answer.faults()) == (
        400,
        "currency_not_used",
        {"currency": "currency_not_used"},
    )
    assert aws.dump() == before
