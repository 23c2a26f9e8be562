"""Which of an order's tickets let somebody in already, as its item says."""

from holdfast.platform.items import OrderItem


def admitted_beyond(order: OrderItem, line: int, keep: int) -> bool:
    """Return whether anybody was let in with a ticket of the line that would be given back if it kept `keep`.

    Those with the highest numbers are given back first; whoever was let in has had theirs.
    """
    numbers = (name.split("-") for name in order.admissions())
    return any(int(of_line) == line and int(number) >= keep for of_line, number in numbers)
