"""The unified reservations API: hold a cart, read it, list them, let go, extend (WIRE.md, section 0)."""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from holdfast.abuse.captcha.gate import REFUSALS, RESERVE, gate_of
from holdfast.catalogue.products.facts import ProductFacts
from holdfast.platform import http
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    AlreadyExtended,
    Fault,
    Malformed,
    MixedCurrencies,
    Refused,
    ReservationNotFound,
    ReservationOver,
    TooManyLines,
    TooManyRequests,
)
from holdfast.platform.fields import NextInQuery, OptionalKey, RequiredKey, UserInQuery
from holdfast.platform.items import ReservationItem
from holdfast.platform.settings import ReservationsSettings, settings
from holdfast.reservations import reading
from holdfast.reservations.ending import cancel
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest, Room
from holdfast.reservations.extension import extend
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import hash_of
from holdfast.reservations.states import State
from holdfast.reservations.wire import (
    Reservation,
    ReservationBody,
    ReservationLineBody,
    ReservationList,
    SlotLineBody,
    VenueLineBody,
    shown,
)

if TYPE_CHECKING:
    from holdfast.catalogue.events.facts import TicketTypeFacts

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

ReservationId = Annotated[
    str,
    Path(
        pattern=r"^[a-z]-[A-Za-z0-9_-]{1,80}$",
        description="A reservation's id.",
        examples=["r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"],
    ),
]


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(ReservationsSettings)
    by_kind = {"listing": known.listing_hold_seconds, "venue": known.venue_hold_seconds}
    lengths = HoldLengths(known.hold_seconds, known.hold_seconds_max, known.extend_seconds, by_kind)
    return Engine(connect(known.table_name), lengths)


@cache
def room(kind: str) -> Room:
    """Return the room for lines of a kind; one that nobody asked for yet is not even imported."""
    if kind == "product":
        return ProductFacts(engine().store, engine().clock)
    if kind == "listing":
        from holdfast.catalogue.listings.lines import ListingRoom

        return ListingRoom()
    if kind == "venue":
        from holdfast.catalogue.halls.lines import VenueRoom

        return VenueRoom()
    if kind == "slot":
        from holdfast.catalogue.experiences.lines import SlotRoom

        return SlotRoom(engine().store, engine().clock)
    from holdfast.catalogue.events.lines import BestSeats, CountedTickets, NamedSeats

    if kind == "ticket":
        return CountedTickets(_ticket_types())
    return NamedSeats(_ticket_types()) if kind == "seat" else BestSeats(_ticket_types())


@cache
def _ticket_types() -> "TicketTypeFacts":
    from holdfast.catalogue.events.facts import TicketTypeFacts

    return TicketTypeFacts(engine().store, engine().clock)


