"""Bad requests of every kind, at every route that takes a body: one shape, and nothing is changed by them."""

import base64
import json
import re
from typing import Any

import pytest

from holdfast.platform.access import ROUTES
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Busy, InvariantBroken, Unavailable
from holdfast.platform.http import MAX_BODY_BYTES
from tests.handlers.account import Aws
from tests.handlers.bodies import SENDINGS, Sending, prepare
from tests.handlers.gateway import Api, event, load, send

every_sending = pytest.mark.parametrize("sending", SENDINGS, ids=[sending.name for sending in SENDINGS])

BAD_JSON = {
    "broken off": '{"user_id": "alice", ',
    "not JSON": "user_id=alice",
    "two values": "{} {}",
    "trailing comma": '{"user_id": "alice",}',
    "single quotes": "{'user_id': 'alice'}",
    "comment": "{} // that is all",
    "NaN": '{"quantity": NaN}',
    "Infinity": '{"quantity": -Infinity}',
    "10 000 digits": '{"quantity": ' + "9" * 10_000 + "}",
    "lone surrogate": '{"user_id": "\\ud800"}',
    "lone surrogate as a name": '{"\\uDC00": 1}',
    "byte order mark": "\ufeff{}",
    "raw control character": '{"user_id": "a\x00b"}',
    "deep list": "[" * 50_000,
    "deep object": '{"a":' * 10_000,
    "unclosed text": '"',
    "blank": "  ",
}

NO_OBJECT = {"null": "null", "list": "[1]", "text": '"text"', "number": "17", "true": "true", "empty": "{}"}


@every_sending
def test_every_sending_is_good_as_it_stands(api: Api, sending: Sending) -> None:
    prepare(api)
    assert sending.send(api).status == sending.success


@every_sending
@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_bad_json_is_400_bad_json_and_changes_nothing(api: Api, aws: Aws, sending: Sending, text: str) -> None:
    before = aws.dump()
    answer = sending.send_text(api, text)
    assert (answer.status, answer.code) == (400, "bad_json")
    assert aws.dump() == before


@every_sending
@pytest.mark.parametrize("text", NO_OBJECT.values(), ids=NO_OBJECT.keys())
def test_a_body_of_the_wrong_type_is_400(api: Api, sending: Sending, text: str) -> None:
    prepare(api)
    answer = sending.send_text(api, text)
    if sending.method == "PATCH" and text == "{}":
        assert answer.status == 200  # a change of nothing
    else:
        assert (answer.status, answer.code) == (400, "validation_failed")


@every_sending
def test_a_missing_body_is_400(api: Api, sending: Sending) -> None:
    answer = sending.sender(api).request(sending.method, sending.path, key="k")
    assert (answer.status, answer.faults()) == (400, {"body": "missing"})


@every_sending
@pytest.mark.parametrize("wrong", [None, True, 17, -1.5, "", "\x00", "x" * 5000, [], [[]], {}, {"a": 1}, 10**400])
def test_no_field_takes_a_value_of_a_wrong_type_and_none_is_a_500(api: Api, sending: Sending, wrong: Any) -> None:
    prepare(api)
    for name in sending.body:
        answer = sending.send(api, sending.body | {name: wrong}, key=f"k-{name}")
        assert answer.status in (200, 201, 400, 403, 404)


@every_sending
def test_unknown_fields_are_refused_on_the_unified_api_and_ignored_on_the_older_ones(
    api: Api, sending: Sending
) -> None:
    prepare(api)
    answer = sending.send(api, sending.body | {"colour": {"red": [1, None]}})
    if sending.strict:
        assert (answer.status, answer.faults()) == (400, {"colour": "extra_forbidden"})
    else:
        assert answer.status == sending.success


@every_sending
def test_deep_nesting_that_can_be_read_is_judged_like_any_value(api: Api, sending: Sending) -> None:
    prepare(api)
    deep = "[" * 400 + "]" * 400
    text = json.dumps(sending.body)[:-1] + f', "unknown": {deep}}}'
    assert sending.send_text(api, text).status == (400 if sending.strict else sending.success)


