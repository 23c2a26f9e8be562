"""Seat maps on DynamoDB Local: uploads that break off, are repeated, meet one another, and meet people who buy."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat

import pytest

from holdfast.catalogue.events import blocks, events, seat_map, seat_plans, ticket_types
from holdfast.catalogue.events.blocks import MOST_SEATS
from holdfast.catalogue.events.events import NewEvent
from holdfast.catalogue.events.facts import rows_of
from holdfast.catalogue.events.seat_map import Progress, Remaining
from holdfast.catalogue.events.seat_plans import Upload
from holdfast.catalogue.events.ticket_types import NewTicketType
from holdfast.claims.unit import acquire, confirm, is_free
from holdfast.platform.dynamodb import RawItem, connect
from holdfast.platform.errors import Busy, SeatMapFull, Unavailable
from holdfast.platform.items import CounterItem, UnitItem
from holdfast.platform.tables import Key, key_of, seat_of
from tests.engine.faults import (
    Calls,
    Crash,
    Trouble,
    cancelled,
    conflict,
    crash_after,
    crash_before,
    meanwhile,
    silence_after,
    throttled,
)
from tests.engine.shop import Shop

SeatMap = dict[str, list[str]]


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps follow one another, so that a busy machine's time-outs do not count in what is asserted."""
    monkeypatch.setattr(blocks, "THREADS", 1)


def plenty() -> int:
    return 60_000


def running_out(after: int) -> Remaining:
    """Return the time left of a request that has enough for so many steps."""
    left = chain(repeat(60_000, after), repeat(0))
    return lambda: next(left)


def a_map(rows: int, seats: int, first: int = 1) -> SeatMap:
    return {str(row): [str(seat) for seat in range(1, seats + 1)] for row in range(first, first + rows)}


def new_event(shop: Shop, kinds: int = 1) -> str:
    made = events.create(shop.engine, shop.tenant, NewEvent("Opening night", "2031-06-01", "Old Theatre", None), None)
    event_id = made.sk.partition(".")[2]
    for _ in range(kinds):
        ticket_types.create(shop.engine, shop.tenant, event_id, NewTicketType("VIP", 8_000, "USD", None, 4), None)
    return event_id


def upload(
    shop: Shop, seats: SeatMap, remaining: Remaining = plenty, kind: str = "1", key: str | None = None
) -> Progress:
    wanted = Upload(shop.tenant, "1", kind, seats)
    return seat_map.upload(shop.engine, wanted, remaining, shop.keyed("admin", "seats", key, seats))


def persistently(shop: Shop, seats: SeatMap) -> Progress:
    """Upload as a client does that sends the same again where the store was too slow or too busy."""
    for _ in range(20):
        try:
            return upload(shop, seats)
        except (Busy, Unavailable):
            continue
    raise AssertionError("never answered")


def stored(shop: Shop, kind: str = "1") -> dict[Key, RawItem]:
    """Return the seats of all blocks that the ticket type says it has."""
    found: dict[Key, RawItem] = {}
    item = ticket_types.get(shop.engine, shop.tenant, "1", kind)
    for block in range(len(item.blocks or [])):
        after = None
        while True:
            page = shop.store.query(shop.keys.seats("1", kind, block), limit=1_000, after=after)
            found |= {key_of(raw): raw for raw in page.items}
            after = page.after
            if after is None:
                break
    return found


def given(shop: Shop) -> int:
    """Return how many seats the event was given."""
    counter = shop.store.get(CounterItem, shop.keys.counter("seats.1"))
    return counter.last if counter else 0


def is_whole(shop: Shop, seats: Mapping[str, Sequence[str]], kind: str = "1") -> None:
    """Check that exactly these seats are there, each where its row is, as the ticket type counts them."""
    item = ticket_types.get(shop.engine, shop.tenant, "1", kind)
    found = stored(shop, kind)
    blocks = [0] * len(item.blocks or [])
    for key in found:
        row, seat = seat_of(key)
        block = rows_of(item)[row]
        assert key == shop.keys.seat("1", kind, block, row, seat), "a row's seats are in its block"
        blocks[block] += 1
    assert sorted(map(seat_of, found)) == sorted((row, seat) for row in seats for seat in seats[row])
    assert list(item.blocks or []) == blocks
    assert max(blocks) <= MOST_SEATS
    assert item.quantity == sum(blocks)


def apart(shop: Shop, count: int) -> list[Shop]:
    """Return as many warm functions, each with a connection of its own."""
    return [shop.another(connect(shop.store._table)) for _ in range(count)]


