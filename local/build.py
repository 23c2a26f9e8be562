"""`sam build` of the template for this machine, skipped when nothing that goes into it has changed."""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.terminal import Failure, fail, said_last

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".aws-sam" / "build"
STATE = ROOT / ".local"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
WHEELS = {"x86_64": "x86_64-manylinux2014", "arm64": "aarch64-manylinux2014"}


def parameters() -> dict[str, str]:
    """The template parameters that say what the layers are built for."""
    return {"PythonRuntime": f"python{PYTHON_VERSION}", "Architecture": ARCHITECTURE}


def overrides(parameters: Mapping[str, str]) -> list[str]:
    """Return template parameters as sam's `--parameter-overrides` takes them: a bare value ends at a blank."""
    return [f"{name}={_quoted(value)}" for name, value in parameters.items()]


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '\\"') + '"' if set(value) & set("\"' ") else value


def build() -> Path:
    """Build unless the last build is still good; returns the built template."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = BUILD / "built-from"
        fingerprint = _fingerprint()
        if not stamp.exists() or stamp.read_text() != fingerprint:
            _sam_build()
            stamp.write_text(fingerprint)
    return BUILD / "template.yaml"


def _sources() -> Iterator[Path]:
    """Everything that goes into a build; what tools leave beside it, in folders of theirs, does not."""
    yield ROOT / "template.yaml"
    for folder in ("functions", "layers", "statemachines"):
        for path in sorted((ROOT / folder).rglob("*")):
            folders = path.relative_to(ROOT).parts[:-1]
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in folders):
                yield path


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{sys.version} {ARCHITECTURE} {sys.platform} {ROOT}\n".encode())
    for path in _sources():
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o777}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def environment(wheels: str) -> dict[str, str]:
    """This shell's environment, with what the layers' makefiles need: this Python, and which wheels to take."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOLDFAST_PYTHON": PYTHON_VERSION,
        "HOLDFAST_PLATFORM": wheels,
        "SAM_CLI_TELEMETRY": "0",
    }


def _sam_build() -> None:
    # Functions run on Linux in AWS, but on this machine itself under the emulator: elsewhere, its own wheels are taken.
    wheels = WHEELS[ARCHITECTURE] if sys.platform == "linux" else ""
    overrides = [f"{name}={value}" for name, value in parameters().items()]
    done = subprocess.run(
        ["sam", "build", "--config-env", "local", "--parameter-overrides", *overrides],
        cwd=ROOT,
        env=environment(wheels),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"sam build failed. {said_last(done.stdout + done.stderr)}")


def main() -> int:
    """Build and say where."""
    try:
        print(f"Built {build().relative_to(ROOT)}")
    except Failure as failure:
        return fail(failure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
