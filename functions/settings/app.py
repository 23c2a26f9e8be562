"""What a tenant's admins set for all of its checkouts: which payment providers it uses."""

from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import AfterValidator, BaseModel, Field

from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.platform import http
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import connect
from holdfast.platform.settings import PaymentSettings, settings

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_json
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


@cache
def providers_used() -> ProvidersUsed:
    """Return this warm function's view of which providers tenants use."""
    read = settings(PaymentSettings)
    return ProvidersUsed(connect(read.table_name), read.default_payment_providers)


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


handler = http.entry(app)
