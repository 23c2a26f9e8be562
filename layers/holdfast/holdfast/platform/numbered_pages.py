"""Lists whose pages are counted: read by page number, as older clients do, or on from a token, however long they are.

A page by number has to pass over all pages before it, so numbers reach only so far. Beyond that they are refused: an
empty page would be taken for the end of the list.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfast.platform import page_tokens
from holdfast.platform.errors import Fault, Malformed

T = TypeVar("T")

MOST_PASSED = 10_000
"""How many entries a page by number may pass over; `next` leads further."""

Rows = Callable[[str], Iterable[tuple[str, Callable[[], T] | None]]]
"""Gives what stands after a position, each by its own position: how it is read, or None where it is not wanted."""


@dataclass(frozen=True)
class NumberedPage(Generic[T]):
    """Some entries, the number of their page, and the token that goes on from there; None at the end."""

    entries: list[T]
    page: int
    next: str | None


def turn_to(rows: Rows[T], scope: str, page: int, limit: int, token: str | None, most: int) -> NumberedPage[T]:
    """Return page number `page`, from 1, of up to `limit` entries, or with a `token` the page which that leads to.

    Up to `most` rows are looked at: a page may come short for that and have a `next`, and one that goes on from a token
    may even be empty. Raises Malformed, naming `next` for a token of another list than `scope`, and `page` where a page
    by number is too far to be counted.
    """
    number, after = (page, "") if token is None else page_tokens.parsed(scope, token, _place)
    passed = (page - 1) * limit if token is None else 0
    if passed > MOST_PASSED:
        raise _too_far()
    entries: list[T] = []

    def short_of(last: str) -> NumberedPage[T]:
        return NumberedPage(entries, number, page_tokens.issue(scope, f"{number + 1}.{last}"))

    for looked_at, (position, reading) in enumerate(rows(after)):
        if looked_at == most:
            if token is None and not entries:
                raise _too_far()
            return short_of(after)
        if reading is not None:
            if passed:
                passed -= 1
            elif len(entries) == limit:
                return short_of(after)
            else:
                entries.append(reading())
        after = position
    return NumberedPage(entries, number, None)


def _place(position: str) -> tuple[int, str]:
    number, after = position.split(".", 1)
    return int(number), after


def _too_far() -> Malformed:
    sentence = "Too far into the list to be counted: follow `next`, or narrow the list down."
    return Malformed(faults=[Fault("page", sentence, "page_too_far")])
