"""A wish for a quantity of one pool, through all attempts to take it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from holdfast.claims.changes import CounterChange
from holdfast.claims.pool import Pool, acquire
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.errors import Fault
from holdfast.platform.items import LineMap, PoolShardItem, ReservationItem, SpanMap
from holdfast.platform.tables import Key, allocation_name
from holdfast.reservations.draws import Draw, Short, find
from holdfast.reservations.ending import lapsed
from holdfast.reservations.engine import Demand, Holding, LineRequest, Opening

Refresh = Callable[[], Pool | Fault]
"""Returns the pool and terms of the thing as they are now, or that it does not exist."""


class PoolDemand:
    """The terms believed in, and the units drawn by shard number.

    `replaced` is a lapsed deal hold that the same transaction gives back (PROTOCOL.md 4).
    """

    def __init__(self, opening: Opening, line: LineRequest, pool: Pool, refresh: Refresh) -> None:
        self.line = line
        self.unsettled = False
        self.replaced: ReservationItem | None = None
        self._engine = opening.engine
        self._keys = opening.keys
        self._pool = pool
        self._refresh = refresh
        self._draws: Mapping[int, int] = {}
        self.draw_anew()

    @classmethod
    def of(cls, opening: Opening, line: LineRequest, pool: Pool, refresh: Refresh) -> "PoolDemand | Fault":
        """Return the demand, or why it is impossible even after another look at the terms."""
        demand = cls(opening, line, pool, refresh)
        fault = demand._believe(pool)
        return demand if fault is None else demand.look_again() or demand

    @property
    def terms(self) -> Sequence[Terms]:
        return [self._pool.terms]

    def draw_anew(self) -> None:
        """Draw all from one random shard."""
        self._draws = {self._engine.choose(self._pool.shards): self.line.quantity}

    def claimed(self) -> list[Key]:
        return [self._shard(number) for number in self._draws]

    def changes(self, holding: Holding) -> Iterable[CounterChange]:
        for number, units in self._draws.items():
            yield acquire(self._shard(number), units, self._pool.terms.revision)
        if self.replaced is not None:
            yield from lapsed(self.replaced, holding.now)

    def learn(self, seen: Mapping[Key, RawItem], asked_at: int) -> Fault | None:
        """Learn from the shard item that a condition saw: other terms than believed, or too few units."""
        item = next(iter(seen.values()))
        shard = read(PoolShardItem, item) if item else None
        if shard is None or terms_of(shard) != self._pool.terms:
            return self._believe_anew(shard)
        if self._pool.shards == 1:
            if shard.available + sum(self._own_units().values()) >= self.line.quantity:
                return None
            self._engine.memory.remember(self._memory_name(), shard.available, asked_at)
            return self._short()
        return self._draw_elsewhere()

    def look_again(self) -> Fault | None:
        pool = self._refresh()
        return pool if isinstance(pool, Fault) else self._believe(pool)

    def watched(self) -> list[Key]:
        return self._pool.keys(self._keys)

    def missing(self, items: Mapping[Key, RawItem], _: int) -> Fault | None:
        left = sum(int(items[key]["available"]["N"]) for key in self.watched() if key in items)
        return self._short() if left + sum(self._own_units().values()) < self.line.quantity else None

    def known_missing(self, now: int) -> Fault | None:
        refused = self._engine.memory.refuses(self._memory_name(), self.line.quantity, now)
        return self._short() if refused else None

    def clashes(self, _: Demand) -> bool:
        """Return that it never does: lines of one pool are one line."""
        return False

    def make_room(self, _: Sequence[Demand]) -> None:
        """Do nothing: units of a pool are all alike."""

    def over_limit(self, most: int) -> Fault:
        return Fault(self.line.field, f"One user may have at most {most} of this.", "limit_exceeded")

    def counted(self) -> int:
        return 0 if self._pool.terms.max_per_user is None else self.line.quantity

    def counted_back(self) -> int:
        return sum(line.quantity for line in self.replaced.lines if line.counted) if self.replaced else 0

    def stored(self) -> list[LineMap]:
        return [self.line.stored(self._pool.terms)]

    def allocation(self) -> dict[str, int]:
        return {allocation_name(self._shard(number)): units for number, units in self._draws.items()}

    def units(self) -> list[str]:
        return []

    def spans(self) -> list[SpanMap]:
        return []

    def _believe(self, pool: Pool) -> Fault | None:
        """Take these terms for true; return why the line is impossible on them, if it is."""
        self._pool = pool
        most = pool.terms.max_per_user
        if not pool.terms.on_sale:
            return Fault(self.line.field, "This is not on sale.", "not_on_sale")
        if most is not None and self.line.quantity > most:
            return self.over_limit(most)
        return None

    def _believe_anew(self, shard: PoolShardItem | None) -> Fault | None:
        """Believe the shard's own terms. A draw from several is made anew: they have to be on the same terms."""
        pool = self._refresh()
        if isinstance(pool, Fault):
            return pool
        if shard is None:
            self.unsettled = True
            return self._believe(pool)
        fault = self._believe(replace(pool, terms=terms_of(shard)))
        return self._draw_elsewhere() if fault is None and len(self._draws) > 1 else fault

    def _draw_elsewhere(self) -> Fault | None:
        """Draw from whichever shards have the units, or prove that none have."""
        engine = self._engine
        found = find(engine.store, engine.clock, self._keys, self._pool, self.line.quantity, self._own_units())
        if isinstance(found, Short):
            engine.memory.remember(self._memory_name(), found.left, found.read_started)
            return self._short()
        if isinstance(found, Draw):
            self._draws = found.units
            return self._believe(replace(self._pool, terms=found.terms))
        self.unsettled = True
        return None

    def _own_units(self) -> dict[int, int]:
        if self.replaced is None:
            return {}
        allocated = self.replaced.allocated()
        shards = enumerate(self._pool.keys(self._keys))
        return {number: allocated[name] for number, key in shards if (name := allocation_name(key)) in allocated}

    def _short(self) -> Fault:
        return Fault(self.line.field, "There are not that many left.", "insufficient_stock")

    def _shard(self, number: int) -> Key:
        return self._keys.pool_shard(self._pool.name, number)

    def _memory_name(self) -> str:
        return self._shard(0).pk
