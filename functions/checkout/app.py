"""Checking out: what a reservation holds is bought by a workflow, which the answer may wait for (WIRE.md, 0 and 3)."""

from functools import cache, partial
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path

from holdfast.abuse.captcha.gate import CHECK_OUT, REFUSALS, gate_of
from holdfast.checkout import buyer_answers, deals, opening, orders
from holdfast.checkout.charges import key_of_attempt
from holdfast.checkout.checkout_wire import CheckoutBody, MarketplacePayment, MarketplacePaymentBody
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.desk import PaymentDesk
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.order_wire import LONGEST_WAIT, Order, Prefer, seconds_of, shown
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.registry import Providers
from holdfast.checkout.states import BOUGHT, UNDER_WAY
from holdfast.platform import http
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import (
    CheckoutUnderWay,
    OrderNotFound,
    PaymentFailed,
    PaymentRequired,
    ProviderNotUsed,
    ReservationNotFound,
    ReservationOver,
    TooManyRequests,
    Unavailable,
)
from holdfast.platform.fields import OptionalKey, RequiredKey
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.secrets import SecretParameters
from holdfast.platform.settings import CheckoutSettings, settings
from holdfast.platform.tables import Keys, limits_beside, order_of, public_id
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations import reading
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_TO_ANSWER = 3
"""Seconds of the function's own time that waiting leaves for the answer."""

_MARKETPLACE = "orders"
"""The source of the reservations that are orders of the marketplace."""

ReservationId = Annotated[
    str,
    Path(
        pattern=r"^[a-z]-[A-Za-z0-9_-]{1,80}$",
        description="A reservation's id, or that of a booking or a marketplace order.",
        examples=["r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"],
    ),
]


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(CheckoutSettings).table_name))


@cache
def _workflows() -> StepFunctions:
    return StepFunctions(settings(CheckoutSettings).checkout_workflow_arn)


@cache
def _providers() -> ProvidersUsed:
    return ProvidersUsed(engine().store, settings(CheckoutSettings).default_payment_providers)


@app.post(
    "/api/v1/reservations/<reservation_id>/checkout",
    status_code=202,
    tags=["orders"],
    summary="Buy what a reservation holds",
    responses={
        **http.answers(202, "The order; its workflow is at it, or the buyer has something to do."),
        **http.answers(
            200,
            "The order in its final state, bought or not.",
            ReservationNotFound,
            ReservationOver,
            CheckoutUnderWay,
            PaymentRequired,
            ProviderNotUsed,
            TooManyRequests,
            *REFUSALS,
        ),
    },
)
def check_out(
    reservation_id: ReservationId,
    body: CheckoutBody,
    idempotency_key: RequiredKey,
    prefer: Prefer = None,
) -> Response[Order]:
    """Pay and buy everything that is held; twice, or two at once, is one order and one payment."""
    caller = http.caller_of(app)
    record = _held(caller, reservation_id)
    wanted = None if body.payment is None else PaymentChoice(body.payment.provider, body.payment.token)
    keyed = KeyedRequest(
        caller.tenant,
        record.user_id,
        "check-out-reservation",
        idempotency_key,
        hash_of([reservation_id, body.model_dump(mode="json", exclude={"captcha_token"})]),
    )
    order = _opened(caller, record, wanted, keyed, body.captcha_token)
    order = _waited(order, seconds_of(prefer))
    return Response(202 if order.status in UNDER_WAY else 200, http.JSON, shown(order, engine().clock.now()))


