"""The user pool that accounts are in: their passwords, codes and tokens (Amazon Cognito).

One pool has the users of all tenants, each under the name `<tenant>.<user_id>`; whose an e-mail address is, what
somebody is called and may do is the store's to say. What the pool refuses with is translated here, without a word of
its texts: they repeat what was sent. Time-outs and attempts: connect 1 s, read 3 s, two attempts in all. A call whose
answer was lost is made again, so whatever may meet its own effect is written to know it.

The SDK is imported by the first call.
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Protocol

from holdfast.platform.errors import (
    BadCredentials,
    Busy,
    CodeNotSent,
    CodeWrong,
    PasswordRefused,
    Unauthorized,
    Unavailable,
)
from holdfast.platform.logs import logger

_logger = logger()

_SERVER_FAULT = 500

_UNCONFIRMED = "UNCONFIRMED"
_CONFIRMED = "CONFIRMED"
_INVITED = "FORCE_CHANGE_PASSWORD"

_BY_MAIL = {"DesiredDeliveryMediums": ["EMAIL"]}
"""How invitations are sent: unless it is said, the pool would send them by SMS to a number that nobody has."""


class Asked(StrEnum):
    """What else a sign-in asks for, by the name of the field that answers it."""

    CODE = "code"
    NEW_PASSWORD = "new_password"  # noqa: S105


_CHALLENGES = {Asked.CODE: "SOFTWARE_TOKEN_MFA", Asked.NEW_PASSWORD: "NEW_PASSWORD_REQUIRED"}


@dataclass(frozen=True)
class Challenge:
    """That a sign-in goes on with one more answer; `session` is what it goes on by, for some minutes."""

    asked: Asked
    session: str = field(repr=False)


@dataclass(frozen=True)
class Tokens:
    """What somebody who signed in is given; the access token was made at `issued_at` and lasts `expires_in` (s)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    issued_at: int
    expires_in: int


@dataclass(frozen=True)
class Unconfirmed:
    """A sign-up whose code was not entered yet, made at `since` (ms)."""

    tenant: str
    user_id: str
    since: int


@dataclass(frozen=True)
class UnconfirmedPage:
    """Some of them, in no order; `after` goes on with others, and is None at the end."""

    users: Sequence[Unconfirmed]
    after: str | None = field(repr=False)


class UserPool(Protocol):
    """What is done to accounts in the name of their tenant. Where there is no such account, nothing happens.

    Everything raises Busy for a throttle and Unavailable for no answer.
    """

    def invite(self, tenant: str, user_id: str, email: str) -> bool:
        """Make an account and mail its temporary password; return whether it was mailed.

        It is mailed again to somebody who has not used it yet, and not to an account that is in use.
        """
        ...

    def change_email(self, tenant: str, user_id: str, email: str) -> None:
        """Send an account's codes to another address from now on."""
        ...

    def sign_out(self, tenant: str, user_id: str) -> None:
        """End an account's sign-ins, everywhere."""
        ...

    def remove(self, tenant: str, user_id: str) -> None:
        """Take an account away."""
        ...

    def unconfirmed(self, after: str | None = None) -> UnconfirmedPage:
        """Return sign-ups of all tenants whose codes were not entered, as they were a moment ago."""
        ...


