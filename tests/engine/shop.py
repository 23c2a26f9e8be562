"""A shop to test in: one tenant's products on a table of its own, a clock moved by hand, and an audit of every item."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from holdfast.catalogue.products import stock
from holdfast.catalogue.products.facts import ProductFacts, pool_name
from holdfast.checkout import orders
from holdfast.claims.changes import CounterChange
from holdfast.claims.limits import counter
from holdfast.platform.dynamodb import RawItem, Store, read
from holdfast.platform.items import PoolShardItem, ProductItem, ReservationItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Key, Keys, allocation_name, key_of, limits_beside
from holdfast.reservations import deal_holds
from holdfast.reservations.basket import Basket
from holdfast.reservations.deal_holds import DealHold, DealRequest
from holdfast.reservations.engine import Engine, HoldLengths, LineRequest, Room
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import KeyedRequest, hash_of

START = 1_700_000_000_000
LIVE = ("held", "checking_out")


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
    """One warm function's engine and catalogue, and short words for what is asked of them."""

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
        self.keys = Keys(tenant)
        self.waits: list[float] = []
        retries = Retries(attempts=attempts, sleep=self._sleep, chance=lambda: 0.5)
        self.engine = Engine(store, lengths or HoldLengths(), self.clock, retries, choose)
        self.catalogue = ProductFacts(store, self.clock)
        self._numbers = count()

    def rooms(self, _: str) -> Room:
        """Return the room for a kind of line."""
        return self.catalogue

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.sleep(seconds)

    def another(self, store: Store | None = None, **wishes: Any) -> "Shop":
        """Return another warm function on the same table and clock, with a memory of its own."""
        return Shop(store or self.store, self.clock, self.tenant, **wishes)

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
        product_id = stock.id_of(made)
        self._add(made.key, {"total_stock": total - enough})
        for number, here in enumerate(each or [total] * (enough > total)):
            key = self.keys.pool_shard(pool_name(product_id), number)
            shard = self.store.get(PoolShardItem, key)
            assert shard is not None
            update = {"available": here - shard.available, "total": here - shard.total}
            self._add(key, update)
        return product_id

    def warm(self, *products: str) -> None:
        """Let this function know products."""
        lines = [LineRequest("product", "", product_id=product) for product in products]
        Basket(self.engine, self.rooms, self.tenant, "nobody", lines)

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
        return HoldRequest(self.tenant, user, "reservations", key, hash_of(body), wanted, seconds)

    def hold(self, user: str, lines: Mapping[str, int], key: str | None = None, seconds: int | None = None) -> Any:
        """Hold lines for a user; without a key, under one of its own."""
        named = key or f"key-{next(self._numbers)}-{id(self)}"
        return hold(self.engine, self.rooms, self.request(user, named, lines, seconds))

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
        return deal_holds.reserve(self.engine, self.rooms, DealRequest(self.tenant, user, wanted, keyed))

    def deal(self, user: str, product: str) -> ReservationItem:
        """Return a user's deal hold as it is stored."""
        found = self.store.get(ReservationItem, self.keys.deal_hold(user, product))
        assert found is not None
        return found

    def buy(self, user: str, product: str, units: int, key: str | None = None) -> orders.Order:
        """Check out units of what a user holds of a product."""
        keyed = self.keyed(user, "checkout", key, [product, units])
        return orders.check_out(self.engine, orders.Purchase(self.tenant, user, product, units, None, keyed))

    def stored(self, key: Key) -> ReservationItem:
        """Return a reservation as it is stored."""
        found = self.store.get(ReservationItem, key)
        assert found is not None
        return found

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
        keys = [self.keys.pool_shard(pool_name(product), number) for number in range(item.shards)]
        found = self.store.batch_get(keys)
        return [read(PoolShardItem, found[key]) for key in keys]


def items_of(store: Store, tenant: str, products: Sequence[str], users: Sequence[str]) -> list[RawItem]:
    """Return all items of a tenant that the audit looks at."""
    keys = Keys(tenant)
    found: list[RawItem] = []
    for partition in [keys.user(user) for user in users]:
        after = None
        while True:
            page = store.query(partition, after=after)
            found += page.items
            after = page.after
            if after is None:
                break
    found_products = store.batch_get(keys.product(product) for product in products)
    shard_keys = [
        keys.pool_shard(pool_name(product), number)
        for product in products
        for number in range(int(found_products[keys.product(product)]["shards"]["N"]))
    ]
    return [*found, *store.batch_get(shard_keys).values()]


def audit(items: Sequence[RawItem], most: Mapping[str, int] | None = None) -> None:
    """Check every invariant that items must have among themselves, whatever was done to them.

    `most` is the highest limit per user that each product ever had.
    """
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    counted: Counter[tuple[str, str]] = Counter()
    for item in items:
        key = key_of(item)
        if not key.sk.startswith(("R#", "H#")):
            continue
        record = read(ReservationItem, item)
        units = record.allocated()
        live = record.status in LIVE
        assert (record.due is not None) == live, f"{key} is {record.status} and due {record.due}"
        assert record.due in (None, record.expires_at)
        assert all(number > 0 for number in units.values())
        if live or (record.status == "confirmed" and units):
            assert sum(units.values()) == sum(line.quantity for line in record.lines), f"{key} holds what it says"
            (held if live else sold).update(units)
            for line in record.lines:
                counted[limits_beside(key).pk, counter(line.limited_as)] += line.quantity * line.counted
        if live:
            assert record.ttl is None, f"{key} would be deleted while it holds units"
    for item in items:
        key = key_of(item)
        if "#POOL#" in key.pk:
            shard = read(PoolShardItem, item)
            assert shard.available + shard.held + shard.sold == shard.total, f"{key} adds up"
            assert min(shard.available, shard.held, shard.sold) >= 0, f"{key} is oversold"
            name = allocation_name(key)
            assert (shard.held, shard.sold) == (held.pop(name, 0), sold.pop(name, 0)), f"{key} is what was taken"
        elif key.sk == "LIMITS":
            for name, value in item.items():
                if name.startswith("taken#"):
                    taken = int(value["N"])
                    assert taken == counted.pop((key.pk, name), 0), f"{key} counts {name}"
                    if most is not None and name.removeprefix("taken#") in most:
                        assert taken <= most[name.removeprefix("taken#")], f"{key} is over {name}"
    assert not +held
    assert not +sold
    assert not +counted, "limits count every counted line"
