"""What clients see of orders: what was bought, how its money stands, and what the buyer has to do to pay.

The models are built when the first request needs them, and not while a function starts.
"""

import json
import re
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header
from pydantic import BaseModel, ConfigDict, Field

from holdfast.checkout.states import BOUGHT, UNDER_WAY, OrderState
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Moment, ShownReservationId, ShownUserId
from holdfast.platform.order_items import OrderItem
from holdfast.reservations.states import State
from holdfast.reservations.wire import (
    ListingLine,
    PlacesLine,
    ProductLine,
    ReservationTotal,
    SeatLine,
    TicketLine,
    VenueLine,
    named_as,
)

ORDER_EXAMPLE = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"

LONGEST_WAIT = 15
"""Seconds that an answer waits at most: well inside a function's own time, and API Gateway's."""

Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N`: answer with the final state, if it comes within N s; N is at most 15.",
        examples=["wait=10"],
    ),
]

_SHOWN = ConfigDict(defer_build=True)
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})", re.IGNORECASE)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NUMBER_BITS = 60

_LINE_STATES = {
    OrderState.PENDING: State.CHECKING_OUT,
    OrderState.AWAITING_PAYMENT: State.CHECKING_OUT,
    OrderState.PAYMENT_FAILED: State.HELD,
    OrderState.COMPLETED: State.CONFIRMED,
    OrderState.PARTIALLY_REFUNDED: State.CONFIRMED,
    OrderState.EXPIRED: State.EXPIRED,
    OrderState.CANCELLED: State.CANCELLED,
    OrderState.FAILED: State.CANCELLED,
    OrderState.REFUNDED: State.REFUNDED,
}
"""The state of the lines of an order; those that were given back of one that is bought are refunded."""

_TO_BE_PAID = UNDER_WAY | {OrderState.PAYMENT_FAILED}


class _Ordered(BaseModel):
    model_config = _SHOWN

    line: int = Field(description="The line's place in the order, from 0.", examples=[0])
    returned: int = Field(description="How many of it were given back, or are about to be.", examples=[0])


class OrderedProduct(ProductLine, _Ordered):
    """So many of one product, as they were ordered."""


class OrderedTickets(TicketLine, _Ordered):
    """So many tickets of a counted type, as they were ordered."""


class OrderedSeat(SeatLine, _Ordered):
    """One numbered seat, as it was ordered."""


class OrderedListing(ListingLine, _Ordered):
    """A ticket that somebody resells, as it was ordered."""


class OrderedVenue(VenueLine, _Ordered):
    """A hall, as it was ordered from `start` up to, not including, `end`."""


class OrderedPlaces(PlacesLine, _Ordered):
    """Places of an experience's slot, as they were ordered; of several pax types, each is a line of its own."""


OrderLine = Annotated[
    OrderedProduct | OrderedTickets | OrderedSeat | OrderedListing | OrderedVenue | OrderedPlaces,
    Field(discriminator="kind"),
]

_LINES: dict[str, type[Any]] = {
    "product": OrderedProduct,
    "ticket": OrderedTickets,
    "seat": OrderedSeat,
    "listing": OrderedListing,
    "venue": OrderedVenue,
    "slot": OrderedPlaces,
}


class OrderPayment(BaseModel):
    """How an order is paid."""

    model_config = _SHOWN

    provider: str = Field(description="`free` where nothing is to be paid.", examples=["sandbox"])
    action: dict[str, Any] | None = Field(
        description="What the buyer has to do to pay, as the provider's own client needs it; null unless there is.",
        examples=[None],
    )


class Order(BaseModel):
    """An order: what is bought of one reservation, how far that is, and how its money stands, in minor units."""

    model_config = _SHOWN

    id: str = Field(description="An order's id.", examples=[ORDER_EXAMPLE])
    number: str = Field(description="What people call it by.", examples=["04HM-ASW9-NF6Y"])
    reservation_id: ShownReservationId
    user_id: ShownUserId
    status: OrderState
    provider: str = Field(description="The payment provider.", examples=["sandbox"])
    lines: list[OrderLine]
    totals: list[ReservationTotal]
    captured_minor: int = Field(description="What was taken.", examples=[1999])
    refunded_minor: int = Field(description="What of that was paid back.", examples=[0])
    refundable_minor: int = Field(description="The price of what may still be given back.", examples=[1999])
    fee_minor: int = Field(description="What was kept of the price of things given back.", examples=[0])
    payment: OrderPayment
    reason: str | None = Field(description="Why it was not bought: a stable word.", examples=[None])
    deadline: Moment | None = Field(description="Until when it has to be paid, or another payment can be tried.")
    created_at: Moment
    updated_at: Moment
    completed_at: Moment | None = Field(description="When it was bought.")


class OrderList(BaseModel):
    """Some of a user's orders; `next` asks for more and is null at the end."""

    model_config = _SHOWN

    items: list[Order]
    next: str | None = Field(examples=[None])


def shown(order: OrderItem, now: int, *, to_buyer: bool = True) -> Order:
    """Return an order as clients see it at `now` (ms); what the buyer has to do to pay is shown to the buyer only."""
    return Order(**fields_of(order, now, to_buyer=to_buyer))


def fields_of(order: OrderItem, now: int, *, to_buyer: bool) -> dict[str, Any]:
    """Return the fields of an order as clients see it at `now` (ms), by their names."""
    state = OrderState(order.status)
    action = json.loads(order.action) if order.action and to_buyer and state is OrderState.AWAITING_PAYMENT else None
    return {
        "id": order.id,
        "number": number_of(order),
        "reservation_id": order.reservation_id,
        "user_id": order.user_id,
        "status": state,
        "provider": order.provider,
        "lines": [_line(order, place, state, now) for place in range(len(order.lines))],
        "totals": [ReservationTotal(currency=order.currency, amount_minor=order.total_minor)],
        "captured_minor": order.captured_minor,
        "refunded_minor": order.refunded_minor,
        "refundable_minor": order.refundable_minor,
        "fee_minor": order.fee_minor,
        "payment": OrderPayment(provider=order.provider, action=action),
        "reason": order.reason,
        "deadline": _moment(order.deadline if state in _TO_BE_PAID else None),
        "created_at": to_text(order.created_at),
        "updated_at": to_text(order.updated_at),
        "completed_at": _moment(order.completed_at),
    }


def number_of(order: OrderItem) -> str:
    """Return what people call an order by: its first 60 bits in Crockford's base 32, in three groups of four."""
    bits = int(order.sk.partition("#")[2], 16) >> (128 - _NUMBER_BITS)
    letters = "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(_NUMBER_BITS - 5, -5, -5))
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def seconds_of(prefer: str | None) -> int:
    """Return for how long a client wants to wait, by its Prefer header (RFC 7240): 0 unless it says, at most 15."""
    found = _WAIT.search(prefer or "")
    return min(LONGEST_WAIT, int(found[1])) if found else 0


def _line(order: OrderItem, place: int, state: OrderState, now: int) -> Any:
    line, returned = order.lines[place], int(order.returned[place])
    line_state = _line_state(order, state, line.quantity - returned, now)
    return _LINES[line.kind](**named_as(line), line=place, returned=returned, state=line_state)


def _line_state(order: OrderItem, state: OrderState, left: int, now: int) -> State:
    """Return the state of a line of which so many were not given back; what was not paid is held for a while."""
    if state in BOUGHT and left == 0:
        return State.REFUNDED
    if state is OrderState.PAYMENT_FAILED and order.deadline is not None and order.deadline <= now:
        return State.EXPIRED
    return _LINE_STATES[state]


def _moment(at: int | None) -> str | None:
    return None if at is None else to_text(at)
