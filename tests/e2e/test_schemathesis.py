"""The running API and its document say the same: schemathesis, with every check, from a fixed seed."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import demo
from local.partner import NAME
from local.stack import Stack
from tests.e2e.test_event_tickets_wire import new_event, upload
from tests.e2e.test_halls_wire import GUEST, new_hall
from tests.e2e.test_marketplace_wire import new_ticket
from tests.e2e.wire import in_hours, keyed

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SEED = 4711
EXAMPLES = 15


@pytest.mark.slow
def test_every_answer_of_the_running_api_is_as_the_document_has_it(
    stack: Stack, client_of_tenant: Callable[[str], httpx.Client], tmp_path: Path
) -> None:
    """No 5xx, no undocumented status, no body or header that contradicts its schema, nothing open, nothing leaked."""
    seller, stranger = (f"t-{uuid.uuid4().hex[:16]}" for _ in range(2))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"auth": [_user("seller", seller, stack), _user("stranger", stranger, stack)]}))
    known = tmp_path / "known.json"
    known.write_text(json.dumps(_put_on_sale(client_of_tenant(seller)) | {"X-Tenant-Id": seller, "tenant": seller}))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--config-file", str(HERE / "conformance.toml"), "--no-color"),
            *("run", str(ROOT / "openapi.json"), "--url", stack.base_url, "--continue-on-failure"),
            *("--seed", str(SEED), "--max-examples", str(EXAMPLES), "--generation-database", "none"),
        ],
        cwd=tmp_path,
        env=os.environ
        | {
            "HOLDFAST_SERVICE_KEYS": str(keys),
            "HOLDFAST_KNOWN": str(known),
            "SCHEMATHESIS_HOOKS": "tests.e2e.conformance_hooks",
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


def _put_on_sale(client: httpx.Client) -> dict[str, Any]:
    """Put something of every kind on sale, and return by their parameters' names the ids that no example foretells."""

    def made(path: str, body: dict[str, Any] | None, status: int = 201) -> Any:
        answer = client.post(path, json=body, headers=keyed())
        assert answer.status_code == status, answer.text
        return answer.json()

    on_sale = {"name": "Laptop", "total_stock": 10_000_000, "price": "19.99", "expected_peak_per_second": 1}
    for number in ("1", "2"):
        assert made("/api/products", on_sale)["data"]["id"] == number
    event, numbered, _ = new_event(client)
    upload(client, event, numbered)
    seat = {"ticketTypeId": numbered, "metaData": {"rowNumbers": [1], "seatNumbers": [1]}}
    tickets = {"userId": "alice", "eventId": event, "seatDetails": [seat]}
    made("/api/reserve", tickets, 200)
    ticket, other = (new_ticket(client, "alice")["id"] for _ in range(2))
    venue = new_hall(client)
    closed = {"startTs": in_hours(1000), "endTs": in_hours(1024), "reason": "New floor"}
    cart = {"user_id": "alice", "items": [{"kind": "product", "product_id": "1", "quantity": 1}]}
    reserved = made("/api/v1/reservations", cart)["id"]
    awaiting = client.post(
        f"/api/v1/reservations/{reserved}/checkout",
        json={"payment": {"provider": "sandbox", "token": "tok_confirm"}},
        headers=keyed() | {"Prefer": "wait=15"},
    ).json()
    tour = {"id": "15", "name": "Safari", "partner": NAME, "partner_product_id": f"of-{uuid.uuid4().hex}"}
    # Off sale: the partner is asked for nothing of it, for all tests share the 30 requests a minute.
    made("/api/v1/experiences", {**tour, "weekdays": ["sun"], "enabled": False})
    evening = {"venueId": venue, "userId": "alice", "startTs": in_hours(100), "endTs": in_hours(104)}
    return {
        "event_id": str(event),
        "ticket_type_id": str(numbered),
        "purchase_id": made("/api/checkout", tickets, 200)["purchaseId"],
        "ticket_id": ticket,
        "order_id": made("/api/orders", {"ticketId": other, "userId": "bob"})["id"],
        "provider": "sandbox",
        "payment_id": awaiting["payment"]["action"]["url"].rpartition("/")[2],
        "venue_id": venue,
        "blackout_id": made(f"/api/v1/venues/{venue}/blackouts", closed)["id"],
        "booking_id": made("/api/v1/bookings", evening)["booking"]["id"],
        "user_id": made("/api/v1/users", GUEST, 200)["user"]["id"],
        "phone": "+919876543210",
        "experience_id": "15",
        "partner": NAME,
        "run_id": made("/api/v1/sync", None, 202)["run_id"],
    }


def _user(name: str, tenant: str, stack: Stack) -> dict[str, object]:
    key = demo.issue_service_key(stack, tenant, "API document")
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
