"""Signing in, by e-mail address and password, and by what else the account asks for.

Whoever is refused is told the same, after the same calls, at a full second: whether there is an account with the
address, whether it is confirmed, locked for a while or to be reset, is nobody's to learn.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.identity import people, sessions
from holdfast.identity.accounts import Accounts, holder_of, refused_late
from holdfast.identity.sessions import Session
from holdfast.platform.errors import BadCredentials
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.user_pool import Asked, Challenge, Tokens

_OVER = "This sign-in is over, or took too long. Begin again."


@dataclass(frozen=True)
class Asking:
    """That a sign-in wants one more thing of its user; it goes on by `session`, for some minutes."""

    user_id: str
    asked: Asked
    session: str = field(repr=False)


def sign_in(accounts: Accounts, tenant: str, email: str, password: str) -> Session | Asking:
    """Sign in with an address in small letters; raises BadCredentials, Busy and Unavailable."""
    with refused_late(accounts):
        user_id = holder_of(accounts, tenant, email)
        before = people.look_up(accounts.directory, tenant, user_id)
        return _gone_on(accounts, tenant, user_id, accounts.pool.sign_in(tenant, user_id, password), before)


def answer_code(accounts: Accounts, tenant: str, user_id: str, session: str, code: str) -> Session | Asking:
    """Go on with a sign-in by the code that the user's authenticator shows.

    Raises CodeWrong, BadCredentials where there is no such sign-in (any more), Busy and Unavailable.
    """
    return _answered(accounts, tenant, user_id, lambda: accounts.pool.answer_code(tenant, user_id, session, code))


def answer_new_password(accounts: Accounts, tenant: str, user_id: str, session: str, password: str) -> Session | Asking:
    """Go on with a sign-in by choosing a password, in place of the temporary one.

    Raises PasswordRefused, BadCredentials where there is no such sign-in (any more), Busy and Unavailable.
    """
    return _answered(
        accounts, tenant, user_id, lambda: accounts.pool.answer_new_password(tenant, user_id, session, password)
    )


def _answered(
    accounts: Accounts, tenant: str, user_id: str, answer: Callable[[], Tokens | Challenge]
) -> Session | Asking:
    """Go on with a sign-in by what the pool says to an answer."""
    with refused_late(accounts):
        before = people.look_up(accounts.directory, tenant, user_id)
        try:
            outcome = answer()
        except BadCredentials:
            raise BadCredentials(_OVER) from None
        return _gone_on(accounts, tenant, user_id, outcome, before)


def _gone_on(
    accounts: Accounts, tenant: str, user_id: str, outcome: Tokens | Challenge, before: PersonItem | None
) -> Session | Asking:
    if isinstance(outcome, Challenge):
        return Asking(user_id, outcome.asked, outcome.session)
    return sessions.opened(accounts, tenant, user_id, outcome, before)
