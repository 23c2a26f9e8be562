"""The two state machines run in this process: an interpreter of what their definitions use of Amazon States Language.

It reads `statemachines/*.asl.json`, and is stricter than any emulator: a field it does not know, a path where
nothing is, a Choice about something absent are errors (`Broken`); what a function raises that is neither a `StepFault`
nor injected reaches the test. A run goes on in the thread that starts it or answers its token, until it ends or waits.
Nothing sleeps. Any task can be killed before or after its effect, fail for good, or run out of time as it waits.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from holdfast.platform.workflows import RunState, StepFunctions, Workflows

DEFINITIONS = Path(__file__).resolve().parents[1] / "statemachines"

INVOKE = "arn:${Partition}:states:::lambda:invoke"
WAIT = f"{INVOKE}.waitForTaskToken"
SEND = "arn:${Partition}:states:::sqs:sendMessage"

CLAIMS, PAYMENTS = "${CheckoutClaimsFunctionArn}", "${CheckoutPaymentsFunctionArn}"
QUEUE = "${CompensationDeadLetterQueueUrl}"

MOST_STEPS = 200
"""More than any run takes; a run that takes more goes in circles."""

LARGEST = 256 * 1024
"""The bytes that a state's input, a task's answer and a run's input may have."""

_FIELDS = {
    "Task": {"Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds", "Retry", "Catch", "Next"},
    "Choice": {"Choices", "Default"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}
_RETRIER = {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "MaxDelaySeconds", "JitterStrategy"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_PATH = re.compile(r"\$(\.[A-Za-z_]+)*")

State = dict[str, Any]
Data = dict[str, Any]
Function = Callable[[Data], Any]


class Broken(AssertionError):
    """The definition, a payload or an answer is wrong: AWS would end the run, or refuse the definition."""


class Failed(Exception):
    """A task failed, by the name and cause that Retry and Catch see."""

    def __init__(self, name: str, cause: str = "injected") -> None:
        self.name = name
        self.cause = cause
        super().__init__(f"{name}: {cause}")


class Definition:
    """One state machine, every field of it known."""

    def __init__(self, name: str, document: Mapping[str, Any] | None = None) -> None:
        """Check a definition: `statemachines/<name>.asl.json`, unless another is given."""
        document = document or json.loads((DEFINITIONS / f"{name}.asl.json").read_text())
        _known(document, {"Comment", "StartAt", "States"}, {"StartAt", "States"}, name)
        self.name = name
        self.start: str = document["StartAt"]
        self.states: dict[str, State] = document["States"]
        for called, state in self.states.items():
            self._check(called, state)
        self._there(self.start)

    def tasks(self) -> list[str]:
        """Return the names of all tasks, in the definition's order."""
        return [name for name, state in self.states.items() if state["Type"] == "Task"]

    def _there(self, name: str) -> None:
        if name not in self.states:
            raise Broken(f"{self.name} has no state {name}")

    def _check(self, name: str, state: State) -> None:
        kind = state.get("Type")
        if kind not in _FIELDS:
            raise Broken(f"{name} is of type {kind}")
        optional = {"Type", "Comment", "ResultSelector", "Retry", "Catch"}
        _known(state, _FIELDS[kind] | {"Type", "Comment"}, _FIELDS[kind] - optional, name)
        for rule in state.get("Choices", ()):
            if "Or" in rule:
                _known(rule, {"Or", "Next"}, {"Or", "Next"}, name)
            for test in rule.get("Or", [{key: value for key, value in rule.items() if key != "Next"}]):
                kinds = {"Variable", "IsPresent"} if "IsPresent" in test else {"Variable", "StringEquals"}
                _known(test, kinds, kinds, name)
            self._there(rule["Next"])
        for retrier in state.get("Retry", ()):
            _known(retrier, _RETRIER, {"ErrorEquals", "MaxAttempts"}, name)
        for catcher in state.get("Catch", ()):
            _known(catcher, {"ErrorEquals", "ResultPath", "Next"}, {"ErrorEquals", "ResultPath", "Next"}, name)
            self._there(catcher["Next"])
        for following in ("Next", "Default"):
            if following in state:
                self._there(state[following])
        if kind == "Task" and state["Resource"] not in (INVOKE, WAIT, SEND):
            raise Broken(f"{name} calls {state['Resource']}")


@dataclass
class Run:
    """One run: where it is, with which data, and the states it came through."""

    name: str
    definition: Definition
    data: Data
    at: str
    path: list[str] = field(default_factory=list)
    status: str = "RUNNING"
    waits_with: str | None = None
    """The token of the task that waits, or that may answer its own token; None where none does."""
    parked: bool = False
    """Whether nobody runs it: it waits for its token to be answered."""
    given: Any = None
    """What its token was answered with."""
    retried: Counter[tuple[str, int]] = field(default_factory=Counter)


@dataclass
class _Trouble:
    """What happens to the calls of a state from number `first` to number `last`: before, instead of or after them."""

    state: str
    first: int
    last: float
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    asleep: bool = False
    """Whether the call is made after all, later."""


class Machines:
    """Both state machines, the functions they call, and the dead letters they leave."""

    def __init__(self, claims: Function, payments: Function) -> None:
        """Take what serves the functions of the claims and of the payments; each is given the task's payload."""
        self.functions = {CLAIMS: claims, PAYMENTS: payments}
        self.definitions = {name: Definition(name) for name in ("checkout", "refund")}
        self.checkout: Workflows = Machine(self, "checkout")
        self.refund: Workflows = Machine(self, "refund")
        self.runs: dict[tuple[str, str], Run] = {}
        self.letters: list[Data] = []
        self.calls: Counter[str] = Counter()
        self.raised: list[tuple[str, BaseException]] = []
        """What functions raised that was not injected, by the state that called them."""
        self.holding_back = False
        """Whether runs that are started wait for `go`, as they do for a moment on AWS."""
        self._troubles: list[_Trouble] = []
        self._asleep: dict[tuple[str, str], tuple[Run, State, str | None]] = {}
        self._lock = threading.RLock()

    def kill(self, state: str, call: int = 1) -> None:
        """Let the function die after its effect, and before its answer, at its call number `call` by a state."""
        self._troubles.append(_Trouble(state, call, call, after=_raising("Lambda.Unknown")))

    def turn_away(self, state: str, call: int = 1) -> None:
        """Let a call fail before it has any effect."""
        self._troubles.append(_Trouble(state, call, call, before=_raising("Lambda.TooManyRequestsException")))

    def fail(self, state: str, after_effect: bool = False) -> None:
        """Let every call of a state fail, until it is mended: before its effect, or after it."""
        trouble = _Trouble(state, self.calls[state] + 1, float("inf"))
        if after_effect:
            trouble.after = _raising("Lambda.Unknown")
        else:
            trouble.before = _raising("StepFault")
        self._troubles.append(trouble)

    def delay(self, state: str) -> None:
        """Let every call of a state be given up before its effect, which comes when `wake` says, until it is mended.

        That is how a function meets its task that was frozen, or cut off, for longer than the workflow waited.
        """
        fail = _raising("Lambda.Unknown")
        self._troubles.append(_Trouble(state, self.calls[state] + 1, float("inf"), before=fail, asleep=True))

    def wake(self) -> None:
        """Let the last call of each state have its effect that was given up before it; its answer reaches nobody."""
        asleep, self._asleep = self._asleep, {}
        for run, state, token in asleep.values():
            with suppress(Failed):
                self._call(run, state, token)

    def mend(self, state: str) -> None:
        """Let nothing more happen to a state's calls."""
        self._troubles = [trouble for trouble in self._troubles if trouble.state != state]

    def beside(
        self,
        state: str,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
        call: int = 1,
    ) -> None:
        """Let something else happen right before a call has its effect, or right after it and before its answer."""
        self._troubles.append(_Trouble(state, call, call, before=_doing(before), after=_doing(after)))

    def run(self, name: str, machine: str = "checkout") -> Run:
        """Return the run of this name."""
        return self.runs[machine, name]

    def came_through(self) -> set[str]:
        """Return the tasks that any run came through."""
        return {name for name, number in self.calls.items() if number}

    def start(self, machine: str, name: str, given: Mapping[str, Any]) -> None:
        """Start a run, unless there is or was one of that name, and let it go on."""
        if not _NAME.fullmatch(name):
            raise Broken(f"{name!r} is no name of an execution")
        definition = self.definitions[machine]
        with self._lock:
            if (machine, name) in self.runs:
                return
            made = Run(name, definition, _json(dict(given)), definition.start)
            self.runs[machine, name] = made
            if self.holding_back:
                made.parked = True
                return
        self._go_on(made)

    def go(self) -> None:
        """Let every run that was held back begin."""
        self.holding_back = False
        while waiting := self._held_back():
            self._go_on(waiting)

    def _held_back(self) -> Run | None:
        with self._lock:
            for run in self.runs.values():
                if run.parked and run.status == "RUNNING" and run.waits_with is None:
                    run.parked = False
                    return run
        return None

    def answer(self, token: str, outcome: Mapping[str, Any]) -> None:
        """Answer the task that waits with a token, once; its run goes on here unless its task is still at it."""
        given = _json(dict(outcome))
        with self._lock:
            run = next((run for run in self.runs.values() if run.waits_with == token), None)
            if run is None or run.given is not None:
                return
            run.given = given
            if not run.parked:
                return
            run.parked = False
        self._answered(run)
        self._go_on(run)

    def time_out(self, name: str, machine: str = "checkout") -> None:
        """Let the time of a waiting task be over."""
        run = self.run(name, machine)
        with self._lock:
            assert run.parked
            assert run.waits_with is not None
            run.parked, run.waits_with = False, None
        self._failed(run, Failed("States.Timeout"))
        self._go_on(run)

    def stop(self, name: str, machine: str = "checkout") -> None:
        """Stop a run where it is, as a person may."""
        with self._lock:
            run = self.run(name, machine)
            run.status, run.waits_with, run.parked = "ABORTED", None, False

    def state(self, machine: str, name: str) -> RunState | None:
        """Return what is known of a run."""
        found = self.runs.get((machine, name))
        if found is None:
            return None
        return RunState.RUNNING if found.status == "RUNNING" else RunState.OVER

    def _go_on(self, run: Run) -> None:
        """Take a run from state to state, until it ends or waits."""
        while run.status == "RUNNING" and not run.parked:
            state = run.definition.states[run.at]
            run.path.append(run.at)
            if len(run.path) > MOST_STEPS:
                raise Broken(f"{run.name} goes in circles: {run.path[-10:]}")
            if state["Type"] == "Choice":
                run.at = _choose(run.at, state, run.data)
            elif state["Type"] == "Task":
                self._do(run, state)
            else:
                run.status = "SUCCEEDED" if state["Type"] == "Succeed" else "FAILED"

    def _do(self, run: Run, state: State) -> None:
        """Make one attempt of a task."""
        token = uuid4().hex if state["Resource"] == WAIT else None
        with self._lock:
            run.waits_with, run.given = token, None
            self.calls[run.at] += 1
            number = self.calls[run.at]
            troubles = [each for each in self._troubles if each.state == run.at and each.first <= number <= each.last]
        failed: Failed | None = None
        result: Any = None
        if any(trouble.asleep for trouble in troubles):
            self._asleep[run.name, run.at] = replace(run, data=deepcopy(run.data)), state, token
        try:
            for trouble in troubles:
                if trouble.before is not None:
                    trouble.before()
            result = self._call(run, state, token)
            for trouble in troubles:
                if trouble.after is not None:
                    trouble.after()
        except Failed as failure:
            failed = failure
        with self._lock:
            if run.status != "RUNNING":
                return
            if token is not None:
                if run.given is None and failed is None:
                    run.parked = True
                    return
                # A token that was answered ends the task, whatever becomes of its function.
                failed = None if run.given is not None else failed
                result = run.given
            run.waits_with = None
        if failed is not None:
            self._failed(run, failed)
        else:
            _go_by(run, state, result)

    def _answered(self, run: Run) -> None:
        run.waits_with = None
        _go_by(run, run.definition.states[run.at], run.given)

    def _call(self, run: Run, state: State, token: str | None) -> Any:
        context: dict[str, Any] = {"State": {"RetryCount": _retries(run)}}
        if token is not None:
            context["Task"] = {"Token": token}
        wanted = _json(_filled(state["Parameters"], run.data, context))
        if state["Resource"] == SEND:
            _known(wanted, {"QueueUrl", "MessageBody"}, {"QueueUrl", "MessageBody"}, run.at)
            if wanted["QueueUrl"] != QUEUE:
                raise Broken(f"{run.at} sends to {wanted['QueueUrl']}")
            self.letters.append(wanted["MessageBody"])
            return {"MessageId": uuid4().hex, "MD5OfMessageBody": "-"}
        _known(wanted, {"FunctionName", "Payload"}, {"FunctionName", "Payload"}, run.at)
        if wanted["FunctionName"] not in self.functions:
            raise Broken(f"{run.at} calls {wanted['FunctionName']}")
        try:
            answer = self.functions[wanted["FunctionName"]](wanted["Payload"])
        except Failed:
            raise
        except Exception as fault:
            self.raised.append((run.at, fault))
            if type(fault).__name__ != "StepFault":
                raise
            raise Failed("StepFault", str(fault)) from fault
        return {"StatusCode": 200, "Payload": _json(answer)}

    def _failed(self, run: Run, failure: Failed) -> None:
        """Let a failed task be tried again, or caught, or the run end."""
        state = run.definition.states[run.at]
        for place, retrier in enumerate(state.get("Retry", ())):
            if _names(retrier["ErrorEquals"], failure.name):
                if run.retried[run.at, place] < retrier["MaxAttempts"]:
                    run.retried[run.at, place] += 1
                    return
                break
        for catcher in state.get("Catch", ()):
            if _names(catcher["ErrorEquals"], failure.name):
                seen = {"Error": failure.name, "Cause": failure.cause}
                run.data = _placed(run.data, catcher["ResultPath"], seen)
                _leave(run, catcher["Next"])
                return
        run.status = "FAILED"


def _retries(run: Run) -> int:
    """How often the present task of a run was tried again."""
    return sum(count for (state, _), count in run.retried.items() if state == run.at)


class Machine:
    """One of the machines, as the library starts and answers it."""

    def __init__(self, machines: Machines, name: str) -> None:
        """Take all machines, and which of them this is."""
        self._machines = machines
        self._name = name

    def start(self, name: str, run: Mapping[str, Any]) -> None:
        """Start a run, unless there is or was one of that name."""
        self._machines.start(self._name, name, run)

    def answer(self, token: str, outcome: Mapping[str, Any]) -> None:
        """Answer a token, of whichever machine it is."""
        self._machines.answer(token, outcome)

    def state(self, name: str) -> RunState | None:
        """Return what is known of a run."""
        return self._machines.state(self._name, name)


def installed(
    monkeypatch: pytest.MonkeyPatch, claims: Function | None = None, payments: Function | None = None
) -> Machines:
    """Put the interpreter in the place of Step Functions, for every function of this process.

    Its tasks are served by the handlers of `functions/checkout_claims` and `functions/checkout_payments`, unless others
    are given. The machine of an ARN is the one whose name its last part has in it.
    """
    made = Machines(claims or _handler("checkout_claims"), payments or _handler("checkout_payments"))

    def machine(workflows: StepFunctions) -> str:
        called = workflows._machine.rpartition(":")[2].lower()
        return next(name for name in made.definitions if name in called)

    monkeypatch.setattr(StepFunctions, "start", lambda self, name, run: made.start(machine(self), name, run))
    monkeypatch.setattr(StepFunctions, "answer", lambda _, token, outcome: made.answer(token, outcome))
    monkeypatch.setattr(StepFunctions, "state", lambda self, name: made.state(machine(self), name))
    return made


def _handler(function: str) -> Function:
    """Return a function's handler, loaded at its first call as Lambda does."""
    # The gateway of the handlers' tests imports nothing that the engine's tests do without, but for Lambda's shapes.
    from tests.handlers.gateway import LambdaContext, load

    return lambda payload: load(function).handler(payload, LambdaContext())


def _raising(name: str) -> Callable[[], None]:
    def fail() -> None:
        raise Failed(name)

    return fail


def _doing(act: Callable[[], object] | None) -> Callable[[], None] | None:
    if act is None:
        return None

    def do() -> None:
        act()

    return do


def _known(given: Mapping[str, Any], allowed: set[str], needed: set[str], where: str) -> None:
    """Check that a part of the definition has what it needs, and nothing that is not interpreted."""
    if unknown := set(given) - allowed:
        raise Broken(f"{where} has {sorted(unknown)}, which is not interpreted")
    if missing := needed - set(given):
        raise Broken(f"{where} has no {sorted(missing)}")


def _json(value: Any) -> Any:
    """Return a value as it comes through JSON, of the size that Step Functions takes."""
    text = json.dumps(value, allow_nan=False)
    if len(text.encode()) > LARGEST:
        raise Broken("over 256 KB")
    return json.loads(text)


def _found(path: str, data: Any, where: str) -> Any:
    """Return what is at a path; a path with nothing there is an error."""
    if not _PATH.fullmatch(path):
        raise Broken(f"{where}: {path} is not a path that is interpreted")
    for step in path.split(".")[1:]:
        if not isinstance(data, dict) or step not in data:
            raise Broken(f"{where}: there is no {path}")
        data = data[step]
    return deepcopy(data)


def _filled(template: Any, data: Data, context: Data) -> Any:
    """Return a template with every `x.$` in it replaced by what is at its path."""
    if isinstance(template, dict):
        filled: Data = {}
        for name, value in template.items():
            if not name.endswith(".$"):
                filled[name] = _filled(value, data, context)
            elif value.startswith("$$"):
                filled[name[:-2]] = _found(value[1:], context, value)
            else:
                filled[name[:-2]] = _found(value, data, name)
        return filled
    if isinstance(template, list):
        raise Broken("lists are not interpreted")
    return template


def _placed(data: Data, path: str, value: Any) -> Data:
    """Return data with a value put at a path, all but the last step of which is there already."""
    changed = deepcopy(data)
    *parents, last = path.split(".")[1:]
    into = changed
    for step in parents:
        if not isinstance(into.get(step), dict):
            raise Broken(f"there is nothing to put {path} into")
        into = into[step]
    into[last] = value
    return _json_object(changed)


def _json_object(value: Any) -> Data:
    checked = _json(value)
    assert isinstance(checked, dict)
    return checked


def _go_by(run: Run, state: State, result: Any) -> None:
    """Put a task's result where it belongs, and go on to the next state."""
    chosen = _filled(state["ResultSelector"], result, {}) if "ResultSelector" in state else result
    run.data = _placed(run.data, state["ResultPath"], chosen)
    _leave(run, state["Next"])


def _leave(run: Run, following: str) -> None:
    """Go on; the next time a run comes to this state, its retries begin anew."""
    run.retried = Counter({key: number for key, number in run.retried.items() if key[0] != run.at})
    run.at = following


def _choose(name: str, state: State, data: Data) -> str:
    """Return where a Choice leads: along the first rule that holds, or the first of whose tests one does."""
    for rule in state["Choices"]:
        held = [_holds(name, test, data) for test in rule.get("Or", [rule])]
        if any(held):
            return str(rule["Next"])
    return str(state["Default"])


def _holds(name: str, test: Mapping[str, Any], data: Data) -> bool:
    """Return whether a test holds; one for equality about something absent, or no text, is an error as on AWS."""
    try:
        value = _found(test["Variable"], data, name)
    except Broken:
        if "IsPresent" in test:
            return not test["IsPresent"]
        raise
    if "IsPresent" in test:
        return bool(test["IsPresent"])
    if not isinstance(value, str):
        raise Broken(f"{name}: {test['Variable']} is {value!r}, which is no text")
    return bool(value == test["StringEquals"])


def _names(wanted: Sequence[str], name: str) -> bool:
    """Return whether a list of errors has one: by its name, or by one that stands for many."""
    anything = "States.ALL" in wanted or ("States.TaskFailed" in wanted and name != "States.Timeout")
    return anything or name in wanted
