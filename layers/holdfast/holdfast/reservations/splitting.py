"""Splitting a hold: a part becomes a reservation of its own, and no counter is touched (PROTOCOL.md 15)."""

from collections.abc import Sequence

from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.errors import InvariantBroken
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key, due_bucket
from holdfast.reservations.ending import RETENTION_SECONDS, unchanged
from holdfast.reservations.states import State


def part_of(parent: ReservationItem, quantity: int, child: Key) -> ReservationItem:
    """Return `quantity` units of the one product that `parent` holds, as a held reservation at `child`.

    The units held longest, and so at the oldest prices, are taken first. `quantity` is at most what the parent holds.
    Raises InvariantBroken where its lines and its allocation do not agree.
    """
    lines, _ = _cut(parent.lines, quantity)
    taken = _taken(parent.allocated(), quantity)
    if sum(taken.values()) != quantity:
        raise InvariantBroken(f"{parent.id} says it holds more than was drawn for it")
    return ReservationItem(
        *child,
        user_id=parent.user_id,
        status=State.HELD.value,
        v=1,
        lines=lines,
        allocation=taken,
        created_at=parent.created_at,
        expires_at=parent.expires_at,
        first_expires_at=parent.first_expires_at,
        due=parent.expires_at,
        due_bucket=due_bucket(child),
    )


def splitting(parent: ReservationItem, part: ReservationItem, now: int) -> list[Write]:
    """Return the writes, to be made together, that make `part` of a live hold a reservation of its own.

    The parent keeps the rest; one of which nothing is left takes the part's state and is over.
    """
    quantity = sum(line.quantity for line in part.lines)
    _, rest = _cut(parent.lines, quantity)
    taken = part.allocated()
    left = {name: units - taken.get(name, 0) for name, units in parent.allocated().items()}
    smaller = ReservationItem(
        *parent.key,
        user_id=parent.user_id,
        status=parent.status,
        v=parent.v + 1,
        life=parent.life,
        lines=rest,
        allocation={name: units for name, units in left.items() if units},
        created_at=parent.created_at,
        expires_at=parent.expires_at,
        first_expires_at=parent.first_expires_at,
        extended_by=parent.extended_by,
        written_by=parent.written_by,
        due=parent.due,
        due_bucket=parent.due_bucket,
    )
    if not rest:
        smaller.status = State.CONFIRMED.value
        smaller.lines = [line.of(line.quantity) for line in parent.lines]
        smaller.due = smaller.due_bucket = None
        smaller.ttl = now // 1000 + RETENTION_SECONDS
    live = unchanged(parent) & (ReservationItem.expires_at > now)
    return [Put(smaller, live), Put(part, ReservationItem.pk.does_not_exist())]


def _cut(lines: Sequence[LineMap], quantity: int) -> tuple[list[LineMap], list[LineMap]]:
    """Return the first `quantity` units of the lines, and the rest."""
    taken: list[LineMap] = []
    rest: list[LineMap] = []
    for line in lines:
        here = min(quantity, line.quantity)
        quantity -= here
        if here:
            taken.append(line.of(here))
        if line.quantity > here:
            rest.append(line.of(line.quantity - here))
    return taken, rest


def _taken(allocation: dict[str, int], quantity: int) -> dict[str, int]:
    taken: dict[str, int] = {}
    for name, units in allocation.items():
        here = min(quantity, units)
        quantity -= here
        if here:
            taken[name] = here
    return taken
