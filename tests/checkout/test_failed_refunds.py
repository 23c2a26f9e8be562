"""Refunds that fail after they were paid back: the books are put right once, people are told, nothing is moved."""

import logging
from collections.abc import Callable

import pytest

from holdfast.checkout import webhooks
from holdfast.checkout.payments.port import Refund, RefundState
from holdfast.checkout.refunds import Wanted
from holdfast.platform.dynamodb import Store, Write
from holdfast.platform.errors import Busy
from holdfast.platform.tables import execution_name
from tests.checkout.till import PRICE, Till

TOLD = "a refund failed after it was paid back"


def fail_refunds(till: Till, attempt: int = 1) -> list[str]:
    """Let the buyer's bank send back everything that was paid back of an attempt; return what was taken in as what."""
    charge = till.charge(attempt)
    assert charge is not None
    taken = webhooks.act_in_sandbox(till.webhooks, till.shop.tenant, charge.payment_id or "", "fail_refunds")
    return list(taken.values())


def tell(till: Till, key: str | None, event_id: str) -> str:
    """Let a webhook come that tells that the refund of a key failed; return what it is taken as."""
    refund = Refund("refund_1", RefundState.FAILED, 1, key=key)
    body, headers = till.sandbox.webhook_of_refund(refund, till.clock.now(), event_id)
    return webhooks.receive(till.webhooks, till.shop.tenant, "sandbox", body, headers)


def told(caplog: pytest.LogCaptureFixture) -> int:
    """Return how often people were told."""
    return sum(record.levelno == logging.ERROR and record.getMessage() == TOLD for record in caplog.records)


def undone(till: Till) -> None:
    """Let a checkout take the money, fail after that, and pay it back."""
    till.machines.fail("CapturePayment", after_effect=True)
    till.check_out()
    till.machines.mend("CapturePayment")
    assert (till.order.status, till.order.captured_minor, till.order.refunded_minor) == ("failed", PRICE, PRICE)


