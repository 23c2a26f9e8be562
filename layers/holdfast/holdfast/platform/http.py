"""HTTP: the one wrapper around every function with routes, the one shape of errors, and all status codes.

Whatever happens, a handler returns an answer: an exception that left it would show its message to the caller.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from email.utils import formatdate
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from holdfast.platform.access import CATCH_ALL, ROUTES
from holdfast.platform.caller import Caller, from_context, to_context
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
    PaymentRequired,
    ProviderUnavailable,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from holdfast.platform.logs import logger
from holdfast.platform.settings import OriginSettings, settings

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse, OpenAPIResponseContentModel
    from pydantic import BaseModel

MAX_BODY_BYTES = 64 * 1024
"""A cart of twenty lines is under 3 KB; API Gateway's own limit is 10 MB, Lambda's 6 MB."""

_MOST_FAULTS = 100
"""Fields that one answer names: a body may be wrong in more places than an answer has room for."""

_KEY_HEADER = "idempotency-key"
_OTHER_KEY_HEADER = "x-idempotency-key"
_CAPTCHA_HEADER = "x-captcha-token"

_CONFLICT = "conflict"

_NOT_MODIFIED = 304

JSON = "application/json"

FRESH_SECONDS = 10
"""How long an answer that may be kept is good, after the moment that it was given at."""

_ENTITY_TAG = re.compile(r'(?:W/)?("[!#-~\x80-\xff]*")')

_T = TypeVar("_T")
Event = dict[str, Any]
Answer = dict[str, Any]


class MethodNotAllowed(HoldfastError):
    """The address exists, but not with this method."""

    code = "method_not_allowed"
    sentence = "This address does not answer to this method."

    def __init__(self, allowed: Sequence[str]) -> None:
        """Take the methods that the address does answer to."""
        super().__init__()
        self.allowed = tuple(allowed)


class BodyTooLarge(HoldfastError):
    """The body is larger than any request to this address is."""

    code = "body_too_large"
    sentence = "The body is too large."

    def __init__(self, most_bytes: int = MAX_BODY_BYTES) -> None:
        """Take how many bytes a body may have."""
        super().__init__(f"A body may have at most {most_bytes} bytes.")


class TenantRequired(Malformed):
    """A public address was asked without saying whose."""

    code = "tenant_required"
    sentence = "Say whose: send the tenant's id in an X-Tenant-Id header, or ask the tenant's own host."


class UnsupportedMediaType(HoldfastError):
    """The body is not JSON by its Content-Type."""

    code = "unsupported_media_type"
    sentence = "Bodies are application/json."


class BadJson(Malformed):
    """The body is not JSON text."""

    code = "bad_json"
    sentence = "The body is not valid JSON."


_STATUS: dict[type[HoldfastError], int] = {
    Malformed: 400,
    Unauthorized: 401,
    PaymentRequired: 402,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    IdempotencyKeyReused: 422,
    TooManyRequests: 429,
    Busy: 503,
    Unavailable: 503,
    ProviderUnavailable: 503,
    HoldfastError: 500,
}

_HEADERS = {
    "Cache-Control": ["no-store"],
    "Content-Security-Policy": ["default-src 'none'; frame-ancestors 'none'"],
    "Referrer-Policy": ["no-referrer"],
    "Strict-Transport-Security": ["max-age=63072000; includeSubDomains"],
    "X-Content-Type-Options": ["nosniff"],
    "X-Frame-Options": ["DENY"],
}
"""What every answer has, unless its route says otherwise."""

_SHOWN_TO_PAGES = {
    "Access-Control-Expose-Headers": [
        "Age, Allow, ETag, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, "
        "X-Next, X-Request-Id"
    ],
}
"""What an answer to a page of another origin has besides: the headers that the page's scripts may read."""

_LET_TO_PAGES = {
    "Access-Control-Allow-Headers": [
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer, X-Captcha-Token, X-Idempotency-Key, "
        "X-Tenant-Id"
    ],
    "Access-Control-Max-Age": ["7200"],
}
"""What an answer to a browser has that asks first, for such a page: what may be sent, and how long (s) that is good."""

