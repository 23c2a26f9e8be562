"""A function is imported without a network, an account, or a single setting; and stops at once where one is missing."""

import json
import subprocess
import sys

import pytest

from holdfast.platform.settings import SETTINGS_BY_FUNCTION
from tests.handlers.gateway import FUNCTIONS, LambdaContext, event, forget, load

ROOT = FUNCTIONS.parent
NAMES = sorted(folder.name for folder in FUNCTIONS.iterdir() if (folder / "app.py").is_file())

PROGRAM = """
import importlib.util, json, socket, sys
def refused(*_):
    raise AssertionError("a network")
socket.socket.connect = socket.getaddrinfo = refused
found = []
for name in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location(name, f"functions/{name}/app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.handler)
    found.append(name)
print(json.dumps(found))
"""


def test_every_function_is_imported_without_network_and_environment() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *NAMES],
        cwd=ROOT,
        env={"PYTHONPATH": "layers/holdfast", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == NAMES


@pytest.mark.parametrize("name", ["flash_deals", "products", "reservations"])
def test_a_missing_setting_is_a_500_that_does_not_name_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {"flash_deals": "/api/users/a/reservations", "products": "/api/products"}
    target = paths.get(name, "/api/v1/reservations?user_id=a")
    for variable in SETTINGS_BY_FUNCTION[name].model_fields.values():
        monkeypatch.delenv(str(variable.alias))
    forget(name)
    context = {"tenant": "t-x", "name": "key", "roles": "service", "scopes": "*"}
    answer = load(name).handler(event("GET", target, authorizer=context), LambdaContext())
    forget(name)
    assert answer["statusCode"] == 500
    assert "TABLE_NAME" not in answer["body"]
