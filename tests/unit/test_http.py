"""The wrapper around every function: JSON, the shape of errors, status codes and headers."""

import base64
import json
import math
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform import errors, http
from holdfast.platform.errors import Fault, HoldfastError, Refused


def subclasses(kind: type[HoldfastError]) -> list[type[HoldfastError]]:
    return [kind] + [deeper for direct in kind.__subclasses__() for deeper in subclasses(direct)]


EVERY_ERROR = [
    kind for kind in dict.fromkeys(subclasses(HoldfastError)) if kind.__module__ in (errors.__name__, http.__name__)
]


def raising(error: Exception, **options: Any) -> dict[str, Any]:
    """Return what a public function answers whose one route raises `error`."""
    app = APIGatewayRestResolver()

    @app.get("/")
    def route() -> None:
        raise error

    request = {"path": "/", "httpMethod": "GET", "requestContext": {"requestId": "r-1"}, "headers": None, "body": None}
    return http.entry(app, public=True, **options)(request, None)


def made(kind: type[HoldfastError]) -> HoldfastError:
    if kind is Refused:
        return Refused([Fault("items.0", "There are not that many left.", "insufficient_stock")])
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
    assert http.entry(app)(request, None)["statusCode"] == 401


def sent_raw(body: str | None, *, encoded: bool = False, content_type: str | None = None) -> tuple[int, bytes]:
    """Return what a raw route answers to a body, and what it saw of it."""
    app = APIGatewayRestResolver(enable_validation=True)
    seen = [b""]

    @app.post("/raw/<name>")
    def route(name: str) -> None:
        seen[0] = http.raw_body(app)

    request = {
        "path": "/raw/a",
        "resource": "/raw/{name}",
        "httpMethod": "POST",
        "requestContext": {"requestId": "r-1"},
        "headers": {"Content-Type": content_type} if content_type else None,
        "body": body,
        "isBase64Encoded": encoded,
    }
    answer = http.entry(app, public=True, raw={"POST /raw/{name}"}, most_bytes=1_000)(request, None)
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
