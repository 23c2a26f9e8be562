"""The slot claim: places of a partner's slot, counted by pax type, and all of them together.

A slot has a counter of its own beside those of its pax types, and both hold: they stand in one item, so that one update
takes from all of them. What the partner says is apart from what we hold and sold (PROTOCOL.md 18):
`available + held + sold = partner + counted`, of the slot and of each pax type, at all times. `available` is stored, as
conditions cannot add, and is negative once the partner has fewer places left than we hold and sold.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from functools import partial

from holdfast.claims.changes import CounterChange
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.tables import Key

AVAILABLE, HELD, SOLD, PARTNER, COUNTED = "available", "held", "sold", "partner", "counted"
COUNTERS = (AVAILABLE, HELD, SOLD, PARTNER, COUNTED)

RETURNED = "returned"
"""What counts the places that were ever taken back: not there before the first."""


@dataclass(frozen=True)
class OfferedPax:
    """What a partner says of one pax type of a slot: prices in minor units, `minimum` and `maximum` of one booking."""

    type: str
    name: str
    description: str
    minimum: int
    maximum: int
    remaining: int
    is_primary: bool
    final_minor: int
    original_minor: int


@dataclass(frozen=True)
class OfferedSlot:
    """What a partner says of one slot; times are HH:MM in the partner's zone.

    `aside` is whatever else it said, by name: fields that we know nothing of.
    """

    slot_id: str
    start_time: str
    end_time: str | None
    remaining: int
    currency: str
    pax: tuple[OfferedPax, ...]
    aside: Mapping[str, object]


@dataclass(frozen=True)
class PaxTerms:
    """What places of one pax type are sold on; one that the partner no longer has is not `on_sale`."""

    type: str
    name: str
    description: str
    minimum: int
    maximum: int
    is_primary: bool
    final_minor: int
    original_minor: int
    on_sale: bool = True


@dataclass(frozen=True)
class Counters:
    """The counters of a slot, or of one pax type of it.

    `returned` rises with every place that is taken back: `sold` alone does not tell how many were sold since.
    """

    available: int
    held: int
    sold: int
    partner: int
    counted: int
    returned: int = 0


@dataclass(frozen=True)
class Slot:
    """A slot as its item says; `pax` and `by_type` have every pax type that it ever had."""

    key: Key
    revision: int
    on_sale: bool
    start_time: str
    end_time: str | None
    currency: str
    pax: tuple[PaxTerms, ...]
    whole: Counters
    by_type: Mapping[str, Counters]
    asked_at: int
    starts_at: int
    first_seen_at: int
    changed_at: int

    @property
    def missing(self) -> int:
        """Return by how many places the partner falls short of what is held and sold; 0 where it does not."""
        return max(0, *(-counters.available for counters in (self.whole, *self.by_type.values())))

    def left(self, pax_type: str) -> int:
        """Return how many places of a pax type can still be had: never more than the whole slot has."""
        known = self.by_type.get(pax_type)
        return 0 if known is None else max(0, min(self.whole.available, known.available))

    def is_short_of(self, pax_type: str) -> bool:
        """Return whether more places are held and sold than the partner has, of a pax type or of the whole slot."""
        known = self.by_type.get(pax_type)
        return known is not None and min(self.whole.available, known.available) < 0

    def terms_of(self, pax_type: str) -> PaxTerms | None:
        """Return the terms of a pax type; None where the slot has no such type on sale."""
        return next((terms for terms in self.pax if terms.type == pax_type and terms.on_sale), None)


def counter(name: str, pax_type: str) -> str:
    """Return the attribute that counts something of one pax type."""
    return f"{name}#{pax_type}"


def read_slot(raw: RawItem) -> Slot:
    """Return the slot that a raw item says."""
    pax = tuple(PaxTerms(*terms) for terms in json.loads(raw["pax"]["S"]))
    return Slot(
        key=Key(raw["pk"]["S"], raw["sk"]["S"]),
        revision=int(raw["revision"]["N"]),
        on_sale=bool(raw["on_sale"]["BOOL"]),
        start_time=raw["start_time"]["S"],
        end_time=raw["end_time"]["S"] if "end_time" in raw else None,
        currency=raw["currency"]["S"],
        pax=pax,
        whole=_counters(raw, lambda name: name),
        by_type={terms.type: _counters(raw, partial(counter, pax_type=terms.type)) for terms in pax},
        asked_at=int(raw["asked_at"]["N"]),
        starts_at=int(raw["starts_at"]["N"]),
        first_seen_at=int(raw["first_seen_at"]["N"]),
        changed_at=int(raw["changed_at"]["N"]),
    )


def _counters(raw: RawItem, named: Callable[[str], str]) -> Counters:
    """Return the counters of which an item says each under the name that `named` makes of its own."""
    said = {name: int(raw[named(name)]["N"]) for name in COUNTERS}
    return Counters(**said, returned=int(raw.get(named(RETURNED), {"N": "0"})["N"]))


def pax_text(pax: tuple[PaxTerms, ...]) -> str:
    """Return the text that `read_slot` reads the terms of pax types from.

    It is a list for each, without names: every kilobyte of a slot is paid with every write to it.
    """
    return json.dumps([astuple(terms) for terms in pax], separators=(",", ":"), ensure_ascii=False)


def acquire(key: Key, pax: Mapping[str, int], revision: int) -> CounterChange:
    """Return the change that holds so many places of each pax type, if slot and types have them on `revision`'s terms.

    Both limits are the partner's, and both hold.
    """
    add: dict[str, int] = {}
    for pax_type, places in pax.items():
        for name, amount in _moved(AVAILABLE, HELD, pax_type, places).items():
            add[name] = add.get(name, 0) + amount
    return CounterChange(key, add, frozenset(add), equal={"revision": revision})


def on_terms(key: Key, revision: int) -> CounterChange:
    """Return the change that insists on a slot being sold on the terms of `revision`; it is merged with another."""
    return CounterChange(key, {}, equal={"revision": revision})


def confirm(key: Key, pax_type: str, places: int) -> CounterChange:
    """Return the change that sells so many held places."""
    return _change(key, HELD, SOLD, pax_type, places)


def buy(key: Key, pax_type: str, places: int) -> CounterChange:
    """Return the change that sells so many free places, whatever their terms are by now."""
    return _change(key, AVAILABLE, SOLD, pax_type, places)


def release(key: Key, pax_type: str, places: int) -> CounterChange:
    """Return the change that gives so many held places back."""
    return _change(key, HELD, AVAILABLE, pax_type, places)


def take_back(key: Key, pax_type: str, places: int) -> CounterChange:
    """Return the change that puts so many sold places on sale again."""
    returned = CounterChange(key, {RETURNED: places, counter(RETURNED, pax_type): places})
    return _change(key, SOLD, AVAILABLE, pax_type, places).merged(returned)


def _change(key: Key, source: str, target: str, pax_type: str, places: int) -> CounterChange:
    add = _moved(source, target, pax_type, places)
    return CounterChange(key, add, frozenset(add))


def _moved(source: str, target: str, pax_type: str, places: int) -> dict[str, int]:
    return {
        source: -places,
        target: places,
        counter(source, pax_type): -places,
        counter(target, pax_type): places,
    }
