"""Fetchers against a partner over HTTP: their table, a queue that delivers as SQS may, and what they kept.

Time is moved by hand, for the partner too; what a fetcher sleeps moves it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from holdfast.partners.calls import Calls
from holdfast.partners.fetching import Fetcher, Outcome
from holdfast.partners.inventory import InventoryApi
from holdfast.partners.limiter import PACE, Limiter, Pace
from holdfast.partners.pairs import Product, today_in
from holdfast.partners.port import Inventory, Partner
from holdfast.partners.registry import Definition
from holdfast.partners.sheets import Sheet, Sheets
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.items import IntegerAttribute
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncControlItem, SyncFailureItem, SyncRunItem
from holdfast.platform.tables import Keys
from tests.engine.shop import ManualClock
from tests.partner.server import PartnerServer

PARTNER = "tours"
TENANT = "demo"
RUN = "1772359200000-manual-00000000"
ENOUGH = 10**9
"""Milliseconds that a function has left where time is no matter."""

EVERY_DAY = frozenset(range(1, 8))


@dataclass
class Syncing:
    """A partner, whom one or more fetchers ask for what tenants want."""

    store: Store
    server: PartnerServer
    clock: ManualClock
    pace: Pace = PACE
    kept: list[tuple[str, str, int]] = field(default_factory=list)
    """What was kept: experience, date, and when it was asked for."""

    disabled: set[str] = field(default_factory=set)
    weekdays: frozenset[int] = EVERY_DAY

    def __post_init__(self) -> None:
        self.retries = Retries(sleep=self.clock.sleep, chance=lambda: 0.0)
        self.sheets = Sheets(self.store, self.clock, self.retries)
        self.definition = Definition(PARTNER, "inventory", self.server.url, ZoneInfo("Asia/Singapore"), False)
        self._calls = Calls()

    @property
    def today(self) -> str:
        """The partner's date."""
        return self.day(0)

    def day(self, ahead: int) -> str:
        """Return the date so many days after the partner's."""
        return (today_in(self.definition.zone, self.clock.now()) + timedelta(days=ahead)).isoformat()

    def partner(self, wrap: Callable[[Partner], Partner] = lambda partner: partner) -> Partner:
        """Return the partner as fetchers ask it."""
        secret = {"api_key": self.server.api_key}
        return wrap(InventoryApi(self.server.url, lambda: secret, self._calls, self.clock))

    def fetcher(
        self,
        store: Store | None = None,
        wrap: Callable[[Partner], Partner] = lambda partner: partner,
        sleep: Callable[[float], None] | None = None,
        keep: Callable[[str, str, int], None] = lambda *_: None,
    ) -> Fetcher[None]:
        """Return a fetcher as a function has it that has just started."""
        used = store or self.store
        retries = Retries(sleep=sleep or self.clock.sleep, chance=lambda: 0.0)

        def kept(
            product: Product, day: str, _before: None, _said: Inventory, asked_at: int, _definition: Definition
        ) -> bool:
            keep(product.experience_id, day, asked_at)
            self.kept.append((product.experience_id, day, asked_at))
            return True

        return Fetcher(
            store=used,
            sheets=Sheets(used, self.clock, retries),
            products=self.product,
            partners=lambda name: (self.definition, self.partner(wrap)) if name == PARTNER else None,
            limiters=lambda name: Limiter(used, name, self.clock, retries, self.pace),
            look=lambda product, day, definition: None,
            keep=kept,
            clock=self.clock,
            retries=retries,
        )

    def product(self, tenant: str, experience_id: str) -> Product | None:
        """Return an experience as a partner's product of the same id; none is called "none"."""
        if experience_id == "none":
            return None
        partner = experience_id if experience_id.startswith("lost") else PARTNER
        return Product(tenant, experience_id, partner, experience_id, self.weekdays, experience_id not in self.disabled)

    def queued(self, *experiences: str, day: str | None = None, tenant: str = TENANT) -> list[SyncMessage]:
        """Have several experiences wanted on a day, or today, and queued; return their messages."""
        return [self.queue(experience, day, tenant) for experience in experiences]

    def queue(self, experience: str, day: str | None = None, tenant: str = TENANT) -> SyncMessage:
        """Have one pair wanted, if it is not yet, and queued; return its message."""
        day = day or self.today
        sheet = self.sheets.get(tenant, experience)
        if day not in sheet.wanted:
            assert self.sheets.want(RUN, [(sheet, [day])])
            sheet = self.sheets.get(tenant, experience)
        stamp = self.clock.now()
        assert self.sheets.queue(sheet, [day], stamp)
        return SyncMessage(tenant, experience, day, stamp)

    def work(self, message: SyncMessage, receive_count: int = 1, enough: int = ENOUGH) -> Outcome:
        """Have a function that has just started work on one message."""
        return self.fetcher().work(message, receive_count, self.clock.now() + enough)

    def sheet(self, message: SyncMessage) -> Sheet:
        """Return the sheet of a message's pair."""
        return self.sheets.get(message.tenant, message.experience_id)

    def is_wanted(self, message: SyncMessage) -> bool:
        """Return whether a message's pair waits for an answer."""
        return message.date in self.sheet(message).wanted

    def is_queued(self, message: SyncMessage) -> bool:
        """Return whether a message's pair is said to be in the queue."""
        return message.date in self.sheet(message).queued

    def counts(self, tenant: str = TENANT) -> dict[str, int]:
        """Return the counts of the run that are not 0."""
        raw = self.store.get_raw(Keys(tenant).sync_run(RUN)) or {}
        names = [name for name, kind in SyncRunItem.get_attributes().items() if isinstance(kind, IntegerAttribute)]
        counts = {name: int(raw[name]["N"]) for name in names if name in raw and name != "last_at"}
        return {name: count for name, count in counts.items() if count}

    def failures(self, tenant: str = TENANT) -> list[str]:
        """Return the codes of the run's failures, in order."""
        page = self.store.query(Keys(tenant).sync_failures(RUN))
        return [SyncFailureItem.from_raw_data(raw).code for raw in page.items]

    def pause(self, is_paused: bool = True, tenant: str = TENANT) -> None:
        """Pause a tenant's synchronisation, or resume it."""
        key = Keys(tenant).sync_control()
        item = SyncControlItem(*key, is_paused=is_paused, changed_at=self.clock.now(), changed_by="test")
        self.store.write(Put(item))

    def grants(self) -> list[int]:
        """Return the grants that the limiter remembers."""
        found = Limiter(self.store, PARTNER, self.clock, self.retries).state()
        return [] if found is None else list(found.grants)

    def asked(self) -> list[tuple[str, str]]:
        """Return what the partner was asked for, by its own log: product and date."""
        return [(arrival.product, arrival.date) for arrival in self.server.log]


def all_done(syncing: Syncing, messages: Iterable[SyncMessage]) -> bool:
    """Return whether every message's pair was answered."""
    return not any(syncing.is_wanted(message) for message in messages)
