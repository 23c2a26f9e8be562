"""SQS, and what we send: when a hold runs out, what partners are to be asked, and records that nobody could read."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.config import Config

from holdfast.platform.tables import Key, Keys, is_hold

LONGEST_DELAY = 900
"""Seconds that SQS can delay one message (AWS: SendMessage, DelaySeconds)."""

_BATCH = 10
"""Messages in one SendMessageBatch (AWS)."""

_KEY_PART = re.compile(r"[!-~]{1,200}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class ExpiryMessage:
    """That the hold at `key` runs out at `expires_at` (ms), as known when the message was sent."""

    key: Key
    expires_at: int

    def to_body(self) -> str:
        """Return the message's text."""
        return json.dumps({"pk": self.key.pk, "sk": self.key.sk, "expires_at": self.expires_at})

    @classmethod
    def from_body(cls, body: str) -> "ExpiryMessage":
        """Return the message of a text; raises ValueError for a text that is none.

        A key that no hold can have is refused here: asked of the store, it would fail the whole batch that it came in.
        """
        match _fields(body):
            case {"pk": str(pk), "sk": str(sk), "expires_at": int(expires_at)}:
                key = Key(pk, sk)
                if is_hold(key) and _KEY_PART.fullmatch(pk) and _KEY_PART.fullmatch(sk):
                    return cls(key, expires_at)
        raise ValueError("not an expiry message")

    def delay(self, now: int) -> int:
        """Return the whole seconds to wait from `now` (ms) before delivery: never past the expiry, at most 900."""
        return max(0, min(LONGEST_DELAY, (self.expires_at - now) // 1000))


class ExpiryQueue(Protocol):
    """Where expiry messages go."""

    def send(self, messages: Sequence[ExpiryMessage], now: int) -> list[ExpiryMessage]:
        """Send each message, delayed until about its expiry; return those that could not be sent."""
        ...


class SqsExpiryQueue:
    """The expiry queue on SQS."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, messages: Sequence[ExpiryMessage], now: int) -> list[ExpiryMessage]:
        """Send in batches of ten; the failures inside each answer are returned (PROTOCOL.md 16)."""
        entries = [{"MessageBody": message.to_body(), "DelaySeconds": message.delay(now)} for message in messages]
        return [messages[position] for position in _unsent(self._url, entries)]


@dataclass(frozen=True)
class SyncMessage:
    """That a partner is to be asked for a tenant's experience on a date (YYYY-MM-DD).

    `stamp` (ms) is when the pair was queued: one message of a pair is the current one, the one with its sheet's stamp.
    """

    tenant: str
    experience_id: str
    date: str
    stamp: int

    def to_body(self) -> str:
        """Return the message's text."""
        return json.dumps(
            {"tenant": self.tenant, "experience_id": self.experience_id, "date": self.date, "stamp": self.stamp}
        )

    @classmethod
    def from_body(cls, body: str) -> "SyncMessage":
        """Return the message of a text; raises ValueError for a text that is none, or of what can have no key."""
        match _fields(body):
            case {"tenant": str(tenant), "experience_id": str(experience_id), "date": str(day), "stamp": int(stamp)}:
                if _KEY_PART.fullmatch(experience_id) and "#" not in experience_id and _DATE.fullmatch(day):
                    return cls(Keys(tenant).tenant, experience_id, date.fromisoformat(day).isoformat(), stamp)
        raise ValueError("not a message of the synchronisation")


class SyncQueue(Protocol):
    """Where the messages go of pairs that a partner is to be asked for."""

    def send(self, messages: Sequence[SyncMessage]) -> list[SyncMessage]:
        """Send each message; return those that could not be sent."""
        ...


class SqsSyncQueue:
    """The synchronisation's queue on SQS."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, messages: Sequence[SyncMessage]) -> list[SyncMessage]:
        """Send in batches of ten; the failures inside each answer are returned."""
        entries = [{"MessageBody": message.to_body()} for message in messages]
        return [messages[position] for position in _unsent(self._url, entries)]


def _fields(body: str) -> Any:
    """Return what a message's text says; raises ValueError where it is no JSON."""
    try:
        return json.loads(body)
    except RecursionError as wrong:
        raise ValueError("not a message") from wrong


def _unsent(url: str, entries: Sequence[Mapping[str, Any]]) -> list[int]:
    """Send the entries in batches of ten; return the places of those that an answer says were not taken."""
    unsent: list[int] = []
    for start in range(0, len(entries), _BATCH):
        batch = [{"Id": str(place), **entry} for place, entry in enumerate(entries[start : start + _BATCH])]
        answer = client().send_message_batch(QueueUrl=url, Entries=batch)
        unsent += [start + int(failed["Id"]) for failed in answer.get("Failed", [])]
    return unsent


@cache
def client() -> Any:
    """Return the SQS client, made once, with time-outs far inside a function's own."""
    return boto3.client(
        "sqs", config=Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
    )


def quarantine(url: str, record: Any) -> None:
    """Put a stream record that could not be read into the dead-letter queue, as JSON, for a person to look at.

    Its images stay behind, for orders and charges have tokens in them; the item's key says where to look.
    """
    client().send_message(QueueUrl=url, MessageBody=json.dumps(_without_images(record), default=str))


def _without_images(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    return {name: _without_images(value) for name, value in record.items() if name not in ("NewImage", "OldImage")}


def messages_waiting(url: str) -> int:
    """Return about how many messages of a queue are waiting to be read now."""
    answer = client().get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
