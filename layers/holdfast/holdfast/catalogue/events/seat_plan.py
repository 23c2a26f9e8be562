"""Where the seats of a map are kept: whole rows, in their natural order, in blocks that one query reads.

A plan knows every seat by its label, whether it is written yet or not: whoever takes an upload up again, or adds to a
row that another is still writing, finds the same seats planned.
"""

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
    """The seats of each block, by row."""

    blocks: Sequence[Mapping[str, frozenset[str]]]

    @property
    def rows(self) -> dict[str, int]:
        """Return which block each row is in."""
        return {row: number for number, block in enumerate(self.blocks) for row in block}

    @property
    def sizes(self) -> list[int]:
        """Return how many seats each block has."""
        return [sum(map(len, block.values())) for block in self.blocks]


def extended(plan: Plan, wanted: SeatMap) -> Plan:
    """Return the plan with the wanted seats in it; an equal one where it has them already.

    Raises SeatMapFull where a block or the ticket type would have more than it can.
    """
    rows, blocks = plan.rows, [dict(block) for block in plan.blocks]
    for row in wanted:
        if row in rows:
            block = blocks[rows[row]]
            block[row] = block[row].union(wanted[row])
    filled = sum(map(len, blocks[-1].values())) if blocks else 0
    for row in sorted(wanted, key=order_of):
        if row not in rows:
            size = len(wanted[row])
            if not blocks or filled + size > max(_FILLED_TO, size):
                blocks.append({})
                filled = 0
            blocks[-1][row] = frozenset(wanted[row])
            filled += size
    further = Plan(blocks)
    if max(further.sizes, default=0) > MOST_SEATS:
        raise SeatMapFull(f"A row, and the rows kept together with it, have at most {MOST_SEATS} seats.")
    if len(further.rows) > MOST_ROWS:
        raise SeatMapFull(f"A ticket type has at most {MOST_ROWS} rows.")
    return further
