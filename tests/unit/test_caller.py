"""The caller: passed on as text, refused as text, and what its roles let it do."""

import pytest

from holdfast.platform.access import Access
from holdfast.platform.caller import Caller, from_context, refusal_context, to_context
from holdfast.platform.errors import (
    Forbidden,
    HoldfastError,
    Malformed,
    TenantSuspended,
    Unauthorized,
    Unavailable,
)

SERVICE = Caller("acme", "key-1", frozenset({"service"}))
STAFF = Caller("acme", "stan", frozenset({"staff"}))
ADMIN = Caller("acme", "ada", frozenset({"admin"}))
CUSTOMER = Caller("acme", "alice", frozenset({"customer"}))
KEY = Caller("acme", "key-2", frozenset({"service", "admin"}), frozenset({"orders:read"}), "key:ab12", '{"a": 1}')


@pytest.mark.parametrize("caller", [SERVICE, STAFF, ADMIN, CUSTOMER, KEY])
def test_a_caller_passes_through_the_authorizers_context_as_it_is(caller: Caller) -> None:
    context = to_context(caller)
    assert all(isinstance(value, str) for value in context.values())
    assert from_context(context) == caller
    assert from_context({**context, "principalId": "x", "integrationLatency": "7"}) == caller


@pytest.mark.parametrize(
    "context", [{}, {"tenant": ""}, {"refusal": ""}, {"refusal": "unauthorized", "tenant": "acme"}]
)
def test_no_context_or_a_refusal_is_no_caller(context: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        from_context(context)


@pytest.mark.parametrize("error", [Unauthorized(), Unavailable(), TenantSuspended()])
def test_a_refusal_passes_through_as_what_it_was(error: HoldfastError) -> None:
    with pytest.raises(type(error)):
        from_context(dict(refusal_context(error)))


def test_a_refusal_of_no_known_kind_is_no_credential() -> None:
    with pytest.raises(Unauthorized):
        from_context({"refusal": "internal_error", "tenant": "acme", "name": "ada", "roles": "admin", "scopes": "*"})


def test_a_context_without_scopes_lets_nothing() -> None:
    caller = from_context({"tenant": "acme", "name": "ada", "roles": "admin"})
    assert not let(caller, "GET", Access(frozenset({"admin"}), "settings"))


def test_a_service_key_acts_for_whomever_it_names() -> None:
    assert SERVICE.acting_for("alice") == "alice"
    with pytest.raises(Malformed) as refused:
        SERVICE.acting_for(None)
    assert [fault.field for fault in refused.value.faults] == ["user_id"]


def test_the_house_acts_for_itself_or_whomever_it_names() -> None:
    for caller in (STAFF, ADMIN):
        assert caller.acting_for(None) == caller.name
        assert caller.acting_for("alice") == "alice"


def test_a_customer_acts_for_itself_alone() -> None:
    assert CUSTOMER.acting_for(None) == CUSTOMER.acting_for("alice") == "alice"
    for other in ("somebody else", ""):
        with pytest.raises(Forbidden):
            CUSTOMER.acting_for(other)


def test_a_customer_sees_its_own_and_the_house_sees_everything() -> None:
    assert CUSTOMER.sees() == "alice"
    assert [caller.sees() for caller in (SERVICE, STAFF, ADMIN)] == [None, None, None]


def test_only_a_service_key_acts_in_anybodys_name() -> None:
    assert SERVICE.owns() is None
    assert [caller.owns() for caller in (STAFF, ADMIN, CUSTOMER)] == ["stan", "ada", "alice"]


def let(caller: Caller, method: str, access: Access) -> bool:
    try:
        caller.must_be_let(method, access)
    except Forbidden:
        return False
    return True


def test_a_route_lets_in_whoever_has_one_of_its_roles() -> None:
    office = Access(frozenset({"staff", "admin"}), "bookings")
    assert [let(caller, "POST", office) for caller in (SERVICE, STAFF, ADMIN, CUSTOMER)] == [False, True, True, False]
    assert not any(let(caller, "GET", Access(frozenset())) for caller in (SERVICE, STAFF, ADMIN, CUSTOMER))


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [
        ({"*"}, True, True),
        ({"orders:read"}, True, False),
        ({"orders:write"}, False, True),
        ({"orders:read", "orders:write"}, True, True),
        ({"reservations:read", "reservations:write"}, False, False),
        ({"*", "reservations:read"}, False, False),
        (set(), False, False),
    ],
)
def test_a_key_is_let_do_what_its_scopes_say(scopes: set[str], reads: bool, writes: bool) -> None:
    key = Caller("acme", "key-1", frozenset({"service"}), frozenset(scopes))
    route = Access(frozenset({"service"}), "orders")
    assert let(key, "GET", route) is reads
    assert [let(key, method, route) for method in ("POST", "PUT", "PATCH", "DELETE")] == [writes] * 4


def test_scopes_give_no_role() -> None:
    key = Caller("acme", "key-1", frozenset({"service"}), frozenset({"settings:write"}))
    assert not let(key, "PATCH", Access(frozenset({"admin"}), "settings"))


def test_what_the_tenant_set_comes_with_the_caller() -> None:
    assert SERVICE.policy.reserves_per_minute is None
    assert Caller("acme", "k", frozenset(), settings='{"reserves_per_minute": 3}').policy.reserves_per_minute == 3


def test_what_is_about_an_account_is_for_those_who_signed_in_whatever_a_key_may_do() -> None:
    account = Access(frozenset({"customer", "admin"}), for_people=True)
    person = Caller("acme", "alice", frozenset({"customer"}), credential="session:alice:1700000000")
    key = Caller("acme", "key-1", frozenset({"admin"}), credential="key:ab12")
    assert [let(caller, "POST", account) for caller in (person, key, ADMIN)] == [True, False, False]
