"""What a tenant's admins set for it, and what everybody may know of it: its branding."""

from dataclasses import asdict
from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import AfterValidator, BaseModel, Field

from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.identity import tenant_settings, tenants
from holdfast.identity.people import Directory
from holdfast.identity.tenant_settings import (
    TenantCaptcha,
    TenantCaptchaProvider,
    TenantPatience,
    TenantSettingsBody,
)
from holdfast.platform import http, tenancy
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import TenantNotFound
from holdfast.platform.fields import Currency
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.policy import read_policy
from holdfast.platform.settings import TenantOwnSettings, settings
from holdfast.platform.tables import tenant_of
from holdfast.reservations.engine import HoldLengths

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)


def _each_once(names: list[PaymentProviderName]) -> list[PaymentProviderName]:
    if len(set(names)) != len(names):
        raise ValueError("each provider is named once")
    return names


class PaymentSettingsBody(BaseModel):
    """The payment providers that a tenant is to use; the first is used where a checkout names none."""

    providers: Annotated[list[PaymentProviderName], AfterValidator(_each_once)] = Field(
        min_length=1, max_length=3, examples=[["stripe", "sandbox"]], json_schema_extra={"uniqueItems": True}
    )


class PaymentSettingsAnswer(BaseModel):
    """The payment providers that a tenant uses; the first is used where a checkout names none."""

    providers: list[str] = Field(examples=[["stripe", "sandbox"]])


class TenantSettingsAnswer(BaseModel):
    """A tenant's settings as they are in force; `own` names those that it has set itself."""

    branding_name: str = Field(examples=["Parkside Halls"])
    hold_seconds: int = Field(examples=[600])
    hold_seconds_max: int = Field(examples=[1_800])
    listing_hold_seconds: int = Field(examples=[900])
    venue_hold_seconds: int = Field(examples=[900])
    currencies: list[Currency] = Field(
        description="Unless the tenant has set its own, others are taken too where they are named.",
        examples=[["EUR", "USD"]],
    )
    reserves_per_minute: int | None = Field(examples=[30])
    checkouts_per_minute: int | None = Field(examples=[10])
    captcha: TenantCaptcha | None
    patience: TenantPatience | None
    payment_providers: list[str] = Field(examples=[["stripe", "sandbox"]])
    own: list[str] = Field(examples=[["branding_name", "currencies"]])
    version: int = Field(description="Rises with every change of the tenant.", examples=[3])


class BrandingCaptcha(BaseModel):
    """What a page needs to show a captcha."""

    provider: TenantCaptchaProvider
    site_key: str = Field(examples=["0x4AAA"])


class BrandingAnswer(BaseModel):
    """What everybody may know of a tenant; without a captcha none is asked for."""

    id: str = Field(examples=["parkside"])
    name: str = Field(examples=["Parkside Halls"])
    currencies: list[Currency] = Field(description="The first is the usual one.", examples=[["EUR", "USD"]])
    captcha: BrandingCaptcha | None


@cache
def stage() -> TenantOwnSettings:
    """Return what tenants have that have set nothing, and where they keep what they set."""
    return settings(TenantOwnSettings)


@cache
def providers_used() -> ProvidersUsed:
    """Return this warm function's view of which providers tenants use."""
    return ProvidersUsed(connect(stage().table_name), stage().default_payment_providers)


@cache
def directory() -> Directory:
    """Return this warm function's view of the tenants."""
    return Directory(connect(stage().identity_table_name))


@app.get(
    "/api/v1/settings",
    tags=["settings"],
    summary="Read the tenant's settings",
    responses=http.answers(200, "The settings, as they are in force.", TenantNotFound),
)
def read_all() -> TenantSettingsAnswer:
    """Read what is in force: what the tenant has set, else what its stage has."""
    return _in_force(tenants.get(directory(), http.caller_of(app).tenant))


@app.patch(
    "/api/v1/settings",
    tags=["settings"],
    summary="Change the tenant's settings",
    responses=http.answers(200, "The settings, as they are in force.", TenantNotFound),
)
def change(body: TenantSettingsBody) -> TenantSettingsAnswer:
    """Set what is given; null goes back to what the stage has. Requests go by it within a minute."""
    caller = http.caller_of(app)
    return _in_force(tenant_settings.change(directory(), caller.tenant, body, stage()))


@app.get(
    "/api/v1/branding",
    tags=["settings"],
    summary="See whose shop this is",
    responses=http.answers(200, "What everybody may know.", http.TenantRequired, TenantNotFound),
)
def branding() -> BrandingAnswer:
    """See what a page shows of a tenant before anybody signs in."""
    tenant = tenancy.opened(http.public_tenant(app))
    policy = read_policy(tenant.settings)
    captcha = policy.captcha and BrandingCaptcha(
        provider=TenantCaptchaProvider(policy.captcha.provider), site_key=policy.captcha.site_key
    )
    return BrandingAnswer(id=tenant_of(tenant.key), name=_name(tenant), currencies=_currencies(tenant), captcha=captcha)


@app.get(
    "/api/v1/settings/payments",
    tags=["settings"],
    summary="Read which payment providers are used",
    responses=http.answers(200, "The providers."),
)
def read_payments() -> PaymentSettingsAnswer:
    """Read which providers the tenant uses: those it chose, else those of every tenant of the stage."""
    caller = http.caller_of(app)
    return PaymentSettingsAnswer(providers=providers_used().of(caller.tenant))


@app.put(
    "/api/v1/settings/payments",
    tags=["settings"],
    summary="Choose which payment providers are used",
    responses=http.answers(200, "The providers, chosen."),
)
def choose_payments(body: PaymentSettingsBody) -> PaymentSettingsAnswer:
    """Choose which providers checkouts may name from now on; what was paid through others is still refunded there.

    Credentials are not given here: they are secrets of the deployment. The sandbox moves no money, so whoever chooses
    it gives away what it pays for.
    """
    caller = http.caller_of(app)
    providers_used().choose(caller.tenant, body.providers, SystemClock().now())
    return PaymentSettingsAnswer(providers=[name.value for name in body.providers])


def _in_force(tenant: TenantItem) -> TenantSettingsAnswer:
    policy, own = read_policy(tenant.settings), tenant_settings.own(tenant.settings)
    known = stage()
    lengths = HoldLengths(
        standard=known.hold_seconds,
        longest=known.hold_seconds_max,
        by_kind={"listing": known.listing_hold_seconds, "venue": known.venue_hold_seconds},
    ).under(policy)
    return TenantSettingsAnswer(
        branding_name=_name(tenant),
        hold_seconds=lengths.standard,
        hold_seconds_max=lengths.longest,
        listing_hold_seconds=lengths.by_kind["listing"],
        venue_hold_seconds=lengths.by_kind["venue"],
        currencies=_currencies(tenant),
        reserves_per_minute=policy.reserves_per_minute,
        checkouts_per_minute=policy.checkouts_per_minute,
        captcha=policy.captcha and TenantCaptcha.model_validate(asdict(policy.captcha)),
        patience=policy.patience and TenantPatience.model_validate(asdict(policy.patience)),
        payment_providers=providers_used().of(tenant_of(tenant.key)),
        own=sorted(own),
        version=tenant.version,
    )


def _name(tenant: TenantItem) -> str:
    return str(tenant_settings.own(tenant.settings).get("branding_name", tenant.name))


def _currencies(tenant: TenantItem) -> list[str]:
    return list(read_policy(tenant.settings).currencies) or [stage().default_currency]


handler = http.entry(app)
