"""The limit per user: how many of one product a user has taken, held and bought together, on the user's own item."""

from holdfast.claims.changes import Change
from holdfast.platform.tables import Key


def counter(product_id: str) -> str:
    """Return the attribute that counts what the user took of a product."""
    return f"taken#{product_id}"


def take(key: Key, product_id: str, quantity: int, most: int) -> Change:
    """Return the change that counts `quantity` more, if the user then has no more than `most`."""
    name = counter(product_id)
    return Change(key, {name: quantity}, ceilings={name: most})


def give_back(key: Key, product_id: str, quantity: int) -> Change:
    """Return the change that counts `quantity` less; it needs nothing, so that no release can fail by it."""
    return Change(key, {counter(product_id): -quantity})
