"""The errors of the API document: which a route can answer with, by what it takes and by what it declares."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.platform import http
from holdfast.platform.errors import (
    Busy,
    Conflict,
    Fault,
    Forbidden,
    HoldfastError,
    IdempotencyKeyMalformed,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    Malformed,
    NotFound,
    Refused,
    TenantSuspended,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from local import template
from local.openapi_examples import example_of

Json = dict[str, Any]

KEY_HEADER = "Idempotency-Key"
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

REFUSALS = {
    "insufficient_stock": "There are not that many left.",
    "product_not_found": "There is no such product.",
    "not_on_sale": "This is not on sale.",
    "limit_exceeded": "One user may have at most 2 of this.",
    "ticket_type_not_found": "There is no such ticket type.",
    "seats_not_named": "Tickets of this type have numbered seats: name them.",
    "seat_taken": "This seat is taken.",
    "seat_not_found": "There is no such seat.",
    "ticket_not_found": "There is no such ticket.",
    "already_reserved": "The ticket is reserved already.",
    "own_listing": "Nobody buys their own ticket.",
    "venue_not_found": "There is no such venue.",
    "time_conflict": "That time is not free.",
    "too_soon": "Bookings are made at least 120 minutes before they start.",
    "too_short": "Bookings last at least 60 minutes.",
    "too_long": "Bookings last at most 10080 minutes.",
    "calendar_full": "That day has as many bookings as a calendar keeps.",
    "slot_not_found": "There is no such slot.",
    "slot_begun": "This has begun already.",
    "pax_type_unknown": "There is no such pax type here.",
    "pax_below_minimum": "At least 2 of Adult are taken at once.",
    "pax_above_maximum": "At most 20 of Adult are taken at once.",
}
"""Why a line of a reservation is refused."""

_OF_PRODUCTS = ("insufficient_stock", "product_not_found", "not_on_sale", "limit_exceeded")
_OF_TICKETS = (
    "seat_taken",
    "seat_not_found",
    "seats_not_named",
    "insufficient_stock",
    "not_on_sale",
    "limit_exceeded",
)

_REFUSALS_BY_BODY: dict[str, dict[int, tuple[str, Sequence[str]]]] = {
    "ReservationBody": {409: ("items.0", tuple(REFUSALS))},
    "DealBulkBody": {400: ("items.0", _OF_PRODUCTS)},
    "DealReserveBody": {
        400: ("quantity", _OF_PRODUCTS),
        409: ("seatDetails.0.metaData.seatNumbers.0", _OF_TICKETS),
    },
    "ResaleOrderBody": {400: ("ticketId", ("own_listing", "not_on_sale"))},
}
"""Which line is refused, and why, by what is sent and with which status."""

SCHEMAS: Json = {
    "Error": {
        "type": "object",
        "description": "The body of every error, on every route; a firewall's own 429 alone has no `request_id`.",
        "properties": {
            "success": {"type": "boolean", "const": False},
            "error": {"type": "string", "description": "A sentence for a person."},
            "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "description": "Stable; for programs."},
            "request_id": {"type": "string", "description": "What to ask us by."},
            "errors": {
                "type": "array",
                "minItems": 1,
                "description": "Where fields, or lines of a cart, are at fault: each of them.",
                "items": {"$ref": "#/components/schemas/ErrorField"},
            },
            "retry_after": {"type": "integer", "minimum": 1, "description": "Seconds; as in the header Retry-After."},
        },
        "required": ["success", "error", "code", "request_id"],
    },
    "ErrorField": {
        "type": "object",
        "description": "One field, or one line of a cart, at fault.",
        "properties": {
            "field": {"type": "string", "description": "As the client wrote it, such as `items.1.quantity`."},
            "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
            "message": {"type": "string", "description": "A sentence for a person."},
        },
        "required": ["field", "code", "message"],
    },
}

HEADERS: Json = {
    "RequestId": {
        "description": "The request's own id, on every answer; name it when you ask us.",
        "required": True,
        "schema": {"type": "string", "examples": [REQUEST_ID]},
    },
    "RetryAfter": {
        "description": "Seconds after which to try again, with the same Idempotency-Key.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
    "RateLimitLimit": {
        "description": "How often this may be done in the stretch of time that is counted.",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "examples": [10]},
    },
    "RateLimitRemaining": {
        "description": "How often it may still be done in that time.",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "examples": [0]},
    },
    "RateLimitReset": {
        "description": "Seconds until it may be done again.",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "examples": [17]},
    },
    "EntityTag": {
        "description": "Stands for this very answer; sent in `If-None-Match`, it asks for another one.",
        "required": True,
        "schema": {"type": "string", "examples": ['"0123456789abcdef0123456789abcdef"']},
    },
    "CacheControl": {
        "description": "For how long the answer may be shown to the same caller again, without asking by its `ETag`.",
        "required": True,
        "schema": {"type": "string", "examples": ["private, max-age=10"]},
    },
    "LastModified": {
        "description": "When the partner was last asked, of any day shown; missing where it never was.",
        "required": False,
        "schema": {"type": "string", "examples": ["Sun, 23 Mar 2025 04:00:00 GMT"]},
    },
    "Age": {
        "description": "Seconds since the partner was asked, of the day asked about longest ago; "
        "gateways may name it `x-amzn-Remapped-Age`.",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "examples": [242]},
    },
    "Challenge": {
        "description": "What kind of credential is needed.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer", "examples": ["Bearer"]},
    },
}

_LIMITED = "LimitReached"
"""The response of routes that count how often somebody does something."""

_SHARED = {
    401: "Unauthorized",
    403: "Forbidden",
    413: "BodyTooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "Unavailable",
    504: "GatewayTimeout",
}
"""Responses that are the same on every route that has them."""

_BY_THE_GATEWAY = {429: "THROTTLED", 502: "INTEGRATION_FAILURE", 504: "INTEGRATION_TIMEOUT"}
"""Statuses that API Gateway answers with by itself, and by which of the template's gateway responses."""


