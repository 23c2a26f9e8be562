"""Idempotency for writes that have no id of their own to serve as the lock: a record beside them, in their transaction.

Only successes are remembered, for 48 h, well over the 24 h that are promised; a refusal may be tried again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from holdfast.platform.dynamodb import Cancelled, Contended, Put, Reason, Store, read
from holdfast.platform.errors import Busy, IdempotencyKeyReused
from holdfast.platform.items import IdempotencyItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys

REMEMBERED_SECONDS = 48 * 3600


@dataclass(frozen=True)
class KeyedRequest:
    """A request that came with an idempotency key; tenant, user, route and key tell it from all others."""

    tenant: str
    user: str
    route: str
    key: str
    body_hash: str

    def record(self, answer: Any, now: int) -> Put:
        """Return the write that remembers `answer` (JSON), to be made in the transaction of what it answers for."""
        key = Keys(self.tenant).idempotency(self.user, self.route, self.key)
        ttl = now // 1000 + REMEMBERED_SECONDS
        item = IdempotencyItem(*key, body_hash=self.body_hash, answer=json.dumps(answer), ttl=ttl)
        return Put(item, IdempotencyItem.pk.does_not_exist())

    def replay(self, store: Store) -> Any | None:
        """Return what was answered before, or None; raises IdempotencyKeyReused for another body."""
        known = store.get(IdempotencyItem, Keys(self.tenant).idempotency(self.user, self.route, self.key))
        return None if known is None else self._answer(known)

    def remember(self, store: Store, retries: Retries, answer: Any, now: int) -> Any:
        """Write the record by itself, where nothing is left to be written with it, and return what is remembered.

        That is `answer`, or what a twin was answered meanwhile. Raises IdempotencyKeyReused and Busy.
        """
        for attempt in retries:
            try:
                store.write(self.record(answer, now))
            except Contended:
                retries.wait(attempt)
            except Cancelled as refusal:
                known = self.settle(refusal.reasons)
                if known is not None:
                    return known
                retries.wait(attempt)
            else:
                return answer
        raise Busy

    def settle(self, reasons: Sequence[Reason | None]) -> Any | None:
        """Return what was answered before, if that is why the record could not be written; it was the first write."""
        reason = reasons[0]
        if reason is None or not reason.condition_failed or reason.item is None:
            return None
        return self._answer(read(IdempotencyItem, reason.item))

    def _answer(self, known: IdempotencyItem) -> Any:
        if known.body_hash != self.body_hash:
            raise IdempotencyKeyReused
        return json.loads(known.answer)


def hash_of(body: Any) -> str:
    """Return the hash by which two validated bodies (JSON values) are the same or not: 32 hexadecimal digits."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()[:32]
