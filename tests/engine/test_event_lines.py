"""Tickets, named seats and best seats as lines of a cart, on DynamoDB Local: what is asked, chosen and lost."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.catalogue.events import blocks, events, seat_map, seat_plan, ticket_types
from holdfast.catalogue.events.events import NewEvent
from holdfast.catalogue.events.facts import KNOWN_FOR, TicketTypeFacts
from holdfast.catalogue.events.lines import BestSeats, CountedTickets, NamedSeats
from holdfast.catalogue.events.seat_plans import Upload
from holdfast.catalogue.events.ticket_types import NewTicketType
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import Busy, Malformed, Refused
from holdfast.platform.items import PoolShardItem, ReservationItem
from holdfast.platform.tables import claim_name
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import LineRequest, Room
from holdfast.reservations.holding import HoldRequest, hold
from tests.engine.faults import Calls, conflict, meanwhile
from tests.engine.shop import Shop, refusal

HOLD = 600_000


class Theatre:
    """An event's rooms in one warm function: ticket type 1 has numbered seats, 2 is counted."""

    def __init__(self, shop: Shop) -> None:
        facts = TicketTypeFacts(shop.store, shop.clock)
        self.shop = shop
        self._rooms: dict[str, Room] = {
            "ticket": CountedTickets(facts),
            "seat": NamedSeats(facts),
            "best_available": BestSeats(facts),
        }

    def another(self) -> "Theatre":
        """Return another warm function, with a memory and a connection of its own."""
        return Theatre(self.shop.another(connect(self.shop.store._table), choose=random.randrange))

    def opens(self, max_per_user: int | None = None, standing: int = 10) -> None:
        """Put both kinds of ticket on sale; no seats yet."""
        engine, tenant = self.shop.engine, self.shop.tenant
        events.create(engine, tenant, NewEvent("Opening night", "2031-06-01", "Old Theatre", None), None)
        for quantity in (None, standing):
            kind = NewTicketType("Any", 8_000, "USD", quantity, max_per_user)
            ticket_types.create(engine, tenant, "1", kind, None)

    def upload(self, **rows: int) -> None:
        """Put so many seats, from 1, in rows of these names (`r1` is row 1)."""
        seats = {row.removeprefix("r"): [str(seat) for seat in range(1, count + 1)] for row, count in rows.items()}
        seat_map.upload(self.shop.engine, Upload(self.shop.tenant, "1", "1", seats), lambda: 60_000, None)

    def hold(self, user: str, *lines: LineRequest, key: str | None = None) -> ReservationItem:
        """Hold lines for a user, under a key of its own unless one is given."""
        request = HoldRequest(self.shop.tenant, user, "reservations", key or self.shop.new_key(), "-", lines)
        return hold(self.shop.engine, lambda kind: self._rooms[kind], request)

    def best(self, user: str, quantity: int) -> list[str]:
        """Hold the best seats and return them as row-seat."""
        return named(self.hold(user, best(quantity)))


def ticket(quantity: int = 1, kind: str = "2") -> LineRequest:
    return LineRequest("ticket", "items.0", quantity, event_id="1", ticket_type_id=kind)


def seat(row: str, number: int, field: str = "items.0", kind: str = "1") -> LineRequest:
    return LineRequest("seat", field, event_id="1", ticket_type_id=kind, row=row, seat=str(number))


def best(quantity: int, field: str = "items.1", kind: str = "1") -> LineRequest:
    return LineRequest("best_available", field, quantity, event_id="1", ticket_type_id=kind)


def named(record: ReservationItem) -> list[str]:
    """Return the seats that a reservation holds, in its order."""
    return [f"{line.row}-{line.seat}" for line in record.lines]


@pytest.fixture(name="theatre")
def _theatre(shop: Shop) -> Theatre:
    return Theatre(shop)


