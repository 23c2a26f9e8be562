"""What functions log names nobody and opens nothing, exceptions included; and nothing else writes any logs."""

import ast
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import BaseModel

from holdfast.platform import logs
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import InvariantBroken, Unavailable
from tests.handlers.gateway import FUNCTIONS, LOG, Api, event, send

ROOT = FUNCTIONS.parent
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl-_"
CAPTCHA = "03AFcWeA" + "x-_9Zb" * 60

TEXTS = {
    "e-mail address": "ada.lovelace+x@example.co.uk",
    "e-mail address in another script": "åda@exämple.test",
    "e-mail address without a point": "root@localhost",
    "phone": "+442079460958",
    "phone with blanks": "+44 (0)20 7946-0958",
    "phone with noughts": "0049 151 12345678",
    "phone as India writes it": "9876543210",
    "phone of a town": "0151 12345678",
    "service key": f"hk_demo-tenant_{'ab12' * 16}",
    "bearer": "Bearer opaque-credential",
    "bearer in small letters": "bearer  " + JWT,
    "basic": "Basic YWRhOnNlY3JldA==",
    "access token": JWT,
    "refresh token": f"018f3a2b4c50.{JWT}.x.y",
    "secret key of a provider": "sk_live_51H8abcdefgh",
    "publishable key of a provider": "pk_test_51H8abcdefgh",
    "key of another": "rzp_live_AbCdEf123456",
    "payment token": "tok_1NabcdEFGHijkl",
    "payment method": "pm_1NabcdEFGHijkl",
    "client secret": "pi_3Nabcd_secret_Xy12ZabcD",
    "webhook secret": "whsec_c2VjcmV0LW9mLXdlYmhvb2tz",
    "captcha token": CAPTCHA,
    "card": "4242 4242 4242 4242",
    "card without blanks": "5555555555554444",
    "password": 'password="hunter 2"',
    "password in JSON": '"new_password": "hunter 2"',
    "secret in a form": "client_secret=0123abcd&grant_type=code",
    "token as a word": "captcha_token: abcdef",
    "name": "customerName='Ada Lovelace'",
}
REVEALING = {
    "client secret": "Xy12ZabcD",
    "password": "hunter 2",
    "password in JSON": "hunter 2",
    "secret in a form": "0123abcd",
    "token as a word": "abcdef",
    "name": "Ada Lovelace",
    "bearer": "opaque-credential",
    "bearer in small letters": JWT,
    "basic": "YWRhOnNlY3JldA",
    "refresh token": JWT,
}
"""What of a text may not be there any more; where nothing is said, all of it."""

