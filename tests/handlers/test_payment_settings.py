"""Which payment providers a tenant uses: read and chosen by its admins, and by nobody else."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.handlers.gateway import Api

ROUTE = "/api/v1/settings/payments"


@pytest.fixture(autouse=True)
def _stage(cold: Callable[..., None]) -> None:
    cold("settings", DEFAULT_PAYMENT_PROVIDERS="sandbox")


def test_a_tenant_that_has_not_chosen_uses_what_its_stage_gives(api: Api) -> None:
    answer = api.get(ROUTE)
    assert (answer.status, answer.json) == (200, {"providers": ["sandbox"]})


def test_what_is_chosen_is_kept_in_its_order(api: Api) -> None:
    for chosen in (["stripe", "sandbox"], ["razorpay"], ["razorpay"]):
        answer = api.put(ROUTE, {"providers": chosen})
        assert (answer.status, answer.json) == (200, {"providers": chosen})
        assert api.get(ROUTE).json == {"providers": chosen}


def test_a_tenants_choice_is_its_own(api: Api) -> None:
    api.put(ROUTE, {"providers": ["stripe"]})
    assert Api(tenant=f"{api.tenant}-2").get(ROUTE).json == {"providers": ["sandbox"]}


@pytest.mark.parametrize("roles", ["", "staff", "service"])
def test_nobody_but_an_admin_reads_or_chooses(api: Api, roles: str) -> None:
    other = api.with_roles(roles)
    for answer in (other.get(ROUTE), other.put(ROUTE, {"providers": ["sandbox"]})):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert api.get(ROUTE).json == {"providers": ["sandbox"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "providers"),
        ({"providers": None}, "providers"),
        ({"providers": []}, "providers"),
        ({"providers": "stripe"}, "providers"),
        ({"providers": ["paypal"]}, "providers.0"),
        ({"providers": ["external"]}, "providers.0"),
        ({"providers": ["stripe", 5]}, "providers.1"),
        ({"providers": ["stripe", "stripe"]}, "providers"),
    ],
)
def test_a_choice_that_is_none_is_refused_by_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.put(ROUTE, body)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert set(answer.faults()) == {field}
    assert api.get(ROUTE).json == {"providers": ["sandbox"]}
