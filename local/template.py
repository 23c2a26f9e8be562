"""The template as CloudFormation sees it: transformed by SAM's own translator."""

import copy
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


def read(path: Path) -> dict[str, Any]:
    """The template as written, short intrinsics spelled out."""
    document: dict[str, Any] = yaml_parse(path.read_text())
    return document


def transformed(template: dict[str, Any], region: str = "us-east-1") -> dict[str, Any]:
    """Plain CloudFormation, every serverless resource expanded."""
    packaged = copy.deepcopy(template)
    for name, resource in packaged["Resources"].items():
        for location in {"CodeUri", "ContentUri", "DefinitionUri"} & resource.get("Properties", {}).keys():
            # `sam package` puts an address here; the translator takes no path.
            resource["Properties"][location] = f"s3://built/{name}"
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        document: dict[str, Any] = transform(packaged, {}, SimpleNamespace(load=dict))
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before
    return document


def resolved(document: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """The transformed document as it is for these parameters: conditions decided, parameters filled in.

    References to resources stay as they are; what a condition leaves out is gone.
    """
    declared = document.get("Parameters", {})
    values: dict[str, Any] = {name: declaration.get("Default") for name, declaration in declared.items()}
    values |= {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000"}
    values |= {"AWS::StackName": "holdfast", "AWS::URLSuffix": "amazonaws.com"} | parameters
    reading = _Reading(values, document.get("Conditions", {}))
    resources = {
        name: reading.value(resource)
        for name, resource in document["Resources"].items()
        if reading.holds({"Condition": resource["Condition"]} if "Condition" in resource else True)
    }
    return {"Resources": resources, "Outputs": reading.value(document.get("Outputs", {}))}


class _Reading:
    """One reading of a document, with every parameter known."""

    _ABSENT = object()

    def __init__(self, values: dict[str, Any], conditions: dict[str, Any]) -> None:
        self._values = values
        self._conditions = conditions

    def holds(self, condition: Any) -> bool:
        """Whether a condition, named or written out, is true."""
        match condition:
            case bool():
                return condition
            case str() as name:
                return self.holds(self._conditions[name])
            case {"Condition": name}:
                return self.holds(self._conditions[name])
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::And": parts}:
                return all(self.holds(part) for part in parts)
            case {"Fn::Or": parts}:
                return any(self.holds(part) for part in parts)
            case {"Fn::Equals": [left, right]}:
                return str(self.value(left)) == str(self.value(right))
        raise ValueError(f"not a condition: {condition}")

    def value(self, node: Any) -> Any:
        """The node with every intrinsic filled in that parameters alone decide."""
        match node:
            case {"Ref": "AWS::NoValue"}:
                return self._ABSENT
            case {"Ref": name} if name in self._values:
                return self._values[name]
            case {"Fn::If": [condition, yes, no]}:
                return self.value(yes if self.holds(condition) else no)
            case {"Fn::Sub": str() as text}:
                return self._substituted(text, {})
            case {"Fn::Sub": [text, known]}:
                return self._substituted(text, {name: self.value(part) for name, part in known.items()})
            case dict():
                parts = {name: self.value(part) for name, part in node.items()}
                return {name: part for name, part in parts.items() if part is not self._ABSENT}
            case list():
                return [part for part in map(self.value, node) if part is not self._ABSENT]
        return node

    def _substituted(self, text: str, known: dict[str, Any]) -> str:
        for name, part in (self._values | known).items():
            text = text.replace(f"${{{name}}}", part if isinstance(part, str) else f"<{part}>")
        return text
