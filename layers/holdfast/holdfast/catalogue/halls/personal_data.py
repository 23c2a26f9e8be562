"""What bookings say of those they are for: listed for who asks, and taken out of them for who is deleted.

The bookings themselves stay: a hall was taken, whoever it was that took it.
"""

from dataclasses import dataclass

from pynamodb.expressions.update import Action

from holdfast.platform import page_tokens
from holdfast.platform.dynamodb import Contended, Update, read
from holdfast.platform.errors import Busy
from holdfast.platform.items import BookingItem
from holdfast.platform.tables import Key, Keys, key_of
from holdfast.reservations.engine import Engine

_CHUNK = 100

_SAID = (
    BookingItem.customer_name,
    BookingItem.customer_phone,
    BookingItem.customer_email,
    BookingItem.special_requests,
    BookingItem.meta,
)
"""What a booking says of its customer: what they are called, how to reach them, and what was written freely."""


@dataclass(frozen=True)
class KeptBookings:
    """Some of a user's bookings as they are kept, and the token that goes on from there; None at the end."""

    items: list[BookingItem]
    next: str | None


def kept_of(engine: Engine, tenant: str, user: str, limit: int, token: str | None) -> KeptBookings:
    """Return up to `limit` bookings of a user by their start, also those that came to nothing.

    Raises Malformed for a token that is not of this list.
    """
    keys = Keys(tenant)
    partition = keys.user(user)
    scope = f"{partition} bookings"
    after = None if token is None else Key(partition, page_tokens.read(scope, token))
    page = engine.store.query(partition, "B#", limit, after)
    named = [keys.booking_at(key_of(raw)) for raw in page.items]
    found = engine.store.batch_get(named) if named else {}
    following = None if page.after is None else page_tokens.issue(scope, page.after.sk)
    return KeptBookings([read(BookingItem, found[key]) for key in named], following)


def delete_of(engine: Engine, tenant: str, user: str) -> int:
    """Take what bookings say of a user out of them, one by one, and return of how many; none are left for a repeat.

    Raises Busy.
    """
    changed, token = 0, None
    while True:
        page = kept_of(engine, tenant, user, _CHUNK, token)
        for item in page.items:
            if any(item.attribute_values.get(said.attr_name) is not None for said in _SAID):
                _delete_from(engine, item)
                changed += 1
        token = page.next
        if token is None:
            return changed


def _delete_from(engine: Engine, item: BookingItem) -> None:
    now = engine.clock.now()
    actions: list[Action] = [BookingItem.updated_at.set(now), *(said.remove() for said in _SAID)]
    for attempt in engine.retries:
        try:
            engine.store.write(Update(item.key, actions))
        except Contended:
            engine.retries.wait(attempt)
        else:
            return
    raise Busy
