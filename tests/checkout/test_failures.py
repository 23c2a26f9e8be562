"""Every task of both workflows fails for good: money and goods end on one side, or a message says that they do not.

Such a message is sent round again once the cause is mended, and then they do. A task may fail before it has any effect,
or each time after it, which looks the same from outside.
"""

import pytest

from tests.checkout.scenarios import SCENARIOS, through_each_task
from tests.checkout.till import Till

FAILURES = [(name, task, after) for name, task in through_each_task() for after in (False, True)]

REFUSED = {("is_refused_a_refund", "CapturePayment", True)}
"""What was captured and may not be sold any more, and the provider refuses to pay back: only people get further."""


@pytest.mark.parametrize(("name", "task", "after"), FAILURES)
def test_money_and_goods_end_on_the_same_side(till: Till, name: str, task: str, after: bool) -> None:
    till.machines.fail(task, after_effect=after)
    SCENARIOS[name].tell(till)
    till.shop.audit()
    if not till.machines.letters:
        till.all_agrees()
    till.machines.mend(task)
    till.redrive()
    till.tell_again()
    if (name, task, after) in REFUSED:
        assert (till.record.status, till.goods(), till.books()[0].refunded_minor) == ("confirmed", "sold", 0)
        assert len(till.machines.letters) == 1
        return
    till.all_agrees()
    assert till.machines.letters == []
    till.let_everything_lapse()
    till.all_agrees()
