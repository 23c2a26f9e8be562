"""An audit of all items of a tenant: whatever was done to them, they must agree among themselves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from holdfast.claims.limits import counter
from holdfast.claims.slot import Slot, read_slot
from holdfast.claims.span import Day, Entry, Span, days_of, midnight, read_day
from holdfast.platform.dynamodb import RawItem, Store, read
from holdfast.platform.items import PoolShardItem, ReservationItem, UnitItem
from holdfast.platform.tables import (
    Key,
    Keys,
    allocation_name,
    claim_name,
    is_day,
    is_hold,
    is_slot,
    is_unit,
    key_of,
    limits_beside,
    pax_type_allocated,
    tenant_of,
)
from holdfast.reservations.checking_out import GRACE

LIVE = ("held", "checking_out")
COUNTED_KINDS = ("product", "ticket", "slot")
DAY = 86_400_000


def all_items(store: Store, tenant: str) -> list[RawItem]:
    """Return every item of a tenant; nobody else may be writing."""
    found: list[RawItem] = []
    more: dict[str, RawItem] = {}
    while True:
        answer = store._connection.client.scan(TableName=store._table, ConsistentRead=True, **more)
        found += [item for item in answer["Items"] if tenant_of(key_of(item)) == tenant]
        if "LastEvaluatedKey" not in answer:
            return found
        more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def audit(items: Sequence[RawItem], now: int, most: Mapping[str, int] | None = None) -> None:
    """Check every invariant that items must have among themselves at `now` (ms).

    `most` is the highest limit per user that each product ever had.
    """
    records = [read(ReservationItem, item) for item in items if is_hold(key_of(item))]
    for record in records:
        _check_record(record)
    _check_pools(items, records)
    _check_slots(items, records)
    _check_limits(items, records, most or {})
    _check_units(items, records, now)
    _check_days(items, records, now)


def is_within(record: ReservationItem, now: int) -> bool:
    """Return whether everything that a reservation claims must be its own: sold to it, or held within its time."""
    return record.status == "confirmed" or (record.status in LIVE and now < kept_until(record))


def kept_until(record: ReservationItem) -> int:
    """Return until when (ms) a live reservation's units and days are its own: in checkout, beyond the deadline."""
    return record.expires_at + (GRACE if record.status == "checking_out" else 0)


def _has_claims(record: ReservationItem) -> bool:
    """Return whether a reservation has things; a deal hold that was bought whole has given all to its parts."""
    return record.status in LIVE or (record.status == "confirmed" and record.life is None)


def _check_record(record: ReservationItem) -> None:
    live = record.status in LIVE
    assert (record.due is not None) == live, f"{record.key} is {record.status} and due {record.due}"
    assert record.due in (None, record.expires_at)
    assert all(number > 0 for number in record.allocated().values())
    if live:
        assert record.ttl is None, f"{record.key} would be deleted while it holds things"
    if record.status == "confirmed" and record.life is None:
        assert record.ttl is None, f"{record.key} would be deleted, but what it bought would stay sold"
    if record.status == "checking_out":
        assert record.checkout is not None, f"{record.key} is in checkout for nobody"
        assert record.hold_expires_at is not None, f"{record.key} does not know where to go back to"
        assert record.expires_at == record.checkout_until >= record.hold_expires_at, f"{record.key} has its time"
    if _has_claims(record):
        counted = sum(line.quantity for line in record.lines if line.kind in COUNTED_KINDS)
        assert sum(record.allocated().values()) == counted, f"{record.key} has of pools what it says"
        single = [line.kind for line in record.lines if line.kind not in COUNTED_KINDS]
        assert len(record.units or ()) == len([kind for kind in single if kind != "venue"])
        assert len(record.spans or ()) == single.count("venue")


def _check_pools(items: Iterable[RawItem], records: Iterable[ReservationItem]) -> None:
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for record in filter(_has_claims, records):
        shards = {name: units for name, units in record.allocated().items() if pax_type_allocated(name) is None}
        (held if record.status in LIVE else sold).update(shards)
    for item in items:
        key = key_of(item)
        if "#POOL#" not in key.pk:
            continue
        shard = read(PoolShardItem, item)
        assert shard.available + shard.held + shard.sold == shard.total, f"{key} adds up"
        assert min(shard.available, shard.held, shard.sold) >= 0, f"{key} is oversold"
        name = allocation_name(key)
        assert (shard.held, shard.sold) == (held.pop(name, 0), sold.pop(name, 0)), f"{key} is what was taken"
    assert not +held
    assert not +sold


