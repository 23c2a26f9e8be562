"""Workflows: starting them, answering the tasks that wait, asking whether they still run (AWS Step Functions).

The SDK is imported by the first call: functions on the hot path start none.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Protocol

from holdfast.platform.errors import Busy, Unavailable

_THROTTLES = frozenset({"ThrottlingException", "ExecutionLimitExceeded", "RequestLimitExceeded", "ServiceUnavailable"})
_ANSWERED_BEFORE = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
"""What is said of a token that nobody waits with any more (PROTOCOL.md 22)."""


_SERVER_FAULT = 500


class RunState(StrEnum):
    """What is known of a run."""

    RUNNING = "running"
    OVER = "over"


class Workflows(Protocol):
    """Runs of one state machine, by their names."""

    def start(self, name: str, run: Mapping[str, Any]) -> None:
        """Start a run of this name with this input, unless there is or was one; raises Busy and Unavailable."""
        ...

    def answer(self, token: str, outcome: Mapping[str, Any]) -> None:
        """Tell the task that waits with `token` what came; nothing happens where it waits no more."""
        ...

    def state(self, name: str) -> RunState | None:
        """Return what is known of the run of this name; None where there never was one."""
        ...


class StepFunctions:
    """Runs of one state machine of AWS Step Functions."""

    def __init__(self, machine_arn: str) -> None:
        """Take the state machine's ARN."""
        self._machine = machine_arn

    def start(self, name: str, run: Mapping[str, Any]) -> None:
        """Start a run; a name that was used before is a success, for 90 days (AWS: StartExecution; PROTOCOL.md 21)."""
        arguments = {"stateMachineArn": self._machine, "name": name, "input": json.dumps(run)}
        _call("start_execution", "ExecutionAlreadyExists", **arguments)

    def answer(self, token: str, outcome: Mapping[str, Any]) -> None:
        """Answer the waiting task; an answer to one that was answered, or timed out, is none."""
        _call("send_task_success", *_ANSWERED_BEFORE, taskToken=token, output=json.dumps(outcome))

    def state(self, name: str) -> RunState | None:
        """Return what is known of a run; Step Functions forgets one 90 days after it ended."""
        arn = f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}"
        found = _call("describe_execution", "ExecutionDoesNotExist", executionArn=arn)
        if found is None:
            return None
        return RunState.RUNNING if found["status"] == "RUNNING" else RunState.OVER


@cache
def client() -> Any:
    """Return the Step Functions client, made once, with time-outs far inside a function's own."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "stepfunctions",
        config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}),
    )


def _call(operation: str, *accepted: str, **arguments: str) -> dict[str, Any] | None:
    """Make a call; None for the errors that are `accepted`. Raises Busy for a throttle, Unavailable for no answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client(), operation)(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in accepted:
            return None
        if code in _THROTTLES:
            raise Busy from error
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_FAULT:
            raise Unavailable from error
        raise
    except BotoCoreError as error:
        raise Unavailable from error
    return answer
