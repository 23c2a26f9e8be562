"""Service keys, with which a tenant's own servers call: issue, list, rotate and revoke them."""

from functools import cache
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from holdfast.identity import service_keys
from holdfast.identity.service_keys import Issued, KeyRing, Wanted
from holdfast.platform import http
from holdfast.platform.access import AREAS
from holdfast.platform.caller import Caller
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import KeyNotFound, KeyRotated, KeyShownBefore
from holdfast.platform.fields import Moment, NextInQuery, OptionalKey
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.settings import ServiceKeysSettings, settings
from holdfast.platform.signing_keys import SERVICE_KEYS, ParameterStore
from holdfast.reservations.idempotency import KeyedRequest, hash_of

_DAY = 86_400

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

KeyRole = Annotated[StrictStr, Field(pattern="^(service|staff|admin|operator)$", examples=["service"])]
Scope = Annotated[StrictStr, Field(pattern=rf"^({'|'.join(AREAS)}):(read|write)$", examples=["reservations:write"])]
KeyInPath = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9-]{1,40}$", description="A key's id.", examples=["k-0123456789abcdef"])
]


class ServiceKeyBody(BaseModel):
    """A key to issue."""

    model_config = ConfigDict(extra="forbid")

    label: StrictStr = Field(
        min_length=1, max_length=80, pattern=r"\S", description="What it is for.", examples=["web shop"]
    )
    roles: list[KeyRole] = Field(
        min_length=1,
        max_length=4,
        description="What it may be: service (acts for users), staff, admin; an operator's is operator.",
        examples=[["service"]],
    )
    scopes: list[Scope] | None = Field(
        None,
        min_length=1,
        max_length=2 * len(AREAS),
        description="What it is limited to, of what its roles may: `<area>:read` and `<area>:write`; all if left out.",
        examples=[["catalogue:read", "reservations:write"]],
    )
    expires_in_days: StrictInt | None = Field(
        None, ge=1, le=3_650, description="For how long it is good; until it is revoked if left out.", examples=[365]
    )


class ServiceKeyRotateBody(BaseModel):
    """How a key is rotated."""

    model_config = ConfigDict(extra="forbid")

    grace_seconds: StrictInt = Field(
        _DAY, ge=0, le=7 * _DAY, description="For how long the key before is still good.", examples=[3_600]
    )


class ServiceKeyData(BaseModel):
    """A key, without what makes it one."""

    id: str = Field(description="A key's id.", examples=["k-0123456789abcdef"])
    label: str = Field(examples=["web shop"])
    roles: list[str] = Field(examples=[["service"]])
    scopes: list[str] | None = Field(
        description="null where it may do all that its roles may.", examples=[["catalogue:read", "reservations:write"]]
    )
    created_at: Moment
    expires_at: Moment | None = Field(description="null where it is good until it is revoked.")
    replaced_by: str | None = Field(description="The key that is in its place, once rotated.", examples=[None])


class ServiceKeyIssued(ServiceKeyData):
    """A new key."""

    key: str = Field(
        description="The key itself. It is shown this once, and kept nowhere.", examples=["hk_demo_" + "0" * 64]
    )


class ServiceKeyList(BaseModel):
    """A page of keys; `next` asks for the page after it and is null at the end."""

    items: list[ServiceKeyData]
    next: str | None = Field(examples=[None])


class ServiceKeyRevoked(BaseModel):
    """That a key is no more."""

    id: str = Field(description="A key's id.", examples=["k-0123456789abcdef"])
    revoked: bool = Field(examples=[True])


@cache
def ring() -> KeyRing:
    """Return this warm function's view of the keys."""
    found = settings(ServiceKeysSettings)
    return KeyRing(connect(found.identity_table_name), ParameterStore(found.secrets_prefix, SERVICE_KEYS))


@app.post(
    "/api/v1/keys",
    status_code=201,
    tags=["keys"],
    summary="Issue a service key",
    responses=http.answers(201, "The key, shown this once.", KeyShownBefore),
)
def issue(body: ServiceKeyBody, idempotency_key: OptionalKey = None) -> ServiceKeyIssued:
    """Issue a key to one of the tenant's own servers. A limited key gives only roles and scopes it has itself."""
    caller = http.caller_of(app)
    keyed = _keyed(caller, "keys", idempotency_key, body.model_dump(mode="json"))
    wanted = Wanted(
        body.label,
        frozenset(body.roles),
        frozenset(body.scopes) if body.scopes is not None else None,
        body.expires_in_days * _DAY * 1000 if body.expires_in_days is not None else None,
    )
    return _issued(service_keys.issue_for(ring(), caller, wanted, keyed))


@app.get(
    "/api/v1/keys",
    tags=["keys"],
    summary="List service keys",
    responses=http.answers(200, "A page of the list."),
)
def list_all(
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> ServiceKeyList:
    """List in the order of their ids; those that are over are listed for another 30 days."""
    page = service_keys.list_of(ring(), http.caller_of(app).tenant, limit, next_page)
    return ServiceKeyList(items=[ServiceKeyData(**_shown(item)) for item in page.items], next=page.next)


@app.post(
    "/api/v1/keys/<key_id>/rotate",
    status_code=201,
    tags=["keys"],
    summary="Rotate a service key",
    responses=http.answers(201, "The key in its place, shown this once.", KeyNotFound, KeyRotated, KeyShownBefore),
)
def rotate(
    key_id: KeyInPath, body: ServiceKeyRotateBody | None = None, idempotency_key: OptionalKey = None
) -> ServiceKeyIssued:
    """Issue a key of the same label, roles and scopes; the one before is good until its servers have the new one."""
    caller = http.caller_of(app)
    wanted = body or ServiceKeyRotateBody()
    keyed = _keyed(caller, "keys/rotate", idempotency_key, [key_id, wanted.model_dump(mode="json")])
    return _issued(service_keys.rotate(ring(), caller, key_id, wanted.grace_seconds, keyed))


@app.delete(
    "/api/v1/keys/<key_id>",
    tags=["keys"],
    summary="Revoke a service key",
    responses=http.answers(200, "The key is no more.", KeyNotFound),
)
def revoke(key_id: KeyInPath) -> ServiceKeyRevoked:
    """Take a key away: at once where money moves or rights are given, within a minute elsewhere."""
    service_keys.revoke(ring(), http.caller_of(app), key_id)
    return ServiceKeyRevoked(id=key_id, revoked=True)


def _keyed(caller: Caller, route: str, key: str | None, body: Any) -> KeyedRequest | None:
    return None if key is None else KeyedRequest(caller.tenant, caller.name, route, key, hash_of(body))


def _issued(found: Issued) -> ServiceKeyIssued:
    return ServiceKeyIssued(**_shown(found.item), key=found.key)


def _shown(item: ServiceKeyItem) -> dict[str, Any]:
    return {
        "id": service_keys.id_of(item),
        "label": item.label,
        "roles": sorted(item.roles),
        "scopes": sorted(item.scopes) if item.scopes else None,
        "created_at": to_text(item.created_at),
        "expires_at": to_text(item.expires_at) if item.expires_at is not None else None,
        "replaced_by": item.replaced_by,
    }


handler = http.entry(app)
