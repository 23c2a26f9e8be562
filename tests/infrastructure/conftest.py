"""The built template as CloudFormation sees it, for production and for the local stage."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from local import build, checkov, template

Properties = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def built() -> dict[str, Any]:
    """The template that `sam build` wrote, every serverless resource expanded."""
    return template.transformed(template.read(build.build()))


@pytest.fixture(scope="session")
def production(built: dict[str, Any]) -> dict[str, Any]:
    """What stands on AWS in production, under as long a stack name as is supported."""
    return template.resolved(built, **{"Stage": "prod", "AWS::StackName": "holdfast-production-of-a-long-brand"})


@pytest.fixture(scope="session")
def resolved(built: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Look at what stands in production with these parameters."""
    return partial(template.resolved, built, Stage="prod")


@pytest.fixture(scope="session")
def switched_on(built: dict[str, Any]) -> dict[str, Any]:
    """What stands in production with everything on that a parameter switches."""
    return template.resolved(built, Stage="prod", **checkov.SWITCHES)


@pytest.fixture(scope="session")
def emulated(built: dict[str, Any]) -> dict[str, Any]:
    """What stands in the emulator."""
    return template.resolved(built, Stage="local", ApiHost="127.0.0.1", AwsEndpointUrl="http://localhost:3000")


@pytest.fixture(scope="session")
def of_type(production: dict[str, Any]) -> Callable[[str], Properties]:
    """Look up the properties of all production resources of one type, by logical name."""

    def look_up(kind: str) -> Properties:
        found = {
            name: resource["Properties"]
            for name, resource in production["Resources"].items()
            if resource["Type"] == kind
        }
        assert found, f"no {kind} in the template"
        return found

    return look_up


@pytest.fixture(scope="session")
def functions(of_type: Callable[[str], Properties]) -> Properties:
    """Every function's properties, by logical name."""
    return of_type("AWS::Lambda::Function")


@pytest.fixture(scope="session")
def api(of_type: Callable[[str], Properties]) -> dict[str, Any]:
    """The one REST API's properties."""
    return of_type("AWS::ApiGateway::RestApi")["Api"]
