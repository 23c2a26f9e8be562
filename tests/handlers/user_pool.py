"""A Cognito user pool in memory, in the place of the SDK's client: what AWS answers, and refuses, in its own words.

It holds to the password policy, the client's secret, codes and their time, the sessions of challenges, TOTP (RFC 6238),
revoked tokens, and to the answers by which it does not tell who has an account (PreventUserExistenceErrors). Its tokens
are signed with the keys of `tests.handlers.tokens`, and it goes by the clock of the functions.
"""

# ruff: noqa: N803  (arguments are called as the SDK calls them)

import base64
import hmac
import re
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError

from holdfast.platform import user_pool
from holdfast.platform.clock import SystemClock
from tests.handlers import tokens

SECRET = "a+secret/of-the-tests"  # no secret: it opens this pool only
POLICY = (r".{12,}", r"[a-z]", r"[A-Z]", r"[0-9]")
ACCESS_SECONDS = 900
REFRESH_SECONDS = 30 * 86_400
SIGN_UP_CODE_SECONDS, RESET_CODE_SECONDS, SESSION_SECONDS = 86_400, 3_600, 300
FAILURES_BEFORE_LOCK = 5

UNCONFIRMED, CONFIRMED, INVITED = "UNCONFIRMED", "CONFIRMED", "FORCE_CHANGE_PASSWORD"

_WRONG = ("NotAuthorizedException", "Incorrect username or password.")


@dataclass
class Code:
    """A code that was mailed, and until when it is good (s)."""

    text: str
    until: int


@dataclass
class User:
    """An account as the pool has it."""

    email: str
    password: str
    status: str
    created_at: int = field(default_factory=lambda: _now())
    email_verified: bool = False
    code: Code | None = None
    reset_code: Code | None = None
    failures: int = 0
    locked_until: int = 0
    totp_pending: str | None = None
    totp_secret: str | None = None
    asks_for_codes: bool = False
    sign_ins: set[str] = field(default_factory=set)
    """Those that are not over, by `origin_jti`."""


@dataclass
class Session:
    """A sign-in that waits for one more answer."""

    key: tuple[str, str]
    challenge: str
    until: int


@dataclass
class Refresh:
    """What a refresh token stands for."""

    key: tuple[str, str]
    origin: str
    until: int


def installed(monkeypatch: pytest.MonkeyPatch) -> "InMemoryCognito":
    """Have all functions reach an empty pool in memory, and return it."""
    pool = InMemoryCognito()
    monkeypatch.setattr(user_pool, "client", lambda: pool)
    return pool


def totp(secret: str, now: int) -> str:
    """Return the code that an authenticator with this secret (base 32) shows at `now` (s)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", now // 30), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06d}"


_Operation = Callable[..., dict[str, Any]]


def _operation(of_the_client: bool = False) -> Callable[[_Operation], _Operation]:
    """Make a method one that the SDK's client has: noted, failing where a test wants it, for our client only."""

    def made(method: _Operation) -> _Operation:
        @wraps(method)
        def called(pool: "InMemoryCognito", **arguments: Any) -> dict[str, Any]:
            pool.calls.append(method.__name__)
            for hook in pool.before.get(method.__name__, []):
                hook()
            if of_the_client:
                pool.must_be_the_client(**arguments)
            answer = method(pool, **arguments)
            for hook in pool.after.get(method.__name__, []):
                hook()
            return answer

        return called

    return made


