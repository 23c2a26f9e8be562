"""Reading reservations: one by its public id, and all of a user's, page by page."""

from dataclasses import dataclass
from functools import partial

from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import read
from holdfast.platform.errors import ReservationNotFound
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Engine
from holdfast.reservations.states import State

_PREFIXES = ("H#", "R#")


@dataclass(frozen=True)
class ReservationPage:
    """Some of a user's reservations, and the token that goes on from there; None at the end."""

    items: list[ReservationItem]
    next: str | None


def locate(tenant: str, reservation_id: str) -> tuple[Key, int | None]:
    """Return the key, and a deal hold's life, that a public id names; raises ReservationNotFound for any other text."""
    found = Keys(tenant).by_public_id(reservation_id)
    if found is None:
        raise ReservationNotFound
    return found


def find(engine: Engine, tenant: str, reservation_id: str, user: str | None = None) -> ReservationItem:
    """Return a reservation of the tenant, of `user` only where one is named; raises ReservationNotFound."""
    key, life = locate(tenant, reservation_id)
    record = engine.store.get(ReservationItem, key)
    if record is None or record.life != life or user not in (None, record.user_id):
        raise ReservationNotFound
    return record


def state_at(record: ReservationItem, now: int) -> State:
    """Return the state as the clock has it: a hold past its time is expired, whether or not it was given back yet."""
    if record.status == State.HELD and record.expires_at <= now:
        return State.EXPIRED
    return State(record.status)


def list_of(
    engine: Engine,
    tenant: str,
    user: str,
    status: State | None,
    limit: int,
    token: str | None,
    source: str | None = None,
) -> ReservationPage:
    """Return up to `limit` reservations and deal holds of a user, in the stable order of their ids.

    With a `status`, or a `source` (the route they came by), a page may come short, even empty, and still have a `next`.
    Raises Malformed for a token that is not one.
    """
    partition = Keys(tenant).user(user)
    scope = f"{partition} {status} {source}"
    first, after = _start(token, partition, scope)
    now = engine.clock.now()
    found: list[ReservationItem] = []
    for prefix in _PREFIXES[_PREFIXES.index(first) :]:
        if limit == 0:
            return ReservationPage(found, page_tokens.issue(scope, prefix))
        page = engine.store.query(partition, prefix, limit, after)
        items = [read(ReservationItem, raw) for raw in page.items]
        found += [
            item
            for item in items
            if not _is_bought_hold(item) and status in (None, state_at(item, now)) and source in (None, item.source)
        ]
        if page.after is not None:
            return ReservationPage(found, page_tokens.issue(scope, page.after.sk))
        limit, after = limit - len(items), None
    return ReservationPage(found, None)


def _is_bought_hold(item: ReservationItem) -> bool:
    """Return whether all that a deal hold held was bought: the reservations of the bought parts say so themselves."""
    return item.life is not None and item.status == State.CONFIRMED


def _start(token: str | None, partition: str, scope: str) -> tuple[str, Key | None]:
    """Return the kind of hold to go on with, and after which key."""
    if token is None:
        return _PREFIXES[0], None
    return page_tokens.parsed(scope, token, partial(_started, partition))


def _started(partition: str, sk: str) -> tuple[str, Key | None]:
    """Return what a position says, a sort key or its prefix alone; raises ValueError for others."""
    if not sk.startswith(_PREFIXES):
        raise ValueError(f"{sk} is no sort key of a hold")
    return sk[:2], Key(partition, sk) if sk[2:] else None


def line_price(line: LineMap) -> int:
    """Return the price of a whole line in minor units."""
    return line.quantity * line.unit_price_minor


def total_of(record: ReservationItem) -> int:
    """Return the price of all lines in minor units; they are in one currency."""
    return sum(line_price(line) for line in record.lines)
