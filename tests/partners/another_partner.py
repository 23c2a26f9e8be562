"""A kind of partner of its own: what one more module has to have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.partners.port import Inventory, Partner


@dataclass(frozen=True)
class AnotherPartner:
    """A partner that never has anything."""

    base_url: str

    def inventory(self, product_id: str, date: str, send_within: float) -> Inventory:
        """Return nothing, with a digest that says who was asked for what."""
        return Inventory([], [], f"{self.base_url} {product_id}")


def made(base_url: str, secret: Callable[[], Mapping[str, Any]]) -> Partner:
    """Return the partner at an address."""
    return AnotherPartner(base_url)
