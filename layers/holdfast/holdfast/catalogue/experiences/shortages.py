"""Shortages: slots of which the partner has fewer places left than are held and sold."""

from dataclasses import dataclass
from datetime import timedelta

from holdfast.platform import page_tokens
from holdfast.platform.clock import to_datetime
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import ShortageItem
from holdfast.platform.tables import Key, Keys

_AFTER_ALL_DATES = "~"


@dataclass(frozen=True)
class ShortagePage:
    """Some of a tenant's shortages, and the token that goes on from there; None at the end."""

    shortages: list[ShortageItem]
    next: str | None


def page(store: Store, tenant: str, limit: int, now: int, token: str | None = None) -> ShortagePage:
    """Return up to `limit` shortages of days that are not over at `now` (ms), in the order of their dates.

    Raises Malformed for another list's token.
    """
    partition, scope, first = Keys(tenant).shortages(), f"{tenant}/shortages", _first_date(now)
    last = page_tokens.read(scope, token) if token is not None else ""
    after = Key(partition, last) if last >= first else None
    found = store.query_between(partition, first, _AFTER_ALL_DATES, limit=limit + 1, after=after)
    shown = [read(ShortageItem, raw) for raw in found.items[:limit]]
    return ShortagePage(shown, page_tokens.issue(scope, shown[-1].sk) if len(found.items) > limit else None)


def count(store: Store, tenant: str, now: int) -> int:
    """Return how many shortages there are of days that are not over at `now` (ms)."""
    return store.count_where(Keys(tenant).shortages(), ShortageItem.date >= _first_date(now))


def _first_date(now: int) -> str:
    """Return the first date that may not be over everywhere: yesterday's in UTC."""
    return (to_datetime(now).date() - timedelta(days=1)).isoformat()
