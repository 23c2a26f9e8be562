"""Functions: what they read, what they may do, where their logs go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.platform.access import ROUTES, Access
from holdfast.platform.settings import SETTINGS_BY_FUNCTION, IdentitySettings, Settings
from local import build

Properties = dict[str, dict[str, Any]]
TABLES = [{"Fn::GetAtt": [table, "Arn"]} for table in ("Table", "IdentityTable", "SyncTable")]
STACK = "holdfast-production-of-a-long-brand"
ON_EVERYTHING = {
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
}
"""What AWS can be told to allow on everything only (its service authorization reference names no resource for them)."""
FOR_ALL = {
    "ALLOWED_ORIGINS",
    "LOG_LEVEL",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
    "PUBLIC_DOMAIN",
}
"""What the wrapper and the logger of every function read."""
FOLDERS = sorted(path.parent.name for path in Path(build.ROOT).glob("functions/*/app.py"))


def logical_name(folder: str) -> str:
    return "".join(word.capitalize() for word in folder.split("_")) + "Function"


def routes_of(functions: Properties, api: dict[str, Any], folder: str) -> list[Access]:
    """Return what the routes of a function ask of their callers."""
    assert logical_name(folder) in functions
    return [
        ROUTES[path][method.upper()]
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
        if f"{logical_name(folder)}.Arn" in str(operation["x-amazon-apigateway-integration"]["uri"])
        if method.upper() in ROUTES.get(path, {})
    ]


def statements(production: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, statement)
        for name, resource in production["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for policy in resource["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_own(resource: Any) -> bool:
    """Whether a resource is this stack's: a reference, a name, or whatever begins with a name of its own."""
    if isinstance(resource, dict) or "*" not in resource:
        return True
    beginning, _, rest = resource.partition("*")
    return not rest and (f":{STACK}-" in beginning or f"/{STACK}/" in beginning)


def test_every_folder_is_a_function_and_the_other_way_round(functions: Properties) -> None:
    assert {logical_name(folder) for folder in FOLDERS} == set(functions)
    for folder in FOLDERS:
        assert (build.BUILD / logical_name(folder) / "app.py").is_file()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_variable_a_function_reads_is_set(functions: Properties, api: dict[str, Any], folder: str) -> None:
    variables = functions[logical_name(folder)]["Environment"]["Variables"]
    models = [SETTINGS_BY_FUNCTION.get(folder, Settings)]
    if any(access.is_looked_at_anew for access in routes_of(functions, api, folder)):
        # The wrapper around it looks at credentials anew.
        models.append(IdentitySettings)
    read = {str(field.alias) for model in models for field in model.model_fields.values()}
    assert read <= set(variables)
    assert set(variables) - FOR_ALL <= read, "a variable that nobody reads"


def test_functions_call_an_emulator_only_where_there_is_one(functions: Properties, emulated: dict[str, Any]) -> None:
    assert not [
        name for name, function in functions.items() if "AWS_ENDPOINT_URL" in function["Environment"]["Variables"]
    ]
    for name in functions:
        variables = emulated["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert variables["AWS_ENDPOINT_URL"] == "http://localhost:3000"


def test_every_function_keeps_its_logs_for_a_set_time(
    functions: Properties, of_type: Callable[[str], Properties]
) -> None:
    groups = of_type("AWS::Logs::LogGroup")
    names = [group["LogGroupName"] for group in groups.values()]
    assert len([name for name in names if name.startswith("/aws/lambda/")]) == len(functions)
    assert len(set(names)) == len(names)
    for name, function in functions.items():
        group = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert group == f"{name}LogGroup"
        assert int(groups[group]["RetentionInDays"]) >= 1


def test_functions_share_no_role(functions: Properties) -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(roles)) == len(functions)


def test_no_role_may_do_everything_of_anything(production: dict[str, Any]) -> None:
    for role, statement in statements(production):
        assert not [action for action in listed(statement["Action"]) if "*" in action], role
        assert "NotAction" not in statement
        for resource in listed(statement["Resource"]):
            assert is_own(resource) or set(listed(statement["Action"])) <= ON_EVERYTHING, role


def test_roles_stand_on_no_managed_policy_while_tracing_is_off(production: dict[str, Any]) -> None:
    for name, resource in production["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            assert not resource["Properties"].get("ManagedPolicyArns"), name


def test_roles_reach_only_the_kinds_of_item_they_need(production: dict[str, Any]) -> None:
    """One role serves all tenants, so leading keys tell kinds of item apart."""
    for role, statement in statements(production):
        tables = [part for part in listed(statement["Resource"]) if part in TABLES]
        if tables and role != "HealthFunctionRole":
            patterns = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            assert all(pattern.startswith("*#") for pattern in patterns), role


def test_nobody_scans_or_deletes_a_table(production: dict[str, Any]) -> None:
    allowed = {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    }
    used = {action for _, statement in statements(production) for action in listed(statement["Action"])}
    assert {action for action in used if action.startswith("dynamodb:")} <= allowed
