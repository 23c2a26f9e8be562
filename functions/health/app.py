"""Health: what the API depends on, each with its state and how long it took to answer."""

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from pydantic import BaseModel

from holdfast.platform import http
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.logs import logger
from holdfast.platform.queues import messages_waiting
from holdfast.platform.settings import HealthSettings, settings
from holdfast.platform.tables import Keys

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponseContentModel

app = APIGatewayRestResolver(enable_validation=True, response_validation_error_http_code=500)

SLOW = 1_000
"""Milliseconds from which a dependency that answers is called degraded."""

_logger = logger()


class HealthOfDependency(BaseModel):
    """One dependency; `waiting` is the number of messages in a queue."""

    state: Literal["ok", "degraded", "down"]
    latency_ms: float
    waiting: int | None = None


class Health(BaseModel):
    """The whole: `down` where nothing can be sold, `degraded` where something is slow, or late.

    Without the expiry queue holds come back late, and without the synchronisation's what partners have is known late.
    """

    status: Literal["ok", "degraded", "down"]
    dependencies: dict[str, HealthOfDependency]


def _documented(state: Literal["ok", "down"], latency: float) -> "OpenAPIResponseContentModel":
    table = HealthOfDependency(state=state, latency_ms=latency)
    queue = HealthOfDependency(state="ok", latency_ms=6.1, waiting=12)
    tables = dict.fromkeys(("table", "identity_table", "sync_table"), table)
    example = Health(status=state, dependencies={**tables, "expiry_queue": queue, "sync_queue": queue})
    return {"model": Health, "examples": {state: {"value": example.model_dump()}}}


@cache
def _stores() -> tuple[Store, Store, Store]:
    known = settings(HealthSettings)
    return connect(known.table_name), connect(known.identity_table_name), connect(known.sync_table_name)


@app.get(
    "/api/v1/health",
    tags=["operations"],
    summary="Health of the service",
    responses={
        200: {"description": "Things can be sold.", "content": {http.JSON: _documented("ok", 4.2)}},
        503: {"description": "Nothing can be sold.", "content": {http.JSON: _documented("down", 2003.7)}},
    },
)
def health() -> Response[Health]:
    """Ask every dependency once: 200 while things can be sold, 503 when they cannot."""
    table, identity, sync = _stores()
    nobody, known = Keys("health"), settings(HealthSettings)
    found = {
        "table": _asked(lambda: table.get_raw(nobody.counter("probe"))),
        "identity_table": _asked(lambda: identity.get_raw(nobody.service_key("probe"))),
        "sync_table": _asked(lambda: sync.get_raw(nobody.sync_control())),
        "expiry_queue": _asked(lambda: messages_waiting(known.expiry_queue_url)),
        "sync_queue": _asked(lambda: messages_waiting(known.sync_queue_url)),
    }
    vital = (found["table"].state, found["identity_table"].state)
    status: Literal["ok", "degraded", "down"] = "ok"
    if "down" in vital:
        status = "down"
    elif any(dependency.state != "ok" for dependency in found.values()):
        status = "degraded"
    return Response(503 if status == "down" else 200, http.JSON, Health(status=status, dependencies=found))


def _asked(question: Callable[[], Any]) -> HealthOfDependency:
    started = time.perf_counter()
    try:
        answer = question()
    except Exception:
        _logger.exception("dependency down")
        return HealthOfDependency(state="down", latency_ms=_since(started))
    latency = _since(started)
    waiting = answer if isinstance(answer, int) else None
    return HealthOfDependency(state="ok" if latency < SLOW else "degraded", latency_ms=latency, waiting=waiting)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


handler = http.entry(app)
