"""Requests as API Gateway hands them to a function, with the headers that a client and its proxies send."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

TENANT = "bench"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": f"Bearer hk_{TENANT}_{'0' * 64}",
    "CloudFront-Forwarded-Proto": "https",
    "CloudFront-Viewer-Country": "DE",
    "Content-Type": "application/json",
    "Host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
    "User-Agent": "python-httpx/0.28.1",
    "Via": "1.1 0123456789abcdef.cloudfront.net (CloudFront)",
    "X-Amz-Cf-Id": "0123456789abcdef",
    "X-Amzn-Trace-Id": "Root=1-5f0c7c5e-0123456789abcdef01234567",
    "X-Forwarded-For": "192.0.2.1, 198.51.100.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}


@dataclass(frozen=True)
class Context:
    """The context of one invocation."""

    aws_request_id: str = "5f0c7c5e-0000-4000-8000-000000000003"

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""
        return 10_000


def reserve_event(user: str, items: list[dict[str, Any]], **policy: Any) -> dict[str, Any]:
    """Return the event of a request to hold these lines for a user, under an idempotency key of its own.

    `policy` is what the tenant has set.
    """
    made = event("POST", "/api/v1/reservations", {"items": items, "user_id": user})
    made["requestContext"]["authorizer"]["settings"] = json.dumps(policy) if policy else ""
    return made


def product_line(product: str) -> dict[str, Any]:
    """Return the line of a cart that is one of a product."""
    return {"kind": "product", "product_id": product, "quantity": 1}


def event(method: str, path: str, body: dict[str, Any], resource: str | None = None) -> dict[str, Any]:
    """Return the event of a request with this body, under an idempotency key of its own.

    `resource` is the address as the API's routes have it; by itself the path is one.
    """
    headers = _HEADERS | {"Idempotency-Key": uuid.uuid4().hex}
    return {
        "resource": resource or path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdefghij",
            "authorizer": {
                "tenant": TENANT,
                "name": "key-0123456789ab",
                "roles": "admin service staff",
                "scopes": "*",
                "credential": "key:0123456789abcdef",
                "settings": "",
            },
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": _HEADERS["User-Agent"]},
            "path": f"/prod{path}",
            "requestId": uuid.uuid4().hex,
            "resourcePath": resource or path,
            "stage": "prod",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
