"""Accounts: signing up, in and out, forgotten passwords, second factors (WIRE.md, section 3).

Nobody is signed in on most of these routes, so tries are counted before anything is looked at: by the address that they
come from, which a whole office may share, by the account that they are about, and by both. Who knows the password or
the code is not to be kept out by those who guess: by account, only guesses count where an e-mail address is enough to
make some.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import NamedTuple

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import BaseModel

from holdfast.abuse.attempts import Attempts, Counter, Somebody
from holdfast.identity import passwords, second_factor, sessions
from holdfast.identity import sign_in as signing_in
from holdfast.identity import sign_up as signing_up
from holdfast.identity.account_wire import (
    AccountAnswerBody,
    AccountChallenge,
    AccountCodeBody,
    AccountConfirmBody,
    AccountCurrentUser,
    AccountDone,
    AccountForgotBody,
    AccountPasswordBody,
    AccountRefreshBody,
    AccountResendBody,
    AccountResetBody,
    AccountSession,
    AccountSignedUp,
    AccountSignInBody,
    AccountSignUpBody,
    AccountTotp,
    AccountUser,
)
from holdfast.identity.accounts import Accounts
from holdfast.identity.bearers import Bearers
from holdfast.identity.people import Directory
from holdfast.identity.sessions import Session
from holdfast.identity.sign_in import Asking
from holdfast.identity.sign_up import SigningUp
from holdfast.platform import http, tenancy, user_pool
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import (
    BadCredentials,
    CodeNotSent,
    CodeWrong,
    EmailInUse,
    PasswordRefused,
    TenantNotFound,
    TenantSuspended,
    TooManyRequests,
    Unauthorized,
    UserNotFound,
)
from holdfast.platform.fields import OptionalKey
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.settings import AccountsSettings, settings
from holdfast.platform.tables import OPERATOR_TENANT, Key, Keys
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_HOUR = 3_600


class Most(NamedTuple):
    """How many tries there may be in an hour: from one address, at one account, and in ten minutes by both together."""

    address: int
    account: int
    both: int


MOST = {
    "answer": Most(address=1_200, account=30, both=10),
    "confirm": Most(address=1_200, account=30, both=10),
    "forgot": Most(address=300, account=10, both=5),
    "password": Most(address=1_200, account=30, both=10),
    "resend": Most(address=300, account=10, both=5),
    "reset": Most(address=1_200, account=30, both=10),
    "sign-in": Most(address=1_200, account=60, both=15),
    "sign-up": Most(address=600, account=10, both=5),
    "totp": Most(address=1_200, account=30, both=10),
}
"""A hall full of people behind one address may sign in within an hour; an account's own user mistypes a few times."""

_BOTH_SECONDS = 600


@cache
def store() -> Store:
    """Return the identity table."""
    return connect(settings(AccountsSettings).identity_table_name)


@cache
def accounts() -> Accounts:
    """Return this warm function's view of accounts."""
    known = settings(AccountsSettings)
    return Accounts(Directory(store()), user_pool.connect_client(known.user_pool_id, known.token_client_id))


@cache
def bearers() -> Bearers:
    """Return this warm function's view of credentials."""
    return Bearers(store(), settings(AccountsSettings))


@cache
def attempts() -> Attempts:
    """Return the counts of tries."""
    return Attempts(store())


@app.post(
    "/api/users/signup",
    status_code=201,
    tags=["accounts"],
    summary="Sign up",
    responses=http.answers(
        201,
        "A code is on its way to the address.",
        http.TenantRequired,
        TenantNotFound,
        EmailInUse,
        PasswordRefused,
        TooManyRequests,
        CodeNotSent,
    ),
)
def sign_up(body: AccountSignUpBody, idempotency_key: OptionalKey = None) -> AccountSignedUp:
    """Begin an account: it is there once the code that was sent to the address is entered.

    With a key, the same request gets the same id and no second mail.
    """
    tenant = http.public_tenant(app)
    if tenant == OPERATOR_TENANT:
        raise TenantNotFound
    _count("sign-up", tenant, body.email)
    passwords.must_be_good(body.password, "password")
    wanted = SigningUp(body.email, body.password, body.name)
    return AccountSignedUp(id=signing_up.sign_up(accounts(), tenant, wanted, idempotency_key), email=body.email)