HARMLESS = [
    "request",
    "/api/v1/reservations/{reservation_id}",
    "r-abcdefghijklmnop-0123456789abcdef0123456789abcdef",
    "018f3a2b4c50123456789abc",
    "2026-11-20T18:41:00.250Z",
    "2026-11-20 18:46:29,262+0000",
    "1763663999123",
    "1763663999",
    "PAR-2026-0042",
    "seat:1:1:12:3",
    "demo#U#7",
    "a" * 64,
    "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "arn:aws:states:eu-central-1:123456789012:stateMachine:holdfast-checkout",
    "/holdfast/payments/demo/stripe is not there",
    "pi_3NabcdEFGHijkl",
    "12.50 EUR",
    "192.0.2.1",
]
"""What is needed to find out what happened, and names nobody."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    LOG.taken()


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LOG.taken().splitlines()]


def assert_gone(kind: str, text: str) -> None:
    said = LOG.taken()
    assert logs.ERASED in said
    for gone in {REVEALING.get(kind, text), json.dumps(REVEALING.get(kind, text))[1:-1]}:
        assert gone not in said


@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_erased_from_a_message(kind: str) -> None:
    logs.logger().info(f"written by {TEXTS[kind]}, who waits")
    assert_gone(kind, TEXTS[kind])


@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_erased_from_what_stands_beside_at_any_depth(kind: str) -> None:
    logs.logger().info("told", extra={"what": {"of": [{"it": TEXTS[kind]}, (1, TEXTS[kind])]}})
    assert_gone(kind, TEXTS[kind])


@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_erased_where_it_names_what_stands_beside(kind: str) -> None:
    logs.logger().info("told", extra={"what": {TEXTS[kind]: 1}})
    assert_gone(kind, TEXTS[kind])


@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_erased_from_what_fills_a_message(kind: str) -> None:
    logs.logger().warning("written by %s and %(x)s".replace("%(x)s", "%s"), TEXTS[kind], [TEXTS[kind]])
    assert_gone(kind, TEXTS[kind])


@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_erased_from_our_own_exceptions(kind: str) -> None:
    try:
        raise InvariantBroken(f"a counter of {TEXTS[kind]} is short")
    except InvariantBroken:
        logs.logger().exception("unexpected")
    assert_gone(kind, TEXTS[kind])


@pytest.mark.parametrize("text", [*TEXTS.values(), "Ada Lovelace, 12 High Street"])
def test_nothing_of_anybody_elses_exceptions_is_told_but_kind_and_place(text: str) -> None:
    try:
        try:
            try:
                raise KeyError(text)
            except KeyError as first:
                first.add_note(f"it was {text}")
                raise ValueError(f"no {text}", {"name": text}) from first
        except ValueError:
            raise RuntimeError(text)  # noqa: B904
    except RuntimeError:
        logs.logger().exception("unexpected")
    (line,) = lines()
    assert text not in json.dumps(line, ensure_ascii=False)
    told = line["exception"].splitlines()
    place = f"{__file__}:"
    assert [one for one in told if not one.startswith(place)] == ["KeyError", "ValueError", "RuntimeError"]
    assert sum(one.startswith(place) for one in told) == 3
    assert set(line) == {"level", "location", "message", "timestamp", "service", "exception", "exception_name"}


def test_an_exception_that_is_its_own_cause_is_told_once() -> None:
    one, other = RuntimeError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    logs.logger().error("unexpected", exc_info=one)
    assert lines()[0]["exception"].splitlines() == ["ValueError", "RuntimeError"]


def test_a_cause_that_was_left_out_is_left_out() -> None:
    try:
        try:
            raise KeyError("x")
        except KeyError:
            raise Unavailable from None
    except Unavailable:
        logs.logger().exception("unexpected")
    assert "KeyError" not in LOG.taken()


def test_of_a_value_that_is_refused_its_field_and_its_fault_are_told() -> None:
    class Person(BaseModel):
        model_config = {"extra": "forbid"}
        age: int
        names: dict[str, int]

    try:
        Person.model_validate({"age": "Ada Lovelace", "names": {"Ada Lovelace": "twelve"}, "Ada Lovelace": 1})
    except ValueError:
        logs.logger().exception("unexpected")
    (line,) = lines()
    told = line["exception"].splitlines()[-1]
    assert told == "ValidationError: age int_parsing, names.? int_parsing, ? extra_forbidden"
    assert "Ada" not in json.dumps(line)
    assert "twelve" not in json.dumps(line)


def test_of_what_aws_refuses_the_call_and_the_reason_are_told_but_no_value() -> None:
    answer: Any = {
        "Error": {
            "Code": "InvalidParameterException",
            "Message": "Value 'Ada Lovelace' at 'username' failed for \"Ada\": see ada@example.com",
        }
    }
    logs.logger().error("unexpected", exc_info=ClientError(answer, "AdminGetUser"))
    told = lines()[0]["exception"]
    assert told.startswith("ClientError: InvalidParameterException from AdminGetUser: Value ***** at *****")
    assert "Ada" not in told
    assert "ada" not in told


def test_of_a_lost_connection_the_systems_own_word_is_told() -> None:
    logs.logger().error("unexpected", exc_info=ConnectionRefusedError(111, "Ada Lovelace"))
    logs.logger().error("unexpected", exc_info=EndpointConnectionError(endpoint_url="https://ada.example"))
    first, second = lines()
    assert first["exception"] == "ConnectionRefusedError: Connection refused"
    assert second["exception"] == "EndpointConnectionError"


@pytest.mark.parametrize(
    "key",
    ["name", "customerName", "e_mail", "Email", "phone", "newPassword", "payment_token", "captchaToken", "secretCode"],
)
@pytest.mark.parametrize("value", ["Ada", 1815, True, ["Ada", "Lovelace"], {"first": "Ada"}, object()])
def test_what_is_called_so_is_erased_whatever_it_is(key: str, value: Any) -> None:
    logs.logger().info("told", extra={"what": {key: value}})
    assert lines()[0]["what"] == {key: logs.ERASED}


def test_a_message_that_is_json_is_looked_through_as_such() -> None:
    logs.logger().info(json.dumps({"name": "Ada", "count": 1, "all": [{"phone": 1}]}))
    assert lines()[0]["message"] == {"name": logs.ERASED, "count": 1, "all": [{"phone": logs.ERASED}]}


def test_what_is_kept_for_all_lines_to_come_is_looked_through_too() -> None:
    logs.logger().append_keys(email="ada@example.com", buyer="ada@example.com")
    try:
        logs.logger().info("told")
    finally:
        logs.logger().remove_keys(["email", "buyer"])
    assert "ada@" not in LOG.taken()


def test_an_exception_that_stands_beside_is_told_like_any_other() -> None:
    logs.logger().info("told", extra={"why": KeyError("Ada Lovelace")})
    assert lines()[0]["why"] == "KeyError"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_names_nobody_stays(text: str) -> None:
    logs.logger().info(text, extra={"what": text, "more": {"deep": [text]}, "count": 7, "none": [None, 1.5, True]})
    (line,) = lines()
    assert str(line["message"]) == line["what"] == line["more"]["deep"][0] == text
    assert (line["count"], line["none"]) == (7, [None, 1.5, True])


@pytest.mark.parametrize(
    "text",
    [
        "@" * 20_000,
        "a" * 60_000,
        "+1" * 30_000,
        "1 " * 30_000,
        "password" * 8_000,
        "a.b-@" * 9_000,
        "a-" * 30_000,
        "a_b-" * 15_000 + "=",
        "password-" * 7_000 + ":",
        "eyJaaaaaa." * 6_000,
        "Bearer " * 9_000,
        "input_value=" * 5_000,
        "'" * 60_000,
        "0 1" * 20_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    logs.erased("made ready 1")
    started = time.process_time()
    assert len(logs.erased(text)) <= 16_100
    assert time.process_time() - started < 2


_ENVIRONMENT = {"PYTHONPATH": "layers/holdfast", "PYTHONDONTWRITEBYTECODE": "1"}

_LAZY = """
import sys
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from holdfast.platform import http
def masking():
    return sorted(name for name in sys.modules if "data_masking" in name or "jsonpath" in name)
