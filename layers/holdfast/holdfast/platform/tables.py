"""The tables: every key, and the schema that the template must have. What items say is in `platform.items`.

No other module spells a key, and no key can be built without a tenant: `Keys` is made of one. Ids that leave the house
carry the hash of their user, so that reading by id and listing by user are both reads by key.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

DUE_INDEX = "due"
DUE_BUCKETS = 16
"""The partitions of the index of things that fall due; PROTOCOL.md, Items."""

TTL_ATTRIBUTE = "ttl"

MAX_NAME = 80
"""Characters in the name of a run (AWS: StartExecution)."""

TABLE_SCHEMA: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "due_bucket", "AttributeType": "N"},
        {"AttributeName": "due", "AttributeType": "N"},
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": DUE_INDEX,
            "KeySchema": [
                {"AttributeName": "due_bucket", "KeyType": "HASH"},
                {"AttributeName": "due", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "TimeToLiveSpecification": {"AttributeName": TTL_ATTRIBUTE, "Enabled": True},
    "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
}
"""The main table as the template declares it (CloudFormation's own names)."""

IDENTITY_SCHEMA: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": TABLE_SCHEMA["AttributeDefinitions"][:2],
    "KeySchema": TABLE_SCHEMA["KeySchema"],
    "TimeToLiveSpecification": TABLE_SCHEMA["TimeToLiveSpecification"],
}
"""The identity room's table as the template declares it."""

SYNC_SCHEMA: dict[str, Any] = IDENTITY_SCHEMA
"""The partner sync's table as the template declares it."""

OPERATOR_TENANT = "operator"
"""The tenant that nobody's things are kept under: its people and keys are those who create tenants.

What is one for all tenants, such as the limiter of a partner, is kept under it too.
"""

SLOT_ID = r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$"
PAX_TYPE = r"^[A-Za-z0-9][A-Za-z0-9._~+-]{0,39}$"
"""What a partner may call slots and pax types: their names stand in keys and in allocations, beside `/` and `#`."""

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_USER_HASH = re.compile(r"[a-z2-7]{16}")
_RESERVATION_ID = re.compile(r"r-([a-z2-7]{16})-([0-9a-f]{32})")
_VIEW_ID = re.compile(r"([ob])-([a-z2-7]{16})-([0-9a-f]{32})")
_DEAL_HOLD_ID = re.compile(r"h-([a-z2-7]{16})-([0-9a-f]{1,12})-([A-Za-z0-9_]{1,40})")
_SLOT_POOL = "slot/"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


class Key(NamedTuple):
    """The primary key of one item."""

    pk: str
    sk: str


def user_hash(tenant: str, user: str) -> str:
    """Return the 16 letters and digits (80 bits) that stand for `user` of `tenant` in keys and ids."""
    number = int.from_bytes(blake2b(user.encode(), key=tenant.encode(), digest_size=10).digest(), "big")
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(75, -5, -5))


def due_bucket(key: Key) -> int:
    """Return which of the index's partitions, 0 to 15, the item at `key` falls due in."""
    return blake2b(f"{key.pk}/{key.sk}".encode(), digest_size=1).digest()[0] % DUE_BUCKETS


def key_of(item: Mapping[str, Any]) -> Key:
    """Return the key of a raw DynamoDB item, or of a raw key."""
    return Key(item["pk"]["S"], item["sk"]["S"])


def is_hold(key: Key) -> bool:
    """Return whether `key` is that of a reservation or a deal hold."""
    return _kind(key) == "U" and key.sk.startswith(("R#", "H#"))


def is_unit(key: Key) -> bool:
    """Return whether `key` is that of a thing that exists once: a seat or a listing."""
    return _kind(key) in ("SEATS", "LISTING")


def is_slot(key: Key) -> bool:
    """Return whether `key` is in the partition of a day's slots."""
    return _kind(key) == "SLOT"


def is_counter(key: Key) -> bool:
    """Return whether `key` is that of counters: a shard of a pool, or a slot."""
    return _kind(key) in ("POOL", "SLOT")


def is_day(key: Key) -> bool:
    """Return whether `key` is that of a day of a calendar."""
    return _kind(key) == "DAY"


def is_blackout(key: Key) -> bool:
    """Return whether `key` is that of a blackout."""
    return _kind(key) == "BLACKOUTS"


