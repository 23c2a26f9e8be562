"""A partner's tours on the deployed stack: what the partner is told over HTTP, and what staff see and do about them."""

import copy
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import httpx
import pytest

from local.partner import NAME, TIME_ZONE
from tests.e2e.wire import answered
from tests.partner.products import SAMPLE_DAY

PATIENCE = 120
"""Seconds after which what has not happened never will: a partner is asked at most every two."""

AHEAD = 2
"""Days from today to the day that is synchronised: whatever midnight comes meanwhile, it is still to come."""

Said = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Desk:
    """Where the partner is told what to say, and tells who asked (`tests.partner.server`)."""

    client: httpx.Client

    def new_products(self, count: int) -> list[str]:
        """Have it sell so many generated products, and return their ids."""
        answer = self.client.post("/control/products", json={"generated": count})
        return [each["id"] for each in answered(answer, 200)["products"]]

    def say(self, product: str, day: str, said: list[Said]) -> None:
        """Have it say this of a product's day."""
        answered(self.client.put(f"/control/days/{product}/{day}", json=said), 200)

    def misbehave(self, kind: str, product: str, **more: Any) -> None:
        """Have it meet requests for a product with a fault (`tests.partner.faults`)."""
        answered(self.client.post("/control/faults", json={"kind": kind, "product": product, **more}), 200)

    def arrivals(self, *products: str) -> list[dict[str, Any]]:
        """Return the requests for these products that came to it, in order."""
        log = answered(self.client.get("/control/log"), 200)["arrivals"]
        return [arrival for arrival in log if arrival["product"] in products]


@dataclass(frozen=True)
class Tour:
    """An experience that runs on one weekday; it goes by the partner's id of it."""

    client: httpx.Client
    desk: Desk
    id: str
    day: str

    def says(self, *said: Said) -> None:
        """Let the partner say that there are these slots on the day, and no others."""
        self.desk.say(self.id, self.day, [{**slot, "startDate": self.day} for slot in said])

    def change(self, **changes: Any) -> Any:
        """Change the experience."""
        return answered(self.client.patch(f"/api/v1/experiences/{self.id}", json=changes), 200)

    def slots(self, **headers: str) -> httpx.Response:
        """Read the day's slots as older clients do."""
        path = f"/api/v1/experience/{self.id}/slots"
        return self.client.get(path, params={"date": self.day}, headers=headers)

    def dates(self) -> httpx.Response:
        """Read the days of the next two months."""
        return self.client.get(f"/api/v1/experience/{self.id}/dates")

    def to_book(self) -> Any:
        """Return the day's slots as carts name them."""
        path = f"/api/v1/experiences/{self.id}/slots"
        return answered(self.client.get(path, params={"date": self.day}), 200)

    def remaining(self) -> list[int]:
        """Return how many places the day's only slot has left, and each of its pax types."""
        (slot,) = answered(self.slots(), 200)
        return [slot["remaining"], *(pax["remaining"] for pax in slot["paxAvailability"])]

    def line(self, slot_id: str = "ab12", **pax: int) -> dict[str, Any]:
        """Return a cart's line of places, pax types by the first part of their names in lower case."""
        types = {_TYPES.get(name, name): count for name, count in pax.items()}
        return {"kind": "slot", "experience_id": self.id, "date": self.day, "slot_id": slot_id, "pax": types}


_TYPES = {each["type"].partition("_")[0].lower(): each["type"] for each in SAMPLE_DAY[0]["paxAvailability"]}


def sample(**changes: Any) -> Said:
    """Return the slot of the sample day; changes of a pax type by the name that `Tour.line` gives it."""
    slot = copy.deepcopy(SAMPLE_DAY[0])
    for pax in slot["paxAvailability"]:
        pax.update(changes.pop(next(name for name, full in _TYPES.items() if full == pax["type"]), {}))
    return {**slot, **changes}


def put_up(client: httpx.Client, desk: Desk, product: str) -> Tour:
    """Put a partner's product up that runs on one weekday: on the day that is AHEAD, and every week."""
    day = (datetime.now(ZoneInfo(TIME_ZONE)) + timedelta(days=AHEAD)).date()
    body = {"id": product, "name": "Midnight safari", "partner": NAME, "partner_product_id": product}
    made = answered(client.post("/api/v1/experiences", json={**body, "weekdays": [day.isoweekday()]}), 201)
    assert (made["id"], made["weekdays"], made["enabled"]) == (product, [f"{day:%a}".lower()], True)
    return Tour(client, desk, product, day.isoformat())


def begun(client: httpx.Client, days: int = AHEAD + 1) -> Any:
    """Begin a manual run, and return what was answered."""
    return answered(client.post("/api/v1/sync", params={"days": days}), 202)


def run_of(client: httpx.Client, run_id: str) -> Any:
    """Return a run with its failures."""
    return answered(client.get(f"/api/v1/sync/runs/{run_id}"), 200)


def synchronised(client: httpx.Client) -> Any:
    """Begin a manual run up to the day that is AHEAD, wait until all of it is answered, and return it."""
    run_id = begun(client)["run_id"]
    return eventually(lambda: run_of(client, run_id), lambda run: run["planned_at"] and run["waiting"] == 0)


def eventually(read: Callable[[], _T], is_so: Callable[[_T], Any]) -> _T:
    """Read again and again until it is so, and return what was read then."""
    until = time.monotonic() + PATIENCE
    while not is_so(found := read()):
        if time.monotonic() > until:
            pytest.fail(f"it never came to be: {json.dumps(found)}")
        time.sleep(0.1)
    return found


def new_tenant() -> str:
    """Return the name of a tenant that no other test knows."""
    return f"t-{uuid.uuid4().hex[:16]}"
