"""The API document: current, complete, and true to the template and to its own schemas."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator, FormatChecker

from holdfast.platform import http
from holdfast.platform.access import ROUTES
from local import openapi, openapi_errors, template
from local.openapi_examples import example_of
from local.terminal import Failure
from tests.handlers.gateway import FUNCTIONS, load

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())
READING_POSTS = {"/api/v1/bookings/check-availability"}
"""Ask by POST, and write nothing that could be written twice."""

PUBLIC = {
    f"{method} {path}" for path, methods in ROUTES.items() for method, access in methods.items() if access.is_public
}
ABOUT_NO_TENANT = {*openapi.STATIC, "GET /api/v1/health", "GET /api/users/currentuser"}
"""Public routes that show nothing of a tenant, or go by the credential alone."""

ANSWERED_ANEW = {
    "/api/users/refresh",
    "/api/users/signin",
    "/api/users/signin/answer",
    "/api/users/signout",
    "/api/users/totp",
    "/api/users/totp/confirm",
}
"""Answer with tokens and secrets, which nobody keeps, or change nothing when they are repeated."""

TOLD_BY_PROVIDERS = {"/sandbox/{tenant}/payments/{payment_id}", "/webhooks/{provider}/{tenant}"}
"""Take each event, or what a payment is in, once; their senders know of no keys."""


def operations() -> list[Any]:
    return [
        pytest.param(path, method, operation, id=f"{method} {path}")
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to where in the document it leads."""
    if "$ref" not in node:
        return node
    found = DOCUMENT
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every body of an operation: its status or `request`, its media type, and what is said of it, if any."""
    if "requestBody" in operation:
        for kind, content in operation["requestBody"]["content"].items():
            yield "request", kind, content
    for status, response in operation["responses"].items():
        for kind, content in resolved(response).get("content", {}).items():
            yield status, kind, content


def examples(content: dict[str, Any]) -> list[Any]:
    return [content["example"]] if "example" in content else [one["value"] for one in content["examples"].values()]


def test_the_committed_document_is_what_the_code_says() -> None:
    assert openapi.DOCUMENT.read_text() == openapi.text()


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["servers"] == [{"url": "/"}]


def test_the_documentation_function_carries_the_one_committed_document() -> None:
    assert (FUNCTIONS / "documentation" / "openapi.json").resolve() == openapi.DOCUMENT


def test_the_table_of_who_may_call_what_has_exactly_the_routes_of_the_document() -> None:
    documented = {path: sorted(map(str.upper, methods)) for path, methods in DOCUMENT["paths"].items()}
    assert documented == {path: sorted(methods) for path, methods in ROUTES.items()}


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_every_route_says_whose_it_is(path: str, method: str, operation: dict[str, Any]) -> None:
    access = ROUTES[path][method.upper()]
    if access.is_public:
        assert not {"x-roles", "x-scope"} & set(operation)
        return
    assert operation["x-roles"] == sorted(access.roles)
    scope = None if access.for_people else f"{access.area}:{'read' if method == 'get' else 'write'}"
    assert operation.get("x-scope") == scope
    assert operation["x-looked-at-anew"] is access.is_looked_at_anew
    refused = resolved(operation["responses"]["403"])["content"][http.JSON]["examples"]
    assert {"forbidden", "tenant_suspended"} <= set(refused)


def test_every_tag_is_explained_and_every_explained_one_used() -> None:
    used = {
        tag for methods in DOCUMENT["paths"].values() for operation in methods.values() for tag in operation["tags"]
    }
    assert used == set(openapi.TAGS) == {tag["name"] for tag in DOCUMENT["tags"]}


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_every_route_is_described_in_whole_sentences(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["description"][0].isupper()
    assert operation["description"].endswith(".")
    assert not operation["summary"].endswith(".")


def test_descriptions_are_what_the_functions_say_of_themselves() -> None:
    described = DOCUMENT["paths"]["/api/v1/users/{user_id}"]["delete"]["description"]
    docstring = inspect.getdoc(load("personal_data").delete)
    assert docstring is not None
    assert described.split() == docstring.split()
    assert described.count("\n\n") == docstring.count("\n\n") > 0


def test_no_two_bodies_have_one_name() -> None:
    """The functions' documents are merged: the later of two of a name would stand for both."""
    found: dict[str, Any] = {}
    for folder in sorted(FUNCTIONS.iterdir()):
        app = getattr(load(folder.name), "app", None) if (folder / "app.py").is_file() else None
        schemas = json.loads(app.get_openapi_json_schema())["components"]["schemas"] if app is not None else {}
        for name, schema in schemas.items():
            assert found.setdefault(name, schema) == schema, f"{folder.name} has another {name}"
            assert "__" not in name, f"{folder.name} has two of {name}"
    assert set(DOCUMENT["components"]["schemas"]) - set(openapi_errors.SCHEMAS) <= set(found)


