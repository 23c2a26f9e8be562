"""Partners are defined by a setting that is looked at as a whole, and their keys are in the parameter store alone."""

import json
import os
import re
import secrets as chance
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from moto import mock_aws
from pydantic import ValidationError

from holdfast.partners import registry
from holdfast.partners.inventory import InventoryApi
from holdfast.partners.port import PartnerFailed
from holdfast.partners.registry import Definition, definitions, partner_of
from holdfast.platform import secrets
from holdfast.platform.secrets import SecretMissing, SecretParameters
from tests.partner.products import SAMPLE_DATE
from tests.partner.server import PartnerServer

ROOT = Path(__file__).parents[2]
TOURS = {"adapter": "inventory", "base_url": "https://api.tours.example"}

_KEY = re.compile(
    r"""(?ix)  x?[_-]?api[_-]?key  ["'\])]*  \s* (?:[:=,]|=>) \s*  (?:\w+\()?  (?:b?["'])?
    (?P<key>[a-z0-9_+/=-]{16,})"""
)
"""A value of 16 letters or more beside what a partner's key is called, in whatever language."""


def setting(**more: Any) -> str:
    """Return the setting that defines `tours` with other fields."""
    return json.dumps({"tours": TOURS | more})


class NoSecrets:
    """A store with nothing in it, which remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, name: str) -> Mapping[str, Any]:
        """Say that there is none."""
        self.asked.append(name)
        raise SecretMissing(f"{name} is not there")


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty parameter store."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        secrets.client.cache_clear()
        secrets._parameters.cache_clear()
        yield secrets.client()
    secrets.client.cache_clear()
    secrets._parameters.cache_clear()


def test_no_partners_is_a_setting_too() -> None:
    assert definitions("{}") == {}


def test_a_partner_is_defined_by_its_kind_and_its_address() -> None:
    expected = Definition("tours", "inventory", "https://api.tours.example", ZoneInfo("UTC"), False)
    assert definitions(setting()) == {"tours": expected}


def test_everything_that_may_be_said_of_a_partner() -> None:
    told = setting(
        base_url="http://127.0.0.1:3001/v2/",
        time_zone="Asia/Singapore",
        contains_our_sales=True,
        requests_a_minute=30,
    )
    (found,) = definitions(told).values()
    assert (found.base_url, found.zone, found.contains_our_sales) == (
        "http://127.0.0.1:3001/v2/",
        ZoneInfo("Asia/Singapore"),
        True,
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "tours", '{"tours": {}}', '{"tours": null}', '{"Tours": {}}'),
        *(json.dumps({name: TOURS}) for name in ("", "a/b", "a#b", "-a", "TOURS", "a b", "x" * 33, "ü")),
        *(setting(adapter=value) for value in ("another", "", None, 1, "holdfast.partners.inventory")),
        *(setting(base_url=value) for value in ("", "api.tours.example", "http://api.tours.example", "ftp://x.y", 1)),
        *(setting(base_url=value) for value in ("https://u:p@x.y", "https://x.y?key=1", "https://x.y#z", "https://")),
        *(setting(base_url=value) for value in ("https://x.y:99999", "https://x.y:port")),
        *(setting(time_zone=value) for value in ("", "Singapore Time", "../etc/passwd", 8, "Asia", "/etc/localtime")),
        *(setting(contains_our_sales=value) for value in (1, "false", None)),
        *(setting(requests_a_minute=value) for value in (29, 31, "30", None)),
        setting(anything="else"),
    ],
)
def test_a_malformed_setting_stops_the_function_at_its_start(text: str) -> None:
    with pytest.raises(ValidationError):
        definitions(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.tours.example", "https://api.tours.example"),
        ("https://api.tours.example", "https://api.tours.example/"),
        ("https://api.tours.example/v2/", "https://API.Tours.example:443/v2"),
        ("http://localhost:3001", "HTTP://localhost:3001/"),
    ],
)
def test_rule_19_one_partner_under_two_names_would_be_asked_twice_as_often_as_it_may_be(one: str, other: str) -> None:
    with pytest.raises(ValidationError) as refused:
        definitions(json.dumps({"tours": TOURS | {"base_url": one}, "others": TOURS | {"base_url": other}}))
    assert "two partners have one address" in str(refused.value)
    assert "tours.example" not in str(refused.value)


@pytest.mark.parametrize("other", ["https://b.example", "https://a.example:8443", "https://a.example/v2"])
def test_partners_at_several_addresses_are_several(other: str) -> None:
    said = {"tours": TOURS | {"base_url": "https://a.example"}, "others": TOURS | {"base_url": other}}
    assert set(definitions(json.dumps(said))) == {"tours", "others"}


def test_a_partner_that_is_made_has_its_own_key_and_asks_for_no_other(parameters: Any) -> None:
    with PartnerServer() as tours, PartnerServer() as others:
        for name, server in (("tours", tours), ("others", others)):
            parameters.put_parameter(
                Name=f"/holdfast/partners/{name}", Value=json.dumps({"api_key": server.api_key}), Type="SecureString"
            )
        store = SecretParameters("/holdfast")
        known = {
            name: definitions(json.dumps({name: TOURS | {"base_url": tours.url}}))[name] for name in ("tours", "others")
        }
        assert partner_of(known["tours"], store).inventory("15", SAMPLE_DATE, 1).slots
        with pytest.raises(PartnerFailed) as refused:
            partner_of(known["others"], store).inventory("15", SAMPLE_DATE, 1)
        assert refused.value.code == "refused"


def test_a_key_that_is_not_there_is_missed_when_it_is_asked_with() -> None:
    nothing = NoSecrets()
    (definition,) = definitions(setting()).values()
    partner = partner_of(definition, nothing)
    with pytest.raises(PartnerFailed) as missed:
        partner.inventory("15", SAMPLE_DATE, 1)
    assert missed.value.code == "not_sent"
    assert set(nothing.asked) == {"partners/tours"}


def test_another_kind_of_partner_is_one_more_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ADAPTERS", {"other": "tests.partners.another_partner"})
    (definition,) = definitions(setting(adapter="other")).values()
    made = partner_of(definition, NoSecrets())
    assert not isinstance(made, InventoryApi)
    assert made.inventory("15", SAMPLE_DATE, 1).digest == "https://api.tours.example 15"


# WIRE.md section 5: faults not to inherit


def test_a_partner_key_in_the_repository_is_found_in_no_file_of_it() -> None:
    found = {str(path.relative_to(ROOT)): match["key"] for path in _files() for match in _KEY.finditer(_text(path))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "x-api-key: {}",
        "'x-api-key': '{}',",
        'headers["x-api-key"] = "{}"',
        'API_KEY = b"{}"',
        "export PARTNER_API_KEY={}",
        '{{"api_key":"{}"}}',
        'apiKey: SecretStr("{}")',
        "-H 'X-API-Key: {}'",
        '("x-api-key", "{}")',
    ],
)
def test_a_partner_key_in_the_repository_would_be_found_however_it_is_written(line: str) -> None:
    key = chance.token_hex(16)
    found = _KEY.search(line.format(key))
    assert found is not None
    assert found["key"] == key


@pytest.mark.parametrize("name", ["api_key", "key", "secret", "headers", "x-api-key"])
def test_a_partner_key_in_the_repository_is_no_setting_and_is_not_repeated_where_somebody_sets_it(name: str) -> None:
    key = chance.token_hex(16)
    with pytest.raises(ValidationError) as refused:
        definitions(setting(**{name: key}))
    assert key not in str(refused.value)
    with pytest.raises(ValidationError) as refused:
        definitions(setting(base_url=f"https://user:{key}@tours.example"))
    assert key not in str(refused.value)


def test_a_partner_key_in_the_repository_is_of_no_use_since_only_the_parameter_store_is_asked(
    parameters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PartnerServer() as tours:
        (definition,) = definitions(setting(base_url=tours.url)).values()
        for name in ("API_KEY", "PARTNER_API_KEY", "X_API_KEY", "PARTNERS_TOURS", "TOURS_API_KEY"):
            monkeypatch.setenv(name, tours.api_key)
        store = SecretParameters("/holdfast")
        with pytest.raises(PartnerFailed):
            partner_of(definition, store).inventory("15", SAMPLE_DATE, 1)
        assert tours.log == []
        parameters.put_parameter(
            Name="/holdfast/partners/tours", Value=json.dumps({"api_key": tours.api_key}), Type="SecureString"
        )
        assert partner_of(definition, SecretParameters("/holdfast")).inventory("15", SAMPLE_DATE, 1).slots


def _files() -> Iterator[Path]:
    """Return the files of the repository but for those with made-up keys of payment providers.

    What is made here and never committed is left out too.
    """
    left_out = {"node_modules", "__pycache__"}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in left_out]
        yield from (
            path for path in map(Path(folder).joinpath, files) if ROOT / "tests" / "payments" not in path.parents
        )


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")
