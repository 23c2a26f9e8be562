"""What the user pool can refuse with, by the SDK's own description of every call, and what becomes of it."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.stub import Stubber

from holdfast.platform import user_pool
from holdfast.platform.errors import (
    BadCredentials,
    Busy,
    CodeNotSent,
    CodeWrong,
    PasswordRefused,
    Unauthorized,
    Unavailable,
)
from holdfast.platform.user_pool import CognitoAccountPool, PoolFault, connect_client

PERSONAL = "asha@example.com"
SESSION = "s" * 20

Call = Callable[[CognitoAccountPool], object]

FAULTS = frozenset(
    "ForbiddenException InvalidEmailRoleAccessPolicyException InvalidLambdaResponseException "
    "InvalidSmsRoleAccessPolicyException InvalidSmsRoleTrustRelationshipException "
    "InvalidUserPoolConfigurationException OperationNotEnabledException ResourceNotFoundException "
    "UnexpectedLambdaException UserLambdaValidationException".split()
)
"""What no request of a user's brings about: the pool, its client or what it calls is not as the template has it."""

MFA = {"MFAMethodNotFoundException": PoolFault, "UserPoolAddOnNotEnabledException": PoolFault}
ALIAS = {"AliasExistsException": PoolFault}
"""The pool has no aliases."""

PASSWORD = {"InvalidPasswordException": PasswordRefused, "InvalidParameterException": PasswordRefused}
HISTORY = {"PasswordHistoryPolicyViolationException": PasswordRefused}
PROOF = dict.fromkeys(
    (
        "NotAuthorizedException",
        "PasswordResetRequiredException",
        "UserNotConfirmedException",
        "UserNotFoundException",
        "InvalidParameterException",
    ),
    BadCredentials,
)
CODE = dict.fromkeys(
    (
        "CodeMismatchException",
        "ExpiredCodeException",
        "InvalidParameterException",
        "LimitExceededException",
        "NotAuthorizedException",
        "TooManyFailedAttemptsException",
        "UserNotConfirmedException",
        "UserNotFoundException",
    ),
    CodeWrong,
)
TOKEN = dict.fromkeys(
    ("NotAuthorizedException", "PasswordResetRequiredException", "UserNotConfirmedException", "UserNotFoundException"),
    Unauthorized,
)
QUIETLY = dict.fromkeys(
    (
        "CodeDeliveryFailureException",
        "InvalidParameterException",
        "LimitExceededException",
        "NotAuthorizedException",
        "UserNotConfirmedException",
        "UserNotFoundException",
    )
)
GONE = {"UserNotFoundException": None}
NOT_ADMINS = {"NotAuthorizedException": PoolFault, "InvalidParameterException": PoolFault}

