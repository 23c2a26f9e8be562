"""Changes of items, merged item by item, since a transaction may not name an item twice (PROTOCOL.md 2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from holdfast.platform.dynamodb import Update, Write
from holdfast.platform.tables import Key


class Change(Protocol):
    """What one claim wants of one item."""

    @property
    def key(self) -> Key:
        """Return the key of the item."""
        ...

    @property
    def is_nothing(self) -> bool:
        """Return whether there is nothing to write, nor a condition to look at."""
        ...

    def merged(self, other: Any) -> "Change":
        """Return the one change that does both; both are of the same item, and so of the same kind."""
        ...

    def write(self) -> Write:
        """Return the change as one conditional write."""
        ...


@dataclass(frozen=True)
class CounterChange:
    """What one claim wants of an item of counters.

    `add` is added to its counters. A counter in `floored` may not fall below zero, one in `ceilings` may not end above
    its ceiling, whichever way it goes. `equal` must be what the item says, whatever is added. What is in `bases` may
    not be below its base where it is there; a counter that is not there is counted from its base. `put` is what
    attributes are set to, before anything is added to them; `removed` are taken away, unless they are put.
    """

    key: Key
    add: Mapping[str, int]
    floored: frozenset[str] = frozenset()
    ceilings: Mapping[str, int] = field(default_factory=dict)
    equal: Mapping[str, int] = field(default_factory=dict)
    bases: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, int] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    @property
    def is_nothing(self) -> bool:
        """Return whether nothing is added, put or removed, and there is no ceiling to look at."""
        return not (any(self.add.values()) or self.ceilings or self.put or self.removed)

    def merged(self, other: "CounterChange") -> "CounterChange":
        """Return the one change that does both; both are of the same item."""
        add = dict(self.add)
        for counter, amount in other.add.items():
            add[counter] = add.get(counter, 0) + amount
        return CounterChange(
            key=self.key,
            add=add,
            floored=self.floored | other.floored,
            ceilings={**self.ceilings, **other.ceilings},
            equal={**self.equal, **other.equal},
            bases={**self.bases, **other.bases},
            put={**self.put, **other.put},
            removed=self.removed | other.removed,
        )

    def write(self) -> Update:
        """Return the change as one conditional update."""
        return Update(self.key, self._actions(), self._condition())

    def _actions(self) -> list[Action]:
        actions: list[Action] = []
        for name, amount in self.add.items():
            if name in self.put:
                actions.append(Path([name]).set(self.put[name] + amount))
            elif name in self.bases:
                actions.append(Path([name]).set((Path([name]) | self.bases[name]) + amount))
            elif amount or name in self.ceilings:
                actions.append(Path([name]).add(amount))
        actions += [Path([name]).set(value) for name, value in self.put.items() if name not in self.add]
        return actions + [Path([name]).remove() for name in sorted(self.removed) if name not in self.put]

    def _condition(self) -> Condition | None:
        condition: Condition | None = None
        for attribute, value in self.equal.items():
            condition &= Path([attribute]) == value
        for counter, amount in self.add.items():
            if amount < 0 and counter in self.floored:
                condition &= Path([counter]) >= -amount
            if counter in self.ceilings:
                room = Path([counter]) <= self.ceilings[counter] - amount
                condition &= Path([counter]).does_not_exist() | room
        for attribute, base in self.bases.items():
            condition &= Path([attribute]).does_not_exist() | (Path([attribute]) >= base)
        return condition


def netted(changes: Iterable[Change]) -> list[Change]:
    """Return one change an item, in the order in which the items first came; those that want nothing fall away."""
    merged: dict[Key, Change] = {}
    for change in changes:
        known = merged.get(change.key)
        merged[change.key] = change if known is None else known.merged(change)
    return [change for change in merged.values() if not change.is_nothing]
