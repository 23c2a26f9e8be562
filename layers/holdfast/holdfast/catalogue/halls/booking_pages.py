"""Lists of bookings, page by page, in an order that does not change: a tenant's by their start, a customer's by id."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from holdfast.catalogue.halls.booking_views import Booking, shown, with_order
from holdfast.catalogue.halls.bookings import SOURCE, key_beside
from holdfast.catalogue.halls.states import BookingState
from holdfast.platform.dynamodb import RawItem, Store, read
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.numbered_pages import NumberedPage, turn_to
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key, Keys, key_of
from holdfast.reservations.engine import Engine

MOST_READ = 12_000
"""How many bookings are looked at for one page; the next page goes on from there."""

MOST_READ_BY_STATE = 5_000
"""The same where each one's state has to be made out."""

_CHUNK = 100

_LAST = 10**15 - 1
"""Later than any moment that a client can name, in ms."""


@dataclass(frozen=True)
class Filters:
    """Which bookings are wanted: of a user, in a state, of a venue, starting from `since` and before `until` (ms)."""

    user: str | None = None
    state: BookingState | None = None
    venue_id: str | None = None
    since: int | None = None
    until: int | None = None

    def may_take(self, item: RawItem) -> bool:
        """Return whether a booking is wanted if its state is."""
        start = int(item["start"]["N"])
        return (
            self.venue_id in (None, item["venue_id"]["S"])
            and (self.since is None or start >= self.since)
            and (self.until is None or start < self.until)
        )


def list_of(
    engine: Engine, tenant: str, filters: Filters, page: int, limit: int, token: str | None = None
) -> NumberedPage[Booking]:
    """Return page number `page`, from 1, of up to `limit` bookings.

    With a `token` it is the page which that leads to, and `page` is not looked at. A page may come short, and still
    have a `next`: where MOST_READ bookings, or MOST_READ_BY_STATE, were looked at for it. Raises Malformed for a token
    of another list, and for a page that is too far to be counted.
    """
    keys = Keys(tenant)
    now = engine.clock.now()

    def rows(after: str) -> Iterator[tuple[str, Callable[[], Booking] | None]]:
        pairs = _of_tenant if filters.user is None else _of_user
        for position, item, record in pairs(engine.store, keys, filters, after):
            yield position, _reading(filters, item, record, now)

    most = MOST_READ if filters.state is None else MOST_READ_BY_STATE
    turned = turn_to(rows, f"{tenant}/bookings/{filters}", page, limit, token, most)
    return replace(turned, entries=_paid(engine.store, keys, turned.entries))


def _paid(store: Store, keys: Keys, entries: Sequence[Booking]) -> list[Booking]:
    """Return bookings with how they are paid; the orders that buy them are read together."""
    named = [keys.by_order_id(f"o{entry.id[1:]}") for entry in entries]
    found = store.batch_get(key for key in named if key) if named else {}
    orders = [read(OrderItem, found[key]) if key in found else None for key in named]
    return [with_order(entry, order) for entry, order in zip(entries, orders, strict=True)]


def _reading(filters: Filters, item: RawItem | None, record: RawItem | None, now: int) -> Callable[[], Booking] | None:
    """Return how a booking is read, or None where there is none or it is not wanted.

    The record has to be the booking's own: once that has expired, the same customer's key can make another in its
    place, at another moment, while the old booking is still kept.
    """
    if item is None or record is None or item["created_at"] != record["created_at"] or not filters.may_take(item):
        return None
    reading = partial(_booking, item, record, now)
    return reading if filters.state in (None, reading().state) else None


def _booking(item: RawItem, record: RawItem, now: int) -> Booking:
    return shown(read(BookingItem, item), read(ReservationItem, record), None, now)


_Pairs = Iterator[tuple[str, RawItem | None, RawItem | None]]
"""Bookings' own items and reservations, by their positions, which are sort keys; None for what is not there."""


def _of_tenant(store: Store, keys: Keys, filters: Filters, after: str) -> _Pairs:
    first = _bound(keys, filters.since or 0)
    last = _bound(keys, _LAST if filters.until is None else filters.until)
    start = Key(keys.bookings(), after) if after else None
    while True:
        page = store.query_between(keys.bookings(), first, last, _CHUNK, start)
        records = store.batch_get(_reservation_of(item) for item in page.items) if page.items else {}
        for item in page.items:
            yield item["sk"]["S"], item, records.get(_reservation_of(item))
        start = page.after
        if start is None:
            return


def _reservation_of(item: RawItem) -> Key:
    return Key(item["reservation_pk"]["S"], item["reservation_sk"]["S"])


def _bound(keys: Keys, moment: int) -> str:
    """Return the sort key that comes before those of all bookings from `moment` on, and after all earlier ones."""
    return keys.booking(moment, Key("", "")).sk


def _of_user(store: Store, keys: Keys, filters: Filters, after: str) -> _Pairs:
    partition = keys.user(filters.user or "")
    start = Key(partition, after) if after else None
    while True:
        page = store.query(partition, "R#", _CHUNK, start)
        booked = [raw for raw in page.items if raw["source"]["S"] == SOURCE]
        beside = {key_of(raw): key_beside(read(ReservationItem, raw)) for raw in booked}
        items = store.batch_get(beside.values()) if beside else {}
        for raw in page.items:
            key = beside.get(key_of(raw))
            yield raw["sk"]["S"], items.get(key) if key else None, raw
        start = page.after
        if start is None:
            return