class AccountPool(UserPool, Protocol):
    """The same, and what people do themselves. What is refused is alike for accounts that are there and others."""

    def sign_up(self, tenant: str, user_id: str, email: str, password: str) -> None:
        """Make an account that waits for the code it is mailed; raises PasswordRefused and CodeNotSent."""
        ...

    def confirm(self, tenant: str, user_id: str, code: str) -> None:
        """Confirm a sign-up by its code; one that was confirmed before takes any. Raises CodeWrong."""
        ...

    def send_code_again(self, tenant: str, user_id: str) -> None:
        """Mail a sign-up another code, where it waits for one."""
        ...

    def sign_in(self, tenant: str, user_id: str, password: str) -> Tokens | Challenge:
        """Sign in; raises BadCredentials, also for some minutes after many wrong passwords."""
        ...

    def answer_code(self, tenant: str, user_id: str, session: str, code: str) -> Tokens | Challenge:
        """Go on with a sign-in by the code of the user's authenticator; raises CodeWrong and BadCredentials."""
        ...

    def answer_new_password(self, tenant: str, user_id: str, session: str, password: str) -> Tokens | Challenge:
        """Go on with a sign-in by choosing a password; raises PasswordRefused and BadCredentials."""
        ...

    def refresh(self, tenant: str, user_id: str, refresh_token: str) -> Tokens:
        """Return fresh tokens, with the same refresh token; raises Unauthorized."""
        ...

    def send_reset_code(self, tenant: str, user_id: str) -> None:
        """Mail a code to choose another password by, where the account is in a state for it."""
        ...

    def reset_password(self, tenant: str, user_id: str, code: str, password: str) -> None:
        """Choose another password by a code; raises CodeWrong and PasswordRefused."""
        ...

    def change_password(self, access_token: str, password: str, new_password: str) -> None:
        """Replace one's password; raises BadCredentials for another than the present, PasswordRefused, Unauthorized."""
        ...

    def begin_totp(self, access_token: str) -> str:
        """Return a new secret (base 32) for the user's authenticator; raises Unauthorized."""
        ...

    def confirm_totp(self, access_token: str, code: str) -> None:
        """Ask for codes of the new secret at each sign-in from now on; raises CodeWrong and Unauthorized."""
        ...

    def end_totp(self, access_token: str) -> None:
        """Ask for codes no more; raises Unauthorized."""
        ...


class PoolFault(Exception):
    """The pool refused what it never should; the text says the call and the pool's word for it, and no more."""


class _Nothing(Exception):
    """The pool refused what need not be done."""


class _SecretStale(Exception):
    """The client's secret is not the one that is kept any more."""


_Known = Mapping[str, type[Exception]]
"""What the pool's words for refusals mean of a call; further ones of them are faults."""

_NO_SUCH_USER: _Known = {"UserNotFoundException": _Nothing}
_MAIL: _Known = {"CodeDeliveryFailureException": CodeNotSent, "LimitExceededException": CodeNotSent}
_PASSWORD: _Known = {
    "InvalidPasswordException": PasswordRefused,
    "InvalidParameterException": PasswordRefused,
    "PasswordHistoryPolicyViolationException": PasswordRefused,
}
# Limits that the pool counts by account are told as wrong codes and passwords are: others than accounts reach none.
_PROOF: _Known = {
    "InvalidParameterException": BadCredentials,
    "LimitExceededException": BadCredentials,
    "NotAuthorizedException": BadCredentials,
    "PasswordResetRequiredException": BadCredentials,
    "UserNotConfirmedException": BadCredentials,
    "UserNotFoundException": BadCredentials,
}
_CODE: _Known = {
    "CodeMismatchException": CodeWrong,
    "EnableSoftwareTokenMFAException": CodeWrong,
    "ExpiredCodeException": CodeWrong,
    "InvalidParameterException": CodeWrong,
    "LimitExceededException": CodeWrong,
    "NotAuthorizedException": CodeWrong,
    "TooManyFailedAttemptsException": CodeWrong,
    "UserNotConfirmedException": CodeWrong,
    "UserNotFoundException": CodeWrong,
}
_QUIETLY: _Known = {
    "CodeDeliveryFailureException": _Nothing,
    "InvalidParameterException": _Nothing,
    "LimitExceededException": _Nothing,
    "NotAuthorizedException": _Nothing,
    "UserNotConfirmedException": _Nothing,
    "UserNotFoundException": _Nothing,
}
"""Of mails that are sent where there is somebody to send them to."""

_TOKEN_REFUSED, _SECRET_REFUSED = "access token refused", "secret hash refused"
"""Two of the many things that the pool calls NotAuthorizedException, as its text tells."""

_TOKEN: _Known = {
    _TOKEN_REFUSED: Unauthorized,
    "NotAuthorizedException": Unauthorized,
    "PasswordResetRequiredException": Unauthorized,
    "UserNotConfirmedException": Unauthorized,
    "UserNotFoundException": Unauthorized,
}
_THROTTLES = frozenset({"TooManyRequestsException", "ThrottlingException", "RequestLimitExceeded"})


