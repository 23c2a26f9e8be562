"""What clients of the events API send and see: camelCase, as the older ones know it; compact seats are snake_case."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from holdfast.catalogue.events.availability import Section
from holdfast.catalogue.events.blocks import MOST_SEATS, SeatState
from holdfast.catalogue.events.compact import compacted
from holdfast.catalogue.events.labels import as_number, seat_name
from holdfast.catalogue.events.seat_plan import MOST_ROWS
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Currency, DecimalNumber, Moment, Money, SeatLabel, TicketTypeId
from holdfast.platform.items import EventItem, TicketTypeItem
from holdfast.platform.money import from_minor
from holdfast.platform.tables import id_of

_DATE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{3}([0-9]{3})?)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
)


def _on_the_calendar(text: str) -> str:
    """Return a date or a time that there is; raises ValueError for any other."""
    datetime.fromisoformat(text)
    return text


EventName = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Opening night"])]
EventDate = Annotated[
    StrictStr,
    Field(pattern=_DATE, description="A date, or a time, RFC 3339.", examples=["2031-06-01T19:30:00Z"]),
    AfterValidator(_on_the_calendar),
]
EventVenue = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Old Theatre"])]
EventText = Annotated[StrictStr, Field(max_length=4_000, examples=["Doors open at seven."])]
EventTicketName = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=r"\S", examples=["VIP"])]
EventTicketMost = Annotated[
    StrictInt, Field(ge=1, le=10_000, description="Tickets one user may hold and buy together.", examples=[4])
]
EventTicketQuantity = Annotated[StrictInt, Field(ge=0, le=10_000_000, examples=[500])]
ShownEventId = Annotated[str, Field(description="An event's id.", examples=["1"])]
ShownTicketTypeId = Annotated[str, Field(description="A ticket type's id, of its event.", examples=["1"])]
ShownSeatNumber = Annotated[
    int | str, Field(description="What it is called; a number where that is one.", examples=[12])
]
ShownNext = Annotated[str | None, Field(description="Asks for the next page; null at the end.", examples=[None])]


class _Body(BaseModel):
    """Fields are spelt as the older clients spell them."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Shown(BaseModel):
    """Fields are shown as the older clients spell them, and named in our own way."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class EventBody(_Body):
    """An event to announce."""

    name: EventName
    date: EventDate
    venue: EventVenue
    description: EventText | None = None


class EventTicketTypeBody(_Body):
    """A kind of ticket to put on sale."""

    ticket_type: EventTicketName = Field(description="What it is called; any name.")
    price: Money = Field(examples=["80.00"])
    currency: Currency | None = Field(None, description="The stage's own unless given.")
    numbered: StrictBool = Field(description="Whether it has numbered seats, to be uploaded.", examples=[False])
    quantity: EventTicketQuantity | None = Field(
        None, description="How many there are; needed where they are counted, ignored where they are numbered."
    )
    max_per_user: EventTicketMost | None = None
    expected_peak_per_second: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Reserves a second to plan for; decides over how many counters counted tickets are spread.",
        examples=[500],
    )


class EventSeatRowBody(_Body):
    """Seats of one row."""

    row_number: SeatLabel
    seat_numbers: list[SeatLabel] = Field(min_length=1, max_length=MOST_SEATS, examples=[["1", "2"]])


class EventSeatsBody(_Body):
    """A seat map, or some of one; a seat that is there already stays as it is."""

    ticket_type_id: TicketTypeId
    rows: list[EventSeatRowBody] = Field(min_length=1, max_length=MOST_ROWS)


class EventData(_Shown):
    """An event."""

    id: ShownEventId
    name: EventName
    date: EventDate
    venue: EventVenue
    description: EventText | None
    created_at: Moment


class EventTicketTypeData(_Shown):
    """A kind of ticket."""

    ticket_type_id: ShownTicketTypeId
    ticket_type: EventTicketName
    price: DecimalNumber
    currency: Currency
    numbered: bool = Field(examples=[False])
    quantity: int = Field(description="How many there are, sold ones included.", examples=[500])
    max_per_user: EventTicketMost | None


class EventWithTicketTypes(EventData):
    """An event, and the kinds of tickets to it."""

    ticket_types: list[EventTicketTypeData]


class EventList(_Shown):
    """Some events in the order of their ids."""

    items: list[EventData]
    next: ShownNext


class EventSeatsProgress(_Shown):
    """What became of the request's seats: made now, there before, still to be made by the same request."""

    created: int = Field(examples=[1200])
    existing: int = Field(examples=[0])
    remaining: int = Field(examples=[0])
    total: int = Field(examples=[1200])


