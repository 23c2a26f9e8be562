"""The tables: every key, every item's attributes, and the schema the template must have.

No other module spells a key, and no key can be built without a tenant: `Keys` is made of one. Ids that leave the house
carry the hash of their user, so that reading by id and listing by user are both reads by key.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.constants import NUMBER
from pynamodb.models import Model

DUE_INDEX = "due"
DUE_BUCKETS = 16
"""The partitions of the index of things that fall due; PROTOCOL.md, Items."""

TTL_ATTRIBUTE = "ttl"

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

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_USER_HASH = re.compile(r"[a-z2-7]{16}")
_RESERVATION_ID = re.compile(r"r-([a-z2-7]{16})-([0-9a-f]{32})")
_DEAL_HOLD_ID = re.compile(r"h-([a-z2-7]{16})-([0-9a-f]{1,12})-([A-Za-z0-9_]{1,40})")
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
    return key.sk.startswith(("R#", "H#"))


def product_of(key: Key) -> tuple[str, str] | None:
    """Return the tenant and the id of the product at `key`, or None where it is none."""
    tenant, _, kind = key.pk.partition("#")
    return (tenant, key.sk[3:]) if kind == "PRODUCTS" else None


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
        """Return the key of the shard that a reservation's allocation names (see `allocation_name`)."""
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

    def service_key(self, digest: str) -> Key:
        """Return the key of the service key whose secret hashes to `digest`."""
        return Key(f"{self.tenant}#KEYS", digest)

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

    def deal_hold(self, user: str, product_id: str) -> Key:
        """Return the key of the one hold that `user` has on a product through the older reserve route."""
        return Key(self.user(user), f"H#{product_id}")

    def order(self, user: str, order: str) -> Key:
        """Return the key of one order; `order` is 32 hexadecimal digits."""
        return Key(self.user(user), f"O#{order}")

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
    return f"{kind.lower()}-{owner}-{rest}"


def limits_beside(key: Key) -> Key:
    """Return the key of the limits of the user in whose partition `key` lies."""
    return Key(key.pk, "LIMITS")


def allocation_name(shard: Key) -> str:
    """Return the name under which a reservation's allocation keeps a shard: pool and number, without the tenant."""
    return shard.pk.split("#", 2)[2]


def tenant_of(key: Key) -> str:
    """Return the tenant whose item `key` is."""
    return key.pk.partition("#")[0]


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


class IntegerAttribute(Attribute[int]):
    """A whole number; PynamoDB's own NumberAttribute is typed as a float."""

    attr_type = NUMBER

    def serialize(self, value: int) -> str:
        """Return the number as DynamoDB carries it."""
        return str(value)

    def deserialize(self, value: str) -> int:
        """Return the number that DynamoDB carried."""
        return int(value)


class Item(Model):
    """What all items have. The table's name is the store's to know: one model serves every stage."""

    class Meta:
        """PynamoDB wants a name here; `platform.dynamodb` gives the real one with each request."""

        table_name = "holdfast"

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)

    @property
    def key(self) -> Key:
        """Return the item's primary key."""
        return Key(self.pk, self.sk)


class PoolShardItem(Item):
    """One counter shard of a pool, and the terms it is sold on; `available + held + sold = total` at all times."""

    available = IntegerAttribute()
    held = IntegerAttribute()
    sold = IntegerAttribute()
    total = IntegerAttribute()
    released = IntegerAttribute()
    revision = IntegerAttribute()
    price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    on_sale = BooleanAttribute()
    max_per_user = IntegerAttribute(null=True)


class ProductItem(Item):
    """A product as its tenant describes it; the stock itself is in its pool's shards."""

    name = UnicodeAttribute()
    description = UnicodeAttribute(null=True)
    total_stock = IntegerAttribute()
    shards = IntegerAttribute()
    revision = IntegerAttribute()
    price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    on_sale = BooleanAttribute()
    max_per_user = IntegerAttribute(null=True)
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()
    due_bucket = IntegerAttribute(null=True)
    due = IntegerAttribute(null=True)


class LineMap(MapAttribute[str, Any]):
    """One line of a reservation: what, how many, at which price; `counted` where a limit per user counts it."""

    kind = UnicodeAttribute()
    product_id = UnicodeAttribute()
    quantity = IntegerAttribute()
    unit_price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    counted = BooleanAttribute(default=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            kind: str,
            product_id: str,
            quantity: int,
            unit_price_minor: int,
            currency: str,
            counted: bool,
        ) -> None:
            """Take every attribute; PynamoDB's own initialiser is untyped."""

    def of(self, quantity: int) -> "LineMap":
        """Return the same line with another quantity; this one stays as it is."""
        return LineMap(
            kind=self.kind,
            product_id=self.product_id,
            quantity=quantity,
            unit_price_minor=self.unit_price_minor,
            currency=self.currency,
            counted=self.counted,
        )


class ReservationItem(Item):
    """A reservation, or a deal hold (which has a `life`); `v` grows with every write.

    `written_by` tells a deal hold's last writer its own work from another's (PROTOCOL.md 8).
    """

    user_id = UnicodeAttribute()
    status = UnicodeAttribute()
    v = IntegerAttribute()
    lines: ListAttribute[LineMap] = ListAttribute(of=LineMap)
    allocation: MapAttribute[str, int] = MapAttribute()  # type: ignore[no-untyped-call]
    created_at = IntegerAttribute()
    expires_at = IntegerAttribute()
    first_expires_at = IntegerAttribute()
    body_hash = UnicodeAttribute(null=True)
    life = IntegerAttribute(null=True)
    extended_by = UnicodeAttribute(null=True)
    written_by = UnicodeAttribute(null=True)
    due_bucket = IntegerAttribute(null=True)
    due = IntegerAttribute(null=True)
    ttl = IntegerAttribute(null=True)

    @property
    def id(self) -> str:
        """Return the id by which clients know this reservation."""
        return public_id(self.key, self.life)

    def allocated(self) -> dict[str, int]:
        """Return the units held of each shard, by allocation name."""
        return {name: int(units) for name, units in self.allocation.attribute_values.items()}


class OrderItem(Item):
    """What a user bought, and from which reservation."""

    user_id = UnicodeAttribute()
    reservation_id = UnicodeAttribute()
    status = UnicodeAttribute()
    lines: ListAttribute[LineMap] = ListAttribute(of=LineMap)
    currency = UnicodeAttribute()
    total_minor = IntegerAttribute()
    created_at = IntegerAttribute()

    @property
    def id(self) -> str:
        """Return the id by which clients know this order."""
        return public_id(self.key, None)


class IdempotencyItem(Item):
    """That a route was called with a key, with which body, and what was answered."""

    body_hash = UnicodeAttribute()
    answer = UnicodeAttribute()
    ttl = IntegerAttribute()


class CounterItem(Item):
    """The last number given to things of one name."""

    last = IntegerAttribute()


class ServiceKeyItem(Item):
    """A service key: only the hash of its secret is kept, as the item's sort key."""

    label = UnicodeAttribute()
    roles = UnicodeSetAttribute()
    created_at = IntegerAttribute()
