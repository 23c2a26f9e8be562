"""Terms: what a thing is sold on. They stand on the claimed item, where they guard a reserve (PROTOCOL.md 1)."""

from typing import NamedTuple

from holdfast.platform.items import ItemOnSale


class Terms(NamedTuple):
    """What a thing is sold on. Every change of the others raises `revision`, which is what a reserve is guarded by."""

    revision: int
    price_minor: int
    currency: str
    on_sale: bool
    max_per_user: int | None


def terms_of(item: ItemOnSale) -> Terms:
    """Return the terms that an item on sale carries."""
    return Terms(item.revision, item.price_minor, item.currency, item.on_sale, item.max_per_user)
