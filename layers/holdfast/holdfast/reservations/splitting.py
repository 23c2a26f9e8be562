"""Splitting holds: parts of them become a reservation of its own, and no counter is touched (PROTOCOL.md 15)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pynamodb.expressions.condition import Condition

from holdfast.claims import unit
from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.errors import InvariantBroken
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key, Keys, due_bucket, pool_allocated, tenant_of
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


def child_of(parts: Sequence[Part], child: Key, source: str | None) -> ReservationItem:
    """Return parts of one user's holds as the one held reservation at `child`, which ends with the first of them.

    `source` is the route that it came by. What was used up of a hold's time is used up of its child's: the extension,
    and the time to pay; one that is watched has a watched child.
    """
    parents = [part.parent for part in parts]
    allocation: Counter[str] = Counter()
    for part in parts:
        allocation.update(part.allocation())
    expires_at = min(parent.expires_at for parent in parents)
    return ReservationItem(
        *child,
        user_id=parents[0].user_id,
        status=State.HELD.value,
        v=1,
        lines=[line for part in parts for line in part.lines],
        allocation=dict(allocation),
        units=[name for part in parts for name in part.units()] or None,
        source=source,
        created_at=min(parent.created_at for parent in parents),
        expires_at=expires_at,
        first_expires_at=min(parent.first_expires_at for parent in parents),
        extended_by=next((parent.extended_by for parent in parents if parent.extended_by), None),
        watched=max((parent.watched for parent in parents if parent.watched is not None), default=None),
        checkout_until=min((parent.checkout_until for parent in parents if parent.checkout_until), default=None),
        due=expires_at,
        due_bucket=due_bucket(child),
    )


def splitting(parts: Sequence[Part], child: ReservationItem, now: int) -> list[Write]:
    """Return the writes that make parts of live holds the reservation `child`; its units are handed over beside."""
    smaller = [Put(_left(part, now), in_time(part.parent, now)) for part in parts]
    return [*smaller, Put(child, ReservationItem.pk.does_not_exist())]


def handing_over(parts: Sequence[Part], child: ReservationItem) -> list[Write]:
    """Return the writes that hand the units of `parts` over to `child`, to be made beside those that split them off."""
    keys = Keys(tenant_of(child.key))
    return [
        unit.hand_over(keys.claimed(name), part.parent.id, child.id, child.expires_at).write()
        for part in parts
        for name in part.units()
    ]


def _left(part: Part, now: int) -> ReservationItem:
    """Return the parent without the part; one of which nothing is left is over, and says what it held.

    A deal hold is then confirmed, until the user's next one takes its place. A reservation is cancelled: what it held
    is another's now, and must not count twice.
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
