"""What a reservation has of counters: units of pools' shards, and places of partners' slots, by allocation name.

Its name says of which kind an allocation is (`platform.tables`); what slots need is loaded once there is one.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto

from holdfast.claims import pool
from holdfast.claims.changes import CounterChange
from holdfast.platform.tables import Key, Keys, pax_type_allocated


class _Move(Enum):
    """From where to where what is allocated goes."""

    RELEASE = auto()
    TAKE_BACK = auto()
    CONFIRM = auto()
    BUY = auto()


_OF_SHARDS: Mapping[_Move, Callable[[Key, int], CounterChange]] = {
    _Move.RELEASE: pool.release,
    _Move.TAKE_BACK: pool.take_back,
    _Move.CONFIRM: pool.confirm,
    _Move.BUY: pool.buy,
}


def released(keys: Keys, allocation: Mapping[str, int]) -> list[CounterChange]:
    """Return the changes that give a whole allocation back."""
    return _moved(_Move.RELEASE, keys, allocation)


def taken_back(keys: Keys, allocation: Mapping[str, int]) -> list[CounterChange]:
    """Return the changes that put a whole sold allocation on sale again."""
    return _moved(_Move.TAKE_BACK, keys, allocation)


def confirmed(keys: Keys, allocation: Mapping[str, int]) -> list[CounterChange]:
    """Return the changes that sell a whole allocation."""
    return _moved(_Move.CONFIRM, keys, allocation)


def bought(keys: Keys, allocation: Mapping[str, int]) -> list[CounterChange]:
    """Return the changes that sell a whole allocation of what is free."""
    return _moved(_Move.BUY, keys, allocation)


def _moved(move: _Move, keys: Keys, allocation: Mapping[str, int]) -> list[CounterChange]:
    return [_change(move, keys.allocated(name), pax_type_allocated(name), units) for name, units in allocation.items()]


def _change(move: _Move, key: Key, pax_type: str | None, units: int) -> CounterChange:
    if pax_type is None:
        return _OF_SHARDS[move](key, units)
    from holdfast.claims import slot

    of_slots = {
        _Move.RELEASE: slot.release,
        _Move.TAKE_BACK: slot.take_back,
        _Move.CONFIRM: slot.confirm,
        _Move.BUY: slot.buy,
    }
    return of_slots[move](key, pax_type, units)
