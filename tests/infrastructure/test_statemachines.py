"""The workflows as data: time-outs, retries of faults only, compensations in pairs; and what the template makes of it.

An emulator takes almost any definition: it invents what a path does not find, and ignores what it does not know.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from holdfast.checkout import claims_steps, payment_steps, refund_steps, resuming
from holdfast.checkout.faults import StepFault
from holdfast.platform.tables import Keys, charge_of, execution_name, name_of, order_of, refund_of
from holdfast.reservations.checking_out import GRACE
from local import build, template
from tests.infrastructure.walks import DEFAULT, FAULT, Walk, asked_by, paths_in

Properties = dict[str, dict[str, Any]]
OfType = Callable[[str], Properties]

CHECKOUT, REFUND = Walk("checkout"), Walk("refund")
WALKS = {"checkout": CHECKOUT, "refund": REFUND}
GIVEN = {
    "checkout": {"$.order", "$.attempt", "$.mode", "$.outcomes"},
    "refund": {"$.order", "$.refund", "$.outcomes"},
}
"""What every run is started with."""

TASKS = [(machine, name) for machine, walk in WALKS.items() for name in walk.of_type("Task")]
INVOKE = "arn:${Partition}:states:::lambda:invoke"
WAIT = f"{INVOKE}.waitForTaskToken"
SEND = "arn:${Partition}:states:::sqs:sendMessage"

FAULTS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Lambda.ClientExecutionTimeoutException",
    "Runtime.ExitError",
    "Runtime.HandlerError",
    "Sandbox.Timedout",
    StepFault.__name__,
}
"""What says that nothing is known of what was asked. A refusal is an answer, and has no name here."""

LETTERS = {"LeaveToPeople", "LeaveVoidToPeople"}
CLOSING = {"CloseOrder"}
ENDS = {"Finished", "Unresolved"}


@dataclass(frozen=True)
class Pair:
    """A forward step, what undoes it, and where each answer that is no success leads first."""

    forward: str
    undone_by: str
    decided_by: str
    refusals: dict[str, str]


PAIRS = [
    # Nothing is held any more: there is nothing to let go of.
    Pair("BeginCheckout", "ReleaseClaims", "Begun", {DEFAULT: "CloseOrder"}),
    # A declined card leaves nothing to void, but everything held; all else is looked at.
    Pair("AuthorisePayment", "VoidPayment", "Authorised", {"declined": "ReleaseClaims", DEFAULT: "VoidPayment"}),
    # What was not taken is not withdrawn, but the money that was to pay for it has to go back first.
    Pair("ConfirmClaims", "WithdrawClaims", "Confirmed", {DEFAULT: "VoidPayment"}),
    Pair("CapturePayment", "RefundPayment", "Captured", {DEFAULT: "VoidPayment"}),
]
FORWARD = {pair.forward for pair in PAIRS} | {"AwaitPayment", "CompleteOrder"}
UNDOING = {"VoidPayment", "RefundPayment", "ReleaseClaims", "WithdrawClaims", "CloseOrder"}


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_every_state_can_be_come_to_and_every_way_ends(walk: Walk) -> None:
    assert walk.reachable(walk.document["StartAt"]) == set(walk.states)
    for name, state in walk.states.items():
        assert walk.reachable(name) & ENDS, name
        assert bool(walk.ways(name)) is (state["Type"] not in ("Succeed", "Fail")), name


def test_every_step_that_has_an_effect_is_forward_undoing_asking_or_for_people() -> None:
    assert set(CHECKOUT.of_type("Task")) == FORWARD | UNDOING | {"AskProvider"} | LETTERS


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_every_task_has_a_time_out_beyond_that_of_its_function(
    machine: str, name: str, functions: Properties, built: dict[str, Any]
) -> None:
    task = WALKS[machine].states[name]
    if task["Resource"] == WAIT:
        longest = built["Parameters"]["CheckoutSeconds"]["MaxValue"] + GRACE // 1000
        assert longest < task["TimeoutSeconds"] <= 2 * longest
    else:
        slowest = max(functions[f"Checkout{kind}Function"]["Timeout"] for kind in ("Claims", "Payments"))
        assert slowest < task["TimeoutSeconds"] <= 60
    assert "HeartbeatSeconds" not in task


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_every_task_is_tried_again_after_faults_only_with_jitter_and_a_cap(machine: str, name: str) -> None:
    task = WALKS[machine].states[name]
    (retrier,) = task["Retry"]
    match task["Resource"]:
        case found if found == SEND:
            assert set(retrier["ErrorEquals"]) == {"States.TaskFailed", "States.Timeout"}
        case found if found == WAIT:
            # Its time-out is the end of the wait, not a fault.
            assert set(retrier["ErrorEquals"]) == FAULTS
        case _:
            assert set(retrier["ErrorEquals"]) == FAULTS | {"States.Timeout"}
    assert retrier["JitterStrategy"] == "FULL"
    assert retrier["IntervalSeconds"] >= 1
    assert retrier["BackoffRate"] > 1
    assert 2 <= retrier["MaxAttempts"] <= 10
    assert retrier["MaxDelaySeconds"] <= 300


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_every_task_catches_all_and_keeps_what_was_known(machine: str, name: str) -> None:
    (catcher,) = WALKS[machine].states[name]["Catch"]
    assert catcher["ErrorEquals"] == ["States.ALL"]
    assert catcher["ResultPath"].startswith("$.outcomes.")
    assert catcher["ResultPath"].endswith("_fault")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.forward)
def test_a_forward_step_that_fails_leads_to_what_undoes_it_and_to_no_forward_step(pair: Pair) -> None:
    led = CHECKOUT.reachable(CHECKOUT.ways(pair.forward)[FAULT])
    assert pair.undone_by in led
    assert not led & FORWARD


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.forward)
def test_a_refusal_leads_to_what_undoes_the_steps_before_it_and_to_no_forward_step(pair: Pair) -> None:
    assert CHECKOUT.ways(pair.forward)["next"] == pair.decided_by
    ways = CHECKOUT.ways(pair.decided_by)
    refusals = {answer: target for answer, target in ways.items() if target not in FORWARD | {"Finished"}}
    assert refusals == pair.refusals
    for target in refusals.values():
        assert not CHECKOUT.reachable(target) & FORWARD


@pytest.mark.parametrize("done", range(1, len(PAIRS)))
def test_what_fails_late_leads_to_what_undoes_each_step_before_it(done: int) -> None:
    """Where one compensation only looks whether there is something to undo, the next is not left out for it."""
    led = CHECKOUT.reachable(CHECKOUT.ways(PAIRS[done].forward)[FAULT])
    assert {pair.undone_by for pair in PAIRS[: done + 1]} <= led


@pytest.mark.parametrize(
    "name", ["BeginCheckout", "AuthorisePayment", "AwaitPayment", "ConfirmClaims", "CapturePayment"]
)
def test_whatever_fails_the_order_is_closed_or_left_to_people(name: str) -> None:
    target = CHECKOUT.ways(name)[FAULT]
    outcomes = CHECKOUT.reachable(target, without=CLOSING | LETTERS | FORWARD)
    assert not outcomes & ENDS


def test_what_waits_for_the_buyer_asks_the_provider_before_it_gives_up() -> None:
    """The deadline and a time-out are no proof that nothing was paid; the answer is looked at once more."""
    ways = CHECKOUT.ways("AwaitPayment")
    assert ways[FAULT] == CHECKOUT.ways("Awaited")["deadline"] == "AskProvider"
    asked = CHECKOUT.ways(CHECKOUT.ways("AskProvider")["next"])
    assert asked == {"paid": "ConfirmClaims", DEFAULT: "VoidPayment"}
    assert CHECKOUT.ways("AskProvider")[FAULT] == "VoidPayment"
    assert CHECKOUT.ways("Awaited") == {"paid": "ConfirmClaims", "deadline": "AskProvider", DEFAULT: "VoidPayment"}


def test_goods_go_back_on_sale_only_once_nothing_is_to_be_paid_for_them() -> None:
    """PROTOCOL.md 23: from a confirmation on, no way to the release goes past what voids or refunds the money."""
    for name in ("ConfirmClaims", "CapturePayment"):
        assert not {"ReleaseClaims", "WithdrawClaims"} & CHECKOUT.reachable(
            CHECKOUT.ways(name)[FAULT], without={"VoidPayment"}
        )
    assert CHECKOUT.ways("Voided") == {"captured": "RefundPayment", DEFAULT: "ReleaseClaims"}
    assert CHECKOUT.ways("Refunded") == {"refunded": "ReleaseClaims", DEFAULT: "LeaveToPeople"}


def test_money_of_unknown_fate_releases_nothing_that_may_be_sold_or_paid() -> None:
    """PROTOCOL.md 23: to the dead letters with the claims kept; only what never came to a confirmation is let go."""
    assert CHECKOUT.ways("VoidPayment")[FAULT] == "UnknownMoney"
    (kept,) = CHECKOUT.states["UnknownMoney"]["Choices"]
    tests = [(test["Variable"], test.get("StringEquals", "present")) for test in asked_by({"Choices": [kept]})]
    assert set(tests) == {
        ("$.outcomes.confirm", "present"),
        ("$.outcomes.confirm_fault", "present"),
        ("$.mode", "late"),
        ("$.mode", "walk_back"),
    }
    assert kept["Next"] == "LeaveToPeople"
    assert CHECKOUT.ways("UnknownMoney")[DEFAULT] == "LeaveVoidToPeople"


@pytest.mark.parametrize("name", sorted(UNDOING | {"CompleteOrder"}))
def test_what_has_to_succeed_and_does_not_is_left_to_people(name: str) -> None:
    assert CHECKOUT.first_tasks(CHECKOUT.ways(name)[FAULT]) <= LETTERS


@pytest.mark.parametrize("name", sorted(set(REFUND.of_type("Task")) - LETTERS))
def test_every_step_of_a_refund_that_does_not_succeed_is_left_to_people(name: str) -> None:
    assert REFUND.ways(name)[FAULT] == "LeaveToPeople"


def test_a_refund_gives_goods_back_only_once_the_money_has_moved() -> None:
    assert "GiveBackClaims" not in REFUND.reachable("PayBack", without={"PaidBack"})
    assert REFUND.ways("PaidBack") == {"paid": "GiveBackClaims", DEFAULT: "RestoreRefundable"}
    assert not {"GiveBackClaims", "PayBack"} & REFUND.reachable("RestoreRefundable")


@pytest.mark.parametrize("machine", WALKS)
def test_what_is_left_to_people_says_of_which_machine_it_is_and_ends_the_run_as_failed(machine: str) -> None:
    walk = WALKS[machine]
    for name in LETTERS & walk.states.keys():
        assert walk.states[name]["Parameters"]["MessageBody"] == {"machine": machine, "run.$": "$"}
    assert walk.ways("LeaveToPeople") == {FAULT: "Unresolved", "next": "Unresolved"}
    assert walk.states["Unresolved"]["Type"] == "Fail"


@pytest.mark.parametrize("machine", WALKS)
def test_nothing_is_asked_of_a_run_that_was_not_said_before_on_every_way(machine: str) -> None:
    """Where nothing is at a path, AWS ends the run; an emulator takes it for null, or goes the default way."""
    walk = WALKS[machine]
    said = walk.said_before(GIVEN[machine])
    for name, state in walk.of_type("Choice").items():
        asked = {test["Variable"] for test in asked_by(state) if "IsPresent" not in test}
        assert asked <= said[name], name
    for name, state in walk.of_type("Task").items():
        assert set(paths_in(state["Parameters"])) - {"$"} <= said[name], name


@pytest.mark.parametrize("machine", WALKS)
def test_what_a_choice_may_find_absent_is_something_that_some_way_says(machine: str) -> None:
    walk = WALKS[machine]
    placed = {state["ResultPath"] for state in walk.of_type("Task").values()}
    placed |= {catcher["ResultPath"] for state in walk.of_type("Task").values() for catcher in state["Catch"]}
    for state in walk.of_type("Choice").values():
        assert {test["Variable"] for test in asked_by(state) if "IsPresent" in test} <= placed


@pytest.mark.parametrize("machine", WALKS)
def test_no_two_tasks_keep_their_answers_in_one_place(machine: str) -> None:
    tasks = WALKS[machine].of_type("Task").values()
    places = [task["ResultPath"] for task in tasks] + [task["Catch"][0]["ResultPath"] for task in tasks]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(("machine", "name"), TASKS)
def test_every_task_names_a_step_that_its_function_takes(machine: str, name: str) -> None:
    task = WALKS[machine].states[name]
    if task["Resource"] == SEND:
        assert set(task["Parameters"]) == {"QueueUrl", "MessageBody"}
        assert task["Parameters"]["QueueUrl"] == "${CompensationDeadLetterQueueUrl}"
        return
    taken: dict[tuple[str, str], set[str]] = {
        ("checkout", "Claims"): set(claims_steps.STEPS),
        ("checkout", "Payments"): set(payment_steps.STEPS) | {"await"},
        ("refund", "Claims"): set(refund_steps.CLAIMS_STEPS),
        ("refund", "Payments"): set(refund_steps.PAYMENT_STEPS),
    }
    kind = "Claims" if "Claims" in task["Parameters"]["FunctionName"] else "Payments"
    assert task["Parameters"]["FunctionName"] == f"${{Checkout{kind}FunctionArn}}"
    assert task["Parameters"]["Payload"]["step"] in taken[machine, kind]
    assert task["Resource"] == (WAIT if name == "AwaitPayment" else INVOKE)


@pytest.mark.parametrize("machine", WALKS)
def test_no_step_of_the_functions_is_left_out(machine: str) -> None:
    used = {
        task["Parameters"]["Payload"]["step"]
        for task in WALKS[machine].of_type("Task").values()
        if task["Resource"] != SEND
    }
    if machine == "checkout":
        assert used == set(claims_steps.STEPS) | set(payment_steps.STEPS) | {"await"}
    else:
        assert used == set(refund_steps.CLAIMS_STEPS) | set(refund_steps.PAYMENT_STEPS)


def test_cfn_lint_finds_nothing_wrong_with_the_definitions(tmp_path: Path) -> None:
    """Its rules for Amazon States Language see a definition only where it stands in a template."""
    role = "arn:aws:iam::000000000000:role/any"
    resources = {}
    for machine, walk in WALKS.items():
        text = json.dumps(walk.document).replace("${Partition}", "aws")
        for name in ("CheckoutClaimsFunctionArn", "CheckoutPaymentsFunctionArn"):
            text = text.replace(f"${{{name}}}", "arn:aws:lambda:us-east-1:000000000000:function:any")
        text = text.replace("${CompensationDeadLetterQueueUrl}", "https://sqs.us-east-1.amazonaws.com/000000000000/any")
        properties = {"RoleArn": role, "DefinitionString": text}
        resources[machine.title()] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": resources}))
    command = [str(Path(sys.executable).parent / "cfn-lint"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(name="machines")
def _machines(of_type: OfType) -> Properties:
    return of_type("AWS::StepFunctions::StateMachine")


def test_every_definition_is_deployed_as_a_standard_workflow(machines: Properties) -> None:
    written = template.read(build.ROOT / "template.yaml")["Resources"]
    uris = {written[name]["Properties"]["DefinitionUri"] for name in machines}
    assert uris == {f"statemachines/{path.name}" for path in (build.ROOT / "statemachines").glob("*.asl.json")}
    assert {machine["StateMachineType"] for machine in machines.values()} == {"STANDARD"}


def test_every_name_in_a_definition_is_substituted_and_no_other(machines: Properties) -> None:
    written = template.read(build.ROOT / "template.yaml")["Resources"]
    for name, machine in machines.items():
        text = (build.ROOT / written[name]["Properties"]["DefinitionUri"]).read_text()
        wanted = {part.partition("}")[0] for part in text.split("${")[1:]}
        assert set(machine["DefinitionSubstitutions"]) == wanted, name


def test_arns_are_what_functions_make_of_the_names(machines: Properties, functions: Properties) -> None:
    """The functions of a machine cannot refer to it, as it refers to them: their variables spell its ARN."""
    spelled = {
        variable.removesuffix("_WORKFLOW_ARN").title() + "Workflow": value
        for function in functions.values()
        for variable, value in function["Environment"]["Variables"].items()
        if variable.endswith("_WORKFLOW_ARN")
    }
    assert spelled == {
        name: f"arn:aws:states:us-east-1:000000000000:stateMachine:{machine['StateMachineName']}"
        for name, machine in machines.items()
    }
    assert all(len(machine["StateMachineName"]) <= 80 for machine in machines.values())


class Noting:
    """A workflow that only notes the names of the runs it is to start."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, name: str, run: Any) -> None:
        self.names.append(name)

    def answer(self, token: str, outcome: Any) -> None:
        raise AssertionError

    def state(self, name: str) -> None:
        raise AssertionError


