"""The unit claim: one thing that exists once, a seat or a resale ticket.

A unit is free without a holder, held while it has a time until which, and sold once that time is taken away. A hold
past its time is taken over by the next taker's own condition, without waiting for any clean-up: the loser's confirm
then finds another holder (PROTOCOL.md 11, 12).
"""

from dataclasses import dataclass

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from holdfast.platform.dynamodb import Update
from holdfast.platform.items import UnitItem
from holdfast.platform.tables import Key


@dataclass(frozen=True)
class UnitChange:
    """What one claim wants of one unit; a unit is never claimed twice in one transaction."""

    key: Key
    actions: tuple[Action, ...]
    condition: Condition

    is_nothing = False

    def merged(self, other: "UnitChange") -> "UnitChange":
        """Raise ValueError: two claims on one unit cannot both be met."""
        raise ValueError(f"{other.key} is claimed twice")

    def write(self) -> Update:
        """Return the change as one conditional update; each raises the unit's version."""
        return Update(self.key, [*self.actions, UnitItem.version.add(1)], self.condition)


def is_free(unit: UnitItem, now: int) -> bool:
    """Return whether nobody has the unit at `now` (ms): a hold past its time is none."""
    return is_free_of(unit.holder, unit.held_until, now)


def is_free_of(holder: str | None, held_until: int | None, now: int) -> bool:
    """Return the same of a unit of which only these are known."""
    return holder is None or (held_until is not None and held_until <= now)


def free_at(now: int) -> Condition:
    """Return the condition that nobody has the unit at `now` (ms)."""
    condition: Condition = UnitItem.holder.does_not_exist() | (UnitItem.held_until <= now)
    return condition


def acquire(key: Key, holder: str, now: int, until: int, revision: int) -> UnitChange:
    """Return the change that holds a unit until `until` (ms), if it is free at `now` on the terms of `revision`."""
    return UnitChange(
        key,
        (UnitItem.holder.set(holder), UnitItem.held_until.set(until)),
        (UnitItem.revision == revision) & free_at(now),
    )


def confirm(key: Key, holder: str) -> UnitChange:
    """Return the change that sells a unit to `holder`, who holds it.

    The clock makes no difference: whoever took the unit over since is its holder now, and so is nobody once its price
    was changed (PROTOCOL.md 12).
    """
    return UnitChange(key, (UnitItem.held_until.remove(),), _held_by(holder))


def hand_over(key: Key, holder: str, other: str, until: int) -> UnitChange:
    """Return the change by which a unit that `holder` holds is held by `other` instead, until `until` (ms)."""
    return UnitChange(key, (UnitItem.holder.set(other), UnitItem.held_until.set(until)), _held_by(holder))


def buy(key: Key, buyer: str, now: int) -> UnitChange:
    """Return the change that sells a unit to `buyer`, if nobody else has it at `now` (ms), whatever its terms are."""
    free = UnitItem.pk.exists() & (free_at(now) | (UnitItem.holder == buyer))
    return UnitChange(key, (UnitItem.holder.set(buyer), UnitItem.held_until.remove()), free)


def release(key: Key, holder: str) -> UnitChange:
    """Return the change that frees a unit that `holder` holds or bought."""
    return UnitChange(key, (UnitItem.holder.remove(), UnitItem.held_until.remove()), UnitItem.holder == holder)


def retime(key: Key, holder: str, until: int) -> UnitChange:
    """Return the change by which `holder` goes on holding a unit, until `until` (ms)."""
    return UnitChange(key, (UnitItem.held_until.set(until),), _held_by(holder))


def _held_by(holder: str) -> Condition:
    condition: Condition = (UnitItem.holder == holder) & UnitItem.held_until.exists()
    return condition