class InMemoryCognito:
    """The SDK's client of a pool that is empty at first.

    `calls` are the operations that were called; what is in `before` and `after` of an operation runs then.
    """

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], User] = {}
        self.mails: list[tuple[str, str]] = []
        """To whom, and what: `sign-up`, `reset` or `invitation`."""
        self.calls: list[str] = []
        self.before: dict[str, list[Callable[[], None]]] = {}
        self.after: dict[str, list[Callable[[], None]]] = {}
        self.client_secret = SECRET
        self._sessions: dict[str, Session] = {}
        self._refreshes: dict[str, Refresh] = {}
        self._codes = 0

    @contextmanager
    def hooked(self, when: str, operation: str, hook: Callable[[], None]) -> Iterator[None]:
        """Have `hook` run `before` or `after` an operation, for a while."""
        hooks: list[Callable[[], None]] = getattr(self, when).setdefault(operation, [])
        hooks.append(hook)
        try:
            yield
        finally:
            hooks.remove(hook)

    def of(self, tenant: str, user_id: str) -> User:
        """Return an account."""
        return self.users[tenant, user_id]

    def code_of(self, tenant: str, user_id: str) -> str:
        """Return the code that was mailed last to confirm a sign-up."""
        code = self.of(tenant, user_id).code
        assert code is not None
        return code.text

    def reset_code_of(self, tenant: str, user_id: str) -> str:
        """Return the code that was mailed last to choose another password."""
        code = self.of(tenant, user_id).reset_code
        assert code is not None
        return code.text

    def must_be_the_client(self, ClientId: str, **arguments: Any) -> None:
        """Refuse a call without the hash that only who knows the client's secret can make."""
        if ClientId != tokens.CLIENT_ID:
            raise refusal("ResourceNotFoundException", f"User pool client {ClientId} does not exist.")
        given = arguments.get("AuthParameters") or arguments.get("ChallengeResponses") or {}
        secret_hash = arguments.get("SecretHash") or given.get("SECRET_HASH")
        username = arguments.get("Username") or given.get("USERNAME")
        if username is None:
            username = ".".join(self._refresh_of(given["REFRESH_TOKEN"]).key)
        if secret_hash is None:
            why = f"Client {ClientId} is configured with secret but SECRET_HASH was not received"
            raise refusal("NotAuthorizedException", why)
        signed = hmac.digest(self.client_secret.encode(), f"{username}{ClientId}".encode(), "sha256")
        if secret_hash != base64.b64encode(signed).decode():
            raise refusal("NotAuthorizedException", f"Unable to verify secret hash for client {ClientId}")

    @_operation()
    def describe_user_pool_client(self, UserPoolId: str, ClientId: str) -> dict[str, Any]:
        return {"UserPoolClient": {"UserPoolId": UserPoolId, "ClientId": ClientId, "ClientSecret": self.client_secret}}

    @_operation(of_the_client=True)
    def sign_up(self, Username: str, Password: str, UserAttributes: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        if _key(Username) in self.users:
            raise refusal("UsernameExistsException", "User already exists")
        _must_conform(Password)
        user = self.users[_key(Username)] = User(_email_of(UserAttributes), Password, UNCONFIRMED)
        self._mail_sign_up(user)
        return {"UserConfirmed": False, "UserSub": str(uuid.uuid4()), "CodeDeliveryDetails": _delivery(user.email)}

    @_operation(of_the_client=True)
    def confirm_sign_up(self, Username: str, ConfirmationCode: str, **_: Any) -> dict[str, Any]:
        user = self.users.get(_key(Username))
        if user is None:
            raise _mismatch()
        if user.status != UNCONFIRMED:
            raise refusal("NotAuthorizedException", f"User cannot be confirmed. Current status is {user.status}")
        _must_match(user.code, ConfirmationCode)
        user.status, user.email_verified, user.code = CONFIRMED, True, None
        return {}

    @_operation(of_the_client=True)
    def resend_confirmation_code(self, Username: str, **_: Any) -> dict[str, Any]:
        user = self.users.get(_key(Username))
        if user is None:
            return {"CodeDeliveryDetails": _delivery("somebody@example.com")}
        if user.status != UNCONFIRMED:
            raise refusal("InvalidParameterException", "User is already confirmed.")
        self._mail_sign_up(user)
        return {"CodeDeliveryDetails": _delivery(user.email)}

    @_operation(of_the_client=True)
    def forgot_password(self, Username: str, **_: Any) -> dict[str, Any]:
        user = self.users.get(_key(Username))
        if user is None:
            return {"CodeDeliveryDetails": _delivery("somebody@example.com")}
        if user.status == INVITED:
            raise refusal("NotAuthorizedException", "User password cannot be reset in the current state.")
        if not user.email_verified:
            why = "Cannot reset password for the user as there is no registered/verified email or phone_number"
            raise refusal("InvalidParameterException", why)
        user.reset_code = self._new_code(RESET_CODE_SECONDS)
        self.mails.append((user.email, "reset"))
        return {"CodeDeliveryDetails": _delivery(user.email)}

    @_operation(of_the_client=True)
    def confirm_forgot_password(self, Username: str, ConfirmationCode: str, Password: str, **_: Any) -> dict[str, Any]:
        user = self.users.get(_key(Username))
        if user is None:
            raise _mismatch()
        _must_match(user.reset_code, ConfirmationCode)
        _must_conform(Password)
        user.password, user.reset_code, user.failures, user.locked_until = Password, None, 0, 0
        return {}

    @_operation(of_the_client=True)
    def initiate_auth(self, AuthFlow: str, AuthParameters: dict[str, str], **_: Any) -> dict[str, Any]:
        if AuthFlow == "REFRESH_TOKEN_AUTH":
            return self._refreshed(AuthParameters["REFRESH_TOKEN"])
        assert AuthFlow == "USER_PASSWORD_AUTH", AuthFlow
        key = _key(AuthParameters["USERNAME"])
        user = self.users.get(key)
        if user is None:
            raise refusal(*_WRONG)
        self._must_be_its_password(user, AuthParameters["PASSWORD"])
        if user.status == UNCONFIRMED:
            raise refusal("UserNotConfirmedException", "User is not confirmed.")
        if user.status == INVITED:
            return self._challenged(key, "NEW_PASSWORD_REQUIRED")
        return self._let_in(key, user)

    @_operation(of_the_client=True)
    def respond_to_auth_challenge(
        self, ChallengeName: str, Session: str, ChallengeResponses: dict[str, str], **_: Any
    ) -> dict[str, Any]:
        assert 20 <= len(Session) <= 2048
        session = self._sessions.get(Session)
        key = _key(ChallengeResponses["USERNAME"])
        if session is None or (session.key, session.challenge) != (key, ChallengeName) or session.until <= _now():
            raise refusal("NotAuthorizedException", "Invalid session for the user.")
        user = self.users[key]
        if ChallengeName == "SOFTWARE_TOKEN_MFA":
            assert user.totp_secret is not None
            if ChallengeResponses["SOFTWARE_TOKEN_MFA_CODE"] not in _shown(user.totp_secret):
                raise refusal("CodeMismatchException", "Invalid code received for user")
            del self._sessions[Session]
            return self._tokens(key, str(uuid.uuid4()))
        _must_conform(ChallengeResponses["NEW_PASSWORD"])
        user.password, user.status = ChallengeResponses["NEW_PASSWORD"], CONFIRMED
        del self._sessions[Session]
        return self._let_in(key, user)

    @_operation()
    def change_password(self, AccessToken: str, PreviousPassword: str, ProposedPassword: str) -> dict[str, Any]:
        user = self._bearer(AccessToken)
        self._must_be_its_password(user, PreviousPassword)
        _must_conform(ProposedPassword)
        user.password = ProposedPassword
        return {}

    @_operation()
    def associate_software_token(self, AccessToken: str) -> dict[str, Any]:
        user = self._bearer(AccessToken)
        user.totp_pending = base64.b32encode(uuid.uuid4().bytes + b"four").decode()
        return {"SecretCode": user.totp_pending}

    @_operation()
    def verify_software_token(self, AccessToken: str, UserCode: str) -> dict[str, Any]:
        user = self._bearer(AccessToken)
        if user.totp_pending is None:
            raise refusal("SoftwareTokenMFANotFoundException", "Software token MFA has not been set up by the user.")
        if UserCode not in _shown(user.totp_pending):
            raise refusal("EnableSoftwareTokenMFAException", "Code mismatch")
        user.totp_secret, user.totp_pending = user.totp_pending, None
        return {"Status": "SUCCESS"}

    @_operation()
    def set_user_mfa_preference(self, AccessToken: str, SoftwareTokenMfaSettings: dict[str, bool]) -> dict[str, Any]:
        user = self._bearer(AccessToken)
        if SoftwareTokenMfaSettings["Enabled"] and user.totp_secret is None:
            raise refusal("InvalidParameterException", "User has not verified software token mfa")
        user.asks_for_codes = SoftwareTokenMfaSettings["Enabled"]
        return {}

    @_operation()
    def admin_create_user(
        self,
        UserPoolId: str,
        Username: str,
        UserAttributes: Any = (),
        MessageAction: str = "",
        DesiredDeliveryMediums: Any = ("SMS",),
    ) -> dict[str, Any]:
        user = self.users.get(_key(Username))
        if MessageAction == "RESEND":
            if user is None:
                raise _no_such_user()
            if user.status != INVITED:
                raise refusal("UnsupportedUserStateException", "Resend not possible. ...")
        elif user is not None:
            raise refusal("UsernameExistsException", "User account already exists.")
        else:
            user = User(_email_of(UserAttributes), "", INVITED, email_verified=True)
            self.users[_key(Username)] = user
        user.password = f"Temporary-{uuid.uuid4().hex[:8]}-1A"
        if "EMAIL" in DesiredDeliveryMediums:
            self.mails.append((user.email, "invitation"))
        return {"User": {"Username": Username, "UserStatus": user.status}}

    @_operation()
    def admin_get_user(self, UserPoolId: str, Username: str) -> dict[str, Any]:
        return {"Username": Username, "UserStatus": self._user(Username).status, "Enabled": True}

    @_operation()
    def admin_update_user_attributes(
        self, UserPoolId: str, Username: str, UserAttributes: list[dict[str, str]]
    ) -> dict[str, Any]:
        user = self._user(Username)
        user.email, user.email_verified = _email_of(UserAttributes), True
        return {}

    @_operation()
    def admin_delete_user(self, UserPoolId: str, Username: str) -> dict[str, Any]:
        self._user(Username)
        del self.users[_key(Username)]
        return {}

    @_operation()
    def list_users(
        self, UserPoolId: str, Filter: str, AttributesToGet: list[str], Limit: int, PaginationToken: str = ""
    ) -> dict[str, Any]:
        wanted = re.fullmatch(r'cognito:user_status = "(\w+)"', Filter)
        assert wanted is not None, Filter
        assert AttributesToGet == ["sub"], "an attribute that not every user has is refused"
        assert 0 < Limit <= 60
        names = sorted(key for key, user in self.users.items() if user.status == wanted[1])
        # What went in between moves nobody into a page that was given out already.
        following = [key for key in names if ".".join(key) > PaginationToken]
        page = following[:Limit]
        users = [
            {
                "Username": ".".join(key),
                "UserStatus": self.users[key].status,
                "UserCreateDate": datetime.fromtimestamp(self.users[key].created_at, UTC),
                "Attributes": [{"Name": "sub", "Value": str(uuid.uuid4())}],
            }
            for key in page
        ]
        return {"Users": users} | ({"PaginationToken": ".".join(page[-1])} if len(following) > Limit else {})

    @_operation()
    def admin_user_global_sign_out(self, UserPoolId: str, Username: str) -> dict[str, Any]:
        self._user(Username).sign_ins.clear()
        return {}

    def _user(self, username: str) -> User:
        if _key(username) not in self.users:
            raise _no_such_user()
        return self.users[_key(username)]

    def _bearer(self, token: str) -> User:
        """Return whose access token this is; refuses one that is over or revoked."""
        try:
            said = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        except jwt.PyJWTError:
            raise refusal("NotAuthorizedException", "Invalid Access Token") from None
        user = self.users.get(_key(said["username"]))
        if said["exp"] <= _now():
            raise refusal("NotAuthorizedException", "Access Token has expired")
        if user is None or said["origin_jti"] not in user.sign_ins:
            raise refusal("NotAuthorizedException", "Access Token has been revoked")
        return user

    def _must_be_its_password(self, user: User, password: str) -> None:
        if user.locked_until > _now():
            raise refusal("NotAuthorizedException", "Password attempts exceeded")
        if user.password != password:
            user.failures += 1
            if user.failures >= FAILURES_BEFORE_LOCK:
                user.locked_until = _now() + min(900, 2 ** (user.failures - FAILURES_BEFORE_LOCK))
            raise refusal(*_WRONG)
        user.failures = 0

    def _let_in(self, key: tuple[str, str], user: User) -> dict[str, Any]:
        return (
            self._challenged(key, "SOFTWARE_TOKEN_MFA") if user.asks_for_codes else self._tokens(key, str(uuid.uuid4()))
        )

    def _challenged(self, key: tuple[str, str], challenge: str) -> dict[str, Any]:
        session = uuid.uuid4().hex
        self._sessions[session] = Session(key, challenge, _now() + SESSION_SECONDS)
        return {
            "ChallengeName": challenge,
            "Session": session,
            "ChallengeParameters": {"USER_ID_FOR_SRP": ".".join(key)},
        }

    def _tokens(self, key: tuple[str, str], origin: str) -> dict[str, Any]:
        self.users[key].sign_ins.add(origin)
        refresh_token = f"refresh.{uuid.uuid4().hex}"
        self._refreshes[refresh_token] = Refresh(key, origin, _now() + REFRESH_SECONDS)
        result = {"AccessToken": _access_token(key, origin), "RefreshToken": refresh_token}
        return {"AuthenticationResult": result | {"ExpiresIn": ACCESS_SECONDS, "TokenType": "Bearer"}}

    def _refreshed(self, refresh_token: str) -> dict[str, Any]:
        known = self._refresh_of(refresh_token)
        user = self.users.get(known.key)
        if known.until <= _now():
            raise refusal("NotAuthorizedException", "Refresh Token has expired")
        if user is None or known.origin not in user.sign_ins:
            raise refusal("NotAuthorizedException", "Refresh Token has been revoked")
        result = {"AccessToken": _access_token(known.key, known.origin)}
        return {"AuthenticationResult": result | {"ExpiresIn": ACCESS_SECONDS, "TokenType": "Bearer"}}

    def _refresh_of(self, refresh_token: str) -> Refresh:
        if refresh_token not in self._refreshes:
            raise refusal("NotAuthorizedException", "Invalid Refresh Token")
        return self._refreshes[refresh_token]

    def _mail_sign_up(self, user: User) -> None:
        user.code = self._new_code(SIGN_UP_CODE_SECONDS)
        self.mails.append((user.email, "sign-up"))

    def _new_code(self, seconds: int) -> Code:
        """Return a code that no other mail has."""
        self._codes += 1
        return Code(f"{self._codes * 7919 % 10**6:06d}", _now() + seconds)


def refusal(word: str, text: str, status: int = 400) -> ClientError:
    """Return what the SDK raises where the pool refuses in this word."""
    response: Any = {"Error": {"Code": word, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


def _key(username: str) -> tuple[str, str]:
    """Return the tenant and the user that a username names; the pool makes nothing of letters' case."""
    tenant, _, user_id = username.lower().partition(".")
    return tenant, user_id


def _email_of(attributes: list[dict[str, str]]) -> str:
    return next(attribute["Value"] for attribute in attributes if attribute["Name"] == "email")


def _delivery(email: str) -> dict[str, str]:
    return {"Destination": f"{email[0]}***@{email.partition('@')[2][0]}***", "DeliveryMedium": "EMAIL"}


def _access_token(key: tuple[str, str], origin: str) -> str:
    now = _now()
    times: dict[str, Any] = {"iat": now, "auth_time": now, "exp": now + ACCESS_SECONDS}
    return tokens.signed(tokens.claims(*key, **times, jti=str(uuid.uuid4()), origin_jti=origin))


def _must_conform(password: str) -> None:
    if not all(re.search(pattern, password) for pattern in POLICY):
        raise refusal("InvalidPasswordException", "Password did not conform with policy: ...")


def _must_match(code: Code | None, given: str) -> None:
    if code is None or code.until <= _now():
        raise refusal("ExpiredCodeException", "Invalid code provided, please request a code again.")
    if code.text != given:
        raise _mismatch()


def _mismatch() -> ClientError:
    return refusal("CodeMismatchException", "Invalid verification code provided, please try again.")


def _no_such_user() -> ClientError:
    return refusal("UserNotFoundException", "User does not exist.")


def _shown(secret: str) -> set[str]:
    """Return the codes that are good: that of this half minute and those beside it."""
    return {totp(secret, _now() + beside) for beside in (-30, 0, 30)}


def _now() -> int:
    return SystemClock().now() // 1000
