"""Storms of buyers at things that exist once (see `storm`): seats, a resale ticket, the hours of a hall."""

from collections.abc import Callable

import pytest

from holdfast.claims.span import Span, midnight
from holdfast.platform.items import ReservationItem, UnitItem
from holdfast.platform.tables import Key
from tests.engine.shop import HOUR, best, hall, resale, seat, units
from tests.engine.storm import CLIENTS, HOLD_SECONDS, Client, Storm

MONDAY = midnight("2023-12-04")
DAYS = 10
A_HOLD_LATER = HOLD_SECONDS * 1_000 / CLIENTS
"""Milliseconds between two buyers, so that a hold lapses within as many buyers as there are clients."""


def sold(storm: Storm, keys: list[Key]) -> list[UnitItem]:
    """Return those of the units that are sold."""
    found = [storm.shop.unit(key) for key in keys]
    return [unit for unit in found if unit.holder is not None and unit.held_until is None]


@pytest.mark.slow
@pytest.mark.parametrize("pays", [1.0, 0.3])
def test_500_clients_for_the_same_3_seats(start: Callable[[int], Storm], pays: float) -> None:
    """One, two or all three of them, in any order, beside a product: never two holders, and all are sold in the end."""
    storm = start(3)
    storm.shop.seats({"A": 3})
    keys = [storm.shop.seat_key("A", number) for number in (1, 2, 3)]
    product = storm.shop.product(units=300, shards=2)

    def behave(client: Client) -> None:
        numbers = client.chance.sample([1, 2, 3], client.chance.randint(1, 3))
        client.buyer(pays, *(seat("A", number) for number in numbers), units(product))

    storm.run(500, behave, A_HOLD_LATER)
    storm.shop.audit()
    assert storm.tally("held") > 0
    storm.let_everything_lapse()
    storm.run(CLIENTS * 3, lambda client: client.buyer(1.0, seat("A", client.chance.randint(1, 3))))
    storm.let_everything_lapse()
    storm.shop.audit()
    assert len(sold(storm, keys)) == 3
    available, held, gone = storm.shop.count(product)
    assert (available + gone, held) == (300, 0)


@pytest.mark.slow
@pytest.mark.parametrize("pays", [1.0, 0.1])
def test_1_000_clients_for_one_resale_ticket(start: Callable[[int], Storm], pays: float) -> None:
    """Whether the first pays or lets it lapse, it is sold exactly once."""
    storm = start(4)
    ticket = storm.shop.listing()
    storm.run(1_000, lambda client: client.buyer(pays, resale(ticket)), A_HOLD_LATER)
    storm.shop.audit()
    assert storm.tally("held") > 0
    storm.let_everything_lapse()
    storm.run(CLIENTS, lambda client: client.buyer(1.0, resale(ticket)))
    storm.let_everything_lapse()
    storm.shop.audit()
    assert len(sold(storm, [storm.shop.keys.listing(ticket)])) == 1
    assert storm.tally("paid") == 1


@pytest.mark.slow
def test_200_clients_for_overlapping_spans_of_one_hall(start: Callable[[int], Storm]) -> None:
    """From a minute to two days, anywhere within ten: no two overlap, and what nobody bought is free to the minute."""
    storm = start(5)

    def behave(client: Client) -> None:
        length = client.chance.choice([HOUR // 60, HOUR, 5 * HOUR, 30 * HOUR, 48 * HOUR])
        begin = MONDAY + client.chance.randrange(DAYS * 24 * HOUR - length)
        client.buyer(0.3, hall(begin, begin + length))

    storm.run(200, behave, A_HOLD_LATER)
    storm.shop.audit()
    storm.let_everything_lapse()
    storm.shop.audit()
    gaps = _gaps(_bought(storm))
    assert storm.tally("paid") == len(_bought(storm)) > 0
    for gap in gaps:
        for begin in range(gap.start, gap.end, 24 * HOUR):
            storm.shop.cart("late", hall(begin, min(begin + 24 * HOUR, gap.end)))
    assert _gaps([span for record in _records(storm) for span in _spans(record)]) == []
    storm.shop.audit()


@pytest.mark.slow
def test_200_clients_for_the_same_evening_over_midnight(start: Callable[[int], Storm]) -> None:
    """All want the same ten hours on two days: one gets them, and the next once they were let go."""
    storm = start(6)
    evening = hall(MONDAY + 20 * HOUR, MONDAY + 30 * HOUR)
    storm.run(200, lambda client: client.buyer(0.2, evening), A_HOLD_LATER)
    storm.shop.audit()
    assert storm.tally("held") > 0
    storm.let_everything_lapse()
    storm.run(CLIENTS, lambda client: client.buyer(1.0, evening))
    storm.let_everything_lapse()
    storm.shop.audit()
    assert storm.tally("paid") == len(_bought(storm)) == 1


@pytest.mark.slow
def test_100_clients_for_the_best_of_200_seats(start: Callable[[int], Storm]) -> None:
    """Two to four each, chosen for them: no seat twice; then one by one, until every seat is sold."""
    storm = start(7)
    rows = dict.fromkeys("ABCDEFGHIJ", 20)
    storm.shop.seats(rows)
    keys = [storm.shop.seat_key(row, number) for row in rows for number in range(1, 21)]
    storm.run(100, lambda client: client.buyer(0.8, best(client.chance.randint(2, 4))))
    storm.shop.audit()
    storm.let_everything_lapse()
    assert len(sold(storm, keys)) == sum(len(record.lines) for record in _records(storm) if _is_sold(record)) > 100
    storm.run(300, lambda client: client.buyer(1.0, best(1)), 20)
    storm.let_everything_lapse()
    storm.shop.audit()
    assert len(sold(storm, keys)) == 200


def _records(storm: Storm) -> list[ReservationItem]:
    found = storm.shop.reservations()
    return [record for record in found if record.status in ("held", "confirmed")]


def _is_sold(record: ReservationItem) -> bool:
    return record.status == "confirmed"


def _spans(record: ReservationItem) -> list[Span]:
    return [Span(span.start, span.end) for span in record.spans or ()]


def _bought(storm: Storm) -> list[Span]:
    return [span for record in _records(storm) if _is_sold(record) for span in _spans(record)]


def _gaps(taken: list[Span]) -> list[Span]:
    """Return what is left of the ten days."""
    gaps, begin = [], MONDAY
    for span in sorted(taken):
        if span.start > begin:
            gaps.append(Span(begin, span.start))
        begin = max(begin, span.end)
    return gaps if begin >= MONDAY + DAYS * 24 * HOUR else [*gaps, Span(begin, MONDAY + DAYS * 24 * HOUR)]
