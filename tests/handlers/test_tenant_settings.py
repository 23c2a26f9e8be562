"""A tenant's settings: read and changed by its admins, in force for its callers, and its branding for everybody."""

from typing import Any

import pytest

from holdfast.identity import service_keys
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.tables import Keys
from tests.handlers import tokens
from tests.handlers.account import Aws, found_tenant
from tests.handlers.gateway import Answer, Api, event, forget, send

ROUTE = "/api/v1/settings"
BRANDING = "/api/v1/branding"
CAPTCHA = {"provider": "turnstile", "site_key": "0x4AAA", "hosts": ["shop.example.com"]}
DEFAULTS = {"minimum_score": 0.5, "asks_service_keys": True, "admits_in_outage": False, "project": None}
STAGES_OWN = {
    "branding_name": "Parkside Halls",
    "hold_seconds": 600,
    "hold_seconds_max": 3_600,
    "listing_hold_seconds": 900,
    "venue_hold_seconds": 900,
    "currencies": ["USD"],
    "reserves_per_minute": None,
    "checkouts_per_minute": None,
    "captcha": None,
    "patience": None,
    "payment_providers": ["sandbox"],
    "own": [],
    "version": 1,
}
ALL = {
    "branding_name": "Théâtre du Parc",
    "hold_seconds": 120,
    "hold_seconds_max": 1_200,
    "listing_hold_seconds": 300,
    "venue_hold_seconds": 240,
    "currencies": ["EUR", "GBP"],
    "reserves_per_minute": 30,
    "checkouts_per_minute": 10,
    "captcha": CAPTCHA | DEFAULTS,
    "patience": {"after": 3, "shortest_seconds": 60, "forget_seconds": 86_400},
}


def stored(store: Store, tenant: str) -> TenantItem:
    """Return the tenant as the table has it."""
    item = store.get(TenantItem, Keys(tenant).tenant_record())
    assert item is not None
    return item


def with_credential(key: str, method: str, target: str, text: str | None = None) -> Answer:
    """Send a request as whoever the authorizer says the key is."""
    headers = {"Content-Type": "application/json"} if text else {}
    return send(event(method, target, text=text, headers=headers, authorizer=tokens.bearer(key)))


def test_a_tenant_that_has_set_nothing_has_what_its_stage_gives(api: Api) -> None:
    answer = api.get(ROUTE)
    assert (answer.status, answer.json) == (200, STAGES_OWN)


def test_everything_that_is_set_is_in_force(api: Api) -> None:
    answer = api.patch(ROUTE, ALL)
    assert answer.status == 200, answer.text
    assert answer.json == ALL | {"payment_providers": ["sandbox"], "own": sorted(ALL), "version": 2}
    assert api.get(ROUTE).json == answer.json


def test_what_is_left_out_stays_and_null_goes_back_to_the_stages(api: Api) -> None:
    api.patch(ROUTE, ALL)
    assert api.patch(ROUTE, {"hold_seconds": 180}).json["hold_seconds"] == 180
    answer = api.patch(ROUTE, {"captcha": None, "currencies": None, "venue_hold_seconds": None})
    shown = answer.json
    assert (shown["captcha"], shown["currencies"], shown["venue_hold_seconds"]) == (None, ["USD"], 900)
    assert (shown["hold_seconds"], shown["reserves_per_minute"], shown["version"]) == (180, 30, 4)
    assert api.patch(ROUTE, dict.fromkeys(ALL)).json == STAGES_OWN | {"version": 5}


def test_what_the_stage_gives_is_cut_to_the_longest_hold_that_was_set(api: Api) -> None:
    shown = api.patch(ROUTE, {"hold_seconds_max": 300}).json
    lengths = ("hold_seconds", "hold_seconds_max", "listing_hold_seconds", "venue_hold_seconds")
    assert [shown[name] for name in lengths] == [300] * 4
    assert shown["own"] == ["hold_seconds_max"]


def test_a_change_that_changes_nothing_writes_nothing(api: Api, aws: Aws) -> None:
    api.patch(ROUTE, ALL)
    before = aws.dump()
    for same in ({}, {"hold_seconds": 120}, {"captcha": CAPTCHA}, ALL):
        assert api.patch(ROUTE, same).status == 200
    assert aws.dump() == before


