"""The things a request wants, through all attempts to take them: what is claimed, and what was learnt."""

from collections import Counter
from collections.abc import Sequence

from holdfast.claims import limits
from holdfast.claims.changes import Change, netted
from holdfast.platform.dynamodb import RawItem, Reason
from holdfast.platform.errors import Fault, Malformed, MixedCurrencies, Refused, TooManyLines
from holdfast.platform.items import LineMap, SpanMap
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Demand, Engine, Holding, LineRequest, Opening, Rooms
from holdfast.reservations.pace import RESERVES, Pace

MAX_LINES = 20
"""Different lines in one cart (PROTOCOL.md 2)."""

MAX_STORED_LINES = 100
"""Lines that a reservation keeps: of seats that were chosen, and of pax types, each is one."""


class Basket:
    """The demands of one user's request, and the pace at which the user may make such requests."""

    def __init__(
        self,
        engine: Engine,
        rooms: Rooms,
        tenant: str,
        user: str,
        lines: Sequence[LineRequest],
        policy: Policy = UNSET,
    ) -> None:
        """Look every line up.

        `lines` are merged (see `engine.merged`); `policy` is what the tenant has set. Raises Refused where a line is
        known to be impossible (an unknown thing, one not on sale, more than a user may have, or more than was left
        moments ago), Malformed where two lines want the same thing that exists once, TooManyLines and MixedCurrencies.
        """
        if len(lines) > MAX_LINES:
            raise TooManyLines
        self._engine = engine
        self._limits = Keys(tenant).limits(user)
        self._fields = [line.field for line in lines]
        self.pace = Pace(self._limits, RESERVES, policy.reserves_per_minute, policy.patience)
        self.demands: list[Demand] = []
        self._open(rooms, tenant, user, lines)
        if sum(len(demand.terms) for demand in self.demands) > MAX_STORED_LINES:
            raise TooManyLines("These are too many seats and pax types to be taken at once; ask for fewer.")
        if self._is_mixed():
            faults = self._look_again()
            if faults:
                raise self._refusal(faults)
            self._one_currency()

    def draw_anew(self) -> None:
        """Get out of another writer's way, wherever a line has a choice."""
        for demand in self.demands:
            demand.draw_anew()

    def changes(self, holding: Holding) -> list[Change]:
        """Return the changes of claimed items and limits that take the basket, one an item."""
        claims = [change for demand in self.demands for change in demand.changes(holding)]
        counted = [
            limits.take(self._limits, demand.line.limited_as, demand.counted(), most)
            for demand in self.demands
            if (most := _most(demand)) is not None
        ]
        return netted([*claims, *counted, *self.pace.changes(holding.now)])

    def lines(self) -> list[LineMap]:
        """Return the lines as a reservation keeps them."""
        return [line for demand in self.demands for line in demand.stored()]

    def allocation(self) -> dict[str, int]:
        """Return the units drawn from shards, by allocation name."""
        return {name: units for demand in self.demands for name, units in demand.allocation().items()}

    def units(self) -> list[str]:
        """Return the names of the units claimed."""
        return [name for demand in self.demands for name in demand.units()]

    def spans(self) -> list[SpanMap]:
        """Return the spans claimed."""
        return [span for demand in self.demands for span in demand.spans()]

    def learn(self, changes: Sequence[Change], reasons: Sequence[Reason | None], asked_at: int) -> bool:
        """Take in why the changes of an attempt were refused; return whether to wait before the next.

        The attempt was made at `asked_at` (ms); what its conditions saw is no older. Raises TooManyRequests where the
        user has to wait; Refused, naming every line that stands in the way, once a shortage or a limit is proved;
        MixedCurrencies.
        """
        seen = {
            change.key: reason.item or {}
            for change, reason in zip(changes, reasons, strict=True)
            if reason is not None and reason.condition_failed
        }
        if self._limits in seen:
            too_fast = self.pace.learn(seen[self._limits], asked_at)
            if too_fast is not None:
                raise too_fast
        faults = []
        for demand in self.demands:
            demand.unsettled = False
            failed = {key: seen[key] for key in demand.claimed() if key in seen}
            if failed:
                fault = demand.learn(failed, asked_at)
                faults += [fault] if fault else []
        faults = [*self._over_limits(self.demands, seen.get(self._limits, {})), *faults]
        if faults:
            raise self._refusal(faults)
        self._one_currency()
        return any(demand.unsettled for demand in self.demands)

    def _open(self, rooms: Rooms, tenant: str, user: str, lines: Sequence[LineRequest]) -> None:
        now = self._engine.clock.now()
        opening = Opening(self._engine, tenant, user, now)
        unknown = [key for line in lines for key in rooms(line.kind).wants(tenant, line, now)]
        items = self._engine.store.batch_get(unknown) if unknown else {}
        found = [rooms(line.kind).demand(opening, line, items) for line in lines]
        self.demands = [demand for demand in found if not isinstance(demand, Fault)]
        self._no_clashes()
        again = self._look_again() if self._over_limits(self.demands, {}) else []
        faults = [
            *(fault for fault in found if isinstance(fault, Fault)),
            *again,
            *self._over_limits(self.demands, {}),
            *(fault for demand in self.demands if (fault := demand.known_missing(now)) is not None),
            *(fault for demand in self.demands if (fault := demand.make_room(self._others(demand))) is not None),
        ]
        if faults:
            raise self._refusal(faults)

    def _no_clashes(self) -> None:
        """Raise Malformed where a thing that exists once is wanted by two lines."""
        twice = [
            demand.line.field
            for place, demand in enumerate(self.demands)
            if any(demand.clashes(earlier) for earlier in self.demands[:place])
        ]
        if twice:
            raise Malformed(faults=[Fault(name, "Another line wants the same already.", "duplicate") for name in twice])

    def _others(self, demand: Demand) -> list[Demand]:
        return [other for other in self.demands if other is not demand]

    def _over_limits(self, demands: Sequence[Demand], counted: RawItem) -> list[Fault]:
        """Return the faults of those demands that are more than the user may have beside what is counted already."""
        wanted = Counter[str]()
        for demand in self.demands:
            if demand.counted():
                wanted[demand.line.limited_as] += demand.counted()
        faults: list[Fault] = []
        if not wanted:
            return faults
        for demand in demands:
            most = _most(demand)
            had = int(counted.get(limits.counter(demand.line.limited_as), {"N": "0"})["N"])
            had -= demand.counted_back()
            if most is not None and had + wanted[demand.line.limited_as] > most:
                faults.append(demand.over_limit(most))
        return faults

    def _refusal(self, known: Sequence[Fault]) -> Refused:
        """Look at the other lines once, so that every one that stood in the way is named (PROTOCOL.md 9)."""
        faults = {fault.field: fault for fault in known}
        others = [demand for demand in self.demands if demand.line.field not in faults]
        if others:
            now = self._engine.clock.now()
            watched = [key for demand in others for key in demand.watched()]
            items = self._engine.store.batch_get([self._limits, *watched])
            for demand in others:
                missing = demand.missing(items, now)
                if missing is not None:
                    faults[demand.line.field] = missing
            for fault in self._over_limits(others, items.get(self._limits, {})):
                faults.setdefault(fault.field, fault)
        return Refused([faults[name] for name in self._fields if name in faults])

    def _look_again(self) -> list[Fault]:
        """Believe of every line what is true now; return why those are impossible that are, on that."""
        return [fault for demand in self.demands if (fault := demand.look_again()) is not None]

    def _one_currency(self) -> None:
        if self._is_mixed():
            raise MixedCurrencies

    def _is_mixed(self) -> bool:
        return len({terms.currency for demand in self.demands for terms in demand.terms}) > 1


def _most(demand: Demand) -> int | None:
    """Return how many one user may have of what is demanded: the strictest of its terms, None for any number."""
    limits_set = [terms.max_per_user for terms in demand.terms if terms.max_per_user is not None]
    return min(limits_set, default=None)
