"""What a tenant sets for itself: checked here, kept as JSON with the tenant, and read by requests as their `Policy`.

A setting that is not set is as the stage has it. The text travels in the context of every request, so it is short, and
ASCII. No secret is among the settings: those of captcha providers are the deployment's to keep.
"""

import json
from collections.abc import Hashable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from holdfast.identity import tenants
from holdfast.identity.people import Directory
from holdfast.platform.errors import Fault, Malformed
from holdfast.platform.fields import Currency
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.money import CURRENCIES
from holdfast.platform.settings import TenantOwnSettings

MOST_BYTES = 4_000
"""How long the text of a tenant's settings may be; API Gateway carries a context of some more."""

_HOST = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"

_H = TypeVar("_H", bound=Hashable)


def _distinct(values: list[_H]) -> list[_H]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("not_distinct", "Each is named once.")
    return values


def _in_use(currency: str) -> str:
    if currency not in CURRENCIES:
        raise PydanticCustomError("currency_unknown", "Not a currency that is paid in (ISO 4217).")
    return currency


class TenantCaptchaProvider(StrEnum):
    """Who tells people from machines; the sandbox lets anybody who says so be either."""

    RECAPTCHA = "recaptcha"
    RECAPTCHA_ENTERPRISE = "recaptcha_enterprise"
    HCAPTCHA = "hcaptcha"
    TURNSTILE = "turnstile"
    SANDBOX = "sandbox"


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TenantCaptcha(_Setting):
    """That reserving and checking out take a captcha; the secret that belongs to the site key is the deployment's."""

    provider: TenantCaptchaProvider = Field(examples=["turnstile"])
    site_key: StrictStr = Field(
        pattern=r"^[A-Za-z0-9_.:-]{1,200}$", description="The provider's public key for the site.", examples=["0x4AAA"]
    )
    hosts: Annotated[list[Annotated[StrictStr, Field(max_length=253, pattern=_HOST)]], AfterValidator(_distinct)] = (
        Field(
            min_length=1,
            max_length=20,
            description="The hosts on which it may be passed.",
            examples=[["shop.example.com"]],
            json_schema_extra={"uniqueItems": True},
        )
    )
    minimum_score: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        0.5, description="The least score that passes, where the provider gives scores.", examples=[0.5]
    )
    asks_service_keys: StrictBool = Field(True, description="Whether service keys have to send one too.")
    admits_in_outage: StrictBool = Field(False, description="Whether requests go on while the provider is out.")
    project: StrictStr | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.:-]{0,62}$",
        description="The Google Cloud project; recaptcha_enterprise alone has one.",
        examples=[None],
    )

    @model_validator(mode="after")
    def _has_its_project(self) -> "TenantCaptcha":
        if (self.provider == TenantCaptchaProvider.RECAPTCHA_ENTERPRISE) != (self.project is not None):
            raise PydanticCustomError("project_disagrees", "recaptcha_enterprise, and it alone, has a project.")
        return self


class TenantPatience(_Setting):
    """What becomes of a user whose holds expire again and again, unbought.

    From `after` of them within `forget_seconds` on, each further one halves how long their holds last and how many
    they may make a minute.
    """

    after: StrictInt = Field(3, ge=1, le=1_000, description="Expired holds that nobody minds.", examples=[3])
    shortest_seconds: StrictInt = Field(60, ge=1, le=86_400, description="No hold gets shorter.", examples=[60])
    forget_seconds: StrictInt = Field(
        86_400, ge=60, le=2_678_400, description="After so long all is forgotten.", examples=[86_400]
    )


HoldSeconds = Annotated[
    StrictInt, Field(ge=1, le=86_400, description="At most the stage's longest hold.", examples=[600])
]
PerMinute = Annotated[StrictInt, Field(ge=1, le=9_999, examples=[30])]


