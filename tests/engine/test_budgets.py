"""The budgets that are counted; `make bench` prints them, and the ratios of CPU besides."""

import pytest

from benchmarks import counts
from benchmarks.budgets import Row, table
from local.dynamodb_local import DynamoDBLocal


@pytest.fixture(scope="module", name="rows")
def _rows(dynamodb_local: DynamoDBLocal) -> list[Row]:
    return counts.rows(dynamodb_local)


def test_every_counted_budget_is_kept_and_its_aim_met(rows: list[Row]) -> None:
    one_line = [(1, 1), (5, 6), (7, 8), *[(1, 1), (7, 8)] * 2]
    seats, hall = [(1, 1), (5, 6), (2, 2), (7, 8)], [(2, 2), (5, 8)]
    places = [(1, 1), (5, 6), (7, 8)]
    ten_lines = [(2, 3), (2, 3)]
    assert [(row.measured, row.budget) for row in rows] == one_line + seats + hall + places + ten_lines
    assert {row.verdict for row in rows} == {"aim met"}
    assert all(row.counted for row in rows)


def test_a_broken_budget_is_said_to_be() -> None:
    row = Row("Requests", 4, 3, 2, "Counted.")
    assert not row.kept
    assert "over budget" in table([row])


def test_how_each_is_measured_stands_beside_it(rows: list[Row]) -> None:
    printed = " ".join(table(rows).split())
    assert all(" ".join(row.how.split()) in printed for row in rows)
