"""Requests and write units of a reserve, counted through the real handlers on DynamoDB Local."""

import importlib.util
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.budgets import Row
from benchmarks.gateway import TENANT, Context, event, product_line, reserve_event
from benchmarks.write_units import counted
from holdfast.catalogue.experiences import slots
from holdfast.claims.slot import OfferedPax, OfferedSlot
from holdfast.platform.dynamodb import Put
from holdfast.platform.items import ExperienceItem
from holdfast.platform.tables import TABLE_SCHEMA, Keys
from local import build
from local.dynamodb_local import DynamoDBLocal
from local.terminal import Failure

_SETTINGS = {
    "CHECKOUT_WORKFLOW_ARN": "arn:aws:states:us-east-1:000000000000:stateMachine:holdfast-checkout",
    "DEFAULT_CURRENCY": "USD",
    "EXTEND_SECONDS": "300",
    "HOLD_SECONDS": "600",
    "HOLD_SECONDS_MAX": "3600",
    "IDENTITY_TABLE_NAME": "holdfast-identity",
    "LISTING_HOLD_SECONDS": "900",
    "SECRETS_PREFIX": "/holdfast",
    "VENUE_HOLD_SECONDS": "900",
}
_LINES = 10
_LIMIT = {"reserves_per_minute": 10}
_PATIENCE = {"patience": {"after": 3, "shortest_seconds": 60, "forget_seconds": 86_400}}

Line = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """What one request cost."""

    requests: int
    write_units: int


class Shop:
    """The functions, cold, over a table of their own; what is on sale is put there through them, or by a sync."""

    def __init__(self) -> None:
        self._reservations = _cold("reservations")
        self._modules = {folder: _cold(folder) for folder in ("products", "events", "marketplace", "venues")}

    def product(self, **more: Any) -> Line:
        """Put a product on sale and return the line that wants one of it."""
        made = self._send("products", "/api/products", {"name": "Laptop", "total_stock": 1000, "price": "899", **more})
        return product_line(made["data"]["id"])

    def event(self) -> tuple[dict[str, str], Line]:
        """Put ten rows of ten seats and standing room on sale.

        Return what names the seats' type in a line, and the line that wants one of the standing.
        """
        event = self._send("events", "/api/events", {"name": "Gala", "date": _moment(1000), "venue": "Old Theatre"})
        path, resource = f"/api/events/{event['id']}", "/api/events/{event_id}"
        stalls, standing = (
            str(self._send("events", f"{path}/ticket-types", kind, f"{resource}/ticket-types")["ticketTypeId"])
            for kind in (
                {"ticketType": "Stalls", "price": "80", "numbered": True},
                {"ticketType": "Standing", "price": "30", "numbered": False, "quantity": 100},
            )
        )
        rows = [{"rowNumber": row, "seatNumbers": list(range(1, 11))} for row in range(1, 11)]
        self._send("events", f"{path}/seats", {"ticketTypeId": stalls, "rows": rows}, f"{resource}/seats")
        named = {"event_id": str(event["id"]), "ticket_type_id": stalls}
        return named, {**named, "ticket_type_id": standing, "kind": "ticket", "quantity": 1}

    def listing(self) -> Line:
        """Put a ticket up for resale and return the line that wants it."""
        offer = {"title": "Gala", "price": "25", "userId": "seller"}
        return {"kind": "listing", "ticket_id": self._send("marketplace", "/api/tickets", offer)["id"]}

    def hall(self, first_hour: int) -> Line:
        """Open a hall and return the line that wants it for three hours of a day, `first_hour` UTC being the first."""
        hall = {"name": "Hall", "address": "1 High Street", "capacity": 200, "basePriceCents": 50_000}
        venue = self._send("venues", "/api/v1/venues", hall | {"currency": "USD", "timeZone": "Europe/Berlin"})
        start, end = (_moment(240, hour) for hour in (first_hour, first_hour + 3))
        return {"kind": "venue", "venue_id": str(venue["id"]), "start": start, "end": end}

    def slot(self) -> Line:
        """Have a partner offer a tour to adults, children and infants; return the line that wants some of it."""
        engine, now = self._reservations.engine(), self._reservations.engine().clock.now()
        tour, day = "14", _moment(24)[:10]
        sold = ExperienceItem(
            *Keys(TENANT).experience(tour),
            experience_id=tour,
            name="Island tour",
            partner="tours",
            partner_product_id=tour,
            weekdays=list(range(1, 8)),
            enabled=True,
            version=1,
            created_at=now,
            updated_at=now,
        )
        engine.store.write(Put(sold))
        types = (
            OfferedPax("ADULT_12~99", "Adult", "12-99 years", 1, 20, 150, True, 34_100, 44_100),
            OfferedPax("CHILD_5~15", "Child", "5-15 years", 1, 20, 150, False, 13_700, 23_700),
            OfferedPax("INFANT_0~4", "Infant", "0-4 years", 1, 20, 150, False, 0, 0),
        )
        said = OfferedSlot("ab12", "23:00", "23:30", 170, "SGD", types, {})
        slots.keep(
            engine,
            TENANT,
            tour,
            day,
            slots.look(engine, TENANT, tour, day),
            [said],
            may_close=True,
            digest="said",
            rejected=(),
            asked_at=now,
            zone=ZoneInfo("UTC"),
            contains_our_sales=False,
        )
        pax = {"ADULT_12~99": 2, "CHILD_5~15": 1}
        return {"kind": "slot", "experience_id": tour, "date": day, "slot_id": said.slot_id, "pax": pax}

    def reserve(self, *lines: Line, **policy: Any) -> Counts:
        """Hold these lines for a new user of a tenant that has set this, and return what that cost."""
        with counted(self._reservations.engine().store._connection) as counting:
            answer = self._reservations.handler(reserve_event(uuid.uuid4().hex, list(lines), **policy), Context())
        if answer["statusCode"] != 201:
            raise Failure(f"the reserve was answered {answer['statusCode']} {answer['body']}")
        return Counts(counting.total, counting.write_units)

    def _send(self, folder: str, path: str, body: dict[str, Any], resource: str | None = None) -> Any:
        answer = self._modules[folder].handler(event("POST", path, body, resource), Context())
        if answer["statusCode"] not in (200, 201):
            raise Failure(f"{path} was answered {answer['statusCode']} {answer['body']}")
        return json.loads(answer["body"])


