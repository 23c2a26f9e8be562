"""Build for AWS and deploy a stage: `make deploy STAGE=prod`, with the AWS credentials and region of the shell.

`sam deploy --parameter-overrides` replaces what samconfig.toml says of a stage, rather than adding to it. Here the
stage's own parameters, those of the command line, and the Python that the layers are built for go together.
"""

import argparse
import subprocess
import sys
import tomllib

from pydantic import ValidationError

from holdfast.partners.registry import definitions
from local import build

CONFIGURATION = build.ROOT / "samconfig.toml"


def stages() -> dict[str, dict[str, str]]:
    """Return every stage that can be deployed to an account, with its template parameters."""
    sections = tomllib.loads(CONFIGURATION.read_text())
    return {
        name: split(section["deploy"]["parameters"]["parameter_overrides"].split())
        for name, section in sections.items()
        if name not in ("version", "default", "local")
    }


def split(overrides: list[str]) -> dict[str, str]:
    """Return `Name=value` texts as a dictionary; raises ValueError for any other text."""
    parameters = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name.isalnum():
            raise ValueError(f"{override!r} is not of the form Name=value")
        parameters[name] = value
    return parameters


def check_partners(text: str) -> None:
    """Raise ValueError, with a sentence, where these are no partners: every function that has to do with them fails."""
    try:
        definitions(text)
    except ValidationError as wrong:
        fault = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(["Partners", *map(str, fault["loc"])])
        raise ValueError(f"{place} cannot be read: {fault['msg']}") from None


def parameters_of(stage: str, given: list[str]) -> dict[str, str]:
    """Return all parameters of a deployment; the runtime is the Python that the layers are built with.

    Raises ValueError for what is no parameter, and for partners that no function could read.
    """
    chosen = stages()[stage] | split(given)
    check_partners(chosen.get("Partners", "{}"))
    return {"Architecture": "x86_64"} | chosen | {"PythonRuntime": f"python{build.PYTHON_VERSION}"}


def run(stage: str, parameters: dict[str, str]) -> int:
    """Build, then deploy; sam asks before it changes anything. Returns sam's exit code."""
    environment = build.environment(build.WHEELS[parameters["Architecture"]])
    made = build.ROOT / ".aws-sam" / stage
    overrides = ["--parameter-overrides", *build.overrides(parameters)]
    common = ["--config-env", stage, "--config-file", str(CONFIGURATION)]
    for command in (
        ["sam", "build", *common, "--build-dir", str(made), *overrides],
        ["sam", "deploy", *common, "--template-file", str(made / "template.yaml"), *overrides],
    ):
        done = subprocess.run(command, cwd=build.ROOT, env=environment, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


def main() -> int:
    """Deploy; a wrong parameter is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, choices=sorted(stages()), help="a stage of samconfig.toml")
    parser.add_argument("parameters", nargs="*", metavar="Name=value", help="template parameters")
    wanted = parser.parse_args()
    try:
        parameters = parameters_of(wanted.stage, wanted.parameters)
    except ValueError as wrong:
        print(f"Nothing was deployed: {wrong}.", file=sys.stderr)
        return 1
    return run(wanted.stage, parameters)


if __name__ == "__main__":
    sys.exit(main())
