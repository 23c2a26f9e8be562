"""Demo data: a tenant, its key and its people, things to sell; and every function warm before anybody waits."""

import contextlib
import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.client import Answer, Client
from local.partner import NAME as PARTNER
from local.partner import Partner
from local.stack import Stack
from local.terminal import Failure

TENANT = "demo"
USERS = ("ada", "grace", "linus")
"""Users that the tenant's own servers may act for; they have no accounts here."""

PASSWORD = "Holdfast-demo-1"  # noqa: S105 (everybody may know it)
ROLES = ("customer", "staff", "admin")
"""What those are to the tenant who have accounts: one each."""

CODE = "123456"
"""What the emulated user pool mails to everybody who signs up."""

DAYS_SYNCHRONISED = 7
"""For how many days the partner is asked at once; its schedules ask for more."""

NOBODY = "nobody"
"""Who buys what only warms the functions up."""
PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "name": "Laptop, 40 % off",
        "description": "200 pieces, two a person, from noon.",
        "total_stock": 200,
        "price": "899.00",
        "max_per_user": 2,
    },
    {"name": "Headphones", "description": "Noise cancelling.", "total_stock": 50, "price": "149.00"},
    {"name": "The last umbrella", "description": "There is one.", "total_stock": 1, "price": "19.90"},
)


EVENT = {"name": "Opening night", "date": "2030-06-01T19:30:00Z", "venue": "Old Theatre"}
STALLS: dict[str, Any] = {"ticketType": "Stalls", "price": "80.00", "numbered": True}
STANDING: dict[str, Any] = {"ticketType": "Standing", "price": "30.00", "numbered": False, "quantity": 300}
SEAT_ROWS, SEATS_A_ROW = 10, 20
HALL: dict[str, Any] = {
    "name": "Paradise Hall",
    "address": "1 High Street, Springfield",
    "capacity": 250,
    "basePriceCents": 50_000,
    "currency": "USD",
    "timeZone": "America/New_York",
    "prefix": "PAR",
}
RESALE: tuple[dict[str, Any], ...] = (
    {"title": "Opening night, standing", "price": "25.00", "userId": "grace"},
    {"title": "Closing night, row 3", "price": "70.00", "userId": "linus"},
)


@dataclass(frozen=True)
class Demo:
    """What a newcomer needs to try the API; written to .local/demo.json as it stands."""

    base_url: str
    service_key: str
    tenant: str
    operator_key: str
    users: list[str]
    accounts: list[dict[str, str]]
    products: list[dict[str, Any]]
    event: dict[str, Any]
    hall: dict[str, Any]
    tickets: list[dict[str, Any]]
    experiences: list[dict[str, Any]]
    partner_url: str | None

    def write(self, path: Path) -> None:
        """Keep it where tools find it."""
        path.write_text(json.dumps(asdict(self) | {"curl": self.reserve_command()}, indent=2) + "\n")

    def reserve_command(self) -> str:
        """A command that reserves one piece of the first product when it is pasted into a shell."""
        body = {
            "items": [{"kind": "product", "product_id": self.products[0]["id"], "quantity": 1}],
            "user_id": self.users[0],
        }
        return " \\\n  ".join(
            [
                f"curl -sS -X POST {self.base_url}/api/v1/reservations",
                f"-H {shlex.quote(f'Authorization: Bearer {self.service_key}')}",
                "-H 'Content-Type: application/json'",
                '-H "Idempotency-Key: demo-$(date +%s%N)"',
                f"-d {shlex.quote(json.dumps(body))}",
            ]
        )


def load(stack: Stack, partner: Partner | None = None) -> Demo:
    """Make the demo tenant and its service key, and with it put everything on sale over HTTP.

    What a partner sells is put on sale where there is one; its places come with the synchronisation, a little later.
    """
    service_key = issue_service_key(stack, TENANT, "demo data")
    client = Client(stack.base_url, service_key)
    return Demo(
        stack.base_url,
        service_key,
        TENANT,
        issue_operator_key(stack),
        list(USERS),
        accounts=[_signed_up(stack, client, role) for role in ROLES],
        products=[_made(client, "/api/products", product)["data"] for product in PRODUCTS],
        event=_event(client),
        hall=_made(client, "/api/v1/venues", HALL),
        tickets=[_made(client, "/api/tickets", ticket) for ticket in RESALE],
        experiences=_experiences(client, partner) if partner else [],
        partner_url=partner.url if partner else None,
    )


def _signed_up(stack: Stack, admin: Client, role: str) -> dict[str, str]:
    """Let somebody sign up as anybody does, and be made what they are to the tenant by its admin."""
    public = Client(stack.base_url, None, TENANT)
    email = f"{role}@demo.example"
    user_id = _made(public, "/api/users/signup", {"email": email, "password": PASSWORD, "name": role.title()})["id"]
    _made(public, "/api/users/confirm", {"id": user_id, "code": CODE})
    changed = admin.patch(f"/api/v1/users/{user_id}", {"role": role})
    if changed.status != 200:
        raise Failure(f"{email} could not be made {role}: {changed.body}")
    return {"role": role, "email": email, "password": PASSWORD, "id": user_id}


