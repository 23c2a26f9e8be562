"""Late money: an expired reservation takes the same things again, at the price that was paid (PROTOCOL.md 14)."""

from collections import Counter
from collections.abc import Mapping, Sequence

from holdfast.claims import allocation, limits
from holdfast.claims.changes import Change, netted
from holdfast.claims.pool import Pool
from holdfast.claims.terms import terms_of
from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put, RawItem, read
from holdfast.platform.errors import Busy, HoldTaken, ReservationNotFound, ReservationOver
from holdfast.platform.items import LineMap, ProductItem, ReservationItem, TicketTypeItem
from holdfast.platform.tables import Key, Keys, allocation_name, limits_beside, pax_type_allocated, tenant_of
from holdfast.reservations import single_claims
from holdfast.reservations.draws import Draw, Short, find
from holdfast.reservations.ending import Seen, forgiven, unchanged
from holdfast.reservations.engine import Beside, Engine, nothing_beside
from holdfast.reservations.states import State


def reacquire(engine: Engine, key: Key, attempt: int, beside: Beside = nothing_beside) -> ReservationItem:
    """Sell what the expired reservation at `key` held to it after all, for the order's `attempt`, and return it.

    The units of pools come from the shards that they came from before, or else from any; what they cost by now, whether
    they are on sale and how many one user may have make no difference. Places of a slot are looked at first: one that
    its partner does not offer any more, or that has begun, is not to be had. Done before for the same `attempt`, it
    changes nothing. Written in one transaction: the reservation with what it was given, its shards, slots, units and
    days, its user's limits, what is `beside` it. Raises ReservationNotFound, ReservationOver where it is not expired,
    HoldTaken where something is proved to be another's by now, or spread over more shards than one transaction takes,
    and Busy.
    """
    seen: dict[Key, RawItem] = {}
    for number in engine.retries:
        record = engine.store.get(ReservationItem, key)
        if record is None or record.life is not None:
            raise ReservationNotFound
        if record.status == State.CONFIRMED and record.checkout == attempt:
            return record
        if record.status != State.EXPIRED:
            raise ReservationOver
        drawn = record.allocated() if number == 0 else _drawn(engine, record)
        if drawn is None:
            engine.retries.wait(number)
            continue
        confirmed, now = _confirmed(record, drawn, attempt), engine.clock.now()
        changes = netted([*_changes(confirmed, now, seen), *_offered(engine, record, now)])
        writes = [Put(confirmed, unchanged(record)), *(change.write() for change in changes), *beside(record)]
        if len(writes) > MAX_ACTIONS:
            raise HoldTaken
        try:
            engine.store.transact(writes)
        except Contended:
            engine.retries.wait(number)
        except Cancelled as refusal:
            refused = refusal.seen(writes)
            seen = {} if key in refused else seen | refused
            if refusal.contended or not refused.keys() <= {change.key for change in changes}:
                engine.retries.wait(number)
        else:
            return confirmed
    raise Busy


def _confirmed(record: ReservationItem, drawn: Mapping[str, int], attempt: int) -> ReservationItem:
    confirmed = ReservationItem(**record.attribute_values)
    confirmed.status = State.CONFIRMED.value
    confirmed.v = record.v + 1
    confirmed.allocation = dict(drawn)
    confirmed.checkout = attempt
    confirmed.ttl = None
    return confirmed


def _changes(record: ReservationItem, now: int, seen: Seen) -> list[Change]:
    counted = [line for line in record.lines if line.counted]
    return [
        *allocation.bought(Keys(tenant_of(record.key)), record.allocated()),
        *single_claims.bought(record, now, seen),
        *(limits.count(limits_beside(record.key), line.limited_as, line.quantity) for line in counted),
        *forgiven(record),
    ]


def _offered(engine: Engine, record: ReservationItem, now: int) -> Sequence[Change]:
    """Return the changes that insist on the slots of a reservation as they are at `now` (ms), if it has any.

    Raises HoldTaken where one of them cannot be had.
    """
    if not any(line.kind == "slot" for line in record.lines):
        return ()
    from holdfast.reservations import slot_places

    return slot_places.still_offered(engine.store, record, now)


def _drawn(engine: Engine, record: ReservationItem) -> dict[str, int] | None:
    """Return from where to draw what a reservation has of counters, by allocation name; None where nothing is sure.

    Places of a slot are in one place. Raises HoldTaken where a pool is proved to have too few units left (PROTOCOL.md
    5).
    """
    keys = Keys(tenant_of(record.key))
    lines = {name: line for line in record.lines if line.kind != "slot" and (name := line.pool) is not None}
    quantities: Counter[str] = Counter()
    for line in record.lines:
        if line.pool is not None:
            quantities[line.pool] += line.quantity
    described = {name: _described_at(keys, line) for name, line in lines.items()}
    items = engine.store.batch_get(described.values()) if described else {}
    drawn = {name: units for name, units in record.allocated().items() if pax_type_allocated(name) is not None}
    is_sure = True
    for name, line in lines.items():
        if described[name] not in items:
            raise HoldTaken
        item = read(TicketTypeItem if line.product_id is None else ProductItem, items[described[name]])
        whole = Pool(name, item.shards, terms_of(item))
        found = find(engine.store, engine.clock, keys, whole, quantities[name], {}, one_price=False)
        if isinstance(found, Short):
            raise HoldTaken
        if isinstance(found, Draw):
            drawn |= {allocation_name(keys.pool_shard(name, shard)): units for shard, units in found.units.items()}
        else:
            is_sure = False
    return drawn if is_sure else None


def _described_at(keys: Keys, line: LineMap) -> Key:
    """Return the key of the item that says how many shards a line's pool has."""
    if line.product_id is not None:
        return keys.product(line.product_id)
    return keys.ticket_type(line.event_id or "", line.ticket_type_id or "")
