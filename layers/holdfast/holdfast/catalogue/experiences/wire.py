"""What clients of the experiences API send and see: slots and dates in camelCase, as the older ones know them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictStr,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from holdfast.catalogue.experiences.reading import DayToHave
from holdfast.catalogue.experiences.summaries import Price, price_to_show
from holdfast.claims.slot import PaxTerms, Slot
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Currency, ExperienceId, Moment, PartnerProductId
from holdfast.platform.items import ExperienceItem
from holdfast.platform.money import from_minor

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT = 3
_BY_NAME = {name: number for number, full in enumerate(_WEEKDAYS, start=1) for name in (full, full[:_SHORT])}
_STRICT = ConfigDict(extra="forbid")


def _in_any_case(name: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in name)


_WEEKDAY = f"^({'|'.join(map(_in_any_case, _BY_NAME))})$"


def _number_of(value: Any) -> Any:
    """Return a weekday's number; a name in letters of either case is one too."""
    if isinstance(value, str) and value.isascii() and value.lower() in _BY_NAME:
        return _BY_NAME[value.lower()]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("neither a weekday's name nor its number")


def _once_each(numbers: list[int]) -> list[int]:
    """Return the weekdays in order; raises ValueError where one comes twice."""
    if len(set(numbers)) < len(numbers):
        raise ValueError("a weekday comes twice")
    return sorted(numbers)


def _as_the_partner_writes_it(amount: Decimal) -> int | float:
    """Return an exact decimal as a JSON number: 137, and not 137.0; under 16 digits, its text is the decimal's own."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


Amount = Annotated[
    Decimal,
    PlainSerializer(_as_the_partner_writes_it),
    WithJsonSchema({"type": "number"}),
    Field(examples=[137]),
]
"""A decimal amount in the currency's own units."""

