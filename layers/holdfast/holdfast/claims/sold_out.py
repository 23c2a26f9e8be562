"""What a warm function remembers of pools that were proved sold out, for under a second (PROTOCOL.md 6)."""

from dataclasses import dataclass, field

REMEMBERED_FOR = 800
"""Milliseconds: a refusal from memory must be true within the last second (DESIGN.md, invariant 2)."""

_MOST_POOLS = 1_000


@dataclass
class SoldOutMemory:
    """By pool partition: the sum that was left, and when the read that saw it started (ms since the epoch)."""

    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def remember(self, pool: str, left: int, read_started: int) -> None:
        """Remember that a read of `pool`, started at `read_started`, proved that only `left` units were left."""
        if len(self._seen) >= _MOST_POOLS:
            self._seen.clear()
        self._seen[pool] = (left, read_started)

    def refuses(self, pool: str, quantity: int, now: int) -> bool:
        """Return whether it is known of the last moments that `pool` has fewer than `quantity` units left."""
        left, read_started = self._seen.get(pool, (quantity, now))
        return quantity > left and 0 <= now - read_started < REMEMBERED_FOR
