"""The wrapper around every function: JSON, the shape of errors, status codes and headers."""

import base64
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform import errors, http, tenancy
from holdfast.platform.access import ROUTES
from holdfast.platform.errors import Fault, HoldfastError, Refused, TooManyRequests


def subclasses(kind: type[HoldfastError]) -> list[type[HoldfastError]]:
    return [kind] + [deeper for direct in kind.__subclasses__() for deeper in subclasses(direct)]


EVERY_ERROR = [
    kind for kind in dict.fromkeys(subclasses(HoldfastError)) if kind.__module__ in (errors.__name__, http.__name__)
]


def answered(act: Callable[[APIGatewayRestResolver], Any], request: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return what a function answers whose one route, that anybody may ask, does `act`."""
    app = APIGatewayRestResolver()

    @app.route("/", method=["GET", "OPTIONS"])
    def route() -> Any:
        return act(app)

    whole = {"path": "/", "resource": "/", "httpMethod": "GET", "requestContext": {"requestId": "r-1"}, "body": None}
    return http.entry(app, **options)(whole | request, None)


def raising(error: Exception, **options: Any) -> dict[str, Any]:
    """Return what such a function answers whose route raises `error`."""

    def act(_: APIGatewayRestResolver) -> None:
        raise error

    return answered(act, {}, **options)


def made(kind: type[HoldfastError]) -> HoldfastError:
    if kind is Refused:
        return Refused([Fault("items.0", "There are not that many left.", "insufficient_stock")])
    if kind is TooManyRequests:
        return TooManyRequests(10, 60, 17)
    return http.MethodNotAllowed(["GET"]) if kind is http.MethodNotAllowed else kind()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_every_json_value_is_read_as_what_it_is(value: Any) -> None:
    assert http.read_json(json.dumps(value)) == value
    assert http.read_json(json.dumps(value, ensure_ascii=False)) == value


@given(st.text(alphabet='{}[]",:0123456789eE+-.\\u dDnulltrefasNI\n', max_size=40))
def test_every_text_is_read_or_refused_and_what_is_read_can_be_sent_on(text: str) -> None:
    try:
        value = http.read_json(text)
    except json.JSONDecodeError:
        return
    json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "[Infinity]",
        "-Infinity",
        '"\\ud800"',
        '"\\uDFFF x"',
        '{"\\ud83d": 1}',
        "[" * 100_000,
        "1" * 10_000,
        "01",
    ],
)
def test_what_is_no_json_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        http.read_json(text)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert http.read_json('"\\ud83d\\ude00"') == "😀"


def test_a_number_beyond_all_numbers_is_not_finite_and_left_for_its_field_to_refuse() -> None:
    assert math.isinf(http.read_json("1e999"))


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=[kind.__name__ for kind in EVERY_ERROR])
def test_every_error_has_the_one_shape_a_sentence_and_a_stable_code(kind: type[HoldfastError]) -> None:
    answer = raising(made(kind))
    body = json.loads(answer["body"])
    assert set(body) <= {"success", "error", "code", "request_id", "errors", "retry_after"}
    assert (body["success"], body["request_id"]) == (False, "r-1")
    assert body["code"].replace("_", "").isalpha()
    assert body["code"].islower()
    assert body["error"].endswith(".")
    assert answer["statusCode"] == http.status_of(kind)
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert answer["multiValueHeaders"]["X-Request-Id"] == ["r-1"]
    assert answer["multiValueHeaders"]["Cache-Control"] == ["no-store"]


def test_every_error_is_told_by_a_code_of_its_own() -> None:
    codes = [kind.code for kind in EVERY_ERROR]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.Malformed, 400),
        (errors.IdempotencyKeyRequired, 400),
        (errors.Unauthorized, 401),
        (errors.Forbidden, 403),
        (errors.ProductNotFound, 404),
        (http.MethodNotAllowed, 405),
        (errors.AlreadyExtended, 409),
        (http.BodyTooLarge, 413),
        (http.UnsupportedMediaType, 415),
        (errors.IdempotencyKeyReused, 422),
        (errors.TooManyRequests, 429),
        (errors.CaptchaRequired, 400),
        (errors.CaptchaFailed, 403),
        (errors.CaptchaUnavailable, 503),
        (errors.TenantSuspended, 403),
        (errors.TenantNotFound, 404),
        (errors.Busy, 503),
        (errors.Unavailable, 503),
        (errors.ProviderUnavailable, 503),
        (errors.PaymentRequired, 402),
    ],
)
def test_each_kind_of_error_has_its_status(kind: type[HoldfastError], status: int) -> None:
    assert raising(made(kind))["statusCode"] == status


def test_older_clients_know_refusals_by_state_as_400_and_the_rest_as_ever() -> None:
    assert raising(made(Refused), conflict=400)["statusCode"] == 400
    assert raising(errors.NoReservation(), conflict=400)["statusCode"] == 400
    assert raising(errors.ProductNotFound(), conflict=400)["statusCode"] == 404
    assert raising(errors.IdempotencyKeyReused(), conflict=400)["statusCode"] == 422


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.Unauthorized(), "WWW-Authenticate", "Bearer"),
        (http.MethodNotAllowed(["GET", "POST"]), "Allow", "GET, POST"),
        (errors.Busy(), "Retry-After", "1"),
        (errors.ProviderUnavailable(), "Retry-After", "5"),
        (errors.CaptchaUnavailable(), "Retry-After", "5"),
        (TooManyRequests(10, 60, 17), "Retry-After", "17"),
        (TooManyRequests(10, 60, 17), "RateLimit-Limit", "10"),
        (TooManyRequests(10, 60, 17), "RateLimit-Remaining", "0"),
        (TooManyRequests(10, 60, 17), "RateLimit-Reset", "17"),
    ],
)
def test_an_error_brings_the_header_that_belongs_to_it(error: HoldfastError, header: str, value: str) -> None:
    assert raising(error)["multiValueHeaders"][header] == [value]


def test_a_line_that_stood_in_the_way_is_named() -> None:
    body = json.loads(raising(made(Refused))["body"])
    assert body["code"] == "insufficient_stock"
    assert body["errors"] == [
        {"field": "items.0", "code": "insufficient_stock", "message": "There are not that many left."}
    ]


def test_further_keys_of_a_route_are_in_the_body() -> None:
    error = made(Refused)
    error.extra = {"reserved": [], "failed": [{"product_id": "1", "reason": "insufficient_stock"}]}
    assert json.loads(raising(error)["body"])["failed"] == [{"product_id": "1", "reason": "insufficient_stock"}]


def test_a_defect_of_ours_says_nothing_but_the_id_to_ask_by() -> None:
    answer = raising(RuntimeError("secret"))
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"]) == http.internal_error("r-1")
    assert "secret" not in answer["body"]


@given(st.text())
def test_whatever_is_in_an_answer_nothing_in_it_means_anything_in_html(text: str) -> None:
    answer = raising(HoldfastError(text, [Fault(text, text)]))
    assert not set("<>&") & set(answer["body"])
    assert json.loads(answer["body"])["error"] == (text or HoldfastError.sentence)


def test_without_a_credential_nothing_of_the_request_is_read() -> None:
    app = APIGatewayRestResolver()
    request = {"path": "/%", "httpMethod": "POST", "requestContext": None, "headers": 17, "body": 17}
    for resource in ({}, {"resource": None}, {"resource": "/api/reserve"}, {"resource": "/api/none"}):
        assert http.entry(app)(request | resource, None)["statusCode"] == 401


@pytest.mark.parametrize(("method", "resource"), [("GET", "/api/none"), ("PUT", "/api/reserve"), ("GET", None)])
def test_a_route_that_the_table_does_not_have_is_nobodys(method: str, resource: str | None) -> None:
    app = APIGatewayRestResolver()

    @app.route(".*", method=["GET", "PUT"])
    def route() -> dict[str, str]:
        return {}

    everything = {"tenant": "acme", "name": "ada", "roles": "admin customer operator service staff", "scopes": "*"}
    request = {"path": "/api/reserve", "httpMethod": method, "resource": resource, "headers": None, "body": None}
    answer = http.entry(app)(request | {"requestContext": {"authorizer": everything}}, None)
    assert answer["statusCode"] == 404


def sent_raw(body: str | None, *, encoded: bool = False, content_type: str | None = None) -> tuple[int, bytes]:
    """Return what a raw route answers to a body, and what it saw of it."""
    app = APIGatewayRestResolver(enable_validation=True)
    seen = [b""]

    @app.post("/webhooks/<provider>/<tenant>")
    def route(provider: str, tenant: str) -> None:
        seen[0] = http.raw_body(app)

    request = {
        "path": "/webhooks/a/b",
        "resource": "/webhooks/{provider}/{tenant}",
        "httpMethod": "POST",
        "requestContext": {"requestId": "r-1"},
        "headers": {"Content-Type": content_type} if content_type else None,
        "body": body,
        "isBase64Encoded": encoded,
    }
    answer = http.entry(app, raw={"POST /webhooks/{provider}/{tenant}"}, most_bytes=1_000)(request, None)
    return answer["statusCode"], seen[0]


@given(st.binary(max_size=200), st.sampled_from([None, "application/json", "text/plain; charset=latin1"]))
def test_a_raw_body_is_seen_byte_for_byte_whatever_it_says_it_is(body: bytes, content_type: str | None) -> None:
    assert sent_raw(base64.b64encode(body).decode(), encoded=True, content_type=content_type) == (200, body)


@given(st.text(max_size=200))
def test_a_raw_text_is_seen_as_its_bytes(text: str) -> None:
    assert sent_raw(text) == (200, text.encode())


def test_a_raw_body_may_be_none_or_no_base_64_and_has_its_bound() -> None:
    assert sent_raw(None) == (200, b"")
    assert sent_raw("?!", encoded=True) == (200, b"")
    assert sent_raw("x" * 1_000)[0] == 200
    assert sent_raw("x" * 1_001) == (413, b"")
    assert sent_raw(base64.b64encode(b"x" * 1_001).decode(), encoded=True) == (413, b"")


def test_every_answer_keeps_to_itself() -> None:
    headers = answered(lambda _: {}, {"headers": None})["multiValueHeaders"]
    assert headers["Strict-Transport-Security"] == ["max-age=63072000; includeSubDomains"]
    assert headers["Content-Security-Policy"] == ["default-src 'none'; frame-ancestors 'none'"]
    assert headers["X-Content-Type-Options"] == ["nosniff"]
    assert headers["X-Frame-Options"] == ["DENY"]
    assert headers["Referrer-Policy"] == ["no-referrer"]
    assert headers["Cache-Control"] == ["no-store"]
    for error in (RuntimeError("secret"), errors.Unauthorized(), errors.ProductNotFound()):
        refused = raising(error)["multiValueHeaders"]
        assert {name: refused[name] for name in headers} == headers


def test_a_route_may_say_otherwise_of_itself_and_of_no_other_answer() -> None:
    def act(_: APIGatewayRestResolver) -> Response[str]:
        own: dict[str, str | list[str]] = {"Cache-Control": "public", "Content-Security-Policy": "default-src 'self'"}
        return Response(200, "text/html", "", own)

    headers = answered(act, {"headers": None})["multiValueHeaders"]
    assert headers["Cache-Control"] == ["public"]
    assert headers["Content-Security-Policy"] == ["default-src 'self'"]
    assert headers["X-Frame-Options"] == ["DENY"]
    assert answered(lambda _: {}, {"headers": None})["multiValueHeaders"]["Cache-Control"] == ["no-store"]


def told(request: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Return what a route learns of a request: its address, its bearer, its captcha's token."""
    seen: list[tuple[str, str | None, str | None]] = []

    def act(app: APIGatewayRestResolver) -> dict[str, Any]:
        seen.append((http.address_of(app), http.bearer_of(app), http.captcha_token_of(app)))
        return {}

    assert answered(act, request)["statusCode"] == 200
    return seen[0]


def test_an_address_is_the_gateways_word_and_no_headers() -> None:
    context = {"requestId": "r-1", "identity": {"sourceIp": "2001:db8::1"}}
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Real-Ip": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    assert told({"requestContext": context, "headers": headers})[0] == "2001:db8::1"


@pytest.mark.parametrize("context", [None, {}, {"identity": None}, {"identity": {}}, {"identity": {"sourceIp": None}}])
def test_where_the_gateway_says_no_address_all_such_requests_come_from_one(context: Any) -> None:
    assert told({"requestContext": context, "headers": None})[0] == "unknown"


@pytest.mark.parametrize(
    ("headers", "bearer"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"AUTHORIZATION": "BEARER a.b.c"}, "a.b.c"),
        ({"Authorization": "Basic abc"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": "Bearer "}, None),
        ({"Authorization": ""}, None),
        ({"Authorization": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_bearer_is_what_comes_after_the_word(headers: dict[str, Any] | None, bearer: str | None) -> None:
    assert told({"headers": headers})[1] == bearer


def test_a_captchas_token_is_its_headers() -> None:
    assert told({"headers": {"X-Captcha-Token": "03AGdBq2"}})[2] == "03AGdBq2"
    assert told({"headers": {"x-captcha-token": ""}})[2] is None
    assert told({"headers": {}})[2] is None


def test_a_header_that_came_twice_is_all_it_said_and_one_that_said_the_same_twice_is_one() -> None:
    twice = {"Authorization": ["Bearer a", "Bearer b"], "X-Captcha-Token": ["t", "t"], "Accept": ["a", "b"]}
    last = {name: values[-1] for name, values in twice.items()}
    assert told({"headers": last, "multiValueHeaders": twice})[1:] == ("a, Bearer b", "t")


def test_two_tenants_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_TABLE_NAME", "identity")
    monkeypatch.setattr(tenancy, "opened", lambda _: None)
    tenancy._settings.cache_clear()
    for sent, code in ((["acme", "acme"], None), (["acme", "other"], "tenant_required")):
        request = {"headers": {"X-Tenant-Id": sent[-1]}, "multiValueHeaders": {"X-Tenant-Id": sent}}
        answer = answered(lambda app: {"tenant": http.public_tenant(app)}, request)
        assert json.loads(answer["body"]).get("code") == code
    tenancy._settings.cache_clear()


PAGE = "https://shop.example"
OTHER_PAGES = [
    "https://SHOP.example",
    "https://shop.example:443",
    "https://shop.example.evil.test",
    "https://evil.test/https://shop.example",
    "http://shop.example",
    "https://shop.example, https://other.example",
    "https://shop.example/",
    "https://sub.shop.example",
    "null",
    "*",
    "",
]


@pytest.fixture(params=["https://shop.example,https://other.example", "*"], ids=["some", "any"])
def origins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have pages of some origins, or of any, let in until the end of the test."""
    yield from _let_in(request.param, monkeypatch)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have pages of two origins let in until the end of the test."""
    yield from _let_in("https://shop.example,https://other.example", monkeypatch)


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have no pages let in."""
    yield from _let_in("", monkeypatch)


def _let_in(allowed: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ALLOWED_ORIGINS", allowed)
    http._origins.cache_clear()
    yield allowed
    http._origins.cache_clear()


def shared(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: values for name, values in headers.items() if name.startswith("Access-Control-")}


def test_a_page_that_is_let_in_reads_answers_and_refusals_alike(origins: str) -> None:
    for act in (lambda _: {}, lambda _: 1 / 0):
        headers = answered(act, {"headers": {"origin": PAGE}})["multiValueHeaders"]
        assert headers["Access-Control-Allow-Origin"] == ["*" if origins == "*" else PAGE]
        assert "X-Request-Id" in headers["Access-Control-Expose-Headers"][0].split(", ")
        assert headers.get("Vary") == (None if origins == "*" else ["Origin"])
        assert "Access-Control-Allow-Credentials" not in headers


def test_every_header_that_answers_have_may_be_read_by_pages(few: str) -> None:
    request = {"headers": {"Origin": PAGE}}
    exposed = answered(lambda _: {}, request)["multiValueHeaders"]["Access-Control-Expose-Headers"][0].split(", ")
    refused = http._headers_of(TooManyRequests(1, 60, 1)) | http._headers_of(errors.Unauthorized())
    assert set(exposed) >= {*refused, *http._headers_of(http.MethodNotAllowed(["GET"])), "X-Next", "Age", "ETag"}


@pytest.mark.parametrize("page", OTHER_PAGES)
def test_no_other_page_is_let_in_and_caches_are_told(few: str, page: str) -> None:
    for method in ("GET", "OPTIONS"):
        headers = answered(lambda _: {}, {"headers": {"Origin": page}, "httpMethod": method})["multiValueHeaders"]
        assert shared(headers) == {}
        assert headers["Vary"] == ["Origin"]


@pytest.mark.parametrize("headers", [None, {}, [], 17, {"Origin": None}])
def test_an_answer_to_no_page_says_nothing_to_any(few: str, headers: Any) -> None:
    answer = http.entry(APIGatewayRestResolver())({"path": "/", "httpMethod": "GET", "headers": headers}, None)
    assert shared(answer["multiValueHeaders"]) == {}


def test_where_no_page_is_let_in_answers_do_not_speak_of_it(none: str) -> None:
    headers = answered(lambda _: {}, {"headers": {"Origin": PAGE}})["multiValueHeaders"]
    assert shared(headers) == {}
    assert "Vary" not in headers


def asked_first(address: str, headers: Any) -> dict[str, Any]:
    """Return what a browser is answered that asks of an address first; the function behind it knows no such route."""
    request = {"path": address, "resource": address, "httpMethod": "OPTIONS", "headers": headers, "body": None}
    return http.entry(APIGatewayRestResolver())(request, None)


@pytest.mark.parametrize("address", sorted(ROUTES))
def test_a_page_that_is_let_in_may_send_what_the_address_takes(origins: str, address: str) -> None:
    preflight = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, x-captcha-token",
    }
    answer = asked_first(address, preflight)
    headers = answer["multiValueHeaders"]
    allowed = ", ".join([*sorted(ROUTES[address]), "OPTIONS"])
    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert headers["Allow"] == headers["Access-Control-Allow-Methods"] == [allowed]
    assert headers["Access-Control-Allow-Origin"] == ["*" if origins == "*" else PAGE]
    assert headers["Access-Control-Max-Age"] == ["7200"]
    sendable = {name.lower() for name in headers["Access-Control-Allow-Headers"][0].split(", ")}
    assert sendable == {
        "authorization",
        "content-type",
        "idempotency-key",
        "if-none-match",
        "prefer",
        "x-captcha-token",
        "x-idempotency-key",
        "x-tenant-id",
    }
    assert headers["X-Frame-Options"] == ["DENY"]
    assert "Content-Type" not in headers


def test_a_browser_is_answered_whatever_it_sends_and_whoever_asks(none: str) -> None:
    for headers in (None, {}, 17, {"Origin": PAGE}, {"Authorization": "Bearer none"}):
        answer = asked_first("/api/v1/keys", headers)
        assert answer["statusCode"] == 204
        assert answer["multiValueHeaders"]["Allow"] == ["GET, POST, OPTIONS"]
        assert shared(answer["multiValueHeaders"]) == {}


@pytest.mark.parametrize("address", ["/api/none", "", None, "/api/v1/keys/"])
def test_of_an_address_that_there_is_not_no_methods_are_told(few: str, address: Any) -> None:
    answer = http.entry(APIGatewayRestResolver())(
        {"path": "/api/none", "resource": address, "httpMethod": "OPTIONS", "headers": {"Origin": PAGE}}, None
    )
    assert answer["statusCode"] == 401
    assert "Allow" not in answer["multiValueHeaders"]
    assert "Access-Control-Allow-Methods" not in answer["multiValueHeaders"]
