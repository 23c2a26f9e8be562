"""The table's stream: every hold with a new expiry sends itself one delayed message.

A record that cannot be read is put into the dead letters by itself and never blocks its shard; what could not be sent
is handed back, so that the stream brings it again.
"""

from functools import cache
from typing import Any

from holdfast.platform.clock import SystemClock
from holdfast.platform.logs import logger
from holdfast.platform.queues import ExpiryMessage, SqsExpiryQueue, quarantine
from holdfast.platform.settings import ExpirySchedulerSettings, settings
from holdfast.reservations.expiry import due_of

_logger = logger()


@cache
def _queue() -> SqsExpiryQueue:
    return SqsExpiryQueue(settings(ExpirySchedulerSettings).expiry_queue_url)


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Send the messages that the records call for; answer from which record on to try again."""
    wanted: list[tuple[str, ExpiryMessage]] = []
    for record in event["Records"]:
        try:
            message, number = due_of(record), record["dynamodb"]["SequenceNumber"]
        except Exception:
            _logger.exception("unreadable stream record")
            quarantine(settings(ExpirySchedulerSettings).dead_letter_queue_url, record)
            continue
        if message is not None:
            wanted.append((number, message))
    unsent = _queue().send([message for _, message in wanted], SystemClock().now())
    _logger.info("scheduled", extra={"records": len(event["Records"]), "sent": len(wanted) - len(unsent)})
    return {"batchItemFailures": [{"itemIdentifier": number} for number, message in wanted if message in unsent]}
