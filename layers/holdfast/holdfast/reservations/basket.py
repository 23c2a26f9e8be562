"""The things a request wants, through all attempts to take them: what is drawn from where, and what was learnt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.claims import limits
from holdfast.claims.changes import Change, netted
from holdfast.claims.pool import Pool, acquire, terms_of
from holdfast.platform.dynamodb import RawItem, Reason, read
from holdfast.platform.errors import Fault, MixedCurrencies, Refused, TooManyLines
from holdfast.platform.items import LineMap, PoolShardItem, ReservationItem
from holdfast.platform.tables import Key, Keys, allocation_name
from holdfast.reservations.draws import Draw, Short, find
from holdfast.reservations.ending import given_back
from holdfast.reservations.engine import Catalogue, Engine, LineRequest

MAX_LINES = 20
"""Different lines in one cart (PROTOCOL.md 2)."""


@dataclass
class Demand:
    """One line's quantity of one pool: the terms believed in, and the units drawn by shard number.

    `replaced` is a lapsed deal hold that the same transaction gives back (PROTOCOL.md 4).
    """

    line: LineRequest
    pool: Pool
    draws: Mapping[int, int] = field(default_factory=dict)
    replaced: ReservationItem | None = None
    unsettled: bool = False

    def believe(self, pool: Pool) -> Fault | None:
        """Take these terms for true; return why the line is impossible on them, if it is."""
        self.pool = pool
        most = pool.terms.max_per_user
        if not pool.terms.on_sale:
            return Fault(self.line.field, "This product is not on sale.", "not_on_sale")
        if most is not None and self.line.quantity > most:
            return self.over_limit(most)
        return None

    def unknown(self) -> Fault:
        """Return the fault of a line whose product does not exist."""
        return _unknown(self.line)

    def short(self) -> Fault:
        """Return the fault of a line whose quantity is not there."""
        return Fault(self.line.field, "There are not that many left.", "insufficient_stock")

    def over_limit(self, most: int) -> Fault:
        """Return the fault of a line that is more than one user may have."""
        return Fault(self.line.field, f"One user may have at most {most} of this product.", "limit_exceeded")

    def stored(self) -> LineMap:
        """Return the line as the reservation keeps it."""
        return LineMap(
            kind=self.line.kind,
            product_id=self.line.product_id,
            quantity=self.line.quantity,
            unit_price_minor=self.pool.terms.price_minor,
            currency=self.pool.terms.currency,
            counted=self.pool.terms.max_per_user is not None,
        )


class Basket:
    """The demands of one user's request."""

    def __init__(
        self, engine: Engine, catalogue: Catalogue, tenant: str, user: str, lines: Sequence[LineRequest]
    ) -> None:
        """Look every line up and draw at random.

        `lines` are merged: one a product. Raises Refused where a line is known to be impossible (an unknown product,
        one not on sale, more than a user may have, or more than was left moments ago), TooManyLines and
        MixedCurrencies.
        """
        if len(lines) > MAX_LINES:
            raise TooManyLines
        self._engine = engine
        self._catalogue = catalogue
        self._keys = Keys(tenant)
        self._limits = self._keys.limits(user)
        self._fields = [line.field for line in lines]
        self.demands: list[Demand] = []
        self._open(lines)
        if self._is_mixed():
            self._look_again()
            self._one_currency()
        self.draw_anew()

    def draw_anew(self) -> None:
        """Draw every line from one random shard: the way to start, and to get out of another writer's way."""
        for demand in self.demands:
            demand.draws = {self._engine.choose(demand.pool.shards): demand.line.quantity}

    def changes(self) -> list[Change]:
        """Return the changes of shards and limits that take the basket, one an item."""
        return netted(change for demand in self.demands for change in self._changes_of(demand))

    def allocation(self, demand: Demand) -> dict[str, int]:
        """Return what `demand` draws, as a reservation keeps it."""
        return {allocation_name(self._shard(demand, number)): units for number, units in demand.draws.items()}

    def learn(self, changes: Sequence[Change], reasons: Sequence[Reason | None], asked_at: int) -> bool:
        """Take in why the changes of an attempt were refused; return whether to wait before the next.

        The attempt was made at `asked_at` (ms); what its conditions saw is no older. Raises Refused, naming every line
        that stands in the way, once a shortage or a limit is proved; MixedCurrencies.
        """
        seen = {
            change.key: reason.item or {}
            for change, reason in zip(changes, reasons, strict=True)
            if reason is not None and reason.condition_failed
        }
        faults = []
        for demand in self.demands:
            demand.unsettled = False
            failed = [key for key in (self._shard(demand, number) for number in demand.draws) if key in seen]
            if failed:
                fault = self._reconsider(demand, seen[failed[0]], asked_at)
                faults += [fault] if fault else []
        if self._limits in seen:
            faults = [*self._over_limits(self.demands, seen[self._limits]), *faults]
        if faults:
            raise self._refusal(faults)
        self._one_currency()
        return any(demand.unsettled for demand in self.demands)

    def _open(self, lines: Sequence[LineRequest]) -> None:
        faults = []
        pools = self._catalogue.pools(self._keys.tenant, [line.product_id for line in lines])
        for line in lines:
            found = self._look_up(line, pools.get(line.product_id))
            if isinstance(found, Fault):
                faults.append(found)
            else:
                self.demands.append(found)
        now = self._engine.clock.now()
        faults += [
            demand.short()
            for demand in self.demands
            if self._engine.memory.refuses(self._memory_name(demand.pool), demand.line.quantity, now)
        ]
        if faults:
            raise self._refusal(faults)

    def _look_up(self, line: LineRequest, known: Pool | None) -> Demand | Fault:
        """Return the line's demand of the pool that is known, or of what a second look finds before it is refused."""
        if known is not None:
            demand = Demand(line, known)
            if demand.believe(known) is None:
                return demand
        pool = self._catalogue.pool(self._keys.tenant, line.product_id)
        if pool is None:
            return _unknown(line)
        demand = Demand(line, pool)
        return demand.believe(pool) or demand

    def _changes_of(self, demand: Demand) -> Iterable[Change]:
        terms = demand.pool.terms
        for number, units in demand.draws.items():
            yield acquire(self._shard(demand, number), units, terms.revision)
        if terms.max_per_user is not None:
            yield limits.take(self._limits, demand.line.product_id, demand.line.quantity, terms.max_per_user)
        if demand.replaced is not None:
            yield from given_back(demand.replaced)

    def _reconsider(self, demand: Demand, item: RawItem, asked_at: int) -> Fault | None:
        """Learn from the shard item that a condition saw: other terms than believed, or too few units."""
        shard = read(PoolShardItem, item) if item else None
        if shard is None or terms_of(shard) != demand.pool.terms:
            return self._believe_anew(demand, shard)
        if demand.pool.shards == 1:
            if shard.available + sum(self._own_units(demand).values()) >= demand.line.quantity:
                return None
            self._engine.memory.remember(self._memory_name(demand.pool), shard.available, asked_at)
            return demand.short()
        return self._draw_elsewhere(demand)

    def _believe_anew(self, demand: Demand, shard: PoolShardItem | None) -> Fault | None:
        """Believe the shard's own terms. A draw from several is made anew: they have to be on the same terms."""
        pool = self._catalogue.pool(self._keys.tenant, demand.line.product_id)
        if pool is None:
            return demand.unknown()
        if shard is None:
            demand.unsettled = True
            return demand.believe(pool)
        fault = demand.believe(replace(pool, terms=terms_of(shard)))
        return self._draw_elsewhere(demand) if fault is None and len(demand.draws) > 1 else fault

    def _draw_elsewhere(self, demand: Demand) -> Fault | None:
        """Draw from whichever shards have the units, or prove that none have."""
        engine = self._engine
        own = self._own_units(demand)
        found = find(engine.store, engine.clock, self._keys, demand.pool, demand.line.quantity, own)
        if isinstance(found, Short):
            engine.memory.remember(self._memory_name(demand.pool), found.left, found.read_started)
            return demand.short()
        if isinstance(found, Draw):
            demand.draws = found.units
            return demand.believe(replace(demand.pool, terms=found.terms))
        demand.unsettled = True
        return None

    def _own_units(self, demand: Demand) -> dict[int, int]:
        if demand.replaced is None:
            return {}
        allocated = demand.replaced.allocated()
        shards = enumerate(demand.pool.keys(self._keys))
        return {number: allocated[name] for number, key in shards if (name := allocation_name(key)) in allocated}

    def _over_limits(self, demands: Sequence[Demand], counted: RawItem) -> list[Fault]:
        faults = []
        for demand in demands:
            most = demand.pool.terms.max_per_user
            had = int(counted.get(limits.counter(demand.line.product_id), {"N": "0"})["N"])
            if demand.replaced is not None:
                had -= sum(line.quantity for line in demand.replaced.lines if line.counted)
            if most is not None and had + demand.line.quantity > most:
                faults.append(demand.over_limit(most))
        return faults

    def _refusal(self, known: Sequence[Fault]) -> Refused:
        """Look at the other lines once, so that every one that stood in the way is named (PROTOCOL.md 9)."""
        faults = {fault.field: fault for fault in known}
        others = [demand for demand in self.demands if demand.line.field not in faults]
        if others:
            shards = {demand.line.field: demand.pool.keys(self._keys) for demand in others}
            items = self._engine.store.batch_get([self._limits, *(key for keys in shards.values() for key in keys)])
            for demand in others:
                left = sum(int(items[key]["available"]["N"]) for key in shards[demand.line.field] if key in items)
                if left + sum(self._own_units(demand).values()) < demand.line.quantity:
                    faults[demand.line.field] = demand.short()
            for fault in self._over_limits(others, items.get(self._limits, {})):
                faults.setdefault(fault.field, fault)
        return Refused([faults[name] for name in self._fields if name in faults])

    def _look_again(self) -> None:
        """Believe of every line what is true now; raises Refused where one is impossible on that."""
        faults = []
        for demand in self.demands:
            pool = self._catalogue.pool(self._keys.tenant, demand.line.product_id)
            fault = demand.unknown() if pool is None else demand.believe(pool)
            faults += [fault] if fault else []
        if faults:
            raise self._refusal(faults)

    def _one_currency(self) -> None:
        if self._is_mixed():
            raise MixedCurrencies

    def _is_mixed(self) -> bool:
        return len({demand.pool.terms.currency for demand in self.demands}) > 1

    def _shard(self, demand: Demand, number: int) -> Key:
        return self._keys.pool_shard(demand.pool.name, number)

    def _memory_name(self, pool: Pool) -> str:
        return self._keys.pool_shard(pool.name, 0).pk


def _unknown(line: LineRequest) -> Fault:
    return Fault(line.field, "There is no such product.", "product_not_found")
