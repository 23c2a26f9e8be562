"""The one OpenAPI document of the whole API: gathered from the functions, completed, and kept as openapi.json."""

import argparse
import ast
import json
import re
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler.openapi import OpenAPIMerge
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Server, Tag

from holdfast.platform import http
from holdfast.platform.access import ROUTES, Access, scope_of
from holdfast.platform.errors import CaptchaRequired
from holdfast.reservations.states import State
from local import openapi_errors
from local.openapi_errors import KEY_HEADER, header
from local.openapi_examples import example_of
from local.terminal import Failure, fail

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "openapi.json"

STATIC = {"GET /api/v1/docs", "GET /api/v1/openapi.json"}
"""Routes that look nothing up."""

DESCRIPTION = """\
Holds scarce things, sells each exactly once, and gives them back on time.

Every request carries `Authorization: Bearer <credential>`: the access token of a user who signed in, or a service key.
Each route says in `x-roles` whose it is, and in `x-scope` what a service key that is limited to scopes needs besides; a
route without one is about the account of somebody who signed in, and no key has any. Where `x-looked-at-anew` is true,
a credential that was revoked is refused at once, elsewhere within a minute. Public routes ask for no credential: they
are about the tenant of `X-Tenant-Id`, else of the host, else of a credential that comes along, and webhooks about that
of their address. Another tenant's ids, and another user's, are as ids that do not exist.

Bodies are `application/json` of at most 64 KiB, seat maps of 1 MiB. Every error has the same body, told apart by its
`code`, and every answer carries `X-Request-Id`. With an `Idempotency-Key` (or `X-Idempotency-Key`) every POST that has
one is safe to repeat: the same key and body get the same answer for at least 24 hours; after a 429, 503 or 504 repeat
it when `Retry-After` says. Where a tenant asks for a captcha, the token comes in `X-Captcha-Token` or in the body. Each
address answers `OPTIONS` with what it takes, and browsers' questions for the pages that the deployment lets in.

Refusals for the present state are 409, but 400 where the older flash deals and the older marketplace know them so.
Routes of older clients ignore unknown fields, the unified reservations refuse them."""

TAGS = {
    "accounts": "Signing up, in and out: e-mail addresses, passwords, second factors.",
    "reservations": "Carts over everything on sale: held all or not at all, for a while, at the price of that moment.",
    "orders": "What is bought of a reservation: paid, followed, cancelled, given back whole or in part.",
    "tickets": "Codes of bought tickets, at the door.",
    "webhooks": "What payment providers tell, known by its signature alone.",
    "settings": "What a tenant sets for itself, and what of it everybody may know.",
    "keys": "Service keys, with which a tenant's own servers call.",
    "tenants": "Who sells here: kept by operators, who are users and keys of the tenant `operator`.",
    "products": "Limited stock of the flash deals: put on sale, restocked, repriced, counted.",
    "flash deals": "The older way to hold and buy limited stock, one hold a user and product.",
    "events": "Events, their ticket types and seat maps, and what is left of them.",
    "event tickets": "The older way to hold and buy tickets to events, by seat or by number.",
    "marketplace": "Tickets that people resell to one another, and orders for them.",
    "venues": "Halls: opened, priced, closed for a time, and when they are free.",
    "bookings": "Halls, booked from one moment up to another, by nobody else.",
    "experiences": "Partners' products: put up, changed, and what of their slots can be had.",
    "sync": "The synchronisation with partners: begun, paused, watched.",
    "users": "Who is known to a tenant, by phone or by an account; invitations, and their personal data.",
    "operations": "How the service is.",
    "documentation": "This document.",
}

Json = dict[str, Any]

_HEADERS_IN = {name.lower(): name for name in (KEY_HEADER, "If-None-Match")}
"""How headers of requests are spelt, by how Powertools spells them."""

_OF_CONDITIONAL_ANSWERS = {
    "ETag": "EntityTag",
    "Cache-Control": "CacheControl",
    "Last-Modified": "LastModified",
    "Age": "Age",
}
"""The headers of what is answered to those who may have it already."""

