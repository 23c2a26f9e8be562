"""A fair to test in: something of every kind, and a cart of ten lines of it."""

from dataclasses import dataclass

from holdfast.claims.span import midnight
from holdfast.claims.unit import is_free
from holdfast.reservations.engine import LineRequest
from tests.engine.faults import Trouble, conflict, crash_after, crash_before, throttled
from tests.engine.shop import HOUR, Shop, hall, resale, seat, units

LENGTH = 600_000
EVENING = midnight("2023-12-02") + 22 * HOUR
TROUBLES: dict[str, Trouble] = {
    "conflict": conflict,
    "throttled": throttled,
    "crash before": crash_before,
    "crash after": crash_after,
}


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
