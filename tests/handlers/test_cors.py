"""Browsers: what pages of other origins are told, by every function that has a route and by the catch-all."""

import json
import re
from collections.abc import Iterator

import pytest

from holdfast.platform import http
from holdfast.platform.access import ROUTES
from tests.handlers.account import Aws
from tests.handlers.gateway import FUNCTIONS, Answer, Api, event, load, send

PAGE, OTHER_PAGE = "https://shop.example", "https://evil.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the pages of one origin in, until the end of the test."""
    monkeypatch.setenv("ALLOWED_ORIGINS", f"{PAGE},https://other.example")
    http._origins.cache_clear()
    yield
    http._origins.cache_clear()


def shared(answer: Answer) -> set[str]:
    return {name for name in answer.headers if name.startswith("Access-Control-")}


def asked_first(address: str, headers: dict[str, str]) -> Answer:
    return send(event("OPTIONS", re.sub(r"\{\w+\}", "1", address), headers=headers))


@pytest.mark.parametrize("address", sorted(ROUTES))
def test_every_address_tells_a_page_what_may_be_sent_and_asks_nobody_who_they_are(address: str, aws: Aws) -> None:
    before = aws.dump()
    answer = asked_first(address, PREFLIGHT)
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Vary"] == "Origin"
    methods = ", ".join([*sorted(ROUTES[address]), "OPTIONS"])
    assert answer.headers["Access-Control-Allow-Methods"] == answer.headers["Allow"] == methods
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    refused = asked_first(address, PREFLIGHT | {"Origin": OTHER_PAGE})
    assert (refused.status, shared(refused)) == (204, set())
    assert aws.dump() == before


def test_a_known_address_that_reached_the_catch_all_tells_the_same() -> None:
    request = event("OPTIONS", "/api/v1/keys", headers=PREFLIGHT)
    own, left_over = send(request), send(request | {"resource": "/{proxy+}"}, "unknown_route")
    assert {**own.headers, "X-Request-Id": ""} == {**left_over.headers, "X-Request-Id": ""}
    assert (own.status, own.text) == (left_over.status, left_over.text) == (204, "")


def test_of_an_unknown_address_a_page_may_read_that_there_is_none_and_is_told_no_methods() -> None:
    answer = asked_first("/nothing", PREFLIGHT)
    assert (answer.status, shared(answer)) == (404, {"Access-Control-Allow-Origin"})


def test_a_page_may_read_answers_and_refusals_and_their_headers(api: Api) -> None:
    refused = send(event("GET", "/api/products", headers={"Origin": PAGE}))
    assert refused.status == 401
    for answer in (api.get("/api/products", headers={"origin": PAGE}), refused):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Next"} < set(exposed)
        assert answer.headers["Vary"] == "Origin"


def test_another_page_may_read_nothing_and_a_server_is_answered_as_ever(api: Api) -> None:
    for headers in ({"Origin": OTHER_PAGE}, {"Origin": PAGE.upper()}, {"Origin": "null"}, {}):
        answer = api.get("/api/products", headers=headers)
        assert (answer.status, shared(answer)) == (200, set())
        assert answer.headers["Vary"] == "Origin"


def test_no_answer_lets_a_page_send_cookies(api: Api) -> None:
    answer = api.get("/api/products", headers={"Origin": PAGE, "Cookie": "a=b"})
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_every_function_with_routes_answers_through_the_wrapper_that_tells_pages() -> None:
    for folder in sorted(FUNCTIONS.iterdir()):
        source = (folder / "app.py").read_text() if (folder / "app.py").is_file() else ""
        if "APIGatewayRestResolver(" in source:
            assert load(folder.name).handler.__module__ == http.__name__
            assert "cors=" not in source


def test_preflights_leave_the_caller_and_the_body_unlooked_at() -> None:
    request = event("OPTIONS", "/api/reserve", headers=PREFLIGHT | {"Content-Type": "text/plain"}, text="{not json")
    request["requestContext"]["authorizer"] = {"refusal": "tenant_suspended"}
    answer = send(request)
    assert answer.status == 204
    assert json.dumps(PREFLIGHT) not in answer.text
