"""What is still to be had of an event: its seats, a page of blocks at a time, and exact counts of each ticket type."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.catalogue.events.blocks import Seat, SeatState, at_once, read_blocks
from holdfast.catalogue.events.facts import pool_of
from holdfast.claims.unit import free_at
from holdfast.platform.items import TicketTypeItem
from holdfast.platform.tables import Keys, id_of
from holdfast.reservations.engine import Engine


class Block(NamedTuple):
    """A block of a ticket type's seats, and how many it was given."""

    ticket_type_id: str
    number: int
    seats: int

    @property
    def name(self) -> str:
        """Return what tells it from the event's other blocks."""
        return f"{self.ticket_type_id}.{self.number}"


@dataclass(frozen=True)
class Section:
    """A block, and its seats as they were seen."""

    block: Block
    seats: Sequence[Seat]


def blocks_of(ticket_types: Sequence[TicketTypeItem]) -> list[Block]:
    """Return the blocks of all ticket types with numbered seats, in a stable order."""
    return [
        Block(id_of(ticket_type.key), number, int(seats))
        for ticket_type in ticket_types
        for number, seats in enumerate(ticket_type.blocks or [])
    ]


def page_of(
    blocks: Sequence[Block], start: str | None, most_seats: int, most_blocks: int
) -> tuple[list[Block], str | None]:
    """Return the blocks of the page that starts at the block named `start`, and the next one's name.

    A page has at least one block, and no more than make `most_seats` seats and `most_blocks` blocks. Raises ValueError
    where no block has that name.
    """
    first = 0 if start is None else next((at for at, block in enumerate(blocks) if block.name == start), None)
    if first is None:
        raise ValueError(f"there is no block {start}")
    seats, last = 0, first
    for block in blocks[first : first + most_blocks]:
        seats += block.seats
        if seats > most_seats and last > first:
            break
        last += 1
    return list(blocks[first:last]), blocks[last].name if last < len(blocks) else None


def look(engine: Engine, tenant: str, event_id: str, blocks: Sequence[Block]) -> list[Section]:
    """Return blocks with their seats as they are now, each read consistently; together they are no snapshot."""
    keys = Keys(tenant)
    partitions = [keys.seats(event_id, block.ticket_type_id, block.number) for block in blocks]
    found = read_blocks(engine.store, partitions, engine.clock.now())
    return [Section(block, seats) for block, seats in zip(blocks, found, strict=True)]


def count(
    engine: Engine, tenant: str, event_id: str, ticket_types: Sequence[TicketTypeItem], seen: Sequence[Section]
) -> dict[str, int]:
    """Return how many tickets of each type can be had now, by its id; blocks that were `seen` are not read again."""
    keys = Keys(tenant)
    free: Counter[str] = Counter()
    for section in seen:
        free[section.block.ticket_type_id] += sum(seat.state is SeatState.AVAILABLE for seat in section.seats)
    known = {section.block for section in seen}
    unseen = [block for block in blocks_of(ticket_types) if block not in known]
    condition = free_at(engine.clock.now())

    def count_block(block: Block) -> int:
        partition = keys.seats(event_id, block.ticket_type_id, block.number)
        return engine.store.count_where(partition, condition)

    for block, here in zip(unseen, at_once(count_block, unseen), strict=True):
        free[block.ticket_type_id] += here
    shards = {
        key: id_of(ticket_type.key)
        for ticket_type in ticket_types
        if not ticket_type.numbered
        for key in pool_of(ticket_type, event_id).keys(keys)
    }
    for key, item in engine.store.batch_get(shards).items():
        free[shards[key]] += int(item["available"]["N"])
    return {id_of(ticket_type.key): free[id_of(ticket_type.key)] for ticket_type in ticket_types}
