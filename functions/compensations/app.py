"""What checkouts and refunds left to people, once a person has sent it round again: taken up by a further run."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from holdfast.checkout import resuming
from holdfast.platform.dynamodb import connect
from holdfast.platform.logs import logger
from holdfast.platform.settings import WorkflowSettings, settings
from holdfast.platform.workflows import StepFunctions, Workflows
from holdfast.reservations.engine import Engine

_logger = logger()


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(WorkflowSettings).table_name))


@cache
def machines() -> Mapping[str, Workflows]:
    """Return the state machines by the names that messages know them by."""
    known = settings(WorkflowSettings)
    return {
        "checkout": StepFunctions(known.checkout_workflow_arn),
        "refund": StepFunctions(known.refund_workflow_arn),
    }


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Take up what the messages speak of; answer which messages have to come again, and in the end to a person."""
    failures: list[str] = []
    for record in event["Records"]:
        try:
            resuming.take_up(engine(), machines(), json.loads(record["body"]), record["messageId"])
        except Exception:
            # Whatever is wrong with one message, the others are taken up.
            _logger.exception("not taken up")
            failures.append(record["messageId"])
    _logger.info("taken up", extra={"messages": len(event["Records"]), "failures": len(failures)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}
