"""A planner at its desk: the synchronisation's table, a queue in memory, time zones, a clock that is moved by hand."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from holdfast.partners.control import Controls
from holdfast.partners.pairs import Product
from holdfast.partners.planner import Planner
from holdfast.partners.runs import Runs
from holdfast.partners.sheets import Sheet, Sheets
from holdfast.platform.dynamodb import Store
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncRunItem
from tests.engine.shop import ManualClock

TENANT, PARTNER = "t1", "tours"
EVERY_DAY = frozenset(range(1, 8))
COUNTS = ("planned", "merged", "fetched", "changed", "failed", "dropped")
SINGAPORE = ZoneInfo("Asia/Singapore")


def moment(text: str, zone: ZoneInfo = SINGAPORE) -> int:
    """Return the ms of a moment in a time zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def product(experience_id: str, weekdays: Iterable[int] = EVERY_DAY, tenant: str = TENANT) -> Product:
    """Return a product of the partner."""
    return Product(tenant, experience_id, PARTNER, f"p{experience_id}", frozenset(weekdays), enabled=True)


class QueueInMemory:
    """A queue; `unsent` says which messages it does not take, and may raise."""

    def __init__(self) -> None:
        self.sent: list[SyncMessage] = []
        self.batches: list[int] = []
        self.unsent: Callable[[Sequence[SyncMessage]], list[SyncMessage]] = lambda _: []

    def send(self, messages: Sequence[SyncMessage]) -> list[SyncMessage]:
        """Take the messages; return those not taken."""
        self.batches.append(len(messages))
        unsent = self.unsent(messages)
        self.sent += [message for message in messages if message not in unsent]
        return unsent

    def taken(self) -> list[SyncMessage]:
        """Return what was sent since this was asked last."""
        sent, self.sent = self.sent, []
        return sent


@dataclass
class Desk:
    """What a planner works with, and what became of it."""

    store: Store
    clock: ManualClock
    products: list[Product] = field(default_factory=list)
    zones: dict[str, ZoneInfo] = field(default_factory=lambda: {PARTNER: SINGAPORE})
    closed: dict[str, int] = field(default_factory=dict)
    attempts: int = 8

    def __post_init__(self) -> None:
        self.queue = QueueInMemory()
        self.retries = Retries(self.attempts, sleep=lambda _: None)
        self.sheets = Sheets(self.store, self.clock, self.retries)
        self.runs = Runs(self.store, self.clock, self.retries)
        self.controls = Controls(self.store, self.clock, self.retries)

    @property
    def planner(self) -> Planner:
        """A planner as a function has it that has just started."""
        return Planner(
            self.sheets,
            self.runs,
            self.controls,
            self.queue,
            self.zones,
            lambda name: self.closed.get(name, 0),
            self.clock,
            self.retries,
        )

    def refill(self) -> list[SyncMessage]:
        """Have the queue filled, and return what was sent."""
        self.planner.refill(self.products)
        return self.queue.taken()

    def refill_and_keep(self) -> None:
        """Have the queue filled, and leave what was sent in it."""
        self.planner.refill(self.products)

    def answer(self, messages: Iterable[SyncMessage]) -> None:
        """Be a fetcher whom the partner answers each message at once."""
        for message in messages:
            run_id = self.sheets.take(message, 1)
            if run_id is not None:
                self.sheets.done(message, run_id, self.clock.now(), changed=False)

    def sheet(self, experience_id: str, tenant: str = TENANT) -> Sheet:
        """Return an experience's sheet."""
        return self.sheets.get(tenant, experience_id)

    def synced(self, age: int, *products: Product, only: Callable[[str], bool] = lambda _: True) -> None:
        """Have everything in reach of the products answered `age` ms ago."""
        for each in products or tuple(self.products):
            run = self.runs.begin(each.tenant, "week")
            sheet = self.sheets.get(each.tenant, each.experience_id)
            reach = self.planner._reach(self.clock.now())[each.partner]
            days = [
                day
                for day in (
                    reach.today.fromordinal(reach.today.toordinal() + number).isoformat() for number in range(31)
                )
                if only(day) and each.runs_on(datetime.fromisoformat(day).date())
            ]
            assert self.sheets.want(run.sk, [(sheet, days)])
            for day in days:
                message = SyncMessage(each.tenant, each.experience_id, day, 0)
                self.sheets.done(message, run.sk, self.clock.now() - age, changed=False)

    def counts(self, tenant: str = TENANT) -> dict[str, dict[str, int]]:
        """Return by their kinds the sums of what runs counted, each that is not 0."""
        found: dict[str, dict[str, int]] = {}
        for run in self.all_runs(tenant):
            of_kind = found.setdefault(run.kind, {})
            for name in COUNTS:
                if getattr(run, name):
                    of_kind[name] = of_kind.get(name, 0) + getattr(run, name)
        return found

    def all_runs(self, tenant: str = TENANT) -> Iterator[SyncRunItem]:
        """Yield a tenant's runs, the newest first."""
        page = self.runs.page(tenant, 100)
        yield from page.runs
        while page.next is not None:
            page = self.runs.page(tenant, 100, page.next)
            yield from page.runs

    def audit(self) -> None:
        """Assert that what runs count and what sheets say is the same, of every tenant."""
        for tenant in {each.tenant for each in self.products}:
            waiting: dict[str, int] = {}
            for sheet in self.sheets.of(tenant).values():
                assert sheet.queued.keys() <= sheet.wanted.keys(), "what is queued is wanted"
                assert sheet.taken.keys() <= sheet.queued.keys(), "what is worked on is queued"
                for run_id in sheet.wanted.values():
                    waiting[run_id] = waiting.get(run_id, 0) + 1
            for run in self.all_runs(tenant):
                assert run.planned - run.fetched - run.dropped == waiting.pop(run.sk, 0), run.sk
            assert not waiting, "every wanted pair is of a run"


def without(products: Iterable[Product], experience_id: str) -> list[Product]:
    """Return the products, one of them disabled."""
    return [replace(each, enabled=each.experience_id != experience_id and each.enabled) for each in products]
