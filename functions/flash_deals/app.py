"""The flash deals API of the older clients: reserve in bulk, let go, list (WIRE.md, section 1).

Reserving one product and checking out share their addresses with another API, in another function.

Unknown fields are ignored and refusals are 400, as those clients know it.
"""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache, partial
from typing import Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import BaseModel, Field

from holdfast.abuse.captcha.gate import REFUSALS, RESERVE, gate_of
from holdfast.catalogue.products.facts import ProductFacts
from holdfast.platform import http
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    MixedCurrencies,
    NoReservation,
    Refused,
    TooManyLines,
    TooManyRequests,
)
from holdfast.platform.fields import (
    OptionalKey,
    ProductId,
    ProductInPath,
    Quantity,
    ShownProductId,
    UserId,
    UserInPath,
)
from holdfast.platform.settings import FlashDealsSettings, settings
from holdfast.reservations import deal_holds
from holdfast.reservations.deal_holds import DealRequest
from holdfast.reservations.deal_wire import DealHoldData, shown
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)


class DealBulkLine(BaseModel):
    """So many of one product."""

    product_id: ProductId
    quantity: Quantity


class DealBulkBody(BaseModel):
    """Several products for a user, all or none."""

    user_id: UserId
    items: list[DealBulkLine] = Field(min_length=1, max_length=100)


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
    return Engine(connect(known.table_name), HoldLengths(known.hold_seconds, known.hold_seconds_max))


@cache
def catalogue() -> ProductFacts:
    """Return what this warm function knows of products."""
    return ProductFacts(engine().store, engine().clock)


_answers = partial(http.answers, 200, conflict=400)


@app.post(
    "/api/reserve/bulk",
    tags=["flash deals"],
    summary="Hold several products, all or none",
    responses=_answers(
        "What the user now holds of each product.",
        Refused,
        TooManyLines,
        MixedCurrencies,
        TooManyRequests,
        *REFUSALS,
        adding=DealBulkRefusal,
    ),
)
def reserve_bulk(body: DealBulkBody, idempotency_key: OptionalKey = None) -> DealBulkAnswer:
    """Add every line to what the user holds, or none of them."""
    caller = http.caller_of(app)
    user = caller.acting_for(body.user_id)
    keyed = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, user, "reserve/bulk", idempotency_key, body_hash)
    lines = [
        LineRequest("product", f"items.{number}", line.quantity, product_id=line.product_id)
        for number, line in enumerate(body.items)
    ]
    gate = gate_of(caller, http.captcha_token_of(app), RESERVE, http.address_of(app))
    request = DealRequest(caller.tenant, user, lines, keyed, caller.policy, gate)
    try:
        held = deal_holds.reserve(engine(), lambda _: catalogue(), request)
    except Refused as refused:
        refused.extra = DealBulkRefusal(failed=_failed(body, refused)).model_dump()
        raise
    return DealBulkAnswer(reserved=[shown(user, hold) for hold in held])


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
    return DealHoldsAnswer(data=[shown(user, hold) for hold in holds], message="What the user holds.")


def _failed(body: DealBulkBody, refused: Refused) -> list[DealBulkFailure]:
    lines = [(body.items[int(fault.field.removeprefix("items."))], fault.code) for fault in refused.faults]
    return [DealBulkFailure(product_id=line.product_id, reason=code) for line, code in lines]


handler = http.entry(app, conflict=400)
cold_start.over()
