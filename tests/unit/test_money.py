"""Money: decimals at the edge, whole minor units inside, exact in both directions."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from holdfast.platform.fields import DecimalNumber
from holdfast.platform.money import MOST_MINOR, from_minor, share_of, to_minor

PLACES = {"JPY": 0, "KRW": 0, "USD": 2, "EUR": 2, "INR": 2, "KWD": 3, "BHD": 3}

currencies = st.sampled_from(sorted(PLACES))
amounts = st.integers(min_value=0, max_value=MOST_MINOR)


class Shown(BaseModel):
    amount: DecimalNumber


@given(amounts, currencies)
def test_every_minor_amount_comes_back_as_it_went(minor: int, currency: str) -> None:
    assert to_minor(from_minor(minor, currency), currency) == minor


@given(amounts, currencies)
def test_every_minor_amount_has_the_places_of_its_currency(minor: int, currency: str) -> None:
    text = str(from_minor(minor, currency))
    whole, _, places = text.partition(".")
    assert len(places) == PLACES[currency]
    assert int(whole + places) == minor


@given(amounts.map(lambda minor: minor * 1000 + 7), currencies)
def test_every_amount_a_thousand_times_the_highest_price_shows_as_its_exact_text(minor: int, currency: str) -> None:
    exact = from_minor(minor, currency)
    text = Shown(amount=exact).model_dump_json()
    assert json.loads(text, parse_float=Decimal)["amount"] == exact


@given(amounts, currencies)
def test_every_shown_amount_is_taken_as_what_it_was(minor: int, currency: str) -> None:
    shown = json.loads(Shown(amount=from_minor(minor, currency)).model_dump_json())["amount"]
    assert to_minor(Decimal(str(shown)), currency) == minor


@given(st.floats(min_value=0, max_value=10**9).map(lambda amount: round(amount, 2)))
def test_no_price_of_two_places_loses_a_cent_by_being_a_float_on_the_wire(amount: float) -> None:
    assert to_minor(Decimal(str(amount)), "USD") == int(f"{amount:.2f}".replace(".", ""))


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("-0.01", "USD"),
        ("0.001", "USD"),
        ("0.5", "JPY"),
        ("0.0001", "KWD"),
        ("NaN", "USD"),
        ("sNaN", "USD"),
        ("Infinity", "USD"),
        ("-Infinity", "USD"),
        ("1e13", "JPY"),
        ("1e11", "USD"),
        ("1e999999", "USD"),
        ("1e-999999", "USD"),
    ],
)
def test_an_amount_that_nobody_can_be_charged_is_no_amount(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"not an amount|finer than"):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize(("amount", "minor"), [("0", 0), ("-0", 0), ("1.50", 150), ("1.5000", 150), ("1E+2", 10_000)])
def test_an_amount_is_what_it_is_however_it_is_written(amount: str, minor: int) -> None:
    assert to_minor(Decimal(amount), "USD") == minor


def test_a_currency_that_is_not_known_has_hundredths() -> None:
    assert from_minor(150, "XXX") == Decimal("1.50")


@pytest.mark.parametrize(
    ("total", "percent", "share"), [(1_001, 50, 501), (1_000, 50, 500), (999, 0, 0), (999, 100, 999)]
)
def test_a_share_is_rounded_once(total: int, percent: int, share: int) -> None:
    assert share_of(total, percent) == share
