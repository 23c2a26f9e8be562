"""What a partner's answer changes of a slot: pure, and one conditional update a slot (PROTOCOL.md 18).

What we hold and sold is never named in such an update. `available` moves by as much as the partner's number did, and by
as much as more of our sales are known to be in that number. Each counter is only moved from what it was read as.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from holdfast.claims.slot import (
    AVAILABLE,
    COUNTED,
    COUNTERS,
    PARTNER,
    Counters,
    OfferedPax,
    OfferedSlot,
    PaxTerms,
    Slot,
    counter,
    pax_text,
)
from holdfast.platform.dynamodb import Update
from holdfast.platform.items import SlotItem
from holdfast.platform.tables import Key

MOST_TYPES = 100
"""The pax types that one slot may ever have had: each stays in its item."""

_MOST_DESCRIPTION = 250
"""Characters of a partner's description that are kept and shown: each kilobyte of a slot is paid with every hold."""

_KEPT_SECONDS = 400 * 86_400


@dataclass(frozen=True)
class Asked:
    """When the partner was asked (ms), for which date in which zone, and when its answer is taken in (ms)."""

    at: int
    date: str
    zone: ZoneInfo
    now: int

    def starts_at(self, time: str) -> int:
        """Return when (ms) that is HH:MM on the date."""
        return round(datetime.fromisoformat(f"{self.date}T{time}").replace(tzinfo=self.zone).timestamp() * 1000)


def kept_until(now: int, starts_at: int = 0) -> int:
    """Return until when (s) something of a day is kept that is written at `now` (ms): for more than a year after."""
    return max(now, starts_at) // 1000 + _KEPT_SECONDS


def has_room(known: Slot | None, offered: OfferedSlot) -> bool:
    """Return whether a slot's item has room for the pax types that it is offered with."""
    types = {pax.type for pax in offered.pax} | ({terms.type for terms in known.pax} if known else set())
    return len(types) <= MOST_TYPES


def added(key: Key, offered: OfferedSlot, asked: Asked) -> Update:
    """Return the update that writes a slot that was not there, with nothing held or sold of it."""
    starts_at = asked.starts_at(offered.start_time)
    said: dict[str, object] = {
        "revision": 1,
        **_terms(True, offered.start_time, offered.end_time, offered.currency, _pax_of(offered), starts_at),
        **_numbers(None, offered.remaining),
        "asked_at": asked.at,
        "first_seen_at": asked.now,
        "changed_at": asked.now,
        "ttl": kept_until(asked.now, starts_at),
    }
    for pax in offered.pax:
        said |= _numbers(pax.type, pax.remaining)
    return Update(key, _set(said), SlotItem.pk.does_not_exist())


def renewed(known: Slot, offered: OfferedSlot, asked: Asked, counted: Mapping[str | None, int]) -> Update | None:
    """Return the update that makes a known slot say what the partner says; None where it does, or says newer things.

    `counted` is how many of our sales the partner's number of each pax type has in it, and under None of the slot.
    """
    if known.asked_at >= asked.at:
        return None
    offered_types = {pax.type for pax in offered.pax}
    gone = [replace(terms, on_sale=False) for terms in known.pax if terms.type not in offered_types]
    pax = (*_pax_of(offered), *gone)
    starts_at = asked.starts_at(offered.start_time)
    terms = _terms(True, offered.start_time, offered.end_time, offered.currency, pax, starts_at)
    was = _terms(known.on_sale, known.start_time, known.end_time, known.currency, known.pax, known.starts_at)
    actions: list[Action] = []
    condition = _as_read(known, asked.at)
    if terms != was:
        actions += _changed_terms(known, terms, asked.now)
        actions.append(SlotItem.ttl.set(kept_until(asked.now, starts_at)))
    moved = _moved(None, known.whole, offered.remaining, counted.get(None, 0))
    for each in offered.pax:
        had = known.by_type.get(each.type)
        if had is None:
            actions += _set(_numbers(each.type, each.remaining))
            condition = condition & Path([counter(PARTNER, each.type)]).does_not_exist()
        else:
            moved += _moved(each.type, had, each.remaining, counted.get(each.type, 0))
    for name, old, new in moved:
        if name.startswith(AVAILABLE):
            actions.append(Path([name]).add(new - old))
        else:
            actions.append(Path([name]).set(new))
            condition = condition & (Path([name]) == old)
    return Update(known.key, [*actions, SlotItem.asked_at.set(asked.at)], condition) if actions else None


