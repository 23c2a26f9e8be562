"""Each story ends as it has to, for the order, its goods, its charges and the provider's books alike."""

import pytest

from tests.checkout.scenarios import SCENARIOS
from tests.checkout.till import Till


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_story_ends_as_it_has_to(till: Till, name: str) -> None:
    scenario = SCENARIOS[name]
    scenario.tell(till)
    assert till.ending() == scenario.ending
    till.all_agrees()
    assert till.machines.came_through() == set(scenario.tasks)
    assert till.machines.letters == []
    assert len(till.orders()) == 1
