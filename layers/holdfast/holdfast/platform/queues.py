"""SQS, and the two things that we send: when a hold runs out, and records that nobody could read."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.config import Config

from holdfast.platform.tables import Key, is_hold

LONGEST_DELAY = 900
"""Seconds that SQS can delay one message (AWS: SendMessage, DelaySeconds)."""

_BATCH = 10
"""Messages in one SendMessageBatch (AWS)."""

_KEY_PART = re.compile(r"[!-~]{1,200}")


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
        try:
            fields = json.loads(body)
        except RecursionError as wrong:
            raise ValueError("not an expiry message") from wrong
        match fields:
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
        unsent: list[ExpiryMessage] = []
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            entries = [
                {"Id": str(position), "MessageBody": message.to_body(), "DelaySeconds": message.delay(now)}
                for position, message in enumerate(batch)
            ]
            answer = client().send_message_batch(QueueUrl=self._url, Entries=entries)
            unsent += [batch[int(failed["Id"])] for failed in answer.get("Failed", [])]
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