def test_a_warm_function_asks_once_for_tickets_and_for_a_seat(theatre: Theatre, calls: Calls) -> None:
    """The first asks what the ticket type is, too; what it then knows serves every kind of line."""
    theatre.opens()
    theatre.upload(r1=5)
    calls.clear()
    theatre.hold("ann", seat("1", 1))
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
    calls.clear()
    theatre.hold("bob", seat("1", 2))
    assert calls.operations == ["TransactWriteItems"]
    theatre.hold("bob", ticket())
    calls.clear()
    theatre.hold("eve", ticket(2))
    assert calls.operations == ["TransactWriteItems"]
    calls.clear()
    theatre.best("eve", 2)
    assert calls.operations == ["Query", "TransactWriteItems"]


def test_counted_tickets_come_from_their_pool(theatre: Theatre, shop: Shop) -> None:
    theatre.opens(standing=3)
    held = theatre.hold("ann", ticket(2))
    shard = shop.store.get(PoolShardItem, shop.keys.ticket_shard("1", "2", 0))
    assert shard is not None
    assert (shard.available, shard.held) == (1, 2)
    (line,) = held.lines
    assert (line.kind, line.event_id, line.ticket_type_id, line.quantity) == ("ticket", "1", "2", 2)
    assert (line.unit_price_minor, line.currency) == (8_000, "USD")
    assert refusal(lambda: theatre.hold("bob", ticket(2))) == [("items.0", "insufficient_stock")]


def test_a_limit_per_user_counts_seats_named_and_chosen_of_a_type_together(theatre: Theatre) -> None:
    theatre.opens(max_per_user=3)
    theatre.upload(r1=9)
    theatre.hold("ann", seat("1", 9))
    theatre.hold("ann", best(2))
    assert refusal(lambda: theatre.hold("ann", best(1))) == [("items.1", "limit_exceeded")]
    assert refusal(lambda: theatre.hold("ann", seat("1", 1))) == [("items.0", "limit_exceeded")]
    assert len(theatre.best("bob", 3)) == 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (ticket(kind="9"), "ticket_type_not_found"),
        (seat("1", 1, kind="9"), "ticket_type_not_found"),
        (best(1, kind="9"), "ticket_type_not_found"),
        (ticket(kind="1"), "seats_not_named"),
        (seat("1", 1, kind="2"), "seat_not_found"),
        (best(1, kind="2"), "seat_not_found"),
        (seat("9", 1), "seat_not_found"),
        (seat("1", 9), "seat_not_found"),
        (best(3), "insufficient_stock"),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_what_is_not_on_sale_is_refused(theatre: Theatre, line: LineRequest, code: str, warm: bool) -> None:
    theatre.opens()
    theatre.upload(r1=2)
    if warm:
        theatre.hold("ann", ticket())
        cancel(theatre.shop.engine, theatre.hold("ann", seat("1", 1)).key)
    assert refusal(lambda: theatre.hold("bob", line)) == [(line.field, code)]


def test_rows_that_are_new_are_sold_though_memory_does_not_know_them(theatre: Theatre) -> None:
    """What is remembered of ticket types for seconds never refuses anybody (invariant 2)."""
    theatre.opens()
    theatre.upload(r1=2)
    assert refusal(lambda: theatre.hold("ann", seat("2", 1))) == [("items.0", "seat_not_found")]
    theatre.best("ann", 2)
    Theatre(theatre.shop.another()).upload(r2=3)
    assert named(theatre.hold("bob", seat("2", 3))) == ["2-3"]
    theatre.shop.clock.forward(REMEMBERED_FOR)
    assert theatre.best("bob", 2) == ["2-1", "2-2"]


def test_best_seats_learn_of_new_rows_within_a_second(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=2)
    theatre.best("ann", 2)
    Theatre(theatre.shop.another()).upload(r2=2)
    theatre.shop.clock.forward(REMEMBERED_FOR)
    assert theatre.best("bob", 2) == ["2-1", "2-2"]
    assert REMEMBERED_FOR < 1_000 < KNOWN_FOR


def test_best_seats_are_side_by_side_in_the_best_row_that_has_as_many(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r2=5, r10=6, rA=6)
    assert theatre.best("ann", 3) == ["2-2", "2-3", "2-4"]
    assert theatre.best("bob", 4) == ["10-2", "10-3", "10-4", "10-5"]
    assert theatre.best("eve", 2) == ["A-3", "A-4"]
    assert theatre.best("joe", 1) == ["2-1"]


