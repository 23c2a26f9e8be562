"""The authorizer: who calls, or why not; and the wrapper that answers for it."""

import re
from typing import Any

import pytest

from holdfast.identity.service_keys import issue
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Contended, Store
from tests.handlers.gateway import LambdaContext, event, load, send

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/POST/api/reserve"
UNKNOWN = "hk_acme_" + "0" * 64


@pytest.fixture
def key(identity_store: Store) -> str:
    """A service key of the tenant acme."""
    return issue(identity_store, SystemClock(), "acme", ("service", "admin"), "tests")


def token_event(authorization: Any) -> dict[str, Any]:
    return {"type": "TOKEN", "methodArn": ARN, "authorizationToken": authorization}


def request_event(headers: Any) -> dict[str, Any]:
    return {"type": "REQUEST", "methodArn": ARN, "headers": headers, "resource": "/api/reserve", "httpMethod": "POST"}


def authorize(request: dict[str, Any]) -> dict[str, Any]:
    """Return the context, of a policy that is seen to allow the stage and nothing more."""
    answer = load("authorizer").handler(request, LambdaContext())
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/*"
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert answer["principalId"]
    context: dict[str, Any] = answer["context"]
    return context


def test_a_token_event_with_a_known_key_gives_its_tenant_and_roles(key: str) -> None:
    context = authorize(token_event(f"Bearer {key}"))
    assert (context["tenant"], context["roles"]) == ("acme", "admin service")
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
        17,
        ["Bearer"],
        {"Bearer": 1},
    ],
)
def test_a_missing_malformed_or_unknown_key_is_allowed_through_with_the_refusal_in_the_context(given: Any) -> None:
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


def test_where_keys_cannot_be_looked_up_nobody_is_told_that_a_good_key_is_wrong(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*_: Any) -> None:
        raise Contended("ThrottlingException")

    monkeypatch.setattr(Store, "get", throttled)
    assert authorize(token_event(f"Bearer {key}")) == {"refusal": "unavailable"}


def test_an_event_without_a_method_does_not_make_it_raise() -> None:
    answer = load("authorizer").handler({}, LambdaContext())
    assert answer["context"] == {"refusal": "unauthorized"}


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
