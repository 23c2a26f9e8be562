"""Checkouts whose deadline is past: their workflows are told, and decide what becomes of what they keep."""

from holdfast.checkout import outcomes
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import order_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.checking_out import go_back
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import Overdue


def telling(engine: Engine, workflows: Workflows) -> Overdue:
    """Return what tells the workflow that a reservation in checkout was not paid in time; telling it twice is once.

    One whose order is over all the same goes back to its hold, or is given back. What is returned raises OrderNotFound,
    ReservationNotFound, Busy and Unavailable.
    """

    def tell(record: ReservationItem) -> None:
        if record.checkout is None:
            return
        order = outcomes.settle(engine, workflows, order_of(record.key), record.checkout, "deadline")
        if not outcomes.is_under_way(order, record.checkout):
            go_back(engine, record.key, record.checkout)

    return tell
