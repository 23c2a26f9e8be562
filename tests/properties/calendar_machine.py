"""Any order of operations on calendars that must agree: on each step's answer, and on everything that is live."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.claims.span import Span, midnight
from tests.engine.shop import HOUR, START
from tests.properties.calendars import Calendar

HALLS = ("1", "2")
MIDNIGHT = midnight("2023-12-02")
STARTS = st.builds(
    lambda half_hours, off: MIDNIGHT + half_hours * HOUR // 2 + off,
    st.integers(-60, 60),
    st.sampled_from([0, 0, 0, 1, -1]),
)
LENGTHS = st.sampled_from([1, HOUR // 2, HOUR, 3 * HOUR, 12 * HOUR, 24 * HOUR, 50 * HOUR])
SPANS = st.builds(lambda start, length: Span(start, start + length), STARTS, LENGTHS)
CLOCK_MOVES = st.sampled_from([1, 999, 4_000, 5_000, 9_999, 10_000, 15_000])


class CalendarMachine(RuleBasedStateMachine):
    """Bookers and owners of two halls, and time."""

    new_calendars: ClassVar[Callable[[], Sequence[Calendar]]]

    @initialize(before=st.sampled_from([0, HOUR]), after=st.sampled_from([0, HOUR // 2]))
    def open(self, before: int, after: int) -> None:
        """Begin with empty calendars; all bookings have the same turnaround times."""
        self.calendars = type(self).new_calendars()
        self.before, self.after = before, after
        self.now = START
        self.bookings: list[str] = []
        self.closings: list[str] = []
        self.numbers = count(1)

    def teardown(self) -> None:
        """Compare once more, when every hold has lapsed."""
        if hasattr(self, "calendars"):
            self.now += 3_600_000
            self.all_agree()

    def agreed(self, ask: Callable[[Calendar], str | None]) -> str | None:
        """Ask every calendar; return the answer that all give."""
        answers = [ask(calendar) for calendar in self.calendars]
        assert len(set(answers)) == 1, answers
        return answers[0]

    @rule(hall=st.sampled_from(HALLS), span=SPANS)
    def take(self, hall: str, span: Span) -> None:
        """Hold a span, with its turnaround times."""
        name = f"booking {next(self.numbers)}"
        blocked = Span(span.start - self.before, span.end + self.after)
        if self.agreed(lambda calendar: calendar.take(name, hall, blocked, self.now)) == "done":
            self.bookings.append(name)

    @precondition(lambda self: self.bookings)
    @rule(data=st.data(), step=st.sampled_from(["keep", "keep", "let_go", "take_back", "prolong", "expire"]))
    def go_on(self, data: st.DataObject, step: str) -> None:
        """Confirm, cancel, withdraw, extend or tidy up behind any booking there ever was."""
        name = data.draw(st.sampled_from(self.bookings))
        steps: dict[str, Callable[[Calendar], str | None]] = {
            "keep": lambda calendar: calendar.keep(name, self.now),
            "let_go": lambda calendar: calendar.let_go(name, self.now),
            "take_back": lambda calendar: calendar.take_back(name, self.now),
            "prolong": lambda calendar: calendar.prolong(name, self.now),
            "expire": lambda calendar: calendar.expire(name, self.now),
        }
        self.agreed(steps[step])

    @rule(hall=st.sampled_from(HALLS), span=SPANS)
    def close(self, hall: str, span: Span) -> None:
        """Black a span out."""
        name = f"blackout {next(self.numbers)}"
        if self.agreed(lambda calendar: calendar.close(name, hall, span, self.now)) == "done":
            self.closings.append(name)

    @precondition(lambda self: self.closings)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """Lift a blackout."""
        name = data.draw(st.sampled_from(self.closings))
        self.closings.remove(name)
        self.agreed(lambda calendar: calendar.open(name))

    @rule(milliseconds=CLOCK_MOVES)
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds

    @invariant()
    def all_agree(self) -> None:
        """The same is live in every calendar."""
        if hasattr(self, "calendars"):
            first, *others = [calendar.live(self.now) for calendar in self.calendars]
            assert all(other == first for other in others)
