"""What requests to DynamoDB cost by AWS's rules, counted from the requests themselves and the items they touch.

DynamoDB Local counts index entries double and condition checks not at all, so its own answers are not asked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pynamodb.connection import Connection

_KILOBYTE = 1024
_INDEX_KEY = ("due_bucket", "due")
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})

RawItem = Mapping[str, Any]
Call = Callable[[str, dict[str, Any]], dict[str, Any]]


def item_size(item: RawItem) -> int:
    """Return an item's size in bytes, by the rules that AWS publishes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(typed: Mapping[str, Any]) -> int:
    kind, value = next(iter(typed.items()))
    match kind:
        case "S":
            return len(str(value).encode())
        case "N":
            digits = len(str(value).strip("-").replace(".", "").strip("0"))
            return (digits + 1) // 2 + 1 + str(value).startswith("-")
        case "SS":
            return sum(len(text.encode()) for text in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(inner) for name, inner in value.items())
        case "L":
            return 3 + sum(1 + _value_size(inner) for inner in value)
        case _:
            return 1


def base_units(before: RawItem | None, after: RawItem | None) -> int:
    """Return the units of one plain write: one a started kilobyte of the larger of the item's two states."""
    size = max(item_size(before or {}), item_size(after or {}))
    return max(1, -(-size // _KILOBYTE))


def index_units(before: RawItem | None, after: RawItem | None) -> int:
    """Return the units for the entry in the index of what is due: one to add, one to take away, so two to move."""
    old, new = _entry(before), _entry(after)
    return 0 if old == new else (old is not None) + (new is not None)


def _entry(item: RawItem | None) -> tuple[str, ...] | None:
    if item is None or any(name not in item for name in _INDEX_KEY):
        return None
    return tuple(item[name]["N"] for name in _INDEX_KEY)


class Counting:
    """Counts the requests that go through a connection, and the write units of those that are carried out.

    A request that DynamoDB refuses counts as a request, and writes nothing. Reading the items that a write touches is
    done past the counter.
    """

    def __init__(self, connection: Connection) -> None:
        self._call: Call = connection._make_api_call
        self.requests: Counter[str] = Counter()
        self.write_units = 0
        self.actions = 0
        connection._make_api_call = self._counted  # type: ignore[assignment, method-assign]
        self._connection = connection

    @property
    def total(self) -> int:
        """Return how many requests were made in all."""
        return self.requests.total()

    @property
    def reads(self) -> int:
        """Return how many of the requests were reads."""
        return sum(count for operation, count in self.requests.items() if operation in _READS)

    def reset(self) -> None:
        """Start counting from nothing."""
        self.requests.clear()
        self.write_units = self.actions = 0

    def stop(self) -> None:
        """Give the connection back as it was."""
        self._connection._make_api_call = self._call  # type: ignore[assignment, method-assign]

    def _counted(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.requests[operation] += 1
        if operation in _READS:
            return self._call(operation, arguments)
        written = list(_written(operation, arguments))
        before = [self._item(action) for _, action in written]
        answer = self._call(operation, arguments)
        factor = 2 if operation == "TransactWriteItems" else 1
        for (kind, action), old in zip(written, before, strict=True):
            new = old if kind == "ConditionCheck" else self._item(action)
            self.write_units += factor * base_units(old, new) + index_units(old, new)
            self.actions += 1
        return answer

    def _item(self, action: Mapping[str, Any]) -> RawItem | None:
        named = action.get("Key") or action["Item"]
        key = {"pk": named["pk"], "sk": named["sk"]}
        found: RawItem | None = self._call(
            "GetItem", {"TableName": action["TableName"], "Key": key, "ConsistentRead": True}
        ).get("Item")
        return found


def _written(operation: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if operation == "TransactWriteItems":
        for entry in arguments["TransactItems"]:
            yield from entry.items()
    elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
        yield operation.removesuffix("Item"), arguments


@contextmanager
def counted(connection: Connection) -> Iterator[Counting]:
    """Count what goes through a connection while the block runs."""
    counting = Counting(connection)
    try:
        yield counting
    finally:
        counting.stop()
