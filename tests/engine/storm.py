"""A storm on DynamoDB Local: 64 client threads, each a warm function of its own, at the same few things.

Every thread has its own store, engine, catalogue and memory; they share the table and a clock that each buyer moves a
little. Buyers pay, let go, walk away and send requests twice; some calls conflict, are throttled, or lose their answer.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pynamodb.connection import Connection

from holdfast.platform.dynamodb import Store, read
from holdfast.platform.errors import (
    Busy,
    HoldTaken,
    InsufficientReservation,
    NoReservation,
    PaymentFailed,
    Refused,
    ReservationOver,
    Unavailable,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import DUE_BUCKETS, Key, is_hold
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.engine import HoldLengths, LineRequest
from tests.engine.expiring import handle, sweep
from tests.engine.faults import Answer, Call, Calls, conflict, silence_after, throttled
from tests.engine.shop import ListQueue, ManualClock, Shop

CLIENTS = 64
HOLD_SECONDS = 1
REFUSALS = (Refused, InsufficientReservation, NoReservation, ReservationOver, HoldTaken, PaymentFailed)
"""What clients are told that are not to ask again."""


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
    """One shop, many buyers; `users` are all who ever came."""

    store: Store
    connections: Sequence[Connection]
    seed: int
    clock: SharedClock = field(default_factory=SharedClock)

    def __post_init__(self) -> None:
        self.shop = Shop(self.store, self.clock)
        self.users = [f"user{number}" for number in range(CLIENTS * 4)]
        self.clients = [Client(self, number, connection) for number, connection in enumerate(self.connections)]

    def run(self, buyers: int, behave: "Callable[[Client], None]", apart: float = 0.5) -> None:
        """Let so many buyers come, `behave` each, through all clients at once, `apart` ms one after the other."""
        waiting = iter(range(buyers))
        lock = threading.Lock()
        ready = threading.Barrier(len(self.clients))

        def work(client: Client) -> None:
            ready.wait()
            while True:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    break
                self.clock.forward(int((number + 1) * apart) - int(number * apart))
                behave(client)

        with ThreadPoolExecutor(len(self.clients)) as threads:
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
        self.calls.always(self.weather)
        self.tally: Counter[str] = Counter()
        self.left: list[Key] = []
        self.number = number
        self._keys = iter(range(1_000_000))

    def weather(self, call: Call) -> Answer:
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
            except REFUSALS as refusal:
                self.tally[refusal.code] += 1
                return None
        raise AssertionError("busy for ever")

    def key(self) -> str:
        """Return an idempotency key."""
        return f"{self.number}-{next(self._keys)}"

    def buyer(self, pays: float, *lines: LineRequest) -> None:
        """Hold all lines; ask again with the same key now and then; then pay, let go, or walk away."""
        self.tidy()
        user, key = self.user(), self.key()
        held = self.insist(lambda: self.shop.cart(user, *lines, key=key))
        if self.chance.random() < 0.2:
            again = self.insist(lambda: self.shop.cart(user, *lines, key=key))
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
