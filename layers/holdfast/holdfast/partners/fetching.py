"""The fetcher: one message of the queue is one pair that a partner is asked for, once, on a grant of its limiter.

A pair stays wanted in its sheet until it is answered, so that whatever becomes of a message, or of the function, no
pair is lost; the message is only what has somebody work on it. What has to be waited for is waited for here, since a
message that is put back for lack of a grant ends among the dead letters untried (PROTOCOL.md 20). What is to end there
is a message whose answer cannot be kept, if no later one of its pair is answered either.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Generic, TypeVar

from holdfast.partners.breaker import not_before
from holdfast.partners.limiter import Limiter, closing_time
from holdfast.partners.pairs import Product, horizon_of, today_in
from holdfast.partners.port import NOT_SENT, Inventory, Partner, PartnerFailed, PartnerLimited
from holdfast.partners.registry import Definition
from holdfast.partners.sheets import Sheets, read_sheet
from holdfast.platform.clock import Clock, wait_until
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.logs import logger
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import LimiterItem, SyncControlItem
from holdfast.platform.tables import Keys

_NOT_KEPT = "not_kept"
_logger = logger()
_B = TypeVar("_B")


class Unanswered(Exception):
    """A message that failed before came again, and its pair was not answered since: its date still fails."""


class Outcome(StrEnum):
    """What became of a message. Only of a `fetched`, a `failed` and a `limited` one was the partner asked.

    A `stale` one was of a pair that another message is of, or none; one `dropped` of a pair that is not wanted any
    more. A pair `given_back` is still wanted: it was not its time, or there was none left.
    """

    FETCHED = "fetched"
    FAILED = "failed"
    LIMITED = "limited"
    STALE = "stale"
    DROPPED = "dropped"
    GIVEN_BACK = "given_back"


@dataclass(frozen=True)
class _Task:
    """A pair that was taken: this delivery of its message is the one that works on it."""

    message: SyncMessage
    receive_count: int
    run_id: str
    product: Product
    definition: Definition
    partner: Partner
    limiter: Limiter


@dataclass(frozen=True)
class _Standing:
    """How a task stands, by one read: what hinders it, if anything does, and how often its product failed in a row."""

    hindrance: Outcome | None
    failures: int
    limiter: LimiterItem | None


@dataclass
class Fetcher(Generic[_B]):
    """Asks partners for pairs, and has their answers kept.

    `look` reads what is known of a product's day before the partner is asked, and `keep` takes its answer in; it
    returns whether anything changed. It is looked before a grant is waited for, so that none of its second is spent on
    that: what is sold meanwhile the partner is taken not to know of, which can only undersell (PROTOCOL.md 18).
    Whatever raises leaves the pair wanted, and its message to be delivered again.
    """

    store: Store
    sheets: Sheets
    products: Callable[[str, str], Product | None]
    partners: Callable[[str], tuple[Definition, Partner] | None]
    limiters: Callable[[str], Limiter]
    look: Callable[[Product, str, Definition], _B]
    keep: Callable[[Product, str, _B, Inventory, int, Definition], bool]
    clock: Clock
    retries: Retries
    _unused: dict[str, int] = field(default_factory=dict, init=False)
    """The grant of each partner that was waited for and not used: the next message may, if it is in time."""

    def work(self, message: SyncMessage, receive_count: int, enough_time_until: int) -> Outcome:
        """Ask for the message's pair, or leave it; `enough_time_until` (ms) is the latest time to ask at.

        Raises what the store and `keep` raise: the partner was not asked then, or its answer is asked for again. Raises
        Unanswered of a message that did so before, as long as its date fails.
        """
        run_id = self.sheets.take(message, receive_count)
        if run_id is None:
            if receive_count > 1 and self._is_unanswered(message):
                raise Unanswered
            return Outcome.STALE
        product = self.products(message.tenant, message.experience_id)
        if product is None:
            return self._drop(message, run_id)
        known = self.partners(product.partner)
        if known is None:
            return self._fail_unknown(message, run_id, product)
        definition, partner = known
        if not self._is_to_be_asked_for(product, message.date, definition):
            return self._drop(message, run_id)
        limiter = self.limiters(product.partner)
        return self._ask_in_time(
            _Task(message, receive_count, run_id, product, definition, partner, limiter), enough_time_until
        )

    def _ask_in_time(self, task: _Task, latest: int) -> Outcome:
        """Wait for a grant and use it, or another if it cannot be used; all is looked at again after the wait.

        It is looked at before the wait too, for a grant that nobody uses is lost to everybody.
        """
        while True:
            standing = self._standing(task)
            if standing.hindrance is not None:
                return standing.hindrance
            before = self.look(task.product, task.message.date, task.definition)
            grant = self._grant(task, latest)
            if grant is None:
                self.sheets.give_back(task.message)
                return Outcome.GIVEN_BACK
            wait_until(grant, self.clock, self.retries.sleep)
            standing = self._standing(task)
            if standing.hindrance is not None:
                self._unused[task.product.partner] = grant
                return standing.hindrance
            left = task.limiter.time_left(grant, standing.limiter)
            if left > 0:
                return self._ask(task, before, grant, left, standing.failures)

    def _standing(self, task: _Task) -> _Standing:
        """Read how a task stands; where it cannot go on, give its pair back, unless it is another's by now."""
        message, keys = task.message, Keys(task.message.tenant)
        sheet_key, control_key = keys.sync_sheet(message.experience_id), keys.sync_control()
        found = self.store.batch_get([task.limiter.key, control_key, sheet_key])
        limiter = found.get(task.limiter.key)
        standing = None if limiter is None else read(LimiterItem, limiter)
        if sheet_key not in found:
            return _Standing(Outcome.STALE, 0, standing)
        sheet = read_sheet(found[sheet_key])
        ours = (task.run_id, message.stamp, task.receive_count)
        if (sheet.wanted.get(message.date), sheet.queued.get(message.date), sheet.taken.get(message.date)) != ours:
            return _Standing(Outcome.STALE, sheet.failures, standing)
        is_paused = control_key in found and read(SyncControlItem, found[control_key]).is_paused
        if is_paused or sheet.not_before > self.clock.now():
            self.sheets.give_back(message)
            return _Standing(Outcome.GIVEN_BACK, sheet.failures, standing)
        return _Standing(None, sheet.failures, standing)

    def _grant(self, task: _Task, latest: int) -> int | None:
        unused = self._unused.pop(task.product.partner, None)
        if unused is not None and self.clock.now() <= min(latest, unused + task.limiter.pace.usable):
            return unused
        return task.limiter.reserve(latest)

    def _ask(self, task: _Task, before: _B, grant: int, left: int, failures: int) -> Outcome:
        """Make the one request that a grant is for, within the ms that are left of it, and have its answer kept."""
        message, product = task.message, task.product
        try:
            inventory = task.partner.inventory(product.partner_product_id, message.date, left / 1000)
        except PartnerLimited as limited:
            task.limiter.close(closing_time(limited.reset_at, self.clock.now()))
            self.sheets.failed(message, task.run_id, "limited", str(limited), 0, False)
            _logger.warning("a partner is asked no more for a while", extra={"partner": product.partner})
            return Outcome.LIMITED
        except PartnerFailed as failure:
            if failure.code == NOT_SENT:
                self.sheets.failed(message, task.run_id, failure.code, failure.reason, 0, False)
                self._warn(message, failure.code)
            else:
                self._fail(message, task.run_id, failure.code, failure.reason, failures)
            return Outcome.FAILED
        try:
            changed = self.keep(product, message.date, before, inventory, grant, task.definition)
            self.sheets.done(message, task.run_id, grant, changed, inventory.rejected)
        except Exception as wrong:
            reason = f"The answer could not be kept ({type(wrong).__name__})."
            self._fail(message, task.run_id, _NOT_KEPT, reason, failures)
            raise
        return Outcome.FETCHED

    def _is_unanswered(self, message: SyncMessage) -> bool:
        """Return whether a pair waits for an answer since this message of it was sent, and its date fails.

        A failure of the partner ends its message: one that comes again raised, or whoever worked on it died.
        """
        key = Keys(message.tenant).sync_sheet(message.experience_id)
        found = self.store.batch_get([key])
        if key not in found:
            return False
        sheet = read_sheet(found[key])
        is_waiting = message.date in sheet.wanted and sheet.synced.get(message.date, 0) < message.stamp
        return is_waiting and message.date in sheet.failed

    def _is_to_be_asked_for(self, product: Product, day: str, definition: Definition) -> bool:
        """Return whether a product is sold on a day that is neither past nor too far off, and runs on it."""
        asked = date.fromisoformat(day)
        is_near = horizon_of(asked, today_in(definition.zone, self.clock.now())) is not None
        return product.enabled and is_near and product.runs_on(asked)

    def _drop(self, message: SyncMessage, run_id: str) -> Outcome:
        self.sheets.drop(message, run_id)
        return Outcome.DROPPED

    def _fail_unknown(self, message: SyncMessage, run_id: str, product: Product) -> Outcome:
        self._fail(message, run_id, "unknown_partner", f"No partner is called {product.partner}.", 0)
        return Outcome.FAILED

    def _fail(self, message: SyncMessage, run_id: str, code: str, reason: str, failures: int) -> None:
        """Count an attempt against its product, which failed so often before: it is left alone for a while."""
        again = not_before(failures + 1, self.clock.now(), self.retries.chance())
        self.sheets.failed(message, run_id, code, reason, again, True)
        self._warn(message, code)

    def _warn(self, message: SyncMessage, code: str) -> None:
        of = {"tenant": message.tenant, "experience": message.experience_id, "date": message.date}
        _logger.warning("a pair could not be fetched", extra={**of, "code": code})
