"""Deal holds: the older reserve, which has no key and adds to what the user already holds of a product (PROTOCOL.md 4).

One item a user and product. Its `life` tells one hold from the next, is part of the public id, and is where `v` starts
counting, so that `v` alone tells any two states of the item apart. The first attempt takes nothing to be held; if
something is, its condition returns the item and the next attempt writes the sum, or replaces a hold that has lapsed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from pynamodb.expressions.condition import Condition

from holdfast.platform.dynamodb import Put, Reason, Write, read
from holdfast.platform.errors import MixedCurrencies, NoReservation, Refused, ReservationNotFound, ReservationOver
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Keys, due_bucket
from holdfast.reservations.basket import Basket
from holdfast.reservations.ending import cancel, unchanged
from holdfast.reservations.engine import Engine, Holding, LineRequest, Rooms, merged
from holdfast.reservations.gate import Gate, answered
from holdfast.reservations.holding import take
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.pool_demand import PoolDemand
from holdfast.reservations.states import OVER, State

_WRITERS = 4
"""Writers that a hold remembers: one that lost its answer finds its work again though others added to it since."""


@dataclass(frozen=True)
class DealRequest:
    """A wish to add to a user's holds; `keyed` where the client sent an idempotency key.

    `policy` is what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    tenant: str
    user: str
    lines: Sequence[LineRequest]
    keyed: KeyedRequest | None = None
    policy: Policy = UNSET
    gate: Gate | None = None


@dataclass(frozen=True)
class DealHold:
    """What a user holds of a product: `quantity` in all, until `expires_at` (ms)."""

    product_id: str
    quantity: int
    expires_at: int
    reservation_id: str


def reserve(engine: Engine, rooms: Rooms, request: DealRequest) -> list[DealHold]:
    """Add every line to what the user holds, all or none, each hold's time starting anew; return the holds as they are.

    One transaction writes the holds, the shards drawn from, the user's limits, what the gate wants and the idempotency
    record. Raises what the gate does, TooManyRequests where the user is over the tenant's limit a minute, Refused
    naming every line that stood in the way, IdempotencyKeyReused, TooManyLines, MixedCurrencies and Busy.
    """
    if request.gate is not None:
        known = answered(request.gate, lambda: _known(engine, request))
        if known is not None:
            return known
    writing = _Writing(engine, request)
    try:
        basket = Basket(engine, rooms, request.tenant, request.user, merged(request.lines), request.policy)
        writing.basket = basket
        answer = take(engine, basket, writing.holding, writing.own_writes, writing.settle, request.gate)
        return _holds(answer if answer is not None else writing.answer())
    except (Refused, MixedCurrencies):
        known = _known(engine, request)
        if known is None:
            raise
        return known


def _known(engine: Engine, request: DealRequest) -> list[DealHold] | None:
    answer = request.keyed.replay(engine.store) if request.keyed else None
    return None if answer is None else _holds(answer)


def let_go(engine: Engine, tenant: str, user: str, product_id: str) -> None:
    """Give back all that the user holds of a product; raises NoReservation where that is nothing, and Busy."""
    held = find(engine, tenant, user, product_id)
    try:
        ended = cancel(engine, held.key, held.life)
    except (ReservationNotFound, ReservationOver) as over:
        raise NoReservation from over
    if ended.status != State.CANCELLED:
        raise NoReservation


def find(engine: Engine, tenant: str, user: str, product_id: str) -> ReservationItem:
    """Return what the user holds of a product, unexpired; raises NoReservation where that is nothing."""
    held = engine.store.get(ReservationItem, Keys(tenant).deal_hold(user, product_id))
    if held is None or held.status != State.HELD or held.expires_at <= engine.clock.now():
        raise NoReservation
    return held


def held_by(engine: Engine, tenant: str, user: str) -> list[DealHold]:
    """Return all unexpired deal holds of a user."""
    now = engine.clock.now()
    holds: list[DealHold] = []
    after = None
    while True:
        page = engine.store.query(Keys(tenant).user(user), "H#", after=after)
        items = (read(ReservationItem, raw) for raw in page.items)
        holds += [_hold(item) for item in items if item.status == State.HELD and item.expires_at > now]
        after = page.after
        if after is None:
            return holds


