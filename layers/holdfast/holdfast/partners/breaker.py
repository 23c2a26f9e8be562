"""The circuit breaker of one product: what fails is left alone for a while, and for longer each time."""

OPENS_AT = 3
"""Failures in a row after which a product's breaker is open: one pair at a time tries whether it works again."""

FIRST_WAIT = 30_000
"""Milliseconds that a product is left alone at most after its first failure; twice as long after each further one."""

LONGEST_WAIT = 900_000
"""Milliseconds that a product is left alone at most, however often it failed."""

_DOUBLINGS = 5


def not_before(failures: int, now: int, chance: float) -> int:
    """Return the time (ms) before which a product is not asked for again, after so many failures in a row.

    `chance`, from 0 to 1, spreads the waits over the upper half, so that products that failed together do not all come
    back together.
    """
    longest = min(LONGEST_WAIT, FIRST_WAIT << min(failures - 1, _DOUBLINGS))
    return now + round(longest * (1 + chance) / 2)
