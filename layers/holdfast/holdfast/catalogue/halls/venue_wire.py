"""What clients of the halls' API send and see of venues, blackouts and availability (WIRE.md, section 4)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from holdfast.catalogue.halls.availability import Availability
from holdfast.catalogue.halls.settings import MOST_BASE_MINOR, VenueSettings, VenueSettingsChange
from holdfast.catalogue.halls.venues import Venue
from holdfast.catalogue.halls.wire import AlternativeTime, GuestCount, HallBody, HallMoment, shown_alternatives
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Currency, Moment, VenueId
from holdfast.platform.items import BlackoutItem

VenueName = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Parkside"])]
VenueAddress = Annotated[StrictStr, Field(min_length=1, max_length=500, examples=["1 High Street"])]
VenueCapacity = Annotated[StrictInt, Field(ge=1, le=1_000_000, description="Guests at most.", examples=[200])]
VenuePrice = Annotated[
    StrictInt, Field(ge=0, le=MOST_BASE_MINOR, description="In minor units of the currency.", examples=[50_000])
]
VenueZone = Annotated[
    StrictStr, Field(max_length=60, description="Name in the IANA database.", examples=["Europe/Berlin"])
]
VenuePrefix = Annotated[
    StrictStr, Field(pattern=r"^[A-Z]{2,6}$", description="What booking numbers begin with.", examples=["PAR"])
]


class VenueBody(HallBody):
    """A venue to be opened."""

    name: VenueName
    address: VenueAddress
    capacity: VenueCapacity
    base_price_cents: VenuePrice
    currency: Currency | None = Field(None, description="The tenant's first, unless given.", examples=["EUR"])
    time_zone: VenueZone
    prefix: VenuePrefix | None = Field(None, description="Derived from the name unless given.", examples=["PAR"])
    settings: VenueSettings = VenueSettings()


class VenuePatchBody(HallBody):
    """What to change of a venue; what is left out stays, in `settings` as well."""

    name: VenueName | None = None
    address: VenueAddress | None = None
    capacity: VenueCapacity | None = None
    base_price_cents: VenuePrice | None = None
    currency: Currency | None = None
    time_zone: VenueZone | None = None
    prefix: VenuePrefix | None = None
    settings: VenueSettingsChange | None = Field(None, examples=[{"turnaroundAfterMinutes": 60}])
    is_active: StrictBool | None = Field(None, description="Whether it can be booked.", examples=[True])


class VenueData(HallBody):
    """A venue."""

    id: str = Field(description="A venue's id.", examples=["1"])
    name: str = Field(examples=["Parkside"])
    address: str = Field(examples=["1 High Street"])
    capacity: int = Field(examples=[200])
    base_price_cents: int = Field(description="In minor units of the currency.", examples=[50_000])
    currency: Currency
    time_zone: str = Field(examples=["Europe/Berlin"])
    prefix: str = Field(examples=["PAR"])
    settings: VenueSettings
    is_active: bool = Field(examples=[True])
    created_at: Moment
    updated_at: Moment


class VenuesAnswer(BaseModel):
    """Venues, in the older envelope; `next` asks for the next page, null at the end."""

    success: Literal[True] = True
    venues: list[VenueData]
    next: str | None = Field(examples=[None])


class BlackoutBody(HallBody):
    """A time in which a venue cannot be booked."""

    start_ts: HallMoment
    end_ts: HallMoment
    reason: Annotated[StrictStr, Field(min_length=1, max_length=500, examples=["New floor"])]
    is_maintenance: StrictBool = False


class BlackoutData(HallBody):
    """A time in which a venue cannot be booked."""

    id: str = Field(description="A blackout's id.", examples=["0123456789abcdef0123456789abcdef"])
    reason: str = Field(examples=["New floor"])
    start_ts: Moment = Field(examples=["2030-06-01T18:00:00.000Z"])
    end_ts: Moment = Field(examples=["2030-06-01T22:00:00.000Z"])
    is_maintenance: bool = Field(examples=[False])


class BlackoutLifted(BaseModel):
    """That a blackout is no more."""

    success: Literal[True] = True


class AvailabilityBody(HallBody):
    """A time that somebody would like to book."""

    venue_id: VenueId
    start_ts: HallMoment
    end_ts: HallMoment = Field(examples=["2030-06-01T22:00:00Z"])
    guest_count: GuestCount | None = None


class TakenTime(HallBody):
    """A time that is booked, its turnaround included; by whom is not said."""

    start_ts: Moment = Field(examples=["2030-06-01T18:00:00.000Z"])
    end_ts: Moment = Field(examples=["2030-06-01T22:00:00.000Z"])
    status: Literal["temp_hold", "confirmed"] = Field(description="Held for a while, or for good.")


class AvailabilityAnswer(HallBody):
    """Whether a time can be had, what is in the way, and which others could be had."""

    is_available: bool = Field(examples=[True])
    conflicting_bookings: list[TakenTime]
    blackout_periods: list[BlackoutData]
    suggested_alternatives: list[AlternativeTime]


def shown_venue(venue: Venue) -> VenueData:
    """Return a venue as clients see it."""
    item = venue.item
    return VenueData(
        id=venue.id,
        name=item.name,
        address=item.address,
        capacity=item.capacity,
        base_price_cents=item.base_price_minor,
        currency=item.currency,
        time_zone=item.time_zone,
        prefix=item.prefix,
        settings=venue.settings,
        is_active=item.active,
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )


def shown_blackout(item: BlackoutItem) -> BlackoutData:
    """Return a blackout as clients see it."""
    return BlackoutData(
        id=item.sk,
        reason=item.reason,
        start_ts=to_text(item.start),
        end_ts=to_text(item.end),
        is_maintenance=item.is_maintenance,
    )


def shown_availability(found: Availability) -> AvailabilityAnswer:
    """Return what is free as clients see it."""
    return AvailabilityAnswer(
        is_available=found.is_available,
        conflicting_bookings=[
            TakenTime(
                start_ts=to_text(entry.start),
                end_ts=to_text(entry.end),
                status="confirmed" if entry.held_until is None else "temp_hold",
            )
            for entry in found.bookings
        ],
        blackout_periods=[shown_blackout(item) for item in found.blackouts],
        suggested_alternatives=shown_alternatives(found.alternatives),
    )
