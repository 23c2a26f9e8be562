"""The day of the sale on DynamoDB Local: 64 client threads, each a warm function of its own, at one product.

Every thread has its own store, engine, catalogue and memory; they share the table and a clock that each buyer moves a
little. Buyers pay, let go, walk away and send requests twice; some calls conflict, are throttled, or lose their answer.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.session import get_session
from pynamodb.connection import Connection

from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import Busy, InsufficientReservation, NoReservation, Refused, ReservationOver, Unavailable
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import DUE_BUCKETS, Key, is_hold
from holdfast.reservations import deal_holds
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import HoldLengths
from holdfast.reservations.expiry import handle, sweep
from local.dynamodb_local import DynamoDBLocal
from tests.engine.faults import Answer, Call, Calls, conflict, silence_after, throttled
from tests.engine.shop import ListQueue, ManualClock, Shop

CLIENTS = 64
HOLD_SECONDS = 1
BUYERS_A_MILLISECOND = 2
"""On the shared clock: 10 000 of them come within 5 s."""

Connections = list[Connection]


@pytest.fixture(scope="module")
def connections(dynamodb_local: DynamoDBLocal) -> Connections:
    """One connection a client, each with a botocore client of its own, used by all storms."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dynamodb_local.environment.items():
            patch.setenv(name, value)
        made = [connect("storm")._connection for _ in range(CLIENTS)]
        models = get_session()
        for connection in made:
            connection._local.session = models
            assert connection.client
    return made


class SharedClock(ManualClock):
    """A clock that all threads see and move."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def forward(self, milliseconds: int) -> None:
        """Move on, whoever else does."""
        with self._lock:
            super().forward(milliseconds)

    def sleep(self, seconds: float) -> None:
        """Let waiting take no time: other threads move the clock."""


@dataclass
class Storm:
    """One product, many buyers; `users` are all who ever came."""

    store: Store
    connections: Connections
    units: Sequence[int]
    seed: int
    clock: SharedClock = field(default_factory=SharedClock)

    def __post_init__(self) -> None:
        self.shop = Shop(self.store, self.clock)
        self.product = self.shop.product(units=self.units)
        self.users = [f"user{number}" for number in range(CLIENTS * 4)]
        self.clients = [Client(self, number, connection) for number, connection in enumerate(self.connections)]

    def run(self, buyers: int, behave: "Callable[[Client], None]") -> None:
        """Let so many buyers come, `behave` each, through all clients at once."""
        waiting = iter(range(buyers))
        lock = threading.Lock()
        ready = threading.Barrier(CLIENTS)

        def work(client: Client) -> None:
            ready.wait()
            while True:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    break
                self.clock.forward(number % BUYERS_A_MILLISECOND == 0)
                behave(client)

        with ThreadPoolExecutor(CLIENTS) as threads:
            for done in [threads.submit(work, client) for client in self.clients]:
                done.result()

    def tally(self, what: str) -> int:
        """Return how often something was answered, by all clients."""
        return sum(client.tally[what] for client in self.clients)

    def let_everything_lapse(self) -> None:
        """Move past every hold's time and sweep, as the schedule does."""
        self.clock.forward(HOLD_SECONDS * 10_000)
        for bucket in range(DUE_BUCKETS):
            while keys := [key for key in self.store.query_due(bucket, self.clock.now())[0] if is_hold(key)]:
                assert sweep(self.shop.engine, keys) == len(keys)

    def stop(self) -> None:
        """Give the connections back as they were."""
        for client in self.clients:
            client.calls.stop()

    def check(self) -> tuple[int, int, int]:
        """Check all invariants; return what is available, held and sold."""
        self.shop.audit()
        return self.shop.count(self.product)


