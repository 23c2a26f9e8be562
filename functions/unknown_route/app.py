"""Every address that no other function has: 404, or 405 with the methods that there are, and OPTIONS.

Where API Gateway keeps a known address with another method to itself, its gateway response says the same 405.
"""

import re
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from holdfast.platform import http
from holdfast.platform.errors import NotFound

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

ROUTES: dict[str, list[str]] = {
    "/api/checkout": ["POST", "PUT"],
    "/api/events": ["GET", "POST"],
    "/api/events/{event_id}": ["GET"],
    "/api/events/{event_id}/seats": ["POST"],
    "/api/events/{event_id}/ticket-types": ["POST"],
    "/api/initial-call/{event_id}": ["GET"],
    "/api/orders": ["GET", "POST"],
    "/api/orders/{order_id}": ["GET", "PATCH"],
    "/api/payments": ["POST"],
    "/api/products": ["GET", "POST"],
    "/api/products/{product_id}": ["GET", "PATCH"],
    "/api/products/{product_id}/status": ["GET"],
    "/api/purchases/{purchase_id}": ["GET"],
    "/api/reserve": ["POST"],
    "/api/reserve/bulk": ["POST"],
    "/api/reserve/{user_id}/{product_id}": ["DELETE"],
    "/api/tickets": ["GET", "POST"],
    "/api/tickets/{ticket_id}": ["GET", "PUT"],
    "/api/users/{user_id}/reservations": ["GET"],
    "/api/v1/bookings": ["GET", "POST"],
    "/api/v1/bookings/check-availability": ["POST"],
    "/api/v1/bookings/venue/{venue_id}/availability": ["GET"],
    "/api/v1/bookings/{booking_id}": ["GET"],
    "/api/v1/bookings/{booking_id}/cancel": ["POST"],
    "/api/v1/bookings/{booking_id}/confirm": ["POST"],
    "/api/v1/check-in": ["POST"],
    "/api/v1/check-in/keys": ["GET"],
    "/api/v1/docs": ["GET"],
    "/api/v1/events/{event_id}/seats": ["GET"],
    "/api/v1/health": ["GET"],
    "/api/v1/openapi.json": ["GET"],
    "/api/v1/orders": ["GET"],
    "/api/v1/orders/{order_id}": ["GET"],
    "/api/v1/orders/{order_id}/cancel": ["POST"],
    "/api/v1/orders/{order_id}/refund": ["POST"],
    "/api/v1/orders/{order_id}/tickets": ["GET"],
    "/api/v1/reservations": ["GET", "POST"],
    "/api/v1/reservations/{reservation_id}": ["DELETE", "GET"],
    "/api/v1/reservations/{reservation_id}/checkout": ["POST"],
    "/api/v1/reservations/{reservation_id}/extend": ["POST"],
    "/api/v1/settings/payments": ["GET", "PUT"],
    "/api/v1/users": ["GET", "POST"],
    "/api/v1/users/phone/{phone}": ["GET"],
    "/api/v1/users/{user_id}": ["GET", "PATCH"],
    "/api/v1/venues": ["GET", "POST"],
    "/api/v1/venues/{venue_id}": ["GET", "PATCH"],
    "/api/v1/venues/{venue_id}/availability": ["GET"],
    "/api/v1/venues/{venue_id}/blackouts": ["POST"],
    "/api/v1/venues/{venue_id}/blackouts/{blackout_id}": ["DELETE"],
    "/api/v1/venues/{venue_id}/bookings": ["POST"],
    "/sandbox/{tenant}/payments/{payment_id}": ["POST"],
    "/webhooks/{provider}/{tenant}": ["POST"],
}
"""The routes of the API document; a test holds the two against each other."""

_PATTERNS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in ROUTES.items()]

resolver = APIGatewayRestResolver()


@resolver.route(".*", method=METHODS)
def answer() -> Response[Any]:
    """Answer any method at an address that is not this function's to serve."""
    path = resolver.current_event.path
    allowed = next((methods for pattern, methods in _PATTERNS if pattern.fullmatch(path)), None)
    if allowed is None:
        raise NotFound
    if resolver.current_event.http_method == "OPTIONS":
        return Response(204, headers={"Allow": ", ".join([*allowed, "OPTIONS"])})
    raise http.MethodNotAllowed([*allowed, "OPTIONS"])


handler = http.entry(resolver, public=True)
