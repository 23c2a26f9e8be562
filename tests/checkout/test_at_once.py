"""Several at one order at once, from threads: checkouts of one reservation, and everything that can end a payment."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from holdfast.checkout import opening
from holdfast.checkout.opening import PaymentChoice
from holdfast.checkout.refunds import Wanted
from holdfast.platform.errors import Busy, CheckoutUnderWay, NotRefundable, ReservationOver
from holdfast.platform.order_items import OrderItem
from tests.checkout.scenarios import BOUGHT
from tests.checkout.till import PRICE, Till

TWINS = 8


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """Do everything in a thread of its own, all beginning together; return what came, refusals included."""
    ready = Barrier(len(acts))

    def do(act: Callable[[], object]) -> object:
        ready.wait()
        for _ in range(50):
            try:
                return act()
            except (ReservationOver, CheckoutUnderWay, NotRefundable) as refusal:
                return refusal
            except Busy:
                continue
        raise AssertionError("busy for ever")

    with ThreadPoolExecutor(len(acts)) as threads:
        return [done.result() for done in [threads.submit(do, act) for act in acts]]


def _checkout(till: Till, token: str) -> Callable[[], OrderItem]:
    """Return what the route does: read the reservation, open the order, start its workflow."""
    key = till.hold().key

    def check_out() -> OrderItem:
        order = opening.open_order(till.engine, till.shop.stored(key), PaymentChoice("sandbox", token))
        opening.start(till.machines.checkout, order)
        return order

    return check_out


@pytest.mark.parametrize("token", ["tok_success", "tok_confirm"])
def test_two_checkouts_of_one_reservation_make_one_order_one_charge_and_one_payment(till: Till, token: str) -> None:
    check_out = _checkout(till, token)
    orders = at_once([check_out] * TWINS)
    keys = {order.key for order in orders if isinstance(order, OrderItem)}
    (till.key,) = keys
    till.pay()
    assert till.ending() == BOUGHT
    assert len(till.machines.runs) == 1
    assert (till.machines.calls["BeginCheckout"], till.machines.calls["CapturePayment"]) == (1, 1)


def test_two_checkouts_by_different_cards_make_one_order_and_charge_one_of_them(till: Till) -> None:
    record = till.hold()

    def check_out(token: str) -> OrderItem:
        order = opening.open_order(till.engine, till.shop.stored(record.key), PaymentChoice("sandbox", token))
        opening.start(till.machines.checkout, order)
        return order

    answers = at_once([lambda: check_out("tok_success"), lambda: check_out("tok_confirm")] * (TWINS // 2))
    opened = [answer for answer in answers if isinstance(answer, OrderItem)]
    assert {order.payment_hash for order in opened} == {opened[0].payment_hash}
    till.key = opened[0].key
    till.pay()
    assert till.ending() == BOUGHT


@pytest.mark.parametrize("seed", range(12))
def test_whatever_ends_a_payment_first_ends_it(till: Till, seed: int) -> None:
    """The buyer pays, or is declined, cancels, and the deadline passes, all at once and some of it twice."""
    chance = random.Random(seed)
    till.check_out(token=chance.choice(["tok_confirm", "tok_pay_late", "tok_pay_twice", "tok_wrong_amount"]))
    (book,) = till.books()
    overdue = till.overdue()
    acts = [till.pay, till.cancel, overdue, till.pay, lambda: till.pay("decline"), overdue]
    at_once(chance.sample(acts, chance.randint(3, 6)))
    for _ in range(3):
        till.tell_again()
    till.sweep()
    till.all_agrees()
    assert till.machines.letters == []
    assert len(till.books()) <= 2
    assert till.books()[0].id == book.id


@pytest.mark.parametrize(("wanted", "most"), [(None, PRICE), ([Wanted(0, 1)], 2_000), ([Wanted(2)], 500)])
def test_refunds_at_once_pay_back_what_there_is_and_no_more(
    till: Till, wanted: Sequence[Wanted] | None, most: int
) -> None:
    till.check_out()
    at_once([lambda: till.refund(wanted)] * TWINS)
    till.all_agrees()
    order = till.order
    assert 0 < order.refunded_minor <= most
    assert len([refund for refund in till.refunds() if refund.status == "completed"]) <= 2
