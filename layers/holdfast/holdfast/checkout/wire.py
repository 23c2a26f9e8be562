"""What clients of two older systems send to the addresses that they share, and what they see.

Flash deals (WIRE.md, section 1) are spelt in snake_case, tickets to events (section 2) in camelCase. The models are
built when the first request needs them, and not while a function starts.
"""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic.alias_generators import to_camel

from holdfast.checkout.purchases import PurchaseState
from holdfast.platform.errors import Fault, Malformed
from holdfast.platform.fields import (
    CaptchaToken,
    Currency,
    DecimalNumber,
    EventId,
    Moment,
    Money,
    ProductId,
    Quantity,
    SeatLabel,
    ShownProductId,
    ShownReservationId,
    ShownUserId,
    TicketTypeId,
    UserId,
)
from holdfast.platform.shapes import Shapes
from holdfast.reservations.deal_wire import DealHoldData
from holdfast.reservations.engine import LineRequest

ORDER_EXAMPLE = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"

_APIS = Shapes({"<deal>": ("product_id", "items"), "<tickets>": ("seatDetails",)})
_TICKETS = Shapes({"<seats>": ("seatNumbers", "rowNumbers"), "<counted>": ("quantity",)})

_DEAL = ConfigDict(defer_build=True)


class DealReserveBody(BaseModel):
    """More of one product for a user, on top of what the user holds of it."""

    model_config = _DEAL

    user_id: UserId
    product_id: ProductId
    quantity: Quantity


class DealCheckoutBody(BaseModel):
    """So many of what the user holds of a product are bought."""

    model_config = _DEAL

    user_id: UserId
    product_id: ProductId
    quantity: Quantity
    total_amount: Money | None = Field(
        None, description="What the client believes that to cost; checked, never trusted.", examples=["19.99"]
    )


class DealHoldAnswer(BaseModel):
    """A hold, in the older envelope."""

    model_config = _DEAL

    success: Literal[True] = True
    data: DealHoldData
    message: str = Field(examples=["Reserved."])


class DealOrderData(BaseModel):
    """What was bought."""

    model_config = _DEAL

    id: str = Field(description="An order's id.", examples=[ORDER_EXAMPLE])
    user_id: ShownUserId
    product_id: ShownProductId
    quantity: int = Field(examples=[1])
    total_amount: DecimalNumber
    currency: Currency
    status: Literal["completed"]
    created_at: Moment


class DealOrderAnswer(BaseModel):
    """An order, in the older envelope."""

    model_config = _DEAL

    success: Literal[True] = True
    data: DealOrderData
    message: str = Field(examples=["Checked out."])


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, defer_build=True)


class _Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, defer_build=True)


class NumberedSeats(_Body):
    """Numbered seats: the row of each, and its number in the row, in the same order."""

    row_numbers: list[SeatLabel] = Field(min_length=1, max_length=100, examples=[[1, 1]])
    seat_numbers: list[SeatLabel] = Field(min_length=1, max_length=100, examples=[[2, 3]])


class CountedTickets(_Body):
    """So many tickets without numbered seats."""

    quantity: Quantity


class TicketsOfType(_Body):
    """Tickets of one type."""

    ticket_type_id: TicketTypeId
    meta_data: Annotated[
        Annotated[NumberedSeats, Tag("<seats>")] | Annotated[CountedTickets, Tag("<counted>")],
        Discriminator(_TICKETS.tag_of),
        BeforeValidator(_TICKETS.one),
    ]


class TicketsBody(_Body):
    """Tickets to one event for a user, all or none."""

    user_id: UserId
    event_id: EventId
    seat_details: list[TicketsOfType] = Field(
        min_length=1, max_length=100, description="At most 20 seats and counted types in all."
    )
    captcha_token: CaptchaToken | None = Field(None, examples=[None])