TENANT_HEADER: Json = {
    "name": "X-Tenant-Id",
    "in": "header",
    "required": False,
    "description": "Whose; may be left out where the host or a credential names the tenant.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,39}$", "examples": ["demo"]},
}
"""How public routes are told the tenant."""

CAPTCHA_HEADER: Json = {
    "name": "X-Captcha-Token",
    "in": "header",
    "required": False,
    "description": "What the captcha gave; needed where the tenant asks for one. Good once.",
    "schema": {"type": "string", "examples": ["03AFcWeA5dqv"]},
}
"""How routes that may ask for a captcha are told that it was passed."""

OPTIONALLY_SECURED = {"GET /api/users/currentuser"}
"""Public routes that look at a credential where there is one."""


def document() -> Json:
    """The document as the code has it now; a Failure says what in the code is missing or in conflict."""
    merged = _merged()
    _check_routes(merged)
    described = _described()
    schemas = {name: _tidy(schema) for name, schema in merged["components"]["schemas"].items()}
    paths = {path: merged["paths"][path] for path in sorted(merged["paths"])}
    for path, methods in paths.items():
        for method in sorted(methods):
            operation = _tidy(methods[method]) | {"description": described[f"{method.upper()} {path}"]}
            methods[method] = _completed(path, method, operation, schemas)
    components = merged["components"] | {
        "schemas": _used(paths, schemas | openapi_errors.SCHEMAS),
        "headers": openapi_errors.HEADERS,
        "responses": openapi_errors.shared_responses(ROOT / "template.yaml"),
    }
    return merged | {"paths": paths, "components": components}


def text() -> str:
    """The document as the file has it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _merged() -> Json:
    """What the functions say by themselves; a function that cannot be imported only warns, so warnings are errors."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    merge = OpenAPIMerge(
        title="Holdfast",
        version=project["version"],
        description=DESCRIPTION,
        servers=[Server(url="/")],
        tags=[Tag(name=name, description=sentence) for name, sentence in TAGS.items()],
        security_schemes={
            "bearer": HTTPBearer(
                description="The access token of a user who signed in, good for some minutes, or a service key of the "
                "tenant, good until it is revoked. Either belongs to one tenant, whose things alone it reaches."
            )
        },
        on_conflict="error",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            merge.discover(path=ROOT / "functions", pattern="app.py", resolver_name="app", recursive=True)
            merged: Json = json.loads(merge.get_openapi_json_schema())
        except Exception as wrong:
            raise Failure(f"the functions do not make one document: {wrong}") from wrong
    return merged


def _described() -> dict[str, str]:
    """What the functions say of each of their routes, in the docstring of what answers it."""
    found = {}
    for function in sorted((ROOT / "functions").glob("*/app.py")):
        for answering in ast.parse(function.read_text()).body:
            if isinstance(answering, ast.FunctionDef):
                for route in filter(None, map(_route_of, answering.decorator_list)):
                    found[route] = _joined(ast.get_docstring(answering) or "")
    return found


def _route_of(decorator: ast.expr) -> str | None:
    """The route that a decorator gives to what it stands at, if it does."""
    match decorator:
        case ast.Call(
            func=ast.Attribute(value=ast.Name("app"), attr=method), args=[ast.Constant(str() as address), *_]
        ):
            return f"{method.upper()} " + re.sub(r"<(\w+)>", r"{\1}", address)
    return None


