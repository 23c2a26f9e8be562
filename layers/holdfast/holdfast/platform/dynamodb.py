"""The store: PynamoDB's connection with our time-outs, and the few requests that the rooms make of it.

Time-outs and retries: connect 1 s, read 2 s, two attempts in all, 7 s at worst with the wait between them, far
inside a function's own time. botocore sends one request token with a transaction and keeps it over its retries, so a
retried transaction is safe (PROTOCOL.md 8).
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import botocore.exceptions
from pynamodb.connection import Connection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import VerboseClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from holdfast.platform.errors import Busy, Fault, Malformed, Unavailable
from holdfast.platform.items import Item
from holdfast.platform.sdk import TableConnection
from holdfast.platform.tables import DUE_INDEX, TABLE_SCHEMA, Key, key_of

MAX_ACTIONS = 100
"""Items in one transaction (AWS: TransactWriteItems)."""

MAX_BATCH_KEYS = 100
"""Keys in one batch read (AWS: BatchGetItem)."""

_MOST_OF_A_PAGE = 1_000

CONTENTION_CODES = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
    }
)
"""What DynamoDB says where another writer or a limit was in the way, and nothing about the stock (PROTOCOL.md 7)."""

CONDITION_FAILED = "ConditionalCheckFailed"
_UNKNOWN_CODES = frozenset(
    {"InternalServerError", "InternalFailure", "ServiceUnavailable", "TransactionInProgressException"}
)
"""What DynamoDB says where it does not know, or not yet, whether the write is made; botocore asked again before."""

_SERVER_FAULT = 500
_ALL_OLD = "ALL_OLD"
_I = TypeVar("_I", bound=Item)
RawItem = dict[str, Any]


@dataclass(frozen=True)
class Put:
    """Write a whole item, if `condition` holds of what is there."""

    item: Item
    condition: Condition | None = None


@dataclass(frozen=True)
class Update:
    """Change some attributes of the item at `key`, if `condition` holds of it."""

    key: Key
    actions: Sequence[Action]
    condition: Condition | None = None


@dataclass(frozen=True)
class Delete:
    """Remove the item at `key`, if `condition` holds of it."""

    key: Key
    condition: Condition | None = None


Write = Put | Update | Delete


def key_written(write: Write) -> Key:
    """Return the key of the item that a write is of."""
    return write.item.key if isinstance(write, Put) else write.key


@dataclass(frozen=True)
class Reason:
    """Why one write of a transaction was refused; `item` is what the condition saw, where DynamoDB returned it."""

    code: str
    item: RawItem | None

    @property
    def condition_failed(self) -> bool:
        """Return whether the write's own condition was what failed."""
        return self.code == CONDITION_FAILED


