"""The emulated account as the tests look at it, and the clock that they move."""

import json
from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from holdfast.platform.dynamodb import Put, connect
from holdfast.platform.identity_items import TenantItem
from holdfast.platform.tables import Keys

TABLE, IDENTITY, SYNC = "holdfast-main", "holdfast-identity", "holdfast-sync"


@dataclass(frozen=True)
class Aws:
    """The emulated account."""

    dynamodb: Any
    sqs: Any
    expiry_queue: str
    dead_letters: str
    sync_queue: str

    def items(self, table: str = TABLE) -> list[dict[str, Any]]:
        """Return every item of a table, in the order of their keys."""
        found: list[dict[str, Any]] = self.dynamodb.scan(TableName=table)["Items"]
        return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))

    def dump(self) -> str:
        """Return all tables as one text, to be compared with itself."""
        return json.dumps([self.items(table) for table in (TABLE, IDENTITY, SYNC)], sort_keys=True)

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take every message that is visible in a queue."""
        found: list[dict[str, Any]] = []
        while taken := self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += taken
        return found

    def empty(self) -> None:
        """Take away everything that was written."""
        for table in dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables.values():
            table.items.clear()


@dataclass
class HandMovedClock:
    """A clock that stands until it is moved."""

    milliseconds: int

    def advance(self, seconds: float) -> None:
        """Let time pass; also what a function's sleep is made of."""
        self.milliseconds += round(seconds * 1000)


def found_tenant(tenant: str, settings: str = "{}", status: str = "open") -> TenantItem:
    """Write a tenant, whatever is there of it, and return it."""
    item = TenantItem(
        *Keys(tenant).tenant_record(),
        name="Parkside Halls",
        status=status,
        settings=settings,
        version=1,
        created_at=1_700_000_000_000,
        updated_at=1_700_000_000_000,
    )
    connect(IDENTITY).write(Put(item))
    return item