def test_the_payment_providers_are_shown_as_they_were_chosen(api: Api) -> None:
    api.put(f"{ROUTE}/payments", {"providers": ["stripe", "sandbox"]})
    assert api.get(ROUTE).json["payment_providers"] == ["stripe", "sandbox"]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"hold_seconds": 0}, {"hold_seconds": "greater_than_equal"}),
        ({"hold_seconds": 3_601}, {"hold_seconds": "less_than_equal"}),
        ({"hold_seconds_max": 3_601}, {"hold_seconds_max": "less_than_equal"}),
        ({"listing_hold_seconds": 3_601}, {"listing_hold_seconds": "less_than_equal"}),
        ({"venue_hold_seconds": 3_601}, {"venue_hold_seconds": "less_than_equal"}),
        (
            {"hold_seconds_max": 599, "venue_hold_seconds": 600},
            {"hold_seconds_max": "settings_disagree", "venue_hold_seconds": "settings_disagree"},
        ),
        ({"currencies": ["EUR", "EUR"]}, {"currencies": "not_distinct"}),
        ({"currencies": ["ABC"]}, {"currencies.0": "currency_unknown"}),
        ({"reserves_per_minute": 10_000}, {"reserves_per_minute": "less_than_equal"}),
        ({"captcha": CAPTCHA | {"provider": "recaptcha_enterprise"}}, {"captcha": "project_disagrees"}),
        ({"captcha": CAPTCHA | {"secret": "s3cret"}}, {"captcha.secret": "extra_forbidden"}),
        ({"patience": {"shortest_seconds": 3_601}}, {"patience.shortest_seconds": "less_than_equal"}),
        ({"hold_secnds": 60}, {"hold_secnds": "extra_forbidden"}),
        ({"version": 7}, {"version": "extra_forbidden"}),
        ({"hold_seconds": 60, "venue_hold_seconds": "60"}, {"venue_hold_seconds": "int_type"}),
    ],
)
def test_what_cannot_be_is_refused_by_its_field_and_nothing_is_set(
    api: Api, aws: Aws, change: dict[str, Any], faults: dict[str, str]
) -> None:
    before = aws.dump()
    answer = api.patch(ROUTE, change)
    assert (answer.status, answer.code, answer.faults()) == (400, "validation_failed", faults)
    assert "s3cret" not in answer.text
    assert aws.dump() == before


def test_a_tenants_settings_are_its_own(api: Api, aws: Aws) -> None:
    other = Api(f"{api.tenant}-2")
    found_tenant(other.tenant)
    other.patch(ROUTE, {"branding_name": "Others", "hold_seconds": 60})
    before = [item for item in aws.items("holdfast-identity") if item["pk"]["S"].startswith(f"{other.tenant}#")]
    api.patch(ROUTE, ALL)
    assert other.get(ROUTE).json == STAGES_OWN | {
        "branding_name": "Others",
        "hold_seconds": 60,
        "own": ["branding_name", "hold_seconds"],
        "version": 2,
    }
    assert before == [item for item in aws.items("holdfast-identity") if item["pk"]["S"].startswith(f"{other.tenant}#")]


@pytest.mark.parametrize("roles", ["", "customer", "staff", "service", "operator", "staff service"])
def test_nobody_but_an_admin_reads_or_changes(api: Api, aws: Aws, roles: str) -> None:
    before = aws.dump()
    other = api.with_roles(roles)
    for answer in (other.get(ROUTE), other.patch(ROUTE, {"hold_seconds": 60})):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert aws.dump() == before


def test_a_tenant_that_is_gone_has_no_settings(api: Api, aws: Aws) -> None:
    aws.empty()
    for answer in (api.get(ROUTE), api.patch(ROUTE, {"hold_seconds": 60})):
        assert (answer.status, answer.code) == (404, "tenant_not_found")
    assert aws.items("holdfast-identity") == []


def test_settings_and_standing_are_changed_apart(api: Api, identity_store: Store) -> None:
    """They are kept with one item, and neither takes the other back."""
    operator = Api(tenant="operator", roles="operator")
    api.patch(ROUTE, {"hold_seconds": 60})
    operator.patch(f"/api/v1/tenants/{api.tenant}", {"name": "Renamed", "status": "suspended"})
    api.patch(ROUTE, {"currencies": ["EUR"]})
    tenant = stored(identity_store, api.tenant)
    assert (tenant.name, tenant.status, tenant.version) == ("Renamed", "suspended", 4)
    assert tenant.settings == '{"currencies":["EUR"],"hold_seconds":60}'


