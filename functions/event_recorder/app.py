"""The table's stream: what happened to orders and charges is kept, once and by its version.

A record that cannot be read is put into the dead letters by itself and never blocks its shard; what could not be kept
is handed back, so that the stream brings it again.
"""

from functools import cache
from typing import Any

from holdfast.checkout.history import happenings_of, keep
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.logs import logger
from holdfast.platform.queues import quarantine
from holdfast.platform.settings import EventRecorderSettings, settings

_logger = logger()


@cache
def _store() -> Store:
    return connect(settings(EventRecorderSettings).table_name)


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Keep what the records tell; answer from which record on to try again."""
    failures: list[str] = []
    kept = 0
    for record in event["Records"]:
        try:
            happenings, number = happenings_of(record), record["dynamodb"]["SequenceNumber"]
        except Exception:
            _logger.exception("unreadable stream record")
            quarantine(settings(EventRecorderSettings).dead_letter_queue_url, record)
            continue
        try:
            for happening in happenings:
                keep(_store(), happening)
                kept += 1
        except HoldfastError:
            _logger.exception("not kept, to be tried again")
            failures.append(number)
    _logger.info("recorded", extra={"records": len(event["Records"]), "happenings": kept})
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failures]}
