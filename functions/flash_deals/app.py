"""The flash deals API of the older clients: reserve, reserve in bulk, check out, let go, list (WIRE.md, section 1).

Unknown fields are ignored and refusals are 400, as those clients know it.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache, partial
from typing import Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import BaseModel, Field

from holdfast.catalogue.products.facts import ProductFacts
from holdfast.checkout import orders
from holdfast.platform import http
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    AmountMismatch,
    InsufficientReservation,
    MixedCurrencies,
    NoReservation,
    Refused,
    TooManyLines,
)
from holdfast.platform.fields import (
    Currency,
    DecimalNumber,
    Moment,
    Money,
    OptionalKey,
    ProductId,
    ProductInPath,
    Quantity,
    ShownProductId,
    ShownReservationId,
    ShownUserId,
    UserId,
    UserInPath,
)
from holdfast.platform.money import from_minor
from holdfast.platform.settings import FlashDealsSettings, settings
from holdfast.reservations import deal_holds
from holdfast.reservations.deal_holds import DealHold, DealRequest
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_json
)


class DealReserveBody(BaseModel):
    """More of one product for a user, on top of what the user holds of it."""

    user_id: UserId
    product_id: ProductId
    quantity: Quantity


class DealBulkLine(BaseModel):
    """So many of one product."""

    product_id: ProductId
    quantity: Quantity


class DealBulkBody(BaseModel):
    """Several products for a user, all or none."""

    user_id: UserId
    items: list[DealBulkLine] = Field(min_length=1, max_length=100)


class DealCheckoutBody(BaseModel):
    """So many of what the user holds of a product are bought."""

    user_id: UserId
    product_id: ProductId
    quantity: Quantity
    total_amount: Money | None = Field(
        None, description="What the client believes that to cost; checked, never trusted.", examples=["19.99"]
    )


class DealHoldData(BaseModel):
    """What a user holds of a product in all, and until when."""

    user_id: ShownUserId
    product_id: ShownProductId
    quantity: int = Field(examples=[1])
    expires_at: Moment = Field(examples=["2026-03-01T10:10:00.250Z"])
    reservation_id: ShownReservationId = Field(examples=["h-abcdefghijklmnop-1a1f86a9b94-1"])


class DealHoldAnswer(BaseModel):
    """A hold, in the older envelope."""

    success: Literal[True] = True
    data: DealHoldData
    message: str = Field(examples=["Reserved."])


class DealBulkAnswer(BaseModel):
    """All lines of a bulk request."""

    success: Literal[True] = True
    reserved: list[DealHoldData]
    failed: list[None] = Field(default_factory=list, max_length=0)


class DealBulkFailure(BaseModel):
    """A line of a bulk request that stood in the way, and the code of why."""

    product_id: ShownProductId
    reason: str = Field(examples=["insufficient_stock"])


class DealBulkRefusal(BaseModel):
    """What the error of a refused bulk request carries besides: no line was held."""

    reserved: list[None] = Field(default_factory=list, max_length=0)
    failed: list[DealBulkFailure]


class DealOrderData(BaseModel):
    """What was bought."""

    id: str = Field(description="An order's id.", examples=["o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"])
    user_id: ShownUserId
    product_id: ShownProductId
    quantity: int = Field(examples=[1])
    total_amount: DecimalNumber
    currency: Currency
    status: Literal["completed"]
    created_at: Moment


class DealOrderAnswer(BaseModel):
    """An order, in the older envelope."""

    success: Literal[True] = True
    data: DealOrderData
    message: str = Field(examples=["Checked out."])


class DealEmptyAnswer(BaseModel):
    """That something was done, in the older envelope."""

    success: Literal[True] = True
    data: None = None
    message: str = Field(examples=["Let go."])


class DealHoldsAnswer(BaseModel):
    """All that a user holds, in the older envelope."""

    success: Literal[True] = True
    data: list[DealHoldData]
    message: str = Field(examples=["What the user holds."])


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    known = settings(FlashDealsSettings)
    return Engine(connect(known.table_name), HoldLengths(known.hold_seconds))


@cache
def catalogue() -> ProductFacts:
    """Return what this warm function knows of products."""
    return ProductFacts(engine().store, engine().clock)


_answers = partial(http.answers, 200, conflict=400)


@app.post(
    "/api/reserve",
    tags=["flash deals"],
    summary="Hold more of a product",
    responses=_answers("What the user now holds of the product.", Refused, MixedCurrencies),
)
def reserve(body: DealReserveBody, idempotency_key: OptionalKey = None) -> DealHoldAnswer:
    """Add to what the user holds of a product, and renew its time."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    keyed = _keyed(caller.tenant, user, "reserve", idempotency_key, body)
    lines = [LineRequest("product", "quantity", body.quantity, product_id=body.product_id)]
    held = deal_holds.reserve(engine(), lambda _: catalogue(), DealRequest(caller.tenant, user, lines, keyed))
    return DealHoldAnswer(data=_shaped(user, held[0]), message="Reserved.")


