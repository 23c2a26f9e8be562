"""Bookings of the halls' API: book, read, list, confirm, cancel (WIRE.md, section 4).

Unknown fields are ignored and names are camelCase, as those clients know it.
"""

import json
from collections.abc import Iterable
from functools import cache, partial
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import AfterValidator, BaseModel, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from holdfast.abuse.captcha.gate import REFUSALS, RESERVE, gate_of
from holdfast.catalogue.halls import (
    availability,
    booking_endings,
    booking_pages,
    bookings,
    moments,
    personal_data,
    venues,
)
from holdfast.catalogue.halls.booking_pages import Filters
from holdfast.catalogue.halls.booking_views import Booking, Customer
from holdfast.catalogue.halls.booking_wire import (
    BookingAnswer,
    BookingMade,
    BookingRefusal,
    BookingsAnswer,
    shown_answer,
    shown_booking,
    shown_new,
)
from holdfast.catalogue.halls.bookings import Wish
from holdfast.catalogue.halls.rules import Fields, faults_of, guest_faults
from holdfast.catalogue.halls.states import BookingState
from holdfast.catalogue.halls.venues import Venue
from holdfast.catalogue.halls.wire import GuestCount, HallBody, HallMoment, VenueInPath, shown_alternatives
from holdfast.checkout.cashier import Cashier
from holdfast.claims.span import Span
from holdfast.identity import people, rights
from holdfast.identity.contacts import Email, PersonName, Phone
from holdfast.identity.people import Directory
from holdfast.platform import http
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    AmountMismatch,
    BookingNotFound,
    BookingOver,
    Fault,
    HoldTaken,
    Malformed,
    NotRefundable,
    Refused,
    TimeConflict,
    TooManyRequests,
    VenueNotFound,
)
from holdfast.platform.fields import NextInQuery, OptionalKey, RequiredKey, UserId, VenueId
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.settings import BookingsSettings, settings
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine, HoldLengths
from holdfast.reservations.gate import answered
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_MOST_META = 4_000
_DEEPEST_META = 20


