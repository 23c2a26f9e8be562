"""Calls of tasks that were given up have their effect all the same, later: money and goods still end on one side.

A workflow waits for a task for so long and no longer; what it called may have been frozen, and goes on when nobody asks
any more, at whatever state the order is in by then.
"""

import pytest

from tests.checkout.scenarios import SCENARIOS
from tests.checkout.till import Till

STORIES = (
    "is_declined_and_takes_another_card",
    "never_pays",
    "pays_late_and_the_goods_are_there",
    "pays_what_cannot_be_captured",
    "gives_everything_back_for_a_fee",
    "cancels_while_the_payment_is_awaited",
)

DELAYS = [(name, task) for name in STORIES for task in dict.fromkeys(SCENARIOS[name].tasks)]


@pytest.mark.parametrize("redriven_first", [False, True])
@pytest.mark.parametrize(("name", "task"), DELAYS)
def test_a_call_that_comes_too_late_changes_nothing_for_good(
    till: Till, name: str, task: str, redriven_first: bool
) -> None:
    till.machines.delay(task)
    SCENARIOS[name].tell(till)
    till.machines.mend(task)
    if redriven_first:
        till.redrive()
        till.tell_again()
    till.machines.wake()
    for _ in range(2):
        till.redrive()
        till.tell_again()
        till.expire()
        till.sweep()
    till.let_everything_lapse()
    till.sweep()
    till.all_agrees()
    assert till.machines.letters == []
    assert all(record.due is None for record in till.shop.reservations())
