"""What follows from a payment that a provider tells of: every state of order, charge and payment."""

from itertools import product

import pytest

from holdfast.checkout.charges import agrees
from holdfast.checkout.payments.port import Payment, PaymentState
from holdfast.checkout.states import (
    CHARGE_FOLLOWERS,
    ORDER_FOLLOWERS,
    UNDER_WAY,
    ChargeState,
    OrderState,
)
from holdfast.checkout.webhook_decisions import (
    ABOUT_CLOSED_ORDERS,
    PAYING_BACK,
    Transition,
    decide,
    has_money,
    stray_name,
)
from holdfast.platform.order_items import ChargeItem, OrderItem

COLUMNS = ("none", *(state.value for state in ChargeState))
"""The states of the charge, in the order of the tables' columns; none where the attempt has no such charge."""

WITH_MONEY = """
                    none   created  authorised  completed  failed    voided    refunded
pending             stray  paid     -           -          not_yet   not_yet   -
awaiting_payment    stray  paid     -           -          not_yet   not_yet   -
completed           stray  -        -           -          -         -         -
payment_failed      stray  late     late        late       late      late      -
expired             stray  late     late        late       late      late      -
cancelled           stray  returned -           -          returned  returned  -
failed              stray  returned -           -          returned  returned  -
partially_refunded  stray  -        -           -          -         -         -
refunded            stray  returned -           -          returned  returned  -
"""
"""Of the payment asked for there is money, as much as was asked for, and the workflow has not been told anything."""

WITH_MONEY_AND_TOLD = """
                    none   created  authorised  completed  failed    voided    refunded
pending             stray  not_yet  -           -          not_yet   not_yet   -
awaiting_payment    stray  not_yet  -           -          not_yet   not_yet   -
completed           stray  -        -           -          -         -         -
payment_failed      stray  late     late        late       late      late      -
expired             stray  late     late        late       late      late      -
cancelled           stray  returned -           -          returned  returned  -
failed              stray  returned -           -          returned  returned  -
partially_refunded  stray  -        -           -          -         -         -
refunded            stray  returned -           -          returned  returned  -
"""
"""The same, once the workflow was told something, that time is over, say, or is undoing what it did."""

WITH_OTHER_MONEY = """
                    none   created          authorised  completed  failed    voided    refunded
pending             stray  amount_mismatch  -           -          not_yet   not_yet   -
awaiting_payment    stray  amount_mismatch  -           -          not_yet   not_yet   -
completed           stray  -                -           -          -         -         -
payment_failed      stray  returned         returned    returned   returned  returned  -
expired             stray  returned         returned    returned   returned  returned  -
cancelled           stray  returned         -           -          returned  returned  -
failed              stray  returned         -           -          returned  returned  -
partially_refunded  stray  -                -           -          -         -         -
refunded            stray  returned         -           -          returned  returned  -
"""
"""There is money of the payment asked for, but another amount, or in another currency."""

NEVER_MADE = """
                    none   created  authorised  completed  failed    voided    refunded
pending             -      failed   -           -          -         -         -
awaiting_payment    -      failed   -           -          -         -         -
completed           -      -        -           -          -         -         -
payment_failed      -      -        -           -          -         -         -
expired             -      -        -           -          -         -         -
cancelled           -      -        -           -          -         -         -
failed              -      -        -           -          -         -         -
partially_refunded  -      -        -           -          -         -         -
refunded            -      -        -           -          -         -         -
"""
"""The payment was declined, or voided."""


def order(status: str, *, told: bool = False, mode: str = "buy", undoing: bool | None = None) -> OrderItem:
    """Return an order in its second attempt."""
    outcome = '{"outcome": "deadline"}' if told else None
    return OrderItem("t#U#u", "O#1", status=status, attempt=2, mode=mode, outcome=outcome, undoing=undoing)


def charge(status: str, payment_id: str | None = "pay_1") -> ChargeItem | None:
    """Return a charge of 12.00 USD; None where its state is none."""
    if status == "none":
        return None
    return ChargeItem("t#U#u", "C#1#02", status=status, payment_id=payment_id, amount_minor=1200, currency="USD")


def paid(state: str = "authorised", *, amount: int = 1200, currency: str = "USD", payment_id: str = "pay_1") -> Payment:
    """Return a payment in one of its states, with what belongs to that."""
    captured = amount if state == "captured" else 0
    return Payment(payment_id, PaymentState(state), amount, currency, captured)


def cells(table: str) -> list[tuple[str, str, Transition]]:
    """Return a table as triples: order state, charge state, what is expected."""
    head, *rows = (line.split() for line in table.strip().splitlines())
    assert tuple(head) == COLUMNS
    assert [row[0] for row in rows] == [state.value for state in OrderState]
    return [
        (row[0], column, Transition.KEEP if cell == "-" else Transition(cell))
        for row in rows
        for column, cell in zip(head, row[1:], strict=True)
    ]


