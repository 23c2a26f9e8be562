"""A tenant with something of everything, a rival, and everybody who may or may not come near it.

Every request goes the way that API Gateway sends it: to the authorizer, unless the table of routes calls the route
public, and with what that says to the function.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences.slots import DayBefore, keep
from holdfast.claims.slot import OfferedPax, OfferedSlot
from holdfast.platform.access import CATCH_ALL, ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.credentials import digest_of
from holdfast.platform.dynamodb import Delete, Put, Store, Update
from holdfast.platform.identity_items import PersonItem, ServiceKeyItem
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from tests.handlers import tokens
from tests.handlers.account import IDENTITY, SYNC, TABLE, Aws, found_tenant
from tests.handlers.gateway import Answer, event, resource_of, send
from tests.handlers.user_pool import InMemoryCognito, User, totp

TENANT, RIVAL, SUSPENDED = "acme", "rival", "gone"
OPERATORS = "operator"
PHONE = "+919876543210"
PASSWORD = "Correct-horse-7"
CUSTOMERS = ("alice", "bob", "carol")
SLOT_DATE = "2031-06-07"

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request as a client makes it; `who` names the credential that it carries, if it carries one."""

    method: str
    path: str
    body: Json | None = None
    headers: Mapping[str, str] | None = None

    def of(self, tenant: str) -> "Request":
        """Return the same request of another tenant's things."""
        return replace(self, headers={**(self.headers or {}), "X-Tenant-Id": tenant})

    @property
    def address(self) -> str:
        """Return the route's address as the table has it."""
        return resource_of(self.path.partition("?")[0])


