"""Signing up: an e-mail address becomes somebody's account once they enter the code that was sent there.

Any number of sign-ups may wait with one address. Each has an id and a password of its own and is confirmed by its own
id and code, so whoever signs up with another's address gives them nothing but a mail. The first one that is confirmed
has the address.

Steps, each of which may be the last before a crash: the pool's account, then the sign-up that waits; the pool's
confirmation, then person and address in one transaction. A sign-up that is sent again begins anew; a confirmation goes
on where the last one ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.identity import passwords, people
from holdfast.identity.accounts import Accounts, refused_late
from holdfast.identity.people import Changes
from holdfast.platform.dynamodb import Cancelled, Contended, Delete, Put, Write, read
from holdfast.platform.errors import Busy, CodeNotSent, CodeWrong, EmailInUse, Fault
from holdfast.platform.identity_items import EmailItem, PersonItem, SignUpItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.idempotency import KeyedRequest, hash_of

WAITS_SECONDS = 7 * 86_400
"""For how long a sign-up may be confirmed; the pool's codes are good for a day, and may be sent again."""

_ROUTE = "signup"


@dataclass(frozen=True)
class SigningUp:
    """Who signs up: an address in small letters, a password, and perhaps what they are called."""

    email: str
    password: str
    name: str | None = None


def sign_up(accounts: Accounts, tenant: str, wanted: SigningUp, idempotency_key: str | None = None) -> str:
    """Begin a sign-up, and return the id that its user will have; a mail with a code is on its way.

    With an idempotency key, the same request gets the same id. Raises EmailInUse where there is an account with the
    address, PasswordRefused, CodeNotSent, IdempotencyKeyReused, Busy and Unavailable.
    """
    store, clock = accounts.directory.store, accounts.directory.clock
    keyed = None if idempotency_key is None else _keyed(tenant, wanted, idempotency_key)
    known = keyed.replay(store) if keyed is not None else None
    if known is not None:
        return str(known)
    if store.get_raw(Keys(tenant).email(wanted.email)) is not None:
        raise _in_use()
    user_id = people.new_id(clock.now())
    try:
        accounts.pool.sign_up(tenant, user_id, wanted.email, wanted.password)
    except CodeNotSent:
        accounts.pool.remove(tenant, user_id)
        raise
    writes: list[Write] = [Put(_waiting(tenant, user_id, wanted, clock.now()))]
    if keyed is not None:
        writes = [keyed.record(user_id, clock.now()), *writes]
    return _begun(accounts, tenant, user_id, writes, keyed)


def confirm(accounts: Accounts, tenant: str, user_id: str, code: str) -> None:
    """Make a sign-up an account, by the code that was sent to its address.

    One that was confirmed before is not asked for its code again. Raises CodeWrong, EmailInUse where another sign-up
    with the address was confirmed meanwhile, Busy and Unavailable.
    """
    keys, store = Keys(tenant), accounts.directory.store
    waits, lives = keys.sign_up(user_id), keys.person(user_id)
    with refused_late(accounts):
        accounts.pool.confirm(tenant, user_id, code)
        for attempt in accounts.directory.retries:
            found = store.batch_get([waits, lives])
            if lives in found and read(PersonItem, found[lives]).has_account:
                return
            if waits not in found:
                if people.look_up(accounts.directory, tenant, user_id) is None:
                    # Without the sign-up nobody can become of it any more.
                    accounts.pool.remove(tenant, user_id)
                raise CodeWrong
            try:
                store.transact(_confirmed(accounts, tenant, user_id, read(SignUpItem, found[waits]), waits))
            except Contended:
                accounts.directory.retries.wait(attempt)
            except Cancelled as refusal:
                if _is_anothers(refusal, user_id):
                    accounts.pool.remove(tenant, user_id)
                    store.write(Delete(waits))
                    raise _in_use() from None
                accounts.directory.retries.wait(attempt)
            else:
                return
        raise Busy


def send_code_again(accounts: Accounts, tenant: str, user_id: str, may_mail: Callable[[str], bool]) -> None:
    """Mail a sign-up another code, if `may_mail` lets its address have one more mail.

    Whether one waits by this id, and was mailed, is not told. Raises Busy and Unavailable.
    """
    begun = accounts.directory.clock.now()
    waiting = accounts.directory.store.get(SignUpItem, Keys(tenant).sign_up(user_id))
    if waiting is not None and may_mail(waiting.email):
        accounts.pool.send_code_again(tenant, user_id)
    accounts.wait_since(begun)


def _begun(accounts: Accounts, tenant: str, user_id: str, writes: list[Write], keyed: KeyedRequest | None) -> str:
    """Write the sign-up, and return its id, or that of a twin who was answered meanwhile."""
    for attempt in accounts.directory.retries:
        try:
            accounts.directory.store.make(writes)
        except Contended:
            accounts.directory.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None and known != user_id:
                accounts.pool.remove(tenant, user_id)
            if known is not None:
                return str(known)
            accounts.directory.retries.wait(attempt)
        else:
            return user_id
    raise Busy


def _waiting(tenant: str, user_id: str, wanted: SigningUp, now: int) -> SignUpItem:
    ttl = now // 1000 + WAITS_SECONDS
    return SignUpItem(*Keys(tenant).sign_up(user_id), email=wanted.email, name=wanted.name, created_at=now, ttl=ttl)


def _confirmed(accounts: Accounts, tenant: str, user_id: str, waiting: SignUpItem, waits: Key) -> list[Write]:
    """Return the writes that make a sign-up an account: the address first, then the person.

    One that was taken away meanwhile, for nobody confirmed it in time, makes nobody.
    """
    known = Changes(email=waiting.email)
    if waiting.name is not None:
        known["name"] = waiting.name
    person = people.newcomer(accounts.directory.clock.now(), tenant, known, user_id=user_id)
    person.has_account = True
    return [
        people.taken_email(tenant, waiting.email, user_id),
        Put(person, PersonItem.pk.does_not_exist()),
        Delete(waits, SignUpItem.pk.exists()),
    ]


def _is_anothers(refusal: Cancelled, user_id: str) -> bool:
    """Return whether the address, which is the first write, was found to be somebody else's."""
    reason = refusal.reasons[0]
    return reason is not None and reason.item is not None and read(EmailItem, reason.item).user_id != user_id


def _in_use() -> EmailInUse:
    return EmailInUse(faults=[Fault("email", EmailInUse.sentence, EmailInUse.code)])


def _keyed(tenant: str, wanted: SigningUp, key: str) -> KeyedRequest:
    """Return the request as its key has it; nobody is signed in, so it is the address that tells it from others'.

    The password is part of what has to be the same: else whoever guesses a key could have another's sign-up answered
    with the id of theirs, which the other would then confirm. It is kept as no more than a hash that is slow to make.
    """
    password = passwords.hash_of_secret(wanted.password, tenant, wanted.email, key)
    body_hash = hash_of({"email": wanted.email, "name": wanted.name, "password": password})
    return KeyedRequest(tenant, wanted.email, _ROUTE, key, body_hash)
