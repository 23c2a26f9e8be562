"""Opening orders: written, conditionally, before their workflow is started under a name that follows from them.

So a repeat starts nothing new, and an order whose start was lost or throttled is found and started by whoever asks for
it again, or by the sweeper (PROTOCOL.md 21).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from holdfast.checkout.clearance import Clearance
from holdfast.checkout.looking import until
from holdfast.checkout.states import BOUGHT, UNDER_WAY, OrderState
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Write
from holdfast.platform.errors import (
    Busy,
    CheckoutUnderWay,
    Forbidden,
    HoldfastError,
    OrderNotFound,
    PaymentRequired,
    ProviderNotUsed,
    ReservationOver,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key, due_bucket, execution_name, limits_beside, order_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from holdfast.reservations.reading import total_of
from holdfast.reservations.states import State

EXTERNAL = "external"
"""The provider of what is paid elsewhere; only a service key may name it (PROTOCOL.md 24)."""

FREE = "free"
"""The provider of what costs nothing: there is no charge."""

BUY = "buy"
LATE = "late"
"""The modes in which an order's workflow is started: to be paid, or with money that came when it was over."""

START_WITHIN = 60_000
"""Milliseconds after which the sweeper looks whether an order's workflow was started."""


@dataclass(frozen=True)
class PaymentChoice:
    """How an order is to be paid: by which provider, with which of its tokens."""

    provider: str
    token: str | None = None

    @property
    def hash(self) -> str:
        """Return the hash by which two choices are the same or not."""
        return hash_of([self.provider, self.token])


def choose(
    roles: Collection[str], used: Sequence[str], wanted: PaymentChoice | None, total_minor: int
) -> PaymentChoice:
    """Return how a caller with these roles pays `total_minor` of a tenant that uses these providers.

    What costs nothing is not paid. Raises PaymentRequired where no way to pay is named, Forbidden where only a service
    key may name it, and ProviderNotUsed (PROTOCOL.md 24).
    """
    if total_minor == 0:
        return PaymentChoice(FREE)
    if wanted is None:
        raise PaymentRequired
    if wanted.provider == EXTERNAL:
        if "service" not in roles:
            raise Forbidden
        return PaymentChoice(EXTERNAL)
    if wanted.provider not in used:
        raise ProviderNotUsed
    return wanted


def order_for(record: ReservationItem, choice: PaymentChoice, now: int, attempt: int = 1) -> OrderItem:
    """Return the order that buys a whole reservation, as it is to be written at `now` (ms)."""
    key = order_of(record.key)
    return OrderItem(
        *key,
        user_id=record.user_id,
        reservation_id=record.id,
        source=record.source,
        status=OrderState.PENDING.value,
        attempt=attempt,
        lines=record.lines,
        returned=[0] * len(record.lines),
        currency=record.lines[0].currency,
        total_minor=total_of(record),
        provider=choice.provider,
        payment_token=choice.token,
        payment_hash=choice.hash,
        version=1,
        created_at=now,
        updated_at=now,
        due=now + START_WITHIN,
        due_bucket=due_bucket(key),
    )


def open_order(
    engine: Engine,
    record: ReservationItem,
    choice: PaymentChoice,
    keyed: KeyedRequest | None = None,
    clearance: Clearance | None = None,
) -> OrderItem:
    """Write the order that buys the reservation `record`, or its next attempt after a failed one, and return it.

    An order that is under way, or bought, by the same choice is returned as it is: two checkouts at once are one. What
    the same idempotency key opened before is returned as it is now. Any other needs the `clearance`, if there is one.
    Written in one transaction: the order, the idempotency record, what the clearance takes. Raises what refuses that,
    ReservationOver where there is nothing left to buy, CheckoutUnderWay where another payment is being made,
    IdempotencyKeyReused and Busy.
    """
    key = order_of(record.key)
    clearance = clearance or Clearance(limits_beside(key))
    refused: HoldfastError | None = None
    for attempt in engine.retries:
        if keyed is not None and keyed.replay(engine.store) is not None:
            return read_order(engine, key)
        known = engine.store.get(OrderItem, key)
        if known is not None and known.status in UNDER_WAY | BOUGHT and known.payment_hash == choice.hash:
            if keyed is not None:
                keyed.remember(engine.store, engine.retries, {"order_id": known.id}, engine.clock.now())
            return known
        if known is not None and known.status in UNDER_WAY:
            raise _under_way(known)
        if refused is not None:
            break
        now = engine.clock.now()
        try:
            passed = clearance.writes(now)
        except HoldfastError as refusal:
            refused = refusal
            continue
        order = _next(record, known, choice, now)
        condition = OrderItem.pk.does_not_exist() if known is None else OrderItem.version == known.version
        put = Put(order, condition)
        own: list[Write] = [keyed.record({"order_id": order.id}, now), put] if keyed else [put]
        try:
            engine.store.make([*own, *passed])
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
            else:
                refused = clearance.refusal(refusal.reasons[len(own) :])
        else:
            return order
    raise refused or Busy


def start(workflows: Workflows, order: OrderItem) -> None:
    """Start the workflow of an order that is under way; raises Busy, the order being kept, and Unavailable."""
    if order.status in UNDER_WAY:
        run = {"order": order.key._asdict(), "attempt": order.attempt, "mode": order.mode, "outcomes": {}}
        workflows.start(run_name(order), run)


def run_name(order: OrderItem) -> str:
    """Return the name under which the present attempt of an order runs."""
    further = () if order.mode == BUY else (order.mode,)
    return execution_name(order.key, order.attempt, *further)


def wait_for(engine: Engine, key: Key, attempt: int, seconds: float, until_action: bool = False) -> OrderItem:
    """Return the order at `key` once its `attempt` is over, or the buyer has something to do, or `seconds` are over.

    Only with `until_action` is it returned as soon as the buyer has something to do. Raises OrderNotFound.
    """

    def is_done(order: OrderItem) -> bool:
        acts = until_action and order.status == OrderState.AWAITING_PAYMENT
        return order.status not in UNDER_WAY or order.attempt != attempt or acts

    return until(engine, seconds, lambda: read_order(engine, key), is_done)


def read_order(engine: Engine, key: Key) -> OrderItem:
    """Return the order at `key`, read consistently; raises OrderNotFound."""
    order = engine.store.get(OrderItem, key)
    if order is None:
        raise OrderNotFound
    return order


def _next(record: ReservationItem, known: OrderItem | None, choice: PaymentChoice, now: int) -> OrderItem:
    """Return the order to write, or raise ReservationOver where what it is for is not held any more."""
    if known is not None and known.status != OrderState.PAYMENT_FAILED:
        raise ReservationOver
    if record.status != State.HELD or record.expires_at <= now:
        raise ReservationOver
    if known is None:
        return order_for(record, choice, now)
    order = order_for(record, choice, now, known.attempt + 1)
    order.created_at, order.version = known.created_at, known.version + 1
    return order


def _under_way(order: OrderItem) -> CheckoutUnderWay:
    refusal = CheckoutUnderWay()
    refusal.extra = {"order_id": order.id}
    return refusal
