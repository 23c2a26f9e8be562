"""Webhooks of payment providers, and the sandbox's page as a route.

Whoever sends a webhook is known by its signature alone, over the body as it came, and needs no other credential.
"""

from functools import cache
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from pydantic import BaseModel, ConfigDict, Field

from holdfast.checkout import webhooks
from holdfast.checkout.failed_refunds import REFUND_FAILED
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.registry import Providers
from holdfast.checkout.payments.sandbox import SandboxAction
from holdfast.platform import http
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import Busy, NotFound, ProviderNotUsed, SignatureRefused
from holdfast.platform.secrets import SecretParameters
from holdfast.platform.settings import WebhooksSettings, settings
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

MAX_BODY_BYTES = 256 * 1024
"""A webhook of a payment is a few KB."""

ProviderInPath = Annotated[
    str, Path(pattern="^[a-z]{1,40}$", description="A payment provider's name.", examples=["sandbox"])
]
TenantInPath = Annotated[
    str, Path(pattern="^[a-z0-9][a-z0-9-]{0,39}$", description="Whose webhook it is.", examples=["demo"])
]
PaymentInPath = Annotated[
    str,
    Path(
        pattern="^[A-Za-z0-9_]{1,80}$",
        description="A payment's id in the sandbox's books.",
        examples=["sandbox_0123456789abcdef01234567"],
    ),
]


class Received(BaseModel):
    """The webhook was taken in; whether it changed anything is not its sender's to know."""

    received: Literal[True] = True


class SandboxBody(BaseModel):
    """What the buyer does at the sandbox's page, or in the end the buyer's bank with all that was paid back."""

    model_config = ConfigDict(extra="forbid")

    action: SandboxAction = Field(examples=["pay"])


class SandboxActed(Received):
    """It was done; `taken_as` says by payment, or refund, what its webhook was taken as."""

    taken_as: dict[str, str] = Field(examples=[{"sandbox_0123456789abcdef01234567": "paid"}])


@cache
def desk() -> webhooks.Desk:
    """Return what this warm function's webhooks work with."""
    known = settings(WebhooksSettings)
    engine = Engine(connect(known.table_name))
    used = ProvidersUsed(engine.store, known.default_payment_providers)
    return webhooks.Desk(
        engine,
        checkouts=StepFunctions(known.checkout_workflow_arn),
        refunds=StepFunctions(known.refund_workflow_arn),
        providers=Providers(engine.store, SecretParameters(known.secrets_prefix), used),
    )


@app.post(
    "/webhooks/<provider>/<tenant>",
    tags=["webhooks"],
    summary="Tell of a payment",
    responses=http.answers(200, "The webhook was taken in.", SignatureRefused, NotFound, Busy),
)
def receive(provider: ProviderInPath, tenant: TenantInPath) -> Received:
    """Take in a provider's webhook, once however often it is sent; what is not about an order of ours is no error."""
    try:
        _count(webhooks.receive(desk(), tenant, provider, http.raw_body(app), app.current_event.headers))
    except ProviderNotUsed:
        raise NotFound from None
    return Received()


@app.post(
    "/sandbox/<tenant>/payments/<payment_id>",
    tags=["webhooks"],
    summary="Pay in the sandbox, or be declined",
    responses=http.answers(200, "It is done, and its webhooks were taken in.", NotFound, Busy),
)
def act(tenant: TenantInPath, payment_id: PaymentInPath, body: SandboxBody) -> SandboxActed:
    """Do what a buyer does at the sandbox's page, or the buyer's bank, where the tenant uses the sandbox."""
    try:
        taken_as = webhooks.act_in_sandbox(desk(), tenant, payment_id, body.action)
    except ProviderNotUsed:
        raise NotFound from None
    _count(*taken_as.values())
    return SandboxActed(taken_as=taken_as)


def _count(*taken_as: str) -> None:
    """Count the refunds that failed after they were paid back: an alarm is on them."""
    failed = taken_as.count(REFUND_FAILED)
    if failed:
        with single_metric("RefundsFailedLater", MetricUnit.Count, failed):
            pass


handler = http.entry(app, raw={"POST /webhooks/{provider}/{tenant}"}, most_bytes=MAX_BODY_BYTES)
