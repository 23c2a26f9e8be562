"""The items of orders and of what pays for them: only functions that check out load these models."""

from typing import TYPE_CHECKING, Any

from pynamodb.attributes import BooleanAttribute, ListAttribute, MapAttribute, UnicodeAttribute

from holdfast.platform.items import IntegerAttribute, Item, LineMap
from holdfast.platform.tables import public_id


class OrderItem(Item):
    """What a user buys or bought of one reservation, and how far that is; `version` rises with every write.

    `returned` says of each line how many of it were given back, `admitted` when (ms) each ticket was let in, by line
    and number. While a checkout runs, in the `mode` that its workflow was started in, `task_token` is that of the
    waiting task and `outcome` (JSON) what it waits for, whichever came first (PROTOCOL.md 22); `action` (JSON) is what
    the buyer has to do to pay. Once what the attempt did is `undoing`, none of its steps goes forward any more.

    Money is in minor units: `captured_minor - refunded_minor` is the price of what is confirmed plus `fee_minor`, what
    was kept of things given back; `refundable_minor` is what may still be paid back (PROTOCOL.md 23).
    """

    user_id = UnicodeAttribute()
    reservation_id = UnicodeAttribute()
    source = UnicodeAttribute(null=True)
    status = UnicodeAttribute()
    attempt = IntegerAttribute()
    mode = UnicodeAttribute(default="buy")
    lines: ListAttribute[LineMap] = ListAttribute(of=LineMap)
    returned: ListAttribute[int] = ListAttribute(of=IntegerAttribute)  # type: ignore[arg-type]
    admitted: MapAttribute[str, int] = MapAttribute(default=dict)  # type: ignore[no-untyped-call]
    currency = UnicodeAttribute()
    total_minor = IntegerAttribute()
    captured_minor = IntegerAttribute(default=0)
    refunded_minor = IntegerAttribute(default=0)
    fee_minor = IntegerAttribute(default=0)
    refundable_minor = IntegerAttribute(default=0)
    provider = UnicodeAttribute()
    payment_token = UnicodeAttribute(null=True)
    payment_hash = UnicodeAttribute(null=True)
    deadline = IntegerAttribute(null=True)
    task_token = UnicodeAttribute(null=True)
    task_try = IntegerAttribute(default=0)
    outcome = UnicodeAttribute(null=True)
    undoing = BooleanAttribute(null=True)
    action = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()
    completed_at = IntegerAttribute(null=True)
    due_bucket = IntegerAttribute(null=True)
    due = IntegerAttribute(null=True)

    @property
    def id(self) -> str:
        """Return the id by which clients know this order."""
        return public_id(self.key, None)

    def admissions(self) -> dict[str, int]:
        """Return when (ms) each ticket was let in, by line and number ("0-1")."""
        return {name: int(at) for name, at in self.admitted.attribute_values.items()}


class ChargeItem(Item):
    """One payment for an order, as its provider has it; `version` rises with every write.

    An order has one charge an attempt, and one more for each payment that came without being asked for. `payment_id`
    is the provider's; `action` (JSON) is what the buyer has to do to pay. `payment_token` is kept until the provider's
    payment is known: the same may have to be asked of it again.
    """

    user_id = UnicodeAttribute()
    status = UnicodeAttribute()
    attempt = IntegerAttribute()
    provider = UnicodeAttribute()
    payment_token = UnicodeAttribute(null=True)
    payment_id = UnicodeAttribute(null=True)
    amount_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    captured_minor = IntegerAttribute(default=0)
    refunded_minor = IntegerAttribute(default=0)
    action = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()

    @property
    def id(self) -> str:
        """Return the id by which clients know this charge."""
        return public_id(self.key, None)


class ReturnMap(MapAttribute[str, Any]):
    """How many of an order's line, by its place from 0, are given back."""

    line = IntegerAttribute()
    quantity = IntegerAttribute()

    if TYPE_CHECKING:

        def __init__(self, *, line: int, quantity: int) -> None:
            """Take every attribute; PynamoDB's own initialiser is untyped."""


class RefundItem(Item):
    """Money on its way back, and what is given back for it; `charge` is the name of the charge that it is paid from.

    `amount_minor` is paid back, `fee_minor` kept of the price of what is given back. One with no lines pays back a
    payment that bought nothing.
    """

    user_id = UnicodeAttribute()
    status = UnicodeAttribute()
    charge = UnicodeAttribute(null=True)
    lines: ListAttribute[ReturnMap] = ListAttribute(of=ReturnMap)
    amount_minor = IntegerAttribute()
    fee_minor = IntegerAttribute()
    currency = UnicodeAttribute()
    refund_id = UnicodeAttribute(null=True)
    reason = UnicodeAttribute()
    requested_by = UnicodeAttribute()
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()
    due_bucket = IntegerAttribute(null=True)
    due = IntegerAttribute(null=True)

    @property
    def id(self) -> str:
        """Return the id by which clients know this refund."""
        return public_id(self.key, None)


class WebhookItem(Item):
    """That a provider's event was taken in, and what became of it."""

    event_type = UnicodeAttribute()
    taken_as = UnicodeAttribute()
    received_at = IntegerAttribute()
    ttl = IntegerAttribute()


class PaymentSettingsItem(Item):
    """The payment providers that a tenant uses, the first of them unless a checkout names another."""

    providers: ListAttribute[str] = ListAttribute(of=UnicodeAttribute)  # type: ignore[arg-type]
    version = IntegerAttribute()
    updated_at = IntegerAttribute()


class SandboxPaymentItem(Item):
    """A payment in the books of the sandbox, the provider that moves no money; `book` is what they say of it (JSON)."""

    book = UnicodeAttribute()
    version = IntegerAttribute()
    ttl = IntegerAttribute()


class HistoryItem(Item):
    """Something that happened to an order or a charge, at which version of it; `data` (JSON) is for whoever listens."""

    type = UnicodeAttribute()
    aggregate_id = UnicodeAttribute()
    version = IntegerAttribute()
    data = UnicodeAttribute()
    at = IntegerAttribute()


class TicketKeyItem(Item):
    """A public key that ticket codes are checked with: `x` is that of its JWK, and its id is in the item's key."""

    x = UnicodeAttribute()
    created_at = IntegerAttribute()
