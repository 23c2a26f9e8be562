"""What becomes of checkouts, one story each: what the buyer, the provider and time do, and how it has to end.

A story goes on as far as it can: where a workflow failed on the way, what the buyer would do next may be nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from holdfast.checkout.refunds import Wanted
from holdfast.checkout.states import OrderState
from tests.checkout.till import PRICE, Ending, Till


@dataclass(frozen=True)
class Scenario:
    """A story, how it ends, and the tasks of the workflows that it comes through."""

    tell: Callable[[Till], None]
    ending: Ending
    tasks: tuple[str, ...]


BOUGHT = Ending(
    order="completed",
    reservation="confirmed",
    goods="sold",
    captured=PRICE,
    refunded=0,
    refundable=PRICE,
    charges=[("completed", PRICE, 0)],
    books=[("captured", PRICE, 0)],
)

_AT_ONCE = ("BeginCheckout", "AuthorisePayment", "ConfirmClaims", "CapturePayment", "CompleteOrder")
_WAITING = ("BeginCheckout", "AuthorisePayment", "AwaitPayment", "ConfirmClaims", "CapturePayment", "CompleteOrder")
_REFUND = ("BeginRefund", "PayBack", "GiveBackClaims")


def pays_at_once(till: Till) -> None:
    till.check_out(token="tok_success")


def is_declined_and_takes_another_card(till: Till) -> None:
    till.check_out(token="tok_decline")
    tries_again(till, "tok_success")


def confirms_and_pays(till: Till) -> None:
    till.check_out(token="tok_confirm")
    till.pay()


def is_declined_at_the_page(till: Till) -> None:
    till.check_out(token="tok_confirm")
    till.pay("decline")


def meets_a_provider_that_is_down(till: Till) -> None:
    till.check_out(token="tok_timeout")


def loses_the_provider_s_answer(till: Till) -> None:
    till.check_out(token="tok_lost_answer")


def never_pays(till: Till) -> None:
    till.check_out(token="tok_confirm")
    lets_the_deadline_pass(till)


def pays_but_no_webhook_comes(till: Till) -> None:
    till.check_out(token="tok_never")
    till.pay()
    lets_the_deadline_pass(till)


def pays_late_and_the_goods_are_there(till: Till) -> None:
    till.check_out(token="tok_pay_late")
    lets_the_deadline_pass(till)
    till.pay()


def pays_late_and_somebody_has_a_seat(till: Till) -> None:
    till.check_out(token="tok_pay_late")
    lets_the_deadline_pass(till)
    till.somebody_takes_the_seat()
    till.pay()


def pays_twice(till: Till) -> None:
    till.check_out(token="tok_pay_twice")
    till.pay()


def pays_a_wrong_amount(till: Till) -> None:
    till.check_out(token="tok_wrong_amount")
    till.pay()


def pays_what_cannot_be_captured(till: Till) -> None:
    till.check_out(token="tok_capture_fails")


def gives_everything_back(till: Till) -> None:
    till.check_out()
    till.refund()


def gives_everything_back_for_a_fee(till: Till) -> None:
    till.check_out()
    till.refund(percent_of=lambda _: 40)


def gives_everything_back_for_nothing(till: Till) -> None:
    till.check_out()
    till.refund(percent_of=lambda _: 0)


def is_refused_a_refund(till: Till) -> None:
    till.check_out(token="tok_refund_fails")
    till.refund()


def cancels_while_the_payment_is_awaited(till: Till) -> None:
    till.check_out(token="tok_confirm")
    if till.order.status == OrderState.AWAITING_PAYMENT:
        till.cancel()


def pays_elsewhere(till: Till) -> None:
    till.check_out(token=None, provider="external")


def tries_again(till: Till, token: str) -> None:
    """Take another card, where the order failed and everything is still held."""
    if till.order.status == OrderState.PAYMENT_FAILED:
        till.check_out(till.record, token)


def lets_the_deadline_pass(till: Till) -> None:
    """Let the time to pay be over, where it runs."""
    if till.record.status == "checking_out":
        till.let_deadline_pass()


_NOTHING = Ending("expired", "expired", "free", 0, 0, [("voided", 0, 0)], [("voided", 0, 0)], "not_paid_in_time")
_FAILED = Ending("payment_failed", "held", "held", 0, 0, [], [], None)

SCENARIOS: dict[str, Scenario] = {
    scenario.tell.__name__: scenario
    for scenario in (
        Scenario(pays_at_once, BOUGHT, _AT_ONCE),
        Scenario(
            is_declined_and_takes_another_card,
            replace(
                BOUGHT,
                charges=[("failed", 0, 0), ("completed", PRICE, 0)],
                books=[("declined", 0, 0), ("captured", PRICE, 0)],
            ),
            (*_AT_ONCE, "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(confirms_and_pays, BOUGHT, _WAITING),
        Scenario(
            is_declined_at_the_page,
            replace(_FAILED, charges=[("failed", 0, 0)], books=[("declined", 0, 0)], reason="card_declined"),
            ("BeginCheckout", "AuthorisePayment", "AwaitPayment", "VoidPayment", "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(
            meets_a_provider_that_is_down,
            replace(_FAILED, charges=[("voided", 0, 0)], reason="provider_unavailable"),
            ("BeginCheckout", "AuthorisePayment", "VoidPayment", "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(loses_the_provider_s_answer, BOUGHT, _AT_ONCE),
        Scenario(
            never_pays,
            _NOTHING,
            (
                "BeginCheckout",
                "AuthorisePayment",
                "AwaitPayment",
                "AskProvider",
                "VoidPayment",
                "ReleaseClaims",
                "CloseOrder",
            ),
        ),
        Scenario(pays_but_no_webhook_comes, BOUGHT, (*_WAITING, "AskProvider")),
        Scenario(
            pays_late_and_the_goods_are_there,
            BOUGHT,
            (*_WAITING, "AskProvider", "VoidPayment", "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(
            pays_late_and_somebody_has_a_seat,
            Ending(
                order="expired",
                reservation="expired",
                goods="free",
                captured=PRICE,
                refunded=PRICE,
                charges=[("refunded", PRICE, PRICE)],
                books=[("captured", PRICE, PRICE)],
                reason="paid_too_late",
            ),
            (
                "BeginCheckout",
                "AuthorisePayment",
                "AwaitPayment",
                "AskProvider",
                "ConfirmClaims",
                "VoidPayment",
                "RefundPayment",
                "ReleaseClaims",
                "CloseOrder",
            ),
        ),
        Scenario(
            pays_twice,
            replace(
                BOUGHT,
                charges=[("completed", PRICE, 0), ("refunded", PRICE, PRICE)],
                books=[("captured", PRICE, 0), ("captured", PRICE, PRICE)],
            ),
            (*_WAITING, *_REFUND),
        ),
        Scenario(
            pays_a_wrong_amount,
            replace(_FAILED, charges=[("voided", 0, 0)], books=[("voided", 0, 0)], reason="amount_mismatch"),
            ("BeginCheckout", "AuthorisePayment", "AwaitPayment", "VoidPayment", "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(
            pays_what_cannot_be_captured,
            Ending(
                order="failed",
                reservation="cancelled",
                goods="free",
                captured=0,
                refunded=0,
                charges=[("failed", 0, 0)],
                books=[("declined", 0, 0)],
                reason="capture_failed",
            ),
            (
                "BeginCheckout",
                "AuthorisePayment",
                "ConfirmClaims",
                "CapturePayment",
                "VoidPayment",
                "ReleaseClaims",
                "WithdrawClaims",
                "CloseOrder",
            ),
        ),
        Scenario(
            gives_everything_back,
            Ending(
                order="refunded",
                reservation="refunded",
                goods="free",
                captured=PRICE,
                refunded=PRICE,
                charges=[("refunded", PRICE, PRICE)],
                books=[("captured", PRICE, PRICE)],
            ),
            (*_AT_ONCE, *_REFUND),
        ),
        Scenario(
            gives_everything_back_for_a_fee,
            Ending(
                order="refunded",
                reservation="refunded",
                goods="free",
                captured=PRICE,
                refunded=PRICE * 4 // 10,
                fee=PRICE - PRICE * 4 // 10,
                charges=[("completed", PRICE, PRICE * 4 // 10)],
                books=[("captured", PRICE, PRICE * 4 // 10)],
            ),
            (*_AT_ONCE, *_REFUND),
        ),
        Scenario(
            gives_everything_back_for_nothing,
            Ending(
                order="cancelled",
                reservation="cancelled",
                goods="free",
                captured=PRICE,
                refunded=0,
                fee=PRICE,
                charges=[("completed", PRICE, 0)],
                books=[("captured", PRICE, 0)],
            ),
            (*_AT_ONCE, "BeginRefund", "GiveBackClaims"),
        ),
        Scenario(is_refused_a_refund, BOUGHT, (*_AT_ONCE, "BeginRefund", "PayBack", "RestoreRefundable")),
        Scenario(
            cancels_while_the_payment_is_awaited,
            Ending("cancelled", "cancelled", "free", 0, 0, [("voided", 0, 0)], [("voided", 0, 0)], "cancelled"),
            ("BeginCheckout", "AuthorisePayment", "AwaitPayment", "VoidPayment", "ReleaseClaims", "CloseOrder"),
        ),
        Scenario(pays_elsewhere, replace(BOUGHT, books=[]), _AT_ONCE),
    )
}
"""Every story, by its name."""

_STORIES_A_TASK = 3


def through_each_task() -> list[tuple[str, str]]:
    """Return stories by their names, with a task that each comes through: every task in some, every story at some.

    All of them where HOLDFAST_EXPLORE asks for more than a run of all tests has the time for.
    """
    stories: dict[str, list[str]] = {}
    for name, scenario in SCENARIOS.items():
        for task in dict.fromkeys(scenario.tasks):
            stories.setdefault(task, []).append(name)
    if os.environ.get("HOLDFAST_EXPLORE"):
        return [(name, task) for task, names in stories.items() for name in names]
    chosen = [
        (names[(place + number * len(names) // _STORIES_A_TASK) % len(names)], task)
        for place, (task, names) in enumerate(stories.items())
        for number in range(min(_STORIES_A_TASK, len(names)))
    ]
    told = {name for name, _ in chosen}
    return [*chosen, *((name, SCENARIOS[name].tasks[-1]) for name in SCENARIOS if name not in told)]


PARTS = (Wanted(0, 1), Wanted(2), Wanted(4))
"""Some of what a buyer has of everything: one of two units, the seat, the hall."""
