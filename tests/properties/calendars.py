"""Calendars that must agree: the engine's on DynamoDB, and a plain list of intervals. Operations in, answers out.

A name stands for a booking or a blackout. Times are ms, spans half-open and with their turnaround times already.
"""

from dataclasses import dataclass, field
from typing import Protocol

from holdfast.catalogue.halls import blackouts
from holdfast.catalogue.halls.blackout_steps import Blackout
from holdfast.claims.span import Span, read_day
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import AlreadyExtended, HoldTaken, Refused, ReservationOver, TimeConflict
from holdfast.platform.tables import Key, key_of
from holdfast.reservations.ending import cancel, confirm, lapse, withdraw
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.extension import extend
from tests.engine.shop import ManualClock, Shop, hall

LENGTHS = HoldLengths(standard=10, longest=20, extension=5)
HELD_FOR = LENGTHS.standard * 1_000
EXTENDED_BY = LENGTHS.extension * 1_000

Live = set[tuple[str, str, int, int]]
"""The name, hall, start and end of everything that is in anybody's way."""


class Calendar(Protocol):
    """Any number of halls. Answers are words: done, taken, or over where the booking's state allows no such step."""

    def take(self, name: str, hall: str, span: Span, now: int) -> str:
        """Hold a span for HELD_FOR."""
        ...

    def keep(self, name: str, now: int) -> str:
        """Confirm a booking, which may be past its time."""
        ...

    def let_go(self, name: str, now: int) -> str:
        """Cancel a booking that is held."""
        ...

    def take_back(self, name: str, now: int) -> str:
        """Withdraw a booking that is confirmed."""
        ...

    def prolong(self, name: str, now: int) -> str:
        """Extend a hold, once, by EXTENDED_BY."""
        ...

    def expire(self, name: str, now: int) -> None:
        """Tidy up behind a hold, if its time is past."""
        ...

    def close(self, name: str, hall: str, span: Span, now: int) -> str:
        """Black a span out, which may overlap other blackouts."""
        ...

    def open(self, name: str) -> None:
        """Lift a blackout, if it is there."""
        ...

    def live(self, now: int) -> Live:
        """Return everything that is in anybody's way."""
        ...


@dataclass
class Interval:
    """A booking or a blackout: `until` is None once it is for good, `state` what may become of a booking."""

    hall: str
    span: Span
    until: int | None
    state: str
    extended: bool = False


@dataclass
class Intervals:
    """The plain model: a list, looked through from one end to the other."""

    known: dict[str, Interval] = field(default_factory=dict)

    def take(self, name: str, hall: str, span: Span, now: int) -> str:
        """Hold a span that no live one overlaps."""
        if self._others(name, hall, span, now):
            return "taken"
        self.known[name] = Interval(hall, span, now + HELD_FOR, "held")
        return "done"

    def keep(self, name: str, now: int) -> str:
        """Confirm what is held, whatever the time, unless another has some of it by now."""
        found = self.known[name]
        if found.state != "held":
            return "done" if found.state == "sold" else "over"
        if self._others(name, found.hall, found.span, now):
            return "taken"
        found.state, found.until = "sold", None
        return "done"

    def let_go(self, name: str, now: int) -> str:
        """End what is held."""
        found = self.known[name]
        if found.state == "sold":
            return "over"
        found.state = "gone"
        return "done"

    def take_back(self, name: str, now: int) -> str:
        """End what is sold."""
        found = self.known[name]
        if found.state != "sold":
            return "over"
        found.state = "gone"
        return "done"

    def prolong(self, name: str, now: int) -> str:
        """Hold longer what is held and within its time."""
        found = self.known[name]
        if found.state != "held" or found.until is None or found.until <= now or found.extended:
            return "over"
        found.until, found.extended = found.until + EXTENDED_BY, True
        return "done"

    def expire(self, name: str, now: int) -> None:
        """End what is held and past its time."""
        found = self.known[name]
        if found.state == "held" and found.until is not None and found.until <= now:
            found.state = "gone"

    def close(self, name: str, hall: str, span: Span, now: int) -> str:
        """Black out what no live booking overlaps."""
        if any(other.state != "closed" for other in self._others(name, hall, span, now)):
            return "taken"
        self.known[name] = Interval(hall, span, None, "closed")
        return "done"

    def open(self, name: str) -> None:
        """Forget a blackout."""
        self.known[name].state = "gone"

    def live(self, now: int) -> Live:
        """Return all that are neither gone nor past their time."""
        return {
            (name, found.hall, *found.span)
            for name, found in self.known.items()
            if found.state != "gone" and (found.until is None or found.until > now)
        }

    def _others(self, name: str, hall: str, span: Span, now: int) -> list[Interval]:
        return [
            self.known[other]
            for other, where, start, end in self.live(now)
            if other != name and where == hall and start < span.end and span.start < end
        ]


