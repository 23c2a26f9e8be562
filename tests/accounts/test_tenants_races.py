"""Tenants on DynamoDB Local: made once, and every change kept, whoever comes at once and whatever gets lost."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.identity import tenant_settings, tenants
from holdfast.identity.people import Directory
from holdfast.identity.tenant_settings import TenantSettingsBody
from holdfast.identity.tenants import TenantChanges, TenantStatus
from holdfast.platform.dynamodb import Store, read
from holdfast.platform.errors import Busy, IdempotencyKeyReused, Malformed, TenantExists, Unavailable
from holdfast.platform.identity_items import TenantEntryItem, TenantItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import OPERATOR_TENANT, Keys
from holdfast.reservations.idempotency import KeyedRequest
from tests.engine.faults import Calls, conflict, meanwhile, silence_after, throttled
from tests.engine.test_people import CLIENTS, at_once, directory_of, lost
from tests.unit.test_tenant_settings import CAPTCHA, STAGE

TENANT = "acme"


@pytest.fixture
def directory(store: Store) -> Directory:
    return directory_of(store)


@pytest.fixture
def calls(store: Store) -> Calls:
    """What the directory asks of DynamoDB."""
    return Calls(store)


def keyed(body_hash: str = "a") -> KeyedRequest:
    return KeyedRequest(OPERATOR_TENANT, "key-1", "tenants", "k", body_hash)


def refused(work: Callable[[], TenantItem]) -> Any:
    """Return what was answered, or what it was refused with."""
    try:
        return work()
    except (TenantExists, Malformed) as refusal:
        return refusal


def stored(store: Store, tenant: str = TENANT) -> TenantItem:
    item = store.get(TenantItem, Keys(tenant).tenant_record())
    assert item is not None
    return item


def listed(store: Store) -> list[str]:
    """Return the ids of all tenants, by the operators' own list."""
    page = store.query(Keys(OPERATOR_TENANT).tenants(), limit=1000)
    return [read(TenantEntryItem, raw).tenant_id for raw in page.items]


def patient(directory: Directory) -> Directory:
    """Return the same directory, which tries until everybody else is done."""
    return Directory(directory.store, retries=Retries(attempts=10 * CLIENTS))


def set_to(directory: Directory, **wanted: Any) -> TenantItem:
    return tenant_settings.change(directory, TENANT, TenantSettingsBody.model_validate(wanted), STAGE)


def test_of_many_who_make_one_tenant_at_once_one_makes_it(store: Store) -> None:
    got = at_once(store, lambda own, n: refused(lambda: tenants.create(patient(own), TENANT, f"Acme {n}")))
    made = [answer for answer in got if isinstance(answer, TenantItem)]
    assert len(made) == 1
    assert all(isinstance(answer, TenantExists) for answer in got if answer is not made[0])
    assert stored(store).attribute_values == made[0].attribute_values
    assert listed(store) == [TENANT]


def test_of_many_at_once_with_one_key_all_get_the_one_tenant(store: Store) -> None:
    got = at_once(store, lambda own, _: tenants.create(patient(own), TENANT, "Acme", keyed()))
    assert all(answer.attribute_values == stored(store).attribute_values for answer in got)
    assert listed(store) == [TENANT]
    with pytest.raises(IdempotencyKeyReused):
        tenants.create(directory_of(store), TENANT, "Acme", keyed("b"))


def test_many_tenants_made_at_once_are_all_there_and_all_listed(store: Store) -> None:
    names = [f"t{number:02d}" for number in range(CLIENTS)]
    at_once(store, lambda own, number: tenants.create(patient(own), names[number], "x"))
    assert listed(store) == names
    found, after = [], None
    while True:
        page = tenants.list_of(directory_of(store), 7, after)
        found += [tenant.pk.partition("#")[0] for tenant in page.tenants]
        after = page.after
        if after is None:
            break
    assert found == names


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("trouble", [lost, conflict, throttled])
def test_a_tenant_whose_making_met_trouble_is_made_once(
    directory: Directory, calls: Calls, trouble: Any, key: str | None
) -> None:
    calls.trouble(trouble, "TransactWriteItems")
    made = tenants.create(directory, TENANT, "Acme", keyed() if key else None)
    assert stored(directory.store).attribute_values == made.attribute_values
    assert listed(directory.store) == [TENANT]


def test_a_tenant_that_another_made_meanwhile_is_not_taken_for_ones_own(directory: Directory, calls: Calls) -> None:
    """Not even by a second attempt, whose first might have been made."""
    calls.trouble(conflict, "TransactWriteItems")
    calls.trouble(meanwhile(lambda: tenants.create(directory, TENANT, "Theirs")), "TransactWriteItems")
    with pytest.raises(TenantExists):
        tenants.create(directory, TENANT, "Ours")
    assert stored(directory.store).name == "Theirs"


