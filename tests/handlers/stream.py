"""Events of the table's stream and of the expiry queue, in AWS's shape."""

import copy
import json
from typing import Any

from tests.handlers.account import Aws


def holds(aws: Aws) -> list[dict[str, Any]]:
    """Return every reservation and deal hold as DynamoDB keeps it."""
    return [item for item in aws.items() if item["sk"]["S"].startswith(("R#", "H#"))]


def record(number: int, new: Any = None, old: Any = None) -> dict[str, Any]:
    """Return one stream record with sequence number `number`."""
    images = {name: image for name, image in (("NewImage", new), ("OldImage", old)) if image is not None}
    kind = "INSERT" if old is None else "MODIFY" if new is not None else "REMOVE"
    return {
        "eventID": f"event-{number}",
        "eventName": kind,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/holdfast-main/stream/2026",
        "dynamodb": {
            "ApproximateCreationDateTime": 1772359200.0,
            "SequenceNumber": str(number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }


def changed(item: dict[str, Any], **numbers: int) -> dict[str, Any]:
    """Return an image of `item` with other numbers in it."""
    image = copy.deepcopy(item)
    image.update({name: {"N": str(value)} for name, value in numbers.items()})
    return image


def message_of(item: dict[str, Any]) -> str:
    """Return the expiry message that a hold sends itself."""
    return json.dumps({"pk": item["pk"]["S"], "sk": item["sk"]["S"], "expires_at": int(item["expires_at"]["N"])})


def queued(*bodies: str) -> dict[str, Any]:
    """Return the event of one batch of messages of the expiry queue, with ids m0, m1 and so on."""
    return {
        "Records": [
            {"messageId": f"m{number}", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs"}
            for number, body in enumerate(bodies)
        ]
    }


def without_images(record: Any) -> Any:
    """Return a record as it lies in the dead letters."""
    if not isinstance(record, dict):
        return record
    return {name: without_images(value) for name, value in record.items() if name not in ("NewImage", "OldImage")}
