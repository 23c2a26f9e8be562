"""A user pool in an emulator of its own, which holds to codes, hashes and revoked tokens as it is told by AUTH."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from holdfast.platform import user_pool
from holdfast.platform.user_pool import AccountPool, connect_client
from local import template
from local.stack import CREDENTIALS, REGION, free_port

ROOT = Path(__file__).resolve().parents[2]

SIGN_UP_CODE, RESET_CODE = "123456", "654321"
"""What the emulator mails, always."""


@dataclass(frozen=True)
class Emulated:
    """The emulated pool: its ids, where it is, and the client to look at it with."""

    pool_id: str
    client_id: str
    url: str
    cognito: Any

    def user(self, tenant: str, user_id: str) -> dict[str, Any]:
        """Return an account as the pool has it; its attributes by their names."""
        found: dict[str, Any] = self.cognito.admin_get_user(UserPoolId=self.pool_id, Username=f"{tenant}.{user_id}")
        return found | {attribute["Name"]: attribute["Value"] for attribute in found["UserAttributes"]}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an emulator listens that lets nobody pass who could not pass AWS."""
    scratch, port = tmp_path_factory.mktemp("emulator"), free_port()
    programs = Path(sys.executable).parent
    environment = CREDENTIALS | {
        "AUTH": "true",
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "TMPDIR": str(scratch),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "S3_DATA_DIR": str(scratch / "s3"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    log = scratch / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs / "ministack")],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _is_ready(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_ministack/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def emulated(emulator: str) -> Emulated:
    """A pool with the properties that the template gives it."""
    cognito = boto3.client(
        "cognito-idp",
        endpoint_url=emulator,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    declared = template.read(ROOT / "template.yaml")["Resources"]
    pool, client = (declared[name]["Properties"] for name in ("UserPool", "UserPoolClient"))
    shared = ("UsernameConfiguration", "AutoVerifiedAttributes", "AccountRecoverySetting", "Policies")
    made: Any = {name: pool[name] for name in shared}
    pool_id = cognito.create_user_pool(PoolName="accounts", **made)["UserPool"]["Id"]
    assert pool["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
    cognito.set_user_pool_mfa_config(
        UserPoolId=pool_id,
        SoftwareTokenMfaConfiguration={"Enabled": True},
        MfaConfiguration=pool["MfaConfiguration"],
    )
    own: Any = {name: value for name, value in client.items() if name not in ("ClientName", "UserPoolId")}
    client_id = cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="accounts", **own)["UserPoolClient"]
    return Emulated(pool_id, client_id["ClientId"], emulator, cognito)


@pytest.fixture
def pool(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccountPool]:
    """The pool as the functions reach it."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    reached = {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": emulated.url, "AWS_DEFAULT_REGION": REGION}
    for name, value in (CREDENTIALS | reached).items():
        monkeypatch.setenv(name, value)
    # The SDK's own session keeps the credentials that it found first, which may be another test's.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    user_pool.client.cache_clear()
    yield connect_client(emulated.pool_id, emulated.client_id)
    user_pool.client.cache_clear()
