"""Seats of a block in few characters: a row's labels as ranges, and a letter for what has become of each."""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from holdfast.catalogue.events.blocks import Seat, SeatState
from holdfast.catalogue.events.labels import in_ranges, order_of

LETTERS = {SeatState.AVAILABLE: "a", SeatState.RESERVED: "r", SeatState.BOOKED: "b"}


class CompactRow(NamedTuple):
    """A row's seats in their order: `1-20,23-40` or `A,B,C`, and as many letters as there are seats."""

    row: str
    seats: str
    states: str


def compacted(seats: Iterable[Seat]) -> list[CompactRow]:
    """Return seats row by row, in the natural order of both."""
    ordered = sorted(seats, key=lambda seat: (order_of(seat.row), order_of(seat.label)))
    rows = []
    for row, group in groupby(ordered, key=lambda seat: seat.row):
        here = list(group)
        labels = in_ranges([seat.label for seat in here])
        rows.append(CompactRow(row, labels, "".join(LETTERS[seat.state] for seat in here)))
    return rows