class Cancelled(Exception):
    """A transaction, or a single write, was refused; nothing of it was written. `reasons` stand as the writes did."""

    def __init__(self, reasons: Sequence[Reason | None]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(", ".join(reason.code if reason else "-" for reason in reasons))

    @property
    def contended(self) -> bool:
        """Return whether another writer or a throttle was among the reasons."""
        return any(reason is not None and reason.code in CONTENTION_CODES for reason in self.reasons)

    def seen(self, writes: Sequence[Write]) -> dict[Key, RawItem]:
        """Return, for those of the `writes` refused whose own conditions failed, what these saw; {} for no item."""
        return {
            key_written(write): reason.item or {}
            for write, reason in zip(writes, self.reasons, strict=True)
            if reason is not None and reason.condition_failed
        }


class Contended(Busy):
    """The request was turned away by a throttle or another writer.

    Nothing was written by the last attempt; an earlier one whose answer was lost may have written, so whoever goes on
    has to know its own work again (PROTOCOL.md 8).
    """


@dataclass(frozen=True)
class Page:
    """Some items of a partition, and where to go on; `after` is None at the end."""

    items: list[RawItem]
    after: Key | None


class Store:
    """One table's requests. Every write is conditional where it must be; every read that decides is consistent."""

    def __init__(self, connection: Connection, table_name: str) -> None:
        self._connection = connection
        self._table = table_name
        connection.add_meta_table(MetaTable({**TABLE_SCHEMA, "TableName": table_name}))

    def get(self, model: type[_I], key: Key) -> _I | None:
        """Return the item at `key`, read consistently, or None."""
        raw = self.get_raw(key)
        return None if raw is None else read(model, raw)

    def get_raw(self, key: Key) -> RawItem | None:
        """Return the raw item at `key`, read consistently, or None."""
        answer = self._call("GetItem", {"TableName": self._table, "Key": _raw_key(key), "ConsistentRead": True})
        return answer.get("Item")

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, RawItem]:
        """Return the items that exist at `keys`, each read consistently; together they are no snapshot."""
        found: dict[Key, RawItem] = {}
        waiting = [_raw_key(key) for key in dict.fromkeys(keys)]
        while waiting:
            asked, waiting = waiting[:MAX_BATCH_KEYS], waiting[MAX_BATCH_KEYS:]
            request = {self._table: {"Keys": asked, "ConsistentRead": True}}
            answer = self._call("BatchGetItem", {"RequestItems": request})
            found.update((key_of(item), item) for item in answer["Responses"].get(self._table, []))
            unread = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if len(unread) == len(asked):
                raise Contended
            waiting += unread
        return found

    def query(
        self,
        pk: str,
        prefix: str = "",
        limit: int = 100,
        after: Key | None = None,
        newest_first: bool = False,
        only: Sequence[str] = (),
    ) -> Page:
        """Return up to `limit` items of a partition whose sort key starts with `prefix`, after key `after`.

        They stand in the order of their sort keys, or with `newest_first` against it. Where `only` names attributes,
        they have just these: as much is read, but less is sent. Raises Malformed for an `after` that is none of these.
        """
        _must_be_within(after is None or (after.sk != "" and after.sk.startswith(prefix)))
        condition = Path("pk") == pk
        if prefix:
            condition = condition & Path("sk").startswith(prefix)
        return self._page(condition, limit, after, only, ScanIndexForward=not newest_first)

    def query_all(self, pk: str) -> list[RawItem]:
        """Return all items of a partition, in the order of their sort keys; one request a megabyte, or a thousand."""
        page = self.query(pk, limit=_MOST_OF_A_PAGE)
        items = list(page.items)
        while page.after is not None:
            page = self.query(pk, limit=_MOST_OF_A_PAGE, after=page.after)
            items += page.items
        return items

    def query_between(self, pk: str, first: str, last: str, limit: int = 100, after: Key | None = None) -> Page:
        """Return up to `limit` items of a partition with sort keys from `first` to `last`, both included.

        Raises Malformed for an `after` that is none of these.
        """
        _must_be_within(after is None or first <= after.sk <= last)
        return self._page((Path("pk") == pk) & Path("sk").between(first, last), limit, after)

    def count_where(self, pk: str, condition: Condition) -> int:
        """Return how many items of a partition a condition holds of; all are read, none is sent."""
        arguments = _query_arguments(self._table, Path("pk") == pk, condition)
        arguments |= {"Select": "COUNT", "ConsistentRead": True}
        counted = 0
        while True:
            answer = self._call("Query", arguments)
            counted += int(answer["Count"])
            if "LastEvaluatedKey" not in answer:
                return counted
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _page(self, condition: Condition, limit: int, after: Key | None, only: Sequence[str] = (), **more: Any) -> Page:
        arguments = _query_arguments(self._table, condition) | {"Limit": limit, "ConsistentRead": True, **more}
        if only:
            named = {f"#only{number}": name for number, name in enumerate(only)}
            arguments["ExpressionAttributeNames"] |= named
            arguments["ProjectionExpression"] = ", ".join(named)
        if after is not None:
            arguments["ExclusiveStartKey"] = _raw_key(after)
        answer = self._call("Query", arguments)
        last = answer.get("LastEvaluatedKey")
        return Page(answer["Items"], key_of(last) if last else None)

    def query_due(
        self, bucket: int, until: int, after: RawItem | None = None, limit: int = 100
    ) -> tuple[list[Key], RawItem | None]:
        """Return the keys of up to `limit` items of a bucket that fell due at or before `until` (ms), oldest first.

        With them comes where to go on, `after`, or None at the end. The index lags behind the items by moments.
        """
        condition = (Path("due_bucket") == bucket) & (Path("due") <= until)
        arguments = _query_arguments(self._table, condition) | {"IndexName": DUE_INDEX, "Limit": limit}
        if after is not None:
            arguments["ExclusiveStartKey"] = after
        answer = self._call("Query", arguments)
        return [key_of(item) for item in answer["Items"]], answer.get("LastEvaluatedKey")

    def transact(self, writes: Sequence[Write]) -> None:
        """Make all writes or none, in one transaction of at most 100.

        Raises Cancelled with a reason for each write, Contended where the whole request was turned away, and
        Unavailable where the store did not answer.
        """
        items = [self._transact_item(write) for write in writes]
        self._call("TransactWriteItems", {"TransactItems": items})

    def make(self, writes: Sequence[Write]) -> None:
        """Make all writes or none: in one transaction, or where there is only one, by itself, for half the units."""
        if len(writes) == 1:
            self.write(writes[0])
        else:
            self.transact(writes)

    def write(self, write: Write) -> RawItem:
        """Make one write by itself; return an update's new item. Raises as `transact` does.

        A retry of a write that was made, but whose answer was lost, meets its own effect: its condition must tell
        (PROTOCOL.md 8).
        """
        arguments = self._arguments(write)
        if not isinstance(write, Update):
            self._call("PutItem" if isinstance(write, Put) else "DeleteItem", arguments)
            return {}
        answer = self._call("UpdateItem", arguments | {"ReturnValues": "ALL_NEW"})
        attributes: RawItem = answer["Attributes"]
        return attributes

    def _transact_item(self, write: Write) -> dict[str, Any]:
        return {type(write).__name__: self._arguments(write)}

    def _arguments(self, write: Write) -> dict[str, Any]:
        if isinstance(write, Put):
            attributes = write.item.serialize()
            arguments = self._connection.get_operation_kwargs(
                self._table,
                write.item.pk,
                write.item.sk,
                key="Item",
                attributes={name: value for name, value in attributes.items() if name not in ("pk", "sk")},
                condition=write.condition,
                return_values_on_condition_failure=_ALL_OLD if write.condition is not None else None,
            )
        else:
            arguments = self._connection.get_operation_kwargs(
                self._table,
                write.key.pk,
                write.key.sk,
                actions=write.actions if isinstance(write, Update) else None,
                condition=write.condition,
                return_values_on_condition_failure=_ALL_OLD if write.condition is not None else None,
            )
        return dict(arguments)

    def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._connection.dispatch(operation, arguments)
        except VerboseClientError as error:
            raise _translated(error) from error
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            raise Unavailable from error
        return answer


