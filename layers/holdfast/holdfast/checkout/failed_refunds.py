"""Refunds that fail after they were counted as paid back, as providers tell up to weeks later.

What was given back for them stays given back, and nothing is paid again by itself: why a bank sent money back is for a
person to see. The books are put right, once, so that captured minus refunded is the price of what is confirmed plus
fees still: what could not be paid back is a fee of its order, kept against everybody's will. A payment that bought
nothing is in its charge alone, and so is what is kept of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pynamodb.expressions.update import Action

from holdfast.checkout.charges import key_for
from holdfast.checkout.orders import writing
from holdfast.checkout.outcomes import is_under_way
from holdfast.checkout.payments.port import Provider, Refund, RefundState
from holdfast.checkout.refunds import touching
from holdfast.checkout.states import ChargeState, RefundStatus
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, Write, key_written
from holdfast.platform.errors import Busy
from holdfast.platform.logs import logger
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem, WebhookItem
from holdfast.platform.tables import Keys, charge_of, refund_of
from holdfast.reservations.engine import Engine

REFUND_FAILED = "refund_failed"
"""What an event is taken in as that tells of such a refund."""

NOTHING_NEW = "nothing_new"
"""What an event is taken in as that says nothing which the books do not say."""

_OPEN = (RefundStatus.PENDING, RefundStatus.PAID)
_OF_A_CHECKOUT = "-refund"

_logger = logger()


@dataclass(frozen=True)
class Counted:
    """What our books say of money that was paid back: a `refund` of its own, or none where a checkout was undone."""

    order: OrderItem
    charge: ChargeItem
    refund: RefundItem | None

    @property
    def is_of_order(self) -> bool:
        """Return whether the money is among the order's own."""
        if self.refund is not None:
            return bool(self.refund.lines)
        return self.order.attempt == self.charge.attempt and self.order.refunded_minor >= self.charge.refunded_minor


def take_in(engine: Engine, keys: Keys, provider: Provider, key: str, taken: Put) -> str | None:
    """Take in that the refund of this `key` failed; return what that is taken as, None where it is none of ours.

    Written in one transaction: the charge, the order, the refund, and that the event was taken in (`taken`). Told to
    people, by an error in the log, at least once. Raises Busy where a workflow is at the refund, ProviderUnavailable.
    """
    for attempt in engine.retries:
        counted = _counted(engine, keys, provider, key)
        if counted is None:
            return None
        known = engine.store.get(WebhookItem, key_written(taken))
        if known is not None and known.taken_as != REFUND_FAILED:
            return NOTHING_NEW
        if known is None:
            failed = _not_paid(provider, counted, key)
            if failed is None:
                return NOTHING_NEW
            try:
                engine.store.make([taken, *_corrections(counted, failed, engine.clock.now())])
            except (Cancelled, Contended):
                engine.retries.wait(attempt)
                continue
        _tell_people(counted)
        return REFUND_FAILED
    raise Busy


def _counted(engine: Engine, keys: Keys, provider: Provider, key: str) -> Counted | None:
    """Return what our books say of the refund of this key, by which it was asked for; None for none of the tenant's."""
    owner, _, rest = key.partition("-")
    digest, _, name = rest.partition("-")
    order_key = keys.by_order_id(f"o-{owner}-{digest}")
    order = engine.store.get(OrderItem, order_key) if order_key else None
    if order is None:
        return None
    refund = None if name.endswith(_OF_A_CHECKOUT) else engine.store.get(RefundItem, refund_of(order.key, name))
    charge_name = name.removesuffix(_OF_A_CHECKOUT) if refund is None else refund.charge or ""
    charge = engine.store.get(ChargeItem, charge_of(order.key, charge_name))
    if charge is None or charge.payment_id is None or charge.provider != provider.name:
        return None
    return Counted(order, charge, refund) if refund is not None or key == key_for(charge, "refund") else None


def _not_paid(provider: Provider, counted: Counted, key: str) -> Refund | None:
    """Return the refund of this key as one that failed, of as much as was counted; None where nothing is wrong.

    The provider is asked, since events come in any order and another refund may have taken its place. Raises Busy where
    it may be counted at this moment.
    """
    order, charge, refund = counted.order, counted.charge, counted.refund
    if refund.status in _OPEN if refund else is_under_way(order, order.attempt):
        raise Busy
    assert charge.payment_id is not None
    made = provider.refunds_of(charge.payment_id)
    tries = [each for each in made if each.key == key]
    if not tries or any(_stands(each) for each in tries):
        return None
    failed = tries[-1]
    if refund is not None:
        amount = min(refund.amount_minor, charge.refunded_minor)
    else:
        amount = min(
            failed.amount_minor, charge.refunded_minor - sum(each.amount_minor for each in made if _stands(each))
        )
    return Refund(failed.id, failed.state, amount, failed.reason, key) if amount > 0 else None


def _stands(refund: Refund) -> bool:
    return refund.state is not RefundState.FAILED


def _corrections(counted: Counted, failed: Refund, now: int) -> Sequence[Write]:
    """Return the writes by which nothing says any more that a refund's money was paid back."""
    order, charge, refund = counted.order, counted.charge, counted.refund
    amount, reason = failed.amount_minor, failed.reason or REFUND_FAILED
    charged: list[Action] = [
        ChargeItem.status.set(ChargeState.COMPLETED.value),
        ChargeItem.refunded_minor.add(-amount),
        ChargeItem.reason.set(reason),
        ChargeItem.version.add(1),
        ChargeItem.updated_at.set(now),
    ]
    writes: list[Write] = [Update(charge.key, charged, ChargeItem.version == charge.version)]
    if counted.is_of_order:
        writes.append(writing(order, now, [OrderItem.refunded_minor.add(-amount), OrderItem.fee_minor.add(amount)]))
    if refund is not None:
        kept: list[Action] = [RefundItem.amount_minor.add(-amount), RefundItem.fee_minor.add(amount)]
        writes.append(touching(refund, now, [*kept, RefundItem.reason.set(reason)]))
    return writes


def _tell_people(counted: Counted) -> None:
    _logger.error(
        "a refund failed after it was paid back",
        extra={
            "order": counted.order.id,
            "refund": counted.refund.id if counted.refund else None,
            "charge": counted.charge.id,
            "provider": counted.charge.provider,
            "payment": counted.charge.payment_id,
        },
    )
