"""What bodies of the halls' API are made of; names are camelCase there."""

from collections.abc import Sequence
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.alternatives import Alternative
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Moment

HallMoment = Annotated[
    StrictStr,
    Field(
        pattern=moments.MOMENT,
        description="RFC 3339; without an offset it is the venue's local time.",
        examples=["2030-06-01T18:00:00Z"],
    ),
]
VenueInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,40}$", description="A venue's id.", examples=["1"])]
GuestCount = Annotated[StrictInt, Field(ge=1, le=1_000_000, description="How many guests.", examples=[120])]


class HallBody(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class AlternativeTime(HallBody):
    """A time that is free."""

    start_ts: Moment = Field(examples=["2030-06-01T18:00:00.000Z"])
    end_ts: Moment = Field(examples=["2030-06-01T22:00:00.000Z"])
    is_full_day: bool = Field(description="Whether it is whole calendar days of the venue.", examples=[False])


def shown_alternatives(found: Sequence[Alternative]) -> list[AlternativeTime]:
    """Return suggestions as clients see them."""
    return [
        AlternativeTime(start_ts=to_text(one.span.start), end_ts=to_text(one.span.end), is_full_day=one.is_full_day)
        for one in found
    ]
