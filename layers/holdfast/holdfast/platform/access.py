"""Who may call what: the one table of all routes, which the wrapper around every function goes by.

A route that is not in it is answered nobody. What of a tenant's things a caller then sees and changes is the
`Caller`'s to say.
"""

from typing import NamedTuple

CUSTOMER = "customer"
STAFF = "staff"
ADMIN = "admin"
SERVICE = "service"
OPERATOR = "operator"

EVERYBODY = frozenset({CUSTOMER, STAFF, ADMIN, SERVICE})
"""Customers with what is their own, all others of a tenant with what is their tenant's."""

TENANTS_OWN = frozenset({STAFF, ADMIN, SERVICE})
"""Everybody who sees all that is a tenant's."""

PEOPLE = frozenset({CUSTOMER, STAFF, ADMIN})
OFFICE = frozenset({STAFF, ADMIN})
ADMINS = frozenset({ADMIN})
KEEPERS = frozenset({ADMIN, OPERATOR})
OPERATORS = frozenset({OPERATOR})
PUBLIC: frozenset[str] = frozenset()
"""Nobody is asked who they are."""

CATCH_ALL = ("/", "/{proxy+}")
"""Where what no other route takes is answered, whatever its method."""

ALL_SCOPES = frozenset({"*"})
"""The scopes of people, and of keys that were not limited to any."""

AREAS = (
    "bookings",
    "catalogue",
    "check-in",
    "keys",
    "marketplace",
    "orders",
    "reservations",
    "settings",
    "sync",
    "tenants",
    "users",
)
"""What a key's scopes are about: `<area>:read` and `<area>:write`."""


class Access(NamedTuple):
    """What a route asks of its caller: one of `roles`, and of a key that its scopes have the route's area.

    Where money moves (PROTOCOL.md 25), and where access is given or taken, the credential `is_looked_at_anew`: what was
    revoked a moment ago is not let in there for the minute that API Gateway remembers it. What is `for_people` is about
    an account, which no key has.
    """

    roles: frozenset[str]
    area: str = ""
    is_looked_at_anew: bool = False
    for_people: bool = False

    @property
    def is_public(self) -> bool:
        """Return whether nobody is asked who they are."""
        return not self.roles


_public = Access(PUBLIC)
_reads_catalogue = Access(EVERYBODY, "catalogue")
_keeps_catalogue = Access(ADMINS, "catalogue")
_reserves = Access(EVERYBODY, "reservations")
_orders = Access(EVERYBODY, "orders")
_pays = Access(EVERYBODY, "orders", is_looked_at_anew=True)
_resells = Access(EVERYBODY, "marketplace")
_books = Access(EVERYBODY, "bookings")
_signs_out = Access(PEOPLE, for_people=True)
_keeps_account = Access(PEOPLE, is_looked_at_anew=True, for_people=True)
_knows_people = Access(TENANTS_OWN, "users")
_reads_settings = Access(ADMINS, "settings")
_sets = Access(ADMINS, "settings", is_looked_at_anew=True)
_reads_keys = Access(KEEPERS, "keys")
_keeps_keys = Access(KEEPERS, "keys", is_looked_at_anew=True)
_sees_person = Access(EVERYBODY, "users")
_has_person = Access(EVERYBODY, "users", is_looked_at_anew=True)
_reads_tenants = Access(OPERATORS, "tenants")
_operates = Access(OPERATORS, "tenants", is_looked_at_anew=True)

_syncs = Access(TENANTS_OWN, "sync")

