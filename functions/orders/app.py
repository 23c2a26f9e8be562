"""Orders: list and read them, cancel them, give back what was bought, whole or in part (WIRE.md, section 0)."""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from holdfast.checkout import opening, orders, refunds, stopping
from holdfast.checkout.admitted import admits
from holdfast.checkout.order_details import MOST_TICKETS, OrderDetails, OrderTicketList, RefundBody, details
from holdfast.checkout.order_wire import ORDER_EXAMPLE, OrderList, Prefer, seconds_of, shown
from holdfast.checkout.refunds import PercentOf, Wanted, whole_price
from holdfast.checkout.states import BOUGHT, UNDER_WAY, OrderState
from holdfast.platform import http, page_tokens
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import CheckoutUnderWay, NotRefundable, OrderNotFound, OrderOver
from holdfast.platform.fields import NextInQuery, RequiredKey, UserInQuery
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import OrderItem, RefundItem
from holdfast.platform.settings import OrdersSettings, settings
from holdfast.platform.workflows import StepFunctions, Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

if TYPE_CHECKING:
    from holdfast.checkout.ticket_keys import TicketSigner
    from holdfast.checkout.ticket_wire import OrderTicket

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

OrderId = Annotated[
    str, Path(pattern=r"^o-[A-Za-z0-9-]{1,80}$", description="An order's id.", examples=[ORDER_EXAMPLE])
]

_MOST_DIGITS = 9
"""Digits of the number of a ticket within its order, at most."""


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(OrdersSettings).table_name))


@cache
def _checkouts() -> Workflows:
    return StepFunctions(settings(OrdersSettings).checkout_workflow_arn)


@cache
def _refunds() -> Workflows:
    return StepFunctions(settings(OrdersSettings).refund_workflow_arn)


@cache
def _signer() -> "TicketSigner":
    from holdfast.checkout.ticket_keys import TicketSigner
    from holdfast.platform.signing_keys import ParameterStore

    return TicketSigner(engine().store, ParameterStore(settings(OrdersSettings).secrets_prefix), engine().clock)


