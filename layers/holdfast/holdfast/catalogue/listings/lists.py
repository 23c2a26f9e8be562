"""Lists of listings, newest first: all that are unsold, and a seller's own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.catalogue.listings.listings import Listing, ListingState
from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import read
from holdfast.platform.items import ListedItem, ListingItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Engine

MOST_LOOKS = 4
"""How often one page looks on for what it still lacks, where much of what it comes by is not to be shown."""


@dataclass(frozen=True)
class ListingPage:
    """Some listings, and the token that goes on after them; None at the end."""

    items: list[Listing]
    next: str | None


def unsold(engine: Engine, tenant: str, limit: int, token: str | None) -> ListingPage:
    """Return up to `limit` of the tenant's unsold listings, newest first; those that an order locks are among them.

    A page may come short, even empty, and still have a `next`. Raises Malformed for a token that is not of this list.
    """
    now = engine.clock.now()

    def is_unsold(listing: Listing) -> bool:
        return listing.state_at(now) != ListingState.SOLD

    return _page(engine, tenant, Keys(tenant).listed, f"{tenant}/tickets", is_unsold, limit, token)


def of_seller(engine: Engine, tenant: str, seller: str, limit: int, token: str | None) -> ListingPage:
    """Return up to `limit` of a seller's listings, sold ones too, newest first.

    Raises Malformed for a token that is not of this list.
    """

    def place(ticket_id: str) -> Key:
        return Keys(tenant).listed_by(seller, ticket_id)

    return _page(engine, tenant, place, f"{tenant}/tickets/{seller}", lambda _: True, limit, token)


def find_all(engine: Engine, tenant: str, ticket_ids: Iterable[str]) -> dict[str, Listing]:
    """Return those of the listings that exist, by their ids."""
    ids = {Keys(tenant).listing(ticket_id): ticket_id for ticket_id in ticket_ids}
    return {ids[key]: Listing(ids[key], read(ListingItem, raw)) for key, raw in engine.store.batch_get(ids).items()}


def _page(
    engine: Engine,
    tenant: str,
    place: Callable[[str], Key],
    scope: str,
    is_wanted: Callable[[Listing], bool],
    limit: int,
    token: str | None,
) -> ListingPage:
    """Return a page of the list whose places are at `place(ticket_id)`."""
    partition, prefix = place("")
    after = None if token is None else place(page_tokens.read(scope, token))
    found: list[Listing] = []
    for _ in range(MOST_LOOKS):
        page = engine.store.query(partition, prefix, limit - len(found), after, newest_first=True)
        ids = [read(ListedItem, raw).ticket_id for raw in page.items]
        listings = find_all(engine, tenant, ids)
        found += [listings[ticket_id] for ticket_id in ids if is_wanted(listings[ticket_id])]
        after = page.after
        if after is None or len(found) == limit:
            break
    following = None if after is None else page_tokens.issue(scope, after.sk.removeprefix(prefix))
    return ListingPage(found, following)
