"""`make bench`: print the budgets as measured; the exit code tells whether every counted one is kept."""

import contextlib
import os
import sys

from benchmarks import counts, initialisation, staleness, warm_reserve
from benchmarks.budgets import Row, table
from local.dynamodb_local import DynamoDBLocal
from local.terminal import Failure, fail


def ratios() -> list[Row]:
    """Measure and return the two ratios of CPU time."""
    function, bare = warm_reserve.measure()
    ready, client = initialisation.measure()
    return [
        Row(
            "CPU of a warm reserve, against a bare boto3 handler",
            function / bare, 1.6, 1.25,
            f"{function * 1e6:.0f} us against {bare * 1e6:.0f} us of process CPU time, medians of "
            f"{warm_reserve.CALLS} calls in turn, in one process. The function: its built handler, API Gateway's event "
            "in, answer out, its log line included. The bare handler parses the same body, issues the very same "
            "transaction through a boto3 client, and answers JSON. DynamoDB is another process, which answers {} at "
            "once.",
            counted=False,
        ),
        Row(
            "Initialisation of the reserve function, against boto3 and a client",
            ready / client, 1.4, 1.0,
            f"{ready * 1e3:.0f} ms against {client * 1e3:.0f} ms of CPU time (user and system, of the whole "
            f"process), medians of {initialisation.ROUNDS} fresh processes each, in turn. The function: import the "
            "built handler and make its DynamoDB client, on the layers and the SDK alone, as in Lambda. The other: "
            "import boto3, make one dynamodb client, on the same SDK.",
            counted=False,
        ),
    ]  # fmt: skip


def main() -> int:
    """Measure, print, and judge by what is counted."""
    try:
        # Here the function's log lines are in the way; the measured ones are written as ever.
        with DynamoDBLocal() as database, open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            counted = counts.rows(database)
        rows = [*counted, *ratios()]
    except Failure as failure:
        return fail(failure)
    print(table(rows))
    products = staleness.products()
    planned, naive = (staleness.simulate(plan, products) for plan in (staleness.AsPlanned, staleness.Naive))
    print(staleness.table(planned, naive))
    broken = [*(row.what for row in rows if row.counted and not row.kept), *staleness.broken(planned)]
    if broken:
        print(f"Over budget: {'; '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
