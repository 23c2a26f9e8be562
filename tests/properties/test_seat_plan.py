"""Where seats are kept, and how they are told in few characters: rules that hold of any seat map."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.catalogue.events import seat_plan
from holdfast.catalogue.events.availability import Block, page_of
from holdfast.catalogue.events.blocks import Seat, SeatState
from holdfast.catalogue.events.compact import LETTERS, compacted
from holdfast.catalogue.events.labels import in_ranges, order_of, out_of_ranges
from holdfast.catalogue.events.seat_plan import Plan, extended
from holdfast.platform.errors import SeatMapFull

SIZES = st.integers(1, 12)
UPLOADS = st.lists(st.dictionaries(st.integers(1, 30), SIZES, min_size=1, max_size=8), min_size=1, max_size=5)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> object:
    with pytest.MonkeyPatch.context() as small:
        small.setattr(seat_plan, "MOST_SEATS", 12)
        small.setattr(seat_plan, "_FILLED_TO", 10)
        yield


@given(UPLOADS)
def test_every_row_stays_in_its_block_and_no_block_has_too_many(uploads: list[dict[int, int]]) -> None:
    """Whatever is uploaded in whichever order; what does not fit is refused and leaves the plan as it was."""
    plan = Plan([])
    made: dict[str, set[str]] = {}
    for number, one in enumerate(uploads):
        wanted = {str(row): {str(seat) for seat in range(number, number + size)} for row, size in one.items()}
        try:
            further = extended(plan, wanted)
        except SeatMapFull:
            assert any(row in made for row in wanted), "new rows always fit"
            continue
        assert {row: further.rows[row] for row in plan.rows} == plan.rows
        plan = further
        for row, seats in wanted.items():
            made[row] = made.get(row, set()) | seats
        assert extended(plan, wanted) == plan, "the same again changes nothing"
    assert {row: seats for block in plan.blocks for row, seats in block.items()} == made
    assert sum(plan.sizes) == sum(map(len, made.values()))
    assert all(0 < size <= 12 for size in plan.sizes)


@given(st.dictionaries(st.integers(1, 99), st.integers(1, 12), min_size=1))
def test_a_map_uploaded_at_once_stands_in_natural_order(rows: dict[int, int]) -> None:
    """So that the best block has the best rows; and blocks are filled while rows fit."""
    plan = extended(Plan([]), {str(row): set(map(str, range(size))) for row, size in rows.items()})
    blocks = [plan.rows[row] for row in sorted(plan.rows, key=order_of)]
    assert blocks == sorted(blocks)
    for block in range(1, len(plan.blocks)):
        first = min((row for row in plan.rows if plan.rows[row] == block), key=order_of)
        assert plan.sizes[block - 1] + rows[int(first)] > 10


LABELS = st.sets(st.one_of(st.integers(0, 30).map(str), st.sampled_from(["01", "07", "08", "A", "B", "A1", "B2"])))


@given(LABELS.filter(bool))
def test_labels_come_out_of_ranges_as_they_went_in(labels: set[str]) -> None:
    """What a plan says of a row is read as it was written."""
    ordered = sorted(labels, key=order_of)
    assert out_of_ranges(in_ranges(ordered)) == ordered


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 20), st.integers(1, 4))
def test_pages_are_all_blocks_in_their_order_each_once(sizes: list[int], seats: int, most: int) -> None:
    """No page is over its bounds unless a single block is; each goes on where the one before ended."""
    blocks = [Block("1", number, size) for number, size in enumerate(sizes)]
    seen: list[Block] = []
    start: str | None = None
    while True:
        page, start = page_of(blocks, start, seats, most)
        seen += page
        assert len(page) <= most
        assert len(page) <= 1 or sum(block.seats for block in page) <= seats
        if start is None:
            break
        assert page
    assert seen == blocks


def test_a_page_of_a_block_that_never_was_is_an_error() -> None:
    """Tokens are checked before: this is a defect of ours."""
    with pytest.raises(ValueError, match=r"1\.7"):
        page_of([Block("1", 0, 5)], "1.7", 10, 10)


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["1", "2", "10", "A"]), st.sampled_from(["1", "2", "3", "5", "07", "08", "9", "A", "B"])
        ),
        st.sampled_from(SeatState),
    )
)
def test_compact_rows_say_of_every_seat_what_it_is(seats: dict[tuple[str, str], SeatState]) -> None:
    """A client that expands the labels finds each seat, once, with its letter."""
    letters = {letter: state for state, letter in LETTERS.items()}
    told: dict[tuple[str, str], SeatState] = {}
    rows = compacted(Seat(row, label, state, None) for (row, label), state in seats.items())
    for row in rows:
        labels = out_of_ranges(row.seats)
        assert labels == sorted(labels, key=order_of)
        told |= {(row.row, label): letters[state] for label, state in zip(labels, row.states, strict=True)}
    assert told == seats
    assert [row.row for row in rows] == sorted({row for row, _ in seats}, key=order_of)


def test_numbers_that_follow_one_another_are_told_as_a_range() -> None:
    """Which is what makes a row of forty seats fit into fifty characters."""
    seats = [Seat("1", str(number), SeatState.AVAILABLE, None) for number in (*range(1, 21), *range(23, 41))]
    assert compacted(seats)[0].seats == "1-20,23-40"
