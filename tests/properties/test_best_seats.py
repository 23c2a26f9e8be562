"""Which seats are best, held against a search through all that could be taken; and the order of labels."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.catalogue.events.best_seats import Place, best, longest_run, rows_of, together
from holdfast.catalogue.events.labels import adjacent, order_of

ROWS = ("1", "2", "10", "A", "AA")
SEATS = ("1", "2", "3", "5", "6", "9", "10", "11", "A", "B", "C")
"""In their natural order, as the rows; what is not side by side here is told by `_SIDE_BY_SIDE`."""
_SIDE_BY_SIDE = {("1", "2"), ("2", "3"), ("5", "6"), ("9", "10"), ("10", "11"), ("A", "B"), ("B", "C"), ("A", "C")}

Hall = dict[str, dict[str, bool]]
HALLS = st.dictionaries(
    st.sampled_from(ROWS), st.dictionaries(st.sampled_from(SEATS), st.booleans(), min_size=1, max_size=7), max_size=3
)


def side_by_side(seats: list[str], window: tuple[int, ...]) -> bool:
    """Return whether the seats at these positions of a row stand without a gap."""
    pairs = list(pairwise(window))
    return all(right - left == 1 and (seats[left], seats[right]) in _SIDE_BY_SIDE for left, right in pairs)


def groups(seats: list[str], window: tuple[int, ...]) -> int:
    """Return into how many groups the seats at these positions of a row fall."""
    pairs = pairwise(window)
    return 1 + sum(not side_by_side(seats, pair) for pair in pairs)


def searched(hall: Hall, quantity: int) -> list[Place] | None:
    """Return the one best choice of seats side by side, found by trying all."""
    for row in sorted(hall, key=ROWS.index):
        seats = sorted(hall[row], key=SEATS.index)
        free = [position for position, seat in enumerate(seats) if hall[row][seat]]
        found = [window for window in combinations(free, quantity) if side_by_side(seats, window)]
        if found:
            middle = (len(seats) - 1) / 2
            chosen = min(found, key=lambda window: (abs(sum(window) / quantity - middle), window[0]))
            return [Place(row, seats[position]) for position in chosen]
    return None


@given(HALLS, st.integers(1, 5))
def test_seats_side_by_side_are_the_nearest_to_the_middle_of_the_best_row_that_has_as_many(
    hall: Hall, quantity: int
) -> None:
    """What a search through all windows finds, is found."""
    wanted = searched(hall, quantity)
    assert next(together(rows_of(hall), quantity), None) == wanted
    if wanted is not None:
        assert best(rows_of(hall), quantity) == wanted


@given(HALLS, st.integers(1, 5))
def test_where_no_row_has_as_many_side_by_side_the_fewest_rows_are_taken_and_of_those_the_best(
    hall: Hall, quantity: int
) -> None:
    """Of all choices none has fewer rows, none as few and better ones; None only where too few are free."""
    free = {row: [seat for seat, is_free in hall[row].items() if is_free] for row in hall}
    found = best(rows_of(hall), quantity)
    if sum(map(len, free.values())) < quantity:
        assert found is None
        return
    assert found is not None
    assert len(set(found)) == quantity
    assert all(hall[place.row][place.seat] for place in found)
    if searched(hall, quantity) is not None:
        return
    ordered = sorted(hall, key=ROWS.index)
    enough = [
        chosen
        for count in range(1, len(ordered) + 1)
        for chosen in combinations(ordered, count)
        if sum(len(free[row]) for row in chosen) >= quantity
    ]
    assert tuple(dict.fromkeys(place.row for place in found)) == enough[0]


@given(st.dictionaries(st.sampled_from(SEATS), st.booleans(), min_size=1), st.integers(1, 6))
def test_within_a_row_seats_fall_into_as_few_groups_as_can_be(row: dict[str, bool], quantity: int) -> None:
    """No other choice of free seats of the row is less torn apart."""
    found = best(rows_of({"1": row}), quantity)
    seats = sorted(row, key=SEATS.index)
    choices = list(combinations([position for position, seat in enumerate(seats) if row[seat]], quantity))
    assert (found is None) == (not choices)
    if found is not None:
        taken = tuple(seats.index(place.seat) for place in found)
        assert groups(seats, taken) == min(groups(seats, choice) for choice in choices)


@given(HALLS, st.integers(1, 4))
def test_further_choices_share_no_seat_and_get_no_better(hall: Hall, quantity: int) -> None:
    """Whoever lost the best seats to another has others to turn to."""
    found = list(together(rows_of(hall), quantity))
    places = [place for choice in found for place in choice]
    assert len(set(places)) == len(places)
    assert all(hall[place.row][place.seat] for place in places)
    order = [ROWS.index(choice[0].row) for choice in found]
    assert order == sorted(order)


@given(HALLS, st.integers(1, 8))
def test_as_many_as_the_longest_run_are_found_side_by_side_and_no_more(hall: Hall, quantity: int) -> None:
    """What is remembered of a block is what a search in it would find."""
    rows = rows_of(hall)
    assert (next(together(rows, quantity), None) is not None) == (quantity <= longest_run(rows))


def test_labels_stand_as_in_a_hall() -> None:
    """Numbers first, then letters, the single ones before the double ones."""
    ordered = ["1", "2", "9", "10", "100", "A", "A2", "A10", "B", "Z", "a", "AA", "BB"]
    backwards = ordered[::-1]
    assert sorted(backwards, key=order_of) == ordered


def test_labels_that_spell_the_same_number_are_kept_apart() -> None:
    """Two labels are never the same place in the order, and never neighbours of themselves."""
    assert order_of("1") != order_of("01")
    assert not adjacent("1", "01")
    assert adjacent("09", "10")
    assert not adjacent("10", "A")
