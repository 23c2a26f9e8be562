"""The breaker's rule: waits that grow, are spread by chance, and end."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.partners.breaker import FIRST_WAIT, LONGEST_WAIT, not_before

NOW = 1_700_000_000_000


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_wait_is_spread_over_the_upper_half_and_never_longer_than_a_quarter_of_an_hour(
    failures: int, chance: float
) -> None:
    """With any chance it lies between half and all of the longest wait after so many failures."""
    longest = not_before(failures, NOW, 1) - NOW
    wait = not_before(failures, NOW, chance) - NOW
    assert longest // 2 <= wait <= longest <= LONGEST_WAIT


def test_waits_double_up_to_the_longest() -> None:
    """The first is half a minute at most, the sixth and all further ones a quarter of an hour."""
    waits = [not_before(failures, NOW, 1) - NOW for failures in range(1, 9)]
    assert waits == [FIRST_WAIT, 60_000, 120_000, 240_000, 480_000, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