def test_what_was_given_back_stays_so_and_what_was_not_paid_for_it_is_a_fee(
    till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    (refund,) = till.refunds()
    assert (refund.amount_minor, refund.fee_minor) == (1_000, 0)
    assert fail_refunds(till) == ["refund_failed"]
    (refund,) = till.refunds()
    assert (refund.status, refund.amount_minor, refund.fee_minor) == ("completed", 0, 1_000)
    assert refund.reason == "rejected_by_bank"
    order, (charge,) = till.order, till.charges()
    assert (order.status, order.captured_minor, order.refunded_minor) == ("partially_refunded", PRICE, 0)
    assert (order.fee_minor, order.refundable_minor) == (1_000, PRICE - 1_000)
    assert (charge.status, charge.refunded_minor, charge.reason) == ("completed", 0, "rejected_by_bank")
    assert till.shop.count(till.product) == (9, 0, 1)
    assert told(caplog) == 1
    till.all_agrees()


def test_the_rest_may_be_given_back_afterwards(till: Till) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    fail_refunds(till)
    till.refund()
    assert (till.order.refunded_minor, till.order.fee_minor) == (PRICE - 1_000, 1_000)
    assert till.goods() == "free"
    till.all_agrees()


def test_everything_given_back_is_on_sale_still(till: Till) -> None:
    till.check_out()
    till.refund()
    assert fail_refunds(till) == ["refund_failed"]
    assert (till.order.status, till.order.refunded_minor, till.order.fee_minor) == ("refunded", 0, PRICE)
    assert till.goods() == "free"
    till.all_agrees()


def test_the_same_event_and_others_of_the_same_refund_put_the_books_right_once(
    till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    """Stripe tells of one failure by three kinds of events; and what was told may have been told to nobody."""
    till.check_out()
    till.refund([Wanted(0, 1)])
    (refund,) = till.refunds()
    fail_refunds(till)
    before = till.items()
    assert fail_refunds(till) == ["refund_failed"]
    assert told(caplog) == 2
    assert tell(till, execution_name(refund.key), "evt_of_another_kind") == "nothing_new"
    assert told(caplog) == 2
    assert till.items() == before


def test_a_checkout_that_was_undone_keeps_what_it_could_not_pay_back(
    till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    undone(till)
    assert fail_refunds(till) == ["refund_failed"]
    order, (charge,) = till.order, till.charges()
    assert (order.status, order.captured_minor, order.refunded_minor, order.fee_minor) == ("failed", PRICE, 0, PRICE)
    assert (charge.status, charge.captured_minor, charge.refunded_minor) == ("completed", PRICE, 0)
    assert till.goods() == "free"
    assert told(caplog) == 1
    till.all_agrees()
    assert fail_refunds(till) == ["refund_failed"]
    till.all_agrees()


def test_what_was_paid_back_again_is_not_kept(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """A redriven refund, say: one of the same key stands, whenever it is told that the one before failed."""
    undone(till)
    (charge,) = till.charges()
    payment_id = charge.payment_id or ""
    (failed,) = till.sandbox.fail_refunds(payment_id)
    payment = till.sandbox.find(payment_id)
    assert payment is not None
    assert till.sandbox.refund(payment, PRICE, failed.key or "").state is RefundState.PAID
    assert tell(till, failed.key, "evt_refund") == "nothing_new"
    assert told(caplog) == 0
    till.all_agrees()


def test_a_refund_that_a_workflow_is_at_is_to_be_told_of_again(till: Till) -> None:
    """Nothing of it is counted yet, or all of it at this moment."""
    till.check_out()
    till.machines.fail("GiveBackClaims")
    till.refund([Wanted(0, 1)])
    assert till.refunds()[0].status == "paid"
    with pytest.raises(Busy):
        fail_refunds(till)
    till.machines.mend("GiveBackClaims")
    till.redrive()
    assert till.refunds()[0].status == "completed"
    assert fail_refunds(till) == ["refund_failed"]
    till.all_agrees()


def test_a_checkout_that_is_being_undone_is_to_be_told_of_again(till: Till) -> None:
    till.machines.fail("CapturePayment", after_effect=True)
    till.machines.fail("WithdrawClaims")
    till.check_out()
    assert till.order.status == "pending"
    with pytest.raises(Busy):
        fail_refunds(till)
    till.machines.mend("WithdrawClaims")
    till.redrive()
    assert fail_refunds(till) == ["refund_failed"]
    till.all_agrees()


def test_what_failed_before_it_was_counted_is_paid_again(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.check_out()
    payment_id = till.charges()[0].payment_id or ""
    till.machines.kill("PayBack")
    failed: list[Refund] = []
    real = till.sandbox.__class__.refund

    def refund(sandbox: object, *given: object) -> Refund:
        made = real(sandbox, *given)  # type: ignore[arg-type]
        if not failed:
            failed.extend(till.sandbox.fail_refunds(payment_id))
            with pytest.raises(Busy):
                tell(till, failed[0].key, "evt_refund")
            raise Busy
        return made

    monkeypatch.setattr(till.sandbox.__class__, "refund", refund)
    till.refund([Wanted(0, 1)])
    assert till.refunds()[0].status == "completed"
    assert tell(till, failed[0].key, "evt_refund") == "nothing_new"
    assert [each.state for each in till.sandbox.refunds_of(payment_id)] == [RefundState.FAILED, RefundState.PAID]
    till.all_agrees()


def test_what_is_kept_of_a_payment_that_bought_nothing_is_in_its_charge_alone(till: Till) -> None:
    till.check_out(token="tok_pay_late")
    till.cancel()
    till.pay()
    assert till.charges()[0].status == "refunded"
    assert fail_refunds(till) == ["refund_failed"]
    (charge,), (refund,), order = till.charges(), till.refunds(), till.order
    assert (charge.status, charge.captured_minor, charge.refunded_minor) == ("completed", PRICE, 0)
    assert (refund.status, refund.amount_minor, refund.fee_minor) == ("completed", 0, PRICE)
    assert (order.status, order.captured_minor, order.refunded_minor, order.fee_minor) == ("cancelled", 0, 0, 0)


def test_what_is_kept_of_a_payment_that_nobody_asked_for_is_not_moved_by_events_of_old(till: Till) -> None:
    till.check_out(token="tok_pay_twice")
    till.pay()
    stray = till.charges()[-1]
    taken = webhooks.act_in_sandbox(till.webhooks, till.shop.tenant, stray.payment_id or "", "fail_refunds")
    assert list(taken.values()) == ["refund_failed"]
    assert (till.charges()[-1].status, till.charges()[-1].refunded_minor) == ("completed", 0)
    till.pay()
    assert (till.charges()[-1].status, len(till.refunds())) == ("completed", 1)
    assert (till.order.status, till.order.captured_minor, till.order.fee_minor) == ("completed", PRICE, 0)


def test_what_could_not_be_paid_back_buys_nothing_late(till: Till) -> None:
    """Its goods are on sale, and a person looks at what is kept: no event of old moves it."""
    till.machines.fail("ConfirmClaims", after_effect=False)
    till.check_out(token="tok_pay_late")
    till.let_deadline_pass()
    till.machines.mend("ConfirmClaims")
    assert till.order.status == "expired"
    till.somebody_takes_the_seat()
    till.pay()
    assert (till.order.reason, till.charges()[0].status) == ("paid_too_late", "refunded")
    fail_refunds(till)
    payment = till.sandbox.find(till.charges()[0].payment_id or "")
    assert payment is not None
    before = till.order.version
    till.tell(payment)
    assert till.order.version == before
    assert (till.order.refunded_minor, till.order.fee_minor) == (0, PRICE)


@pytest.mark.parametrize(
    "named",
    [
        lambda order: "x",
        lambda order: f"{order}-",
        lambda order: f"{order}-v9",
        lambda order: f"{order}-01",
        lambda order: f"{order}-02-refund",
        lambda order: f"{order}-01-refund",
        lambda order: f"{order}-01-refund-refund",
        lambda order: f"{'a' * 16}-{'0' * 32}-v1",
    ],
)
def test_what_anybody_may_say_of_refunds_that_were_not_made_changes_nothing(
    till: Till, named: Callable[[str], str]
) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    before = till.items()
    assert tell(till, named(execution_name(till.order.key)), "evt_refund") in ("not_ours", "nothing_new")
    assert till.items() == before


def test_a_refund_that_stands_does_not_fail_by_being_said_to(till: Till) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    before = till.items()
    assert tell(till, execution_name(till.refunds()[0].key), "evt_refund") == "nothing_new"
    assert till.items() == before


def test_an_event_that_told_of_something_else_tells_of_no_refund(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    till.check_out(token="tok_confirm")
    till.pay()
    till.refund([Wanted(0, 1)])
    till.sandbox.fail_refunds(till.charges()[0].payment_id or "")
    assert tell(till, execution_name(till.refunds()[0].key), "evt_1") == "nothing_new"
    assert told(caplog) == 0


def test_another_tenant_s_refund_is_none_of_ours(till: Till) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    key = execution_name(till.refunds()[0].key)
    till.sandbox.fail_refunds(till.charges()[0].payment_id or "")
    other = till.of_another_tenant("another")
    assert tell(other, key, "evt_refund") == "not_ours"
    assert tell(till, key, "evt_refund") == "refund_failed"


def test_what_another_wrote_meanwhile_is_not_lost(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.check_out()
    till.refund([Wanted(0, 1)])
    make = Store.make

    def overtaken(store: Store, writes: list[Write]) -> None:
        monkeypatch.setattr(Store, "make", make)
        till.refund([Wanted(1, 1)])
        make(store, writes)

    monkeypatch.setattr(Store, "make", overtaken)
    assert fail_refunds(till) == ["refund_failed"]
    assert (till.order.refunded_minor, till.order.fee_minor) == (290, 1_000)
    till.all_agrees()