class World:
    """The tenants, what is theirs, and the credentials of everybody, by names such as `acme/alice` or `acme/key`."""

    def __init__(self, aws: Aws, store: Store, identity: Store, pool: InMemoryCognito) -> None:
        """Put everything there that any route of the table is about; `ids` are the names of what was made."""
        self.aws, self.store, self.identity, self.pool = aws, store, identity, pool
        self.credentials: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self._contexts: dict[str, Json] = {}
        self._people()
        self._keys()
        self._things()

    def ask(self, request: Request, credential: str | None) -> Answer:
        """Send a request with a credential, as it stands in the header behind `Bearer`, or with none."""
        return self.ask_with(request, None if credential is None else f"Bearer {credential}")

    def ask_as(self, request: Request, who: str) -> Answer:
        """Send a request with somebody's credential."""
        return self.ask(request, self.credentials[who])

    def ask_with(self, request: Request, authorization: str | None) -> Answer:
        """Send a request with an Authorization header, or without."""
        access = ROUTES[request.address][request.method] if request.address not in CATCH_ALL else None
        public = access is None or access.is_public
        context = None if public or authorization is None else self._context(authorization)
        text = None if request.body is None else json.dumps(request.body)
        headers = {"Content-Type": "application/json", **(request.headers or {})}
        if authorization is not None:
            headers["Authorization"] = authorization
        return send(event(request.method, request.path, text=text, headers=headers, authorizer=context))

    def _context(self, authorization: str) -> Json:
        """Return what the authorizer says, which API Gateway remembers for a minute."""
        if authorization not in self._contexts:
            self._contexts[authorization] = tokens.authorize(tokens.token_event(authorization))
        return self._contexts[authorization]

    def things(self) -> list[Json]:
        """Return every item but the counts of tries, and what was answered under keys: both say only that one asked."""
        items = [item for table in (TABLE, IDENTITY, SYNC) for item in self.aws.items(table)]
        return [item for item in items if "#ATTEMPTS#" not in item["pk"]["S"] and item["sk"]["S"][:2] != "K#"]

    def totp(self) -> str:
        """Return the code that alice's authenticator shows just now."""
        return totp(self._secret, int(time.time()))

    def revoke(self, who: str) -> None:
        """Take a credential away that API Gateway goes on to know for a minute: its holder signs out everywhere."""
        self._context(f"Bearer {self.credentials[who]}")
        tenant, _, name = who.partition("/")
        if name == "key":
            self.identity.write(Delete(Keys(tenant).service_key(digest_of(self.credentials[who]))))
        else:
            later = SystemClock().now() + 5_000
            self.identity.write(Update(Keys(tenant).person(name), [PersonItem.signed_out_at.set(later)]))

    def demote(self, who: str) -> None:
        """Make somebody a customer whom API Gateway goes on to know as more for a minute."""
        self._context(f"Bearer {self.credentials[who]}")
        tenant, _, name = who.partition("/")
        self.identity.write(Update(Keys(tenant).person(name), [PersonItem.role.set("customer")]))

    def _people(self) -> None:
        for tenant in (TENANT, RIVAL, OPERATORS):
            found_tenant(tenant)
        found_tenant(SUSPENDED, status="suspended")
        people = {
            TENANT: dict.fromkeys(CUSTOMERS, "customer") | {"sam": "staff", "ada": "admin"},
            RIVAL: {"rita": "customer", "rolf": "staff", "ruth": "admin", "alice": "customer"},
            SUSPENDED: {"gina": "admin"},
            OPERATORS: {"olga": "operator"},
        }
        for tenant, roles in people.items():
            for user, role in roles.items():
                tokens.account(self.identity, tenant, user, role)
                self.credentials[f"{tenant}/{user}"] = tokens.good(tenant, user)
                known = User(f"{user}@example.com", PASSWORD, "CONFIRMED", email_verified=True)
                known.sign_ins.add(tokens.claims(tenant, user)["origin_jti"])
                self.pool.users[tenant, user] = known
        for role in ("customer", "staff", "admin"):
            left = f"left{role}"
            tokens.account(self.identity, TENANT, left, role, signed_out_at=int(time.time() * 1000) + 5_000)
            self.credentials[f"signed out {role}"] = tokens.good(TENANT, left)
        self.credentials["without an account"] = tokens.good(TENANT, "nobody")
        tokens.account(self.identity, TENANT, "known", has_account=None)
        self.credentials["known by phone only"] = tokens.good(TENANT, "known")

    def _keys(self) -> None:
        for tenant in (TENANT, RIVAL, SUSPENDED):
            self.credentials[f"{tenant}/key"] = self._issued(tenant, ("service", "staff", "admin"))
        self.credentials[f"{TENANT}/service"] = self._issued(TENANT, ("service",))
        self.credentials[f"{OPERATORS}/key"] = f"hk_{OPERATORS}_{'0' * 64}"
        self._keep(OPERATORS, self.credentials[f"{OPERATORS}/key"], roles={"operator"})
        over = f"hk_{TENANT}_{'1' * 64}"
        self._keep(TENANT, over, roles={"admin", "service", "staff"}, expires_at=SystemClock().now() - 1)
        self.credentials["expired key"] = over
        self.credentials["unknown key"] = f"hk_{TENANT}_{'2' * 64}"

    def limited_to(self, *scopes: str) -> str:
        """Return a key of every role whose scopes are these alone."""
        key = f"hk_{TENANT}_{uuid4().hex}{uuid4().hex}"
        self._keep(TENANT, key, roles={"admin", "service", "staff"}, scopes=set(scopes))
        return key

    def _issued(self, tenant: str, roles: tuple[str, ...]) -> str:
        key = f"hk_{tenant}_{uuid4().hex}{uuid4().hex}"
        self._keep(tenant, key, roles=set(roles))
        return key

    def _keep(self, tenant: str, key: str, **more: Any) -> None:
        said = {"label": "of the tests", "created_at": 0} | more
        self.identity.write(Put(ServiceKeyItem(*Keys(tenant).service_key(digest_of(key)), **said)))

    def made(self, who: str, method: str, path: str, body: Json | None = None) -> Json:
        """Make a request that has to be answered as hoped for, under a key of its own; return the body."""
        request = Request(method, path, body, {"Idempotency-Key": uuid4().hex, "Prefer": "wait=5"})
        answer = self.ask_as(request, who)
        assert answer.status in (200, 201, 202), f"{method} {path}: {answer.text}"
        found: Json = answer.json
        return found

    def _things(self) -> None:
        """Put something of everything on sale, and let alice have some of it, in every way that there is."""
        admin, alice, key = f"{TENANT}/ada", f"{TENANT}/alice", f"{TENANT}/key"
        product = {"name": "Lamp", "total_stock": 50, "price": "5.00"}
        assert self.made(admin, "POST", "/api/products", product)["data"]["id"] == "1"
        show = {"name": "Opening night", "date": "2031-06-01", "venue": "Theatre"}
        assert self.made(admin, "POST", "/api/events", show)["id"] == "1"
        for kind in (
            {"ticketType": "Stalls", "price": 80, "numbered": True},
            {"ticketType": "Standing", "price": 20, "numbered": False, "quantity": 50},
        ):
            self.made(admin, "POST", "/api/events/1/ticket-types", kind)
        rows = [{"rowNumber": 1, "seatNumbers": list(range(1, 21))}]
        self.made(admin, "POST", "/api/events/1/seats", {"ticketTypeId": "1", "rows": rows})
        assert self.made(admin, "POST", "/api/v1/venues", HALL)["id"] == "1"
        closed = {"startTs": "2031-07-01T00:00:00Z", "endTs": "2031-07-03T00:00:00Z", "reason": "New floor"}
        self.ids["blackout"] = self.made(admin, "POST", "/api/v1/venues/1/blackouts", closed)["id"]
        self.ids["ticket"] = self.made(alice, "POST", "/api/tickets", {"title": "Row 3", "price": 5})["id"]
        for number in (1, 2):
            sold = self.made(f"{TENANT}/carol", "POST", "/api/tickets", {"title": f"Row {number}", "price": 5})["id"]
            self.ids[f"carols ticket {number}"] = sold
        locked = {"ticketId": self.ids["carols ticket 1"]}
        self.ids["marketplace order"] = self.made(alice, "POST", "/api/orders", locked)["id"]
        items = [{"kind": "product", "product_id": "1", "quantity": 1}]
        self.ids["reservation"] = self.made(alice, "POST", "/api/v1/reservations", {"items": items})["id"]
        bought = self.made(alice, "POST", "/api/v1/reservations", {"items": items})["id"]
        paid = {"payment": {"provider": "sandbox", "token": "tok_success"}}
        self.ids["order"] = self.made(alice, "POST", f"/api/v1/reservations/{bought}/checkout", paid)["id"]
        awaiting = self.made(alice, "POST", "/api/v1/reservations", {"items": items})["id"]
        asked = {"payment": {"provider": "sandbox", "token": "tok_confirm"}}
        page = self.made(alice, "POST", f"/api/v1/reservations/{awaiting}/checkout", asked)["payment"]["action"]["url"]
        self.ids["payment"] = page.rpartition("/")[2]
        evening = {"startTs": "2031-06-07T18:00:00Z", "endTs": "2031-06-07T22:00:00Z"}
        self.ids["booking"] = self.made(alice, "POST", "/api/v1/bookings", {"venueId": "1", **evening})["booking"]["id"]
        self.made(key, "POST", "/api/reserve", {"user_id": "alice", "product_id": "1", "quantity": 2})
        seats = {"userId": "alice", "eventId": 1, "seatDetails": seat(1)}
        self.made(key, "POST", "/api/reserve", seats)
        self.ids["purchase"] = self.made(key, "PUT", "/api/checkout", seats)["purchaseId"]
        self.made(key, "POST", "/api/reserve", {**seats, "seatDetails": seat(2)})
        tickets = self.made(alice, "GET", f"/api/v1/orders/{self.ids['purchase']}/tickets")
        self.ids["code"] = tickets["items"][0]["code"]
        person = self.made(key, "POST", "/api/v1/users", {"name": "Asha", "phone": PHONE, "email": "asha@example.com"})
        self.ids["person"] = person["user"]["id"]
        secret = self.made(alice, "POST", "/api/users/totp", {})["secret"]
        self._secret = secret
        kept = self.made(admin, "POST", "/api/v1/keys", {"label": "shop", "roles": ["service"]})
        self.ids["key"] = kept["id"]
        self.made(admin, "POST", "/api/v1/experiences", WALK)
        self._offer_a_slot()
        self.ids["run"] = self.made(f"{TENANT}/sam", "POST", "/api/v1/sync")["run_id"]

    def _offer_a_slot(self) -> None:
        """Take in what a partner says of the experience's day."""
        adult = OfferedPax("ADULT_12~99", "Adult", "12-99 years", 1, 20, 150, True, 34_100, 44_100)
        slot = OfferedSlot("ab12", "09:00", "10:30", 170, "USD", (adult,), {})
        kept = keep(
            Engine(self.store),
            TENANT,
            "14",
            SLOT_DATE,
            DayBefore({}),
            [slot],
            may_close=True,
            digest="0",
            rejected=[],
            asked_at=SystemClock().now(),
            zone=ZoneInfo("Asia/Singapore"),
            contains_our_sales=False,
        )
        assert kept


def seat(number: int) -> list[Json]:
    """Return the seat of this number in the first row as the older tickets API names it."""
    return [{"ticketTypeId": 1, "metaData": {"rowNumbers": [1], "seatNumbers": [number]}}]


WALK: Json = {
    "id": "14",
    "name": "Island walk",
    "partner": "tours",
    "partner_product_id": "14",
    "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
}
HALL: Json = {
    "name": "Parkside",
    "address": "1 High Street",
    "capacity": 200,
    "basePriceCents": 5_000,
    "currency": "USD",
    "timeZone": "Europe/Berlin",
}
