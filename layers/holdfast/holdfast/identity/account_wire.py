"""The bodies and answers of accounts (WIRE.md, section 3); unknown fields are ignored, as the older clients know it."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, model_validator

from holdfast.identity.contacts import Email, PersonName
from holdfast.identity.passwords import LEAST, MOST
from holdfast.platform.user_pool import Asked

_SHOWN_ID = "018f3a2b4c50123456789abc"
_SHOWN_TOKEN = "eyJraWQiOiJ"  # noqa: S105

AccountEmail = Annotated[Email, AfterValidator(str.lower)]
"""An e-mail address; comes out in small letters, as letters' case makes no difference."""

AccountId = Annotated[
    StrictStr, Field(pattern=r"^[a-z0-9]{1,64}$", description="The id of the user.", examples=[_SHOWN_ID])
]

Password = Annotated[
    StrictStr, Field(min_length=1, max_length=MOST, description="A password.", examples=["correct-Horse-7"])
]

NewPassword = Annotated[
    StrictStr,
    Field(
        min_length=LEAST,
        max_length=MOST,
        pattern=r"^[!-~]+$",
        description=f"{LEAST} to {MOST} characters, no spaces; a small letter, a capital letter, a digit among them.",
        examples=["correct-Horse-7"],
    ),
]

Code = Annotated[
    StrictStr, Field(pattern=r"^[0-9]{6}$", description="Six digits, as they were sent or shown.", examples=["123456"])
]

RefreshToken = Annotated[
    StrictStr,
    Field(
        max_length=8_192,
        pattern=r"^[a-z0-9]{1,64}\.[A-Za-z0-9_.=+/-]+$",
        description="The refresh token of a sign-in.",
        examples=[f"{_SHOWN_ID}.{_SHOWN_TOKEN}"],
    ),
]


class AccountSignUpBody(BaseModel):
    """Who signs up."""

    email: AccountEmail
    password: NewPassword
    name: PersonName | None = None


class AccountSignedUp(BaseModel):
    """A sign-up; it is an account once the code that was sent to the address is entered for this id."""

    id: str = Field(description="The id that the user will have.", examples=[_SHOWN_ID])
    email: str = Field(examples=["asha@example.com"])


class AccountConfirmBody(BaseModel):
    """The code that a sign-up was sent."""

    id: AccountId
    code: Code


class AccountResendBody(BaseModel):
    """Which sign-up wants another code."""

    id: AccountId


class AccountSignInBody(BaseModel):
    """An account's e-mail address and password."""

    email: AccountEmail
    password: Password


class AccountAnswerBody(BaseModel):
    """What a sign-in asked for besides: the one of `code` and `new_password` that it named."""

    id: AccountId
    session: StrictStr = Field(
        min_length=20,
        max_length=2_048,
        pattern=r"^[!-~]+$",
        description="`session` of the answer before.",
        examples=["AYABeC1-y8qooiuysEv0uM4wAqQAHQABAAdTZXJ2aWNl"],
    )
    code: Code | None = None
    new_password: NewPassword | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _answers_one(self) -> "AccountAnswerBody":
        if (self.code is None) == (self.new_password is None):
            raise ValueError("either a code or a new password is needed")
        return self


class AccountSession(BaseModel):
    """Somebody who signed in."""

    id: str = Field(description="The user's id.", examples=[_SHOWN_ID])
    email: str = Field(examples=["asha@example.com"])
    access_token: str = Field(description="The bearer credential of what follows.", examples=[_SHOWN_TOKEN])
    refresh_token: str = Field(
        description="Gets another access token for 30 days, unless the user signs out.",
        examples=[f"{_SHOWN_ID}.{_SHOWN_TOKEN}"],
    )
    expires_in: int = Field(description="For how many seconds the access token is good.", examples=[900])


class AccountChallenge(BaseModel):
    """A sign-in that asks for one more thing, which `POST /api/users/signin/answer` takes."""

    challenge: Asked = Field(description="The field that is to be sent.", examples=["code"])
    session: str = Field(description="To be sent with it, within five minutes.")
    id: str = Field(description="To be sent with it.", examples=[_SHOWN_ID])


class AccountRefreshBody(BaseModel):
    """The refresh token of a sign-in."""

    refresh_token: RefreshToken


class AccountForgotBody(BaseModel):
    """Whose password is forgotten."""

    email: AccountEmail


class AccountResetBody(BaseModel):
    """Another password, by the code that was sent for it."""

    email: AccountEmail
    code: Code
    new_password: NewPassword


class AccountPasswordBody(BaseModel):
    """The present password and another."""

    password: Password
    new_password: NewPassword


class AccountCodeBody(BaseModel):
    """The code that an authenticator shows."""

    code: Code


class AccountTotp(BaseModel):
    """What an authenticator is to know; the secret is shown this once."""

    secret: str = Field(description="Base 32.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str = Field(
        description="The text of the QR code that authenticators read.",
        examples=["otpauth://totp/Demo%3Aasha%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Demo"],
    )


class AccountUser(BaseModel):
    """Whose credential a request came with; a service key has no e-mail address, name or phone."""

    id: str = Field(examples=[_SHOWN_ID])
    email: str | None = Field(examples=["asha@example.com"])
    name: str | None = Field(examples=["Asha Rao"])
    phone: str | None = Field(examples=["+919876543210"])
    roles: list[str] = Field(examples=[["customer"]])
    tenant: str = Field(examples=["demo"])


class AccountCurrentUser(BaseModel):
    """The user of the request's credential; null where it has none that is good."""

    model_config = ConfigDict(populate_by_name=True)

    current_user: AccountUser | None = Field(alias="currentUser")


class AccountDone(BaseModel):
    """That it is done: there is nothing to say of it."""
