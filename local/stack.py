"""The whole of Holdfast on this machine: the real template, deployed into MiniStack, an emulator of AWS."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import build, template
from local.terminal import Failure, said_last

if TYPE_CHECKING:
    from botocore.client import BaseClient

STACK_NAME = "holdfast-local"
REGION = "us-east-1"
# Not secrets: an emulator takes any, and no account accepts these.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def port_is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether nobody listens on the port at this machine's address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


class Stack:
    """One emulated AWS and one deployment of Holdfast in it.

    `127.0.0.1` is the API and `localhost` is AWS, on the same port: the emulator goes by the name that was asked for.
    """

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.endpoint_url = f"http://{'localhost' if address == '127.0.0.1' else address}:{port}"
        self.outputs: dict[str, str] = {}
        self._address = address
        self._state = build.STATE / f"stack-{port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def secrets_prefix(self) -> str:
        """What the names of all secrets of the stack begin with."""
        return f"/{STACK_NAME}"

    @property
    def log(self) -> Path:
        """What the emulator and the functions in it print."""
        return self._state / "ministack.log"

    def start(self) -> None:
        """Start the emulator and wait until it answers."""
        if not port_is_free(self.port, self._address):
            raise Failure(f"port {self.port} is in use; stop what listens there, or choose another: make run PORT=4000")
        shutil.rmtree(self._state, ignore_errors=True)
        scratch = self._state / "tmp"
        scratch.mkdir(parents=True)
        # Functions inherit the emulator's environment, so it gets none of this shell's: what a function needs and the
        # template does not set has to be missing here as it would be on AWS.
        environment = CREDENTIALS | {
            "PATH": self._path(),
            "HOME": os.environ.get("HOME", str(self._state)),
            "LANG": "C.UTF-8",
            "TMPDIR": str(scratch),
            "NO_PROXY": f"localhost,127.0.0.1,{self._address}",
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": self._address,
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "S3_DATA_DIR": str(self._state / "s3"),
            "AWS_EC2_METADATA_DISABLED": "true",
            # Workflows try again after a tenth of the time, so that who tries a fault out need not wait for minutes.
            "SFN_WAIT_SCALE": "0.1",
        }
        with self.log.open("wb") as log:
            emulator = self._spawn([self._program("ministack")], environment, log)
        deadline = time.monotonic() + 30
        while not self._answers("/_ministack/ready"):
            if emulator.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the emulator did not start; its log is {self.log}")
            time.sleep(0.05)

    def deploy(self, **parameters: str) -> None:
        """`sam deploy` the built template into the emulator, and nowhere else."""
        if not self._answers("/_ministack/ready"):
            raise Failure("the emulator does not answer, and nothing is ever deployed to a real account from here")
        built = build.build()
        values = build.parameters() | {
            "Stage": "local",
            "ApiHost": "127.0.0.1",
            "AwsEndpointUrl": self.endpoint_url,
            "LogRetentionDays": "1",
            "DefaultPaymentProviders": "sandbox",
            **parameters,
        }
        command = [self._program("sam"), "deploy", "--config-env", "local"]
        command += ["--config-file", str(build.ROOT / "samconfig.toml"), "--template-file", str(built)]
        with (self._state / "deploy.log").open("w+b") as log:
            command += ["--parameter-overrides", *build.overrides(values)]
            deployment = self._spawn(command, self.client_environment(), log)
            if deployment.wait(timeout=300) != 0:
                log.seek(0)
                raise Failure(f"sam deploy failed. {said_last(log.read().decode(errors='replace'))}")
        self.outputs = self._read_outputs()
        self._apply_gateway_responses(built, values)

    def stop(self) -> None:
        """Stop everything that was started here."""
        for process in reversed(self._processes):
            stop_group(process)
        self._processes.clear()
        shutil.rmtree(self._state / "tmp", ignore_errors=True)
        shutil.rmtree(self._state / "s3", ignore_errors=True)

    def forget(self) -> None:
        """Take away what a stopped stack leaves for a person to look at: its logs."""
        shutil.rmtree(self._state, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether the emulator is still there."""
        return bool(self._processes) and self._processes[0].poll() is None

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated AWS."""
        import boto3

        client: BaseClient = boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        return client

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Let the library of this process talk to the emulated AWS, as the functions in it do."""
        before = dict(os.environ)
        os.environ.update(self.client_environment())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def function_name(self, folder: str) -> str:
        """The deployed name of the function in functions/<folder>."""
        logical = "".join(word.capitalize() for word in folder.split("_")) + "Function"
        described = self.client("cloudformation").describe_stack_resource(
            StackName=STACK_NAME, LogicalResourceId=logical
        )
        return str(described["StackResourceDetail"]["PhysicalResourceId"])

    def client_environment(self) -> dict[str, str]:
        """This shell's environment, with every way to a real account replaced by the way to the emulator."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | CREDENTIALS | {
            "PATH": self._path(),
            "NO_PROXY": f"localhost,127.0.0.1,{self._address}",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
        }  # fmt: skip

    def _path(self) -> str:
        return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def _program(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    def _spawn(self, command: list[str], environment: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=build.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def _answers(self, path: str) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(self.endpoint_url + path, timeout=2) as answer:
                status: int = answer.status
        except (urllib.error.URLError, OSError):
            return False
        return status == 200

    def _read_outputs(self) -> dict[str, str]:
        described = self.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def _apply_gateway_responses(self, built: Path, parameters: dict[str, str]) -> None:
        """Give the API the template's gateway responses, which the emulator's import of a definition leaves out."""
        resources = template.resolved(template.transformed(template.read(built)), **parameters)["Resources"]
        responses = resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
        gateway = self.client("apigateway")
        api = self.outputs["ApiId"]
        for response_type, response in responses.items():
            status = {"statusCode": str(response["statusCode"])} if "statusCode" in response else {}
            gateway.put_gateway_response(
                restApiId=api,
                responseType=response_type,
                responseParameters=response.get("responseParameters", {}),
                responseTemplates=response["responseTemplates"],
                **status,
            )
        gateway.create_deployment(restApiId=api, stageName="local")


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything it started; it leads a session of its own."""
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
