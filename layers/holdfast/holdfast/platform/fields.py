"""The kinds of field that bodies and paths are made of; every id is short, and of letters that no key or path minds."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from holdfast.platform.page_tokens import PATTERN
from holdfast.platform.tables import PAX_TYPE, SLOT_ID

_ID = r"^[A-Za-z0-9_]{1,40}$"
_USER = r"^[A-Za-z0-9][A-Za-z0-9._@+:|=-]{0,127}$"

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

_LABEL = r"^[A-Za-z0-9]{1,8}$"
_TICKET = r"^[A-Za-z0-9_-]{1,80}$"
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?(Z|[+-][0-9]{2}:[0-9]{2})$"

_DECIMAL = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"

_MOST_NUMBER = 10**15


def _number_as_text(value: Any) -> Any:
    """Return a whole number as its text; everything else is left for the pattern to judge."""
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_NUMBER
    return str(value) if whole else value


def _text_or_number(pattern: str, most: int = _MOST_NUMBER) -> WithJsonSchema:
    number = {"type": "integer", "minimum": 0, "maximum": most}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": pattern}, number]})


ProductId = Annotated[
    StrictStr,
    BeforeValidator(_number_as_text),
    Field(pattern=_ID, description="A product's id, as text or as a number.", examples=["1"]),
    _text_or_number(_ID),
]
"""A product's id; older clients send numbers."""

UserId = Annotated[
    StrictStr,
    BeforeValidator(_number_as_text),
    Field(pattern=_USER, description="The user the request is about, as text or as a number.", examples=["alice"]),
    _text_or_number(_USER),
]
"""A user's id; older clients send numbers."""


def _number_id(what: str) -> Any:
    return Annotated[
        StrictStr,
        BeforeValidator(_number_as_text),
        Field(pattern=_ID, description=f"The id of {what}, as text or as a number.", examples=["1"]),
        _text_or_number(_ID),
    ]


EventId = _number_id("an event")
TicketTypeId = _number_id("a ticket type of an event")
VenueId = _number_id("a venue")
ExperienceId = _number_id("an experience")

PartnerProductId = Annotated[
    StrictStr,
    BeforeValidator(_number_as_text),
    Field(pattern=SLOT_ID, description="What the partner calls its product, as text or as a number.", examples=["15"]),
    _text_or_number(SLOT_ID),
]

SeatLabel = Annotated[
    StrictStr,
    BeforeValidator(_number_as_text),
    Field(pattern=_LABEL, description="What a row or a seat is called, as text or as a number.", examples=["12"]),
    _text_or_number(_LABEL, 99_999_999),
]
"""A row or a seat; older clients send numbers."""

CaptchaToken = Annotated[
    StrictStr,
    Field(
        max_length=8_192,
        description="A captcha's token, where the tenant asks for captchas; it may come in X-Captcha-Token instead.",
        examples=["03AFcWeA5dqv"],
    ),
]
"""What a captcha provider gave a page; how long it may be is `holdfast.abuse.captcha.gate`'s to say."""

TicketId = Annotated[
    StrictStr, Field(pattern=_TICKET, description="A resale ticket's id.", examples=["19a9f5c1c3a0123456789abc"])
]

SlotId = Annotated[
    StrictStr, Field(pattern=SLOT_ID, description="A slot's id, as the partner calls it.", examples=["ab12"])
]

PaxType = Annotated[
    StrictStr, Field(pattern=PAX_TYPE, description="A pax type, as the partner calls it.", examples=["ADULT_12~99"])
]


def _real_date(value: str) -> str:
    """Refuse what is no date, or one that is in no calendar."""
    try:
        if re.fullmatch(_DATE, value):
            date.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise PydanticCustomError("date_malformed", "Not a date, written YYYY-MM-DD.")


_DATE_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "format": "date",
        "pattern": _DATE,
        "description": "A date, as it is where the experience is.",
        "examples": ["2025-03-23"],
    }
)

SlotDate = Annotated[StrictStr, AfterValidator(_real_date), _DATE_SCHEMA]

Instant = Annotated[
    StrictStr,
    Field(
        pattern=_INSTANT,
        description="RFC 3339 with an offset, exact to the millisecond.",
        examples=["2026-12-01T18:00:00Z"],
    ),
]
"""A moment as a client writes it, whatever the time zone."""

SlotDateInQuery = Annotated[
    str,
    AfterValidator(_real_date),
    _DATE_SCHEMA,
    Query(alias="date", description="A date, as it is where the experience is."),
]

ExperienceInPath = Annotated[str, Path(pattern=_ID, description="An experience's id.", examples=["15"])]
ProductInPath = Annotated[str, Path(pattern=_ID, description="A product's id.", examples=["1"])]
UserInPath = Annotated[str, Path(pattern=_USER, description="A user's id.", examples=["alice"])]
UserInQuery = Annotated[
    str | None, Query(pattern=_USER, description="Whose; a service key must say.", examples=["alice"])
]
UserIdInQuery = Annotated[
    str | None,
    Query(alias="userId", pattern=_USER, description="Whose; a service key must say.", examples=["alice"]),
]
"""The same on wires in camelCase."""

NextInQuery = Annotated[str | None, Query(alias="next", pattern=PATTERN, description="`next` of the page before.")]
"""Where to go on in a list, as the page before says it."""

Quantity = Annotated[StrictInt, Field(ge=1, le=10_000, description="How many.", examples=[1])]

Currency = Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.", examples=["USD"])]


def _key_header() -> Any:
    return Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="1 to 255 printable ASCII characters; the same key and body get the same answer for at least 24 h.",
        examples=["order-4711"],
    )


RequiredKey = Annotated[str, _key_header()]
OptionalKey = Annotated[str | None, _key_header()]

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="The `ETag` of an answer that the client has: the same is answered with 304 and no body.",
        examples=['"0123456789abcdef0123456789abcdef"'],
    ),
]


def _plain_decimal(value: Any) -> Any:
    """Refuse a text that Decimal would read, but no person would write: underscores, blanks, other scripts' digits."""
    if isinstance(value, str) and not re.fullmatch(_DECIMAL, value):
        raise ValueError("not a decimal number")
    return value


Money = Annotated[
    Decimal,
    BeforeValidator(_plain_decimal),
    Field(ge=0, le=10**12, description="A decimal amount in the currency's own units."),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": 10**12}, {"type": "string", "pattern": _DECIMAL}]}
    ),
]
"""A decimal amount on the wire; `platform.money` turns it into minor units."""

DecimalNumber = Annotated[Decimal, PlainSerializer(float, return_type=float), Field(examples=[19.99])]
"""An exact decimal shown as a JSON number: under 16 digits, the number's text is the decimal's own."""

# What answers show; the API document takes its examples from here.
ShownProductId = Annotated[str, Field(description="A product's id.", examples=["1"])]
ShownUserId = Annotated[str, Field(description="A user's id.", examples=["alice"])]
ShownReservationId = Annotated[
    str,
    Field(
        description="A reservation's id.",
        examples=["r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"],
    ),
]
Moment = Annotated[
    str,
    Field(
        description="RFC 3339, UTC.", examples=["2026-03-01T10:00:00.250Z"], json_schema_extra={"format": "date-time"}
    ),
]