def product_of(key: Key) -> tuple[str, str] | None:
    """Return the tenant and the id of the product at `key`, or None where it is none."""
    tenant, _, kind = key.pk.partition("#")
    return (tenant, key.sk[3:]) if kind == "PRODUCTS" else None


def id_of(key: Key) -> str:
    """Return the id of the numbered thing at `key`: a product, an event, a ticket type or a venue."""
    return key.sk.partition(".")[2]


def seat_of(key: Key) -> tuple[str, str]:
    """Return the labels of the row and of the seat at `key`."""
    row, _, seat = key.sk.partition("#")
    return row, seat


def venue_of(key: Key) -> str:
    """Return the id of the venue whose blackout or day is at `key`."""
    return key.pk.rpartition("#")[2]


class Keys:
    """The keys of one tenant's items."""

    def __init__(self, tenant: str) -> None:
        """Take a tenant id of 1 to 40 small letters, digits and hyphens; raise ValueError for any other text."""
        if not _TENANT.fullmatch(tenant):
            raise ValueError("not a tenant id")
        self.tenant = tenant

    def pool_shard(self, pool: str, shard: int) -> Key:
        """Return the key of counter shard number `shard` of `pool`."""
        return Key(f"{self.tenant}#POOL#{pool}#{shard:02d}", "-")

    def allocated(self, allocation: str) -> Key:
        """Return the key of the counters that a reservation's allocation names (`allocation_name`, `slot_pool`)."""
        if allocation.startswith(_SLOT_POOL):
            _, experience_id, date, slot_id, _ = allocation.split("/")
            return self.slot(experience_id, date, slot_id)
        return Key(f"{self.tenant}#POOL#{allocation}", "-")

    def products(self) -> str:
        """Return the partition of all products."""
        return f"{self.tenant}#PRODUCTS"

    def product(self, product_id: str) -> Key:
        """Return the key of one product; numbers stand in their own order, since shorter ids come first."""
        return Key(self.products(), f"{len(product_id):02d}.{product_id}")

    def counter(self, name: str) -> Key:
        """Return the key of the counter that numbers things called `name`."""
        return Key(f"{self.tenant}#COUNTERS", name)

    def ticket_shard(self, event_id: str, ticket_type_id: str, shard: int) -> Key:
        """Return the key of counter shard number `shard` of a counted ticket type's pool."""
        return self.pool_shard(ticket_pool(event_id, ticket_type_id), shard)

    def events(self) -> str:
        """Return the partition of all events."""
        return f"{self.tenant}#EVENTS"

    def event(self, event_id: str) -> Key:
        """Return the key of one event; numbers stand in their own order, since shorter ids come first."""
        return Key(self.events(), f"{len(event_id):02d}.{event_id}")

    def ticket_types(self, event_id: str) -> str:
        """Return the partition of an event's ticket types."""
        return f"{self.tenant}#TYPES#{event_id}"

    def ticket_type(self, event_id: str, ticket_type_id: str) -> Key:
        """Return the key of one ticket type of an event."""
        return Key(self.ticket_types(event_id), f"{len(ticket_type_id):02d}.{ticket_type_id}")

    def seat_plans(self, event_id: str, ticket_type_id: str) -> str:
        """Return the partition of a ticket type's seat plans, one a block."""
        return f"{self.ticket_types(event_id)}#{ticket_type_id}"

    def seat_plan(self, event_id: str, ticket_type_id: str, block: int) -> Key:
        """Return the key of what is planned for one block of a ticket type's seats."""
        return Key(self.seat_plans(event_id, ticket_type_id), f"{block:04d}")

    def seats(self, event_id: str, ticket_type_id: str, block: int) -> str:
        """Return the partition of one block of a ticket type's seats, at most 2 000 of them."""
        return f"{self.tenant}#SEATS#{event_id}#{ticket_type_id}#{block:02d}"

    def seat(self, event_id: str, ticket_type_id: str, block: int, row: str, seat: str) -> Key:
        """Return the key of one seat in the block that its row is in."""
        return Key(self.seats(event_id, ticket_type_id, block), f"{row}#{seat}")

    def listing(self, ticket_id: str) -> Key:
        """Return the key of one resale listing, in a partition of its own."""
        return Key(f"{self.tenant}#LISTING#{ticket_id}", "-")

    def listings(self) -> str:
        """Return the partition in which the tenant's listings stand in the order they were made, by id."""
        return f"{self.tenant}#LISTINGS"

    def listed(self, ticket_id: str) -> Key:
        """Return the key of a listing's place among the tenant's listings."""
        return Key(self.listings(), ticket_id)

    def listed_by(self, user: str, ticket_id: str) -> Key:
        """Return the key of a listing's place among its seller's own."""
        return Key(self.user(user), f"L#{ticket_id}")

    def venues(self) -> str:
        """Return the partition of all venues."""
        return f"{self.tenant}#VENUES"

    def venue(self, venue_id: str) -> Key:
        """Return the key of one venue; numbers stand in their own order, since shorter ids come first."""
        return Key(self.venues(), f"{len(venue_id):02d}.{venue_id}")

    def blackouts(self, venue_id: str) -> str:
        """Return the partition of a venue's blackouts."""
        return f"{self.tenant}#BLACKOUTS#{venue_id}"

    def blackout(self, venue_id: str, blackout_id: str) -> Key:
        """Return the key of one blackout of a venue."""
        return Key(self.blackouts(venue_id), blackout_id)

    def days(self, venue_id: str) -> str:
        """Return the partition of a venue's calendar, one item a UTC day."""
        return f"{self.tenant}#DAY#{venue_id}"

    def day(self, venue_id: str, date: str) -> Key:
        """Return the key of one day, `date` as YYYY-MM-DD, of a venue's calendar."""
        return Key(self.days(venue_id), date)

    def bookings(self) -> str:
        """Return the partition of all bookings of halls, in the order in which they start."""
        return f"{self.tenant}#BOOKINGS"

    def booking(self, start: int, reservation: Key) -> Key:
        """Return the key of the booking that starts at `start` (ms) and that the reservation at that key holds."""
        owner = reservation.pk.rpartition("#")[2]
        return Key(self.bookings(), f"{start:015d}#{owner}#{reservation.sk.removeprefix('R#')}")

    def booked(self, start: int, reservation: Key) -> Key:
        """Return the key of the same booking's place among its user's own."""
        owner = reservation.pk.rpartition("#")[2]
        return Key(f"{self.tenant}#U#{owner}", f"B#{start:015d}#{reservation.sk.removeprefix('R#')}")

    def booking_at(self, place: Key) -> Key:
        """Return the key of the booking whose place among its user's own is at that key."""
        _, start, rest = place.sk.split("#")
        return Key(self.bookings(), f"{start}#{place.pk.rpartition('#')[2]}#{rest}")

    def experiences(self) -> str:
        """Return the partition of all experiences."""
        return f"{self.tenant}#EXPERIENCES"

    def experience(self, experience_id: str) -> Key:
        """Return the key of one experience; numbers stand in their own order, since shorter ids come first."""
        return Key(self.experiences(), f"{len(experience_id):02d}.{experience_id}")

    def experience_sellers(self) -> str:
        """Return the partition of the tenants that have experiences, which is the operators'."""
        return f"{self.tenant}#EXPERIENCE_SELLERS"

    def experience_seller(self, tenant: str) -> Key:
        """Return the key that says that a tenant has experiences."""
        return Key(self.experience_sellers(), Keys(tenant).tenant)

    def partner_product(self, partner: str, product_id: str) -> Key:
        """Return the key that says which experience a partner's product is sold as; it is the operators'."""
        return Key(f"{self.tenant}#PARTNER_PRODUCTS", f"{partner}#{product_id}")

    def slots(self, experience_id: str, date: str) -> str:
        """Return the partition of an experience's slots on one day (YYYY-MM-DD, in the partner's time zone)."""
        return f"{self.tenant}#SLOT#{experience_id}#{date}"

    def slot(self, experience_id: str, date: str, slot_id: str) -> Key:
        """Return the key of one slot: its own counter and those of all its pax types are one item."""
        return Key(self.slots(experience_id, date), slot_id)

    def slot_day(self, experience_id: str, date: str) -> Key:
        """Return the key of what is known of the day as a whole; it stands before its slots."""
        return Key(self.slots(experience_id, date), "-")

    def day_summaries(self, experience_id: str) -> str:
        """Return the partition of an experience's days, each in short."""
        return f"{self.tenant}#DATES#{experience_id}"

    def day_summary(self, experience_id: str, date: str) -> Key:
        """Return the key of one of them."""
        return Key(self.day_summaries(experience_id), date)

    def shortages(self) -> str:
        """Return the partition of the slots of which the partner has fewer places left than are held and sold."""
        return f"{self.tenant}#SHORTAGES"

    def shortage(self, slot: Key) -> Key:
        """Return the key that says so of the slot at that key."""
        _, _, experience_id, date = slot.pk.split("#")
        return Key(self.shortages(), f"{date}#{experience_id}#{slot.sk}")

    def partner_limiter(self, partner: str) -> Key:
        """Return the key of the one item that grants requests to a partner; it is the operators'."""
        return Key(f"{self.tenant}#PARTNER#{partner}", "LIMITER")

    def sync_sheets(self) -> str:
        """Return the partition of what is known of the synchronisation of all experiences, a sheet each."""
        return f"{self.tenant}#SYNC"

    def sync_sheet(self, experience_id: str) -> Key:
        """Return the key of one experience's sheet."""
        return Key(self.sync_sheets(), experience_id)

    def sync_control(self) -> Key:
        """Return the key that says whether the tenant has paused its synchronisation."""
        return Key(f"{self.tenant}#SYNC_CONTROL", "-")

    def sync_runs(self) -> str:
        """Return the partition of the runs of the synchronisation, in the order in which they began."""
        return f"{self.tenant}#SYNC_RUNS"

    def sync_run(self, run_id: str) -> Key:
        """Return the key of one run."""
        return Key(self.sync_runs(), run_id)

    def sync_failures(self, run_id: str) -> str:
        """Return the partition of what failed in one run."""
        return f"{self.tenant}#SYNC_FAILURES#{run_id}"

    def sync_failure(self, run_id: str, experience_id: str, date: str, at: int, number: int = 0) -> Key:
        """Return the key of one failure of a run, at that time (ms); `number` tells those of one answer apart."""
        return Key(self.sync_failures(run_id), f"{at:015d}#{experience_id}#{date}#{number:02d}")

    def tenant_record(self) -> Key:
        """Return the key of the tenant itself."""
        return Key(f"{self.tenant}#TENANT", "-")

    def tenants(self) -> str:
        """Return the partition of all tenants, which is the operators'."""
        return f"{self.tenant}#TENANTS"

    def tenant_entry(self, tenant: str) -> Key:
        """Return the key of a tenant's place among all, by its id."""
        return Key(self.tenants(), Keys(tenant).tenant)

    def email(self, address: str) -> Key:
        """Return the key that says whose account an e-mail address signs in to; letters' case makes no difference."""
        return Key(f"{self.tenant}#EMAILS", _digest(address.lower()))

    def sign_up(self, user_id: str) -> Key:
        """Return the key of the sign-up that waits to be confirmed as this user."""
        return Key(f"{self.tenant}#SIGNUPS", user_id)

    def sessions(self, user_id: str) -> str:
        """Return the partition of a user's sign-ins that may be refreshed."""
        return f"{self.tenant}#SESSIONS#{user_id}"

    def session(self, user_id: str, refresh_token: str) -> Key:
        """Return the key of one of them, by its refresh token, of which only a digest is kept."""
        return Key(self.sessions(user_id), _digest(refresh_token))

    def attempts(self, at_what: str, by_whom: str, window: int) -> Key:
        """Return the key of how often something was tried by somebody in one window, by its number."""
        return Key(f"{self.tenant}#ATTEMPTS#{at_what}#{_digest(by_whom)}", f"{window:012d}")

    def captcha(self, token: str) -> Key:
        """Return the key that says that a captcha's token was used."""
        return Key(f"{self.tenant}#CAPTCHA#{_digest(token)}", "-")

    def people(self) -> str:
        """Return the partition of everybody the tenant knows (the users API)."""
        return f"{self.tenant}#PEOPLE"

    def person(self, user_id: str) -> Key:
        """Return the key of one of them."""
        return Key(self.people(), user_id)

    def phone(self, number: str) -> Key:
        """Return the key that says whose phone `number` (E.164) is."""
        return Key(f"{self.tenant}#PHONES", number)

    def service_keys(self) -> str:
        """Return the partition of the tenant's service keys."""
        return f"{self.tenant}#KEYS"

    def service_key(self, digest: str) -> Key:
        """Return the key of the service key whose secret hashes to `digest`."""
        return Key(self.service_keys(), digest)

    def user(self, user: str) -> str:
        """Return the partition of everything that is `user`'s."""
        return f"{self.tenant}#U#{user_hash(self.tenant, user)}"

    def limits(self, user: str) -> Key:
        """Return the key of `user`'s limits."""
        return Key(self.user(user), "LIMITS")

    def idempotency(self, user: str, route: str, key: str) -> Key:
        """Return the key of the record that `user` called `route` with idempotency key `key`."""
        return Key(self.user(user), f"K#{_digest(route, key)}")

    def reservation(self, user: str, route: str, key: str) -> Key:
        """Return the key of the reservation that this user, route and idempotency key make, always the same."""
        return Key(self.user(user), f"R#{_digest(route, key)}")

    def became(self, hold_id: str, route: str) -> Key | None:
        """Return the key of the reservation that a deal hold became by `route`, from its public id; None for others."""
        found = self.by_public_id(hold_id)
        return None if found is None or found[1] is None else Key(found[0].pk, f"R#{_digest(route, hold_id)}")

    def deal_hold(self, user: str, product_id: str) -> Key:
        """Return the key of the one hold that `user` has on a product through the older reserve route."""
        return Key(self.user(user), f"H#{product_id}")

    def order(self, user: str, order: str) -> Key:
        """Return the key of one order; `order` is 32 hexadecimal digits."""
        return Key(self.user(user), f"O#{order}")

    def webhook(self, provider: str, event_id: str) -> Key:
        """Return the key that says that an event of a payment provider was taken in."""
        return Key(f"{self.tenant}#WEBHOOK#{provider}#{_digest(event_id)}", "-")

    def payment_settings(self) -> Key:
        """Return the key of which payment providers the tenant uses."""
        return Key(f"{self.tenant}#SETTINGS", "payments")

    def ticket_keys(self) -> str:
        """Return the partition of the public keys that the tenant's ticket codes are checked with."""
        return f"{self.tenant}#TICKET_KEYS"

    def ticket_key(self, kid: str) -> Key:
        """Return the key of one of them, by the id that codes name it by."""
        return Key(self.ticket_keys(), kid)

    def sandbox_payment(self, payment_id: str) -> Key:
        """Return the key of a payment in the sandbox's books."""
        return Key(f"{self.tenant}#SANDBOX#{payment_id}", "-")

    def history(self, aggregate_id: str, version: int) -> Key:
        """Return the key of what happened to an order or a charge at one version of it."""
        return Key(f"{self.tenant}#HISTORY#{aggregate_id}", f"{version:010d}")

    def by_view_id(self, kind: str, view_id: str) -> Key | None:
        """Return the key of the reservation that an order's ("o") or a booking's ("b") id names, or None."""
        match = _VIEW_ID.fullmatch(view_id)
        return Key(f"{self.tenant}#U#{match[2]}", f"R#{match[3]}") if match and match[1] == kind else None

    def by_order_id(self, order_id: str) -> Key | None:
        """Return the key of the order item that an order's public id names; None where malformed."""
        found = self.by_view_id("o", order_id)
        return Key(found.pk, f"O#{found.sk[2:]}") if found else None

    def claimed(self, name: str) -> Key:
        """Return the key of the unit that a reservation names (see `claim_name`)."""
        pk, _, sk = name.partition("/")
        return Key(f"{self.tenant}#{pk}", sk)

    def by_public_id(self, public_id: str) -> tuple[Key, int | None] | None:
        """Return the key that a reservation's public id names, and a deal hold's life; None where malformed."""
        if match := _RESERVATION_ID.fullmatch(public_id):
            return Key(f"{self.tenant}#U#{match[1]}", f"R#{match[2]}"), None
        if match := _DEAL_HOLD_ID.fullmatch(public_id):
            return Key(f"{self.tenant}#U#{match[1]}", f"H#{match[3]}"), int(match[2], 16)
        return None


