"""Every function does what it is there for, in this process, and each of its calls to AWS is held against its role.

An emulator without IAM lets any call pass; here a call that the built template does not allow fails the test.
"""

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infrastructure.sales import sell_everything
from tests.infrastructure.world import Call, World, recorded

Statement = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """All functions after a sale of everything, with every call that each of them made."""
    with pytest.MonkeyPatch.context() as monkeypatch, recorded(monkeypatch) as made:
        sell_everything(made)
        yield made


def test_every_call_of_every_function_is_allowed_by_its_role(world: World, production: dict[str, Any]) -> None:
    denied: dict[str, set[Call]] = {}
    for folder, calls in sorted(world.calls.items()):
        statements = _statements(production, folder)
        if refused := {call for call in calls if not any(_allows(statement, call) for statement in statements)}:
            denied[folder] = refused
    assert denied == {}


_STREAM = {
    ("dynamodb:DescribeStream", "Table"),
    ("dynamodb:GetRecords", "Table"),
    ("dynamodb:GetShardIterator", "Table"),
    ("dynamodb:ListStreams", "Table"),
}

# Asked for by Lambda itself in the function's name, only where a batch broke up and is done hold by hold, or once a
# provider that is reached over HTTP has said that the buyer's answer is good.
UNSEEN = {
    "checkout": {("dynamodb:UpdateItem", "Table"), ("states:SendTaskSuccess", "checkout")},
    "compensations": {
        ("sqs:DeleteMessage", "CompensationQueue"),
        ("sqs:GetQueueAttributes", "CompensationQueue"),
        ("sqs:ReceiveMessage", "CompensationQueue"),
    },
    "event_recorder": _STREAM,
    "expiry": {
        ("dynamodb:GetItem", "Table"),
        ("sqs:DeleteMessage", "ExpiryQueue"),
        ("sqs:GetQueueAttributes", "ExpiryQueue"),
        ("sqs:ReceiveMessage", "ExpiryQueue"),
    },
    "expiry_scheduler": _STREAM,
    "sync_fetcher": {
        ("sqs:DeleteMessage", "SyncQueue"),
        ("sqs:GetQueueAttributes", "SyncQueue"),
        ("sqs:ReceiveMessage", "SyncQueue"),
    },
}


def test_no_role_allows_what_its_function_never_does(world: World, production: dict[str, Any]) -> None:
    idle: dict[str, set[tuple[str, str]]] = {}
    for folder in world.folders:
        allowed = {
            (action, _name(resource))
            for statement in _statements(production, folder)
            for action in statement["Action"]
            for resource in _listed(statement["Resource"])
            if not action.startswith("logs:")
        }
        done = {(call.action, call.resource) for call in world.calls.get(folder, set())}
        if unused := allowed - done - UNSEEN.get(folder, set()):
            idle[folder] = unused
    assert idle == {}


def test_no_statement_of_a_role_names_a_kind_of_item_that_its_actions_never_touch(
    world: World, production: dict[str, Any]
) -> None:
    idle: dict[str, list[tuple[str, list[str]]]] = {}
    for folder in world.folders:
        for statement in _statements(production, folder):
            touched = {
                key
                for call in world.calls.get(folder, set())
                if call.action in statement["Action"] and call.resource in _resources(statement)
                for key in call.leading_keys
            }
            for pattern in _leading_keys(statement) or ():
                if not any(fnmatchcase(key, pattern) for key in touched):
                    idle.setdefault(folder, []).append((pattern, statement["Action"]))
    assert idle == {}


def test_the_evaluation_itself_denies_other_kinds_of_item() -> None:
    statement = {
        "Action": ["dynamodb:GetItem"],
        "Resource": {"Fn::GetAtt": ["Table", "Arn"]},
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#POOL#*"]}},
    }
    check: Callable[..., bool] = lambda *call: _allows(statement, Call(*call))  # noqa: E731
    assert check("dynamodb:GetItem", "Table", frozenset({"t#POOL#1#00"}))
    assert not check("dynamodb:GetItem", "Table", frozenset({"t#U#1"}))
    assert not check("dynamodb:PutItem", "Table", frozenset({"t#POOL#1#00"}))
    assert not check("dynamodb:GetItem", "IdentityTable", frozenset({"t#POOL#1#00"}))


def _statements(production: dict[str, Any], folder: str) -> list[Statement]:
    role = "".join(word.capitalize() for word in folder.split("_")) + "FunctionRole"
    (policy,) = production["Resources"][role]["Properties"]["Policies"]
    statements: list[Statement] = policy["PolicyDocument"]["Statement"]
    return statements


def _allows(statement: Statement, call: Call) -> bool:
    if call.action not in statement["Action"] or call.resource not in _resources(statement):
        return False
    patterns = _leading_keys(statement)
    return patterns is None or all(any(fnmatchcase(key, like) for like in patterns) for key in call.leading_keys)


def _leading_keys(statement: Statement) -> list[str] | None:
    """Return the patterns of partition keys that a statement is limited to, if it is."""
    patterns: list[str] | None = (
        statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
    )
    return patterns


def _resources(statement: Statement) -> set[str]:
    return set(map(_name, _listed(statement["Resource"])))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(resource: Any) -> str:
    if isinstance(resource, dict):
        name: str = resource["Fn::GetAtt"][0]
        return name
    kind, _, named = resource.split(":", 5)[-1].partition(":") if resource.startswith("arn:") else ("", "", "")
    if kind in ("stateMachine", "execution"):
        machine = named.removesuffix(":*").rpartition("-")[2]
        return f"runs of {machine}" if kind == "execution" else machine
    if kind.startswith("parameter/"):
        return f"parameters of {kind.removesuffix('/*').rpartition('/')[2]}"
    return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", resource)
