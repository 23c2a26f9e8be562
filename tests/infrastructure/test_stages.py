"""Stages: what samconfig.toml says of each, and what a deployment makes of it."""

import sys
import tomllib

import pytest

from local import build
from operations import deploy

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def test_there_are_the_stages_local_dev_and_prod() -> None:
    sections = tomllib.loads(deploy.CONFIGURATION.read_text())
    assert {"local", "dev", "prod"} <= set(sections)
    assert (
        len(
            {
                section["global"]["parameters"]["stack_name"]
                for name, section in sections.items()
                if name in {"local", "dev", "prod"}
            }
        )
        == 3
    )


def test_every_parameter_of_a_stage_is_one_of_the_template(built: dict[str, object]) -> None:
    declared = built["Parameters"]
    assert isinstance(declared, dict)
    for stage in deploy.stages():
        assert set(deploy.parameters_of(stage, [])) <= set(declared), stage


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_deployment_keeps_the_stage_whatever_else_is_given(stage: str) -> None:
    parameters = deploy.parameters_of(stage, ["AlarmTopicArn=arn:aws:sns:eu-central-1:1:alarms"])
    assert parameters["Stage"] == stage
    assert parameters["AlarmTopicArn"] == "arn:aws:sns:eu-central-1:1:alarms"


def test_the_runtime_is_the_python_that_builds_the_layers() -> None:
    assert deploy.parameters_of("prod", ["PythonRuntime=python3.9"])["PythonRuntime"] == RUNTIME
    assert build.environment("")["HOLDFAST_PYTHON"] == RUNTIME.removeprefix("python")


@pytest.mark.parametrize("text", ["Stage", "=prod", "a b=c"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Name=value"):
        deploy.split([text])


PARTNER = '{"tours": {"adapter": "inventory", "base_url": "https://api.example.com"}}'


def test_partners_are_read_before_anything_is_deployed() -> None:
    assert deploy.parameters_of("prod", [f"Partners={PARTNER}"])["Partners"] == PARTNER


@pytest.mark.parametrize(
    ("partners", "place"),
    [
        ("tours", "Partners cannot"),
        (PARTNER.replace("https", "http"), r"Partners\.tours\.base_url"),
        (PARTNER.replace("inventory", "other"), r"Partners\.tours\.adapter"),
        (PARTNER.replace('"adapter"', '"api_key": "key-of-theirs", "adapter"'), r"Partners\.tours\.api_key"),
    ],
)
def test_partners_that_no_function_could_read_are_refused_without_repeating_them(partners: str, place: str) -> None:
    with pytest.raises(ValueError, match=place) as refused:
        deploy.parameters_of("prod", [f"Partners={partners}"])
    assert "key-of-theirs" not in str(refused.value)


def test_the_local_stage_is_never_deployed_to_an_account() -> None:
    assert "local" not in deploy.stages()