@app.post(
    "/api/users/confirm",
    tags=["accounts"],
    summary="Confirm a sign-up",
    responses=http.answers(
        200, "There is an account.", http.TenantRequired, TenantNotFound, CodeWrong, EmailInUse, TooManyRequests
    ),
)
def confirm(body: AccountConfirmBody, idempotency_key: OptionalKey = None) -> AccountDone:
    """Make a sign-up an account, by the code that was sent to its address. Repeating it changes nothing."""
    tenant = http.public_tenant(app)
    _count("confirm", tenant, body.id)
    keyed = _keyed(tenant, body.id, "confirm", idempotency_key, body, "code")
    return _once(keyed, lambda: signing_up.confirm(accounts(), tenant, body.id, body.code))


@app.post(
    "/api/users/confirm/resend",
    status_code=202,
    tags=["accounts"],
    summary="Send a sign-up's code again",
    responses=http.answers(
        202, "Another code is on its way, if a sign-up waits.", http.TenantRequired, TenantNotFound, TooManyRequests
    ),
)
def resend(body: AccountResendBody, idempotency_key: OptionalKey = None) -> AccountDone:
    """Send another code; the answer is the same where nobody waits for one, or the address was mailed too often.

    Repeating it sends one more, but not under the same key.
    """
    tenant = http.public_tenant(app)
    _count("resend", tenant, body.id)
    keyed = _keyed(tenant, body.id, "resend", idempotency_key, body)
    may_mail = partial(_may_mail, tenant)
    return _once(keyed, lambda: signing_up.send_code_again(accounts(), tenant, body.id, may_mail))


@app.post(
    "/api/users/signin",
    tags=["accounts"],
    summary="Sign in",
    responses=http.answers(
        200,
        "Signed in, or what is asked for besides.",
        http.TenantRequired,
        TenantNotFound,
        BadCredentials,
        TooManyRequests,
    ),
)
def sign_in(body: AccountSignInBody) -> AccountSession | AccountChallenge:
    """Sign in; who is refused does not learn whether there is such an account. Repeating it signs in once more."""
    tenant = http.public_tenant(app)
    guess = _count_guess("sign-in", tenant, body.email)
    found = signing_in.sign_in(accounts(), tenant, body.email, body.password)
    attempts().take_back(guess)
    return _shaped(tenant, found)


@app.post(
    "/api/users/signin/answer",
    tags=["accounts"],
    summary="Go on with a sign-in",
    responses=http.answers(
        200,
        "Signed in, or what is asked for next.",
        http.TenantRequired,
        TenantNotFound,
        BadCredentials,
        CodeWrong,
        PasswordRefused,
        TooManyRequests,
    ),
)
def answer(body: AccountAnswerBody) -> AccountSession | AccountChallenge:
    """Send what the sign-in asked for. A session is good for one answer: repeated, it is refused."""
    tenant = http.public_tenant(app)
    _count("answer", tenant, body.id)
    if body.new_password is not None:
        passwords.must_be_good(body.new_password, "new_password")
        found = signing_in.answer_new_password(accounts(), tenant, body.id, body.session, body.new_password)
    else:
        found = signing_in.answer_code(accounts(), tenant, body.id, body.session, body.code or "")
    return _shaped(tenant, found)


@app.post(
    "/api/users/refresh",
    tags=["accounts"],
    summary="Get another access token",
    responses=http.answers(200, "Another access token.", http.TenantRequired, TenantNotFound, Unauthorized),
)
def refresh(body: AccountRefreshBody) -> AccountSession:
    """Go on under the same refresh token. Repeating it gives one more access token."""
    return _session(sessions.refreshed(accounts(), http.public_tenant(app), body.refresh_token))


@app.post(
    "/api/users/forgot-password",
    status_code=202,
    tags=["accounts"],
    summary="Ask for a code to choose another password by",
    responses=http.answers(
        202, "A code is on its way, if there is an account.", http.TenantRequired, TenantNotFound, TooManyRequests
    ),
)
def forgot_password(body: AccountForgotBody, idempotency_key: OptionalKey = None) -> AccountDone:
    """Send a code; the answer is the same where there is no such account, or the address was mailed too often.

    Repeating it sends one more, but not under the same key.
    """
    tenant = http.public_tenant(app)
    _count_here("forgot", tenant, body.email)

    def forget() -> None:
        if _may_mail_code(tenant, body.email):
            passwords.forget(accounts(), tenant, body.email)
        else:
            accounts().wait_since(accounts().directory.clock.now())

    return _once(_keyed(tenant, body.email, "forgot-password", idempotency_key, body), forget)


