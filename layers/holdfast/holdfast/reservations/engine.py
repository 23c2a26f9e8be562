"""What the engine works with: the store, the clock, chance, what a warm function remembers, the catalogue's rooms."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from holdfast.claims.changes import Change
from holdfast.claims.sold_out import SoldOutMemory
from holdfast.claims.terms import Terms
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import RawItem, Store, Write
from holdfast.platform.errors import Fault
from holdfast.platform.items import LineMap, ReservationItem, SpanMap, limited_as
from holdfast.platform.policy import Policy
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Key, Keys

COUNTED_KINDS = frozenset({"product", "ticket", "best_available", "slot"})
"""Kinds of line of which one may want several: two lines of the same thing are one."""


_NAMES = (
    "product_id",
    "event_id",
    "ticket_type_id",
    "row",
    "seat",
    "ticket_id",
    "title",
    "venue_id",
    "start",
    "end",
    "experience_id",
    "date",
    "slot_id",
)
"""What names the thing of a line; which of them are there depends on its kind."""


@dataclass(frozen=True)
class HoldLengths:
    """How long holds last, in seconds: unless asked otherwise, at most, and by how much one is extended.

    `by_kind` says it of kinds of line that have a time of their own.
    """

    standard: int = 600
    longest: int = 3_600
    extension: int = 300
    by_kind: Mapping[str, int] = field(default_factory=dict)

    def of(self, kinds: Iterable[str], wanted: int | None = None) -> int:
        """Return how long a cart of these kinds is held: as the shortest of them, or as `wanted` if that may be.

        A kind with a time of its own is never held longer than that.
        """
        kinds = set(kinds)
        if wanted is None:
            return min(self.by_kind.get(kind, self.standard) for kind in kinds)
        return min(wanted, *(self.by_kind.get(kind, self.longest) for kind in kinds))

    def under(self, policy: Policy) -> "HoldLengths":
        """Return these lengths as a tenant has set them for itself: its own, never above this longest one."""
        own = {"listing": policy.listing_hold_seconds, "venue": policy.venue_hold_seconds}
        if not (policy.hold_seconds or policy.hold_seconds_max or any(own.values())):
            return self
        longest = min(policy.hold_seconds_max or self.longest, self.longest)
        return HoldLengths(
            min(policy.hold_seconds or self.standard, longest),
            longest,
            self.extension,
            {kind: min(own.get(kind) or seconds, longest) for kind, seconds in self.by_kind.items()},
        )


@dataclass(frozen=True)
class Engine:
    """One warm function's engine; `choose(n)` picks a shard number below n."""

    store: Store
    lengths: HoldLengths = field(default_factory=HoldLengths)
    clock: Clock = field(default_factory=SystemClock)
    retries: Retries = field(default_factory=Retries)
    choose: Callable[[int], int] = random.randrange
    memory: SoldOutMemory = field(default_factory=SoldOutMemory)


@dataclass(frozen=True)
class LineRequest:
    """A line of a request: a kind, and the thing by whatever names things of that kind.

    `field` is what the client's body calls the line; `title` is the store's; `start` and `end` are ms. `pax` says how
    many places of each type are wanted of a slot, in the order of their types; `quantity` is how many that makes.
    """

    kind: str
    field: str
    quantity: int = 1
    product_id: str | None = None
    event_id: str | None = None
    ticket_type_id: str | None = None
    row: str | None = None
    seat: str | None = None
    ticket_id: str | None = None
    title: str | None = None
    venue_id: str | None = None
    start: int | None = None
    end: int | None = None
    experience_id: str | None = None
    date: str | None = None
    slot_id: str | None = None
    pax: tuple[tuple[str, int], ...] = ()

    @property
    def limited_as(self) -> str:
        """Return the name by which a limit per user counts the line."""
        return limited_as(self.product_id, self.event_id, self.ticket_type_id)

    def stored(self, terms: Terms) -> LineMap:
        """Return the line as a reservation keeps it, on these terms."""
        named = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        return LineMap(
            kind=self.kind,
            quantity=self.quantity,
            unit_price_minor=terms.price_minor,
            currency=terms.currency,
            counted=terms.max_per_user is not None,
            **named,
        )

    def with_more(self, other: "LineRequest") -> "LineRequest":
        """Return the one line that wants what both do, under this one's name; both are of the same thing."""
        pax = Counter(dict(self.pax))
        pax.update(dict(other.pax))
        return replace(self, quantity=self.quantity + other.quantity, pax=tuple(sorted(pax.items())))


