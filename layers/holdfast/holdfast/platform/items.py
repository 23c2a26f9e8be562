"""The items of the tables: what each kind says, as PynamoDB models. Their keys are made in `platform.tables`."""

from typing import TYPE_CHECKING, Any

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    UnicodeAttribute,
)
from pynamodb.constants import NUMBER
from pynamodb.models import Model

from holdfast.platform.tables import Key, product_pool, public_id, slot_pool, ticket_pool


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


class UnitItem(ItemOnSale):
    """A thing that exists once: free without a `holder`, held while it has a `held_until` too, else sold.

    It has a `title` where its own name says more than its key; `version` rises with every write.
    """

    title = UnicodeAttribute(null=True)
    holder = UnicodeAttribute(null=True)
    held_until = IntegerAttribute(null=True)
    version = IntegerAttribute()


class EventItem(Item):
    """An event as its organiser describes it; `ticket_types` counts those that it ever had."""

    name = UnicodeAttribute()
    date = UnicodeAttribute()
    venue = UnicodeAttribute()
    description = UnicodeAttribute(null=True)
    created_at = IntegerAttribute()


class TicketTypeItem(ItemOnSale):
    """A kind of ticket to an event: counted in a pool of `shards`, or numbered seats in rows.

    `rows` says which block each row's seats are in, and `blocks` how many seats each block was given.
    """

    name = UnicodeAttribute()
    numbered = BooleanAttribute()
    quantity = IntegerAttribute()
    shards = IntegerAttribute(default=1)
    rows: MapAttribute[str, int] = MapAttribute(null=True)  # type: ignore[no-untyped-call]
    blocks: ListAttribute[int] = ListAttribute(of=IntegerAttribute, null=True)  # type: ignore[arg-type]
    version = IntegerAttribute()
    created_at = IntegerAttribute()


class SeatPlanItem(Item):
    """The seats that a block is to have: by row, their labels in ranges ("1-20,23")."""

    rows: MapAttribute[str, str] = MapAttribute()  # type: ignore[no-untyped-call]


class ListingItem(UnitItem):
    """A ticket that somebody resells; it always has a title."""

    seller_id = UnicodeAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()
    written_by = UnicodeAttribute(null=True)


class ListedItem(Item):
    """The place of a listing in a list; the listing itself says everything else."""

    ticket_id = UnicodeAttribute()


class VenueItem(Item):
    """A hall. `settings` is the JSON text of everything that its owner may set, as the halls room validates it."""

    name = UnicodeAttribute()
    address = UnicodeAttribute()
    capacity = IntegerAttribute()
    base_price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    time_zone = UnicodeAttribute()
    prefix = UnicodeAttribute()
    settings = UnicodeAttribute()
    active = BooleanAttribute()
    revision = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()


class DayItem(Item):
    """One UTC day of a calendar. `entries` by their ids are maps of `s` and `e`, the span, and `u`, held until (ms)."""

    version = IntegerAttribute()
    entries: MapAttribute[str, Any] = MapAttribute()  # type: ignore[no-untyped-call]
    ttl = IntegerAttribute()


class BlackoutItem(Item):
    """A stretch of time in which a venue cannot be booked; `status` is writing, standing or lifting.

    `written_until` is the day (YYYY-MM-DD) up to which the calendar has it, exclusive.
    """

    start = IntegerAttribute()
    end = IntegerAttribute()
    reason = UnicodeAttribute()
    is_maintenance = BooleanAttribute()
    status = UnicodeAttribute()
    written_until = UnicodeAttribute()
    created_at = IntegerAttribute()
    due_bucket = IntegerAttribute(null=True)
    due = IntegerAttribute(null=True)


class BookingItem(Item):
    """What a hall's booking says beyond its reservation, whose state and time are not repeated here."""

    reservation_pk = UnicodeAttribute()
    reservation_sk = UnicodeAttribute()
    number = UnicodeAttribute()
    venue_id = UnicodeAttribute()
    venue_name = UnicodeAttribute()
    user_id = UnicodeAttribute()
    customer_name = UnicodeAttribute(null=True)
    customer_phone = UnicodeAttribute(null=True)
    customer_email = UnicodeAttribute(null=True)
    is_new_customer = BooleanAttribute()
    start = IntegerAttribute()
    end = IntegerAttribute()
    event_type = UnicodeAttribute(null=True)
    guest_count = IntegerAttribute(null=True)
    special_requests = UnicodeAttribute(null=True)
    meta = UnicodeAttribute(null=True)
    total_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    cancelled_at = IntegerAttribute(null=True)
    refund_percent = IntegerAttribute(null=True)
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()