def public_id(key: Key, life: int | None) -> str:
    """Return the id by which clients know the reservation at `key`; a deal hold's carries its life."""
    owner = key.pk.rpartition("#")[2]
    kind, _, rest = key.sk.partition("#")
    if kind == "H":
        return f"h-{owner}-{life or 0:x}-{rest}"
    return f"{kind.lower()}-{owner}-{rest.replace('#', '-')}"


def view_id(kind: str, reservation: Key) -> str:
    """Return the id under which older clients know a reservation: as an order ("o") or a booking ("b")."""
    owner = reservation.pk.rpartition("#")[2]
    return f"{kind}-{owner}-{reservation.sk.removeprefix('R#')}"


def order_of(reservation: Key) -> Key:
    """Return the key of the order that buys the reservation at that key: there is never more than one."""
    return Key(reservation.pk, f"O#{reservation.sk.removeprefix('R#')}")


def reservation_of(order: Key) -> Key:
    """Return the key of the reservation that the order at that key buys."""
    return Key(order.pk, f"R#{order.sk.removeprefix('O#')}")


def charge_of(order: Key, name: str) -> Key:
    """Return the key of one of an order's charges: that of an attempt ("01"), or of a payment nobody asked for."""
    return Key(order.pk, f"C#{order.sk.removeprefix('O#')}#{name}")