ROUTES: dict[str, dict[str, Access]] = {
    "/api/checkout": {"POST": _pays, "PUT": _pays},
    "/api/events": {"GET": _reads_catalogue, "POST": _keeps_catalogue},
    "/api/events/{event_id}": {"GET": _reads_catalogue},
    "/api/events/{event_id}/seats": {"POST": _keeps_catalogue},
    "/api/events/{event_id}/ticket-types": {"POST": _keeps_catalogue},
    "/api/initial-call/{event_id}": {"GET": _reads_catalogue},
    "/api/orders": {"GET": _resells, "POST": _resells},
    "/api/orders/{order_id}": {"GET": _resells, "PATCH": _resells},
    "/api/payments": {"POST": _pays},
    "/api/products": {"GET": _reads_catalogue, "POST": _keeps_catalogue},
    "/api/products/{product_id}": {"GET": _reads_catalogue, "PATCH": _keeps_catalogue},
    "/api/products/{product_id}/status": {"GET": _reads_catalogue},
    "/api/purchases/{purchase_id}": {"GET": _orders},
    "/api/reserve": {"POST": _reserves},
    "/api/reserve/bulk": {"POST": _reserves},
    "/api/reserve/{user_id}/{product_id}": {"DELETE": _reserves},
    "/api/tickets": {"GET": _resells, "POST": _resells},
    "/api/tickets/{ticket_id}": {"GET": _resells, "PUT": _resells},
    "/api/users/confirm": {"POST": _public},
    "/api/users/confirm/resend": {"POST": _public},
    "/api/users/currentuser": {"GET": _public},
    "/api/users/forgot-password": {"POST": _public},
    "/api/users/password": {"POST": _keeps_account},
    "/api/users/refresh": {"POST": _public},
    "/api/users/reset-password": {"POST": _public},
    "/api/users/signin": {"POST": _public},
    "/api/users/signin/answer": {"POST": _public},
    "/api/users/signout": {"POST": _signs_out},
    "/api/users/signup": {"POST": _public},
    "/api/users/totp": {"DELETE": _keeps_account, "POST": _keeps_account},
    "/api/users/totp/confirm": {"POST": _keeps_account},
    "/api/users/{user_id}/reservations": {"GET": _reserves},
    "/api/v1/bookings": {"GET": _books, "POST": _books},
    "/api/v1/bookings/check-availability": {"POST": _public},
    "/api/v1/bookings/venue/{venue_id}/availability": {"GET": _public},
    "/api/v1/bookings/{booking_id}": {"GET": _books},
    "/api/v1/bookings/{booking_id}/cancel": {"POST": Access(EVERYBODY, "bookings", is_looked_at_anew=True)},
    "/api/v1/bookings/{booking_id}/confirm": {"POST": Access(OFFICE, "bookings", is_looked_at_anew=True)},
    "/api/v1/branding": {"GET": _public},
    "/api/v1/check-in": {"POST": Access(TENANTS_OWN, "check-in")},
    "/api/v1/check-in/keys": {"GET": _public},
    "/api/v1/docs": {"GET": _public},
    "/api/v1/events/{event_id}/seats": {"GET": _reads_catalogue},
    "/api/v1/experience/{experience_id}/dates": {"GET": _reads_catalogue},
    "/api/v1/experience/{experience_id}/slots": {"GET": _reads_catalogue},
    "/api/v1/experiences": {"GET": _reads_catalogue, "POST": _keeps_catalogue},
    "/api/v1/experiences/{experience_id}": {"GET": _reads_catalogue, "PATCH": _keeps_catalogue},
    "/api/v1/experiences/{experience_id}/slots": {"GET": _reads_catalogue},
    "/api/v1/health": {"GET": _public},
    "/api/v1/keys": {"GET": _reads_keys, "POST": _keeps_keys},
    "/api/v1/keys/{key_id}": {"DELETE": _keeps_keys},
    "/api/v1/keys/{key_id}/rotate": {"POST": _keeps_keys},
    "/api/v1/openapi.json": {"GET": _public},
    "/api/v1/orders": {"GET": _orders},
    "/api/v1/orders/{order_id}": {"GET": _orders},
    "/api/v1/orders/{order_id}/cancel": {"POST": _pays},
    "/api/v1/orders/{order_id}/refund": {"POST": Access(TENANTS_OWN, "orders", is_looked_at_anew=True)},
    "/api/v1/orders/{order_id}/tickets": {"GET": _orders},
    "/api/v1/reservations": {"GET": _reserves, "POST": _reserves},
    "/api/v1/reservations/{reservation_id}": {"DELETE": _reserves, "GET": _reserves},
    "/api/v1/reservations/{reservation_id}/checkout": {"POST": _pays},
    "/api/v1/reservations/{reservation_id}/extend": {"POST": _reserves},
    "/api/v1/settings": {"GET": _reads_settings, "PATCH": _sets},
    "/api/v1/settings/payments": {"GET": _reads_settings, "PUT": _sets},
    "/api/v1/sync": {"POST": _syncs},
    "/api/v1/sync/pause": {"POST": _syncs},
    "/api/v1/sync/resume": {"POST": _syncs},
    "/api/v1/sync/runs": {"GET": _syncs},
    "/api/v1/sync/runs/{run_id}": {"GET": _syncs},
    "/api/v1/sync/shortages": {"GET": _syncs},
    "/api/v1/sync/status": {"GET": _syncs},
    "/api/v1/tenants": {"GET": _reads_tenants, "POST": _operates},
    "/api/v1/tenants/{tenant_id}": {"GET": _reads_tenants, "PATCH": _operates},
    "/api/v1/users": {"GET": _knows_people, "POST": Access(TENANTS_OWN, "users", is_looked_at_anew=True)},
    "/api/v1/users/phone/{phone}": {"GET": _sees_person},
    "/api/v1/users/{user_id}": {"DELETE": _has_person, "GET": _sees_person, "PATCH": _has_person},
    "/api/v1/users/{user_id}/export": {"GET": _has_person},
    "/api/v1/users/{user_id}/invite": {"POST": Access(ADMINS, "users", is_looked_at_anew=True)},
    "/api/v1/venues": {"GET": _public, "POST": _keeps_catalogue},
    "/api/v1/venues/{venue_id}": {"GET": _public, "PATCH": _keeps_catalogue},
    "/api/v1/venues/{venue_id}/availability": {"GET": _public},
    "/api/v1/venues/{venue_id}/blackouts": {"POST": _keeps_catalogue},
    "/api/v1/venues/{venue_id}/blackouts/{blackout_id}": {"DELETE": _keeps_catalogue},
    "/api/v1/venues/{venue_id}/bookings": {"POST": _books},
    "/sandbox/{tenant}/payments/{payment_id}": {"POST": _public},
    "/webhooks/{provider}/{tenant}": {"POST": _public},
}
"""Every route of the API document, by its address and its method."""


def scope_of(method: str, area: str) -> str:
    """Return the scope that a key needs for a method of an area's routes."""
    return f"{area}:{'read' if method == 'GET' else 'write'}"
