"""How fast a user may go on: what a tenant's limits a minute and its patience ask of the user's own item.

Both are looked at in the transaction of what they guard, by the condition of one update, so that they cost no request
and hold exactly (PROTOCOL.md 26). The first attempt believes that nothing is in the way; where something is, the item
is returned with the refusal, and says what.
"""

from holdfast.claims import lapses, rates
from holdfast.claims.changes import CounterChange
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import TooManyRequests
from holdfast.platform.policy import PatiencePolicy
from holdfast.platform.tables import Key

RESERVES = "reserves"
CHECKOUTS = "checkouts"


class Pace:
    """One user's pace at `what`, through all attempts of one request: at most `limit` a minute, None for any number.

    `lapsing` is how many of the user's watched holds the same transaction finds to have run out.
    """

    def __init__(self, limits: Key, what: str, limit: int | None, patience: PatiencePolicy | None = None) -> None:
        self._limits = limits
        self._what = what
        self._limit = limit
        self._patience = patience
        self._seen: RawItem = {}
        self._lapses = 0
        self._forgotten: int | None = None
        self.lapsing = 0

    @property
    def halvings(self) -> int | None:
        """Return how many times holds are halved, as reservations keep it; None where nobody's patience is tried."""
        if self._patience is None:
            return None
        return max(0, self._lapses + self.lapsing - self._patience.after + 1)

    def shortened(self, seconds: int) -> int:
        """Return how long a hold lasts that is to last for so many seconds."""
        if self._patience is None:
            return seconds
        return min(seconds, max(self._patience.shortest_seconds, seconds >> (self.halvings or 0)))

    def changes(self, now: int) -> list[CounterChange]:
        """Return the changes of the user's item for an attempt made at `now` (ms)."""
        found = []
        if self._limit is not None:
            found.append(rates.count(self._limits, self._what, now, self._most(self._limit), self._seen))
        if self._patience is not None:
            found.append(self._patient(self._patience, now))
        return found

    def learn(self, seen: RawItem, now: int) -> TooManyRequests | None:
        """Take in the user's item as the condition of the attempt made at `now` (ms) saw it.

        Return what the user is told who has to wait; None where another attempt may do.
        """
        self._seen = seen
        if self._patience is not None:
            count, last = lapses.lapses(seen)
            is_long_ago = last is not None and last < self._remembered_since(self._patience, now)
            self._lapses, self._forgotten = (0, last) if is_long_ago else (count, None)
        if self._limit is None or rates.counted(seen, self._what, now) < self._most(self._limit):
            return None
        return TooManyRequests(self._most(self._limit), rates.WINDOW_SECONDS, rates.seconds_left(now))

    def _most(self, limit: int) -> int:
        return max(1, limit >> (self.halvings or 0))

    def _patient(self, patience: PatiencePolicy, now: int) -> CounterChange:
        if self._forgotten is not None:
            return lapses.forget(self._limits, self._forgotten)
        most = max(patience.after - 1, self._lapses + self.lapsing)
        return lapses.at_most(self._limits, most, self._remembered_since(patience, now))

    @staticmethod
    def _remembered_since(patience: PatiencePolicy, now: int) -> int:
        return now - patience.forget_seconds * 1000
