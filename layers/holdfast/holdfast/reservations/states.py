"""The life of a reservation as one table: which state may follow which (PROTOCOL.md 14)."""

from enum import StrEnum


class State(StrEnum):
    """The states of a reservation, as stored and as clients see them."""

    HELD = "held"
    CHECKING_OUT = "checking_out"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    COMPLETED = "completed"
    REFUNDED = "refunded"


FOLLOWERS: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.CHECKING_OUT, State.CONFIRMED, State.CANCELLED, State.EXPIRED}),
    State.CHECKING_OUT: frozenset({State.HELD, State.CONFIRMED, State.CANCELLED, State.EXPIRED}),
    State.EXPIRED: frozenset({State.CONFIRMED}),
    State.CONFIRMED: frozenset({State.COMPLETED, State.REFUNDED, State.CANCELLED}),
    State.CANCELLED: frozenset(),
    State.COMPLETED: frozenset(),
    State.REFUNDED: frozenset(),
}
"""What may follow each state. A declined payment goes back to held; late money confirms an expired reservation."""


OVER = frozenset(State) - {State.HELD, State.CHECKING_OUT}
"""The states in which a reservation keeps nothing from anybody that is not sold."""


def may_follow(state: State, following: State) -> bool:
    """Return whether a reservation in `state` may become `following`."""
    return following in FOLLOWERS[state]
