"""Who may change whom of the people that a tenant knows, and who may ask for all that is kept of somebody.

Who has a role is known by their phone and e-mail address, and signs in with the address. So only an admin whose
credential is for everything, or they themselves, may give them others: a key that is for users alone would otherwise
lead to everything that an admin may. The address of an account is an admin's alone to change, and no admin takes their
own role away or deletes themselves: a tenant would be left without.
"""

from holdfast.identity.people import Changes, Role
from holdfast.platform.access import ADMIN, ALL_SCOPES
from holdfast.platform.caller import Caller
from holdfast.platform.errors import Forbidden, UserNotFound
from holdfast.platform.identity_items import PersonItem

_OWN_ROLE = "An admin's own role is another admin's to take away."


def may_change(caller: Caller, person: PersonItem, wanted: Changes) -> bool:
    """Return whether `caller` may change `person` so.

    Admins change anybody, all others customers and themselves, but for the address that an account signs in with.
    """
    if person.has_account and "email" in wanted and wanted["email"] != person.email and ADMIN not in caller.roles:
        return False
    return gives_roles(caller) or person.role == Role.CUSTOMER or caller.owns() == person.user_id


def must_be_let_change(caller: Caller, person: PersonItem, wanted: Changes) -> bool:
    """Return True; raises Forbidden where `caller` may not change `person` so."""
    if not may_change(caller, person, wanted):
        raise Forbidden
    if _is_own_admin(caller, person) and wanted.get("role", Role.ADMIN) != Role.ADMIN:
        raise Forbidden(_OWN_ROLE)
    return True


def gives_roles(caller: Caller) -> bool:
    """Return whether `caller` may say what somebody is to the tenant: an admin whose credential is for everything."""
    return ADMIN in caller.roles and caller.scopes == ALL_SCOPES


def must_be_let_ask(caller: Caller, user_id: str) -> None:
    """Let those pass who may have all that is kept of a user, and have it deleted: the user, and admins.

    Raises UserNotFound where a customer names somebody else, and Forbidden.
    """
    if caller.sees() not in (None, user_id):
        raise UserNotFound
    if ADMIN not in caller.roles and caller.owns() != user_id:
        raise Forbidden


def must_be_let_delete(caller: Caller, person: PersonItem) -> None:
    """Let those pass who may have a person deleted, once they may ask for it; raises Forbidden."""
    must_be_let_change(caller, person, Changes())
    if _is_own_admin(caller, person):
        raise Forbidden(_OWN_ROLE)


def _is_own_admin(caller: Caller, person: PersonItem) -> bool:
    return caller.owns() == person.user_id and person.role == Role.ADMIN
