"""Many gates at once: each ticket is let in exactly once, whoever else is at the same order."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pytest
from pynamodb.expressions.update import Action

from holdfast.checkout import ticket_keys, tickets
from holdfast.checkout.admissions import Admission, admit
from holdfast.checkout.admitted import admitted_beyond
from holdfast.checkout.ticket_keys import KeyPair
from holdfast.platform.dynamodb import Cancelled, Put, Update
from holdfast.platform.errors import (
    AlreadyAdmitted,
    Busy,
    HoldfastError,
    IdempotencyKeyReused,
    TicketNotValid,
    Unavailable,
)
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import Key
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from tests.engine.faults import Answer, Call, Calls, Trouble, conflict, meanwhile, silence_after, throttled
from tests.engine.shop import Shop
from tests.engine.storm import Client, Storm

GATES = 50
PAIR = KeyPair.generate()


class Signer:
    """Signs without asking anybody for the key."""

    def pair_of(self, tenant: str) -> KeyPair:
        """Return the one pair."""
        return PAIR


def sell(shop: Shop, quantity: int) -> Key:
    """Write a paid order of so many tickets; return its key."""
    key = shop.keys.order("alice", "0" * 32)
    line = LineMap(
        kind="ticket",
        event_id="1",
        ticket_type_id="2",
        quantity=quantity,
        unit_price_minor=500,
        currency="EUR",
        counted=False,
    )
    order = OrderItem(
        *key,
        user_id="alice",
        reservation_id="r",
        status="completed",
        attempt=1,
        lines=[line],
        returned=[0],
        currency="EUR",
        total_minor=500 * quantity,
        provider="external",
        version=1,
        created_at=shop.clock.now(),
        updated_at=shop.clock.now(),
    )
    shop.store.write(Put(order))
    ticket_keys.publish(shop.store, shop.tenant, PAIR, shop.clock.now())
    return key


def order_at(shop: Shop, key: Key) -> OrderItem:
    found = shop.store.get(OrderItem, key)
    assert found is not None
    return found


def codes(shop: Shop, key: Key) -> list[str]:
    return [ticket.code for ticket in tickets.codes_of(order_at(shop, key), Signer())]


def keyed(shop: Shop, key: str, code: str) -> KeyedRequest:
    return KeyedRequest(shop.tenant, "gate", "check-in", key, hash_of(code))


@dataclass
class Said:
    """What the gates were answered."""

    let_in: list[Admission] = field(default_factory=list)
    refused: list[HoldfastError] = field(default_factory=list)


def at_once(clients: Sequence[Client], asks: Sequence[Callable[[Client], Admission]]) -> Said:
    """Let each client ask one thing, all at once, until there is an answer."""
    said = Said()
    ready = threading.Barrier(len(asks))

    def work(client: Client, ask: Callable[[Client], Admission]) -> None:
        ready.wait()
        while True:
            try:
                said.let_in.append(ask(client))
            except (Busy, Unavailable):
                continue
            except HoldfastError as refusal:
                said.refused.append(refusal)
            return

    with ThreadPoolExecutor(len(asks)) as threads:
        for done in [threads.submit(work, *pair) for pair in zip(clients, asks, strict=False)]:
            done.result()
    return said


def scanning(code: str, key: str | None = None) -> Callable[[Client], Admission]:
    def ask(client: Client) -> Admission:
        return admit(client.shop.engine, client.shop.tenant, code, keyed(client.shop, key, code) if key else None)

    return ask


def weather(storm: Storm, *troubles: Trouble) -> None:
    """Let a third of all transactions meet one of the troubles; with none of them, none."""
    for client in storm.clients:
        client.calls.always(partial(_meet, client, troubles))


def _meet(client: Client, troubles: Sequence[Trouble], call: Call) -> Answer:
    if troubles and call.operation == "TransactWriteItems" and client.chance.random() < 0.3:
        return client.chance.choice(troubles)(call)
    return call.make()


@pytest.mark.parametrize("troubles", [(), (conflict, throttled)], ids=["calm", "contended"])
def test_50_gates_scan_one_code_at_once(start: Callable[[int], Storm], troubles: Sequence[Trouble]) -> None:
    storm = start(1)
    key = sell(storm.shop, 2)
    code, _ = codes(storm.shop, key)
    weather(storm, *troubles)
    said = at_once(storm.clients, [scanning(code)] * GATES)
    assert len(said.let_in) == 1
    assert [type(refusal) for refusal in said.refused] == [AlreadyAdmitted] * (GATES - 1)
    order = order_at(storm.shop, key)
    assert (order.admissions(), order.version) == ({"0-0": said.let_in[0].admitted_at}, 2)


def test_one_gate_sends_one_scan_50_times_at_once(start: Callable[[int], Storm]) -> None:
    """PROTOCOL 3: twins in flight get the answer of the one that made it."""
    storm = start(2)
    key = sell(storm.shop, 1)
    (code,) = codes(storm.shop, key)
    weather(storm, conflict, throttled, silence_after)
    said = at_once(storm.clients, [scanning(code, "scan")] * GATES)
    assert (len(said.let_in), said.refused) == (GATES, [])
    assert len(set(said.let_in)) == 1
    assert order_at(storm.shop, key).version == 2


def test_50_people_with_one_order_come_in_at_once(start: Callable[[int], Storm]) -> None:
    storm = start(3)
    key = sell(storm.shop, GATES)
    weather(storm, conflict, throttled)
    said = at_once(storm.clients, [scanning(code) for code in codes(storm.shop, key)])
    assert sorted(admission.number for admission in said.let_in) == list(range(GATES))
    order = order_at(storm.shop, key)
    assert (len(order.admissions()), order.version) == (GATES, GATES + 1)


def test_a_ticket_is_either_given_back_or_let_in(start: Callable[[int], Storm]) -> None:
    """Each gate lets in the next of 30 tickets, and each other client gives the last one back, until they meet."""
    storm = start(4)
    weather(storm, conflict, throttled)
    key = sell(storm.shop, 30)
    shown = codes(storm.shop, key)

    def return_one(client: Client) -> bool:
        order = order_at(client.shop, key)
        keep = order.lines[0].quantity - order.returned[0] - 1
        if keep < 0 or admitted_beyond(order, 0, keep):
            return False
        actions = [OrderItem.returned[0].set(order.returned[0] + 1), OrderItem.version.set(order.version + 1)]
        try:
            client.shop.store.write(Update(key, actions, OrderItem.version == order.version))
        except Cancelled:
            return True
        return True

    def returning(client: Client) -> Admission:
        while return_one(client):
            pass
        raise TicketNotValid

    said = at_once(storm.clients, [*(scanning(code) for code in shown), *[returning] * 10])
    order = order_at(storm.shop, key)
    let_in = {admission.number for admission in said.let_in}
    assert let_in == {int(name.partition("-")[2]) for name in order.admissions()}
    assert all(number < 30 - order.returned[0] for number in let_in)
    assert order.version == 1 + len(let_in) + order.returned[0]


def test_a_lost_answer_is_asked_for_again_and_is_no_second_admission(shop: Shop, calls: Calls) -> None:
    """PROTOCOL 8: a transaction that was made, and whose answer was lost, is answered as made."""
    key = sell(shop, 1)
    (code,) = codes(shop, key)
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises(Unavailable):
        admit(shop.engine, shop.tenant, code, keyed(shop, "scan", code))
    assert admit(shop.engine, shop.tenant, code, keyed(shop, "scan", code)).number == 0
    assert order_at(shop, key).version == 2


@pytest.mark.parametrize(
    "change",
    [
        OrderItem.returned[0].set(2),
        OrderItem.status.set("refunded"),
        OrderItem.status.set("cancelled"),
    ],
    ids=["returned", "refunded", "cancelled"],
)
@pytest.mark.parametrize("key", ["scan", None])
def test_what_is_given_back_between_look_and_admission_is_not_let_in(
    shop: Shop, calls: Calls, change: Action, key: str | None
) -> None:
    order = sell(shop, 3)
    code = codes(shop, order)[1]
    calls.trouble(meanwhile(lambda: shop.store.write(Update(order, [change]))), "TransactWriteItems")
    with pytest.raises(TicketNotValid):
        admit(shop.engine, shop.tenant, code, keyed(shop, key, code) if key else None)
    assert order_at(shop, order).admissions() == {}


def test_what_is_kept_when_others_are_given_back_meanwhile_is_let_in(shop: Shop, calls: Calls) -> None:
    order = sell(shop, 3)
    code = codes(shop, order)[1]
    changes = [OrderItem.returned[0].set(1), OrderItem.status.set("partially_refunded"), OrderItem.version.add(1)]
    calls.trouble(meanwhile(lambda: shop.store.write(Update(order, changes))), "TransactWriteItems")
    assert admit(shop.engine, shop.tenant, code, None).number == 1
    assert (order_at(shop, order).returned, order_at(shop, order).version) == ([1], 3)


def test_a_key_of_another_scan_lets_nobody_in(shop: Shop) -> None:
    key = sell(shop, 2)
    first, second = codes(shop, key)
    admit(shop.engine, shop.tenant, first, keyed(shop, "scan", first))
    with pytest.raises(IdempotencyKeyReused):
        admit(shop.engine, shop.tenant, second, keyed(shop, "scan", second))
    assert list(order_at(shop, key).admissions()) == ["0-0"]


def test_an_order_that_others_keep_writing_is_busy(shop: Shop, calls: Calls) -> None:
    key = sell(shop, 1)
    (code,) = codes(shop, key)
    calls.always(lambda call: conflict(call) if call.operation == "TransactWriteItems" else call.make())
    with pytest.raises(Busy):
        admit(shop.engine, shop.tenant, code, None)
    assert order_at(shop, key).version == 1
