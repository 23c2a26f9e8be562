"""What goes wrong between the engine and DynamoDB, said in advance: conflicts, throttles, crashes, other writers.

The calls are met below PynamoDB, at botocore's client, so that its errors and ours are translated as they are on AWS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from holdfast.platform.dynamodb import Store

Answer = dict[str, Any]


class Crash(Exception):
    """The function died, before or after a call had its effect."""


@dataclass(frozen=True)
class Call:
    """One call to DynamoDB that is about to be made; `make` makes it."""

    operation: str
    arguments: dict[str, Any]
    make: Callable[[], Answer]

    @property
    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        """The kind and arguments of each write of a transaction."""
        return [entry for item in self.arguments.get("TransactItems", []) for entry in item.items()]

    @property
    def written(self) -> list[tuple[str, str]]:
        """The primary keys that a transaction names, in its order."""
        named = [action.get("Key") or action["Item"] for _, action in self.writes]
        return [(key["pk"]["S"], key["sk"]["S"]) for key in named]


Trouble = Callable[[Call], Answer]


class Calls:
    """The calls that a store makes, written down, each open to trouble.

    What a trouble itself calls, for another function on the same store, is neither written down nor troubled.
    """

    def __init__(self, store: Store) -> None:
        self.made: list[Call] = []
        self._due: list[tuple[str | None, int, Trouble]] = []
        self._in_trouble = False
        self._always: Trouble | None = None
        self._client: Any = store._connection.client
        self._real = self._client._make_api_call
        self._client._make_api_call = self._meet

    def stop(self) -> None:
        """Let calls pass unseen again."""
        self._client._make_api_call = self._real

    def trouble(self, trouble: Trouble, operation: str | None = None, skip: int = 0, times: int = 1) -> None:
        """Let `trouble` happen to the next `times` calls (of an operation), after `skip` that pass."""
        self._due += [(operation, skip, trouble)] * times

    def always(self, weather: Trouble) -> None:
        """Let `weather` happen to every call that nothing else happens to, and write no calls down."""
        self._always = weather

    def clear(self) -> None:
        """Forget the calls made, and the troubles still due."""
        self.made.clear()
        self._due.clear()

    @property
    def operations(self) -> list[str]:
        """What was called, in order."""
        return [call.operation for call in self.made]

    @property
    def transactions(self) -> list[Call]:
        """The transactions that were sent."""
        return [call for call in self.made if call.operation == "TransactWriteItems"]

    def _meet(self, operation: str, arguments: dict[str, Any]) -> Answer:
        call = Call(operation, arguments, lambda: dict(self._real(operation, arguments)))
        if self._in_trouble:
            return call.make()
        if self._always is not None:
            return self._always(call)
        self.made.append(call)
        for place, (wanted, skip, trouble) in enumerate(self._due):
            if wanted in (None, operation):
                if skip:
                    self._due[place] = (wanted, skip - 1, trouble)
                    break
                del self._due[place]
                self._in_trouble = True
                try:
                    return trouble(call)
                finally:
                    self._in_trouble = False
        return call.make()


def crash_before(_: Call) -> Answer:
    """Die before the call."""
    raise Crash


def crash_after(call: Call) -> Answer:
    """Die once the call has had its effect, if it has one."""
    call.make()
    raise Crash


def silence_after(call: Call) -> Answer:
    """Lose the answer of a call that had its effect."""
    call.make()
    raise ReadTimeoutError(endpoint_url="lost")


def error(code: str, operation: str, **more: Any) -> ClientError:
    """Return what botocore raises for one of DynamoDB's errors."""
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPHeaders": {}}, **more}
    return ClientError(response, operation)


def throttled(call: Call) -> Answer:
    """Turn the whole call away, nothing done."""
    raise error("ThrottlingException", call.operation)


def conflict(call: Call) -> Answer:
    """Let the call meet another transaction on its last item, or on its only one; nothing is done."""
    if call.operation == "TransactWriteItems":
        codes = ["None"] * len(call.arguments["TransactItems"])
        return cancelled(call, [*codes[1:], "TransactionConflict"])
    if call.operation in ("PutItem", "UpdateItem", "DeleteItem"):
        raise error("TransactionConflictException", call.operation)
    return call.make()


def cancelled(call: Call, codes: Sequence[str], items: Sequence[Any] = ()) -> Answer:
    """Refuse a transaction for reasons that are made up, one a write, with the items that conditions saw."""
    seen = [*items, *[None] * (len(codes) - len(items))]
    reasons = [{"Code": code} | ({"Item": item} if item else {}) for code, item in zip(codes, seen, strict=True)]
    raise error("TransactionCanceledException", call.operation, CancellationReasons=reasons)


def meanwhile(act: Callable[[], object]) -> Trouble:
    """Let something else happen right before the call is made."""

    def interrupted(call: Call) -> Answer:
        act()
        return call.make()

    return interrupted
