"""The partner beside the local stack: the tests' own server, in a process of its own, with a key that it makes up."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from typing import Any

from local import build
from local.stack import Stack, free_port, port_is_free, stop_group
from local.terminal import Failure

NAME = "tours"
TIME_ZONE = "Asia/Singapore"


class Partner:
    """A partner on 127.0.0.1; where the port that it should have is taken, on any other."""

    def __init__(self, port: int) -> None:
        self.port = port if port_is_free(port) else free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api_key = secrets.token_urlsafe(24)
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def parameter(self) -> str:
        """The template's parameter `Partners`, by which the stack knows it."""
        return json.dumps({NAME: {"adapter": "inventory", "base_url": self.url, "time_zone": TIME_ZONE}})

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.partner.server", "--port", str(self.port)],
            cwd=build.ROOT,
            env=os.environ | {"PARTNER_API_KEY": self.api_key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the partner did not start on port {self.port}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            stop_group(self._process)
            self._process = None

    def keep_key(self, stack: Stack) -> None:
        """Put its key where the stack's functions read it."""
        stack.client("ssm").put_parameter(
            Name=f"{stack.secrets_prefix}/partners/{NAME}",
            Value=json.dumps({"api_key": self.api_key}),
            Type="SecureString",
            Overwrite=True,
        )

    def products(self) -> list[dict[str, Any]]:
        """What it sells: `id`, `name` and the `weekdays` (1 for Monday) of each product."""
        with self._direct.open(f"{self.url}/control/products", timeout=2) as answer:
            sold: list[dict[str, Any]] = json.load(answer)["products"]
        return sold

    def _answers(self) -> bool:
        try:
            return bool(self.products())
        except OSError:
            return False