def test_where_no_row_has_as_many_together_the_fewest_rows_are_taken(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=3, r2=4, r3=5)
    for row in ("1", "2"):
        theatre.hold("ann", seat(row, 2))
    theatre.hold("ann", seat("3", 3))
    assert theatre.best("bob", 4) == ["3-1", "3-2", "3-4", "3-5"]
    assert refusal(lambda: theatre.best("eve", 6)) == [("items.1", "insufficient_stock")]
    assert theatre.best("eve", 5) == ["1-1", "1-3", "2-1", "2-3", "2-4"]


def test_a_chosen_seat_is_kept_as_a_line_of_its_own(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=4)
    held = theatre.hold("ann", best(2))
    shown = [(line.kind, line.quantity, line.unit_price_minor, line.event_id) for line in held.lines]
    assert shown == [("seat", 1, 8_000, "1")] * 2
    keys = [theatre.shop.keys.seat("1", "1", 0, "1", number) for number in ("2", "3")]
    assert list(held.units or []) == [claim_name(key) for key in keys]


def test_a_lapsed_hold_is_free_for_the_best_seats(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=3)
    theatre.best("ann", 3)
    theatre.shop.clock.forward(HOLD)
    assert theatre.best("bob", 3) == ["1-1", "1-2", "1-3"]


def test_best_seats_leave_out_what_the_same_cart_names(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=5)
    assert named(theatre.hold("ann", seat("1", 3), best(2))) == ["1-3", "1-1", "1-2"]


def test_best_seats_leave_out_a_seat_that_a_later_line_names(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=5)
    assert named(theatre.hold("ann", best(2, "items.0"), seat("1", 3, "items.1"))) == ["1-1", "1-2", "1-3"]


def test_seat_twice_in_one_cart_is_malformed(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=5)
    with pytest.raises(Malformed) as wrong:
        theatre.hold("eve", seat("1", 5), seat("1", 5, "items.1"))
    assert [fault.field for fault in wrong.value.faults] == ["items.1"]


def test_best_seats_lost_to_another_are_chosen_anew(theatre: Theatre, calls: Calls) -> None:
    theatre.opens()
    theatre.upload(r1=4, r2=4)
    rival = Theatre(theatre.shop.another())
    calls.trouble(meanwhile(lambda: rival.best("bob", 2)), "TransactWriteItems")
    assert theatre.best("ann", 2) == ["2-2", "2-3"]


def test_the_last_seats_that_another_was_just_writing_are_taken_all_the_same(theatre: Theatre, calls: Calls) -> None:
    """A conflict says nothing of a seat: it is asked for again, and nothing is read for that."""
    theatre.opens()
    theatre.upload(r1=4, r2=4)
    theatre.best("bob", 4)
    calls.clear()
    calls.trouble(conflict, "TransactWriteItems")
    assert theatre.best("ann", 2) == ["2-2", "2-3"]
    assert calls.operations.count("TransactWriteItems") == 2
    assert calls.operations.count("Query") <= 2


def test_named_seats_taken_and_best_seats_short_are_all_named(theatre: Theatre) -> None:
    """PROTOCOL.md 9: every line that stood in the way."""
    theatre.opens(standing=1)
    theatre.upload(r1=3)
    theatre.hold("ann", seat("1", 2))
    lines = [ticket(2), seat("1", 2, "items.1"), best(3, "items.2"), seat("1", 1, "items.3")]
    assert sorted(refusal(lambda: theatre.hold("bob", *lines))) == [
        ("items.0", "insufficient_stock"),
        ("items.1", "seat_taken"),
        ("items.2", "insufficient_stock"),
    ]


