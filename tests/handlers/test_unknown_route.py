"""Every address that no function has, and every method that an address does not answer to."""

import re

import pytest

from holdfast.platform import access
from tests.handlers.gateway import FUNCTIONS, Answer, Api, event, function_of, send

METHODS = {"DELETE", "GET", "PATCH", "POST", "PUT"}
ROUTES = {address: sorted(methods) for address, methods in access.ROUTES.items()}


def concrete(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path)


def left_over(method: str, path: str, text: str | None = None) -> Answer:
    """Ask as the gateway passes on what no route of its own takes."""
    return send(event(method, path, text=text) | {"resource": "/{proxy+}"}, "unknown_route")


@pytest.mark.parametrize("method", sorted(METHODS | {"HEAD", "OPTIONS"}))
@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/api", "/api/", "/api/v2/reservations", "/api/products/1/2/3", "/api/reserve/", "/%00", "//"],
)
def test_an_unknown_address_is_404_for_every_method(method: str, path: str) -> None:
    answer = left_over(method, path, "{not json")
    assert (answer.status, answer.code) == (404, "not_found")


def test_an_unknown_address_is_404_for_a_caller_too(api: Api) -> None:
    assert api.get("/nothing").status == 404
    assert api.post("/nothing", {"a": 1}).status == 404


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_a_known_address_with_another_method_is_405_and_says_which_there_are(path: str) -> None:
    for method in METHODS - set(ROUTES[path]):
        answer = left_over(method, concrete(path))
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == ", ".join([*ROUTES[path], "OPTIONS"])


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_options_of_a_known_address_is_204_with_its_methods(path: str) -> None:
    answer = left_over("OPTIONS", concrete(path))
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Allow"] == ", ".join([*ROUTES[path], "OPTIONS"])


def test_the_known_addresses_are_those_of_the_functions() -> None:
    declared: dict[str, set[str]] = {}
    for folder in FUNCTIONS.iterdir():
        source = (folder / "app.py").read_text() if (folder / "app.py").is_file() else ""
        for method, path in re.findall(r'^@app\.(\w+)\(\s*"([^"]+)"', source, re.MULTILINE):
            declared.setdefault(re.sub(r"<(\w+)>", r"{\1}", path), set()).add(method.upper())
    assert declared == {path: set(methods) for path, methods in ROUTES.items()}


def test_no_known_address_is_left_to_the_catch_all() -> None:
    documented = {"/api/v1/docs", "/api/v1/openapi.json"}
    for path in ROUTES.keys() - documented:
        assert function_of(concrete(path)) != "unknown_route"
