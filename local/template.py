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
        for location in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
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
