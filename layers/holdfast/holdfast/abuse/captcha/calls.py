"""Calls to a captcha provider over HTTP, and what their answers mean to every provider alike.

A second and a half to connect, two to wait for an answer; nothing is repeated here, since a token is good once. Neither
what is sent nor what is answered is ever logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from holdfast.abuse.captcha.port import AskedTooOften, Misconfigured, ProviderOut

_TIMEOUT = httpx.Timeout(2.0, connect=1.5)
_JSON = "application/json"
_DONE = 200
_REFUSED_CREDENTIALS = (401, 403)
_TOO_OFTEN = 429
_OF_WHAT_WAS_SENT = (400, 413, 414, 422, 431)
"""What may be said because of a token, which is anybody's to make up: no sign that the provider is out."""


@dataclass(frozen=True)
class ApiAnswer:
    """What the provider answered, as text that should be JSON; not `is_done` where it did not take the request."""

    is_done: bool
    text: bytes


class Calls:
    """The providers' APIs, over connections that are kept."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        """Make the client; tests bring a transport."""
        self._client = httpx.Client(timeout=_TIMEOUT, transport=transport)

    def post_form(self, url: str, form: Mapping[str, str]) -> ApiAnswer:
        """Send a form; raises Unverified."""
        return self._answered(url, data=dict(form))

    def post_json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> ApiAnswer:
        """Send a JSON object; raises Unverified."""
        return self._answered(url, json=dict(body), headers=dict(headers))

    def _answered(self, url: str, **request: Any) -> ApiAnswer:
        try:
            response = self._client.post(url, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as lost:
            raise ProviderOut(type(lost).__name__) from None
        status = response.status_code
        if status in _REFUSED_CREDENTIALS:
            raise Misconfigured(f"status {status}")
        if status == _TOO_OFTEN:
            raise AskedTooOften(f"status {status}")
        if status != _DONE and status not in _OF_WHAT_WAS_SENT:
            raise ProviderOut(f"status {status}")
        said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status == _DONE and said != _JSON:
            raise ProviderOut("no JSON")
        return ApiAnswer(status == _DONE, response.content)
