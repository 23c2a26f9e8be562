"""Write the lock, and from it the requirements of each layer of third-party packages, and checkov's; or check all."""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
CHECKOV_LOCK = ROOT / "checkov.lock"
LAYERS: dict[str, str | None] = {"vendor": None, "signing": "signing"}
"""The layers of third-party packages, and the dependency group that each is of; None for the run-time dependencies."""

# The Lambda runtime brings boto3 and what it stands on; jmespath stays because Powertools asks for it itself.
BROUGHT_BY_RUNTIME = {"boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six"}
HEADER = "# Derived from requirements.lock; `make lock` writes it, `make lint` proves it.\n"


def pins(lock: str) -> dict[str, str]:
    """Every pinned package of a lock, by canonical name, with the lines that pin and hash it."""
    blocks: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith(" "):
            name = canonicalize_name(line.split("==")[0])
        blocks[name] = blocks.get(name, "") + line
    return blocks


def versions(lock: str) -> dict[str, str]:
    """The version of every package that a lock pins."""
    return {name: block.split("==")[1].split()[0] for name, block in pins(lock).items()}


def declared(group: str | None = None) -> list[Requirement]:
    """What pyproject.toml asks for: at run time, or in a dependency group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def requirements(layer: str) -> Path:
    """The requirements file of a layer."""
    return ROOT / "layers" / layer / "requirements.txt"


def packages(layer: str) -> set[str]:
    """What a layer brings; the vendor layer is under every function, so no other repeats what it has."""
    wanted = _needed(LAYERS[layer])
    return wanted if layer == "vendor" else wanted - packages("vendor")


def _needed(group: str | None) -> set[str]:
    """What is declared and all that it needs, as installed, without what the runtime brings."""
    from importlib.metadata import requires

    wanted: set[str] = set()
    waiting = declared(group)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in wanted or name in BROUGHT_BY_RUNTIME:
            continue
        wanted.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        waiting += [need for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return wanted


def layer_requirements(lock: str, layer: str) -> str:
    """What a layer's requirements file has to say."""
    blocks = pins(lock)
    return HEADER + "".join(blocks[name] for name in sorted(packages(layer)))


def disagreements() -> list[str]:
    """What is wrong with the committed lock files, a sentence each."""
    lock = LOCK.read_text()
    found = [
        f"{requirements(layer).relative_to(ROOT)} is not of the lock"
        for layer in LAYERS
        if requirements(layer).read_text() != layer_requirements(lock, layer)
    ]
    for path, wanted in (
        (LOCK, declared() + declared("signing") + declared("dev")),
        (CHECKOV_LOCK, declared("checkov")),
    ):
        lock = path.read_text()
        if "://" in lock:
            found.append(f"{path.name} names a host")
        pinned = versions(lock)
        for requirement in wanted:
            version = pinned.get(canonicalize_name(requirement.name))
            if version is None or version not in requirement.specifier:
                found.append(f"{path.name} does not meet {requirement}")
    return found


def write(upgrade: bool) -> None:
    """Resolve, for every Python and machine the project is for; pins that still fit stay, but not with `upgrade`."""
    for lock, of in (
        (LOCK, ["pyproject.toml", "--group", "signing", "--group", "dev"]),
        (CHECKOV_LOCK, ["--group", "checkov"]),
    ):
        subprocess.run(
            [
                "uv", "pip", "compile", *of, "--universal", "--python-version", "3.11", "--generate-hashes",
                "--no-annotate", "--custom-compile-command", "make lock", "--quiet", "--output-file", lock.name,
                *(["--upgrade"] if upgrade else []),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=True,
        )  # fmt: skip
    for layer in LAYERS:
        requirements(layer).write_text(layer_requirements(LOCK.read_text(), layer))


def main() -> int:
    """Write the files, or with --check say what is wrong with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, only say what does not agree")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    asked = parser.parse_args()
    if not asked.check:
        write(asked.upgrade)
        return 0
    found = disagreements()
    for sentence in found:
        print(f"{sentence}; make lock writes it anew.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
