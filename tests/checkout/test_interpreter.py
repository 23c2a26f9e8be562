"""The interpreter that runs the workflows in these tests is as strict as AWS, or stricter."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.platform.workflows import RunState
from tests.workflow import DEFINITIONS, Broken, Definition, Machines

Payload = dict[str, Any]

GOOD = {
    "begin": "begun",
    "authorise": "action_required",
    "await": "waiting",
    "confirm": "confirmed",
    "capture": "captured",
    "complete": "completed",
    "ask": "paid",
    "void": "voided",
    "release": "released",
    "close": "closed",
}


class StepFault(Exception):
    """What a step raises for anything that is no business outcome."""


class Desk:
    """Steps that answer what they are told to."""

    def __init__(self) -> None:
        self.machines = Machines(self, self)
        self.steps: list[str] = []
        self.tokens: list[str] = []
        self.within: Callable[[Payload], None] | None = None

    def __call__(self, payload: Payload) -> Payload:
        self.steps.append(payload["step"])
        if "task_token" in payload:
            self.tokens.append(payload["task_token"])
            if self.within is not None:
                self.within(payload)
        return {"outcome": GOOD[payload["step"]]}

    def start(self, mode: str = "buy") -> None:
        run = {"order": {"pk": "p", "sk": "s"}, "attempt": 1, "mode": mode, "outcomes": {}}
        self.machines.checkout.start("one", run)

    @property
    def status(self) -> str:
        return self.machines.run("one").status


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _answers(desk: Desk, outcome: str) -> Callable[[Payload], None]:
    return lambda payload: desk.machines.checkout.answer(payload["task_token"], {"outcome": outcome})


def test_a_run_waits_for_its_token_and_goes_on_once(desk: Desk) -> None:
    desk.start()
    assert (desk.status, desk.steps) == ("RUNNING", ["begin", "authorise", "await"])
    assert desk.machines.checkout.state("one") == RunState.RUNNING
    for _ in range(2):
        desk.machines.checkout.answer(desk.tokens[0], {"outcome": "paid"})
    assert (desk.status, desk.steps[3:]) == ("SUCCEEDED", ["confirm", "capture", "complete"])
    assert desk.machines.checkout.state("one") == RunState.OVER
    assert desk.machines.checkout.state("another") is None


def test_a_name_starts_one_run(desk: Desk) -> None:
    desk.start()
    desk.start()
    assert desk.steps == ["begin", "authorise", "await"]


def test_a_token_answered_from_inside_its_task_counts_whatever_becomes_of_the_task(desk: Desk) -> None:
    desk.within = _answers(desk, "paid")
    desk.machines.kill("AwaitPayment")
    desk.start()
    assert (desk.status, desk.steps.count("await")) == ("SUCCEEDED", 1)


def test_each_attempt_of_a_waiting_task_has_a_token_of_its_own(desk: Desk) -> None:
    desk.machines.kill("AwaitPayment")
    desk.start()
    first, second = desk.tokens
    assert first != second
    desk.machines.checkout.answer(first, {"outcome": "paid"})
    assert desk.status == "RUNNING"
    desk.machines.checkout.answer(second, {"outcome": "paid"})
    assert desk.status == "SUCCEEDED"


def test_a_waiting_task_that_runs_out_of_time_is_not_retried(desk: Desk) -> None:
    desk.start()
    desk.machines.time_out("one")
    assert desk.steps[3:] == ["ask", "confirm", "capture", "complete"]
    assert len(desk.tokens) == 1


def test_a_task_is_retried_as_often_as_it_says_and_then_caught(desk: Desk) -> None:
    desk.within = _answers(desk, "paid")
    desk.machines.fail("CapturePayment")
    desk.start()
    assert desk.machines.calls["CapturePayment"] == 5
    assert desk.steps[-3:] == ["void", "release", "close"]
    assert desk.machines.run("one").data["outcomes"]["capture_fault"]["Error"] == "StepFault"


def test_what_cannot_be_finished_lies_in_the_dead_letters(desk: Desk) -> None:
    desk.within = _answers(desk, "paid")
    desk.machines.fail("CompleteOrder")
    desk.start()
    (letter,) = desk.machines.letters
    assert desk.status == "FAILED"
    assert (letter["machine"], letter["run"]["attempt"]) == ("checkout", 1)
    assert "complete_fault" in letter["run"]["outcomes"]


def test_a_stopped_run_does_nothing_more(desk: Desk) -> None:
    desk.start()
    desk.machines.stop("one")
    desk.machines.checkout.answer(desk.tokens[0], {"outcome": "paid"})
    assert desk.machines.checkout.state("one") == RunState.OVER
    assert desk.steps[-1] == "await"


def test_a_run_held_back_begins_when_it_is_let(desk: Desk) -> None:
    desk.machines.holding_back = True
    desk.start()
    assert desk.steps == []
    desk.machines.go()
    assert desk.steps[-1] == "await"


def test_a_defect_in_a_step_reaches_the_test(desk: Desk) -> None:
    def broken(_: Payload) -> None:
        raise KeyError("lines")

    desk.within = broken
    with pytest.raises(KeyError):
        desk.start()


def test_an_answer_without_an_outcome_is_an_error(desk: Desk) -> None:
    desk.start()
    with pytest.raises(Broken, match=r"there is no \$\.outcome"):
        desk.machines.checkout.answer(desk.tokens[0], {"result": "paid"})


def test_a_choice_about_something_absent_is_an_error(desk: Desk) -> None:
    run = {"order": {}, "attempt": 1, "outcomes": {}}
    with pytest.raises(Broken, match=r"Route: there is no \$\.mode"):
        desk.machines.checkout.start("one", run)


@pytest.mark.parametrize("name", ["", "a b", "a" * 81, "a:b"])
def test_a_name_that_aws_refuses_is_an_error(desk: Desk, name: str) -> None:
    with pytest.raises(Broken, match="no name"):
        desk.machines.checkout.start(name, {})


def _without(name: str) -> Callable[[Payload], None]:
    def take(document: Payload) -> None:
        del document["States"]["BeginCheckout"][name]

    return take


def _with(**more: Any) -> Callable[[Payload], None]:
    def add(document: Payload) -> None:
        document["States"]["BeginCheckout"] |= more

    return add


@pytest.mark.parametrize(
    "change",
    [
        _without("TimeoutSeconds"),
        _without("ResultPath"),
        _with(HeartbeatSeconds=5),
        _with(Next="Nowhere"),
        _with(Type="Parallel"),
        _with(Resource="arn:aws:states:::dynamodb:putItem"),
        _with(Retry=[{"ErrorEquals": ["States.ALL"], "Forever": True, "MaxAttempts": 1}]),
        _with(Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.x", "Next": "Nowhere"}]),
    ],
)
def test_a_definition_of_which_anything_is_not_understood_is_refused(change: Callable[[Payload], None]) -> None:
    document = json.loads((DEFINITIONS / "checkout.asl.json").read_text())
    Definition("checkout", document)
    change(document)
    with pytest.raises(Broken):
        Definition("checkout", document)
