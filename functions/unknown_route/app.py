"""Every address that no other function has: 404, or 405 with the methods that there are, and OPTIONS.

Where API Gateway keeps a known address with another method to itself, its gateway response says the same 405.
"""

import re
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from holdfast.platform import access, http
from holdfast.platform.errors import NotFound

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

_PATTERNS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", address)), address) for address in access.ROUTES]

resolver = APIGatewayRestResolver()


@resolver.route(".*", method=METHODS)
def answer() -> Response[Any]:
    """Answer any method at an address that is not this function's to serve."""
    path = resolver.current_event.path
    address = next((address for pattern, address in _PATTERNS if pattern.fullmatch(path)), None)
    if address is None:
        raise NotFound
    allowed = http.methods_of(address)
    if resolver.current_event.http_method == "OPTIONS":
        return Response(204, headers={"Allow": ", ".join(allowed)})
    raise http.MethodNotAllowed(allowed)


handler = http.entry(resolver)
