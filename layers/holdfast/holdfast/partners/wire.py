"""What staff see of the synchronisation (WIRE.md, section 5): runs, control, status."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, Field

from holdfast.partners.limiter import left, next_grant
from holdfast.partners.pairs import TARGETS, Horizon
from holdfast.partners.runs import waiting_of
from holdfast.partners.status import HeldBack, HorizonState
from holdfast.platform.clock import to_text
from holdfast.platform.fields import Moment
from holdfast.platform.items import ShortageItem
from holdfast.platform.sync_items import LimiterItem, SyncControlItem, SyncFailureItem, SyncRunItem

_SHOWN_RUN = "1774929600000-manual-0123abcd"

RunInPath = Annotated[
    str, Path(pattern=r"^[0-9]{13}-[a-z]{1,20}-[0-9a-f]{8}$", description="A run's id.", examples=[_SHOWN_RUN])
]
DaysInQuery = Annotated[int, Query(ge=1, le=30, description="How many days, from today on.", examples=[7])]

RunId = Annotated[str, Field(description="The run's id.", examples=[_SHOWN_RUN])]
Amount = Annotated[int, Field(ge=0, examples=[12])]
Seconds = Annotated[int | None, Field(description="Seconds; null where there is none.", examples=[540])]
MomentOrNull = Annotated[Moment | None, Field(examples=["2026-03-01T10:00:00.250Z"])]


class SyncStarted(BaseModel):
    """What a manual run wants: `coalesced` pairs were waiting for an earlier one already."""

    run_id: RunId
    enqueued: Amount
    coalesced: Amount


class SyncControlData(BaseModel):
    """Whether the synchronisation is paused, and if so, since when and by whom."""

    paused: bool = Field(examples=[True])
    paused_at: MomentOrNull
    paused_by: str | None = Field(examples=["018f3a2b4c50123456789abc"])


class SyncQueueData(BaseModel):
    """What waits: pairs to be queued, pairs that are queued, and about how many messages all tenants have queued."""

    waiting: Amount
    queued: Amount
    messages: Amount


class SyncPartnerData(BaseModel):
    """A partner's limiter, which all tenants share: how many of 30 requests a minute are left, when the next may be."""

    name: str = Field(examples=["tours"])
    tokens_left: int = Field(ge=0, examples=[7])
    next_grant_at: Moment
    closed_until: MomentOrNull


class SyncHorizonData(BaseModel):
    """The pairs of a horizon: how many there are, wait, were never synchronised, and how old the others are."""

    pairs: Amount
    waiting: Amount
    never_synced: Amount
    worst_age_seconds: Seconds
    median_age_seconds: Seconds
    target_seconds: int = Field(ge=0, examples=[900])


class SyncHorizonsData(BaseModel):
    """Today, the 7 days after it, and the rest of the 30 days after it."""

    today: SyncHorizonData
    week: SyncHorizonData
    month: SyncHorizonData


class HeldBackData(BaseModel):
    """A product that failed so often in a row, and until when it is left alone."""

    experience_id: str = Field(examples=["14"])
    failures: Amount
    until: Moment


class SyncStatusData(SyncControlData):
    """How the synchronisation stands."""

    queue: SyncQueueData
    partners: list[SyncPartnerData]
    horizons: SyncHorizonsData
    held_back: list[HeldBackData]
    shortages: Amount


class SyncRunData(BaseModel):
    """A run, and what became of its pairs; while `planned_at` is null, it is being planned, or broke off."""

    run_id: RunId
    kind: str = Field(description="today, week, month, manual or onboarding.", examples=["manual"])
    days: int | None = Field(description="Of a manual run.", examples=[7])
    started_at: Moment
    planned_at: MomentOrNull
    last_at: MomentOrNull
    planned: Amount
    merged: Amount
    fetched: Amount
    changed: Amount
    failed: Amount
    dropped: Amount
    waiting: int = Field(description="Planned, and neither fetched nor dropped yet.", examples=[0])


class SyncRunList(BaseModel):
    """A page of runs, the newest first."""

    items: list[SyncRunData]
    next: str | None = Field(description="Asks for the next page; null at the end.", examples=[None])


