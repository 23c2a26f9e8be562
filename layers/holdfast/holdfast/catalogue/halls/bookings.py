"""Bookings of halls: a reservation of one venue line, and beside it what a booking says about customer and occasion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.booking_views import Booking, Customer, as_made, from_json, shown, to_json
from holdfast.catalogue.halls.lines import VenueRoom
from holdfast.catalogue.halls.venues import Venue
from holdfast.claims.span import Span
from holdfast.platform.dynamodb import Put, Write
from holdfast.platform.errors import AmountMismatch, BookingNotFound, Fault, Refused
from holdfast.platform.items import BookingItem, Item, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key, Keys, order_of, tenant_of
from holdfast.reservations.engine import Engine, LineRequest
from holdfast.reservations.gate import Gate
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.numbering import next_number
from holdfast.reservations.reading import total_of

SOURCE = "bookings"
"""The route that reservations name which are bookings."""


@dataclass(frozen=True)
class Wish:
    """A wish to book `span` of `venue`. `total_minor` is what the client believes it to cost, None where it is silent.

    `keyed` is the request's idempotency key, in the name of whom it is for; `meta` is the client's own JSON text.
    `policy` is what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    keyed: KeyedRequest
    venue: Venue
    span: Span
    customer: Customer
    is_new_customer: bool = False
    event_type: str | None = None
    guest_count: int | None = None
    special_requests: str | None = None
    total_minor: int | None = None
    meta: str | None = None
    policy: Policy = UNSET
    gate: Gate | None = None


class _Made(Exception):
    """The same request has made its booking meanwhile."""

    def __init__(self, booking: Booking) -> None:
        self.booking = booking
        super().__init__()


def replayed(engine: Engine, keyed: KeyedRequest) -> Booking | None:
    """Return what the same request was answered before, or None; raises IdempotencyKeyReused for another body."""
    known = keyed.replay(engine.store)
    return None if known is None else recalled(engine, keyed.tenant, known)


def recalled(engine: Engine, tenant: str, known: Mapping[str, Any]) -> Booking:
    """Return the booking that was remembered as an answer (`to_json`)."""
    reservation = Keys(tenant).by_view_id("b", known["id"])
    assert reservation is not None, "the id of a booking of ours"
    return from_json(known, _item_at(engine, Keys(tenant).booking(known["start"], reservation)))


def book(engine: Engine, wish: Wish) -> Booking:
    """Hold the time for the customer and return the booking; the same keyed request returns the same one.

    Whether it was answered before is for the caller to ask (`replayed`), before anything else is looked at. One
    transaction writes the reservation, its days, the booking, its place among the customer's, what the gate wants, what
    the customer's limit counts and the idempotency record. The number counts the bookings that the tenant's venues take
    in a year. Raises what the gate does; TooManyRequests where the customer is over the tenant's limit a minute;
    Refused, with the fault `time_conflict` where another has the time; AmountMismatch, with nothing held, where the
    price is not what the client believes; IdempotencyKeyReused and Busy.
    """
    keyed = wish.keyed
    number = cache(lambda: _next_number(engine, wish))
    line = LineRequest("venue", "startTs", venue_id=wish.venue.id, start=wish.span.start, end=wish.span.end)
    request = HoldRequest(
        tenant=keyed.tenant,
        user=wish.customer.id,
        route=SOURCE,
        idempotency_key=keyed.key,
        body_hash=keyed.body_hash,
        lines=[line],
        policy=wish.policy,
        gate=wish.gate,
    )
    attempts = count()

    def beside(record: ReservationItem) -> Sequence[Write]:
        known = replayed(engine, keyed) if next(attempts) else None
        if known is not None:
            raise _Made(known)
        if wish.total_minor not in (None, total_of(record)):
            raise AmountMismatch(faults=[Fault("totalAmountCents", AmountMismatch.sentence, AmountMismatch.code)])
        item = _item(wish, number(), record)
        place = Item(*Keys(keyed.tenant).booked(item.start, record.key))
        return [Put(item), Put(place), keyed.record(to_json(as_made(item, record)), record.created_at)]

    try:
        record = hold(engine, lambda _: VenueRoom(), request, beside)
    except _Made as made:
        return made.booking
    except (Refused, AmountMismatch):
        known = replayed(engine, keyed)
        if known is None:
            raise
        return known
    return as_made(booking_of(engine, record), record)


def find(engine: Engine, tenant: str, booking_id: str, user: str | None) -> Booking:
    """Return a booking of the tenant, of `user` only where one is named; raises BookingNotFound."""
    return as_it_is(engine, record_of(engine, tenant, booking_id, user))


def as_it_is(engine: Engine, record: ReservationItem) -> Booking:
    """Return the booking that a reservation is, with how it is paid."""
    order = engine.store.get(OrderItem, order_of(record.key))
    return shown(booking_of(engine, record), record, order, engine.clock.now())


def record_of(engine: Engine, tenant: str, booking_id: str, user: str | None) -> ReservationItem:
    """Return the reservation of a booking, of `user` only where one is named; raises BookingNotFound."""
    key = Keys(tenant).by_view_id("b", booking_id)
    record = engine.store.get(ReservationItem, key) if key else None
    if record is None or record.source != SOURCE or user not in (None, record.user_id):
        raise BookingNotFound
    return record


def booking_of(engine: Engine, record: ReservationItem) -> BookingItem:
    """Return what is kept beside a booking's reservation."""
    return _item_at(engine, key_beside(record))


def key_beside(record: ReservationItem) -> Key:
    """Return the key of the booking that is written beside a reservation."""
    return Keys(tenant_of(record.key)).booking(record.lines[0].start, record.key)


def _item_at(engine: Engine, key: Key) -> BookingItem:
    item = engine.store.get(BookingItem, key)
    assert item is not None, "a booking is written with its reservation, and never deleted"
    return item


def _next_number(engine: Engine, wish: Wish) -> str:
    """Return the next booking number of the tenant in this year, as the venue's clocks have it."""
    year = moments.local_day(engine.clock.now(), wish.venue.zone).year
    number = next_number(engine, Keys(wish.keyed.tenant).counter(f"bookings-{year}"))
    return f"{wish.venue.item.prefix}-{year}-{number:04d}"


def _item(wish: Wish, number: str, record: ReservationItem) -> BookingItem:
    return BookingItem(
        *key_beside(record),
        reservation_pk=record.pk,
        reservation_sk=record.sk,
        number=number,
        venue_id=wish.venue.id,
        venue_name=wish.venue.item.name,
        user_id=wish.customer.id,
        customer_name=wish.customer.name,
        customer_phone=wish.customer.phone,
        customer_email=wish.customer.email,
        is_new_customer=wish.is_new_customer,
        start=wish.span.start,
        end=wish.span.end,
        event_type=wish.event_type,
        guest_count=wish.guest_count,
        special_requests=wish.special_requests,
        meta=wish.meta,
        total_minor=total_of(record),
        currency=record.lines[0].currency,
        created_at=record.created_at,
        updated_at=record.created_at,
    )