class CognitoUserPool:
    """Accounts of a Cognito user pool, as their tenants see to them."""

    def __init__(self, pool_id: str) -> None:
        """Take the pool's id."""
        self._pool_id = pool_id

    def invite(self, tenant: str, user_id: str, email: str) -> bool:
        """Make an account, or mail its temporary password again where it exists and was not used yet."""
        known = {"UsernameExistsException": _Nothing, "CodeDeliveryFailureException": CodeNotSent}
        try:
            self._of("admin_create_user", tenant, user_id, known, UserAttributes=_verified(email), **_BY_MAIL)
        except _Nothing:
            if self._status(tenant, user_id) != _INVITED:
                return False
        else:
            return True
        self.change_email(tenant, user_id, email)
        try:
            known = {"UnsupportedUserStateException": _Nothing, "CodeDeliveryFailureException": CodeNotSent}
            self._of("admin_create_user", tenant, user_id, known, MessageAction="RESEND", **_BY_MAIL)
        except _Nothing:
            return False
        return True

    def change_email(self, tenant: str, user_id: str, email: str) -> None:
        """Set an account's address, as one that is known to be its own."""
        with suppress(_Nothing):
            self._of("admin_update_user_attributes", tenant, user_id, _NO_SUCH_USER, UserAttributes=_verified(email))

    def sign_out(self, tenant: str, user_id: str) -> None:
        """End an account's sign-ins: its refresh tokens, and to the pool itself its access tokens, are good no more."""
        with suppress(_Nothing):
            self._of("admin_user_global_sign_out", tenant, user_id, _NO_SUCH_USER)

    def remove(self, tenant: str, user_id: str) -> None:
        """Take an account away."""
        with suppress(_Nothing):
            self._of("admin_delete_user", tenant, user_id, _NO_SUCH_USER)

    def unconfirmed(self, after: str | None = None) -> UnconfirmedPage:
        """Return sign-ups whose codes were not entered. Users that were made by hand under other names are left out."""
        arguments = {} if after is None else {"PaginationToken": after}
        wanted = f'cognito:user_status = "{_UNCONFIRMED}"'
        found = _ask(
            "list_users", {}, UserPoolId=self._pool_id, Filter=wanted, AttributesToGet=["sub"], Limit=60, **arguments
        )
        users = []
        for user in found["Users"]:
            tenant, _, user_id = user["Username"].partition(".")
            if user["UserStatus"] == _UNCONFIRMED and user_id:
                users.append(Unconfirmed(tenant, user_id, int(user["UserCreateDate"].timestamp() * 1000)))
        return UnconfirmedPage(users, found.get("PaginationToken"))

    def _status(self, tenant: str, user_id: str) -> str:
        try:
            found = self._of("admin_get_user", tenant, user_id, _NO_SUCH_USER)
        except _Nothing:
            return ""
        return str(found["UserStatus"])

    def _of(self, operation: str, tenant: str, user_id: str, known: _Known, **arguments: Any) -> dict[str, Any]:
        return _ask(operation, known, UserPoolId=self._pool_id, Username=name_of(tenant, user_id), **arguments)


