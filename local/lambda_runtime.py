"""The built functions as Lambda runs them: each in a process of its own, seeing its own code, the layers, and the SDK
that the runtime brings; nothing else of this machine's environment.
"""

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import botocore
from packaging.utils import canonicalize_name

from local import build, template
from local.lock import BROUGHT_BY_RUNTIME
from local.stack import CREDENTIALS, REGION

PYTHON = [sys.executable, "-S"]
"""This interpreter, without the packages that are installed for it."""

_INVOKE = """
import json, sys
from app import handler

class Context:
    aws_request_id = "5f0c7c5e-0000-4000-8000-000000000002"

    def get_remaining_time_in_millis(self):
        return 60_000

answers = [handler(event, Context()) for event in json.load(sys.stdin)]
with open(sys.argv[1], "w") as answered:
    json.dump(answers, answered)
"""


class FunctionFailure(Exception):
    """A function did not answer; the message is what it printed."""


class BuiltFunction:
    """The function of functions/<folder>, as `sam build` left it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.logical_name = f"{folder.title().replace('_', '')}Function"
        self.path = build.BUILD / self.logical_name

    def variables(self, endpoint_url: str | None, **named: str) -> dict[str, str]:
        """The variables that the template gives the function, with AWS at `endpoint_url` where that is emulated.

        `named` are the names of what they refer to, and of its attributes (`UserPool.ProviderName`), and the partners.
        """
        known = {"AwsEndpointUrl": endpoint_url or "", "Partners": "{}", **named}
        declared = _resources()[self.logical_name]["Properties"]["Environment"]["Variables"]
        found = {name: _filled(value, known) for name, value in declared.items()}
        return {name: value for name, value in found.items() if value or name != "AWS_ENDPOINT_URL"}

    def layers(self) -> list[Path]:
        """The contents of the layers that the template gives the function."""
        declared = _resources()[self.logical_name]["Properties"]["Layers"]
        built = {layer.name: layer / "python" for layer in build.BUILD.glob("*Layer")}
        # The translator appends a hash of a layer's content to its name.
        return [next(path for name, path in built.items() if layer["Ref"].startswith(name)) for layer in declared]

    def environment(self, folder: Path, endpoint_url: str | None, **named: str) -> dict[str, str]:
        """The whole environment of its process; what Lambda has in /opt and /var/runtime is laid out in `folder`."""
        return self.variables(endpoint_url, **named) | CREDENTIALS | {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": self.logical_name,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(map(str, [self.path, *_lay_out(folder, self.layers())])),
        }  # fmt: skip

    def invoke(self, events: list[Any], endpoint_url: str | None, **named: str) -> list[Any]:
        """Start the function cold, hand it the events one after the other, and return what it answers to each."""
        with TemporaryDirectory() as folder:
            answered = Path(folder) / "answers.json"
            done = subprocess.run(
                [*PYTHON, "-c", _INVOKE, str(answered)],
                cwd=self.path,
                env=self.environment(Path(folder), endpoint_url, **named),
                input=json.dumps(events),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise FunctionFailure(done.stdout + done.stderr)
            answers: list[Any] = json.loads(answered.read_text())
            return answers


def _lay_out(folder: Path, layers: list[Path]) -> list[Path]:
    """Link the contents of the layers and the packages of the runtime into two folders, and return those."""
    opt, runtime = folder / "opt", folder / "runtime"
    opt.mkdir()
    runtime.mkdir()
    for layer in layers:
        for found in layer.iterdir():
            (opt / found.name).symlink_to(found)
    site = Path(botocore.__file__).parent.parent
    for module, distributions in packages_distributions().items():
        if BROUGHT_BY_RUNTIME & {canonicalize_name(name) for name in distributions}:
            found = site / module if (site / module).is_dir() else site / f"{module}.py"
            (runtime / found.name).symlink_to(found)
    return [opt, runtime]


@cache
def _resources() -> dict[str, Any]:
    document = template.transformed(template.read(build.build()))
    found = template.resolved(document, Stage="local", AwsEndpointUrl="${AwsEndpointUrl}", Partners="${Partners}")
    resources: dict[str, Any] = found["Resources"]
    return resources


def _filled(value: Any, named: dict[str, str]) -> str:
    """The value of a variable, with what it refers to by the names that it has here, where it has any."""
    if isinstance(value, dict):
        return named[value["Ref"]]
    return re.sub(r"\$\{([\w.]+)\}", lambda found: named.get(found[1], found[0]), str(value))