def or_taken(status: str, charged: str, state: str, expected: Transition) -> Transition:
    """Return what is expected; money that was set aside, and is taken since it was to be let go, is paid back."""
    is_news = status in ("cancelled", "failed", "refunded") and (charged, state) == ("authorised", "captured")
    return Transition.RETURN if is_news else expected


@pytest.mark.parametrize(("status", "charged", "expected"), cells(WITH_MONEY))
@pytest.mark.parametrize("state", ["authorised", "captured"])
def test_money_that_was_asked_for(status: str, charged: str, expected: Transition, state: str) -> None:
    assert decide(order(status), charge(charged), paid(state), 2) == or_taken(status, charged, state, expected)


@pytest.mark.parametrize(("status", "charged", "expected"), cells(WITH_MONEY_AND_TOLD))
@pytest.mark.parametrize("state", ["authorised", "captured"])
def test_money_after_the_workflow_was_told(status: str, charged: str, expected: Transition, state: str) -> None:
    expected = or_taken(status, charged, state, expected)
    assert decide(order(status, told=True), charge(charged), paid(state), 2) == expected
    assert decide(order(status, undoing=True), charge(charged), paid(state), 2) == expected


@pytest.mark.parametrize(("status", "charged", "expected"), cells(WITH_MONEY))
@pytest.mark.parametrize("state", ["authorised", "captured"])
def test_late_money_is_tried_to_buy_with_once(status: str, charged: str, expected: Transition, state: str) -> None:
    """One that comes back, after what it was for could not be had again, is paid back for good."""
    again = Transition.RETURN if expected == Transition.LATE else or_taken(status, charged, state, expected)
    assert decide(order(status, mode="late"), charge(charged), paid(state), 2) == again


@pytest.mark.parametrize(("status", "charged", "expected"), cells(WITH_OTHER_MONEY))
@pytest.mark.parametrize("state", ["authorised", "captured"])
@pytest.mark.parametrize(("amount", "currency"), [(1199, "USD"), (1201, "USD"), (1200, "EUR")])
def test_another_amount_or_currency(
    status: str, charged: str, expected: Transition, state: str, amount: int, currency: str
) -> None:
    payment = paid(state, amount=amount, currency=currency)
    assert decide(order(status), charge(charged), payment, 2) == or_taken(status, charged, state, expected)


@pytest.mark.parametrize(("status", "charged", "expected"), cells(NEVER_MADE))
@pytest.mark.parametrize("state", ["declined", "voided"])
def test_a_payment_that_is_not_made(status: str, charged: str, expected: Transition, state: str) -> None:
    assert decide(order(status), charge(charged), paid(state), 2) == expected
    assert decide(order(status, told=True), charge(charged), paid(state), 2) == Transition.KEEP
    assert decide(order(status, undoing=True), charge(charged), paid(state), 2) == Transition.KEEP


@pytest.mark.parametrize("status", ["payment_failed", "expired"])
@pytest.mark.parametrize("mode", ["buy", "late"])
def test_what_could_not_be_paid_back_is_no_late_money(status: str, mode: str) -> None:
    """It is a fee of its order: whoever looks at it decides, and no event of old."""
    known = order(status, mode=mode)
    known.fee_minor = 1200
    assert decide(known, charge("completed"), paid("captured"), 2) == Transition.KEEP


@pytest.mark.parametrize("status", list(OrderState))
@pytest.mark.parametrize("charged", COLUMNS)
@pytest.mark.parametrize("told", [False, True])
def test_a_payment_that_is_being_made_changes_nothing(status: str, charged: str, told: bool) -> None:
    assert decide(order(status, told=told), charge(charged), paid("pending"), 2) == Transition.KEEP


@pytest.mark.parametrize("status", list(OrderState))
@pytest.mark.parametrize("charged", COLUMNS)
@pytest.mark.parametrize("state", list(PaymentState))
def test_another_payment_than_the_charge_has_nobody_asked_for(status: str, charged: str, state: str) -> None:
    expected = Transition.STRAY if state in ("authorised", "captured") else Transition.KEEP
    assert decide(order(status), charge(charged), paid(state, payment_id="pay_2"), 2) == expected


@pytest.mark.parametrize("status", list(OrderState))
@pytest.mark.parametrize("charged", list(ChargeState))
@pytest.mark.parametrize("state", list(PaymentState))
def test_money_of_an_earlier_attempt_buys_nothing_any_more(status: str, charged: str, state: str) -> None:
    money = state in ("authorised", "captured") and charged != "refunded"
    expected = Transition.RETURN if money else Transition.KEEP
    assert decide(order(status), charge(charged), paid(state), 1) == expected


