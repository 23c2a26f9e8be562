"""The states of a booking, every pair of them, and every step of a reservation as its booking shows it."""

import pytest

from holdfast.catalogue.halls.states import ACTIVE, FOLLOWERS, BookingState, may_cancel, may_confirm, may_follow, shown
from holdfast.reservations import states
from holdfast.reservations.states import State

ALLOWED = {
    ("temp_hold", "pending"),
    ("temp_hold", "expired"),
    ("temp_hold", "cancelled"),
    ("pending", "confirmed"),
    ("pending", "cancelled"),
    ("confirmed", "completed"),
    ("confirmed", "cancelled"),
}
"""WIRE.md, section 4."""

BEYOND = {
    ("temp_hold", "confirmed"),  # through pending, both at once
    ("pending", "temp_hold"),  # a declined payment leaves the hold as it was (PROTOCOL.md 14)
    ("pending", "expired"),  # nobody paid in time
    ("expired", "confirmed"),  # late money takes the time anew (PROTOCOL.md 14)
}
"""Steps of a reservation that a booking shows although the older table has no single step for them."""

END = 1_000


@pytest.mark.parametrize("state", list(BookingState))
@pytest.mark.parametrize("following", list(BookingState))
def test_every_pair_of_states(state: BookingState, following: BookingState) -> None:
    assert may_follow(state, following) == ((state.value, following.value) in ALLOWED)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("following", list(State))
def test_every_step_of_the_engine_is_one_of_the_booking(state: State, following: State) -> None:
    """Against the engine's whole table: no step of a reservation shows as one that a booking cannot take."""
    if not states.may_follow(state, following):
        return
    step = shown(state, END, 0), shown(following, END, 0)
    assert may_follow(*step) or tuple(map(str, step)) in BEYOND


def test_each_step_beyond_the_older_table_is_one_that_the_engine_takes() -> None:
    taken = {
        (str(shown(state, END, 0)), str(shown(following, END, 0)))
        for state in State
        for following in states.FOLLOWERS[state]
    }
    assert taken >= BEYOND
    assert not BEYOND & ALLOWED


def test_every_state_is_shown_and_a_confirmed_one_is_completed_at_its_end() -> None:
    assert {shown(state, END, 0) for state in State} == set(BookingState)
    assert shown(State.CONFIRMED, END, END - 1) is BookingState.CONFIRMED
    assert shown(State.CONFIRMED, END, END) is BookingState.COMPLETED
    assert shown(State.HELD, END, END) is BookingState.TEMP_HOLD


def test_what_may_be_done_in_each_state() -> None:
    assert {state for state in BookingState if may_confirm(state)} == {BookingState.TEMP_HOLD}
    assert {state for state in BookingState if may_cancel(state)} == ACTIVE
    assert {state for state in BookingState if FOLLOWERS[state]} == ACTIVE
