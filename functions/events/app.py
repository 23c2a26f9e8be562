"""Events of the older tickets API: announce, put tickets on sale, upload seats, see what is left (WIRE.md, section 2).

Bodies are camelCase and unknown fields are ignored, as those clients know it. The compact seats are our own API's.
"""

from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel

from holdfast.catalogue.events import availability, events, seat_map, ticket_types
from holdfast.catalogue.events.availability import Block
from holdfast.catalogue.events.blocks import MOST_SEATS
from holdfast.catalogue.events.events import NewEvent
from holdfast.catalogue.events.seat_plans import Upload
from holdfast.catalogue.events.ticket_types import NewTicketType
from holdfast.catalogue.events.wire import (
    EventBody,
    EventData,
    EventInitialCall,
    EventList,
    EventSeatsBody,
    EventSeatsProgress,
    EventSections,
    EventTicketTypeBody,
    EventTicketTypeData,
    EventWithTicketTypes,
    event_of,
    event_with_ticket_types_of,
    seats_of,
    section_of,
    ticket_count_of,
    ticket_type_of,
)
from holdfast.platform import http, page_tokens
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import CurrencyNotUsed, EventNotFound, Fault, Malformed, SeatMapFull, TicketTypeNotFound
from holdfast.platform.fields import NextInQuery, OptionalKey
from holdfast.platform.items import TicketTypeItem
from holdfast.platform.money import price_of
from holdfast.platform.settings import EventsSettings, settings
from holdfast.platform.tables import id_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

MOST_BODY_BYTES = 1_048_576
"""A map of 50 000 seats is 300 KB."""

SEATS_A_PAGE = 5_000
"""Seats of one answer of the older API: 800 KB."""

BLOCKS_A_PAGE = 10
"""Sections of one answer of the compact API: 20 000 seats at most, read from 5 MB and told in 60 KB."""

_ID = r"^[A-Za-z0-9_]{1,40}$"
_MOST_FAULTS = 20

EventInPath = Annotated[str, Path(pattern=_ID, description="An event's id.", examples=["1"])]


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(EventsSettings).table_name))


@app.post(
    "/api/events",
    status_code=201,
    tags=["events"],
    summary="Announce an event",
    responses=http.answers(201, "The event is announced."),
)
def create(body: EventBody, idempotency_key: OptionalKey = None) -> EventData:
    """Announce an event; its id is the next number of its tenant."""
    caller = http.caller_of(app)
    event = NewEvent(body.name, body.date, body.venue, body.description)
    keyed = _keyed(caller, "events", idempotency_key, body)
    return event_of(events.create(engine(), caller.tenant, event, keyed))


@app.get("/api/events", tags=["events"], summary="List events", responses=http.answers(200, "A page of the list."))
def list_all(
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100, next_page: NextInQuery = None
) -> EventList:
    """List events in the order of their ids."""
    tenant = http.caller_of(app).tenant
    scope = f"{tenant} events"
    after = page_tokens.read(scope, next_page) if next_page is not None else None
    found, following = events.list_all(engine(), tenant, limit, after)
    shown = [event_of(event) for event in found]
    return EventList(items=shown, next=page_tokens.issue(scope, following) if following else None)


@app.get(
    "/api/events/<event_id>",
    tags=["events"],
    summary="Read an event",
    responses=http.answers(200, "The event.", EventNotFound),
)
def read(event_id: EventInPath) -> EventWithTicketTypes:
    """Read one event and the kinds of tickets to it."""
    tenant = http.caller_of(app).tenant
    event = events.get(engine(), tenant, event_id)
    return event_with_ticket_types_of(event, ticket_types.list_of(engine(), tenant, event_id))


@app.post(
    "/api/events/<event_id>/ticket-types",
    status_code=201,
    tags=["events"],
    summary="Put a kind of ticket on sale",
    responses=http.answers(201, "The tickets are on sale.", CurrencyNotUsed, EventNotFound),
)
def create_ticket_type(
    event_id: EventInPath, body: EventTicketTypeBody, idempotency_key: OptionalKey = None
) -> EventTicketTypeData:
    """Put counted tickets on sale, or open a kind of ticket whose numbered seats are uploaded next."""
    caller = http.caller_of(app)
    if not body.numbered and body.quantity is None:
        raise Malformed(faults=[Fault("quantity", "Say how many there are, where they are counted.", "missing")])
    currency = caller.policy.currency_of(body.currency, settings(EventsSettings).default_currency)
    kind = NewTicketType(
        name=body.ticket_type,
        price_minor=price_of(body.price, currency, "price"),
        currency=currency,
        quantity=None if body.numbered else body.quantity,
        max_per_user=body.max_per_user,
        expected_peak=body.expected_peak_per_second,
    )
    keyed = _keyed(caller, f"events/{event_id}/ticket-types", idempotency_key, body)
    return ticket_type_of(ticket_types.create(engine(), caller.tenant, event_id, kind, keyed))