class ExperienceItem(Item):
    """A partner's product that the tenant sells; `weekdays` are those it runs on, 1 for Monday to 7 for Sunday.

    While it is not `enabled` nothing is asked of the partner, and nothing of it is sold. `changed_at` (ms) is when
    `enabled` or `weekdays` were changed last.
    """

    experience_id = UnicodeAttribute()
    name = UnicodeAttribute()
    partner = UnicodeAttribute()
    partner_product_id = UnicodeAttribute()
    weekdays: ListAttribute[int] = ListAttribute(of=IntegerAttribute)  # type: ignore[arg-type]
    enabled = BooleanAttribute()
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()
    changed_at = IntegerAttribute(default=0)


class PartnerProductItem(Item):
    """That a partner's product is sold as an experience: by one tenant only, for each would count all its places."""

    tenant_id = UnicodeAttribute()
    experience_id = UnicodeAttribute()


class ExperienceSellerItem(Item):
    """That a tenant has experiences, so that the planner looks for them."""

    tenant_id = UnicodeAttribute()


class SlotItem(Item):
    """A partner's slot: what it is sold on, and its counters beside those of its pax types.

    Every change of `on_sale`, `start_time`, `end_time`, `currency` and `pax` (JSON text, see `claims.slot`) raises
    `revision`. `partner` is what the partner last said is left, `counted` how many of our own sales that number had in
    it; `available + held + sold = partner + counted` at all times, where `available` is negative once the partner has
    fewer left than we hold and sold. `returned` is how many sold places were ever put on sale again. A pax type's
    counters have the same names with `#` and the type appended. What the partner said when asked at `asked_at` (ms) is
    in here, and nothing older is taken in any more. It begins at `starts_at` (ms), and is kept for more than a year
    after.
    """

    revision = IntegerAttribute()
    on_sale = BooleanAttribute()
    start_time = UnicodeAttribute()
    end_time = UnicodeAttribute(null=True)
    currency = UnicodeAttribute()
    pax = UnicodeAttribute()
    available = IntegerAttribute()
    held = IntegerAttribute()
    sold = IntegerAttribute()
    partner = IntegerAttribute()
    counted = IntegerAttribute()
    returned = IntegerAttribute(null=True)
    asked_at = IntegerAttribute()
    starts_at = IntegerAttribute()
    first_seen_at = IntegerAttribute()
    changed_at = IntegerAttribute()
    ttl = IntegerAttribute()


class SlotDayItem(Item):
    """What is known of an experience's day as a whole: when the partner was last asked, and what it said beside.

    Whoever changes the day's slots first writes in here when it asked (`asked_at`, ms) and itself (`written_by`), and
    every change of a slot insists on that, so that an older answer never overwrites a newer one. What was said when
    asked at `synced_at` is taken in whole; `digest` is that of the answer, as long as nobody else has begun to change
    the day. `aside` is the JSON text of fields that we know nothing of, `rejected` that of slots that could not be
    taken in and why.
    """

    asked_at = IntegerAttribute()
    written_by = UnicodeAttribute()
    synced_at = IntegerAttribute(null=True)
    first_seen_at = IntegerAttribute(null=True)
    digest = UnicodeAttribute(null=True)
    aside = UnicodeAttribute(null=True)
    rejected = UnicodeAttribute(null=True)
    ttl = IntegerAttribute()


class DaySummaryItem(Item):
    """An experience's day in short: the lowest payable price of what can still be had; no price where nothing can.

    It is the price `until` (ms) all slots that it can be had at have begun. `then` is the JSON text of what it is after
    that: for each further price until when, what it is, what it was, and its currency.
    Its sort key is the date, in the time zone called `zone`, of which nobody knows before an answer was taken in whole,
    at `synced_at`. `version` rises with every write. `short` is the JSON text of by how many places each slot falls
    short, by slot id.
    """

    final_minor = IntegerAttribute(null=True)
    original_minor = IntegerAttribute(null=True)
    currency = UnicodeAttribute(null=True)
    until = IntegerAttribute(null=True)
    then = UnicodeAttribute(null=True)
    short = UnicodeAttribute(null=True)
    zone = UnicodeAttribute(null=True)
    synced_at = IntegerAttribute(null=True)
    version = IntegerAttribute()
    ttl = IntegerAttribute()


class ShortageItem(Item):
    """A slot of which the partner has fewer places left than are held and sold; `missing` is by how many."""

    experience_id = UnicodeAttribute()
    date = UnicodeAttribute()
    slot_id = UnicodeAttribute()
    missing = IntegerAttribute()
    seen_at = IntegerAttribute()
    ttl = IntegerAttribute()