_ANY_ORIGIN = "*"

_logger = logger()


def read_json(text: str) -> Any:
    """Return the value of a JSON text; every way in which it can be wrong is a json.JSONDecodeError."""
    try:
        value = json.loads(text, parse_float=_number, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as wrong:
        raise json.JSONDecodeError("not valid JSON", "", 0) from wrong
    return value


def read_body(text: str) -> Any:
    """Return what a body says, for Powertools, which would take the first thing of a list for the whole of it."""
    value = read_json(text)
    return [value] if isinstance(value, list) else value


def _number(text: str) -> int | float:
    """Return the number that a JSON text with a point or an exponent is; 2.0 is a whole number as much as 2 is."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def entry(
    app: APIGatewayRestResolver,
    *,
    raw: Collection[str] = (),
    conflict: int = 409,
    most_bytes: int = MAX_BODY_BYTES,
) -> Callable[[Event, Any], Answer]:
    """Return the Lambda handler of a resolver.

    Who may call which of its routes is in `platform.access`. The bodies of `raw` routes (`POST /webhooks/{provider}`)
    may be anything (`raw_body`), those of all others are JSON. `conflict` is the status for refusals by state: older
    clients know them as 400. Bodies have `most_bytes`.
    """
    context: dict[str, Any] = {}

    def answer(error: HoldfastError) -> Response[dict[str, Any]]:
        context["code"] = error.code
        status = status_of(type(error), app.context.get(_CONFLICT, conflict))
        return Response(status, JSON, error_body(error, context["request_id"]), _headers_of(error))

    def answer_validation(wrong: RequestValidationError) -> Response[dict[str, Any]]:
        return answer(_malformed(wrong.errors()))

    def answer_unknown(_: NotFoundError) -> Response[dict[str, Any]]:
        return answer(NotFound())

    def answer_fault(fault: Exception) -> Response[dict[str, Any]]:
        _logger.exception("unexpected", exc_info=fault)
        context["code"] = "internal_error"
        return Response(500, JSON, internal_error(context["request_id"]))

    app.exception_handler(HoldfastError)(answer)
    app.exception_handler(RequestValidationError)(answer_validation)
    app.exception_handler(NotFoundError)(answer_unknown)
    app.exception_handler(Exception)(answer_fault)

    def handler(event: Event, lambda_context: Any) -> Answer:
        started = time.perf_counter()
        context.clear()
        context["request_id"] = _request_id(event, lambda_context)
        try:
            found = _methods_told(event) or _resolve(app, event, lambda_context, raw, most_bytes)
        except HoldfastError as error:
            found = _plain(answer(error))
        except Exception as fault:
            found = _plain(answer_fault(fault))
        if found["statusCode"] == _NOT_MODIFIED:
            _leave_out_body(found)
        headers = {**_HEADERS, **found.get("multiValueHeaders", {}), "X-Request-Id": [context["request_id"]]}
        if origins := _origins():
            _share(headers, event, origins)
        found["multiValueHeaders"] = headers
        found["body"] = found.get("body") or ""
        if headers.get("Content-Type") == [JSON]:
            found["body"] = _escaped(found["body"])
        _logger.info(
            "request",
            extra={
                "route": event.get("resource"),
                "method": event.get("httpMethod"),
                "status": found["statusCode"],
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
                **context,
            },
        )
        return found

    return handler


def refuse_with(app: APIGatewayRestResolver, status: int) -> None:
    """Answer refusals by state of the present request with `status`, whatever this function's others are answered."""
    app.context[_CONFLICT] = status


def status_of(kind: type[HoldfastError], conflict: int = 409) -> int:
    """Return the status code of a kind of error, where refusals by state are answered with `conflict`."""
    statuses = _STATUS | {Conflict: conflict}
    return next(statuses[ancestor] for ancestor in kind.__mro__ if ancestor in statuses)


def answers(
    status: int,
    hoped_for: str,
    *errors: type[HoldfastError],
    conflict: int = 409,
    adding: "type[BaseModel] | None" = None,
    is_conditional: bool = False,
) -> "dict[int, OpenAPIResponse]":
    """Return what a route declares of its answers: the one hoped for, and the errors beyond those of every route.

    `adding` is what the bodies of refusals by state carry besides. A route that `is_conditional` may answer that
    nothing changed. The API document is completed from this.
    """
    declared: dict[int, OpenAPIResponse] = {status: {"description": hoped_for}}
    if is_conditional:
        declared[_NOT_MODIFIED] = {"description": "What the client has is what would be answered."}
    for error_status in sorted({status_of(error, conflict) for error in errors}):
        here = [error for error in errors if status_of(error, conflict) == error_status]
        content: OpenAPIResponseContentModel = {"examples": {error.code: {"summary": error.sentence} for error in here}}
        if adding is not None and error_status == conflict:
            content["model"] = adding
        declared[error_status] = {"description": "", "content": {JSON: content}}
    return declared


def conditional(shown: _T, known: str | None, as_of: Sequence[int], now: int) -> Response[_T]:
    """Return the answer that shows a model, or models, whose parts are `as_of` (ms), for its caller to keep a moment.

    `known` is the request's If-None-Match: who has the very same answer is told so, and not sent it again (RFC 9110,
    9111). Age is that of the oldest part, Last-Modified the newest's; without `as_of` nobody knows how old it is.
    How long it is fresh does not grow with Age, which the gateway may hand on as x-amzn-Remapped-Age
    (docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html): without Age, freshness counts
    from when the answer came, and is as short as said; with Age, what is older is asked for again at once, by its tag.
    """
    from pydantic_core import to_json

    tag = f'"{sha256(to_json(shown)).hexdigest()[:32]}"'
    headers: dict[str, str | list[str]] = {
        "Cache-Control": f"private, max-age={FRESH_SECONDS}",
        "ETag": tag,
        "Vary": "Authorization",
    }
    if as_of:
        age = max(0, now - min(as_of)) // 1000
        headers |= {"Age": str(age), "Last-Modified": formatdate(max(as_of) // 1000, usegmt=True)}
    is_known = known is not None and (known.strip() == "*" or tag in _ENTITY_TAG.findall(known))
    return Response(_NOT_MODIFIED if is_known else 200, JSON, shown, headers)


def caller_of(app: APIGatewayRestResolver) -> Caller:
    """Return who makes the present request; raises Unauthorized."""
    return _caller(app.current_event.raw_event)


def public_tenant(app: APIGatewayRestResolver) -> str:
    """Return whose things a public request is about: as X-Tenant-Id says, else its host, else its credential.

    Raises TenantRequired where none of them says, and TenantNotFound for a tenant that is not there or suspended.
    """
    from holdfast.platform import tenancy

    found = tenancy.named(app.current_event.raw_event["headers"], tenancy.public_domain())
    if found is None:
        raise TenantRequired
    tenancy.opened(found)
    return found


def address_of(app: APIGatewayRestResolver) -> str:
    """Return the network address that the present request came from, as the gateway saw it: no header can change it."""
    context = app.current_event.raw_event.get("requestContext") or {}
    return str((context.get("identity") or {}).get("sourceIp") or "unknown")


def bearer_of(app: APIGatewayRestResolver) -> str | None:
    """Return the bearer credential of the present request as it was sent, unlooked at; None where there is none."""
    scheme, _, credential = (_header(app, "authorization") or "").strip().partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def captcha_token_of(app: APIGatewayRestResolver) -> str | None:
    """Return the captcha's token that the present request brings in its header; None where it brings none."""
    return _header(app, _CAPTCHA_HEADER) or None


def _header(app: APIGatewayRestResolver, name: str) -> str | None:
    found: str | None = app.current_event.raw_event["headers"].get(name)
    return found


def methods_of(address: str) -> list[str]:
    """Return the methods that an address of the table of routes answers to, in their order; OPTIONS comes last."""
    return [*sorted(ROUTES[address]), "OPTIONS"]


def raw_body(app: APIGatewayRestResolver) -> bytes:
    """Return the body of the present request, on a raw route, byte for byte as the client sent it."""
    event = app.current_event.raw_event
    return _bytes(event["body"], event["isBase64Encoded"])


def error_body(error: HoldfastError, request_id: str) -> dict[str, Any]:
    """Return the body that tells a client of `error`, in the house's one shape (WIRE.md, top)."""
    body: dict[str, Any] = {"success": False, "error": error.sentence, "code": error.code, "request_id": request_id}
    if error.faults:
        body["errors"] = [{"field": f.field, "code": f.code, "message": f.message} for f in error.faults]
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    return body | dict(error.extra)


def internal_error(request_id: str) -> dict[str, Any]:
    """Return the body for a defect of ours: it says nothing of what happened but the id to ask by."""
    return {
        "success": False,
        "error": "Something went wrong on our side.",
        "code": "internal_error",
        "request_id": request_id,
    }


def _headers_of(error: HoldfastError) -> dict[str, str | list[str]]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    headers: dict[str, str | list[str]] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, TooManyRequests):
        headers |= {
            "RateLimit-Limit": str(error.limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(error.retry_after),
        }
    return headers


def _leave_out_body(found: Answer) -> None:
    """Take away what Powertools holds against a route's model even where it is not to be sent."""
    found["body"] = ""
    found["multiValueHeaders"].pop("Content-Type", None)


def _escaped(text: str) -> str:
    """Return the JSON text with the characters that mean something in HTML written as JSON escapes."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resolve(
    app: APIGatewayRestResolver, event: Event, lambda_context: Any, raw: Collection[str], most_bytes: int
) -> Answer:
    method, resource = event["httpMethod"], event.get("resource") or ""
    _must_be_let(event, method, resource)
    is_raw = f"{method} {resource}" in raw
    normal = _normal_but_for_body(event, most_bytes) if is_raw else _normal(event, most_bytes)
    found: Answer = app.resolve(normal, lambda_context)
    return found


def _methods_told(event: Event) -> Answer | None:
    """Return the answer to a browser that asks what an address takes; None for any other request.

    Nobody is asked who they are: the browser asks by itself, and sends no credential.
    """
    if event["httpMethod"] != "OPTIONS" or event.get("resource") not in ROUTES:
        return None
    return {
        "statusCode": 204,
        "isBase64Encoded": False,
        "multiValueHeaders": {"Allow": [", ".join(methods_of(event["resource"]))]},
    }


def _share(headers: dict[str, list[str]], event: Event, origins: frozenset[str]) -> None:
    """Let pages of the origins that may read an answer read it; caches keep such answers apart by their origin."""
    is_for_any = _ANY_ORIGIN in origins
    if not is_for_any:
        headers["Vary"] = [*headers.get("Vary", ()), "Origin"]
    sent = event.get("headers")
    origin = (sent.get("origin") or sent.get("Origin")) if isinstance(sent, dict) else None
    if not is_for_any and origin not in origins:
        return
    headers["Access-Control-Allow-Origin"] = [_ANY_ORIGIN if is_for_any else str(origin)]
    if event.get("httpMethod") != "OPTIONS":
        headers |= _SHOWN_TO_PAGES
    elif "Allow" in headers:
        headers |= {**_LET_TO_PAGES, "Access-Control-Allow-Methods": headers["Allow"]}


@cache
def _origins() -> frozenset[str]:
    """Return the origins whose pages may call this API, each as browsers write it; none, or any, where so set."""
    return frozenset(filter(None, settings(OriginSettings).allowed_origins.split(",")))


def _must_be_let(event: Event, method: str, resource: str) -> None:
    """Let a request pass that the table of routes lets pass.

    Raises Unauthorized, Forbidden, what is revoked, and NotFound for a route that the table does not have.
    """
    if resource in CATCH_ALL:
        return
    access = ROUTES.get(resource, {}).get(method)
    if access is not None and access.is_public:
        return
    caller = _caller(event)
    if access is None:
        raise NotFound
    caller.must_be_let(method, access)
    if access.is_looked_at_anew:
        from holdfast.platform import revocation

        caller = revocation.looked_at_anew(caller)
        caller.must_be_let(method, access)
        event["requestContext"]["authorizer"] = to_context(caller)


def _caller(event: Mapping[str, Any]) -> Caller:
    return from_context((event.get("requestContext") or {}).get("authorizer") or {})


def _normal(event: Event, most_bytes: int) -> Event:
    """Return the event with its path decoded and its body as JSON text within bounds; GET and DELETE have no body.

    Both names of the idempotency key's header mean the same.
    """
    normal = _named_alike(event)
    headers = normal["headers"]
    body = event.get("body") if event["httpMethod"] not in ("GET", "DELETE") else None
    if body:
        body = _text(body, bool(event.get("isBase64Encoded")), most_bytes)
        if (headers.get("content-type") or JSON).partition(";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType
    return normal | {"headers": headers | {"content-type": JSON}, "body": body or "null", "isBase64Encoded": False}


def _normal_but_for_body(event: Event, most_bytes: int) -> Event:
    """Return the event with its path decoded, and its body within bounds as it came."""
    body, encoded = event.get("body") or "", bool(event.get("isBase64Encoded"))
    if len(_bytes(body, encoded)) > most_bytes:
        raise BodyTooLarge(most_bytes)
    return _named_alike(event) | {"body": body, "isBase64Encoded": encoded}


def _named_alike(event: Event) -> Event:
    """Return the event with its path decoded, its headers' names in lower case, one name for an idempotency key.

    A header that came several times is one with all its values: where there can be one only, that is none.
    """
    path = _decoded(event["path"])
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    repeated = {name.lower(): values for name, values in (event.get("multiValueHeaders") or {}).items()}
    for name, values in repeated.items():
        if len(values) > 1:
            headers[name] = ", ".join(dict.fromkeys(values))
            repeated[name] = [headers[name]]
    for named in (headers, repeated):
        if _OTHER_KEY_HEADER in named:
            named.setdefault(_KEY_HEADER, named[_OTHER_KEY_HEADER])
    return {**event, "path": path, "headers": headers, "multiValueHeaders": repeated or None}


def _decoded(path: str) -> str:
    """Return the path with its escapes resolved; what would then be read as another address is none."""
    decoded = unquote(path)
    if not decoded.isprintable() or decoded.count("/") != path.count("/") or "//" in decoded:
        raise NotFound
    return decoded


def _bytes(body: str, encoded: bool) -> bytes:
    """Return the bytes of a body; what says of itself that it is in base 64, and is not, has none."""
    try:
        return base64.b64decode(body, validate=True) if encoded else body.encode(errors="surrogatepass")
    except ValueError:
        return b""


def _text(body: str, encoded: bool, most_bytes: int) -> str:
    if encoded:
        try:
            body = base64.b64decode(body, validate=True).decode()
        except ValueError as wrong:
            raise BadJson from wrong
    if len(body) > most_bytes or len(body.encode(errors="replace")) > most_bytes:
        raise BodyTooLarge(most_bytes)
    return body


def _plain(response: Response[dict[str, Any]]) -> Answer:
    headers = {name: value if isinstance(value, list) else [value] for name, value in response.headers.items()}
    headers["Content-Type"] = [JSON]
    return {
        "statusCode": response.status_code,
        "body": json.dumps(response.body),
        "isBase64Encoded": False,
        "multiValueHeaders": headers,
    }


def _request_id(event: Event, lambda_context: Any) -> str:
    found = (event.get("requestContext") or {}).get("requestId") or getattr(lambda_context, "aws_request_id", None)
    return str(found or "unknown")


def _malformed(errors: Any) -> Malformed:
    """Return the error that names every field at fault; what the client sent is never repeated.

    What stands in angle brackets is the tag of one of several shapes that a body may have, and no field.
    """
    faults = []
    for error in errors:
        where = [str(part) for part in error["loc"] if not str(part).startswith("<")]
        if error["type"] == "json_invalid":
            return BadJson()
        if where[0] == "header" and where[-1].lower() == _KEY_HEADER:
            return IdempotencyKeyRequired() if error["type"] == "missing" else IdempotencyKeyMalformed()
        field = ".".join(where[1:]) or where[0]
        faults.append(Fault(field[:100], str(error["msg"])[:200], str(error["type"])))
        if len(faults) == _MOST_FAULTS:
            break
    return Malformed(faults=faults)
