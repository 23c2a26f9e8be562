"""The engine's calendars against PostgreSQL's EXCLUDE constraint on tstzrange, and both against a list of intervals.

Run by `make test-postgres`, not by `make test`: the name keeps it from being collected with the others.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from holdfast.claims.span import Span
from holdfast.platform.dynamodb import Store, connect
from local.dynamodb_local import DynamoDBLocal
from tests.postgres.server import Session, server, unavailable
from tests.properties.calendar_machine import HALLS, CalendarMachine
from tests.properties.calendars import EXTENDED_BY, HELD_FOR, EngineCalendar, Intervals, Live


class PostgresCalendar:
    """A table of which PostgreSQL itself lets no two rows overlap; see calendar.sql."""

    def __init__(self, session: Session) -> None:
        self._session = session
        session.run("TRUNCATE spans")

    def take(self, name: str, hall: str, span: Span, now: int) -> str:
        """Insert a booking."""
        return self._put(name, hall, span, f"0, 'held', {now + HELD_FOR}, {now}")

    def keep(self, name: str, now: int) -> str:
        """Take its time limit off a booking."""
        return self._ask(f"keep('{name}', {now})")

    def let_go(self, name: str, now: int) -> str:
        """Let a booking that is held stand no more."""
        return self._ask(f"leave('{name}', '{{held,gone}}')")

    def take_back(self, name: str, now: int) -> str:
        """Let a booking that is sold stand no more."""
        return self._ask(f"leave('{name}', '{{sold}}')")

    def prolong(self, name: str, now: int) -> str:
        """Hold longer."""
        return self._ask(f"prolong('{name}', {EXTENDED_BY}, {now})")

    def expire(self, name: str, now: int) -> None:
        """Let a booking past its time stand no more."""
        self._ask(f"expire('{name}', {now})")

    def close(self, name: str, hall: str, span: Span, now: int) -> str:
        """Insert a blackout."""
        return self._put(name, hall, span, f"1, 'closed', NULL, {now}")

    def open(self, name: str) -> None:
        """Let a blackout stand no more."""
        self._ask(f"leave('{name}', '{{closed}}')")

    def live(self, now: int) -> Live:
        """Return the rows that stand and are within their time."""
        found = (line.split("|") for line in self._session.run(f"SELECT (pg_temp.live({now})).*"))
        return {(name, hall, int(start), int(end)) for name, hall, start, end in found}

    def _put(self, name: str, hall: str, span: Span, more: str) -> str:
        return self._ask(f"put('{name}', {hall}, {span.start}, {span.end}, {more})")

    def _ask(self, function: str) -> str:
        (answer,) = self._session.run(f"SELECT pg_temp.{function}")
        return answer


@pytest.fixture
def session() -> Iterator[Session]:
    """A session with an empty calendar."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with server() as where:
        made = Session(where)
        made.load(Path(__file__).with_name("calendar.sql"))
        yield made
        made.close()


def test_the_constraint_itself_refuses_what_overlaps(session: Session) -> None:
    """Without it the comparison would say nothing: bookings, blackouts and bookings, not blackouts among themselves."""
    calendar = PostgresCalendar(session)
    assert calendar.take("a", "1", Span(1_000, 2_000), 0) == "done"
    assert calendar.take("b", "1", Span(1_999, 3_000), 0) == "taken"
    assert calendar.take("b", "1", Span(2_000, 3_000), 0) == "done"
    assert calendar.take("c", "2", Span(1_999, 3_000), 0) == "done"
    assert calendar.close("d", "1", Span(0, 1_001), 0) == "taken"
    assert calendar.close("d", "1", Span(0, 1_000), 0) == "done"
    assert calendar.close("e", "1", Span(500, 1_000), 0) == "done"
    assert calendar.take("f", "1", Span(999, 1_000), 0) == "taken"
    assert calendar.live(0) == {
        ("a", "1", 1_000, 2_000),
        ("b", "1", 2_000, 3_000),
        ("c", "2", 1_999, 3_000),
        ("d", "1", 0, 1_000),
        ("e", "1", 500, 1_000),
    }


def test_the_engine_agrees_with_postgres(
    session: Session, dynamodb_local: DynamoDBLocal, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any order of holds, confirmations, cancellations, withdrawals, extensions, expiries, blackouts and clock moves.

    Deterministic unless HOLDFAST_EXPLORE says how many other examples to try.
    """
    for name, value in dynamodb_local.environment.items():
        monkeypatch.setenv(name, value)
    connection = connect("calendars")._connection
    CalendarMachine.new_calendars = staticmethod(
        lambda: [Intervals(), EngineCalendar(Store(connection, new_table()), HALLS), PostgresCalendar(session)]
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