def test_a_map_of_2_400_seats_is_laid_out_in_whole_rows_and_sold_on_its_types_terms(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "THREADS", 4)
    new_event(shop)
    seats = a_map(60, 40)
    progress = upload(shop, seats)
    assert (progress.created + progress.existing, progress.remaining, progress.total) == (2_400, 0, 2_400)
    is_whole(shop, seats)
    item = ticket_types.get(shop.engine, shop.tenant, "1", "1")
    assert [int(size) for size in item.blocks or []] == [1_880, 520]
    assert rows_of(item) == {str(row): int(row > 47) for row in range(1, 61)}, "in their natural order"
    found = [UnitItem.from_raw_data(raw) for raw in stored(shop).values()]
    assert {(seat.price_minor, seat.currency, seat.on_sale, seat.max_per_user) for seat in found} == {
        (8_000, "USD", True, 4)
    }
    assert {(seat.revision, seat.version) for seat in found} == {(1, 1)}
    assert all(is_free(seat, 0) for seat in found)


def test_a_repeated_upload_changes_nothing(shop: Shop, calls: Calls) -> None:
    new_event(shop)
    seats = a_map(30, 20)
    upload(shop, seats)
    before = stored(shop)
    calls.clear()
    assert upload(shop, seats) == Progress(0, 600, 0, 600)
    assert calls.operations == ["GetItem", "Query", "Query"], "the plan and the block are read, and nothing is tried"
    assert stored(shop) == before


@pytest.mark.parametrize("trouble", [crash_before, crash_after])
@pytest.mark.parametrize("step", range(0, 8, 2))
def test_an_upload_that_crashed_is_taken_up_by_the_same_request(
    shop: Shop, calls: Calls, trouble: Trouble, step: int
) -> None:
    """Whichever transaction it was, the plan's own (step 0) or one that writes seats."""
    new_event(shop)
    seats = a_map(30, 20)
    calls.trouble(trouble, "TransactWriteItems", skip=step)
    with pytest.raises(Crash):
        upload(shop, seats)
    before = stored(shop)
    progress = upload(shop, seats)
    assert progress == Progress(600 - len(before), len(before), 0, 600)
    is_whole(shop, seats)
    assert given(shop) == 600, "the event's room is taken once"
    assert before.items() <= stored(shop).items()


def test_an_upload_whose_time_runs_short_says_how_far_it_came_and_goes_on(shop: Shop) -> None:
    new_event(shop)
    seats = a_map(30, 20)
    made = 0
    for steps in (0, 1, 2):
        progress = upload(shop, seats, running_out(steps), key="k")
        assert (progress.created, progress.existing) == (100 * steps, made)
        made += progress.created
        assert progress.remaining == 600 - made == 600 - len(stored(shop))
    last = upload(shop, seats, key="k")
    assert last == Progress(300, 300, 0, 600)
    is_whole(shop, seats)
    assert upload(shop, seats, key="k") == last, "once all is there the key remembers the answer"


def test_seats_that_are_still_to_be_made_keep_their_room(shop: Shop) -> None:
    """A seat added meanwhile is given room beside them, not theirs."""
    new_event(shop)
    seats = a_map(30, 20)
    upload(shop, seats, running_out(1))
    assert upload(shop, {"1": ["21"]}) == Progress(1, 0, 0, 1)
    assert (given(shop), ticket_types.get(shop.engine, shop.tenant, "1", "1").quantity) == (601, 601)
    assert upload(shop, seats) == Progress(500, 100, 0, 600)
    is_whole(shop, seats | {"1": [*seats["1"], "21"]})
    assert given(shop) == 601


def test_a_row_is_never_given_more_than_it_can_have_by_two_uploads_at_once(shop: Shop, calls: Calls) -> None:
    """What the first has planned counts for the second, though none of it is written yet."""
    new_event(shop)
    mine, theirs = ([str(seat) for seat in range(first, first + 1_100)] for first in (1, 1_101))
    refused: list[type[Exception]] = []

    def interfere() -> None:
        with pytest.raises(SeatMapFull) as full:
            upload(shop.another(), {"1": theirs})
        refused.append(full.type)

    calls.trouble(meanwhile(interfere), "TransactWriteItems", skip=1)
    assert upload(shop, {"1": mine}) == Progress(1_100, 0, 0, 1_100)
    assert refused == [SeatMapFull]
    is_whole(shop, {"1": mine})
    assert given(shop) == 1_100


def test_two_uploads_into_one_row_that_fit_are_both_made(shop: Shop, calls: Calls) -> None:
    """Whichever seats the other has written by then, each finds its own and counts none twice."""
    new_event(shop)
    calls.trouble(crash_before, "TransactWriteItems", skip=1)
    with pytest.raises(Crash):
        upload(shop, {"A": [str(seat) for seat in range(1, 91)]})
    assert upload(shop, {"A": [str(seat) for seat in range(61, 151)]}) == Progress(90, 0, 0, 90)
    assert given(shop) == 150
    assert upload(shop, {"A": [str(seat) for seat in range(1, 91)]}) == Progress(60, 30, 0, 90)
    is_whole(shop, {"A": [str(seat) for seat in range(1, 151)]})


