"""The unified reservations API: hold a cart, read it, list them, let go, extend (WIRE.md, section 0)."""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from holdfast.catalogue.products.facts import ProductFacts
from holdfast.platform import http
from holdfast.platform.clock import to_text
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
)
from holdfast.platform.fields import (
    Currency,
    Moment,
    OptionalKey,
    ProductId,
    Quantity,
    RequiredKey,
    ShownProductId,
    ShownReservationId,
    ShownUserId,
    UserId,
    UserInQuery,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.settings import ReservationsSettings, settings
from holdfast.reservations import reading
from holdfast.reservations.ending import cancel
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest
from holdfast.reservations.extension import extend
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import hash_of
from holdfast.reservations.states import State

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_json
)

ReservationId = Annotated[
    str,
    Path(
        pattern=r"^[a-z]-[A-Za-z0-9_-]{1,80}$",
        description="A reservation's id.",
        examples=["r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"],
    ),
]


class ReservationLineBody(BaseModel):
    """So many of one product."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["product"]
    product_id: ProductId
    quantity: Quantity


class ReservationBody(BaseModel):
    """A cart to hold, all lines or none."""

    model_config = ConfigDict(extra="forbid")

    items: list[ReservationLineBody] = Field(
        min_length=1, max_length=100, description="Lines of the same product count as one; at most 20 different ones."
    )
    user_id: UserId | None = Field(None, description="For whom; a service key must say.", examples=["alice"])
    hold_seconds: Annotated[int, Field(strict=True, ge=1, le=86_400)] | None = Field(
        None,
        description="How long to hold; the stage's standard length unless given, never beyond its longest.",
        examples=[600],
    )


class ReservationLine(BaseModel):
    """A line as it is held."""

    kind: Literal["product"]
    product_id: ShownProductId
    quantity: int = Field(examples=[1])
    unit_price_minor: int = Field(description="Price of one, in minor units of the currency.", examples=[1999])
    price_minor: int = Field(description="Price of the line, in minor units of the currency.", examples=[1999])
    currency: Currency
    state: State


class ReservationTotal(BaseModel):
    """What all lines of one currency cost."""

    currency: Currency
    amount_minor: int = Field(description="In minor units of the currency.", examples=[1999])


class Reservation(BaseModel):
    """A reservation: what is held, for whom, at which price, and until when."""

    id: ShownReservationId
    status: State
    user_id: ShownUserId
    items: list[ReservationLine]
    totals: list[ReservationTotal]
    created_at: Moment
    expires_at: Moment = Field(examples=["2026-03-01T10:10:00.250Z"])


class ReservationList(BaseModel):
    """Some of a user's reservations; `next` asks for more and is null at the end."""

    items: list[Reservation]
    next: str | None = Field(examples=[None])


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(ReservationsSettings)
    lengths = HoldLengths(known.hold_seconds, known.hold_seconds_max, known.extend_seconds)
    return Engine(connect(known.table_name), lengths)


@cache
def catalogue() -> ProductFacts:
    """Return what this warm function knows of products."""
    return ProductFacts(engine().store, engine().clock)


@app.post(
    "/api/v1/reservations",
    status_code=201,
    tags=["reservations"],
    summary="Hold a cart",
    responses=http.answers(201, "All lines are held.", Refused, TooManyLines, MixedCurrencies),
)
def create(
    body: ReservationBody,
    idempotency_key: RequiredKey,
) -> Reservation:
    """Hold all lines or none; the same key and body give the same answer."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    longest = engine().lengths.longest
    if body.hold_seconds is not None and body.hold_seconds > longest:
        raise Malformed(faults=[Fault("hold_seconds", f"A hold lasts at most {longest} seconds.", "less_than_equal")])
    request = HoldRequest(
        tenant=caller.tenant,
        user=user,
        route="reservations",
        idempotency_key=idempotency_key,
        body_hash=hash_of(body.model_dump(mode="json")),
        lines=[
            LineRequest(line.product_id, line.quantity, f"items.{number}") for number, line in enumerate(body.items)
        ],
        hold_seconds=body.hold_seconds,
    )
    record = hold(engine(), catalogue(), request)
    return _shaped(record, State(record.status))


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
    next_page: Annotated[
        str | None, Query(alias="next", pattern=r"^[A-Za-z0-9_-]{1,120}$", description="`next` of the page before.")
    ] = None,
) -> ReservationList:
    """List in the stable order of ids, a page at a time; `next` of one answer asks for the following."""
    caller = http.caller_of(app)
    page = reading.list_of(engine(), caller.tenant, caller.acting_for(user_id), status, limit, next_page)
    return ReservationList(items=[_now(record) for record in page.items], next=page.next)


@app.get(
    "/api/v1/reservations/<reservation_id>",
    tags=["reservations"],
    summary="Read a reservation",
    responses=http.answers(200, "The reservation.", ReservationNotFound),
)
def read(reservation_id: ReservationId) -> Reservation:
    """Read one; its state is as the clock has it."""
    caller = http.caller_of(app)
    return _now(reading.find(engine(), caller.tenant, reservation_id, caller.sees()))


@app.delete(
    "/api/v1/reservations/<reservation_id>",
    tags=["reservations"],
    summary="Let go of a reservation",
    responses=http.answers(200, "The reservation, over.", ReservationNotFound, ReservationOver),
)
def let_go(reservation_id: ReservationId) -> Reservation:
    """Give everything back at once; one that is over already is answered as it is."""
    caller = http.caller_of(app)
    found = reading.find(engine(), caller.tenant, reservation_id, caller.acts_on())
    return _now(cancel(engine(), found.key, found.life))


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
    """Move the expiry later, once, by the stage's extension, never beyond its longest hold."""
    caller = http.caller_of(app)
    found = reading.find(engine(), caller.tenant, reservation_id, caller.acts_on())
    request_id = hash_of(idempotency_key or app.current_event.request_context.request_id)
    return _shaped(extend(engine(), found.key, found.life, request_id), State.HELD)


def _now(record: ReservationItem) -> Reservation:
    return _shaped(record, reading.state_at(record, engine().clock.now()))


def _shaped(record: ReservationItem, state: State) -> Reservation:
    lines = [
        ReservationLine(
            kind=line.kind,
            product_id=line.product_id,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            price_minor=reading.line_price(line),
            currency=line.currency,
            state=state,
        )
        for line in record.lines
    ]
    return Reservation(
        id=record.id,
        status=state,
        user_id=record.user_id,
        items=lines,
        totals=[ReservationTotal(currency=lines[0].currency, amount_minor=reading.total_of(record))],
        created_at=to_text(record.created_at),
        expires_at=to_text(record.expires_at),
    )


handler = http.entry(app)
cold_start.over()
