"""The limit per user: how many of one thing a user has taken, held and bought together, on the user's own item."""

from holdfast.claims.changes import CounterChange
from holdfast.platform.tables import Key


def counter(name_of_thing: str) -> str:
    """Return the attribute that counts what the user took of a thing, by `LineMap.limited_as`."""
    return f"taken#{name_of_thing}"


def take(key: Key, name_of_thing: str, quantity: int, most: int) -> CounterChange:
    """Return the change that counts `quantity` more, if the user then has no more than `most`."""
    name = counter(name_of_thing)
    return CounterChange(key, {name: quantity}, ceilings={name: most})


def count(key: Key, name_of_thing: str, quantity: int) -> CounterChange:
    """Return the change that counts `quantity` more, however many that makes."""
    return CounterChange(key, {counter(name_of_thing): quantity})


def give_back(key: Key, name_of_thing: str, quantity: int) -> CounterChange:
    """Return the change that counts `quantity` less; it needs nothing, so that no release can fail by it."""
    return CounterChange(key, {counter(name_of_thing): -quantity})