def test_a_crowd_behind_the_last_seats_does_not_read_them_again(theatre: Theatre, calls: Calls) -> None:
    """PROTOCOL.md 6: under a second, and only quantities that were not there then."""
    theatre.opens()
    theatre.upload(r1=3)
    theatre.best("ann", 2)
    assert refusal(lambda: theatre.best("bob", 2)) == [("items.1", "insufficient_stock")]
    calls.clear()
    assert refusal(lambda: theatre.best("eve", 2)) == [("items.1", "insufficient_stock")]
    assert "Query" not in calls.operations
    assert len(theatre.best("joe", 1)) == 1
    calls.clear()
    theatre.shop.clock.forward(REMEMBERED_FOR)
    refusal(lambda: theatre.best("eve", 2))
    assert "Query" in calls.operations


def test_what_comes_back_is_offered_within_a_second(theatre: Theatre) -> None:
    theatre.opens()
    theatre.upload(r1=3)
    held = theatre.hold("ann", best(3))
    assert refusal(lambda: theatre.best("bob", 1)) == [("items.1", "insufficient_stock")]
    cancel(theatre.shop.engine, held.key)
    theatre.shop.clock.forward(REMEMBERED_FOR)
    assert theatre.best("bob", 3) == ["1-1", "1-2", "1-3"]


