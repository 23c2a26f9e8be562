"""The lives of orders and charges as tables, which state may follow which; and the states of refunds."""

from enum import StrEnum


class OrderState(StrEnum):
    """The states of an order, as stored and as clients see them."""

    PENDING = "pending"
    """The order is written, and its workflow is at it."""
    AWAITING_PAYMENT = "awaiting_payment"
    """The buyer has something to do."""
    COMPLETED = "completed"
    PAYMENT_FAILED = "payment_failed"
    """Not paid; what it was for is held as before, so that another payment can be tried while that lasts."""
    EXPIRED = "expired"
    """Not paid in time; what it was for is given back."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    """Given up after the goods were confirmed: they are given back, and so is the money."""
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


ORDER_FOLLOWERS: dict[OrderState, frozenset[OrderState]] = {
    OrderState.PENDING: frozenset(
        {
            OrderState.AWAITING_PAYMENT,
            OrderState.COMPLETED,
            OrderState.PAYMENT_FAILED,
            OrderState.EXPIRED,
            OrderState.CANCELLED,
            OrderState.FAILED,
        }
    ),
    OrderState.AWAITING_PAYMENT: frozenset(
        {
            OrderState.COMPLETED,
            OrderState.PAYMENT_FAILED,
            OrderState.EXPIRED,
            OrderState.CANCELLED,
            OrderState.FAILED,
        }
    ),
    OrderState.PAYMENT_FAILED: frozenset({OrderState.PENDING, OrderState.CANCELLED}),
    OrderState.EXPIRED: frozenset({OrderState.PENDING}),
    OrderState.COMPLETED: frozenset({OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED, OrderState.CANCELLED}),
    OrderState.PARTIALLY_REFUNDED: frozenset(
        {OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED, OrderState.CANCELLED}
    ),
    OrderState.CANCELLED: frozenset(),
    OrderState.FAILED: frozenset(),
    OrderState.REFUNDED: frozenset(),
}
"""What may follow each state. Another card, or late money, makes an order pending once more."""

UNDER_WAY = frozenset({OrderState.PENDING, OrderState.AWAITING_PAYMENT})
"""The states in which a workflow is at the order."""

BOUGHT = frozenset({OrderState.COMPLETED, OrderState.PARTIALLY_REFUNDED})
"""The states in which a buyer has something of the order."""


class ChargeState(StrEnum):
    """The states of a charge."""

    CREATED = "created"
    AUTHORISED = "authorised"
    COMPLETED = "completed"
    FAILED = "failed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    """All of it was paid back."""


CHARGE_FOLLOWERS: dict[ChargeState, frozenset[ChargeState]] = {
    ChargeState.CREATED: frozenset(
        {ChargeState.AUTHORISED, ChargeState.COMPLETED, ChargeState.FAILED, ChargeState.VOIDED}
    ),
    ChargeState.AUTHORISED: frozenset({ChargeState.COMPLETED, ChargeState.FAILED, ChargeState.VOIDED}),
    ChargeState.FAILED: frozenset({ChargeState.AUTHORISED, ChargeState.COMPLETED, ChargeState.VOIDED}),
    ChargeState.VOIDED: frozenset({ChargeState.AUTHORISED, ChargeState.COMPLETED}),
    ChargeState.COMPLETED: frozenset({ChargeState.REFUNDED}),
    ChargeState.REFUNDED: frozenset({ChargeState.COMPLETED}),
}
"""What may follow each state; late money revives a charge that had failed or was voided; a refund may fail later."""


class RefundStatus(StrEnum):
    """The states of a refund."""

    PENDING = "pending"
    PAID = "paid"
    """The money has moved; what it was for is being put on sale again."""
    COMPLETED = "completed"
    FAILED = "failed"