_WHATEVER_IT_IS_ABOUT: dict[int, tuple[HoldfastError, ...]] = {
    401: (Unauthorized(),),
    403: (Forbidden(), TenantSuspended()),
    413: (http.BodyTooLarge(),),
    415: (http.UnsupportedMediaType(),),
    503: (Busy(), Unavailable()),
}
"""What a route answers with of itself, by status, if it answers with that status whatever it is about."""


def header(name: str) -> Json:
    """A reference to a documented header."""
    return {"$ref": f"#/components/headers/{name}"}


def shared_responses(template_file: Path) -> Json:
    """The responses that routes refer to; those of API Gateway are as the template has them."""
    gateway = template.read(template_file)["Resources"]["Api"]["Properties"]["GatewayResponses"]
    bodies = {
        status: [json.loads(gateway[kind]["ResponseTemplates"]["application/json"])]
        for status, kind in _BY_THE_GATEWAY.items()
    }
    bodies[500] = [http.internal_error(REQUEST_ID)]
    bodies |= {status: [_body(error) for error in errors] for status, errors in _WHATEVER_IT_IS_ABOUT.items()}
    shared = {
        _SHARED[status]: _response(status, [found | {"request_id": REQUEST_ID} for found in bodies[status]])
        for status in sorted(bodies)
    }
    limited = _response(http.status_of(TooManyRequests), [_body(_KINDS[TooManyRequests.code]())])
    for name in ("Limit", "Remaining", "Reset"):
        limited["headers"][f"RateLimit-{name}"] = header(f"RateLimit{name}")
    return shared | {_LIMITED: limited}


def shared_statuses(method: str, *, public: bool, static: bool) -> set[int]:
    """The statuses that a route can answer with whatever it is about; a `static` one looks nothing up."""
    shared = {429, 500, 502, 504} | (set() if public else {401, 403}) | (set() if static else {503})
    return shared | ({413, 415} if method in ("post", "put", "patch") else set())


def responses_of(operation: Json, schemas: Mapping[str, Json], shared: set[int]) -> Json:
    """All error responses of an operation, by status; references to `shared` ones where there is no more to say."""
    declared: Json = operation["responses"]
    found: dict[int, list[HoldfastError]] = {}
    for error in _by_what_it_takes(operation):
        found.setdefault(http.status_of(type(error)), []).append(error)
    for status, codes in _declared(declared):
        errors = [error for code in codes for error in _instances(code, status, operation)]
        found.setdefault(status, []).extend(errors)
    own = {}
    for status, errors in found.items():
        common = _WHATEVER_IT_IS_ABOUT.get(status, ()) if status in shared else ()
        each_once = list({error.code: error for error in (*common, *errors)}.values())
        if not common or len(each_once) > len(common):
            adding = _adding(declared, status, each_once, schemas)
            own[str(status)] = _response(status, [_body(error) for error in each_once], adding)
    if any(isinstance(error, TooManyRequests) for errors in found.values() for error in errors):
        own[str(http.status_of(TooManyRequests))] = _reference(_LIMITED)
    return {str(status): _reference(_SHARED[status]) for status in shared} | own


