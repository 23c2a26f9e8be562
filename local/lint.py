"""Every check that needs no running code, each reported; any that fails fails the whole."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent


def checks() -> list[tuple[str, list[str]]]:
    """What is checked, and the command that does."""
    python = str(PROGRAMS / "python")
    return [
        ("style", ["ruff", "check", "."]),
        ("format", ["ruff", "format", "--check", "."]),
        ("types", ["mypy", "layers/holdfast/holdfast", "functions", "local", "benchmarks"]),
        ("arrows between modules", ["lint-imports"]),
        ("template", ["cfn-lint", "template.yaml"]),
        ("template, by sam", ["sam", "validate", "--lint", "--region", "us-east-1"]),
        ("template, by checkov", [python, "-m", "local.checkov"]),
        ("lock", [python, "-m", "local.lock", "--check"]),
        ("API document", [python, "-m", "local.openapi", "--check"]),
    ]


def main() -> int:
    """Run every check; print what a failed one said."""
    failed: list[str] = []
    for name, command in checks():
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        outcome = "ok" if done.returncode == 0 else "FAILED"
        print(f"{name:.<36} {outcome} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print((done.stdout + done.stderr).strip() + "\n", flush=True)
    if failed:
        print(f"make lint failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
