"""Requests that no well-meant client sends, through the gateway: refused in the one shape, never echoed, never 5xx."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

SHAPE = {"success", "error", "code", "request_id"}
SCRIPT = "<script>alert(1)</script>"


def assert_refused(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json().keys() >= SHAPE
    assert answer.json()["success"] is False
    assert "<" not in answer.text
    assert "<" not in str(answer.headers)


@pytest.mark.parametrize("user", ["a@b.example", "a+b", "auth0|123", "urn:x:y", "a=b", "A.b_c-d", "0", "x" * 128])
def test_whatever_a_login_provider_calls_a_user_works_in_body_path_and_query(client: httpx.Client, user: str) -> None:
    product = client.post("/api/products", json={"name": "Laptop", "total_stock": 3}).json()["data"]["id"]
    held = client.post("/api/reserve", json={"user_id": user, "product_id": product, "quantity": 1})
    assert held.status_code == 200, held.text
    listed = client.get(f"/api/users/{quote(user, safe='')}/reservations")
    assert [hold["user_id"] for hold in listed.json()["data"]] == [user]
    found = client.get("/api/v1/reservations", params={"user_id": user})
    assert [item["user_id"] for item in found.json()["items"]] == [user]
    assert client.delete(f"/api/reserve/{quote(user, safe='')}/{product}").status_code == 200


@pytest.mark.parametrize(
    "odd",
    ["%00", "%2F", "%252F", "%FF", "%20", "..%2F..", "%0A", "%3Cscript%3E", "%F0%9F%92%BB", "x" * 3000, ";a=b", "%25"],
)
def test_an_odd_id_in_a_path_is_refused(client: httpx.Client, odd: str) -> None:
    for method, path in (
        ("GET", f"/api/products/{odd}"),
        ("GET", f"/api/products/{odd}/status"),
        ("GET", f"/api/users/{odd}/reservations"),
        ("DELETE", f"/api/reserve/{odd}/1"),
        ("GET", f"/api/v1/reservations/{odd}"),
        ("POST", f"/api/v1/reservations/{odd}/extend"),
        ("GET", f"/{odd}"),
    ):
        assert_refused(client.request(method, path))


@pytest.mark.parametrize("name", ["user_id", "status", "limit", "next"])
@pytest.mark.parametrize("value", ["", "%00", "%FF", quote(SCRIPT), "a%26b", "x" * 3000])
def test_an_odd_value_in_a_query_is_refused(client: httpx.Client, name: str, value: str) -> None:
    user = "" if name == "user_id" else "user_id=alice&"
    assert_refused(client.get(f"/api/v1/reservations?{user}{name}={value}"))


@pytest.mark.parametrize(
    "header", ["Idempotency-Key", "Content-Type", "X-Request-Id", "X-Forwarded-For", "User-Agent", "Accept", "Cookie"]
)
def test_a_script_in_a_header_comes_back_nowhere(client: httpx.Client, header: str) -> None:
    body = json.dumps({"user_id": SCRIPT, "items": SCRIPT, SCRIPT: SCRIPT}).encode()
    sent = {"Content-Type": "application/json", header: SCRIPT}
    assert_refused(client.post("/api/v1/reservations", content=body, headers=sent))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe{}",
        b'{"user_id": "\\ud800"}',
        b'{"quantity": NaN}',
        b'{"quantity": ' + b"9" * 10_000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"\x00",
        b"{}" * 50_000,
    ],
    ids=["bytes", "surrogate", "nan", "digits", "lists", "objects", "null", "large"],
)
@pytest.mark.parametrize(
    "path", ["/api/products", "/api/reserve", "/api/reserve/bulk", "/api/checkout", "/api/v1/reservations"]
)
def test_a_body_that_is_no_json_is_refused(client: httpx.Client, path: str, content: bytes) -> None:
    headers: dict[str, Any] = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    assert_refused(client.post(path, content=content, headers=headers))
