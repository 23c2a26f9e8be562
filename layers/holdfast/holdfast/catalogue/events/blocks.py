"""Blocks of seats as they are read: each in one partition, at most 2 000 seats, a page of one consistent query."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import NamedTuple, TypeVar

from holdfast.claims.unit import is_free_of
from holdfast.platform.dynamodb import RawItem, Store
from holdfast.platform.tables import key_of, seat_of

MOST_SEATS = 2_000
"""Seats of one block, and so of one row: half a megabyte, half of what a query returns at once."""

THREADS = 4
"""Blocks that are read or written at once: each is a partition of its own, with limits of its own."""

_SEEN = ("pk", "sk", "holder", "held_until")
"""The attributes by which a seat's state is told."""

_A = TypeVar("_A")
_B = TypeVar("_B")


class SeatState(StrEnum):
    """Whether a seat can be had."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    BOOKED = "booked"


class Seat(NamedTuple):
    """A seat as it was seen; `holder` is whoever has it, or had it last and let its hold lapse."""

    row: str
    label: str
    state: SeatState
    holder: str | None


def read_block(store: Store, partition: str, now: int) -> list[Seat]:
    """Return the seats of a block as they are at `now` (ms), each read consistently; a hold past its time is none."""
    found: list[Seat] = []
    after = None
    while True:
        page = store.query(partition, limit=MOST_SEATS, after=after, only=_SEEN)
        found += [_seen(raw, now) for raw in page.items]
        after = page.after
        if after is None:
            return found


def read_blocks(store: Store, partitions: Sequence[str], now: int) -> list[list[Seat]]:
    """Return the seats of several blocks, read at once."""
    return at_once(lambda partition: read_block(store, partition, now), partitions)


def at_once(work: Callable[[_A], _B], things: Iterable[_A]) -> list[_B]:
    """Return what `work` makes of each thing, a few at a time; where it raises, what was not begun is left out."""
    waiting = list(things)
    if len(waiting) < 2:
        return [work(thing) for thing in waiting]
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, waiting))


def _seen(raw: RawItem, now: int) -> Seat:
    """Return what a raw item says of a seat; models take longer to make than tens of thousands of seats allow."""
    holder = raw["holder"]["S"] if "holder" in raw else None
    held_until = int(raw["held_until"]["N"]) if "held_until" in raw else None
    if is_free_of(holder, held_until, now):
        state = SeatState.AVAILABLE
    else:
        state = SeatState.BOOKED if held_until is None else SeatState.RESERVED
    return Seat(*seat_of(key_of(raw)), state, holder)
