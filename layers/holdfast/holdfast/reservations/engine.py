"""What the engine works with: the store, the clock, chance, and what a warm function remembers."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.claims.pool import Pool
from holdfast.claims.sold_out import SoldOutMemory
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.retries import Retries


@dataclass(frozen=True)
class HoldLengths:
    """How long holds last, in seconds: unless asked otherwise, at most, and by how much one is extended."""

    standard: int = 600
    longest: int = 3_600
    extension: int = 300


@dataclass(frozen=True)
class Engine:
    """One warm function's engine; `choose(n)` picks a shard number below n."""

    store: Store
    lengths: HoldLengths = field(default_factory=HoldLengths)
    clock: Clock = field(default_factory=SystemClock)
    retries: Retries = field(default_factory=Retries)
    choose: Callable[[int], int] = random.randrange
    memory: SoldOutMemory = field(default_factory=SoldOutMemory)


@dataclass(frozen=True)
class LineRequest:
    """So many of one thing; `field` is what the client's body calls the line."""

    product_id: str
    quantity: int
    field: str
    kind: str = "product"


class Catalogue(Protocol):
    """What the engine asks of a catalogue room."""

    def pools(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Pool]:
        """Return the pools and terms of those products that exist, as seen seconds ago or read in one request.

        A stale answer does no harm: the engine is guarded against it, and asks for the `pool` as it is before it
        refuses anybody because of one.
        """
        ...

    def pool(self, tenant: str, product_id: str) -> Pool | None:
        """Return the pool and terms of a product as they are now, or None where there is no such product."""
        ...


def merged(lines: Sequence[LineRequest]) -> list[LineRequest]:
    """Return one line a product, quantities summed, under the name of its first line."""
    by_product: dict[tuple[str, str], LineRequest] = {}
    for line in lines:
        known = by_product.get((line.kind, line.product_id))
        quantity = line.quantity + (known.quantity if known else 0)
        by_product[line.kind, line.product_id] = LineRequest(
            line.product_id, quantity, known.field if known else line.field, line.kind
        )
    return list(by_product.values())
