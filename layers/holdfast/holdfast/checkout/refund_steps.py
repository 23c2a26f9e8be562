"""The steps of a refund, first on the money and then on the goods; each may run twice, and die before it has answered.

What a provider is asked carries a key that follows from the refund, so it pays once. A step returns a business outcome
for the workflow to branch on, and raises only for faults: what is not known to have failed is never undone (PROTOCOL.md
23). The money of a payment that bought nothing is in its charge alone; an order's own money is what it was bought with.
"""

from collections.abc import Callable, Sequence

from pynamodb.expressions.update import Action

from holdfast.checkout.charges import booked
from holdfast.checkout.desk import Desk, PaymentDesk
from holdfast.checkout.orders import change, writing
from holdfast.checkout.payment_steps import known_payment, paid_back
from holdfast.checkout.payments.port import Payment, PaymentState, Provider, Refund, RefundState
from holdfast.checkout.refunds import read_refund, taken_back, touching
from holdfast.checkout.states import OrderState, RefundStatus
from holdfast.platform.dynamodb import Write
from holdfast.platform.errors import Busy, InvariantBroken, ProviderUnavailable
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.tables import Key, charge_of, execution_name, reservation_of, tenant_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.returning import give_back as return_lines
from holdfast.reservations.states import State

_BEGUN = {
    RefundStatus.PENDING: "begun",
    RefundStatus.PAID: "paid",
    RefundStatus.COMPLETED: "over",
    RefundStatus.FAILED: "failed",
}


_NOT_TAKEN = (PaymentState.AUTHORISED, PaymentState.PENDING)
_ENDED = {State.REFUNDED: OrderState.REFUNDED, State.CANCELLED: OrderState.CANCELLED}


def begin_refund(desk: Desk, order_key: Key, refund_key: Key) -> str:
    """Return how far the refund is: "begun" where it is to be paid, "paid", "failed", or "over".

    One that moves no money is paid at once.
    """

    def prepare(_: OrderItem) -> Sequence[Write] | None:
        refund = read_refund(desk.engine, refund_key)
        if refund.status != RefundStatus.PENDING or refund.amount_minor > 0:
            return None
        return [touching(refund, desk.engine.clock.now(), [RefundItem.status.set(RefundStatus.PAID.value)])]

    change(desk.engine, order_key, prepare)
    return _BEGUN[RefundStatus(read_refund(desk.engine, refund_key).status)]


def pay_back(desk: PaymentDesk, order_key: Key, refund_key: Key) -> str:
    """Pay the refund's money back: "paid", or "failed" where the provider refuses.

    Written in one transaction: the refund, the charge, the order. A payment that bought nothing is voided where it was
    not taken yet; that it cannot be paid back is a fault, which a person has to look at. Raises Busy where more is told
    of such a payment meanwhile: what is in it has to be asked again.
    """
    refund = read_refund(desk.engine, refund_key)
    if refund.status != RefundStatus.PENDING:
        return "failed" if refund.status == RefundStatus.FAILED else "paid"
    charge = _charge(desk.engine, order_key, refund)
    if read_refund(desk.engine, refund_key).status != RefundStatus.PENDING:
        # A twin of this step has booked the refund since: the charge may be as it was after that.
        return pay_back(desk, order_key, refund_key)
    provider = desk.providers.provider(tenant_of(order_key), charge.provider)
    payment = _payment(provider, charge, refund)
    name = execution_name(refund_key)
    amount = refund.amount_minor if refund.lines else payment.captured_minor - payment.refunded_minor
    if amount > 0:
        paid = provider.refund(payment, amount, name)
        if paid.state is RefundState.FAILED:
            _refused(desk.engine, order_key, refund, paid.reason)
            return "failed"
        _book(desk.engine, order_key, refund_key, charge, paid_back(payment, paid), paid)
    else:
        _book(desk.engine, order_key, refund_key, charge, payment, _paid_before(provider, payment, name))
    return "paid"


def give_back(desk: Desk, order_key: Key, refund_key: Key) -> str:
    """Put on sale again what was given back and close the refund: "given_back".

    Written in one transaction: the reservation, what it claimed, the order, the refund. A refund of a payment that
    bought nothing is only closed.
    """
    engine = desk.engine
    refund = read_refund(engine, refund_key)
    if refund.status == RefundStatus.COMPLETED:
        return "given_back"
    if not refund.lines:
        change(engine, order_key, lambda _: _closing_stray(engine, refund_key))
        return "given_back"
    order = engine.store.get(OrderItem, order_key)
    assert order is not None, "a refund is written beside its order, and neither is deleted"
    returned = [order.lines[part.line].of(part.quantity) for part in refund.lines]
    last = _last(order)

    def beside(record: ReservationItem) -> Sequence[Write]:
        return _closing(engine, order_key, refund_key, last if _is_all(record, returned) else None)

    def done() -> bool:
        return read_refund(engine, refund_key).status == RefundStatus.COMPLETED

    return_lines(engine, reservation_of(order_key), returned, done, last, beside)
    return "given_back"


def restore_refundable(desk: Desk, order_key: Key, refund_key: Key) -> str:
    """Undo the request of a refund whose money did not move, and close it as failed: "restored".

    Written in one transaction: the order, the refund.
    """

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        refund = read_refund(desk.engine, refund_key)
        if refund.status != RefundStatus.PENDING:
            return None
        now = desk.engine.clock.now()
        closed = touching(refund, now, _over(RefundStatus.FAILED))
        return [closed, writing(order, now, taken_back(order, refund, 1))]

    change(desk.engine, order_key, prepare)
    return "restored"