CASES: dict[str, tuple[Call, dict[str, type[Exception] | None]]] = {
    "AdminCreateUser": (
        lambda pool: pool.invite("demo", "a", PERSONAL),
        {
            **NOT_ADMINS,
            "CodeDeliveryFailureException": CodeNotSent,
            "InvalidPasswordException": PoolFault,
            "PreconditionNotMetException": PoolFault,
            "UnsupportedUserStateException": PoolFault,
            "UserNotFoundException": PoolFault,
        },
    ),
    "AdminUpdateUserAttributes": (
        lambda pool: pool.change_email("demo", "a", PERSONAL),
        {**NOT_ADMINS, **GONE, **ALIAS},
    ),
    "AdminUserGlobalSignOut": (lambda pool: pool.sign_out("demo", "a"), {**NOT_ADMINS, **GONE}),
    "AdminDeleteUser": (lambda pool: pool.remove("demo", "a"), {**NOT_ADMINS, **GONE}),
    "ListUsers": (lambda pool: pool.unconfirmed(), {**NOT_ADMINS}),
    "SignUp": (
        lambda pool: pool.sign_up("demo", "a", PERSONAL, "correct-Horse-7"),
        {
            **PASSWORD,
            "CodeDeliveryFailureException": CodeNotSent,
            "LimitExceededException": CodeNotSent,
            "NotAuthorizedException": PoolFault,
            "UsernameExistsException": None,
        },
    ),
    "ConfirmSignUp": (
        lambda pool: pool.confirm("demo", "a", "123456"),
        {name: kind for name, kind in {**CODE, **ALIAS}.items() if name != "NotAuthorizedException"},
    ),
    "ResendConfirmationCode": (lambda pool: pool.send_code_again("demo", "a"), {**QUIETLY}),
    "InitiateAuth": (
        lambda pool: pool.sign_in("demo", "a", "correct-Horse-7"),
        {**PROOF, "UnsupportedOperationException": PoolFault},
    ),
    "InitiateAuth (refresh)": (
        lambda pool: pool.refresh("demo", "a", "token"),
        {**TOKEN, "InvalidParameterException": Unauthorized, "UnsupportedOperationException": PoolFault},
    ),
    "RespondToAuthChallenge": (
        lambda pool: pool.answer_code("demo", "a", SESSION, "123456"),
        {
            **PROOF,
            **MFA,
            **ALIAS,
            "CodeMismatchException": CodeWrong,
            "ExpiredCodeException": CodeWrong,
            "InvalidPasswordException": PoolFault,
            "PasswordHistoryPolicyViolationException": PoolFault,
            "SoftwareTokenMFANotFoundException": BadCredentials,
        },
    ),
    "RespondToAuthChallenge (new password)": (
        lambda pool: pool.answer_new_password("demo", "a", SESSION, "correct-Horse-7"),
        {
            **PROOF,
            **MFA,
            **ALIAS,
            **PASSWORD,
            **HISTORY,
            "CodeMismatchException": PoolFault,
            "ExpiredCodeException": PoolFault,
            "SoftwareTokenMFANotFoundException": PoolFault,
        },
    ),
    "ForgotPassword": (lambda pool: pool.send_reset_code("demo", "a"), {**QUIETLY}),
    "ConfirmForgotPassword": (
        lambda pool: pool.reset_password("demo", "a", "123456", "correct-Horse-7"),
        {**PASSWORD, **HISTORY, **CODE},
    ),
    "ChangePassword": (
        lambda pool: pool.change_password("token", "correct-Horse-7", "another-Horse-8"),
        {
            **TOKEN,
            **PASSWORD,
            **HISTORY,
            "LimitExceededException": BadCredentials,
            "NotAuthorizedException": BadCredentials,
        },
    ),
    "AssociateSoftwareToken": (
        lambda pool: pool.begin_totp("token"),
        {
            "ConcurrentModificationException": Busy,
            "InvalidParameterException": PoolFault,
            "NotAuthorizedException": Unauthorized,
            "SoftwareTokenMFANotFoundException": PoolFault,
        },
    ),
    "VerifySoftwareToken": (
        lambda pool: pool.confirm_totp("token", "123456"),
        {
            **TOKEN,
            "CodeMismatchException": CodeWrong,
            "EnableSoftwareTokenMFAException": CodeWrong,
            "InvalidParameterException": CodeWrong,
            "SoftwareTokenMFANotFoundException": CodeWrong,
        },
    ),
    "SetUserMFAPreference": (
        lambda pool: pool.end_totp("token"),
        {**TOKEN, "InvalidParameterException": PoolFault},
    ),
}
"""Of every call, what it is made for, and what its refusals become; None for those that are nothing to tell."""


def described(operation: str) -> set[str]:
    """Return the words that the SDK describes for an operation's refusals."""
    model = botocore.session.get_session().get_service_model("cognito-idp").operation_model(operation)
    return {shape.name for shape in model.error_shapes}