class TenantSettingsBody(_Setting):
    """What to set; what is left out stays, and null goes back to what the stage has."""

    branding_name: Annotated[StrictStr, Field(min_length=1, max_length=120, pattern=r"\S")] | None = Field(
        None, description="What buyers know the tenant by.", examples=["Parkside Halls"]
    )
    hold_seconds: HoldSeconds | None = Field(None, description="How long a hold lasts.", examples=[600])
    hold_seconds_max: HoldSeconds | None = Field(None, description="How long any hold lasts at most.", examples=[1_800])
    listing_hold_seconds: HoldSeconds | None = Field(None, description="Resale tickets.", examples=[900])
    venue_hold_seconds: HoldSeconds | None = Field(None, description="Halls.", examples=[900])
    currencies: Annotated[list[Annotated[Currency, AfterValidator(_in_use)]], AfterValidator(_distinct)] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="What is sold is priced in one of these; in the first where it names none.",
        examples=[["EUR", "USD"]],
        json_schema_extra={"uniqueItems": True},
    )
    reserves_per_minute: PerMinute | None = Field(None, description="Of one user; null: no limit.", examples=[30])
    checkouts_per_minute: PerMinute | None = Field(None, description="Of one user; null: no limit.", examples=[10])
    captcha: TenantCaptcha | None = Field(None, description="Replaced as a whole; null: none is asked for.")
    patience: TenantPatience | None = Field(None, description="Replaced as a whole; null: endless.")


_LONGEST = "hold_seconds_max"
_HOLD_LENGTHS = (_LONGEST, "hold_seconds", "listing_hold_seconds", "venue_hold_seconds")


def change(directory: Directory, tenant: str, wanted: TenantSettingsBody, stage: TenantOwnSettings) -> TenantItem:
    """Set what is given of a tenant's settings, within the stage's bounds, and return the tenant as it then is.

    Of two changes at once both are made, if they go together. Raises Malformed naming what does not, TenantNotFound and
    Busy.
    """
    return tenants.rewrite(directory, tenant, lambda found: {"settings": changed(str(found.settings), wanted, stage)})


def changed(text: str, wanted: TenantSettingsBody, stage: TenantOwnSettings) -> str:
    """Return the text of settings with what is `wanted` of them; raises Malformed naming what cannot be.

    Only what is given is held against the stage's bounds: those may have been narrowed since the rest was set.
    """
    given = wanted.model_dump(mode="json", exclude_unset=True)
    for name in ("captcha", "patience"):
        if given.get(name) is not None:
            given[name] = getattr(wanted, name).model_dump(mode="json")
    said = {name: value for name, value in {**own(text), **given}.items() if value is not None}
    faults = _faults_of(given, said, stage)
    made = json.dumps(said, sort_keys=True, separators=(",", ":"))
    if not faults and len(made) > MOST_BYTES:
        faults = [Fault("captcha.hosts", "All settings together are too long; name fewer hosts.", "settings_too_long")]
    if faults:
        raise Malformed(faults=faults)
    return made


def own(text: str) -> dict[str, Any]:
    """Return what the text of a tenant's settings says: those that it has set, by name."""
    said: dict[str, Any] = json.loads(text or tenants.NOTHING_SET)
    return said


def _faults_of(given: dict[str, Any], said: dict[str, Any], stage: TenantOwnSettings) -> list[Fault]:
    """Return what of the settings `given` the stage, or another of all that is then `said`, stands in the way of."""
    most = stage.hold_seconds_max
    lengths = {name: given[name] for name in _HOLD_LENGTHS if given.get(name) is not None}
    if given.get("patience") is not None:
        lengths["patience.shortest_seconds"] = given["patience"]["shortest_seconds"]
    faults = [
        Fault(name, f"No hold lasts longer than {most} seconds here.", "less_than_equal")
        for name, seconds in lengths.items()
        if seconds > most
    ]
    longest = min(said.get(_LONGEST, most), most)
    longer = {name for name in _HOLD_LENGTHS if said.get(name, 0) > longest}
    named = [name for name in lengths if name in longer or (longer and name == _LONGEST)]
    if named and not faults:
        sentence = "The length of a hold is above the longest that was set."
        faults = [Fault(name, sentence, "settings_disagree") for name in named]
    return faults
