"""A tenant's people as they come to the accounts function: signed up, confirmed, signed in, through the authorizer."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holdfast.identity.accounts import Accounts
from tests.handlers import tokens
from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, event, forget, load, send
from tests.handlers.user_pool import InMemoryCognito, installed

PASSWORD = "correct-Horse-7"
ANOTHER = "another-Horse-8"
ASHA = "asha@example.com"


class Killed(BaseException):
    """What ends a function in the midst of a request."""


@dataclass
class Sleeps:
    """The waits of the accounts function: each moves the clock, and is noted (s)."""

    clock: HandMovedClock
    waits: list[float]

    def __call__(self, seconds: float) -> None:
        """Wait."""
        assert seconds >= 0
        self.waits.append(seconds)
        self.clock.advance(seconds)


@dataclass(frozen=True)
class Site:
    """A tenant's people, their pool, and what they wait for."""

    tenant: str
    pool: InMemoryCognito
    sleeps: Sleeps
    clock: HandMovedClock
    address: str = "192.0.2.1"

    @property
    def accounts(self) -> Accounts:
        """The function's own view of accounts."""
        found: Accounts = load("accounts").accounts()
        return found

    def at(self, address: str) -> "Site":
        """Return the same from another network address."""
        return replace(self, address=address)

    def post(self, path: str, body: Any = None, *, key: str | None = None, token: str | None = None) -> Answer:
        """Send a body to `/api/users/<path>`: as somebody who signed in, with their token, or as anybody."""
        return self.request("POST", path, body, key=key, token=token)

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, token: str | None = None
    ) -> Answer:
        """Send a request; the authorizer sees only those that are not public."""
        headers = {"X-Tenant-Id": self.tenant} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        context = None if token is None or path == "currentuser" else tokens.bearer(token)
        text = None if body is None else json.dumps(body)
        made = event(method, f"/api/users/{path}", text=text, headers=headers, authorizer=context)
        made["requestContext"]["identity"]["sourceIp"] = self.address
        return send(made)

    def signed_up(self, email: str = ASHA, password: str = PASSWORD, **more: Any) -> str:
        """Begin a sign-up and return its id."""
        answer = self.post("signup", {"email": email, "password": password, **more})
        assert answer.status == 201, answer.text
        return str(answer.json["id"])

    def confirmed(self, email: str = ASHA, password: str = PASSWORD, **more: Any) -> str:
        """Make an account and return its id."""
        user_id = self.signed_up(email, password, **more)
        answer = self.post("confirm", {"id": user_id, "code": self.pool.code_of(self.tenant, user_id)})
        assert (answer.status, answer.json) == (200, {}), answer.text
        return user_id

    def signed_in(self, email: str = ASHA, password: str = PASSWORD) -> dict[str, Any]:
        """Sign in and return what is given."""
        answer = self.post("signin", {"email": email, "password": password})
        assert answer.status == 200, answer.text
        found: dict[str, Any] = answer.json
        return found


def opened(monkeypatch: pytest.MonkeyPatch, tenant: str, clock: HandMovedClock, jwks_url: str) -> Site:
    """Return the people of a tenant, with a pool of their own and a function that waits by the tests' clock.

    The clock stands a little back, so that tokens made while it is moved on are not from the future.
    """
    clock.milliseconds = clock.milliseconds // 1000 * 1000 - 300_000
    monkeypatch.setenv("JWKS_URL", jwks_url)
    forget("authorizer")
    forget("accounts")
    pool, sleeps = installed(monkeypatch), Sleeps(clock, [])
    function = load("accounts")
    known = replace(function.accounts(), sleep=sleeps)
    monkeypatch.setattr(function, "accounts", lambda: known)
    return Site(tenant, pool, sleeps, clock)
