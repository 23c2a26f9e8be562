"""The names of rows and seats: numbers in their own order, then letters, as they follow one another in a hall."""

import re
from collections.abc import Iterable
from functools import lru_cache

_PARTS = re.compile(r"\d+|\D+")

Order = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=10_000)
def order_of(label: str) -> Order:
    """Return what to sort labels by: 1, 2, 10, then A, B, AA, and A2 before A10."""
    parts = [(0, int(part), "") if part.isdigit() else (1, len(part), part) for part in _PARTS.findall(label)]
    return (*parts, (-1, 0, label))


def adjacent(left: str, right: str) -> bool:
    """Return whether two seats that follow one another in their row's order are side by side.

    A number that is missing between two is an aisle; letters are taken to leave none out.
    """
    if left.isdigit() and right.isdigit():
        return int(right) - int(left) == 1
    return not left.isdigit() and not right.isdigit()


def seat_name(event_id: str, ticket_type_id: str, row: str, seat: str) -> str:
    """Return the name by which older clients know a seat (WIRE.md, section 2)."""
    return f"seat:{event_id}:{ticket_type_id}:{row}:{seat}"


def as_number(label: str) -> int | str:
    """Return a label as the number that it is, for older clients; a text that only looks like one stays a text."""
    return int(label) if label.isdigit() and str(int(label)) == label else label


def in_ranges(labels: Iterable[str]) -> str:
    """Return labels in one text: commas between them, and whole numbers that follow one another as ranges."""
    runs: list[tuple[str, str]] = []
    for label in labels:
        if runs and _follows(runs[-1][1], label):
            runs[-1] = runs[-1][0], label
        else:
            runs.append((label, label))
    return ",".join(first if first == last else f"{first}-{last}" for first, last in runs)


def out_of_ranges(text: str) -> list[str]:
    """Return the labels that `in_ranges` made such a text of."""
    labels: list[str] = []
    for run in text.split(","):
        first, _, last = run.partition("-")
        labels += map(str, range(int(first), int(last) + 1)) if last else [first]
    return labels


def _follows(left: str, right: str) -> bool:
    return left.isdigit() and right.isdigit() and str(int(left) + 1) == right and str(int(left)) == left
