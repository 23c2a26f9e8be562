"""Every task of both workflows dies once after its effect and before its answer: each story ends as without it."""

import pytest

from tests.checkout.scenarios import SCENARIOS, through_each_task
from tests.checkout.till import Till
from tests.workflow import Definition

KILLS = through_each_task()


@pytest.mark.parametrize(("name", "task"), KILLS)
def test_a_killed_task_makes_no_difference(till: Till, name: str, task: str) -> None:
    scenario = SCENARIOS[name]
    till.machines.kill(task)
    scenario.tell(till)
    assert till.ending() == scenario.ending
    till.all_agrees()
    assert till.machines.letters == []
    assert len(till.orders()) == 1


def test_no_task_is_left_out() -> None:
    tasks = {task for name in ("checkout", "refund") for task in Definition(name).tasks()}
    assert {task for _, task in KILLS} == {task for task in tasks if not task.startswith("Leave")}
