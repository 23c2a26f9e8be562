"""The caller, as the authorizer passes it on and every function receives it."""

from dataclasses import dataclass
from typing import Any

from holdfast.platform.errors import Fault, Forbidden, HoldfastError, Malformed, Unauthorized, Unavailable


@dataclass(frozen=True)
class Caller:
    """Who calls: a tenant's user or service key, and what it may do."""

    tenant: str
    name: str
    roles: frozenset[str]

    def needs(self, *roles: str) -> None:
        """Raise Forbidden unless the caller has one of `roles`."""
        if self.roles.isdisjoint(roles):
            raise Forbidden

    def acting_for(self, user: str | None, field: str = "user_id") -> str:
        """Return the user that a request is about: a service key's must be named, anyone else's is the caller.

        Raises Malformed, naming `field`, where a service key names nobody, and Forbidden where a user names somebody
        else.
        """
        if "service" in self.roles:
            if user is None:
                raise Malformed(faults=[Fault(field, "A service key must say for which user it acts.", "missing")])
            return user
        if user not in (None, self.name):
            raise Forbidden
        return self.name

    def acts_on(self) -> str | None:
        """Return the only user whose things the caller may change, or None where it acts for all of its tenant's."""
        return None if "service" in self.roles else self.name

    def sees(self) -> str | None:
        """Return the only user whose things the caller may see, or None where it may see all of its tenant's."""
        return None if self.roles & {"service", "staff", "admin"} else self.name


def to_context(caller: Caller) -> dict[str, str]:
    """Return the caller as an authorizer's context, which carries text only."""
    return {"tenant": caller.tenant, "name": caller.name, "roles": " ".join(sorted(caller.roles))}


def refusal_context(error: HoldfastError) -> dict[str, str]:
    """Return the context that makes the function behind it answer with `error`: Unauthorized, or Unavailable."""
    return {"refusal": error.code}


def from_context(context: dict[str, Any]) -> Caller:
    """Return the caller of an authorizer's context.

    Raises what the authorizer refused with: Unavailable where credentials could not be looked up, else Unauthorized, as
    for no context at all.
    """
    if context.get("refusal") == Unavailable.code:
        raise Unavailable
    if "refusal" in context or not context.get("tenant"):
        raise Unauthorized
    return Caller(str(context["tenant"]), str(context["name"]), frozenset(str(context["roles"]).split()))
