"""The e-mail addresses of accounts, which the store has and the pool must be told: the store's is the one that counts.

Whoever told the pool an address looks at the store's afterwards and tells that one if it is another by now. So the
address that was told last is the store's, however many change it at once; after a crash in between the same change,
made again, tells it.
"""

from holdfast.identity.people import Directory, find
from holdfast.platform.errors import Busy
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.user_pool import UserPool


def tell(directory: Directory, pool: UserPool, tenant: str, person: PersonItem) -> PersonItem:
    """Tell the pool the address of a person's account, if there is one, and return the person as they then are.

    Raises UserNotFound where they are gone by then, Busy and Unavailable.
    """
    for _ in directory.retries:
        if not person.has_account:
            return person
        told = person.email
        pool.change_email(tenant, person.user_id, told)
        person = find(directory, tenant, person.user_id)
        if person.email == told:
            return person
    raise Busy
