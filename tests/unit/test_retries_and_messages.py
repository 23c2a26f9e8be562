"""Bounded waiting, expiry messages, and what the expiry queue makes of SQS's answers."""

from typing import Any

import pytest

from holdfast.platform import queues
from holdfast.platform.queues import ExpiryMessage, SqsExpiryQueue
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import LineRequest, merged
from holdfast.reservations.idempotency import hash_of

NOW = 1_700_000_000_000
KEY = Keys("demo").reservation("ann", "r", "k")


def test_retries_are_bounded_and_wait_longer_with_jitter() -> None:
    """Eight tries; each wait is random below a bound that doubles up to the longest; in all under a second."""
    waits: list[float] = []
    retries = Retries(sleep=waits.append, chance=lambda: 1.0)
    for attempt in retries:
        retries.wait(attempt)
    assert waits == [0.01, 0.02, 0.04, 0.08, 0.16, 0.2, 0.2, 0.2]
    assert sum(waits) < 1
    none = Retries(sleep=waits.append, chance=lambda: 0.0)
    none.wait(7)
    assert waits[-1] == 0


@pytest.mark.parametrize(
    ("ahead", "delay"),
    [(-5_000, 0), (0, 0), (999, 0), (1_000, 1), (1_999, 1), (600_000, 600), (900_000, 900), (3_600_000, 900)],
)
def test_a_message_never_comes_after_its_expiry_and_waits_at_most_900_seconds(ahead: int, delay: int) -> None:
    """SQS delays by whole seconds, at most 900; what is longer goes round again."""
    assert ExpiryMessage(KEY, NOW + ahead).delay(NOW) == delay


def test_a_message_survives_its_text() -> None:
    """What is sent is what is read."""
    message = ExpiryMessage(KEY, NOW)
    assert ExpiryMessage.from_body(message.to_body()) == message


WITHOUT_TIME = '{"pk": "a", "sk": "b"}'
NO_TIME = '{"pk": "a", "sk": "b", "expires_at": "x"}'


@pytest.mark.parametrize("body", ["", "no json", "[]", "{}", "null", WITHOUT_TIME, NO_TIME])
def test_another_text_is_no_message(body: str) -> None:
    """Whatever is wrong with it, it is one kind of error, which the consumer hands back."""
    with pytest.raises(ValueError, match=r"not an expiry message|Expecting value|invalid literal"):
        ExpiryMessage.from_body(body)


class _Sqs:
    """An SQS that takes all but some entries of each batch."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused
        self.batches: list[list[dict[str, Any]]] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take a batch."""
        self.batches.append(Entries)
        failed = [{"Id": entry["Id"]} for entry in Entries if entry["Id"] in self.refused]
        return {"Successful": [], **({"Failed": failed} if failed else {})}


@pytest.mark.parametrize("refused", [set(), {"0"}, {"3", "9"}])
def test_failures_inside_the_answer_of_a_batch_are_handed_back(
    monkeypatch: pytest.MonkeyPatch, refused: set[str]
) -> None:
    """PROTOCOL.md 16: SendMessageBatch answers 200 with failures in it; batches are of ten."""
    sqs = _Sqs(refused)
    monkeypatch.setattr(queues, "client", lambda: sqs)
    messages = [ExpiryMessage(KEY, NOW + number) for number in range(23)]
    unsent = SqsExpiryQueue("url").send(messages, NOW)
    assert [len(batch) for batch in sqs.batches] == [10, 10, 3]
    wanted = {start + int(number) for start in (0, 10, 20) for number in refused}
    assert unsent == [messages[number] for number in sorted(wanted) if number < 23]


def test_duplicate_lines_are_merged_under_the_first_ones_name() -> None:
    """Quantities are summed before anything is judged; order and names are the first's."""
    lines = [
        LineRequest("product", "items.0", 2, product_id="1"),
        LineRequest("product", "items.1", 1, product_id="2"),
        LineRequest("product", "items.2", 3, product_id="1"),
    ]
    assert merged(lines) == [
        LineRequest("product", "items.0", 5, product_id="1"),
        LineRequest("product", "items.1", 1, product_id="2"),
    ]


def test_bodies_are_told_apart_by_what_they_say() -> None:
    """The order of a body's fields makes no difference, that of a list does."""
    assert hash_of({"a": 1, "b": [1, 2]}) == hash_of({"b": [1, 2], "a": 1})
    assert len({hash_of(body) for body in ({"a": 1}, {"a": "1"}, {"a": None}, {}, [1, 2], [2, 1])}) == 6