@every_sending
def test_a_body_of_up_to_the_limit_is_read_and_one_byte_more_is_413(api: Api, aws: Aws, sending: Sending) -> None:
    prepare(api)
    text = json.dumps(sending.body)
    before = aws.dump()
    refused = sending.send_text(api, text.ljust(sending.most_bytes + 1))
    assert (refused.status, refused.code) == (413, "body_too_large")
    assert aws.dump() == before
    assert sending.send_text(api, text.ljust(sending.most_bytes)).status == sending.success


@every_sending
def test_the_limit_counts_bytes_of_the_text_whatever_it_came_as(api: Api, sending: Sending) -> None:
    wide = '{"name": "' + "ü" * (sending.most_bytes // 2) + '"}'
    assert len(wide) < sending.most_bytes
    assert sending.send_text(api, wide).status == 413
    assert sending.send_text(api, wide, encoded=True).status == 413
    assert sending.send_text(api, "x" * 6_000_000).status == 413


@every_sending
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/html; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "application/json-patch+json",
        "<script>",
    ],
)
def test_a_body_that_says_that_it_is_not_json_is_415(api: Api, aws: Aws, sending: Sending, content_type: str) -> None:
    before = aws.dump()
    answer = sending.send(api, headers={"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert aws.dump() == before


@every_sending
@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=UTF-8", ""])
def test_a_body_that_says_json_or_nothing_is_read(api: Api, sending: Sending, content_type: str) -> None:
    prepare(api)
    assert sending.send(api, headers={"Content-Type": content_type}).status == sending.success


@every_sending
def test_a_base64_body_is_read_like_any_other(api: Api, sending: Sending) -> None:
    prepare(api)
    assert sending.send(api, encoded=True).status == sending.success
    assert sending.send_text(api, "{", encoded=True).code == "bad_json"


@every_sending
@pytest.mark.parametrize("body", ["%%%", "e30", "é", base64.b64encode(b"\xff\xfe\xfd").decode()])
def test_a_base64_body_that_is_none_is_400_bad_json(api: Api, sending: Sending, body: str) -> None:
    sender = sending.sender(api)
    context = {"tenant": sender.tenant, "name": sender.name, "roles": sender.roles, "scopes": sender.scopes}
    request = event(sending.method, sending.path, text=body, authorizer=context) | {"isBase64Encoded": True}
    answer = send(request)
    assert (answer.status, answer.code) == (400, "bad_json")


@every_sending
def test_a_lone_surrogate_that_is_not_escaped_is_no_500(api: Api, sending: Sending) -> None:
    prepare(api)
    name = next(iter(sending.body))
    answer = sending.send_text(api, json.dumps(sending.body | {name: "\ud800"}, ensure_ascii=False))
    assert answer.status == 400


def whole_caller(tenant: str) -> dict[str, str]:
    """Return the context of a caller whom every route of a tenant lets in."""
    roles = "admin customer operator service staff"
    return {"tenant": tenant, "name": "ada", "roles": roles, "scopes": "*", "credential": "session:ada:1700000000"}


WITH_A_BODY = sorted(
    (method, address)
    for address, methods in ROUTES.items()
    for method in methods
    if method in ("PATCH", "POST", "PUT") and not address.startswith(("/webhooks", "/sandbox"))
)


@pytest.mark.parametrize(("method", "address"), WITH_A_BODY)
def test_no_route_reads_a_body_beyond_its_limit_or_of_another_kind(
    api: Api, aws: Aws, method: str, address: str
) -> None:
    most = 1_048_576 if address.startswith("/api/events") else MAX_BODY_BYTES
    path = re.sub(r"\{\w+\}", "1", address)
    before = aws.dump()

    def answered(text: str, kind: str = "application/json") -> tuple[int, str]:
        headers = {"X-Tenant-Id": api.tenant, "Content-Type": kind}
        answer = send(event(method, path, text=text, headers=headers, authorizer=whole_caller(api.tenant)))
        return answer.status, answer.code

    assert answered("{" + " " * most) == (413, "body_too_large")
    assert answered("ü" * (most // 2 + 1)) == (413, "body_too_large")
    assert answered("{}", "text/plain") == (415, "unsupported_media_type")
    assert aws.dump() == before


def test_a_read_with_a_body_is_answered_as_without() -> None:
    api = Api("t-reads")
    for target in ("/api/products", "/api/users/alice/reservations", "/api/v1/reservations?user_id=alice"):
        answer = api.get(target, text="{not json", headers={"Content-Type": "text/plain"})
        assert answer.status == 200


FAULTS = [
    RuntimeError("secret detail"),
    KeyError("secret detail"),
    InvariantBroken("secret detail"),
    RecursionError("secret detail"),
    MemoryError("secret detail"),
]


@every_sending
@pytest.mark.parametrize("fault", FAULTS, ids=[type(fault).__name__ for fault in FAULTS])
def test_a_defect_of_ours_is_500_and_tells_nothing_but_the_id_to_ask_by(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch, sending: Sending, fault: Exception
) -> None:
    prepare(api)
    before = aws.dump()

    def broken(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(Store, "_call", broken)
    answer = sending.send(api)
    monkeypatch.undo()
    assert (answer.status, answer.code) == (500, "internal_error")
    assert set(answer.json) == {"success", "error", "code", "request_id"}
    for leak in ("secret", type(fault).__name__, ".py", "line "):
        assert leak not in answer.text
    assert aws.dump() == before


@pytest.mark.parametrize(
    "target",
    ["/api/products", "/api/products/1", "/api/users/alice/reservations", "/api/v1/reservations?user_id=alice"],
)
def test_a_defect_of_ours_is_500_for_reads_too(api: Api, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Store, "_call", broken)
    assert (api.get(target).status, "secret" in api.get(target).text) == (500, False)


@every_sending
@pytest.mark.parametrize("error", [Unavailable(), Busy()], ids=["unavailable", "busy"])
def test_a_store_that_does_not_serve_is_503_and_says_when_to_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch, sending: Sending, error: Any
) -> None:
    prepare(api)

    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Store, "_call", failing)
    answer = sending.send(api)
    assert (answer.status, answer.code) == (503, error.code)
    assert answer.headers["Retry-After"] == str(answer.json["retry_after"]) == "1"


@pytest.mark.parametrize("function", ["products", "flash_deals", "reservations", "health", "unknown_route"])
@pytest.mark.parametrize(
    "broken",
    [
        {"path": None},
        {"httpMethod": None},
        {"resource": None},
        {"resource": "/api/none"},
        {"headers": []},
        {"requestContext": None},
        {"body": 17, "httpMethod": "POST"},
        {"queryStringParameters": 17, "multiValueQueryStringParameters": 17},
    ],
    ids=str,
)
def test_an_event_that_no_gateway_sends_is_still_answered(function: str, broken: dict[str, Any]) -> None:
    context = {"tenant": "t-x", "name": "key", "roles": "admin service", "scopes": "*"}
    request = event("GET", "/api/products", authorizer=context) | broken
    returned = load(function).handler(request, None)
    assert returned["statusCode"] in (200, 400, 401, 404, 405, 500)
    assert returned["multiValueHeaders"]["X-Request-Id"]


@pytest.mark.parametrize(
    ("address", "odd"),
    [
        ("/api/products", "/api/products/%0A"),
        ("/api/products", "/api/products/%2F"),
        ("/api/products", "/api/products//"),
        ("/api/products/1", "/api/products/1%0A"),
        ("/api/products/1", "/api/products/1\n"),
        ("/api/products/1", "/api/products%2F1"),
        ("/api/products/1/status", "/api/products/1%2Fstatus"),
        ("/api/users/alice/reservations", "/api/users/alice/reservations%0A"),
        ("/api/users/alice/reservations", "/api/users/alice%2freservations"),
    ],
)
def test_an_address_that_only_decodes_to_another_is_not_that_other(api: Api, address: str, odd: str) -> None:
    prepare(api)
    assert api.get(address).status == 200
    context = {"tenant": api.tenant, "name": api.name, "roles": api.roles, "scopes": api.scopes}
    request = event("GET", address, authorizer=context) | {"path": odd}
    assert send(request, "flash_deals" if "users" in odd else "products").status == 404


def test_an_escape_that_needs_none_is_the_same_address(api: Api) -> None:
    prepare(api)
    assert api.get("/api/users/%61lice/reservations").json == api.get("/api/users/alice/reservations").json
