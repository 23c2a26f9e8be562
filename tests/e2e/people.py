"""People with accounts of their own on the deployed stack, and tenants that an operator makes."""

import uuid
from dataclasses import dataclass, field

import httpx

from local.demo import CODE
from local.stack import Stack
from tests.e2e.wire import answered

PASSWORD = "Correct-horse-7"


@dataclass
class Person:
    """Somebody of a tenant who signed up: their client carries the access token of their last sign-in."""

    client: httpx.Client
    email: str
    id: str
    refresh_token: str = field(default="")

    def sign_in(self, password: str = PASSWORD) -> dict[str, object]:
        """Sign in, and go by the new access token from now on."""
        body = answered(self.client.post("/api/users/signin", json={"email": self.email, "password": password}), 200)
        self.client.headers["Authorization"] = f"Bearer {body['access_token']}"
        self.refresh_token = body["refresh_token"]
        return dict(body)


def public(base_url: str, tenant: str) -> httpx.Client:
    """Return a client without a credential that names a tenant."""
    return httpx.Client(base_url=base_url, headers={"X-Tenant-Id": tenant}, timeout=30, trust_env=False)


def signed_up(base_url: str, tenant: str) -> Person:
    """Sign somebody up, confirm and sign in."""
    client = public(base_url, tenant)
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    made = answered(client.post("/api/users/signup", json={"email": email, "password": PASSWORD}), 201)
    answered(client.post("/api/users/confirm", json={"id": made["id"], "code": CODE}), 200)
    person = Person(client, email, made["id"])
    person.sign_in()
    return person


def mailed_to(stack: Stack, address: str) -> list[str]:
    """Return the texts that the emulated pool has mailed to an address, the oldest first."""
    with httpx.Client(trust_env=False) as client:
        boxes = client.get(f"{stack.endpoint_url}/_ministack/ses/messages").json()["messages"]
    return [mail["BodyText"] or mail["BodyHtml"] for box in boxes.values() for mail in box if address in mail["To"]]