@app.post(
    "/api/users/reset-password",
    tags=["accounts"],
    summary="Choose another password by a code",
    responses=http.answers(
        200,
        "The password is another, and all sign-ins are over.",
        http.TenantRequired,
        TenantNotFound,
        CodeWrong,
        PasswordRefused,
        TooManyRequests,
    ),
)
def reset_password(body: AccountResetBody, idempotency_key: OptionalKey = None) -> AccountDone:
    """Choose another password. A code is good once: repeated without a key, it is refused; the new password stays."""
    tenant = http.public_tenant(app)
    guess = _count_guess("reset", tenant, body.email)
    passwords.must_be_good(body.new_password, "new_password")
    keyed = _keyed(tenant, body.email, "reset-password", idempotency_key, body, "code", "new_password")
    done = _once(keyed, lambda: passwords.reset(accounts(), tenant, body.email, body.code, body.new_password))
    attempts().take_back(guess)
    return done


@app.post(
    "/api/users/signout",
    tags=["accounts"],
    summary="Sign out everywhere",
    responses=http.answers(200, "All sign-ins are over."),
)
def sign_out() -> AccountDone:
    """End all of one's sign-ins: at once where money moves, elsewhere within a minute. Repeating it changes nothing."""
    caller = http.caller_of(app)
    with _gone_is_unauthorized():
        sessions.end_all(accounts(), caller.tenant, caller.name)
    return AccountDone()


@app.post(
    "/api/users/password",
    tags=["accounts"],
    summary="Change one's password",
    responses=http.answers(
        200, "The password is another, and all sign-ins are over.", BadCredentials, PasswordRefused, TooManyRequests
    ),
)
def change_password(body: AccountPasswordBody, idempotency_key: OptionalKey = None) -> AccountDone:
    """Replace the present password, and end all sign-ins, this one too. Repeated, it changes nothing."""
    caller = http.caller_of(app)
    _count("password", caller.tenant, caller.name)
    passwords.must_be_good(body.new_password, "new_password")
    tenant, user_id, token = caller.tenant, caller.name, _access_token()
    keyed = _keyed(tenant, user_id, "password", idempotency_key, body, "password", "new_password")
    with _gone_is_unauthorized():
        return _once(
            keyed, lambda: passwords.change(accounts(), tenant, user_id, token, body.password, body.new_password)
        )


@app.post(
    "/api/users/totp",
    tags=["accounts"],
    summary="Begin with a second factor",
    responses=http.answers(200, "What an authenticator is to know."),
)
def begin_totp() -> AccountTotp:
    """Get a secret for an authenticator; it counts once it is confirmed. Repeating it gives another in its place."""
    caller = http.caller_of(app)
    issuer = tenancy.opened(caller.tenant).name
    with _gone_is_unauthorized():
        secret = second_factor.begin(accounts(), caller.tenant, caller.name, _access_token(), issuer)
    return AccountTotp(secret=secret.text, uri=secret.uri)


@app.post(
    "/api/users/totp/confirm",
    tags=["accounts"],
    summary="Ask for a second factor from now on",
    responses=http.answers(200, "Sign-ins ask for a code.", CodeWrong, TooManyRequests),
)
def confirm_totp(body: AccountCodeBody) -> AccountDone:
    """Show that the authenticator knows the secret. Repeating it, with a code that is good then, changes nothing."""
    caller = http.caller_of(app)
    _count("totp", caller.tenant, caller.name)
    accounts().pool.confirm_totp(_access_token(), body.code)
    return AccountDone()


@app.delete(
    "/api/users/totp",
    tags=["accounts"],
    summary="Ask for no second factor any more",
    responses=http.answers(200, "Sign-ins ask for a password only."),
)
def end_totp() -> AccountDone:
    """Sign in by password alone from now on. Repeating it changes nothing."""
    accounts().pool.end_totp(_access_token())
    return AccountDone()


@app.get(
    "/api/users/currentuser",
    tags=["accounts"],
    summary="Read whose credential this is",
    responses=http.answers(200, "The user, or null."),
)
def current_user() -> AccountCurrentUser:
    """Say whose credential the request came with; null for none, and for one that nobody is let in with."""
    credential = http.bearer_of(app)
    try:
        caller = bearers().caller_of(None if credential is None else f"Bearer {credential}")
    except (Unauthorized, TenantSuspended):
        return AccountCurrentUser(current_user=None)
    person = store().get(PersonItem, Keys(caller.tenant).person(caller.name)) if caller.signed_in else None
    user = AccountUser(
        id=caller.name,
        email=None if person is None else person.email,
        name=None if person is None else person.name,
        phone=None if person is None else person.phone,
        roles=sorted(caller.roles),
        tenant=caller.tenant,
    )
    return AccountCurrentUser(current_user=user)


