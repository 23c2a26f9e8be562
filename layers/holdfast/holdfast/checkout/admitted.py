"""Whom an order admits, and which of its tickets let somebody in already, as its item says."""

from holdfast.checkout.states import BOUGHT
from holdfast.platform.order_items import OrderItem

ADMITTING = frozenset({"ticket", "seat", "listing"})
"""The kinds of line that admit people, one each."""


def admits(order: OrderItem) -> bool:
    """Return whether an order is paid for and has lines that admit people, given back or not."""
    return order.status in BOUGHT and not ADMITTING.isdisjoint(line.kind for line in order.lines)


def admitted_beyond(order: OrderItem, line: int, keep: int) -> bool:
    """Return whether anybody was let in with a ticket of the line that would be given back if it kept `keep`.

    Those with the highest numbers are given back first; whoever was let in has had theirs.
    """
    numbers = (name.split("-") for name in order.admissions())
    return any(int(of_line) == line and int(number) >= keep for of_line, number in numbers)
