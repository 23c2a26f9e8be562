"""What clients of the halls' API see of bookings (WIRE.md, section 4)."""

from typing import Literal

from pydantic import BaseModel, Field

from holdfast.catalogue.halls import states
from holdfast.catalogue.halls.booking_views import Booking
from holdfast.catalogue.halls.settings import HOUR, MINUTE
from holdfast.catalogue.halls.states import ACTIVE, BookingState, PaymentState
from holdfast.catalogue.halls.wire import AlternativeTime, HallBody
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Currency, Moment

BOOKING_EXAMPLE = "b-abcdefghijklmnop-0123456789abcdef0123456789abcdef"

_PAY = "Pay by POST /api/v1/reservations/{}/checkout to confirm the booking."


class BookingCustomer(BaseModel):
    """For whom a booking is; what is not known of them is null."""

    id: str = Field(description="A user's id.", examples=["018f3a2b4c50123456789abc"])
    name: str | None = Field(examples=["Asha Rao"])
    phone: str | None = Field(examples=["+919876543210"])
    email: str | None = Field(examples=["asha@example.com"])


class BookingData(HallBody):
    """A booking."""

    id: str = Field(description="A booking's id.", examples=[BOOKING_EXAMPLE])
    booking_number: str = Field(examples=["PAR-2030-0042"])
    venue_id: str = Field(examples=["1"])
    venue_name: str = Field(examples=["Parkside"])
    customer: BookingCustomer
    start_ts: Moment = Field(examples=["2030-06-01T18:00:00.000Z"])
    end_ts: Moment = Field(examples=["2030-06-01T22:00:00.000Z"])
    duration: float = Field(description="In hours.", examples=[4.0])
    status: BookingState
    payment_status: PaymentState
    event_type: str | None = Field(examples=["wedding"])
    guest_count: int | None = Field(examples=[120])
    special_requests: str | None = Field(examples=["Ramp needed."])
    total_amount_cents: int = Field(description="In minor units of the currency.", examples=[50_000])
    currency: Currency
    created_at: Moment
    updated_at: Moment
    is_active: bool = Field(description="Whether the time is kept from others.", examples=[True])
    can_be_cancelled: bool = Field(examples=[True])
    hold_expires_at: Moment | None = Field(
        description="Until when the time is kept unless it is confirmed.", examples=["2026-03-01T10:15:00.250Z"]
    )


class BookingStep(BaseModel):
    """What the customer has to do next."""

    action: Literal["payment"]
    description: str = Field(examples=[_PAY.format(BOOKING_EXAMPLE)])
    deadline: Moment = Field(examples=["2026-03-01T10:15:00.250Z"])


class BookingMade(HallBody):
    """A new booking, and what comes next."""

    success: Literal[True] = True
    booking: BookingData
    is_new_customer: bool = Field(examples=[False])
    payment_required: bool = Field(examples=[True])
    hold_expires_in: int = Field(description="Minutes from its making until the hold runs out.", examples=[15])
    next_steps: list[BookingStep]


class BookingAnswer(HallBody):
    """A booking as it is; once cancelled after it was confirmed, also what was paid back."""

    success: Literal[True] = True
    booking: BookingData
    refund_percent: int | None = Field(description="Share of the price.", examples=[None])
    refund_amount_cents: int | None = Field(description="In minor units of the currency.", examples=[None])


class BookingsAnswer(BaseModel):
    """A page of bookings, in the older envelope; `next` asks for the page after it and is null at the end."""

    success: Literal[True] = True
    bookings: list[BookingData]
    page: int = Field(examples=[1])
    limit: int = Field(examples=[20])
    next: str | None = Field(examples=[None])


class BookingRefusal(BaseModel):
    """What the error of a time that is taken carries besides: as long, free, the nearest first."""

    alternatives: list[AlternativeTime] = Field(default_factory=list)


def shown_new(booking: Booking) -> BookingMade:
    """Return a new booking, and what comes next, as clients see them."""
    deadline = to_text(booking.expires_at)
    step = BookingStep(action="payment", description=_PAY.format(booking.id), deadline=deadline)
    is_priced = booking.total_minor > 0
    return BookingMade(
        booking=shown_booking(booking),
        is_new_customer=booking.is_new_customer,
        payment_required=is_priced,
        hold_expires_in=-(-(booking.expires_at - booking.created_at) // MINUTE),
        next_steps=[step] if is_priced else [],
    )


def shown_answer(booking: Booking) -> BookingAnswer:
    """Return a booking in its envelope."""
    return BookingAnswer(
        booking=shown_booking(booking), refund_percent=booking.refund_percent, refund_amount_cents=booking.refund_minor
    )


def shown_booking(booking: Booking) -> BookingData:
    """Return a booking as clients see it."""
    customer = booking.customer
    is_held = booking.state in (BookingState.TEMP_HOLD, BookingState.PENDING)
    return BookingData(
        id=booking.id,
        booking_number=booking.number,
        venue_id=booking.venue_id,
        venue_name=booking.venue_name,
        customer=BookingCustomer(id=customer.id, name=customer.name, phone=customer.phone, email=customer.email),
        start_ts=to_text(booking.start),
        end_ts=to_text(booking.end),
        duration=(booking.end - booking.start) / HOUR,
        status=booking.state,
        payment_status=booking.payment,
        event_type=booking.event_type,
        guest_count=booking.guest_count,
        special_requests=booking.special_requests,
        total_amount_cents=booking.total_minor,
        currency=booking.currency,
        created_at=to_text(booking.created_at),
        updated_at=to_text(booking.updated_at),
        is_active=booking.state in ACTIVE,
        can_be_cancelled=states.may_cancel(booking.state),
        hold_expires_at=to_text(booking.expires_at) if is_held else None,
    )
