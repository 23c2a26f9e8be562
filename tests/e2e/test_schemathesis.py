"""The running API and its document say the same: schemathesis, with every check, from a fixed seed."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from local import demo
from local.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SEED = 4711
EXAMPLES = 40


@pytest.mark.slow
def test_every_answer_of_the_running_api_is_as_the_document_has_it(
    stack: Stack, client_of_tenant: Callable[[str], httpx.Client], tmp_path: Path
) -> None:
    """No 5xx, no undocumented status, no body or header that contradicts its schema, nothing open, nothing leaked."""
    seller, stranger = (f"t-{uuid.uuid4().hex[:16]}" for _ in range(2))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"auth": [_user("seller", seller, stack), _user("stranger", stranger, stack)]}))
    on_sale = {"name": "Laptop", "total_stock": 10_000_000, "price": "19.99", "expected_peak_per_second": 1}
    for number in ("1", "2"):
        assert client_of_tenant(seller).post("/api/products", json=on_sale).json()["data"]["id"] == number
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


def _user(name: str, tenant: str, stack: Stack) -> dict[str, object]:
    key = demo.issue_service_key(stack, tenant, "API document")
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