def _cold(folder: str) -> ModuleType:
    path = build.ROOT / "functions" / folder / "app.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_{uuid.uuid4().hex}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _moment(hours: int, hour: int = 0) -> str:
    """Return `hour` o'clock UTC of the day that is so many hours from now."""
    day = (datetime.now(UTC) + timedelta(hours=hours)).replace(hour=hour, minute=0, second=0, microsecond=0)
    return f"{day:%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def _opened(database: DynamoDBLocal) -> Iterator[Shop]:
    """Open a shop over a new table of the database."""
    name = f"holdfast-{uuid.uuid4().hex}"
    declared = {key: value for key, value in TABLE_SCHEMA.items() if not key.endswith("Specification")}
    database.client().create_table(TableName=name, **declared)
    before = dict(os.environ)
    os.environ.update(database.environment | _SETTINGS | {"TABLE_NAME": name})
    try:
        yield Shop()
    finally:
        os.environ.clear()
        os.environ.update(before)


def rows(database: DynamoDBLocal) -> list[Row]:
    """Count, and return the counted budgets."""
    with _opened(database) as shop:
        return [*_of_products(shop), *_of_seats(shop), *_of_halls(shop), *_of_slots(shop), *_of_carts(shop)]


_HOW = "Through the handler of functions/reservations, event in and answer out, on DynamoDB Local; "
_UNITS = (
    "write units by AWS's rule from the request and the items before and after it: in a transaction 2 for every "
    "started kilobyte of an item, and 1 for every index entry that is written or taken away."
)


