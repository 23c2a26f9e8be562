"""localstripe, a Stripe server that is not ours, on a free port of this machine only.

By itself it listens on all addresses, and keeps its state in a file that all of its processes share; our starter leaves
out both.
"""

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.stack import free_port

KEY = "sk_test_12345"

_STARTER = Path(__file__).with_name("local_stripe_starter.py")
_STARTED_WITHIN = 30


class LocalStripe:
    """localstripe with nothing in it yet, gone at the end of the `with` block."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = httpx.Client(base_url=self.url, auth=(KEY, ""))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", _STARTER, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _STARTED_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError("localstripe does not start")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._client.close()

    def card(self, number: str) -> str:
        """Return the payment method of a card."""
        form = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040"}
        return str(self.post("/v1/payment_methods", {**form, "card[cvc]": "123"})["id"])

    def authenticate(self, payment_id: str, client_secret: Any, success: bool) -> None:
        """Do what the buyer does at the bank's page."""
        form = {"client_secret": str(client_secret), "success": str(success).lower()}
        self.post(f"/v1/payment_intents/{payment_id}/_authenticate", form)

    def send_webhooks(self, url: str, secret: str) -> None:
        """Send events to an address from now on."""
        self._client.post("/_config/webhooks/tests", data={"url": url, "secret": secret}).raise_for_status()

    def count(self, path: str) -> int:
        """Return how many things there are in a list."""
        return len(self._client.get(path, params={"limit": 100}).raise_for_status().json()["data"])

    def post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        """Send a form, as a client other than ours."""
        answer: dict[str, Any] = self._client.post(path, data=form).raise_for_status().json()
        return answer

    def _answers(self) -> bool:
        try:
            return self._client.get("/_config/none").status_code == httpx.codes.NOT_FOUND
        except httpx.TransportError:
            return False
