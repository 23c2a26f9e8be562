"""Lists of bookings: filters, pages that stay where they are, tokens that nobody bends."""

from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.catalogue.halls import booking_pages
from holdfast.platform import numbered_pages
from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import booked, new_hall, set_to

LIST = "/api/v1/bookings"


@pytest.fixture(autouse=True)
def _monday(clock: HandMovedClock) -> None:
    set_to(clock)


def on(api: Api, venue: str, day: int, **more: Any) -> str:
    """Book a day's evening in March; return the booking's id."""
    times = {"startTs": f"2027-03-{day:02d}T18:00:00Z", "endTs": f"2027-03-{day:02d}T22:00:00Z"}
    return str(booked(api, venue, f"{venue}/{day}", **times, **more)["id"])


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [booking["id"] for booking in answer.json["bookings"]]


def pages(api: Api, query: str) -> Iterator[list[str]]:
    following = None
    while True:
        answer = api.get(f"{LIST}?{query}" + (f"&next={following}" if following else ""))
        yield ids(answer)
        following = answer.json["next"]
        if following is None:
            return


def test_staff_see_the_tenants_in_the_order_of_their_start(api: Api) -> None:
    venue = new_hall(api)
    third, first, second = on(api, venue, 12), on(api, venue, 10, userId="bob"), on(api, venue, 11)
    answer = api.with_roles("staff").get(LIST)
    assert ids(answer) == [first, second, third]
    assert {name: answer.json[name] for name in ("success", "page", "limit", "next")} == {
        "success": True,
        "page": 1,
        "limit": 20,
        "next": None,
    }
    assert ids(Api(f"{api.tenant}x").get(LIST)) == []


def test_customers_see_their_own_whatever_else_they_hold(api: Api) -> None:
    venue, product = new_hall(api), api.new_product(10)
    api.hold("alice", product)
    mine = {on(api, venue, 10), on(api, venue, 11)}
    on(api, venue, 12, userId="bob")
    api.hold("alice", product)
    assert set(ids(api.as_user("alice").get(LIST))) == mine
    assert ids(api.as_user("carol").get(LIST)) == []


def test_filters_by_venue_state_and_days(api: Api, clock: HandMovedClock) -> None:
    one, other = new_hall(api), new_hall(api)
    a, b, c = on(api, one, 10), on(api, one, 11), on(api, other, 11)
    api.post(f"{LIST}/{b}/confirm")
    api.post(f"{LIST}/{c}/cancel")
    assert ids(api.get(f"{LIST}?venueId={one}")) == [a, b]
    assert ids(api.get(f"{LIST}?status=confirmed")) == [b]
    assert ids(api.get(f"{LIST}?status=cancelled")) == [c]
    assert ids(api.get(f"{LIST}?status=temp_hold")) == [a]
    assert ids(api.get(f"{LIST}?startDate=2027-03-11&venueId={one}")) == [b]
    assert ids(api.get(f"{LIST}?endDate=2027-03-10")) == [a]
    assert ids(api.get(f"{LIST}?startDate=2027-03-10T18:00:00Z&endDate=2027-03-11T18:00:00Z")) == [a]
    assert ids(api.as_user("alice").get(f"{LIST}?status=confirmed&startDate=2027-03-11")) == [b]
    clock.advance(900)
    assert ids(api.get(f"{LIST}?status=expired")) == [a]


def test_days_are_those_of_the_venue_where_one_is_named(api: Api) -> None:
    venue = new_hall(api)
    late = booked(api, venue, startTs="2027-03-10T23:30:00Z", endTs="2027-03-11T02:00:00Z")["id"]
    assert ids(api.get(f"{LIST}?venueId={venue}&startDate=2027-03-11")) == [late]
    assert ids(api.get(f"{LIST}?startDate=2027-03-11")) == []


@pytest.mark.parametrize("user", [None, "alice"])
def test_pages_hold_everything_once_also_while_others_book(api: Api, user: str | None) -> None:
    venue = new_hall(api)
    reader = api if user is None else api.as_user(user)
    made = [on(api, venue, day) for day in range(10, 15)]
    walk = pages(reader, "limit=2")
    seen = [next(walk)]
    added = on(api, venue, 9)
    seen += walk
    assert all(len(page) == 2 for page in seen[:2])
    flat = [one for page in seen for one in page]
    assert len(flat) == len(set(flat))
    assert set(flat) - {added} == set(made)


def test_pages_by_number_are_those_of_the_tokens(api: Api) -> None:
    venue = new_hall(api)
    for day in range(10, 15):
        on(api, venue, day)
    by_token = list(pages(api, "limit=2"))
    assert [ids(api.get(f"{LIST}?limit=2&page={page}")) for page in (1, 2, 3)] == by_token
    assert ids(api.get(f"{LIST}?limit=2&page=4")) == []
    second = api.get(f"{LIST}?limit=2&page=2").json
    third = api.get(f"{LIST}?limit=2&next={second['next']}")
    assert (ids(third), third.json["page"]) == (by_token[2], 3)


