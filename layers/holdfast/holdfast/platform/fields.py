"""The kinds of field that bodies and paths are made of; every id is short, and of letters that no key or path minds."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, StrictInt, StrictStr

_ID = r"^[A-Za-z0-9_]{1,40}$"
_USER = r"^[A-Za-z0-9][A-Za-z0-9._@+:|=-]{0,127}$"

ProductId = Annotated[
    Annotated[StrictStr, Field(pattern=_ID)] | Annotated[StrictInt, Field(ge=0, le=10**15)],
    AfterValidator(str),
    Field(description="A product's id, as text or as a number.", examples=["1"]),
]
"""A product's id; older clients send numbers."""

UserId = Annotated[
    Annotated[StrictStr, Field(pattern=_USER)] | Annotated[StrictInt, Field(ge=0, le=10**15)],
    AfterValidator(str),
    Field(description="The user the request is about, as text or as a number.", examples=["alice"]),
]
"""A user's id; older clients send numbers."""

ProductIdText = Annotated[str, Field(pattern=_ID, description="A product's id.", examples=["1"])]
UserIdText = Annotated[str, Field(pattern=_USER, description="A user's id.", examples=["alice"])]

Quantity = Annotated[StrictInt, Field(ge=1, le=10_000, description="How many.", examples=[1])]

Currency = Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.", examples=["USD"])]

IdempotencyKey = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]

Money = Annotated[Decimal, Field(ge=0, le=10**12, description="A decimal amount in the currency's own units.")]
"""A decimal amount on the wire; `platform.money` turns it into minor units."""

DecimalNumber = Annotated[Decimal, PlainSerializer(float, return_type=float)]
"""An exact decimal shown as a JSON number: under 16 digits, the number's text is the decimal's own."""