@app.post(
    "/api/reserve/bulk",
    tags=["flash deals"],
    summary="Hold several products, all or none",
    responses=_answers(
        "What the user now holds of each product.",
        Refused,
        TooManyLines,
        MixedCurrencies,
        adding=DealBulkRefusal,
    ),
)
def reserve_bulk(body: DealBulkBody, idempotency_key: OptionalKey = None) -> DealBulkAnswer:
    """Add every line to what the user holds, or none of them."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    keyed = _keyed(caller.tenant, user, "reserve/bulk", idempotency_key, body)
    lines = [
        LineRequest("product", f"items.{number}", line.quantity, product_id=line.product_id)
        for number, line in enumerate(body.items)
    ]
    try:
        held = deal_holds.reserve(engine(), lambda _: catalogue(), DealRequest(caller.tenant, user, lines, keyed))
    except Refused as refused:
        refused.extra = DealBulkRefusal(failed=_failed(body, refused)).model_dump()
        raise
    return DealBulkAnswer(reserved=[_shaped(user, hold) for hold in held])


@app.post(
    "/api/checkout",
    tags=["flash deals"],
    summary="Buy what is held",
    responses=_answers("The order.", InsufficientReservation, AmountMismatch),
)
def check_out(body: DealCheckoutBody, idempotency_key: OptionalKey = None) -> DealOrderAnswer:
    """Buy some or all of what the user holds of a product; the rest stays held."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    keyed = _keyed(caller.tenant, user, "checkout", idempotency_key, body)
    purchase = orders.Purchase(caller.tenant, user, body.product_id, body.quantity, body.total_amount, keyed)
    order = orders.check_out(engine(), purchase)
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


@app.delete(
    "/api/reserve/<user_id>/<product_id>",
    tags=["flash deals"],
    summary="Let go of a product",
    responses=_answers("It is free again.", NoReservation),
)
def let_go(user_id: UserInPath, product_id: ProductInPath) -> DealEmptyAnswer:
    """Give back all that the user holds of a product."""
    caller = http.caller_of(app)
    deal_holds.let_go(engine(), caller.tenant, caller.acting_for(user_id), product_id)
    return DealEmptyAnswer(message="Let go.")


@app.get(
    "/api/users/<user_id>/reservations",
    tags=["flash deals"],
    summary="List what a user holds",
    responses=_answers("All that the user holds."),
)
def held_by(user_id: UserInPath) -> DealHoldsAnswer:
    """List what the user holds of each product, unexpired."""
    caller = http.caller_of(app)
    user = caller.acting_for(user_id)
    holds = deal_holds.held_by(engine(), caller.tenant, user)
    return DealHoldsAnswer(data=[_shaped(user, hold) for hold in holds], message="What the user holds.")


def _keyed(tenant: str, user: str, route: str, key: str | None, body: BaseModel) -> KeyedRequest | None:
    return None if key is None else KeyedRequest(tenant, user, route, key, hash_of(body.model_dump(mode="json")))


def _shaped(user: str, hold: DealHold) -> DealHoldData:
    return DealHoldData(
        user_id=user,
        product_id=hold.product_id,
        quantity=hold.quantity,
        expires_at=to_text(hold.expires_at),
        reservation_id=hold.reservation_id,
    )


def _failed(body: DealBulkBody, refused: Refused) -> list[DealBulkFailure]:
    lines = [(body.items[int(fault.field.removeprefix("items."))], fault.code) for fault in refused.faults]
    return [DealBulkFailure(product_id=line.product_id, reason=code) for line, code in lines]


handler = http.entry(app, conflict=400)
cold_start.over()
