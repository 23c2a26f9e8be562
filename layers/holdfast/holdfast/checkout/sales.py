"""Sales of the older checkouts: what a user holds is bought by an order of its own, on the same workflow as any other.

What is sold is split off in the transaction that writes its order, once (PROTOCOL.md 8, 15); the order is then seen
through. These checkouts carry no means of payment: what costs something has to be paid elsewhere, which only a service
key may say (PROTOCOL.md 24).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import TypeVar

from holdfast.checkout import opening
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import EXTERNAL, PaymentChoice
from holdfast.checkout.states import UNDER_WAY
from holdfast.platform.dynamodb import MAX_ACTIONS, Cancelled, Contended, Put, RawItem, Write, read
from holdfast.platform.errors import (
    Busy,
    HoldfastError,
    InvariantBroken,
    MixedCurrencies,
    PaymentFailed,
    TooManyLines,
    Unavailable,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.policy import UNSET, Policy
from holdfast.platform.tables import Key, Keys, is_unit, order_of
from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.gate import Gate
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.reading import line_price, state_at
from holdfast.reservations.splitting import Part, child_of, handing_over, splitting
from holdfast.reservations.states import State

CHECKOUT = "checkout"
"""The route by which reservations are named that were split off for an order."""

PATIENCE = 15
"""Seconds for which a client is kept waiting for its order; the functions' own time is 20 s."""

Seen = Mapping[Key, RawItem]
"""Units that refused an attempt, as its conditions saw them."""

_Made = TypeVar("_Made")

Step = tuple[_Made, Sequence[Write], Sequence[Write]]
"""What is made, the writes that make it, and those to the units that it claims."""


@dataclass(frozen=True)
class Wish:
    """A wish to buy of what a user holds, by a caller with these `roles`; `source` is the route that it was held by.

    `policy` is what the tenant has set for its users; `gate` is what the request has to pass, if anything.
    """

    tenant: str
    user: str
    roles: Collection[str]
    source: str
    keyed: KeyedRequest | None
    policy: Policy = UNSET
    gate: Gate | None = None

    def new_child(self) -> Key:
        """Return the key of a reservation that nobody has made yet."""
        return Keys(self.tenant).reservation(self.user, CHECKOUT, token_hex(16))


def held_by(engine: Engine, wish: Wish) -> list[ReservationItem]:
    """Return the reservations that a user holds by the wish's source, the oldest first.

    One that ran out is not held, nor is one that an order is about to buy.
    """
    now = engine.clock.now()
    held: list[ReservationItem] = []
    after = None
    while True:
        page = engine.store.query(Keys(wish.tenant).user(wish.user), "R#", after=after)
        found = (read(ReservationItem, raw) for raw in page.items)
        held += [item for item in found if item.source == wish.source and state_at(item, now) == State.HELD]
        after = page.after
        if after is None:
            break
    orders = engine.store.batch_get(order_of(item.key) for item in held) if held else {}
    taken = {key for key, raw in orders.items() if read(OrderItem, raw).status in UNDER_WAY}
    return sorted((item for item in held if order_of(item.key) not in taken), key=lambda item: item.created_at)


