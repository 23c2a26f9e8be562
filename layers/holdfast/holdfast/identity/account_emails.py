"""The e-mail addresses of accounts, which the store has and the pool must be told: the store's is the one that counts.

Whoever told the pool an address looks at the store's afterwards and tells that one if it is another by now. So the
address that was told last is the store's, however many change it at once; after a crash in between the same change,
made again, tells it.
"""

from holdfast.identity.people import Directory, look_up
from holdfast.platform.errors import Busy, UserNotFound
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.user_pool import UserPool


def tell(directory: Directory, pool: UserPool, tenant: str, person: PersonItem) -> PersonItem:
    """Tell the pool the address of a person's account, if there is one, and return the person as they then are.

    Raises UserNotFound where they are gone by then, Busy and Unavailable.
    """
    if not person.has_account:
        return person
    found = tell_of(directory, pool, tenant, person.user_id, person.email)
    if found is None:
        raise UserNotFound
    return found


def tell_of(directory: Directory, pool: UserPool, tenant: str, user_id: str, address: str) -> PersonItem | None:
    """Tell the pool what was an account's address when it was looked up, and whatever it is by now.

    Returns the person as they then are; None where there is nobody. Raises Busy and Unavailable.
    """
    for _ in directory.retries:
        pool.change_email(tenant, user_id, address)
        person = look_up(directory, tenant, user_id)
        if person is None or not person.has_account or person.email.lower() == address.lower():
            return person
        address = person.email
    raise Busy
