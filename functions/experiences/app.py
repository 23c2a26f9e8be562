"""Experiences of partners: put up and changed while all is running; what can be had of them (WIRE.md, section 5)."""

from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.catalogue.experiences import experiences, slots
from holdfast.catalogue.experiences.experiences import NewExperience
from holdfast.catalogue.experiences.reading import Reading, SlotsOfDay
from holdfast.catalogue.experiences.wire import (
    ExperienceBody,
    ExperienceData,
    ExperienceDates,
    ExperienceList,
    ExperiencePatchBody,
    ExperienceSlot,
    SlotList,
    shown_day,
    shown_days,
    shown_experience,
    shown_slots,
)
from holdfast.platform import http, page_tokens
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import ExperienceExists, ExperienceNotFound, Fault, Malformed
from holdfast.platform.fields import ExperienceInPath, IfNoneMatch, NextInQuery, OptionalKey, SlotDateInQuery
from holdfast.platform.settings import ExperiencesSettings, settings
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(ExperiencesSettings).table_name))


@cache
def reading() -> Reading:
    """Return this warm function's reading."""
    return Reading(engine().store, engine().clock)


@cache
def partners() -> frozenset[str]:
    """Return the names of the deployment's partners."""
    from holdfast.partners.registry import definitions

    return frozenset(definitions(settings(ExperiencesSettings).partners))


@app.post(
    "/api/v1/experiences",
    status_code=201,
    tags=["experiences"],
    summary="Put a partner's product up as an experience",
    responses=http.answers(201, "The experience; its slots come within minutes.", ExperienceExists),
)
def create(body: ExperienceBody, idempotency_key: OptionalKey = None) -> ExperienceData:
    """Put a product of a partner up under an id of one's own choice; nothing has to be restarted."""
    caller = http.caller_of(app)
    if body.partner not in partners():
        raise Malformed(faults=[Fault("partner", "There is no such partner here.", "unknown_partner")])
    keyed = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, caller.name, "experiences", idempotency_key, body_hash)
    experience = NewExperience(
        id=body.id,
        name=body.name,
        partner=body.partner,
        partner_product_id=body.partner_product_id,
        weekdays=tuple(body.weekdays),
        enabled=body.enabled,
    )
    return shown_experience(experiences.create(engine(), caller.tenant, experience, keyed))


@app.get(
    "/api/v1/experiences",
    tags=["experiences"],
    summary="List experiences",
    responses=http.answers(200, "A page of the list."),
)
def list_all(
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
    next_page: NextInQuery = None,
) -> ExperienceList:
    """List experiences in the order of their ids."""
    tenant = http.caller_of(app).tenant
    scope = f"{tenant}/experiences"
    after = page_tokens.read(scope, next_page) if next_page is not None else None
    found, following = experiences.list_all(engine().store, tenant, limit, after)
    shown = [shown_experience(item) for item in found]
    return ExperienceList(items=shown, next=page_tokens.issue(scope, following) if following else None)


@app.get(
    "/api/v1/experiences/<experience_id>",
    tags=["experiences"],
    summary="Read an experience",
    responses=http.answers(200, "The experience.", ExperienceNotFound),
)
def read(experience_id: ExperienceInPath) -> ExperienceData:
    """Read one experience."""
    return shown_experience(experiences.get(engine().store, http.caller_of(app).tenant, experience_id))


@app.patch(
    "/api/v1/experiences/<experience_id>",
    tags=["experiences"],
    summary="Change an experience",
    responses=http.answers(200, "The experience, changed.", ExperienceNotFound),
)
def change(experience_id: ExperienceInPath, body: ExperiencePatchBody) -> ExperienceData:
    """Change what is given; days on which it is not sold any more are closed before this answers.

    What is held and sold stays. Where it is enabled, the next answers of the partner put its slots on sale again. What
    ended half-way is finished by the same request once more.
    """
    tenant = http.caller_of(app).tenant
    item = experiences.change(engine(), tenant, experience_id, body.model_dump(exclude_none=True))
    if body.enabled is False or body.weekdays is not None:
        slots.close(engine(), item)
    return shown_experience(item)


@app.get(
    "/api/v1/experiences/<experience_id>/slots",
    tags=["experiences"],
    summary="List the slots of a day, as carts name them",
    responses=http.answers(200, "The slots on sale.", ExperienceNotFound, is_conditional=True),
)
def slots_of_day(
    experience_id: ExperienceInPath, day: SlotDateInQuery, if_none_match: IfNoneMatch = None
) -> Response[SlotList]:
    """List the slots that are on sale on a date and have not begun, in the order in which they do."""
    found = reading().slots(http.caller_of(app).tenant, experience_id, day)
    shown = shown_day(experience_id, day, found.slots, found.synced_at)
    return http.conditional(shown, if_none_match, _as_of(found), engine().clock.now())


@app.get(
    "/api/v1/experience/<experience_id>/slots",
    tags=["experiences"],
    summary="List the slots of a day",
    responses=http.answers(200, "The slots on sale.", ExperienceNotFound, is_conditional=True),
)
def slots_for_older_clients(
    experience_id: ExperienceInPath, day: SlotDateInQuery, if_none_match: IfNoneMatch = None
) -> Response[list[ExperienceSlot]]:
    """List the slots that are on sale on a date and have not begun, in the order in which they do; maybe none."""
    found = reading().slots(http.caller_of(app).tenant, experience_id, day)
    return http.conditional(shown_slots(day, found.slots), if_none_match, _as_of(found), engine().clock.now())


@app.get(
    "/api/v1/experience/<experience_id>/dates",
    tags=["experiences"],
    summary="List the days of the next two months",
    responses=http.answers(200, "The days of which something can be had.", ExperienceNotFound, is_conditional=True),
)
def dates(experience_id: ExperienceInPath, if_none_match: IfNoneMatch = None) -> Response[ExperienceDates]:
    """List the days from today to two months on of which something can be had, each with its lowest payable price."""
    found = reading().days(http.caller_of(app).tenant, experience_id)
    return http.conditional(shown_days(found.days), if_none_match, found.synced_at, engine().clock.now())


def _as_of(found: SlotsOfDay) -> list[int]:
    return [] if found.synced_at is None else [found.synced_at]


handler = http.entry(app)
