"""Money that comes once more after a payment that bought nothing was paid back: it is paid back as well."""

from dataclasses import replace

import pytest

from holdfast.checkout import refunds
from holdfast.checkout.payments.port import Payment, PaymentState
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.checkout.payments.sandbox_book import Book
from holdfast.platform.tables import MAX_NAME, Key, execution_name
from tests.checkout.till import PRICE, Till


@pytest.fixture
def pays_again(till: Till, monkeypatch: pytest.MonkeyPatch) -> Till:
    """A till whose buyer's payment is set aside each time it was let go, and taken from the second time on.

    So it is at Razorpay, where what is not captured is only left to pay itself back, and can still be captured.
    """
    states = [PaymentState.AUTHORISED, PaymentState.CAPTURED]

    def paid(book: Book) -> Book:
        if book.state is PaymentState.CAPTURED:
            return book
        state = states.pop(0)
        return replace(book, state=state, captured_minor=book.amount_minor if state is PaymentState.CAPTURED else 0)

    till.check_out(token="tok_pay_late")
    till.cancel()
    monkeypatch.setattr(Book, "paid", paid)
    return till


def test_what_comes_after_a_payment_was_let_go_is_paid_back(pays_again: Till) -> None:
    till = pays_again
    till.pay()
    assert [(refund.status, refund.amount_minor) for refund in till.refunds()] == [("completed", 0)]
    assert till.charges()[0].status == "voided"
    till.pay()
    assert [(refund.status, refund.amount_minor) for refund in till.refunds()] == [
        ("completed", 0),
        ("completed", PRICE),
    ]
    assert (till.charges()[0].status, till.charges()[0].refunded_minor) == ("refunded", PRICE)
    till.all_agrees()


def test_what_is_told_of_twice_is_paid_back_once(pays_again: Till) -> None:
    till = pays_again
    till.pay()
    till.pay()
    for _ in range(2):
        till.pay()
    (payment,) = till.sandbox.act(till.charges()[0].payment_id or "", "pay")
    till.tell(payment, "evt_2")
    assert len(till.refunds()) == 2
    till.all_agrees()


def test_what_is_told_of_while_a_payment_is_let_go_is_paid_back(
    pays_again: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refund has asked the provider before the money came, and writes down what it found after."""
    till = pays_again
    void = Sandbox.void

    def overtaken(sandbox: Sandbox, payment: Payment, key: str) -> Payment:
        found = void(sandbox, payment, key)
        monkeypatch.setattr(Sandbox, "void", void)
        till.pay()
        return found

    monkeypatch.setattr(Sandbox, "void", overtaken)
    till.pay()
    assert [(refund.status, refund.amount_minor) for refund in till.refunds()] == [("completed", PRICE)]
    assert till.charges()[0].refunded_minor == PRICE
    till.all_agrees()


def test_what_is_told_of_as_a_refund_is_closed_is_told_of_again(pays_again: Till) -> None:
    till = pays_again
    till.machines.beside("GiveBackClaims", before=till.pay)
    till.pay()
    assert len(till.untold) == 1
    assert till.books()[0].captured_minor == PRICE
    till.tell_again()
    assert sorted(refund.amount_minor for refund in till.refunds()) == [0, PRICE]
    till.all_agrees()


def test_a_payment_that_nobody_asked_for_comes_again(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.check_out(token="tok_pay_twice")
    authorised = replace(till.books()[0], id="sandbox_second", state=PaymentState.AUTHORISED)
    till.sandbox._opened(authorised)
    till.tell(authorised.shown({}))
    assert till.charges()[-1].status == "voided"
    captured = replace(authorised, state=PaymentState.CAPTURED, captured_minor=PRICE)
    till.sandbox._changed(authorised.id, lambda _: captured)
    till.tell(captured.shown({}))
    assert (till.charges()[-1].status, till.charges()[-1].refunded_minor) == ("refunded", PRICE)
    assert sorted(refund.amount_minor for refund in till.refunds()) == [0, PRICE]


@pytest.mark.parametrize("step", ["BeginRefund", "PayBack", "GiveBackClaims"])
@pytest.mark.parametrize("token", ["tok_pay_late"])
def test_what_was_paid_back_is_written_down_though_the_step_died(till: Till, step: str, token: str) -> None:
    till.check_out(token=token)
    till.cancel()
    till.machines.kill(step)
    till.pay()
    assert [(refund.status, refund.amount_minor) for refund in till.refunds()] == [("completed", PRICE)]
    till.all_agrees()


@pytest.mark.parametrize("charge", ["01", "9999", f"s{'0' * 16}"])
def test_the_names_of_further_refunds_are_such_as_runs_may_have(charge: str) -> None:
    key = Key(f"t#U#{'a' * 16}", f"C#{'0' * 32}#{charge}")
    found = [refunds._stray_key(key, place) for place in range(99)]
    assert len(set(found)) == 99
    assert all(len(execution_name(name, f"r{'0' * 10}")) <= MAX_NAME for name in found)
