"""Where the seats of a map are kept: whole rows, in their natural order, in blocks that one query reads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from holdfast.catalogue.events.blocks import MOST_SEATS
from holdfast.catalogue.events.labels import order_of
from holdfast.platform.errors import SeatMapFull

MOST_ROWS = 5_000
"""Rows of one ticket type: its item says of each which block it is in, in 100 KB at most."""

_FILLED_TO = 1_900
"""Seats up to which a block is given further rows, so that its own rows may still get a seat or two."""

SeatMap = Mapping[str, Collection[str]]
"""Labels of seats by the labels of their rows."""


@dataclass(frozen=True)
class Plan:
    """Which block each row is in, and how many seats each block was given."""

    rows: Mapping[str, int]
    blocks: Sequence[int]

    @property
    def seats(self) -> int:
        """Return how many seats there are in all."""
        return sum(self.blocks)


def extended(plan: Plan, wanted: SeatMap, present: Mapping[int, SeatMap]) -> Plan:
    """Return the plan with the wanted seats in it; the same one where it has them already.

    `present` are the seats, by block, that exist in each block that has one of the wanted rows. Raises SeatMapFull
    where a row, its block or the ticket type would have more than it can.
    """
    rows, blocks = dict(plan.rows), list(plan.blocks)
    for block in sorted({rows[row] for row in wanted if row in rows}):
        blocks[block] = max(blocks[block], _grown(block, plan, wanted, present[block]))
    for row in sorted(wanted, key=order_of):
        if row not in rows:
            size = len(wanted[row])
            if not blocks or blocks[-1] + size > max(_FILLED_TO, size):
                blocks.append(0)
            rows[row] = len(blocks) - 1
            blocks[-1] += size
    if len(rows) > MOST_ROWS:
        raise SeatMapFull(f"A ticket type has at most {MOST_ROWS} rows.")
    return Plan(rows, blocks)


def _grown(block: int, plan: Plan, wanted: SeatMap, present: SeatMap) -> int:
    """Return how many seats a block has once it has those that are wanted in its rows."""
    total = sum(map(len, present.values()))
    for row in wanted:
        if plan.rows.get(row) == block:
            total += len(set(wanted[row]).difference(present.get(row, ())))
    if total > MOST_SEATS:
        raise SeatMapFull(f"A row, and the rows kept together with it, have at most {MOST_SEATS} seats.")
    return total
