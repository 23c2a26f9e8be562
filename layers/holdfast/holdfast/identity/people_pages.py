"""Listing people page by page, in the stable order of their ids: who is added meanwhile comes at the end."""

from collections.abc import Callable, Iterator
from functools import partial

from holdfast.identity.people import Directory, Role
from holdfast.platform.dynamodb import read
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.numbered_pages import NumberedPage, turn_to
from holdfast.platform.tables import Keys

MOST_READ = 12_000
"""How many people are looked at for one page, at about 300 bytes each."""

_CHUNK = 1_000


def list_of(
    directory: Directory, tenant: str, role: Role | None, page: int, limit: int, token: str | None = None
) -> NumberedPage[PersonItem]:
    """Return page number `page`, from 1, of up to `limit` people of a role or of any.

    With a `token` it is the page which that leads to, and `page` is not looked at. A page may come short, and still
    have a `next`: where MOST_READ people were looked at for it. Raises Malformed for a token of another list, and for a
    page that is too far to be counted.
    """
    needed = (page if token is None else 1) * limit + 1
    chunk = min(_CHUNK, needed) if role is None else _CHUNK

    def rows(after: str) -> Iterator[tuple[str, Callable[[], PersonItem] | None]]:
        keys = Keys(tenant)
        start = keys.person(after) if after else None
        while True:
            found = directory.store.query(keys.people(), limit=chunk, after=start)
            for raw in found.items:
                is_wanted = role is None or raw["role"]["S"] == role
                yield raw["sk"]["S"], partial(read, PersonItem, raw) if is_wanted else None
            start = found.after
            if start is None:
                return

    return turn_to(rows, f"{tenant}/people/{role or ''}", page, limit, token, MOST_READ)