@app.get(
    "/api/v1/orders",
    tags=["orders"],
    summary="List a user's orders",
    responses=http.answers(200, "A page of the list."),
)
def list_of_user(
    user_id: UserInQuery = None,
    status: Annotated[OrderState | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> OrderList:
    """List in the stable order of ids, a page at a time; `next` of one answer asks for the following."""
    caller = http.caller_of(app)
    page = orders.list_of(engine(), caller.tenant, caller.acting_for(user_id), status, limit, next_page)
    now = engine().clock.now()
    return OrderList(items=[shown(order, now, to_buyer=_is_for(caller, order)) for order in page.items], next=page.next)


@app.get(
    "/api/v1/orders/<order_id>",
    tags=["orders"],
    summary="Read an order",
    responses=http.answers(200, "The order.", OrderNotFound),
)
def read(order_id: OrderId) -> OrderDetails:
    """Read one, with its charges, its refunds and its tickets' codes."""
    caller = http.caller_of(app)
    return _details(caller, orders.find(engine(), caller.tenant, order_id, caller.sees()))


@app.get(
    "/api/v1/orders/<order_id>/tickets",
    tags=["orders"],
    summary="List an order's tickets",
    responses=http.answers(200, "A page of the list.", OrderNotFound),
)
def list_tickets(
    order_id: OrderId,
    limit: Annotated[int, Query(ge=1, le=1_000, description="How many at most.")] = 100,
    next_page: NextInQuery = None,
) -> OrderTicketList:
    """List the codes of those that were not given back, by line and number."""
    caller = http.caller_of(app)
    order = orders.find(engine(), caller.tenant, order_id, caller.sees())
    scope = f"{order.pk} {order.sk} tickets"
    after = 0 if next_page is None else page_tokens.parsed(scope, next_page, _number)
    found = _tickets(order, after, limit + 1)
    following = page_tokens.issue(scope, str(after + limit)) if len(found) > limit else None
    return OrderTicketList(items=list(found[:limit]), next=following)


@app.post(
    "/api/v1/orders/<order_id>/cancel",
    status_code=202,
    tags=["orders"],
    summary="Cancel an order",
    responses={
        **http.answers(202, "The order, as it is being cancelled."),
        **http.answers(200, "The order, over.", OrderNotFound, OrderOver, CheckoutUnderWay, NotRefundable),
    },
)
def cancel(order_id: OrderId, idempotency_key: RequiredKey, prefer: Prefer = None) -> Response[OrderDetails]:
    """Stop what is being paid; give all of what is bought back, a hall's price by the notice. Twice changes nothing.

    What is bought is cancelled by staff, unless it is halls alone whose time is not over.
    """
    caller = http.caller_of(app)
    order = orders.find(engine(), caller.tenant, order_id, caller.sees())
    keyed = KeyedRequest(caller.tenant, order.user_id, f"orders/{order.id}/cancel", idempotency_key, hash_of(None))
    started = engine().clock.now()
    order = stopping.stop(engine(), _checkouts(), order, seconds_of(prefer))
    if order.status not in BOUGHT or not any(refunds.left_of(order)):
        return _answer(caller, order, order.status in UNDER_WAY | BOUGHT)
    if not _may_cancel(caller, order):
        raise OrderOver
    refund = _asked(caller, order, None, _by_notice(caller), stopping.CANCELLED, keyed)
    left = seconds_of(prefer) - (engine().clock.now() - started) / 1000
    return _refunded(caller, refund, order, left)


@app.post(
    "/api/v1/orders/<order_id>/refund",
    status_code=202,
    tags=["orders"],
    summary="Give back what an order bought",
    responses={
        **http.answers(202, "The order; its refund is under way."),
        **http.answers(200, "The order; its refund is paid, or was refused.", OrderNotFound, NotRefundable),
    },
)
def refund(
    order_id: OrderId, body: RefundBody, idempotency_key: RequiredKey, prefer: Prefer = None
) -> Response[OrderDetails]:
    """Pay lines of it back, or all that is left, and put them on sale again; a hall's price by the notice, or whole."""
    caller = http.caller_of(app)
    order = orders.find(engine(), caller.tenant, order_id, None)
    said = hash_of(body.model_dump(mode="json"))
    keyed = KeyedRequest(caller.tenant, order.user_id, f"orders/{order.id}/refund", idempotency_key, said)
    wanted = None if body.items is None else [Wanted(item.line, item.quantity) for item in body.items]
    percent_of = whole_price if body.waive_fee else _by_notice(caller)
    asked = _asked(caller, order, wanted, percent_of, body.reason or "requested", keyed)
    return _refunded(caller, asked, order, seconds_of(prefer))


def _asked(
    caller: Caller,
    order: OrderItem,
    wanted: Sequence[Wanted] | None,
    percent_of: PercentOf,
    reason: str,
    keyed: KeyedRequest,
) -> RefundItem:
    name = refunds.name_for(order, keyed)
    return refunds.request(engine(), _refunds(), order, wanted, percent_of, caller.name, reason, keyed, name)


def _refunded(caller: Caller, asked: RefundItem, order: OrderItem, seconds: float) -> Response[OrderDetails]:
    """Return an order with a refund that was asked for, once that is over, or `seconds` are."""
    found = refunds.wait_for(engine(), asked.key, seconds)
    return _answer(caller, opening.read_order(engine(), order.key), found.status not in refunds.OVER)


def _by_notice(caller: Caller) -> PercentOf:
    """Return what says how much of a line is paid back now: of a hall by its own rules of notice, of all else all."""

    def percent_of(line: LineMap) -> int:
        if line.venue_id is None or line.start is None:
            return 100
        from holdfast.catalogue.halls import venues
        from holdfast.catalogue.halls.refunds import percent_at

        venue = venues.get(engine(), caller.tenant, line.venue_id)
        return percent_at(venue.settings.refunds, line.start, engine().clock.now())

    return percent_of


def _may_cancel(caller: Caller, order: OrderItem) -> bool:
    """Return whether the caller may cancel an order that is bought."""
    if caller.sees() is None:
        return True
    now = engine().clock.now()
    return all(line.end is not None and line.end > now for line in order.lines)


def _is_for(caller: Caller, order: OrderItem) -> bool:
    """Return whether the caller is the buyer, or acts for the buyer."""
    return caller.owns() in (None, order.user_id)


def _answer(caller: Caller, order: OrderItem, under_way: bool) -> Response[OrderDetails]:
    return Response(202 if under_way else 200, http.JSON, _details(caller, order))


def _details(caller: Caller, order: OrderItem) -> OrderDetails:
    return details(engine(), order, _tickets(order, 0, MOST_TICKETS), to_buyer=_is_for(caller, order))


def _number(position: str) -> int:
    if not position.isdecimal() or len(position) > _MOST_DIGITS:
        raise ValueError(f"{position} is no number of a ticket")
    return int(position)


def _tickets(order: OrderItem, after: int, most: int) -> "Sequence[OrderTicket]":
    """Return an order's tickets; what signs their codes is only loaded where there are any."""
    if not admits(order):
        return ()
    from holdfast.checkout.ticket_wire import shown_ticket
    from holdfast.checkout.tickets import codes_of

    return [shown_ticket(ticket) for ticket in codes_of(order, _signer(), after, most)]


handler = http.entry(app)
cold_start.over()
