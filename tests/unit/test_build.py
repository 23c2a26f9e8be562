"""What a build is made of: a change of it makes another, and nothing else does."""

from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType

from local import build


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one function, in a folder that is hidden itself."""
    root = tmp_path / ".work" / "project"
    (root / "functions" / "orders").mkdir(parents=True)
    (root / "functions" / "orders" / "app.py").write_text("handler = None")
    (root / "template.yaml").write_text("Resources: {}")
    monkeypatch.setattr(build, "ROOT", root)
    return root


@pytest.mark.parametrize("folder", [".mypy_cache/3.11", ".ruff_cache", "__pycache__", ".pytest_cache/v"])
def test_what_tools_leave_beside_the_sources_makes_no_other_build(root: Path, folder: str) -> None:
    before = build._fingerprint()
    left = root / "functions" / "orders" / folder
    left.mkdir(parents=True)
    (left / "left.json").write_text("{}")
    assert build._fingerprint() == before


def test_every_change_of_the_sources_makes_another(root: Path) -> None:
    source = root / "functions" / "orders" / "app.py"
    seen = [build._fingerprint()]
    source.write_text("handler = 1")
    seen.append(build._fingerprint())
    source.chmod(0o755)
    seen.append(build._fingerprint())
    (source.parent / "more.py").write_text("")
    seen.append(build._fingerprint())
    (root / "template.yaml").write_text("Resources: {A: 1}")
    seen.append(build._fingerprint())
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    "value",
    [
        "600",
        "arn:aws:sns:eu-central-1:1:alarms",
        '{"tours": {"adapter": "inventory", "base_url": "https://a.example", "time_zone": "Asia/Singapore"}}',
        '{"tours":{"base_url":"http://127.0.0.1:3001"}}',
        "Rock 'n' roll",
        "{}",
        '"',
    ],
)
def test_sam_reads_a_parameter_as_it_was_meant_whatever_is_in_it(value: str) -> None:
    meant = {"Stage": "local", "Partners": value, "ApiHost": "127.0.0.1"}
    assert CfnParameterOverridesType().convert(tuple(build.overrides(meant)), None, None) == meant