def _event(client: Client) -> dict[str, Any]:
    """Put an event on sale, numbered seats in rows and standing room, and return it with its ticket types."""
    event: dict[str, Any] = _made(client, "/api/events", EVENT)
    path = f"/api/events/{event['id']}"
    stalls, standing = (_made(client, f"{path}/ticket-types", kind) for kind in (STALLS, STANDING))
    seats = list(range(1, SEATS_A_ROW + 1))
    rows = [{"rowNumber": row, "seatNumbers": seats} for row in range(1, SEAT_ROWS + 1)]
    _made(client, f"{path}/seats", {"ticketTypeId": stalls["ticketTypeId"], "rows": rows})
    return event | {"ticketTypes": [stalls | {"quantity": SEAT_ROWS * SEATS_A_ROW}, standing]}


def _experiences(client: Client, partner: Partner) -> list[dict[str, Any]]:
    """Sell all that the partner does, ask for what it has in the next days, and return the experiences."""
    sold = [
        _made(
            client,
            "/api/v1/experiences",
            {
                "id": product["id"],
                "name": product["name"],
                "partner": PARTNER,
                "partner_product_id": product["id"],
                "weekdays": product["weekdays"],
            },
        )
        for product in partner.products()
    ]
    _made(client, f"/api/v1/sync?days={DAYS_SYNCHRONISED}", {})
    return sold


def _made(client: Client, path: str, body: dict[str, Any]) -> Any:
    """Send what is to be made, and return what the API made of it."""
    answer = client.post(path, body)
    if answer.status not in (200, 201, 202):
        raise Failure(f"demo data sent to {path} was answered {answer.status}: {answer.body}")
    return answer.body


def issue_service_key(stack: Stack, tenant: str, label: str) -> str:
    """Issue a service key of a tenant, which is made if need be, straight into the stack's identity table.

    The key may do everything that a key can do.
    """
    with stack.environment():
        from holdfast.identity import service_keys, tenants
        from holdfast.identity.people import Directory
        from holdfast.platform.clock import SystemClock
        from holdfast.platform.dynamodb import connect
        from holdfast.platform.errors import TenantExists

        store = connect(stack.outputs["IdentityTableName"])
        with contextlib.suppress(TenantExists):
            tenants.create(Directory(store), tenant, tenant.title())
        return service_keys.issue(store, SystemClock(), tenant, service_keys.ROLES, label)


def issue_operator_key(stack: Stack) -> str:
    """Issue a key of those who make tenants."""
    with stack.environment():
        from operations.issue_operator_key import issue

        return issue(stack.outputs["IdentityTableName"])


def warm(stack: Stack, demo: Demo) -> None:
    """Have every function called once, so that the first person to try one does not wait for its start."""
    client = Client(demo.base_url, demo.service_key)
    reads = [
        "/api/v1/health",
        "/api/v1/openapi.json",
        "/api/v1/reservations?user_id=ada",
        "/api/users/ada/reservations",
        "/api/purchases/none",
        "/api/products",
        "/api/events",
        "/api/tickets",
        "/api/v1/venues",
        "/api/v1/bookings",
        "/api/v1/users",
        "/api/v1/orders?user_id=ada",
        "/api/v1/check-in/keys",
        "/api/v1/experiences",
        "/api/v1/sync/status",
        "/api/v1/settings",
        "/api/v1/keys",
        "/api/v1/users/nobody/export",
        "/api/users/currentuser",
        "/nothing-here",
    ]
    lambdas = stack.client("lambda")
    consumers = (
        *("expiry_scheduler", "expiry", "sweeper", "compensations", "event_recorder", "unconfirmed_accounts"),
        *("sync_planner", "sync_fetcher"),
    )

    def invoke(folder: str) -> None:
        lambdas.invoke(FunctionName=stack.function_name(folder), Payload=json.dumps({"Records": []}))

    with ThreadPoolExecutor(max_workers=4) as pool:
        declined = pool.submit(_be_declined, client, demo)
        answers = [declined, *(pool.submit(client.get, path) for path in reads)]
        calls = [pool.submit(invoke, folder) for folder in consumers]
        for call in calls:
            call.result()
    for path, answer in zip(["a checkout", *reads], answers, strict=True):
        if answer.result().status >= 500:
            raise Failure(f"{path} was answered {answer.result().status}; what functions printed is in {stack.log}")


def _be_declined(client: Client, demo: Demo) -> Answer:
    """Check out with a card that is declined, by which a workflow and its functions run, and nothing is sold."""
    items = [{"kind": "product", "product_id": demo.products[0]["id"], "quantity": 1}]
    held = client.post("/api/v1/reservations", {"user_id": NOBODY, "items": items}, "warm-hold").body["id"]
    payment = {"payment": {"provider": "sandbox", "token": "tok_decline"}}
    declined = client.post(f"/api/v1/reservations/{held}/checkout", payment, "warm-checkout", wait=15)
    client.post(f"/api/v1/orders/{declined.body.get('id')}/cancel", {}, "warm-cancel", wait=15)
    return declined
