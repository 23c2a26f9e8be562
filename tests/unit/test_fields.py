"""The kinds of field: what an id, a quantity, an amount and a currency may be."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from holdfast.platform.fields import Currency, Money, ProductId, Quantity, UserId
from holdfast.platform.tables import Keys, public_id

product_id = TypeAdapter[str](ProductId)
user_id = TypeAdapter[str](UserId)
quantity = TypeAdapter[int](Quantity)
money = TypeAdapter[Decimal](Money)
currency = TypeAdapter[str](Currency)


def refused(kind: TypeAdapter[Any], value: Any) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return True
    return False


@given(st.integers(min_value=0, max_value=10**15))
def test_a_number_is_the_same_id_as_its_text(number: int) -> None:
    assert product_id.validate_python(number) == product_id.validate_python(str(number)) == str(number)
    assert user_id.validate_python(number) == str(number)


@given(st.text(max_size=60))
def test_no_accepted_id_has_a_character_that_a_path_or_a_key_minds(text: str) -> None:
    for kind in (product_id, user_id):
        if not refused(kind, text):
            assert text.isascii()
            assert text.isprintable()
            assert not set(text) & set("/#%?&<>\"'\\ ")


@given(st.from_regex(r"[A-Za-z0-9_]{1,40}", fullmatch=True), st.integers(min_value=0, max_value=2**44))
def test_every_product_id_comes_back_out_of_the_id_of_a_hold_of_it(text: str, life: int) -> None:
    assert product_id.validate_python(text) == text
    key = Keys("acme").deal_hold("alice", text)
    assert Keys("acme").by_public_id(public_id(key, life)) == (key, life)


@pytest.mark.parametrize(
    "value", [True, False, None, -1, 1.5, 10**15 + 1, 10**400, [], {}, b"1", "", "\ud800", float("nan")]
)
def test_what_is_no_id_is_refused(value: Any) -> None:
    assert refused(product_id, value)
    assert refused(user_id, value)


@pytest.mark.parametrize("value", ["alice", "a@b.example", "auth0|123", "urn:x", "a=b", "a-b", "A.b_c+d", "0"])
def test_what_login_providers_call_users_is_good(value: str) -> None:
    assert user_id.validate_python(value) == value


@pytest.mark.parametrize("value", [True, False, None, "1", 0, -1, 10_001, 1.5, 10**400, float("inf")])
def test_a_quantity_is_a_whole_number_from_1_to_10_000(value: Any) -> None:
    assert refused(quantity, value)
    assert [quantity.validate_python(good) for good in (1, 10_000)] == [1, 10_000]


@given(st.decimals(min_value=0, max_value=10**11, places=2))
def test_an_amount_is_the_same_as_a_text_and_as_a_number(amount: Decimal) -> None:
    assert money.validate_python(str(amount)) == money.validate_python(float(amount)) == amount


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "1 ",
        "+1",
        "1.",
        ".5",
        "1_000",
        "1,5",
        "1e2",
        "0x1",
        "٥",
        "NaN",
        "Infinity",
        "-1",
        -1,
        -0.01,
        True,
        None,
        [],
    ],
)
def test_what_is_no_plain_amount_is_refused(value: Any) -> None:
    assert refused(money, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**13, "9" * 13, "9" * 100_000, 10**400])
def test_an_amount_that_is_none_or_too_high_is_refused(value: Any) -> None:
    assert refused(money, value)


@pytest.mark.parametrize("value", ["usd", "US", "USDX", "USD\n", " USD", "ÜSD", "", None, 840])
def test_a_currency_is_three_capitals(value: Any) -> None:
    assert refused(currency, value)
    assert currency.validate_python("USD") == "USD"
