"""What clients see of orders: the number that people call them by, and how long they may wait for one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout.looking import until
from holdfast.checkout.order_wire import LONGEST_WAIT, number_of, seconds_of
from holdfast.platform.order_items import OrderItem
from holdfast.platform.retries import Retries
from holdfast.reservations.engine import Engine

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@given(st.integers(0, 2**128 - 1))
def test_a_number_is_the_first_60_bits_of_its_order_in_crockfords_letters(bits: int) -> None:
    number = number_of(OrderItem("demo#U#user", f"O#{bits:032x}"))
    assert [len(group) for group in number.split("-")] == [4, 4, 4]
    value = 0
    for letter in number.replace("-", ""):
        value = 32 * value + _CROCKFORD.index(letter)
    assert value == bits >> 68


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=0", 0),
        ("wait=7", 7),
        ("wait = 7", 7),
        ('wait="7"', 7),
        ("respond-async, wait=7", 7),
        ("respond-async;wait=7", 7),
        ("wait=60", LONGEST_WAIT),
        ("wait=-5", 0),
        ("await=5", 0),
        ("waiting=5", 0),
        ("wait=soon", 0),
    ],
)
def test_a_wait_is_what_the_preference_says_and_never_long(prefer: str | None, seconds: int) -> None:
    assert seconds_of(prefer) == seconds


@pytest.mark.parametrize(("seconds", "slept"), [(0, []), (0.1, [0.05, 0.05]), (1, [0.05, 0.1, 0.2, 0.4, 0.25])])
def test_looking_goes_on_until_time_is_up_ever_more_rarely(seconds: float, slept: list[float]) -> None:
    pauses: list[float] = []
    nothing: Any = None
    engine = Engine(nothing, retries=Retries(sleep=pauses.append))
    looks = iter(range(100))
    last = until(engine, seconds, lambda: next(looks), lambda _: False)
    assert [round(pause, 2) for pause in pauses] == slept
    assert last == len(slept)
    assert until(engine, 9, lambda: next(looks), lambda _: True) == last + 1
    assert len(pauses) == len(slept)