class EventSeat(_Shown):
    """A seat, and whether it can be had."""

    id: str = Field(examples=["seat:1:1:12:34"])
    event_id: ShownEventId
    ticket_type_id: ShownTicketTypeId
    row_number: ShownSeatNumber
    seat_number: ShownSeatNumber
    status: SeatState


class EventTicketCount(_Shown):
    """A kind of ticket, and how many can be had."""

    ticket_type_id: ShownTicketTypeId
    ticket_type: EventTicketName
    price: DecimalNumber
    currency: Currency
    numbered: bool = Field(examples=[False])
    quantity: int = Field(examples=[500])
    available_count: int = Field(examples=[499])


class EventInitialCall(_Shown):
    """An event's seats and counts. Large events come in pages, of which the first has the counts."""

    seat_data: list[EventSeat]
    tickets: list[EventTicketCount]
    next: ShownNext


class EventSectionRow(BaseModel):
    """A row: its seats in their order, and as many letters: a for available, r for reserved, b for booked."""

    row: str = Field(examples=["12"])
    seats: str = Field(description="Labels, whole numbers as ranges.", examples=["1-3,5"])
    states: str = Field(pattern="^[arb]*$", examples=["aarb"])


class EventSection(BaseModel):
    """Rows that are kept together, at most 2 000 seats."""

    ticket_type_id: ShownTicketTypeId
    section: int = Field(examples=[0])
    available: int = Field(description="How many of its seats can be had.", examples=[2])
    rows: list[EventSectionRow]


class EventSections(BaseModel):
    """Some sections of an event's seats."""

    event_id: ShownEventId
    sections: list[EventSection]
    next: ShownNext


def event_of(event: EventItem) -> EventData:
    """Return an event as clients see it."""
    return EventData(**_said_of(event))


def event_with_ticket_types_of(event: EventItem, ticket_types: Sequence[TicketTypeItem]) -> EventWithTicketTypes:
    """Return an event and the kinds of tickets to it as clients see them."""
    return EventWithTicketTypes(**_said_of(event), ticket_types=[ticket_type_of(kind) for kind in ticket_types])


def ticket_type_of(kind: TicketTypeItem) -> EventTicketTypeData:
    """Return a kind of ticket as clients see it."""
    return EventTicketTypeData(
        ticket_type_id=id_of(kind.key),
        ticket_type=kind.name,
        price=from_minor(kind.price_minor, kind.currency),
        currency=kind.currency,
        numbered=kind.numbered,
        quantity=kind.quantity,
        max_per_user=kind.max_per_user,
    )


def ticket_count_of(kind: TicketTypeItem, available: int) -> EventTicketCount:
    """Return a kind of ticket, and how many are available, as clients see it."""
    return EventTicketCount(
        ticket_type_id=id_of(kind.key),
        ticket_type=kind.name,
        price=from_minor(kind.price_minor, kind.currency),
        currency=kind.currency,
        numbered=kind.numbered,
        quantity=kind.quantity,
        available_count=available,
    )


def seats_of(event_id: str, section: Section) -> list[EventSeat]:
    """Return the seats of a block, one by one, as older clients see them."""
    ticket_type_id = section.block.ticket_type_id
    return [
        EventSeat(
            id=seat_name(event_id, ticket_type_id, seat.row, seat.label),
            event_id=event_id,
            ticket_type_id=ticket_type_id,
            row_number=as_number(seat.row),
            seat_number=as_number(seat.label),
            status=seat.state,
        )
        for seat in section.seats
    ]


def section_of(section: Section) -> EventSection:
    """Return a block of seats in few characters."""
    return EventSection(
        ticket_type_id=section.block.ticket_type_id,
        section=section.block.number,
        available=sum(seat.state is SeatState.AVAILABLE for seat in section.seats),
        rows=[EventSectionRow(**row._asdict()) for row in compacted(section.seats)],
    )


def _said_of(event: EventItem) -> dict[str, Any]:
    return {
        "id": id_of(event.key),
        "name": event.name,
        "date": event.date,
        "venue": event.venue,
        "description": event.description,
        "created_at": to_text(event.created_at),
    }