class TestSeveralBlocks:
    """Blocks of two rows of three, so that a search has some to leave out."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch: pytest.MonkeyPatch, theatre: Theatre) -> None:
        monkeypatch.setattr(seat_plan, "_FILLED_TO", 6)
        theatre.opens()

    def test_only_the_best_block_is_read_where_it_will_do(self, theatre: Theatre, calls: Calls) -> None:
        theatre.upload(r1=3, r2=3, r3=3, r4=3, r5=3, r6=3)
        theatre.hold("warm", seat("6", 1))
        calls.clear()
        assert theatre.best("ann", 3) == ["1-1", "1-2", "1-3"]
        assert theatre.best("bob", 3) == ["2-1", "2-2", "2-3"]
        assert calls.operations == ["Query", "TransactWriteItems"] * 2
        calls.clear()
        assert theatre.best("eve", 3) == ["3-1", "3-2", "3-3"]
        assert calls.operations == ["Query", "Query", "TransactWriteItems"]
        calls.clear()
        assert theatre.best("joe", 3) == ["4-1", "4-2", "4-3"]
        assert calls.operations == ["Query", "TransactWriteItems"], "the first is known to have nothing"

    def test_the_best_row_wins_in_whichever_block_it_is(self, theatre: Theatre) -> None:
        theatre.upload(r1=3, r5=3)
        theatre.upload(r2=3, r3=3)
        assert [theatre.best("ann", 3)[0] for _ in range(4)] == ["1-1", "2-1", "3-1", "5-1"]

    def test_seats_apart_are_gathered_from_all_blocks_and_refused_only_after_all_were_seen(
        self, theatre: Theatre
    ) -> None:
        theatre.upload(r1=3, r2=3, r3=3, r4=3)
        for row in ("1", "2", "3", "4"):
            theatre.hold("ann", seat(row, 2))
        assert theatre.best("bob", 5) == ["1-1", "1-3", "2-1", "2-3", "3-1"]
        assert refusal(lambda: theatre.best("eve", 4)) == [("items.1", "insufficient_stock")]
        assert theatre.best("eve", 3) == ["3-3", "4-1", "4-3"]

    @pytest.mark.parametrize("reads", [1, 3])
    def test_a_seat_let_go_in_a_block_read_before_is_not_missed(
        self, theatre: Theatre, calls: Calls, monkeypatch: pytest.MonkeyPatch, reads: int
    ) -> None:
        """PROTOCOL.md 5: a block is read full, and the next after a seat of the first was let go for its own last one.

        Be it while looking for seats side by side, or when both are read to prove the shortage.
        """
        monkeypatch.setattr(blocks, "THREADS", 1)
        theatre.upload(r1=1, r2=5)
        theatre.upload(r3=1)
        first = theatre.hold("ann", seat("1", 1))
        assert theatre.best("ann", 4)[-1] == "2-4"
        rival = Theatre(theatre.shop.another())

        def swap() -> None:
            cancel(theatre.shop.engine, first.key)
            rival.hold("bob", seat("3", 1))

        calls.clear()
        calls.trouble(meanwhile(swap), "Query", skip=reads)
        assert theatre.best("eve", 2) == ["1-1", "2-5"], "two were free at every moment"

    def test_what_was_seen_at_different_moments_is_no_proof(self, theatre: Theatre) -> None:
        """Each block was full once within the last second, but never both at once."""
        theatre.upload(r1=1, r2=5)
        theatre.upload(r3=1)
        first = theatre.hold("ann", seat("1", 1))
        theatre.hold("ann", best(5))
        rival, clock = Theatre(theatre.shop.another()), theatre.shop.clock
        mine = rival.hold("eve", best(1))
        assert named(mine) == ["3-1"]
        cancel(theatre.shop.engine, mine.key)
        clock.forward(300)
        cancel(theatre.shop.engine, first.key)
        clock.forward(300)
        theatre.hold("bob", seat("3", 1))
        assert rival.best("eve", 1) == ["1-1"]

    def test_that_others_pay_for_what_they_hold_leaves_a_shortage_proved(self, theatre: Theatre, calls: Calls) -> None:
        """A seat that is held, and then sold to the same, was free at no moment."""
        theatre.upload(r1=1, r2=5)
        theatre.hold("ann", best(5))
        held = theatre.hold("bob", seat("1", 1))
        calls.clear()
        calls.trouble(meanwhile(lambda: confirm(theatre.shop.engine, held.key)), "Query", skip=2)
        assert refusal(lambda: theatre.best("eve", 1)) == [("items.1", "insufficient_stock")]
        assert theatre.shop.stored(held.key).status == "confirmed"

    def test_a_shortage_that_cannot_be_proved_is_busy(self, theatre: Theatre, calls: Calls) -> None:
        """PROTOCOL.md 5: seats that change hands between any two reads prove nothing."""
        theatre.upload(r1=1, r2=5)
        theatre.hold("ann", best(5))
        rival = Theatre(theatre.shop.another())
        held = [rival.hold("bob", seat("1", 1))]

        def pass_on() -> None:
            cancel(rival.shop.engine, held.pop().key)
            held.append(rival.hold("bob", seat("1", 1)))

        calls.trouble(meanwhile(pass_on), "Query", times=100)
        with pytest.raises(Busy):
            theatre.best("eve", 1)
        calls.clear()
        assert refusal(lambda: theatre.best("eve", 1)) == [("items.1", "insufficient_stock")]

    def test_one_function_never_sells_anothers_last_seats_short(self, theatre: Theatre) -> None:
        """Each has memories of its own; a refusal is true all the same."""
        theatre.upload(r1=3, r2=3, r3=3)
        rival = Theatre(theatre.shop.another())
        assert theatre.best("ann", 3) == ["1-1", "1-2", "1-3"]
        assert rival.best("bob", 3) == ["2-1", "2-2", "2-3"]
        assert theatre.best("eve", 3) == ["3-1", "3-2", "3-3"]
        assert refusal(lambda: rival.best("joe", 1)) == [("items.1", "insufficient_stock")]


def test_a_crowd_gets_every_pair_of_seats_and_nobody_the_same(theatre: Theatre, store: Store) -> None:
    """Twenty-four ask for two of forty seats each: twenty get them, four are told that there are none."""
    theatre.opens()
    theatre.upload(**{f"r{row}": 10 for row in range(1, 5)})
    crowd = [theatre.another() for _ in range(6)]

    def wait_for(attempt: Callable[[], list[str]]) -> list[str]:
        for _ in range(20):
            try:
                return attempt()
            except Busy:
                continue
            except Refused:
                return []
        raise AssertionError("busy for good")

    def ask(number: int) -> list[str]:
        mine = crowd[number % len(crowd)]
        return wait_for(lambda: named(mine.hold(f"user-{number}", best(2), key=f"key-{number}")))

    with ThreadPoolExecutor(6) as threads:
        got = list(threads.map(ask, range(24)))
    seats = [name for pair in got for name in pair]
    assert len(seats) == len(set(seats)) == 40
    assert sum(not pair for pair in got) == 4
    assert all(pair[0].split("-")[0] == pair[1].split("-")[0] for pair in got if pair), "in one row"
