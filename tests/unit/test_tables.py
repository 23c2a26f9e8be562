"""Keys and ids: every key needs a tenant, every public id leads back to its item, and to nothing else."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform import tables
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import (
    DUE_BUCKETS,
    Key,
    Keys,
    allocation_name,
    due_bucket,
    is_hold,
    key_of,
    limits_beside,
    product_of,
    public_id,
    tenant_of,
    user_hash,
)

KEYS = Keys("demo")


@pytest.mark.parametrize("tenant", ["", "Demo", "a#b", "-a", "a" * 41, "a b", "a\n", "ä"])
def test_no_key_without_a_tenant(tenant: str) -> None:
    """A tenant id that could reach into another's keys is none."""
    with pytest.raises(ValueError, match="not a tenant id"):
        Keys(tenant)


NOT_TO_BE_BENT = ("", "-", "#", "other#POOL", "#other", "other#U#abcdefghijklmnop", "\n", "ä", "o" * 300)
MAKERS = {name: made for name, made in inspect.getmembers(Keys, inspect.isfunction) if not name.startswith("_")}
OTHERS_ID = "-abcdefghijklmnop-" + "0" * 32
READERS_OF_IDS = {
    "became": ("h-abcdefghijklmnop-1f-Laptop", "checkout"),
    "by_order_id": ("o" + OTHERS_ID,),
    "by_public_id": ("r" + OTHERS_ID,),
    "by_view_id": ("b", "b" + OTHERS_ID),
}
"""What makes a key of an id that a client sent, and a text that leads it to one."""


def partitions(made: Any) -> list[str]:
    """Return the partitions of what a method of Keys returned: a key, a partition, either with more, or nothing."""
    if isinstance(made, Key):
        return [made.pk]
    if isinstance(made, str):
        return [made]
    return [] if made is None else [found.pk for found in made if isinstance(found, Key)]


def sent_to(method: Callable[..., Any], text: str, number: int = 7) -> list[Any]:
    """Return arguments for a method of Keys, by what it takes; what has to be a tenant's id is one."""
    values = {str: text, int: number, Key: Key("third#SLOT#x#z", "B#000000000000007#y")}
    kinds = {name: kind for name, kind in get_type_hints(method).items() if name != "return"}
    return ["third" if name == "tenant" else values[kind] for name, kind in kinds.items()]


@pytest.mark.parametrize("name", MAKERS)
def test_every_key_begins_with_its_tenant_whatever_it_is_made_of(name: str) -> None:
    for tenant in ("demo", "other", "operator", "a", "a-b", "0"):
        method = getattr(Keys(tenant), name)
        bent = [pk for text in NOT_TO_BE_BENT for pk in partitions(method(*sent_to(MAKERS[name], text)))]
        led = partitions(method(*READERS_OF_IDS[name])) if name in READERS_OF_IDS else []
        assert led or len(bent) == len(NOT_TO_BE_BENT)
        assert all(pk.startswith(f"{tenant}#") and tenant_of(Key(pk, "-")) == tenant for pk in bent + led)


@given(st.data())
def test_no_two_tenants_share_a_partition(data: st.DataObject) -> None:
    """Not even where one's id begins with the other's, and both are asked for the same thing."""
    one, other = data.draw(
        st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True), min_size=2, max_size=2, unique=True)
    )
    name = data.draw(st.sampled_from(sorted(MAKERS)))
    sent = sent_to(MAKERS[name], data.draw(st.text()), data.draw(st.integers(0, 10**12)))
    ours, theirs = (partitions(getattr(Keys(tenant), name)(*sent)) for tenant in (one, other))
    assert not set(ours) & set(theirs)


def test_keys_are_made_of_a_tenant_or_of_a_key_and_of_nothing_else() -> None:
    """What is beside the class makes a key of another one, and stays in its partition."""
    made = {
        name: function
        for name, function in inspect.getmembers(tables, inspect.isfunction)
        if function.__module__ == tables.__name__ and get_type_hints(function).get("return") in (Key, Key | None)
    }
    assert set(made) == {
        "charge_of",
        "key_of",
        "limits_beside",
        "order_beside",
        "order_of",
        "refund_of",
        "reservation_of",
    }
    for name in set(made) - {"key_of"}:
        takes_name = len(inspect.signature(made[name]).parameters) > 1
        found = made[name](Key("demo#U#x", "O#1#01"), *(["01"] if takes_name else []))
        assert found.pk == "demo#U#x"
    with pytest.raises(TypeError):
        Keys()  # type: ignore[call-arg]