def test_the_template_has_exactly_the_routes_of_the_document_and_the_same_ones_are_public() -> None:
    deployed: dict[str, set[str]] = {}
    public: set[str] = set()
    for name, resource in template.read(openapi.ROOT / "template.yaml")["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function" or name == "UnknownRouteFunction":
            continue
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "Api":
                route = event["Properties"]
                if route["Method"].lower() == "options":
                    continue
                deployed.setdefault(route["Path"], set()).add(route["Method"].lower())
                if route.get("Auth", {}).get("Authorizer") == "NONE":
                    public.add(f"{route['Method']} {route['Path']}")
    assert deployed == {path: set(methods) for path, methods in DOCUMENT["paths"].items()}
    assert {f"{method.upper()} {path}" for method, path in (route.split() for route in public)} == PUBLIC


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_every_body_has_an_example_that_its_schema_takes(path: str, method: str, operation: dict[str, Any]) -> None:
    for where, kind, content in bodies(operation):
        schema = content["schema"] | {"components": DOCUMENT["components"]}
        validator = Draft202012Validator(schema, format_checker=FormatChecker())
        found = examples(content)
        assert found, f"{where} {kind}"
        for example in found:
            validator.validate(example)


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_every_code_of_an_error_has_an_example_and_no_error_another_shape(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    for status, kind, content in bodies(operation):
        if status == "request" or int(status) < 400 or (path, status) == ("/api/v1/health", "503"):
            continue
        assert kind == http.JSON
        options = content["schema"].get("anyOf", [content["schema"]])
        assert all({"$ref": "#/components/schemas/Error"} in option["allOf"] for option in options)
        codes = {code for option in options for code in option["allOf"][-1]["properties"]["code"]["enum"]}
        assert {example["code"] for example in examples(content)} == codes == set(content["examples"])


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_every_route_documents_what_the_gateway_and_the_wrapper_answer(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    statuses = set(operation["responses"])
    parameters = operation.get("parameters", [])
    route = f"{method.upper()} {path}"
    public = route in PUBLIC
    assert {"429", "500", "502", "504"} <= statuses
    optional = route in openapi.OPTIONALLY_SECURED
    assert operation["security"] == ([{"bearer": []}, {}] if optional else [] if public else [{"bearer": []}])
    assert public or {"401", "403"} <= statuses
    assert ("503" in statuses) == (route not in openapi.STATIC)
    assert ({"413", "415"} <= statuses) == (method in ("post", "put", "patch"))
    assert ("400" in statuses) == (bool(parameters) or "requestBody" in operation)
    assert "404" in statuses or "{" not in path
    keyed = any(parameter["name"] == "Idempotency-Key" for parameter in parameters)
    keyless = READING_POSTS | TOLD_BY_PROVIDERS | ANSWERED_ANEW
    assert keyed == (method == "post" and path not in keyless) or route == "PUT /api/checkout"
    assert ("422" in statuses) == (keyed and "requestBody" in operation)


def test_the_unified_route_that_reserves_needs_a_key_and_refuses_by_409() -> None:
    operation = DOCUMENT["paths"]["/api/v1/reservations"]["post"]
    (key,) = (parameter for parameter in operation["parameters"] if parameter["name"] == "Idempotency-Key")
    assert key["required"] is True
    assert "idempotency_key_required" in operation["responses"]["400"]["content"][http.JSON]["examples"]
    assert "insufficient_stock" in operation["responses"]["409"]["content"][http.JSON]["examples"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/reserve/bulk"),
        ("delete", "/api/reserve/{user_id}/{product_id}"),
        ("put", "/api/tickets/{ticket_id}"),
        ("post", "/api/orders"),
        ("patch", "/api/orders/{order_id}"),
    ],
)
def test_the_older_deals_and_the_older_marketplace_refuse_by_400(method: str, path: str) -> None:
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert "409" not in responses
    assert len(responses["400"]["content"][http.JSON]["examples"]) > 1


def test_public_routes_that_show_a_tenants_things_are_told_whose() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            told = [parameter for parameter in operation.get("parameters", []) if parameter["name"] == "X-Tenant-Id"]
            route = f"{method.upper()} {path}"
            asked = route in PUBLIC - ABOUT_NO_TENANT and "{tenant}" not in path
            assert bool(told) == asked, route
            if asked:
                assert "tenant_required" in resolved(operation["responses"]["400"])["content"][http.JSON]["examples"]
                assert "tenant_not_found" in resolved(operation["responses"]["404"])["content"][http.JSON]["examples"]


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_who_asks_for_a_captcha_says_how_to_bring_it_and_how_it_is_refused(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    brought = [one for one in operation.get("parameters", []) if one["name"] == "X-Captcha-Token"]
    refused = {
        code: status
        for status, response in operation["responses"].items()
        for code in resolved(response).get("content", {}).get(http.JSON, {}).get("examples", {})
        if code.startswith("captcha_")
    }
    asked = {"captcha_required": "400", "captcha_failed": "403", "captcha_unavailable": "503"}
    assert refused == (asked if brought else {})


CAPTCHA = {
    "post /api/checkout",
    "put /api/checkout",
    "post /api/orders",
    "post /api/payments",
    "post /api/reserve",
    "post /api/reserve/bulk",
    "post /api/v1/bookings",
    "post /api/v1/reservations",
    "post /api/v1/reservations/{reservation_id}/checkout",
    "post /api/v1/venues/{venue_id}/bookings",
}


def test_whatever_holds_or_buys_may_ask_for_a_captcha_and_counts() -> None:
    asking = {
        f"{method} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if any(one["name"] == "X-Captcha-Token" for one in operation.get("parameters", []))
    }
    assert asking == CAPTCHA
    for route in CAPTCHA:
        method, path = route.split()
        assert DOCUMENT["paths"][path][method]["responses"]["429"]["$ref"].endswith("/LimitReached"), route


def test_a_limit_that_is_reached_is_told_in_headers() -> None:
    headers = DOCUMENT["components"]["responses"]["LimitReached"]["headers"]
    assert set(headers) == {
        "X-Request-Id",
        "Retry-After",
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
    }
    counted = {
        path.removeprefix("/api/users/")
        for path, methods in DOCUMENT["paths"].items()
        for operation in methods.values()
        if operation["responses"]["429"]["$ref"].endswith("/LimitReached") and path.startswith("/api/users/")
    }
    assert counted == {
        "confirm",
        "confirm/resend",
        "forgot-password",
        "password",
        "reset-password",
        "signin",
        "signin/answer",
        "signup",
        "totp/confirm",
    }


def test_the_address_that_two_older_systems_share_refuses_each_in_its_own_way() -> None:
    responses = DOCUMENT["paths"]["/api/reserve"]["post"]["responses"]
    deals, tickets = (responses[status]["content"][http.JSON]["examples"] for status in ("400", "409"))
    assert {"insufficient_stock", "product_not_found"} <= set(deals)
    assert not {"seat_taken", "seat_not_found"} & set(deals)
    assert "seat_taken" in tickets
    assert "product_not_found" not in tickets
    refused = tickets["seat_taken"]["value"]
    assert refused["lockedSeats"]["lockedSeats"] == []
    assert refused["lockedSeats"]["unavailableSeats"]


def test_a_refused_cart_is_documented_for_every_kind_of_line() -> None:
    examples = DOCUMENT["paths"]["/api/v1/reservations"]["post"]["responses"]["409"]["content"][http.JSON]["examples"]
    assert {"insufficient_stock", "seat_taken", "already_reserved", "time_conflict"} <= set(examples)


def test_a_refused_bulk_request_is_documented_with_all_its_lines() -> None:
    response = DOCUMENT["paths"]["/api/reserve/bulk"]["post"]["responses"]["400"]["content"][http.JSON]
    refused = response["examples"]["insufficient_stock"]["value"]
    assert (refused["success"], refused["reserved"]) == (False, [])
    assert refused["failed"] == [{"product_id": "1", "reason": "insufficient_stock"}]
    malformed = response["examples"]["validation_failed"]["value"]
    assert "failed" not in malformed


def test_every_answer_documents_the_request_id() -> None:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                assert "X-Request-Id" in resolved(response)["headers"]
    for name in ("TooManyRequests", "Unavailable", "GatewayTimeout"):
        assert "Retry-After" in DOCUMENT["components"]["responses"][name]["headers"]


def test_a_field_without_an_example_is_named() -> None:
    schema = {"type": "object", "properties": {"quantity": {"type": "integer"}}}
    with pytest.raises(Failure, match=r"Cart\.quantity"):
        example_of(schema, {}, "Cart")


@pytest.mark.parametrize("content", [None, "{}"], ids=["missing", "stale"])
def test_check_says_in_one_sentence_that_the_document_is_not_current(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    document = tmp_path / "openapi.json"
    if content is not None:
        document.write_text(content)
    monkeypatch.setattr(openapi, "DOCUMENT", document)
    monkeypatch.setattr("sys.argv", ["openapi", "--check"])
    assert openapi.main() == 1
    assert capsys.readouterr().err == "openapi.json is not what the code says; make openapi writes it anew.\n"
    assert not document.exists() or document.read_text() == content


def test_a_function_that_cannot_be_imported_fails_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "functions" / "broken").mkdir(parents=True)
    broken = "from aws_lambda_powertools.event_handler import APIGatewayRestResolver\napp = APIGatewayRestResolver()\n"
    (tmp_path / "functions" / "broken" / "app.py").write_text(broken + "import there_is_no_such_module\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')
    monkeypatch.setattr(openapi, "ROOT", tmp_path)
    with pytest.raises(Failure, match="there_is_no_such_module"):
        openapi.document()
