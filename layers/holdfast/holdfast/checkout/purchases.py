"""Purchases of tickets to events: what a user holds is bought, as a free or externally paid order.

What is bought is named seat by seat, and may be part of a reservation or of several. Exactly one whole reservation is
confirmed as it is; anything else is split off, and confirmed as a reservation of its own (PROTOCOL.md 15). Unlike a
confirmation that money calls for, a purchase looks at the clock: a client buys what it holds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from holdfast.checkout import sales
from holdfast.checkout.sales import Sale, Seen, completed
from holdfast.platform.dynamodb import Update, read
from holdfast.platform.errors import Fault, MixedCurrencies, PurchaseNotFound, SeatsNotHeld, TooManyLines
from holdfast.platform.items import LineMap, OrderItem, ReservationItem, UnitItem
from holdfast.platform.tables import Key, Keys, tenant_of
from holdfast.reservations.basket import MAX_LINES
from holdfast.reservations.ending import confirming
from holdfast.reservations.engine import Engine, LineRequest, merged
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.splitting import Part, bought, in_time, selling, splitting
from holdfast.reservations.states import State

SOURCE = "tickets"
"""The source of the reservations from which tickets are bought."""

_Thing = tuple[str, str | None, str | None, str | None, str | None]


@dataclass(frozen=True)
class TicketPurchase:
    """A wish to buy of what a user holds: lines of the kinds `seat` and `ticket`, no seat twice."""

    tenant: str
    user: str
    lines: Sequence[LineRequest]
    keyed: KeyedRequest | None = None


def check_out(engine: Engine, purchase: TicketPurchase) -> str:
    """Buy exactly what the lines name and return the purchase's id; what else the user holds stays held.

    Written in one transaction: what is bought as a confirmed reservation, the reservations that it was part of, the
    seats and shards, the order, the idempotency record. Raises SeatsNotHeld naming every line that the user does not
    hold, MixedCurrencies, TooManyLines, IdempotencyKeyReused and Busy.
    """
    if len(merged(purchase.lines)) > MAX_LINES:
        raise TooManyLines
    number = token_hex(16)
    key = Keys(purchase.tenant).order(purchase.user, number)
    answer = sales.make(
        engine,
        key,
        purchase.keyed,
        lambda seen: _buying(engine, purchase, number, seen),
        lambda order: {"purchase_id": order.id},
    )
    return str(answer["purchase_id"])


def find(engine: Engine, tenant: str, purchase_id: str, viewer: str | None) -> OrderItem:
    """Return a purchase of tickets; `viewer`, where given, must be its own. Raises PurchaseNotFound."""
    key = Keys(tenant).by_order_id(purchase_id)
    order = None if key is None else engine.store.get(OrderItem, key)
    if order is None or viewer not in (None, order.user_id) or order.lines[0].event_id is None:
        raise PurchaseNotFound
    return order


def event_of(purchase: OrderItem) -> str:
    """Return the id of the event whose tickets were bought."""
    event_id = purchase.lines[0].event_id
    assert event_id is not None
    return event_id


def _buying(engine: Engine, purchase: TicketPurchase, number: str, seen: Seen) -> Sale:
    keys = Keys(purchase.tenant)
    now = engine.clock.now()
    parts = _parts(_held(engine, purchase, now), merged(purchase.lines), seen)
    if len({line.currency for part in parts for line in part.lines}) > 1:
        raise MixedCurrencies
    key = keys.order(purchase.user, number)
    if len(parts) == 1 and not parts[0].rest:
        record = parts[0].parent
        confirmed, *claims = confirming(record, now, {})
        assert isinstance(confirmed, Update)
        return Sale(completed(key, record, now), [replace(confirmed, condition=in_time(record, now))], claims)
    child = bought(parts, keys.reservation(purchase.user, "checkout", number))
    return Sale(completed(key, child, now), splitting(parts, child, now), selling(parts, child))


def _held(engine: Engine, purchase: TicketPurchase, now: int) -> list[ReservationItem]:
    """Return the user's unexpired reservations of tickets, the oldest first."""
    held: list[ReservationItem] = []
    after = None
    while True:
        page = engine.store.query(Keys(purchase.tenant).user(purchase.user), "R#", after=after)
        found = (read(ReservationItem, raw) for raw in page.items)
        held += [
            item for item in found if item.source == SOURCE and item.status == State.HELD and item.expires_at > now
        ]
        after = page.after
        if after is None:
            return sorted(held, key=lambda item: item.created_at)


def _parts(held: Sequence[ReservationItem], lines: Sequence[LineRequest], seen: Seen) -> list[Part]:
    """Return from which of the reservations to take what; from one whole reservation, where that is all of it.

    Raises SeatsNotHeld naming every line of which they have too little.
    """
    wanted = Counter({_thing(line): line.quantity for line in lines})
    left = Counter(wanted)
    holders = _holders(held, seen)
    parts = []
    for record in sorted(held, key=lambda record: _has(record) != wanted):
        quantities = [
            min(line.quantity, left[_thing(line)]) if holders.get(_thing(line), record.key) == record.key else 0
            for line in record.lines
        ]
        left.subtract({_thing(line): here for line, here in zip(record.lines, quantities, strict=True)})
        if any(quantities):
            parts.append(Part(record, quantities))
    missing = [line.field for line in lines if left[_thing(line)]]
    if missing:
        raise SeatsNotHeld(faults=[Fault(name, "The user does not hold this.", SeatsNotHeld.code) for name in missing])
    return parts


def _holders(held: Sequence[ReservationItem], seen: Seen) -> dict[_Thing, Key | None]:
    """Return by seat which of the reservations holds it, None for one that was seen to be another's.

    Two may say that they do where clocks differ: the newer one took over what the older one had lost.
    """
    holders: dict[_Thing, Key | None] = {}
    for record in held:
        seats = [line for line in record.lines if line.kind == "seat"]
        for line, name in zip(seats, record.units or (), strict=True):
            key = Keys(tenant_of(record.key)).claimed(name)
            if key not in seen or (seen[key] and read(UnitItem, seen[key]).holder == record.id):
                holders[_thing(line)] = record.key
            else:
                holders.setdefault(_thing(line), None)
    return holders


def _has(record: ReservationItem) -> Counter[_Thing]:
    return Counter({_thing(line): line.quantity for line in record.lines})


def _thing(line: LineMap | LineRequest) -> _Thing:
    """Return what tells the thing of a line from all others."""
    return line.kind, line.event_id, line.ticket_type_id, line.row, line.seat
