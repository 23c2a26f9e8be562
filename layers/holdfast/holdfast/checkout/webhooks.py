"""Webhooks: what a payment provider tells of is taken in once, however often it is told (PROTOCOL.md 22).

The signature comes first. Then an event that was taken in before only has its consequences set going again, which does
nothing where they went; any other makes one transition, in one transaction with the record that it was taken in. Orders
are found by the metadata that went with the payment, so that an event may come before its create call has returned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynamodb.expressions.update import Action

from holdfast.checkout import failed_refunds, opening, outcomes, refunds
from holdfast.checkout.charges import booked, key_of_attempt, state_of
from holdfast.checkout.orders import writing
from holdfast.checkout.outcomes import is_under_way, saying
from holdfast.checkout.payments.port import Payment, Provider, ProviderEvent
from holdfast.checkout.states import OrderState
from holdfast.checkout.webhook_decisions import (
    ABOUT_CLOSED_ORDERS,
    PAYING_BACK,
    Transition,
    decide,
    knows,
    stray_name,
)
from holdfast.platform.dynamodb import Cancelled, Contended, Put, RawItem, Write, read
from holdfast.platform.errors import Busy
from holdfast.platform.logs import logger
from holdfast.platform.order_items import ChargeItem, OrderItem, WebhookItem
from holdfast.platform.tables import Key, Keys, charge_of, due_bucket
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine

if TYPE_CHECKING:
    from holdfast.checkout.payments.registry import Providers
    from holdfast.checkout.payments.sandbox import SandboxAction

NOT_OURS = "not_ours"
"""What an event is taken as that is about no payment for an order of the tenant."""

KEPT_SECONDS = 30 * 24 * 3600
"""How long it is remembered that an event was taken in; providers send one again for days."""

_WHY = {Transition.RETURN: "paid_too_late", Transition.STRAY: "not_asked_for"}
"""Why a payment is paid back, in stable words."""

_logger = logger()


@dataclass(frozen=True)
class Desk:
    """What webhooks work with: the runs of checkouts and of refunds, and the payment providers."""

    engine: Engine
    checkouts: Workflows
    refunds: Workflows
    providers: "Providers"


@dataclass(frozen=True)
class Told:
    """What a provider told: an event about the payment for an order's attempt."""

    provider: Provider
    event: ProviderEvent
    payment: Payment
    webhook: Key
    order: Key
    attempt: int

    @property
    def charge(self) -> Key:
        """Return the key of the charge that the payment is for, if it was asked for."""
        return key_of_attempt(self.order, self.attempt)

    @property
    def stray(self) -> Key:
        """Return the key of the charge that the payment becomes if nobody asked for it."""
        return charge_of(self.order, stray_name(self.payment.id))


@dataclass(frozen=True)
class Standing:
    """What is there when an event comes in; `taken` says that it came before."""

    order: OrderItem | None
    charge: ChargeItem | None
    stray: ChargeItem | None
    taken: WebhookItem | None


