"""Requests and write units of a reserve, counted through the real handler on DynamoDB Local."""

import importlib.util
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from benchmarks.budgets import Row
from benchmarks.gateway import TENANT, Context, reserve_event
from benchmarks.write_units import counted
from holdfast.catalogue.products import stock
from holdfast.platform.tables import TABLE_SCHEMA
from holdfast.reservations.engine import Engine
from local import build
from local.dynamodb_local import DynamoDBLocal
from local.terminal import Failure

_HANDLER = build.ROOT / "functions" / "reservations" / "app.py"
_SETTINGS = {"HOLD_SECONDS": "600", "HOLD_SECONDS_MAX": "3600", "EXTEND_SECONDS": "300"}
_LINES = 10


@dataclass(frozen=True)
class Counts:
    """What one request cost."""

    requests: int
    write_units: int


class Function:
    """The reserve function, cold, over a table of its own."""

    def __init__(self, table_name: str) -> None:
        spec = importlib.util.spec_from_file_location(f"reservations_{uuid.uuid4().hex}", _HANDLER)
        assert spec is not None
        assert spec.loader is not None
        self._module: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._module)
        self._engine: Engine = self._module.engine()
        self.table_name = table_name

    def product(self, max_per_user: int | None = None) -> str:
        """Put a product on sale and return its id."""
        new = stock.NewProduct("Laptop", None, 1000, 89_900, "USD", max_per_user)
        return stock.id_of(stock.create(self._engine, TENANT, new, None))

    def reserve(self, products: list[str]) -> Counts:
        """Hold one of each product for a new user, and return what that cost."""
        with counted(self._engine.store._connection) as counting:
            answer = self._module.handler(reserve_event(uuid.uuid4().hex, products), Context())
        if answer["statusCode"] != 201 or len(json.loads(answer["body"])["items"]) != len(products):
            raise Failure(f"the reserve was answered {answer['statusCode']} {answer['body']}")
        return Counts(counting.total, counting.write_units)


@contextmanager
def _started(database: DynamoDBLocal) -> Iterator[Function]:
    """Start the function against a new table of the database."""
    name = f"holdfast-{uuid.uuid4().hex}"
    declared = {key: value for key, value in TABLE_SCHEMA.items() if not key.endswith("Specification")}
    database.client().create_table(TableName=name, **declared)
    before = dict(os.environ)
    os.environ.update(database.environment | _SETTINGS | {"TABLE_NAME": name})
    try:
        yield Function(name)
    finally:
        os.environ.clear()
        os.environ.update(before)


def rows(database: DynamoDBLocal) -> list[Row]:
    """Count, and return the budgets' first three rows."""
    how = "Through the handler of functions/reservations, event in and answer out, on DynamoDB Local; "
    with _started(database) as function:
        plain, limited = function.product(), function.product(max_per_user=2)
        ten = [function.product() for _ in range(_LINES)]
        for products in ([plain], [limited]):
            function.reserve(products)
        one, one_limited = function.reserve([plain]), function.reserve([limited])
        cold = function.reserve(ten)
        warm = function.reserve(ten)
    units = (
        "write units by AWS's rule from the request and the items before and after it: in a transaction 2 for every "
        "started kilobyte of an item, and 1 for every index entry that is written or taken away."
    )
    return [
        Row(
            "DynamoDB requests to reserve one line, warm",
            one.requests, 1, 1,
            f"{how}every request of the function's connection is counted.",
        ),
        Row("Write units for it, without a rule per user", one.write_units, 6, 5, how + units),
        Row(
            "Write units for it, with a rule per user",
            one_limited.write_units, 8, 7,
            "The same, for a product with max_per_user.",
        ),
        Row(
            f"DynamoDB requests to reserve {_LINES} lines",
            cold.requests, 3, 2,
            f"{how}counted for {_LINES} products that the function has not seen before; once it has, it takes "
            f"{warm.requests}.",
        ),
    ]  # fmt: skip
