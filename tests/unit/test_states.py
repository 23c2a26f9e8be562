"""The state table, every pair of states."""

import pytest

from holdfast.reservations.states import FOLLOWERS, State, may_follow

ALLOWED = {
    ("held", "checking_out"),
    ("held", "confirmed"),
    ("held", "cancelled"),
    ("held", "expired"),
    ("checking_out", "held"),
    ("checking_out", "confirmed"),
    ("checking_out", "cancelled"),
    ("checking_out", "expired"),
    ("expired", "confirmed"),
    ("confirmed", "completed"),
    ("confirmed", "refunded"),
    ("confirmed", "cancelled"),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("following", list(State))
def test_every_pair_of_states(state: State, following: State) -> None:
    """PROTOCOL.md 14: what the table says, and nothing else."""
    assert may_follow(state, following) == ((state.value, following.value) in ALLOWED)


def test_the_table_names_every_state_and_some_are_final() -> None:
    """Cancelled is final: late money is refunded; nothing leads back to where it is, and all can be reached."""
    assert set(FOLLOWERS) == set(State)
    assert {state for state in State if not FOLLOWERS[state]} == {State.CANCELLED, State.COMPLETED, State.REFUNDED}
    assert not any(may_follow(state, state) for state in State)
    assert {State.HELD}.union(*FOLLOWERS.values()) == set(State)