def test_names_of_runs_are_such_as_aws_takes() -> None:
    """AWS: StartExecution, name; an emulator takes any."""
    order = order_of(Keys("t" * 40).reservation("u" * 128, "reservations", "k" * 255))
    stray = charge_of(order, "s" + 16 * "0")
    longest = refund_of(order, f"c{name_of(stray)}")
    noting = Noting()
    message = {"machine": "refund", "run": {"order": order._asdict(), "refund": longest._asdict()}}
    resuming.take_up(Mock(), {"refund": noting}, message, "059f36b4-87a3-44ab-83d2-661970000001")
    names = [*noting.names, execution_name(longest, "again"), execution_name(order, 99, "redriven", 16 * "0")]
    assert [name for name in names if not re.fullmatch("[A-Za-z0-9_-]{1,80}", name)] == []


def test_every_step_is_logged_without_what_passes_through(machines: Properties, of_type: OfType) -> None:
    groups = of_type("AWS::Logs::LogGroup")
    for name, machine in machines.items():
        logging = machine["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
        (destination,) = logging["Destinations"]
        group, attribute = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"]
        assert (group, attribute) == (f"{name}LogGroup", "Arn")
        assert int(groups[group]["RetentionInDays"]) >= 1
        # Under this prefix a log group takes no room in the account's one resource policy for deliveries.
        assert groups[group]["LogGroupName"].startswith("/aws/vendedlogs/states/")


def test_every_run_is_traced(machines: Properties) -> None:
    assert {machine["TracingConfiguration"]["Enabled"] for machine in machines.values()} == {True}


def test_each_machine_has_a_role_that_allows_what_its_tasks_do(machines: Properties, of_type: OfType) -> None:
    roles = of_type("AWS::IAM::Role")
    for name, machine in machines.items():
        assert machine["RoleArn"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
        role = roles[f"{name}Role"]
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "states.amazonaws.com"}
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "000000000000"}}
        (policy,) = role["Policies"]
        invoking, sending, delivering = policy["PolicyDocument"]["Statement"]
        assert invoking["Action"] == ["lambda:InvokeFunction"]
        assert [resource["Fn::GetAtt"] for resource in invoking["Resource"]] == [
            ["CheckoutClaimsFunction", "Arn"],
            ["CheckoutPaymentsFunction", "Arn"],
        ]
        assert sending["Action"] == ["sqs:SendMessage"]
        assert sending["Resource"] == {"Fn::GetAtt": ["CompensationDeadLetterQueue", "Arn"]}
        assert {action.partition(":")[0] for action in delivering["Action"]} == {"logs", "xray"}


def test_a_machine_that_fails_raises_an_alarm(machines: Properties, of_type: OfType) -> None:
    watched = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"].get("Ref"))
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/States"
    }
    assert watched == {(f"Executions{how}", name) for how in ("Failed", "TimedOut") for name in machines}


def test_what_is_left_to_people_is_sent_round_again_through_a_queue_that_is_consumed(of_type: OfType) -> None:
    queue = of_type("AWS::SQS::Queue")["CompensationQueue"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["CompensationDeadLetterQueue", "Arn"]}
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    consumers = {
        mapping["FunctionName"]["Ref"]
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"] == {"Fn::GetAtt": ["CompensationQueue", "Arn"]}
    }
    assert consumers == {"CompensationsFunction"}
