"""The pool claim: a quantity of identical things, counted on one or more shards.

On every shard `available + held + sold = total`, at all times: each change moves units from one counter to another and
is conditional on their being there. `released` counts the changes that let `available` rise, so that two reads can
prove that nothing came back between them (PROTOCOL.md 5).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.claims.changes import CounterChange
from holdfast.claims.terms import Terms
from holdfast.platform.tables import Key, Keys

_COUNTERS = frozenset({"available", "held", "sold", "total"})


@dataclass(frozen=True)
class Shard:
    """One shard as a consistent read saw it."""

    number: int
    available: int
    released: int
    terms: Terms


@dataclass(frozen=True)
class Pool:
    """A pool's name, how many shards it has, and the terms last seen."""

    name: str
    shards: int
    terms: Terms

    def keys(self, keys: Keys) -> list[Key]:
        """Return the keys of all its shards, in the order of their numbers."""
        return [keys.pool_shard(self.name, number) for number in range(self.shards)]


def spread(quantity: int, shards: Iterable[Shard]) -> tuple[Terms, dict[int, int]] | None:
    """Return from which shards to draw `quantity` (units by shard number, as few shards as possible), on which terms.

    All shards of a draw are on the same terms, since a line has one price: while a new price is being written, the
    newest terms that can serve the quantity are taken. None where no terms can.
    """
    by_terms: dict[Terms, list[Shard]] = {}
    for shard in shards:
        if shard.available > 0:
            by_terms.setdefault(shard.terms, []).append(shard)
    for terms in sorted(by_terms, key=lambda terms: terms.revision, reverse=True):
        draws = _fewest(quantity, by_terms[terms])
        if draws is not None:
            return terms, draws
    return None


def _fewest(quantity: int, shards: list[Shard]) -> dict[int, int] | None:
    draws: dict[int, int] = {}
    for shard in sorted(shards, key=lambda shard: shard.available, reverse=True):
        draws[shard.number] = min(quantity, shard.available)
        quantity -= draws[shard.number]
        if quantity == 0:
            return draws
    return None


def acquire(key: Key, quantity: int, revision: int) -> CounterChange:
    """Return the change that holds `quantity` of a shard, if it has them on the terms of `revision`."""
    return CounterChange(key, {"available": -quantity, "held": quantity}, _COUNTERS, equal={"revision": revision})


def confirm(key: Key, quantity: int) -> CounterChange:
    """Return the change that sells `quantity` held units of a shard."""
    return CounterChange(key, {"held": -quantity, "sold": quantity}, _COUNTERS)


def buy(key: Key, quantity: int) -> CounterChange:
    """Return the change that sells `quantity` free units of a shard, whatever its terms are by now."""
    return CounterChange(key, {"available": -quantity, "sold": quantity}, _COUNTERS)


def release(key: Key, quantity: int) -> CounterChange:
    """Return the change that gives `quantity` held units of a shard back."""
    return CounterChange(key, {"held": -quantity, "available": quantity, "released": 1}, _COUNTERS)


def take_back(key: Key, quantity: int) -> CounterChange:
    """Return the change that puts `quantity` sold units of a shard on sale again."""
    return CounterChange(key, {"sold": -quantity, "available": quantity, "released": 1}, _COUNTERS)


def restock(key: Key, quantity: int) -> CounterChange:
    """Return the change that adds `quantity` units to a shard, or takes free ones away where it is negative."""
    add = {"available": quantity, "total": quantity}
    return CounterChange(key, add | {"released": 1} if quantity > 0 else add, _COUNTERS)
