"""What the API answers before any of our functions with a route is asked."""

import uuid

import httpx
import pytest

SHAPE = {"success", "error", "code", "request_id"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}], ids=["none", "empty"])
def test_a_request_without_a_credential_is_answered_401_in_the_one_error_shape(
    anonymous: httpx.Client, headers: dict[str, str]
) -> None:
    answer = anonymous.get("/api/products", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert set(answer.json()) == SHAPE
    assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize(
    "credential",
    ["Bearer hk_nobody_" + "0" * 64, "Bearer", "Bearer ü", "Basic YTpi", "hk_nobody", "Bearer " + "x" * 4000],
)
def test_a_wrong_credential_is_answered_401_in_the_one_error_shape(anonymous: httpx.Client, credential: str) -> None:
    answer = anonymous.get("/api/products", headers={"Authorization": credential.encode()})
    assert answer.status_code == 401
    assert set(answer.json()) == SHAPE
    assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_route_is_answered_404_in_the_one_error_shape(anonymous: httpx.Client, method: str) -> None:
    answer = anonymous.request(method, f"/{uuid.uuid4().hex}")
    assert answer.status_code == 404
    assert set(answer.json()) == SHAPE
    assert answer.json()["code"] == "not_found"


def test_a_method_that_nothing_answers_to_is_answered_405_in_the_one_error_shape(anonymous: httpx.Client) -> None:
    answer = anonymous.request("PROPFIND", "/api/products")
    assert answer.status_code == 405
    assert set(answer.json()) == SHAPE
    assert answer.json()["code"] == "method_not_allowed"


def test_a_known_address_says_which_methods_it_answers_to(anonymous: httpx.Client) -> None:
    answer = anonymous.put("/api/products")
    assert answer.status_code == 405
    assert set(answer.json()) == SHAPE
    assert {"GET", "POST"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
