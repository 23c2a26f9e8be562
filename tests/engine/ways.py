"""Every way of reserving and of checking out, each in one word: what holds of one has to hold of all."""

from collections.abc import Callable
from typing import Any

from holdfast.catalogue.halls import bookings, venues
from holdfast.catalogue.halls.booking_views import Customer
from holdfast.catalogue.halls.bookings import Wish
from holdfast.catalogue.halls.settings import VenueSettings
from holdfast.catalogue.halls.venues import NewVenue
from holdfast.catalogue.listings import orders
from holdfast.catalogue.listings.lines import ListingRoom
from holdfast.checkout import deals, opening
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import PaymentChoice
from holdfast.claims.span import Span
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import limits_beside
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.box_office import BoxOffice, standing
from tests.engine.shop import HOUR, START, Shop, best, hall, resale, seat, units
from tests.engine.tours import MORNING, Tour, offered, places

DAY = 24 * HOUR
MANY = 6
"""How often each way can be gone."""

USER = "ann"


class Ways:
    """One user's ways to what a shop sells. Each is gone for the `number`th time, from 0, under a key of its own.

    What is bought was held before by another function, which knows of no policy and has no gate.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.free = Shop(shop.store, shop.clock, shop.tenant)
        self.office = BoxOffice(shop)
        self.office.open(seats=3 * MANY, standing=4 * MANY)
        self.product = shop.product(units=100, max_per_user=50)
        self.second = shop.product(units=100)
        Tour(shop).says(offered(MORNING, 10 * MANY))
        self.listings = [shop.listing("eve") for _ in range(2 * MANY)]
        park = NewVenue("Park", "Here", 9, 1, "USD", "UTC", None, VenueSettings())
        venues.create(shop.engine, shop.tenant, park, None)
        self._made: dict[int, Any] = {}

    def product_line(self, number: int) -> ReservationItem:
        return self._cart(number, units(self.product))

    def named_seat(self, number: int) -> ReservationItem:
        return self._cart(number, seat("A", 1 + number))

    def best_seats(self, number: int) -> ReservationItem:
        return self._cart(number, best(2))

    def listing(self, number: int) -> ReservationItem:
        return self._cart(number, resale(self.listings[number]))

    def hall(self, number: int) -> ReservationItem:
        return self._cart(number, hall(START + number * DAY, START + number * DAY + HOUR))

    def places(self, number: int) -> ReservationItem:
        return self._cart(number, places(adult=1, child=1))

    def mixed(self, number: int) -> ReservationItem:
        return self._cart(number, units(self.product), seat("A", 1 + number), units(self.second, 2))

    def deal(self, number: int) -> Any:
        return self.shop.reserve(USER, {self.product: 1}, f"deal-{number}")

    def deal_without_a_key(self, _: int) -> Any:
        return self.shop.reserve(USER, {self.product: 1})

    def deals_in_bulk(self, number: int) -> Any:
        return self.shop.reserve(USER, {self.product: 1, self.second: 2}, f"bulk-{number}")

    def tickets(self, number: int) -> ReservationItem:
        return self.office.reserve(USER, seat("B", 1 + number), standing(1), key=f"tickets-{number}")

    def marketplace_order(self, number: int) -> Any:
        shop = self.shop
        names = (shop.tenant, USER, self.listings[MANY + number], f"order-{number}", "body")
        wanted = orders.Purchase(*names, policy=shop.policy, gate=shop.gates())
        return orders.create(shop.engine, lambda _: ListingRoom(), wanted)

    def booking(self, number: int) -> Any:
        shop = self.shop
        start = START + (30 + number) * DAY
        keyed = KeyedRequest(shop.tenant, USER, "bookings", f"booking-{number}", "body")
        venue = venues.get(shop.engine, shop.tenant, "1")
        wanted = Wish(keyed, venue, Span(start, start + HOUR), Customer(USER), policy=shop.policy, gate=shop.gates())
        return bookings.replayed(shop.engine, keyed) or bookings.book(shop.engine, wanted)

    def checkout(self, number: int) -> OrderItem:
        return self._opened(self._once(number, lambda: self.free.cart(USER, units(self.second))), number)

    def checkout_of_a_deal(self, number: int) -> OrderItem:
        def held() -> ReservationItem:
            self.free.reserve(USER, {self.second: 1})
            return self.free.deal(USER, self.second)

        shop, hold = self.shop, self._once(number, held)
        card = PaymentChoice("sandbox", "tok_success")
        return deals.open_whole(shop.engine, hold, lambda _: card, self._keyed(hold, number), self._clearance(hold))

    def older_checkout(self, number: int) -> Any:
        self._once(0, lambda: self.free.reserve(USER, {self.product: 2 * MANY}))
        return self.shop.buy(USER, self.product, 1, f"buy-{number}")

    def tickets_bought_whole(self, number: int) -> OrderItem:
        self._once(number, lambda: BoxOffice(self.free).reserve(USER, seat("B", 1 + number)))
        return self.office.buy(USER, seat("B", 1 + number), key=f"tickets-{number}")

    def tickets_bought_in_part(self, number: int) -> OrderItem:
        self._once(0, lambda: BoxOffice(self.free).reserve(USER, standing(2 * MANY)))
        return self.office.buy(USER, standing(1), key=f"tickets-{number}")

    def _once(self, number: int, make: Callable[[], Any]) -> Any:
        if number not in self._made:
            self._made[number] = make()
        return self._made[number]

    def _cart(self, number: int, *lines: LineRequest) -> ReservationItem:
        found: ReservationItem = self.shop.cart(USER, *lines, key=f"cart-{number}")
        return found

    def _opened(self, held: ReservationItem, number: int) -> OrderItem:
        card, keyed = PaymentChoice("sandbox", "tok_success"), self._keyed(held, number)
        return opening.open_order(self.shop.engine, held, card, keyed, self._clearance(held))

    def _keyed(self, held: ReservationItem, number: int) -> KeyedRequest:
        return KeyedRequest(self.shop.tenant, USER, "check-out-reservation", f"order-{number}", held.id)

    def _clearance(self, held: ReservationItem) -> Clearance:
        return Clearance(limits_beside(held.key), self.shop.policy, self.shop.gates())


Way = Callable[[Ways, int], Any]

RESERVING: dict[str, Way] = {
    "product": Ways.product_line,
    "named seat": Ways.named_seat,
    "best seats": Ways.best_seats,
    "listing": Ways.listing,
    "hall": Ways.hall,
    "places": Ways.places,
    "mixed cart": Ways.mixed,
    "deal": Ways.deal,
    "deals in bulk": Ways.deals_in_bulk,
    "tickets": Ways.tickets,
    "marketplace order": Ways.marketplace_order,
    "booking": Ways.booking,
}
"""Keyed; besides them there is `Ways.deal_without_a_key`."""

CHECKING_OUT: dict[str, Way] = {
    "checkout": Ways.checkout,
    "checkout of a deal": Ways.checkout_of_a_deal,
    "older checkout": Ways.older_checkout,
    "tickets, whole": Ways.tickets_bought_whole,
    "tickets, in part": Ways.tickets_bought_in_part,
}