@app.post(
    "/api/payments",
    status_code=201,
    tags=["marketplace"],
    summary="Pay for an order",
    responses=http.answers(
        201,
        "The order is paid, and complete.",
        OrderNotFound,
        ReservationOver,
        PaymentFailed,
        CheckoutUnderWay,
        ProviderNotUsed,
        TooManyRequests,
        *REFUSALS,
        conflict=400,
    ),
)
def pay(body: MarketplacePaymentBody, idempotency_key: OptionalKey = None) -> MarketplacePayment:
    """Pay for the ticket that an order locks, and wait until it is bought."""
    http.refuse_with(app, 400)
    caller = http.caller_of(app)
    key = Keys(caller.tenant).by_view_id("o", body.order_id)
    record = None if key is None else engine().store.get(ReservationItem, key)
    if record is None or record.source != _MARKETPLACE or caller.sees() not in (None, record.user_id):
        raise OrderNotFound
    keyed = None
    if idempotency_key is not None:
        said = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, record.user_id, "payments", idempotency_key, said)
    provider = body.provider or next(iter(_providers().of(caller.tenant)), None)
    if provider is None:
        raise ProviderNotUsed
    order = _opened(caller, record, PaymentChoice(provider, body.token), keyed)
    order = _waited(order, LONGEST_WAIT)
    if order.status not in BOUGHT:
        raise _unpaid(order)
    charge = key_of_attempt(order.key, order.attempt)
    return MarketplacePayment(id=order.id if order.total_minor == 0 else public_id(charge, None))


def _held(caller: Caller, reservation_id: str) -> ReservationItem:
    """Return the reservation that an id names, in whichever of its views, or what the deal hold of that id became.

    Raises ReservationNotFound.
    """
    keys = Keys(caller.tenant)
    became = deals.became(engine(), caller.tenant, reservation_id)
    if became is not None:
        return reading.find(engine(), caller.tenant, became.id, caller.sees())
    key = keys.by_view_id("o", reservation_id) or keys.by_view_id("b", reservation_id)
    if key is None:
        return reading.find(engine(), caller.tenant, reservation_id, caller.sees())
    return reading.find(engine(), caller.tenant, public_id(key, None), caller.sees())


def _opened(
    caller: Caller,
    record: ReservationItem,
    wanted: PaymentChoice | None,
    keyed: KeyedRequest | None,
    captcha_token: str | None = None,
) -> OrderItem:
    """Open the order that buys a reservation, start its workflow, and return it; or the one that the key opened."""
    known = keyed.replay(engine().store) if keyed else None
    if known is not None:
        return _started(orders.find(engine(), caller.tenant, known["order_id"], None))
    answered = None if wanted is None else _answered(record, wanted)
    if answered is not None:
        return answered
    gate = gate_of(caller, http.captcha_token_of(app) or captcha_token, CHECK_OUT, http.address_of(app))
    clearance = Clearance(limits_beside(record.key), caller.policy, gate)
    pay = partial(opening.choose, caller.roles, _providers().of(caller.tenant), wanted)
    if record.life is not None:
        return _started(deals.open_whole(engine(), record, pay, keyed, clearance))
    return _started(opening.open_order(engine(), record, pay(reading.total_of(record)), keyed, clearance))


def _answered(record: ReservationItem, wanted: PaymentChoice) -> OrderItem | None:
    """Return the order that awaits payment, once the buyer's answer to it is taken; None where this is no answer."""
    order = engine().store.get(OrderItem, order_of(record.key))
    if order is None or not buyer_answers.awaits(order, wanted):
        return None
    known = settings(CheckoutSettings)
    providers = Providers(engine().store, SecretParameters(known.secrets_prefix), _providers())
    return buyer_answers.take(PaymentDesk(engine(), _workflows(), providers), order, wanted)


def _started(order: OrderItem) -> OrderItem:
    opening.start(_workflows(), order)
    return order


def _waited(order: OrderItem, seconds: float) -> OrderItem:
    """Return the order once it is over, or awaits its buyer, or `seconds` or this function's own time are."""
    left = app.lambda_context.get_remaining_time_in_millis() / 1000 - _TO_ANSWER
    seconds = min(seconds, left)
    return opening.wait_for(engine(), order.key, order.attempt, seconds, until_action=True) if seconds > 0 else order


def _unpaid(order: OrderItem) -> PaymentFailed | Unavailable:
    """Return what a client that waits for its order to be paid is told where that did not come."""
    refusal = Unavailable() if order.status == "pending" else PaymentFailed()
    refusal.extra = {"order_id": order.id, "reason": order.reason or "action_required"}
    return refusal


handler = http.entry(app)
