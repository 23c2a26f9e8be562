"""What the built functions bring into a cold start, and what they leave out."""

import json
import subprocess
from pathlib import Path

import pytest

from local.lambda_runtime import PYTHON, BuiltFunction

_LOOK = """
import app, gc, json, sys
refused = False
try:
    from aws_lambda_powertools.event_handler import AppSyncResolver
except ImportError:
    refused = True
print(json.dumps([sorted(sys.modules), gc.isenabled(), gc.get_freeze_count() > 10_000, refused]))
"""
NAMED = {
    "Table": "table-name",
    "IdentityTable": "identity-name",
    "ExpiryQueue": "queue",
    "UserPool": "us-east-1_pool",
    "UserPoolClient": "client",
}

HOT = ["reservations", "reserve_and_checkout", "flash_deals", "marketplace", "authorizer"]


@pytest.fixture(params=HOT, name="looked")
def _looked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[set[str], bool, bool, bool]:
    environment = BuiltFunction(request.param).environment(tmp_path, None, **NAMED)
    done = subprocess.run([*PYTHON, "-c", _LOOK], env=environment, capture_output=True, text=True, check=True)
    modules, collecting, frozen, refused = json.loads(done.stdout)
    return set(modules), collecting, frozen, refused


def test_functions_on_the_hot_path_import_nothing_that_they_do_not_use(
    looked: tuple[set[str], bool, bool, bool],
) -> None:
    modules, *_ = looked
    assert not modules & {"boto3", "s3transfer", "asyncio", "aws_lambda_powertools.event_handler.appsync"}
    # Only access tokens need these, and not every caller has one.
    assert not modules & {"jwt", "cryptography"}


def test_garbage_is_looked_for_again_once_a_function_is_there(looked: tuple[set[str], bool, bool, bool]) -> None:
    _, collecting, frozen, _ = looked
    assert collecting
    assert frozen


def test_resolvers_that_were_left_out_are_refused(looked: tuple[set[str], bool, bool, bool]) -> None:
    *_, refused = looked
    assert refused