class Client:
    """One thread: its warm function, its chance, and what it was answered."""

    def __init__(self, storm: Storm, number: int, connection: Connection) -> None:
        self.storm = storm
        self.chance = random.Random(storm.seed * 1_000 + number)
        self.shop = storm.shop.another(
            Store(connection, storm.store._table),
            choose=self.chance.randrange,
            lengths=HoldLengths(HOLD_SECONDS),
        )
        self.calls = Calls(self.shop.store)
        self.calls.always(self._weather)
        self.tally: Counter[str] = Counter()
        self.left: list[Key] = []
        self.number = number
        self._keys = iter(range(1_000_000))

    def _weather(self, call: Call) -> Answer:
        """Let one write in fifty meet another writer, a throttle or silence."""
        trouble = self.chance.choice([conflict, throttled, silence_after])
        if call.operation == "TransactWriteItems" and self.chance.random() < 0.02:
            return trouble(call)
        return call.make()

    def user(self) -> str:
        """Return somebody."""
        return self.chance.choice(self.storm.users)

    def insist(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer, as clients do with 503; return None where it is a refusal."""
        for _ in range(200):
            try:
                return ask()
            except (Busy, Unavailable):
                self.tally["busy"] += 1
            except (Refused, InsufficientReservation, NoReservation, ReservationOver) as refusal:
                self.tally[refusal.code] += 1
                return None
        raise AssertionError("busy for ever")

    def buyer(self, pays: float, units: int) -> None:
        """Hold some; ask again with the same key now and then; then pay, let go, or walk away."""
        self.tidy()
        user, key = self.user(), f"{self.number}-{next(self._keys)}"
        wanted = self.chance.randint(1, units)
        held = self.insist(lambda: self.shop.hold(user, {self.storm.product: wanted}, key))
        if self.chance.random() < 0.2:
            again = self.insist(lambda: self.shop.hold(user, {self.storm.product: wanted}, key))
            if held is not None:
                assert (again.id, again.expires_at) == (held.id, held.expires_at)
            held = again
        if held is None:
            return
        self.tally["held"] += 1
        mood = self.chance.random()
        if mood < pays:
            sold = self.insist(lambda: confirm(self.shop.engine, held.key))
            self.tally["paid"] += sold is not None
        elif mood < (1 + pays) / 2:
            self.insist(lambda: cancel(self.shop.engine, held.key))
        else:
            self.left.append(held.key)

    def tidy(self) -> None:
        """Deliver the messages of holds left behind, some early, some late, some twice."""
        if not self.left or self.chance.random() < 0.8:
            return
        found = self.shop.store.batch_get(self.left)
        messages = [self.shop.message(read(ReservationItem, item)) for item in found.values()]
        messages += self.chance.sample(messages, len(messages) // 2)
        queue = ListQueue()
        failed = self.insist(lambda: handle(self.shop.engine, queue, messages)) or set()
        self.left = [message.key for message in queue.sent] + [key for key in failed if key in self.left]

    def deal_buyer(self, units: int) -> None:
        """Reserve on top of what is held by the older route, then check some out, let go, or walk away."""
        self.tidy()
        user, product = self.user(), self.storm.product
        key = f"{self.number}-{next(self._keys)}" if self.chance.random() < 0.5 else None
        wanted = self.chance.randint(1, units)
        held = self.insist(lambda: self.shop.reserve(user, {product: wanted}, key))
        if held is None:
            return
        if key is not None and self.chance.random() < 0.3:
            assert self.insist(lambda: self.shop.reserve(user, {product: wanted}, key)) == held
        self.left.append(self.shop.keys.deal_hold(user, product))
        mood = self.chance.random()
        if mood < 0.6:
            name = f"buy-{self.number}-{next(self._keys)}"
            bought = self.chance.randint(1, wanted)
            order = self.insist(lambda: self.shop.buy(user, product, bought, name))
            self.tally["paid"] += order is not None
        elif mood < 0.8:
            self.insist(lambda: deal_holds.let_go(self.shop.engine, "demo", user, product))


Start = Callable[[Sequence[int], int], Storm]


@pytest.fixture
def start(store: Store, connections: Connections) -> Iterator[Start]:
    """Start a storm over units laid on shards."""
    started: list[Storm] = []

    def make(units: Sequence[int], seed: int) -> Storm:
        started.append(Storm(store, connections, units, seed))
        return started[-1]

    yield make
    for storm in started:
        storm.stop()


@pytest.mark.slow
@pytest.mark.parametrize("pays", [1.0, 0.3])
def test_1_unit_and_1_000_buyers_sells_exactly_1(start: Start, pays: float) -> None:
    """Whether the first pays or not, it is never sold twice, and never left unsold while somebody asks."""
    storm = start([1], 1)
    storm.run(1_000, lambda client: client.buyer(pays, units=1))
    storm.let_everything_lapse()
    storm.run(CLIENTS, lambda client: client.buyer(1.0, units=1))
    storm.let_everything_lapse()
    assert storm.check() == (0, 0, 1)
    assert storm.tally("paid") == 1


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 4, 16])
def test_200_units_and_10_000_buyers_sells_exactly_200(start: Start, shards: int) -> None:
    """Holds of 1 to 5 are paid, cancelled, left to expire and retried meanwhile; then the rest is asked for."""
    each, more = divmod(200, shards)
    storm = start([each + (number < more) for number in range(shards)], shards)
    storm.run(10_000, lambda client: client.buyer(0.25, units=5))
    assert storm.tally("held") > 100
    storm.let_everything_lapse()
    available, held, sold = storm.check()
    assert (available + sold, held) == (200, 0)
    storm.run(200, lambda client: client.buyer(1.0, units=5))
    storm.run(CLIENTS, lambda client: client.buyer(1.0, units=1))
    storm.let_everything_lapse()
    assert storm.check() == (0, 0, 200)


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 4])
def test_a_storm_of_the_older_route_sells_what_there_is(start: Start, shards: int) -> None:
    """Adds to holds that lapse, are bought from in part and let go, by users who are in several places at once."""
    storm = start([60 // shards] * shards, shards)
    storm.users = storm.users[:20]
    storm.run(1_500, lambda client: client.deal_buyer(units=3))
    storm.let_everything_lapse()
    available, held, sold = storm.check()
    assert (available + sold, held) == (60, 0)
    assert storm.tally("paid") > 0
    storm.run(200, lambda client: client.buyer(1.0, units=1))
    storm.let_everything_lapse()
    assert storm.check() == (0, 0, 60)