request = {"path": "/", "resource": "/", "httpMethod": "GET", "headers": {}, "body": None}
http.entry(APIGatewayRestResolver())(request, None)
assert not masking(), masking()
http.logger().info("ada@example.com")
assert masking()
"""


def test_what_masks_is_imported_by_the_first_text_that_needs_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _LAZY],
        cwd=ROOT,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "ada@" not in ran.stdout


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in (FUNCTIONS, ROOT / "layers" / "holdfast"):
        for path in sorted(folder.rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def test_nothing_but_the_one_logger_writes() -> None:
    for path, tree in _sources():
        if path.endswith("platform/logs.py"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert "Logger" not in {alias.name for alias in node.names}, path
                assert node.module != "logging", path
            if isinstance(node, ast.Import):
                assert "logging" not in {alias.name for alias in node.names}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path


def test_messages_are_sentences_of_ours_that_nothing_is_put_into() -> None:
    for path, tree in _sources():
        for node in ast.walk(tree):
            is_line = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "_logger"
            )
            if is_line and isinstance(node, ast.Call):
                assert len(node.args) == 1, path
                assert isinstance(node.args[0], ast.Constant), path


def test_a_request_leaves_one_line_that_says_what_was_asked_and_how_it_ended(api: Api) -> None:
    api.reserve("ada@example.com", "none", 1)
    (line,) = lines_of(api, "/api/users/ada@example.com/reservations")
    assert (line["route"], line["method"], line["status"]) == ("/api/users/{user_id}/reservations", "GET", 200)
    assert "ada@" not in json.dumps(line)


def lines_of(api: Api, target: str) -> list[dict[str, Any]]:
    """Return what is logged of a request, whatever it is answered."""
    context = {"tenant": api.tenant, "name": api.name, "roles": api.roles, "scopes": "*"}
    send(event("GET", target, authorizer=context, headers={"Authorization": "Bearer " + JWT}))
    return [json.loads(line) for line in LOG.last.splitlines()]


@pytest.mark.parametrize("text", ["Ada Lovelace", *TEXTS.values()])
def test_a_defect_that_repeats_what_was_sent_is_logged_without_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError(f"cannot store {text}")

    monkeypatch.setattr(Store, "_call", broken)
    logged = lines_of(api, "/api/products")
    assert [line["level"] for line in logged] == ["ERROR", "INFO"]
    assert logged[1]["status"] == 500
    assert text not in json.dumps(logged, ensure_ascii=False)


@pytest.mark.parametrize("said", ["Ada Lovelace", 'by "Ada" of it', "+442079460958"])
def test_whatever_the_handler_tests_send_is_looked_for_in_the_log(
    api: Api, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def talkative(*_: Any) -> None:
        LOG.write(json.dumps({"what": said}))
        raise Unavailable

    monkeypatch.setattr(Store, "_call", talkative)
    body = {"name": 'by "Ada" of it' if '"' in said else "Ada Lovelace", "phone": "+442079460958"}
    with pytest.raises(AssertionError, match="personal"):
        api.post("/api/v1/users", body)


DOCUMENT = json.loads((ROOT / "openapi.json").read_text())
OPERATIONS = [(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods]
PERSONAL = ["Ada Lovelace-Byron", "ada.lovelace@example.com", "+442079460958", "9876543210", "correct-Horse-7", JWT]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = DOCUMENT["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def filled(schema: dict[str, Any], value: Any, depth: int = 0) -> Iterator[Any]:
    """Return bodies of a schema's shapes, with the value in the place of every text and number that they have."""
    known = resolved(schema)
    for choice in ("anyOf", "oneOf", "allOf"):
        for option in known.get(choice, []):
            yield from filled(option, value, depth)
    if "properties" in known and depth < 4:
        parts = {name: list(filled(part, value, depth + 1)) or [value] for name, part in known["properties"].items()}
        for number in range(max(map(len, parts.values()), default=0)):
            yield {name: options[number % len(options)] for name, options in parts.items()}
    elif known.get("type") == "array":
        yield from ([part] for part in filled(known.get("items", {}), value, depth + 1))
    elif "properties" not in known and not {"anyOf", "oneOf", "allOf"} & set(known):
        yield value


