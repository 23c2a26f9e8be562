"""Invitations: an account for somebody who is known by an e-mail address, with a password that is mailed to it.

The store comes first: the address is taken and the account opened in one transaction, and only then the pool makes its
user and mails. A crash in between leaves an account that nobody can sign in to, until the same invitation is made
again; one that is made again is mailed anew, unless somebody has signed in by it already.
"""

from typing import NamedTuple

from holdfast.identity import people
from holdfast.identity.people import Directory, Role
from holdfast.platform.errors import Busy, UserNotFound
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.user_pool import UserPool


class Invited(NamedTuple):
    """Who is invited, and whether something was mailed: not where they have signed in before."""

    person: PersonItem
    is_sent: bool


def invite(directory: Directory, pool: UserPool, tenant: str, user_id: str) -> Invited:
    """Give a person an account and have a password for the first sign-in mailed to them.

    Raises UserNotFound, NoAccount where they have no address, EmailInUse where somebody else's account has it, Busy and
    Unavailable.
    """
    for _ in directory.retries:
        address = people.open_account(directory, tenant, user_id).email
        is_sent = pool.invite(tenant, user_id, address)
        person = _still_invited(directory, pool, tenant, user_id)
        if person.email == address:
            return Invited(person, is_sent)
    raise Busy


def invite_new(
    directory: Directory, pool: UserPool, tenant: str, email: str, name: str | None, role: Role
) -> PersonItem:
    """Invite whoever has this e-mail address, in this role: somebody new, or who has an account with it already.

    Made again, it finishes what a crash left undone, and makes nobody anew. Raises Busy and Unavailable.
    """
    person = people.account_of(directory, tenant, email, name, role)
    return invite(directory, pool, tenant, person.user_id).person


def _still_invited(directory: Directory, pool: UserPool, tenant: str, user_id: str) -> PersonItem:
    """Return the person; raises UserNotFound where they were deleted meanwhile, and nothing of them is in the pool."""
    person = people.look_up(directory, tenant, user_id)
    if person is None or not person.has_account:
        pool.remove(tenant, user_id)
        raise UserNotFound
    return person
