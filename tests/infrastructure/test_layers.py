"""Layers: the emulator's own packages hide what is missing from one, so their contents are looked at here."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from local import build, lock
from local.lambda_runtime import PYTHON

VENDOR = build.BUILD / "VendorLayer" / "python"
SIGNING = build.BUILD / "SigningLayer" / "python"
HOLDFAST = build.BUILD / "HoldfastLayer" / "python"
PINNED = {layer: lock.versions(lock.requirements(layer).read_text()) for layer in lock.LAYERS}


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    build.build()


@pytest.mark.parametrize(
    "package",
    ["pydantic", "pydantic_core", "pynamodb", "aws_lambda_powertools", "jmespath", "phonenumbers", "tzdata", "httpx"],
)
def test_the_vendor_layer_brings_every_package_that_functions_import(package: str) -> None:
    assert (VENDOR / package / "__init__.py").is_file()


@pytest.mark.parametrize(("layer", "site"), [("vendor", VENDOR), ("signing", SIGNING)])
def test_a_layer_holds_exactly_what_is_locked(layer: str, site: Path) -> None:
    found = {
        distribution.name.lower().replace("_", "-"): distribution.version
        for distribution in importlib.metadata.distributions(path=[str(site)])
    }
    assert found == PINNED[layer]


@pytest.mark.parametrize("layer", PINNED)
def test_functions_and_tests_run_on_the_same_versions(layer: str) -> None:
    assert {name: importlib.metadata.version(name) for name in PINNED[layer]} == PINNED[layer]


def test_no_layer_repeats_what_another_has() -> None:
    assert not PINNED["vendor"].keys() & PINNED["signing"].keys()


def test_both_layers_together_sign_and_make_requests() -> None:
    code = (
        "import httpx; from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Key;"
        "key = Key.generate(); key.public_key().verify(key.sign(b'code'), b'code'); httpx.Client().close()"
    )
    environment = {"PYTHONPATH": f"{VENDOR}:{SIGNING}"}
    subprocess.run([*PYTHON, "-c", code], env=environment, check=True)


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
    packages = (VENDOR / "pydantic", SIGNING / "cryptography", HOLDFAST / "holdfast")
    for module in (package / "__init__.py" for package in packages):
        compiled = module.parent / "__pycache__" / f"__init__{suffix}"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, "hash-based and unchecked"


def test_the_layers_carry_no_tests_and_no_stubs() -> None:
    found = [*VENDOR.rglob("*"), *SIGNING.rglob("*")]
    odd = [path for path in found if path.name in {"tests", "test"} or path.suffix == ".pyi"]
    assert odd == []
