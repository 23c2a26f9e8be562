"""What each function reads of its environment: one validated model a function, read once."""

import os
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

_S = TypeVar("_S", bound="Settings")

_MACHINE = "^arn:[^:]+:states:[^:]+:[^:]+:stateMachine:[A-Za-z0-9_-]+$"


class Settings(BaseModel):
    """Settings by the names of their environment variables; a missing or malformed one stops the function at once.

    Each function reads one of these models, so none is made ready before it is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class OriginSettings(Settings):
    """The origins whose pages may call the API from a browser, separated by commas; "" for none, "*" for any."""

    allowed_origins: str = Field("", alias="ALLOWED_ORIGINS")


class IdentitySettings(Settings):
    """Where tenants, people and credentials are kept."""

    identity_table_name: str = Field(alias="IDENTITY_TABLE_NAME", min_length=3)


class PublicSettings(IdentitySettings):
    """Where tenants are kept, and the domain under which each has a host of its own; "" where they have none."""

    public_domain: str = Field("", alias="PUBLIC_DOMAIN", pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)+)?$")


class TokenSettings(IdentitySettings):
    """Whose access tokens are good: their issuer and client, and where the keys are that verify them."""

    token_issuer: str = Field(alias="TOKEN_ISSUER", pattern="^https://")
    token_client_id: str = Field(alias="TOKEN_CLIENT_ID", min_length=1)
    jwks_url: str = Field(alias="JWKS_URL", pattern="^https?://")


class AuthorizerSettings(TokenSettings):
    """Where credentials are kept, and whose access tokens are good."""


class AccountsSettings(TokenSettings, PublicSettings):
    """The same, and the pool in which accounts are."""

    user_pool_id: str = Field(alias="USER_POOL_ID", min_length=3)


class UserPoolSettings(IdentitySettings):
    """Where people are kept, and the pool in which their accounts are."""

    user_pool_id: str = Field(alias="USER_POOL_ID", min_length=3)


class TableSettings(Settings):
    """Where everything that is sold and held is kept."""

    table_name: str = Field(alias="TABLE_NAME", min_length=3)


class PublicTableSettings(TableSettings, PublicSettings):
    """The table, and how public requests are known to be a tenant's."""


class CurrencySettings(TableSettings):
    """The table, and the currency of what names none."""

    default_currency: str = Field(alias="DEFAULT_CURRENCY", pattern="^[A-Z]{3}$")


class CheckoutWorkflowSettings(TableSettings):
    """The table, and the state machine that checks out."""

    checkout_workflow_arn: str = Field(alias="CHECKOUT_WORKFLOW_ARN", pattern=_MACHINE)


class RefundWorkflowSettings(TableSettings):
    """The table, and the state machine that refunds."""

    refund_workflow_arn: str = Field(alias="REFUND_WORKFLOW_ARN", pattern=_MACHINE)


class WorkflowSettings(CheckoutWorkflowSettings, RefundWorkflowSettings):
    """The table, and both state machines."""


class SecretSettings(Settings):
    """Under which name all secrets of this deployment are kept."""

    secrets_prefix: str = Field(alias="SECRETS_PREFIX", pattern="^/[A-Za-z0-9-]+$")


class ProviderNameSettings(Settings):
    """The payment providers of tenants that have not chosen any, separated by commas."""

    default_payment_providers: str = Field(alias="DEFAULT_PAYMENT_PROVIDERS", pattern="^([a-z]+(,[a-z]+)*)?$")


class ProviderSettings(SecretSettings, ProviderNameSettings):
    """What is needed to reach the payment providers of tenants."""


class CheckoutSettings(CheckoutWorkflowSettings, ProviderSettings):
    """The table, the checkout's state machine and the payment providers."""


class OrdersSettings(WorkflowSettings, SecretSettings):
    """The table, both state machines, and where the keys are that sign ticket codes."""


class WebhooksSettings(WorkflowSettings, ProviderSettings):
    """The table, both state machines and the payment providers."""


class CheckoutClaimsSettings(CheckoutWorkflowSettings):
    """The table, the checkout's state machine, and how long a buyer has to pay, in seconds."""

    checkout_seconds: int = Field(alias="CHECKOUT_SECONDS", ge=1, le=86_400)


class CheckoutPaymentsSettings(CheckoutWorkflowSettings, ProviderSettings):
    """The table, the checkout's state machine and the payment providers."""


class LongestHoldSettings(TableSettings):
    """The table, and how long any hold lasts at most that a tenant asks for, in seconds."""

    hold_seconds_max: int = Field(alias="HOLD_SECONDS_MAX", ge=1, le=86_400)


class HoldSettings(LongestHoldSettings):
    """The table, and how long a hold lasts, in seconds: unless anything else is set, and at most."""

    hold_seconds: int = Field(alias="HOLD_SECONDS", ge=1, le=86_400)


class FlashDealsSettings(HoldSettings, SecretSettings):
    """The table, how long a hold lasts, and where the secrets of captchas are."""


class ReserveAndCheckoutSettings(FlashDealsSettings, CheckoutWorkflowSettings):
    """The same, and the checkout's state machine."""


class ListingHoldSettings(LongestHoldSettings):
    """The table, and how long a resale ticket is held, in seconds."""

    listing_hold_seconds: int = Field(alias="LISTING_HOLD_SECONDS", ge=1, le=86_400)


class VenueHoldSettings(LongestHoldSettings):
    """The table, and how long a hall is held, in seconds."""

    venue_hold_seconds: int = Field(alias="VENUE_HOLD_SECONDS", ge=1, le=86_400)


