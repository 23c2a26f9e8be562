"""Pause and resume: while a tenant's synchronisation is paused, no partner is asked for anything of it.

Whoever asks a partner looks here right before each request, so that a pause takes effect within one of them.
"""

from typing import Any

from pynamodb.expressions.condition import Condition

from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Store, Write
from holdfast.platform.errors import Busy
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncControlItem
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest


class Controls:
    """Which tenants have paused, in the synchronisation's table."""

    def __init__(self, store: Store, clock: Clock, retries: Retries) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries

    def of(self, tenant: str) -> SyncControlItem | None:
        """Return what was last said of a tenant, read consistently; None where it never was paused."""
        return self._store.get(SyncControlItem, Keys(tenant).sync_control())

    def is_paused(self, tenant: str) -> bool:
        """Return whether a tenant's synchronisation is paused."""
        found = self.of(tenant)
        return found is not None and found.is_paused

    def switch(self, tenant: str, is_paused: bool, by: str, keyed: KeyedRequest | None = None) -> SyncControlItem:
        """Pause or resume, and return since when and by whom it is so: what is so already stays as it was said first.

        The same keyed request is answered the same again, whatever was said since. Raises IdempotencyKeyReused, Busy
        and Unavailable.
        """
        known = keyed.replay(self._store) if keyed is not None else None
        key = Keys(tenant).sync_control()
        for attempt in self._retries:
            if known is not None:
                return SyncControlItem(*key, **known)
            standing, now = self.of(tenant), self._clock.now()
            is_so = standing is not None and standing.is_paused == is_paused
            said = SyncControlItem(*key, is_paused=is_paused, changed_at=now, changed_by=by)
            answer = standing if standing is not None and is_so else said
            writes: list[Write] = [] if is_so else [Put(said, _still(standing))]
            if keyed is not None:
                writes.insert(0, keyed.record(_recorded(answer), now))
            try:
                if writes:
                    self._store.make(writes)
            except Contended:
                self._retries.wait(attempt)
            except Cancelled as refusal:
                known = keyed.settle(refusal.reasons) if keyed is not None else None
                self._retries.wait(attempt)
            else:
                return answer
        raise Busy


def _still(standing: SyncControlItem | None) -> Condition:
    if standing is None:
        return SyncControlItem.pk.does_not_exist()
    condition: Condition = SyncControlItem.changed_at == standing.changed_at
    condition &= SyncControlItem.is_paused == standing.is_paused
    return condition


def _recorded(said: SyncControlItem) -> dict[str, Any]:
    return {"is_paused": said.is_paused, "changed_at": said.changed_at, "changed_by": said.changed_by}
