"""Expiry as tests ask for it, where nothing is in checkout."""

from collections.abc import Iterable, Sequence

from holdfast.platform.items import ReservationItem
from holdfast.platform.queues import ExpiryMessage, ExpiryQueue
from holdfast.platform.tables import Key
from holdfast.reservations import expiry
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import Overdue


def not_expected(record: ReservationItem) -> None:
    """Fail: nothing was to be in checkout when its time was over."""
    raise AssertionError(f"{record.key} is in checkout")


def handle(
    engine: Engine, queue: ExpiryQueue, messages: Sequence[ExpiryMessage], tell_overdue: Overdue = not_expected
) -> set[Key]:
    """Deliver expiry messages; return the keys of those that are to be delivered once more."""
    return expiry.handle(engine, queue, messages, tell_overdue)


def sweep(engine: Engine, keys: Iterable[Key], tell_overdue: Overdue = not_expected) -> int:
    """Expire what is past its time of the holds at `keys`; return how many were."""
    return expiry.sweep(engine, keys, tell_overdue)
