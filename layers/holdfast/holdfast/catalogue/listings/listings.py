"""Listings: put up for resale, read, edited.

An edit is one conditional write of the listing itself, so that an order that locks it at the same moment comes either
before it, and the edit is refused, or after it, and buys on the new terms. Every write raises the listing's `version`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from secrets import token_hex

from holdfast.claims.unit import free_at, is_free
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, Write, read
from holdfast.platform.errors import Busy, Forbidden, TicketLocked, TicketNotFound
from holdfast.platform.items import ListedItem, ListingItem
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest

_WRITERS = 4
"""Writers that a listing remembers: one that lost its answer finds its work again though others wrote since."""


class ListingState(StrEnum):
    """Whether a ticket can be bought."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    SOLD = "sold"


@dataclass(frozen=True)
class Offer:
    """What a seller says of a ticket; the price is in minor units of the currency."""

    title: str
    price_minor: int
    currency: str


@dataclass(frozen=True)
class Listing:
    """A listing as it is stored, and its id."""

    id: str
    item: ListingItem

    def state_at(self, now: int) -> ListingState:
        """Return whether it can be bought at `now` (ms): a hold past its time is none."""
        if is_free(self.item, now):
            return ListingState.AVAILABLE
        return ListingState.SOLD if self.item.held_until is None else ListingState.RESERVED


def create(engine: Engine, tenant: str, seller: str, offer: Offer, keyed: KeyedRequest | None) -> Listing:
    """Put a ticket up for resale and return it; the same idempotency key returns it as it was then.

    Ids sort in the order in which the listings were made. Written in one transaction: the listing, its places among all
    of the tenant's and among the seller's own, the idempotency record. Raises IdempotencyKeyReused and Busy.
    """
    known = keyed.replay(engine.store) if keyed else None
    if known is not None:
        return Listing(known["id"], ListingItem(**known["item"]))
    now = engine.clock.now()
    made = _new(Keys(tenant), seller, offer, now)
    places = [Keys(tenant).listed(made.id), Keys(tenant).listed_by(seller, made.id)]
    own: list[Write] = [Put(ListedItem(*place, ticket_id=made.id)) for place in places]
    own.append(Put(made.item, ListingItem.pk.does_not_exist()))
    answer = {"id": made.id, "item": made.item.attribute_values}
    for attempt in engine.retries:
        try:
            engine.store.transact([keyed.record(answer, now), *own] if keyed else own)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed else None
            if known is not None:
                return Listing(known["id"], ListingItem(**known["item"]))
            if not refusal.contended and refusal.reasons[-1] is not None:
                # Its id is nobody else's: an earlier attempt made it, and the answer was lost (PROTOCOL.md 8).
                return made
            engine.retries.wait(attempt)
        else:
            return made
    raise Busy


def get(engine: Engine, tenant: str, ticket_id: str) -> Listing:
    """Return a listing; raises TicketNotFound."""
    item = engine.store.get(ListingItem, Keys(tenant).listing(ticket_id))
    if item is None:
        raise TicketNotFound
    return Listing(ticket_id, item)


def edit(engine: Engine, tenant: str, ticket_id: str, seller: str | None, offered: Callable[[str], Offer]) -> Listing:
    """Sell a ticket on the offer that `offered` makes, given the currency it is in, and return it.

    One conditional write of the listing. A hold past its time is taken off it, so that it can be confirmed no more
    (PROTOCOL.md 12). `seller`, where given, must be its own. Raises TicketNotFound, Forbidden, TicketLocked where an
    order locks it or it is sold, and Busy.
    """
    writer = token_hex(6)
    for attempt in engine.retries:
        listing = get(engine, tenant, ticket_id)
        if seller not in (None, listing.item.seller_id):
            raise Forbidden
        if _is_writer(writer, listing.item):
            return listing
        now = engine.clock.now()
        try:
            edited = engine.store.write(_editing(listing.item, offered(listing.item.currency), writer, now))
            return Listing(ticket_id, read(ListingItem, edited))
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            (reason,) = refusal.reasons
            seen = read(ListingItem, reason.item) if reason and reason.item else None
            if seen is not None and not _is_writer(writer, seen) and not is_free(seen, now):
                raise TicketLocked from refusal
            engine.retries.wait(attempt)
    raise Busy


def _new(keys: Keys, seller: str, offer: Offer, now: int) -> Listing:
    ticket_id = f"{now:011x}{token_hex(7)[:13]}"
    item = ListingItem(
        *keys.listing(ticket_id),
        seller_id=seller,
        title=offer.title,
        revision=1,
        price_minor=offer.price_minor,
        currency=offer.currency,
        on_sale=True,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return Listing(ticket_id, item)


def _editing(item: ListingItem, offer: Offer, writer: str, now: int) -> Update:
    """Return the write that changes a listing, if it is free at `now` (ms) and of the revision that was read."""
    writers = [writer, *(item.written_by or "").split()]
    return Update(
        item.key,
        [
            ListingItem.title.set(offer.title),
            ListingItem.price_minor.set(offer.price_minor),
            ListingItem.currency.set(offer.currency),
            ListingItem.holder.remove(),
            ListingItem.held_until.remove(),
            ListingItem.revision.add(1),
            ListingItem.version.add(1),
            ListingItem.updated_at.set(now),
            ListingItem.written_by.set(" ".join(writers[:_WRITERS])),
        ],
        (ListingItem.revision == item.revision) & free_at(now),
    )


def _is_writer(writer: str, item: ListingItem) -> bool:
    """Return whether `writer` made one of the listing's last edits, though its answer was lost (PROTOCOL.md 8)."""
    return writer in (item.written_by or "").split()
