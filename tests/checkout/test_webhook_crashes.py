"""The function that takes in webhooks dies before or after each of its calls: told again, it ends as without that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holdfast.checkout import webhooks
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.port import Payment, PaymentState
from holdfast.checkout.payments.registry import Providers
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.order_items import WebhookItem
from holdfast.platform.workflows import RunState, Workflows
from tests.checkout.till import PRICE, NoSecrets, Till
from tests.engine.faults import Calls, Crash
from tests.engine.shop import Shop

pytestmark = pytest.mark.slow

MOST_CALLS = 24
"""More than twice what any webhook makes."""


class Life:
    """The calls of one function to the outside; it dies at one of them, before or after that has its effect."""

    def __init__(self) -> None:
        self.calls = 0
        self.dies_at = 0
        self.after = False

    def call(self, make: Callable[[], Any]) -> Any:
        """Make a call, or die of it."""
        self.calls += 1
        if self.calls != self.dies_at:
            return make()
        if self.after:
            make()
        raise Crash


@dataclass(frozen=True)
class Mortal:
    """A state machine, as a function reaches it that may die of it."""

    life: Life
    machine: Workflows

    def start(self, name: str, run: Mapping[str, Any]) -> None:
        """Start a run."""
        self.life.call(lambda: self.machine.start(name, run))

    def answer(self, token: str, outcome: Mapping[str, Any]) -> None:
        """Answer a task that waits."""
        self.life.call(lambda: self.machine.answer(token, outcome))

    def state(self, name: str) -> RunState | None:
        """Return what is known of a run."""
        found: RunState | None = self.life.call(lambda: self.machine.state(name))
        return found


class Ear:
    """The function that takes in webhooks, with connections of its own to everything."""

    def __init__(self, till: Till) -> None:
        self.till, self.life = till, Life()
        store = connect(till.store._table)
        Calls(store).always(lambda call: self.life.call(call.make))
        self.desk = webhooks.Desk(
            replace(till.engine, store=store),
            Mortal(self.life, till.machines.checkout),
            Mortal(self.life, till.machines.refund),
            Providers(store, NoSecrets(), ProvidersUsed(store, "sandbox"), till.clock),
        )

    def hear(self, payment: Payment, event_id: str) -> bool:
        """Take in a webhook; return whether that came to an end."""
        self.life.calls = 0
        body, headers = self.till.sandbox.webhook(payment, self.till.clock.now(), event_id)
        try:
            webhooks.receive(self.desk, self.till.shop.tenant, "sandbox", body, headers)
        except Crash:
            return False
        return True

    def has_taken(self, event_id: str) -> bool:
        """Return whether an event was taken in."""
        key = self.till.shop.keys.webhook("sandbox", event_id)
        return self.till.store.get(WebhookItem, key) is not None


def pays(till: Till) -> list[Payment]:
    till.check_out(token="tok_confirm")
    return act(till)


def is_declined(till: Till) -> list[Payment]:
    till.check_out(token="tok_confirm")
    return act(till, "decline")


def pays_a_wrong_amount(till: Till) -> list[Payment]:
    till.check_out(token="tok_wrong_amount")
    return act(till)


def pays_twice(till: Till) -> list[Payment]:
    till.check_out(token="tok_pay_twice")
    return act(till)


def pays_late(till: Till) -> list[Payment]:
    till.check_out(token="tok_pay_late")
    till.let_deadline_pass()
    return act(till)


def pays_late_and_somebody_has_a_seat(till: Till) -> list[Payment]:
    till.check_out(token="tok_pay_late")
    till.let_deadline_pass()
    till.somebody_takes_the_seat()
    return act(till)


def pays_what_was_cancelled(till: Till) -> list[Payment]:
    till.check_out(token="tok_pay_late")
    till.cancel()
    return act(till)


def is_told_of_an_older_state(till: Till) -> list[Payment]:
    till.check_out(token="tok_success")
    charge = till.charge(1)
    assert charge is not None
    found = till.sandbox.find(charge.payment_id or "")
    assert found is not None
    return [replace(found, state=PaymentState.DECLINED)]


STORIES: dict[str, tuple[Callable[[Till], list[Payment]], str, int]] = {
    story.__name__: (story, order, kept)
    for story, order, kept in (
        (pays, "completed", PRICE),
        (is_declined, "payment_failed", 0),
        (pays_a_wrong_amount, "payment_failed", 0),
        (pays_twice, "completed", PRICE),
        (pays_late, "completed", PRICE),
        (pays_late_and_somebody_has_a_seat, "expired", 0),
        (pays_what_was_cancelled, "cancelled", 0),
        (is_told_of_an_older_state, "completed", PRICE),
    )
}
"""Each story, with the state in which its order ends, and what is kept of the money."""


def act(till: Till, action: Any = "pay") -> list[Payment]:
    """Do something at the sandbox's page; return the payments that webhooks are to tell of."""
    charge = till.charge(1)
    assert charge is not None
    return till.sandbox.act(charge.payment_id or "", action)


def opened(store: Store, patch: pytest.MonkeyPatch, number: int) -> Till:
    """Return a till of a tenant of its own."""
    return Till(store, patch, Shop(store, tenant=f"t{number}"))


def tell_all(ear: Ear, payments: Sequence[Payment], first: int = 0) -> None:
    """Tell of payments, one after the other."""
    for place, payment in enumerate(payments, first):
        assert ear.hear(payment, f"evt_{place}")


@pytest.mark.parametrize("name", STORIES)
def test_told_again_after_dying_anywhere_it_ends_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    story, status, kept = STORIES[name]
    unharmed = opened(store, monkeypatch, 0)
    tell_all(Ear(unharmed), story(unharmed))
    expected = unharmed.ending()
    assert (expected.order, expected.captured - expected.refunded) == (status, kept)
    deaths = 0
    for number in range(2, MOST_CALLS):
        till = opened(store, monkeypatch, number)
        ear, payments = Ear(till), story(till)
        ear.life.dies_at, ear.life.after = number // 2, bool(number % 2)
        lived = [ear.hear(payment, f"evt_{place}") for place, payment in enumerate(payments)]
        if all(lived):
            break
        deaths += 1
        ear.life.dies_at = 0
        tell_all(ear, payments)
        assert till.ending() == expected, number
        till.all_agrees()
        assert till.machines.letters == []
    else:
        pytest.fail("there are more calls than were tried")
    assert deaths >= 4, "it reads, and it writes at least"


@pytest.mark.parametrize("name", STORIES)
def test_what_was_taken_in_comes_to_its_end_though_nobody_tells_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The deadline answers the waiting task with what is known by then, and the sweeper starts what nobody did."""
    story, status, kept = STORIES[name]
    seen = 0
    for number in range(1, MOST_CALLS):
        till = opened(store, monkeypatch, number)
        ear, (first, *others) = Ear(till), story(till)
        ear.life.dies_at, ear.life.after = number, True
        if ear.hear(first, "evt_0"):
            break
        if not ear.has_taken("evt_0"):
            continue
        seen += 1
        ear.life.dies_at = 0
        tell_all(ear, others, first=1)
        if till.order.status == "awaiting_payment":
            till.let_deadline_pass()
        till.sweep()
        lapsed = {"payment_failed": "expired"}.get(status)
        assert till.order.status in (status, lapsed)
        assert till.order.captured_minor - till.order.refunded_minor == kept
        till.all_agrees()
    assert seen
