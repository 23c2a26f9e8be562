"""The REST API: who may call what, and what it answers by itself."""

import json
from typing import Any

import pytest

PUBLIC_ROUTES = {
    "get /api/v1/bookings/venue/{venue_id}/availability",
    "get /api/v1/check-in/keys",
    "get /api/v1/docs",
    "get /api/v1/health",
    "get /api/v1/openapi.json",
    "get /api/v1/venues",
    "get /api/v1/venues/{venue_id}",
    "get /api/v1/venues/{venue_id}/availability",
    "post /api/v1/bookings/check-availability",
    "post /sandbox/{tenant}/payments/{payment_id}",
    "post /webhooks/{provider}/{tenant}",
}
CATCH_ALL = {"/", "/{proxy+}"}
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


def test_every_route_asks_who_is_calling_but_the_public_ones(api: dict[str, Any]) -> None:
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            public = path in CATCH_ALL or f"{method} {path}" in PUBLIC_ROUTES
            expected = "NONE" if public else "BearerAuthorizer"
            assert [list(scheme) for scheme in operation["security"]] == [[expected]], f"{method} {path}"


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


def test_no_gateway_response_is_unknown_to_this_test(api: dict[str, Any]) -> None:
    assert set(api["Body"]["x-amazon-apigateway-gateway-responses"]) == set(ANSWERED_BY_THE_API)


def test_the_stage_throttles(production: dict[str, Any]) -> None:
    (settings,) = production["Resources"]["ApiStage"]["Properties"]["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert int(settings["ThrottlingRateLimit"]) > 0
    assert int(settings["ThrottlingBurstLimit"]) > 0


def test_a_host_name_of_its_own_is_for_the_emulator_only(production: dict[str, Any], emulated: dict[str, Any]) -> None:
    local_only = {"LocalDomainName", "LocalBasePathMapping"}
    assert not local_only & set(production["Resources"])
    assert local_only <= set(emulated["Resources"])