class SyncFailureData(BaseModel):
    """An attempt that failed, or a slot that could not be taken in, and why."""

    experience_id: str = Field(examples=["14"])
    date: str = Field(examples=["2026-03-31"])
    slot_id: str | None = Field(description="Where one slot is meant.", examples=["ab12"])
    code: str = Field(examples=["timed_out"])
    reason: str = Field(examples=["The partner did not answer in 10 s."])
    at: Moment


class SyncRunDetail(SyncRunData):
    """A run, and the first 100 of its failures."""

    failures: list[SyncFailureData]


class ShortageData(BaseModel):
    """A slot of which the partner has fewer places left than are held and sold."""

    experience_id: str = Field(examples=["14"])
    date: str = Field(examples=["2026-03-31"])
    slot_id: str = Field(examples=["ab12"])
    missing: int = Field(ge=1, description="By how many places.", examples=[2])
    seen_at: Moment


class ShortageList(BaseModel):
    """A page of shortages, by their dates."""

    items: list[ShortageData]
    next: str | None = Field(description="Asks for the next page; null at the end.", examples=[None])


def shown_start(run: SyncRunItem) -> SyncStarted:
    """Return what a manual run wants."""
    return SyncStarted(run_id=run.sk, enqueued=run.planned, coalesced=run.merged)


def shown_control(control: SyncControlItem | None) -> SyncControlData:
    """Return whether a tenant has paused."""
    if control is None or not control.is_paused:
        return SyncControlData(paused=False, paused_at=None, paused_by=None)
    return SyncControlData(paused=True, paused_at=to_text(control.changed_at), paused_by=control.changed_by)


def shown_partner(name: str, limiter: LimiterItem | None, now: int) -> SyncPartnerData:
    """Return how a partner's limiter stands at `now` (ms)."""
    grants = limiter.grants if limiter is not None else []
    closed_until = (limiter.closed_until if limiter is not None else None) or 0
    return SyncPartnerData(
        name=name,
        tokens_left=left(grants, now) if closed_until <= now else 0,
        next_grant_at=to_text(max(next_grant(grants, now), closed_until)),
        closed_until=to_text(closed_until) if closed_until > now else None,
    )


def shown_horizons(found: Mapping[Horizon, HorizonState]) -> SyncHorizonsData:
    """Return how the horizons stand."""
    return SyncHorizonsData(**{horizon.value: _shown_horizon(horizon, state) for horizon, state in found.items()})


def shown_held_back(found: Iterable[HeldBack]) -> list[HeldBackData]:
    """Return which products are left alone."""
    return [
        HeldBackData(experience_id=each.experience_id, failures=each.failures, until=to_text(each.until))
        for each in found
    ]


def shown_run(run: SyncRunItem) -> SyncRunData:
    """Return a run."""
    return SyncRunData(
        run_id=run.sk,
        kind=run.kind,
        days=run.days,
        started_at=to_text(run.started_at),
        planned_at=_moment(run.planned_at),
        last_at=_moment(run.last_at),
        planned=run.planned,
        merged=run.merged,
        fetched=run.fetched,
        changed=run.changed,
        failed=run.failed,
        dropped=run.dropped,
        waiting=waiting_of(run),
    )


def shown_run_with(run: SyncRunItem, failures: Sequence[SyncFailureItem]) -> SyncRunDetail:
    """Return a run and its failures."""
    return SyncRunDetail(**dict(shown_run(run)), failures=[_shown_failure(failure) for failure in failures])


def shown_shortage(item: ShortageItem) -> ShortageData:
    """Return a shortage."""
    return ShortageData(
        experience_id=item.experience_id,
        date=item.date,
        slot_id=item.slot_id,
        missing=item.missing,
        seen_at=to_text(item.seen_at),
    )


def _shown_horizon(horizon: Horizon, state: HorizonState) -> SyncHorizonData:
    return SyncHorizonData(
        pairs=state.pairs,
        waiting=state.waiting,
        never_synced=state.never_synced,
        worst_age_seconds=_seconds(state.worst_age),
        median_age_seconds=_seconds(state.median_age),
        target_seconds=TARGETS[horizon] // 1000,
    )


def _shown_failure(failure: SyncFailureItem) -> SyncFailureData:
    return SyncFailureData(
        experience_id=failure.experience_id,
        date=failure.date,
        slot_id=failure.slot_id,
        code=failure.code,
        reason=failure.reason,
        at=to_text(failure.at),
    )


def _moment(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else to_text(milliseconds)


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000
