"""The bodies of the marketplace, which its older clients spell in camelCase (WIRE.md, section 3)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictStr
from pydantic.alias_generators import to_camel

from holdfast.catalogue.listings.listings import ListingState
from holdfast.catalogue.listings.orders import ResaleOrderState
from holdfast.platform.fields import Currency, DecimalNumber, Moment, Money, ShownUserId, TicketId, UserId

TICKET_EXAMPLE = "19a9f5c1c3a0123456789abc"
ORDER_EXAMPLE = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"

TicketTitle = Annotated[
    StrictStr,
    Field(min_length=1, max_length=200, pattern=r"\S", description="What is sold.", examples=["Opening night, row 3"]),
]


class _Body(BaseModel):
    """Fields are spelt as the older clients spell them."""

    model_config = ConfigDict(alias_generator=to_camel, defer_build=True)


class _Shown(BaseModel):
    """Fields are shown as the older clients spell them, and named in our own way."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, defer_build=True)


class ResaleTicketBody(_Body):
    """A ticket to put up for resale, or what it is to be from now on."""

    title: TicketTitle
    price: Money = Field(description="What the buyer pays.", examples=["19.99"])
    currency: Currency | None = Field(None, description="The stage's own, or the one it had, unless given.")
    user_id: UserId | None = Field(None, description="Whose it is; a service key must say.", examples=["alice"])


class ResaleOrderBody(_Body):
    """A wish to buy a ticket."""

    ticket_id: TicketId
    user_id: UserId | None = Field(None, description="Who buys; a service key must say.", examples=["bob"])


class ResaleTicket(_Shown):
    """A ticket up for resale; `version` rises with every change."""

    id: str = Field(examples=[TICKET_EXAMPLE])
    title: str = Field(examples=["Opening night, row 3"])
    price: DecimalNumber
    currency: Currency
    user_id: ShownUserId
    version: int = Field(examples=[1])
    status: ListingState
    created_at: Moment
    updated_at: Moment


class ResaleOrderTicket(_Shown):
    """The ticket of an order, at the price at which it was locked."""

    id: str = Field(examples=[TICKET_EXAMPLE])
    title: str = Field(examples=["Opening night, row 3"])
    price: DecimalNumber
    currency: Currency


class ResaleOrder(_Shown):
    """An order; it locks its ticket until `expiresAt`, and `version` rises with every change."""

    id: str = Field(examples=[ORDER_EXAMPLE])
    user_id: ShownUserId = Field(examples=["bob"])
    status: ResaleOrderState
    expires_at: Moment = Field(examples=["2026-03-01T10:15:00.250Z"])
    version: int = Field(examples=[1])
    ticket: ResaleOrderTicket