class LineMap(MapAttribute[str, Any]):
    """One line of a reservation: what, how many, at which price; `counted` where a limit per user counts it.

    Which of the attributes that name a thing are there depends on the `kind`; `start` and `end` are ms. Of a slot, each
    pax type is a line of its own.
    """

    kind = UnicodeAttribute()
    product_id = UnicodeAttribute(null=True)
    event_id = UnicodeAttribute(null=True)
    ticket_type_id = UnicodeAttribute(null=True)
    row = UnicodeAttribute(null=True)
    seat = UnicodeAttribute(null=True)
    ticket_id = UnicodeAttribute(null=True)
    title = UnicodeAttribute(null=True)
    venue_id = UnicodeAttribute(null=True)
    start = IntegerAttribute(null=True)
    end = IntegerAttribute(null=True)
    experience_id = UnicodeAttribute(null=True)
    date = UnicodeAttribute(null=True)
    slot_id = UnicodeAttribute(null=True)
    pax_type = UnicodeAttribute(null=True)
    quantity = IntegerAttribute()
    unit_price_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    counted = BooleanAttribute(default=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            kind: str,
            quantity: int,
            unit_price_minor: int,
            currency: str,
            counted: bool,
            product_id: str | None = None,
            event_id: str | None = None,
            ticket_type_id: str | None = None,
            row: str | None = None,
            seat: str | None = None,
            ticket_id: str | None = None,
            title: str | None = None,
            venue_id: str | None = None,
            start: int | None = None,
            end: int | None = None,
            experience_id: str | None = None,
            date: str | None = None,
            slot_id: str | None = None,
            pax_type: str | None = None,
        ) -> None:
            """Take every attribute; PynamoDB's own initialiser is untyped."""

    @property
    def limited_as(self) -> str:
        """Return the name by which a limit per user counts the line."""
        return limited_as(self.product_id, self.event_id, self.ticket_type_id)

    @property
    def pool(self) -> str | None:
        """Return the name of the pool that the line is drawn from; None for what exists once."""
        if self.product_id is not None:
            return product_pool(self.product_id)
        if self.kind == "slot":
            return slot_pool(self.experience_id or "", self.date or "", self.slot_id or "", self.pax_type or "")
        return ticket_pool(self.event_id or "", self.ticket_type_id or "") if self.kind == "ticket" else None

    def of(self, quantity: int) -> "LineMap":
        """Return the same line with another quantity; this one stays as it is."""
        return LineMap(**{**self.attribute_values, "quantity": quantity})


def limited_as(product_id: str | None, event_id: str | None, ticket_type_id: str | None) -> str:
    """Return the name by which a limit per user counts a thing: a product, or a ticket type of an event."""
    return product_id if product_id is not None else ticket_pool(event_id or "", ticket_type_id or "")


class SpanMap(MapAttribute[str, Any]):
    """A span of a calendar that a reservation holds, its turnaround times included, in ms."""

    calendar = UnicodeAttribute()
    start = IntegerAttribute()
    end = IntegerAttribute()

    if TYPE_CHECKING:

        def __init__(self, *, calendar: str, start: int, end: int) -> None:
            """Take every attribute; PynamoDB's own initialiser is untyped."""


class ReservationItem(Item):
    """A reservation, or a deal hold (which has a `life`); `v` grows with every write.

    What it claims is in `allocation` (units by shard), `units` (by name) and `spans`; `source` is the route it came by.
    In checkout, `checkout` is the order's attempt that has it, `expires_at` the deadline to pay by, `checkout_until`
    the latest that any attempt may have, and `hold_expires_at` the hold's own time, to which a declined payment goes
    back.
    `written_by` tells a deal hold's last writers their own work from another's (PROTOCOL.md 8). Where its expiry counts
    against its user, `watched` says how many times its length was halved because others had counted before.
    """

    user_id = UnicodeAttribute()
    status = UnicodeAttribute()
    v = IntegerAttribute()
    lines: ListAttribute[LineMap] = ListAttribute(of=LineMap)
    allocation: MapAttribute[str, int] = MapAttribute()  # type: ignore[no-untyped-call]
    units: ListAttribute[str] = ListAttribute(of=UnicodeAttribute, null=True)  # type: ignore[arg-type]
    spans: ListAttribute[SpanMap] = ListAttribute(of=SpanMap, null=True)
    source = UnicodeAttribute(null=True)
    created_at = IntegerAttribute()
    expires_at = IntegerAttribute()
    first_expires_at = IntegerAttribute()
    body_hash = UnicodeAttribute(null=True)
    life = IntegerAttribute(null=True)
    extended_by = UnicodeAttribute(null=True)
    checkout = IntegerAttribute(null=True)
    checkout_until = IntegerAttribute(null=True)
    hold_expires_at = IntegerAttribute(null=True)
    written_by = UnicodeAttribute(null=True)
    watched = IntegerAttribute(null=True)
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


class IdempotencyItem(Item):
    """That a route was called with a key, with which body, and what was answered."""

    body_hash = UnicodeAttribute()
    answer = UnicodeAttribute()
    ttl = IntegerAttribute()


class CounterItem(Item):
    """The last number given to things of one name."""

    last = IntegerAttribute()
