"""What the partner sells, and how many places of it are left: by product, date and time, and by nothing else.

The same seed and the same moment always give the same answer, so that a test can work out what it should have seen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

Answer = list[dict[str, Any]]

CURRENCY = "SGD"
FIRST_GENERATED = 1_000
"""The id of the first generated product; the others count on from it."""

SHARE_NOT_RUNNING = {1: 0.50, 2: 0.44, 3: 0.38, 4: 0.30, 5: 0.22, 6: 0.15, 7: 0.18}
"""The share of the generated products that do not run on a weekday, 1 for Monday to 7 for Sunday."""


@dataclass(frozen=True)
class PaxType:
    """A pax type as the partner sells it; prices are decimals of the currency."""

    type: str
    name: str
    description: str
    most: int
    capacity: int
    final_price: int
    original_price: int
    is_primary: bool = False


ADULT = PaxType("ADULT_12~99", "Adult", "12-99 years", 20, 150, 341, 441, is_primary=True)
CHILD = PaxType("CHILD_5~15", "Child", "5-15 years", 20, 80, 137, 237)
INFANT = PaxType("INFANT_0~4", "Infant", "0-4 years", 5, 20, 0, 0)


@dataclass(frozen=True)
class PartnerProduct:
    """A product: the weekdays that it runs on (1 for Monday), its times as (start, end), its pax types."""

    id: str
    name: str
    weekdays: frozenset[int]
    times: tuple[tuple[str, str], ...]
    pax: tuple[PaxType, ...]
    variant: int
    capacity: int = 170


SEEDED = (
    PartnerProduct(
        "14",
        "Island walk",
        frozenset({1, 2, 3}),
        (("09:00", "10:30"), ("11:00", "12:30"), ("14:00", "15:30"), ("16:00", "17:30")),
        (ADULT, CHILD),
        121,
    ),
    PartnerProduct("15", "Midnight safari", frozenset({7}), (("00:00", "01:00"),), (ADULT, CHILD, INFANT), 122),
)

SAMPLE_DATE = "2025-03-23"
SAMPLE_DAY: Answer = [
    {
        "startDate": SAMPLE_DATE,
        "startTime": "00:00",
        "endTime": "01:00",
        "providerSlotId": "ab12",
        "remaining": 170,
        "currencyCode": CURRENCY,
        "variantId": 122,
        "paxAvailability": [
            {
                "type": "ADULT_12~99",
                "name": "Adult",
                "description": "12-99 years",
                "min": 1,
                "max": 20,
                "remaining": 150,
                "isPrimary": True,
                "price": {"discount": 0, "finalPrice": 341, "originalPrice": 441, "currencyCode": CURRENCY},
            },
            {
                "type": "CHILD_5~15",
                "name": "Child",
                "description": "5-15 years",
                "min": 1,
                "max": 20,
                "remaining": 80,
                "isPrimary": False,
                "price": {"discount": 0, "finalPrice": 137, "originalPrice": 237, "currencyCode": CURRENCY},
            },
            {
                "type": "INFANT_0~4",
                "name": "Infant",
                "description": "0-4 years",
                "min": 1,
                "max": 5,
                "remaining": 20,
                "isPrimary": False,
                "price": {"discount": 0, "finalPrice": 0, "originalPrice": 0, "currencyCode": CURRENCY},
            },
        ],
    }
]
"""The day of product 15 that WIRE.md shows, with the pax types that it names besides."""


def generated(count: int, seed: int = 0) -> Sequence[PartnerProduct]:
    """Return so many products, of which a set share does not run on each weekday, and each runs on one at least."""
    ids = [str(FIRST_GENERATED + number) for number in range(count)]
    resting: dict[str, set[int]] = {product_id: set() for product_id in ids}
    for weekday, share in SHARE_NOT_RUNNING.items():
        by_chance = sorted(ids, key=lambda product_id: _chance(seed, "rests", weekday, product_id))
        for product_id in by_chance[: round(count * share)]:
            resting[product_id].add(weekday)
    return [_generated(product_id, resting[product_id], seed) for product_id in ids]


def inventory(product: PartnerProduct, day: str, moment: int, seed: int = 0) -> Answer:
    """Return what the partner says of a product on a day (YYYY-MM-DD), the `moment`-th that its numbers changed.

    At moment 0 nothing is taken yet; later some places are, and once in a while a slot is gone for a moment.
    """
    if date.fromisoformat(day).isoweekday() not in product.weekdays:
        return []
    if (product.id, day, moment) == ("15", SAMPLE_DATE, 0):
        return SAMPLE_DAY
    return [
        _slot(product, day, start, end, moment, seed)
        for start, end in product.times
        if moment == 0 or len(product.times) == 1 or _chance(seed, "gone", product.id, day, start, moment) % 20 > 0
    ]


def _generated(product_id: str, resting: set[int], seed: int) -> PartnerProduct:
    weekdays = frozenset(range(1, 8)) - resting or frozenset({6})
    hours = range(9, 9 + 2 * (1 + _chance(seed, "times", product_id) % 4), 2)
    times = tuple((f"{hour:02}:00", f"{hour + 1:02}:00") for hour in hours)
    pax = (ADULT, CHILD, INFANT)[: 1 + _chance(seed, "pax", product_id) % 3]
    return PartnerProduct(product_id, f"Tour {product_id}", weekdays, times, pax, variant=int(product_id))


def _slot(product: PartnerProduct, day: str, start: str, end: str, moment: int, seed: int) -> dict[str, Any]:
    def left(capacity: int, of: str) -> int:
        return capacity if moment == 0 else capacity - _chance(seed, product.id, day, start, of, moment) % capacity

    return {
        "startDate": day,
        "startTime": start,
        "endTime": end,
        "providerSlotId": f"{_chance('slot', product.id, day, start):016x}"[:12],
        "remaining": left(product.capacity, "slot"),
        "currencyCode": CURRENCY,
        "variantId": product.variant,
        "paxAvailability": [_pax(each, left(each.capacity, each.type)) for each in product.pax],
    }


def _pax(pax: PaxType, remaining: int) -> Mapping[str, Any]:
    return {
        "type": pax.type,
        "name": pax.name,
        "description": pax.description,
        "min": 1,
        "max": pax.most,
        "remaining": remaining,
        "isPrimary": pax.is_primary,
        "price": {
            "discount": 0,
            "finalPrice": pax.final_price,
            "originalPrice": pax.original_price,
            "currencyCode": CURRENCY,
        },
    }


def _chance(*about: object) -> int:
    """Return a number that is anything, but the same for the same things."""
    return int.from_bytes(hashlib.blake2b(repr(about).encode(), digest_size=8).digest(), "big")
