"""Listing people page by page, in the stable order of their ids: who is added meanwhile comes at the end."""

from dataclasses import dataclass

from holdfast.identity.people import Directory, Role
from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import read
from holdfast.platform.items import PersonItem
from holdfast.platform.tables import Keys

MOST_READ = 10_000
"""How many people are looked at for one page, at about 300 bytes each; the next page goes on from there."""

_CHUNK = 1_000


@dataclass(frozen=True)
class PeoplePage:
    """Some people, the number of their page, and the token that goes on from there; None at the end."""

    people: list[PersonItem]
    page: int
    next: str | None


@dataclass(frozen=True)
class _Place:
    """Where a page starts: its number, how many people are still to be passed over, and the id they come after."""

    page: int
    skipped: int
    after: str = ""

    def token(self, scope: str) -> str:
        return page_tokens.issue(scope, f"{self.page}.{self.skipped}.{self.after}")


def list_of(
    directory: Directory, tenant: str, role: Role | None, page: int, limit: int, token: str | None = None
) -> PeoplePage:
    """Return page number `page`, from 1, of up to `limit` people of a role or of any.

    With a `token` it is the page which that leads to, and `page` is not looked at. A page may come short, even empty,
    and still have a `next`: where MOST_READ people were looked at for it. Raises Malformed for a token of another list.
    """
    scope = f"{tenant}/people/{role or ''}"
    place = _Place(page, (page - 1) * limit) if token is None else _place(scope, token)
    keys = Keys(tenant)
    found: list[PersonItem] = []
    skipped, looked_at = place.skipped, 0
    after = keys.person(place.after) if place.after else None
    while True:
        wanted = _CHUNK if role else min(_CHUNK, skipped + limit - len(found) + 1)
        chunk = directory.store.query(keys.people(), limit=wanted, after=after)
        for raw in chunk.items:
            if role is not None and raw["role"]["S"] != role:
                continue
            if skipped:
                skipped -= 1
            elif len(found) == limit:
                return PeoplePage(found, place.page, _Place(place.page + 1, 0, found[-1].user_id).token(scope))
            else:
                found.append(read(PersonItem, raw))
        after = chunk.after
        looked_at += len(chunk.items)
        if after is None:
            return PeoplePage(found, place.page, None)
        if looked_at >= MOST_READ:
            return PeoplePage(found, place.page, _Place(place.page + 1, skipped, after.sk).token(scope))


def _place(scope: str, token: str) -> _Place:
    page, skipped, after = page_tokens.read(scope, token).split(".", 2)
    return _Place(int(page), int(skipped), after)
