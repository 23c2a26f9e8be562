"""A plain HTTP client of the running API, for the scripts that load and warm it."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status and the JSON body that came with it."""

    status: int
    body: Any


class Client:
    """Sends requests with one service key, or with none, past any proxy of this shell."""

    def __init__(self, base_url: str, service_key: str | None, tenant: str | None = None) -> None:
        """Take the API's address, a credential, and the tenant whose public things are meant."""
        self._base_url = base_url
        self._headers = {"Content-Type": "application/json"}
        if tenant is not None:
            self._headers["X-Tenant-Id"] = tenant
        if service_key is not None:
            self._headers["Authorization"] = f"Bearer {service_key}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Answer:
        """Read a route."""
        return self._send("GET", path)

    def post(self, path: str, body: object, idempotency_key: str | None = None, wait: int = 0) -> Answer:
        """Send a body to a route; of one that starts something, `wait` so many seconds for what comes of it."""
        return self._send("POST", path, json.dumps(body).encode(), idempotency_key, wait)

    def patch(self, path: str, body: object) -> Answer:
        """Change what is at an address."""
        return self._send("PATCH", path, json.dumps(body).encode())

    def delete(self, path: str) -> Answer:
        """Let go of what is at an address."""
        return self._send("DELETE", path)

    def _send(
        self, method: str, path: str, body: bytes | None = None, idempotency_key: str | None = None, wait: int = 0
    ) -> Answer:
        headers = self._headers | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        headers |= {"Prefer": f"wait={wait}"} if wait else {}
        request = urllib.request.Request(self._base_url + path, data=body, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                status, content = refused.code, refused.read()
        try:
            return Answer(status, json.loads(content))
        except ValueError:
            return Answer(status, None)
