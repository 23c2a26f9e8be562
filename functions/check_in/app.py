"""Tickets at the door: let each in once, and hand out the keys with which gates check codes offline."""

from holdfast.platform import cold_start  # before everything that is large

# isort: split
from functools import cache

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from holdfast.checkout import admissions, ticket_keys
from holdfast.checkout.ticket_wire import (
    CheckIn,
    CheckInBody,
    CheckInRefusal,
    TicketKeys,
    shown_admission,
    shown_keys,
)
from holdfast.platform import http
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import AlreadyAdmitted, CodeRefused, TenantNotFound, TicketNotValid
from holdfast.platform.fields import OptionalKey
from holdfast.platform.settings import PublicTableSettings, settings
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(PublicTableSettings).table_name))


@app.post(
    "/api/v1/check-in",
    tags=["tickets"],
    summary="Let a ticket in",
    responses=http.answers(200, "Let in.", CodeRefused, AlreadyAdmitted, TicketNotValid, adding=CheckInRefusal),
)
def check_in(body: CheckInBody, idempotency_key: OptionalKey = None) -> CheckIn:
    """Let in who shows a code, once; the same key and code give the same answer."""
    caller = http.caller_of(app)
    keyed = None
    if idempotency_key is not None:
        keyed = KeyedRequest(caller.tenant, caller.name, "check-in", idempotency_key, hash_of(body.code))
    return shown_admission(admissions.admit(engine(), caller.tenant, body.code, keyed))


@app.get(
    "/api/v1/check-in/keys",
    tags=["tickets"],
    summary="Get the keys that codes are checked with",
    responses=http.answers(
        200, "A JWK Set; empty where no code was given out yet.", http.TenantRequired, TenantNotFound
    ),
)
def list_keys() -> TicketKeys:
    """Hand out the public keys, with which a gate can tell a good code from others without asking anybody."""
    return shown_keys(ticket_keys.published(engine().store, http.public_tenant(app)))


handler = http.entry(app)
cold_start.over()
