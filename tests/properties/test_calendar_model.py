"""The engine's calendars against a plain list of intervals: the same answers, step by step, and the same live set."""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from holdfast.platform.dynamodb import Store, connect
from local.dynamodb_local import DynamoDBLocal
from tests.properties.calendar_machine import HALLS, CalendarMachine
from tests.properties.calendars import EngineCalendar, Intervals


@pytest.mark.slow
def test_the_engine_agrees_with_a_list_of_intervals(
    dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any order of anything, deterministic unless HOLDFAST_EXPLORE says how many other examples to try."""
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    connection = connect("calendars")._connection
    CalendarMachine.new_calendars = staticmethod(
        lambda: [Intervals(), EngineCalendar(Store(connection, new_table()), HALLS)]
    )
    explore = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        CalendarMachine,
        settings=settings(
            max_examples=explore or 40,
            stateful_step_count=30,
            derandomize=not explore,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink) if explore else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