@pytest.mark.parametrize("status", list(OrderState))
@pytest.mark.parametrize("state", list(PaymentState))
def test_an_attempt_that_never_was_has_no_charge(status: str, state: str) -> None:
    expected = Transition.STRAY if state in ("authorised", "captured") else Transition.KEEP
    assert decide(order(status), None, paid(state), 3) == expected


@pytest.mark.parametrize("status", list(OrderState))
@pytest.mark.parametrize("charged", list(ChargeState))
@pytest.mark.parametrize("state", list(PaymentState))
@pytest.mark.parametrize("attempt", [1, 2])
def test_a_charge_whose_create_call_has_not_returned_takes_the_payment_for_its_own(
    status: str, charged: str, state: str, attempt: int
) -> None:
    """PROTOCOL.md 22: the webhook may come before its create call returned."""
    known = decide(order(status), charge(charged), paid(state), attempt)
    assert decide(order(status), charge(charged, payment_id=None), paid(state), attempt) == known


@pytest.mark.parametrize(
    ("payment", "expected"),
    [
        (Payment("pay_1", PaymentState.CAPTURED, 1200, "USD", 1200, 1200), Transition.KEEP),
        (Payment("pay_1", PaymentState.CAPTURED, 1200, "USD", 1200, 200), Transition.MISMATCHED),
        (Payment("pay_1", PaymentState.CAPTURED, 1200, "USD", 1100), Transition.MISMATCHED),
    ],
)
def test_what_was_paid_back_of_a_payment_is_no_money(payment: Payment, expected: Transition) -> None:
    assert decide(order("pending"), charge("created"), payment, 2) == expected


def every_case() -> list[tuple[OrderItem, ChargeItem | None, Payment, int]]:
    """Return all combinations of states, attempts, amounts and payment ids."""
    return [
        (order(status, told=told, mode=mode), charge(charged), paid(state, amount=amount, payment_id=name), attempt)
        for status, told, mode, charged, state, amount, name, attempt in product(
            OrderState, (False, True), ("buy", "late"), COLUMNS, PaymentState, (1200, 1), ("pay_1", "pay_2"), (1, 2, 3)
        )
    ]


def test_whatever_comes_money_is_only_moved_where_there_is_some() -> None:
    """Without money nothing is bought, told as paid, or paid back."""
    with_money = {Transition.PAID, Transition.MISMATCHED, Transition.NOT_YET} | ABOUT_CLOSED_ORDERS
    for known, charged, payment, attempt in every_case():
        decided = decide(known, charged, payment, attempt)
        assert has_money(payment) or decided not in with_money
        assert decided not in (Transition.PAID, Transition.LATE) or (charged is not None and agrees(charged, payment))


def test_whatever_comes_an_order_and_a_charge_only_go_where_their_tables_lead() -> None:
    """Late money makes an order pending again, and a charge is revived only from where it may be."""
    reviving = {Transition.PAID, Transition.MISMATCHED, Transition.LATE, Transition.RETURN}
    for known, charged, payment, attempt in every_case():
        decided = decide(known, charged, payment, attempt)
        if decided == Transition.LATE:
            assert OrderState.PENDING in ORDER_FOLLOWERS[OrderState(known.status)]
        if decided in reviving and charged is not None:
            following = ChargeState.COMPLETED if payment.state == PaymentState.CAPTURED else ChargeState.AUTHORISED
            settled = charged.status in ("authorised", "completed")
            assert settled or following in CHARGE_FOLLOWERS[ChargeState(charged.status)]
        if decided in (Transition.PAID, Transition.MISMATCHED, Transition.FAILED):
            assert known.status in UNDER_WAY
            assert known.attempt == attempt
            assert known.outcome is None


def test_no_money_stays_in_an_order_that_is_closed_as_not_paid() -> None:
    """PROTOCOL.md 23 for what no workflow is at: it buys what it was for, or it is paid back."""
    for known, charged, payment, attempt in every_case():
        back = charged is not None and charged.status == "refunded" and charged.payment_id == payment.id
        if known.status in ("payment_failed", "expired") and has_money(payment) and not back:
            assert decide(known, charged, payment, attempt) in PAYING_BACK | {Transition.LATE}


def test_a_stray_charge_is_named_by_its_payment() -> None:
    assert stray_name("pay_1") == stray_name("pay_1") == "s" + stray_name("pay_1")[1:]
    assert stray_name("pay_1") != stray_name("pay_2")
    assert len(stray_name("pay_1")) == 17
