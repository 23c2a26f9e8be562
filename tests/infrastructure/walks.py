"""Walks through a state machine's definition as data: where a state leads, and what has been said on the way there."""

import json
from collections.abc import Collection, Iterator, Set
from typing import Any

from local import build

State = dict[str, Any]

FAULT = "States.ALL"
DEFAULT = "default"


class Walk:
    """One definition of statemachines/, as a graph."""

    def __init__(self, name: str) -> None:
        """Read the definition of this name."""
        self.document: dict[str, Any] = json.loads((build.ROOT / "statemachines" / f"{name}.asl.json").read_text())
        self.states: dict[str, State] = self.document["States"]

    def of_type(self, kind: str) -> dict[str, State]:
        """Return the states of one type by their names."""
        return {name: state for name, state in self.states.items() if state["Type"] == kind}

    def ways(self, name: str) -> dict[str, str]:
        """Return where a state leads: by the answer for a choice, by FAULT for what is caught, by "next" else."""
        state = self.states[name]
        found: dict[str, str] = {}
        for catcher in state.get("Catch", ()):
            found[FAULT] = catcher["Next"]
        for rule in state.get("Choices", ()):
            found[rule.get("StringEquals", json.dumps(rule))] = rule["Next"]
        if "Default" in state:
            found[DEFAULT] = state["Default"]
        if "Next" in state:
            found["next"] = state["Next"]
        return found

    def reachable(self, start: str, without: Collection[str] = ()) -> set[str]:
        """Return every state on any way from `start`, itself among them; no way goes through those of `without`."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name not in found and name not in without:
                found.add(name)
                waiting += self.ways(name).values()
        return found

    def first_tasks(self, start: str) -> set[str]:
        """Return the first tasks, or ends, on each way from `start`: what is decided between is not one."""
        if self.states[start]["Type"] != "Choice":
            return {start}
        return {task for target in self.ways(start).values() for task in self.first_tasks(target)}

    def said_before(self, given: Set[str]) -> dict[str, Set[str]]:
        """Return for each state the paths that are set whichever way it was come by, where a run is `given` some."""
        said: dict[str, Set[str]] = {self.document["StartAt"]: frozenset(given)}
        waiting = [self.document["StartAt"]]
        while waiting:
            name = waiting.pop()
            for target, paths in self._told(name, said[name]):
                known = said[target] & paths if target in said else paths
                if target not in said or known != said[target]:
                    said[target] = known
                    waiting.append(target)
        return said

    def _told(self, name: str, said: Set[str]) -> Iterator[tuple[str, Set[str]]]:
        """Yield each state that follows, with the paths that are set on this way to it."""
        state = self.states[name]
        for catcher in state.get("Catch", ()):
            yield catcher["Next"], said | _placed(catcher["ResultPath"], ("Error", "Cause"))
        if state["Type"] == "Task":
            fields = [field.removesuffix(".$") for field in state.get("ResultSelector", {})]
            said = said | _placed(state["ResultPath"], fields)
        for way, target in self.ways(name).items():
            if way != FAULT:
                yield target, said


def _placed(path: str, fields: Collection[str]) -> Set[str]:
    return frozenset({path, *(f"{path}.{field}" for field in fields)})


def asked_by(choice: State) -> Iterator[dict[str, Any]]:
    """Yield every single test that a choice makes."""
    for rule in choice["Choices"]:
        yield from rule.get("Or", [rule])


def paths_in(template: Any) -> Iterator[str]:
    """Yield every path of the input that a payload template reads; those of the context are not of the input."""
    if isinstance(template, dict):
        for key, value in template.items():
            if key.endswith(".$") and not value.startswith("$$"):
                yield value
            elif not key.endswith(".$"):
                yield from paths_in(value)