Weekday = Annotated[
    int,
    BeforeValidator(_number_of),
    Field(ge=1, le=len(_WEEKDAYS)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": len(_WEEKDAYS)},
                {"type": "string", "pattern": _WEEKDAY},
            ]
        }
    ),
]
Weekdays = Annotated[
    list[Weekday],
    Field(
        min_length=1,
        max_length=len(_WEEKDAYS),
        description="The weekdays that it runs on, each once: 1 for Monday to 7, or English names.",
        examples=[["mon", "tue", "wed"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_once_each),
]
ExperienceName = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Island walk"])]
PartnerName = Annotated[
    StrictStr, Field(min_length=1, max_length=32, description="What the deployment calls it.", examples=["tours"])
]
ShownDate = Annotated[str, Field(examples=["2025-03-23"])]
ShownTime = Annotated[str, Field(description="HH:MM, where the experience is.", examples=["10:00"])]
ShownPlaces = Annotated[int, Field(ge=0, examples=[150])]
PriceMinor = Annotated[int, Field(ge=0, description="In minor units.", examples=[34_100])]


class ExperienceBody(BaseModel):
    """A partner's product to be sold as an experience."""

    model_config = _STRICT

    id: ExperienceId
    name: ExperienceName
    partner: PartnerName
    partner_product_id: PartnerProductId
    weekdays: Weekdays
    enabled: StrictBool = Field(True, description="Whether it is asked for and sold.", examples=[True])


class ExperiencePatchBody(BaseModel):
    """What to change of an experience; what is left out stays. Another product of a partner is another experience."""

    model_config = _STRICT

    name: ExperienceName | None = None
    weekdays: Weekdays | None = None
    enabled: StrictBool | None = Field(None, examples=[False])


class ExperienceData(BaseModel):
    """An experience."""

    id: str = Field(examples=["15"])
    name: str = Field(examples=["Island walk"])
    partner: str = Field(examples=["tours"])
    partner_product_id: str = Field(examples=["15"])
    weekdays: list[str] = Field(examples=[["mon", "tue", "wed"]])
    enabled: bool = Field(examples=[True])
    created_at: Moment
    updated_at: Moment


class ExperienceList(BaseModel):
    """A page of experiences."""

    items: list[ExperienceData]
    next: str | None = Field(description="Asks for the next page; null at the end.", examples=[None])


class _Shown(BaseModel):
    """Fields are shown as the older clients spell them, and named in our own way."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class ExperiencePrice(_Shown):
    """What a place costs, and what it did, in the currency's own units."""

    final_price: Amount
    original_price: Amount
    currency_code: Currency


class ExperiencePax(_Shown):
    """A pax type of a slot; its places are limited beside the slot's own."""

    type: str = Field(examples=["ADULT_12~99"])
    name: str = Field(examples=["Adult"])
    description: str = Field(examples=["12-99 years"])
    min: int = Field(ge=0, description="Places that one booking takes at least.", examples=[1])
    max: int = Field(ge=0, description="Places that one booking takes at most.", examples=[20])
    remaining: ShownPlaces
    price: ExperiencePrice


class ExperienceSlot(_Shown):
    """A slot, and the lowest payable price of what can be had of it."""

    start_time: ShownTime
    start_date: ShownDate
    remaining: ShownPlaces
    price: ExperiencePrice
    pax_availability: list[ExperiencePax]


class ExperienceDate(_Shown):
    """A day of which something can be had, and its lowest payable price."""

    date: ShownDate
    price: ExperiencePrice


class ExperienceDates(_Shown):
    """The days of the next two months of which something can be had."""

    dates: list[ExperienceDate]


class SlotPaxData(BaseModel):
    """A pax type of a slot, as carts name it; its places are limited beside the slot's own."""

    type: str = Field(examples=["ADULT_12~99"])
    name: str = Field(examples=["Adult"])
    description: str = Field(examples=["12-99 years"])
    min: int = Field(ge=0, description="Places that one line takes at least.", examples=[1])
    max: int = Field(ge=0, description="Places that one line takes at most.", examples=[20])
    remaining: ShownPlaces
    is_primary: bool = Field(examples=[True])
    price_minor: PriceMinor
    original_price_minor: PriceMinor
    currency: Currency


class SlotData(BaseModel):
    """A slot, as carts name it, and the lowest payable price of what can be had of it."""

    slot_id: str = Field(examples=["ab12"])
    experience_id: str = Field(examples=["15"])
    date: ShownDate
    start_time: ShownTime
    end_time: ShownTime | None
    remaining: ShownPlaces
    pax: list[SlotPaxData]
    price_minor: PriceMinor
    currency: Currency
    first_seen_at: Moment
    changed_at: Moment


class SlotList(BaseModel):
    """A day's slots that are on sale and to begin, and when the partner was last asked; null where it never was."""

    items: list[SlotData]
    synced_at: Moment | None
    next: str | None = Field(None, description="Always null: a day is never in pages.", examples=[None])


def shown_experience(item: ExperienceItem) -> ExperienceData:
    """Return an experience as clients see it."""
    return ExperienceData(
        id=item.experience_id,
        name=item.name,
        partner=item.partner,
        partner_product_id=item.partner_product_id,
        weekdays=[_WEEKDAYS[number - 1][:_SHORT] for number in item.weekdays],
        enabled=item.enabled,
        created_at=to_text(item.created_at),
        updated_at=to_text(item.updated_at),
    )


def shown_slots(day: str, slots: Sequence[Slot]) -> list[ExperienceSlot]:
    """Return a day's slots as older clients see them."""
    return [
        ExperienceSlot(
            start_time=slot.start_time,
            start_date=day,
            remaining=max(0, slot.whole.available),
            price=_price(_shown_price(slot)),
            pax_availability=[
                ExperiencePax(
                    type=terms.type,
                    name=terms.name,
                    description=terms.description,
                    min=terms.minimum,
                    max=terms.maximum,
                    remaining=max(0, slot.by_type[terms.type].available),
                    price=_price(Price(terms.final_minor, terms.original_minor, slot.currency)),
                )
                for terms in _on_sale(slot)
            ],
        )
        for slot in slots
    ]


def shown_days(days: Sequence[DayToHave]) -> ExperienceDates:
    """Return days as older clients see them."""
    return ExperienceDates(dates=[ExperienceDate(date=day.date, price=_price(day.price)) for day in days])


def shown_day(experience_id: str, day: str, slots: Sequence[Slot], synced_at: int | None) -> SlotList:
    """Return a day's slots as carts name them."""
    return SlotList(
        items=[_slot(experience_id, day, slot) for slot in slots],
        synced_at=None if synced_at is None else to_text(synced_at),
    )


def _slot(experience_id: str, day: str, slot: Slot) -> SlotData:
    price = _shown_price(slot)
    return SlotData(
        slot_id=slot.key.sk,
        experience_id=experience_id,
        date=day,
        start_time=slot.start_time,
        end_time=slot.end_time,
        remaining=max(0, slot.whole.available),
        pax=[
            SlotPaxData(
                type=terms.type,
                name=terms.name,
                description=terms.description,
                min=terms.minimum,
                max=terms.maximum,
                remaining=max(0, slot.by_type[terms.type].available),
                is_primary=terms.is_primary,
                price_minor=terms.final_minor,
                original_price_minor=terms.original_minor,
                currency=slot.currency,
            )
            for terms in _on_sale(slot)
        ],
        price_minor=price.final_minor,
        currency=price.currency,
        first_seen_at=to_text(slot.first_seen_at),
        changed_at=to_text(slot.changed_at),
    )


def _on_sale(slot: Slot) -> list[PaxTerms]:
    return [terms for terms in slot.pax if terms.on_sale]


def _shown_price(slot: Slot) -> Price:
    price = price_to_show(slot)
    assert price is not None, "a slot that is shown has a pax type on sale"
    return price


def _price(price: Price) -> ExperiencePrice:
    return ExperiencePrice(
        final_price=from_minor(price.final_minor, price.currency),
        original_price=from_minor(price.original_minor, price.currency),
        currency_code=price.currency,
    )
