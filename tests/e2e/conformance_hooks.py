"""What `schemathesis run` does besides in the test of the API document; loaded by it, through SCHEMATHESIS_HOOKS."""

from itertools import count
from typing import Any

import schemathesis

EXAMPLE_KEY = "order-4711"
UNTOUCHED_PRODUCT = "2"
"""On sale before, and not the one of the document's examples, whose stock and limit are changed."""
FORM = {"bad_json", "idempotency_key_malformed", "idempotency_key_required", "unsupported_media_type"}
BEYOND_A_SCHEMA = {
    "hold_seconds",  # the longest hold is the stage's to set
    "next",  # a token that this list gave
    "price",  # as fine as the currency's units
    "user_id",  # a service key must say; a user need not
}

_keys = count()
_bodies = count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Bring requests within reach of success.

    The document's example key is a new one each time, so that not every body after the first meets it used; every
    other valid body is about a product that is there, for no longer than it may be held.
    """
    if case.headers and case.headers.get("Idempotency-Key") == EXAMPLE_KEY:
        case.headers["Idempotency-Key"] = f"{EXAMPLE_KEY}-{next(_keys)}"
    if _is_valid(case) and isinstance(case.body, dict) and next(_bodies) % 2:
        for line in case.body.get("items", [case.body]):
            if "product_id" in line:
                line["product_id"] = UNTOUCHED_PRODUCT
        if case.body.get("hold_seconds") is not None:
            case.body["hold_seconds"] = min(case.body["hold_seconds"], 600)


def _is_valid(case: Any) -> bool:
    return case.meta is not None and not case.meta.generation.mode.is_negative


@schemathesis.check
def valid_requests_are_refused_for_the_state_alone(ctx: Any, response: Any, case: Any) -> None:
    """What the document calls valid is not refused for its form, but where no schema can say what is valid."""
    if not _is_valid(case) or response.status_code not in (400, 415):
        return
    body = response.json()
    fields = {error["field"] for error in body.get("errors", [])} if body["code"] == "validation_failed" else set()
    assert body["code"] not in FORM, f"a valid request was answered {body['code']}"
    assert fields <= BEYOND_A_SCHEMA, f"valid fields were refused: {', '.join(fields - BEYOND_A_SCHEMA)}"
