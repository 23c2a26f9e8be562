"""What can be had of an experience, as both kinds of clients read it (WIRE.md, section 5)."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.catalogue.experiences.reading import months_on
from tests.engine.faults import Calls
from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api, load
from tests.handlers.tours import Tour, pax, slot
from tests.partner.products import SAMPLE_DATE, SAMPLE_DAY

CHILD, INFANT = "CHILD_5~15", "INFANT_0~4"
NOW = datetime(2025, 3, 20, 4, tzinfo=UTC)
"""Noon in Singapore, where the partner is."""

DAY = SAMPLE_DATE


@pytest.fixture(autouse=True)
def at_noon(clock: HandMovedClock) -> None:
    clock.milliseconds = round(NOW.timestamp() * 1000)


@pytest.fixture
def tour(api: Api) -> Tour:
    """A tour that runs every day, of which nothing was said yet."""
    return Tour(api).put_up()


@pytest.fixture
def calls() -> Iterator[Calls]:
    """What the function asks DynamoDB."""
    seen = Calls(load("experiences").engine().store)
    yield seen
    seen.stop()


def price(final: float, original: float, currency: str = "SGD") -> dict[str, Any]:
    return {"finalPrice": final, "originalPrice": original, "currencyCode": currency}


def dates_of(tour: Tour) -> dict[str, float]:
    """The days of which something can be had, and from which price."""
    return {day["date"]: day["price"]["finalPrice"] for day in tour.dates().json["dates"]}


def from_prices(tour: Tour) -> tuple[float, float | None]:
    """From which price the only slot of the day is shown, and the day."""
    (shown,) = tour.slots(DAY).json
    return shown["price"]["finalPrice"], dates_of(tour).get(DAY)


def test_the_seeds_sample_day_is_answered_as_the_partner_said_it(tour: Tour) -> None:
    """What the partner says is what the read routes answer, but for what older clients never saw."""
    tour.answers(DAY, SAMPLE_DAY)
    expected = []
    for said in copy.deepcopy(SAMPLE_DAY):
        types = said["paxAvailability"]
        for each in types:
            del each["isPrimary"], each["price"]["discount"]
        kept = {name: said[name] for name in ("startTime", "startDate", "remaining")}
        expected.append({**kept, "price": price(137, 237), "paxAvailability": types})
    assert tour.slots(DAY).json == expected
    for answer in (tour.slots(DAY), tour.dates()):
        assert '"finalPrice":137,"originalPrice":237,' in answer.text.replace(" ", ""), "whole prices are whole numbers"
    assert tour.dates().json == {"dates": [{"date": DAY, "price": price(137, 237)}]}


def test_the_sample_day_names_what_carts_name(tour: Tour) -> None:
    tour.answers(DAY, SAMPLE_DAY)
    found = tour.slots_to_book(DAY).json
    (shown,) = found["items"]
    assert (found["synced_at"], found["next"]) == ("2025-03-20T04:00:00.000Z", None)
    assert shown.pop("pax")[0] == {
        "type": "ADULT_12~99",
        "name": "Adult",
        "description": "12-99 years",
        "min": 1,
        "max": 20,
        "remaining": 150,
        "is_primary": True,
        "price_minor": 34_100,
        "original_price_minor": 44_100,
        "currency": "SGD",
    }
    assert shown == {
        "slot_id": "ab12",
        "experience_id": "15",
        "date": DAY,
        "start_time": "00:00",
        "end_time": "01:00",
        "remaining": 170,
        "price_minor": 13_700,
        "currency": "SGD",
        "first_seen_at": "2025-03-20T04:00:00.000Z",
        "changed_at": "2025-03-20T04:00:00.000Z",
    }
    held = tour.hold("ann", DAY, adult=2, infant=1)
    assert held.status == 201, held.text
    (shown,) = tour.slots(DAY).json
    assert shown["remaining"] == 167
    assert [each["remaining"] for each in shown["paxAvailability"]] == [148, 80, 19]


def test_wire_5_fault_a_slot_already_known_is_skipped_so_remaining_never_refreshes(tour: Tour) -> None:
    """Section 5: what is left of a slot that is known already is what the partner said last, each time."""
    for left in (10, 4, 7, 0, 3):
        assert tour.says(DAY, slot("ab12", left, pax(remaining=left + 1)))
        (shown,) = tour.slots(DAY).json
        assert (shown["remaining"], shown["paxAvailability"][0]["remaining"]) == (left, left + 1)
        assert tour.slots_to_book(DAY).json["items"][0]["remaining"] == left


def test_wire_5_fault_the_from_price_is_the_first_pax_rather_than_the_lowest(tour: Tour) -> None:
    """Section 5: the price of slot and day is the lowest payable one, wherever it stands; the original is its own."""
    tour.says(
        DAY, slot("ab12", 10, pax(final=341), pax(INFANT, final=0, original=0), pax(CHILD, final=137, original=999))
    )
    (shown,) = tour.slots(DAY).json
    assert shown["price"] == price(137, 999)
    assert tour.dates().json["dates"] == [{"date": DAY, "price": price(137, 999)}]
    tour.says(DAY, slot("ab12", 10, pax(final=341)), slot("cd34", 10, pax(final=99.5, original=99.5), start="09:00"))
    assert tour.dates().json["dates"] == [{"date": DAY, "price": price(99.5, 99.5)}]
    assert [each["price"]["finalPrice"] for each in tour.slots(DAY).json] == [99.5, 341]


def test_wire_5_fault_dates_ignores_its_two_month_window(tour: Tour, clock: HandMovedClock) -> None:
    """Section 5: from today, where the partner is, to the same day two months on, and nothing beyond."""
    for day in ("2025-03-19", "2025-03-20", "2025-03-31", "2025-05-20", "2025-05-21", "2025-09-01", "2026-03-20"):
        tour.says(day, slot(start="23:59"))
    assert list(dates_of(tour)) == ["2025-03-20", "2025-03-31", "2025-05-20"]
    clock.milliseconds = round(datetime(2025, 3, 20, 15, 58, 59, tzinfo=UTC).timestamp() * 1000)
    assert list(dates_of(tour)) == ["2025-03-20", "2025-03-31", "2025-05-20"]
    clock.advance(61)
    assert list(dates_of(tour)) == ["2025-03-31", "2025-05-20", "2025-05-21"]


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (date(2025, 3, 20), date(2025, 5, 20)),
        (date(2025, 11, 30), date(2026, 1, 30)),
        (date(2025, 12, 31), date(2026, 2, 28)),
        (date(2027, 12, 31), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 4, 29)),
        (date(2025, 6, 30), date(2025, 8, 30)),
        (date(2025, 7, 31), date(2025, 9, 30)),
        (date(2025, 10, 1), date(2025, 12, 1)),
    ],
)
def test_two_months_on_is_the_same_day_or_the_months_last(day: date, last: date) -> None:
    assert months_on(day, 2) == last


def test_what_costs_nothing_is_the_price_only_where_nothing_else_can_be_had(tour: Tour) -> None:
    free = pax(INFANT, final=0, original=5)
    tour.says(DAY, slot("ab12", 10, pax(remaining=3), free))
    assert from_prices(tour) == (341, 341)
    tour.says(DAY, slot("ab12", 10, pax(remaining=0), free))
    assert from_prices(tour) == (0, 0)
    assert tour.dates().json["dates"][0]["price"] == price(0, 5)


@pytest.mark.parametrize(
    ("child", "remaining"),
    [
        (pax(CHILD, 0, 137), 10),
        (pax(CHILD, 3, 137, min=4), 10),
        (pax(CHILD, 10, 137, min=4), 3),
    ],
    ids=["none left", "fewer than a booking takes", "the slot has fewer than a booking takes"],
)
def test_a_price_at_which_nothing_can_be_had_is_not_the_lowest(tour: Tour, child: Any, remaining: int) -> None:
    tour.says(DAY, slot("ab12", remaining, pax(final=341), child))
    assert from_prices(tour) == (341, 341)
    tour.says(DAY, slot("ab12", remaining + 10, pax(final=341), {**child, "remaining": 10, "min": 0}))
    assert from_prices(tour) == (137, 137)


def test_what_is_sold_out_is_shown_with_its_price_and_its_day_is_left_out(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", 0, pax(remaining=5), pax(CHILD, 5, 137)))
    assert from_prices(tour) == (137, None)
    tour.says(DAY, slot("ab12", 5, pax(remaining=5)))
    assert from_prices(tour) == (341, 341)


def test_a_slot_that_nobody_can_take_is_not_shown(tour: Tour) -> None:
    tour.says(DAY, {**slot("ab12", 5), "paxAvailability": []}, slot("cd34", 5, start="12:00"))
    assert [each["startTime"] for each in tour.slots(DAY).json] == ["12:00"]


def test_fewer_places_than_are_held_are_none_and_not_less(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", 5))
    assert tour.hold("ann", DAY, adult=4).status == 201
    tour.says(DAY, slot("ab12", 2))
    (shown,) = tour.slots(DAY).json
    assert (shown["remaining"], shown["paxAvailability"][0]["remaining"]) == (0, 0)
    assert dates_of(tour) == {}
    assert tour.stored(DAY).whole.available == -2


def test_slots_are_in_the_order_in_which_they_begin(tour: Tour) -> None:
    tour.says(
        DAY, slot("a", start="14:00"), slot("b", start="09:30"), slot("c", start="00:15"), slot("d", start="09:30")
    )
    assert [each["startTime"] for each in tour.slots(DAY).json] == ["00:15", "09:30", "09:30", "14:00"]
    assert [each["slot_id"] for each in tour.slots_to_book(DAY).json["items"]] == ["c", "b", "d", "a"]


def test_what_has_begun_is_offered_no_more(tour: Tour, clock: HandMovedClock, calls: Calls) -> None:
    today = "2025-03-20"
    adults = {"remaining": 5, "original": 999}
    tour.says(
        today,
        slot("ab12", 5, pax(final=300, **adults), start="13:00"),
        slot("cd34", 5, pax(final=99, **adults), start="14:30"),
        slot("ef56", 5, pax(final=200, **adults), start="16:00"),
        slot("gh78", 0, pax(final=10, **adults), start="23:00"),
    )
    tour.says(DAY, slot())

    def shown() -> tuple[list[str], list[str], float | None]:
        calls.clear()
        told = (
            [each["startTime"] for each in tour.slots(today).json],
            [each["slot_id"] for each in tour.slots_to_book(today).json["items"]],
            dates_of(tour).get(today),
        )
        assert calls.operations == ["Query"] * 3
        assert dates_of(tour)[DAY] == 341
        return told

    def until(hour: int, minute: int, second: int = 0) -> None:
        clock.milliseconds = round(datetime(2025, 3, 20, hour - 8, minute, second, tzinfo=UTC).timestamp() * 1000)

    assert shown() == (["13:00", "14:30", "16:00", "23:00"], ["ab12", "cd34", "ef56", "gh78"], 99)
    until(12, 59, 59)
    clock.advance(0.999)
    assert shown()[1:] == (["ab12", "cd34", "ef56", "gh78"], 99)
    clock.advance(0.001)
    assert tour.hold("ann", today, adult=1).faults() == {"items.0": "slot_begun"}
    assert shown()[1:] == (["cd34", "ef56", "gh78"], 99)
    until(14, 30)
    assert shown() == (["16:00", "23:00"], ["ef56", "gh78"], 200)
    until(15, 59, 59)
    assert shown()[2] == 200
    until(16, 0)
    assert shown() == (["23:00"], ["gh78"], None), "nothing is left of what is still to begin"
    until(23, 0)
    assert shown() == ([], [], None)


def test_once_what_is_in_one_currency_has_begun_the_day_has_a_price_in_the_other(
    tour: Tour, clock: HandMovedClock
) -> None:
    today = "2025-03-20"
    dollars = pax(final=5, original=5)
    dollars["price"]["currencyCode"] = "USD"
    tour.says(today, {**slot("ab12", 5, dollars, start="18:00"), "currencyCode": "USD"}, slot("cd34", 5, start="13:00"))
    assert tour.dates().json["dates"] == [{"date": today, "price": price(341, 441)}]
    clock.advance(3_600)
    assert tour.dates().json["dates"] == [{"date": today, "price": price(5, 5, "USD")}]


def test_a_slot_that_is_put_off_is_offered_until_then(tour: Tour, clock: HandMovedClock) -> None:
    today = "2025-03-20"
    tour.says(today, slot(start="13:00"))
    clock.advance(1_800)
    tour.says(today, slot(start="18:00"))
    clock.advance(3_600)
    assert ([each["startTime"] for each in tour.slots(today).json], dates_of(tour)) == (["18:00"], {today: 341})


def test_what_vanished_is_not_shown_until_it_is_back(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", 5, pax(remaining=5), pax(CHILD, 5, 137)))
    tour.says(DAY, slot("ab12", 5, pax(remaining=5)))
    assert [each["type"] for each in tour.slots(DAY).json[0]["paxAvailability"]] == ["ADULT_12~99"]
    tour.says(DAY)
    assert (tour.slots(DAY).json, tour.slots_to_book(DAY).json["items"], dates_of(tour)) == ([], [], {})
    tour.says(DAY, slot("ab12", 4, pax(remaining=4), pax(CHILD, 4, 137)))
    assert from_prices(tour) == (137, 137)
    assert [each["remaining"] for each in tour.slots(DAY).json[0]["paxAvailability"]] == [4, 4]


def test_prices_have_their_currencys_places(tour: Tour) -> None:
    def said(currency: str, final: float) -> Any:
        adult = pax(final=final, original=final)
        adult["price"]["currencyCode"] = currency
        return {**slot("ab12", 5, adult), "currencyCode": currency}

    for currency, final, minor in (("JPY", 1_500, 1_500), ("KWD", 1.234, 1_234), ("SGD", 0.07, 7)):
        tour.says(DAY, said(currency, final))
        assert tour.slots(DAY).json[0]["price"] == price(final, final, currency)
        assert tour.dates().json["dates"][0]["price"] == price(final, final, currency)
        shown = tour.slots_to_book(DAY).json["items"][0]
        assert (shown["price_minor"], shown["currency"]) == (minor, currency)


def test_a_day_of_several_currencies_has_the_price_of_the_first_to_begin(tour: Tour) -> None:
    adult = pax(final=5)
    adult["price"]["currencyCode"] = "USD"
    later = {**slot("ab12", 5, adult, start="18:00"), "currencyCode": "USD"}
    tour.says(DAY, later, slot("cd34", 5, start="09:00"))
    assert tour.dates().json["dates"] == [{"date": DAY, "price": price(341, 441)}]


def test_an_experience_that_is_disabled_has_nothing_until_it_is_enabled_and_synced(tour: Tour) -> None:
    week = [(date.fromisoformat(DAY) + timedelta(days=number)).isoformat() for number in range(7)]
    for day in week:
        tour.says(day, slot("ab12"), slot("cd34", start="12:00"))
    assert len(dates_of(tour)) == 7
    assert tour.api.patch("/api/v1/experiences/15", {"enabled": False}).status == 200
    assert dates_of(tour) == {}
    for day in week:
        assert (tour.slots(day).json, tour.slots_to_book(day).json["items"]) == ([], [])
        assert tour.hold("ann", day, adult=1).faults() == {"items.0": "not_on_sale"}
        assert not tour.says(day, slot("ab12")), "an answer that was asked for before"
        assert tour.slots(day).json == []
    assert tour.api.patch("/api/v1/experiences/15", {"enabled": True}).status == 200
    assert dates_of(tour) == {}
    assert tour.says(week[0], slot("ab12"))
    assert list(dates_of(tour)) == week[:1]


def test_days_on_which_it_does_not_run_any_more_are_closed(tour: Tour) -> None:
    days = {"2025-03-23": "sun", "2025-03-24": "mon", "2025-03-25": "tue"}
    for day in days:
        tour.says(day, slot())
    tour.api.patch("/api/v1/experiences/15", {"weekdays": ["mon", "wed"]})
    assert list(dates_of(tour)) == ["2025-03-24"]
    assert [len(tour.slots(day).json) for day in days] == [0, 1, 0]
    assert not tour.says("2025-03-23", slot(remaining=7))
    assert tour.slots("2025-03-23").json == []


@pytest.mark.parametrize(
    "query", ["", "?date=", "?date=2025-3-23", "?date=2025-02-30", "?date=today", "?day=2025-03-23"]
)
def test_a_day_that_is_none_is_named(tour: Tour, query: str) -> None:
    for address in ("/api/v1/experience/15/slots", "/api/v1/experiences/15/slots"):
        refused = tour.api.get(address + query)
        assert (refused.status, list(refused.faults())) == (400, ["date"])
        if "?date=" in query:
            assert [each["message"] for each in refused.json["errors"]] == ["Not a date, written YYYY-MM-DD."]


def test_what_a_date_is_stands_in_the_api_document() -> None:
    document = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())
    for path in ("experience/{experience_id}/slots", "experiences/{experience_id}/slots"):
        (day,) = [each for each in document["paths"][f"/api/v1/{path}"]["get"]["parameters"] if each["name"] == "date"]
        schema = day["schema"]
        assert (schema["pattern"], schema["format"]) == ("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "date")


def test_a_day_of_which_nothing_is_known_is_empty_and_an_unknown_experience_is_none(tour: Tour, api: Api) -> None:
    assert (tour.slots(DAY).status, tour.slots(DAY).json) == (200, [])
    assert tour.dates().json == {"dates": []}
    assert tour.slots_to_book(DAY).json == {"items": [], "synced_at": None, "next": None}
    unknown = Tour(api, "16")
    for answer in (unknown.slots(DAY), unknown.slots_to_book(DAY), unknown.dates()):
        assert (answer.status, answer.code) == (404, "experience_not_found")


def test_each_read_is_one_query(tour: Tour, calls: Calls) -> None:
    tour.says(DAY, slot("ab12"), slot("cd34", start="12:00"))
    calls.clear()
    for read in (tour.slots, tour.slots_to_book):
        assert read(DAY).status == 200
    assert tour.dates().status == 200
    assert calls.operations == ["Query"] * 3


def test_what_is_empty_is_one_query_too_once_it_is_known_that_there_is_the_experience(tour: Tour, calls: Calls) -> None:
    tour.says(DAY)
    calls.clear()
    assert tour.slots(DAY).json == []
    assert calls.operations == ["Query"]
    assert tour.slots("2025-03-24").json == []
    assert calls.operations == ["Query", "Query", "GetItem"]
    assert tour.slots("2025-03-25").json == []
    assert tour.dates().json == {"dates": []}
    assert calls.operations == ["Query", "Query", "GetItem", "Query", "Query"]


READS = ("slots", "slots_to_book", "dates")


def ask(tour: Tour, read: str, known: str | None = None) -> Answer:
    headers = {} if known is None else {"If-None-Match": known}
    if read == "dates":
        return tour.dates(headers=headers)
    return tour.slots(DAY, headers=headers) if read == "slots" else tour.slots_to_book(DAY, headers=headers)


@pytest.mark.parametrize("read", READS)
def test_how_stale_an_answer_is_stands_in_its_headers(tour: Tour, clock: HandMovedClock, read: str) -> None:
    asked_at = clock.milliseconds
    clock.advance(95.9)
    tour.says(DAY, slot(), asked_at=asked_at)
    answer = ask(tour, read)
    assert answer.headers["Last-Modified"] == "Thu, 20 Mar 2025 04:00:00 GMT"
    assert (answer.headers["Age"], answer.headers["Cache-Control"]) == ("95", "private, max-age=10")
    assert answer.headers["Vary"] == "Authorization"


@pytest.mark.parametrize("read", READS)
def test_an_answer_that_lost_its_age_on_the_way_is_fresh_for_no_longer(
    tour: Tour, clock: HandMovedClock, read: str
) -> None:
    """Gateways may rename Age: a client then takes all of max-age to be left, however old the answer is."""
    tour.says(DAY, slot())
    clock.advance(20 * 3_600)
    assert ask(tour, read).headers["Cache-Control"] == "private, max-age=10"


def test_days_are_as_old_as_the_one_asked_about_longest_ago_and_changed_with_the_newest(
    tour: Tour, clock: HandMovedClock
) -> None:
    tour.says("2025-04-20", slot("ab12", 0))
    clock.advance(40)
    tour.says(DAY, slot())
    clock.advance(100)
    tour.says("2025-03-24", slot())
    clock.advance(60)
    answer = tour.dates()
    assert list(dates_of(tour)) == [DAY, "2025-03-24"]
    assert (answer.headers["Age"], answer.headers["Last-Modified"]) == ("160", "Thu, 20 Mar 2025 04:02:20 GMT")
    assert ask(tour, "slots").headers["Age"] == "160"
    for day in (DAY, "2025-03-24"):
        tour.says(day)
    clock.advance(10)
    assert (tour.dates().json, tour.dates().headers["Age"]) == ({"dates": []}, "210"), "of the days left out"


@pytest.mark.parametrize("read", READS)
def test_of_what_was_never_synced_no_age_is_told(tour: Tour, read: str) -> None:
    answer = ask(tour, read)
    assert answer.headers["Cache-Control"] == "private, max-age=10"
    assert not {"Age", "Last-Modified"} & set(answer.headers)
    assert ask(tour, read, answer.headers["ETag"]).status == 304


@pytest.mark.parametrize("read", READS)
def test_who_has_the_answer_is_not_sent_it_again(tour: Tour, clock: HandMovedClock, read: str) -> None:
    tour.says(DAY, slot())
    first = ask(tour, read)
    tag = first.headers["ETag"]
    assert first.status == 200
    assert tag[0] == tag[-1] == '"'
    clock.advance(30)
    for known in (tag, f"W/{tag}", f'"other", {tag}', f'W/"x",{tag} , "y"', "*"):
        again = ask(tour, read, known)
        assert (again.status, again.text) == (304, "")
        assert again.headers["ETag"] == tag
        assert (again.headers["Age"], again.headers["Cache-Control"]) == ("30", "private, max-age=10")
        assert again.headers["Vary"] == "Authorization"
        assert "Content-Type" not in again.headers
    for known in ('"other"', tag.strip('"'), f'{tag[:-1]}0"', "", '"'):
        assert ask(tour, read, known).status == 200
    tour.says(DAY, slot("ab12", 10, pax(final=300)), asked_at=clock.milliseconds)
    changed = ask(tour, read, tag)
    assert changed.status == 200
    assert changed.headers["ETag"] != tag
    assert changed.headers["Age"] == "0"


def test_the_same_answer_of_the_partner_makes_the_day_younger_and_is_the_same_answer(
    tour: Tour, clock: HandMovedClock
) -> None:
    tour.says(DAY, slot())
    tag = tour.slots(DAY).headers["ETag"]
    clock.advance(900)
    assert not tour.says(DAY, slot())
    for read in ("slots", "dates"):
        assert ask(tour, read).headers["Age"] == "0"
    assert ask(tour, "slots", tag).status == 304


def test_customers_read_too(tour: Tour) -> None:
    tour.says(DAY, slot())
    ann = Tour(tour.api.as_user("ann"))
    assert [ann.slots(DAY).status, ann.slots_to_book(DAY).status, ann.dates().status] == [200] * 3


def test_a_rejected_slot_is_left_as_it_is_and_reported_and_the_others_are_taken_in(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", 9), slot("cd34", 9, start="12:00"), slot("ef56", 9, start="13:00"))
    assert tour.says(
        DAY, {**slot("ab12", 1), "remaining": -1}, slot("cd34", 4, start="12:00"), slot("gh78", 2, start="14:00")
    )
    assert [(each["startTime"], each["remaining"]) for each in tour.slots(DAY).json] == [
        ("10:00", 9),
        ("12:00", 4),
        ("14:00", 2),
    ]
    header = tour.raw(DAY, "-")
    assert [slot_id for slot_id, _ in json.loads(header["rejected"]["S"])] == ["ab12"]
    said = {**slot("cd34", 4, start="12:00"), "providerSlotId": None}
    assert tour.says(DAY, said, slot("gh78", 1, start="14:00"))
    assert len(tour.slots(DAY).json) == 3, "which slot was rejected is not known: none is closed"
    tour.says(DAY, slot("gh78", 1, start="14:00"))
    assert "rejected" not in tour.raw(DAY, "-")


def test_fields_that_nobody_knows_are_kept_aside(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", variantId=122), slot("cd34", note="x" * 3_000), slot("ef56", note="short"))
    assert json.loads(tour.raw(DAY, "-")["aside"]["S"]) == [
        ["ab12", {"variantId": 122}],
        ["ef56", {"note": "short"}],
    ]
    tour.says(DAY, slot("ab12"))
    assert "aside" not in tour.raw(DAY, "-")


def test_a_long_description_is_cut(tour: Tour) -> None:
    tour.says(DAY, slot("ab12", 5, pax(description="x" * 1_000)))
    assert tour.slots(DAY).json[0]["paxAvailability"][0]["description"] == "x" * 250
