"""Who may change whom of the people that a tenant knows by phone.

Who has a role is known by their phone and e-mail address, so only an admin, or they themselves, may give them others.
"""

from holdfast.identity.people import Role
from holdfast.platform.access import ADMIN, ALL_SCOPES
from holdfast.platform.caller import Caller
from holdfast.platform.errors import Forbidden
from holdfast.platform.identity_items import PersonItem


def may_change(caller: Caller, person: PersonItem) -> bool:
    """Return whether `caller` may change `person`: an admin anybody, all others customers and themselves."""
    return ADMIN in caller.roles or person.role == Role.CUSTOMER or person.user_id == caller.name


def must_be_let_change(caller: Caller, person: PersonItem) -> bool:
    """Return True; raises Forbidden where `caller` may not change `person`."""
    if not may_change(caller, person):
        raise Forbidden
    return True


def gives_roles(caller: Caller) -> bool:
    """Return whether `caller` may say what somebody is to the tenant: an admin whose credential is for everything."""
    return ADMIN in caller.roles and caller.scopes == ALL_SCOPES