class CognitoAccountPool(CognitoUserPool):
    """The same, and what people do themselves, through the pool's one client.

    The client's secret proves that calls are ours. It is read of the pool once and kept in memory.
    """

    def __init__(self, pool_id: str, client_id: str) -> None:
        """Take the ids of the pool and of its client."""
        super().__init__(pool_id)
        self._client_id = client_id
        self._secret: str | None = None

    def sign_up(self, tenant: str, user_id: str, email: str, password: str) -> None:
        """Make an account. Ids are new, so one which exists is this call's own, made before its answer was lost."""
        attributes = [{"Name": "email", "Value": email}]
        known = {**_MAIL, **_PASSWORD, "UsernameExistsException": _Nothing}
        with suppress(_Nothing):
            self._own("sign_up", tenant, user_id, known, Password=password, UserAttributes=attributes)

    def confirm(self, tenant: str, user_id: str, code: str) -> None:
        """Confirm a sign-up. The pool refuses one that is confirmed in the words for much else: its status tells."""
        known = {**_CODE, "NotAuthorizedException": _Nothing}
        try:
            self._own("confirm_sign_up", tenant, user_id, known, ConfirmationCode=code)
        except _Nothing:
            if self._status(tenant, user_id) != _CONFIRMED:
                raise CodeWrong from None

    def send_code_again(self, tenant: str, user_id: str) -> None:
        """Mail a sign-up another code."""
        with suppress(_Nothing):
            self._own("resend_confirmation_code", tenant, user_id, _QUIETLY)

    def sign_in(self, tenant: str, user_id: str, password: str) -> Tokens | Challenge:
        """Sign in by password."""
        given = {"USERNAME": name_of(tenant, user_id), "PASSWORD": password}
        return _outcome(self._begun("USER_PASSWORD_AUTH", tenant, user_id, _PROOF, given), name_of(tenant, user_id))

    def answer_code(self, tenant: str, user_id: str, session: str, code: str) -> Tokens | Challenge:
        """Answer SOFTWARE_TOKEN_MFA."""
        known = {**_CODE, **_PROOF, "SoftwareTokenMFANotFoundException": BadCredentials}
        return self._answered(Asked.CODE, tenant, user_id, session, known, {"SOFTWARE_TOKEN_MFA_CODE": code})

    def answer_new_password(self, tenant: str, user_id: str, session: str, password: str) -> Tokens | Challenge:
        """Answer NEW_PASSWORD_REQUIRED."""
        known = {**_PROOF, **_PASSWORD}
        return self._answered(Asked.NEW_PASSWORD, tenant, user_id, session, known, {"NEW_PASSWORD": password})

    def refresh(self, tenant: str, user_id: str, refresh_token: str) -> Tokens:
        """Return fresh tokens; the pool gives no other refresh token, as its client does not rotate them."""
        known = {**_TOKEN, "InvalidParameterException": Unauthorized}
        answer = self._begun("REFRESH_TOKEN_AUTH", tenant, user_id, known, {"REFRESH_TOKEN": refresh_token})
        return _tokens(answer["AuthenticationResult"], refresh_token, name_of(tenant, user_id))

    def send_reset_code(self, tenant: str, user_id: str) -> None:
        """Mail a code to choose another password by."""
        with suppress(_Nothing):
            self._own("forgot_password", tenant, user_id, _QUIETLY)

    def reset_password(self, tenant: str, user_id: str, code: str, password: str) -> None:
        """Choose another password by a code."""
        known = {**_PASSWORD, **_CODE}
        self._own("confirm_forgot_password", tenant, user_id, known, ConfirmationCode=code, Password=password)

    def change_password(self, access_token: str, password: str, new_password: str) -> None:
        """Replace a password; the token alone does not do it."""
        known = {
            **_TOKEN,
            **_PASSWORD,
            "LimitExceededException": BadCredentials,
            "NotAuthorizedException": BadCredentials,
        }
        arguments = {"PreviousPassword": password, "ProposedPassword": new_password}
        _ask("change_password", known, AccessToken=access_token, **arguments)

    def begin_totp(self, access_token: str) -> str:
        """Return a new secret; what sign-ins ask for stays as it is until it is confirmed."""
        known = {**_TOKEN, "ConcurrentModificationException": Busy}
        return str(_ask("associate_software_token", known, AccessToken=access_token)["SecretCode"])

    def confirm_totp(self, access_token: str, code: str) -> None:
        """Have the new secret verified, and only then asked for: an unverified one would let any code pass."""
        known = {**_CODE, **_TOKEN, "SoftwareTokenMFANotFoundException": CodeWrong}
        _ask("verify_software_token", known, AccessToken=access_token, UserCode=code)
        _ask_for_codes(access_token, wanted=True)

    def end_totp(self, access_token: str) -> None:
        """Ask for codes no more."""
        _ask_for_codes(access_token, wanted=False)

    def _begun(self, flow: str, tenant: str, user_id: str, known: _Known, given: Mapping[str, str]) -> dict[str, Any]:
        parameters = {**given, "SECRET_HASH": self._secret_hash(tenant, user_id)}
        return self._called("initiate_auth", known, AuthFlow=flow, AuthParameters=parameters)

    def _answered(
        self, asked: Asked, tenant: str, user_id: str, session: str, known: _Known, given: Mapping[str, str]
    ) -> Tokens | Challenge:
        secret_hash = self._secret_hash(tenant, user_id)
        responses = {"USERNAME": name_of(tenant, user_id), "SECRET_HASH": secret_hash, **given}
        arguments = {"ChallengeName": _CHALLENGES[asked], "Session": session, "ChallengeResponses": responses}
        return _outcome(self._called("respond_to_auth_challenge", known, **arguments), name_of(tenant, user_id))

    def _own(self, operation: str, tenant: str, user_id: str, known: _Known, **arguments: Any) -> dict[str, Any]:
        """Make a call that is about one account and needs no more than its name."""
        named = {"Username": name_of(tenant, user_id), "SecretHash": self._secret_hash(tenant, user_id)}
        return self._called(operation, known, **named, **arguments)

    def _called(self, operation: str, known: _Known, **arguments: Any) -> dict[str, Any]:
        """Make a call as the client; a secret that is not good any more is forgotten, for the next call to read."""
        try:
            return _ask(operation, {**known, _SECRET_REFUSED: _SecretStale}, ClientId=self._client_id, **arguments)
        except _SecretStale:
            self._secret = None
        raise Unavailable

    def _secret_hash(self, tenant: str, user_id: str) -> str:
        if self._secret is None:
            found = _ask("describe_user_pool_client", {}, UserPoolId=self._pool_id, ClientId=self._client_id)
            self._secret = str(found["UserPoolClient"]["ClientSecret"])
        signed = f"{name_of(tenant, user_id)}{self._client_id}"
        return base64.b64encode(hmac.digest(self._secret.encode(), signed.encode(), "sha256")).decode()


