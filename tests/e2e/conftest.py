"""The whole stack, deployed into the emulator once for all tests on a port of its own, with a partner beside it."""

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from local import build, demo
from local.partner import Partner
from local.stack import Stack, free_port


@pytest.fixture(scope="session")
def partner() -> Iterator[Partner]:
    """The partner that `make run` starts; nothing of it is on sale unless a test puts it up."""
    running = Partner(free_port())
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, partner: Partner) -> Iterator[Stack]:
    """The running stack, every function warm; its logs stay behind where a test failed."""
    running = Stack(free_port())
    try:
        running.start()
        build.build()
        running.deploy(Partners=partner.parameter)
        partner.keep_key(running)
        demo.warm(running, demo.load(running))
        yield running
    finally:
        running.stop()
    if not request.session.testsfailed:
        running.forget()


@pytest.fixture(scope="session")
def client_of_tenant(stack: Stack) -> Iterator[Callable[[str], httpx.Client]]:
    """Make a client of the API with a service key of a tenant."""
    clients: list[httpx.Client] = []

    def make(tenant: str) -> httpx.Client:
        key = demo.issue_service_key(stack, tenant, "end-to-end tests")
        client = httpx.Client(
            base_url=stack.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(client_of_tenant: Callable[[str], httpx.Client]) -> httpx.Client:
    """A client of the API for a tenant that no other test knows."""
    return client_of_tenant(f"t-{uuid.uuid4().hex[:16]}")


@pytest.fixture(scope="session")
def anonymous(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the API without a credential."""
    with httpx.Client(base_url=stack.base_url, timeout=30, trust_env=False) as client:
        yield client