def test_what_is_set_travels_with_the_tenants_credentials(api: Api, identity_store: Store) -> None:
    """The authorizer hands it on, so that the very next request of a credential not seen before goes by it."""
    forget("authorizer")
    api.patch(ROUTE, {"currencies": ["EUR"], "branding_name": "Théâtre \U0001f3ad"})
    key = service_keys.issue(identity_store, SystemClock(), api.tenant, ("admin",), "tests")
    assert tokens.bearer(key)["settings"].isascii()
    made = with_credential(key, "POST", "/api/products", '{"name": "Laptop", "total_stock": 1}')
    assert made.data["currency"] == "EUR"
    other = with_credential(key, "POST", "/api/products", '{"name": "x", "total_stock": 1, "currency": "USD"}')
    assert (other.status, other.code) == (400, "currency_not_used")


@pytest.fixture
def anybody() -> Api:
    """The API as somebody without a credential reaches it."""
    return Api(tenant="", roles="")


def test_everybody_sees_the_branding(api: Api, anybody: Api) -> None:
    named = {"X-Tenant-Id": api.tenant}
    answer = anybody.get(BRANDING, headers=named)
    shown = {"id": api.tenant, "name": "Parkside Halls", "currencies": ["USD"], "captcha": None}
    assert (answer.status, answer.json) == (200, shown)
    other = f"{api.tenant}-2"
    found_tenant(other, '{"branding_name":"Others","currencies":["EUR","GBP"]}')
    shown = {"id": other, "name": "Others", "currencies": ["EUR", "GBP"], "captcha": None}
    assert anybody.get(BRANDING, headers={"X-Tenant-Id": other}).json == shown


def test_of_a_captcha_everybody_sees_what_a_page_needs_and_no_more(api: Api, anybody: Api) -> None:
    api.patch(ROUTE, ALL)
    shown = anybody.get(BRANDING, headers={"X-Tenant-Id": api.tenant}).json
    assert shown["captcha"] == {"provider": "turnstile", "site_key": "0x4AAA"}
    assert set(shown) == {"id", "name", "currencies", "captcha"}


def test_the_tenant_is_named_by_a_header_a_host_or_a_key(api: Api, anybody: Api) -> None:
    key = f"Bearer hk_{api.tenant}_{'0' * 64}"
    host = f"{api.tenant}.tickets.example"
    for headers in (
        {"X-Tenant-Id": api.tenant},
        {"x-tenant-id": api.tenant, "Host": "nobody.tickets.example"},
        {"Host": host},
        {"host": f"{host.upper()}:443", "Authorization": "Bearer hk_nobody_" + "0" * 64},
        {"Host": "api.example.com", "Authorization": key},
        {"Authorization": key},
    ):
        assert anybody.get(BRANDING, headers=headers).json["id"] == api.tenant
    for headers in ({}, {"X-Tenant-Id": "A"}, {"Host": "tickets.example"}, {"Authorization": key[:-1]}):
        answer = anybody.get(BRANDING, headers=headers)
        assert (answer.status, answer.code) == (400, "tenant_required")


def test_an_unknown_and_a_suspended_tenant_look_alike(api: Api, anybody: Api) -> None:
    found_tenant("shut", status="suspended")
    answers = [anybody.get(BRANDING, headers={"X-Tenant-Id": tenant}) for tenant in ("shut", "nobody", "health")]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "tenant_not_found")}
    assert len({answer.json["error"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "target",
    [
        BRANDING,
        "/api/v1/venues",
        "/api/v1/venues/1",
        "/api/v1/venues/1/availability?date=2031-06-01",
        "/api/v1/bookings/venue/1/availability?date=2031-06-01",
        "/api/v1/check-in/keys",
    ],
)
def test_nothing_public_is_shown_of_a_tenant_that_is_not_open(anybody: Api, target: str) -> None:
    found_tenant("shut", status="suspended")
    for tenant in ("shut", "nobody"):
        answer = anybody.get(target, headers={"X-Tenant-Id": tenant})
        assert (answer.status, answer.code) == (404, "tenant_not_found")
