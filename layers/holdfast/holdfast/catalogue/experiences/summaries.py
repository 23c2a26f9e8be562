"""Days in short: from which price a day can be had, and what of it falls short.

A summary is made of all of the day's slots as they are, after any of them changed. Whoever makes it has read its
version before the slots, and writes only over that one: so the last to write has read everything that was there to
read, however many make it at once. It is written though it says nothing new, for somebody may be about to write what
they read earlier. What falls short is kept by itself too, in the same transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from holdfast.catalogue.experiences.numbers import kept_until
from holdfast.claims.slot import PaxTerms, Slot, read_slot
from holdfast.platform.dynamodb import (
    MAX_ACTIONS,
    Cancelled,
    Contended,
    Delete,
    Put,
    RawItem,
    Store,
    Update,
    Write,
    read,
)
from holdfast.platform.errors import Busy
from holdfast.platform.items import DaySummaryItem, ShortageItem, SlotDayItem
from holdfast.platform.logs import logger
from holdfast.platform.metrics import count
from holdfast.platform.tables import Key, Keys, is_slot, key_of
from holdfast.reservations.engine import Engine

_HEADER = "-"

_SHORTAGE_KEPT = timedelta(days=3)
"""How long a shortage is kept after its day began in UTC."""

_logger = logger()


class Price(NamedTuple):
    """What one place costs, and what it did, in minor units."""

    final_minor: int
    original_minor: int
    currency: str


class PriceUntil(NamedTuple):
    """From which price a day can be had, before the moment (ms) at which the last slot of that price begins."""

    until: int
    price: Price


@dataclass(frozen=True)
class Day:
    """All that is known of an experience's day, as one query read it."""

    header: SlotDayItem | None
    slots: Sequence[Slot]


class DayOfSlot(NamedTuple):
    """The day that a slot is on."""

    tenant: str
    experience_id: str
    date: str


def read_day(store: Store, keys: Keys, experience_id: str, date: str) -> Day:
    """Return the day; one query, as long as it fits into a megabyte."""
    items = store.query_all(keys.slots(experience_id, date))
    header = next((read(SlotDayItem, raw) for raw in items if key_of(raw).sk == _HEADER), None)
    return Day(header, [read_slot(raw) for raw in items if key_of(raw).sk != _HEADER])


def price_to_have(slot: Slot) -> Price | None:
    """Return the lowest payable price of what can still be had of a slot: free only where all of that is free."""
    to_have = [terms for terms in slot.pax if terms.on_sale and slot.left(terms.type) >= max(1, terms.minimum)]
    return _lowest(_price(slot, terms) for terms in to_have) if slot.on_sale else None


def price_to_show(slot: Slot) -> Price | None:
    """Return the same, or where nothing can be had the lowest payable price of all that was on sale."""
    return price_to_have(slot) or _lowest(_price(slot, terms) for terms in slot.pax if terms.on_sale)


def prices_of_day(slots: Iterable[Slot]) -> list[PriceUntil]:
    """Return the lowest payable prices of a day, one after another as its slots begin and cannot be had any more.

    Where slots are in several currencies, the price is in that of the earliest which has not begun.
    """
    lowest: dict[str, Price] = {}
    prices: dict[int, Price] = {}
    for slot in sorted(slots, key=lambda slot: (slot.starts_at, slot.key.sk), reverse=True):
        price = price_to_have(slot)
        if price is not None:
            best = _lowest([price, lowest.get(price.currency, price)]) or price
            lowest[price.currency] = prices[slot.starts_at] = best
    steps: list[PriceUntil] = []
    for until, price in prices.items():
        if not steps or steps[-1].price != price:
            steps.append(PriceUntil(until, price))
    return steps[::-1]


def price_at(summary: DaySummaryItem, now: int) -> Price | None:
    """Return from which price a day can be had at `now` (ms); None where nothing can, or not any more."""
    if summary.until is None:
        return None
    steps: list[Any] = [[summary.until, summary.final_minor, summary.original_minor, summary.currency]]
    steps += json.loads(summary.then or "[]")
    return next((Price(*price) for until, *price in steps if now < until), None)


def in_time(slot: Slot) -> tuple[str, str]:
    """Return by what slots are in order: by when they begin."""
    return slot.start_time, slot.key.sk


def day_changed(new: RawItem, old: RawItem | None) -> DayOfSlot | None:
    """Return the day of a slot of which something changed that its summary tells; None where nothing did.

    `new` and `old` are what an item was after and before it was written; most of them are no slots.
    """
    key = key_of(new)
    if not is_slot(key) or key.sk == _HEADER or _told(new) == _told(old):
        return None
    tenant, _, experience_id, date = key.pk.split("#")
    return DayOfSlot(tenant, experience_id, date)