class _Writing:
    """The deal holds that a request writes, built anew for each attempt from what is known to be held."""

    def __init__(self, engine: Engine, request: DealRequest) -> None:
        self._engine = engine
        self._request = request
        self._known: dict[str, ReservationItem] = {}
        self._written: list[ReservationItem] = []
        self._writer = token_hex(6)
        self._length = engine.lengths.under(request.policy).standard
        self.basket: Basket

    def holding(self) -> Holding:
        now = self._engine.clock.now()
        return Holding("", now, self._until(now))

    def own_writes(self, held: Holding) -> list[Write]:
        now = held.now
        for demand in self._demands():
            demand.replaced = self._lapsed(demand, now)
        replaced = [demand.replaced for demand in self._demands() if demand.replaced is not None]
        self.basket.pace.lapsing = sum(hold.watched is not None for hold in replaced)
        wanted = [self._wanted(demand, now) for demand in self._demands()]
        self._written = [item for item, _ in wanted]
        puts = [Put(item, condition) for item, condition in wanted]
        keyed = self._request.keyed
        return [keyed.record(self.answer(), now), *puts] if keyed else [*puts]

    def settle(self, reasons: Sequence[Reason | None]) -> Any | None:
        if self._request.keyed:
            answer = self._request.keyed.settle(reasons)
            if answer is not None:
                return answer
            reasons = reasons[1:]
        for demand, reason in zip(self._demands(), reasons, strict=True):
            if reason is not None and reason.condition_failed:
                self._known.pop(_product(demand), None)
                if reason.item is not None:
                    self._known[_product(demand)] = read(ReservationItem, reason.item)
                demand.replaced = self._lapsed(demand, self._engine.clock.now())
        return self._own_work()

    def _until(self, now: int) -> int:
        return now + self.basket.pace.shortened(self._length) * 1000

    def _demands(self) -> list[PoolDemand]:
        return [demand for demand in self.basket.demands if isinstance(demand, PoolDemand)]

    def _own_work(self) -> Any | None:
        """Return the answer of an earlier attempt that was made although its answer was lost (PROTOCOL.md 8)."""
        if not any(self._writer in (known.written_by or "").split() for known in self._known.values()):
            return None
        found = self._engine.store.batch_get(item.key for item in self._written)
        self._written = [read(ReservationItem, found[item.key]) for item in self._written]
        return self.answer()

    def answer(self) -> list[dict[str, Any]]:
        return [vars(_hold(item)) for item in self._written]

    def _wanted(self, demand: PoolDemand, now: int) -> tuple[ReservationItem, Condition]:
        """Return the hold to write for `demand`, and of what it must be true."""
        known = self._known.get(_product(demand))
        if known is None:
            over = ReservationItem.status.is_in(*(state.value for state in OVER)) & (ReservationItem.v < now)
            others = ~ReservationItem.written_by.contains(self._writer)
            return self._new(demand, now, now), ReservationItem.pk.does_not_exist() | (over & others)
        if known.status in OVER or demand.replaced is not None:
            return self._new(demand, now, max(now, known.v + 1)), unchanged(known)
        if known.status != State.HELD:
            raise ReservationOver("What the user holds of this product is just being bought.")
        return self._added(known, demand, now), unchanged(known)

    def _lapsed(self, demand: PoolDemand, now: int) -> ReservationItem | None:
        known = self._known.get(_product(demand))
        return known if known is not None and known.status == State.HELD and known.expires_at <= now else None

    def _new(self, demand: PoolDemand, now: int, life: int) -> ReservationItem:
        key = Keys(self._request.tenant).deal_hold(self._request.user, _product(demand))
        return self._timed(
            ReservationItem(
                *key,
                user_id=self._request.user,
                status=State.HELD.value,
                v=life,
                life=life,
                lines=demand.stored(),
                allocation=demand.allocation(),
                created_at=now,
            ),
            self._until(now),
            "",
        )

    def _added(self, held: ReservationItem, demand: PoolDemand, now: int) -> ReservationItem:
        """Return the hold with more of the same product; what was held before keeps its price."""
        allocation = held.allocated()
        for name, units in demand.allocation().items():
            allocation[name] = allocation.get(name, 0) + units
        added = ReservationItem(
            *held.key,
            user_id=held.user_id,
            status=held.status,
            v=held.v + 1,
            life=held.life,
            extended_by=held.extended_by,
            lines=_joined([*held.lines, *demand.stored()]),
            allocation=allocation,
            created_at=held.created_at,
        )
        if len({line.currency for line in added.lines}) > 1:
            raise MixedCurrencies
        return self._timed(added, max(held.expires_at, self._until(now)), held.written_by or "")

    def _timed(self, item: ReservationItem, expires_at: int, writers: str) -> ReservationItem:
        item.expires_at = item.first_expires_at = item.due = expires_at
        item.due_bucket = due_bucket(item.key)
        item.watched = self.basket.pace.halvings
        item.written_by = " ".join([*writers.split(), self._writer][-_WRITERS:])
        return item


def _joined(lines: Sequence[LineMap]) -> list[LineMap]:
    """Return the lines with those of the same price made one, in the order in which prices first came."""
    joined: dict[tuple[int, str, bool], LineMap] = {}
    for line in lines:
        terms = (line.unit_price_minor, line.currency, line.counted)
        known = joined[terms].quantity if terms in joined else 0
        joined[terms] = line.of(known + line.quantity)
    return list(joined.values())


def _hold(item: ReservationItem) -> DealHold:
    quantity = sum(line.quantity for line in item.lines)
    return DealHold(item.key.sk.removeprefix("H#"), quantity, item.expires_at, item.id)


def _holds(answer: list[dict[str, Any]]) -> list[DealHold]:
    return [DealHold(**hold) for hold in answer]


def _product(demand: PoolDemand) -> str:
    assert demand.line.product_id is not None
    return demand.line.product_id
