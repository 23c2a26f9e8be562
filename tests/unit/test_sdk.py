"""Our lighter session asks the same of DynamoDB as the SDK's own does, in every partition of AWS."""

import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from holdfast.platform.sdk import TableConnection


class Sent(Exception):
    """A request was made; it goes nowhere."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(name="request_of")
def _request_of() -> Callable[[Any], tuple[str, str, str]]:
    """Return the address, the signature's scope and the user agent of the request that a client makes."""

    def look(client: Any) -> tuple[str, str, str]:
        seen: list[Any] = []

        def keep(request: Any, **_: Any) -> None:
            seen.append(request)
            raise Sent

        client.meta.events.register("before-send.*.*", keep)
        with pytest.raises(Sent):
            client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in seen[0].headers.items()
        }
        scope = re.search(r"Credential=\w+/\d+/([^,]+)", headers["Authorization"])
        assert scope is not None
        return seen[0].url, scope[1], headers["User-Agent"]

    return look


@pytest.mark.parametrize(
    "region",
    [
        "us-east-1",
        "eu-central-1",
        "ap-southeast-7",
        "cn-north-1",
        "us-gov-west-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "me-central-9",
    ],
)
def test_requests_go_where_the_sdks_own_would_go(
    region: str, request_of: Callable[[Any], tuple[str, str, str]]
) -> None:
    ours = TableConnection(region=region).client
    theirs = boto3.client("dynamodb", region_name=region)
    assert request_of(ours)[:2] == request_of(theirs)[:2]
    assert ours.meta.partition == theirs.meta.partition


@pytest.mark.parametrize("variant", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1"])
def test_other_kinds_of_endpoint_are_the_sdks_own(
    region: str, variant: str, request_of: Callable[[Any], tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variant, "true")
    ours = TableConnection(region=region).client
    theirs = boto3.client("dynamodb", region_name=region)
    assert request_of(ours)[:2] == request_of(theirs)[:2]


@pytest.mark.parametrize("service", ["sts", "sso", "sso-oidc"])
def test_a_shells_credentials_may_have_to_be_asked_for(service: str) -> None:
    session = TableConnection(region="us-east-1").session
    assert session.create_client(service, region_name="us-east-1").meta.service_model.service_name == service


def test_an_address_of_our_own_is_kept(request_of: Callable[[Any], tuple[str, str, str]]) -> None:
    connection = TableConnection(region="us-east-1", host="http://127.0.0.1:8000")
    url, scope, agent = request_of(connection.client)
    assert (url, scope) == ("http://127.0.0.1:8000/", "us-east-1/dynamodb/aws4_request")
    assert agent.split()[0] == "holdfast"


def test_one_session_serves_a_connection() -> None:
    connection = TableConnection(region="us-east-1")
    assert connection.session is connection.session
    assert connection.client is connection.client