def refund_of(order: Key, name: str) -> Key:
    """Return the key of one of an order's refunds."""
    return Key(order.pk, f"F#{order.sk.removeprefix('O#')}#{name}")


def order_beside(key: Key) -> Key:
    """Return the key of the order whose charge or refund is at `key`."""
    return Key(key.pk, f"O#{key.sk.split('#')[1]}")


def name_of(key: Key) -> str:
    """Return the name, among its order's own, of the charge or the refund at `key`."""
    return key.sk.split("#")[2]


def execution_name(key: Key, *further: object) -> str:
    """Return the name of a workflow's run for the order or refund at `key`: letters, digits and hyphens, at most 80."""
    owner = key.pk.rpartition("#")[2]
    name = "-".join([owner, *key.sk.split("#")[1:], *map(str, further)])
    assert len(name) <= MAX_NAME, f"{name} is too long for a run"
    return name


def is_order(key: Key) -> bool:
    """Return whether `key` is that of an order."""
    return _kind(key) == "U" and key.sk.startswith("O#")


def is_charge(key: Key) -> bool:
    """Return whether `key` is that of a charge."""
    return _kind(key) == "U" and key.sk.startswith("C#")


def is_refund(key: Key) -> bool:
    """Return whether `key` is that of a refund."""
    return _kind(key) == "U" and key.sk.startswith("F#")


