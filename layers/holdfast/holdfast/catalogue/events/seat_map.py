"""Seat maps: uploaded in bulk, in steps that can break off anywhere and be taken up again by the same request.

First the plan is written, which block each seat goes to, so that whoever uploads the same rows puts the same seats at
the same keys, and no block is given more than it holds. Then the seats are written, a hundred at a time, each only
where there is none: a repeated upload changes nothing, and no seat that somebody holds or bought is ever touched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest

from holdfast.catalogue.events import ticket_types
from holdfast.catalogue.events.best_seats import Place
from holdfast.catalogue.events.blocks import at_once, read_blocks
from holdfast.catalogue.events.labels import order_of
from holdfast.catalogue.events.seat_plan import Plan, SeatMap, extended
from holdfast.catalogue.events.seat_plans import Upload, read_plan, write_plan
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put
from holdfast.platform.errors import Busy, Fault, Malformed, Unavailable
from holdfast.platform.items import UnitItem
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest

_LEFT_TO_ANSWER = 8_000
"""Milliseconds before the end at which no further step is begun: a step that gets no answer takes 7 s at worst."""

Remaining = Callable[[], int]
"""Returns how many milliseconds are left for the request."""


@dataclass(frozen=True)
class Progress:
    """What a request found and made of its `total` seats; what is `remaining`, the same request makes next."""

    created: int
    existing: int
    remaining: int
    total: int


def upload(engine: Engine, wanted: Upload, remaining: Remaining, keyed: KeyedRequest | None) -> Progress:
    """Put seats on sale on their ticket type's terms, until all are there or the time is short.

    One transaction writes the plan, which block each seat is in, and takes the new ones from the event's 50 000; others
    write up to 100 seats each. The idempotency record is written once all are there. Raises TicketTypeNotFound,
    Malformed for a ticket type that is counted, SeatMapFull, IdempotencyKeyReused and Busy; after whatever it raises,
    the same request goes on from where this one was.
    """
    known = keyed.replay(engine.store) if keyed else None
    if known is not None:
        return Progress(**known)
    total = sum(map(len, wanted.seats.values()))
    terms, missing = _planned(engine, wanted)
    steps = [[UnitItem(*key, version=1, **terms._asdict()) for key in keys] for keys in _steps(missing)]
    made = at_once(lambda seats: _create(engine, seats, remaining), steps)
    created = sum(here for here, _ in made)
    existing = total - sum(map(len, missing)) + sum(there for _, there in made)
    progress = Progress(created, existing, total - created - existing, total)
    if progress.remaining or keyed is None:
        return progress
    return Progress(**keyed.remember(engine.store, engine.retries, asdict(progress), engine.clock.now()))


def _planned(engine: Engine, wanted: Upload) -> tuple[Terms, list[list[Key]]]:
    """Give every seat its block; return the terms to sell on, and the keys of the seats that are missing, by block."""
    for attempt in engine.retries:
        item = ticket_types.get(engine, wanted.tenant, wanted.event_id, wanted.ticket_type_id)
        if not item.numbered:
            raise Malformed(faults=[Fault("ticketTypeId", "Tickets of this type are counted, and have no seats.")])
        plan = read_plan(engine, wanted)
        further = extended(plan, wanted.seats)
        if further == plan or write_plan(engine, wanted, item, plan, further):
            return terms_of(item), _missing(wanted, further, _present(engine, wanted, plan))
        engine.retries.wait(attempt)
    raise Busy


def _present(engine: Engine, wanted: Upload, plan: Plan) -> dict[int, dict[str, set[str]]]:
    """Return the seats that exist in the blocks of those rows that were planned before."""
    rows = plan.rows
    blocks = sorted({rows[row] for row in wanted.seats if row in rows})
    found = read_blocks(engine.store, [wanted.partition(block) for block in blocks], engine.clock.now())
    present: dict[int, dict[str, set[str]]] = {block: {} for block in blocks}
    for block, seats in zip(blocks, found, strict=True):
        for seat in seats:
            present[block].setdefault(seat.row, set()).add(seat.label)
    return present


def _missing(wanted: Upload, plan: Plan, present: Mapping[int, SeatMap]) -> list[list[Key]]:
    """Return the keys of the wanted seats that are not there, those of a block together."""
    missing: dict[int, list[Key]] = {}
    rows = plan.rows
    for row in sorted(wanted.seats, key=order_of):
        block = rows[row]
        new = set(wanted.seats[row]).difference(present.get(block, {}).get(row, ()))
        places = [Place(row, seat) for seat in sorted(new, key=order_of)]
        missing.setdefault(block, []).extend(wanted.key(block, place) for place in places)
    return list(missing.values())


def _steps(missing: Sequence[Sequence[Key]]) -> list[Sequence[Key]]:
    """Return what each step writes, block after block in turn, so that no partition has to take all at once."""
    by_block = [[keys[at : at + MAX_ACTIONS] for at in range(0, len(keys), MAX_ACTIONS)] for keys in missing]
    return [step for turn in zip_longest(*by_block) for step in turn if step]


def _create(engine: Engine, seats: Sequence[UnitItem], remaining: Remaining) -> tuple[int, int]:
    """Write seats where there are none; return how many, and how many others were there by then.

    A step whose answer is lost is made again, and finds its own seats: they are counted as if another had made them.
    """
    left, existing = seats, 0
    for attempt in engine.retries:
        if remaining() < _LEFT_TO_ANSWER:
            return 0, existing
        puts = [Put(seat, UnitItem.pk.does_not_exist()) for seat in left]
        try:
            engine.store.make(puts)
        except (Contended, Unavailable):
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            there = refusal.seen(puts)
            left, existing = [seat for seat in left if seat.key not in there], existing + len(there)
            if not left:
                return 0, existing
            if refusal.contended:
                engine.retries.wait(attempt)
        else:
            return len(left), existing
    raise Busy