def receive(desk: Desk, tenant: str, provider_name: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Take in a webhook that came for a tenant, and return what it was taken as, a stable word.

    `body` is as it came, byte for byte; header names are in lower case. Written in one transaction: that the event was
    taken in, and what it changes of the order and its charge, or a refund. Raises ProviderNotUsed, SignatureRefused,
    and where the event is to be sent again Busy, Unavailable or ProviderUnavailable.
    """
    provider = desk.providers.for_webhook(tenant, provider_name)
    event = provider.read_event(body, headers, desk.engine.clock.now())
    keys = Keys(tenant)
    if event.failed_refund is not None:
        taken = _taken(
            keys.webhook(provider.name, event.id), event, failed_refunds.REFUND_FAILED, desk.engine.clock.now()
        )
        taken_as = failed_refunds.take_in(desk.engine, keys, provider, event.failed_refund, taken) or NOT_OURS
    else:
        told = _about_an_order(keys, provider, event)
        taken_as = NOT_OURS if told is None else _take_in(desk, told)
    _logger.info(
        "webhook",
        extra={"provider": provider.name, "event": event.id, "event_type": event.type, "taken_as": taken_as},
    )
    return taken_as


def act_in_sandbox(desk: Desk, tenant: str, payment_id: str, action: "SandboxAction") -> dict[str, str]:
    """Do what is to be done at the sandbox's page, and take in the webhooks that tell of it, in the ordinary way.

    Returns what was taken as what, by payment or refund; a repeat is a repeat of the same events. Raises
    ProviderNotUsed, NotFound for an unknown payment, and what `receive` does.
    """
    sandbox, now = desk.providers.sandbox(tenant), desk.engine.clock.now()
    if action == "fail_refunds":
        failed = {refund.id: refund for refund in sandbox.fail_refunds(payment_id)}
        told = {str(name): sandbox.webhook_of_refund(failed[name], now, f"{name}.failed") for name in failed}
    else:
        acted = sandbox.act(payment_id, action)
        told = {payment.id: sandbox.webhook(payment, now, f"{payment.id}.{payment.state}") for payment in acted}
    return {name: receive(desk, tenant, sandbox.name, body, headers) for name, (body, headers) in told.items()}


def _about_an_order(keys: Keys, provider: Provider, event: ProviderEvent) -> Told | None:
    """Return an event as one about an order, by the metadata of its payment; None for any other."""
    payment = event.payment
    if payment is None or payment.order_id is None or payment.attempt is None:
        return None
    order = keys.by_order_id(payment.order_id)
    if order is None:
        return None
    return Told(provider, event, payment, keys.webhook(provider.name, event.id), order, payment.attempt)


def _take_in(desk: Desk, told: Told) -> str:
    """Make the one transition that follows from an event, or repeat what followed from it; return what it is."""
    store, retries = desk.engine.store, desk.engine.retries
    for attempt in retries:
        standing = _standing(store.batch_get([told.webhook, told.order, told.charge, told.stray]), told)
        if standing.order is None:
            return NOT_OURS
        if standing.taken is not None:
            transition = Transition(standing.taken.taken_as)
            _follow(desk, told, transition, standing.order)
            return transition.value
        payment, transition = _decided(told, standing.order, standing.charge, standing.stray)
        if transition == Transition.NOT_YET:
            raise Busy("The payment is being undone at this moment. Send this again in a moment.")
        now = desk.engine.clock.now()
        taken = _taken(told.webhook, told.event, transition, now)
        try:
            if transition in PAYING_BACK:
                _pay_back(desk, told, payment, transition, standing, taken)
                return transition.value
            store.make([taken, *_changes(transition, standing.order, standing.charge, payment, now)])
        except (Cancelled, Contended):
            retries.wait(attempt)
        else:
            _follow(desk, told, transition, standing.order)
            return transition.value
    raise Busy


def _standing(found: Mapping[Key, RawItem], told: Told) -> Standing:
    """Return what is there; a charge with another provider is none of this payment's."""
    order, charge, stray, taken = (found.get(key) for key in (told.order, told.charge, told.stray, told.webhook))
    known = None if charge is None else read(ChargeItem, charge)
    return Standing(
        None if order is None else read(OrderItem, order),
        known if known is not None and known.provider == told.provider.name else None,
        None if stray is None else read(ChargeItem, stray),
        None if taken is None else read(WebhookItem, taken),
    )


def _decided(
    told: Told, order: OrderItem, charge: ChargeItem | None, stray: ChargeItem | None
) -> tuple[Payment, Transition]:
    """Return what is to happen, and the payment that it follows from: as it is now, where no workflow asks that."""
    transition = decide(order, charge, told.payment, told.attempt)
    if transition not in ABOUT_CLOSED_ORDERS:
        return told.payment, transition
    payment = told.provider.find(told.payment.id)
    if payment is None or (payment.order_id, payment.attempt) != (told.payment.order_id, told.payment.attempt):
        _logger.warning("not such a payment at its provider", extra={"payment": told.payment.id})
        return told.payment, Transition.KEEP
    transition = decide(order, charge, payment, told.attempt)
    is_known = transition == Transition.STRAY and stray is not None and knows(stray, payment)
    return payment, Transition.KEEP if is_known else transition


def _changes(
    transition: Transition, order: OrderItem, charge: ChargeItem | None, payment: Payment, now: int
) -> Sequence[Write]:
    """Return the writes that a transition makes of an order and its charge, if both are as they were read."""
    if charge is None or transition == Transition.KEEP:
        return ()
    match transition:
        case Transition.PAID:
            actions = [saying("paid")]
        case Transition.LATE:
            actions = _under_way_again(order, now)
        case Transition.MISMATCHED:
            actions = [saying("failed", transition.value)]
        case _:
            actions = [saying("failed", payment.reason or payment.state.value)]
    return writing(order, now, actions), booked(charge, payment, now)


def _under_way_again(order: OrderItem, now: int) -> list[Action]:
    """Return what makes a closed order pending again, for its workflow to buy with late money."""
    return [
        OrderItem.status.set(OrderState.PENDING.value),
        OrderItem.mode.set(opening.LATE),
        OrderItem.outcome.remove(),
        OrderItem.undoing.remove(),
        OrderItem.task_token.remove(),
        OrderItem.action.remove(),
        OrderItem.reason.remove(),
        OrderItem.due.set(now + opening.START_WITHIN),
        OrderItem.due_bucket.set(due_bucket(order.key)),
    ]


def _pay_back(desk: Desk, told: Told, payment: Payment, transition: Transition, standing: Standing, taken: Put) -> None:
    """Write the charge whose money is to be paid back, and start its refund; see `refunds.request_stray`."""
    now = desk.engine.clock.now()
    assert standing.order is not None
    charge = standing.charge if transition == Transition.RETURN else standing.stray
    if charge is None:
        charge = _stray(told, payment, standing.order, now)
        write: Write = Put(charge, ChargeItem.pk.does_not_exist())
    else:
        write = booked(charge, payment, now)
        charge.amount_minor, charge.currency = payment.amount_minor, payment.currency
    refunds.request_stray(desk.engine, desk.refunds, charge, _WHY[transition], [taken, write])


def _stray(told: Told, payment: Payment, order: OrderItem, now: int) -> ChargeItem:
    """Return the charge that a payment becomes which nobody asked for."""
    return ChargeItem(
        *told.stray,
        user_id=order.user_id,
        status=state_of(payment).value,
        attempt=told.attempt,
        provider=told.provider.name,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        captured_minor=payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        version=1,
        created_at=now,
        updated_at=now,
    )


def _taken(webhook: Key, event: ProviderEvent, taken_as: str, now: int) -> Put:
    """Return the write that remembers what an event was taken as, unless that is remembered already."""
    item = WebhookItem(
        *webhook,
        event_type=event.type,
        taken_as=str(taken_as),
        received_at=now,
        ttl=now // 1000 + KEPT_SECONDS,
    )
    return Put(item, WebhookItem.pk.does_not_exist())


def _follow(desk: Desk, told: Told, transition: Transition, order: OrderItem) -> None:
    """Set going what follows from a transition that is written; where it went already nothing happens.

    Raises Busy and Unavailable, so that the provider sends its event again.
    """
    match transition:
        case Transition.PAID | Transition.FAILED | Transition.MISMATCHED:
            outcomes.answer_again(desk.engine, desk.checkouts, told.order, told.attempt)
        case Transition.LATE:
            order = opening.read_order(desk.engine, told.order)
            if is_under_way(order, told.attempt) and order.mode == opening.LATE:
                opening.start(desk.checkouts, order)
        case Transition.RETURN | Transition.STRAY:
            returned = told.charge if transition == Transition.RETURN else told.stray
            refunds.start_stray(desk.engine, desk.refunds, returned)