def test_changes_of_different_settings_at_once_are_all_made(store: Store) -> None:
    tenants.create(directory_of(store), TENANT, "Acme")
    wanted: list[dict[str, Any]] = [
        {"branding_name": "Halls"},
        {"hold_seconds": 120},
        {"hold_seconds_max": 1_200},
        {"listing_hold_seconds": 300},
        {"venue_hold_seconds": 240},
        {"currencies": ["EUR"]},
        {"reserves_per_minute": 30},
        {"checkouts_per_minute": 10},
        {"captcha": CAPTCHA},
        {"patience": {}},
    ]
    at_once(store, lambda own, number: set_to(patient(own), **wanted[number % len(wanted)]))
    assert set(tenant_settings.own(stored(store).settings)) == {name for change in wanted for name in change}
    assert stored(store).version == 1 + len(wanted)


def test_changes_that_do_not_go_together_are_not_both_made(store: Store) -> None:
    """Each of them goes with what was there when it came, and whichever is second is held against the first."""
    tenants.create(directory_of(store), TENANT, "Acme")
    set_to(directory_of(store), hold_seconds=100, hold_seconds_max=1_000)
    wanted = [{"hold_seconds": 900}, {"hold_seconds_max": 500}]
    got = at_once(store, lambda own, number: refused(lambda: set_to(patient(own), **wanted[number % 2])))
    own = tenant_settings.own(stored(store).settings)
    assert own["hold_seconds"] <= own["hold_seconds_max"]
    assert stored(store).version == 3
    assert len([answer for answer in got if isinstance(answer, Malformed)]) == CLIENTS // 2


def test_a_suspension_among_changed_settings_is_not_lost(store: Store) -> None:
    tenants.create(directory_of(store), TENANT, "Acme")

    def work(own: Directory, number: int) -> None:
        if number == 0:
            tenants.change(patient(own), TENANT, TenantChanges(status=TenantStatus.SUSPENDED))
        elif number == 1:
            tenants.change(patient(own), TENANT, TenantChanges(name="Renamed"))
        else:
            set_to(patient(own), reserves_per_minute=number)

    at_once(store, work)
    found = stored(store)
    assert (found.status, found.name, found.version) == ("suspended", "Renamed", 1 + CLIENTS)
    assert tenant_settings.own(found.settings)["reserves_per_minute"] in range(2, CLIENTS)


@pytest.mark.parametrize("trouble", [lost, conflict, throttled])
def test_a_change_that_met_trouble_is_made_once(directory: Directory, calls: Calls, trouble: Any) -> None:
    tenants.create(directory, TENANT, "Acme")
    calls.trouble(trouble, "PutItem")
    assert tenants.change(directory, TENANT, TenantChanges(status=TenantStatus.SUSPENDED)).status == "suspended"
    calls.trouble(trouble, "PutItem")
    set_to(directory, hold_seconds=60)
    found = stored(directory.store)
    assert (found.status, found.settings, found.version) == ("suspended", '{"hold_seconds":60}', 3)


def test_who_got_no_answer_asks_again_and_finds_it_done(directory: Directory, calls: Calls) -> None:
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises(Unavailable):
        tenants.create(directory, TENANT, "Acme", keyed())
    assert tenants.create(directory, TENANT, "Acme", keyed()).name == "Acme"
    with pytest.raises(TenantExists):
        tenants.create(directory, TENANT, "Acme")
    calls.trouble(silence_after, "PutItem")
    with pytest.raises(Unavailable):
        set_to(directory, hold_seconds=60)
    assert set_to(directory, hold_seconds=60).version == 2


def test_a_change_that_never_gets_through_says_so(directory: Directory, calls: Calls) -> None:
    tenants.create(directory, TENANT, "Acme")
    calls.trouble(conflict, "PutItem", times=directory.retries.attempts)
    with pytest.raises(Busy):
        tenants.change(directory, TENANT, TenantChanges(name="Renamed"))
    assert stored(directory.store).name == "Acme"


@pytest.mark.parametrize("trouble", [lost, conflict, throttled])
def test_the_operators_own_tenant_is_made_once(directory: Directory, calls: Calls, trouble: Any) -> None:
    calls.trouble(trouble, "PutItem")
    tenants.establish_operators(directory)
    before = stored(directory.store, OPERATOR_TENANT).attribute_values
    tenants.establish_operators(directory)
    assert stored(directory.store, OPERATOR_TENANT).attribute_values == before
    assert listed(directory.store) == []
