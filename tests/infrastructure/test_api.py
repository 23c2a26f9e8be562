"""The REST API: who may call what, and what it answers by itself."""

import json
import re
from typing import Any

import pytest

from holdfast.platform import http
from holdfast.platform.access import CATCH_ALL, ROUTES
from local import template

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
ANSWERED_BY_THE_API = {
    "ACCESS_DENIED": "403",
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "BAD_REQUEST_BODY": "400",
    "BAD_REQUEST_PARAMETERS": "400",
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": "401",
    "INTEGRATION_FAILURE": "502",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "INVALID_SIGNATURE": "401",
    "MISSING_AUTHENTICATION_TOKEN": "405",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
    "WAF_FILTERED": "403",
}


def operations(api: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the API does, by address and method, but for what nobody has an address for."""
    return {
        (path, method.upper()): operation
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
        if path not in CATCH_ALL
    }


def function_of(operation: dict[str, Any]) -> str:
    match = re.search(r"\$\{(\w+)\.Arn\}", str(operation["x-amazon-apigateway-integration"]["uri"]))
    assert match
    return match[1]


def test_the_routes_are_those_of_the_table_of_who_may_call_them(api: dict[str, Any]) -> None:
    """A route without a row in the table, and a row without a route, fail here."""
    listed = {(path, method) for path, methods in ROUTES.items() for method in methods}
    assert {route for route in operations(api) if route[1] != "OPTIONS"} == listed


def test_every_route_asks_who_is_calling_but_the_public_ones(api: dict[str, Any]) -> None:
    for (path, method), operation in operations(api).items():
        public = method == "OPTIONS" or ROUTES[path][method].is_public
        expected = "NONE" if public else "BearerAuthorizer"
        assert [list(scheme) for scheme in operation["security"]] == [[expected]], f"{method} {path}"
    for path in CATCH_ALL:
        for operation in api["Body"]["paths"][path].values():
            assert operation["security"] == [{"NONE": []}]


def test_every_address_answers_a_preflight_at_a_function_that_has_it(api: dict[str, Any]) -> None:
    """One function cannot answer them all: its resource policy has no room for so many permissions."""
    found = operations(api)
    for path in {path for path, _ in found}:
        others = {
            function_of(operation)
            for (where, method), operation in found.items()
            if where == path and method != "OPTIONS"
        }
        assert function_of(found[path, "OPTIONS"]) in others, path


def test_the_authorizer_goes_by_the_authorization_header_alone_and_is_cached_a_minute(api: dict[str, Any]) -> None:
    scheme = api["Body"]["components"]["securitySchemes"]["BearerAuthorizer"]
    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")
    authorizer = scheme["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "token"
    assert authorizer["authorizerResultTtlInSeconds"] == 60


def test_what_no_route_takes_reaches_the_catch_all_with_any_method(api: dict[str, Any]) -> None:
    for path in CATCH_ALL:
        methods = api["Body"]["paths"][path]
        assert set(methods) == METHODS
        assert all("UnknownRouteFunction" in str(operation) for operation in methods.values())


def test_methods_are_named_since_an_emulator_drops_any(api: dict[str, Any]) -> None:
    assert {method for methods in api["Body"]["paths"].values() for method in methods} <= METHODS


@pytest.mark.parametrize("kind", ANSWERED_BY_THE_API)
def test_what_the_api_answers_itself_has_the_one_error_shape(api: dict[str, Any], kind: str) -> None:
    response = api["Body"]["x-amazon-apigateway-gateway-responses"][kind]
    assert str(response.get("statusCode")) == str(ANSWERED_BY_THE_API[kind])
    assert list(response["responseTemplates"]) == ["application/json"]
    body = json.loads(response["responseTemplates"]["application/json"])
    assert set(body) - {"retry_after"} == {"success", "error", "code", "request_id"}
    assert body["success"] is False
    assert body["error"].endswith(".")
    assert body["code"].replace("_", "").isalpha()
    assert body["request_id"] == "$context.requestId"


def test_the_api_echoes_nothing_of_a_request(api: dict[str, Any]) -> None:
    """A gateway's templates do not escape; only the request's own id is safe in one."""
    for kind, response in api["Body"]["x-amazon-apigateway-gateway-responses"].items():
        template = response["responseTemplates"]["application/json"]
        assert template.replace("$context.requestId", "").count("$") == 0, kind
        for header in response.get("responseParameters", {}).values():
            assert header == "context.requestId" or header[0] == header[-1] == "'", kind


def test_what_the_api_answers_itself_is_as_safe_to_show_as_everything_else(api: dict[str, Any]) -> None:
    for kind, response in api["Body"]["x-amazon-apigateway-gateway-responses"].items():
        headers = {
            name.removeprefix("gatewayresponse.header."): value.strip("'")
            for name, value in response["responseParameters"].items()
        }
        # A policy of one word: the gateway quotes values, and those of the other policy have quotes in them.
        expected = {name: values[0] for name, values in http._HEADERS.items()} | {"Content-Security-Policy": "sandbox"}
        assert expected.items() <= headers.items(), kind


def test_pages_of_other_origins_read_what_the_api_answers_itself_where_any_may_call(
    production: dict[str, Any], switched_on: dict[str, Any]
) -> None:
    def allowed(document: dict[str, Any]) -> set[str | None]:
        responses = document["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
        name = "gatewayresponse.header.Access-Control-Allow-Origin"
        return {response["responseParameters"].get(name) for response in responses.values()}

    assert allowed(production) == {None}
    assert allowed(switched_on) == {"'*'"}


def test_no_gateway_response_is_unknown_to_this_test(api: dict[str, Any]) -> None:
    assert set(api["Body"]["x-amazon-apigateway-gateway-responses"]) == set(ANSWERED_BY_THE_API)


LIKE_ALL = {"MetricsEnabled", "ThrottlingRateLimit", "ThrottlingBurstLimit"}
RESERVING = {
    ("/api/orders", "POST"),
    ("/api/reserve", "POST"),
    ("/api/reserve/bulk", "POST"),
    ("/api/v1/bookings", "POST"),
    ("/api/v1/reservations", "POST"),
    ("/api/v1/venues/{venue_id}/bookings", "POST"),
}
CHECKING_OUT = {
    ("/api/checkout", "POST"),
    ("/api/checkout", "PUT"),
    ("/api/payments", "POST"),
    ("/api/v1/reservations/{reservation_id}/checkout", "POST"),
}


def throttles(document: dict[str, Any]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the bounds (average a second, burst) by address and method, as API Gateway reads them."""
    settings = document["Resources"]["ApiStage"]["Properties"]["MethodSettings"]
    for one in settings:
        # A method's settings are its own: what they leave out is not taken from those of all.
        assert one.keys() == LIKE_ALL | {"ResourcePath", "HttpMethod"}
        assert one["MetricsEnabled"] is True
    found = {
        (one["ResourcePath"].removeprefix("/").replace("~1", "/"), one["HttpMethod"]): (
            int(one["ThrottlingRateLimit"]),
            int(one["ThrottlingBurstLimit"]),
        )
        for one in settings
    }
    assert len(found) == len(settings)
    return found


def test_the_stage_throttles_everything_and_some_ways_in_by_bounds_of_their_own(
    production: dict[str, Any], api: dict[str, Any]
) -> None:
    found = throttles(production)
    assert found.pop(("*", "*")) == (10_000, 5_000)
    # A bound for a method that is not there fails a deployment.
    assert set(found) <= set(operations(api))
    signing_in = {
        (path, method)
        for path, method in operations(api)
        if path.startswith("/api/users/") and method == "POST" and ROUTES[path][method].is_public
        # Whoever is signed in stays so in a rush of sign-ins.
        if path != "/api/users/refresh"
    }
    assert len(signing_in) == 7
    assert set(found) == RESERVING | CHECKING_OUT | signing_in
    assert {found[route] for route in RESERVING} == {(5_000, 2_500)}
    assert {found[route] for route in CHECKING_OUT} == {(300, 500)}
    assert {found[route] for route in signing_in} == {(100, 200)}


def test_bounds_are_parameters(built: dict[str, Any]) -> None:
    numbers = ("RequestsPerSecond", "ReservesPerSecond", "CheckoutsPerSecond", "SignInsPerSecond")
    bursts = ("RequestBurst", "ReserveBurst", "CheckoutBurst", "SignInBurst")
    chosen = {name: str(number) for number, name in enumerate((*numbers, *bursts), 1)}
    found = throttles(template.resolved(built, Stage="prod", **chosen))
    assert set(found.values()) == {(1, 5), (2, 6), (3, 7), (4, 8)}


def test_a_host_name_of_its_own_is_for_the_emulator_only(production: dict[str, Any], emulated: dict[str, Any]) -> None:
    local_only = {"LocalDomainName", "LocalBasePathMapping"}
    assert not local_only & set(production["Resources"])
    assert local_only <= set(emulated["Resources"])