@pytest.mark.parametrize("value", PERSONAL)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_route_logs_what_names_a_person_wherever_it_is_sent(api: Api, method: str, path: str, value: str) -> None:
    operation = DOCUMENT["paths"][path][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    bodies = list(filled(content["schema"], value)) if content else [None]
    everybody = "admin customer operator service staff"
    context = {
        "tenant": api.tenant,
        "name": value,
        "roles": everybody,
        "scopes": "*",
        "credential": f"session:{value}:1",
    }
    headers = {
        "Authorization": f"Bearer {value}",
        "Content-Type": "application/json",
        "Idempotency-Key": value.replace(" ", "-"),
        "User-Agent": value,
        "X-Captcha-Token": value,
        "X-Tenant-Id": api.tenant,
    }
    escaped = quote(value, safe="@")
    names = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
    query = "&".join(f"{name}={escaped}" for name in names)
    target = re.sub(r"\{\w+\}", escaped, path) + ("?" + query if query else "")
    for body in bodies:
        text = None if body is None else json.dumps(body)
        send(event(method, target, text=text, headers=headers, authorizer=context))
        said = LOG.last.replace(f'"route":"{path}"', "")
        assert "request" in said
        assert "unexpected" not in said
        for gone in (value, escaped, value.replace(" ", "-")):
            assert gone not in said
