"""The steps of a checkout on the money, forward and back; each may run twice, and die before it has answered.

What a provider is asked carries a key that follows from the charge, so it has its effect once. A step returns a
business outcome for the workflow to branch on, and raises only for faults, which it retries; a provider that does not
answer is a fault, and so is never taken for a refusal (PROTOCOL.md 23).
"""

import json
from collections.abc import Callable, Sequence

from pynamodb.expressions.update import Action

from holdfast.checkout import outcomes
from holdfast.checkout.charges import agrees, booked, charge_for, key_for, key_of_attempt, request_of, totals
from holdfast.checkout.claims_steps import Run
from holdfast.checkout.desk import PaymentDesk
from holdfast.checkout.opening import EXTERNAL
from holdfast.checkout.orders import writing
from holdfast.checkout.outcomes import is_under_way, may_be_paid, may_go_forward, undo, was_bought
from holdfast.checkout.payments.port import Payment, PaymentState, Provider, Refund, RefundState
from holdfast.checkout.states import ChargeState, OrderState
from holdfast.platform.dynamodb import Cancelled, Contended, Put, Update, Write
from holdfast.platform.errors import Busy, OrderNotFound, ProviderUnavailable
from holdfast.platform.order_items import ChargeItem, OrderItem
from holdfast.platform.tables import tenant_of

_OPEN = (PaymentState.PENDING, PaymentState.AUTHORISED)
_PAID = (PaymentState.AUTHORISED, PaymentState.CAPTURED)
_NOTHING_LEFT = (ChargeState.VOIDED, ChargeState.REFUNDED)
_SETTLED = (ChargeState.AUTHORISED, ChargeState.COMPLETED)


def authorise(desk: PaymentDesk, run: Run) -> str:
    """Have the money set aside: "authorised", "declined", or "action_required" where the buyer has something to do.

    "over" where the order is not under way in this attempt, or was cancelled. Undone by `void`.
    """
    order = _order(desk, run)
    if not may_go_forward(order, run.attempt) or not may_be_paid(order):
        return "over"
    charge = _charge(desk, run) or _written(desk, charge_for(order, desk.engine.clock.now()))
    if charge.status in _SETTLED:
        return "authorised"
    if charge.status == ChargeState.FAILED:
        return "declined"
    payment = _asked_before(desk, order, charge) or _provider(desk, charge).authorise(request_of(charge, order))
    _book(desk, run, payment, _asked_of_buyer(payment))
    if not may_go_forward(_order(desk, run), run.attempt):
        # This try came too late: what undoes the attempt has been here, and found nothing to void.
        if payment.state in _OPEN:
            _book(desk, run, _provider(desk, charge).void(payment, key_for(charge, "void")))
        return "over"
    if not agrees(charge, payment):
        return "mismatch"
    if payment.state in _PAID:
        return "authorised"
    return "action_required" if payment.state is PaymentState.PENDING else "declined"


def _asked_before(desk: PaymentDesk, order: OrderItem, charge: ChargeItem) -> Payment | None:
    """Return the payment that a try before this one made and wrote down: the same is not asked for twice."""
    return None if charge.payment_id is None else _found(desk, order, charge)


def await_payment(desk: PaymentDesk, run: Run, task_token: str, task_try: int) -> str:
    """Leave the waiting task's token where whoever knows what became of the payment finds it: "waiting"."""
    outcomes.wait(desk.engine, desk.workflows, run.order, run.attempt, task_token, task_try)
    return "waiting"


def ask(desk: PaymentDesk, run: Run) -> str:
    """Ask the provider once more, before the goods are given away: "paid" or "unpaid"."""
    order, charge = _order(desk, run), _charge(desk, run)
    payment = None if charge is None else _found(desk, order, charge)
    if charge is None or payment is None or payment.state not in _PAID or not agrees(charge, payment):
        return "unpaid"
    _book(desk, run, payment)
    return "paid"


def capture(desk: PaymentDesk, run: Run) -> str:
    """Take the money for goods that are confirmed: "captured", or "failed". Undone by `refund`."""
    order, charge = _order(desk, run), _charge(desk, run)
    if not may_go_forward(order, run.attempt):
        return "failed"
    if order.total_minor == 0 or order.captured_minor == order.total_minor:
        return "captured"
    payment = None if charge is None else _found(desk, order, charge)
    if charge is None or payment is None or not agrees(charge, payment):
        return "failed"
    if payment.state is not PaymentState.CAPTURED:
        payment = _provider(desk, charge).capture(payment, key_for(charge, "capture"))
    if payment.state is not PaymentState.CAPTURED:
        return "failed"
    _book(desk, run, payment, totals(payment.captured_minor, payment.refunded_minor, payment.captured_minor))
    return "captured"


def void(desk: PaymentDesk, run: Run) -> str:
    """Undo `authorise`, whatever is known of it: "voided" once nothing is to be paid, "captured" where it was paid.

    From here on no run of this attempt goes forward.
    """
    order, charge = undo(desk.engine, run.order, run.attempt), _charge(desk, run)
    if charge is None or charge.status in _NOTHING_LEFT or was_bought(order, run.attempt):
        return "voided"
    payment = _found(desk, order, charge)
    if payment is None:
        _book_voided(desk, charge)
        return "voided"
    if payment.state in _OPEN:
        payment = _provider(desk, charge).void(payment, key_for(charge, "void"))
    captured = payment.state is PaymentState.CAPTURED
    money = totals(payment.captured_minor, payment.refunded_minor, 0) if captured else ()
    _book(desk, run, payment, money, undoing=True)
    return "captured" if captured else "voided"


