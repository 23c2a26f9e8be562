"""What a venue's owner may set: how it is priced, how long it is booked for, what is paid back.

The pricing model. `pricing.unit` says what the base price buys: a whole booking, an hour, or a calendar day of the
venue's time zone. Each rule raises or lowers the base price by a share, `percent`, of what falls on the local calendar
days that the rule applies to; the shares of all rules that apply to a day add up, and never take the price below zero.
A weekend rule applies to days of the week, a season to a part of every year (20 December to 5 January is one), and a
surge to days of a date range, to bookings that are made late, or, with both, to late bookings of those days.
"""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictInt, Tag, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from holdfast.catalogue.halls.moments import DATE

MINUTE = 60_000
"""Milliseconds."""
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MOST_RULES = 20
MOST_BASE_MINOR = 10**10
"""The highest base price: times nine days of hours and twenty rules it is still exact in a JSON number."""

_DAY_OF_YEAR = r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"

Percent = Annotated[StrictInt, Field(ge=-100, le=900, description="Share of the base price, more or less.")]


def _as_written(day: Any) -> Any:
    """Return what is to be read as a day: pydantic alone would also take numbers, for seconds since 1970."""
    if isinstance(day, date) or (isinstance(day, str) and re.fullmatch(DATE, day, re.ASCII)):
        return day
    raise PydanticCustomError("date_malformed", "Not a day, as YYYY-MM-DD.")


_Day = Annotated[date, BeforeValidator(_as_written)]


class Setting(BaseModel):
    """What all settings have in common: camelCase on the wire, nothing unknown, nothing changed later."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class VenueUnit(StrEnum):
    """What the base price buys."""

    BOOKING = "booking"
    HOUR = "hour"
    DAY = "day"


class VenueWeekday(StrEnum):
    """Days of the week, in their order."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class VenueWeekendRule(Setting):
    """Another price on some days of the week."""

    kind: Literal["weekend"]
    days: tuple[VenueWeekday, ...] = Field((VenueWeekday.SATURDAY, VenueWeekday.SUNDAY), min_length=1, max_length=7)
    percent: Percent = Field(examples=[25])

    def applies(self, day: date, notice: int) -> bool:
        """Return whether the rule is for this local day, booked `notice` ms ahead."""
        return list(VenueWeekday)[day.weekday()] in self.days


class VenueSeasonRule(Setting):
    """Another price in a part of every year, its first and last day included; it may span the turn of the year."""

    kind: Literal["season"]
    first_day: str = Field(pattern=_DAY_OF_YEAR, description="Month and day.", examples=["12-20"])
    last_day: str = Field(pattern=_DAY_OF_YEAR, description="Month and day.", examples=["01-05"])
    percent: Percent = Field(examples=[50])

    def applies(self, day: date, notice: int) -> bool:
        """Return whether the rule is for this local day, booked `notice` ms ahead."""
        here = f"{day:%m-%d}"
        if self.first_day <= self.last_day:
            return self.first_day <= here <= self.last_day
        return here >= self.first_day or here <= self.last_day


class VenueSurgeRule(Setting):
    """Another price for bookings made late, or on the days of a date range, or both together."""

    kind: Literal["surge"]
    booked_within_hours: StrictInt | None = Field(
        None, ge=1, le=8_760, description="For bookings made less than so many hours before they start.", examples=[48]
    )
    first_day: _Day | None = Field(None, examples=["2027-02-12"])
    last_day: _Day | None = Field(None, examples=["2027-02-14"])
    percent: Percent = Field(examples=[30])

    @model_validator(mode="after")
    def _says_when(self) -> "VenueSurgeRule":
        if (self.first_day is None) != (self.last_day is None):
            raise ValueError("a date range has a firstDay and a lastDay")
        if self.first_day is not None and self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("lastDay is before firstDay")
        if self.first_day is None and self.booked_within_hours is None:
            raise ValueError("a surge needs bookedWithinHours, a date range, or both")
        return self

    def applies(self, day: date, notice: int) -> bool:
        """Return whether the rule is for this local day, booked `notice` ms ahead."""
        if self.booked_within_hours is not None and notice >= self.booked_within_hours * HOUR:
            return False
        return self.first_day is None or self.last_day is None or self.first_day <= day <= self.last_day


_RULES: dict[str, type[Setting]] = {"weekend": VenueWeekendRule, "season": VenueSeasonRule, "surge": VenueSurgeRule}


def _kind_of(rule: Any) -> str | None:
    """Return the tag of a rule's kind; one in angle brackets is not named in errors."""
    kind = rule.get("kind") if isinstance(rule, dict) else getattr(rule, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) and kind in _RULES else None


VenuePriceRule = Annotated[
    Annotated[VenueWeekendRule, Tag("<weekend>")]
    | Annotated[VenueSeasonRule, Tag("<season>")]
    | Annotated[VenueSurgeRule, Tag("<surge>")],
    Discriminator(
        _kind_of,
        custom_error_type="kind_unknown",
        custom_error_message=f"A rule is an object whose kind is one of {', '.join(_RULES)}.",
    ),
]


class VenuePricing(Setting):
    """What the base price buys, and what changes it."""

    unit: VenueUnit = VenueUnit.BOOKING
    rules: tuple[VenuePriceRule, ...] = Field((), max_length=MOST_RULES)


class VenueRefundsChange(Setting):
    """How much of the price is paid back, by the notice at which a confirmed booking is cancelled.

    All of it with more than `full_over_hours` to go; `part_percent` from there down to, and with, `part_from_hours`;
    nothing later.
    """

    full_over_hours: StrictInt = Field(72, ge=0, le=8_760)
    part_from_hours: StrictInt = Field(24, ge=0, le=8_760)
    part_percent: StrictInt = Field(50, ge=0, le=100)


class VenueRefunds(VenueRefundsChange):
    """The same, whole and in order."""

    @model_validator(mode="after")
    def _in_order(self) -> "VenueRefunds":
        if self.part_from_hours > self.full_over_hours:
            raise ValueError("partFromHours is at most fullOverHours")
        return self


class VenueSettingsChange(Setting):
    """What a venue's owner may set, some of it: whether it goes together shows with the rest."""

    pricing: VenuePricing = VenuePricing()
    refunds: VenueRefundsChange = VenueRefundsChange()
    turnaround_before_minutes: StrictInt = Field(0, ge=0, le=1_440, description="Kept free before each booking.")
    turnaround_after_minutes: StrictInt = Field(0, ge=0, le=1_440, description="Kept free after each booking.")
    lead_time_minutes: StrictInt = Field(120, ge=0, le=525_600, description="How long ahead to book at least.")
    min_duration_minutes: StrictInt = Field(60, ge=1, le=10_080)
    max_duration_minutes: StrictInt = Field(10_080, ge=1, le=10_080)


class VenueSettings(VenueSettingsChange):
    """All that a venue's owner may set; what is left out is as WIRE.md, section 4, has it."""

    refunds: VenueRefunds = VenueRefunds()

    @model_validator(mode="after")
    def _fits(self) -> "VenueSettings":
        if self.turnaround_before_minutes + self.turnaround_after_minutes > 1_440:
            raise ValueError("turnaround times are at most 24 hours together")
        if self.min_duration_minutes > self.max_duration_minutes:
            raise ValueError("minDurationMinutes is at most maxDurationMinutes")
        return self

    @property
    def before(self) -> int:
        """Return the turnaround time before a booking, in ms."""
        return self.turnaround_before_minutes * MINUTE

    @property
    def after(self) -> int:
        """Return the turnaround time after a booking, in ms."""
        return self.turnaround_after_minutes * MINUTE
