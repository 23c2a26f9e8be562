"""Bookings as their customers see them, put together from a booking's own item and its reservation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from holdfast.catalogue.halls import states
from holdfast.catalogue.halls.states import BookingState, PaymentState
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import view_id
from holdfast.reservations.reading import state_at

_OF_THE_CUSTOMER = frozenset({"customer", "special_requests"})


@dataclass(frozen=True)
class Customer:
    """For whom a booking is, and what was said of them when it was made."""

    id: str
    name: str | None = None
    phone: str | None = None
    email: str | None = None


@dataclass(frozen=True)
class Booking:
    """A booking; times are ms, `total_minor` is in minor units of `currency`.

    `refund_percent` and `refund_minor`, what was paid back, are there once it was cancelled after it was confirmed.
    """

    id: str
    number: str
    venue_id: str
    venue_name: str
    customer: Customer
    is_new_customer: bool
    start: int
    end: int
    state: BookingState
    payment: PaymentState
    event_type: str | None
    guest_count: int | None
    special_requests: str | None
    total_minor: int
    currency: str
    created_at: int
    updated_at: int
    expires_at: int
    refund_percent: int | None = None
    refund_minor: int | None = None


def shown(item: BookingItem, record: ReservationItem, order: OrderItem | None, now: int) -> Booking:
    """Return a booking as it is at `now` (ms); `order` is what buys it, where it came to that."""
    booking = Booking(
        id=view_id("b", record.key),
        number=item.number,
        venue_id=item.venue_id,
        venue_name=item.venue_name,
        customer=_customer(item),
        is_new_customer=item.is_new_customer,
        start=item.start,
        end=item.end,
        state=states.shown(state_at(record, now), item.end, now),
        payment=PaymentState.PENDING,
        event_type=item.event_type,
        guest_count=item.guest_count,
        special_requests=item.special_requests,
        total_minor=item.total_minor,
        currency=item.currency,
        created_at=item.created_at,
        updated_at=item.updated_at,
        expires_at=record.expires_at,
        refund_percent=item.refund_percent,
    )
    return with_order(booking, order)


def with_order(booking: Booking, order: OrderItem | None) -> Booking:
    """Return a booking as the order that buys it says that it is paid."""
    if order is None:
        return booking
    paid = replace(booking, payment=states.payment_of(order), updated_at=max(booking.updated_at, order.updated_at))
    if booking.state is not BookingState.CANCELLED or order.completed_at is None:
        return replace(paid, refund_percent=None)
    percent = booking.refund_percent
    if percent is None:
        percent = _share(order.refunded_minor, order.captured_minor)
    return replace(paid, refund_percent=percent, refund_minor=order.refunded_minor)


def as_made(item: BookingItem, record: ReservationItem) -> Booking:
    """Return a booking as it was when it was made, whatever became of it since."""
    return replace(
        shown(item, record, None, item.created_at),
        state=BookingState.TEMP_HOLD,
        updated_at=item.created_at,
        expires_at=record.first_expires_at,
        refund_percent=None,
    )


def to_json(booking: Booking) -> dict[str, Any]:
    """Return a booking as JSON keeps it: without what its own item alone says of its customer, who may be deleted."""
    return {name: value for name, value in asdict(booking).items() if name not in _OF_THE_CUSTOMER}


def from_json(known: Mapping[str, Any], item: BookingItem) -> Booking:
    """Return the booking that JSON kept; what it says of its customer never changes but by being deleted."""
    read = {
        "customer": _customer(item),
        "special_requests": item.special_requests,
        "state": BookingState(known["state"]),
        "payment": PaymentState(known["payment"]),
    }
    return Booking(**{**known, **read})


def _customer(item: BookingItem) -> Customer:
    return Customer(item.user_id, item.customer_name, item.customer_phone, item.customer_email)


def _share(part_minor: int, whole_minor: int) -> int:
    """Return which share of an amount a part of it is, in whole per cent; nothing is all of nothing."""
    return 100 if whole_minor == 0 else (200 * part_minor + whole_minor) // (2 * whole_minor)