def _small(value: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [value]
    for _ in range(_DEEPEST_META):
        level = [inner for outer in level for inner in _within(outer)]
    if level:
        raise PydanticCustomError("too_deep", "At most 20 levels of objects and lists.")
    if len(json.dumps(value)) > _MOST_META:
        raise PydanticCustomError("too_long", "At most 4 000 characters of JSON.")
    return value


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


BookingId = Annotated[
    str,
    Path(
        pattern=r"^b-[A-Za-z0-9-]{1,80}$",
        description="A booking's id.",
        examples=["b-abcdefghijklmnop-0123456789abcdef0123456789abcdef"],
    ),
]


def _date_in_query(alias: str) -> Any:
    return Query(
        alias=alias,
        max_length=40,
        description="A calendar day, of the venue if one is named, else UTC; or an RFC 3339 moment.",
        examples=["2030-06-01"],
    )


class BookingCustomerBody(BaseModel):
    """Somebody who books, known by their phone."""

    name: PersonName
    phone: Phone
    email: Email | None = None


class VenueBookingBody(HallBody):
    """A time to book at the venue that the address names, for a known user or for a customer by phone."""

    venue_id: VenueId | None = Field(None, description="If given, the venue of the address.", examples=[None])
    user_id: UserId | None = Field(None, examples=[None])
    customer: BookingCustomerBody | None = None
    user: BookingCustomerBody | None = Field(None, description="The same as `customer`.", examples=[None])
    start_ts: HallMoment
    end_ts: HallMoment = Field(examples=["2030-06-01T22:00:00Z"])
    event_type: Annotated[StrictStr, Field(max_length=100)] | None = Field(None, examples=["wedding"])
    guest_count: GuestCount | None = None
    special_requests: Annotated[StrictStr, Field(max_length=2_000)] | None = Field(None, examples=["Ramp needed."])
    total_amount_cents: Annotated[StrictInt, Field(ge=0, le=10**15)] | None = Field(
        None, description="What the client believes it to cost; checked, never trusted.", examples=[50_000]
    )
    meta: Annotated[dict[str, Any], AfterValidator(_small)] | None = Field(None, examples=[{"source": "web"}])


class BookingBody(VenueBookingBody):
    """A time to book at a venue, for a known user or for a customer by phone."""

    venue_id: VenueId


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(BookingsSettings)
    by_kind = {"venue": known.venue_hold_seconds}
    return Engine(connect(known.table_name), HoldLengths(longest=known.hold_seconds_max, by_kind=by_kind))


@cache
def directory() -> Directory:
    """Return this warm function's view of who is known."""
    return Directory(connect(settings(BookingsSettings).identity_table_name))


_booked = http.answers(
    201,
    "The time is held.",
    VenueNotFound,
    TimeConflict,
    AmountMismatch,
    TooManyRequests,
    *REFUSALS,
    adding=BookingRefusal,
)


@app.post("/api/v1/bookings", status_code=201, tags=["bookings"], summary="Book a time", responses=_booked)
def create(body: BookingBody, idempotency_key: RequiredKey) -> BookingMade:
    """Hold a time until it is paid or confirmed; the same key and body give the same answer."""
    return shown_new(_book(body, body.venue_id, idempotency_key))


@app.post(
    "/api/v1/venues/<venue_id>/bookings",
    status_code=201,
    tags=["bookings"],
    summary="Book a time, by the venue's address",
    responses=_booked,
)
def create_of_venue(venue_id: VenueInPath, body: VenueBookingBody, idempotency_key: RequiredKey) -> BookingMade:
    """Do the same as POST /api/v1/bookings for this venue."""
    if body.venue_id not in (None, venue_id):
        raise Malformed(faults=[Fault("venueId", "Not the venue of the address.", "mismatch")])
    return shown_new(_book(body, venue_id, idempotency_key))


@app.get(
    "/api/v1/bookings",
    tags=["bookings"],
    summary="List bookings",
    responses=http.answers(200, "A page of the list.", VenueNotFound),
)
def list_all(
    status: Annotated[BookingState | None, Query(description="Only those in this state.")] = None,
    venue_id: Annotated[
        str | None, Query(alias="venueId", pattern=r"^[A-Za-z0-9_]{1,40}$", description="Only those of this venue.")
    ] = None,
    start_date: Annotated[str | None, _date_in_query("startDate")] = None,
    end_date: Annotated[str | None, _date_in_query("endDate")] = None,
    page: Annotated[int, Query(ge=1, le=10_000, description="Which page; not looked at where `next` is given.")] = 1,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 20,
    next_page: NextInQuery = None,
) -> BookingsAnswer:
    """List the tenant's bookings by their start to its staff, and their own in a stable order to customers."""
    caller = http.caller_of(app)
    since, until = _bounds(caller.tenant, venue_id, start_date, end_date)
    filters = Filters(caller.sees(), status, venue_id, since, until)
    found = booking_pages.list_of(engine(), caller.tenant, filters, page, limit, next_page)
    return BookingsAnswer(
        bookings=[shown_booking(booking) for booking in found.entries], page=found.page, limit=limit, next=found.next
    )


@app.get(
    "/api/v1/bookings/<booking_id>",
    tags=["bookings"],
    summary="Read a booking",
    responses=http.answers(200, "The booking.", BookingNotFound),
)
def read(booking_id: BookingId) -> BookingAnswer:
    """Read one; its state is as the clock has it."""
    caller = http.caller_of(app)
    return shown_answer(bookings.find(engine(), caller.tenant, booking_id, caller.sees()))


@app.post(
    "/api/v1/bookings/<booking_id>/confirm",
    tags=["bookings"],
    summary="Confirm a booking",
    responses=http.answers(200, "The booking, confirmed.", BookingNotFound, BookingOver, HoldTaken),
)
def confirm(booking_id: BookingId, idempotency_key: OptionalKey = None) -> BookingAnswer:
    """Keep the time for good, as paid elsewhere; what is being paid here is confirmed by its payment. Twice is once."""
    caller = http.caller_of(app)
    keyed = _keyed_step(caller, f"{booking_id}/confirm", idempotency_key)
    return shown_answer(booking_endings.confirm(engine(), caller.tenant, booking_id, _till(caller), keyed))


@app.post(
    "/api/v1/bookings/<booking_id>/cancel",
    tags=["bookings"],
    summary="Cancel a booking",
    responses=http.answers(200, "The booking, cancelled.", BookingNotFound, BookingOver, NotRefundable),
)
def cancel(booking_id: BookingId, idempotency_key: OptionalKey = None) -> BookingAnswer:
    """Give the time back, and the money by the notice; what is being paid is stopped. Twice changes nothing."""
    caller = http.caller_of(app)
    keyed = _keyed_step(caller, f"{booking_id}/cancel", idempotency_key)
    return shown_answer(
        booking_endings.cancel(engine(), caller.tenant, booking_id, caller.sees(), _till(caller), keyed)
    )


def _till(caller: Caller) -> Cashier:
    """Return what knows of payments, on behalf of the caller."""
    known = settings(BookingsSettings)
    checkouts, refunds = StepFunctions(known.checkout_workflow_arn), StepFunctions(known.refund_workflow_arn)
    return Cashier(engine(), checkouts, refunds, caller.name)


def _keyed_step(caller: Caller, step: str, idempotency_key: str | None) -> KeyedRequest | None:
    """Return a step of one booking as a keyed request; it has no body."""
    if idempotency_key is None:
        return None
    return KeyedRequest(caller.tenant, caller.name, f"{bookings.SOURCE}/{step}", idempotency_key, hash_of(None))


def _book(body: VenueBookingBody, venue_id: str, idempotency_key: str) -> Booking:
    """Book, or find what the same request has booked, before anything that may have changed since is looked at."""
    caller = http.caller_of(app)
    body_hash = hash_of(body.model_dump(mode="json") | {"venue_id": venue_id})
    keyed = KeyedRequest(caller.tenant, _for_whom(caller, body), bookings.SOURCE, idempotency_key, body_hash)
    known = bookings.replayed(engine(), keyed)
    if known is not None:
        return known
    venue = venues.get(engine(), caller.tenant, venue_id)
    span = _span(body, venue)
    gate = gate_of(caller, http.captcha_token_of(app), RESERVE, http.address_of(app))
    known = answered(gate, lambda: bookings.replayed(engine(), keyed)) if gate is not None else None
    if known is not None:
        return known
    customer, person, is_new = _customer(caller, body)
    wish = Wish(
        keyed=keyed,
        venue=venue,
        span=span,
        customer=customer,
        is_new_customer=is_new,
        event_type=body.event_type,
        guest_count=body.guest_count,
        special_requests=body.special_requests,
        total_minor=body.total_amount_cents,
        meta=None if body.meta is None else json.dumps(body.meta),
        policy=caller.policy,
        gate=gate,
    )
    try:
        booking = bookings.book(engine(), wish)
    except Refused as refused:
        raise _refusal(refused, venue, span, caller.tenant) from refused
    if person is not None and people.look_up(directory(), caller.tenant, person.user_id) is None:
        # Deleted meanwhile: whoever deleted them did not see this booking.
        personal_data.delete_of(engine(), caller.tenant, person.user_id)
    return booking


def _span(body: VenueBookingBody, venue: Venue) -> Span:
    """Return what is to be booked; raises Malformed naming every field that the venue's rules do not allow."""
    if not venue.item.active:
        raise VenueNotFound
    span = moments.read_span(body.start_ts, body.end_ts, venue.zone)
    fields = Fields()
    faults = faults_of(venue.settings, span.start, span.end, engine().clock.now(), fields)
    faults += guest_faults(venue.item.capacity, body.guest_count, fields)
    if faults:
        raise Malformed(faults=faults)
    return span


def _for_whom(caller: Caller, body: VenueBookingBody) -> str:
    """Return for whom a booking is, a user's id or else a phone; a customer books for nobody else.

    Raises Malformed, Forbidden.
    """
    if body.customer is not None and body.user is not None:
        raise Malformed(faults=[Fault("user", "The same as customer: send one of them.", "duplicate")])
    if caller.sees() is not None:
        return caller.acting_for(body.user_id)
    named = body.customer or body.user
    if body.user_id is not None:
        return body.user_id
    if named is None:
        raise Malformed(faults=[Fault("userId", "Say for whom: userId or customer.", "missing")])
    return named.phone


def _customer(caller: Caller, body: VenueBookingBody) -> tuple[Customer, PersonItem | None, bool]:
    """Return for whom a booking is, as they are kept with it; who that is, if they are known; and if they are new.

    Somebody named by phone becomes a user of the tenant, if staff or a service say so, and one who is known is brought
    up to date where the caller may change them.
    """
    named = body.customer or body.user
    if named is not None and body.user_id is None and caller.sees() is None:
        rule = partial(rights.may_change, caller)
        person, is_new = people.upsert(directory(), caller.tenant, named.name, named.phone, named.email, rule=rule)
        return Customer(person.user_id, person.name, person.phone, person.email), person, is_new
    user = _for_whom(caller, body)
    known = people.look_up(directory(), caller.tenant, user)
    said = named or known
    if said is None:
        return Customer(user), None, False
    return Customer(user, said.name, said.phone, said.email), known, False


def _refusal(refused: Refused, venue: Venue, span: Span, tenant: str) -> TimeConflict | VenueNotFound | Malformed:
    """Return the engine's refusal as clients of this API know it."""
    if refused.code == "venue_not_found":
        return VenueNotFound()
    if refused.code not in ("time_conflict", "calendar_full"):
        return Malformed(faults=refused.faults)
    conflict = TimeConflict(faults=refused.faults)
    found = availability.of(engine(), tenant, venue, span)
    conflict.extra = BookingRefusal(alternatives=shown_alternatives(found.alternatives)).model_dump(by_alias=True)
    return conflict


def _bounds(tenant: str, venue_id: str | None, first: str | None, last: str | None) -> tuple[int | None, int | None]:
    """Return from when, and until before when, in ms, bookings are to start.

    Raises VenueNotFound, and Malformed for what is no bound, or an end that is not after the start.
    """
    zone = venues.get(engine(), tenant, venue_id).zone if venue_id else moments.UTC_ZONE
    since = None if first is None else moments.read_bound(first, zone, "startDate")
    until = None if last is None else moments.read_bound(last, zone, "endDate", is_last=True)
    if since is not None and until is not None and until <= since:
        raise Malformed(faults=[Fault("endDate", "The end is not after the start.", "end_not_after_start")])
    return since, until


handler = http.entry(app)
