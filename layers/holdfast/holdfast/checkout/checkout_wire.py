"""What clients send to check out: by the unified API, and by the marketplace's payments.

The models are built when the first request needs them, and not while a function starts.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictStr
from pydantic.alias_generators import to_camel

from holdfast.platform.fields import CaptchaToken, TicketId

ProviderName = Annotated[
    StrictStr,
    Field(
        pattern=r"^[a-z]{2,20}$",
        description="A payment provider that is used here; `external`: paid elsewhere, for service keys only.",
        examples=["sandbox"],
    ),
]

PaymentToken = Annotated[
    StrictStr,
    Field(
        pattern=r"^[!-~]{1,500}$",
        description="What the provider gave the client for the buyer's means of payment.",
        examples=["tok_success"],
    ),
]


class PaymentBody(BaseModel):
    """How an order is to be paid."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    provider: ProviderName
    token: PaymentToken | None = Field(
        None, description="Without one the order says what the buyer has to do to pay.", examples=["tok_success"]
    )


class CheckoutBody(BaseModel):
    """A wish to buy what a reservation holds."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    payment: PaymentBody | None = Field(None, description="May be left out where everything is free.")
    captcha_token: CaptchaToken | None = Field(None, examples=[None])


class MarketplacePaymentBody(BaseModel):
    """A wish to pay for an order of the marketplace."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", defer_build=True)

    token: PaymentToken
    order_id: TicketId = Field(
        description="The order's id.", examples=["o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"]
    )
    provider: ProviderName | None = Field(
        None, description="The tenant's first one, unless named.", examples=["sandbox"]
    )


class MarketplacePayment(BaseModel):
    """That an order of the marketplace is paid."""

    model_config = ConfigDict(defer_build=True)

    id: str = Field(examples=["c-abcdefghijklmnop-0123456789abcdef0123456789abcdef-01"])
