"""Reserve and check out for the clients of two older systems that share these addresses (WIRE.md, sections 1 and 2).

The body's shape says which is meant: `product_id` flash deals, whose refusals are 400, `seatDetails` tickets to events,
whose refusals are 409. Unknown fields are ignored, but those of the other system are refused.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from collections.abc import Sequence
from functools import cache
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path

from holdfast.abuse.captcha.gate import CHECK_OUT, REFUSALS, RESERVE, gate_of
from holdfast.catalogue.products.facts import ProductFacts
from holdfast.checkout import deals, purchases
from holdfast.checkout.wire import (
    ORDER_EXAMPLE,
    CheckoutBody,
    DealCheckoutBody,
    DealHoldAnswer,
    DealOrderAnswer,
    DealOrderData,
    DealReserveBody,
    LockedSeats,
    Purchase,
    PurchaseAnswer,
    PurchaseDetail,
    ReserveBody,
    SeatsInTheWay,
    SeatsRefusal,
    TicketsBody,
    TicketsCheckoutBody,
    TicketsHeldAnswer,
    lines_of,
)
from holdfast.platform import http
from holdfast.platform.caller import Caller
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    AmountMismatch,
    InsufficientReservation,
    MixedCurrencies,
    PaymentFailed,
    PaymentRequired,
    PurchaseNotFound,
    Refused,
    SeatsNotHeld,
    TicketTypeNotFound,
    TooManyLines,
    TooManyRequests,
)
from holdfast.platform.fields import OptionalKey
from holdfast.platform.items import LineMap
from holdfast.platform.money import from_minor
from holdfast.platform.settings import ReserveAndCheckoutSettings, settings
from holdfast.platform.tables import id_of
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations import deal_holds
from holdfast.reservations.deal_holds import DealRequest
from holdfast.reservations.deal_wire import shown
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest, Room
from holdfast.reservations.gate import Gate
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from holdfast.reservations.reading import line_price

if TYPE_CHECKING:
    from holdfast.catalogue.events.facts import TicketTypeFacts

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

PurchaseId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]{1,80}$", description="A purchase's id.", examples=[ORDER_EXAMPLE])
]

_DEALS = 400
"""What clients of the flash deals know refusals by state as."""


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(ReserveAndCheckoutSettings)
    return Engine(connect(known.table_name), HoldLengths(known.hold_seconds, known.hold_seconds_max))


@cache
def workflows() -> StepFunctions:
    """Return the checkouts that this warm function starts."""
    return StepFunctions(settings(ReserveAndCheckoutSettings).checkout_workflow_arn)


@cache
def room(kind: str) -> Room:
    """Return the room for lines of a kind; that of tickets is imported once somebody asks for it."""
    if kind == "product":
        return ProductFacts(engine().store, engine().clock)
    from holdfast.catalogue.events.lines import CountedTickets, NamedSeats

    return NamedSeats(_ticket_types()) if kind == "seat" else CountedTickets(_ticket_types())


@cache
def _ticket_types() -> "TicketTypeFacts":
    from holdfast.catalogue.events.facts import TicketTypeFacts

    return TicketTypeFacts(engine().store, engine().clock)


@app.post(
    "/api/reserve",
    tags=["flash deals", "event tickets"],
    summary="Hold more of a product, or tickets to an event",
    responses={
        **http.answers(
            200,
            "What the user now holds of it.",
            Refused,
            MixedCurrencies,
            TooManyLines,
            TooManyRequests,
            *REFUSALS,
            conflict=_DEALS,
        ),
        **http.answers(200, "What the user now holds of it.", Refused, TicketTypeNotFound, adding=SeatsRefusal),
    },
)
def reserve(body: ReserveBody, idempotency_key: OptionalKey = None) -> DealHoldAnswer | TicketsHeldAnswer:
    """Add to what the user holds of a product, and renew its time; or hold all seats and tickets that are named."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    if isinstance(body, TicketsBody):
        return _hold_tickets(caller, user, body, idempotency_key)
    http.refuse_with(app, _DEALS)
    keyed = _keyed(caller, user, "reserve", idempotency_key, body)
    lines = [LineRequest("product", "quantity", body.quantity, product_id=body.product_id)]
    request = DealRequest(caller.tenant, user, lines, keyed, caller.policy, _gate(caller, RESERVE))
    held = deal_holds.reserve(engine(), room, request)
    return DealHoldAnswer(data=shown(user, held[0]), message="Reserved.")


@app.post(
    "/api/checkout",
    tags=["flash deals", "event tickets"],
    summary="Buy what is held",
    responses={
        **http.answers(
            200,
            "The order, or the purchase.",
            InsufficientReservation,
            AmountMismatch,
            MixedCurrencies,
            TooManyLines,
            PaymentRequired,
            PaymentFailed,
            TooManyRequests,
            *REFUSALS,
            conflict=_DEALS,
        ),
        **http.answers(200, "The order, or the purchase.", SeatsNotHeld, PaymentFailed),
    },
)
def check_out(body: CheckoutBody, idempotency_key: OptionalKey = None) -> DealOrderAnswer | PurchaseAnswer:
    """Buy some or all of what the user holds of a product, or of tickets to an event; the rest stays held.

    A service key says with it that what costs something is paid; anybody else pays by the checkout of reservations.
    """
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    keyed = _keyed(caller, user, "checkout", idempotency_key, body)
    if isinstance(body, TicketsBody):
        return _buy_tickets(caller, user, body, keyed)
    http.refuse_with(app, _DEALS)
    wanted = (body.product_id, body.quantity, body.total_amount)
    gate = _gate(caller, CHECK_OUT)
    purchase = deals.Purchase(caller.tenant, user, caller.roles, *wanted, keyed, caller.policy, gate)
    order = deals.check_out(engine(), workflows(), purchase)
    data = DealOrderData(
        id=order.id,
        user_id=order.user_id,
        product_id=order.product_id,
        quantity=order.quantity,
        total_amount=from_minor(order.total_minor, order.currency),
        currency=order.currency,
        status="completed",
        created_at=to_text(order.created_at),
    )
    return DealOrderAnswer(data=data, message="Checked out.")


