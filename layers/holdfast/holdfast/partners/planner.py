"""The planner: schedules and manual runs have pairs wanted, and each minute the queue is filled with the next of them.

Nothing is lost wherever a planner dies. What is wanted stands in the sheets; what it did not come to is wanted by the
next schedule, or by the minute that finds it overlooked; a pair that was queued and whose message was never sent is
queued anew after a while. Of two planners at once one has a pair wanted, and one has it queued.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from holdfast.partners import planning
from holdfast.partners.control import Controls
from holdfast.partners.limiter import CLOSED_WAITED_FOR, Limiter
from holdfast.partners.pairs import Horizon, Product
from holdfast.partners.planning import Plan, Reach, Waiting
from holdfast.partners.registry import Definition
from holdfast.partners.runs import MANUAL, ONBOARDING, Runs
from holdfast.partners.sheets import PLANNED_AT_ONCE, Sheet, Sheets, message_of
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy
from holdfast.platform.logs import logger
from holdfast.platform.queues import SyncMessage, SyncQueue
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncRunItem
from holdfast.reservations.idempotency import KeyedRequest

_SENT_AT_ONCE = 10
"""Messages of one batch (AWS: SendMessageBatch): a planner that dies has queued hardly more than these and not sent."""

_logger = logger()

Rule = Callable[[Product, Sheet, Reach, int], Plan]
"""What a run wants of a product, by its sheet, the dates that are looked after, and the time (ms)."""


@dataclass(frozen=True)
class Refilled:
    """What a minute did, in pairs: `planned` were overlooked, `dropped` not wanted any more.

    `waiting` are wanted and may be asked for, `queued` of these were queued, all but those `unsent`. Of today, of
    tenants that are not paused, those `overdue` have been without an answer for far too long; a product whose partner
    is not known counts as one of them.
    """

    planned: int = 0
    dropped: int = 0
    waiting: int = 0
    queued: int = 0
    unsent: int = 0
    overdue: int = 0


@dataclass
class _Partner:
    """What waits for a partner, and what of it is queued already, by horizons."""

    lines: dict[Horizon, list[Waiting]]
    busy: Counter[Horizon]


@dataclass(frozen=True)
class Planner:
    """Plans for all tenants and partners: `zones` are the partners' time zones, by their names.

    `closed_until` says until when (ms) a partner answers nobody. Where something is wrong with one tenant or partner,
    the others are planned for before it is raised.
    """

    sheets: Sheets
    runs: Runs
    controls: Controls
    queue: SyncQueue
    zones: Mapping[str, ZoneInfo]
    closed_until: Callable[[str], int]
    clock: Clock
    retries: Retries

    def schedule(self, horizon: Horizon, products: Sequence[Product]) -> list[SyncRunItem]:
        """Have what a horizon's schedule wants wanted, a run for each tenant that is not paused; return the runs."""

        def rule(product: Product, sheet: Sheet, dates: Reach, now: int) -> Plan:
            return planning.wanted_by(horizon, product, sheet, dates, now)

        runs: list[SyncRunItem] = []
        faults: list[Exception] = []
        for tenant, own in self._by_tenant(products).items():
            try:
                if not self.controls.is_paused(tenant):
                    run = self.runs.begin(tenant, horizon.value)
                    runs.append(self._plan(run, own, self.sheets.of(tenant), rule))
            except Exception as fault:
                _logger.exception("not planned", extra={"tenant": tenant, "horizon": horizon.value})
                faults.append(fault)
        _raise_first(faults)
        return runs

    def run(
        self, tenant: str, days: int, products: Sequence[Product], keyed: KeyedRequest | None = None
    ) -> SyncRunItem:
        """Have the next `days` days of a tenant wanted, from today on, and fill the queue; return the run.

        The same keyed request is answered with the same run; if it broke off, it is gone on with. Filling is left to
        the minute if it fails. Raises IdempotencyKeyReused, Busy and Unavailable.
        """

        def rule(product: Product, sheet: Sheet, dates: Reach, now: int) -> Plan:
            return planning.wanted_at_once(days, product, sheet, dates, now)

        run = self.runs.begin(tenant, MANUAL, days, keyed)
        if run.planned_at is not None:
            return run
        run = self._plan(run, self._by_tenant(products).get(tenant, []), self.sheets.of(tenant), rule)
        self.refill_at_once(lambda: products)
        return run

    def refill_at_once(self, products: Callable[[], Sequence[Product]]) -> None:
        """Fill the queue with what may have come to wait just now; if that fails, it is left to the minute."""
        try:
            self.refill(products())
        except Exception:
            _logger.exception("the queue is left to be filled within a minute")

    def refill(self, products: Sequence[Product]) -> Refilled:
        """Forget what is over, have wanted what was overlooked, and queue what is furthest past its target.

        Of each partner two minutes of requests are queued at most, of paused tenants and closed partners nothing.
        """
        done = Counter(overdue=self._of_unknown_partners(products))
        faults: list[Exception] = []
        known: dict[tuple[str, str], Sheet] = {}
        partners = {name: _Partner({horizon: [] for horizon in Horizon}, Counter()) for name in self.zones}
        for tenant, own in self._by_tenant(products).items():
            try:
                sheets = self.sheets.of(tenant)
                done["dropped"] += self._forget(own, sheets)
                control = self.controls.of(tenant)
                is_paused = control is not None and control.is_paused
                if not is_paused:
                    done["planned"] += self._find_overlooked(tenant, own, sheets)
                    done["overdue"] += self._overdue(own, sheets, control.changed_at if control is not None else 0)
                self._line_up(own, sheets, partners, is_paused)
                known |= {(tenant, experience_id): sheet for experience_id, sheet in sheets.items()}
            except Exception as fault:
                _logger.exception("left for the next minute", extra={"tenant": tenant})
                faults.append(fault)
        for name, partner in partners.items():
            try:
                done.update(self._queue_some(name, partner, known))
            except Exception as fault:
                _logger.exception("left for the next minute", extra={"partner": name})
                faults.append(fault)
        _raise_first(faults)
        return Refilled(**done)

    def _plan(self, run: SyncRunItem, products: Sequence[Product], sheets: dict[str, Sheet], rule: Rule) -> SyncRunItem:
        """Have wanted what a rule says, and return the run as it is then; `sheets` are brought up to date."""
        merged = 0
        for start in range(0, len(products), PLANNED_AT_ONCE):
            merged += self._plan_some(run.sk, products[start : start + PLANNED_AT_ONCE], sheets, rule)
        return self.runs.planned(run, merged)

    def _plan_some(self, run_id: str, products: Sequence[Product], sheets: dict[str, Sheet], rule: Rule) -> int:
        """Do so for products of one transaction; return how many pairs other runs want already."""
        for attempt in self.retries:
            now = self.clock.now()
            dates = self._reach(now)
            plans = []
            for product in products:
                sheet = sheets.get(product.experience_id) or Sheet(product.tenant, product.experience_id)
                plans.append((sheet, rule(product, sheet, dates[product.partner], now)))
            wanting = [(sheet, plan.wanted) for sheet, plan in plans if plan.wanted or plan.hurried]
            hurried = {sheet.experience_id: plan.hurried for sheet, plan in plans}
            if not wanting or self.sheets.want(run_id, wanting, hurried):
                for sheet, wanted in wanting:
                    sheets[sheet.experience_id] = replace(
                        sheet,
                        wanted={**sheet.wanted, **dict.fromkeys(wanted, run_id)},
                        hurried={**sheet.hurried, **dict.fromkeys(hurried[sheet.experience_id], now)},
                        plan_version=sheet.plan_version + 1,
                    )
                return sum(sheet.wanted[day] != run_id for sheet, plan in plans for day in plan.merged)
            self.retries.wait(attempt)
            sheets |= {sheet.experience_id: sheet for sheet in self.sheets.again(sheet for sheet, _ in plans)}
        raise Busy

    def _forget(self, products: Sequence[Product], sheets: dict[str, Sheet]) -> int:
        dates, dropped = self._reach(self.clock.now()), 0
        for product in products:
            sheet = sheets.get(product.experience_id)
            gone = planning.over(product, sheet, dates[product.partner]) if sheet is not None else None
            if sheet is not None and gone:
                dropped += self.sheets.forget(sheet, gone)
                sheets[product.experience_id] = self.sheets.get(product.tenant, product.experience_id)
        return dropped

    def _find_overlooked(self, tenant: str, products: Sequence[Product], sheets: dict[str, Sheet]) -> int:
        """Have wanted what nobody wants and should; return how many pairs that were."""
        now, planned = self.clock.now(), 0
        dates = self._reach(now)
        found: dict[str, list[Product]] = {}
        for product in products:
            sheet = sheets.get(product.experience_id)
            known = sheet or Sheet(tenant, product.experience_id)
            horizons = planning.overlooked(product, known, dates[product.partner], now)
            for kind in dict.fromkeys(ONBOARDING if sheet is None else horizon.value for horizon in horizons):
                found.setdefault(kind, []).append(product)
        for kind, of_kind in found.items():
            run = self._plan(self.runs.begin(tenant, kind), of_kind, sheets, _overlooked_as(kind))
            planned += run.planned
        return planned

    def _overdue(self, products: Sequence[Product], sheets: Mapping[str, Sheet], since: int) -> int:
        now = self.clock.now()
        dates = self._reach(now)
        overdue = 0
        for product in products:
            sheet = sheets.get(product.experience_id) or Sheet(product.tenant, product.experience_id)
            overdue += planning.is_overdue(product, sheet, dates[product.partner], since, now)
        return overdue

    def _line_up(
        self,
        products: Sequence[Product],
        sheets: Mapping[str, Sheet],
        partners: Mapping[str, _Partner],
        is_paused: bool,
    ) -> None:
        """Put what waits of a tenant into its partners' lines, and count what is queued already."""
        now = self.clock.now()
        dates = self._reach(now)
        for product in products:
            sheet, partner = sheets.get(product.experience_id), partners[product.partner]
            if sheet is None:
                continue
            partner.busy.update(planning.in_flight(sheet, dates[product.partner], now))
            if not is_paused:
                for horizon, found in planning.waiting(product, sheet, dates[product.partner], now).items():
                    partner.lines[horizon] += found

    def _queue_some(self, name: str, partner: _Partner, sheets: Mapping[tuple[str, str], Sheet]) -> Mapping[str, int]:
        """Queue what a partner is to be asked for next, and count it."""
        now = self.clock.now()
        waiting = sum(len(line) for line in partner.lines.values())
        if not waiting or self.closed_until(name) > now + CLOSED_WAITED_FOR:
            return {"waiting": waiting}
        lines = {horizon: sorted(line) for horizon, line in partner.lines.items()}
        chosen: dict[tuple[str, str], list[Waiting]] = {}
        for each in planning.choose(lines, partner.busy, now):
            chosen.setdefault((each.pair.tenant, each.pair.experience_id), []).append(each)
        queued = unsent = 0
        messages: list[SyncMessage] = []
        for of_sheet, pairs in chosen.items():
            stamp = self.clock.now()
            if self.sheets.queue(sheets[of_sheet], [each.pair.date for each in pairs], stamp):
                messages += [message_of(each.pair, stamp) for each in pairs]
                queued += len(pairs)
            if len(messages) >= _SENT_AT_ONCE:
                unsent += self._send(messages)
                messages = []
        unsent += self._send(messages)
        return {"waiting": waiting, "queued": queued, "unsent": unsent}

    def _send(self, messages: Sequence[SyncMessage]) -> int:
        """Send messages of pairs that were queued; give back what was not sent, and return how many those are."""
        if not messages:
            return 0
        try:
            unsent = self.queue.send(messages)
        except Exception:
            for message in messages:
                self.sheets.give_back(message)
            raise
        for message in unsent:
            self.sheets.give_back(message)
        return len(unsent)

    def _by_tenant(self, products: Sequence[Product]) -> dict[str, list[Product]]:
        """Return each tenant's products, those of partners that are known."""
        found: dict[str, list[Product]] = {}
        for product in products:
            if product.partner in self.zones:
                found.setdefault(product.tenant, []).append(product)
        return found

    def _of_unknown_partners(self, products: Sequence[Product]) -> int:
        """Return how many products are sold of partners that are not known, and say so, once of each partner."""
        found = Counter(each.partner for each in products if each.enabled and each.partner not in self.zones)
        for partner, count in found.items():
            _logger.warning("of a partner that is not known", extra={"partner": partner, "experiences": count})
        return found.total()

    def _reach(self, now: int) -> dict[str, Reach]:
        return {name: planning.reach(zone, now) for name, zone in self.zones.items()}


def planner_of(store: Store, queue: SyncQueue, partners: Mapping[str, Definition]) -> Planner:
    """Return a planner over the synchronisation's table, for these partners."""
    clock, retries = SystemClock(), Retries()

    def closed_until(partner: str) -> int:
        limiter = Limiter(store, partner, clock, retries).state()
        return (limiter.closed_until if limiter is not None else None) or 0

    return Planner(
        sheets=Sheets(store, clock, retries),
        runs=Runs(store, clock, retries),
        controls=Controls(store, clock, retries),
        queue=queue,
        zones={name: definition.zone for name, definition in partners.items()},
        closed_until=closed_until,
        clock=clock,
        retries=retries,
    )


def _overlooked_as(kind: str) -> Rule:
    """Return the rule that wants what was overlooked of one horizon, or of all where it is of a new product."""

    def rule(product: Product, sheet: Sheet, dates: Reach, now: int) -> Plan:
        found = planning.overlooked(product, sheet, dates, now)
        return Plan([day for horizon, days in found.items() if kind in (ONBOARDING, horizon.value) for day in days], [])

    return rule


def _raise_first(faults: Sequence[Exception]) -> None:
    if faults:
        raise faults[0]
