"""The tenants of this deployment, as its operators make, list, rename, suspend and open them."""

from dataclasses import replace
from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from holdfast.identity import invitations, tenants
from holdfast.identity.contacts import Email, PersonName
from holdfast.identity.people import Directory, Role
from holdfast.identity.tenants import TenantChanges, TenantStatus
from holdfast.platform import http, page_tokens
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import TenantExists, TenantNotFound
from holdfast.platform.fields import Moment, NextInQuery, OptionalKey
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.settings import TenantsSettings, settings
from holdfast.platform.tables import tenant_of
from holdfast.platform.user_pool import CognitoUserPool, UserPool
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

TenantName = Annotated[
    StrictStr,
    Field(min_length=1, max_length=120, pattern=r"\S", description="What it is called.", examples=["Parkside Halls"]),
]
TenantInPath = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="A tenant's id.", examples=["parkside"])
]


class TenantAdminBody(BaseModel):
    """The first admin of a tenant."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    name: PersonName


class TenantBody(BaseModel):
    """A tenant to make."""

    model_config = ConfigDict(extra="forbid")

    id: StrictStr = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        description="Part of every credential and of the tenant's host; it never changes.",
        examples=["parkside"],
    )
    name: TenantName
    admin: TenantAdminBody | None = Field(None, description="Invited by e-mail to choose a password.")


class TenantPatchBody(BaseModel):
    """What to change of a tenant; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: TenantName | None = None
    status: TenantStatus | None = Field(None, examples=["suspended"])


class TenantData(BaseModel):
    """A tenant."""

    id: str = Field(examples=["parkside"])
    name: str = Field(examples=["Parkside Halls"])
    status: TenantStatus
    created_at: Moment
    updated_at: Moment


class TenantAdminData(BaseModel):
    """The admin who was invited."""

    id: str = Field(description="A user's id.", examples=["018f3a2b4c50123456789abc"])
    email: str = Field(examples=["asha@example.com"])


class TenantMade(TenantData):
    """A tenant, and the admin who was invited with it."""

    admin: TenantAdminData | None


class TenantList(BaseModel):
    """A page of tenants; `next` asks for the page after it and is null at the end."""

    items: list[TenantData]
    next: str | None = Field(examples=[None])


@cache
def directory() -> Directory:
    """Return this warm function's view of the tenants and their people."""
    return Directory(connect(settings(TenantsSettings).identity_table_name))


@cache
def pool() -> UserPool:
    """Return the pool in which accounts are."""
    return CognitoUserPool(settings(TenantsSettings).user_pool_id)


@app.post(
    "/api/v1/tenants",
    status_code=201,
    tags=["tenants"],
    summary="Make a tenant",
    responses=http.answers(201, "The tenant is open.", TenantExists),
)
def create(body: TenantBody, idempotency_key: OptionalKey = None) -> TenantMade:
    """Make a tenant, and invite its first admin by e-mail.

    Repeated with the same key it goes on where it broke off; once the admin was invited, it changes nothing. A tenant
    made without an admin gets its first key by `python -m operations.issue_service_key`.
    """
    caller = http.caller_of(app)
    keyed = invited = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, caller.name, "tenants", idempotency_key, body_hash)
        invited = replace(keyed, route="tenants/admin")
    made = tenants.create(directory(), body.id, body.name, keyed)
    admin = None
    if body.admin is not None:
        admin = TenantAdminData(id=_invited(body.id, body.admin, invited), email=body.admin.email)
    return TenantMade(**_shown(made).model_dump(), admin=admin)


@app.get(
    "/api/v1/tenants",
    tags=["tenants"],
    summary="List tenants",
    responses=http.answers(200, "A page of the list."),
)
def list_all(
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> TenantList:
    """List tenants, suspended ones too, in the order of their ids."""
    scope = f"{http.caller_of(app).tenant}/tenants"
    after = page_tokens.read(scope, next_page) if next_page is not None else None
    page = tenants.list_of(directory(), limit, after)
    following = page_tokens.issue(scope, page.after) if page.after is not None else None
    return TenantList(items=[_shown(tenant) for tenant in page.tenants], next=following)


@app.get(
    "/api/v1/tenants/<tenant_id>",
    tags=["tenants"],
    summary="Read a tenant",
    responses=http.answers(200, "The tenant.", TenantNotFound),
)
def read(tenant_id: TenantInPath) -> TenantData:
    """Read one, suspended or not."""
    return _shown(tenants.get(directory(), tenant_id))


@app.patch(
    "/api/v1/tenants/<tenant_id>",
    tags=["tenants"],
    summary="Rename, suspend or open a tenant",
    responses=http.answers(200, "The tenant, changed.", TenantNotFound),
)
def change(tenant_id: TenantInPath, body: TenantPatchBody) -> TenantData:
    """Change what is given.

    Of a suspended tenant nobody is served: at once where money moves, within a minute elsewhere. Payments that are
    under way, refunds and expiry still run to their ends.
    """
    wanted = TenantChanges()
    if body.name is not None:
        wanted["name"] = body.name
    if body.status is not None:
        wanted["status"] = body.status
    return _shown(tenants.change(directory(), tenant_id, wanted))


def _invited(tenant: str, admin: TenantAdminBody, keyed: KeyedRequest | None) -> str:
    """Invite an admin, and return their id; under the same key nobody is invited, nor made an admin, again."""
    known = keyed.replay(directory().store) if keyed is not None else None
    if known is not None:
        return str(known)
    user_id = invitations.invite_new(directory(), pool(), tenant, admin.email, admin.name, Role.ADMIN).user_id
    if keyed is None:
        return str(user_id)
    return str(keyed.remember(directory().store, directory().retries, user_id, directory().clock.now()))


def _shown(tenant: TenantItem) -> TenantData:
    return TenantData(
        id=tenant_of(tenant.key),
        name=tenant.name,
        status=TenantStatus(tenant.status),
        created_at=to_text(tenant.created_at),
        updated_at=to_text(tenant.updated_at),
    )


handler = http.entry(app)
