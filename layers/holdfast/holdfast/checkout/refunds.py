"""Asking for refunds: what is to be paid back is taken of the order first, and only then does a workflow pay it.

So no two refunds pay the same twice, however many are asked for at once (PROTOCOL.md 23). A refund's name follows from
the request, or from the payment, that it is for: asking again starts nothing twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pynamodb.expressions.update import Action

from holdfast.checkout.admitted import admitted_beyond
from holdfast.checkout.charges import name_of_attempt
from holdfast.checkout.looking import until
from holdfast.checkout.opening import START_WITHIN
from holdfast.checkout.orders import change, writing
from holdfast.checkout.resuming import refund_run
from holdfast.checkout.states import BOUGHT, RefundStatus
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, Write
from holdfast.platform.errors import Busy, Fault, InvariantBroken, NotRefundable
from holdfast.platform.items import LineMap
from holdfast.platform.money import share_of
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem, ReturnMap
from holdfast.platform.tables import Key, due_bucket, execution_name, name_of, order_beside, refund_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

OURSELVES = "holdfast"
"""Who asks for the refund of a payment that bought nothing."""

OVER = frozenset({RefundStatus.COMPLETED, RefundStatus.FAILED})
"""The states in which a refund stays as it is."""

PercentOf = Callable[[LineMap], int]
"""Returns the share, in per cent, that is paid back of the price of a line."""


@dataclass(frozen=True)
class Wanted:
    """A wish to give back so many of an order's line, by its place from 0; None for all that is left of it."""

    line: int
    quantity: int | None = None


def whole_price(_: LineMap) -> int:
    """Return that all of a line's price is paid back."""
    return 100


def name_for(order: OrderItem, keyed: KeyedRequest | None) -> str:
    """Return the name of the refund that a request makes: by its key, or without one by the order as it was read."""
    if keyed is None:
        return f"v{order.version}"
    return hash_of([keyed.user, keyed.route, keyed.key])[:16]


def left_of(order: OrderItem) -> list[int]:
    """Return how many of each line of an order were not given back, and are not about to be."""
    return [line.quantity - returned for line, returned in zip(order.lines, order.returned, strict=True)]


def request(
    engine: Engine,
    workflows: Workflows,
    order: OrderItem,
    wanted: Sequence[Wanted] | None,
    percent_of: PercentOf,
    requested_by: str,
    reason: str,
    keyed: KeyedRequest | None,
    name: str,
) -> RefundItem:
    """Take what is `wanted` back, None being all that is left, and start to pay it back; return the refund.

    `name` tells it from the order's other refunds: one that is there already is returned as it is, its workflow started
    if it was not; `keyed` is a request about this order alone. Written in one transaction: the refund, what the order
    has left to give back, the idempotency record. Raises NotRefundable where the order is not bought, has less left, or
    a ticket that would be given back was let in; OrderNotFound, IdempotencyKeyReused and Busy.
    """
    key = refund_of(order.key, name)

    def prepare(current: OrderItem) -> Sequence[Write] | None:
        if engine.store.get(RefundItem, key) is not None:
            if keyed is not None:
                keyed.replay(engine.store)
            return None
        now = engine.clock.now()
        quantities = _quantities(current, wanted)
        refund = _refund(key, current, quantities, percent_of, now)
        refund.requested_by, refund.reason = requested_by, reason
        price = refund.amount_minor + refund.fee_minor
        if price > current.refundable_minor:
            raise NotRefundable
        remembered = [] if keyed is None else [keyed.record({"refund_id": refund.id}, now)]
        taken = writing(current, now, taken_back(current, refund, -1))
        return [*remembered, Put(refund, RefundItem.pk.does_not_exist()), taken]

    change(engine, order.key, prepare)
    refund = read_refund(engine, key)
    start(workflows, refund)
    return refund


def request_stray(
    engine: Engine, workflows: Workflows, charge: ChargeItem, reason: str, beside: Sequence[Write]
) -> RefundItem:
    """Start to pay back the money that is in a payment that bought nothing; return the refund.

    There is one at a time: while it is not paid, it pays back whatever there is then. Money that comes when it is over
    has a further one. `beside` writes the charge, so that a refund which is being paid at this moment asks the provider
    again. Written in one transaction: a further refund, what is `beside` it. Raises Cancelled where a condition of
    `beside` fails, and Busy, also while what was paid back is being closed.
    """
    for attempt in engine.retries:
        known = _strays(engine, charge.key)
        refund = known[-1] if known else None
        if refund is not None and refund.status == RefundStatus.PAID:
            raise Busy
        writes = list(beside)
        if refund is None or refund.status in OVER:
            refund = _stray(_stray_key(charge.key, len(known)), charge, reason, engine.clock.now())
            writes.append(Put(refund, RefundItem.pk.does_not_exist()))
        try:
            engine.store.make(writes)
        except Contended:
            engine.retries.wait(attempt)
            continue
        except Cancelled as refusal:
            if not refusal.contended and refund.key not in refusal.seen(writes):
                raise
            engine.retries.wait(attempt)
            continue
        start(workflows, refund)
        return refund
    raise Busy


