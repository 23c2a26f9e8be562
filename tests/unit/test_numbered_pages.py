"""Pages that are counted, held against plain slices of the list that they are pages of."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform.errors import Malformed
from holdfast.platform.numbered_pages import MOST_PASSED, Rows, turn_to

SCOPE = "acme/things"
LISTS = st.lists(st.booleans(), max_size=30)
"""Which rows of a list are wanted; its entries are their numbers."""


def rows_of(wanted: list[bool], read: Callable[[int], int] = int) -> Rows[int]:
    def rows(after: str) -> Iterator[tuple[str, Callable[[], int] | None]]:
        for number in range(int(after) + 1 if after else 0, len(wanted)):
            yield str(number), partial(read, number) if wanted[number] else None

    return rows


def entries_of(wanted: list[bool]) -> list[int]:
    return [number for number, is_wanted in enumerate(wanted) if is_wanted]


@given(LISTS, st.integers(1, 8), st.integers(1, 6))
def test_a_page_by_number_is_a_slice_and_says_whether_there_is_more(wanted: list[bool], page: int, limit: int) -> None:
    found = turn_to(rows_of(wanted), SCOPE, page, limit, None, 100)
    expected = entries_of(wanted)
    assert (found.entries, found.page) == (expected[(page - 1) * limit : page * limit], page)
    assert (found.next is not None) == (len(expected) > page * limit)


@given(LISTS, st.integers(1, 6), st.integers(1, 10))
def test_following_next_finds_everything_once_however_few_rows_are_looked_at(
    wanted: list[bool], limit: int, most: int
) -> None:
    try:
        page = turn_to(rows_of(wanted), SCOPE, 1, limit, None, most)
    except Malformed:
        assert not any(wanted[:most])
        assert len(wanted) > most
        return
    seen, number = page.entries, 1
    while page.next is not None:
        assert page.entries or number > 1, "a page by number is not empty while there is more"
        page = turn_to(rows_of(wanted), SCOPE, 1, limit, page.next, most)
        number += 1
        assert page.page == number
        seen = seen + page.entries
    assert seen == entries_of(wanted)


def test_what_is_passed_over_is_not_read() -> None:
    seen: list[int] = []

    def read(number: int) -> int:
        seen.append(number)
        return number

    assert turn_to(rows_of([True] * 10, read), SCOPE, 3, 2, None, 100).entries == seen == [4, 5]


def test_a_page_by_number_passes_over_so_many_and_no_more() -> None:
    rows = rows_of([True] * (MOST_PASSED + 2))
    assert turn_to(rows, SCOPE, MOST_PASSED + 1, 1, None, 2 * MOST_PASSED).entries == [MOST_PASSED]
    with pytest.raises(Malformed) as refused:
        turn_to(rows, SCOPE, MOST_PASSED + 2, 1, None, 2 * MOST_PASSED)
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [("page", "page_too_far")]


def test_a_token_of_another_list_is_refused() -> None:
    token = turn_to(rows_of([True] * 3), SCOPE, 1, 1, None, 100).next
    with pytest.raises(Malformed) as refused:
        turn_to(rows_of([True] * 3), "acme/other things", 1, 1, token, 100)
    assert [fault.field for fault in refused.value.faults] == ["next"]
