"""The users of the halls' API: who a tenant knows, by phone or by an account, and invitations (WIRE.md, section 4).

Unknown fields are ignored and names are camelCase, as those clients know it.
"""

from functools import cache, partial
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from holdfast.identity import account_emails, invitations, people, rights
from holdfast.identity.contacts import Email, PersonName, Phone
from holdfast.identity.people import Changes, Directory, Role
from holdfast.identity.people_pages import list_of
from holdfast.platform import http, user_pool
from holdfast.platform.caller import Caller
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import AccountNeedsEmail, EmailInUse, Forbidden, NoAccount, PhoneInUse, UserNotFound
from holdfast.platform.fields import Moment, NextInQuery, OptionalKey, UserInPath
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.settings import UsersSettings, settings
from holdfast.platform.user_pool import UserPool
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)


class UserBody(BaseModel):
    """Who has a phone: somebody new, or somebody known whose name and e-mail address are brought up to date."""

    name: PersonName
    phone: Phone
    email: Email | None = Field(
        None,
        description="How to write to them. One that somebody signs in with stays as it is.",
        examples=["asha@example.com"],
    )
    role: Role | None = Field(
        None, description="A customer unless given; only an admin gives another or changes it.", examples=["customer"]
    )


class UserPatchBody(BaseModel):
    """What to change of a user; what is left out stays, and null takes an e-mail address away."""

    name: PersonName | None = None
    phone: Phone | None = None
    email: Email | None = Field(
        None,
        description="One that the user signs in with is changed by an admin only, and not taken away.",
        examples=["asha@example.com"],
    )
    role: Role | None = Field(
        None, description="Only an admin changes it, and nobody takes their own away.", examples=["customer"]
    )


class UserData(BaseModel):
    """A user."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(description="A user's id.", examples=["018f3a2b4c50123456789abc"])
    name: str | None = Field(description="Null where nobody said.", examples=["Asha Rao"])
    phone: str | None = Field(
        description="In E.164; null for who is known by an account only.", examples=["+919876543210"]
    )
    email: str | None = Field(examples=["asha@example.com"])
    role: Role
    created_at: Moment = Field(alias="createdAt")
    updated_at: Moment = Field(alias="updatedAt")


class UserAnswer(BaseModel):
    """A user, in the older envelope."""

    success: Literal[True] = True
    user: UserData


class InvitationAnswer(BaseModel):
    """What became of an invitation."""

    success: Literal[True] = True
    sent: bool = Field(
        description="False where the user has signed in before, so that nothing was mailed.", examples=[True]
    )


class UsersAnswer(BaseModel):
    """A page of users, in the older envelope; `next` asks for the page after it and is null at the end."""

    success: Literal[True] = True
    users: list[UserData]
    page: int = Field(examples=[1])
    limit: int = Field(examples=[20])
    next: str | None = Field(examples=[None])


@cache
def directory() -> Directory:
    """Return this warm function's view of who is known."""
    return Directory(connect(settings(UsersSettings).identity_table_name))


@cache
def pool() -> UserPool:
    """Return the pool in which accounts are."""
    return user_pool.connect(settings(UsersSettings).user_pool_id)


@app.post(
    "/api/v1/users",
    tags=["users"],
    summary="Know somebody by phone",
    responses=http.answers(200, "Who has the phone now.", UserNotFound),
)
def upsert(body: UserBody, idempotency_key: OptionalKey = None) -> UserAnswer:
    """Make a user of this phone, or bring the one who has it up to date; never two for one phone.

    Only an admin, or they themselves, change somebody who is no customer. The same key and body get the same answer,
    until the user is deleted.
    """
    caller = http.caller_of(app)
    gives_roles = rights.gives_roles(caller)
    if body.role not in (None, Role.CUSTOMER) and not gives_roles:
        raise Forbidden
    keyed = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, caller.name, "users", idempotency_key, body_hash)
    role = body.role if gives_roles else None
    rule = partial(rights.must_be_let_change, caller)
    person, _ = people.upsert(directory(), caller.tenant, body.name, body.phone, body.email, role, keyed, rule)
    return UserAnswer(user=_shaped(person))


@app.get(
    "/api/v1/users",
    tags=["users"],
    summary="List users",
    responses=http.answers(200, "A page of the list."),
)
def list_all(
    page: Annotated[int, Query(ge=1, le=10_000, description="Which page; not looked at where `next` is given.")] = 1,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 20,
    role: Annotated[Role | None, Query(description="Only those with this role.")] = None,
    next_page: NextInQuery = None,
) -> UsersAnswer:
    """List in the order in which they became known; who is added meanwhile comes at the end."""
    found = list_of(directory(), http.caller_of(app).tenant, role, page, limit, next_page)
    return UsersAnswer(
        users=[_shaped(person) for person in found.entries], page=found.page, limit=limit, next=found.next
    )


