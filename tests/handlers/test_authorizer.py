"""The authorizer: who calls, or why not; and the wrapper that answers for it."""

import json
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm
from pydantic import ValidationError

from holdfast.identity import jwks
from holdfast.identity.access_tokens import AccessTokens, SignIn
from holdfast.identity.jwks import PublicKeys
from holdfast.identity.service_keys import issue
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Contended, Store
from holdfast.platform.errors import Unauthorized, Unavailable
from holdfast.platform.settings import AuthorizerSettings
from tests.handlers import tokens
from tests.handlers.account import found_tenant
from tests.handlers.gateway import FUNCTIONS, LambdaContext, event, forget, load, send
from tests.handlers.tokens import JwksServer, authorize, bearer, request_event, token_event

UNKNOWN = "hk_acme_" + "0" * 64
USER = "018f3a2b4c50123456789abc"
MAKERS = pytest.mark.parametrize("bad", tokens.BAD, ids=lambda maker: maker.__name__)


@pytest.fixture
def key(identity_store: Store) -> str:
    """A service key of the tenant acme."""
    found_tenant("acme")
    return issue(identity_store, SystemClock(), "acme", ("service", "admin"), "tests")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[JwksServer]:
    """Where keys are published, and an authorizer that was never there."""
    with tokens.published() as server:
        monkeypatch.setenv("JWKS_URL", server.url)
        forget("authorizer")
        yield server
    forget("authorizer")


@pytest.fixture
def asha(identity_store: Store, pool: JwksServer) -> str:
    """The id of somebody who has an account at the tenant acme."""
    found_tenant("acme", '{"hold_seconds": 120}')
    tokens.account(identity_store, "acme", USER)
    return USER


def test_a_token_event_with_a_known_key_gives_its_tenant_and_roles(key: str) -> None:
    context = authorize(token_event(f"Bearer {key}"))
    assert (context["tenant"], context["roles"], context["scopes"]) == ("acme", "admin service", "*")
    assert re.fullmatch("key-[0-9a-f]{12}", context["name"])


@pytest.mark.parametrize("header", ["Authorization", "authorization", "AUTHORIZATION"])
def test_a_request_event_is_read_whatever_the_case_of_its_header(key: str, header: str) -> None:
    assert authorize(request_event({"Accept": "*/*", header: f"Bearer {key}"}))["tenant"] == "acme"


@pytest.mark.parametrize("written", ["bearer {}", "BEARER {}", "  Bearer   {}  "])
def test_the_scheme_has_no_case_and_blanks_around_do_not_matter(key: str, written: str) -> None:
    assert authorize(token_event(written.format(key)))["tenant"] == "acme"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Bearer {UNKNOWN}",
        f"Basic {UNKNOWN}",
        UNKNOWN,
        f"Bearer {UNKNOWN} {UNKNOWN}",
        f"Bearer {UNKNOWN.upper()}",
        f"Bearer {UNKNOWN}\n",
        "Bearer hk__" + "0" * 64,
        "Bearer hk_ACME_" + "0" * 64,
        "Bearer hk_" + "a" * 5000 + "_" + "0" * 64,
        "Bearer <script>alert(1)</script>",
        "Bearer \ud800",
        "Bearer \x00",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer " + "a" * 9000 + ".b.c",
        17,
        ["Bearer"],
        {"Bearer": 1},
    ],
)
def test_rule_25_a_missing_malformed_or_unknown_key_is_allowed_through_with_the_refusal_in_the_context(
    given: Any,
) -> None:
    assert authorize(token_event(given)) == {"refusal": "unauthorized"}
    assert authorize(request_event({"authorization": given})) == {"refusal": "unauthorized"}


@pytest.mark.parametrize("headers", [None, {}, {"Cookie": "session=1"}, [], "Authorization", {1: 2}])
def test_a_request_without_readable_headers_is_refused_in_the_context(headers: Any) -> None:
    assert set(authorize(request_event(headers))) == {"refusal"}


def test_a_key_is_its_tenants_alone(key: str) -> None:
    assert authorize(token_event("Bearer " + key.replace("acme", "other"))) == {"refusal": "unauthorized"}


def test_only_the_hash_of_a_key_is_stored(key: str, aws: Any) -> None:
    assert key not in aws.dump()
    assert key.rpartition("_")[2] not in aws.dump()


