"""What every test of a wire format asks of an answer."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx


def moment(text: str) -> datetime:
    """Return the moment that an answer names."""
    return datetime.fromisoformat(text)


def in_hours(hours: float) -> str:
    """Return the full hour so many hours from now, as clients write it."""
    full = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return f"{full + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def answered(answer: httpx.Response, status: int) -> Any:
    """Return the JSON of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> Any:
    """Return the body of an error that must have this status, this code, and the one shape."""
    body = answered(answer, status)
    assert (body["success"], body["code"]) == (False, code), answer.text
    assert body["error"]
    assert body["request_id"]
    return body


def faults(body: Any) -> dict[str, str]:
    """Return the code of the fault of each field that an error names."""
    return {fault["field"]: fault["code"] for fault in body["errors"]}


def keyed(key: str | None = None) -> dict[str, str]:
    """Return the header of an idempotency key, a new one unless one is given."""
    return {"Idempotency-Key": key or uuid.uuid4().hex}
