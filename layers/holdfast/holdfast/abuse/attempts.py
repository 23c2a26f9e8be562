"""How often something is tried: sign-ups, sign-ins, codes. Every try counts, whatever comes of it.

A try is counted before anything is looked at, one write a counter, in windows of the clock: at the turn of two windows
there may be twice as many at once. The count is the write's own answer, so that never more than the limit pass,
however many try together. A write whose answer was lost is sent again and may then count twice: somebody may be
refused a try early, and nobody is let in too often. Where the store does not answer, nobody is let in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Store, Update, read
from holdfast.platform.errors import TooManyRequests
from holdfast.platform.identity_items import AttemptsItem
from holdfast.platform.tables import Keys

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
        address = "" if self.address is None else network_of(self.address)
        return f"{address}\n{(self.account or '').lower()}"


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

    def _count(self, keys: Keys, counter: Counter, now: int) -> None:
        window, gone = divmod(now, counter.seconds)
        left = counter.seconds - gone
        count = Update(
            keys.attempts(counter.what, counter.by_whom, window),
            [AttemptsItem.tried.add(1), AttemptsItem.ttl.set(now + left + _KEPT_SECONDS)],
        )
        if read(AttemptsItem, self._store.write(count)).tried > counter.most:
            raise TooManyRequests(counter.most, counter.seconds, left)


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
