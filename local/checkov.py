"""checkov over the production template as CloudFormation gets it: as it is deployed, and with every switch on.

What it finds and we leave is said in template.yaml, with the reason: at a resource (`Metadata: checkov: skip:`), or for
all resources of one type in the template's own Metadata. An exception that nothing needs any longer is a failure too.
checkov asks for packages that contradict ours, so it has an environment and a lock of its own.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from local import build, template
from local.terminal import Failure, fail, said_last
from operations import deploy

LOCK = build.ROOT / "checkov.lock"
ENVIRONMENT = build.STATE / "checkov"

SWITCHES = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:alarms",
    "AllowedOrigins": "*",
    "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/0",
    "CustomerKey": "true",
    "Firewall": "true",
    "MailFrom": "no-reply@example.com",
    "MailIdentityArn": "arn:aws:ses:us-east-1:000000000000:identity/example.com",
    "Partners": '{"tours": {"adapter": "inventory", "base_url": "https://api.example.com"}}',
    "PublicDomain": "example.com",
    "Tracing": "true",
}
"""Every parameter that adds something to the template, so that this is looked at too."""

Document = dict[str, Any]


class Left(NamedTuple):
    """A check that is not heeded at a resource, or at all resources of a type."""

    check: str
    where: str


class Finding(NamedTuple):
    """A check that failed, or that was left out, at a resource of the transformed template."""

    check: str
    resource: str
    says: str


def left_out(written: Document) -> dict[Left, str]:
    """Return everything that the template excepts from checks, with its reason; raises Failure where there is none."""
    lists: dict[str, list[dict[str, str]]] = dict(written.get("Metadata", {}).get("checkov", {}))
    for name, resource in written["Resources"].items():
        if skipped := resource.get("Metadata", {}).get("checkov", {}).get("skip"):
            lists[name] = skipped
    found = {Left(item["id"], where): item.get("comment", "") for where, items in lists.items() for item in items}
    if bare := [left for left, reason in found.items() if not reason.strip()]:
        raise Failure(f"template.yaml leaves out checks and does not say why: {bare}")
    return found


def origin(name: str, written: Document) -> str:
    """Return the written resource that a transformed one is, or that SAM made it of: "ApiStage" of "Api"."""
    sources = [source for source in written["Resources"] if name.startswith(source)]
    return name if name in sources else max(sources, key=len, default="")


def excepted(written: Document, parameters: dict[str, str]) -> Document:
    """Return the template resolved for these parameters, each resource with what is left out at it."""
    document = template.resolved(template.transformed(written), **parameters)
    reasons = left_out(written)
    for name, resource in document["Resources"].items():
        places = (resource["Type"], origin(name, written))
        skipped = [{"id": left.check, "comment": why} for left, why in reasons.items() if left.where in places]
        resource["Metadata"] = {"checkov": {"skip": skipped}}
    return document


def problems(written: Document, runs: list[tuple[list[Finding], list[Finding]]]) -> Iterator[str]:
    """Return what is wrong, a sentence each: what failed in a run, and exceptions that no run made use of."""
    for failed in sorted({finding for failures, _ in runs for finding in failures}):
        yield f"{failed.resource}: {failed.check}, {failed.says}"
    kinds = {finding.resource: finding.resource.rpartition(".") for _, skipped in runs for finding in skipped}
    used = {
        Left(finding.check, where)
        for _, skipped in runs
        for finding in skipped
        for where in (kinds[finding.resource][0], origin(kinds[finding.resource][2], written))
    }
    for left in sorted(set(left_out(written)) - used):
        yield f"{left.where}: {left.check} is left out in template.yaml, but nothing there fails it"


def program() -> Path:
    """Return checkov, installed from its lock on first use, each package checked against its hash."""
    stamp = ENVIRONMENT / "made-from"
    made_from = hashlib.sha256(f"{sys.version} {ENVIRONMENT}\n".encode() + LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_from:
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT)
        python = ENVIRONMENT / "bin" / "python"
        _uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK)
        stamp.write_text(made_from)
    return ENVIRONMENT / "bin" / "checkov"


def _uv(*arguments: str | Path) -> None:
    command = [str(Path(sys.executable).parent / "uv"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"checkov could not be installed; is there a network? {said_last(done.stderr)}")


def looked_at(document: Document, name: str) -> tuple[list[Finding], list[Finding]]:
    """Return what checkov finds wrong with a document, and what it leaves out; raises Failure where it cannot look."""
    path = ENVIRONMENT / f"{name}.json"
    path.write_text(json.dumps(document))
    # The mapping and the question for a newer version are all that it would ask the network for.
    quiet = {"BC_SKIP_MAPPING": "TRUE", "CKV_SKIP_PACKAGE_UPDATE_CHECK": "TRUE", "LOG_LEVEL": "ERROR"}
    command = [str(ENVIRONMENT / "bin" / "checkov"), "--file", str(path), "--framework", "cloudformation"]
    done = subprocess.run(
        [*command, "--skip-download", "--compact", "--output", "json"],
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
        results = report["results"]
        broken = report["summary"]["parsing_errors"] or not report["summary"]["passed"]
    except (ValueError, KeyError, TypeError):
        broken, results = True, {}
    if broken:
        raise Failure(f"checkov could not read the template. {said_last(done.stdout + done.stderr)}")
    return _findings(results["failed_checks"]), _findings(results["skipped_checks"])


def _findings(checks: list[dict[str, Any]]) -> list[Finding]:
    return [Finding(check["check_id"], check["resource"], check["check_name"]) for check in checks]


def run() -> list[str]:
    """Look at the template in both ways at once, and return what is wrong with it."""
    written = template.read(build.ROOT / "template.yaml")
    deployed = deploy.parameters_of("prod", [])
    documents = {
        "deployed": excepted(written, deployed),
        "switched-on": excepted(written, deployed | SWITCHES),
    }
    program()
    with ThreadPoolExecutor(len(documents)) as pool:
        runs = list(pool.map(looked_at, documents.values(), documents))
    return list(problems(written, runs))


def main() -> int:
    """Say what is wrong, a line each."""
    try:
        found = run()
    except Failure as failure:
        return fail(failure)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
