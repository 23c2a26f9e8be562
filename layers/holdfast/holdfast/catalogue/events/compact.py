"""Seats of a block in few characters: a row's labels as ranges, and a letter for what has become of each."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from holdfast.catalogue.events.blocks import Seat, SeatState
from holdfast.catalogue.events.labels import order_of

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
        labels = _ranges([seat.label for seat in here])
        rows.append(CompactRow(row, labels, "".join(LETTERS[seat.state] for seat in here)))
    return rows


def _ranges(labels: Sequence[str]) -> str:
    """Return labels separated by commas, whole numbers that follow one another as ranges."""
    runs: list[tuple[str, str]] = []
    for label in labels:
        if runs and _follows(runs[-1][1], label):
            runs[-1] = runs[-1][0], label
        else:
            runs.append((label, label))
    return ",".join(first if first == last else f"{first}-{last}" for first, last in runs)


def _follows(left: str, right: str) -> bool:
    return left.isdigit() and right.isdigit() and str(int(left) + 1) == right and str(int(left)) == left
