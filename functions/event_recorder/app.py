"""The table's stream: what happened to orders and charges is kept, and summaries of days follow what is sold of them.

What happened is kept once and by its version. A day's summary is made anew where the price from which one of its slots
can be had changed, or by how much it falls short; most holds change neither.

A record that cannot be read is put into the dead letters by itself and never blocks its shard; what could not be kept
is handed back, so that the stream brings it again.
"""

from functools import cache
from typing import Any

from holdfast.catalogue.experiences.summaries import DayOfSlot, day_changed, refresh
from holdfast.checkout.history import happenings_of, keep
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.logs import logger
from holdfast.platform.queues import quarantine
from holdfast.platform.settings import EventRecorderSettings, settings
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine

_logger = logger()


@cache
def _engine() -> Engine:
    return Engine(connect(settings(EventRecorderSettings).table_name))


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Keep what the records tell; answer from which record on to try again."""
    failures: list[str] = []
    kept = 0
    days: dict[DayOfSlot, str] = {}
    for record in event["Records"]:
        try:
            happenings, number = happenings_of(record), record["dynamodb"]["SequenceNumber"]
            day = _day_changed(record)
        except Exception:
            _logger.exception("unreadable stream record")
            quarantine(settings(EventRecorderSettings).dead_letter_queue_url, record)
            continue
        if day is not None:
            days.setdefault(day, number)
        try:
            for happening in happenings:
                keep(_engine().store, happening)
                kept += 1
        except HoldfastError:
            _logger.exception("not kept, to be tried again")
            failures.append(number)
    for day, number in days.items():
        try:
            refresh(_engine(), Keys(day.tenant), day.experience_id, day.date)
        except HoldfastError:
            _logger.exception("not made anew, to be tried again")
            failures.append(number)
    _logger.info("recorded", extra={"records": len(event["Records"]), "happenings": kept, "days": len(days)})
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failures]}


def _day_changed(record: dict[str, Any]) -> DayOfSlot | None:
    images = record["dynamodb"]
    return day_changed(images["NewImage"], images.get("OldImage")) if "NewImage" in images else None
