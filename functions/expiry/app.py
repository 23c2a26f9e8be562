"""The expiry queue: holds whose time has come give back what they hold, and checkouts learn that theirs is over."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.checkout import overdue
from holdfast.platform.dynamodb import connect
from holdfast.platform.logs import logger
from holdfast.platform.queues import ExpiryMessage, SqsExpiryQueue
from holdfast.platform.settings import ExpirySettings, settings
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import Overdue, handle

_logger = logger()
_metrics = Metrics()


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(ExpirySettings).table_name))


@cache
def _queue() -> SqsExpiryQueue:
    return SqsExpiryQueue(settings(ExpirySettings).expiry_queue_url)


@cache
def _tell_overdue() -> Overdue:
    return overdue.telling(engine(), StepFunctions(settings(ExpirySettings).checkout_workflow_arn))


@_metrics.log_metrics
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Expire what the messages speak of; answer which messages have to come again."""
    messages: dict[str, ExpiryMessage] = {}
    failures: list[str] = []
    for record in event["Records"]:
        try:
            messages[record["messageId"]] = ExpiryMessage.from_body(record["body"])
        except ValueError:
            _logger.exception("unreadable expiry message")
            failures.append(record["messageId"])
    failed = handle(engine(), _queue(), list(messages.values()), _tell_overdue())
    failures += [message_id for message_id, message in messages.items() if message.key in failed]
    _metrics.add_metric("ExpiryMessages", MetricUnit.Count, len(messages))
    _metrics.add_metric("ExpiryFailures", MetricUnit.Count, len(failures))
    _logger.info("expired", extra={"messages": len(messages), "failures": len(failures)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
