"""Many functions take in webhooks at once, the same ones and others: each has its consequence once."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from holdfast.checkout import outcomes, webhooks
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.port import Payment
from holdfast.checkout.payments.registry import Providers
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import connect, read
from holdfast.platform.errors import Busy
from holdfast.platform.order_items import WebhookItem
from holdfast.platform.retries import Retries
from holdfast.platform.tables import key_of
from tests.checkout.till import PRICE, NoSecrets, Till

FUNCTIONS = 8


def desks(till: Till) -> list[webhooks.Desk]:
    """Return the desks of functions that run at once, each with connections of its own."""
    found = []
    for _ in range(FUNCTIONS):
        store = connect(till.store._table)
        clock: Clock = till.clock
        providers = Providers(store, NoSecrets(), ProvidersUsed(store, "sandbox"), clock)
        engine = replace(till.engine, store=store, retries=Retries())
        found.append(webhooks.Desk(engine, till.machines.checkout, till.machines.refund, providers))
    return found


def at_once(acts: Sequence[Callable[[], object]]) -> None:
    """Do everything at the same moment."""
    ready = threading.Barrier(len(acts))

    def do(act: Callable[[], object]) -> None:
        ready.wait()
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(do, act) for act in acts]:
            done.result()


def telling(till: Till, desk: webhooks.Desk, payment: Payment, event_id: str) -> Callable[[], object]:
    """Return what tells a function of a payment, until it is not answered to tell again."""
    body, headers = till.sandbox.webhook(payment, till.clock.now(), event_id)

    def tell() -> None:
        for _ in range(20):
            try:
                webhooks.receive(desk, till.shop.tenant, "sandbox", body, headers)
            except Busy:
                continue
            return

    return tell


def paid(till: Till) -> list[Payment]:
    """Let the buyer pay; return the payments that webhooks are to tell of."""
    charge = till.charge(1)
    assert charge is not None
    return till.sandbox.act(charge.payment_id or "", "pay")


def taken(till: Till) -> list[str]:
    """Return what each event was taken as."""
    items = [read(WebhookItem, item) for item in till.items() if "#WEBHOOK#" in key_of(item).pk]
    return sorted(item.taken_as for item in items)


@pytest.mark.parametrize("events", [1, FUNCTIONS])
def test_twins_of_one_event_and_events_about_the_same_buy_once(till: Till, events: int) -> None:
    till.check_out(token="tok_confirm")
    (payment,) = paid(till)
    at_once([telling(till, desk, payment, f"evt_{n % events}") for n, desk in enumerate(desks(till))])
    assert till.ending().order == "completed"
    assert taken(till) == ["nothing_new"] * (events - 1) + ["paid"]
    assert {till.machines.calls[task] for task in ("ConfirmClaims", "CapturePayment", "CompleteOrder")} == {1}
    till.all_agrees()


@pytest.mark.parametrize("events", [1, FUNCTIONS])
def test_late_money_that_is_told_of_many_times_at_once_buys_once(till: Till, events: int) -> None:
    till.check_out(token="tok_pay_late")
    till.let_deadline_pass()
    (payment,) = paid(till)
    at_once([telling(till, desk, payment, f"evt_{n % events}") for n, desk in enumerate(desks(till))])
    assert till.ending().order == "completed"
    assert taken(till) == sorted(["nothing_new"] * (events - 1) + ["late"])
    assert {till.machines.calls[task] for task in ("ConfirmClaims", "CapturePayment", "CompleteOrder")} == {1}
    till.all_agrees()


def test_two_payments_told_of_at_once_and_often_buy_once_and_are_paid_back_once(till: Till) -> None:
    till.check_out(token="tok_pay_twice")
    payments = paid(till)
    acts = [telling(till, desk, payments[n % 2], f"evt_{n}") for n, desk in enumerate(desks(till))]
    at_once(acts)
    assert till.ending().order == "completed"
    assert till.ending().books == [("captured", PRICE, 0), ("captured", PRICE, PRICE)]
    assert len(till.refunds()) == 1
    assert till.machines.calls["PayBack"] == 1
    till.all_agrees()


def test_money_of_a_cancelled_order_told_of_many_times_is_paid_back_once(till: Till) -> None:
    till.check_out(token="tok_pay_late")
    till.cancel()
    (payment,) = paid(till)
    at_once([telling(till, desk, payment, f"evt_{n}") for n, desk in enumerate(desks(till))])
    assert till.ending().books == [("captured", PRICE, PRICE)]
    assert len(till.refunds()) == 1
    assert till.machines.calls["PayBack"] == 1
    till.all_agrees()


@pytest.mark.parametrize("said", ["deadline", "cancelled"])
def test_money_and_the_end_of_waiting_at_once_end_on_the_same_side(till: Till, said: outcomes.Outcome) -> None:
    """Whoever comes first is believed; money that was too late buys all the same, or is paid back."""
    till.check_out(token="tok_pay_late")
    (payment,) = paid(till)
    first, *others = desks(till)
    key, checkout = till.key, till.machines.checkout
    ends = [lambda desk=desk: outcomes.settle(desk.engine, checkout, key, 1, said, said) for desk in others[:3]]
    at_once([telling(till, first, payment, "evt_1"), *ends])
    telling(till, first, payment, "evt_1")()
    telling(till, first, payment, "evt_2")()
    assert till.order.status in ("completed", "cancelled", "expired", "payment_failed")
    till.all_agrees()
