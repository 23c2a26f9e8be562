"""Plans of seat maps, kept one item a block beside the ticket type, and extended under its version."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.catalogue.events.best_seats import Place
from holdfast.catalogue.events.labels import in_ranges, order_of, out_of_ranges
from holdfast.catalogue.events.seat_plan import Plan, SeatMap
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, Write, read
from holdfast.platform.errors import SeatMapFull
from holdfast.platform.items import CounterItem, SeatPlanItem, TicketTypeItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Engine

MOST_SEATS_OF_EVENT = 50_000


@dataclass(frozen=True)
class Upload:
    """Seats to be put on sale."""

    tenant: str
    event_id: str
    ticket_type_id: str
    seats: SeatMap

    def partition(self, block: int) -> str:
        """Return the partition of a block of the ticket type's seats."""
        return Keys(self.tenant).seats(self.event_id, self.ticket_type_id, block)

    @property
    def plans(self) -> str:
        """Return the partition of the plan of the ticket type's blocks."""
        return Keys(self.tenant).seat_plans(self.event_id, self.ticket_type_id)

    def plan(self, block: int) -> Key:
        """Return the key of the plan of one block."""
        return Keys(self.tenant).seat_plan(self.event_id, self.ticket_type_id, block)

    def key(self, block: int, place: Place) -> Key:
        """Return the key of a seat of a block."""
        return Keys(self.tenant).seat(self.event_id, self.ticket_type_id, block, place.row, place.seat)


def read_plan(engine: Engine, wanted: Upload) -> Plan:
    """Return the plan as its items say it; where it is just being extended, `write_plan` finds another version."""
    blocks: list[dict[str, frozenset[str]]] = []
    after = None
    while True:
        page = engine.store.query(wanted.plans, after=after)
        for raw in page.items:
            rows = read(SeatPlanItem, raw).rows.attribute_values
            blocks.append({row: frozenset(out_of_ranges(str(seats))) for row, seats in rows.items()})
        after = page.after
        if after is None:
            return Plan(blocks)


def write_plan(engine: Engine, wanted: Upload, item: TicketTypeItem, plan: Plan, further: Plan) -> bool:
    """Write a plan that extends the one read, under the version of its ticket type; return whether it is written.

    One transaction: the ticket type, the event's count of seats, the plans of the blocks that change. Raises
    SeatMapFull where the event would have too many.
    """
    new = sum(further.sizes) - sum(plan.sizes)
    if new > MOST_SEATS_OF_EVENT:
        raise SeatMapFull
    given = Keys(wanted.tenant).counter(f"seats.{wanted.event_id}")
    room = CounterItem.last.does_not_exist() | (CounterItem.last <= MOST_SEATS_OF_EVENT - new)
    actions = [
        TicketTypeItem.rows.set(further.rows),
        TicketTypeItem.blocks.set(further.sizes),
        TicketTypeItem.quantity.set(sum(further.sizes)),
        TicketTypeItem.version.add(1),
    ]
    guarded = Update(item.key, actions, TicketTypeItem.version == item.version)
    counted = Update(given, [CounterItem.last.add(new)], room)
    writes: list[Write] = [guarded, counted, *_changed(wanted, plan, further)]
    try:
        engine.store.transact(writes)
    except Contended:
        return False
    except Cancelled as refusal:
        if refusal.contended:
            return False
        if guarded.key not in (seen := refusal.seen(writes)) and counted.key in seen:
            raise SeatMapFull from refusal
        return False
    return True


def _changed(wanted: Upload, plan: Plan, further: Plan) -> list[Put]:
    """Return the writes of those blocks of a plan that are new or have more seats than before.

    Each is conditional on its block being as it was read: a query may meet a transaction half way (AWS: isolation
    levels of transactions), so that the ticket type's version alone does not vouch for what was read beside it.
    """
    before = dict(enumerate(plan.blocks))
    return [
        Put(
            SeatPlanItem(*wanted.plan(number), rows=_stored(block)),
            SeatPlanItem.rows == _stored(before[number]) if number in before else SeatPlanItem.pk.does_not_exist(),
        )
        for number, block in enumerate(further.blocks)
        if block != before.get(number)
    ]


def _stored(block: Mapping[str, frozenset[str]]) -> dict[str, str]:
    return {row: in_ranges(sorted(seats, key=order_of)) for row, seats in block.items()}
