"""Make the project's environment in .venv from requirements.lock; runs on a bare Python, with nothing installed."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = ENVIRONMENT / "made-from"


class EnvironmentFailure(Exception):
    """The environment could not be made; the message is one sentence for a person."""


def locked_block(lock: str, package: str) -> str:
    """The lines of the lock that pin one package, with its hashes."""
    lines: list[str] = []
    for line in lock.splitlines():
        if line.startswith(f"{package}==") or (lines and line.startswith(" ")):
            lines.append(line)
        elif lines:
            break
    if not lines:
        raise EnvironmentFailure(f"requirements.lock does not pin {package}; make lock writes it anew.")
    return "\n".join(lines) + "\n"


def fingerprint() -> str:
    """What the environment is made from: this interpreter and the lock."""
    made_from = f"{sys.version} {sys.base_prefix} {ENVIRONMENT}\n".encode() + LOCK.read_bytes()
    return hashlib.sha256(made_from).hexdigest()


def run(*command: str | Path, otherwise: str) -> None:
    """Run a command, or fail with a sentence and the end of what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last_lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise EnvironmentFailure(f"{otherwise}\n{last_lines}")


def make() -> None:
    """Make .venv anew and install every locked package into it, each checked against its hash."""
    print("Making the environment in .venv ...", flush=True)
    try:
        venv.create(ENVIRONMENT, clear=True, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as failure:
        raise EnvironmentFailure(
            f"This Python cannot make environments ({failure}); on Debian and Ubuntu install python3-venv."
        ) from failure
    python = ENVIRONMENT / "bin" / "python"
    installer = ENVIRONMENT / "installer.txt"
    installer.write_text(locked_block(LOCK.read_text(), "uv"))
    quiet = ("--quiet", "--disable-pip-version-check")
    run(
        python, "-m", "pip", "install", *quiet, "--require-hashes", "--no-deps", "-r", installer,
        otherwise="The installer uv could not be installed; is there a network?",
    )  # fmt: skip
    run(
        ENVIRONMENT / "bin" / "uv", "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK,
        otherwise="The locked packages could not be installed; is there a network?",
    )  # fmt: skip
    STAMP.write_text(fingerprint())


def main() -> int:
    """Make the environment unless it is already what the lock says."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print("Holdfast needs Python 3.11, 3.12 or 3.13.", file=sys.stderr)
        return 1
    try:
        if not STAMP.exists() or STAMP.read_text() != fingerprint():
            make()
    except EnvironmentFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