def _joined(docstring: str) -> str:
    """A docstring without the ends of its lines; its paragraphs stay."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def _check_routes(merged: Json) -> None:
    """Hold the document against the table of who may call what, so that no route is lost on either side."""
    found = {path: sorted(method.upper() for method in methods) for path, methods in merged["paths"].items()}
    known = {path: sorted(methods) for path, methods in ROUTES.items()}
    if found != known:
        differing = sorted(path for path in found | known if found.get(path) != known.get(path))
        raise Failure(f"holdfast/platform/access.py and the functions disagree on {', '.join(differing)}")


def _completed(path: str, method: str, operation: Json, schemas: dict[str, Json]) -> Json:
    """The operation with its security, an example of every body, all its errors, and its headers."""
    route = f"{method.upper()} {path}"
    access = ROUTES[path][method.upper()]
    operation = operation | _access(route, access)
    for parameter in operation.get("parameters", []):
        parameter["name"] = _HEADERS_IN.get(parameter["name"], parameter["name"])
        _not_null(parameter["schema"])
        parameter["schema"].pop("description", None)
    for code, parameter in ((http.TenantRequired.code, TENANT_HEADER), (CaptchaRequired.code, CAPTCHA_HEADER)):
        if code in str(operation["responses"]):
            operation = operation | {"parameters": [*operation.get("parameters", []), parameter]}
    if "requestBody" in operation:
        content = operation["requestBody"]["content"][http.JSON]
        content["example"] = example_of(content["schema"], schemas, f"the body of {method} {path}")
    # Powertools documents its own validation errors; the house answers with its own.
    declared = {
        status: response
        for status, response in operation["responses"].items()
        if "ValidationError" not in str(response)
    }
    hoped_for = {status: response for status, response in declared.items() if response["description"]}
    # Powertools gives every response a body, and this one has none.
    hoped_for.get("304", {}).pop("content", None)
    for response in hoped_for.values():
        response["headers"] = {"X-Request-Id": header("RequestId")}
        if "304" in hoped_for:
            response["headers"] |= {name: header(known) for name, known in _OF_CONDITIONAL_ANSWERS.items()}
        for content in response.get("content", {}).values():
            if "examples" in content:
                continue
            content["example"] = example_of(content["schema"], schemas, f"the answer of {method} {path}")
            if method == "delete":
                content["example"] = _let_go(content["example"])
    shared = openapi_errors.shared_statuses(method, public=access.is_public, static=route in STATIC)
    errors = openapi_errors.responses_of(operation | {"responses": declared}, schemas, shared)
    return operation | {"responses": dict(sorted((errors | hoped_for).items()))}


def _access(route: str, access: Access) -> Json:
    """What an operation says of who may call it, for programs and for people."""
    if access.is_public:
        return {"security": [{"bearer": []}, {}] if route in OPTIONALLY_SECURED else []}
    return {
        "security": [{"bearer": []}],
        "x-roles": sorted(access.roles),
        **({} if access.for_people else {"x-scope": scope_of(route.partition(" ")[0], access.area)}),
        "x-looked-at-anew": access.is_looked_at_anew,
    }


def _let_go(example: Any) -> Any:
    """What was let go of is held no more."""
    return json.loads(json.dumps(example).replace(f'"{State.HELD}"', f'"{State.CANCELLED}"'))


def _not_null(schema: Json) -> None:
    """Say of an optional parameter what it is when it is there: a header or a query has no null."""
    options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        schema |= options[0]
    elif options:
        schema["anyOf"] = options


def _tidy(node: Any) -> Any:
    """The part of the document without generated titles, and with whole numbers as such."""
    match node:
        case dict():
            return {name: _tidy(part) for name, part in node.items() if not (name == "title" and isinstance(part, str))}
        case list():
            return [_tidy(part) for part in node]
        case float() if node.is_integer():
            return int(node)
    return node


def _used(paths: Json, schemas: dict[str, Json]) -> dict[str, Json]:
    """The schemas that the paths refer to, directly or through one another, by name."""
    used: set[str] = {"Error"}
    found = _names(paths) | used
    while found:
        used |= found
        found = {name for known in found for name in _names(schemas[known])} - used
    return {name: schemas[name] for name in sorted(used)}


def _names(node: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(node)))


def main() -> int:
    """Write the document, or say whether the one that is there is current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether openapi.json is current")
    try:
        current = text()
    except Failure as failure:
        return fail(failure)
    if not parser.parse_args().check:
        DOCUMENT.write_text(current)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != current:
        print("openapi.json is not what the code says; make openapi writes it anew.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
