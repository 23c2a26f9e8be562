"""Summaries of days follow what is held and sold, by the table's stream: once a price or a shortage changes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Unavailable
from holdfast.platform.items import ShortageItem
from holdfast.platform.tables import Keys
from tests.engine.faults import Calls, throttled
from tests.handlers.account import TABLE, HandMovedClock
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import record
from tests.handlers.tours import Tour, pax, slot

CHILD = "CHILD_5~15"
DAY, NEXT_DAY = "2023-11-16", "2023-11-17"


@pytest.fixture(autouse=True)
def before(clock: HandMovedClock) -> None:
    """It is two days before."""
    clock.milliseconds = 1_700_000_000_000


@pytest.fixture
def tour(api: Api) -> Tour:
    """A tour of five adults and two children a day, for two days."""
    tour = Tour(api).put_up()
    for day in (DAY, NEXT_DAY):
        tour.says(day, slot("ab12", 7, pax(remaining=5), pax(CHILD, 2, 137)), slot("cd34", 5, start="12:00"))
    return tour


@pytest.fixture
def calls() -> Iterator[Calls]:
    """What the recorder asks DynamoDB."""
    seen = Calls(load("event_recorder")._engine().store)
    yield seen
    seen.stop()


def recorded(*records: dict[str, Any]) -> list[str]:
    """Hand records to the recorder; return from which on it wants to be asked again."""
    answer = load("event_recorder").handler({"Records": list(records)}, LambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def change(tour: Tour, day: str, act: Any, number: int = 1, slot_id: str = "ab12") -> dict[str, Any]:
    """Do something, and return what the stream tells of a slot then."""
    old = tour.raw(day, slot_id)
    act()
    return record(number, tour.raw(day, slot_id), old)


def prices(tour: Tour) -> dict[str, float]:
    return {day["date"]: day["price"]["finalPrice"] for day in tour.dates().json["dates"]}


def shortages(store: Store, tour: Tour) -> dict[str, int]:
    items = store.query(Keys(tour.api.tenant).shortages()).items
    read = [ShortageItem.from_raw_data(item) for item in items]
    return {f"{item.date} {item.experience_id} {item.slot_id}": item.missing for item in read}


def test_a_hold_of_the_last_places_at_a_price_changes_from_which_price_the_day_is_had(tour: Tour, calls: Calls) -> None:
    held: list[Any] = []
    changed = change(tour, DAY, lambda: held.append(tour.hold("ann", DAY, child=2)))
    assert prices(tour) == {DAY: 137, NEXT_DAY: 137}
    assert recorded(changed) == []
    assert prices(tour) == {DAY: 341, NEXT_DAY: 137}
    assert calls.operations == ["GetItem", "Query", "PutItem"]
    released = change(tour, DAY, lambda: tour.api.delete(f"/api/v1/reservations/{held[0].json['id']}", headers={}), 2)
    assert recorded(released) == []
    assert prices(tour) == {DAY: 137, NEXT_DAY: 137}


def test_a_hold_that_changes_no_price_asks_nothing(tour: Tour, calls: Calls) -> None:
    changed = [change(tour, DAY, lambda user=user: tour.hold(user, DAY, adult=1), n) for n, user in enumerate("ab")]
    assert recorded(*changed) == []
    assert calls.operations == []
    assert prices(tour) == {DAY: 137, NEXT_DAY: 137}


def test_many_changes_of_one_day_are_one_new_summary(tour: Tour, calls: Calls) -> None:
    changes = [
        change(tour, DAY, lambda: tour.hold("ann", DAY, child=2), 1),
        change(tour, DAY, lambda: tour.hold("bob", DAY, adult=5), 2),
        change(tour, DAY, lambda: tour.hold("cid", DAY, "cd34", adult=5), 3, "cd34"),
        change(tour, NEXT_DAY, lambda: tour.hold("dan", NEXT_DAY, child=2), 4),
    ]
    assert recorded(*changes) == []
    assert calls.operations == ["GetItem", "Query", "PutItem"] * 2
    assert prices(tour) == {NEXT_DAY: 341}


def test_what_is_told_twice_or_late_makes_the_summary_of_what_is_now(tour: Tour) -> None:
    first = change(tour, DAY, lambda: tour.hold("ann", DAY, child=2))
    second = change(tour, DAY, lambda: tour.hold("bob", DAY, adult=5))
    assert recorded(second) == recorded(first) == recorded(first) == []
    assert prices(tour) == {DAY: 341, NEXT_DAY: 137}, "the other slot has adults left"


def test_what_could_not_be_made_anew_is_handed_back(tour: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise Unavailable

    changes = [change(tour, DAY, lambda: tour.hold("ann", DAY, child=2), 7)]
    changes.append(change(tour, DAY, lambda: tour.hold("bob", DAY, adult=5), 8))
    with monkeypatch.context() as outage:
        outage.setattr(Store, "query", silent)
        assert recorded(*changes) == ["7"]
    assert recorded(*changes) == []
    assert prices(tour) == {DAY: 341, NEXT_DAY: 137}


def test_a_throttle_is_waited_out(tour: Tour, calls: Calls) -> None:
    changed = change(tour, DAY, lambda: tour.hold("ann", DAY, child=2))
    calls.trouble(throttled, "PutItem")
    assert recorded(changed) == []
    assert prices(tour)[DAY] == 341


def test_a_slot_that_nobody_can_read_is_put_aside_and_stands_in_no_others_way(tour: Tour, aws: Any) -> None:
    changed = change(tour, DAY, lambda: tour.hold("ann", DAY, child=2), 2)
    broken = record(1, {**changed["dynamodb"]["NewImage"], "pax": {"S": "{"}}, changed["dynamodb"]["OldImage"])
    assert recorded(broken, changed) == []
    assert prices(tour)[DAY] == 341
    (message,) = aws.messages(aws.dead_letters)
    assert json.loads(message["Body"])["dynamodb"]["SequenceNumber"] == "1"


def test_what_falls_short_is_told_and_taken_back_once_it_is_over(
    tour: Tour, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tour.hold("ann", DAY, adult=4).json["id"]
    assert tour.hold("bob", DAY, child=2).status == 201
    assert shortages(store, tour) == {}
    tour.says(DAY, slot("ab12", 3, pax(remaining=3), pax(CHILD, 2, 137)), slot("cd34", 5, start="12:00"))
    assert shortages(store, tour) == {f"{DAY} 15 ab12": 3}
    logged = capsys.readouterr().out
    assert '"SlotShortages":[1.0]' in logged
    assert '"missing":3' in logged
    refused = tour.hold("cid", DAY, adult=1)
    assert refused.faults() == {"items.0": "insufficient_stock"}
    shown = tour.api.get(f"/api/v1/reservations/{held}").json["items"]
    assert [line["is_short"] for line in shown] == [True], "flagged, not cut"
    tour.says(DAY, slot("ab12", 5, pax(remaining=4), pax(CHILD, 2, 137)), slot("cd34", 5, start="12:00"))
    assert shortages(store, tour) == {f"{DAY} 15 ab12": 1}
    assert "SlotShortages" not in capsys.readouterr().out, "it became less"
    over = change(tour, DAY, lambda: tour.api.delete(f"/api/v1/reservations/{held}"))
    assert recorded(over) == []
    assert shortages(store, tour) == {}


def test_what_falls_short_of_a_day_that_is_over_is_nobodys_trouble_any_more(
    tour: Tour, store: Store, clock: HandMovedClock
) -> None:
    for day in (DAY, NEXT_DAY):
        assert tour.hold("ann", day, adult=4).status == 201
        tour.says(day, slot("ab12", 3, pax(remaining=3)))

    def listed() -> list[str]:
        api = tour.api
        dates = [each["date"] for each in api.get("/api/v1/sync/shortages").json["items"]]
        assert api.get("/api/v1/sync/status").json["shortages"] == len(dates)
        return dates

    assert listed() == [DAY, NEXT_DAY]
    token = tour.api.get("/api/v1/sync/shortages?limit=1").json["next"]
    over = datetime(2023, 11, 18, tzinfo=UTC)
    clock.milliseconds = round(over.timestamp() * 1000) - 1
    assert listed() == [DAY, NEXT_DAY], "west of Greenwich it is still that day"
    clock.advance(0.001)
    assert listed() == [NEXT_DAY]
    clock.advance(86_400)
    assert listed() == []
    assert tour.api.get(f"/api/v1/sync/shortages?next={token}").json == {"items": [], "next": None}
    kept = [ShortageItem.from_raw_data(item) for item in store.query(Keys(tour.api.tenant).shortages()).items]
    assert [(item.date, item.ttl) for item in kept] == [
        (DAY, round(datetime(2023, 11, 19, tzinfo=UTC).timestamp())),
        (NEXT_DAY, round(datetime(2023, 11, 20, tzinfo=UTC).timestamp())),
    ]


def test_a_day_that_was_never_taken_in_whole_is_not_shown(tour: Tour, store: Store) -> None:
    """The answer that is being taken in makes it known; the stream may be faster."""
    keys = Keys(tour.api.tenant)
    late = "2023-11-18"
    image = {**tour.raw(DAY), "pk": {"S": keys.slots("15", late)}}
    store._connection.client.put_item(TableName=TABLE, Item=image)
    assert recorded(record(1, image)) == []
    assert prices(tour) == {DAY: 137, NEXT_DAY: 137}
    assert tour.says(late, slot())
    assert prices(tour) == {DAY: 137, NEXT_DAY: 137, late: 341}


def test_headers_and_other_items_of_the_stream_are_no_slots(tour: Tour, calls: Calls) -> None:
    header = tour.raw(DAY, "-")
    assert recorded(record(1, header), record(2, header, header), record(3, None, tour.raw(DAY))) == []
    assert calls.operations == []
