"""Events: created, read, listed."""

from dataclasses import dataclass

from holdfast.platform.dynamodb import read
from holdfast.platform.errors import EventNotFound
from holdfast.platform.items import EventItem
from holdfast.platform.tables import Keys, id_of
from holdfast.reservations.creation import make, replayed
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.numbering import next_number


@dataclass(frozen=True)
class NewEvent:
    """An event to be announced; `date` is a date or a time, RFC 3339, as its organiser wrote it."""

    name: str
    date: str
    venue: str
    description: str | None


def create(engine: Engine, tenant: str, event: NewEvent, keyed: KeyedRequest | None) -> EventItem:
    """Announce an event and return it; the same idempotency key returns it as it was then.

    Ids are the tenant's own numbers from 1. Written in one transaction: the event and the idempotency record. Raises
    IdempotencyKeyReused and Busy.
    """
    known = replayed(engine, EventItem, keyed)
    if known is not None:
        return known
    keys = Keys(tenant)
    item = EventItem(
        *keys.event(str(next_number(engine, keys.counter("events")))),
        name=event.name,
        date=event.date,
        venue=event.venue,
        description=event.description,
        created_at=engine.clock.now(),
    )
    return make(engine, item, [], keyed)


def get(engine: Engine, tenant: str, event_id: str) -> EventItem:
    """Return an event; raises EventNotFound."""
    event = engine.store.get(EventItem, Keys(tenant).event(event_id))
    if event is None:
        raise EventNotFound
    return event


def list_all(engine: Engine, tenant: str, limit: int, after: str | None) -> tuple[list[EventItem], str | None]:
    """Return up to `limit` events in the order of their ids, after event `after`, and the id to go on after."""
    keys = Keys(tenant)
    page = engine.store.query(keys.events(), limit=limit, after=keys.event(after) if after else None)
    return [read(EventItem, raw) for raw in page.items], id_of(page.after) if page.after else None
