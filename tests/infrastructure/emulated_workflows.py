"""Both state machines in an emulated AWS, by themselves: their definitions, and the two functions that they call."""

import io
import json
import zipfile
from pathlib import Path

from local import build
from local.lambda_runtime import BuiltFunction
from local.stack import Stack

MACHINES = "arn:aws:states:us-east-1:000000000000:stateMachine:"
ROLE = "arn:aws:iam::000000000000:role/any"
_PYTHON = f"python{build.PYTHON_VERSION}"


def make(stack: Stack, **named: str) -> None:
    """Make them as the template names them; `named` are the names of what the functions' variables refer to."""
    build.build()
    queue = stack.client("sqs").create_queue(QueueName="CompensationDeadLetterQueue")["QueueUrl"]
    given = {"Partition": "aws", "CompensationDeadLetterQueueUrl": queue}
    for folder in ("checkout_claims", "checkout_payments"):
        function = BuiltFunction(folder)
        variables = function.variables(stack.endpoint_url, **named)
        made = stack.client("lambda").create_function(
            FunctionName=function.logical_name,
            Runtime=_PYTHON,
            Role=ROLE,
            Handler="app.handler",
            Timeout=28,
            Code={"ZipFile": _zipped(function.path, build.BUILD / "HoldfastLayer" / "python")},
            Environment={"Variables": variables},
        )
        given[f"{function.logical_name}Arn"] = made["FunctionArn"]
    for name in ("checkout", "refund"):
        definition = (build.ROOT / "statemachines" / f"{name}.asl.json").read_text()
        for placeholder, value in given.items():
            definition = definition.replace(f"${{{placeholder}}}", value)
        assert "${" not in json.dumps(definition)
        states = stack.client("stepfunctions")
        states.create_state_machine(name=f"holdfast-{name}", definition=definition, roleArn=ROLE)


def _zipped(*folders: Path) -> bytes:
    """Return the contents of some folders in one archive; third-party packages are the emulator's own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in folders:
            for path in sorted(folder.rglob("*.py")):
                archive.write(path, path.relative_to(folder))
    return packed.getvalue()
