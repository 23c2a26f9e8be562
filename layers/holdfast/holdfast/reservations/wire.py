"""What clients of the unified API send and see: lines of every kind, and the reservation that they make.

The models are built when the first request needs them, and not while a function starts.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from holdfast.platform.clock import to_text
from holdfast.platform.fields import (
    CaptchaToken,
    Currency,
    EventId,
    ExperienceId,
    Instant,
    Moment,
    PaxType,
    ProductId,
    Quantity,
    SeatLabel,
    ShownProductId,
    ShownReservationId,
    ShownUserId,
    SlotDate,
    SlotId,
    TicketId,
    TicketTypeId,
    UserId,
    VenueId,
)
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.reservations.reading import line_price, total_of
from holdfast.reservations.states import State

_STRICT = ConfigDict(extra="forbid", defer_build=True)
_SHOWN = ConfigDict(defer_build=True)


class ProductLineBody(BaseModel):
    """So many of one product."""

    model_config = _STRICT

    kind: Literal["product"]
    product_id: ProductId
    quantity: Quantity


class TicketLineBody(BaseModel):
    """So many tickets of a counted type."""

    model_config = _STRICT

    kind: Literal["ticket"]
    event_id: EventId
    ticket_type_id: TicketTypeId
    quantity: Quantity


class SeatLineBody(BaseModel):
    """One numbered seat."""

    model_config = _STRICT

    kind: Literal["seat"]
    event_id: EventId
    ticket_type_id: TicketTypeId
    row: SeatLabel
    seat: SeatLabel


class BestAvailableLineBody(BaseModel):
    """So many seats of a type, the best that are free: side by side in one row where there are any."""

    model_config = _STRICT

    kind: Literal["best_available"]
    event_id: EventId
    ticket_type_id: TicketTypeId
    quantity: Annotated[int, Field(strict=True, ge=1, le=20, description="How many seats.", examples=[2])]


class ListingLineBody(BaseModel):
    """A ticket that somebody resells."""

    model_config = _STRICT

    kind: Literal["listing"]
    ticket_id: TicketId


class VenueLineBody(BaseModel):
    """A hall, from `start` up to, not including, `end`."""

    model_config = _STRICT

    kind: Literal["venue"]
    venue_id: VenueId
    start: Instant
    end: Instant


class SlotLineBody(BaseModel):
    """Places of an experience's slot: so many of each pax type."""

    model_config = _STRICT

    kind: Literal["slot"]
    experience_id: ExperienceId
    date: SlotDate
    slot_id: SlotId
    pax: dict[PaxType, Quantity] = Field(
        min_length=1,
        max_length=20,
        description="How many of each pax type.",
        examples=[{"ADULT_12~99": 2}],
        # pydantic says of keys which ones there may be, but not that there are no others.
        json_schema_extra={"additionalProperties": False},
    )


_LINES: dict[str, type[BaseModel]] = {
    "product": ProductLineBody,
    "ticket": TicketLineBody,
    "seat": SeatLineBody,
    "best_available": BestAvailableLineBody,
    "listing": ListingLineBody,
    "venue": VenueLineBody,
    "slot": SlotLineBody,
}


def _kind_of(line: Any) -> str | None:
    """Return the tag of a line's kind; one in angle brackets is not named in errors."""
    kind = line.get("kind") if isinstance(line, dict) else getattr(line, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) and kind in _LINES else None


ReservationLineBody = Annotated[
    Annotated[ProductLineBody, Tag("<product>")]
    | Annotated[TicketLineBody, Tag("<ticket>")]
    | Annotated[SeatLineBody, Tag("<seat>")]
    | Annotated[BestAvailableLineBody, Tag("<best_available>")]
    | Annotated[ListingLineBody, Tag("<listing>")]
    | Annotated[VenueLineBody, Tag("<venue>")]
    | Annotated[SlotLineBody, Tag("<slot>")],
    Discriminator(
        _kind_of,
        custom_error_type="kind_unknown",
        custom_error_message=f"A line is an object whose kind is one of {', '.join(_LINES)}.",
    ),
]


class ReservationBody(BaseModel):
    """A cart to hold, all lines or none."""

    model_config = _STRICT

    items: list[ReservationLineBody] = Field(
        min_length=1, max_length=100, description="Lines of the same product count as one; at most 20 different ones."
    )
    user_id: UserId | None = Field(None, description="For whom; a service key must say.", examples=["alice"])
    hold_seconds: Annotated[int, Field(strict=True, ge=1, le=86_400)] | None = Field(
        None,
        description="How long to hold, up to what the kinds in the cart allow; unless given as the shortest of them.",
        examples=[600],
    )
    captcha_token: CaptchaToken | None = Field(None, examples=[None])


