"""PROTOCOL.md 21 to 24, rule by rule, on the real workflows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from holdfast.checkout import opening
from holdfast.checkout.opening import PaymentChoice, choose
from holdfast.checkout.payments.port import Payment, PaymentRequest
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.checkout.refunds import Wanted
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import (
    Busy,
    Forbidden,
    MixedCurrencies,
    NotRefundable,
    PaymentRequired,
    ProviderNotUsed,
    ReservationOver,
)
from holdfast.platform.workflows import RunState
from tests.checkout.scenarios import BOUGHT, SCENARIOS
from tests.checkout.till import PRICE, Till
from tests.engine.faults import Calls, meanwhile
from tests.engine.shop import units
from tests.workflow import Machine

STOPPED = [
    (name, task)
    for name in (
        "pays_at_once",
        "confirms_and_pays",
        "never_pays",
        "pays_what_cannot_be_captured",
        "pays_late_and_the_goods_are_there",
        "pays_late_and_somebody_has_a_seat",
        "gives_everything_back_for_a_fee",
    )
    for task in dict.fromkeys(SCENARIOS[name].tasks)
]


def _throttled(*_: object) -> None:
    raise Busy


def test_rule_21_a_throttled_start_keeps_the_order_and_whoever_asks_again_starts_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = till.hold()
    with monkeypatch.context() as patch:
        patch.setattr(Machine, "start", _throttled)
        with pytest.raises(Busy):
            till.check_out(record)
    assert (till.order.status, till.record.status, till.machines.runs) == ("pending", "held", {})
    till.check_out(record)
    assert till.ending() == BOUGHT


def test_rule_21_an_order_that_was_never_started_is_started_by_the_sweeper(till: Till) -> None:
    till.open(till.hold(), "tok_success")
    assert till.order.due == till.clock.now() + opening.START_WITHIN
    till.sweep()
    assert till.ending() == BOUGHT
    assert till.order.due is None


def test_rule_21_an_order_is_started_once_however_often_it_is_asked_for(till: Till) -> None:
    record = till.hold()
    for _ in range(3):
        till.check_out(record)
        till.sweep()
    assert till.ending() == BOUGHT
    assert len(till.machines.runs) == 1


def test_rule_21_a_name_used_again_after_it_was_forgotten_begins_nothing(till: Till) -> None:
    record = till.hold()
    till.check_out(record)
    before = till.items()
    till.machines.runs.clear()
    till.machines.checkout.start(
        opening.run_name(till.order), {"order": till.key._asdict(), "attempt": 1, "mode": "buy", "outcomes": {}}
    )
    assert till.machines.run(opening.run_name(till.order)).status == "SUCCEEDED"
    assert till.items() == before


def test_rule_21_another_payment_for_what_is_bought_is_refused(till: Till) -> None:
    till.check_out()
    with pytest.raises(ReservationOver):
        till.check_out(till.record, "tok_confirm")
    assert till.ending() == BOUGHT


@pytest.mark.parametrize(("name", "task"), STOPPED)
def test_rule_21_what_a_stopped_run_left_is_undone_or_finished_by_the_sweeper(till: Till, name: str, task: str) -> None:
    def stop() -> None:
        for (machine, called), run in till.machines.runs.items():
            if run.at == task:
                till.machines.stop(called, machine)

    till.machines.beside(task, after=stop)
    SCENARIOS[name].tell(till)
    till.sweep()
    till.tell_again()
    till.sweep()
    till.all_agrees()
    assert till.machines.letters == []


def test_rule_21_a_run_that_waits_is_left_alone_by_the_sweeper(till: Till) -> None:
    till.check_out(token="tok_confirm")
    till.sweep()
    assert till.order.status == "awaiting_payment"
    assert till.machines.checkout.state(opening.run_name(till.order)) == RunState.RUNNING
    till.pay()
    assert till.ending() == BOUGHT


def test_rule_22_a_webhook_before_the_create_call_returned(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Sandbox.authorise

    def slow(sandbox: Sandbox, request: PaymentRequest) -> Payment:
        payment = create(sandbox, request)
        for told in sandbox.act(payment.id, "pay"):
            till.tell(told)
        return payment

    monkeypatch.setattr(Sandbox, "authorise", slow)
    till.open(till.hold(), "tok_confirm")
    opening.start(till.machines.checkout, till.order)
    till.tell_again()
    assert till.ending() == BOUGHT


def test_rule_22_the_outcome_before_the_token(till: Till) -> None:
    till.machines.beside("AwaitPayment", before=till.pay)
    till.check_out(token="tok_confirm")
    assert till.ending() == BOUGHT


def test_rule_22_the_token_before_the_outcome(till: Till) -> None:
    till.check_out(token="tok_confirm")
    assert till.order.task_token is not None
    till.pay()
    assert till.ending() == BOUGHT


def test_rule_22_token_and_outcome_at_once(till: Till, store: Store) -> None:
    """The outcome is written right before each call that the waiting task makes to the table."""
    for call in range(6):
        here = till.of_another_tenant(f"tenant-{call}")
        calls = Calls(store)
        here.machines.beside("AwaitPayment", before=_troubling(calls, here, call))
        here.check_out(token="tok_confirm")
        calls.stop()
        here.pay()
        assert here.ending() == BOUGHT
    assert till.orders() == []


def _troubling(calls: Calls, till: Till, skip: int) -> Callable[[], None]:
    return lambda: calls.trouble(meanwhile(till.pay), skip=skip)


def test_rule_22_answered_before_the_waiting_task_has_returned(till: Till) -> None:
    till.machines.beside("AwaitPayment", after=till.pay)
    till.check_out(token="tok_confirm")
    assert till.ending() == BOUGHT


def test_rule_22_answered_twice_and_by_the_same_event_again(till: Till) -> None:
    till.check_out(token="tok_confirm")
    (payment,) = till.sandbox.act(till.books()[0].id, "pay")
    for event_id in ("one", "one", "two", "one"):
        till.tell(payment, event_id)
    assert till.ending() == BOUGHT
    assert (till.machines.calls["ConfirmClaims"], till.machines.calls["CapturePayment"]) == (1, 1)


def test_rule_22_the_first_outcome_counts(till: Till) -> None:
    """A buyer pays right after having cancelled, or cancels right after having paid."""
    till.machines.beside("AwaitPayment", before=till.cancel)
    till.check_out(token="tok_confirm")
    till.pay()
    assert till.ending() == SCENARIOS["cancels_while_the_payment_is_awaited"].ending


def test_rule_22_a_cancellation_after_the_payment_comes_too_late(till: Till) -> None:
    till.check_out(token="tok_confirm")
    till.machines.beside("ConfirmClaims", before=till.cancel)
    till.pay()
    assert till.ending() == BOUGHT


def test_rule_22_a_token_that_nobody_waits_with_is_ignored(till: Till) -> None:
    till.check_out(token="tok_confirm")
    token = till.order.task_token
    assert token is not None
    till.pay()
    for answered in (token, "nonsense"):
        till.machines.checkout.answer(answered, {"outcome": "failed"})
    assert till.ending() == BOUGHT


def test_rule_22_a_retried_task_waits_with_a_new_token(till: Till) -> None:
    tokens: list[Any] = []
    till.machines.beside("AwaitPayment", after=lambda: tokens.append(till.order.task_token))
    till.machines.kill("AwaitPayment")
    till.check_out(token="tok_confirm")
    till.machines.checkout.answer(tokens[0], {"outcome": "failed"})
    assert till.order.task_token not in tokens
    till.pay()
    assert till.ending() == BOUGHT


def test_rule_22_a_task_that_waited_too_long_asks_the_provider(till: Till) -> None:
    till.check_out(token="tok_confirm")
    till.pay(tell=False)
    till.machines.time_out(opening.run_name(till.order))
    assert till.ending() == BOUGHT


def test_rule_22_a_webhook_for_another_tenant_changes_nothing(till: Till) -> None:
    till.check_out(token="tok_confirm")
    other = till.of_another_tenant("another")
    (payment,) = till.sandbox.act(till.books()[0].id, "pay")
    before = till.items()
    other.tell(payment)
    assert till.items() == before
    assert other.orders() == []


def test_rule_23_a_capture_whose_answer_never_comes_is_asked_about_and_refunded(till: Till) -> None:
    till.machines.fail("CapturePayment", after_effect=True)
    till.check_out()
    ending = till.ending()
    assert (ending.order, ending.goods, ending.books) == ("failed", "free", [("captured", PRICE, PRICE)])
    till.all_agrees()


def test_rule_23_a_capture_that_never_happened_is_voided(till: Till) -> None:
    till.machines.fail("CapturePayment")
    till.check_out()
    ending = till.ending()
    assert (ending.order, ending.goods, ending.books) == ("failed", "free", [("voided", 0, 0)])
    till.all_agrees()


@pytest.mark.parametrize("captured", [True, False])
def test_rule_23_of_unknown_money_the_claims_are_kept_until_a_person_sends_it_round(till: Till, captured: bool) -> None:
    till.machines.fail("CapturePayment", after_effect=captured)
    till.machines.fail("VoidPayment")
    till.check_out()
    (letter,) = till.machines.letters
    assert (letter["machine"], letter["run"]["attempt"]) == ("checkout", 1)
    assert (till.record.status, till.goods(), till.order.status) == ("confirmed", "sold", "pending")
    till.let_everything_lapse()
    assert till.goods() == "sold"
    till.machines.mend("VoidPayment")
    till.redrive()
    till.all_agrees()
    assert till.machines.letters == []


def test_rule_23_a_refund_takes_what_may_be_refunded_first_and_gives_stock_back_last(till: Till) -> None:
    till.check_out()
    seen: list[tuple[int, int, str, int]] = []

    def look() -> None:
        order = till.order
        seen.append((order.refundable_minor, order.refunded_minor, till.goods(), till.books()[0].refunded_minor))

    for task in ("BeginRefund", "PayBack", "GiveBackClaims"):
        till.machines.beside(task, before=look)
    till.refund()
    look()
    assert seen == [(0, 0, "sold", 0), (0, 0, "sold", 0), (0, PRICE, "sold", PRICE), (0, PRICE, "free", PRICE)]


def test_rule_23_a_second_refund_finds_nothing_left_while_the_first_is_under_way(till: Till) -> None:
    till.check_out()
    till.machines.holding_back = True
    till.refund()
    with pytest.raises(NotRefundable):
        till.refund([Wanted(0, 1)])
    till.machines.go()
    assert till.ending() == SCENARIOS["gives_everything_back"].ending


def test_rule_23_parts_are_given_back_until_nothing_is_left(till: Till) -> None:
    """Captured minus refunded is the price of what is confirmed and the fees, after each part."""
    till.check_out()
    till.refund([Wanted(0, 1)])
    assert (till.order.status, till.order.refunded_minor) == ("partially_refunded", 1_000)
    assert till.shop.count(till.product) == (9, 0, 1)
    till.all_agrees()
    till.refund([Wanted(2), Wanted(4)], percent_of=lambda line: 50 if line.kind == "venue" else 100)
    assert (till.order.refunded_minor, till.order.fee_minor) == (1_000 + 500 + 4_500, 4_500)
    assert till.shop.unit(till.shop.seat_key("A", 1)).holder is None
    assert till.hold(till.everything()[4], user="eve").status == "held", "the hall is on sale again"
    till.all_agrees()
    with pytest.raises(NotRefundable):
        till.refund([Wanted(2)])
    till.refund()
    order = till.order
    assert (order.status, till.record.status, order.refundable_minor) == ("refunded", "refunded", 0)
    assert order.captured_minor - order.refunded_minor == order.fee_minor == 4_500
    till.all_agrees()


def test_rule_23_a_cart_has_one_currency(till: Till) -> None:
    euros = till.shop.product(currency="EUR")
    with pytest.raises(MixedCurrencies):
        till.hold(units(till.product), units(euros))


@pytest.mark.parametrize(
    ("roles", "wanted", "refusal"),
    [
        ({"service"}, None, PaymentRequired),
        (set(), None, PaymentRequired),
        (set(), PaymentChoice("external"), Forbidden),
        ({"admin", "staff"}, PaymentChoice("external"), Forbidden),
        (set(), PaymentChoice("stripe", "tok"), ProviderNotUsed),
        ({"service"}, PaymentChoice("paypal"), ProviderNotUsed),
    ],
)
def test_rule_24_a_payment_that_may_not_be_made_so_is_refused(
    roles: set[str], wanted: PaymentChoice | None, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        choose(roles, ["sandbox"], wanted, 100)


def test_rule_24_only_a_service_key_says_that_something_is_paid_elsewhere() -> None:
    assert choose({"service"}, ["sandbox"], PaymentChoice("external", "token"), 100) == PaymentChoice("external")
    assert choose(set(), ["sandbox"], PaymentChoice("sandbox", "tok"), 100) == PaymentChoice("sandbox", "tok")


def test_rule_24_what_costs_nothing_needs_no_payment(till: Till) -> None:
    free = till.shop.product(price_minor=0)
    record = till.hold(units(free, 2))
    choice = choose(set(), ["sandbox"], None, 0)
    till.check_out(record, choice.token, choice.provider)
    assert (till.order.status, till.record.status, till.order.captured_minor) == ("completed", "confirmed", 0)
    assert (till.charges(), till.books()) == ([], [])
    assert till.shop.count(free) == (8, 0, 2)


def test_rule_24_what_is_paid_elsewhere_is_refunded_elsewhere(till: Till) -> None:
    till.check_out(token=None, provider="external")
    till.refund()
    assert till.ending() == replace(SCENARIOS["gives_everything_back"].ending, books=[])
