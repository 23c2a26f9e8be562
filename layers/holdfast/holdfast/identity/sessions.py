"""Sign-ins that last: the tokens they are given, fresh ones, and how all of a user's are ended at once.

A session keeps which sign-out its user had come from when it began. It is over as soon as the user's last one is
another, so that nothing hangs on whose clock was ahead. Access tokens know no sessions; they go by the second they were
made in (`platform.credentials`), so a sign-in right after a sign-out waits for the first second whose tokens are good.
"""

from dataclasses import dataclass, field

from holdfast.identity import people
from holdfast.identity.accounts import Accounts
from holdfast.platform.credentials import good_from
from holdfast.platform.dynamodb import Put, read
from holdfast.platform.errors import BadCredentials, Busy, Unauthorized
from holdfast.platform.identity_items import PersonItem, SessionItem
from holdfast.platform.tables import Keys
from holdfast.platform.user_pool import Tokens

LASTS_SECONDS = 30 * 86_400
"""How long a session may be refreshed, as the pool's client has it for refresh tokens."""

_LONGEST_WAIT = 3.0
_MARGIN = 0.1
"""Seconds by which the pool's clock may be behind ours where a new second is waited for."""


@dataclass(frozen=True)
class Session:
    """What somebody who signed in is given; the access token lasts `expires_in` seconds."""

    user_id: str
    email: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


def opened(accounts: Accounts, tenant: str, user_id: str, tokens: Tokens, before: PersonItem | None) -> Session:
    """Keep a sign-in that the pool has let in, and return what it is given.

    `before` is the user as they were before the pool was asked: a password that was right then may since have been
    replaced, and all sign-ins ended, so only who came after that sign-out is let in. Raises BadCredentials where the
    user has no account, and Busy where they signed out meanwhile.
    """
    keys, now = Keys(tenant), accounts.directory.clock.now()
    person = people.look_up(accounts.directory, tenant, user_id)
    if person is None or not person.has_account or before is None:
        raise BadCredentials
    if person.signed_out_at != before.signed_out_at:
        raise Busy
    try:
        good = _good(accounts, tenant, person, tokens)
    except Unauthorized:
        raise Busy from None
    session = SessionItem(
        *keys.session(user_id, tokens.refresh_token),
        user_id=user_id,
        started_at=now,
        signed_out_at=person.signed_out_at,
        ttl=now // 1000 + LASTS_SECONDS,
    )
    accounts.directory.store.write(Put(session))
    return _session(person, good)


def refreshed(accounts: Accounts, tenant: str, refresh_token: str) -> Session:
    """Return fresh tokens of a session, which goes on under the same refresh token.

    The user is looked at again once the tokens are there, since a sign-out may have come in between. Raises
    Unauthorized where the session is over or was none, Busy and Unavailable.
    """
    user_id, _, of_the_pool = refresh_token.partition(".")
    person = _standing(accounts, tenant, user_id, of_the_pool)
    try:
        tokens = accounts.pool.refresh(tenant, user_id, of_the_pool)
        good = _good(accounts, tenant, person, tokens)
    except Unauthorized:
        raise _over() from None
    return _session(_standing(accounts, tenant, user_id, of_the_pool), good)


def end_all(accounts: Accounts, tenant: str, user_id: str) -> None:
    """End all of a user's sign-ins, everywhere. Twice does no more than once.

    The store comes first: from then on nobody is let in by what was given before, and no session is refreshed. A
    throttled pool is asked again, since a code that led here is used up. Raises UserNotFound, Busy and Unavailable.
    """
    people.sign_out(accounts.directory, tenant, user_id)
    for attempt in accounts.directory.retries:
        try:
            accounts.pool.sign_out(tenant, user_id)
        except Busy:
            accounts.directory.retries.wait(attempt)
        else:
            return
    raise Busy


def _standing(accounts: Accounts, tenant: str, user_id: str, of_the_pool: str) -> PersonItem:
    """Return the user of a session that is not over; raises Unauthorized."""
    keys = Keys(tenant)
    kept, lives = keys.session(user_id, of_the_pool), keys.person(user_id)
    found = accounts.directory.store.batch_get([kept, lives])
    if kept not in found or lives not in found:
        raise _over()
    session, person = read(SessionItem, found[kept]), read(PersonItem, found[lives])
    is_over = session.ttl <= accounts.directory.clock.now() // 1000
    if is_over or not person.has_account or session.signed_out_at != person.signed_out_at:
        raise _over()
    return person


def _good(accounts: Accounts, tenant: str, person: PersonItem, tokens: Tokens) -> Tokens:
    """Return tokens that the user's last sign-out does not make dead: these, or fresh ones of the next second."""
    first = good_from(person.signed_out_at)
    if tokens.issued_at >= first:
        return tokens
    wait = first + _MARGIN - accounts.directory.clock.now() / 1000
    accounts.sleep(min(max(wait, _MARGIN), _LONGEST_WAIT))
    fresh = accounts.pool.refresh(tenant, person.user_id, tokens.refresh_token)
    if fresh.issued_at < first:
        raise Busy
    return fresh


def _session(person: PersonItem, tokens: Tokens) -> Session:
    return Session(
        user_id=person.user_id,
        email=person.email,
        access_token=tokens.access_token,
        refresh_token=f"{person.user_id}.{tokens.refresh_token}",
        expires_in=tokens.expires_in,
    )


def _over() -> Unauthorized:
    return Unauthorized("This session is over. Sign in again.")
