"""The best seats that are free right now: blocks are read the best first, and as few of them as will do.

What a block had is remembered for under a second, so that a crowd behind the last seats does not read them all over
again. Seats are taken by condition: who loses them to another chooses anew, and in the end, rather than meet everybody
else at the next best ones, at random among some of the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from holdfast.catalogue.events.best_seats import Place, Row, apart, longest_run, rows_of, together
from holdfast.catalogue.events.blocks import Seat, SeatState, read_block, read_blocks
from holdfast.catalogue.events.facts import TicketType
from holdfast.catalogue.events.labels import Order, order_of
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Opening

_MOST_BLOCKS = 2_000
_MOST_CHOICES = 64


class Glance(NamedTuple):
    """How many seats of a block were free, and how many side by side, by a read that started at `started` (ms)."""

    free: int
    longest: int
    started: int


@dataclass
class BlockMemory:
    """What the last moments' reads saw of blocks, by partition."""

    _seen: dict[str, Glance] = field(default_factory=dict)

    def remember(self, partition: str, rows: Sequence[Row], started: int) -> None:
        """Remember what a read of a block, started at `started` (ms), saw of all its rows."""
        if len(self._seen) >= _MOST_BLOCKS:
            self._seen.clear()
        self._seen[partition] = Glance(sum(sum(row.free) for row in rows), longest_run(rows), started)

    def glance(self, partition: str, now: int) -> Glance | None:
        """Return what was seen of a block within the last moments."""
        seen = self._seen.get(partition)
        return seen if seen is not None and 0 <= now - seen.started < REMEMBERED_FOR else None


class Search:
    """One line's search for seats, through all attempts to take them."""

    def __init__(self, opening: Opening, ticket_type: TicketType, quantity: int, memory: BlockMemory) -> None:
        """Take how many seats of which ticket type are wanted."""
        self.ticket_type = ticket_type
        self._engine = opening.engine
        self._keys = opening.keys
        self._quantity = quantity
        self._memory = memory
        self._searched = 0

    def key(self, place: Place) -> Key:
        """Return the key of a seat."""
        block = self.ticket_type.rows[place.row]
        return self._keys.seat(self.ticket_type.event_id, self.ticket_type.id, block, place.row, place.seat)

    def find(self, without: frozenset[Key]) -> list[Place] | None:
        """Return the best free seats, none of those `without`; None where all blocks together have too few.

        Each block is read consistently, or was within the last moments.
        """
        now = self._engine.clock.now()
        self._searched += 1
        found: dict[str, list[Row]] = {}
        choices: list[list[Place]] = []
        for best_row, partition in self._partitions():
            if choices and order_of(choices[0][0].row) < best_row:
                break
            glance = self._memory.glance(partition, now)
            if glance is None or glance.longest >= self._quantity:
                seats = read_block(self._engine.store, partition, now)
                found[partition] = self._learn(partition, seats, now, without)
                choices += islice(together(found[partition], self._quantity), _MOST_CHOICES)
                choices.sort(key=lambda choice: order_of(choice[0].row))
        if choices:
            return choices[self._engine.choose(min(len(choices), self._alternatives()))]
        return self._apart(found, without, now)

    def _apart(self, found: dict[str, list[Row]], without: frozenset[Key], now: int) -> list[Place] | None:
        """Return seats that are not all side by side, of the blocks read so far and those that were not."""
        unread = [partition for _, partition in self._partitions() if partition not in found]
        glances = [self._memory.glance(partition, now) for partition in unread]
        free = sum(sum(row.free) for rows in found.values() for row in rows)
        if None not in glances and free + sum(glance.free for glance in glances if glance) < self._quantity:
            return None
        useful = [partition for partition, glance in zip(unread, glances, strict=True) if glance is None or glance.free]
        for partition, seats in zip(useful, read_blocks(self._engine.store, useful, now), strict=True):
            found[partition] = self._learn(partition, seats, now, without)
        rows = sorted((row for rows in found.values() for row in rows), key=lambda row: order_of(row.label))
        return apart(rows, self._quantity)

    def _learn(self, partition: str, seats: Sequence[Seat], started: int, without: frozenset[Key]) -> list[Row]:
        """Remember a block, and return those of its rows whose block is known, without some seats."""
        rows = _rows(seats)
        self._memory.remember(partition, rows, started)
        return [self._spared(row, without) for row in rows if row.label in self.ticket_type.rows]

    def _spared(self, row: Row, without: frozenset[Key]) -> Row:
        if not without:
            return row
        keys = [self.key(Place(row.label, seat)) for seat in row.seats]
        return row._replace(free=[free and key not in without for free, key in zip(row.free, keys, strict=True)])

    def _alternatives(self) -> int:
        """Return among how many of the best to choose: the best itself at first, more with every loss."""
        return int(4 ** max(0, self._searched - 2))

    def _partitions(self) -> list[tuple[Order, str]]:
        event_id, ticket_type_id = self.ticket_type.event_id, self.ticket_type.id
        return [(best, self._keys.seats(event_id, ticket_type_id, block)) for best, block in self.ticket_type.blocks]


def _rows(seats: Sequence[Seat]) -> list[Row]:
    free: dict[str, dict[str, bool]] = {}
    for seat in seats:
        free.setdefault(seat.row, {})[seat.label] = seat.state is SeatState.AVAILABLE
    return rows_of(free)