def test_a_plan_that_meets_its_twin_just_being_written_is_read_again(shop: Shop, calls: Calls) -> None:
    """PROTOCOL.md 7: where another writer is in the way, nothing is said about the room that is left."""
    new_event(shop)
    twin = ["TransactionConflict", "ConditionalCheckFailed", "None"]
    calls.trouble(lambda call: cancelled(call, twin), "TransactWriteItems")
    assert upload(shop, a_map(2, 20)) == Progress(40, 0, 0, 40)


@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_conflicts_and_throttles_are_waited_out(shop: Shop, calls: Calls, trouble: Trouble) -> None:
    new_event(shop)
    seats = a_map(10, 40)
    calls.trouble(trouble, "TransactWriteItems", times=5)
    assert upload(shop, seats) == Progress(400, 0, 0, 400)
    assert len(shop.waits) == 5
    is_whole(shop, seats)


def test_a_lost_answer_to_the_plan_is_found_again_by_the_same_request(shop: Shop, calls: Calls) -> None:
    new_event(shop)
    seats = a_map(5, 40)
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises(Unavailable):
        upload(shop, seats)
    assert upload(shop, seats) == Progress(200, 0, 0, 200)
    is_whole(shop, seats)
    assert given(shop) == 200


def test_a_lost_answer_to_seats_is_found_again_at_once(shop: Shop, calls: Calls) -> None:
    new_event(shop)
    seats = a_map(5, 40)
    calls.trouble(silence_after, "TransactWriteItems", skip=1)
    assert upload(shop, seats) == Progress(100, 100, 0, 200)
    is_whole(shop, seats)


def test_concurrent_uploads_of_one_map_make_every_seat_once(shop: Shop) -> None:
    new_event(shop)
    seats = a_map(15, 40)
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda one: persistently(one, seats), apart(shop, 3)))
    assert sum(progress.created for progress in made) <= 600
    assert {progress.created + progress.existing for progress in made} == {600}
    is_whole(shop, seats)
    assert given(shop) == 600


def test_concurrent_uploads_of_different_rows_lose_none(shop: Shop) -> None:
    new_event(shop)
    parts = [a_map(10, 20, first) for first in (1, 11, 21, 31)]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(persistently, apart(shop, 4), parts))
    assert {(progress.remaining, progress.total) for progress in made} == {(0, 200)}
    is_whole(shop, a_map(40, 20))
    assert given(shop) == 800


def test_seats_that_are_held_or_sold_meanwhile_are_not_touched(shop: Shop) -> None:
    new_event(shop)
    seats = a_map(10, 40)
    upload(shop, seats, running_out(2))
    held, sold = sorted(stored(shop))[:2]
    now = shop.clock.now()
    for key in (held, sold):
        shop.store.write(acquire(key, "r-somebody", now, now + 600_000, 1).write())
    shop.store.write(confirm(sold, "r-somebody").write())
    before = {key: shop.store.get_raw(key) for key in (held, sold)}
    assert upload(shop, seats).remaining == 0
    upload(shop, a_map(12, 41))
    assert {key: shop.store.get_raw(key) for key in (held, sold)} == before
    is_whole(shop, a_map(12, 41))


def test_a_seat_that_another_upload_makes_between_read_and_write_stays_as_it_is(shop: Shop, calls: Calls) -> None:
    """The read that skips what is there is only for speed: the condition is what never overwrites."""
    new_event(shop)
    seats = a_map(2, 50)
    taken: list[Key] = []

    def overtake() -> None:
        other = shop.another(connect(shop.store._table))
        upload(other, seats)
        taken.extend(sorted(stored(other))[:3])
        now = shop.clock.now()
        for key in taken:
            other.store.write(acquire(key, "r-somebody", now, now + 600_000, 1).write())

    calls.trouble(meanwhile(overtake), "TransactWriteItems", skip=1)
    progress = upload(shop, seats)
    assert (progress.created, progress.existing) == (0, 100)
    for key in taken:
        seat = shop.store.get(UnitItem, key)
        assert seat is not None
        assert seat.holder == "r-somebody"


def test_of_two_uploads_that_together_are_too_many_seats_one_is_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event's room is counted on one item, which both transactions change."""
    monkeypatch.setattr(seat_plans, "MOST_SEATS_OF_EVENT", 100)
    new_event(shop, kinds=2)

    def attempt(one: Shop, kind: str) -> Progress | None:
        try:
            return upload(one, a_map(6, 10), kind=kind)
        except SeatMapFull:
            return None

    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(attempt, apart(shop, 2), ("1", "2")))
    assert sorted(made, key=bool) == [None, Progress(60, 0, 0, 60)]
    assert given(shop) == 60
    assert upload(shop, a_map(4, 10), kind="1" if made[0] is None else "2").created == 40
