"""The API document, and Swagger UI over it: one page that loads nothing from anywhere else."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi import swagger_ui

from holdfast.platform import http

app = APIGatewayRestResolver()

DOCUMENT = Path(__file__).with_name("openapi.json")
"""Generated from the code; `make lint` proves it current."""

_PAGE = "text/html; charset=utf-8"


@cache
def _document() -> str:
    return json.dumps(json.loads(DOCUMENT.read_text()))


@cache
def _page() -> str:
    assets = Path(swagger_ui.__file__).parent
    return swagger_ui.generate_swagger_html(
        _document(),
        swagger_js=(assets / "swagger-ui-bundle.min.js").read_text(),
        swagger_css=(assets / "swagger-ui.min.css").read_text(),
        swagger_base_url="",
        oauth2_config=None,
        persist_authorization=False,
    )


@app.get("/api/v1/openapi.json", tags=["documentation"], summary="The API document")
def document() -> Response[Any]:
    """Return the OpenAPI 3.1 document of the whole API."""
    return Response(200, http.JSON, _document(), {"Cache-Control": "public, max-age=300"})


@app.get("/api/v1/docs", tags=["documentation"], summary="Swagger UI")
def page() -> Response[Any]:
    """Return Swagger UI with the document in it."""
    return Response(200, _PAGE, _page(), {"Cache-Control": "public, max-age=300"})


handler = http.entry(app, public=True)
