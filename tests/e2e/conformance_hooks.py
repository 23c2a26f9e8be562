"""What `schemathesis run` does besides in the test of the API document; loaded by it, through SCHEMATHESIS_HOOKS."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis

EXAMPLE_KEY = "order-4711"
UNTOUCHED_PRODUCT = "2"
"""On sale before, and not the one of the document's examples, whose stock and limit are changed."""
FORM = {"bad_json", "idempotency_key_malformed", "idempotency_key_required", "unsupported_media_type"}
BEYOND_A_SCHEMA = {
    "body",  # either a code or a new password
    "date",  # of a calendar that has such a day
    "endDate",  # a day, or a moment, of the calendar
    "endTs",  # later than the start, by as much as the venue allows
    "guestCount",  # up to the venue's capacity
    "hold_seconds",  # the longest hold is the stage's to set
    "items",  # nothing twice that there is once
    "items.end",  # later than the start
    "items.start",  # a moment of the calendar
    "next",  # a token that this list gave
    "items.date",  # of a calendar that has such a day
    "page",  # a number that the list can be counted up to
    "phone",  # a number that can be dialled
    "customer.phone",
    "user.phone",
    "partner",  # one of the deployment's
    "price",  # as fine as the currency's units
    "quantity",  # needed where tickets are counted
    "roles",  # those that the key's tenant may give
    "rows.seatNumbers",  # no seat twice
    "seatDetails.metaData.seatNumbers",  # as many as rows, no seat twice
    "section",  # one that the ticket type has
    "settings",  # that go together
    "settings.pricing.rules",
    "settings.refunds",
    "startDate",
    "startTs",  # as far ahead as the venue asks
    "ticketTypeId",  # one with numbered seats
    "ticket_type_id",  # needed where a section is named
    "timeZone",  # of the IANA database
    "user",  # the same as customer
    "weekdays",  # none twice, by its name and by its number
    "venueId",  # the one of the address
    "userId",  # a service key must say; a user need not
    "user_id",
}
"""Fields of which a schema cannot say all that makes them valid; places in lists are left out of the names."""

KNOWN: dict[str, str] = json.loads(Path(os.environ["HOLDFAST_KNOWN"]).read_text())
"""Ids of things that are there, by the names of the parameters that ask for them."""

TAKING_AWAY = {
    ("DELETE", "/api/v1/keys/{key_id}"),
    ("DELETE", "/api/v1/users/{user_id}"),
    ("POST", "/api/v1/keys/{key_id}/rotate"),
}
"""What is not to be done to the things that are there, since all others ask for them; settings are only put back."""

NOTHING = "0" * 24
"""An id that nothing has."""

_keys = count()
_requests = count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Bring requests within reach of success.

    The document's example key is a new one each time, so that not every body after the first meets it used; most
    valid requests are about things that are there, at times to come, for no longer than they may be held.
    """
    if case.headers and case.headers.get("Idempotency-Key") == EXAMPLE_KEY:
        case.headers["Idempotency-Key"] = f"{EXAMPLE_KEY}-{next(_keys)}"
    if case.operation.path == "/api/v1/settings" and isinstance(case.body, dict) and not _is_negative(case):
        case.body = dict.fromkeys(case.body)
    if case.operation.path.startswith("/api/v1/experiences") and isinstance(case.body, dict):
        _keep_off_sale(case.body)
    if (case.method, case.operation.path) in TAKING_AWAY:
        for name, value in (case.path_parameters or {}).items():
            case.path_parameters[name] = NOTHING if value == KNOWN.get(name) else value
    request = next(_requests)
    if not _is_valid(case) or request % 4 == 0:
        return
    if (case.method, case.operation.path) not in TAKING_AWAY:
        for name in set(case.path_parameters or {}) & set(KNOWN):
            case.path_parameters[name] = KNOWN[name]
    if case.headers and "X-Tenant-Id" in case.headers:
        case.headers["X-Tenant-Id"] = KNOWN["X-Tenant-Id"]
    if case.query and "date" in case.query:
        case.query["date"] = _moment(24)[:10]
    if isinstance(case.body, dict):
        _speak_of_what_is_there(case.body, request)
        if isinstance(case.body.get("hold_seconds"), int):
            case.body["hold_seconds"] = min(case.body["hold_seconds"], 600)


def _keep_off_sale(experience: dict[str, Any]) -> None:
    """Have nothing asked of the partner for what was made up: all tests share the 30 requests a minute."""
    if experience.get("enabled", True) is True:
        experience["enabled"] = False


def _speak_of_what_is_there(value: Any, request: int) -> None:
    """Let every id in a body that names something on sale name what is there, and times be those to come."""
    if isinstance(value, list):
        for part in value:
            _speak_of_what_is_there(part, request)
    elif isinstance(value, dict):
        known = {_snake(name): name for name in value}
        for name in known.keys() & _ON_SALE.keys():
            if value[known[name]] is not None:
                value[known[name]] = _ON_SALE[name]
        for first, last in (("start", "end"), ("start_ts", "end_ts")):
            if first in known and last in known:
                value[known[first]], value[known[last]] = _moment(3 * request), _moment(3 * request + 2)
        for part in value.values():
            _speak_of_what_is_there(part, request)


_NAMED = ("event_id", "ticket_type_id", "ticket_id", "venue_id", "order_id", "experience_id", "partner")
_ON_SALE = {name: KNOWN[name] for name in _NAMED}
_ON_SALE["product_id"] = UNTOUCHED_PRODUCT


def _moment(hours: int) -> str:
    """Return a full hour, so many after the first that every rule of a venue allows."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    return f"{first + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _is_valid(case: Any) -> bool:
    return case.meta is not None and not _is_negative(case)


def _is_negative(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_negative


@schemathesis.check
def valid_requests_are_refused_for_the_state_alone(ctx: Any, response: Any, case: Any) -> None:
    """What the document calls valid is not refused for its form, but where no schema can say what is valid."""
    if not _is_valid(case) or response.status_code not in (400, 415):
        return
    body = response.json()
    named = {error["field"] for error in body.get("errors", [])} if body["code"] == "validation_failed" else set()
    fields = {re.sub(r"\.\d+", "", field) for field in named}
    assert body["code"] not in FORM, f"a valid request was answered {body['code']}"
    assert fields <= BEYOND_A_SCHEMA, f"valid fields were refused: {', '.join(fields - BEYOND_A_SCHEMA)}"
