"""The caller: passed on as text, refused as text, and what its roles let it do."""

import pytest

from holdfast.platform.caller import Caller, from_context, refusal_context, to_context
from holdfast.platform.errors import Forbidden, HoldfastError, Malformed, Unauthorized, Unavailable

SERVICE = Caller("acme", "key-1", frozenset({"service"}))
STAFF = Caller("acme", "stan", frozenset({"staff"}))
ADMIN = Caller("acme", "ada", frozenset({"admin"}))
CUSTOMER = Caller("acme", "alice", frozenset())


@pytest.mark.parametrize("caller", [SERVICE, STAFF, ADMIN, CUSTOMER, Caller("a", "b", frozenset({"staff", "service"}))])
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


@pytest.mark.parametrize("error", [Unauthorized(), Unavailable()])
def test_a_refusal_passes_through_as_what_it_was(error: HoldfastError) -> None:
    with pytest.raises(type(error)):
        from_context(dict(refusal_context(error)))


def test_a_service_key_acts_for_whomever_it_names() -> None:
    assert SERVICE.acting_for("alice") == "alice"
    with pytest.raises(Malformed) as refused:
        SERVICE.acting_for(None)
    assert [fault.field for fault in refused.value.faults] == ["user_id"]


@pytest.mark.parametrize("caller", [CUSTOMER, STAFF, ADMIN])
def test_everybody_else_acts_for_itself_alone(caller: Caller) -> None:
    assert caller.acting_for(None) == caller.acting_for(caller.name) == caller.name
    with pytest.raises(Forbidden):
        caller.acting_for("somebody else")
    with pytest.raises(Forbidden):
        caller.acting_for("")


def test_a_customer_sees_its_own_and_the_house_sees_everything() -> None:
    assert CUSTOMER.sees() == "alice"
    assert [caller.sees() for caller in (SERVICE, STAFF, ADMIN)] == [None, None, None]


def test_a_role_is_had_or_forbidden() -> None:
    ADMIN.needs("admin")
    for caller in (SERVICE, STAFF, CUSTOMER):
        with pytest.raises(Forbidden):
            caller.needs("admin")


def test_one_of_several_roles_is_enough() -> None:
    for caller in (STAFF, ADMIN):
        caller.needs("staff", "admin")
    for caller in (SERVICE, CUSTOMER):
        with pytest.raises(Forbidden):
            caller.needs("staff", "admin")
