"""Splitting holds: parts of them become a reservation of its own, and no counter is touched (PROTOCOL.md 15)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pynamodb.expressions.condition import Condition

from holdfast.claims import pool, unit
from holdfast.claims.changes import Change, netted
from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.errors import InvariantBroken
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key, Keys, pool_allocated, tenant_of
from holdfast.reservations.ending import RETENTION_SECONDS, unchanged
from holdfast.reservations.states import State


@dataclass(frozen=True)
class Part:
    """What is split off a hold of pools and units: of each of its lines, in their order, at most all that it has."""

    parent: ReservationItem
    quantities: Sequence[int]

    @property
    def lines(self) -> list[LineMap]:
        """Return the lines of the part."""
        return [line.of(here) for line, here in zip(self.parent.lines, self.quantities, strict=True) if here]

    @property
    def rest(self) -> list[LineMap]:
        """Return the lines that are left to the parent."""
        left = [line.quantity - here for line, here in zip(self.parent.lines, self.quantities, strict=True)]
        return [line.of(here) for line, here in zip(self.parent.lines, left, strict=True) if here]

    def allocation(self) -> dict[str, int]:
        """Return the units of the part by the shards that they were drawn from.

        Raises InvariantBroken where fewer were drawn from a pool than the parent's lines say.
        """
        wanted: Counter[str] = Counter()
        for line in self.lines:
            if line.pool is not None:
                wanted[line.pool] += line.quantity
        taken = {}
        for name, units in self.parent.allocated().items():
            here = min(wanted[pool_allocated(name)], units)
            if here:
                taken[name] = here
                wanted[pool_allocated(name)] -= here
        if +wanted:
            raise InvariantBroken(f"{self.parent.id} says it holds more than was drawn for it")
        return taken

    def units(self) -> list[str]:
        """Return the names of the part's units, which a reservation keeps in the order of their lines."""
        taken = [here for line, here in zip(self.parent.lines, self.quantities, strict=True) if line.pool is None]
        return [name for name, here in zip(self.parent.units or (), taken, strict=True) if here]


def oldest(parent: ReservationItem, quantity: int) -> Part:
    """Return the part of `quantity` units, at most what the parent has, held longest and so at the oldest prices."""
    quantities = []
    for line in parent.lines:
        here = min(quantity, line.quantity)
        quantity -= here
        quantities.append(here)
    return Part(parent, quantities)


def in_time(record: ReservationItem, now: int) -> Condition:
    """Return the condition that nobody wrote a hold since it was read, and that `now` (ms) is within its time."""
    condition: Condition = unchanged(record) & (ReservationItem.expires_at > now)
    return condition


def bought(parts: Sequence[Part], child: Key) -> ReservationItem:
    """Return parts of one user's holds as the one confirmed reservation at `child`."""
    parents = [part.parent for part in parts]
    allocation: Counter[str] = Counter()
    for part in parts:
        allocation.update(part.allocation())
    return ReservationItem(
        *child,
        user_id=parents[0].user_id,
        status=State.CONFIRMED.value,
        v=1,
        lines=[line for part in parts for line in part.lines],
        allocation=dict(allocation),
        units=[name for part in parts for name in part.units()] or None,
        source=parents[0].source,
        created_at=min(parent.created_at for parent in parents),
        expires_at=min(parent.expires_at for parent in parents),
        first_expires_at=min(parent.first_expires_at for parent in parents),
    )


def splitting(parts: Sequence[Part], child: ReservationItem, now: int) -> list[Write]:
    """Return the writes that make parts of live holds the reservation `child`; its claims are changed beside them."""
    smaller = [Put(_left(part, now), in_time(part.parent, now)) for part in parts]
    return [*smaller, Put(child, ReservationItem.pk.does_not_exist())]


def selling(parts: Sequence[Part], child: ReservationItem) -> list[Write]:
    """Return the writes that sell to `child` what `parts` claim, to be made beside those that split them off."""
    keys = Keys(tenant_of(child.key))
    changes: list[Change] = [
        *pool.confirmed(keys, child.allocated()),
        *(unit.confirm(keys.claimed(name), part.parent.id, child.id) for part in parts for name in part.units()),
    ]
    return [change.write() for change in netted(changes)]


def _left(part: Part, now: int) -> ReservationItem:
    """Return the parent without the part; one of which nothing is left is over, and says what it held.

    A deal hold is then confirmed, until the user's next one takes its place. A reservation is cancelled: what it held
    is bought, but by another reservation, and must not count twice.
    """
    parent, taken, units = part.parent, part.allocation(), set(part.units())
    allocation = {name: here - taken.get(name, 0) for name, here in parent.allocated().items()}
    left = ReservationItem(**parent.attribute_values)
    left.v = parent.v + 1
    left.lines = part.rest or [line.of(line.quantity) for line in parent.lines]
    left.allocation = {name: here for name, here in allocation.items() if here}
    left.units = [name for name in parent.units or () if name not in units] or None
    if not part.rest:
        left.status = (State.CANCELLED if parent.life is None else State.CONFIRMED).value
        left.due = left.due_bucket = None
        left.ttl = now // 1000 + RETENTION_SECONDS
    return left
