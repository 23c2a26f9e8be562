"""`make sam-local`: the first sale through `sam local start-api`, the same code in containers, on a local store."""

import contextlib
import copy
import ipaddress
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local import build, demo, template
from local.client import Answer, Client
from local.stack import REGION, Stack, free_port, port_is_free
from local.terminal import Failure, Steps, Stopped, fail, said_last, stop_when_asked

NAMED = {
    "TABLE_NAME": "TableName",
    "IDENTITY_TABLE_NAME": "IdentityTableName",
    "EXPIRY_QUEUE_URL": "ExpiryQueueUrl",
    "DEAD_LETTER_QUEUE_URL": "DeadLetterQueueUrl",
    "SYNC_TABLE_NAME": "SyncTableName",
    "SYNC_QUEUE_URL": "SyncQueueUrl",
    "CHECKOUT_WORKFLOW_ARN": "CheckoutWorkflowArn",
    "REFUND_WORKFLOW_ARN": "RefundWorkflowArn",
    "TOKEN_ISSUER": "TokenIssuer",
    "TOKEN_CLIENT_ID": "UserPoolClientId",
    "USER_POOL_ID": "UserPoolId",
}
"""The variables that name what functions use, by the stack's outputs that do."""

SECONDS_TO_START = 120


def host_address() -> str:
    """This machine's address as containers see it: the bridge's own where Docker runs here, else Docker Desktop's."""
    if sys.platform != "linux":
        return "host.docker.internal"
    inspected = _docker("network", "inspect", "bridge")
    (config, *_) = json.loads(inspected)[0]["IPAM"]["Config"]
    first = next(ipaddress.ip_network(config["Subnet"]).hosts())
    return str(config.get("Gateway") or first)


def check_docker() -> None:
    """Fail with a sentence unless a Docker engine answers."""
    if shutil.which("docker") is None:
        raise Failure("sam local runs functions in containers, and there is no docker on the path")
    _docker("info", "--format", "{{.ServerVersion}}")


def has_image() -> bool:
    """Whether the image that functions run in is on this machine, so that none is pulled."""
    tag = f"public.ecr.aws/lambda/python:{build.PYTHON_VERSION}-{build.ARCHITECTURE}"
    done = subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False)
    return done.returncode == 0


def make_store(store: Stack) -> dict[str, str]:
    """Deploy everything into the emulator, workflows and what they call too; returns the variables that name it."""
    store.deploy()
    return {variable: store.outputs[output] for variable, output in NAMED.items()}


def told_apart(document: dict[str, Any]) -> dict[str, Any]:
    """Return the built template with the public routes of each function that has others too at a copy of it.

    sam local gives all methods that one function has at one address the same authorizer, or none, as it happens.
    """
    resources = copy.deepcopy(document["Resources"])
    for name, function in document["Resources"].items():
        if function["Type"] != "AWS::Serverless::Function":
            continue
        events = function["Properties"].get("Events", {})
        routes = {key: event for key, event in events.items() if event["Type"] == "Api"}
        public = {key for key, event in routes.items() if _is_public(event)}
        if public and public != set(routes):
            twin = resources[f"Public{name}"] = copy.deepcopy(function)
            twin["Properties"]["Events"] = {key: routes[key] for key in public}
            for key in public:
                del resources[name]["Properties"]["Events"][key]
    return {**document, "Resources": resources}


def _is_public(event: dict[str, Any]) -> bool:
    return bool(event["Properties"].get("Auth", {}).get("Authorizer") == "NONE")


def write_told_apart() -> Path:
    """Write that template beside the built one, whose folders it names; returns where."""
    written = build.BUILD / "sam-local.json"
    written.write_text(json.dumps(told_apart(template.read(build.BUILD / "template.yaml"))))
    return written