@app.get(
    "/api/v1/users/<user_id>",
    tags=["users"],
    summary="Read a user",
    responses=http.answers(200, "The user.", UserNotFound),
)
def read(user_id: UserInPath) -> UserAnswer:
    """Read one; a customer reads nobody but themselves."""
    caller = http.caller_of(app)
    return UserAnswer(user=_shaped(_visible(caller, people.find(directory(), caller.tenant, user_id))))


@app.get(
    "/api/v1/users/phone/<phone>",
    tags=["users"],
    summary="Read who has a phone",
    responses=http.answers(200, "The user.", UserNotFound),
)
def read_by_phone(phone: Annotated[Phone, Path(description="A phone number, as in a body.")]) -> UserAnswer:
    """Read who has this phone; a customer reads nobody but themselves."""
    caller = http.caller_of(app)
    own = caller.sees()
    if own is None:
        return UserAnswer(user=_shaped(people.find_by_phone(directory(), caller.tenant, phone)))
    # Whose a phone is, if anybody's, is not looked up for a customer: how long that takes would tell.
    person = people.find(directory(), caller.tenant, own)
    if person.phone != phone:
        raise UserNotFound
    return UserAnswer(user=_shaped(person))


@app.patch(
    "/api/v1/users/<user_id>",
    tags=["users"],
    summary="Change a user",
    responses=http.answers(200, "The user, changed.", UserNotFound, PhoneInUse, EmailInUse, AccountNeedsEmail),
)
def change(user_id: UserInPath, body: UserPatchBody) -> UserAnswer:
    """Change what is given. A customer changes their own name, and an e-mail address that they do not sign in with.

    Only an admin changes a role, and the address of an account; the same call again finishes one that was cut off. Only
    an admin, or they themselves, change somebody who is no customer.
    """
    caller = http.caller_of(app)
    if caller.sees() not in (None, user_id):
        raise UserNotFound
    if body.phone is not None and caller.sees() is not None:
        raise Forbidden
    if body.role is not None and not rights.gives_roles(caller):
        raise Forbidden
    rule = partial(rights.must_be_let_change, caller)
    person = people.change(directory(), caller.tenant, user_id, _changes(body), rule)
    if body.email is not None:
        person = account_emails.tell(directory(), pool(), caller.tenant, person)
    return UserAnswer(user=_shaped(person))


@app.post(
    "/api/v1/users/<user_id>/invite",
    status_code=202,
    tags=["users"],
    summary="Invite a user to sign in",
    responses=http.answers(202, "They have an account.", UserNotFound, NoAccount, EmailInUse),
)
def invite(user_id: UserInPath, idempotency_key: OptionalKey = None) -> InvitationAnswer:
    """Give a user with an e-mail address an account, and mail them a password for the first time.

    Invited again, they are mailed another, unless they have signed in by then.
    """
    caller = http.caller_of(app)
    keyed = None
    if idempotency_key is not None:
        keyed = KeyedRequest(caller.tenant, caller.name, f"users/{user_id}/invite", idempotency_key, hash_of(None))
        known = keyed.replay(directory().store)
        if known is not None:
            return InvitationAnswer(sent=known)
    is_sent = invitations.invite(directory(), pool(), caller.tenant, user_id).is_sent
    if keyed is not None:
        is_sent = keyed.remember(directory().store, directory().retries, is_sent, directory().clock.now())
    return InvitationAnswer(sent=is_sent)


def _changes(body: UserPatchBody) -> Changes:
    wanted = Changes()
    if body.name is not None:
        wanted["name"] = body.name
    if body.phone is not None:
        wanted["phone"] = body.phone
    if "email" in body.model_fields_set:
        wanted["email"] = body.email
    if body.role is not None:
        wanted["role"] = body.role
    return wanted


def _visible(caller: Caller, person: PersonItem) -> PersonItem:
    if caller.sees() not in (None, person.user_id):
        raise UserNotFound
    return person


def _shaped(person: PersonItem) -> UserData:
    return UserData(
        id=person.user_id,
        name=person.name,
        phone=person.phone,
        email=person.email,
        role=Role(person.role),
        created_at=to_text(person.created_at),
        updated_at=to_text(person.updated_at),
    )


handler = http.entry(app)