def _reference(response: str) -> Json:
    return {"$ref": f"#/components/responses/{response}"}


def _by_what_it_takes(operation: Json) -> Iterable[HoldfastError]:
    parameters = operation.get("parameters", [])
    key = next((parameter for parameter in parameters if parameter["name"] == KEY_HEADER), None)
    if parameters or "requestBody" in operation:
        yield Malformed(faults=[_fault(operation)])
    if "requestBody" in operation:
        yield http.BadJson()
    if any(parameter["in"] == "path" for parameter in parameters):
        yield NotFound()
    if key is not None:
        if key["required"]:
            yield IdempotencyKeyRequired()
        yield IdempotencyKeyMalformed()
        if "requestBody" in operation:
            yield IdempotencyKeyReused()


def _declared(responses: Json) -> Iterable[tuple[int, list[str]]]:
    """The codes that a route's function declares through `http.answers`, by status."""
    for status, response in responses.items():
        if not response["description"]:
            yield int(status), list(response["content"][http.JSON]["examples"])


def _instances(code: str, status: int, operation: Json) -> Sequence[HoldfastError]:
    if code == Refused.code:
        body = next(name for name in _REFUSALS_BY_BODY if f"/{name}'" in str(operation["requestBody"]))
        field, reasons = _REFUSALS_BY_BODY[body][status]
        return [Refused([Fault(field, REFUSALS[reason], reason)]) for reason in reasons]
    return [_KINDS[code]()]


def _kinds(kind: type[HoldfastError]) -> Iterable[type[HoldfastError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


_KINDS: dict[str, Callable[[], HoldfastError]] = {kind.code: kind for kind in _kinds(HoldfastError)}
_KINDS[TooManyRequests.code] = lambda: TooManyRequests(limit=10, window=60, retry_after=17)


def _fault(operation: Json) -> Fault:
    """A field that this operation has, at fault."""
    if "requestBody" in operation:
        return Fault("body", "Field required", "missing")
    name, schema = operation["parameters"][0]["name"], operation["parameters"][0]["schema"]
    if schema.get("type") == "integer":
        return Fault(name, "Input should be greater than or equal to 1", "greater_than_equal")
    if "pattern" in schema:
        return Fault(name, f"String should match pattern '{schema['pattern']}'", "string_pattern_mismatch")
    return Fault(name, "Input is none of those that there are", "enum")


def _body(error: HoldfastError) -> Json:
    return http.error_body(error, REQUEST_ID)


def _adding(declared: Json, status: int, errors: Sequence[HoldfastError], schemas: Mapping[str, Json]) -> "_Adding":
    content = declared[str(status)]["content"][http.JSON] if str(status) in declared else {}
    if "schema" not in content:
        return None
    codes = [error.code for error in errors if isinstance(error, Conflict)]
    return content["schema"], example_of(content["schema"], schemas, "response"), codes


_Adding = tuple[Json, Json, list[str]] | None
"""A schema that some errors of a response have besides, an example of it, and the codes of those errors."""


def _response(status: int, bodies: Sequence[Json], adding: _Adding = None) -> Json:
    headers = {"X-Request-Id": header("RequestId")}
    if all("retry_after" in body for body in bodies):
        headers["Retry-After"] = header("RetryAfter")
    if status == http.status_of(Unauthorized):
        headers["WWW-Authenticate"] = header("Challenge")
    examples = {body["code"]: {"summary": body["error"], "value": body} for body in bodies}
    codes = list(examples)
    schema = _schema(codes)
    if adding is not None:
        more, example, adding_codes = adding
        schema = {"anyOf": [_schema([code for code in codes if code not in adding_codes]), _schema(adding_codes, more)]}
        for code in adding_codes:
            examples[code]["value"] |= json.loads(json.dumps(example).replace("insufficient_stock", code))
    return {
        "description": bodies[0]["error"] if len(codes) == 1 else f"One of {', '.join(f'`{code}`' for code in codes)}.",
        "headers": headers,
        "content": {http.JSON: {"schema": schema, "examples": examples}},
    }


def _schema(codes: Sequence[str], *more: Json) -> Json:
    known = {"type": "object", "properties": {"code": {"enum": list(codes)}}}
    return {"allOf": [{"$ref": "#/components/schemas/Error"}, *more, known]}
