"""CPU of a warm reserve in the function, against a bare boto3 handler that issues the same transaction.

Run as a program it is the measured process: it sees what the function sees in Lambda, and its standard output goes
nowhere, where in Lambda somebody else collects the log.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gateway import TENANT, Context, product_line, reserve_event

WARMING_CALLS = 300
CALLS = 3_000

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def measure() -> tuple[float, float]:
    """Return the CPU seconds of one warm call of the function, and of one call of the bare handler."""
    from benchmarks.endpoint import TABLE, endpoint
    from local.build import ROOT
    from local.lambda_runtime import PYTHON, BuiltFunction

    with TemporaryDirectory() as folder, endpoint(TENANT) as url:
        result = Path(folder) / "result.json"
        environment = BuiltFunction("reservations").environment(Path(folder), url, Table=TABLE)
        environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
        command = [*PYTHON, "-m", "benchmarks.warm_reserve", str(result)]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        function, bare = json.loads(result.read_text())
    return statistics.median(function), statistics.median(bare)


def _bare(client: Any, transaction: dict[str, Any]) -> Handler:
    """Return a handler that parses the body, issues `transaction` for a new reservation, and answers JSON."""
    reservation = transaction["TransactItems"][0]["Put"]["Item"]

    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        body = json.loads(event["body"])
        reservation["sk"]["S"] = f"R#{event['headers']['Idempotency-Key']}"
        client.transact_write_items(**transaction)
        answer = {"id": reservation["sk"]["S"], "status": "held", "user_id": body["user_id"], "items": body["items"]}
        return {"statusCode": 201, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}

    return handler


def _transaction(handler: Handler, connection: Any) -> dict[str, Any]:
    """Return the arguments of the transaction that the function issues for one reserve."""
    issued: list[dict[str, Any]] = []
    call = connection._make_api_call

    def noted(operation: str, arguments: dict[str, Any]) -> Any:
        issued.append(arguments)
        return call(operation, arguments)

    connection._make_api_call = noted
    answer = handler(reserve_event("user", [product_line("1")]), Context())
    del connection._make_api_call
    assert answer["statusCode"] == 201, answer
    return issued[-1]


def _seconds(handler: Handler, event: dict[str, Any]) -> float:
    started = time.process_time()
    handler(event, Context())
    return time.process_time() - started


def _interleaved() -> tuple[list[float], list[float]]:
    """Call the two in turn, so that neither finds the processor's caches full of its own code alone."""
    import app  # type: ignore[import-not-found]  # the function's own folder is on the path
    import boto3

    bare = _bare(boto3.client("dynamodb"), _transaction(app.handler, app.engine().store._connection))
    measured: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARMING_CALLS + CALLS):
        event = reserve_event("user", [product_line("1")])
        for handler, seconds in zip((app.handler, bare), measured, strict=True):
            seconds.append(_seconds(handler, event))
    return measured[0][WARMING_CALLS:], measured[1][WARMING_CALLS:]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_interleaved()))
