"""Lists of bookings, page by page, in an order that does not change: a tenant's by their start, a customer's by id."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.catalogue.halls.booking_views import Booking, shown
from holdfast.catalogue.halls.bookings import SOURCE, key_beside
from holdfast.catalogue.halls.states import BookingState
from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Engine

MOST_READ = 1_000
"""How many bookings are looked at for one page; the next page goes on from there."""

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

    def take(self, booking: Booking) -> bool:
        """Return whether a booking is wanted."""
        return (
            self.state in (None, booking.state)
            and self.venue_id in (None, booking.venue_id)
            and (self.since is None or booking.start >= self.since)
            and (self.until is None or booking.start < self.until)
        )


@dataclass(frozen=True)
class BookingPage:
    """Some bookings, the number of their page, and the token that goes on from there; None at the end."""

    bookings: list[Booking]
    page: int
    next: str | None


@dataclass(frozen=True)
class _Place:
    """Where a page starts: its number, how many bookings are still to be passed over, and what they come after."""

    page: int
    skipped: int
    after: str = ""

    def token(self, scope: str) -> str:
        return page_tokens.issue(scope, f"{self.page}.{self.skipped}.{self.after}")


def list_of(
    engine: Engine, tenant: str, filters: Filters, page: int, limit: int, token: str | None = None
) -> BookingPage:
    """Return page number `page`, from 1, of up to `limit` bookings.

    With a `token` it is the page which that leads to, and `page` is not looked at. A page may come short, even empty,
    and still have a `next`: where MOST_READ bookings were looked at for it. Raises Malformed for a token of another
    list.
    """
    scope = f"{tenant}/bookings/{filters}"
    place = _Place(page, (page - 1) * limit) if token is None else _place(scope, token)
    found: list[Booking] = []
    skipped, last = place.skipped, place.after
    now = engine.clock.now()
    for looked_at, (position, pair) in enumerate(_all(engine.store, tenant, filters, place.after)):
        if looked_at == MOST_READ:
            return BookingPage(found, place.page, _Place(place.page + 1, skipped, last).token(scope))
        booking = None if pair is None else shown(*pair, now)
        if booking is not None and filters.take(booking):
            if skipped:
                skipped -= 1
            elif len(found) == limit:
                return BookingPage(found, place.page, _Place(place.page + 1, 0, last).token(scope))
            else:
                found.append(booking)
        last = position
    return BookingPage(found, place.page, None)


def _place(scope: str, token: str) -> _Place:
    page, skipped, after = page_tokens.read(scope, token).split(".", 2)
    return _Place(int(page), int(skipped), after)


_Pair = tuple[BookingItem, ReservationItem]


def _all(store: Store, tenant: str, filters: Filters, after: str) -> Iterator[tuple[str, _Pair | None]]:
    """Yield what may be wanted by its position, the sort key; None where what is there is no booking."""
    keys = Keys(tenant)
    if filters.user is None:
        return _of_tenant(store, keys, filters, after)
    return _of_user(store, keys, filters.user, after)


def _of_tenant(store: Store, keys: Keys, filters: Filters, after: str) -> Iterator[tuple[str, _Pair | None]]:
    first = _bound(keys, filters.since or 0)
    last = _bound(keys, _LAST if filters.until is None else filters.until)
    start = Key(keys.bookings(), after) if after else None
    while True:
        page = store.query_between(keys.bookings(), first, last, _CHUNK, start)
        items = [read(BookingItem, raw) for raw in page.items]
        held = {item.key: Key(item.reservation_pk, item.reservation_sk) for item in items}
        records = store.batch_get(held.values()) if items else {}
        for item in items:
            raw = records.get(held[item.key])
            record = read(ReservationItem, raw) if raw else None
            yield item.sk, (item, record) if record is not None and _is_of(item, record) else None
        start = page.after
        if start is None:
            return


def _is_of(item: BookingItem, record: ReservationItem) -> bool:
    """Return whether a record is the booking's own.

    Once that has expired, the same customer's key can make another in its place, while the old booking is still kept.
    """
    return record.created_at == item.created_at and key_beside(record) == item.key


def _bound(keys: Keys, moment: int) -> str:
    """Return the sort key that comes before those of all bookings from `moment` on, and after all earlier ones."""
    return keys.booking(moment, Key("", "")).sk


def _of_user(store: Store, keys: Keys, user: str, after: str) -> Iterator[tuple[str, _Pair | None]]:
    start = Key(keys.user(user), after) if after else None
    while True:
        page = store.query(keys.user(user), "R#", _CHUNK, start)
        records = [read(ReservationItem, raw) for raw in page.items]
        wanted = {record.key: key_beside(record) for record in records if record.source == SOURCE}
        items = store.batch_get(wanted.values()) if wanted else {}
        for record in records:
            raw = items.get(wanted[record.key]) if record.key in wanted else None
            yield record.sk, (read(BookingItem, raw), record) if raw else None
        start = page.after
        if start is None:
            return
