"""Layers: the emulator's own packages hide what is missing from one, so their contents are looked at here."""

import importlib.metadata
import subprocess
import sys

import pytest

from local import build, lock
from local.lambda_runtime import PYTHON

VENDOR = build.BUILD / "VendorLayer" / "python"
HOLDFAST = build.BUILD / "HoldfastLayer" / "python"
PINNED = {
    block.split("==")[0]: block.split("==")[1].split()[0] for block in lock.pins(lock.VENDOR.read_text()).values()
}


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    build.build()


@pytest.mark.parametrize(
    "package",
    ["pydantic", "pydantic_core", "pynamodb", "aws_lambda_powertools", "jmespath", "phonenumbers", "tzdata"],
)
def test_the_vendor_layer_brings_every_package_that_functions_import(package: str) -> None:
    assert (VENDOR / package / "__init__.py").is_file()


def test_the_vendor_layer_holds_exactly_what_is_locked() -> None:
    found = {
        distribution.name.lower().replace("_", "-"): distribution.version
        for distribution in importlib.metadata.distributions(path=[str(VENDOR)])
    }
    assert found == PINNED


def test_functions_and_tests_run_on_the_same_versions() -> None:
    assert {name: importlib.metadata.version(name) for name in PINNED} == PINNED


def test_the_vendor_layer_brings_the_time_zones_that_lambda_has_none_of() -> None:
    code = "from zoneinfo import *; ZoneInfo('Asia/Kolkata'); print(len(available_timezones()))"
    environment = {"PYTHONPATH": str(VENDOR), "PYTHONTZPATH": ""}
    done = subprocess.run([*PYTHON, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 400


@pytest.mark.parametrize("package", ["boto3", "botocore", "urllib3", "dateutil"])
def test_the_vendor_layer_leaves_the_sdk_to_the_runtime(package: str) -> None:
    assert not (VENDOR / package).exists()


def test_layers_are_compiled_once_and_never_checked_against_their_source() -> None:
    suffix = f".{sys.implementation.cache_tag}.pyc"
    for module in (VENDOR / "pydantic" / "__init__.py", HOLDFAST / "holdfast" / "__init__.py"):
        compiled = module.parent / "__pycache__" / f"__init__{suffix}"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, "hash-based and unchecked"


def test_the_layers_carry_no_tests_and_no_stubs() -> None:
    odd = [path for path in VENDOR.rglob("*") if path.name in {"tests", "test"} or path.suffix == ".pyi"]
    assert odd == []