def _check_slots(items: Iterable[RawItem], records: Iterable[ReservationItem]) -> None:
    """Check that every slot and each of its pax types adds up, and has held and sold what reservations say."""
    held: Counter[tuple[Key, str]] = Counter()
    sold: Counter[tuple[Key, str]] = Counter()
    for record in filter(_has_claims, records):
        keys = Keys(tenant_of(record.key))
        for name, places in record.allocated().items():
            if (pax_type := pax_type_allocated(name)) is not None:
                (held if record.status in LIVE else sold)[keys.allocated(name), pax_type] += places
    for slot in _slots(items):
        for counters in (slot.whole, *slot.by_type.values()):
            mine, theirs = counters.available + counters.held + counters.sold, counters.partner + counters.counted
            assert mine == theirs, f"{slot.key} adds up"
            assert min(counters.held, counters.sold) >= 0, f"{slot.key} gave back more than it had"
        assert slot.whole.held == sum(counters.held for counters in slot.by_type.values()), f"{slot.key} is its types"
        assert slot.whole.sold == sum(counters.sold for counters in slot.by_type.values()), f"{slot.key} is its types"
        for pax_type, counters in slot.by_type.items():
            taken = (held.pop((slot.key, pax_type), 0), sold.pop((slot.key, pax_type), 0))
            assert (counters.held, counters.sold) == taken, f"{slot.key} is what was taken of {pax_type}"
    assert not +held
    assert not +sold


def _slots(items: Iterable[RawItem]) -> list[Slot]:
    """Return the slots among items; what is known of a day as a whole is none."""
    return [read_slot(item) for item in items if is_slot(key_of(item)) and key_of(item).sk != "-"]


def _check_limits(items: Iterable[RawItem], records: Iterable[ReservationItem], most: Mapping[str, int]) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    for record in filter(_has_claims, records):
        for line in record.lines:
            counted[limits_beside(record.key).pk, counter(line.limited_as)] += line.quantity * line.counted
    for item in items:
        key = key_of(item)
        for name in item if key.sk == "LIMITS" else ():
            if name.startswith("taken#"):
                taken = int(item[name]["N"])
                assert taken == counted.pop((key.pk, name), 0), f"{key} counts {name}"
                product = name.removeprefix("taken#")
                assert taken <= most.get(product, taken), f"{key} is over {name}"
    assert not +counted, "limits count every counted line"


def _check_units(items: Iterable[RawItem], records: Sequence[ReservationItem], now: int) -> None:
    """Check that every unit has exactly the holder that a reservation says, and no reservation says another's."""
    by_id = {record.id: record for record in records}
    units = {claim_name(key_of(item)): read(UnitItem, item) for item in items if is_unit(key_of(item))}
    for name, unit in units.items():
        if unit.holder is None:
            assert unit.held_until is None, f"{name} is nobody's, and held"
            continue
        holder = by_id[unit.holder]
        assert name in (holder.units or ()), f"{name} is held by {holder.key}, who knows nothing of it"
        _check_time(name, unit.held_until, holder, now)
    for record in records:
        if is_within(record, now) and _has_claims(record):
            for name in record.units or ():
                assert units[name].holder == record.id, f"{record.key} has {name}, which is {units[name].holder}'s"


def _check_days(items: Iterable[RawItem], records: Sequence[ReservationItem], now: int) -> None:
    """Check that no two live spans overlap, and that every reservation's span stands on every day of it."""
    by_id = {record.id: record for record in records}
    days = {key_of(item): read_day(key_of(item), item) for item in items if is_day(key_of(item))}
    for day in days.values():
        _check_apart(day, now)
        for name, entry in day.entries.items():
            start = midnight(day.key.sk)
            assert entry.span.overlaps(Span(start, start + DAY)), f"{name} has no part of {day.key}"
            if name.startswith("b-"):
                assert entry.held_until is None
                continue
            holder = by_id[name.rpartition("~")[0]]
            spans = [(Key(f"{tenant_of(day.key)}#DAY#{span.calendar}", ""), span) for span in holder.spans or ()]
            mine = [(span.start, span.end) for key, span in spans if key.pk == day.key.pk]
            assert (entry.start, entry.end) in mine, f"{name} of {day.key} is not what {holder.key} has"
            _check_time(f"{day.key} {name}", entry.held_until, holder, now)
    for record in records:
        if not (is_within(record, now) and _has_claims(record)):
            continue
        until = None if record.status == "confirmed" else kept_until(record)
        for span in record.spans or ():
            wanted = Entry(span.start, span.end, until)
            for date in days_of(Span(span.start, span.end)):
                day = days[Keys(tenant_of(record.key)).day(span.calendar, date)]
                assert day.entries[f"{record.id}~{span.start}"] == wanted, f"{record.key} on {day.key}"


def _check_apart(day: Day, now: int) -> None:
    """Check that no two entries that are in anybody's way overlap; blackouts may."""
    for (one, first), (two, second) in combinations(day.live(now).items(), 2):
        if not (one.startswith("b-") and two.startswith("b-")):
            assert not first.span.overlaps(second.span), f"{one} and {two} overlap on {day.key}"


def _check_time(name: str, held_until: int | None, holder: ReservationItem, now: int) -> None:
    """Check that a thing is sold, held or lapsed as its holder's state says."""
    if holder.status == "confirmed":
        assert held_until is None, f"{name} is sold, and held until {held_until}"
    elif holder.status in LIVE:
        assert held_until == kept_until(holder), f"{name} is held until {held_until}, not {kept_until(holder)}"
    else:
        assert holder.status == "expired", f"{name} is still that of {holder.key}, which is {holder.status}"
        assert held_until is not None, f"{name} is sold to {holder.key}, which is expired"
        assert held_until <= now
