"""Personal data: all that is kept of a user, and its deletion.

Each room says for itself what it keeps; here it is put together. Ids of users that a tenant's own service chose, such
as `alice`, are the tenant's: they name nobody here, and whom they stand for is the tenant's to delete.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, ConfigDict, Field

from holdfast.catalogue.halls import personal_data as halls
from holdfast.catalogue.listings import lists
from holdfast.catalogue.listings.listings import Listing, ListingState
from holdfast.checkout import personal_data as checkout
from holdfast.checkout.personal_data import KeptOrder
from holdfast.identity import people, personal_data, rights
from holdfast.identity.people import Directory, Role
from holdfast.platform import http, page_tokens, user_pool
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import CheckoutUnderWay, UserNotFound
from holdfast.platform.fields import Currency, Moment, ShownUserId, UserInPath
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.items import BookingItem
from holdfast.platform.settings import PersonalDataSettings, settings
from holdfast.platform.user_pool import UserPool
from holdfast.reservations import personal_data as reservations
from holdfast.reservations import reading, slot_places
from holdfast.reservations.engine import Engine
from holdfast.reservations.wire import Reservation, shown

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_SHOWN = ConfigDict(defer_build=True)

_MOST_LOOKS = 12
"""How often one page asks a room for what it still lacks, where much of what it comes by is not to be shown."""


class KeptProfile(BaseModel):
    """Who a user is."""

    model_config = _SHOWN

    name: str | None = Field(examples=["Asha Rao"])
    phone: str | None = Field(examples=["+919876543210"])
    email: str | None = Field(examples=["asha@example.com"])
    role: Role
    has_account: bool = Field(description="Whether they sign in with the e-mail address.", examples=[True])
    signed_out_at: Moment | None = Field(description="When they signed out everywhere last.", examples=[None])
    created_at: Moment
    updated_at: Moment


class KeptBooking(BaseModel):
    """A booking of a hall, with all that was said when it was made."""

    model_config = _SHOWN

    number: str = Field(examples=["PAR-2030-0042"])
    venue_id: str = Field(examples=["1"])
    venue_name: str = Field(examples=["Parkside"])
    customer_name: str | None = Field(examples=["Asha Rao"])
    customer_phone: str | None = Field(examples=["+919876543210"])
    customer_email: str | None = Field(examples=["asha@example.com"])
    start: Moment = Field(examples=["2030-06-01T18:00:00.000Z"])
    end: Moment = Field(examples=["2030-06-01T22:00:00.000Z"])
    event_type: str | None = Field(examples=["wedding"])
    guest_count: int | None = Field(examples=[120])
    special_requests: str | None = Field(examples=["Ramp needed."])
    meta: dict[str, Any] | None = Field(description="What the client wrote of its own.", examples=[None])
    total_minor: int = Field(description="In minor units of the currency.", examples=[50_000])
    currency: Currency
    cancelled_at: Moment | None = Field(examples=[None])
    created_at: Moment
    updated_at: Moment


class KeptListing(BaseModel):
    """A ticket that the user put up for resale."""

    model_config = _SHOWN

    id: str = Field(examples=["19a9f5c1c3a0123456789abc"])
    title: str = Field(examples=["Opening night, row 3"])
    price_minor: int = Field(description="In minor units of the currency.", examples=[1999])
    currency: Currency
    status: ListingState
    created_at: Moment
    updated_at: Moment


class PersonalData(BaseModel):
    """All that is kept of a user, or a part of it; `next` asks for the part after it and is null at the end."""

    model_config = _SHOWN

    user_id: ShownUserId
    profile: KeptProfile | None = Field(description="Null for an id that the tenant's own service chose.")
    limits: dict[str, int] = Field(description="What limits count, by the counters' names.", examples=[{"taken#1": 2}])
    reservations: list[Reservation]
    orders: list[KeptOrder]
    bookings: list[KeptBooking]
    listings: list[KeptListing]
    next: str | None = Field(examples=[None])


class UserDeleted(BaseModel):
    """The user is deleted."""

    success: Literal[True] = True


_Page = tuple[list[Any], str | None]
_Section = Callable[[str, str, int, str | None], _Page]
"""Returns, of a tenant's user, up to so many of one kind of thing, and the token that goes on from there."""


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(PersonalDataSettings).table_name))


@cache
def directory() -> Directory:
    """Return this warm function's view of who is known."""
    return Directory(connect(settings(PersonalDataSettings).identity_table_name))


@cache
def pool() -> UserPool:
    """Return the pool in which accounts are."""
    return user_pool.connect(settings(PersonalDataSettings).user_pool_id)


@app.get(
    "/api/v1/users/<user_id>/export",
    tags=["users"],
    summary="Hand out all that is kept of a user",
    responses=http.answers(200, "All that is kept, or a part of it.", UserNotFound),
)
def export(
    user_id: UserInPath,
    limit: Annotated[int, Query(ge=1, le=100, description="How many things at most.")] = 100,
    next_part: Annotated[
        str | None, Query(alias="next", pattern=page_tokens.PATTERN, description="`next` of the part before.")
    ] = None,
) -> PersonalData:
    """Hand it out to the user themselves, or to an admin; part by part where it is more than `limit` things.

    What repeated requests are answered by is kept for 48 hours only and not among it.
    """
    caller = http.caller_of(app)
    rights.must_be_let_ask(caller, user_id)
    person = people.look_up(directory(), caller.tenant, user_id)
    found = _part(caller.tenant, user_id, limit, next_part)
    if person is None and next_part is None and not any(found.values()):
        raise UserNotFound
    profile = None if person is None else _profile(person)
    return PersonalData(user_id=user_id, profile=profile, **found)


