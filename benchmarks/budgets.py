"""What is measured, what it may be, and how it is measured: one row a budget."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured budget; a `counted` one is the same on every machine, so that breaking it is an error."""

    what: str
    measured: float
    budget: float
    aim: float
    how: str
    counted: bool = True

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.measured <= self.budget

    @property
    def verdict(self) -> str:
        """What to say of it in a word or two."""
        if not self.kept:
            return "over budget"
        return "aim met" if self.measured <= self.aim else "within budget"

    def shown(self, value: float) -> str:
        """A value of this row, as a count or as a ratio."""
        return f"{value:.0f}" if self.counted else f"{value:.2f} x"


def table(rows: Iterable[Row]) -> str:
    """The rows as text, each with how it was measured beneath it."""
    lines = [f"{'':68}{'measured':>10}{'budget':>9}{'aim':>9}"]
    for row in rows:
        values = f"{row.shown(row.measured):>10}{row.shown(row.budget):>9}{row.shown(row.aim):>9}"
        lines += [f"{row.what:68}{values}   {row.verdict}", *_indented(row.how), ""]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="    ")
