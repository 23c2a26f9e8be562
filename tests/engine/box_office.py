"""A box office to test in: an event with numbered seats and counted tickets, and short words for buying them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace

from holdfast.catalogue.events import events, ticket_types
from holdfast.catalogue.events.events import NewEvent
from holdfast.catalogue.events.facts import TicketTypeFacts
from holdfast.catalogue.events.lines import CountedTickets
from holdfast.catalogue.events.ticket_types import NewTicketType
from holdfast.checkout import purchases
from holdfast.checkout.purchases import TicketPurchase
from holdfast.claims.shards import RESERVES_PER_SHARD
from holdfast.platform.dynamodb import Store
from holdfast.platform.items import PoolShardItem, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.reservations.engine import LineRequest, Room
from holdfast.reservations.holding import HoldRequest, hold
from tests.engine.shop import EVENT, SERVICE, Shop, seat

COUNTED = "2"
"""The id of the event's ticket type without numbered seats."""

STANDING = 290
"""What one of those costs, in minor units."""


class BoxOffice:
    """One warm function that sells tickets; `open` puts the event on sale."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.store = shop.store
        self.clock = shop.clock
        self._counted = CountedTickets(TicketTypeFacts(shop.store, shop.clock))
        self._shards = 1

    def open(self, seats: int = 6, standing: int = 20, shards: int = 1, max_per_user: int | None = None) -> None:
        """Put an event with rows A and B of so many seats, and so many counted tickets, on sale."""
        engine, tenant = self.shop.engine, self.shop.tenant
        events.create(engine, tenant, NewEvent("Opening night", "2031-06-01", "Old Theatre", None), None)
        for name, quantity in (("Stalls", None), ("Standing", standing)):
            peak = shards * RESERVES_PER_SHARD
            new = NewTicketType(name, STANDING, "USD", quantity, max_per_user, peak)
            ticket_types.create(engine, tenant, EVENT, new, None)
        self.shop.seats({"A": seats, "B": seats}, max_per_user=max_per_user)
        self._shards = shards

    def another(self, store: Store | None = None) -> "BoxOffice":
        """Return another warm function at the same event."""
        other = BoxOffice(self.shop.another(store))
        other._shards = self._shards
        return other

    def rooms(self, kind: str) -> Room:
        """Return the room for a kind of line."""
        return self._counted if kind == "ticket" else self.shop.rooms(kind)

    def reserve(self, user: str, *lines: LineRequest, key: str | None = None) -> ReservationItem:
        """Hold tickets as the older clients do; without a key, under one of its own."""
        wanted = [replace(line, field=f"items.{place}") for place, line in enumerate(lines)]
        named = (self.shop.tenant, user, purchases.SOURCE, key or self.shop.new_key(), "body", wanted, None)
        request = HoldRequest(*named, self.shop.policy, self.shop.gates())
        return hold(self.shop.engine, self.rooms, request)

    def buy(
        self, user: str, *lines: LineRequest, key: str | None = None, roles: Collection[str] = SERVICE
    ) -> OrderItem:
        """Buy tickets that are held, as paid elsewhere, and return the purchase."""
        named = [replace(line, field=f"items.{place}") for place, line in enumerate(lines)]
        keyed = self.shop.keyed(user, "checkout", key, [asdict(line) for line in named])
        purchase = TicketPurchase(self.shop.tenant, user, roles, named, keyed, self.shop.policy, self.shop.gates())
        bought = purchases.check_out(self.shop.engine, self.shop.machines.checkout, purchase)
        return purchases.find(self.shop.engine, self.shop.tenant, bought.id, user)

    def child(self, order: OrderItem) -> ReservationItem:
        """Return the reservation that a purchase sold."""
        found = self.shop.keys.by_public_id(order.reservation_id)
        assert found is not None
        return self.shop.stored(found[0])

    def records(self, user: str) -> list[ReservationItem]:
        """Return a user's reservations."""
        return [ReservationItem.from_raw_data(raw) for raw in self.store.query(self.shop.keys.user(user), "R#").items]

    def purchases_of(self, *users: str) -> list[OrderItem]:
        """Return all orders of users that were bought."""
        found = [raw for user in users for raw in self.store.query(self.shop.keys.user(user), "O#").items]
        return [order for order in map(OrderItem.from_raw_data, found) if order.status == "completed"]

    def standing(self) -> tuple[int, int, int]:
        """Return how many counted tickets are available, held and sold."""
        keys = [self.shop.keys.ticket_shard(EVENT, COUNTED, number) for number in range(self._shards)]
        shards = [PoolShardItem.from_raw_data(raw) for raw in self.store.batch_get(keys).values()]
        return (
            sum(shard.available for shard in shards),
            sum(shard.held for shard in shards),
            sum(shard.sold for shard in shards),
        )


def standing(quantity: int) -> LineRequest:
    """Return a line for counted tickets."""
    return LineRequest("ticket", "", quantity, event_id=EVENT, ticket_type_id=COUNTED)


def row(name: str, *numbers: int) -> Sequence[LineRequest]:
    """Return lines for seats of one row."""
    return [seat(name, number) for number in numbers]
