"""What clients see of one order beyond what lists show: its charges, its refunds, the tickets that let people in."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from holdfast.checkout.order_wire import Order, fields_of
from holdfast.checkout.states import ChargeState, RefundStatus
from holdfast.checkout.ticket_wire import OrderTicket
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import read
from holdfast.platform.fields import Currency, Moment, Quantity
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.tables import charge_of, refund_of
from holdfast.reservations.basket import MAX_STORED_LINES
from holdfast.reservations.engine import Engine

MOST_TICKETS = 100
"""The tickets that an order shows; further ones are listed page by page."""

_SHOWN = ConfigDict(defer_build=True)
_STRICT = ConfigDict(extra="forbid", defer_build=True)


class OrderCharge(BaseModel):
    """One payment for an order: that of an attempt, or one that nobody asked for."""

    model_config = _SHOWN

    id: str = Field(examples=["c-abcdefghijklmnop-0123456789abcdef0123456789abcdef-01"])
    attempt: int = Field(examples=[1])
    status: ChargeState
    provider: str = Field(examples=["sandbox"])
    payment_id: str | None = Field(description="The provider's own id.", examples=["sandbox_0123456789abcdef01234567"])
    amount_minor: int = Field(examples=[1999])
    captured_minor: int = Field(examples=[1999])
    refunded_minor: int = Field(examples=[0])
    currency: Currency
    reason: str | None = Field(description="Why it failed: the provider's word.", examples=[None])
    created_at: Moment


class RefundedLine(BaseModel):
    """How many of a line are given back."""

    model_config = _SHOWN

    line: int = Field(description="The line's place in the order, from 0.", examples=[0])
    quantity: int = Field(examples=[1])


class OrderRefund(BaseModel):
    """Money on its way back, and what is given back for it; one without lines pays back what bought nothing."""

    model_config = _SHOWN

    id: str = Field(examples=["f-abcdefghijklmnop-0123456789abcdef0123456789abcdef-0123456789abcdef"])
    status: RefundStatus
    amount_minor: int = Field(description="What is paid back.", examples=[1999])
    fee_minor: int = Field(description="What is kept of the price.", examples=[0])
    currency: Currency
    lines: list[RefundedLine]
    reason: str = Field(description="Why; once it failed, the provider's word for that.", examples=["requested"])
    created_at: Moment
    updated_at: Moment


class OrderDetails(Order):
    """An order with its charges, its refunds and its first tickets."""

    charges: list[OrderCharge]
    refunds: list[OrderRefund]
    tickets: list[OrderTicket] = Field(description="The first 100; none unless it is bought.")


class OrderTicketList(BaseModel):
    """Some of an order's tickets; `next` asks for more and is null at the end."""

    model_config = _SHOWN

    items: list[OrderTicket]
    next: str | None = Field(examples=[None])


class RefundLineBody(BaseModel):
    """So many of a line; all that is left of it where no quantity is named."""

    model_config = _STRICT

    line: Annotated[
        StrictInt, Field(ge=0, lt=MAX_STORED_LINES, description="Its place in the order, from 0.", examples=[0])
    ]
    quantity: Quantity | None = None


class RefundBody(BaseModel):
    """What to give back of an order, and why."""

    model_config = _STRICT

    items: list[RefundLineBody] | None = Field(
        None, min_length=1, max_length=MAX_STORED_LINES, description="All that is left, unless lines are named."
    )
    waive_fee: bool = Field(False, strict=True, description="Pay all of the price back, however short the notice.")
    reason: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = Field(
        None, description="For the order's own record.", examples=["damaged"]
    )


def details(engine: Engine, order: OrderItem, tickets: Sequence[OrderTicket], *, to_buyer: bool) -> OrderDetails:
    """Return an order with its charges and refunds as they are now; `tickets` are those to show with it."""
    charges, refunds = money_of(engine, order)
    return OrderDetails(
        **fields_of(order, engine.clock.now(), to_buyer=to_buyer),
        charges=charges,
        refunds=refunds,
        tickets=list(tickets),
    )


def money_of(engine: Engine, order: OrderItem) -> tuple[list[OrderCharge], list[OrderRefund]]:
    """Return an order's charges, and its refunds, the oldest first, as they are now."""
    charges = engine.store.query(order.pk, charge_of(order.key, "").sk).items
    refunds = engine.store.query(order.pk, refund_of(order.key, "").sk).items
    return (
        [_charge(read(ChargeItem, raw)) for raw in charges],
        sorted((_refund(read(RefundItem, raw)) for raw in refunds), key=lambda refund: refund.created_at),
    )


def _charge(item: ChargeItem) -> OrderCharge:
    return OrderCharge(
        id=item.id,
        attempt=item.attempt,
        status=ChargeState(item.status),
        provider=item.provider,
        payment_id=item.payment_id,
        amount_minor=item.amount_minor,
        captured_minor=item.captured_minor,
        refunded_minor=item.refunded_minor,
        currency=item.currency,
        reason=item.reason,
        created_at=to_text(item.created_at),
    )


def _refund(item: RefundItem) -> OrderRefund:
    return OrderRefund(
        id=item.id,
        status=RefundStatus(item.status),
        amount_minor=item.amount_minor,
        fee_minor=item.fee_minor,
        currency=item.currency,
        lines=[RefundedLine(line=part.line, quantity=part.quantity) for part in item.lines],
        reason=item.reason,
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )
