"""Refunds: money first, then the goods; asked for once however often, and undone whole where the provider refuses."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.checkout import orders, refund_steps, refunds
from holdfast.checkout.payments.port import PaymentState
from holdfast.checkout.refund_steps import CLAIMS_STEPS, PAYMENT_STEPS
from holdfast.checkout.refunds import Wanted
from holdfast.platform.dynamodb import Cancelled, Put, Store, Update
from holdfast.platform.errors import Busy, IdempotencyKeyReused, NotRefundable, ProviderUnavailable
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import ChargeItem, OrderItem, RefundItem
from holdfast.platform.tables import Key, charge_of, execution_name, key_of
from holdfast.platform.workflows import RunState
from tests.checkout.refund_desk import RefundDesk
from tests.engine.faults import Calls, crash_after, crash_before, meanwhile, silence_after
from tests.engine.shop import HOUR, START, hall, resale, seat, units

FROM, TO = START + 100 * HOUR, START + 104 * HOUR


@pytest.fixture
def desk(store: Store) -> RefundDesk:
    """A desk with nothing on sale yet."""
    return RefundDesk(store)


def mixed_cart(desk: RefundDesk) -> OrderItem:
    """Return an order of three units (3 000), a seat (500), a listing (2 500) and a hall (9 000)."""
    product = desk.shop.product()
    desk.shop.seats({"1": 3})
    return desk.bought(units(product, 3), seat("1", 2), resale(desk.shop.listing()), hall(FROM, TO))


def seen(order: OrderItem) -> tuple[object, ...]:
    """Return an order's state, and its money: captured, refunded, kept as a fee, left to be paid back."""
    return order.status, order.captured_minor, order.refunded_minor, order.fee_minor, order.refundable_minor


def test_a_whole_order_is_paid_back_and_all_of_it_is_on_sale_again(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    refund = desk.ask(order)
    assert (refund.status, refund.amount_minor, refund.fee_minor) == ("completed", 15_000, 0)
    assert refund.due is None
    assert seen(desk.order(order)) == ("refunded", 15_000, 15_000, 0, 0)
    assert list(desk.order(order).returned) == [3, 1, 1, 1]
    assert desk.record(order).status == "refunded"
    assert (desk.charge(order).status, desk.charge(order).refunded_minor) == ("refunded", 15_000)
    assert desk.shop.count("1") == (10, 0, 0)
    assert desk.shop.unit(desk.shop.seat_key("1", 2)).holder is None
    desk.audit()
    lines = order.lines
    again = desk.bought(units("1", 10), seat("1", 2), resale(str(lines[2].ticket_id)), hall(FROM, TO), user="bob")
    assert again.status == "completed"
    desk.audit()


def test_lines_are_paid_back_one_by_one_and_the_rest_stays_bought(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    desk.ask(order, Wanted(0, 2), key="first")
    assert seen(desk.order(order)) == ("partially_refunded", 15_000, 2_000, 0, 13_000)
    assert desk.shop.count("1") == (9, 0, 1)
    assert [line.quantity for line in desk.record(order).lines] == [1, 1, 1, 1]
    desk.audit()
    desk.ask(order, Wanted(1), Wanted(3), key="second")
    assert seen(desk.order(order)) == ("partially_refunded", 15_000, 11_500, 0, 3_500)
    assert desk.charge(order).status == "completed"
    desk.audit()
    desk.ask(order, key="rest")
    assert seen(desk.order(order)) == ("refunded", 15_000, 15_000, 0, 0)
    assert [refund.amount_minor for refund in desk.refunds_of(order)].count(3_500) == 1
    desk.audit()


def test_what_is_kept_for_short_notice_is_a_fee(desk: RefundDesk) -> None:
    order = mixed_cart(desk)

    def half_of_halls(line: LineMap) -> int:
        return 50 if line.kind == "venue" else 100

    refund = desk.ask(order, percent_of=half_of_halls)
    assert (refund.amount_minor, refund.fee_minor) == (10_500, 4_500)
    assert seen(desk.order(order)) == ("refunded", 15_000, 10_500, 4_500, 0)
    assert desk.charge(order).status == "completed"
    desk.audit()


def test_each_line_is_rounded_by_itself_half_a_unit_up(desk: RefundDesk) -> None:
    one, other = desk.shop.product(price_minor=333), desk.shop.product(price_minor=1)
    order = desk.bought(units(one, 3), units(other, 1))
    refund = desk.ask(order, percent_of=lambda _: 50)
    assert (refund.amount_minor, refund.fee_minor) == (500 + 1, 499)
    desk.audit()


def test_what_pays_nothing_back_is_cancelled_and_on_sale_again(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    refund = desk.ask(order, percent_of=lambda _: 0)
    assert refund.status == "completed"
    assert refund.charge is None
    assert seen(desk.order(order)) == ("cancelled", 15_000, 0, 15_000, 0)
    assert desk.record(order).status == "cancelled"
    assert "PayBack" not in desk.machines.run(execution_name(refund.key), "refund").path
    desk.audit()


def test_a_free_order_is_cancelled_and_its_goods_go_back(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(price_minor=0), 2))
    desk.ask(order, Wanted(0, 1), key="one")
    assert desk.order(order).status == "partially_refunded"
    desk.ask(order, key="rest")
    assert seen(desk.order(order)) == ("cancelled", 0, 0, 0, 0)
    assert desk.shop.count("1") == (10, 0, 0)
    desk.audit()


def test_what_was_paid_elsewhere_is_recorded_as_paid_back_elsewhere(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 2), provider="external")
    refund = desk.ask(order, Wanted(0, 1))
    assert refund.status == "completed"
    assert str(refund.refund_id).startswith("external-")
    assert seen(desk.order(order)) == ("partially_refunded", 2_000, 1_000, 0, 1_000)
    assert (desk.charge(order).provider, desk.charge(order).refunded_minor) == ("external", 1_000)
    desk.audit()


def test_a_refund_that_the_provider_refuses_restores_everything(desk: RefundDesk) -> None:
    product = desk.shop.product()
    order = desk.bought(units(product, 3), paid_with="tok_refund_fails")
    refund = desk.ask(order, Wanted(0, 2))
    assert (refund.status, refund.reason) == ("failed", "refund_refused")
    assert refund.due is None
    assert seen(desk.order(order)) == ("completed", 3_000, 0, 0, 3_000)
    assert list(desk.order(order).returned) == [0]
    assert desk.shop.count(product) == (7, 0, 3)
    assert desk.machines.letters == []
    desk.audit()
    assert desk.ask(order, Wanted(0, 2)).status == "failed", "the same request is answered by the same refund"
    assert len(desk.refunds_of(order)) == 1
    assert desk.ask(order, Wanted(0, 2), key="again").key != refund.key


@pytest.mark.parametrize("state", ["BeginRefund", "PayBack", "GiveBackClaims"])
def test_a_step_killed_before_it_answered_changes_nothing(desk: RefundDesk, state: str) -> None:
    order = mixed_cart(desk)
    desk.machines.kill(state)
    desk.ask(order, Wanted(0, 2), Wanted(3))
    assert desk.machines.calls[state] == 2
    assert seen(desk.order(order)) == ("partially_refunded", 15_000, 11_000, 0, 4_000)
    assert desk.shop.count("1") == (9, 0, 1)
    assert [len(book.refunds) for book in desk.books()] == [1]
    desk.audit()


def test_restoring_killed_before_it_answered_restores_once(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 3), paid_with="tok_refund_fails")
    desk.machines.kill("RestoreRefundable")
    desk.ask(order, Wanted(0, 2))
    assert desk.machines.calls["RestoreRefundable"] == 2
    assert seen(desk.order(order)) == ("completed", 3_000, 0, 0, 3_000)
    desk.audit()


@pytest.mark.parametrize("trouble", [crash_before, crash_after, silence_after])
@pytest.mark.parametrize("token", ["tok_success", "tok_refund_fails"])
def test_a_function_killed_at_any_call_comes_to_the_same_end(store: Store, trouble: object, token: str) -> None:
    """Every call to DynamoDB that the run of a refund makes is the last of its function, one after another."""
    calls = Calls(store)
    for place in count():
        desk = RefundDesk(store)
        product = desk.shop.product()
        order = desk.bought(units(product, 3), paid_with=token, user=f"user-{place}")
        desk.machines.holding_back = True
        asked = desk.ask(order, Wanted(0, 2))
        calls.clear()
        calls.trouble(trouble, skip=place)  # type: ignore[arg-type]
        desk.machines.go()
        if len(calls.made) <= place:
            break
        refund = desk.refund(asked.key)
        assert desk.machines.letters == []
        if token == "tok_success":
            assert refund.status == "completed"
            assert seen(desk.order(order)) == ("partially_refunded", 3_000, 2_000, 0, 1_000)
            assert desk.shop.count(product) == (9, 0, 1)
        else:
            assert refund.status == "failed"
            assert seen(desk.order(order)) == ("completed", 3_000, 0, 0, 3_000)
            assert desk.shop.count(product) == (7, 0, 3)
    assert place > 10
    calls.stop()
    desk.audit()


def test_a_request_whose_function_died_is_finished_by_its_repeat(desk: RefundDesk, store: Store) -> None:
    order = mixed_cart(desk)
    calls = Calls(store)
    calls.trouble(crash_after, "TransactWriteItems")
    with pytest.raises(Exception, match=r"^$"):
        desk.ask(order, Wanted(0, 1))
    (asked,) = desk.refunds_of(order)
    assert asked.status == "pending"
    assert asked.due is not None
    assert desk.machines.refund.state(execution_name(asked.key)) is None
    assert desk.ask(order, Wanted(0, 1)).status == "completed"
    assert len(desk.refunds_of(order)) == 1
    assert desk.machines.refund.state(execution_name(asked.key)) is RunState.OVER
    desk.audit()


def test_repeating_a_request_starts_nothing_twice(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    first = desk.ask(order, Wanted(0, 1))
    assert desk.ask(order, Wanted(0, 1)).key == first.key
    assert desk.ask(desk.order(order), Wanted(0, 1)).key == first.key
    assert desk.machines.calls["PayBack"] == 1
    with pytest.raises(IdempotencyKeyReused):
        desk.ask(order, Wanted(0, 2))
    assert len(desk.refunds_of(order)) == 1


def test_without_a_key_one_reading_of_an_order_makes_one_refund(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    assert desk.ask(order, key=None).key == desk.ask(order, key=None).key
    with pytest.raises(NotRefundable):
        desk.ask(desk.order(order), key=None)
    assert len(desk.refunds_of(order)) == 1


@pytest.mark.parametrize("same", [True, False])
def test_twins_at_once_pay_back_no_more_than_there_is(desk: RefundDesk, same: bool) -> None:
    """Eight ask for two units of three at the same time, under one key or each under its own."""
    order = desk.bought(units(desk.shop.product(), 3))
    shops = [desk.shop.another() for _ in range(8)]

    def ask(number: int) -> Key | None:
        patient = replace(shops[number].engine, retries=replace(shops[number].engine.retries, attempts=40))
        try:
            return desk.ask(order, Wanted(0, 2), key="key" if same else f"key-{number}", engine=patient).key
        except NotRefundable:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(ask, range(8)))
    assert len(set(filter(None, made))) == 1
    assert (None in made) != same
    assert seen(desk.order(order)) == ("partially_refunded", 3_000, 2_000, 0, 1_000)
    assert [len(book.refunds) for book in desk.books()] == [1]
    desk.audit()


def test_a_refund_in_between_is_met_by_the_version(desk: RefundDesk, store: Store) -> None:
    order = desk.bought(units(desk.shop.product(), 3))
    calls = Calls(store)
    calls.trouble(meanwhile(lambda: desk.ask(order, Wanted(0, 2), key="other")), "TransactWriteItems")
    with pytest.raises(NotRefundable):
        desk.ask(order, Wanted(0, 2))
    assert desk.order(order).refundable_minor == 1_000
    desk.audit()


def test_two_refunds_under_way_close_the_order_in_the_end_only(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    desk.machines.holding_back = True
    one, other = desk.ask(order, Wanted(0), key="one"), desk.ask(order, key="other")
    assert {one.status, other.status} == {"pending"}
    run = (desk.claims, order.key, one.key)
    assert CLAIMS_STEPS["begin_refund"](*run) == "begun"
    assert PAYMENT_STEPS["pay_back"](desk.payments, order.key, one.key) == "paid"
    assert CLAIMS_STEPS["begin_refund"](*run) == "paid"
    assert CLAIMS_STEPS["give_back"](*run) == "given_back"
    assert CLAIMS_STEPS["begin_refund"](*run) == "over"
    assert desk.order(order).status == "partially_refunded"
    desk.machines.go()
    assert desk.order(order).status == "refunded"
    desk.audit()


def test_a_step_that_its_twin_overtakes_between_two_reads_finds_it_paid(
    desk: RefundDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refund is read before the twin books it, the charge after: it is not to be paid from what is left."""
    order = desk.bought(units(desk.shop.product(), 3))
    desk.machines.holding_back = True
    refund = desk.ask(order)
    assert CLAIMS_STEPS["begin_refund"](desk.claims, order.key, refund.key) == "begun"
    read, twins = refund_steps._charge, iter(["paid"])

    def overtaken(*asked: Any) -> ChargeItem:
        for paid in twins:
            assert PAYMENT_STEPS["pay_back"](desk.payments, order.key, refund.key) == paid
        return read(*asked)

    monkeypatch.setattr(refund_steps, "_charge", overtaken)
    assert PAYMENT_STEPS["pay_back"](desk.payments, order.key, refund.key) == "paid"
    assert desk.charge(order).refunded_minor == order.total_minor
    assert CLAIMS_STEPS["give_back"](desk.claims, order.key, refund.key) == "given_back"
    desk.audit()


def test_steps_in_the_wrong_order_change_nothing(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 3), paid_with="tok_refund_fails")
    desk.machines.holding_back = True
    refund = desk.ask(order)
    with pytest.raises(Busy):
        CLAIMS_STEPS["give_back"](desk.claims, order.key, refund.key)
    assert desk.shop.count("1") == (7, 0, 3)
    desk.machines.go()
    failed = desk.refund(refund.key)
    for step in CLAIMS_STEPS:
        if step != "give_back":
            CLAIMS_STEPS[step](desk.claims, order.key, refund.key)
    assert PAYMENT_STEPS["pay_back"](desk.payments, order.key, refund.key) == "failed"
    assert desk.refund(refund.key).version == failed.version
    paid = desk.ask(desk.bought(units("1", 1), user="bob"))
    assert CLAIMS_STEPS["restore_refundable"](desk.claims, refunds_order(paid), paid.key) == "restored"
    assert desk.refund(paid.key).status == "completed"
    desk.audit()


def refunds_order(refund: RefundItem) -> Key:
    """Return the key of a refund's order."""
    return Key(refund.pk, f"O#{refund.sk.split('#')[1]}")


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ([Wanted(0, 4)], ["items.0"]),
        ([Wanted(0, 2), Wanted(0, 2)], ["items.1"]),
        ([Wanted(0, 1), Wanted(4, 1), Wanted(1, 2)], ["items.1", "items.2"]),
        ([Wanted(0), Wanted(0)], ["items.1"]),
    ],
)
def test_more_than_is_left_is_refused_line_by_line(
    desk: RefundDesk, wanted: Sequence[Wanted], fields: Sequence[str]
) -> None:
    order = mixed_cart(desk)
    with pytest.raises(NotRefundable) as refusal:
        desk.ask(order, *wanted)
    assert [fault.field for fault in refusal.value.faults] == list(fields)
    assert desk.order(order).version == order.version


def test_nothing_is_paid_back_of_what_is_not_bought(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    desk.ask(order)
    with pytest.raises(NotRefundable):
        desk.ask(order, key="again")


def test_a_ticket_that_was_let_in_stays_sold(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 3))
    for name in ("0-0", "0-1"):
        desk.shop.store.write(Update(order.key, [OrderItem.admitted[name].set(1)]))  # type: ignore[attr-defined]
    with pytest.raises(NotRefundable) as refusal:
        desk.ask(order, Wanted(0, 2))
    assert [fault.code for fault in refusal.value.faults] == ["already_admitted"]
    assert desk.ask(order, Wanted(0, 1)).status == "completed"
    with pytest.raises(NotRefundable):
        desk.ask(order, key="rest")


def test_goods_that_cannot_go_back_leave_the_refund_to_people(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    desk.machines.fail("GiveBackClaims")
    refund = desk.ask(order)
    assert refund.status == "paid"
    assert [letter["machine"] for letter in desk.machines.letters] == ["refund"]
    desk.machines.mend("GiveBackClaims")
    run = desk.machines.letters[0]["run"]
    desk.machines.refund.start(execution_name(refund.key, "redriven"), {**run, "outcomes": {}})
    assert desk.refund(refund.key).status == "completed"
    desk.audit()


# Rule 23.


def test_rule_23_a_refund_takes_refundable_down_before_any_money_moves(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    desk.machines.holding_back = True
    desk.ask(order, Wanted(0, 2))
    assert seen(desk.order(order)) == ("completed", 15_000, 0, 0, 13_000)
    assert list(desk.order(order).returned) == [2, 0, 0, 0]
    assert [book.refunds for book in desk.books()] == [{}]
    with pytest.raises(NotRefundable):
        desk.ask(order, Wanted(0, 2), key="other")


def test_rule_23_stock_goes_back_only_once_the_money_has_moved(desk: RefundDesk) -> None:
    order = mixed_cart(desk)
    counted: list[tuple[int, int, int]] = []
    desk.machines.beside("PayBack", before=lambda: counted.append(desk.shop.count("1")))
    desk.machines.beside("PayBack", after=lambda: counted.append(desk.shop.count("1")))
    desk.ask(order)
    assert counted == [(7, 0, 3), (7, 0, 3)]
    assert desk.shop.count("1") == (10, 0, 0)


def test_rule_23_a_refund_of_unknown_outcome_undoes_nothing(desk: RefundDesk) -> None:
    """The money may have moved: nothing is restored, nothing given back, and a person looks."""
    order = mixed_cart(desk)
    desk.machines.fail("PayBack", after_effect=True)
    refund = desk.ask(order)
    assert "RestoreRefundable" not in desk.machines.came_through()
    assert len(desk.machines.letters) == 1
    assert desk.order(order).refundable_minor == 0
    assert desk.shop.count("1") == (7, 0, 3)
    desk.machines.mend("PayBack")
    desk.machines.refund.start(execution_name(refund.key, "redriven"), desk.machines.letters[0]["run"])
    assert desk.refund(refund.key).status == "completed"
    assert [len(book.refunds) for book in desk.books()] == [1]
    desk.audit()


def test_rule_23_a_provider_that_does_not_answer_is_no_refusal(
    desk: RefundDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = mixed_cart(desk)

    def silent(*_: object) -> None:
        raise ProviderUnavailable

    monkeypatch.setattr("holdfast.checkout.payments.sandbox.Sandbox.refund", silent)
    refund = desk.ask(order)
    assert refund.status == "pending"
    assert len(desk.machines.letters) == 1
    assert desk.order(order).refundable_minor == 0


_PARTS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(1, 4), st.sampled_from([0, 33, 50, 100]), st.booleans(), st.integers(0, 2)
    ),
    min_size=1,
    max_size=8,
)


@given(parts=_PARTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rule_23_no_sequence_of_refunds_pays_more_than_was_taken(
    desk: RefundDesk, parts: list[tuple[int, int, int, bool, int]]
) -> None:
    """Of three lines, some twice, some killed at a step; after each the order's money and goods agree."""
    run = next(_runs)
    one, other = desk.shop.product(price_minor=333), desk.shop.product(price_minor=7)
    ticket = desk.shop.listing()
    order = desk.bought(units(one, 4), units(other, 3), resale(ticket), user=f"user-{run}")
    for number, (line, quantity, percent, twice, killed) in enumerate(parts):
        if killed:
            state = ("PayBack", "GiveBackClaims")[killed - 1]
            desk.machines.kill(state, desk.machines.calls[state] + 1)
        for _ in range(1 + twice):
            before = desk.order(order)
            try:
                desk.ask(order, Wanted(line, quantity), key=f"{run}-{number}", percent_of=lambda _: percent)  # noqa: B023
            except NotRefundable:
                left = refunds.left_of(before)
                assert (
                    line >= len(left)
                    or quantity > left[line]
                    or before.status not in ("completed", "partially_refunded")
                )
        now = desk.order(order)
        assert now.refunded_minor + now.fee_minor + now.refundable_minor == now.captured_minor
        assert now.refunded_minor <= now.captured_minor
        assert all(back <= line.quantity for line, back in zip(now.lines, now.returned, strict=True))
        desk.audit()


_runs = count()


# Payments that bought nothing.


def stray(desk: RefundDesk, order: OrderItem, status: str = "completed") -> ChargeItem:
    """Let a second payment for an order come, and return its charge; the sandbox made it as it does for twice paid."""
    first = desk.charge(order)
    book = next(book for book in desk.books() if book.id == first.payment_id)
    state = PaymentState.CAPTURED if status == "completed" else PaymentState.AUTHORISED
    captured = book.amount_minor if status == "completed" else 0
    second = replace(book, id=f"{book.id}_2", state=state, captured_minor=captured, refunded_minor=0, refunds={})
    desk.providers.sandbox(desk.shop.tenant)._opened(second)
    now = desk.engine.clock.now()
    return ChargeItem(
        *charge_of(order.key, "s0123456789abcdef"),
        user_id=order.user_id,
        status=status,
        attempt=1,
        provider="sandbox",
        payment_id=second.id,
        amount_minor=second.amount_minor,
        currency=second.currency,
        captured_minor=captured,
        version=1,
        created_at=now,
        updated_at=now,
    )


def asked_stray(desk: RefundDesk, charge: ChargeItem) -> RefundItem:
    """Ask for the refund of a stray payment, its charge beside it, and return the refund as it then is."""
    put = Put(charge, ChargeItem.pk.does_not_exist())
    asked = refunds.request_stray(desk.engine, desk.machines.refund, charge, "paid_twice", [put])
    return desk.refund(asked.key)


def test_a_payment_that_bought_nothing_is_paid_back_once(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 2))
    charge = stray(desk, order)
    refund = asked_stray(desk, charge)
    assert (refund.status, refund.amount_minor, list(refund.lines)) == ("completed", 2_000, [])
    assert refund.due is None
    with pytest.raises(Cancelled):
        asked_stray(desk, charge)
    assert len(desk.refunds_of(order)) == 1
    assert desk.charge(order, "s0123456789abcdef").status == "refunded"
    assert seen(desk.order(order)) == seen(order)
    assert desk.shop.count("1") == (8, 0, 2)
    desk.audit()


@pytest.mark.parametrize("state", ["BeginRefund", "PayBack", "GiveBackClaims"])
def test_a_payment_that_bought_nothing_is_paid_back_once_however_steps_die(desk: RefundDesk, state: str) -> None:
    order = desk.bought(units(desk.shop.product(), 2))
    desk.machines.kill(state)
    assert asked_stray(desk, stray(desk, order)).status == "completed"
    assert sum(book.refunded_minor for book in desk.books()) == 2_000
    desk.audit()


def test_money_that_was_only_set_aside_is_let_go(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 2))
    refund = asked_stray(desk, stray(desk, order, "authorised"))
    assert refund.status == "completed"
    assert refund.refund_id is None
    assert desk.charge(order, "s0123456789abcdef").status == "voided"
    assert [book.state for book in desk.books() if book.id.endswith("_2")] == [PaymentState.VOIDED]
    desk.audit()


def test_a_stray_that_cannot_be_paid_back_is_left_to_people(desk: RefundDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk.bought(units(desk.shop.product(), 2))
    monkeypatch.setattr("holdfast.checkout.payments.sandbox_book.Book._refused", lambda *_: "refund_refused")
    assert asked_stray(desk, stray(desk, order)).status == "pending"
    assert [letter["machine"] for letter in desk.machines.letters] == ["refund"]
    assert "RestoreRefundable" not in desk.machines.came_through()


def test_a_stray_is_asked_for_with_what_is_beside_it_or_not_at_all(desk: RefundDesk) -> None:
    order = desk.bought(units(desk.shop.product(), 2))
    charge = stray(desk, order)
    desk.shop.store.write(Put(charge))
    with pytest.raises(Cancelled):
        asked_stray(desk, charge)
    assert desk.refunds_of(order) == []


def test_a_refund_names_only_what_an_order_has(desk: RefundDesk) -> None:
    """Every item that a refund wrote is known by its key: the order's own, under the user's partition."""
    order = mixed_cart(desk)
    refund = desk.ask(order)
    assert refund.id.startswith("f-")
    assert orders.find(desk.engine, "demo", order.id, "ann").status == "refunded"
    assert key_of(refund.serialize()) == refund.key
