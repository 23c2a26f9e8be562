"""A PostgreSQL to compare with: the one at HOLDFAST_POSTGRES_URL, or one of our own from what is installed."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL = "HOLDFAST_POSTGRES_URL"
STARTS_WITHIN = 30
"""Seconds."""


def unavailable() -> str | None:
    """Return why there is no PostgreSQL to be had, as a sentence; None where there is."""
    if shutil.which("psql") is None:
        return "PostgreSQL's client psql is not on the path; it comes with PostgreSQL (Debian: apt install postgresql)"
    if not os.environ.get(URL) and _program("initdb") is None:
        return f"PostgreSQL is not installed, and {URL} names none (Debian: apt install postgresql)"
    return None


@contextmanager
def server() -> Iterator[str]:
    """Yield where to connect to, as psql understands it; a server of our own is gone afterwards."""
    given = os.environ.get(URL)
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-postgres-") as place:
        account = _account()
        if account is not None:
            shutil.chown(place, account)
        data = f"{place}/data"
        made = [str(_program("initdb")), "-D", data, "-U", "holdfast", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=place, user=account)
        running = subprocess.Popen(
            [str(_program("postgres")), "-D", data, "-k", place, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=place,
            user=account,
        )
        try:
            where = f"host={place} user=holdfast dbname=postgres"
            _wait_until_it_answers(where, running)
            yield where
        finally:
            running.terminate()
            running.wait(timeout=STARTS_WITHIN)


class Session:
    """One psql, which answers one statement after the other."""

    def __init__(self, where: str) -> None:
        self._psql = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1", "-d", where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, statement: str) -> list[str]:
        """Return the lines of what a statement answers; raises AssertionError where it fails."""
        assert self._psql.stdin is not None
        assert self._psql.stdout is not None
        self._psql.stdin.write(f"{statement};\n\\echo @end\n")
        self._psql.stdin.flush()
        lines: list[str] = []
        for line in self._psql.stdout:
            if line == "@end\n":
                return lines
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"psql ended: {lines}")

    def load(self, script: Path) -> None:
        """Run a file of statements."""
        self.run(f"SET client_min_messages = warning; {script.read_text()}")

    def close(self) -> None:
        """End the session, and all that is temporary with it."""
        assert self._psql.stdin is not None
        self._psql.stdin.close()
        self._psql.wait(timeout=STARTS_WITHIN)


def _program(name: str) -> str | None:
    """Return where one of the server's programs is; Debian keeps them off the path."""
    on_path = shutil.which(name)
    if on_path is not None:
        return on_path
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None


def _account() -> str | None:
    """Return as whom to run the server, which refuses to run as root; None is oneself."""
    return "nobody" if os.geteuid() == 0 else None


def _wait_until_it_answers(where: str, running: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while subprocess.run(["psql", "-X", "-c", "SELECT 1", "-d", where], capture_output=True, check=False).returncode:
        assert running.poll() is None, "PostgreSQL ended as it was started"
        assert time.monotonic() < deadline, "PostgreSQL did not start in time"
        time.sleep(0.1)