def test_ids_lead_back_to_their_items() -> None:
    """The public id of a reservation, and of each life of a deal hold, names its key."""
    held = KEYS.reservation("ann", "reservations", "key")
    assert KEYS.by_public_id(public_id(held, None)) == (held, None)
    deal = KEYS.deal_hold("ann", "Laptop_1")
    assert KEYS.by_public_id(public_id(deal, 1_700_000_000_000)) == (deal, 1_700_000_000_000)
    assert public_id(deal, 5) != public_id(deal, 6)
    assert public_id(KEYS.order("ann", "f" * 32), None).startswith("o-")


def test_another_tenants_id_leads_nowhere_of_its_own() -> None:
    """The same id read by another tenant is a key in that tenant's partition, where nothing lies."""
    held = KEYS.reservation("ann", "reservations", "key")
    found = Keys("other").by_public_id(public_id(held, None))
    assert found is not None
    assert tenant_of(found[0]) == "other"
    assert found[0] != Keys("other").reservation("ann", "reservations", "key")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r-",
        "r-abc",
        "o-abcdefghijklmnop-" + "0" * 32,
        "r-abcdefghijklmnop-" + "0" * 31,
        "r-ABCDEFGHIJKLMNOP-" + "0" * 32,
        "r-abcdefghijklmnop-" + "0" * 32 + "\n",
        "h-abcdefghijklmnop--1",
        "h-abcdefghijklmnop-1-a#b",
        "h-abcdefghijklmnop-" + "1" * 13 + "-1",
    ],
)
def test_other_texts_are_no_ids(text: str) -> None:
    """Malformed ids are told from unknown ones without a read."""
    assert KEYS.by_public_id(text) is None


def test_keys_are_told_apart() -> None:
    """No two things of a tenant share a key, whatever their names are."""
    keys = [
        KEYS.pool_shard("product.1", 0),
        KEYS.pool_shard("product.1", 10),
        KEYS.pool_shard("product.11", 0),
        KEYS.product("1"),
        KEYS.product("11"),
        KEYS.counter("products"),
        KEYS.service_key("1"),
        KEYS.limits("ann"),
        KEYS.limits("bob"),
        KEYS.idempotency("ann", "route", "key"),
        KEYS.reservation("ann", "route", "key"),
        KEYS.reservation("ann", "other", "key"),
        KEYS.reservation("ann", "route", "other"),
        KEYS.deal_hold("ann", "1"),
        KEYS.order("ann", "1"),
    ]
    assert len(set(keys)) == len(keys)
    assert all(tenant_of(key) == "demo" for key in keys)


def test_users_hashes_depend_on_the_tenant_and_say_nothing() -> None:
    """Sixteen letters and digits; the same user of another tenant has another."""
    assert user_hash("demo", "ann") == user_hash("demo", "ann") != user_hash("other", "ann")
    assert len(user_hash("demo", "ann")) == 16
    assert len({user_hash("demo", f"user{number}") for number in range(1_000)}) == 1_000


def test_an_allocation_names_its_shard_without_the_tenant() -> None:
    """What a reservation keeps leads back to the shard."""
    shard = KEYS.pool_shard("product.1", 7)
    assert allocation_name(shard) == "product.1#07"
    assert KEYS.allocated("product.1#07") == shard


def test_what_lies_beside_what() -> None:
    """Limits, holds and products are known by their keys."""
    assert limits_beside(KEYS.deal_hold("ann", "1")) == KEYS.limits("ann")
    assert is_hold(KEYS.deal_hold("ann", "1"))
    assert is_hold(KEYS.reservation("ann", "r", "k"))
    assert not is_hold(KEYS.limits("ann"))
    assert product_of(KEYS.product("42")) == ("demo", "42")
    assert product_of(KEYS.limits("ann")) is None
    assert key_of({"pk": {"S": "a"}, "sk": {"S": "b"}}) == Key("a", "b")
    assert sorted(["9", "10", "2"], key=KEYS.product) == ["2", "9", "10"]


def test_what_falls_due_is_spread_over_all_buckets() -> None:
    """No bucket of the index is hot."""
    buckets = [due_bucket(KEYS.reservation(f"user{number}", "r", "k")) for number in range(1_000)]
    assert set(buckets) == set(range(DUE_BUCKETS))
    assert max(buckets.count(bucket) for bucket in range(DUE_BUCKETS)) < 110


def test_every_attribute_of_an_item_survives_the_store() -> None:
    """What is serialized is read back the same, the allocation's numbers as whole ones."""
    item = ReservationItem(
        *KEYS.deal_hold("ann", "1"),
        user_id="ann",
        status="held",
        v=3,
        lines=[],
        allocation={"product.1#00": 2},
        created_at=1,
        expires_at=2,
        first_expires_at=2,
    )
    again = ReservationItem.from_raw_data(item.serialize())
    assert again.allocated() == {"product.1#00": 2}
    assert (again.key, again.v, again.due, again.ttl) == (item.key, 3, None, None)
