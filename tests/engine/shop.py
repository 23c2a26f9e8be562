"""A shop to test in: one tenant's things on a table of its own, a clock moved by hand, and an audit of every item."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from holdfast.catalogue.events.facts import TicketTypeFacts
from holdfast.catalogue.events.lines import BestSeats, NamedSeats
from holdfast.catalogue.experiences.lines import SlotRoom
from holdfast.catalogue.listings import listings
from holdfast.catalogue.listings.lines import ListingRoom
from holdfast.catalogue.products import stock
from holdfast.catalogue.products.facts import ProductFacts
from holdfast.checkout import deals
from holdfast.claims.changes import CounterChange
from holdfast.claims.span import Day, DayChange, Entry, Span, days_of, read_day
from holdfast.platform.dynamodb import MAX_ACTIONS, Put, Store, read
from holdfast.platform.errors import Refused
from holdfast.platform.items import PoolShardItem, ProductItem, ReservationItem, TicketTypeItem, UnitItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Key, Keys, id_of, is_hold, key_of, product_pool
from holdfast.reservations import deal_holds
from holdfast.reservations.basket import Basket
from holdfast.reservations.deal_holds import DealHold, DealRequest
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest, Room
from holdfast.reservations.gate import Gate
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from tests.engine.audit import all_items, audit
from tests.engine.checkouts import machines_of
from tests.engine.rooms import AnyHall

START = 1_700_000_000_000
EVENT, SEATED = "1", "1"
"""The ids of the event and of its ticket type with numbered seats."""

SERVICE = frozenset({"service"})
"""The roles of a service key, which may say that something is paid elsewhere."""

HALL = "1"
HOUR = 3_600_000


class ManualClock:
    """A clock that stands still until it is moved; sleeping moves it."""

    def __init__(self, now: int = START) -> None:
        self._now = now

    def now(self) -> int:
        """Return the milliseconds since the epoch."""
        return self._now

    def forward(self, milliseconds: int) -> None:
        """Move on."""
        self._now += milliseconds

    def sleep(self, seconds: float) -> None:
        """Let a sleep take its time at once."""
        self._now += round(seconds * 1000)


@dataclass
class ListQueue:
    """An expiry queue that keeps what is sent; the first `failing` of each batch are not taken."""

    sent: list[ExpiryMessage] = field(default_factory=list)
    failing: int = 0

    def send(self, messages: Sequence[ExpiryMessage], now: int) -> list[ExpiryMessage]:
        """Keep the messages; return those that could not be sent."""
        self.sent += messages[self.failing :]
        return list(messages[: self.failing])


def first_shard(_: int) -> int:
    """Choose shard 0, always."""
    return 0


class Shop:
    """One warm function's engine and catalogue, and short words for what is asked of them.

    `policy` is what the tenant has set; `gates` makes what each request has to pass, if anything.
    """

    def __init__(
        self,
        store: Store,
        clock: ManualClock | None = None,
        tenant: str = "demo",
        choose: Callable[[int], int] = first_shard,
        attempts: int = 8,
        lengths: HoldLengths | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or ManualClock()
        self.tenant = tenant
        self.policy: Policy = UNSET
        self.gates: Callable[[], Gate | None] = lambda: None
        self.keys = Keys(tenant)
        self.waits: list[float] = []
        retries = Retries(attempts=attempts, sleep=self._sleep, chance=lambda: 0.5)
        self.engine = Engine(store, lengths or HoldLengths(), self.clock, retries, choose)
        self.catalogue = ProductFacts(store, self.clock)
        ticket_types = TicketTypeFacts(store, self.clock)
        self.hall = AnyHall()
        self._rooms: dict[str, Room] = {
            "product": self.catalogue,
            "seat": NamedSeats(ticket_types),
            "best_available": BestSeats(ticket_types),
            "listing": ListingRoom(),
            "venue": self.hall,
            "slot": SlotRoom(store, self.clock),
        }
        self._numbers = count()
        self.machines = machines_of(self.engine)

    def rooms(self, kind: str) -> Room:
        """Return the room for a kind of line."""
        return self._rooms[kind]

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.sleep(seconds)

    def another(self, store: Store | None = None, **wishes: Any) -> "Shop":
        """Return another warm function on the same table and clock, with a memory of its own."""
        other = Shop(store or self.store, self.clock, self.tenant, **wishes)
        other.policy, other.gates = self.policy, self.gates
        return other

    def product(
        self,
        units: int | Sequence[int] = 10,
        price_minor: int = 1_000,
        max_per_user: int | None = None,
        shards: int = 1,
        currency: str = "USD",
    ) -> str:
        """Put a product on sale; units given one by one are laid on as many shards."""
        each = None if isinstance(units, int) else list(units)
        total = units if isinstance(units, int) else sum(units)
        wanted = shards if each is None else len(each)
        enough = max(total, wanted)
        new = stock.NewProduct("Laptop", None, enough, price_minor, currency, max_per_user, wanted * 250)
        made = stock.create(self.engine, self.tenant, new, None)
        product_id = id_of(made.key)
        self._add(made.key, {"total_stock": total - enough})
        for number, here in enumerate(each or [total] * (enough > total)):
            key = self.keys.pool_shard(product_pool(product_id), number)
            shard = self.store.get(PoolShardItem, key)
            assert shard is not None
            update = {"available": here - shard.available, "total": here - shard.total}
            self._add(key, update)
        return product_id

    def seats(self, rows: Mapping[str, int], price_minor: int = 500, max_per_user: int | None = None) -> None:
        """Put more of an event's numbered seats on sale: so many in each row, from 1, all in one block."""
        terms = {"revision": 1, "price_minor": price_minor, "currency": "USD", "on_sale": True}
        key = self.keys.ticket_type(EVENT, SEATED)
        known = self.store.get(TicketTypeItem, key)
        before = known.rows.attribute_values if known is not None and known.rows else {}
        total = sum(rows.values()) + (known.quantity if known is not None else 0)
        numbered = TicketTypeItem(
            *key,
            name="Stalls",
            numbered=True,
            quantity=total,
            rows=dict.fromkeys({**before, **rows}, 0),
            blocks=[total],
            max_per_user=max_per_user,
            version=1,
            created_at=self.clock.now(),
            **terms,
        )
        self.store.write(Put(numbered))
        keys = [self.seat_key(row, seat) for row, seats in rows.items() for seat in range(1, seats + 1)]
        items = [UnitItem(*key, version=1, max_per_user=max_per_user, **terms) for key in keys]
        for first in range(0, len(items), MAX_ACTIONS):
            self.store.transact([Put(item) for item in items[first : first + MAX_ACTIONS]])

    def seat_key(self, row: str, seat: int) -> Key:
        """Return the key of a seat."""
        return self.keys.seat(EVENT, SEATED, 0, row, str(seat))

    def listing(self, seller: str = "seller", price_minor: int = 2_500) -> str:
        """Put a ticket up for resale."""
        offer = listings.Offer("Two for the show", price_minor, "USD")
        return listings.create(self.engine, self.tenant, seller, offer, None).id

    def unit(self, key: Key) -> UnitItem:
        """Return a seat or a listing as it is stored."""
        found = self.store.get(UnitItem, key)
        assert found is not None
        return found

    def day(self, date: str, hall: str = HALL) -> Day:
        """Return a day of a hall's calendar as it is stored."""
        key = self.keys.day(hall, date)
        return read_day(key, self.store.get_raw(key))

    def black_out(self, start: int, end: int, name: str = "1") -> None:
        """Write a blackout into the hall's calendar, day by day, whatever is there."""
        for date in days_of(Span(start, end)):
            added = {f"b-{name}": Entry(start, end, None)}
            self.store.write(DayChange(self.day(date), self.clock.now(), added).write())

    def warm(self, *products: str) -> None:
        """Let this function know products."""
        for product in products:
            Basket(self.engine, self.rooms, self.tenant, "nobody", [LineRequest("product", "", product_id=product)])

    def _add(self, key: Key, amounts: Mapping[str, int]) -> None:
        if any(amounts.values()):
            self.store.write(CounterChange(key, amounts).write())

    def request(self, user: str, key: str, lines: Mapping[str, int], seconds: int | None = None) -> HoldRequest:
        """Return the request to hold `lines` (units by product)."""
        wanted = [
            LineRequest("product", f"items.{place}", units, product_id=product)
            for place, (product, units) in enumerate(lines.items())
        ]
        body = {"lines": dict(lines), "seconds": seconds}
        said = hash_of(body)
        return HoldRequest(self.tenant, user, "reservations", key, said, wanted, seconds, self.policy, self.gates())

    def hold(self, user: str, lines: Mapping[str, int], key: str | None = None, seconds: int | None = None) -> Any:
        """Hold lines for a user; without a key, under one of its own."""
        return hold(self.engine, self.rooms, self.request(user, key or self.new_key(), lines, seconds))

    def new_key(self) -> str:
        """Return an idempotency key that was not used before."""
        return f"key-{next(self._numbers)}-{id(self)}"

    def cart(self, user: str, *lines: LineRequest, key: str | None = None, route: str = "reservations") -> Any:
        """Hold lines of any kinds, which are called items.0, items.1 and so on."""
        wanted = [replace(line, field=f"items.{place}") for place, line in enumerate(lines)]
        body = hash_of([asdict(line) for line in wanted])
        named = (self.tenant, user, route, key or self.new_key(), body, wanted, None)
        return hold(self.engine, self.rooms, HoldRequest(*named, self.policy, self.gates()))

    def keyed(self, user: str, route: str, key: str | None, body: Any) -> KeyedRequest | None:
        """Return the idempotency of a request, where it has a key."""
        return None if key is None else KeyedRequest(self.tenant, user, route, key, hash_of(body))

    def reserve(self, user: str, lines: Mapping[str, int], key: str | None = None) -> list[DealHold]:
        """Add lines to what a user holds, by the older route."""
        wanted = [
            LineRequest("product", f"items.{place}", units, product_id=product)
            for place, (product, units) in enumerate(lines.items())
        ]
        keyed = self.keyed(user, "reserve", key, dict(lines))
        request = DealRequest(self.tenant, user, wanted, keyed, self.policy, self.gates())
        return deal_holds.reserve(self.engine, self.rooms, request)

    def deal(self, user: str, product: str) -> ReservationItem:
        """Return a user's deal hold as it is stored."""
        found = self.store.get(ReservationItem, self.keys.deal_hold(user, product))
        assert found is not None
        return found

    def buy(
        self, user: str, product: str, units: int, key: str | None = None, roles: Collection[str] = SERVICE
    ) -> deals.Order:
        """Check out units of what a user holds of a product, as paid elsewhere."""
        keyed = self.keyed(user, "checkout", key, [product, units])
        purchase = deals.Purchase(self.tenant, user, roles, product, units, None, keyed, self.policy, self.gates())
        return deals.check_out(self.engine, self.machines.checkout, purchase)

    def stored(self, key: Key) -> ReservationItem:
        """Return a reservation as it is stored."""
        found = self.store.get(ReservationItem, key)
        assert found is not None
        return found

    def reservations(self) -> list[ReservationItem]:
        """Return everybody's reservations and deal holds."""
        return [read(ReservationItem, item) for item in all_items(self.store, self.tenant) if is_hold(key_of(item))]

    def message(self, record: ReservationItem) -> ExpiryMessage:
        """Return the message that a hold's expiry calls for."""
        return ExpiryMessage(record.key, record.expires_at)

    def count(self, product: str) -> tuple[int, int, int]:
        """Return how many units are available, held and sold."""
        found = stock.count(self.engine, self.tenant, product)
        return found.available, found.held, found.sold

    def shards(self, product: str) -> list[PoolShardItem]:
        """Return a product's shards."""
        item = self.store.get(ProductItem, self.keys.product(product))
        assert item is not None
        keys = [self.keys.pool_shard(product_pool(product), number) for number in range(item.shards)]
        found = self.store.batch_get(keys)
        return [read(PoolShardItem, found[key]) for key in keys]

    def audit(self, most: Mapping[str, int] | None = None) -> None:
        """Check every invariant of all items; `most` is the highest limit per user that each product ever had."""
        audit(all_items(self.store, self.tenant), self.clock.now(), most)


def units(product: str, quantity: int = 1) -> LineRequest:
    """Return a line for units of a product."""
    return LineRequest("product", "", quantity, product_id=product)


def seat(row: str, number: int) -> LineRequest:
    """Return a line for a seat."""
    return LineRequest("seat", "", event_id=EVENT, ticket_type_id=SEATED, row=row, seat=str(number))


def best(quantity: int) -> LineRequest:
    """Return a line for the best seats there are."""
    return LineRequest("best_available", "", quantity, event_id=EVENT, ticket_type_id=SEATED)


def resale(ticket: str) -> LineRequest:
    """Return a line for a listing."""
    return LineRequest("listing", "", ticket_id=ticket)


def hall(start: int, end: int, venue: str = HALL) -> LineRequest:
    """Return a line for a hall from `start` to `end`, in ms."""
    return LineRequest("venue", "", venue_id=venue, start=start, end=end)


def refusal(attempt: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the field and code of each fault of a refusal that must come."""
    with pytest.raises(Refused) as refused:
        attempt()
    return [(fault.field, fault.code) for fault in refused.value.faults]