def cases() -> list[Any]:
    found = []
    for name, (_, known) in CASES.items():
        operation = name.partition(" ")[0]
        for word in sorted(described(operation)):
            if word in ("TooManyRequestsException", "InternalErrorException"):
                expected: type[Exception] | None = Busy if word.startswith("TooMany") else Unavailable
            elif word in FAULTS:
                expected = PoolFault
            elif word in ("UsernameExistsException", "NotAuthorizedException") and word not in known:
                continue  # followed by another call: against the emulator, and below
            else:
                expected = known[word]
            found.append(pytest.param(name, word, expected, id=f"{name} {word}"))
    return found


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    made = boto3.client("cognito-idp", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    monkeypatch.setattr(user_pool, "client", lambda: made)
    with Stubber(made) as stubber:
        yield stubber


@pytest.fixture
def pool() -> CognitoAccountPool:
    made = connect_client("us-east-1_tests", "client")
    assert isinstance(made, CognitoAccountPool)
    made._secret = "secret"
    return made


def method_of(operation: str) -> str:
    names: dict[str, str] = boto3.client("cognito-idp", region_name="us-east-1").meta.method_to_api_mapping
    return next(method for method, name in names.items() if name == operation)


@pytest.mark.parametrize(("name", "word", "expected"), cases())
def test_every_refusal_is_told_in_our_own_words(
    stubbed: Stubber, pool: CognitoAccountPool, name: str, word: str, expected: type[Exception] | None
) -> None:
    stubbed.add_client_error(method_of(name.partition(" ")[0]), word, f"Value '{PERSONAL}' failed", 400)
    if expected is None:
        CASES[name][0](pool)
        return
    with pytest.raises(expected) as raised:
        CASES[name][0](pool)
    assert type(raised.value) is expected
    error: BaseException | None = raised.value
    while error is not None:
        assert PERSONAL not in str(error)
        assert PERSONAL not in repr(error)
        error = error.__cause__ or error.__context__


def test_no_described_refusal_is_left_out() -> None:
    for name, (_, known) in CASES.items():
        told = described(name.partition(" ")[0])
        common = FAULTS | {"TooManyRequestsException", "InternalErrorException"}
        open_ones = told - common - set(known)
        assert open_ones <= {"UsernameExistsException", "NotAuthorizedException"}, name


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_server_that_is_out_of_order_is_unavailable(stubbed: Stubber, pool: CognitoAccountPool, code: int) -> None:
    stubbed.add_client_error("initiate_auth", "Unknown", "…", code)
    with pytest.raises(Unavailable):
        pool.sign_in("demo", "a", "x")


@pytest.mark.parametrize(
    "text",
    [
        "Unable to verify secret hash for client abc",
        "Client abc is configured with secret but SECRET_HASH was not received",
        "SecretHash does not match for the client: abc",
    ],
)
def test_a_secret_that_is_not_good_any_more_is_read_anew(stubbed: Stubber, pool: CognitoAccountPool, text: str) -> None:
    stubbed.add_client_error("initiate_auth", "NotAuthorizedException", text, 400)
    with pytest.raises(Unavailable):
        pool.sign_in("demo", "a", "x")
    described = {"UserPoolClient": {"ClientSecret": "another-" * 4}}
    stubbed.add_response(
        "describe_user_pool_client", described, {"UserPoolId": "us-east-1_tests", "ClientId": "client"}
    )
    stubbed.add_client_error("initiate_auth", "NotAuthorizedException", "Incorrect username or password.", 400)
    with pytest.raises(BadCredentials):
        pool.sign_in("demo", "a", "x")
    stubbed.assert_no_pending_responses()


@pytest.mark.parametrize("text", ["Access Token has been revoked", "Access Token has expired", "Invalid Access Token"])
def test_a_dead_token_is_no_wrong_password(stubbed: Stubber, pool: CognitoAccountPool, text: str) -> None:
    stubbed.add_client_error("change_password", "NotAuthorizedException", text, 400)
    with pytest.raises(Unauthorized):
        pool.change_password("token", "x", "y")


@pytest.mark.parametrize(("status", "passes"), [("CONFIRMED", True), ("UNCONFIRMED", False), ("ARCHIVED", False)])
def test_a_sign_up_counts_as_confirmed_only_if_the_pool_says_so(
    stubbed: Stubber, pool: CognitoAccountPool, status: str, passes: bool
) -> None:
    why = f"User cannot be confirmed. Current status is {status}"
    stubbed.add_client_error("confirm_sign_up", "NotAuthorizedException", why, 400)
    stubbed.add_response("admin_get_user", {"Username": "demo.a", "UserStatus": status})
    if passes:
        pool.confirm("demo", "a", "000000")
        return
    with pytest.raises(CodeWrong):
        pool.confirm("demo", "a", "000000")


def test_a_challenge_that_nobody_expected_is_a_fault(stubbed: Stubber, pool: CognitoAccountPool) -> None:
    stubbed.add_response("initiate_auth", {"ChallengeName": "SMS_MFA", "Session": SESSION})
    with pytest.raises(PoolFault):
        pool.sign_in("demo", "a", "x")


def test_what_the_sdk_itself_refuses_is_a_fault_that_repeats_nothing(
    pool: CognitoAccountPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = boto3.client("cognito-idp", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    monkeypatch.setattr(user_pool, "client", lambda: made)
    with pytest.raises(PoolFault) as raised:
        pool.change_password([PERSONAL], "x", "y")  # type: ignore[arg-type]
    assert str(raised.value) == "change_password: ParamValidationError"
    assert raised.value.__context__ is None


def test_no_answer_is_unavailable(pool: CognitoAccountPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    user_pool.client.cache_clear()
    try:
        with pytest.raises(Unavailable):
            pool.sign_in("demo", "a", "x")
        config = user_pool.client().meta.config
        assert (config.connect_timeout, config.read_timeout) == (1, 3)
        assert config.retries == {"mode": "standard", "total_max_attempts": 2}
        assert user_pool.client() is user_pool.client()
    finally:
        user_pool.client.cache_clear()