def connect(table_name: str) -> Store:
    """Return a store over `table_name`, in the region and at the endpoint that the environment names."""
    return Store(
        TableConnection(
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            host=os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL"),
            connect_timeout_seconds=1,
            read_timeout_seconds=2,
            retry_configuration={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=10,
        ),
        table_name,
    )


def read(model: type[_I], raw: RawItem) -> _I:
    """Return the raw DynamoDB item as a `model`."""
    return model.from_raw_data(raw)


def _must_be_within(is_within: bool) -> None:
    """Raise Malformed for a place outside of a list, which DynamoDB would refuse: only a forged token leads there."""
    if not is_within:
        raise Malformed(faults=[Fault("next", "Not a token that this list gave.")])


def _raw_key(key: Key) -> dict[str, dict[str, str]]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _query_arguments(table: str, condition: Condition, where: Condition | None = None) -> dict[str, Any]:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    expression = condition.serialize(names, values)
    filtered = {} if where is None else {"FilterExpression": where.serialize(names, values)}
    return {
        **filtered,
        "TableName": table,
        "KeyConditionExpression": expression,
        "ExpressionAttributeNames": {placeholder: name for name, placeholder in names.items()},
        "ExpressionAttributeValues": values,
    }


def _translated(error: VerboseClientError) -> Exception:
    code = error.response["Error"]["Code"]
    if code == "TransactionCanceledException":
        return Cancelled(
            [None if reason is None else Reason(reason.code, reason.raw_item) for reason in error.cancellation_reasons]
        )
    if code == "ConditionalCheckFailedException":
        response = getattr(error.__cause__, "response", {})
        return Cancelled([Reason(CONDITION_FAILED, response.get("Item"))])
    if code in CONTENTION_CODES:
        return Contended()
    if code in _UNKNOWN_CODES or _status_of(error) >= _SERVER_FAULT:
        return Unavailable()
    return error


def _status_of(error: VerboseClientError) -> int:
    response = getattr(error.__cause__, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
