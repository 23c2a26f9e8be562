"""What a warm function knows of ticket types, for seconds: enough to reserve without asking (DESIGN.md, Hot path)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from holdfast.catalogue.events.labels import Order, order_of
from holdfast.claims.pool import Pool
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import RawItem, Store, read
from holdfast.platform.items import TicketTypeItem
from holdfast.platform.tables import Key, Keys, id_of, ticket_pool

KNOWN_FOR = 10_000
"""Milliseconds; how stale is of no matter to correctness, since the claimed items are guarded by their own terms."""

_MOST_TICKET_TYPES = 500


@dataclass(frozen=True)
class TicketType:
    """A ticket type as reserving needs it; `rows` says which block of seats each row is in."""

    event_id: str
    id: str
    numbered: bool
    pool: Pool
    rows: Mapping[str, int]

    @property
    def terms(self) -> Terms:
        """Return the terms last seen."""
        return self.pool.terms

    @cached_property
    def blocks(self) -> list[tuple[Order, int]]:
        """Return the blocks of seats, each after the best row in it, the best first."""
        best: dict[int, Order] = {}
        for row, block in self.rows.items():
            order = order_of(row)
            best[block] = min(best.get(block, order), order)
        return sorted((order, block) for block, order in best.items())


def pool_of(item: TicketTypeItem, event_id: str) -> Pool:
    """Return the pool of a counted ticket type and the terms it is sold on."""
    return Pool(ticket_pool(event_id, id_of(item.key)), item.shards, terms_of(item))


def rows_of(item: TicketTypeItem) -> dict[str, int]:
    """Return which block each row of a ticket type with numbered seats is in."""
    return {row: int(block) for row, block in (item.rows.attribute_values if item.rows else {}).items()}


class TicketTypeFacts:
    """Ticket types as they were within the last seconds, by the keys of their items."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[Key, tuple[TicketType, int]] = {}

    def remembered(
        self, tenant: str, event_id: str, ticket_type_id: str, now: int, within: int = KNOWN_FOR
    ) -> TicketType | None:
        """Return what memory has of a ticket type from less than `within` ms ago, or None."""
        known = self._known.get(Keys(tenant).ticket_type(event_id, ticket_type_id))
        return known[0] if known is not None and 0 <= now - known[1] < within else None

    def now(self, tenant: str, event_id: str, ticket_type_id: str) -> TicketType | None:
        """Return a ticket type as it is now, or None."""
        read_at = self._clock.now()
        raw = self._store.get_raw(Keys(tenant).ticket_type(event_id, ticket_type_id))
        return None if raw is None else self.learn(event_id, raw, read_at)

    def learn(self, event_id: str, raw: RawItem, read_at: int) -> TicketType:
        """Remember a ticket type as its item said it at `read_at` (ms), and return it."""
        if len(self._known) >= _MOST_TICKET_TYPES:
            self._known.clear()
        item = read(TicketTypeItem, raw)
        found = TicketType(event_id, id_of(item.key), item.numbered, pool_of(item, event_id), rows_of(item))
        self._known[item.key] = (found, read_at)
        return found
