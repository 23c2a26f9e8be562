"""Giving parts of a confirmed reservation back: what is returned is on sale again, the rest stays sold."""

from collections import Counter
from collections.abc import Callable, Sequence

from holdfast.claims import allocation
from holdfast.claims.changes import Change, netted
from holdfast.platform.dynamodb import Cancelled, Contended, Put, RawItem
from holdfast.platform.errors import Busy, InvariantBroken, ReservationNotFound, ReservationOver
from holdfast.platform.items import LineMap, ReservationItem, SpanMap
from holdfast.platform.tables import Key, Keys, is_counter, tenant_of
from holdfast.reservations import single_claims
from holdfast.reservations.ending import RETENTION_SECONDS, Seen, unchanged, uncounted
from holdfast.reservations.engine import Beside, Engine, nothing_beside
from holdfast.reservations.splitting import Part
from holdfast.reservations.states import State

_NAMED_BY = (
    "kind",
    "product_id",
    "event_id",
    "ticket_type_id",
    "row",
    "seat",
    "ticket_id",
    "venue_id",
    "start",
    "end",
    "experience_id",
    "date",
    "slot_id",
    "pax_type",
    "unit_price_minor",
    "currency",
)
"""What tells lines of one reservation apart: what was bought, and for how much."""


def give_back(
    engine: Engine,
    key: Key,
    returned: Sequence[LineMap],
    done: Callable[[], bool],
    last: State,
    beside: Beside = nothing_beside,
) -> ReservationItem:
    """Put the `returned` lines of the confirmed reservation at `key` on sale again, and return what is left of it.

    A line is given back as a whole or, of what was counted, in part. Of what is left the reservation stays confirmed;
    where that is nothing it becomes `last`, and says what it had at the end. `done` is asked before each attempt,
    after the reservation was read: once it says that this was done already, nothing is changed. Written in one
    transaction: the reservation, its shards, units and days, its user's limits, what is `beside` it, whose conditions
    may fail where another was faster: then all is read again. Raises ReservationNotFound, ReservationOver where it is
    not confirmed, InvariantBroken where it has less than is returned, and Busy.
    """
    refused_at = 0
    seen: dict[Key, RawItem] = {}
    for attempt in engine.retries:
        record = _found(engine, key)
        if done():
            return _found(engine, key)
        if record.life is not None or record.status != State.CONFIRMED:
            raise ReservationOver
        now = engine.clock.now()
        part = Part(record, _quantities(record, returned))
        left = _left(part, last, now)
        changes = netted(_changes(part, now, seen))
        writes = [Put(left, unchanged(record)), *(change.write() for change in changes), *beside(record)]
        try:
            engine.store.transact(writes)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
                continue
            refused = refusal.seen(writes)
            broken = key not in refused and any(map(is_counter, refused))
            if broken and record.v == refused_at:
                raise InvariantBroken(str(refusal)) from refusal
            refused_at = record.v if broken else refused_at
            # What was seen beside a reservation that was written since says nothing of what it claims now.
            seen = {} if key in refused else seen | refused
        else:
            return left
    raise Busy


def _found(engine: Engine, key: Key) -> ReservationItem:
    record = engine.store.get(ReservationItem, key)
    if record is None:
        raise ReservationNotFound
    return record


def _quantities(record: ReservationItem, returned: Sequence[LineMap]) -> list[int]:
    """Return how much of each line is returned; raises InvariantBroken where the reservation has not that much."""
    wanted: Counter[tuple[object, ...]] = Counter()
    for line in returned:
        wanted[_name(line)] += line.quantity
    quantities = []
    for line in record.lines:
        here = min(wanted[_name(line)], line.quantity)
        wanted[_name(line)] -= here
        quantities.append(here)
    if +wanted:
        raise InvariantBroken(f"more is given back of {record.id} than it has")
    return quantities


def _name(line: LineMap) -> tuple[object, ...]:
    return tuple(getattr(line, name) for name in _NAMED_BY)


def _changes(part: Part, now: int, seen: Seen) -> list[Change]:
    """Return the changes that put a part on sale again."""
    units, spans = _singles(part.parent, part.quantities)
    parent = part.parent
    back = ReservationItem(*parent.key, lines=part.lines, allocation=part.allocation(), units=units, spans=spans)
    return [
        *allocation.taken_back(Keys(tenant_of(parent.key)), back.allocated()),
        *uncounted(back),
        *single_claims.released(back, now, seen),
    ]


def _left(part: Part, last: State, now: int) -> ReservationItem:
    """Return the reservation without a part of it; one of which nothing is left is over, and says what it had."""
    parent, taken = part.parent, part.allocation()
    left = ReservationItem(**parent.attribute_values)
    left.v = parent.v + 1
    if not part.rest:
        left.status = last.value
        left.ttl = now // 1000 + RETENTION_SECONDS
        return left
    rest = {name: units - taken.get(name, 0) for name, units in parent.allocated().items()}
    kept = [line.quantity - here for line, here in zip(parent.lines, part.quantities, strict=True)]
    left.lines = part.rest
    left.allocation = {name: units for name, units in rest.items() if units}
    units, spans = _singles(parent, kept)
    left.units, left.spans = units or None, spans or None
    return left


def _singles(record: ReservationItem, quantities: Sequence[int]) -> tuple[list[str], list[SpanMap]]:
    """Return the units and spans of those lines of which there is a quantity; a reservation keeps both as its lines."""
    names, claimed = iter(record.units or ()), iter(record.spans or ())
    units, spans = [], []
    for line, here in zip(record.lines, quantities, strict=True):
        if line.kind == "venue":
            spans += [next(claimed)] * min(here, 1)
        elif line.pool is None:
            units += [next(names)] * min(here, 1)
    return units, spans
