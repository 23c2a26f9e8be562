"""Operations of the synchronisation with partners: runs, pause and resume, status (WIRE.md, section 5)."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.catalogue.experiences import experiences, shortages
from holdfast.partners import status
from holdfast.partners.limiter import Limiter
from holdfast.partners.pairs import Product
from holdfast.partners.planner import Planner, planner_of
from holdfast.partners.registry import definitions
from holdfast.partners.wire import (
    DaysInQuery,
    RunInPath,
    ShortageList,
    SyncControlData,
    SyncQueueData,
    SyncRunDetail,
    SyncRunList,
    SyncStarted,
    SyncStatusData,
    shown_control,
    shown_held_back,
    shown_horizons,
    shown_partner,
    shown_run,
    shown_run_with,
    shown_shortage,
    shown_start,
)
from holdfast.platform import http
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import Fault, Malformed, SyncRunNotFound
from holdfast.platform.fields import NextInQuery, OptionalKey
from holdfast.platform.queues import SqsSyncQueue, messages_waiting
from holdfast.platform.settings import SyncSettings, settings
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

_NOTHING = ("", "null", "{}")
"""Bodies that say nothing."""

LimitInQuery = Annotated[int, Query(ge=1, le=100, description="How many at most.")]


@cache
def store() -> Store:
    """Return this warm function's main table."""
    return connect(settings(SyncSettings).table_name)


@cache
def sync_store() -> Store:
    """Return this warm function's table of the synchronisation."""
    return connect(settings(SyncSettings).sync_table_name)


@cache
def planner() -> Planner:
    """Return this warm function's planner."""
    own = settings(SyncSettings)
    return planner_of(sync_store(), SqsSyncQueue(own.sync_queue_url), definitions(own.partners))


@app.post(
    "/api/v1/sync",
    status_code=202,
    tags=["sync"],
    summary="Synchronise the next days",
    responses=http.answers(202, "The run; its pairs are asked for as the partner's limit allows."),
)
def run(days: DaysInQuery = 1, idempotency_key: OptionalKey = None) -> SyncStarted:
    """Have everything asked for anew, from today on, that was not answered in the last two minutes."""
    if app.current_event.raw_event["body"].strip() not in _NOTHING:
        raise Malformed(faults=[Fault("body", "This route has no body: days are said in the address.", "unexpected")])
    caller = http.caller_of(app)
    return shown_start(planner().run(caller.tenant, days, _products(), _keyed("sync", idempotency_key, [days])))


@app.post(
    "/api/v1/sync/pause",
    tags=["sync"],
    summary="Pause the synchronisation",
    responses=http.answers(200, "It is paused."),
)
def pause(idempotency_key: OptionalKey = None) -> SyncControlData:
    """Ask partners for nothing of this tenant any more, from the next request on."""
    return _switch(True, idempotency_key)


@app.post(
    "/api/v1/sync/resume",
    tags=["sync"],
    summary="Resume the synchronisation",
    responses=http.answers(200, "It is not paused."),
)
def resume(idempotency_key: OptionalKey = None) -> SyncControlData:
    """Go on with what waits, within a minute."""
    control = _switch(False, idempotency_key)
    planner().refill_at_once(_products)
    return control


@app.get(
    "/api/v1/sync/status",
    tags=["sync"],
    summary="Say how the synchronisation stands",
    responses=http.answers(200, "How it stands."),
)
def read_status() -> SyncStatusData:
    """Say what waits, how old what is known is by horizons, what partners have left, what is left alone or short."""
    tenant, now = http.caller_of(app).tenant, planner().clock.now()
    own = [Product(**experiences.facts_of(item)) for item in experiences.all_of(store(), tenant)]
    sheets = planner().sheets.of(tenant)
    waiting, queued = status.waiting_and_queued(sheets.values(), now)
    return SyncStatusData(
        **dict(shown_control(planner().controls.of(tenant))),
        queue=SyncQueueData(
            waiting=waiting, queued=queued, messages=messages_waiting(settings(SyncSettings).sync_queue_url)
        ),
        partners=[
            shown_partner(name, Limiter(sync_store(), name, planner().clock, planner().retries).state(), now)
            for name in sorted({product.partner for product in own} & planner().zones.keys())
        ],
        horizons=shown_horizons(status.horizons(own, sheets, planner().zones, now)),
        held_back=shown_held_back(status.held_back(sheets.values(), now)),
        shortages=shortages.count(store(), tenant, now),
    )


@app.get(
    "/api/v1/sync/runs",
    tags=["sync"],
    summary="List runs of the synchronisation",
    responses=http.answers(200, "A page of the list."),
)
def list_runs(limit: LimitInQuery = 50, next_page: NextInQuery = None) -> SyncRunList:
    """List runs, the newest first; they are kept for 60 days."""
    page = planner().runs.page(http.caller_of(app).tenant, limit, next_page)
    return SyncRunList(items=[shown_run(item) for item in page.runs], next=page.next)


@app.get(
    "/api/v1/sync/runs/<run_id>",
    tags=["sync"],
    summary="Read a run of the synchronisation",
    responses=http.answers(200, "The run.", SyncRunNotFound),
)
def read_run(run_id: RunInPath) -> SyncRunDetail:
    """Read what became of a run's pairs, and why the first 100 attempts failed that did."""
    tenant = http.caller_of(app).tenant
    item = planner().runs.get(tenant, run_id)
    return shown_run_with(item, planner().runs.failures(tenant, run_id))


@app.get(
    "/api/v1/sync/shortages",
    tags=["sync"],
    summary="List slots that are short",
    responses=http.answers(200, "A page of the list."),
)
def list_shortages(limit: LimitInQuery = 50, next_page: NextInQuery = None) -> ShortageList:
    """List slots of which the partner has fewer places left than are held and sold, by date: staff has to see to it."""
    page = shortages.page(store(), http.caller_of(app).tenant, limit, planner().clock.now(), next_page)
    return ShortageList(items=[shown_shortage(item) for item in page.shortages], next=page.next)


def _products() -> Sequence[Product]:
    return [Product(**experiences.facts_of(item)) for item in experiences.all_of_all(store())]


def _keyed(route: str, key: str | None, body: object) -> KeyedRequest | None:
    caller = http.caller_of(app)
    return None if key is None else KeyedRequest(caller.tenant, caller.name, route, key, hash_of(body))


def _switch(is_paused: bool, key: str | None) -> SyncControlData:
    caller = http.caller_of(app)
    keyed = _keyed("sync/pause" if is_paused else "sync/resume", key, [])
    return shown_control(planner().controls.switch(caller.tenant, is_paused, caller.name, keyed))


handler = http.entry(app)
