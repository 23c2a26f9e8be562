"""Shortages: slots of which the partner has fewer places left than are held and sold."""

from dataclasses import dataclass

from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import ShortageItem
from holdfast.platform.tables import Key, Keys


@dataclass(frozen=True)
class ShortagePage:
    """Some of a tenant's shortages, and the token that goes on from there; None at the end."""

    shortages: list[ShortageItem]
    next: str | None


def page(store: Store, tenant: str, limit: int, token: str | None = None) -> ShortagePage:
    """Return up to `limit` shortages in the order of their dates; raises Malformed for another list's token."""
    partition, scope = Keys(tenant).shortages(), f"{tenant}/shortages"
    after = Key(partition, page_tokens.read(scope, token)) if token is not None else None
    found = store.query(partition, limit=limit + 1, after=after)
    shown = [read(ShortageItem, raw) for raw in found.items[:limit]]
    return ShortagePage(shown, page_tokens.issue(scope, shown[-1].sk) if len(found.items) > limit else None)


def count(store: Store, tenant: str) -> int:
    """Return how many shortages there are."""
    return store.count_where(Keys(tenant).shortages(), ShortageItem.missing > 0)