@dataclass(frozen=True)
class Opening:
    """What a room is told of the request whose line it is asked about; `now` (ms) is when it was read."""

    engine: Engine
    tenant: str
    user: str
    now: int

    @property
    def keys(self) -> Keys:
        """Return the tenant's keys."""
        return Keys(self.tenant)


@dataclass(frozen=True)
class Holding:
    """Who holds (a reservation's public id), from when and until when, in ms."""

    holder: str
    now: int
    until: int


class Demand(Protocol):
    """One line's wish, through all attempts to take it: what it claims where, and what was learnt."""

    line: LineRequest
    unsettled: bool

    @property
    def terms(self) -> Sequence[Terms]:
        """Return the terms believed in, of each thing that is claimed."""
        ...

    def draw_anew(self) -> None:
        """Claim from elsewhere, where that is possible, to get out of another writer's way."""
        ...

    def claimed(self) -> Sequence[Key]:
        """Return the keys of the items that are claimed."""
        ...

    def changes(self, holding: Holding) -> Iterable[Change]:
        """Return the changes that take the claims."""
        ...

    def learn(self, seen: Mapping[Key, RawItem], asked_at: int) -> Fault | None:
        """Take in the claimed items whose conditions failed, as they were since `asked_at` (ms).

        Return why the line cannot be had, once that is proved. `unsettled` is set where nothing is known.
        """
        ...

    def look_again(self) -> Fault | None:
        """Believe of the line's terms what is true now; return why it cannot be had on those."""
        ...

    def watched(self) -> Iterable[Key]:
        """Return the keys of the items to look at for whether this line too stood in the way."""
        ...

    def missing(self, items: Mapping[Key, RawItem], now: int) -> Fault | None:
        """Return why the line could not be had as these items were at `now` (ms); None where it could."""
        ...

    def known_missing(self, now: int) -> Fault | None:
        """Return why the line cannot be had, if that was proved moments ago."""
        ...

    def clashes(self, earlier: "Demand") -> bool:
        """Return whether an earlier line of the same cart wants the same, so that both cannot be had."""
        ...

    def make_room(self, others: Sequence["Demand"]) -> Fault | None:
        """Take in what the other lines of the cart claim; return why this one cannot be had beside them."""
        ...

    def over_limit(self, most: int) -> Fault:
        """Return the fault of a line that is more than one user may have."""
        ...

    def counted(self) -> int:
        """Return how much of what is claimed the user's limit counts."""
        ...

    def counted_back(self) -> int:
        """Return how much of what the user's limit counts the same transaction gives back."""
        ...

    def stored(self) -> Sequence[LineMap]:
        """Return the line as the reservation keeps it, one for each thing that has a name of its own."""
        ...

    def allocation(self) -> Mapping[str, int]:
        """Return the units drawn from shards, by allocation name."""
        ...

    def units(self) -> Sequence[str]:
        """Return the names of the units claimed."""
        ...

    def spans(self) -> Sequence[SpanMap]:
        """Return the spans claimed."""
        ...


class Room(Protocol):
    """What the engine asks of a catalogue room about lines of one kind."""

    def wants(self, tenant: str, line: LineRequest, now: int) -> Sequence[Key]:
        """Return the keys of what has to be read before the line can be offered; nothing where memory knows it.

        What was read seconds ago does no harm where the engine is guarded against it: it looks again before it refuses
        anybody because of that.
        """
        ...

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return the line as a demand, or why there can be none; `items` are what was read."""
        ...


Rooms = Callable[[str], Room]
"""The room for each kind of line."""

Beside = Callable[[ReservationItem], Sequence[Write]]
"""Returns further writes that a step makes in its transaction; their conditions fail for no reason of business."""


def nothing_beside(_: ReservationItem) -> Sequence[Write]:
    """Return no further writes."""
    return ()


def merged(lines: Sequence[LineRequest]) -> list[LineRequest]:
    """Return one line a thing of which one may want several, quantities summed, under the name of its first line."""
    found: dict[tuple[str | None, ...], LineRequest] = {}
    for line in lines:
        thing = _thing(line)
        found[thing] = found[thing].with_more(line) if thing in found else line
    return list(found.values())


def _thing(line: LineRequest) -> tuple[str | None, ...]:
    """Return what tells a line from those that are one with it."""
    if line.kind not in COUNTED_KINDS:
        return (line.field,)
    named = (line.product_id, line.event_id, line.ticket_type_id, line.experience_id, line.date, line.slot_id)
    return (line.kind, *named)
