"""A hold that runs out comes back on its own: stream, delayed message, release; or the sweeper, where no message came.

How late the emulator's queue polls says nothing of AWS, so lateness is printed and not judged.
"""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from local.stack import Stack

PATIENCE = 60
"""Seconds after which a hold that has not come back never will."""


def new_product(client: httpx.Client, stock: int) -> str:
    answer = client.post("/api/products", json={"name": "Umbrella", "total_stock": stock})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


def hold(client: httpx.Client, product: str, quantity: int, seconds: int = 2) -> tuple[str, datetime]:
    """Hold for so many seconds; return the reservation's id and when it expires."""
    items = [{"kind": "product", "product_id": product, "quantity": quantity}]
    answer = client.post(
        "/api/v1/reservations",
        json={"items": items, "user_id": "alice", "hold_seconds": seconds},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], datetime.fromisoformat(answer.json()["expires_at"])


def units(client: httpx.Client, product: str) -> tuple[int, int]:
    data = client.get(f"/api/products/{product}/status").json()["data"]
    return data["available_stock"], data["reserved_stock"]


def freed_at(client: httpx.Client, product: str, total: int) -> datetime:
    """Return when all units were first seen free again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if units(client, product) == (total, 0):
            return datetime.now(UTC)
        time.sleep(0.05)
    pytest.fail("the hold never came back")


def test_a_short_hold_comes_back_on_its_own_and_never_before_its_expiry(client: httpx.Client) -> None:
    product = new_product(client, 5)
    reservation, expires_at = hold(client, product, 3)
    assert units(client, product) == (2, 3)
    seen = freed_at(client, product, 5)
    assert seen >= expires_at
    assert client.get(f"/api/v1/reservations/{reservation}").json()["status"] == "expired"
    print(f"a hold came back {(seen - expires_at).total_seconds():.2f} s after its expiry")


def test_many_short_holds_of_one_product_all_come_back(client: httpx.Client) -> None:
    product = new_product(client, 30)
    latest = max(hold(client, product, quantity)[1] for quantity in (1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3))
    seen = freed_at(client, product, 30)
    assert seen >= latest
    print(f"the last of 12 holds came back {(seen - latest).total_seconds():.2f} s after its expiry")


def test_an_extended_hold_outlives_its_first_message(client: httpx.Client) -> None:
    extended, plain = new_product(client, 1), new_product(client, 1)
    reservation, _ = hold(client, extended, 1)
    assert client.post(f"/api/v1/reservations/{reservation}/extend").status_code == 200
    hold(client, plain, 1)
    freed_at(client, plain, 1)
    assert units(client, extended) == (0, 1)
    assert client.get(f"/api/v1/reservations/{reservation}").json()["status"] == "held"


@pytest.fixture
def undelivered(stack: Stack) -> Iterator[None]:
    """No expiry message reaches its function."""
    lambdas = stack.client("lambda")
    mappings = lambdas.list_event_source_mappings(FunctionName=stack.function_name("expiry"))["EventSourceMappings"]
    assert mappings
    try:
        for mapping in mappings:
            lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield
    finally:
        for mapping in mappings:
            lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@pytest.mark.slow
@pytest.mark.usefixtures("undelivered")
def test_a_lapsed_hold_whose_message_was_never_delivered_is_found_by_the_sweeper(
    client: httpx.Client, stack: Stack
) -> None:
    product = new_product(client, 5)
    reservation, expires_at = hold(client, product, 3, seconds=1)
    lambdas = stack.client("lambda")
    deadline = time.monotonic() + PATIENCE
    while units(client, product) != (5, 0):
        assert time.monotonic() < deadline, "the sweeper never found it"
        answer = lambdas.invoke(FunctionName=stack.function_name("sweeper"), Payload=b"{}")
        assert "FunctionError" not in answer
        time.sleep(0.5)
    assert datetime.now(UTC) >= expires_at
    assert client.get(f"/api/v1/reservations/{reservation}").json()["status"] == "expired"
