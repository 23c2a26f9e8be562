"""Ticket types of an event: put on sale, read, listed."""

from dataclasses import dataclass

from holdfast.catalogue.events import events
from holdfast.catalogue.events.facts import pool_of
from holdfast.claims.shards import new_shards, shards_for
from holdfast.platform.dynamodb import Put, Write, read
from holdfast.platform.errors import TicketTypeNotFound
from holdfast.platform.items import TicketTypeItem
from holdfast.platform.tables import Keys, id_of
from holdfast.reservations.creation import make, replayed
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.numbering import next_number


@dataclass(frozen=True)
class NewTicketType:
    """A kind of ticket to be put on sale; `quantity` is None where its seats are numbered.

    `expected_peak` is in reserves a second, None where nobody said.
    """

    name: str
    price_minor: int
    currency: str
    quantity: int | None
    max_per_user: int | None
    expected_peak: int | None = None


def create(
    engine: Engine, tenant: str, event_id: str, ticket_type: NewTicketType, keyed: KeyedRequest | None
) -> TicketTypeItem:
    """Put a kind of ticket to an event on sale and return it; the same idempotency key returns it as it was then.

    Ids are the event's own numbers from 1. Written in one transaction: the ticket type, the shards of its pool where it
    is counted, the idempotency record. One with numbered seats has none until its seat map is uploaded. Raises
    EventNotFound, IdempotencyKeyReused and Busy.
    """
    known = replayed(engine, TicketTypeItem, keyed)
    if known is not None:
        return known
    keys = Keys(tenant)
    event = events.get(engine, tenant, event_id)
    ticket_type_id = str(next_number(engine, keys.counter(f"ticket_types.{id_of(event.key)}")))
    counted = ticket_type.quantity is not None
    quantity = ticket_type.quantity or 0
    item = TicketTypeItem(
        *keys.ticket_type(event_id, ticket_type_id),
        name=ticket_type.name,
        numbered=not counted,
        quantity=quantity,
        shards=shards_for(quantity, ticket_type.expected_peak) if counted else 1,
        revision=1,
        price_minor=ticket_type.price_minor,
        currency=ticket_type.currency,
        on_sale=True,
        max_per_user=ticket_type.max_per_user,
        version=1,
        created_at=engine.clock.now(),
    )
    shards: list[Write] = []
    if counted:
        shards = [Put(shard) for shard in new_shards(keys, pool_of(item, event_id), quantity)]
    return make(engine, item, shards, keyed)


def get(engine: Engine, tenant: str, event_id: str, ticket_type_id: str) -> TicketTypeItem:
    """Return a ticket type of an event; raises TicketTypeNotFound."""
    item = engine.store.get(TicketTypeItem, Keys(tenant).ticket_type(event_id, ticket_type_id))
    if item is None:
        raise TicketTypeNotFound
    return item


def list_of(engine: Engine, tenant: str, event_id: str) -> list[TicketTypeItem]:
    """Return all ticket types of an event in the order of their ids, each read consistently."""
    found: list[TicketTypeItem] = []
    after = None
    while True:
        page = engine.store.query(Keys(tenant).ticket_types(event_id), after=after)
        found += [read(TicketTypeItem, raw) for raw in page.items]
        after = page.after
        if after is None:
            return found