def start_stray(engine: Engine, workflows: Workflows, charge: Key) -> None:
    """Start the workflow that pays back a payment that bought nothing, if one is to; raises Busy and Unavailable."""
    known = _strays(engine, charge)
    if known:
        start(workflows, known[-1])


def start(workflows: Workflows, refund: RefundItem) -> None:
    """Start the workflow of a refund that is not over; raises Busy, the refund being kept, and Unavailable."""
    if refund.status not in OVER:
        workflows.start(execution_name(refund.key), refund_run(refund.key))


def read_refund(engine: Engine, key: Key) -> RefundItem:
    """Return the refund at `key`, read consistently; raises InvariantBroken, as refunds are never deleted."""
    refund = engine.store.get(RefundItem, key)
    if refund is None:
        raise InvariantBroken(f"there is no refund at {key}")
    return refund


def wait_for(engine: Engine, key: Key, seconds: float) -> RefundItem:
    """Return the refund at `key` once it is over, or `seconds` are."""
    return until(engine, seconds, lambda: read_refund(engine, key), lambda refund: refund.status in OVER)


def touching(refund: RefundItem, now: int, actions: Sequence[Action]) -> Update:
    """Return the write that makes a change at `now` (ms) to a refund that nobody wrote since it was read."""
    touched = [*actions, RefundItem.version.add(1), RefundItem.updated_at.set(now)]
    return Update(refund.key, touched, RefundItem.version == refund.version)


def taken_back(order: OrderItem, refund: RefundItem, sign: int) -> list[Action]:
    """Return what a refund takes of what the order has left to give back (-1), or gives to it again (1)."""
    returned = [int(number) for number in order.returned]
    for part in refund.lines:
        returned[part.line] -= sign * part.quantity
    price = refund.amount_minor + refund.fee_minor
    return [OrderItem.returned.set(returned), OrderItem.refundable_minor.add(sign * price)]


def _quantities(order: OrderItem, wanted: Sequence[Wanted] | None) -> dict[int, int]:
    """Return how many of which lines are given back; raises NotRefundable, naming every wish that cannot be."""
    if order.status not in BOUGHT:
        raise NotRefundable("Only what is bought can be given back.")
    left = left_of(order)
    if wanted is None:
        wanted = [Wanted(line) for line, here in enumerate(left) if here]
    found: dict[int, int] = {}
    faults = []
    for place, wish in enumerate(wanted):
        here = left[wish.line] - found.get(wish.line, 0) if wish.line < len(left) else 0
        quantity = here if wish.quantity is None else wish.quantity
        keep = here - quantity
        if not 0 < quantity <= here:
            faults.append(Fault(f"items.{place}", "There is not that much of this left to give back.", "not_left"))
        elif admitted_beyond(order, wish.line, keep):
            faults.append(
                Fault(
                    f"items.{place}",
                    "Of a line the highest numbers are given back; one of them was let in.",
                    "already_admitted",
                )
            )
        else:
            found[wish.line] = found.get(wish.line, 0) + quantity
    if faults or not found:
        raise NotRefundable(faults=faults)
    return found


def _refund(key: Key, order: OrderItem, quantities: Mapping[int, int], percent_of: PercentOf, now: int) -> RefundItem:
    """Return the refund of so many of each line; what is not paid back of their price is kept as a fee."""
    amount = price = 0
    for line, quantity in quantities.items():
        here = order.lines[line].unit_price_minor * quantity
        price += here
        amount += share_of(here, percent_of(order.lines[line]))
    return RefundItem(
        *key,
        user_id=order.user_id,
        status=RefundStatus.PENDING.value,
        charge=name_of_attempt(order.attempt) if amount else None,
        lines=[ReturnMap(line=line, quantity=quantity) for line, quantity in quantities.items()],
        amount_minor=amount,
        fee_minor=price - amount,
        currency=order.currency,
        version=1,
        created_at=now,
        updated_at=now,
        due=now + START_WITHIN,
        due_bucket=due_bucket(key),
    )


def _strays(engine: Engine, charge: Key) -> list[RefundItem]:
    """Return the refunds of a payment that bought nothing, in the order in which they were asked for."""
    found: list[RefundItem] = []
    while True:
        refund = engine.store.get(RefundItem, _stray_key(charge, len(found)))
        if refund is None:
            return found
        found.append(refund)


def _stray_key(charge: Key, place: int) -> Key:
    """Return the key of a payment's refund by its place among them, from 0; no name is longer than the first may be."""
    name = name_of(charge)
    return refund_of(order_beside(charge), f"c{name}" if place == 0 else f"c{name[:14]}-{place + 1}")


def _stray(key: Key, charge: ChargeItem, reason: str, now: int) -> RefundItem:
    return RefundItem(
        *key,
        user_id=charge.user_id,
        status=RefundStatus.PENDING.value,
        charge=name_of(charge.key),
        lines=[],
        amount_minor=charge.amount_minor,
        fee_minor=0,
        currency=charge.currency,
        reason=reason,
        requested_by=OURSELVES,
        version=1,
        created_at=now,
        updated_at=now,
        due=now + START_WITHIN,
        due_bucket=due_bucket(key),
    )