def test_rule_25_where_keys_cannot_be_looked_up_nobody_is_told_that_a_good_key_is_wrong(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*_: Any) -> None:
        raise Contended("ThrottlingException")

    monkeypatch.setattr(Store, "batch_get", throttled)
    assert authorize(token_event(f"Bearer {key}")) == {"refusal": "unavailable"}


@pytest.mark.parametrize("trouble", [Contended("ThrottlingException"), Unavailable()])
def test_a_look_up_that_fails_is_made_again_before_anybody_is_kept_out_for_a_minute(
    key: str, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    real, troubles = Store.batch_get, [trouble, trouble, trouble]

    def troubled(store: Store, keys: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return real(store, keys)

    monkeypatch.setattr(Store, "batch_get", troubled)
    assert authorize(token_event(f"Bearer {key}"))["tenant"] == "acme"


def test_no_look_up_is_begun_that_there_is_no_time_for(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def silent(*_: Any) -> None:
        tried.append(1)
        raise Unavailable

    monkeypatch.setattr(Store, "batch_get", silent)
    answer = load("authorizer").handler(token_event(f"Bearer {key}"), LambdaContext(remaining=8_000))
    assert (answer["context"], len(tried)) == ({"refusal": "unavailable"}, 1)


def test_rule_25_an_event_without_a_method_does_not_make_it_raise() -> None:
    answer = load("authorizer").handler({}, LambdaContext())
    assert answer["context"] == {"refusal": "unauthorized"}


@pytest.mark.parametrize("made", [token_event, lambda given: request_event({"Authorization": given})])
def test_a_good_token_gives_its_user_in_either_kind_of_event(asha: str, made: Callable[[str], dict[str, Any]]) -> None:
    since = int(time.time()) - 60
    context = authorize(made(f"Bearer {tokens.good('acme', asha, since)}"))
    assert context == {
        "tenant": "acme",
        "name": asha,
        "roles": "customer",
        "scopes": "*",
        "credential": f"session:{asha}:{since}",
        "settings": '{"hold_seconds": 120}',
    }


@pytest.mark.parametrize("made", [token_event, lambda given: request_event({"Authorization": given})])
@MAKERS
def test_no_bad_token_is_let_in(
    asha: str, bad: Callable[[str, str], str], made: Callable[[str], dict[str, Any]]
) -> None:
    """The user is there and the tenant open, so that it is the token alone that is refused."""
    assert authorize(made(f"Bearer {tokens.good('acme', asha)}"))["name"] == asha
    assert authorize(made(f"Bearer {bad('acme', asha)}")) == {"refusal": "unauthorized"}


@pytest.mark.parametrize(
    "username",
    [
        *["", ".", "acme", "acme.", f".{USER}", f"acme.{USER}.x", f"acme {USER}", f"a#b.{USER}", "acme.A", "acme.a#b"],
        *[f"{'a' * 41}.{USER}", f"acme.{'a' * 65}", f"acme.{USER}\n", "acme.key-0123456789ab", 7, ["acme", USER]],
    ],
)
def test_a_username_that_names_no_tenant_and_user_is_nobodys(asha: str, username: Any) -> None:
    assert bearer(tokens.signed(tokens.claims("acme", asha, username=username))) == {"refusal": "unauthorized"}


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "sub", "token_use", "client_id"])
def test_a_token_has_to_say_all_of_it(asha: str, claim: str) -> None:
    assert bearer(tokens.signed(tokens.claims("acme", asha, **{claim: None}))) == {"refusal": "unauthorized"}


@pytest.mark.parametrize(
    ("moved", "is_good"),
    [({"exp": -3}, True), ({"exp": -8}, False), ({"iat": 3}, True), ({"iat": 9}, False), ({"nbf": 9}, False)],
)
def test_clocks_may_differ_by_a_few_seconds_and_no_more(asha: str, moved: dict[str, int], is_good: bool) -> None:
    now = int(time.time())
    said = tokens.claims("acme", asha, **{"iat": now - 100} | {name: now + by for name, by in moved.items()})
    assert ("name" in bearer(tokens.signed(said))) == is_good


def test_a_token_whose_claims_were_changed_is_not_good(asha: str) -> None:
    header, _, signature = tokens.good("acme", asha).split(".")
    changed = urlsafe_b64encode(json.dumps(tokens.claims("other", asha)).encode()).decode().rstrip("=")
    assert bearer(f"{header}.{changed}.{signature}") == {"refusal": "unauthorized"}


@pytest.mark.parametrize(
    "header",
    [
        *["[" * 5000, "{}", "[]", "null", '{"alg": "RS256"}', '{"alg": "RS256", "kid": {}}'],
        *[f'{{"alg": "{algorithm}", "kid": "new"}}' for algorithm in ("none", "HS256", "RS512", "PS256", "rs256")],
    ],
)
def test_a_token_whose_header_is_no_good_costs_no_question(asha: str, pool: JwksServer, header: str) -> None:
    made = urlsafe_b64encode(header.encode()).decode().rstrip("=")
    assert bearer(f"{made}.e30.c2ln") == {"refusal": "unauthorized"}
    assert pool.asked == 0


def test_who_has_no_account_is_nobody(asha: str, identity_store: Store) -> None:
    tokens.account(identity_store, "acme", "018f0000", has_account=None)
    for user in ("018f0000", "018f1111"):
        assert bearer(tokens.good("acme", user)) == {"refusal": "unauthorized"}
    assert bearer(tokens.good("other", asha)) == {"refusal": "unauthorized"}


def test_a_token_of_a_tenant_that_is_not_there_is_nobodys(identity_store: Store, pool: JwksServer) -> None:
    tokens.account(identity_store, "gone", USER)
    assert bearer(tokens.good("gone", USER)) == {"refusal": "unauthorized"}


def test_a_key_of_a_tenant_that_is_not_there_is_nobodys(identity_store: Store) -> None:
    assert bearer(issue(identity_store, SystemClock(), "gone", ("admin",), "tests")) == {"refusal": "unauthorized"}


def test_a_suspended_tenants_people_and_keys_are_told_so(asha: str, key: str, identity_store: Store) -> None:
    token = tokens.good("acme", asha)
    found_tenant("acme", status="suspended")
    for credential in (token, key):
        context = bearer(credential)
        assert context == {"refusal": "tenant_suspended"}
        answer = send(event("GET", "/api/products", authorizer=context))
        assert (answer.status, answer.code) == (403, "tenant_suspended")
    assert bearer(tokens.good("acme", "018f1111")) == {"refusal": "unauthorized"}


@pytest.mark.parametrize(("earlier", "is_good"), [(0, False), (-1, False), (1, False), (2, True), (60, True)])
def test_tokens_up_to_a_second_after_signing_out_are_dead(
    asha: str, identity_store: Store, earlier: int, is_good: bool
) -> None:
    since = int(time.time()) - 120
    tokens.account(identity_store, "acme", asha, signed_out_at=(since - earlier) * 1000 + 999)
    assert ("name" in bearer(tokens.good("acme", asha, since))) == is_good


def test_a_role_is_as_the_store_has_it(asha: str, identity_store: Store) -> None:
    tokens.account(identity_store, "acme", asha, role="admin")
    assert bearer(tokens.good("acme", asha))["roles"] == "admin"


def test_nobody_is_an_operator_but_in_the_operators_tenant(asha: str, identity_store: Store) -> None:
    for tenant, roles in (("acme", ""), ("operator", "operator")):
        found_tenant(tenant)
        tokens.account(identity_store, tenant, asha, role="operator")
        assert bearer(tokens.good(tenant, asha))["roles"] == roles


def test_a_credential_is_looked_up_in_one_request(asha: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = Store._call

    def written_down(store: Store, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        made.append(operation)
        return real(store, operation, arguments)

    monkeypatch.setattr(Store, "_call", written_down)
    for credential in (key, tokens.good("acme", asha)):
        assert "name" in bearer(credential)
    assert made == ["BatchGetItem"] * 2


def test_where_there_are_no_keys_nobody_is_told_that_a_good_token_is_wrong(asha: str, pool: JwksServer) -> None:
    pool.status = 500
    assert bearer(tokens.good("acme", asha)) == {"refusal": "unavailable"}


def test_rule_25_without_its_settings_it_refuses_and_does_not_raise(asha: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN_ISSUER")
    forget("authorizer")
    with pytest.raises(ValidationError):
        AuthorizerSettings.model_validate({})
    assert bearer(tokens.good("acme", asha)) == {"refusal": "unavailable"}


def test_nothing_personal_is_logged(asha: str, key: str, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = tokens.good("acme", asha), tokens.expired("acme", asha)
    for credential in (good, bad, key, UNKNOWN, "asha@example.com"):
        bearer(credential)
    assert [record.message for record in caplog.records] == ["authorized"] * 5
    said = " ".join(str(vars(record)) for record in caplog.records)
    for secret in (asha, "asha", key, UNKNOWN, good, good.split(".")[2], bad.split(".")[1], "session:", "key:"):
        assert secret not in said


def test_what_verifies_tokens_is_loaded_when_the_first_one_comes() -> None:
    """Keys are what a crowd's own servers come with, and need none of it."""
    script = """
import json, runpy, sys
from types import SimpleNamespace
invocation = SimpleNamespace(get_remaining_time_in_millis=lambda: 9_000)
app = runpy.run_path("functions/authorizer/app.py")
for given in ("Bearer hk_acme_", "Bearer nonsense", "Basic x", None):
    answer = app["handler"]({"authorizationToken": given, "methodArn": ""}, invocation)
    assert answer["context"] == {"refusal": "unauthorized"}
assert not {"jwt", "boto3", "httpx", "holdfast.identity.jwks"} & set(sys.modules)
app["handler"]({"authorizationToken": "Bearer a.b.c", "methodArn": ""}, invocation)
assert "jwt" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=FUNCTIONS.parent, check=False
    )
    assert done.returncode == 0, done.stderr


class Moments:
    """A clock of seconds that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moments() -> Moments:
    return Moments()


@pytest.fixture
def keys(pool: JwksServer, moments: Moments) -> PublicKeys:
    return PublicKeys(pool.url, moments)


def known(keys: PublicKeys, kid: str) -> bool:
    """Return whether there is such a key."""
    try:
        return keys.of(kid).public_numbers() == tokens.private_key(kid).public_key().public_numbers()
    except Unauthorized:
        return False


def test_keys_are_asked_for_once_an_hour(keys: PublicKeys, pool: JwksServer, moments: Moments) -> None:
    for passed, asked in ((0, 1), (3_599, 1), (1, 2)):
        moments.now += passed
        assert known(keys, tokens.KID)
        assert pool.asked == asked


def test_a_key_that_was_taken_back_is_not_good_within_the_hour(
    keys: PublicKeys, pool: JwksServer, moments: Moments
) -> None:
    assert known(keys, tokens.KID)
    pool.keys = [tokens.jwk_of("new")]
    moments.now += 3_600
    assert not known(keys, tokens.KID)
    assert known(keys, "new")


def test_unknown_keys_are_asked_for_at_most_once_a_minute(keys: PublicKeys, pool: JwksServer, moments: Moments) -> None:
    assert known(keys, tokens.KID)
    for number in range(100):
        moments.now += 1.2
        assert not known(keys, f"made-up-{number}")
    assert pool.asked == 3
    pool.keys.append(tokens.jwk_of("new"))
    moments.now += 60
    assert known(keys, "new")
    assert pool.asked == 4


def test_an_answer_that_is_too_long_is_none(keys: PublicKeys, pool: JwksServer) -> None:
    """It would be a good one, but for how much more it says."""
    pool.body = json.dumps({"keys": [tokens.jwk_of()], "more": "x" * 65_536}).encode()
    with pytest.raises(Unavailable):
        keys.of(tokens.KID)


@pytest.mark.parametrize("status", [500, 404, 302, 204])
def test_where_keys_cannot_be_had_those_known_stay_good(
    keys: PublicKeys, pool: JwksServer, moments: Moments, status: int
) -> None:
    assert known(keys, tokens.KID)
    pool.status = status
    moments.now += 3_600
    assert known(keys, tokens.KID)
    assert pool.asked == 2
    for _ in range(3):
        assert known(keys, tokens.KID)
        with pytest.raises(Unavailable):
            keys.of("new")
    assert pool.asked == 2
    pool.status, pool.keys = 200, [tokens.jwk_of("new")]
    moments.now += 60
    assert known(keys, "new")
    assert pool.asked == 3


def test_where_no_key_was_ever_had_they_are_asked_for_again_soon(
    keys: PublicKeys, pool: JwksServer, moments: Moments
) -> None:
    pool.status = 503
    for passed in (0, 1, 3.9):
        moments.now += passed
        with pytest.raises(Unavailable):
            keys.of(tokens.KID)
    assert pool.asked == 1
    pool.status = 200
    moments.now += 0.1
    assert known(keys, tokens.KID)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"keys": []}', b'{"keys": 7}', b'{"keys": [7, null, []]}', b"[" * 60_000, b"\xff"],
)
def test_an_answer_that_holds_no_keys_is_none(keys: PublicKeys, pool: JwksServer, body: bytes) -> None:
    pool.body = body
    with pytest.raises(Unavailable):
        keys.of(tokens.KID)


@pytest.mark.parametrize(
    "other",
    [
        *[
            {"kty": "oct", "k": "c2VjcmV0"},
            {"alg": "RS512"},
            {"use": "enc"},
            {"n": "!"},
            {"n": 7},
            {"e": ""},
            {"n": ""},
        ],
        *[{"n": None}, RSAAlgorithm.to_jwk(tokens.private_key("odd"), as_dict=True)],
    ],
)
def test_keys_of_other_kinds_and_broken_ones_are_passed_over(
    keys: PublicKeys, pool: JwksServer, other: dict[str, Any]
) -> None:
    pool.keys = [tokens.jwk_of("odd", **other), tokens.jwk_of()]
    assert known(keys, tokens.KID)
    with pytest.raises(Unauthorized):
        keys.of("odd")


def test_short_keys_are_passed_over(keys: PublicKeys, pool: JwksServer) -> None:
    short = tokens.private_key("short", 1024).public_key().public_numbers().n
    text = urlsafe_b64encode(short.to_bytes(128, "big")).decode().rstrip("=")
    pool.keys = [tokens.jwk_of("short", n=text), tokens.jwk_of()]
    with pytest.raises(Unauthorized):
        keys.of("short")


def test_a_slow_answer_is_not_waited_for(keys: PublicKeys, pool: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jwks._TIMEOUT_SECONDS <= 2
    monkeypatch.setattr(jwks, "_TIMEOUT_SECONDS", 0.1)
    pool.delay = 1.0
    started = time.monotonic()
    with pytest.raises(Unavailable):
        keys.of(tokens.KID)
    assert time.monotonic() - started < 0.9


def test_where_nobody_listens_keys_are_not_to_be_had(moments: Moments) -> None:
    with tokens.published() as server:
        url = server.url
    with pytest.raises(Unavailable):
        PublicKeys(url, moments).of(tokens.KID)


def test_of_one_pool_for_one_client_a_token_says_whose_it_is(keys: PublicKeys) -> None:
    verifier = AccessTokens(keys, tokens.ISSUER, tokens.CLIENT_ID)
    now = int(time.time())
    assert verifier.verified(tokens.good("acme", USER, now)) == SignIn("acme", USER, now)
    for issuer, client in ((tokens.ISSUER + "x", tokens.CLIENT_ID), (tokens.ISSUER, tokens.CLIENT_ID + "x")):
        with pytest.raises(Unauthorized):
            AccessTokens(keys, issuer, client).verified(tokens.good("acme", USER))


PROTECTED = [
    ("GET", "/api/products"),
    ("POST", "/api/products"),
    ("PATCH", "/api/products/1"),
    ("GET", "/api/products/1/status"),
    ("POST", "/api/reserve"),
    ("POST", "/api/reserve/bulk"),
    ("POST", "/api/checkout"),
    ("DELETE", "/api/reserve/alice/1"),
    ("GET", "/api/users/alice/reservations"),
    ("POST", "/api/v1/reservations"),
    ("GET", "/api/v1/reservations"),
    ("DELETE", "/api/v1/reservations/r-abcdefghijklmnop-0123456789abcdef0123456789abcdef"),
    ("POST", "/api/v1/reservations/r-abcdefghijklmnop-0123456789abcdef0123456789abcdef/extend"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("context", [None, {}, {"refusal": "unauthorized"}, {"refusal": "unauthorized", "tenant": "x"}])
def test_the_wrapper_answers_a_refusal_with_401_before_anything_else_is_looked_at(
    method: str, path: str, context: dict[str, str] | None
) -> None:
    answer = send(event(method, path, text="{not json", authorizer=context))
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_wrapper_answers_503_where_the_key_could_not_be_looked_up() -> None:
    answer = send(event("GET", "/api/products", authorizer={"refusal": "unavailable"}))
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_what_the_authorizer_says_is_what_a_function_knows_of_its_caller(key: str) -> None:
    context = authorize(token_event(f"Bearer {key}"))
    request = event("POST", "/api/products", text='{"name": "Laptop", "total_stock": 1}', authorizer=context)
    assert send(request).status == 201
