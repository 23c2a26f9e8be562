"""The kinds of field that say who somebody is and how to reach them, as bodies carry them."""

from typing import Annotated

from pydantic import AfterValidator, Field, StrictStr
from pydantic_core import PydanticCustomError

from holdfast.identity.phones import WRITTEN, normalised


def _phone(text: str) -> str:
    try:
        return normalised(text)
    except ValueError as wrong:
        raise PydanticCustomError(
            "phone_malformed", "Not a phone number: + and country code, or ten digits in India."
        ) from wrong


Phone = Annotated[
    StrictStr,
    Field(
        pattern=WRITTEN,
        description="A phone number with + and country code; Indian ones also as ten digits, with or without a 0.",
        examples=["+919876543210"],
    ),
    AfterValidator(_phone),
]
"""A phone number; comes out in E.164, however it was written."""

PersonName = Annotated[
    StrictStr,
    Field(min_length=1, max_length=120, pattern=r"\S", description="What somebody is called.", examples=["Asha Rao"]),
]

Email = Annotated[
    StrictStr,
    Field(
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}$",
        description="An e-mail address; whether mail arrives there is not known.",
        examples=["asha@example.com"],
    ),
]