def open_order(engine: Engine, wish: Wish, prepare: Callable[[Seen], Sequence[Part]]) -> OrderItem:
    """Open the order of the parts that `prepare` finds to be held, and return it, or what the same request opened.

    The parts become a reservation of their own, but for exactly one whole reservation, which is bought as it is.
    `prepare` is told of units that refused the attempt before, beside reservations that did not change: as they were
    seen, they are another's. Written in one transaction: the parts, what is left of what they are of, the units, the
    order, the idempotency record, what the gate wants, and what the user's limit counts. Raises what the gate and
    `prepare` do, TooManyRequests where the user is over the tenant's limit a minute, MixedCurrencies, PaymentRequired
    where somebody without a service key buys what costs something, CheckoutUnderWay, ReservationOver,
    IdempotencyKeyReused, TooManyLines where it would be over 100 writes, and Busy.
    """
    child, keyed = wish.new_child(), wish.keyed
    clearance = Clearance(Keys(wish.tenant).limits(wish.user), wish.policy, wish.gate)

    def known(attempt: int) -> OrderItem | None:
        """Return what this request opened before, or what an attempt of its own wrote without an answer."""
        answer = keyed.replay(engine.store) if keyed else None
        if answer is None:
            return engine.store.get(OrderItem, order_of(child)) if attempt else None
        key = Keys(wish.tenant).by_order_id(answer["order_id"])
        return None if key is None else engine.store.get(OrderItem, key)

    def step(seen: Seen) -> Step[OrderItem]:
        clearance.let_in()
        parts = prepare(seen)
        lines = [line for part in parts for line in part.lines]
        if len({line.currency for line in lines}) > 1:
            raise MixedCurrencies
        wanted = PaymentChoice(EXTERNAL) if "service" in wish.roles else None
        choice = opening.choose(wish.roles, (), wanted, sum(map(line_price, lines)))
        if is_whole(parts):
            return opening.open_order(engine, parts[0].parent, choice, keyed, clearance), (), ()
        now = engine.clock.now()
        record = child_of(parts, child, wish.source)
        order = opening.order_for(record, choice, now)
        remembered = [keyed.record({"order_id": order.id}, now)] if keyed else []
        own = [*remembered, *splitting(parts, record, now), Put(order, OrderItem.pk.does_not_exist())]
        return order, own, handing_over(parts, record)

    return make(engine, known, step, clearance)


def is_whole(parts: Sequence[Part]) -> bool:
    """Return whether parts are exactly one reservation, which needs no splitting; a deal hold always does."""
    return len(parts) == 1 and not parts[0].rest and parts[0].parent.life is None


def make(
    engine: Engine,
    known: Callable[[int], _Made | None],
    step: Callable[[Seen], Step[_Made]],
    clearance: Clearance,
) -> _Made:
    """Return what is `known` at an attempt, by its number, or what the `step` made in one transaction.

    A step without writes is made already; any other needs the `clearance`. Raises what refuses that, what `known` and
    `step` do, TooManyLines and Busy.
    """
    seen: Seen = {}
    refused: HoldfastError | None = None
    for attempt in engine.retries:
        found = known(attempt)
        if found is not None:
            return found
        if refused is not None:
            break
        try:
            made, own, claims = step(seen)
        except HoldfastError:
            found = known(attempt)
            if found is None:
                raise
            return found
        passed = clearance.writes(engine.clock.now()) if own else []
        writes = [*own, *passed, *claims]
        if len(writes) > MAX_ACTIONS:
            raise TooManyLines("This is spread too widely to be bought at once; buy fewer lines.")
        try:
            if writes:
                engine.store.transact(writes)
            return made
        except Contended:
            engine.retries.wait(attempt)
        except Cancelled as refusal:
            if refusal.contended:
                engine.retries.wait(attempt)
                continue
            reasons = refusal.reasons[len(own) : len(own) + len(passed)]
            refused = clearance.refusal(reasons)
            changed = any(reason and reason.condition_failed for reason in refusal.reasons[: len(own)])
            units = {key: item for key, item in refusal.seen(writes).items() if is_unit(key)}
            if not changed and not units and not any(reasons):
                raise InvariantBroken(str(refusal)) from refusal
            seen = {} if changed else units
    raise refused or Busy


def see_through(engine: Engine, workflows: Workflows, order: OrderItem) -> OrderItem:
    """Start an order's workflow unless that was done, wait until it is over, and return the order, which is bought.

    Raises PaymentFailed where it was not bought, Unavailable where that is not known in time, and Busy where the
    workflow could not be started; all of them name the order, which is kept.
    """
    try:
        if order.status in UNDER_WAY:
            opening.start(workflows, order)
            order = opening.wait_for(engine, order.key, order.attempt, PATIENCE)
        if order.completed_at is not None:
            return order
        if order.status in UNDER_WAY:
            raise Unavailable("This is still being worked on. Repeat the request with the same Idempotency-Key.")
        raise PaymentFailed
    except (Busy, Unavailable, PaymentFailed) as refusal:
        refusal.extra = {"order_id": order.id, "reason": order.reason}
        raise