def _count(what: str, tenant: str, account: str) -> None:
    """Count a try at an account before anything is looked at; raises TooManyRequests, Busy and Unavailable."""
    _count_here(what, tenant, account)
    attempts().count(tenant, [_wherever(what, account)])


def _count_guess(what: str, tenant: str, account: str) -> Key:
    """Count a try at an account as a guess, and return what takes it back; raises as `_count` does.

    Who signed in to it from the same address within a month is not refused for what others guess.
    """
    _count_here(what, tenant, account)
    return attempts().count_guess(tenant, _wherever(what, account), Somebody(http.address_of(app), account))


def _count_here(what: str, tenant: str, account: str) -> None:
    """Count a try by the address that it comes from, and by that and the account together; raises as `_count` does."""
    most, address = MOST[what], http.address_of(app)
    counters = [
        Counter(what, most.address, _HOUR, address=address),
        Counter(what, most.both, _BOTH_SECONDS, address=address, account=account),
    ]
    attempts().count(tenant, counters)


def _wherever(what: str, account: str) -> Counter:
    return Counter(what, MOST[what].account, _HOUR, account=account)


def _may_mail_code(tenant: str, email: str) -> bool:
    """Count a code for another password, and return whether it may be mailed; raises Busy and Unavailable.

    That others have asked for too many is not told, and does not keep them from who is known at the account.
    """
    try:
        attempts().count_guess(tenant, _wherever("forgot", email), Somebody(http.address_of(app), email))
    except TooManyRequests:
        return False
    return True


def _may_mail(tenant: str, email: str) -> bool:
    """Count a mail that a sign-up is sent again with its address's sign-ups, and return whether there may be one.

    Whoever signs up chooses the address and may do so often: it is mailed no more for sending codes again.
    """
    try:
        attempts().count(tenant, [_wherever("sign-up", email)])
    except TooManyRequests:
        return False
    return True


def _keyed(tenant: str, who: str, route: str, key: str | None, body: BaseModel, *secrets: str) -> KeyedRequest | None:
    """Return a request as its key has it, if there is one; of the fields that are `secrets` only hashes are kept.

    Nobody may be signed in, so it is the account that tells it from others'.
    """
    if key is None:
        return None
    said = body.model_dump(mode="json")
    for name in secrets:
        said[name] = passwords.hash_of_secret(said[name], tenant, who, key)
    return KeyedRequest(tenant, who, route, key, hash_of(said))


def _once(keyed: KeyedRequest | None, act: Callable[[], None]) -> AccountDone:
    """Do what is asked for, unless it was done under the same key; what was cut off in between is done again.

    Raises IdempotencyKeyReused, and what `act` raises, which is not remembered.
    """
    if keyed is None or keyed.replay(store()) is None:
        act()
        if keyed is not None:
            directory = accounts().directory
            keyed.remember(store(), directory.retries, {}, directory.clock.now())
    return AccountDone()


@contextmanager
def _gone_is_unauthorized() -> Iterator[None]:
    """Refuse a caller who has been deleted as one whom nobody knows."""
    try:
        yield
    except UserNotFound:
        raise Unauthorized from None


def _access_token() -> str:
    """Return the token that the present request came with, which the user pool wants to see."""
    token = http.bearer_of(app)
    if token is None:
        raise Unauthorized
    return token


def _shaped(tenant: str, found: Session | Asking) -> AccountSession | AccountChallenge:
    """Return what a sign-in is answered with; once it is over, the user is known where they are."""
    if isinstance(found, Asking):
        return AccountChallenge(challenge=found.asked, session=found.session, id=found.user_id)
    attempts().know(tenant, Somebody(http.address_of(app), found.email))
    return _session(found)


def _session(session: Session) -> AccountSession:
    return AccountSession(
        id=session.user_id,
        email=session.email,
        access_token=session.access_token,
        refresh_token=session.refresh_token,
        expires_in=session.expires_in,
    )


handler = http.entry(app, conflict=400)