def closed(known: Slot, asked_at: int, now: int) -> Update | None:
    """Return the update that takes a slot off sale, whose counters stay; None where it is off, or written since."""
    if not known.on_sale or known.asked_at >= asked_at:
        return None
    actions = [*_changed_terms(known, {"on_sale": False}, now), SlotItem.asked_at.set(asked_at)]
    return Update(known.key, actions, _as_read(known, asked_at))


def counted_of(before: Slot | None, now: Slot) -> Mapping[str | None, int]:
    """Return how many of our sales a partner's number is taken to have in it, by pax type, and under None of all.

    `before` is the slot before the partner was asked. What was sold since then it may not have known, and what was
    given back since then it may have known: counted is what was surely sold all the while, which can only undersell.
    """
    if before is None:
        return {}
    counted: dict[str | None, int] = {
        name: _surely_sold(before.by_type[name], counters)
        for name, counters in now.by_type.items()
        if name in before.by_type
    }
    counted[None] = _surely_sold(before.whole, now.whole)
    return counted


def _surely_sold(before: Counters, now: Counters) -> int:
    return max(0, before.sold - (now.returned - before.returned))


def _pax_of(offered: OfferedSlot) -> tuple[PaxTerms, ...]:
    return tuple(_terms_of(pax) for pax in offered.pax)


def _terms_of(pax: OfferedPax) -> PaxTerms:
    return PaxTerms(
        type=pax.type,
        name=pax.name,
        description=pax.description[:_MOST_DESCRIPTION],
        minimum=pax.minimum,
        maximum=pax.maximum,
        is_primary=pax.is_primary,
        final_minor=pax.final_minor,
        original_minor=pax.original_minor,
    )


def _terms(
    on_sale: bool, start_time: str, end_time: str | None, currency: str, pax: Sequence[PaxTerms], starts_at: int
) -> dict[str, object]:
    """Return what a slot is sold on, by attribute; None for one that it does not have."""
    return {
        "on_sale": on_sale,
        "start_time": start_time,
        "end_time": end_time,
        "currency": currency,
        "pax": pax_text(tuple(pax)),
        "starts_at": starts_at,
    }


def _numbers(pax_type: str | None, remaining: int) -> dict[str, object]:
    """Return the counters of a slot, or of one of its pax types, that nothing is held or sold of, by attribute."""
    said = {**dict.fromkeys(COUNTERS, 0), AVAILABLE: remaining, PARTNER: remaining}
    return {_attribute(name, pax_type): value for name, value in said.items()}


def _moved(pax_type: str | None, had: Counters, partner: int, counted: int) -> list[tuple[str, int, int]]:
    """Return which counters of a slot, or of one of its pax types, are what, and what they are to be."""
    available = had.available + (partner - had.partner) + (counted - had.counted)
    wanted = ((AVAILABLE, had.available, available), (PARTNER, had.partner, partner), (COUNTED, had.counted, counted))
    return [(_attribute(name, pax_type), old, new) for name, old, new in wanted if old != new]


def _attribute(name: str, pax_type: str | None) -> str:
    return name if pax_type is None else counter(name, pax_type)


def _as_read(known: Slot, asked_at: int) -> Condition:
    """Return the condition that a slot is on the terms that it was read with, and says nothing newer."""
    condition: Condition = (SlotItem.revision == known.revision) & (SlotItem.asked_at < asked_at)
    return condition


def _changed_terms(known: Slot, terms: Mapping[str, object], now: int) -> list[Action]:
    return _set({"revision": known.revision + 1, **terms, "changed_at": now})


def _set(said: Mapping[str, object]) -> list[Action]:
    return list(_actions(said.items()))


def _actions(said: Iterable[tuple[str, object]]) -> Iterable[Action]:
    for name, value in said:
        yield Path([name]).remove() if value is None else Path([name]).set(value)
