"""What issues keys from a shell: to tenants, and to those who make tenants."""

import sys
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from holdfast.identity import tenants
from holdfast.identity.people import Directory
from holdfast.platform.dynamodb import Store
from operations import issue_operator_key, issue_service_key
from tests.handlers.account import IDENTITY, Aws, found_tenant
from tests.handlers.tokens import bearer

STACK = "holdfast-test"
Run = Callable[..., tuple[int, str, str]]


class CloudFormation:
    """One stack, that says what its identity table is called; moto's needs packages that nothing else here does."""

    def describe_stacks(self, **asked: str) -> dict[str, Any]:
        """Return the stack."""
        if asked != {"StackName": STACK}:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "There is none."}}, "DescribeStacks")
        return {"Stacks": [{"Outputs": [{"OutputKey": "IdentityTableName", "OutputValue": IDENTITY}]}]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script against a stack; returns its exit code, and what it printed and complained of."""
    monkeypatch.setattr(boto3, "client", lambda _: CloudFormation())

    def ran(main: Callable[[], int], *arguments: str, stack: str = STACK) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["script", "--stack", stack, *arguments])
        capsys.readouterr()
        code = main()
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return ran


def test_a_tenant_that_is_there_gets_a_key(run: Run) -> None:
    found_tenant("acme")
    code, key, complaint = run(issue_service_key.main, "--tenant", "acme", "--role", "staff")
    assert (code, complaint) == (0, "")
    assert (bearer(key)["tenant"], bearer(key)["roles"]) == ("acme", "staff")
    _, key, _ = run(issue_service_key.main, "--tenant", "acme")
    assert bearer(key)["roles"] == "admin service staff"


def test_a_tenant_is_made_only_if_that_is_asked_for(run: Run, aws: Aws, identity_store: Store) -> None:
    before = aws.dump()
    code, key, complaint = run(issue_service_key.main, "--tenant", "acme")
    assert (code, key) == (1, "")
    assert complaint == "No key was issued: there is no tenant acme; --create-tenant makes it."
    assert aws.dump() == before
    for _ in range(2):
        code, key, _ = run(issue_service_key.main, "--tenant", "acme", "--create-tenant")
        assert (code, bearer(key)["tenant"]) == (0, "acme")
    assert tenants.get(Directory(identity_store), "acme").status == "open"


@pytest.mark.parametrize("tenant", ["Acme", "operator", "health", "a" * 41, ""])
def test_no_key_is_issued_to_what_is_no_tenant(run: Run, aws: Aws, tenant: str) -> None:
    before = aws.dump()
    code, key, complaint = run(issue_service_key.main, "--tenant", tenant, "--create-tenant")
    assert (code, key) == (1, "")
    assert complaint.startswith("No key was issued: ")
    assert aws.dump() == before


@pytest.mark.parametrize("main", [issue_operator_key.main, issue_service_key.main])
def test_a_stack_that_is_not_there_is_one_sentence(run: Run, main: Callable[[], int]) -> None:
    arguments = ["--tenant", "acme"] if main is issue_service_key.main else []
    code, key, complaint = run(main, *arguments, stack="holdfast-none")
    assert (code, key) == (1, "")
    assert len(complaint.splitlines()) == 1


def test_operators_get_a_tenant_with_their_first_key(run: Run) -> None:
    keys = [run(issue_operator_key.main, "--label", label)[1] for label in ("ada", "bob")]
    assert len(set(keys)) == 2
    for key in keys:
        assert (bearer(key)["tenant"], bearer(key)["roles"], bearer(key)["scopes"]) == ("operator", "operator", "*")
