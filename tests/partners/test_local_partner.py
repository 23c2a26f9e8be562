"""The partner that `make run` starts is one that the stack's functions can ask, with a key that is nowhere written."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from holdfast.partners.inventory import InventoryApi
from holdfast.partners.registry import definitions
from local import run
from local.partner import Partner
from local.stack import Stack, free_port
from tests.partner.products import SAMPLE_DATE, SEEDED


@pytest.fixture
def partner() -> Iterator[Partner]:
    """One that runs."""
    running = Partner(free_port())
    try:
        running.start()
        yield running
    finally:
        running.stop()


class _Parameters:
    """A parameter store that remembers what was put there."""

    def __init__(self) -> None:
        self.put: dict[str, Any] = {}

    def put_parameter(self, **parameter: Any) -> None:
        """Remember it."""
        self.put = parameter


def test_the_template_parameter_and_the_stored_key_are_all_that_is_needed_to_ask(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = _Parameters()
    monkeypatch.setattr(Stack, "client", lambda _stack, _service: parameters)
    partner.keep_key(Stack(free_port()))
    (definition,) = definitions(partner.parameter).values()
    assert (definition.name, str(definition.zone)) == ("tours", "Asia/Singapore")
    assert (parameters.put["Name"], parameters.put["Type"]) == ("/holdfast-local/partners/tours", "SecureString")
    assert partner.api_key not in partner.parameter
    api = InventoryApi(definition.base_url, lambda: json.loads(parameters.put["Value"]))
    assert len(api.inventory("15", SAMPLE_DATE, 1).slots) == 1


def test_it_tells_what_it_sells(partner: Partner) -> None:
    assert partner.products() == [
        {"id": product.id, "name": product.name, "weekdays": sorted(product.weekdays)} for product in SEEDED
    ]


def test_once_stopped_nobody_answers(partner: Partner) -> None:
    partner.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(partner.url, trust_env=False)


def test_where_its_port_is_taken_it_has_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert Partner(port).port != port


@pytest.mark.parametrize("port", [-1, 0, 65_535, 65_536, 1_000_000])
def test_a_port_that_there_is_not_or_that_has_none_after_it_is_a_sentence_and_no_traceback(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "stop_when_asked", lambda: None)
    monkeypatch.setattr(run, "Stack", _never_started)
    monkeypatch.setattr("sys.argv", ["local.run", f"--port={port}"])
    assert run.main() == 1
    said = capsys.readouterr().err.strip()
    expected = f"port {port} cannot be served; choose one from 1 to 65534: make run PORT=4000"
    assert said == f"Holdfast could not go on: {expected}"


def _never_started(_: int) -> Stack:
    raise AssertionError("nothing is started on such a port")