def test_filtered_pages_are_full_as_long_as_there_are_more(api: Api) -> None:
    venue = new_hall(api)
    made = [on(api, venue, day) for day in range(10, 16)]
    for booking in made[::2]:
        api.post(f"{LIST}/{booking}/confirm")
    assert list(pages(api, "status=confirmed&limit=2")) == [made[::2][:2], made[::2][2:]]


def test_a_page_by_number_that_is_too_far_is_400_and_never_empty_with_more_to_come(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = new_hall(api)
    made = [on(api, venue, day) for day in range(10, 18)]
    api.post(f"{LIST}/{made[-1]}/confirm")
    monkeypatch.setattr(numbered_pages, "MOST_PASSED", 4)
    monkeypatch.setattr(booking_pages, "MOST_READ_BY_STATE", 5)
    assert ids(api.get(f"{LIST}?limit=2&page=3")) == made[4:6]
    for query in ("limit=2&page=4", "status=confirmed", "status=confirmed&page=2", "status=temp_hold&limit=5&page=2"):
        answer = api.get(f"{LIST}?{query}")
        assert (answer.status, answer.faults()) == (400, {"page": "page_too_far"}), query
    assert ids(api.get(f"{LIST}?status=confirmed&startDate=2027-03-13")) == [made[-1]]
    assert list(pages(api, "status=temp_hold&limit=10")) == [made[:5], made[5:7]], "who follows `next` gets to the end"
    monkeypatch.setattr(booking_pages, "MOST_READ", 5)
    assert list(pages(api, "limit=10")) == [made[:5], made[5:]]


def test_a_page_that_goes_on_from_a_token_may_be_empty_and_still_lead_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = new_hall(api)
    made = [on(api, venue, day) for day in range(10, 18)]
    for booking in (made[0], made[-1]):
        api.post(f"{LIST}/{booking}/confirm")
    monkeypatch.setattr(booking_pages, "MOST_READ_BY_STATE", 3)
    assert list(pages(api, "status=confirmed")) == [[made[0]], [], [made[-1]]]


def test_a_page_token_that_was_tampered_with_or_is_of_another_list_names_its_field(api: Api) -> None:
    venue = new_hall(api)
    for day in (10, 11, 12):
        on(api, venue, day)
    token = api.get(f"{LIST}?limit=1").json["next"]
    other = Api(f"{api.tenant}x")
    for reader, query in (
        (api, f"next={token[:-1]}"),
        (api, f"next={'A' if token[0] != 'A' else 'B'}{token[1:]}"),
        (api, f"next={token}&status=confirmed"),
        (api, f"next={token}&venueId={venue}"),
        (api.as_user("alice"), f"next={token}"),
        (other, f"next={token}"),
        (api, "next=x"),
        (api, "next=%C3%A4"),
    ):
        answer = reader.get(f"{LIST}?limit=1&{query}")
        assert (answer.status, list(answer.faults())) == (400, ["next"]), query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=held", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("startDate=soon", "startDate"),
        ("endDate=2027-02-30", "endDate"),
        ("endDate=2027-02-01T10:00:00.0001Z", "endDate"),
        ("venueId=a%20b", "venueId"),
    ],
)
def test_a_malformed_filter_names_its_field(api: Api, query: str, field: str) -> None:
    answer = api.get(f"{LIST}?{query}")
    assert (answer.status, list(answer.faults())) == (400, [field])


@pytest.mark.parametrize("user", [None, "alice"])
@pytest.mark.parametrize(
    "query",
    [
        "startDate=2027-03-12&endDate=2027-03-11",
        "startDate=2027-03-12&endDate=2027-03-12T00:00:00Z",
        "startDate=2027-03-12T10:00:00Z&endDate=2027-03-12T10:00:00Z",
    ],
)
def test_a_list_whose_end_is_not_after_its_start_is_400_and_names_the_end(
    api: Api, user: str | None, query: str
) -> None:
    reader = api if user is None else api.as_user(user)
    answer = reader.get(f"{LIST}?{query}")
    assert (answer.status, answer.faults()) == (400, {"endDate": "end_not_after_start"})


def test_a_list_of_one_day_or_one_millisecond_is_a_list(api: Api) -> None:
    booking = on(api, new_hall(api), 12)
    assert ids(api.get(f"{LIST}?startDate=2027-03-12&endDate=2027-03-12")) == [booking]
    assert ids(api.get(f"{LIST}?startDate=2027-03-12T18:00:00Z&endDate=2027-03-12T18:00:00.001Z")) == [booking]


def test_a_list_of_an_unknown_venue_is_404(api: Api) -> None:
    assert api.get(f"{LIST}?venueId=9").code == "venue_not_found"
