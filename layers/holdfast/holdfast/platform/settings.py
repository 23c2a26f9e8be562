"""What each function reads of its environment: one validated model a function, read once."""

import os
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

_S = TypeVar("_S", bound="Settings")


class Settings(BaseModel):
    """Settings by the names of their environment variables; a missing or malformed one stops the function at once.

    Each function reads one of these models, so none is made ready before it is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class AuthorizerSettings(Settings):
    """Where credentials are kept."""

    identity_table_name: str = Field(alias="IDENTITY_TABLE_NAME", min_length=3)


class TableSettings(Settings):
    """Where everything that is sold and held is kept."""

    table_name: str = Field(alias="TABLE_NAME", min_length=3)


class FlashDealsSettings(TableSettings):
    """The table, and how long a hold lasts, in seconds."""

    hold_seconds: int = Field(alias="HOLD_SECONDS", ge=1, le=86_400)


class ReserveAndCheckoutSettings(FlashDealsSettings):
    """The table, and how long a hold lasts, in seconds."""


class ListingHoldSettings(TableSettings):
    """The table, and how long a resale ticket is held, in seconds."""

    listing_hold_seconds: int = Field(alias="LISTING_HOLD_SECONDS", ge=1, le=86_400)


class VenueHoldSettings(TableSettings):
    """The table, and how long a hall is held, in seconds."""

    venue_hold_seconds: int = Field(alias="VENUE_HOLD_SECONDS", ge=1, le=86_400)


class ReservationsSettings(FlashDealsSettings, ListingHoldSettings, VenueHoldSettings):
    """All of these, how long any hold lasts at most, and by how much it is extended, in seconds."""

    hold_seconds_max: int = Field(alias="HOLD_SECONDS_MAX", ge=1, le=86_400)
    extend_seconds: int = Field(alias="EXTEND_SECONDS", ge=0, le=86_400)


class CurrencySettings(TableSettings):
    """The table, and the currency of what names none."""

    default_currency: str = Field(alias="DEFAULT_CURRENCY", pattern="^[A-Z]{3}$")


class ProductsSettings(CurrencySettings):
    """The table, and the currency of a product that names none."""


class EventsSettings(CurrencySettings):
    """The table, and the currency of a ticket type that names none."""


class MarketplaceSettings(ListingHoldSettings, CurrencySettings):
    """The table, how long an order locks a ticket, in seconds, and the currency that tickets are priced in."""


class UsersSettings(AuthorizerSettings):
    """Where everybody is kept whom a tenant knows by phone."""


class BookingsSettings(VenueHoldSettings, UsersSettings):
    """The table, how long a hall is held, in seconds, and where customers are kept."""


class ExpirySettings(TableSettings):
    """The table, and the queue that messages go round in."""

    expiry_queue_url: str = Field(alias="EXPIRY_QUEUE_URL", min_length=1)


class ExpirySchedulerSettings(Settings):
    """The queue of expiry messages, and where records go that cannot be read."""

    expiry_queue_url: str = Field(alias="EXPIRY_QUEUE_URL", min_length=1)
    dead_letter_queue_url: str = Field(alias="DEAD_LETTER_QUEUE_URL", min_length=1)


class HealthSettings(AuthorizerSettings, ExpirySettings):
    """Everything whose health is told."""


SETTINGS_BY_FUNCTION: dict[str, type[Settings]] = {
    "authorizer": AuthorizerSettings,
    "bookings": BookingsSettings,
    "events": EventsSettings,
    "expiry": ExpirySettings,
    "expiry_scheduler": ExpirySchedulerSettings,
    "flash_deals": FlashDealsSettings,
    "health": HealthSettings,
    "marketplace": MarketplaceSettings,
    "products": ProductsSettings,
    "reservations": ReservationsSettings,
    "reserve_and_checkout": ReserveAndCheckoutSettings,
    "sweeper": TableSettings,
    "users": UsersSettings,
    "venues": TableSettings,
}
"""Which settings each function reads; functions not named here read none."""


def settings(model: type[_S]) -> _S:
    """Return the settings that the environment gives; raises pydantic's ValidationError naming what is wrong."""
    return model.model_validate(dict(os.environ))
