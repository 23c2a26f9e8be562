"""Passwords: which ones are good enough, and choosing another, by a code or by the present one."""

import re
from hashlib import scrypt

from holdfast.identity import account_emails, sessions
from holdfast.identity.accounts import Accounts, holder_of, nobody_of, refused_late
from holdfast.platform.dynamodb import Cancelled, Put
from holdfast.platform.errors import BadCredentials, CodeWrong, Fault, PasswordRefused, UserNotFound
from holdfast.platform.identity_items import EmailItem
from holdfast.platform.tables import Keys

LEAST, MOST = 12, 256
"""Characters of a password; the user pool has the same rules."""

_CODE_GOOD_FOR = 3_600_000
"""How long (ms) the pool's codes for another password are good."""

_NEEDED = {"a small letter": r"[a-z]", "a capital letter": r"[A-Z]", "a digit": r"[0-9]"}
_BLANK = re.compile(r"\s")


def must_be_good(password: str, field: str) -> None:
    """Raise PasswordRefused, naming `field`, unless a password is one that may be chosen."""
    missing = [what for what, pattern in _NEEDED.items() if not re.search(pattern, password)]
    if missing or not LEAST <= len(password) <= MOST or _BLANK.search(password):
        sentence = (
            f"A password has {LEAST} to {MOST} characters without spaces, "
            "among them a small letter, a capital letter and a digit."
        )
        raise PasswordRefused(faults=[Fault(field, sentence, PasswordRefused.code)])


def hash_of_secret(secret: str, *told_by: str) -> str:
    """Return what may be kept of a secret, to know it again: a hash that is slow to make, salted by `told_by`."""
    return scrypt(secret.encode(), salt="\n".join(told_by).encode(), n=2**14, r=8, p=1, dklen=16).hex()


def forget(accounts: Accounts, tenant: str, email: str) -> None:
    """Mail a code to choose another password by, if there is an account with the address; whether is not told.

    The pool is told the account's address first: it sends there, and may have been left behind by a change, or changed
    by somebody who had the user's token. That a code is sent is kept with the address, as long as it is the account's:
    what another mailbox was sent is no good once the account has moved from there. Raises Busy and Unavailable.
    """
    begun = accounts.directory.clock.now()
    user_id = holder_of(accounts, tenant, email)
    account_emails.tell_of(accounts.directory, accounts.pool, tenant, user_id, email)
    asked = EmailItem(*Keys(tenant).email(email), user_id=user_id, code_sent_at=begun)
    try:
        accounts.directory.store.write(Put(asked, EmailItem.user_id == user_id))
    except Cancelled:
        user_id = nobody_of(email)
    accounts.pool.send_reset_code(tenant, user_id)
    accounts.wait_since(begun)


def reset(accounts: Accounts, tenant: str, email: str, code: str, password: str) -> None:
    """Choose another password by the code that was sent to the address; all sign-ins are then over.

    Should that second step not be reached, they go on until the user signs out. Raises CodeWrong, which also says that
    there is no account with the address, or that it was sent no code within the hour, PasswordRefused, Busy and
    Unavailable.
    """
    with refused_late(accounts):
        user_id = _holder_who_asked(accounts, tenant, email)
        accounts.pool.reset_password(tenant, user_id, code, password)
        try:
            sessions.end_all(accounts, tenant, user_id)
        except UserNotFound:
            raise CodeWrong from None


def _holder_who_asked(accounts: Accounts, tenant: str, email: str) -> str:
    """Return whose account an address signs in to, if it was sent a code that may still be good; else nobody's id."""
    found = accounts.directory.store.get(EmailItem, Keys(tenant).email(email))
    since = accounts.directory.clock.now() - _CODE_GOOD_FOR
    if found is None or found.code_sent_at is None or found.code_sent_at <= since:
        return nobody_of(email)
    return str(found.user_id)


def change(accounts: Accounts, tenant: str, user_id: str, access_token: str, password: str, new_password: str) -> None:
    """Replace the password of somebody who is signed in and knows it; all sign-ins, this one too, are then over.

    Raises BadCredentials, PasswordRefused, Unauthorized, UserNotFound, Busy and Unavailable.
    """
    try:
        accounts.pool.change_password(access_token, password, new_password)
    except BadCredentials:
        raise BadCredentials("The present password is not right.") from None
    sessions.end_all(accounts, tenant, user_id)
