"""The best seats that are free right now: blocks are read the best first, and as few of them as will do.

Which blocks had too few side by side is remembered for under a second, and a proved shortage likewise, so that a crowd
behind the last seats does not read them all over again. Seats are taken by condition: who loses them to another chooses
anew, and in the end, rather than meet everybody else at the next best ones, at random among some of the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from holdfast.catalogue.events.best_seats import Place, Row, apart, longest_run, rows_of, together
from holdfast.catalogue.events.blocks import Seat, SeatState, read_block, read_blocks
from holdfast.catalogue.events.facts import TicketType
from holdfast.catalogue.events.labels import Order, order_of
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.platform.tables import Key
from holdfast.reservations.draws import Short, Unsettled
from holdfast.reservations.engine import Opening

_MOST_BLOCKS = 2_000
_MOST_CHOICES = 64


@dataclass
class BlockMemory:
    """By partition: how many free seats of a block were side by side, by a read that started at some time (ms)."""

    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def remember(self, partition: str, longest: int, read_started: int) -> None:
        """Remember what a read of a block, started at `read_started`, saw."""
        if len(self._seen) >= _MOST_BLOCKS:
            self._seen.clear()
        self._seen[partition] = (longest, read_started)

    def lacks(self, partition: str, quantity: int, now: int) -> bool:
        """Return whether the block is known to have had fewer than `quantity` side by side in the last moments."""
        longest, read_started = self._seen.get(partition, (quantity, now))
        return longest < quantity and 0 <= now - read_started < REMEMBERED_FOR


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

    def find(self, without: frozenset[Key]) -> list[Place] | Short | Unsettled:
        """Return the best free seats, none of those `without`, or the proof that there are too few.

        Memory only leaves blocks out of the choice of seats side by side, never out of the proof.
        """
        now = self._engine.clock.now()
        self._searched += 1
        choices: list[list[Place]] = []
        for best_row, partition in self._partitions():
            if choices and order_of(choices[0][0].row) < best_row:
                break
            if not self._memory.lacks(partition, self._quantity, now):
                seats = read_block(self._engine.store, partition, now)
                self._memory.remember(partition, longest_run(_rows(seats)), now)
                choices += islice(together(self._offered(seats, without), self._quantity), _MOST_CHOICES)
                choices.sort(key=lambda choice: order_of(choice[0].row))
        if choices:
            return choices[self._engine.choose(min(len(choices), self._alternatives()))]
        return self._apart(without)

    def _apart(self, without: frozenset[Key]) -> list[Place] | Short | Unsettled:
        """Return seats of all blocks, not all side by side, or the proof that there are too few.

        The proof is two reads of all blocks: what neither saw free, and both saw with the same holder, was that one's
        at the moment between them, since no reservation takes a seat again that it let go. That others pay for what
        they hold, or hold it longer, makes no difference. One read alone would miss a seat that was let go in a block
        it had read while another was taken in a block it had yet to read (PROTOCOL.md 5).
        """
        read_started = self._engine.clock.now()
        first = self._read_all()
        chosen = apart(self._offered(first, without), self._quantity)
        if chosen is not None:
            return chosen
        second = self._read_all()
        chosen = apart(self._offered(second, without), self._quantity)
        if chosen is not None:
            return chosen
        possible = _possibly_free(first, second)
        left = sum(place.row not in self.ticket_type.rows or self.key(place) not in without for place in possible)
        return Unsettled() if left >= self._quantity else Short(len(possible), read_started)

    def _read_all(self) -> list[Seat]:
        partitions = [partition for _, partition in self._partitions()]
        blocks = read_blocks(self._engine.store, partitions, self._engine.clock.now())
        return [seat for block in blocks for seat in block]

    def _offered(self, seats: Sequence[Seat], without: frozenset[Key]) -> list[Row]:
        """Return the rows whose blocks are known, the best first, as if the seats `without` were taken."""
        rows = [row for row in _rows(seats) if row.label in self.ticket_type.rows]
        return [self._spared(row, without) for row in rows] if without else rows

    def _spared(self, row: Row, without: frozenset[Key]) -> Row:
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


def _possibly_free(first: Sequence[Seat], second: Sequence[Seat]) -> list[Place]:
    """Return the seats that may have been free at the moment between two reads."""
    taken = {(seat.row, seat.label, seat.holder) for seat in first if seat.state is not SeatState.AVAILABLE}
    return [
        Place(seat.row, seat.label)
        for seat in second
        if seat.state is SeatState.AVAILABLE or (seat.row, seat.label, seat.holder) not in taken
    ]
