"""Nothing that a request brings comes back as something that a browser would run."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.handlers.bodies import SENDINGS, Sending, prepare
from tests.handlers.gateway import Answer, Api

SCRIPT = "<script>alert('x')</script>"

every_sending = pytest.mark.parametrize("sending", SENDINGS, ids=[sending.name for sending in SENDINGS])


def assert_harmless(answer: Answer) -> None:
    for place in (answer.text, *answer.headers.values()):
        assert "<" not in place
        assert ">" not in place
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def spoilt(body: dict[str, Any], script: Any) -> list[dict[str, Any]]:
    """Return the body once for each of its fields, at any depth, with the script in its place."""
    found = [body | {name: script} for name in body]
    if isinstance(body.get("items"), list):
        (line,) = body["items"]
        found += [body | {"items": [changed]} for changed in spoilt(line, script)]
    return found


@every_sending
@pytest.mark.parametrize("script", [SCRIPT, [SCRIPT], {SCRIPT: SCRIPT}], ids=["text", "list", "object"])
def test_a_script_in_any_field(api: Api, sending: Sending, script: Any) -> None:
    prepare(api)
    for number, body in enumerate(spoilt(sending.body, script)):
        assert_harmless(sending.send(api, body, key=f"k{number}"))


@every_sending
def test_a_script_as_the_name_of_a_field(api: Api, sending: Sending) -> None:
    prepare(api)
    assert_harmless(sending.send(api, sending.body | {SCRIPT: 1}))
    assert_harmless(sending.send(api, {SCRIPT: 1}))


@every_sending
def test_a_script_for_a_body(api: Api, sending: Sending) -> None:
    for text in (SCRIPT, f'"{SCRIPT}"', f'["{SCRIPT}"]'):
        assert_harmless(sending.send_text(api, text))


@every_sending
@pytest.mark.parametrize(
    "header",
    [
        "Accept",
        "Authorization",
        "Content-Type",
        "Cookie",
        "Host",
        "Idempotency-Key",
        "Origin",
        "Prefer",
        "Referer",
        "User-Agent",
        "X-Forwarded-For",
        "X-Request-Id",
        "X-Tenant-Id",
        "Traceparent",
    ],
)
def test_a_script_in_any_header(api: Api, sending: Sending, header: str) -> None:
    prepare(api)
    answer = sending.send(api, key=None, headers={header: SCRIPT})
    assert_harmless(answer)
    assert "script" not in "".join(answer.headers.values())


@pytest.mark.parametrize(
    "target",
    [
        "/{}",
        "/api/products/{}",
        "/api/products/{}/status",
        "/api/products?limit={}",
        "/api/products?after={}",
        "/api/products?{}=1",
        "/api/users/{}/reservations",
        "/api/reserve/{}/1",
        "/api/reserve/alice/{}",
        "/api/v1/reservations/{}",
        "/api/v1/reservations/{}/extend",
        "/api/v1/reservations?user_id={}",
        "/api/v1/reservations?user_id=alice&status={}",
        "/api/v1/reservations?user_id=alice&next={}",
        "/api/v1/reservations?user_id=alice&limit={}",
        "/api/events?next={}",
        "/api/events?limit={}",
        "/api/events/{}",
        "/api/events/{}/ticket-types",
        "/api/events/{}/seats",
        "/api/initial-call/{}",
        "/api/initial-call/1?ticketTypeId={}",
        "/api/v1/events/{}/seats",
        "/api/v1/events/1/seats?section={}",
        "/api/v1/users/{}",
        "/api/v1/users/phone/{}",
        "/api/v1/users?role={}",
        "/api/v1/users?page={}",
        "/api/v1/users?next={}",
        "/api/v1/health?{}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_script_anywhere_in_an_address(api: Api, target: str, method: str) -> None:
    for script in (SCRIPT.replace("/", ""), quote(SCRIPT, safe=""), quote("<img src=x onerror=alert(1)>")):
        assert_harmless(api.request(method, target.format(script), {"a": 1}))


def test_a_name_of_mark_up_is_kept_as_it_is_and_shown_escaped(api: Api) -> None:
    name = "<b>R&D</b> \u2028 'x' \"y\" 💻"
    product = api.post("/api/products", {"name": name, "total_stock": 1, "description": SCRIPT}).data["id"]
    answer = api.get(f"/api/products/{product}")
    assert answer.data["name"] == name
    assert answer.data["description"] == SCRIPT
    assert_harmless(answer)
    assert_harmless(api.get(f"/api/products/{product}/status"))
