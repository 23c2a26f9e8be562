"""Which seats are best: side by side in the best row that has as many, else in as few rows as can be.

Rows are better the earlier they stand in their natural order; within a row, seats are better the nearer to its middle.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

from holdfast.catalogue.events.labels import adjacent, order_of


class Place(NamedTuple):
    """A seat by the labels of its row and its own."""

    row: str
    seat: str


class Row(NamedTuple):
    """A row's seats in their order, and which of them are free."""

    label: str
    seats: Sequence[str]
    free: Sequence[bool]

    def runs(self) -> list[range]:
        """Return the positions of free seats side by side, each run as long as it goes."""
        found: list[range] = []
        for position, free in enumerate(self.free):
            if not free:
                continue
            last = found[-1] if found else range(0)
            if last.stop == position and last and adjacent(self.seats[position - 1], self.seats[position]):
                found[-1] = range(last.start, position + 1)
            else:
                found.append(range(position, position + 1))
        return found

    def places(self, positions: Iterator[int] | range) -> list[Place]:
        """Return the seats at positions."""
        return [Place(self.label, self.seats[position]) for position in positions]


def rows_of(seats: Mapping[str, Mapping[str, bool]]) -> list[Row]:
    """Return rows, best first, of which seats (by label, by row) are free."""
    found = []
    for row in sorted(seats, key=order_of):
        labels = sorted(seats[row], key=order_of)
        found.append(Row(row, labels, [seats[row][label] for label in labels]))
    return found


def best(rows: Sequence[Row], quantity: int) -> list[Place] | None:
    """Return the best `quantity` free seats of rows that stand best first; None where fewer are free."""
    return next(together(rows, quantity), None) or apart(rows, quantity)


def together(rows: Sequence[Row], quantity: int) -> Iterator[list[Place]]:
    """Yield `quantity` free seats side by side, again and again, the best first; none is yielded twice."""
    for row in rows:
        windows = [
            range(start, start + quantity) for run in row.runs() for start in range(run.start, run.stop - quantity + 1)
        ]
        taken: set[int] = set()
        for window in sorted(windows, key=lambda window: _off_middle(row, window)):
            if taken.isdisjoint(window):
                taken.update(window)
                yield row.places(window)


def apart(rows: Sequence[Row], quantity: int) -> list[Place] | None:
    """Return `quantity` free seats in as few rows as have them, the best of such rows; None where fewer are free.

    Within a row they are in as few groups as can be.
    """
    left = [sum(row.free) for row in rows]
    needed = _fewest(left, quantity)
    places: list[Place] = []
    after = 0
    for further in range(needed - 1, -1, -1):
        missing = quantity - len(places)
        at_most = sum(nlargest(further, left))
        chosen = next(
            number
            for number in range(after, len(rows))
            if left[number] + at_most >= missing
            and left[number] + sum(nlargest(further, left[number + 1 :])) >= missing
        )
        places += _grouped(rows[chosen], min(missing, left[chosen]))
        after = chosen + 1
    return places or None


def _fewest(left: Sequence[int], quantity: int) -> int:
    """Return in how few rows `quantity` seats are, 0 where they are nowhere."""
    total = 0
    for number, here in enumerate(sorted(left, reverse=True), 1):
        total += here
        if total >= quantity:
            return number
    return 0


def _grouped(row: Row, quantity: int) -> list[Place]:
    """Return `quantity` of a row's free seats, the longest runs first, each as near to the middle as can be."""
    places: list[Place] = []
    for run in sorted(row.runs(), key=lambda run: (-len(run), _off_middle(row, run))):
        size = min(len(run), quantity - len(places))
        windows = [range(start, start + size) for start in range(run.start, run.stop - size + 1)]
        if size == 0:
            break
        places += row.places(min(windows, key=lambda window: _off_middle(row, window)))
    return sorted(places, key=lambda place: order_of(place.seat))


def _off_middle(row: Row, window: range) -> tuple[int, int]:
    """Return how far a window is off the middle of its row (in half seats); of two as far, the first is better."""
    return abs(window.start + window.stop - len(row.seats)), window.start


def longest_run(rows: Sequence[Row]) -> int:
    """Return how many free seats there are side by side at most."""
    return max((len(run) for row in rows for run in row.runs()), default=0)