class _ShownLine(BaseModel):
    model_config = _SHOWN

    quantity: int = Field(examples=[1])
    unit_price_minor: int = Field(description="Price of one, in minor units of the currency.", examples=[1999])
    price_minor: int = Field(description="Price of the line, in minor units of the currency.", examples=[1999])
    currency: Currency
    state: State


class ProductLine(_ShownLine):
    """So many of one product, as they are held."""

    kind: Literal["product"]
    product_id: ShownProductId


class TicketLine(_ShownLine):
    """So many tickets of a counted type, as they are held."""

    kind: Literal["ticket"]
    event_id: str = Field(examples=["1"])
    ticket_type_id: str = Field(examples=["1"])


class SeatLine(_ShownLine):
    """One numbered seat, as it is held; of seats that were chosen as the best, each is a line of its own."""

    kind: Literal["seat"]
    event_id: str = Field(examples=["1"])
    ticket_type_id: str = Field(examples=["1"])
    row: str = Field(examples=["12"])
    seat: str = Field(examples=["7"])


class ListingLine(_ShownLine):
    """A ticket that somebody resells, as it is held."""

    kind: Literal["listing"]
    ticket_id: str = Field(examples=["19a9f5c1c3a0123456789abc"])
    title: str = Field(examples=["Row 3, seat 14"])


class VenueLine(_ShownLine):
    """A hall, as it is held from `start` up to, not including, `end`."""

    kind: Literal["venue"]
    venue_id: str = Field(examples=["1"])
    start: Moment
    end: Moment


class PlacesLine(_ShownLine):
    """Places of an experience's slot: of one pax type, since each is a line of its own."""

    kind: Literal["slot"]
    experience_id: str = Field(examples=["14"])
    date: str = Field(examples=["2025-03-23"])
    slot_id: str = Field(examples=["ab12"])
    pax: dict[str, int] = Field(description="The pax type, and how many.", examples=[{"ADULT_12~99": 2}])


class SlotLine(PlacesLine):
    """Places of an experience's slot, as they are held; of several pax types, each is a line of its own."""

    is_short: bool = Field(
        description="Whether the partner has fewer places by now than are held and sold. They can be bought still.",
        examples=[False],
    )


ReservationLine = Annotated[
    ProductLine | TicketLine | SeatLine | ListingLine | VenueLine | SlotLine, Field(discriminator="kind")
]

SHOWN_LINES: dict[str, type[_ShownLine]] = {
    "product": ProductLine,
    "ticket": TicketLine,
    "seat": SeatLine,
    "listing": ListingLine,
    "venue": VenueLine,
    "slot": SlotLine,
}
"""The shown line of each kind that a reservation keeps."""


class ReservationTotal(BaseModel):
    """What all lines of one currency cost."""

    model_config = _SHOWN

    currency: Currency
    amount_minor: int = Field(description="In minor units of the currency.", examples=[1999])


class Reservation(BaseModel):
    """A reservation: what is held, for whom, at which price, and until when."""

    model_config = _SHOWN

    id: ShownReservationId
    status: State
    user_id: ShownUserId
    items: list[ReservationLine]
    totals: list[ReservationTotal]
    created_at: Moment
    expires_at: Moment = Field(examples=["2026-03-01T10:10:00.250Z"])


class ReservationList(BaseModel):
    """Some of a user's reservations; `next` asks for more and is null at the end."""

    model_config = _SHOWN

    items: list[Reservation]
    next: str | None = Field(examples=[None])


def shown(record: ReservationItem, state: State, short: Collection[str] = ()) -> Reservation:
    """Return a reservation as clients see it in `state`; `short` are the pools of places of which there are too few."""
    return Reservation(
        id=record.id,
        status=state,
        user_id=record.user_id,
        items=[_line(line, state, short) for line in record.lines],
        totals=[ReservationTotal(currency=record.lines[0].currency, amount_minor=total_of(record))],
        created_at=to_text(record.created_at),
        expires_at=to_text(record.expires_at),
    )


def named_as(line: LineMap) -> dict[str, Any]:
    """Return what a line says, by the names that clients know it by."""
    named: dict[str, Any] = {**line.attribute_values, "price_minor": line_price(line)}
    if named["kind"] == "venue":
        named |= {"start": to_text(named["start"]), "end": to_text(named["end"])}
    elif named["kind"] == "slot":
        named["pax"] = {named["pax_type"]: named["quantity"]}
    return named


def _line(line: LineMap, state: State, short: Collection[str]) -> Any:
    named = {**named_as(line), "state": state}
    if named["kind"] == "slot":
        named["is_short"] = line.pool in short
    return SHOWN_LINES[named["kind"]](**named)
