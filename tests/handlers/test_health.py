"""Health: ok, degraded and down told apart, each dependency by itself."""

from typing import Any

import pytest

from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Unavailable
from tests.handlers.account import IDENTITY, SYNC, TABLE, Aws
from tests.handlers.gateway import Answer, event, load, send

DEPENDENCIES = {"table", "identity_table", "sync_table", "expiry_queue", "sync_queue"}


def health() -> Answer:
    """Ask as anybody may, without a credential."""
    return send(event("GET", "/api/v1/health"))


def states(answer: Answer) -> dict[str, str]:
    return {name: found["state"] for name, found in answer.json["dependencies"].items()}


def test_everything_that_answers_is_ok_with_its_latency(aws: Aws) -> None:
    aws.sqs.send_message(QueueUrl=aws.expiry_queue, MessageBody="waiting")
    answer = health()
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert states(answer) == dict.fromkeys(DEPENDENCIES, "ok")
    assert all(found["latency_ms"] >= 0 for found in answer.json["dependencies"].values())
    assert answer.json["dependencies"]["expiry_queue"]["waiting"] == 1


@pytest.mark.parametrize("lost", ["expiry_queue", "sync_queue"])
def test_without_a_queue_it_sells_on_and_is_degraded(aws: Aws, lost: str) -> None:
    aws.sqs.delete_queue(QueueUrl=getattr(aws, lost))
    answer = health()
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert states(answer) == dict.fromkeys(DEPENDENCIES, "ok") | {lost: "down"}


def test_what_is_slow_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("health"), "SLOW", 0)
    answer = health()
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert states(answer) == dict.fromkeys(DEPENDENCIES, "degraded")


@pytest.mark.parametrize(
    ("lost", "dependency", "answered"),
    [
        (TABLE, "table", (503, "down")),
        (IDENTITY, "identity_table", (503, "down")),
        (SYNC, "sync_table", (200, "degraded")),
    ],
)
def test_without_a_table_it_says_which_and_is_down_where_nothing_can_be_sold(
    monkeypatch: pytest.MonkeyPatch, lost: str, dependency: str, answered: tuple[int, str]
) -> None:
    asked = Store.get_raw

    def partly(store: Store, key: Any) -> Any:
        if store._table == lost:
            raise Unavailable
        return asked(store, key)

    monkeypatch.setattr(Store, "get_raw", partly)
    answer = health()
    assert (answer.status, answer.json["status"]) == answered
    assert states(answer) == dict.fromkeys(DEPENDENCIES, "ok") | {dependency: "down"}


def test_what_went_wrong_with_a_dependency_is_not_told_to_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret address")

    monkeypatch.setattr(Store, "get_raw", broken)
    assert "secret" not in health().text