@app.post(
    "/api/events/<event_id>/seats",
    tags=["events"],
    summary="Upload a seat map",
    responses=http.answers(200, "All seats are there.", TicketTypeNotFound, SeatMapFull)
    | {202: {"description": "Some seats are there; the same request goes on."}},
)
def upload_seats(
    event_id: EventInPath, body: EventSeatsBody, idempotency_key: OptionalKey = None
) -> Response[EventSeatsProgress]:
    """Put seats on sale that are not there yet; send the same again until it answers 200, as often as you like."""
    caller = http.caller_of(app)
    wanted = Upload(caller.tenant, event_id, body.ticket_type_id, _seats(body))
    keyed = _keyed(caller, f"events/{event_id}/seats", idempotency_key, body)
    remaining = app.lambda_context.get_remaining_time_in_millis
    progress = seat_map.upload(engine(), wanted, remaining, keyed)
    shown = EventSeatsProgress(
        created=progress.created, existing=progress.existing, remaining=progress.remaining, total=progress.total
    )
    return Response(202 if progress.remaining else 200, http.JSON, shown)


@app.get(
    "/api/initial-call/<event_id>",
    tags=["events"],
    summary="See what is left of an event",
    responses=http.answers(200, "Seats and counts.", EventNotFound, TicketTypeNotFound),
)
def initial_call(
    event_id: EventInPath,
    ticket_type_id: Annotated[
        str | None, Query(alias="ticketTypeId", pattern=_ID, description="Only tickets of this type.")
    ] = None,
    next_page: NextInQuery = None,
) -> EventInitialCall:
    """See every seat, and how many tickets of each type can be had; events of over 5 000 seats come in pages."""
    tenant = http.caller_of(app).tenant
    scope = f"{tenant} initial-call {event_id} {ticket_type_id or ''}"
    kinds = _kinds(tenant, event_id, ticket_type_id)
    blocks, following = _page(kinds, scope, next_page, SEATS_A_PAGE, len(availability.blocks_of(kinds)))
    sections = availability.look(engine(), tenant, event_id, blocks)
    counted = {} if next_page else availability.count(engine(), tenant, event_id, kinds, sections)
    return EventInitialCall(
        seat_data=[seat for section in sections for seat in seats_of(event_id, section)],
        tickets=[ticket_count_of(kind, counted[id_of(kind.key)]) for kind in kinds if counted],
        next=following,
    )


@app.get(
    "/api/v1/events/<event_id>/seats",
    tags=["events"],
    summary="See an event's seats in few characters",
    responses=http.answers(200, "Sections of seats.", EventNotFound, TicketTypeNotFound),
)
def compact_seats(
    event_id: EventInPath,
    ticket_type_id: Annotated[str | None, Query(pattern=_ID, description="Only seats of this type.")] = None,
    section: Annotated[
        int | None, Query(ge=0, le=9_999, description="Only this section of the ticket type named.")
    ] = None,
    next_page: NextInQuery = None,
) -> EventSections:
    """See which seats can be had, up to 20 000 of them in one answer."""
    tenant = http.caller_of(app).tenant
    scope = f"{tenant} seats {event_id} {ticket_type_id or ''}"
    kinds = _kinds(tenant, event_id, ticket_type_id)
    if section is None:
        blocks, following = _page(kinds, scope, next_page, BLOCKS_A_PAGE * MOST_SEATS, BLOCKS_A_PAGE)
    else:
        blocks, following = _one_section(kinds, ticket_type_id, section), None
    sections = availability.look(engine(), tenant, event_id, blocks)
    return EventSections(event_id=event_id, sections=[section_of(found) for found in sections], next=following)


def _kinds(tenant: str, event_id: str, ticket_type_id: str | None) -> list[TicketTypeItem]:
    """Return an event's ticket types, or the one that is asked for."""
    if ticket_type_id is not None:
        return [ticket_types.get(engine(), tenant, event_id, ticket_type_id)]
    events.get(engine(), tenant, event_id)
    return ticket_types.list_of(engine(), tenant, event_id)


def _page(
    kinds: list[TicketTypeItem], scope: str, token: str | None, most_seats: int, most_blocks: int
) -> tuple[list[Block], str | None]:
    """Return the blocks of a page of seats, and the token of the next one."""
    known = availability.blocks_of(kinds)

    def page_from(start: str | None) -> tuple[list[Block], str | None]:
        return availability.page_of(known, start, most_seats, most_blocks)

    blocks, following = page_from(None) if token is None else page_tokens.parsed(scope, token, page_from)
    return blocks, page_tokens.issue(scope, following) if following else None


def _one_section(kinds: list[TicketTypeItem], ticket_type_id: str | None, section: int) -> list[Block]:
    if ticket_type_id is None:
        raise Malformed(faults=[Fault("ticket_type_id", "Sections are counted by ticket type: say of which.")])
    found = [block for block in availability.blocks_of(kinds) if block.number == section]
    if not found:
        raise Malformed(faults=[Fault("section", "The ticket type has no such section.")])
    return found


def _keyed(caller: Caller, route: str, key: str | None, body: BaseModel) -> KeyedRequest | None:
    body_hash = hash_of(body.model_dump(mode="json"))
    return None if key is None else KeyedRequest(caller.tenant, caller.name, route, key, body_hash)


def _seats(body: EventSeatsBody) -> dict[str, set[str]]:
    """Return the labels of seats by those of their rows; raises Malformed where one is there twice."""
    seats: dict[str, set[str]] = {}
    faults = []
    for place, row in enumerate(body.rows):
        here = seats.setdefault(row.row_number, set())
        for number, seat in enumerate(row.seat_numbers):
            if seat in here:
                name = f"rows.{place}.seatNumbers.{number}"
                faults.append(Fault(name, "This seat is in the request already.", "duplicate"))
            here.add(seat)
    if faults:
        raise Malformed(faults=faults[:_MOST_FAULTS])
    return seats


handler = http.entry(app, most_bytes=MOST_BODY_BYTES)