class ReservationsSettings(FlashDealsSettings, ListingHoldSettings, VenueHoldSettings):
    """All of these, and by how much a hold is extended, in seconds."""

    extend_seconds: int = Field(alias="EXTEND_SECONDS", ge=0, le=86_400)


class TenantOwnSettings(
    PublicTableSettings,
    ProviderNameSettings,
    CurrencySettings,
    HoldSettings,
    ListingHoldSettings,
    VenueHoldSettings,
):
    """Where tenants keep what they set, and what they have where they set nothing.

    No hold lasts longer than `hold_seconds_max`.
    """


class VenuesSettings(PublicTableSettings, CurrencySettings):
    """The table, how public requests are known to be a tenant's, and the currency of a venue that names none."""


class ProductsSettings(CurrencySettings):
    """The table, and the currency of a product that names none."""


class EventsSettings(CurrencySettings):
    """The table, and the currency of a ticket type that names none."""


class MarketplaceSettings(ListingHoldSettings, CurrencySettings, CheckoutWorkflowSettings, SecretSettings):
    """The table, how long an order locks a ticket, in seconds, the currency of tickets, and the checkout's machine.

    With them comes where the secrets of captchas are.
    """


class UsersSettings(UserPoolSettings):
    """Where everybody is kept whom a tenant knows, and the pool in which their accounts are."""


class PersonalDataSettings(TableSettings, UserPoolSettings):
    """Everything that is kept of people, and the pool in which their accounts are."""


class ServiceKeysSettings(IdentitySettings, SecretSettings):
    """Where keys are kept, and where the secret is that repeated requests are answered by."""


class TenantsSettings(UserPoolSettings):
    """Where tenants and people are kept, and the pool in which accounts are."""


class BookingsSettings(VenueHoldSettings, IdentitySettings, WorkflowSettings, SecretSettings):
    """The table, how long a hall is held, in seconds, where customers are kept, and both state machines.

    With them comes where the secrets of captchas are.
    """


class ExpiryQueueSettings(Settings):
    """The queue of expiry messages."""

    expiry_queue_url: str = Field(alias="EXPIRY_QUEUE_URL", min_length=1)


class DeadLetterSettings(Settings):
    """Where records go that cannot be read."""

    dead_letter_queue_url: str = Field(alias="DEAD_LETTER_QUEUE_URL", min_length=1)


class ExpirySettings(ExpiryQueueSettings, CheckoutWorkflowSettings):
    """The table, the queue that messages go round in, and the checkout's state machine."""


class ExpirySchedulerSettings(ExpiryQueueSettings, DeadLetterSettings):
    """The queue of expiry messages, and where records go that cannot be read."""


class EventRecorderSettings(TableSettings, DeadLetterSettings):
    """The table, and where records go that cannot be read."""


class PartnersSettings(Settings):
    """Partners by their names, as JSON (`holdfast.partners.registry` says of what)."""

    partners: str = Field("{}", alias="PARTNERS")


class SyncTableSettings(Settings):
    """Where the synchronisation with partners keeps what it knows."""

    sync_table_name: str = Field(alias="SYNC_TABLE_NAME", min_length=3)


class SyncQueueSettings(Settings):
    """The queue of pairs to ask partners for."""

    sync_queue_url: str = Field(alias="SYNC_QUEUE_URL", min_length=1)


class ExperiencesSettings(TableSettings, PartnersSettings):
    """The table, and the partners that experiences can be of."""


class SyncSettings(TableSettings, SyncTableSettings, SyncQueueSettings, PartnersSettings):
    """The table, the synchronisation's own, its queue, and the partners."""


class SyncFetcherSettings(SyncSettings, SecretSettings):
    """The same, and under which name the partners' keys are."""


class HealthSettings(IdentitySettings, TableSettings, ExpiryQueueSettings, SyncTableSettings, SyncQueueSettings):
    """Everything whose health is told."""


SETTINGS_BY_FUNCTION: dict[str, type[Settings]] = {
    "accounts": AccountsSettings,
    "authorizer": AuthorizerSettings,
    "bookings": BookingsSettings,
    "check_in": PublicTableSettings,
    "checkout": CheckoutSettings,
    "checkout_claims": CheckoutClaimsSettings,
    "checkout_payments": CheckoutPaymentsSettings,
    "compensations": WorkflowSettings,
    "event_recorder": EventRecorderSettings,
    "events": EventsSettings,
    "expiry": ExpirySettings,
    "expiry_scheduler": ExpirySchedulerSettings,
    "experiences": ExperiencesSettings,
    "flash_deals": FlashDealsSettings,
    "health": HealthSettings,
    "marketplace": MarketplaceSettings,
    "orders": OrdersSettings,
    "personal_data": PersonalDataSettings,
    "products": ProductsSettings,
    "reservations": ReservationsSettings,
    "reserve_and_checkout": ReserveAndCheckoutSettings,
    "service_keys": ServiceKeysSettings,
    "settings": TenantOwnSettings,
    "sweeper": WorkflowSettings,
    "sync": SyncSettings,
    "sync_fetcher": SyncFetcherSettings,
    "sync_planner": SyncSettings,
    "tenants": TenantsSettings,
    "unconfirmed_accounts": UserPoolSettings,
    "users": UsersSettings,
    "venues": VenuesSettings,
    "webhooks": WebhooksSettings,
}
"""Which settings each function reads; functions not named here read none."""


def settings(model: type[_S]) -> _S:
    """Return the settings that the environment gives; raises pydantic's ValidationError naming what is wrong."""
    return model.model_validate(dict(os.environ))
