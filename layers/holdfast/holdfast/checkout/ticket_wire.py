"""What clients see of tickets: those of an order, what a gate sends and is told, and the keys to check codes with.

Importing it takes no cryptography: an order without tickets is shown without.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from holdfast.platform.clock import to_text
from holdfast.platform.fields import Moment, ShownUserId
from holdfast.platform.order_items import TicketKeyItem

if TYPE_CHECKING:
    from holdfast.checkout.admissions import Admission
    from holdfast.checkout.tickets import Ticket

LONGEST_CODE = 300

_STRICT = ConfigDict(extra="forbid", defer_build=True)
_SHOWN = ConfigDict(defer_build=True)

KEY_EXAMPLE = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""The public key of RFC 8037's own example, whose private key everybody knows."""

KID_EXAMPLE = "kPrK_qmx"
CODE_EXAMPLE = (
    "HF1.WyJrUHJLX3FteCIsImRlbW8iLCJvLWFiY2RlZmdoaWprbG1ub3AtMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLDAsMCwiMS"
    "IsIjEiLCIxMiIsIjciXQ.BCHIZD_bvGiBNlBK5u28cfi3LDqF0y1pmvAfZJ7uq-YjToSAwX6l_tZfcAcCe8nqmOuNjOzbN4439o17jWT3Cg"
)
"""A code signed with it."""


class _OneTicket(BaseModel):
    """Which ticket, and what it is for: an event's, or one that was resold."""

    model_config = _SHOWN

    line: int = Field(description="The order's line, from 0.", examples=[0])
    number: int = Field(description="The ticket's number in its line, from 0.", examples=[0])
    kind: Literal["ticket", "seat", "listing"] = Field(examples=["seat"])
    event_id: str | None = Field(None, examples=["1"])
    ticket_type_id: str | None = Field(None, examples=["1"])
    row: str | None = Field(None, examples=["12"])
    seat: str | None = Field(None, examples=["7"])
    ticket_id: str | None = Field(None, description="A resale ticket's id.", examples=[None])
    title: str | None = Field(None, description="A resale ticket's title.", examples=[None])


class OrderTicket(_OneTicket):
    """One ticket of an order, with the code that lets one person in."""

    code: str = Field(description="What to show at the door, as it is or as a QR code.", examples=[CODE_EXAMPLE])
    admitted_at: Moment | None = Field(None, description="When somebody was let in with it.", examples=[None])


class CheckInBody(BaseModel):
    """The code that somebody shows at the door."""

    model_config = _STRICT

    code: Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_CODE)] = Field(
        description="A ticket's code.", examples=[CODE_EXAMPLE]
    )


class CheckIn(_OneTicket):
    """Who was let in, and with which ticket."""

    order_id: str = Field(
        description="The order's id.", examples=["o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"]
    )
    user_id: ShownUserId
    admitted_at: Moment


class CheckInRefusal(BaseModel):
    """What the error of a ticket that was let in before carries besides."""

    admitted_at: Moment | None = None


class TicketKey(BaseModel):
    """A public key as a JWK (RFC 8037)."""

    model_config = _SHOWN

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"
    kid: str = Field(description="What codes name the key by.", examples=[KID_EXAMPLE])
    x: str = Field(description="The key.", examples=[KEY_EXAMPLE])


class TicketKeys(BaseModel):
    """The public keys that a tenant's codes are checked with, as a JWK Set."""

    model_config = _SHOWN

    keys: list[TicketKey]


def shown_ticket(ticket: "Ticket") -> OrderTicket:
    """Return a ticket as its buyer sees it."""
    thing = ticket.thing
    return OrderTicket(
        line=ticket.line,
        number=ticket.number,
        kind=thing.kind,
        event_id=thing.event_id,
        ticket_type_id=thing.ticket_type_id,
        row=thing.row,
        seat=thing.seat,
        ticket_id=thing.ticket_id,
        title=thing.title,
        code=ticket.code,
        admitted_at=None if ticket.admitted_at is None else to_text(ticket.admitted_at),
    )


def shown_admission(admission: "Admission") -> CheckIn:
    """Return who was let in as the gate sees it."""
    return CheckIn(**asdict(admission) | {"admitted_at": to_text(admission.admitted_at)})


def shown_keys(keys: Sequence[TicketKeyItem]) -> TicketKeys:
    """Return public keys as a JWK Set."""
    return TicketKeys(keys=[TicketKey(kid=item.sk, x=item.x) for item in keys])
