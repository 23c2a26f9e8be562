"""The caller, as the authorizer passes it on and every function receives it."""

from dataclasses import dataclass
from typing import Any

from holdfast.platform.access import ADMIN, ALL_SCOPES, SERVICE, STAFF, Access, scope_of
from holdfast.platform.errors import (
    Fault,
    Forbidden,
    HoldfastError,
    Malformed,
    TenantSuspended,
    Unauthorized,
    Unavailable,
)
from holdfast.platform.policy import Policy, read_policy


@dataclass(frozen=True)
class Caller:
    """Who calls: a tenant's user or service key, what it may do, and what its tenant has set for that.

    `credential` is what it came with, in a form that tells nothing: `key:<digest>`, or `session:<user>:<when the user
    signed in, in seconds>`. `settings` is the text of the tenant's policy.
    """

    tenant: str
    name: str
    roles: frozenset[str]
    scopes: frozenset[str] = ALL_SCOPES
    credential: str = ""
    settings: str = ""

    @property
    def policy(self) -> Policy:
        """Return what the caller's tenant has set."""
        return read_policy(self.settings)

    @property
    def serves_all(self) -> bool:
        """Return whether the caller sees, and sees to, all that is its tenant's."""
        return bool(self.roles & {SERVICE, STAFF, ADMIN})

    @property
    def signed_in(self) -> bool:
        """Return whether the caller is somebody who signed in, and no key."""
        return self.credential.startswith("session:")

    def must_be_let(self, method: str, access: Access) -> None:
        """Raise Forbidden unless the caller has a role that the route asks for, and its scopes the route's area."""
        if self.roles.isdisjoint(access.roles):
            raise Forbidden
        if access.for_people and not self.signed_in:
            raise Forbidden("A service key has no account: this is for people who signed in.")
        if self.scopes != ALL_SCOPES and scope_of(method, access.area) not in self.scopes:
            raise Forbidden("The scopes of this key do not allow this.")

    def acting_for(self, user: str | None, field: str = "user_id") -> str:
        """Return the user that a request is about: a service key's must be named, anyone else's is the caller.

        Staff may name another. Raises Malformed, naming `field`, where a service key names nobody, and Forbidden where
        a customer names somebody else.
        """
        if user is None and SERVICE in self.roles:
            raise Malformed(faults=[Fault(field, "A service key must say for which user it acts.", "missing")])
        if user not in (None, self.name) and not self.serves_all:
            raise Forbidden
        return self.name if user is None else user

    def sees(self) -> str | None:
        """Return the only user whose things the caller sees and sees to, or None where it is all of its tenant's."""
        return None if self.serves_all else self.name

    def owns(self) -> str | None:
        """Return the only user in whose name the caller may act, or None where it is anybody of its tenant."""
        return None if SERVICE in self.roles else self.name


def to_context(caller: Caller) -> dict[str, str]:
    """Return the caller as an authorizer's context, which carries text only."""
    return {
        "tenant": caller.tenant,
        "name": caller.name,
        "roles": " ".join(sorted(caller.roles)),
        "scopes": " ".join(sorted(caller.scopes)),
        "credential": caller.credential,
        "settings": caller.settings,
    }


def refusal_context(error: HoldfastError) -> dict[str, str]:
    """Return the context that makes the function behind it answer with `error`, if it is one of `REFUSALS`."""
    return {"refusal": error.code}


REFUSALS: dict[str, type[HoldfastError]] = {error.code: error for error in (Unauthorized, TenantSuspended, Unavailable)}
"""What the authorizer refuses with: no good credential, a suspended tenant, credentials that could not be looked up."""


def from_context(context: dict[str, Any]) -> Caller:
    """Return the caller of an authorizer's context; raises what the authorizer refused with, else Unauthorized."""
    if "refusal" in context:
        raise REFUSALS.get(str(context["refusal"]), Unauthorized)
    if not context.get("tenant"):
        raise Unauthorized
    return Caller(
        tenant=str(context["tenant"]),
        name=str(context["name"]),
        roles=frozenset(str(context["roles"]).split()),
        scopes=frozenset(str(context.get("scopes", "")).split()),
        credential=str(context.get("credential", "")),
        settings=str(context.get("settings", "")),
    )
