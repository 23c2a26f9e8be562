"""The synchronisation's messages: what is sent is what is read, and what SQS did not take is handed back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform import queues
from holdfast.platform.queues import SqsSyncQueue, SyncMessage

STAMP = 1_700_000_000_000


@given(
    tenant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True),
    experience_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}", fullmatch=True),
    day=st.dates().map(lambda day: day.isoformat()),
    stamp=st.integers(0, 10**14),
)
def test_a_message_survives_its_text(tenant: str, experience_id: str, day: str, stamp: int) -> None:
    """Whatever its pair is called."""
    message = SyncMessage(tenant, experience_id, day, stamp)
    assert SyncMessage.from_body(message.to_body()) == message


@given(body=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr))
def test_another_text_is_no_message(body: str) -> None:
    """It is one kind of error, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"\S"):
        SyncMessage.from_body(body)


class _Sqs:
    """An SQS that takes all but some entries of each batch."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.batches: list[list[dict[str, Any]]] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take a batch."""
        self.batches.append(Entries)
        return {"Successful": [], "Failed": [{"Id": entry["Id"]} for entry in Entries if entry["Id"] in self.refused]}


@pytest.mark.parametrize("refused", [set(), {"0"}, {"3", "9"}])
def test_failures_inside_the_answer_of_a_batch_are_handed_back(
    monkeypatch: pytest.MonkeyPatch, refused: set[str]
) -> None:
    """SendMessageBatch answers 200 with failures in it; batches are of ten, and nothing is delayed."""
    sqs = _Sqs(refused)
    monkeypatch.setattr(queues, "client", lambda: sqs)
    messages = [SyncMessage("demo", "14", "2026-03-01", STAMP + number) for number in range(23)]
    unsent = SqsSyncQueue("url").send(messages)
    assert [len(batch) for batch in sqs.batches] == [10, 10, 3]
    assert [entry["MessageBody"] for batch in sqs.batches for entry in batch] == [each.to_body() for each in messages]
    assert not any("DelaySeconds" in entry for batch in sqs.batches for entry in batch)
    wanted = {start + int(number) for start in (0, 10, 20) for number in refused}
    assert unsent == [messages[number] for number in sorted(wanted) if number < 23]