@app.post(
    "/api/v1/reservations",
    status_code=201,
    tags=["reservations"],
    summary="Hold a cart",
    responses=http.answers(
        201, "All lines are held.", Refused, TooManyLines, MixedCurrencies, TooManyRequests, *REFUSALS
    ),
)
def create(
    body: ReservationBody,
    idempotency_key: RequiredKey,
) -> Reservation:
    """Hold all lines or none; the same key and body give the same answer, with or without a captcha."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    longest = engine().lengths.under(caller.policy).longest
    if body.hold_seconds is not None and body.hold_seconds > longest:
        raise Malformed(faults=[Fault("hold_seconds", f"A hold lasts at most {longest} seconds.", "less_than_equal")])
    request = HoldRequest(
        tenant=caller.tenant,
        user=user,
        route="reservations",
        idempotency_key=idempotency_key,
        body_hash=hash_of(body.model_dump(mode="json", exclude={"captcha_token"})),
        lines=[_line(line, f"items.{number}") for number, line in enumerate(body.items)],
        hold_seconds=body.hold_seconds,
        policy=caller.policy,
        gate=gate_of(caller, http.captcha_token_of(app) or body.captcha_token, RESERVE, http.address_of(app)),
    )
    record = hold(engine(), room, request)
    return shown(record, State(record.status))


@app.get(
    "/api/v1/reservations",
    tags=["reservations"],
    summary="List a user's reservations",
    responses=http.answers(200, "A page of the list."),
)
def list_of_user(
    user_id: UserInQuery = None,
    status: Annotated[State | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> ReservationList:
    """List in the stable order of ids, a page at a time; `next` of one answer asks for the following."""
    caller = http.caller_of(app)
    page = reading.list_of(engine(), caller.tenant, caller.acting_for(user_id), status, limit, next_page)
    return ReservationList(items=_now(*page.items), next=page.next)


@app.get(
    "/api/v1/reservations/<reservation_id>",
    tags=["reservations"],
    summary="Read a reservation",
    responses=http.answers(200, "The reservation.", ReservationNotFound),
)
def read(reservation_id: ReservationId) -> Reservation:
    """Read one; its state is as the clock has it."""
    caller = http.caller_of(app)
    (found,) = _now(reading.find(engine(), caller.tenant, reservation_id, caller.sees()))
    return found


@app.delete(
    "/api/v1/reservations/<reservation_id>",
    tags=["reservations"],
    summary="Let go of a reservation",
    responses=http.answers(200, "The reservation, over.", ReservationNotFound, ReservationOver),
)
def let_go(reservation_id: ReservationId) -> Reservation:
    """Give everything back at once; one that is over already is answered as it is."""
    caller = http.caller_of(app)
    found = reading.find(engine(), caller.tenant, reservation_id, caller.sees())
    (over,) = _now(cancel(engine(), found.key, found.life))
    return over


@app.post(
    "/api/v1/reservations/<reservation_id>/extend",
    tags=["reservations"],
    summary="Extend a hold once",
    responses=http.answers(
        200, "The reservation, with its later expiry.", ReservationNotFound, ReservationOver, AlreadyExtended
    ),
)
def extend_once(
    reservation_id: ReservationId,
    idempotency_key: OptionalKey = None,
) -> Reservation:
    """Move the expiry later, once, by the stage's extension, never beyond the tenant's longest hold."""
    caller = http.caller_of(app)
    found = reading.find(engine(), caller.tenant, reservation_id, caller.sees())
    request_id = hash_of(idempotency_key or app.current_event.request_context.request_id)
    extended = extend(engine(), found.key, found.life, request_id, caller.policy)
    return shown(extended, State.HELD, _short(extended))


def _now(*records: ReservationItem) -> list[Reservation]:
    """Return reservations as the clock has them."""
    now, short = engine().clock.now(), _short(*records)
    return [shown(record, reading.state_at(record, now), short) for record in records]


def _short(*records: ReservationItem) -> Collection[str]:
    """Return the pools of places of which there are too few; nothing is read where no record has places of slots."""
    if not any(line.kind == "slot" for record in records for line in record.lines):
        return ()
    from holdfast.reservations import slot_places

    return slot_places.short(engine().store, records)


def _line(line: ReservationLineBody, field: str) -> LineRequest:
    if isinstance(line, VenueLineBody):
        return _venue_line(line, field)
    if isinstance(line, SlotLineBody):
        pax, named = tuple(sorted(line.pax.items())), line.model_dump(exclude={"pax"})
        return LineRequest(field=field, **named, pax=pax, quantity=sum(line.pax.values()))
    return LineRequest(field=field, **line.model_dump())


def _venue_line(line: VenueLineBody, field: str) -> LineRequest:
    from zoneinfo import ZoneInfo

    from holdfast.catalogue.halls.moments import read_moment

    utc = ZoneInfo("UTC")
    start, end = read_moment(line.start, utc, f"{field}.start"), read_moment(line.end, utc, f"{field}.end")
    if end <= start:
        raise Malformed(faults=[Fault(f"{field}.end", "The end is not after the start.", "end_not_after_start")])
    return LineRequest("venue", field, venue_id=line.venue_id, start=start, end=end)


handler = http.entry(app)
cold_start.over()
