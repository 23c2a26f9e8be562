"""Initialisation of the reserve function, against `import boto3` and one client: each in a fresh process."""

import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.endpoint import TABLE
from local.lambda_runtime import PYTHON, BuiltFunction

ROUNDS = 21

FUNCTION = "import app; app.engine().store._connection.client"
BARE = "import boto3; boto3.client('dynamodb')"
_MEASURED = (
    "import resource\n{code}\nused = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"
)


def measure() -> tuple[float, float]:
    """Return the CPU seconds of a process that makes the function ready, and of one that makes a boto3 client."""
    seconds: dict[str, list[float]] = {FUNCTION: [], BARE: []}
    with TemporaryDirectory() as folder:
        environment = BuiltFunction("reservations").environment(Path(folder), None, Table=TABLE)
        for _ in range(ROUNDS + 1):
            for code, measured in seconds.items():
                measured.append(_cpu(code, environment))
    # The first round compiles what was not compiled yet.
    return statistics.median(seconds[FUNCTION][1:]), statistics.median(seconds[BARE][1:])


def _cpu(code: str, environment: dict[str, str]) -> float:
    command = [*PYTHON, "-c", _MEASURED.format(code=code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)
