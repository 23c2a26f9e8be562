"""The API document, and Swagger UI over it: one page that loads nothing but the document from beside it."""

import json
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi import swagger_ui

from holdfast.platform import http

app = APIGatewayRestResolver()

DOCUMENT = Path(__file__).with_name("openapi.json")
"""Generated from the code; `make lint` proves it current."""

_HTML = "text/html; charset=utf-8"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast API</title>
<link rel="icon" href="data:,">
<style>{css}</style>
</head>
<body>
<div id="swagger-ui"></div>
<script>{bundle}</script>
<script>
fetch("openapi.json").then((answer) => answer.json()).then((spec) => {{
  // Behind the address of a stage, the API starts below the host.
  spec.servers = [{{ url: location.pathname.replace("/api/v1/docs", "") || "/" }}];
  SwaggerUIBundle({{
    dom_id: "#swagger-ui",
    spec,
    deepLinking: true,
    filter: true,
    showExtensions: true,
    presets: [SwaggerUIBundle.presets.apis],
  }});
}});
</script>
</body>
</html>
"""


@cache
def _document() -> str:
    return json.dumps(json.loads(DOCUMENT.read_text()), separators=(",", ":"))


@cache
def _page() -> tuple[str, str]:
    """Return the page, and the policy that lets it have its own scripts and style and nothing else."""
    assets = Path(swagger_ui.__file__).parent
    page = _PAGE.format(
        css=(assets / "swagger-ui.min.css").read_text(), bundle=(assets / "swagger-ui-bundle.min.js").read_text()
    )
    policy = (
        f"default-src 'none'; script-src {_hashes('script', page)}; style-src {_hashes('style', page)}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hashes(kind: str, page: str) -> str:
    """Return what a policy calls the page's own elements of a kind."""
    found = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in found)


@app.get(
    "/api/v1/openapi.json",
    tags=["documentation"],
    summary="The API document",
    responses={
        200: {
            "description": "OpenAPI 3.1.",
            "content": {http.JSON: {"schema": {"type": "object", "examples": [{"openapi": "3.1.0"}]}}},
        }
    },
)
def document() -> Response[Any]:
    """Return the OpenAPI 3.1 document of the whole API."""
    return Response(200, http.JSON, _document(), {"Cache-Control": "public, max-age=300"})


@app.get(
    "/api/v1/docs",
    tags=["documentation"],
    summary="Swagger UI",
    responses={
        200: {
            "description": "A page for people.",
            "content": {"text/html": {"schema": {"type": "string", "examples": ["<!DOCTYPE html>"]}}},
        }
    },
)
def page() -> Response[Any]:
    """Return Swagger UI with the document in it."""
    html, policy = _page()
    headers: dict[str, str | list[str]] = {"Cache-Control": "public, max-age=300", "Content-Security-Policy": policy}
    return Response(200, _HTML, html, headers)


handler = http.entry(app)
