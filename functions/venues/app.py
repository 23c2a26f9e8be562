"""Venues of the halls' API: open and change them, close them for a time, ask when they are free (WIRE.md, section 4).

Unknown fields are ignored and names are camelCase, as those clients know it. Reads are public: the tenant is named by
X-Tenant-Id, and nothing that is shown says who booked.
"""

from functools import cache
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from holdfast.catalogue.halls import availability, blackouts, moments, venues
from holdfast.catalogue.halls.blackout_steps import Blackout
from holdfast.catalogue.halls.rules import Fields, faults_of, guest_faults
from holdfast.catalogue.halls.settings import DAY
from holdfast.catalogue.halls.venue_wire import (
    AvailabilityAnswer,
    AvailabilityBody,
    BlackoutBody,
    BlackoutData,
    BlackoutLifted,
    VenueBody,
    VenueData,
    VenuePatchBody,
    VenuesAnswer,
    shown_availability,
    shown_blackout,
    shown_venue,
)
from holdfast.catalogue.halls.venues import NewVenue, Venue
from holdfast.catalogue.halls.wire import VenueInPath
from holdfast.platform import http, page_tokens
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    BlackoutNotFound,
    CurrencyNotUsed,
    Fault,
    Malformed,
    TenantNotFound,
    TimeConflict,
    VenueNotFound,
)
from holdfast.platform.fields import NextInQuery, OptionalKey
from holdfast.platform.settings import VenuesSettings, settings
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

BlackoutInPath = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{1,80}$", description="A blackout's id.", examples=["0123456789abcdef0123456789abcdef"]
    ),
]
DateInQuery = Annotated[
    str,
    Query(pattern=rf"^{moments.DATE}$", description="The first calendar day of the venue.", examples=["2030-06-01"]),
]
DaysInQuery = Annotated[int, Query(ge=1, le=availability.MOST_DAYS, description="How many days from there.")]


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(VenuesSettings).table_name))


@app.post(
    "/api/v1/venues",
    status_code=201,
    tags=["venues"],
    summary="Open a venue",
    responses=http.answers(201, "The venue can be booked.", CurrencyNotUsed),
)
def create(body: VenueBody, idempotency_key: OptionalKey = None) -> VenueData:
    """Open a venue; its id is the next number of its tenant."""
    caller = http.caller_of(app)
    keyed = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, caller.name, "venues", idempotency_key, body_hash)
    venue = NewVenue(
        name=body.name,
        address=body.address,
        capacity=body.capacity,
        base_price_minor=body.base_price_cents,
        currency=caller.policy.currency_of(body.currency, settings(VenuesSettings).default_currency),
        time_zone=body.time_zone,
        prefix=body.prefix,
        settings=body.settings,
    )
    return shown_venue(venues.create(engine(), caller.tenant, venue, keyed))


