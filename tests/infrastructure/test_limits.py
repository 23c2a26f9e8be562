"""Limits that AWS refuses a template over, or silently ignores, and an emulator lets pass."""

from collections.abc import Callable
from typing import Any

from local import build

Properties = dict[str, dict[str, Any]]
OfType = Callable[[str], Properties]

API_SECONDS = 29
UNZIPPED_BYTES = 250 * 1024 * 1024
LONGEST_REFERENCE = 256


def test_functions_behind_the_api_answer_within_its_integration_time_out(
    functions: Properties, api: dict[str, Any]
) -> None:
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            called = next(name for name in functions if f"{name}.Arn" in integration["uri"])
            assert functions[called]["Timeout"] < API_SECONDS, f"{method} {path}"
            assert integration.get("timeoutInMillis", 29_000) <= API_SECONDS * 1000


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take(
    functions: Properties, of_type: OfType
) -> None:
    queues = of_type("AWS::SQS::Queue")
    consumed = [
        (mapping["EventSourceArn"]["Fn::GetAtt"][0], mapping["FunctionName"]["Ref"])
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"]["Fn::GetAtt"][0] in queues
    ]
    assert consumed
    for queue, function in consumed:
        assert queues[queue]["VisibilityTimeout"] >= 6 * functions[function]["Timeout"], queue


def test_queue_consumers_may_run_at_least_two_at_a_time(of_type: OfType) -> None:
    queues = of_type("AWS::SQS::Queue")
    for name, mapping in of_type("AWS::Lambda::EventSourceMapping").items():
        if mapping["EventSourceArn"]["Fn::GetAtt"][0] in queues:
            assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 1000, name


def test_no_function_reserves_concurrency_that_a_small_account_does_not_have(functions: Properties) -> None:
    assert not [name for name, function in functions.items() if "ReservedConcurrentExecutions" in function]


def test_code_and_layers_unzipped_fit_a_function(functions: Properties) -> None:
    layers = sum(_bytes(layer) for layer in ("VendorLayer", "SigningLayer", "HoldfastLayer"))
    for name in functions:
        assert _bytes(name) + layers <= UNZIPPED_BYTES, name


def test_names_are_no_longer_than_aws_takes(of_type: OfType) -> None:
    names = [schedule["Name"] for schedule in of_type("AWS::Scheduler::Schedule").values()]
    names += [layer["LayerName"] for layer in of_type("AWS::Lambda::LayerVersion").values()]
    names += [policy["PolicyName"] for role in of_type("AWS::IAM::Role").values() for policy in role["Policies"]]
    assert {name for name in names if len(name) > 64} == set()


def test_functions_and_tables_leave_their_names_to_cloudformation(of_type: OfType) -> None:
    """So they can be replaced, fit 64 characters, and `sam local` finds the authorizer, which it looks for by id."""
    assert not [name for name, function in of_type("AWS::Lambda::Function").items() if "FunctionName" in function]
    assert not [name for name, table in of_type("AWS::DynamoDB::Table").items() if "TableName" in table]


def test_names_differ_between_two_stacks_of_one_account(of_type: OfType) -> None:
    names = [schedule["Name"] for schedule in of_type("AWS::Scheduler::Schedule").values()]
    names += [layer["LayerName"] for layer in of_type("AWS::Lambda::LayerVersion").values()]
    names += [machine["StateMachineName"] for machine in of_type("AWS::StepFunctions::StateMachine").values()]
    assert [name for name in names if not name.startswith("holdfast-production-of-a-long-brand-")] == []


def test_environments_fit_four_kilobytes(functions: Properties) -> None:
    for name, function in functions.items():
        variables = function["Environment"]["Variables"]
        size = sum(
            len(key) + (len(str(value)) if not isinstance(value, dict) else LONGEST_REFERENCE)
            for key, value in variables.items()
        )
        assert size <= 4096, name


def test_permissions_of_one_function_fit_its_resource_policy(of_type: OfType) -> None:
    """A function's resource policy is at most 20 KB, and each permission is a statement of up to 500 bytes in it."""
    counts: dict[str, int] = {}
    for permission in of_type("AWS::Lambda::Permission").values():
        function = str(permission["FunctionName"])
        counts[function] = counts.get(function, 0) + 1
    assert max(counts.values()) * 500 <= 20 * 1024, counts


def test_the_stack_has_room_for_more_resources(built: dict[str, Any]) -> None:
    assert len(built["Resources"]) < 500
    assert len(built["Parameters"]) < 200


def _bytes(built: str) -> int:
    return sum(path.stat().st_size for path in (build.BUILD / built).rglob("*") if path.is_file())
