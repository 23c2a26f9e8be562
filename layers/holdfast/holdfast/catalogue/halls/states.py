"""The life of a booking as older clients know it, and how it follows from that of its reservation."""

from enum import StrEnum

from holdfast.platform.order_items import OrderItem
from holdfast.reservations.states import State


class BookingState(StrEnum):
    """The states of a booking; WIRE.md, section 4."""

    TEMP_HOLD = "temp_hold"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PaymentState(StrEnum):
    """How a booking is paid; WIRE.md, section 4."""

    PENDING = "pending"
    PARTIAL = "partial"
    """Some of what was paid is paid back."""
    PAID = "paid"
    REFUNDED = "refunded"


FOLLOWERS: dict[BookingState, frozenset[BookingState]] = {
    BookingState.TEMP_HOLD: frozenset({BookingState.PENDING, BookingState.EXPIRED, BookingState.CANCELLED}),
    BookingState.PENDING: frozenset({BookingState.CONFIRMED, BookingState.CANCELLED}),
    BookingState.CONFIRMED: frozenset({BookingState.COMPLETED, BookingState.CANCELLED}),
    BookingState.COMPLETED: frozenset(),
    BookingState.CANCELLED: frozenset(),
    BookingState.EXPIRED: frozenset(),
}
"""What may follow each state."""

ACTIVE = frozenset({BookingState.TEMP_HOLD, BookingState.PENDING, BookingState.CONFIRMED})
"""The states in which a booking keeps its time from others."""

_SHOWN = {
    State.HELD: BookingState.TEMP_HOLD,
    State.CHECKING_OUT: BookingState.PENDING,
    State.CONFIRMED: BookingState.CONFIRMED,
    State.COMPLETED: BookingState.COMPLETED,
    State.REFUNDED: BookingState.CANCELLED,
    State.CANCELLED: BookingState.CANCELLED,
    State.EXPIRED: BookingState.EXPIRED,
}


def shown(state: State, end: int, now: int) -> BookingState:
    """Return the state of a booking by that of its reservation; once its `end` (ms) is past it is completed."""
    found = _SHOWN[state]
    return BookingState.COMPLETED if found is BookingState.CONFIRMED and end <= now else found


def may_follow(state: BookingState, following: BookingState) -> bool:
    """Return whether a booking in `state` may become `following` in one step."""
    return following in FOLLOWERS[state]


def may_confirm(state: BookingState) -> bool:
    """Return whether staff may confirm a booking: one that is held becomes pending and confirmed at once.

    One that is pending is being paid; its payment confirms it.
    """
    return may_follow(state, BookingState.PENDING) and may_follow(BookingState.PENDING, BookingState.CONFIRMED)


def payment_of(order: OrderItem) -> PaymentState:
    """Return how a booking is paid by the order that buys it."""
    if order.completed_at is None:
        return PaymentState.PENDING
    if order.refunded_minor == 0:
        return PaymentState.PAID
    return PaymentState.PARTIAL if order.refunded_minor < order.captured_minor else PaymentState.REFUNDED


def may_cancel(state: BookingState) -> bool:
    """Return whether a booking may be cancelled."""
    return may_follow(state, BookingState.CANCELLED)