@contextlib.contextmanager
def serving(store: Stack, endpoint_url: str, variables: dict[str, str]) -> Iterator[str]:
    """Run `sam local start-api` over the built template; yields its base URL."""
    port = free_port()
    settings = store.log.parent / "sam-local.json"
    of_this_machine = {
        "AWS_ENDPOINT_URL": endpoint_url,
        "JWKS_URL": f"{endpoint_url}/{variables['USER_POOL_ID']}/.well-known/jwks.json",
    }
    settings.write_text(json.dumps({"Parameters": variables | of_this_machine}))
    overrides = build.parameters() | {"Stage": "local", "AwsEndpointUrl": endpoint_url}
    command = ["sam", "local", "start-api", "--port", str(port), "--host", "127.0.0.1", "--region", REGION]
    command += ["--template", str(write_told_apart()), "--env-vars", str(settings)]
    command += ["--warm-containers", "LAZY", *(["--skip-pull-image"] if has_image() else [])]
    command += ["--parameter-overrides", *(f"{name}={value}" for name, value in overrides.items())]
    log = store.log.parent / "sam-local.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command,
            cwd=build.ROOT,
            env=store.client_environment(),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while port_is_free(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"sam local did not start; what it printed is in {log}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        # An interrupt lets sam take its containers away.
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        if process.poll() is None:
            process.kill()
            process.wait()


def sell(base_url: str, service_key: str) -> None:
    """Sell something, and see that nobody else can."""
    client = Client(base_url, service_key)
    _expect("without a key nothing is told", Client(base_url, None).get("/api/products"), 401)
    unknown = Client(base_url, f"hk_{demo.TENANT}_{'0' * 64}")
    _expect("nor with an unknown one", unknown.get("/api/products"), 401)
    _expect("the service is well", client.get("/api/v1/health"), 200)
    product = _expect("a product is put on sale", client.post("/api/products", demo.PRODUCTS[2]), 201).body["data"]
    status = f"/api/products/{product['id']}/status"
    line = {"kind": "product", "product_id": product["id"], "quantity": 1}
    wanted = {"items": [line], "user_id": "ada"}
    key = uuid.uuid4().hex
    held = _expect("it is held", client.post("/api/v1/reservations", wanted, key), 201).body
    again = _expect("the same request again", client.post("/api/v1/reservations", wanted, key), 201).body
    if held["id"] != again["id"]:
        raise Failure("the same request with the same key made a second reservation")
    _expect("another finds it sold out", client.post("/api/v1/reservations", wanted, uuid.uuid4().hex), 409)
    _expect("it is let go", client.delete(f"/api/v1/reservations/{held['id']}"), 200, 204)
    deal = {"user_id": "grace", "product_id": product["id"], "quantity": 1}
    _expect("another reserves it", client.post("/api/reserve", deal), 200)
    _expect("and buys it", client.post("/api/checkout", deal), 200)
    left = _expect("the counters agree", client.get(status), 200).body["data"]
    if (left["available_stock"], left["reserved_stock"], left["sold_stock"]) != (0, 0, 1):
        raise Failure(f"after the sale the counters are {left}")
    _expect("the API document is served", client.get("/api/v1/openapi.json"), 200)
    _come_in(base_url)


def _come_in(base_url: str) -> None:
    """Sign up and in, and be let in by an access token, which is verified by the keys that the pool publishes."""
    guest = Client(base_url, None, demo.TENANT)
    account = {"email": "ada@example.com", "password": demo.PASSWORD}
    waiting = _expect("somebody signs up", guest.post("/api/users/signup", account), 201).body
    # An emulated pool that checks nothing takes any code.
    code = {"id": waiting["id"], "code": "123456"}
    _expect("confirms the address", guest.post("/api/users/confirm", code), 200)
    session = _expect("and signs in", guest.post("/api/users/signin", account), 200).body
    token = session["access_token"]
    _expect("the token lets them in", Client(base_url, token).get("/api/v1/reservations"), 200)
    header, claims, signature = token.split(".")
    forged = ".".join((header, claims, signature[::-1]))
    _expect("a forged one does not", Client(base_url, forged).get("/api/v1/reservations"), 401)


def _expect(what: str, answer: Answer, *statuses: int) -> Answer:
    if answer.status not in statuses:
        raise Failure(f"{what}: answered {answer.status} {answer.body}")
    print(f"    {what}: {answer.status}", flush=True)
    return answer


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"sam local runs functions in containers, and no Docker answers. {said_last(done.stderr, 1)}")
    return done.stdout


def run() -> None:
    """Build, start a store, serve, and make the first sale."""
    steps = Steps(4)
    check_docker()
    steps.begin("Building functions and layers")
    build.build()
    address = host_address()
    store = Stack(free_port(), "127.0.0.1" if address == "host.docker.internal" else address)
    endpoint_url = f"http://{address}:{store.port}"
    try:
        steps.begin("Deploying into a local store")
        store.start()
        variables = make_store(store)
        key = demo.issue_service_key(store, demo.TENANT, "sam local")
        steps.begin("Starting sam local")
        with serving(store, endpoint_url, variables) as base_url:
            steps.begin(f"Making the first sale on {base_url}")
            sell(base_url, key)
    finally:
        store.stop()
    store.forget()
    print(f"\nThe first sale went through sam local, in {steps.seconds():.0f} s.")


def main() -> int:
    """Run; a failure is one sentence and exit code 1, and so is being asked to stop."""
    stop_when_asked()
    try:
        run()
    except Failure as failure:
        return fail(failure)
    except Stopped:
        return fail(Failure("it was asked to stop."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