@app.delete(
    "/api/v1/users/<user_id>",
    tags=["users"],
    summary="Delete a user",
    responses=http.answers(200, "Nothing says any more who they were.", UserNotFound, CheckoutUnderWay),
)
def delete(user_id: UserInPath) -> UserDeleted:
    """Delete who they are: their account and sign-ins, name, phone and address, also in bookings.

    What they bought stays, under an id that names nobody. Customers and staff delete themselves, admins anybody else;
    one whose order is being paid is deleted afterwards. A call that was cut off is finished by an admin's same call:
    the user's own sign-ins are over by then.
    """
    caller = http.caller_of(app)
    rights.must_be_let_ask(caller, user_id)
    tenant = caller.tenant
    person = people.look_up(directory(), tenant, user_id)
    if person is not None:
        rights.must_be_let_delete(caller, person)
    checkout.must_not_be_paying(engine(), tenant, user_id)
    if person is None:
        if not halls.delete_of(engine(), tenant, user_id):
            raise UserNotFound
        return UserDeleted()
    personal_data.delete(directory(), pool(), tenant, user_id, lambda: halls.delete_of(engine(), tenant, user_id))
    return UserDeleted()


def _part(tenant: str, user_id: str, limit: int, token: str | None) -> dict[str, Any]:
    """Return what the document says besides who the user is, from where `token` goes on.

    Raises Malformed for a token that is not of this list.
    """
    scope = f"{tenant}/export/{user_id}"
    names = list(_SECTIONS)
    place, inner = (0, None) if token is None else page_tokens.parsed(scope, token, _place)
    found: dict[str, list[Any]] = {name: [] for name in names}
    left = limit
    for _ in range(_MOST_LOOKS):
        if place == len(names) or left == 0:
            break
        entries, inner = _SECTIONS[names[place]](tenant, user_id, left, inner)
        found[names[place]] += entries
        left -= len(entries)
        if inner is None:
            place += 1
    following = None if place == len(names) else page_tokens.issue(scope, f"{names[place]}.{inner or ''}")
    return {**found, "limits": reservations.counted_of(engine(), tenant, user_id), "next": following}


def _place(position: str) -> tuple[int, str | None]:
    """Return which section a position is in, and the token that goes on within it; raises ValueError for no section."""
    at, _, rest = position.partition(".")
    return list(_SECTIONS).index(at), rest or None


def _reservations(tenant: str, user_id: str, limit: int, token: str | None) -> _Page:
    page = reading.list_of(engine(), tenant, user_id, None, limit, token)
    now = engine().clock.now()
    short = slot_places.short(engine().store, page.items)
    return [shown(record, reading.state_at(record, now), short) for record in page.items], page.next


def _orders(tenant: str, user_id: str, limit: int, token: str | None) -> _Page:
    page = checkout.kept_of(engine(), tenant, user_id, limit, token)
    return page.items, page.next


def _bookings(tenant: str, user_id: str, limit: int, token: str | None) -> _Page:
    page = halls.kept_of(engine(), tenant, user_id, limit, token)
    return [_booking(item) for item in page.items], page.next


def _listings(tenant: str, user_id: str, limit: int, token: str | None) -> _Page:
    page = lists.of_seller(engine(), tenant, user_id, limit, token)
    return [_listing(listing) for listing in page.items], page.next


_SECTIONS: dict[str, _Section] = {
    "reservations": _reservations,
    "orders": _orders,
    "bookings": _bookings,
    "listings": _listings,
}
"""What is kept besides who somebody is, in the order in which it is handed out."""


def _profile(person: PersonItem) -> KeptProfile:
    return KeptProfile(
        name=person.name,
        phone=person.phone,
        email=person.email,
        role=Role(person.role),
        has_account=bool(person.has_account),
        signed_out_at=_moment(person.signed_out_at),
        created_at=to_text(person.created_at),
        updated_at=to_text(person.updated_at),
    )


def _booking(item: BookingItem) -> KeptBooking:
    return KeptBooking(
        number=item.number,
        venue_id=item.venue_id,
        venue_name=item.venue_name,
        customer_name=item.customer_name,
        customer_phone=item.customer_phone,
        customer_email=item.customer_email,
        start=to_text(item.start),
        end=to_text(item.end),
        event_type=item.event_type,
        guest_count=item.guest_count,
        special_requests=item.special_requests,
        meta=None if item.meta is None else json.loads(item.meta),
        total_minor=item.total_minor,
        currency=item.currency,
        cancelled_at=_moment(item.cancelled_at),
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )


def _listing(listing: Listing) -> KeptListing:
    item = listing.item
    return KeptListing(
        id=listing.id,
        title=item.title,
        price_minor=item.price_minor,
        currency=item.currency,
        status=listing.state_at(engine().clock.now()),
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )


def _moment(at: int | None) -> str | None:
    return None if at is None else to_text(at)


handler = http.entry(app)