def _book_voided(desk: PaymentDesk, charge: ChargeItem) -> None:
    """Write down that there is no payment, so that one which comes all the same is seen to come too late.

    Raises Busy where a webhook wrote the charge meanwhile: the provider has to be asked again.
    """
    actions = [ChargeItem.status.set(ChargeState.VOIDED.value), ChargeItem.version.add(1)]
    try:
        desk.engine.store.write(Update(charge.key, actions, ChargeItem.version == charge.version))
    except Cancelled as overtaken:
        raise Busy from overtaken


def refund(desk: PaymentDesk, run: Run) -> str:
    """Undo `capture`: pay back everything that was taken: "refunded", or "failed"."""
    order, charge = undo(desk.engine, run.order, run.attempt), _charge(desk, run)
    if was_bought(order, run.attempt):
        return "refunded"
    payment = None if charge is None else _found(desk, order, charge)
    if charge is None or payment is None:
        return "refunded"
    left = payment.captured_minor - payment.refunded_minor
    if left > 0:
        paid = _provider(desk, charge).refund(payment, left, key_for(charge, "refund"))
        if paid.state is RefundState.FAILED:
            return "failed"
        payment = paid_back(payment, paid)
    _book(desk, run, payment, totals(payment.captured_minor, payment.refunded_minor, 0), undoing=True)
    return "refunded"


STEPS: dict[str, Callable[[PaymentDesk, Run], str]] = {
    "authorise": authorise,
    "ask": ask,
    "capture": capture,
    "void": void,
    "refund": refund,
}
"""The steps by the names that the workflow's definition calls them by; `await` takes a token besides."""


def paid_back(payment: Payment, refund: Refund) -> Payment:
    """Return a payment of which so much more was paid back."""
    return Payment(**{**vars(payment), "refunded_minor": payment.refunded_minor + refund.amount_minor})


def known_payment(charge: ChargeItem) -> Payment | None:
    """Return a payment as its charge has it: all there is to ask of what is paid elsewhere."""
    if charge.payment_id is None:
        return None
    captured = charge.status in (ChargeState.COMPLETED, ChargeState.REFUNDED)
    return Payment(
        id=charge.payment_id,
        state=PaymentState.CAPTURED if captured else PaymentState.AUTHORISED,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        captured_minor=charge.captured_minor,
        refunded_minor=charge.refunded_minor,
    )


def _order(desk: PaymentDesk, run: Run) -> OrderItem:
    order = desk.engine.store.get(OrderItem, run.order)
    if order is None:
        raise OrderNotFound
    return order


def _charge(desk: PaymentDesk, run: Run) -> ChargeItem | None:
    return desk.engine.store.get(ChargeItem, key_of_attempt(run.order, run.attempt))


def _provider(desk: PaymentDesk, charge: ChargeItem) -> Provider:
    provider: Provider = desk.providers.provider(tenant_of(charge.key), charge.provider)
    return provider


def _found(desk: PaymentDesk, order: OrderItem, charge: ChargeItem) -> Payment | None:
    """Return the payment of a charge as its provider has it now; None where there is none.

    Raises ProviderUnavailable where nothing is known, and where a payment with money in it is not known any more.
    """
    if charge.provider == EXTERNAL:
        return known_payment(charge)
    provider = _provider(desk, charge)
    if charge.payment_id is None:
        return provider.find_by_order(request_of(charge, order))
    found = provider.find(charge.payment_id)
    if found is None and charge.status in _SETTLED:
        raise ProviderUnavailable("The provider does not know a payment that it told of: are these its credentials?")
    return found


def _written(desk: PaymentDesk, charge: ChargeItem) -> ChargeItem:
    """Write a new charge, or return the one that was written before: by another run of this step, or a webhook."""
    for attempt in desk.engine.retries:
        try:
            desk.engine.store.write(Put(charge, ChargeItem.pk.does_not_exist()))
        except Contended:
            desk.engine.retries.wait(attempt)
        except Cancelled:
            known = desk.engine.store.get(ChargeItem, charge.key)
            if known is not None:
                return known
            desk.engine.retries.wait(attempt)
        else:
            return charge
    raise Busy


def _asked_of_buyer(payment: Payment) -> Sequence[Action]:
    """Return what makes an order say that its buyer has something to do, if that is so."""
    if payment.state is not PaymentState.PENDING:
        return ()
    action = json.dumps(dict(payment.action or {}))
    return [OrderItem.status.set(OrderState.AWAITING_PAYMENT.value), OrderItem.action.set(action)]


def _book(
    desk: PaymentDesk, run: Run, payment: Payment, of_order: Sequence[Action] = (), undoing: bool = False
) -> None:
    """Write down what the provider's books say of a charge, and with it what that changes of its order, in one write.

    A charge that says more already, since a webhook or another try came first, stays as it is; so does an order that is
    being undone, unless the step is one of those that undo it.
    """
    for attempt in desk.engine.retries:
        order, charge = _order(desk, run), _charge(desk, run)
        assert charge is not None
        writes: list[Write] = []
        if not _says_more(charge, payment):
            writes.append(booked(charge, payment, desk.engine.clock.now()))
        if of_order and is_under_way(order, run.attempt) and bool(order.undoing) == undoing:
            writes.append(writing(order, desk.engine.clock.now(), of_order))
        if not writes:
            return
        try:
            desk.engine.store.make(writes)
        except (Contended, Cancelled):
            desk.engine.retries.wait(attempt)
        else:
            return
    raise Busy


def _says_more(charge: ChargeItem, payment: Payment) -> bool:
    """Return whether a charge was paid, taken, or paid back, of which `payment` does not know yet."""
    if (charge.captured_minor, charge.refunded_minor) > (payment.captured_minor, payment.refunded_minor):
        return True
    if payment.state is PaymentState.PENDING:
        return charge.status in _SETTLED
    return payment.state is PaymentState.AUTHORISED and charge.status == ChargeState.COMPLETED
