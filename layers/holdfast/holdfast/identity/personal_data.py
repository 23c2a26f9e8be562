"""Deleting somebody: what says who they are goes, what they bought stays under an id that names nobody.

Every step can be made again, and the person goes last, so that a call that was cut off is finished by the same call.
Whatever changes the person in between, an invitation or another address, has the steps made anew.
"""

from collections.abc import Callable

from holdfast.identity import people
from holdfast.identity.people import Directory
from holdfast.platform.dynamodb import Cancelled, Contended, Delete, Write
from holdfast.platform.errors import Busy, UserNotFound
from holdfast.platform.identity_items import PersonItem, PhoneItem
from holdfast.platform.tables import Key, Keys, key_of
from holdfast.platform.user_pool import UserPool

_CHUNK = 100


def delete(
    directory: Directory, pool: UserPool, tenant: str, user_id: str, delete_elsewhere: Callable[[], object]
) -> None:
    """Delete a person: sign-ins end first, then the pool's user, the sessions, and what other rooms keep of them.

    The account and whose its address is go in one transaction, and last the person and whose the phone is in another.
    What was kept elsewhere meanwhile goes then; who keeps more later finds them gone, and takes it back.
    Raises UserNotFound, Busy and Unavailable.
    """
    for attempt in directory.retries:
        try:
            closed = people.close_account(directory, tenant, user_id)
        except UserNotFound:
            if attempt == 0:
                raise
            return
        pool.remove(tenant, user_id)
        _delete_sessions(directory, tenant, user_id)
        delete_elsewhere()
        last: list[Write] = [Delete(closed.key, PersonItem.version == closed.version)]
        if closed.phone is not None:
            last.append(Delete(Keys(tenant).phone(closed.phone), PhoneItem.user_id == user_id))
        try:
            directory.store.transact(last)
        except (Contended, Cancelled):
            directory.retries.wait(attempt)
        else:
            delete_elsewhere()
            return
    raise Busy


def _delete_sessions(directory: Directory, tenant: str, user_id: str) -> None:
    after: Key | None = None
    while True:
        page = directory.store.query(Keys(tenant).sessions(user_id), limit=_CHUNK, after=after, only=("pk", "sk"))
        for raw in page.items:
            directory.store.write(Delete(key_of(raw)))
        after = page.after
        if after is None:
            return
