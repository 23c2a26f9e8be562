"""What `make lint` leaves of checkov's findings: each with a reason, and none longer than it is needed."""

from typing import Any

import pytest

from local import build, checkov, template
from local.checkov import Finding
from local.terminal import Failure

WRITTEN = template.read(build.ROOT / "template.yaml")
SKIP = [{"id": "CKV_AWS_1", "comment": "Because."}]


def written(**resources: Any) -> dict[str, Any]:
    return {"Metadata": {"checkov": {"AWS::SQS::Queue": SKIP}}, "Resources": resources}


def test_every_exception_in_the_template_says_why() -> None:
    reasons = checkov.left_out(WRITTEN)
    assert reasons
    assert all(len(reason) > 15 for reason in reasons.values())


def test_an_exception_without_a_reason_fails() -> None:
    bare = {"Metadata": {"checkov": {"skip": [{"id": "CKV_AWS_1"}]}}}
    with pytest.raises(Failure, match="does not say why"):
        checkov.left_out(written(Queue=bare))


def test_what_sam_makes_of_a_resource_is_excepted_with_it() -> None:
    known = written(Api={}, ApiKey={})
    assert [checkov.origin(name, known) for name in ("Api", "ApiStage", "ApiKey", "ApiKeyRole", "Other")] == [
        "Api",
        "Api",
        "ApiKey",
        "ApiKey",
        "",
    ]


def test_a_finding_fails_and_one_that_is_left_out_does_not() -> None:
    found = Finding("CKV_AWS_2", "AWS::SQS::Queue.Queue", "Ensure this")
    left = Finding("CKV_AWS_1", "AWS::SQS::Queue.Queue", "Ensure that")
    assert list(checkov.problems(written(Queue={}), [([found], [left])])) == [
        "AWS::SQS::Queue.Queue: CKV_AWS_2, Ensure this"
    ]
    assert list(checkov.problems(written(Queue={}), [([], [left])])) == []


def test_an_exception_that_nothing_needs_fails() -> None:
    known = written(Queue={}, Api={"Metadata": {"checkov": {"skip": SKIP}}})
    stage = Finding("CKV_AWS_1", "AWS::ApiGateway::Stage.ApiStage", "Ensure that")
    assert list(checkov.problems(known, [([], [stage])])) == [
        "AWS::SQS::Queue: CKV_AWS_1 is left out in template.yaml, but nothing there fails it"
    ]


def test_every_switch_is_on_in_what_is_looked_at() -> None:
    document = template.transformed(WRITTEN)
    on = template.resolved(document, Stage="prod", **checkov.SWITCHES)["Resources"]
    left = {name: found["Condition"] for name, found in document["Resources"].items() if name not in on}
    assert set(left.values()) == {"HasApiHost"}, "what only an emulator has"
    assert {"EncryptionKey", "WebAcl", "PublicDomainName"} <= set(on)
