"""Whose a public request is, and for how long a warm function goes by what it read of a tenant."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

import pytest

from holdfast.platform import tenancy
from holdfast.platform.errors import TenantNotFound
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.tables import Key, Keys
from holdfast.platform.tenancy import Tenants, named, tenant_of_host

DOMAIN = "tickets.example"
KEY = "Bearer hk_acme_" + "0" * 64


def token(claims: str) -> str:
    """Return a header with a token that says this."""
    return f"Bearer e30.{urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("host", "tenant"),
    [
        ("acme.tickets.example", "acme"),
        ("ACME.Tickets.Example", "acme"),
        ("acme.tickets.example:443", "acme"),
        ("acme.tickets.example.", "acme"),
        ("a-1.tickets.example", "a-1"),
        ("operator.tickets.example", "operator"),
        ("api.tickets.example", None),
        ("API.tickets.example", None),
        ("www.tickets.example", None),
        ("tickets.example", None),
        (".tickets.example", None),
        ("acme.tickets.example.evil", None),
        ("acme.evil-tickets.example", None),
        ("acmetickets.example", None),
        ("a.b.tickets.example", None),
        ("-acme.tickets.example", None),
        ("ac_me.tickets.example", None),
        (f"{'a' * 41}.tickets.example", None),
        ("127.0.0.1:3000", None),
        ("acme", None),
        ("", None),
    ],
)
def test_a_host_is_a_tenants_only_right_under_the_domain(host: str, tenant: str | None) -> None:
    assert tenant_of_host(host, DOMAIN) == tenant
    assert tenant_of_host(host, "") is None


@pytest.mark.parametrize(
    ("headers", "tenant"),
    [
        ({"x-tenant-id": "acme"}, "acme"),
        ({"x-tenant-id": "acme", "host": "other.tickets.example", "authorization": KEY}, "acme"),
        ({"host": "other.tickets.example", "authorization": KEY}, "other"),
        ({"host": "elsewhere.example", "authorization": KEY}, "acme"),
        ({"host": "api.tickets.example", "authorization": KEY}, "acme"),
        ({"host": "api.tickets.example"}, None),
        ({"authorization": KEY}, "acme"),
        ({"x-tenant-id": "Acme#", "host": "other.tickets.example", "authorization": KEY}, None),
        ({"x-tenant-id": "", "host": "other.tickets.example"}, None),
        ({"x-tenant-id": "acme\n"}, None),
        ({"authorization": token('{"username": "acme.018f3a2b"}')}, "acme"),
        ({"host": "other.tickets.example", "authorization": token('{"username": "acme.018f3a2b"}')}, "other"),
        ({"authorization": token('{"username": "acme"}')}, None),
        ({"authorization": token('{"username": "Acme#.1"}')}, None),
        ({"authorization": token('{"username": 7}')}, None),
        ({"authorization": token("{}")}, None),
        ({"authorization": token("[]")}, None),
        ({"authorization": token("[" * 5_000)}, None),
        ({"authorization": token("\\xff")}, None),
        ({"authorization": "Bearer a.b.c"}, None),
        ({"authorization": token('{"username": "acme.1"}')[len("Bearer ") :]}, None),
        ({"authorization": KEY + "0"}, None),
        ({"authorization": KEY[len("Bearer ") :]}, None),
        ({"authorization": "Bearer hk_a#b_" + "0" * 64}, None),
        ({}, None),
    ],
)
def test_a_header_goes_before_the_host_and_the_host_before_a_key(headers: dict[str, str], tenant: str | None) -> None:
    assert named(headers, DOMAIN) == tenant


@dataclass
class Shelf:
    """A store of tenants by their status, which counts how often it is asked."""

    statuses: dict[str, str]
    asked: list[Key] = field(default_factory=list)
    seconds: float = 1_000.0

    def get(self, model: type[TenantItem], key: Key) -> TenantItem | None:
        """Return the tenant at a key."""
        self.asked.append(key)
        status = next((status for name, status in self.statuses.items() if Keys(name).tenant_record() == key), None)
        return None if status is None else model(*key, name="x", status=status, settings="{}")

    def tenants(self) -> Tenants:
        """Return a warm function's view of it, by its own clock."""
        return Tenants(self, lambda: self.seconds)  # type: ignore[arg-type]


def test_an_open_tenant_is_read_once_in_thirty_seconds() -> None:
    shelf = Shelf({"acme": "open"})
    tenants = shelf.tenants()
    for _ in range(3):
        assert tenants.opened("acme").name == "x"
    shelf.seconds += 29.9
    tenants.opened("acme")
    assert len(shelf.asked) == 1
    shelf.seconds += 0.1
    tenants.opened("acme")
    assert len(shelf.asked) == 2


def test_a_suspension_is_heeded_within_thirty_seconds_and_so_is_its_end() -> None:
    shelf = Shelf({"acme": "open"})
    tenants = shelf.tenants()
    tenants.opened("acme")
    shelf.statuses["acme"] = "suspended"
    shelf.seconds += 30
    with pytest.raises(TenantNotFound):
        tenants.opened("acme")
    shelf.statuses["acme"] = "open"
    shelf.seconds += 30
    tenants.opened("acme")


@pytest.mark.parametrize("statuses", [{}, {"acme": "suspended"}, {"acme": "closing"}, {"acm": "open"}])
def test_an_unknown_and_a_suspended_tenant_are_told_alike_and_remembered(statuses: dict[str, str]) -> None:
    shelf = Shelf(statuses)
    tenants = shelf.tenants()
    for _ in range(3):
        with pytest.raises(TenantNotFound) as refused:
            tenants.opened("acme")
        assert refused.value.code == "tenant_not_found"
    assert len(shelf.asked) == 1


def test_names_that_anybody_makes_up_take_no_more_room_than_there_is() -> None:
    tenants = Shelf({"acme": "open"}).tenants()
    for number in range(2 * tenancy._MOST_KEPT + 1):
        with pytest.raises(TenantNotFound):
            tenants.opened(f"t{number}")
        assert len(tenants._known) <= tenancy._MOST_KEPT
    tenants.opened("acme")