def _of_products(shop: Shop) -> Sequence[Row]:
    plain, limited = shop.product(), shop.product(max_per_user=2)
    for line in (plain, limited):
        shop.reserve(line)
    one, one_limited = shop.reserve(plain), shop.reserve(limited)
    paced, watched = shop.reserve(plain, **_LIMIT), shop.reserve(limited, **_LIMIT, **_PATIENCE)
    return [
        Row(
            "DynamoDB requests to reserve one line, warm",
            one.requests, 1, 1,
            f"{_HOW}every request of the function's connection is counted.",
        ),
        Row("Write units for it, without a rule per user", one.write_units, 6, 5, _HOW + _UNITS),
        Row(
            "Write units for it, with a rule per user",
            one_limited.write_units, 8, 7,
            "The same, for a product with max_per_user.",
        ),
        Row(
            "DynamoDB requests for it, with a limit a minute on each user",
            paced.requests, 1, 1,
            "The same, for a tenant that has set reserves_per_minute.",
        ),
        Row("Write units for it, with a limit a minute", paced.write_units, 8, 7, _HOW + _UNITS),
        Row(
            "DynamoDB requests for it, with both, and patience for holds that lapse",
            watched.requests, 1, 1,
            "The same, for a product with max_per_user, of a tenant that has set reserves_per_minute and patience.",
        ),
        Row("Write units for it, with all three", watched.write_units, 8, 7, _HOW + _UNITS),
    ]  # fmt: skip


def _of_seats(shop: Shop) -> Sequence[Row]:
    seats, _ = shop.event()
    named = [{**seats, "kind": "seat", "row": "1", "seat": seat} for seat in ("1", "2")]
    best = {**seats, "kind": "best_available", "quantity": 2}
    shop.reserve(named[0])
    one, two = shop.reserve(named[1]), shop.reserve(best)
    return [
        Row("DynamoDB requests to reserve a named seat, warm", one.requests, 1, 1, "The same, for a line of a seat."),
        Row("Write units for a named seat", one.write_units, 6, 5, _HOW + _UNITS),
        Row(
            "DynamoDB requests to reserve the best two seats",
            two.requests, 2, 2,
            "The same, for a line of best_available: one request reads the seats of the block, one takes two of them.",
        ),
        Row("Write units for the best two seats", two.write_units, 8, 7, _HOW + _UNITS),
    ]  # fmt: skip


def _of_halls(shop: Shop) -> Sequence[Row]:
    within = shop.hall(9)
    shop.reserve(shop.hall(9))
    one = shop.reserve(within)
    return [
        Row(
            "DynamoDB requests to reserve a hall within one day",
            one.requests, 2, 2,
            "The same, for a line of a venue: one request reads the venue and the day, one writes.",
        ),
        Row("Write units for a hall within one day", one.write_units, 8, 7, _HOW + _UNITS),
    ]  # fmt: skip


def _of_slots(shop: Shop) -> Sequence[Row]:
    places = shop.slot()
    shop.reserve(places)
    one, paced = shop.reserve(places), shop.reserve(places, **_LIMIT)
    return [
        Row(
            "DynamoDB requests to reserve places of a slot, warm",
            one.requests, 1, 1,
            "The same, for a line of a slot: two adults and a child, of three pax types that it has.",
        ),
        Row("Write units for places of a slot", one.write_units, 6, 5, _HOW + _UNITS),
        Row("Write units for them, with a limit a minute", paced.write_units, 8, 7, _HOW + _UNITS),
    ]  # fmt: skip


def _of_carts(shop: Shop) -> Sequence[Row]:
    ten = [shop.product() for _ in range(_LINES)]
    cold, warm = shop.reserve(*ten), shop.reserve(*ten)
    seats, standing = shop.event()
    mixed = [
        *(shop.product() for _ in range(3)),
        *({**seats, "kind": "seat", "row": "5", "seat": str(seat)} for seat in range(1, 4)),
        standing,
        shop.listing(),
        shop.hall(9),
        shop.hall(14),
    ]
    one_of_each = shop.reserve(*mixed)
    return [
        Row(
            f"DynamoDB requests to reserve {_LINES} lines",
            cold.requests, 3, 2,
            f"{_HOW}counted for {_LINES} products that the function has not seen before; once it has, it takes "
            f"{warm.requests}.",
        ),
        Row(
            f"DynamoDB requests to reserve {len(mixed)} mixed lines",
            one_of_each.requests, 3, 2,
            "The same, for products, named seats, standing room, a resale ticket and two halls, none of which the "
            "function has seen before; a line of best_available takes one more.",
        ),
    ]  # fmt: skip