ReserveBody = Annotated[
    Annotated[DealReserveBody, Tag("<deal>")] | Annotated[TicketsBody, Tag("<tickets>")],
    Discriminator(_APIS.tag_of),
    BeforeValidator(_APIS.one),
    Body(),
]
CheckoutBody = Annotated[
    Annotated[DealCheckoutBody, Tag("<deal>")] | Annotated[TicketsBody, Tag("<tickets>")],
    Discriminator(_APIS.tag_of),
    BeforeValidator(_APIS.one),
    Body(),
]
TicketsCheckoutBody = Annotated[TicketsBody, BeforeValidator(_APIS.only("<tickets>")), Body()]


class LockedSeats(_Shown):
    """The seats that are held now."""

    success: Literal[True] = True
    locked_seats: list[str] = Field(examples=[["seat:1:1:1:2", "seat:1:1:1:3"]])
    unavailable_seats: list[None] = Field(default_factory=list, max_length=0)


class TicketsHeldAnswer(_Shown):
    """What is held, and until when."""

    locked_seats: LockedSeats
    reservation_id: ShownReservationId
    expires_at: Moment = Field(examples=["2026-03-01T10:10:00.250Z"])


class SeatsInTheWay(_Shown):
    """The seats that stood in the way."""

    success: Literal[False] = False
    locked_seats: list[None] = Field(default_factory=list, max_length=0)
    unavailable_seats: list[str] = Field(examples=[["seat:1:1:1:2"]])


class SeatsRefusal(_Shown):
    """What the error of a refused request carries besides: nothing was held."""

    locked_seats: SeatsInTheWay


class PurchaseAnswer(_Shown):
    """That tickets were bought."""

    success: Literal[True] = True
    message: str = Field(examples=["Bought."])
    purchase_id: str = Field(examples=[ORDER_EXAMPLE])


class PurchaseDetail(_Shown):
    """A seat that was bought, or so many tickets without numbered seats; `amount` is what they cost in all."""

    event_id: str = Field(examples=["1"])
    ticket_type_id: str = Field(examples=["1"])
    ticket_type: str = Field(examples=["General"])
    row_number: int | str | None = Field(description="A number where it is called by one.", examples=[1])
    seat_number: int | str | None = Field(description="A number where it is called by one.", examples=[2])
    quantity: int = Field(examples=[1])
    amount: DecimalNumber


class Purchase(_Shown):
    """What a user bought of tickets to events; what else the same order has is left out."""

    id: str = Field(examples=[ORDER_EXAMPLE])
    user_id: ShownUserId
    event_id: str = Field(description="The event of the first of them.", examples=["1"])
    status: PurchaseState
    details: list[PurchaseDetail]
    total_amount: DecimalNumber
    currency: Currency
    created_at: Moment


def lines_of(body: TicketsBody) -> list[LineRequest]:
    """Return the seats and the counted tickets that a body names, each under the name of its field.

    Raises Malformed naming lists of different lengths, and seats that are named twice.
    """
    lines: list[LineRequest] = []
    faults: list[Fault] = []
    seen: set[tuple[str, str, str]] = set()
    for place, detail in enumerate(body.seat_details):
        field, named = f"seatDetails.{place}.metaData", detail.meta_data
        ids = {"event_id": body.event_id, "ticket_type_id": detail.ticket_type_id}
        if isinstance(named, CountedTickets):
            lines.append(LineRequest("ticket", f"{field}.quantity", named.quantity, **ids))
            continue
        if len(named.row_numbers) != len(named.seat_numbers):
            faults.append(Fault(f"{field}.seatNumbers", "There must be as many as rowNumbers.", "length_mismatch"))
            continue
        for number, (row, seat) in enumerate(zip(named.row_numbers, named.seat_numbers, strict=True)):
            line = LineRequest("seat", f"{field}.seatNumbers.{number}", row=row, seat=seat, **ids)
            if (detail.ticket_type_id, row, seat) in seen:
                faults.append(Fault(line.field, "The same seat is named before.", "duplicate"))
            seen.add((detail.ticket_type_id, row, seat))
            lines.append(line)
    if faults:
        raise Malformed(faults=faults)
    return lines