@app.get(
    "/api/v1/venues",
    tags=["venues"],
    summary="List venues",
    responses=http.answers(200, "A page of the list.", http.TenantRequired, TenantNotFound),
)
def list_all(
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> VenuesAnswer:
    """List venues in the order of their ids."""
    tenant = http.public_tenant(app)
    scope = f"{tenant}/venues"
    after = page_tokens.read(scope, next_page) if next_page is not None else None
    found, following = venues.list_all(engine(), tenant, limit, after)
    shown = [shown_venue(venue) for venue in found]
    return VenuesAnswer(venues=shown, next=page_tokens.issue(scope, following) if following else None)


@app.get(
    "/api/v1/venues/<venue_id>",
    tags=["venues"],
    summary="Read a venue",
    responses=http.answers(200, "The venue.", http.TenantRequired, TenantNotFound, VenueNotFound),
)
def read(venue_id: VenueInPath) -> VenueData:
    """Read one venue."""
    return shown_venue(venues.get(engine(), http.public_tenant(app), venue_id))


@app.patch(
    "/api/v1/venues/<venue_id>",
    tags=["venues"],
    summary="Change a venue",
    responses=http.answers(200, "The venue, changed.", CurrencyNotUsed, VenueNotFound),
)
def change(venue_id: VenueInPath, body: VenuePatchBody) -> VenueData:
    """Change what is given. What is booked keeps its price and its turnaround."""
    caller = http.caller_of(app)
    caller.policy.must_use(body.currency)
    if body.time_zone is not None:
        moments.zone_of(body.time_zone, "timeZone")
    return shown_venue(venues.change(engine(), caller.tenant, venue_id, lambda venue: _changed(body, venue)))


@app.post(
    "/api/v1/venues/<venue_id>/blackouts",
    status_code=201,
    tags=["venues"],
    summary="Close a venue for a time",
    responses=http.answers(201, "The venue is closed for that time.", VenueNotFound, TimeConflict),
)
def black_out(venue_id: VenueInPath, body: BlackoutBody, idempotency_key: OptionalKey = None) -> BlackoutData:
    """Close a venue for up to 366 days, in which nothing is booked yet; blackouts may overlap one another."""
    caller = http.caller_of(app)
    venue = venues.get(engine(), caller.tenant, venue_id)
    span = moments.read_span(body.start_ts, body.end_ts, venue.zone)
    faults = []
    if span.end <= span.start:
        faults.append(Fault("endTs", "The end is not after the start.", "end_not_after_start"))
    elif span.end <= engine().clock.now():
        faults.append(Fault("endTs", "The end is past.", "past"))
    elif span.end - span.start > blackouts.MOST_DAYS * DAY:
        faults.append(Fault("endTs", f"A blackout lasts at most {blackouts.MOST_DAYS} days.", "too_long"))
    if faults:
        raise Malformed(faults=faults)
    wanted = Blackout(span.start, span.end, body.reason, body.is_maintenance)
    return shown_blackout(blackouts.impose(engine(), caller.tenant, venue_id, wanted, caller.name, idempotency_key))


@app.delete(
    "/api/v1/venues/<venue_id>/blackouts/<blackout_id>",
    tags=["venues"],
    summary="Lift a blackout",
    responses=http.answers(200, "The venue can be booked again.", BlackoutNotFound),
)
def lift(venue_id: VenueInPath, blackout_id: BlackoutInPath) -> BlackoutLifted:
    """Open a venue again for the time of a blackout; what other blackouts close stays closed."""
    caller = http.caller_of(app)
    blackouts.lift(engine(), caller.tenant, venue_id, blackout_id)
    return BlackoutLifted()


@app.get(
    "/api/v1/venues/<venue_id>/availability",
    tags=["venues"],
    summary="Ask when a venue is free",
    responses=http.answers(200, "What is free and what is not.", http.TenantRequired, TenantNotFound, VenueNotFound),
)
def availability_of_venue(venue_id: VenueInPath, date: DateInQuery, days: DaysInQuery = 1) -> AvailabilityAnswer:
    """Say whether nothing is in the way on those days, what is, and which other times as long there are."""
    return _on_days(venue_id, date, days)


@app.get(
    "/api/v1/bookings/venue/<venue_id>/availability",
    tags=["venues"],
    summary="Ask when a venue is free, by its other address",
    responses=http.answers(200, "What is free and what is not.", http.TenantRequired, TenantNotFound, VenueNotFound),
)
def availability_for_booking(venue_id: VenueInPath, date: DateInQuery, days: DaysInQuery = 1) -> AvailabilityAnswer:
    """Say the same as /api/v1/venues/{venue_id}/availability."""
    return _on_days(venue_id, date, days)


@app.post(
    "/api/v1/bookings/check-availability",
    tags=["venues"],
    summary="Ask whether a time can be booked",
    responses=http.answers(
        200, "Whether it can, or what is in the way.", http.TenantRequired, TenantNotFound, VenueNotFound
    ),
)
def check(body: AvailabilityBody) -> AvailabilityAnswer:
    """Say whether a booking made now would find its time free; nothing is held."""
    tenant = http.public_tenant(app)
    venue = venues.get(engine(), tenant, body.venue_id)
    span = moments.read_span(body.start_ts, body.end_ts, venue.zone)
    fields = Fields()
    faults = faults_of(venue.settings, span.start, span.end, engine().clock.now(), fields)
    faults += guest_faults(venue.item.capacity, body.guest_count, fields)
    if faults:
        raise Malformed(faults=faults)
    return shown_availability(availability.of(engine(), tenant, venue, span))


def _on_days(venue_id: str, date: str, days: int) -> AvailabilityAnswer:
    tenant = http.public_tenant(app)
    venue = venues.get(engine(), tenant, venue_id)
    return shown_availability(availability.on_days(engine(), tenant, venue, moments.read_date(date, "date"), days))


def _changed(body: VenuePatchBody, venue: Venue) -> dict[str, Any]:
    """Return the attributes that `body` changes of a venue; raises Malformed for settings that do not go together."""
    named = {
        "name": body.name,
        "address": body.address,
        "capacity": body.capacity,
        "base_price_minor": body.base_price_cents,
        "currency": body.currency,
        "time_zone": body.time_zone,
        "prefix": body.prefix,
        "active": body.is_active,
        "settings": None if body.settings is None else venues.merged(venue.settings, body.settings).model_dump_json(),
    }
    return {name: value for name, value in named.items() if value is not None}


handler = http.entry(app)
