"""Calls to a payment provider's API over HTTP, and what its answers mean to everybody alike.

Two seconds to connect, eight to wait for an answer; nothing is repeated here, since the workflow repeats its steps.
Neither what is sent nor what is answered is ever logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from holdfast.platform.errors import ProviderUnavailable
from holdfast.platform.logs import logger

_TIMEOUT = httpx.Timeout(8.0, connect=2.0)

_REFUSED_CREDENTIALS = (401, 403)
_NOT_NOW = (409, 424, 425, 429)
"""Conflicts with a call that is still being made, dependencies that failed, limits: the same call may succeed later."""

_logger = logger()


@dataclass(frozen=True)
class ApiAnswer:
    """What the provider answered: it did what was asked, or refused it for a reason of business."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_done(self) -> bool:
        """Return whether the provider did what was asked."""
        return self.status < 300

    @property
    def error(self) -> Mapping[str, Any]:
        """Return what the provider says of why it refused; nothing where it says nothing."""
        error = self.body.get("error")
        return error if isinstance(error, dict) else {}


class Calls:
    """One provider's API with one tenant's credentials, over connections that are kept."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        user: SecretStr,
        password: SecretStr | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take where the API is, with whose name and password, and headers for all calls; tests bring a transport."""
        self._provider = provider
        self._client = httpx.Client(
            base_url=base_url,
            auth=(user.get_secret_value(), password.get_secret_value() if password else ""),
            headers=dict(headers or {}),
            timeout=_TIMEOUT,
            transport=transport,
        )

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> ApiAnswer:
        """Ask for what is at `path`; raises ProviderUnavailable."""
        return self._answered("GET", path, params=dict(query or {}))

    def post_form(self, path: str, form: Mapping[str, str | int], key: str) -> ApiAnswer:
        """Send a form under an idempotency key; raises ProviderUnavailable."""
        data = {name: str(value) for name, value in form.items()}
        return self._answered("POST", path, data=data, headers={"Idempotency-Key": key})

    def post_json(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ApiAnswer:
        """Send a JSON object; raises ProviderUnavailable."""
        return self._answered("POST", path, json=dict(body), headers=dict(headers or {}))

    def puzzled(self, what: str, status: int) -> ProviderUnavailable:
        """Return the error for an answer that makes no sense; somebody has to look, so it is logged."""
        _logger.error(
            "a payment provider's answer is not understood",
            extra={"provider": self._provider, "what": what, "provider_status": status},
        )
        return ProviderUnavailable()

    def _answered(self, method: str, path: str, **request: Any) -> ApiAnswer:
        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as lost:
            _logger.warning(
                "a payment provider does not answer", extra=self._described(method, lost=type(lost).__name__)
            )
            raise ProviderUnavailable from None
        status = response.status_code
        if status in _REFUSED_CREDENTIALS:
            _logger.error("a payment provider refuses the credentials", extra=self._described(method, status))
            raise ProviderUnavailable
        if status in _NOT_NOW or status >= 500:
            _logger.warning("a payment provider cannot now", extra=self._described(method, status))
            raise ProviderUnavailable
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or 300 <= status < 400 or status < 200:
            raise self.puzzled("not a JSON object", status)
        return ApiAnswer(status, body)

    def _described(self, method: str, status: int | None = None, lost: str | None = None) -> dict[str, Any]:
        return {"provider": self._provider, "call": method, "provider_status": status, "lost": lost}