@app.put(
    "/api/checkout",
    tags=["event tickets"],
    summary="Buy tickets that are held",
    responses=http.answers(
        200,
        "The purchase.",
        SeatsNotHeld,
        MixedCurrencies,
        TooManyLines,
        PaymentRequired,
        PaymentFailed,
        TooManyRequests,
        *REFUSALS,
    ),
)
def check_out_tickets(body: TicketsCheckoutBody, idempotency_key: OptionalKey = None) -> PurchaseAnswer:
    """Buy some or all of the tickets to an event that the user holds; the rest stays held.

    A service key says with it that what costs something is paid; anybody else pays by the checkout of reservations.
    """
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    return _buy_tickets(caller, user, body, _keyed(caller, user, "checkout", idempotency_key, body))


@app.get(
    "/api/purchases/<purchase_id>",
    tags=["event tickets"],
    summary="Read a purchase",
    responses=http.answers(200, "The purchase.", PurchaseNotFound),
)
def read_purchase(purchase_id: PurchaseId) -> Purchase:
    """Read what was bought of tickets to events, seat by seat, by whichever checkout."""
    caller = http.caller_of(app)
    order = purchases.find(engine(), caller.tenant, purchase_id, caller.sees())
    lines = purchases.tickets_of(order)
    return Purchase(
        id=order.id,
        user_id=order.user_id,
        event_id=str(lines[0].event_id),
        status=purchases.state_of(order),
        details=_details(caller.tenant, lines),
        total_amount=from_minor(sum(map(line_price, lines)), order.currency),
        currency=order.currency,
        created_at=to_text(order.created_at),
    )


def _details(tenant: str, lines: Sequence[LineMap]) -> list[PurchaseDetail]:
    """Return tickets as clients see them, with the names of their types."""
    from holdfast.catalogue.events import ticket_types
    from holdfast.catalogue.events.labels import as_number

    names = {
        (event_id, id_of(item.key)): item.name
        for event_id in {str(line.event_id) for line in lines}
        for item in ticket_types.list_of(engine(), tenant, event_id)
    }
    return [
        PurchaseDetail(
            event_id=str(line.event_id),
            ticket_type_id=str(line.ticket_type_id),
            ticket_type=names[str(line.event_id), str(line.ticket_type_id)],
            row_number=None if line.row is None else as_number(line.row),
            seat_number=None if line.seat is None else as_number(line.seat),
            quantity=line.quantity,
            amount=from_minor(line_price(line), line.currency),
        )
        for line in lines
    ]


def _hold_tickets(caller: Caller, user: str, body: TicketsBody, idempotency_key: str | None) -> TicketsHeldAnswer:
    from holdfast.catalogue.events.labels import seat_name

    lines = lines_of(body)
    request = HoldRequest(
        tenant=caller.tenant,
        user=user,
        route=purchases.SOURCE,
        idempotency_key=idempotency_key or token_hex(16),
        body_hash=_hash_of(body),
        lines=lines,
        policy=caller.policy,
        gate=_gate(caller, RESERVE, body.captcha_token),
    )
    seats = {
        line.field: seat_name(body.event_id, line.ticket_type_id, line.row, line.seat)
        for line in lines
        if line.ticket_type_id and line.row and line.seat
    }
    try:
        record = hold(engine(), room, request)
    except Refused as refused:
        if any(fault.code == TicketTypeNotFound.code for fault in refused.faults):
            raise TicketTypeNotFound(faults=refused.faults) from refused
        in_the_way = [seats[fault.field] for fault in refused.faults if fault.field in seats]
        refusal = SeatsRefusal(locked_seats=SeatsInTheWay(unavailable_seats=in_the_way))
        refused.extra = refusal.model_dump(by_alias=True)
        raise
    return TicketsHeldAnswer(
        locked_seats=LockedSeats(locked_seats=list(seats.values())),
        reservation_id=record.id,
        expires_at=to_text(record.expires_at),
    )


def _buy_tickets(caller: Caller, user: str, body: TicketsBody, keyed: KeyedRequest | None) -> PurchaseAnswer:
    gate = _gate(caller, CHECK_OUT, body.captcha_token)
    wish = purchases.TicketPurchase(caller.tenant, user, caller.roles, lines_of(body), keyed, caller.policy, gate)
    return PurchaseAnswer(message="Bought.", purchase_id=purchases.check_out(engine(), workflows(), wish).id)


def _gate(caller: Caller, action: str, token: str | None = None) -> Gate | None:
    """Return the gate that the present request has to pass, with the token of its header or else that of its body."""
    return gate_of(caller, http.captcha_token_of(app) or token, action, http.address_of(app))


def _keyed(
    caller: Caller, user: str, route: str, key: str | None, body: DealReserveBody | DealCheckoutBody | TicketsBody
) -> KeyedRequest | None:
    return None if key is None else KeyedRequest(caller.tenant, user, route, key, _hash_of(body))


def _hash_of(body: DealReserveBody | DealCheckoutBody | TicketsBody) -> str:
    """Return the hash of what a body asks for; a captcha's token says nothing of that, and is new each time."""
    return hash_of(body.model_dump(mode="json", exclude={"captcha_token"}))


handler = http.entry(app)
cold_start.over()
