"""The marketplace of the older clients: tickets that people resell to one another, and orders for them (WIRE.md, 3).

Bodies are the resource itself, lists bare arrays whose following page the header `X-Next` asks for. Unknown fields are
ignored and refusals are 400, as those clients know it.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache, partial
from secrets import token_hex
from typing import Annotated, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel

from holdfast.abuse.captcha.gate import REFUSALS, RESERVE, gate_of
from holdfast.catalogue.listings import listings, lists, orders
from holdfast.catalogue.listings.lines import ListingRoom
from holdfast.catalogue.listings.listings import Listing, Offer
from holdfast.catalogue.listings.orders import Order, Purchase
from holdfast.catalogue.listings.wire import (
    ORDER_EXAMPLE,
    TICKET_EXAMPLE,
    ResaleOrder,
    ResaleOrderBody,
    ResaleOrderTicket,
    ResaleTicket,
    ResaleTicketBody,
)
from holdfast.platform import http, page_tokens
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    CurrencyNotUsed,
    OrderNotFound,
    OrderOver,
    Refused,
    TicketLocked,
    TicketNotFound,
    TicketReserved,
    TooManyRequests,
)
from holdfast.platform.fields import OptionalKey, UserIdInQuery
from holdfast.platform.items import ReservationItem
from holdfast.platform.money import from_minor, price_of
from holdfast.platform.settings import MarketplaceSettings, settings
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine, HoldLengths, Room
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_S = TypeVar("_S", bound=BaseModel)

_ID = r"^[A-Za-z0-9_-]{1,80}$"

TicketInPath = Annotated[str, Path(pattern=_ID, description="A ticket's id.", examples=[TICKET_EXAMPLE])]
OrderInPath = Annotated[str, Path(pattern=_ID, description="An order's id.", examples=[ORDER_EXAMPLE])]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
NextInQuery = Annotated[
    str | None, Query(alias="next", pattern=page_tokens.PATTERN, description="`X-Next` of the page before.")
]


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(MarketplaceSettings)
    by_kind = {"listing": known.listing_hold_seconds}
    return Engine(connect(known.table_name), HoldLengths(longest=known.hold_seconds_max, by_kind=by_kind))


def rooms(_: str) -> Room:
    """Return the room for the one kind of line that this function sells."""
    return ListingRoom()


_answers = partial(http.answers, conflict=400)


@app.post(
    "/api/tickets",
    status_code=201,
    tags=["marketplace"],
    summary="Put a ticket up for resale",
    responses=_answers(201, "The ticket is up for resale.", CurrencyNotUsed),
)
def create_ticket(body: ResaleTicketBody, idempotency_key: OptionalKey = None) -> ResaleTicket:
    """Offer a ticket to everybody of the tenant."""
    caller = http.caller_of(app)
    seller = caller.acting_for(body.user_id, "userId")
    offer = _offer(body, caller.policy.currency_of(body.currency, settings(MarketplaceSettings).default_currency))
    keyed = None
    if idempotency_key is not None:
        keyed = KeyedRequest(caller.tenant, seller, "tickets", idempotency_key, _hash_of(body))
    return _ticket(listings.create(engine(), caller.tenant, seller, offer, keyed))


@app.get(
    "/api/tickets",
    tags=["marketplace"],
    summary="List tickets",
    responses=_answers(200, "A page of the list."),
)
def list_tickets(
    limit: Limit = 100, next_page: NextInQuery = None, user_id: UserIdInQuery = None
) -> Response[list[ResaleTicket]]:
    """List the unsold ones, newest first; with `userId` all that this user offers or sold."""
    caller = http.caller_of(app)
    if user_id is None:
        page = lists.unsold(engine(), caller.tenant, limit, next_page)
    else:
        page = lists.of_seller(engine(), caller.tenant, caller.acting_for(user_id, "userId"), limit, next_page)
    return _list([_ticket(listing) for listing in page.items], page.next)


@app.get(
    "/api/tickets/<ticket_id>",
    tags=["marketplace"],
    summary="Read a ticket",
    responses=_answers(200, "The ticket.", TicketNotFound),
)
def read_ticket(ticket_id: TicketInPath) -> ResaleTicket:
    """Read one, sold or not."""
    return _ticket(listings.get(engine(), http.caller_of(app).tenant, ticket_id))


@app.put(
    "/api/tickets/<ticket_id>",
    tags=["marketplace"],
    summary="Change a ticket",
    responses=_answers(200, "The ticket, changed.", CurrencyNotUsed, TicketNotFound, TicketLocked),
)
def change_ticket(ticket_id: TicketInPath, body: ResaleTicketBody) -> ResaleTicket:
    """Sell it under another title or at another price; refused while an order locks it, and once it is sold."""
    caller = http.caller_of(app)
    caller.policy.must_use(body.currency)
    seller = caller.owns() if body.user_id is None else caller.acting_for(body.user_id, "userId")
    return _ticket(listings.edit(engine(), caller.tenant, ticket_id, seller, partial(_offer, body)))


@app.post(
    "/api/orders",
    status_code=201,
    tags=["marketplace"],
    summary="Order a ticket",
    responses=_answers(
        201,
        "The ticket is locked for its buyer.",
        TicketNotFound,
        TicketReserved,
        Refused,
        TooManyRequests,
        *REFUSALS,
    ),
)
def create_order(body: ResaleOrderBody, idempotency_key: OptionalKey = None) -> ResaleOrder:
    """Lock a ticket for its buyer, at its price; nobody buys their own."""
    caller = http.caller_of(app)
    purchase = Purchase(
        tenant=caller.tenant,
        user=caller.acting_for(body.user_id, "userId"),
        ticket_id=body.ticket_id,
        idempotency_key=idempotency_key or token_hex(16),
        body_hash=_hash_of(body),
        policy=caller.policy,
        gate=gate_of(caller, http.captcha_token_of(app), RESERVE, http.address_of(app)),
    )
    return _order(orders.create(engine(), rooms, purchase))


@app.get(
    "/api/orders",
    tags=["marketplace"],
    summary="List a user's orders",
    responses=_answers(200, "A page of the list."),
)
def list_orders(
    limit: Limit = 100, next_page: NextInQuery = None, user_id: UserIdInQuery = None
) -> Response[list[ResaleOrder]]:
    """List in the stable order of ids."""
    caller = http.caller_of(app)
    page = orders.list_of(engine(), caller.tenant, caller.acting_for(user_id, "userId"), limit, next_page)
    return _list([_order(order) for order in page.items], page.next)


@app.get(
    "/api/orders/<order_id>",
    tags=["marketplace"],
    summary="Read an order",
    responses=_answers(200, "The order.", OrderNotFound),
)
def read_order(order_id: OrderInPath) -> ResaleOrder:
    """Read one; its state is as the clock has it."""
    caller = http.caller_of(app)
    return _order(orders.find(engine(), caller.tenant, order_id, caller.sees()))


@app.patch(
    "/api/orders/<order_id>",
    tags=["marketplace"],
    summary="Cancel an order",
    responses=_answers(200, "The order, cancelled.", OrderNotFound, OrderOver),
)
def cancel_order(order_id: OrderInPath) -> ResaleOrder:
    """Free its ticket; what is being paid is stopped first, and one that is cancelled already is answered as it is."""
    caller = http.caller_of(app)
    return _order(orders.cancel(engine(), caller.tenant, order_id, caller.sees(), _stop))


def _stop(record: ReservationItem) -> None:
    from holdfast.checkout import cashier

    cashier.stop(engine(), StepFunctions(settings(MarketplaceSettings).checkout_workflow_arn), record)


def _offer(body: ResaleTicketBody, currency: str) -> Offer:
    """Return what a seller says of a ticket, in `currency` unless the body names one."""
    currency = body.currency or currency
    return Offer(body.title, price_of(body.price, currency, "price"), currency)


def _hash_of(body: BaseModel) -> str:
    return hash_of(body.model_dump(mode="json"))


def _list(shown: list[_S], following: str | None) -> Response[list[_S]]:
    """Return a bare array, with the header that asks for the following page where there is one."""
    return Response(200, http.JSON, shown, {} if following is None else {"X-Next": following})


def _ticket(listing: Listing) -> ResaleTicket:
    item = listing.item
    return ResaleTicket(
        id=listing.id,
        title=item.title,
        price=from_minor(item.price_minor, item.currency),
        currency=item.currency,
        user_id=item.seller_id,
        version=item.version,
        status=listing.state_at(engine().clock.now()),
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )


def _order(order: Order) -> ResaleOrder:
    price = from_minor(order.price_minor, order.currency)
    return ResaleOrder(
        id=order.id,
        user_id=order.user_id,
        status=order.state,
        expires_at=to_text(order.expires_at),
        version=order.version,
        ticket=ResaleOrderTicket(id=order.ticket_id, title=order.title, price=price, currency=order.currency),
    )


handler = http.entry(app, conflict=400)
cold_start.over()