def refresh(
    engine: Engine, keys: Keys, experience_id: str, date: str, *, synced_at: int | None = None, zone: str | None = None
) -> None:
    """Make the day's summary anew of its slots, by one query and one conditional write.

    `synced_at` (ms) and `zone` are those of an answer that was taken in whole just now. Raises Busy.
    """
    place = keys.day_summary(experience_id, date)
    for attempt in engine.retries:
        known = engine.store.get(DaySummaryItem, place)
        day = read_day(engine.store, keys, experience_id, date)
        now = engine.clock.now()
        was = _read_short(known)
        is_short = {slot.key.sk: slot.missing for slot in day.slots if slot.missing}
        differing = [slot_id for slot_id in sorted({*was, *is_short}) if was.get(slot_id) != is_short.get(slot_id)]
        written = {slot_id: is_short.get(slot_id, 0) for slot_id in differing[: MAX_ACTIONS - 1]}
        told = {slot_id: missing for slot_id, missing in {**was, **written}.items() if missing}
        summary = _summary(place, known, day, told, synced_at, zone, now)
        condition = DaySummaryItem.pk.does_not_exist() if known is None else DaySummaryItem.version == known.version
        shortages = [_shortage(keys, experience_id, date, *each, now) for each in written.items()]
        try:
            engine.store.make([Put(summary, condition), *shortages])
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
            continue
        _warn(keys.tenant, experience_id, date, {name: by for name, by in written.items() if by > was.get(name, 0)})
        if len(written) == len(differing):
            return
    raise Busy


def seen_again(engine: Engine, keys: Keys, experience_id: str, date: str, synced_at: int) -> None:
    """Say in the day's summary that the partner said the same when asked at `synced_at` (ms). Raises Busy."""
    actions = [DaySummaryItem.synced_at.set(synced_at), DaySummaryItem.version.add(1)]
    update = Update(keys.day_summary(experience_id, date), actions, DaySummaryItem.synced_at < synced_at)
    for attempt in engine.retries:
        try:
            engine.store.write(update)
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled:
            return
        else:
            return
    raise Busy


def _lowest(prices: Iterable[Price]) -> Price | None:
    known = list(prices)
    return min((price for price in known if price.final_minor), default=min(known, default=None))


def _price(slot: Slot, terms: PaxTerms) -> Price:
    return Price(terms.final_minor, terms.original_minor, slot.currency)


def _told(raw: RawItem | None) -> tuple[Price | None, int, int]:
    """Return what a day's summary tells of one of its slots."""
    if raw is None:
        return None, 0, 0
    slot = read_slot(raw)
    price = price_to_have(slot)
    return price, slot.starts_at if price else 0, slot.missing


def _summary(
    place: Key,
    known: DaySummaryItem | None,
    day: Day,
    short: Mapping[str, int],
    synced_at: int | None,
    zone: str | None,
    now: int,
) -> DaySummaryItem:
    steps = prices_of_day(day.slots)
    until, price = steps[0] if steps else (None, None)
    then = [[later, *costs] for later, costs in steps[1:]]
    stamps = (synced_at, day.header.synced_at if day.header else None, known.synced_at if known else None)
    return DaySummaryItem(
        *place,
        final_minor=price.final_minor if price else None,
        original_minor=price.original_minor if price else None,
        currency=price.currency if price else None,
        until=until,
        then=json.dumps(then, separators=(",", ":")) if then else None,
        short=json.dumps(short) if short else None,
        zone=zone or (known.zone if known else None),
        synced_at=max((stamp for stamp in stamps if stamp is not None), default=None),
        version=known.version + 1 if known else 1,
        ttl=kept_until(now),
    )


def _read_short(known: DaySummaryItem | None) -> dict[str, int]:
    return json.loads(known.short) if known is not None and known.short else {}


def _shortage(keys: Keys, experience_id: str, date: str, slot_id: str, missing: int, now: int) -> Write:
    """Return the write that says by how many places a slot falls short, or that it does no longer."""
    place = keys.shortage(keys.slot(experience_id, date, slot_id))
    if not missing:
        return Delete(place)
    return Put(
        ShortageItem(
            *place,
            experience_id=experience_id,
            date=date,
            slot_id=slot_id,
            missing=missing,
            seen_at=now,
            ttl=_shortage_kept_until(date),
        )
    )


def _shortage_kept_until(date: str) -> int:
    """Return until when (s) a shortage is kept of a day that is over by then in any time zone."""
    return round((datetime.fromisoformat(date).replace(tzinfo=UTC) + _SHORTAGE_KEPT).timestamp())


def _warn(tenant: str, experience_id: str, date: str, missing: Mapping[str, int]) -> None:
    """Say which slots have come to fall short, or by more than before: somebody may have to be turned away."""
    for slot_id, by in missing.items():
        day = {"tenant": tenant, "experience_id": experience_id, "date": date}
        _logger.warning(
            "a partner has fewer places left than are held and sold", extra={**day, "slot_id": slot_id, "missing": by}
        )
    count("SlotShortages", len(missing))
