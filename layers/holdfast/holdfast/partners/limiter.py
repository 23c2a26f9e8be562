"""The limiter: at most 30 requests to a partner in any 60 s, whoever makes them (PROTOCOL.md 19).

A grant is a time reserved for one request, and one item remembers the last 30 of them. Its holder waits for the time
and uses it within a second, or drops it. The 30th after any grant is 62 s later: so there is a second for the holder,
and one more for the way to the partner and for clocks that differ, before 31 requests could arrive within 60 s. No
grant is ever given back, whatever becomes of it, and no fault of the store gives one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Cancelled, Contended, Store, Update
from holdfast.platform.errors import Busy
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import LimiterItem
from holdfast.platform.tables import OPERATOR_TENANT, Keys

CLOSED_FOR = 60_000
"""Milliseconds that a partner's 429 closes its limiter for where it does not say until when."""

CLOSED_FOR_AT_MOST = 3_600_000
"""Milliseconds that a 429 closes a limiter for at most, whatever it says."""

CLOSED_WAITED_FOR = 5_000
"""Milliseconds that a closed limiter is waited for at most: whoever waits works for no other partner meanwhile."""


@dataclass(frozen=True)
class Pace:
    """How fast a partner may be asked: `limit` grants in `window` ms, `spacing` ms apart at least.

    A grant is good for `usable` ms from its time on, and reserved at most `ahead` ms before it: what is reserved is
    lost if its holder dies, or if the partner closes.
    """

    limit: int = 30
    window: int = 62_000
    spacing: int = 1_900
    usable: int = 1_000
    ahead: int = 25_000


PACE = Pace()
"""What every partner's limit is: 30 requests in 60 s."""


def next_grant(grants: Sequence[int], now: int, pace: Pace = PACE) -> int:
    """Return the earliest time (ms) that can be granted at `now`, after grants of these times, oldest first."""
    earliest = now
    if grants:
        earliest = max(earliest, grants[-1] + pace.spacing)
    if len(grants) >= pace.limit:
        earliest = max(earliest, grants[-pace.limit] + pace.window)
    return earliest


def left(grants: Sequence[int], now: int, pace: Pace = PACE) -> int:
    """Return how many grants of a window are still to be had at `now` (ms); those to come count as had."""
    return max(0, pace.limit - sum(grant > now - pace.window for grant in grants))


def closing_time(reset_at: int | None, now: int) -> int:
    """Return the time (ms) until which a 429 at `now` closes: what it says, where that is to come and not too far."""
    if reset_at is None or reset_at <= now:
        return now + CLOSED_FOR
    return min(reset_at, now + CLOSED_FOR_AT_MOST)


class Limiter:
    """The limiter of one partner. Whatever the store does not say for certain is no grant."""

    def __init__(self, store: Store, partner: str, clock: Clock, retries: Retries, pace: Pace = PACE) -> None:
        self.key = Keys(OPERATOR_TENANT).partner_limiter(partner)
        self.pace = pace
        self._store = store
        self._clock = clock
        self._retries = retries
        self._closed_until = 0

    def state(self) -> LimiterItem | None:
        """Return what was granted, read consistently; None before the first grant."""
        return self._store.get(LimiterItem, self.key)

    def reserve(self, latest: int) -> int | None:
        """Reserve the time (ms) of one request; None where there is none to be had until `latest` (ms).

        While the next one is too far ahead to be reserved, it is waited for, by each worker for a moment of its own.
        None too where others were faster every time, and, at once, where it is closed for longer than a few seconds.
        Raises Unavailable where the store does not answer: what it may have written is nobody's then.
        """
        while True:
            for attempt in self._retries:
                try:
                    found = self.state()
                    now = self._clock.now()
                    due = self._next(found, now)
                    if due > latest or self._closed(found) - now > CLOSED_WAITED_FOR:
                        return None
                    if due - now > self.pace.ahead:
                        alone = self._retries.chance() * self.pace.spacing
                        self._retries.sleep((due - now - self.pace.ahead + alone) / 1000)
                        break
                    if self._is_granted(found, due):
                        return due
                except Contended:
                    pass
                self._retries.wait(attempt)
            else:
                return None

    def time_left(self, grant: int, found: LimiterItem | None) -> int:
        """Return for how many more ms a grant may be used, by what was just read of the limiter; 0 if it may not be."""
        now = self._clock.now()
        if found is None or grant not in found.grants or now < grant:
            return 0
        if now < self._closed(found):
            return 0
        return max(0, grant + self.pace.usable - now)

    def close(self, until: int) -> None:
        """Let nobody use or reserve a time before `until` (ms); never sooner than closed already.

        Raises Busy where others kept writing, and Unavailable; this limiter itself stays closed even then.
        """
        self._closed_until = max(self._closed_until, until)
        closed_until = LimiterItem.closed_until
        write = Update(
            self.key,
            [closed_until.set(until), LimiterItem.grants.set(LimiterItem.grants | []), LimiterItem.version.add(1)],
            closed_until.does_not_exist() | (closed_until < until),
        )
        for attempt in self._retries:
            try:
                self._store.write(write)
            except Contended:
                self._retries.wait(attempt)
            except Cancelled:
                return  # closed for as long already, be it by a first attempt whose answer was lost
            else:
                return
        raise Busy

    def _next(self, found: LimiterItem | None, now: int) -> int:
        return max(next_grant(found.grants if found else (), now, self.pace), self._closed(found))

    def _closed(self, found: LimiterItem | None) -> int:
        """Return until when (ms) it is closed, by what was read of it and what is known here."""
        return max(self._closed_until, (found.closed_until or 0) if found else 0)

    def _is_granted(self, found: LimiterItem | None, due: int) -> bool:
        """Append a grant to those found; return whether it is there: not where anybody else wrote meanwhile."""
        writer = token_hex(8)
        grants = [*found.grants, due] if found else [due]
        version = LimiterItem.version
        write = Update(
            self.key,
            [
                LimiterItem.grants.set(grants[-self.pace.limit :]),
                version.set(found.version + 1 if found else 1),
                LimiterItem.written_by.set(writer),
            ],
            version == found.version if found else version.does_not_exist(),
        )
        try:
            self._store.write(write)
        except Cancelled as refusal:
            seen = refusal.seen([write]).get(self.key, {})
            return bool(seen.get("written_by", {}).get("S") == writer)
        return True
