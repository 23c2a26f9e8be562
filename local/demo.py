"""Demo data: a service key, things to sell, people to buy them; and every function warm before anybody waits."""

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.client import Client
from local.stack import Stack
from local.terminal import Failure

TENANT = "demo"
ACCOUNTS = ("ada", "grace", "linus")
PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "name": "Laptop, 40 % off",
        "description": "200 pieces, two a person, from noon.",
        "total_stock": 200,
        "price": "899.00",
        "max_per_user": 2,
    },
    {"name": "Headphones", "description": "Noise cancelling.", "total_stock": 50, "price": "149.00"},
    {"name": "The last umbrella", "description": "There is one.", "total_stock": 1, "price": "19.90"},
)


@dataclass(frozen=True)
class Demo:
    """What a newcomer needs to try the API; written to .local/demo.json as it stands."""

    base_url: str
    service_key: str
    tenant: str
    accounts: list[str]
    products: list[dict[str, Any]]

    def write(self, path: Path) -> None:
        """Keep it where tools find it."""
        path.write_text(json.dumps(asdict(self) | {"curl": self.reserve_command()}, indent=2) + "\n")

    def reserve_command(self) -> str:
        """A command that reserves one piece of the first product when it is pasted into a shell."""
        body = {
            "items": [{"kind": "product", "product_id": self.products[0]["id"], "quantity": 1}],
            "user_id": self.accounts[0],
        }
        return " \\\n  ".join(
            [
                f"curl -sS -X POST {self.base_url}/api/v1/reservations",
                f"-H {shlex.quote(f'Authorization: Bearer {self.service_key}')}",
                "-H 'Content-Type: application/json'",
                '-H "Idempotency-Key: demo-$(date +%s%N)"',
                f"-d {shlex.quote(json.dumps(body))}",
            ]
        )


def load(stack: Stack) -> Demo:
    """Issue the demo tenant's service key, and put its products on sale over HTTP with it."""
    service_key = issue_service_key(stack, TENANT, "demo data")
    client = Client(stack.base_url, service_key)
    products = []
    for product in PRODUCTS:
        answer = client.post("/api/products", product)
        if answer.status != 201:
            raise Failure(f"the demo product {product['name']!r} was answered {answer.status}: {answer.body}")
        products.append(answer.body["data"])
    return Demo(stack.base_url, service_key, TENANT, list(ACCOUNTS), products)


def issue_service_key(stack: Stack, tenant: str, label: str) -> str:
    """Issue a service key of a tenant, for everything a key can do, straight into the stack's identity table."""
    with stack.environment():
        from holdfast.identity import service_keys
        from holdfast.platform.clock import SystemClock
        from holdfast.platform.dynamodb import connect

        store = connect(stack.outputs["IdentityTableName"])
        return service_keys.issue(store, SystemClock(), tenant, service_keys.ROLES, label)


def warm(stack: Stack, demo: Demo) -> None:
    """Have every function called once, so that the first person to try one does not wait for its start."""
    client = Client(demo.base_url, demo.service_key)
    reads = [
        "/api/v1/health",
        "/api/v1/openapi.json",
        "/api/v1/reservations?user_id=ada",
        "/api/users/ada/reservations",
        "/api/products",
        "/nothing-here",
    ]
    lambdas = stack.client("lambda")

    def invoke(folder: str) -> None:
        lambdas.invoke(FunctionName=stack.function_name(folder), Payload=json.dumps({"Records": []}))

    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = [pool.submit(client.get, path) for path in reads]
        calls = [pool.submit(invoke, folder) for folder in ("expiry_scheduler", "expiry", "sweeper")]
        for call in calls:
            call.result()
    for path, answer in zip(reads, answers, strict=True):
        if answer.result().status >= 500:
            raise Failure(f"{path} was answered {answer.result().status}; what functions printed is in {stack.log}")