class EngineCalendar:
    """The engine on DynamoDB Local, by a clock of its own that is moved to each operation's time."""

    def __init__(self, store: Store, halls: tuple[str, ...]) -> None:
        self.clock = ManualClock()
        self.shop = Shop(store, self.clock, lengths=LENGTHS)
        self._halls = halls
        self._bookings: dict[str, Key] = {}
        self._blackouts: dict[str, tuple[str, str]] = {}
        self._names: dict[str, str] = {}

    def take(self, name: str, hall_id: str, span: Span, now: int) -> str:
        """Reserve a cart of one line."""
        self._at(now)
        try:
            held = self.shop.cart("ann", hall(span.start, span.end, hall_id), key=name)
        except Refused as refused:
            return "taken" if refused.code == "time_conflict" else refused.code
        self._bookings[name] = held.key
        self._names[held.id] = name
        return "done"

    def keep(self, name: str, now: int) -> str:
        """Confirm the reservation."""
        self._at(now)
        try:
            confirm(self.shop.engine, self._bookings[name])
        except HoldTaken:
            return "taken"
        except ReservationOver:
            return "over"
        return "done"

    def let_go(self, name: str, now: int) -> str:
        """Cancel the reservation."""
        self._at(now)
        try:
            cancel(self.shop.engine, self._bookings[name])
        except ReservationOver:
            return "over"
        return "done"

    def take_back(self, name: str, now: int) -> str:
        """Withdraw the reservation; one that is cancelled already stays so."""
        self._at(now)
        before = self.shop.stored(self._bookings[name])
        try:
            withdraw(self.shop.engine, before.key)
        except ReservationOver:
            return "over"
        return "over" if before.status == "cancelled" else "done"

    def prolong(self, name: str, now: int) -> str:
        """Extend the reservation."""
        self._at(now)
        try:
            extend(self.shop.engine, self._bookings[name], None, self.shop.new_key())
        except (ReservationOver, AlreadyExtended):
            return "over"
        return "done"

    def expire(self, name: str, now: int) -> None:
        """Give back what the reservation has, if its time is past."""
        self._at(now)
        record = self.shop.stored(self._bookings[name])
        lapse(self.shop.engine, record.key, record.expires_at)

    def close(self, name: str, hall_id: str, span: Span, now: int) -> str:
        """Impose a blackout."""
        self._at(now)
        wanted = Blackout(*span, reason=name, is_maintenance=False)
        try:
            made = blackouts.impose(self.shop.engine, self.shop.tenant, hall_id, wanted, "staff", name)
        except TimeConflict:
            return "taken"
        self._blackouts[name] = (hall_id, made.key.sk)
        self._names[f"b-{made.key.sk}"] = name
        return "done"

    def open(self, name: str) -> None:
        """Lift the blackout."""
        hall_id, blackout_id = self._blackouts[name]
        blackouts.lift(self.shop.engine, self.shop.tenant, hall_id, blackout_id)

    def live(self, now: int) -> Live:
        """Return what stands on any day; the audit sees to it that it stands on every day."""
        self._at(now)
        self.shop.audit()
        found: Live = set()
        for hall_id in self._halls:
            page = self.shop.store.query(self.shop.keys.days(hall_id))
            assert page.after is None
            for day in (read_day(key_of(raw), raw) for raw in page.items):
                for entry_id, entry in day.live(now).items():
                    found.add((self._names[entry_id.partition("~")[0]], hall_id, *entry.span))
        return found

    def _at(self, now: int) -> None:
        self.clock.forward(now - self.clock.now())
