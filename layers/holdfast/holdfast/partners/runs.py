"""Runs: the synchronisation's log. What a run counts is written together with what is counted, in one transaction."""

from dataclasses import dataclass
from secrets import token_hex
from typing import NamedTuple

from holdfast.partners.sheets import KEPT_SECONDS
from holdfast.platform import page_tokens
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Store, Update, Write, read
from holdfast.platform.errors import Busy, SyncRunNotFound
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncFailureItem, SyncRunItem
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest

MANUAL, ONBOARDING = "manual", "onboarding"
"""The kinds of run that no schedule set off; the others are called as their horizons."""

MOST_FAILURES = 100
"""Failures of a run that are shown."""


class RunId(NamedTuple):
    """What a run's id says: when it began (ms), and what kind of run it is."""

    began_at: int
    kind: str


@dataclass(frozen=True)
class RunPage:
    """Some of a tenant's runs, and the token that goes on from there; None at the end."""

    runs: list[SyncRunItem]
    next: str | None


class Runs:
    """The runs of all tenants, in the synchronisation's table."""

    def __init__(self, store: Store, clock: Clock, retries: Retries) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries

    def begin(self, tenant: str, kind: str, days: int | None = None, keyed: KeyedRequest | None = None) -> SyncRunItem:
        """Write down that a run begins, and return it; the same keyed request is answered with the same run.

        Raises IdempotencyKeyReused, Busy and Unavailable.
        """
        known = keyed.replay(self._store) if keyed is not None else None
        if known is not None:
            return self.get(tenant, known["run_id"])
        now = self._clock.now()
        run_id = new_run_id(now, kind)
        ttl = now // 1000 + KEPT_SECONDS
        run = SyncRunItem(*Keys(tenant).sync_run(run_id), kind=kind, days=days, started_at=now, ttl=ttl)
        writes: list[Write] = [Put(run)]
        if keyed is not None:
            writes.insert(0, keyed.record({"run_id": run_id}, now))
        for attempt in self._retries:
            try:
                self._store.make(writes)
            except Contended:
                self._retries.wait(attempt)
            except Cancelled as refusal:
                known = keyed.settle(refusal.reasons) if keyed is not None else None
                if known is not None:
                    return self.get(tenant, known["run_id"])
                self._retries.wait(attempt)
            else:
                return run
        raise Busy

    def planned(self, run: SyncRunItem, merged: int) -> SyncRunItem:
        """Write down that all of a run's pairs are wanted, and how many of them were before; return the run as it is.

        What was written down first stands. Raises Busy and Unavailable.
        """
        planned_at = SyncRunItem.planned_at
        write = Update(
            run.key,
            [planned_at.set(self._clock.now()), SyncRunItem.merged.set(merged)],
            SyncRunItem.pk.exists() & planned_at.does_not_exist(),
        )
        for attempt in self._retries:
            try:
                return read(SyncRunItem, self._store.write(write))
            except Contended:
                self._retries.wait(attempt)
            except Cancelled as refusal:
                return read(SyncRunItem, refusal.seen([write])[run.key])
        raise Busy

    def get(self, tenant: str, run_id: str) -> SyncRunItem:
        """Return a run, read consistently; raises SyncRunNotFound."""
        found = self._store.get(SyncRunItem, Keys(tenant).sync_run(run_id))
        if found is None:
            raise SyncRunNotFound
        return found

    def page(self, tenant: str, limit: int, token: str | None = None) -> RunPage:
        """Return up to `limit` of a tenant's runs, the newest first; raises Malformed for another list's token."""
        keys, scope = Keys(tenant), f"{tenant}/sync/runs"
        after = keys.sync_run(page_tokens.read(scope, token)) if token is not None else None
        page = self._store.query(keys.sync_runs(), limit=limit + 1, after=after, newest_first=True)
        found = [read(SyncRunItem, raw) for raw in page.items[:limit]]
        return RunPage(found, page_tokens.issue(scope, found[-1].sk) if len(page.items) > limit else None)

    def failures(self, tenant: str, run_id: str) -> list[SyncFailureItem]:
        """Return the first 100 failures of a run, in their order."""
        page = self._store.query(Keys(tenant).sync_failures(run_id), limit=MOST_FAILURES)
        return [read(SyncFailureItem, raw) for raw in page.items]


def new_run_id(began_at: int, kind: str) -> str:
    """Return an id for a run that begins at that time (ms): ids stand in the order of their times."""
    return f"{began_at:013d}-{kind}-{token_hex(4)}"


def read_run_id(run_id: str) -> RunId:
    """Return what a run's id says of it."""
    began_at, kind, _ = run_id.split("-")
    return RunId(int(began_at), kind)


def waiting_of(run: SyncRunItem) -> int:
    """Return how many of a run's own pairs are still to be answered."""
    return run.planned - run.fetched - run.dropped
