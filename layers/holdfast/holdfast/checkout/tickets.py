"""Ticket codes: one for each person that an order admits, signed, so that a gate can tell them from others offline.

A code is `HF1.<payload>.<signature>`. The payload is a JSON list in base64url: the signing key's id, the tenant, the
order's id, the line and the ticket's number in it, both from 0, then what it is for: event, ticket type, and row and
seat of a numbered one; or a resale ticket's id. The signature is Ed25519 over all that stands before its dot.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdfast.checkout.admitted import ADMITTING, admits
from holdfast.checkout.ticket_keys import KeyPair, decoded, encoded
from holdfast.checkout.ticket_wire import LONGEST_CODE
from holdfast.platform.errors import CodeRefused
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import tenant_of

_VERSION = "HF1"
_CODE = re.compile(rf"({_VERSION}\.([A-Za-z0-9_-]{{8,}}))\.([A-Za-z0-9_-]{{86}})", re.ASCII)
_KID = re.compile(r"[A-Za-z0-9_-]{8}", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Which of an order's tickets one is: its line and its number in it, both from 0."""

    order_id: str
    line: int
    number: int

    @property
    def name(self) -> str:
        """Return the name by which the order knows that the ticket was let in."""
        return f"{self.line}-{self.number}"


@dataclass(frozen=True)
class Ticket:
    """One ticket of an order: what it is for, its code, and when (ms) it was let in, if it was."""

    line: int
    number: int
    thing: LineMap
    code: str
    admitted_at: int | None


class Signer(Protocol):
    """Whatever has the pair of keys that a tenant's codes are signed with: `ticket_keys.TicketSigner`."""

    def pair_of(self, tenant: str) -> KeyPair:
        """Return the pair; raises Busy and Unavailable."""
        ...


def codes_of(order: OrderItem, signer: Signer, after: int = 0, most: int = 1_000) -> list[Ticket]:
    """Return the tickets of a paid order, `most` of them from number `after` on; none of any other order.

    They stand by line and number. What was given back has none: of each line, those with the highest numbers. Raises
    Busy and Unavailable where the key to sign with cannot be had.
    """
    places = list(islice(_places(order), after, after + most))
    if not places:
        return []
    tenant = tenant_of(order.key)
    pair = signer.pair_of(tenant)
    admitted = order.admissions()
    return [
        Ticket(
            line=place.line,
            number=place.number,
            thing=order.lines[place.line],
            code=code_of(pair, tenant, place, order.lines[place.line]),
            admitted_at=admitted.get(place.name),
        )
        for place in places
    ]


def code_of(pair: KeyPair, tenant: str, place: Place, thing: LineMap) -> str:
    """Return the code of one ticket: at most 300 letters, digits, `.`, `-` and `_`."""
    named = (thing.event_id, thing.ticket_type_id, thing.row, thing.seat, thing.ticket_id)
    said = [pair.kid, tenant, place.order_id, place.line, place.number, *(name for name in named if name is not None)]
    signed = f"{_VERSION}.{encoded(json.dumps(said, separators=(',', ':')).encode())}"
    return f"{signed}.{encoded(pair.private.sign(signed.encode()))}"


def read(code: str, tenant: str, find_key: Callable[[str], Ed25519PublicKey | None]) -> Place:
    """Return which ticket a code is of; `find_key` returns the tenant's public key of an id, if there is one.

    Raises CodeRefused for every text that is no code signed for this tenant, in any letter.
    """
    match = _CODE.fullmatch(code) if len(code) <= LONGEST_CODE else None
    if match is None:
        raise CodeRefused
    try:
        said = json.loads(decoded(match[2]))
        signature = decoded(match[3])
    except (ValueError, RecursionError) as wrong:
        raise CodeRefused from wrong
    kid = said[0] if isinstance(said, list) and said else None
    key = find_key(kid) if isinstance(kid, str) and _KID.fullmatch(kid) else None
    if key is None:
        raise CodeRefused
    try:
        key.verify(signature, match[1].encode())
    except InvalidSignature as wrong:
        raise CodeRefused from wrong
    if said[1] != tenant:
        raise CodeRefused
    return Place(order_id=said[2], line=said[3], number=said[4])


def _places(order: OrderItem) -> Iterator[Place]:
    if not admits(order):
        return
    for line, thing in enumerate(order.lines):
        if thing.kind in ADMITTING:
            for number in range(thing.quantity - order.returned[line]):
                yield Place(order.id, line, number)