def product_pool(product_id: str) -> str:
    """Return the name of the pool that holds a product's stock."""
    return f"product.{product_id}"


def ticket_pool(event_id: str, ticket_type_id: str) -> str:
    """Return the name of the pool of a counted ticket type."""
    return f"ticket.{event_id}.{ticket_type_id}"


def slot_pool(experience_id: str, date: str, slot_id: str, pax_type: str) -> str:
    """Return the name of the pool of one pax type of a slot, which is the name of its allocation too."""
    return f"{_SLOT_POOL}{experience_id}/{date}/{slot_id}/{pax_type}"


def pax_type_allocated(allocation: str) -> str | None:
    """Return the pax type of the slot that a reservation's allocation names; None for the shard of a pool."""
    return allocation.rpartition("/")[2] if allocation.startswith(_SLOT_POOL) else None


def pool_allocated(allocation: str) -> str:
    """Return the name of the pool whose units a reservation's allocation names."""
    return allocation if allocation.startswith(_SLOT_POOL) else allocation.rpartition("#")[0]


def claim_name(unit: Key) -> str:
    """Return the name under which a reservation keeps a unit that it claims: its key without the tenant."""
    return f"{unit.pk.partition('#')[2]}/{unit.sk}"


def limits_beside(key: Key) -> Key:
    """Return the key of the limits of the user in whose partition `key` lies."""
    return Key(key.pk, "LIMITS")


def allocation_name(shard: Key) -> str:
    """Return the name under which a reservation's allocation keeps a shard: pool and number, without the tenant."""
    return shard.pk.split("#", 2)[2]


def tenant_of(key: Key) -> str:
    """Return the tenant whose item `key` is."""
    return key.pk.partition("#")[0]


def _kind(key: Key) -> str:
    """Return what kind of items the partition of `key` has; "" for a key that is not ours."""
    return key.pk.partition("#")[2].partition("#")[0]


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
