"""The items of the tables: what each kind says, as PynamoDB models. Their keys are made in `platform.tables`."""

from typing import TYPE_CHECKING, Any

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

from holdfast.platform.tables import Key, public_id


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


class ItemOnSale(Item):
    """An item that carries the terms it is sold on; `revision` rises with every change of the others."""

    revision = IntegerAttribute()
    price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    on_sale = BooleanAttribute()
    max_per_user = IntegerAttribute(null=True)


class PoolShardItem(ItemOnSale):
    """One counter shard of a pool, and the terms it is sold on; `available + held + sold = total` at all times."""

    available = IntegerAttribute()
    held = IntegerAttribute()
    sold = IntegerAttribute()
    total = IntegerAttribute()
    released = IntegerAttribute()


class ProductItem(ItemOnSale):
    """A product as its tenant describes it; the stock itself is in its pool's shards."""

    name = UnicodeAttribute()
    description = UnicodeAttribute(null=True)
    total_stock = IntegerAttribute()
    shards = IntegerAttribute()
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

    `written_by` tells a deal hold's last writers their own work from another's (PROTOCOL.md 8).
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
