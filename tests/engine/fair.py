"""A fair to test in: something of every kind, a cart of ten lines of it, and the steps of its checkout."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.claims.span import midnight
from holdfast.claims.unit import is_free
from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.items import CounterItem, ReservationItem
from holdfast.reservations.checking_out import begin
from holdfast.reservations.ending import lapse
from holdfast.reservations.engine import LineRequest
from tests.engine.faults import Trouble, conflict, crash_after, crash_before, silence_after, throttled
from tests.engine.shop import HOUR, ManualClock, Shop, hall, resale, seat, units

LENGTH = 600_000
EVENING = midnight("2023-12-02") + 22 * HOUR
TROUBLES: dict[str, Trouble] = {
    "conflict": conflict,
    "throttled": throttled,
    "crash before": crash_before,
    "crash after": crash_after,
}
EVERY_TROUBLE = TROUBLES | {"lost answer": silence_after}
SINGLES = ("seat", "listing", "day")
"""What of the fair's cart is claimed one by one."""

TO_PAY = 900
"""Seconds to pay in, longer than a hold lasts."""


@dataclass
class Fair:
    """A shop with something of every kind, and a cart of ten lines of it."""

    shop: Shop
    products: list[str]
    tickets: list[str]

    @property
    def lines(self) -> list[LineRequest]:
        """Ten lines: products on one shard and on several, seats, listings, two halls over midnight."""
        plain, limited, scattered = self.products
        return [
            seat("A", 1),
            units(plain, 2),
            hall(EVENING, EVENING + 5 * HOUR),
            resale(self.tickets[0]),
            seat("B", 7),
            units(limited, 2),
            units(scattered, 4),
            hall(EVENING, EVENING + 3 * HOUR, "2"),
            resale(self.tickets[1]),
            seat("B", 8),
        ]

    def is_untouched(self) -> bool:
        """Return whether everything can be had, as before anybody came."""
        shop = self.shop
        keys = [shop.seat_key("A", 1), shop.seat_key("B", 7), shop.seat_key("B", 8)]
        keys += [shop.keys.listing(ticket) for ticket in self.tickets]
        days = [shop.day(date, venue) for date in ("2023-12-02", "2023-12-03") for venue in ("1", "2")]
        return (
            [shop.count(product) for product in self.products] == [(10, 0, 0), (3, 0, 0), (6, 0, 0)]
            and all(is_free(shop.unit(key), shop.clock.now()) for key in keys)
            and not any(day.live(shop.clock.now()) for day in days)
        )


def opened(shop: Shop) -> Fair:
    """Put something of every kind on sale, and return the fair."""
    shop.seats({"A": 3, "B": 9})
    products = [shop.product(), shop.product(units=3, max_per_user=2), shop.product(units=[2, 2, 2])]
    return Fair(shop, products, [shop.listing("eve"), shop.listing("eve")])


def single(fair: Fair, kind: str) -> LineRequest:
    """Return a line that wants one thing, or some hours, of the fair's cart."""
    late = hall(EVENING + 4 * HOUR, EVENING + 6 * HOUR)
    return {"seat": seat("B", 8), "listing": resale(fair.tickets[0]), "day": late}[kind]


def later(shop: Shop, milliseconds: int) -> Shop:
    """Return another warm function, whose clock is ahead."""
    return Shop(shop.store, ManualClock(shop.clock.now() + milliseconds), shop.tenant)


def counts(fair: Fair) -> list[tuple[int, int, int]]:
    """Return what is available, held and sold of each product."""
    return [fair.shop.count(product) for product in fair.products]


def times(fair: Fair, record: ReservationItem) -> set[int | None]:
    """Return until when the units and days of a reservation are held."""
    shop = fair.shop
    keys = [shop.keys.claimed(name) for name in record.units or ()]
    days = [shop.day(date, venue) for date in ("2023-12-02", "2023-12-03") for venue in ("1", "2")]
    entries = [entry for day in days for name, entry in day.entries.items() if name.startswith(record.id)]
    assert len(entries) == 4
    return {*(shop.unit(key).held_until for key in keys), *(entry.held_until for entry in entries)}


def in_checkout(fair: Fair, attempt: int = 1) -> ReservationItem:
    """Return the cart of ten lines in checkout."""
    return begin(fair.shop.engine, fair.shop.cart("ann", *fair.lines).key, attempt, TO_PAY)


def expired(shop: Shop, *lines: LineRequest, user: str = "ann") -> ReservationItem:
    """Return a reservation whose time is over, and which has given everything back."""
    held = shop.cart(user, *lines)
    shop.clock.forward(LENGTH)
    assert lapse(shop.engine, held.key, held.expires_at).status == "expired"
    return shop.stored(held.key)


@dataclass(frozen=True)
class Marker:
    """Something that a step writes beside itself, once, and that tells whether it was made."""

    shop: Shop
    name: str = "marker"

    def is_there(self) -> bool:
        """Return whether it was written."""
        return self.shop.store.get(CounterItem, self.shop.keys.counter(self.name)) is not None

    def beside(self, _: ReservationItem) -> Sequence[Write]:
        """Return the write of it."""
        key = self.shop.keys.counter(self.name)
        return [Put(CounterItem(*key, last=1), CounterItem.pk.does_not_exist())]
