"""How often something is tried: sign-ups, sign-ins, codes. Every try counts, whatever comes of it.

A try is counted before anything is looked at, one write a counter, in windows of the clock: at the turn of two windows
there may be twice as many at once. The count is the write's own answer, so that never more than the limit pass,
however many try together. A write whose answer was lost is sent again and may then count twice: somebody may be
refused a try early, and nobody is let in too often. Where the store does not answer, nobody is let in.

Where tries at an account are counted wherever they come from, whoever knows an address could use up what its owner
has. So there a try that was right is taken back, which leaves the guesses; and who was right at an account before is
known there, from the same network address, for a month, and not refused for others' guesses.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Cancelled, Store, Update, read
from holdfast.platform.errors import Busy, TooManyRequests, Unavailable
from holdfast.platform.identity_items import AttemptsItem
from holdfast.platform.tables import Key, Keys

_NETWORK_BITS = 64
"""Of an IPv6 address, what is given to one household: it has the rest to choose from."""

_KEPT_SECONDS = 3_600
"""For how long a count is kept beyond its window: clocks differ, and to be late costs nothing."""


@dataclass(frozen=True)
class Counter:
    """Something that may be tried `most` times in `seconds`: from one address, at one account, or by both together.

    `what` is a word of letters, digits and hyphens; letters' case makes no difference in an `account`.
    """

    what: str
    most: int
    seconds: int
    address: str | None = None
    account: str | None = None

    @property
    def by_whom(self) -> str:
        """Return whose tries are counted together; it names people, so it is only ever kept as a digest."""
        return _by_whom(self.address, self.account)


_KNOWN, _KNOWN_SECONDS = "known", 30 * 86_400
"""For how long somebody is known at an account after they last were right there: as long as a session lasts."""


@dataclass(frozen=True)
class Somebody:
    """An account, and the network address from which it is tried."""

    address: str
    account: str


class Attempts:
    """The counts of one warm function, in the identity table."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        """Take the store of the identity table, and the clock whose windows are counted in."""
        self._store = store
        self._clock = clock or SystemClock()

    def count(self, tenant: str, counters: Sequence[Counter]) -> None:
        """Count one try by each counter in turn, up to the first that is above its limit, which refuses it.

        Those after it do not count, so that whoever is refused for an address uses up nobody's account. Raises
        TooManyRequests with what is left of the window, Busy and Unavailable.
        """
        keys = Keys(tenant)
        for counter in counters:
            self._count(keys, counter, self._clock.now() // 1000)

    def count_guess(self, tenant: str, counter: Counter, somebody: Somebody) -> Key:
        """Count one try at an account, and return what takes it back; who is known there is counted, but not refused.

        Raises TooManyRequests, Busy and Unavailable.
        """
        keys, now = Keys(tenant), self._clock.now() // 1000
        try:
            self._count(keys, counter, now)
        except TooManyRequests:
            if not self._is_known(keys, somebody, now):
                raise
        return _counted(keys, counter, now)

    def take_back(self, guess: Key) -> None:
        """Take back a try that was right. In a transaction, which is made once, however often it is sent.

        Where that cannot be done the try stays counted, and nothing is raised: what was tried is done.
        """
        with suppress(Busy, Cancelled, Unavailable):
            self._store.transact([Update(guess, [AttemptsItem.tried.add(-1)])])

    def know(self, tenant: str, somebody: Somebody) -> None:
        """Know somebody at an account from now on; raises nothing where that cannot be written, and they are not."""
        until = self._clock.now() // 1000 + _KNOWN_SECONDS
        actions = [AttemptsItem.tried.set(0), AttemptsItem.ttl.set(until)]
        with suppress(Busy, Unavailable):
            self._store.write(Update(_known(Keys(tenant), somebody), actions))

    def _is_known(self, keys: Keys, somebody: Somebody, now: int) -> bool:
        """Return whether somebody is known, by a write that only those who are make: nothing else may be read here."""
        seen = Update(_known(keys, somebody), [AttemptsItem.tried.add(1)], AttemptsItem.ttl > now)
        try:
            self._store.write(seen)
        except Cancelled:
            return False
        return True

    def _count(self, keys: Keys, counter: Counter, now: int) -> None:
        left = counter.seconds - now % counter.seconds
        actions = [AttemptsItem.tried.add(1), AttemptsItem.ttl.set(now + left + _KEPT_SECONDS)]
        count = Update(_counted(keys, counter, now), actions)
        if read(AttemptsItem, self._store.write(count)).tried > counter.most:
            raise TooManyRequests(counter.most, counter.seconds, left)


def _counted(keys: Keys, counter: Counter, now: int) -> Key:
    return keys.attempts(counter.what, counter.by_whom, now // counter.seconds)


def _known(keys: Keys, somebody: Somebody) -> Key:
    return keys.attempts(_KNOWN, _by_whom(somebody.address, somebody.account), 0)


def _by_whom(address: str | None, account: str | None) -> str:
    """Return whose tries are counted together; it names people, so it is only ever kept as a digest."""
    return f"{'' if address is None else network_of(address)}\n{(account or '').lower()}"


def network_of(address: str) -> str:
    """Return what stands for an address: an IPv6 address's network of 64 bits; what is no address, as it is.

    An IPv4 address that is written as an IPv6 one is the IPv4 address.
    """
    try:
        found = IPv6Address(address.strip().partition("%")[0])
    except AddressValueError:
        return address.strip()
    within: IPv4Address | None = found.ipv4_mapped
    return str(within or IPv6Network((int(found), _NETWORK_BITS), strict=False).network_address)