def name_of(tenant: str, user_id: str) -> str:
    """Return what a tenant's user is called in the pool."""
    return f"{tenant}.{user_id}"


def connect(pool_id: str) -> UserPool:
    """Return the accounts of a pool, as their tenants see to them."""
    return CognitoUserPool(pool_id)


def connect_client(pool_id: str, client_id: str) -> AccountPool:
    """Return the accounts of a pool, through its client."""
    return CognitoAccountPool(pool_id, client_id)


@cache
def client() -> Any:
    """Return the Cognito client, made once, with time-outs far inside a function's own."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "cognito-idp",
        config=Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}),
    )


def _ask(operation: str, known: _Known, **arguments: Any) -> dict[str, Any]:
    """Make a call. Raises what is `known` of a refusal, Busy for a throttle, Unavailable for no answer, and PoolFault.

    None of these has the SDK's error behind it, as its text may repeat what was sent.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    refusal: Exception
    try:
        answer: dict[str, Any] = getattr(client(), operation)(**arguments)
    except ClientError as error:
        refusal = _translated(operation, error.response, known)
    except (ConnectionError, HTTPClientError):
        refusal = Unavailable()
    except BotoCoreError as error:
        refusal = PoolFault(f"{operation}: {type(error).__name__}")
    else:
        return answer
    raise refusal


def _translated(operation: str, response: Mapping[str, Any], known: _Known) -> Exception:
    word = _word_of(response["Error"])
    if word in known:
        return known[word]()
    if word in _THROTTLES:
        return Busy()
    if word == "InternalErrorException" or response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_FAULT:
        return Unavailable()
    _logger.error("the user pool refused a call", extra={"operation": operation, "word": word})
    return PoolFault(f"{operation}: {word}")


def _word_of(error: Mapping[str, str]) -> str:
    """Return the pool's word for a refusal; where one word is for much that is not alike, what its text tells."""
    word = error["Code"]
    if word == "NotAuthorizedException":
        text = error.get("Message", "").lower().replace("_", " ")
        if "access token" in text:
            return _TOKEN_REFUSED
        if "secret hash" in text or "secrethash" in text:
            return _SECRET_REFUSED
    return word


def _ask_for_codes(access_token: str, wanted: bool) -> None:
    preferred = {"Enabled": wanted, "PreferredMfa": wanted}
    _ask("set_user_mfa_preference", _TOKEN, AccessToken=access_token, SoftwareTokenMfaSettings=preferred)


def _verified(email: str) -> list[dict[str, str]]:
    return [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]


def _outcome(answer: Mapping[str, Any], name: str) -> Tokens | Challenge:
    if "AuthenticationResult" in answer:
        found = answer["AuthenticationResult"]
        return _tokens(found, found["RefreshToken"], name)
    for asked, name in _CHALLENGES.items():
        if answer.get("ChallengeName") == name:
            return Challenge(asked, answer["Session"])
    raise PoolFault(f"challenge {answer.get('ChallengeName')}")


def _tokens(found: Mapping[str, Any], refresh_token: str, name: str) -> Tokens:
    """Return the tokens of the user who is called so; raises PoolFault for those of another."""
    access_token = str(found["AccessToken"])
    said = _said_in(access_token)
    if said["username"] != name:
        raise PoolFault("tokens of another user")
    return Tokens(access_token, refresh_token, int(said["iat"]), int(found["ExpiresIn"]))


def _said_in(access_token: str) -> dict[str, Any]:
    """Return what a token says; it came of the pool itself, so nothing of it has to be verified."""
    said = access_token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    return claims