CLAIMS_STEPS: dict[str, Callable[[Desk, Key, Key], str]] = {
    "begin_refund": begin_refund,
    "give_back": give_back,
    "restore_refundable": restore_refundable,
}
"""The steps on the order and its goods, by the names that the workflow's definition calls them by."""

PAYMENT_STEPS: dict[str, Callable[[PaymentDesk, Key, Key], str]] = {"pay_back": pay_back}
"""The step on the money, by the name that the workflow's definition calls it by."""


def _charge(engine: Engine, order_key: Key, refund: RefundItem) -> ChargeItem:
    charge = engine.store.get(ChargeItem, charge_of(order_key, refund.charge or ""))
    if charge is None or charge.payment_id is None:
        raise InvariantBroken(f"{refund.id} is to be paid from no payment")
    return charge


def _payment(provider: Provider, charge: ChargeItem, refund: RefundItem) -> Payment:
    """Return the payment that a refund is paid from: one that bought nothing as its provider has it, voided if it can.

    Raises ProviderUnavailable where nothing is known of it.
    """
    known = known_payment(charge)
    assert known is not None
    if refund.lines:
        if known.captured_minor - known.refunded_minor < refund.amount_minor:
            raise InvariantBroken(f"{refund.id} is to be paid from less than it is")
        return known
    found = provider.find(known.id)
    if found is not None and found.state in _NOT_TAKEN:
        found = provider.void(found, execution_name(refund.key, "void"))
    if found is None or found.state in _NOT_TAKEN:
        raise ProviderUnavailable
    return found


def _paid_before(provider: Provider, payment: Payment, name: str) -> Refund | None:
    """Return the refund of a payment that a try before this one made under this name, if one did."""
    made = provider.refunds_of(payment.id) if payment.refunded_minor else ()
    return next((each for each in made if each.key == name and each.state is not RefundState.FAILED), None)


def _refused(engine: Engine, order_key: Key, refund: RefundItem, reason: str | None) -> None:
    """Keep why a provider does not pay back; raises ProviderUnavailable where that leaves us money for nothing."""
    if not refund.lines:
        raise ProviderUnavailable("The payment provider refuses to pay this back.")

    def prepare(_: OrderItem) -> Sequence[Write] | None:
        known = read_refund(engine, refund.key)
        if known.status != RefundStatus.PENDING or reason in (None, known.reason):
            return None
        return [touching(known, engine.clock.now(), [RefundItem.reason.set(reason)])]

    change(engine, order_key, prepare)


def _book(
    engine: Engine, order_key: Key, refund_key: Key, asked: ChargeItem, payment: Payment, paid: Refund | None
) -> None:
    """Write down, once, what was `paid` back of a payment, nothing where it was only voided, or had paid itself back.

    `payment` is as it is after that. Where it bought nothing, its charge must still be as it was when it was `asked`.
    """

    def prepare(order: OrderItem) -> Sequence[Write] | None:
        refund = read_refund(engine, refund_key)
        if refund.status != RefundStatus.PENDING:
            return None
        now = engine.clock.now()
        charge, after = _charge(engine, order_key, refund), payment
        closed: list[Action] = [RefundItem.status.set(RefundStatus.PAID.value)]
        if refund.lines:
            before = known_payment(charge)
            assert before is not None
            assert paid is not None
            after = paid_back(before, paid)
        else:
            if charge.version != asked.version:
                raise Busy
            closed.append(RefundItem.amount_minor.set(0 if paid is None else paid.amount_minor))
        if paid is not None and paid.id is not None:
            closed.append(RefundItem.refund_id.set(paid.id))
        writes: list[Write] = [touching(refund, now, closed), booked(charge, after, now)]
        if refund.lines:
            writes.append(writing(order, now, [OrderItem.refunded_minor.add(refund.amount_minor)]))
        return writes

    change(engine, order_key, prepare)


def _closing(engine: Engine, order_key: Key, refund_key: Key, last: State | None) -> Sequence[Write]:
    """Return the writes that close a refund; `last` is what becomes of a reservation of which nothing is left.

    Raises Busy where another was faster, so that this is begun anew.
    """
    order = engine.store.get(OrderItem, order_key)
    assert order is not None
    refund = read_refund(engine, refund_key)
    if refund.status != RefundStatus.PAID or last not in (None, _last(order)):
        raise Busy
    state = OrderState.PARTIALLY_REFUNDED if last is None else _ENDED[last]
    now = engine.clock.now()
    closed = [OrderItem.status.set(state.value), OrderItem.fee_minor.add(refund.fee_minor)]
    return [touching(refund, now, _over(RefundStatus.COMPLETED)), writing(order, now, closed)]


def _last(order: OrderItem) -> State:
    """Return what becomes of the reservation of an order of which everything is given back."""
    return State.REFUNDED if order.refunded_minor else State.CANCELLED


def _closing_stray(engine: Engine, refund_key: Key) -> Sequence[Write] | None:
    refund = read_refund(engine, refund_key)
    if refund.status != RefundStatus.PAID:
        return None
    return [touching(refund, engine.clock.now(), _over(RefundStatus.COMPLETED))]


def _is_all(record: ReservationItem, returned: Sequence[LineMap]) -> bool:
    """Return whether a reservation has nothing but what is given back of it."""
    return sum(line.quantity for line in record.lines) == sum(line.quantity for line in returned)


def _over(status: RefundStatus) -> list[Action]:
    return [RefundItem.status.set(status.value), RefundItem.due.remove(), RefundItem.due_bucket.remove()]
